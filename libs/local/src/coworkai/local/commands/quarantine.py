"""`coworkai quarantine`: what could not be taken, and getting it in after all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Column, Table

from coworkai.common.clock import utc_now
from coworkai.common.control import Control
from coworkai.common.errors import NotFound
from coworkai.common.events import Source
from coworkai.common.outcome import Reason
from coworkai.common.wording import counted
from coworkai.local.commands.options import (
    DEFAULT_DATA,
    Data,
    Json,
    TenantArgument,
    out,
    print_json,
    settings_of,
)

if TYPE_CHECKING:
    from coworkai.ingest.app import Ingest

HINT_FOR_S = 0.5
T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True, help="What could not be taken: sealed with a reason, for 14 days, replayable."
)

TenantFilter = Annotated[
    str | None, typer.Option("--tenant", metavar="ID", help="Only this tenant's.", show_default=False)
]
ReasonFilter = Annotated[
    Reason | None,
    typer.Option(
        metavar="REASON",
        help=f"Only for this reason: {', '.join(reason.value for reason in Reason)}.",
        show_default=False,
    ),
]
SourceFilter = Annotated[
    Source | None,
    typer.Option(
        metavar="SOURCE",
        help=f"Only of this source: {', '.join(source.value for source in Source)}.",
        show_default=False,
    ),
]
QuarantineId = Annotated[
    str, typer.Argument(metavar="ID", help="quarantine_id, as `list` shows it.", show_default=False)
]


@app.command("list")
def list_quarantined(
    tenant: TenantFilter = None,
    reason: ReasonFilter = None,
    source: SourceFilter = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """List what is quarantined, oldest first, without its content.

    Example: coworkai quarantine list --reason unreadable --data ./data
    """
    from coworkai.common.lake import Lake
    from coworkai.ingest.replay import Selection, quarantined

    settings = settings_of(data)
    rows = quarantined(Lake(settings.lake_uri, settings.storage_options), Selection(tenant, reason, source))
    if json:
        print_json(rows.to_dicts())
        return
    table = Table(
        Column("id", no_wrap=True), "reason", "source", "tenant", "record", "bytes", "published", box=None
    )
    for row in rows.iter_rows(named=True):
        table.add_row(
            row["quarantine_id"],
            row["reason"],
            row["source"] or "unknown",
            row["tenant_id"] or "unknown",
            "all" if row["record_index"] is None else str(row["record_index"]),
            f"{row['length']:,}",
            f"{row['published_at']:%Y-%m-%d %H:%M:%S}",
        )
    out.print(table)


@app.command()
def show(
    quarantine_id: QuarantineId,
    open_sealed: Annotated[
        bool, typer.Option("--open", help="Open the seal and write the original to stdout: personal data.")
    ] = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Show what is known of one quarantined original, as JSON; with --open the original itself.

    Example: coworkai quarantine show 3f1c9a0b52d84e6f8a7c1d2e3f405162 --data ./data
    """
    from coworkai.common.lake import Lake
    from coworkai.ingest.replay import Selection, original, quarantined

    settings = settings_of(data)
    lake = Lake(settings.lake_uri, settings.storage_options)
    rows = quarantined(lake, Selection(quarantine_ids=[quarantine_id]), sealed=open_sealed)
    if rows.is_empty():
        raise NotFound("nothing is quarantined under this id", remedy="coworkai quarantine list")
    row = rows.row(0, named=True)
    if not open_sealed:
        print_json(row)
        return
    opened = _with_ingest(data, lambda ingest: original(row, ingest.tenants))
    sys.stdout.buffer.write(opened.data + b"\n")
    sys.stdout.buffer.flush()


@app.command()
def replay(
    quarantine_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]...", help="Originals to replay; all that match by default.", show_default=False
        ),
    ] = None,
    *,
    tenant: TenantFilter = None,
    reason: ReasonFilter = None,
    source: SourceFilter = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Send quarantined originals through ingest again, as of their first publication.

    Safe to repeat. A running platform computes the days they touch within a minute.

    Example: coworkai quarantine replay --reason unknown_tenant --data ./data
    """
    from coworkai.ingest.replay import Selection

    selection = Selection(tenant, reason, source, quarantine_ids or None)
    tally = _with_ingest(data, lambda ingest: ingest.replay(selection))
    if json:
        print_json(
            {
                "received": tally.received,
                "accepted": tally.accepted,
                "duplicate": tally.duplicate,
                "quarantined": tally.quarantined.total(),
                "quarantine_reasons": dict(tally.quarantined),
            }
        )
        return
    out.print(
        f"{counted(tally.received, 'record')} = {tally.accepted:,} accepted + {tally.duplicate:,} duplicate "
        f"+ {tally.quarantined.total():,} quarantined again"
    )


@app.command()
def accept(
    tenant_id: TenantArgument,
    source: Annotated[Source, typer.Argument(show_default=False, help="Source that is held back.")],
    collector: Annotated[
        str, typer.Argument(metavar="COLLECTOR", show_default=False, help="Collector and version, as sent.")
    ],
    *,
    hours: Annotated[int, typer.Option(min=1, max=336, help="For how long.")] = 24,
    data: Data = DEFAULT_DATA,
) -> None:
    """Let a collector through that is held back because too much of what it sends is quarantined.

    Example: coworkai quarantine accept acme activities desktop/4.2.0 --hours 2
    """
    from coworkai.local.identities import known_tenant

    settings = settings_of(data)
    known_tenant(settings, tenant_id)
    control = Control(settings.control_url)
    try:
        control.accept_collector(tenant_id, source.value, collector, utc_now() + timedelta(hours=hours))
    finally:
        control.close()
    out.print(f"{collector} is let through for {hours} h")


def _with_ingest(data: Path, work: Callable[[Ingest], Awaitable[T]]) -> T:
    """Run `work` on an ingest of this process over the data folder."""
    from coworkai.common.bus import Publisher
    from coworkai.common.settings import load
    from coworkai.ingest.app import Ingest
    from coworkai.ingest.settings import IngestSettings

    settings_of(data)
    settings = load(IngestSettings, data_dir=data)

    async def run() -> T:
        # Where no platform runs, nobody is told, and the next one finds what is new by itself.
        publisher = Publisher(settings.bus_url, settings.project, retry_for_s=HINT_FOR_S)
        control = Control(settings.control_url)
        ingest = Ingest(settings, publisher, control)
        await ingest.start()
        try:
            return await work(ingest)
        finally:
            await ingest.aclose()
            await publisher.aclose()
            control.close()

    return asyncio.run(run())
