"""`coworkai control`: the schema of the control store. Services migrate it by themselves when they start."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from coworkai.common.control import Database
from coworkai.common.control.database import revisions
from coworkai.local.commands.options import DEFAULT_DATA, Data, Json, out, print_json, settings_of

app = typer.Typer(no_args_is_help=True, help="The schema of the control store.")


@app.command()
def history(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """List the schema's revisions, and which one the store is at.

    Example: coworkai control history --data ./data
    """
    database = Database(settings_of(data).control_url)
    try:
        current = database.revision()
    finally:
        database.close()
    if json:
        print_json({"current": current, "revisions": [{"revision": r, "brings": b} for r, b in revisions()]})
        return
    table = Table("", "revision", "brings", box=None)
    for revision, brings in revisions():
        table.add_row("*" if revision == current else "", revision, brings)
    out.print(table)


@app.command()
def migrate(
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION",
            help="Go up or down to this one; tables that came after it are dropped with what they hold.",
            show_default=False,
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
) -> None:
    """Bring the store to this release's revision, as every service does when it starts.

    Example: coworkai control migrate --data ./data
    """
    database = Database(settings_of(data, must_exist=False).control_url)
    try:
        database.migrate(to)
        out.print(f"the control store is at revision {database.revision()}")
    finally:
        database.close()
