"""Commands that read or tend a lake."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from coworkai.local.commands.options import DEFAULT_DATA, Data, Json, out, print_json, settings_of


def tables(
    data: Data = DEFAULT_DATA,
    tenant: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this tenant's; all by default.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Rows, files, bytes and version of every table, per layer.

    Example: coworkai tables --data ./demo-data
    """
    from coworkai.common.lake import Lake
    from coworkai.local.inventory import inventory

    settings = settings_of(data)
    found = inventory(Lake(settings.lake_uri, settings.storage_options), settings.control_url, tenant)
    if json:
        print_json(found)
        return
    table = Table("table", "tenant", box=None)
    for heading in ("rows", "files", "KiB", "version"):
        table.add_column(heading, justify="right")
    layer = None
    for entry in found:
        if layer not in {None, entry.layer}:
            table.add_section()
        layer = entry.layer
        table.add_row(
            entry.table,
            entry.tenant_id or "all",
            f"{entry.rows:,}",
            f"{entry.files:,}",
            f"{entry.size_bytes / 1024:,.0f}",
            str(entry.version),
        )
    out.print(table)
