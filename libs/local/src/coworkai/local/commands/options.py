"""Options and output that the commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from coworkai.common.errors import SettingsError
from coworkai.common.settings import CommonSettings, load

DEFAULT_DATA = Path("data")
DATE = "YYYY-MM-DD"
_OF_THE_FOLDER = frozenset({"lake_uri", "control_url", "master_key"})
"""Settings of what commands find in a data folder unless the environment says where else it is."""

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Data folder: lake, stores, keys and logs.")
]
AnyTenant = Annotated[
    str | None, typer.Argument(metavar="[TENANT]", help="Tenant; all by default.", show_default=False)
]
JSON_OPTION = "--json"
Json = Annotated[
    bool,
    typer.Option(
        JSON_OPTION,
        help="Print one JSON document on stdout instead of text; of a failure "
        '{"error": {"code", "message", "remedy"}}.',
    ),
]
_TENANT_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

WIDE_COLUMNS = 200


def result_console(environment: Mapping[str, str], *, is_terminal: bool) -> Console:
    """Where results go: as wide as the terminal or COLUMNS say, and not cut where neither says anything."""
    width = WIDE_COLUMNS if not is_terminal and "COLUMNS" not in environment else None
    return Console(highlight=False, width=width)


out = result_console(os.environ, is_terminal=sys.stdout.isatty())
"""Results."""
err = Console(stderr=True, highlight=False)
"""Progress and errors, so that results can be piped."""


def say(message: str, remedy: str) -> None:
    """Print on stderr why a command fails, and what to do."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    err.print(f"       {escape(remedy)}", soft_wrap=True)


def local_date(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter(f"'{value}' is no date; give {DATE}") from None


def tenant_id(value: str) -> str:
    if not _TENANT_PATTERN.fullmatch(value):
        raise typer.BadParameter("lower-case letters, digits and hyphens, at most 63, first no hyphen")
    return value


Tenant = Annotated[
    str, typer.Option("--tenant", metavar="ID", callback=tenant_id, help="Tenant the data belongs to.")
]
TenantArgument = Annotated[
    str, typer.Argument(metavar="TENANT", callback=tenant_id, show_default=False, help="Id of the tenant.")
]


def settings_of(data: Path, *, must_exist: bool = True) -> CommonSettings:
    """Settings of a data folder; the environment may move its lake or control store elsewhere.

    A folder that need not exist is made; none is needed where the environment has moved all that it would
    hold. Raises SettingsError when it does not exist though it must, or cannot be made.
    """
    settings = load(CommonSettings, data_dir=data)
    if settings.model_fields_set >= _OF_THE_FOLDER:
        return settings
    if not must_exist:
        make_folder(data, "--data")
    elif not data.is_dir():
        raise SettingsError(
            f"no data folder {data}", remedy="give the one of `coworkai up` or `process` with --data"
        )
    return settings


def make_folder(folder: Path, option: str) -> None:
    """Make the folder that `option` names, unless it exists. Raises SettingsError when that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if folder.is_file() else error.strerror
        raise SettingsError(
            f"{folder} cannot be made a folder: {why}",
            remedy=f"give a folder that exists or can be made with {option}",
        ) from None


def print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()
