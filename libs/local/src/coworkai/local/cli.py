"""`coworkai`: the command line.

Exit codes: 0 done, 1 failed with a reason, 2 wrong usage. With --json, stdout is one JSON document: the
result, or `{"error": {"code", "message", "remedy"}}`.
"""

from __future__ import annotations

import errno
import logging
import sys
from dataclasses import dataclass
from typing import NoReturn

import typer

from coworkai.common.errors import CoworkError
from coworkai.common.observability import TextFormatter
from coworkai.local.commands import briefs, control, convert, keys, lake, logs, quarantine, run, tenants
from coworkai.local.commands.options import JSON_OPTION, err, print_json

app = typer.Typer(
    name="coworkai",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Workplace telemetry into workblocks, KPIs and briefs that add up.\n\nStart with: coworkai demo",
)
app.command()(run.demo)
app.command()(run.process)
app.command()(run.up)
app.command()(run.send)
app.add_typer(convert.app, name="import")
app.command()(briefs.brief)
app.command()(lake.tables)
app.command()(lake.rebuild)
app.command()(lake.maintain)
app.command()(lake.lineage)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(tenants.tenant, name="tenant")
app.add_typer(tenants.key, name="key")
app.add_typer(keys.app, name="keys")
app.add_typer(logs.access_log, name="access-log")
app.add_typer(logs.audit_log, name="audit-log")
app.add_typer(tenants.dead_letters, name="dead-letters")
app.add_typer(control.app, name="control")


_REFUSED = (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""What the system says of a path that it does not let us use; a file that is missing would be our mistake."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def main() -> None:
    """Run the command line; a failure of ours is one line with its remedy, never a stack trace.

    With --json it is one object on stdout, where the result would have been: a program that reads stdout gets
    one JSON document in either case, and the exit code tells which. Warnings and progress stay on stderr.
    """
    # Libraries of ours log as they do in a service: without content or stack traces, here only errors.
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter("coworkai"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    is_json = JSON_OPTION in sys.argv[1:]
    try:
        sys.exit(app(standalone_mode=not is_json) or 0)
    except CoworkError as error:
        _fail(Problem(error.code, error.message, error.remedy), is_json=is_json)
    except typer.TyperException as error:
        # Without JSON it has been printed, with the usage of the command.
        command = getattr(error, "ctx", None)
        path = "coworkai" if command is None else command.command_path
        usage = Problem("usage", error.format_message(), f"{path} --help")
        _fail(usage, is_json=is_json, exit_code=error.exit_code)
    except _REFUSED as error:
        refused = Problem(
            "path_refused", f"{error.filename}: {error.strerror}", "check the path and its permissions"
        )
        _fail(refused, is_json=is_json)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        no_room = f"nothing more can be written: {error.strerror}"
        _fail(Problem("no_room", no_room, "make room, or give another folder"), is_json=is_json)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a command failed. `code` is stable, for programs; `remedy` what to do about it."""

    code: str
    message: str
    remedy: str | None


def _fail(problem: Problem, *, is_json: bool, exit_code: int = 1) -> NoReturn:
    if is_json:
        print_json({"error": problem})
        sys.exit(exit_code)
    err.print(f"[bold red]error:[/] {_plain(problem.message)}", soft_wrap=True)
    if problem.remedy is not None:
        err.print(f"       {_plain(problem.remedy)}", soft_wrap=True)
    sys.exit(exit_code)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
