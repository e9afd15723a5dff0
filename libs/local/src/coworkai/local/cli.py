"""`coworkai`: the command line.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C or SIGTERM. All but 0 leave on stderr why
and what to do. With --json, stdout is one JSON document: the result, or
`{"error": {"code", "message", "remedy"}}`.
"""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from dataclasses import dataclass
from typing import NoReturn

import typer
from polars.exceptions import PanicException

from coworkai.common.errors import CoworkError, Transient
from coworkai.common.observability import TextFormatter
from coworkai.local.commands import briefs, control, convert, keys, lake, logs, quarantine, run, tenants
from coworkai.local.commands.options import JSON_OPTION, print_json, say

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
_TRY_AGAIN = "try again; if it stays so, see the logs in the data folder"
_LOOK = "check what was given and what is set; the logs in the data folder may say more"
_STOPPED = 130
"""Exit code of a command that a signal has stopped."""


def main() -> None:
    """Run the command line; a failure that we know of is one line with its remedy, never a stack trace.

    With --json it is one object on stdout, too, where the result would have been: a program that reads stdout
    gets one JSON document in either case, and the exit code tells which.
    """
    # Libraries of ours log as they do in a service: without content or stack traces, here only errors.
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter("coworkai"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    is_json = JSON_OPTION in sys.argv[1:]
    try:
        code = app(prog_name="coworkai", standalone_mode=not is_json) or 0
    except SystemExit as ended:
        code, cause = ended.code, ended.__context__
        if isinstance(cause, BrokenPipeError):
            unread = Problem("unread", "stdout was closed before all was written", "read all of it")
            _fail(unread, is_json=False)
        # Typer prints why it ends the command, but for this and for signals.
        if type(cause).__name__ == "NoArgsIsHelpError":
            example = f"{_path(cause)} COMMAND"
            missing = Problem("usage", "no command given", f"give one of those above: {example}")
            _fail(missing, is_json=False, exit_code=2)
    except typer.TyperException as error:
        usage = Problem("usage", error.format_message(), f"{_path(error)} --help")
        _fail(usage, is_json=is_json, exit_code=error.exit_code)
    except (Exception, PanicException) as error:
        _fail(_problem(error), is_json=is_json)
    if code == _STOPPED:
        stopped = Problem("stopped", "stopped before it was done", "run it again")
        _fail(stopped, is_json=is_json, exit_code=_STOPPED)
    sys.exit(code)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a command failed. `code` is stable, for programs; `remedy` what to do about it."""

    code: str
    message: str
    remedy: str


def _problem(error: BaseException) -> Problem:
    """What an exception is to the user; of a fault of ours the stack trace is printed."""
    if isinstance(error, CoworkError):
        usual = _TRY_AGAIN if isinstance(error, Transient) else _LOOK
        return Problem(error.code, error.message, error.remedy or usual)
    if isinstance(error, _REFUSED):
        return Problem(
            "path_refused", f"{error.filename}: {error.strerror}", "check the path and its permissions"
        )
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        no_room = f"nothing more can be written: {error.strerror}"
        return Problem("no_room", no_room, "make room, or give another folder")
    from coworkai.common.isolation import location

    traceback.print_exception(error)
    fault = f"{type(error).__name__} in {location(error)}"
    return Problem("internal", fault, "a fault of CoworkAI: report it with the lines above")


def _path(error: BaseException | None) -> str:
    """The command that was used wrongly, as it was typed."""
    context = getattr(error, "ctx", None)
    return "coworkai" if context is None else str(context.command_path)


def _fail(problem: Problem, *, is_json: bool, exit_code: int = 1) -> NoReturn:
    say(problem.message, problem.remedy)
    if is_json:
        print_json({"error": problem})
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
