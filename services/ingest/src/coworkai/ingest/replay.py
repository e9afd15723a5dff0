"""Replay: sealed originals go into the normal path again, as of their first publication.

A replay is safe to repeat: what it gets into Bronze is a duplicate the next time, and what is refused again
for the same reason is in quarantine already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import msgspec
import polars as pl

from coworkai.common.bus import BadEnvelope, decode_push
from coworkai.common.errors import Terminal
from coworkai.common.events import BatchHeader, Source
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.outcome import Reason, Tally
from coworkai.common.pii import PLATFORM, TenantKeys
from coworkai.common.tables import BRONZE_QUARANTINE
from coworkai.ingest.decode import Delivery, Rejected
from coworkai.ingest.pipeline import Delivered, Pipeline
from coworkai.ingest.push import SOURCES
from coworkai.ingest.quarantine import Original, open_original
from coworkai.ingest.tenants import Tenants

AT_ONCE = 500
"""Originals on their way at the same time, so that they share commits."""
UNSEALED = [column.name for column in BRONZE_QUARANTINE.columns if column.name != "sealed"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which quarantined originals; None does not limit."""

    tenant_id: str | None = None
    reason: Reason | None = None
    source: Source | None = None
    quarantine_ids: Collection[str] | None = None


def quarantined(lake: Lake, selection: Selection, *, sealed: bool = False) -> pl.DataFrame:
    """Rows of `bronze/quarantine`, oldest first; the `sealed` column only when asked for.

    Raises StorageUnavailable.
    """
    with reading(BRONZE_QUARANTINE):
        rows = scan(lake.open(BRONZE_QUARANTINE), BRONZE_QUARANTINE).filter(_matches(selection))
        if not sealed:
            rows = rows.select(UNSEALED)
        return rows.sort("published_at", "message_id", "record_index").collect()


def _matches(selection: Selection) -> pl.Expr:
    wanted = pl.lit(value=True)
    if selection.tenant_id is not None:
        wanted &= pl.col("tenant_id") == selection.tenant_id
    if selection.reason is not None:
        wanted &= pl.col("reason") == selection.reason.value
    if selection.source is not None:
        wanted &= pl.col("source") == selection.source.value
    if selection.quarantine_ids is not None:
        wanted &= pl.col("quarantine_id").is_in(list(selection.quarantine_ids))
    return wanted


async def original(row: dict[str, object], tenants: Tenants) -> Original:
    """The original of a quarantine row with its `sealed` column.

    Raises Terminal when its tenant is gone or the key does not fit, StorageUnavailable.
    """
    keys = await _keys(str(row["key_id"]), tenants)
    sealed = row["sealed"]
    assert isinstance(sealed, bytes)
    return open_original(keys, str(row["quarantine_id"]), sealed)


async def _keys(key_id: str, tenants: Tenants) -> TenantKeys:
    if key_id == PLATFORM:
        return tenants.platform
    context = await tenants.find(key_id.removeprefix("tenant:"))
    if context is None:
        raise Terminal("the tenant of a quarantined original is gone or not active")
    return context.keys


async def replay(lake: Lake, tenants: Tenants, pipeline: Pipeline, selection: Selection) -> Tally:
    """Deliver the selected originals again; what became of their records.

    Raises Terminal for an original whose key is gone, StorageUnavailable and Overloaded as a delivery does.
    """
    tally = Tally()
    rows = quarantined(lake, selection, sealed=True)
    for some in rows.iter_slices(AT_ONCE):
        deliveries = [
            _deliver(await original(row, tenants), row, pipeline) for row in some.iter_rows(named=True)
        ]
        for delivered in await asyncio.gather(*deliveries):
            tally += Tally(delivered.accepted, delivered.duplicate)
            tally.quarantined.update(reason for _, reason in delivered.refused)
    return tally


async def _deliver(sealed: Original, row: dict[str, object], pipeline: Pipeline) -> Delivered:
    published_at = row["published_at"]
    assert isinstance(published_at, datetime)
    delivery = Delivery(
        topic=sealed.topic,
        source=None if sealed.source is None else SOURCES[sealed.source],
        data=sealed.data if sealed.header is None else _batch_of_one(sealed, sealed.header),
        attributes=sealed.attributes,
        message_id=str(row["message_id"]),
        published_at=published_at,
        is_first_attempt=False,
        sender=None if row["tenant_id"] is None else str(row["tenant_id"]),
        snapshot=sealed.snapshot,
        row_number=sealed.row_number,
    )
    if row["reason"] != Reason.BAD_ENVELOPE.value:
        return await pipeline.deliver(delivery)
    try:
        message = decode_push(sealed.data, {})
    except BadEnvelope:
        return await pipeline.refuse(delivery, Rejected(Reason.BAD_ENVELOPE))
    return await pipeline.deliver(
        msgspec.structs.replace(
            delivery,
            data=message.data,
            attributes=message.attributes,
            message_id=message.message_id,
            published_at=message.published_at,
        )
    )


def _batch_of_one(sealed: Original, header: BatchHeader) -> bytes:
    """The message that the record alone makes. A jobs row is a file by itself."""
    if sealed.source == Source.JOBS.value:
        return sealed.data
    fields = msgspec.structs.asdict(header)
    return msgspec.json.encode(fields | {"records": [msgspec.Raw(sealed.data)]})
