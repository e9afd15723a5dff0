"""`coworkai`: the command line. Exit codes: 0 done, 1 failed with a reason, 2 wrong usage."""

from __future__ import annotations

import logging
import sys

import typer

from coworkai.common.errors import CoworkError
from coworkai.common.observability import TextFormatter
from coworkai.local.commands import convert, lake, quarantine, run, tenants
from coworkai.local.commands.options import err

app = typer.Typer(
    name="coworkai",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Workplace telemetry into workblocks, KPIs and reports that add up.\n\nStart with: coworkai demo",
)
app.command()(run.demo)
app.command()(run.process)
app.command()(run.up)
app.command()(run.send)
app.add_typer(convert.app, name="import")
app.command()(lake.tables)
app.command()(lake.rebuild)
app.command()(lake.maintain)
app.command()(lake.lineage)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(tenants.tenant, name="tenant")
app.add_typer(tenants.key, name="key")
app.add_typer(tenants.dead_letters, name="dead-letters")


def main() -> None:
    """Run the command line; a failure of ours is one line with its remedy, never a stack trace."""
    # Libraries of ours log as they do in a service: without content or stack traces, here only errors.
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter("coworkai"))
    logging.basicConfig(handlers=[handler], level=logging.ERROR)
    try:
        app()
    except CoworkError as error:
        err.print(f"[bold red]error:[/] {_plain(error.message)}", soft_wrap=True)
        if error.remedy is not None:
            err.print(f"       {_plain(error.remedy)}", soft_wrap=True)
        sys.exit(1)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


if __name__ == "__main__":
    main()
