"""What cannot be taken: sealed, with one reason of the closed list; and receipts of what was not accepted.

Invariants: the original leaves this module only as ciphertext under the tenant's key, or the platform's where
the tenant is unknown; the same original refused for the same reason is stored once, however often it comes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec
import numpy as np
import polars as pl

from coworkai.common import pii
from coworkai.common.events import BatchHeader, Source
from coworkai.common.outcome import Outcome, Reason
from coworkai.common.pii import TenantKeys
from coworkai.common.tables import BRONZE_QUARANTINE, BRONZE_RECEIPTS
from coworkai.ingest.bronze import IdentityColumns, halves
from coworkai.ingest.tokenise import Rows

QUARANTINE_IDENTITY = IdentityColumns(id="quarantine_id", digest="content_digest")
_EPOCH = date(1970, 1, 1)
_SAFE_ATTRIBUTES: Mapping[str, re.Pattern[str]] = {
    "tenant_id": re.compile(r"[a-z0-9][a-z0-9-]{0,62}"),
    "sent_at": re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{5,16}(?:Z|[+-]\d\d:\d\d)"),
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
}
"""Attributes kept in clear, and only when they look like this. The sealed original has all of them."""


class Original(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed: all that a replay needs. `header` is the batch's, when `data` is a single record."""

    topic: str
    source: str | None
    data: bytes
    attributes: dict[str, str]
    header: BatchHeader | None = None
    snapshot: str | None = None
    row_number: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """One record, or a whole message (`index` None), for quarantine; `user_id` and `device_id` as stored."""

    keys: TenantKeys
    tenant_id: str | None
    original: Original
    reason: Reason
    message_id: str
    published_at: datetime
    index: int | None = None
    user_id: str | None = None
    device_id: str | None = None


def quarantine_rows(refusals: Sequence[Sequence[Refusal]], expires_at: datetime) -> Rows:
    """Rows of `bronze/quarantine` for the refusals of some messages.

    They expire so long after they came: a message may have been on its way for longer than that.
    """
    flat = [(place, refusal) for place, group in enumerate(refusals) for refusal in group]
    rows = [_quarantine_row(refusal, expires_at) for _, refusal in flat]
    table = pl.DataFrame(rows, schema=BRONZE_QUARANTINE.schema, orient="row")
    return Rows(
        table.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BRONZE_QUARANTINE.arrow_schema),
        tenants=[""] * len(refusals),
        item=np.array([place for place, _ in flat], dtype=np.int32),
        day=_days(table["event_date"]),
        ids=halves("".join(table["quarantine_id"])),
        digest=table["content_digest"].to_numpy().astype(np.int64),
    )


def _quarantine_row(refusal: Refusal, expires_at: datetime) -> tuple[object, ...]:
    keys, original = refusal.keys, refusal.original
    content = msgspec.msgpack.encode([original.topic, refusal.reason.value, original.data])
    quarantine_id = pii.digest_bytes(keys, content, size=16).hex()
    return (
        quarantine_id,
        refusal.published_at.date(),
        refusal.tenant_id,
        original.source,
        refusal.reason.value,
        refusal.index,
        len(original.data),
        pii.content_digest(keys, original.data),
        refusal.message_id,
        refusal.published_at,
        msgspec.json.encode(_safe(original.attributes), order="sorted").decode(),
        refusal.user_id,
        refusal.device_id,
        keys.key_id,
        pii.seal(keys.seal, msgspec.msgpack.encode(original), quarantine_id.encode()),
        expires_at,
    )


def _safe(attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        name: attributes[name]
        for name, pattern in _SAFE_ATTRIBUTES.items()
        if name in attributes and pattern.fullmatch(attributes[name])
    }


def open_original(keys: TenantKeys, quarantine_id: str, sealed: bytes) -> Original:
    """What was sealed. Raises Terminal when the key is not the one that sealed it."""
    return msgspec.msgpack.decode(pii.open_sealed(keys.seal, sealed, quarantine_id.encode()), type=Original)


# --------------------------------------------------------------------------------------------- receipts
@dataclass(frozen=True, slots=True)
class Receipt:
    """Records of one delivery that were not accepted, counted by who, when, what and why."""

    tenant_id: str | None
    delivery_id: str
    message_id: str
    published_at: datetime
    source: Source | None
    counts: Counter[tuple[str | None, str | None, date | None, Outcome, Reason | None]] = field(
        default_factory=Counter
    )
    """By user token, device token, UTC date of the records, outcome and reason."""


def receipt_rows(receipts: Sequence[Receipt]) -> Rows:
    """Rows of `bronze/receipts`. The day of a row is the records' own, as far as it is known."""
    rows: list[tuple[object, ...]] = []
    item: list[int] = []
    own_days: list[date] = []
    for place, receipt in enumerate(receipts):
        for (user, device, day, outcome, reason), count in receipt.counts.items():
            published = receipt.published_at.date()
            rows.append(
                (
                    receipt.tenant_id,
                    published,
                    receipt.delivery_id,
                    receipt.message_id,
                    None if receipt.source is None else receipt.source.value,
                    user,
                    device,
                    day,
                    outcome.value,
                    None if reason is None else reason.value,
                    count,
                    receipt.published_at,
                )
            )
            item.append(place)
            own_days.append(day or published)
    table = pl.DataFrame(rows, schema=BRONZE_RECEIPTS.schema, orient="row")
    return Rows(
        table.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(BRONZE_RECEIPTS.arrow_schema),
        tenants=[receipt.tenant_id or "" for receipt in receipts],
        item=np.array(item, dtype=np.int32),
        day=_days(own_days),
        ids=np.zeros((len(rows), 2), dtype=np.uint64),
        digest=np.zeros(len(rows), dtype=np.int64),
    )


def _days(values: Iterable[date]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array([(value - _EPOCH).days for value in values], dtype=np.int32)
