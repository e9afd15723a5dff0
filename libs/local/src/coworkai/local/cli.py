"""`coworkai`: the command line. Exit codes: 0 done, 1 failed with a reason, 2 wrong usage."""

from __future__ import annotations

import errno
import logging
import sys
from typing import NoReturn

import typer

from coworkai.common.errors import CoworkError
from coworkai.common.observability import TextFormatter
from coworkai.local.commands import briefs, control, convert, lake, quarantine, run, tenants
from coworkai.local.commands.options import err

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
app.add_typer(tenants.dead_letters, name="dead-letters")
app.add_typer(control.app, name="control")


_REFUSED = (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
"""What the system says of a path that it does not let us use; a file that is missing would be our mistake."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def main() -> None:
    """Run the command line; a failure of ours is one line with its remedy, never a stack trace."""
    # Libraries of ours log as they do in a service: without content or stack traces, here only errors.
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter("coworkai"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    try:
        app()
    except CoworkError as error:
        _fail(error.message, error.remedy)
    except _REFUSED as error:
        _fail(f"{error.filename}: {error.strerror}", "check the path and its permissions")
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _fail(f"nothing more can be written: {error.strerror}", "make room, or give another folder")


def _fail(message: str, remedy: str | None) -> NoReturn:
    err.print(f"[bold red]error:[/] {_plain(message)}", soft_wrap=True)
    if remedy is not None:
        err.print(f"       {_plain(remedy)}", soft_wrap=True)
    sys.exit(1)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
