"""From typed records of many messages to one Arrow table of their Bronze table, columns built wholesale.

Invariant: what leaves this module holds no direct identifier, no PII that `pii` knows, and nothing that the
tenant's capture policy keeps out. It is the only way into a Bronze source table.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from coworkai.common import pii
from coworkai.common.control import Capture, Identity, Tenant
from coworkai.common.events import JobsRow, Source
from coworkai.common.pii import Kind, TenantKeys
from coworkai.common.tables import BRONZE_BY_SOURCE, KEY_CLASSES
from coworkai.ingest.decode import OWN_TIME, Batch, Drift
from coworkai.ingest.key_classes import control_tokens, key_counts

T = TypeVar("T")
JOBS_NAMESPACE = uuid.UUID("5b0c7d3e-54f3-5d55-9f0c-8a3f0f0b7c11")
OWN_WORDS = "user"
"""The chat role whose text is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class TenantContext:
    """A tenant with its keys, as one message sees it."""

    tenant: Tenant
    keys: TenantKeys


class Pending(msgspec.Struct, frozen=True, eq=False):
    """A batch on its way into Bronze, with what its message says about all of its records.

    `snapshot` and `row_number` restore the identity of a jobs row that is replayed alone.
    """

    batch: Batch
    context: TenantContext
    message_id: str
    published_at: datetime
    attributes: Mapping[str, str] = {}
    snapshot: str | None = None
    row_number: int | None = None

    def cut(self, first: int, end: int) -> Pending:
        """The same with the records from `first` to `end` only."""
        batch = self.batch
        return msgspec.structs.replace(
            self,
            batch=msgspec.structs.replace(
                batch,
                records=batch.records[first:end],
                index=batch.index[first:end],
                drift={at - first: drift for at, drift in batch.drift.items() if first <= at < end},
            ),
        )


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for a Bronze table, in order of arrival, with the identities that keep them single.

    `item[i]` is the place in its group of what row i came from, and `tenants` the tenants of those. `day` is
    days since 1970-01-01, `ids` the two halves of the row's id, `digest` the keyed digest of its content.
    """

    table: pa.Table
    tenants: Sequence[str]
    item: npt.NDArray[np.int32]
    day: npt.NDArray[np.int32]
    ids: npt.NDArray[np.uint64]
    digest: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.item)

    def take(self, kept: npt.NDArray[np.bool_]) -> Rows:
        """The rows where `kept` holds."""
        if kept.all():
            return self
        return Rows(
            self.table.filter(pa.array(kept)),
            self.tenants,
            self.item[kept],
            self.day[kept],
            self.ids[kept],
            self.digest[kept],
        )


def encode(source: Source, items: Sequence[Pending]) -> Rows:
    """All records of `items`, which are of one source, as rows of its Bronze table.

    Raises what Arrow raises for a value that no column takes; the caller finds the culprit by bisection.
    """
    rows = _Records(source, items)
    table = BRONZE_BY_SOURCE[source]
    columns = _head(rows) | _COLUMNS[source](rows) | {"extra": _extra(rows)}
    if source in _CAPTURED:
        _blank_off(rows, columns)
    arrow = pa.Table.from_arrays(
        [columns[field.name] for field in table.arrow_schema],
        schema=table.arrow_schema,
    )
    tenants = [item.context.tenant.tenant_id for item in items]
    return Rows(arrow, tenants, rows.item, rows.day, rows.ids, rows.digest)


# --------------------------------------------------------------------------------------------- rows
_CAPTURED = frozenset({Source.KEYSTROKES, Source.CLIPBOARD})
_encoder = msgspec.json.Encoder(order="sorted")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000


class _Records:
    """The records of a group with what every column needs: keys of each row, times, identities."""

    def __init__(self, source: Source, items: Sequence[Pending]) -> None:
        self.source = source
        self.items = items
        self.counts = [len(item.batch.records) for item in items]
        self.records: list[Any] = list(chain.from_iterable(item.batch.records for item in items))
        self.item = np.repeat(np.arange(len(items), dtype=np.int32), self.counts)
        places = {context: place for place, context in enumerate(dict.fromkeys(i.context for i in items))}
        self.contexts = list(places)
        self.context = np.array([places[item.context] for item in items], dtype=np.int64)[self.item]
        self.keys: list[TenantKeys] = self.spread(item.context.keys for item in items)
        if source is Source.JOBS:
            self.snapshots = [snapshot_of(item) for item in items]
            self.row_numbers = list(chain.from_iterable(map(_row_numbers, items)))
            event_ids = [
                str(uuid.uuid5(JOBS_NAMESPACE, f"{keys.key_id}/{snapshot}/{row}"))
                for keys, snapshot, row in zip(
                    self.keys, self.spread(self.snapshots), self.row_numbers, strict=True
                )
            ]
            self.time = pa.array([row.valid_from for row in self.records], pa.date32())
            self.day = self.time.to_numpy(zero_copy_only=False).astype("datetime64[D]").astype(np.int32)
        else:
            event_ids = self.of("event_id")
            self.time = self.times(OWN_TIME[source])
            self.day = (self.time.cast(pa.int64()).to_numpy() // _DAY_US).astype(np.int32)
        self.event_ids = pc.ascii_lower(pa.array(event_ids, pa.string()))
        hexes = "".join(event_ids).replace("-", "")
        self.ids = np.frombuffer(bytes.fromhex(hexes), dtype=">u8").astype(np.uint64).reshape(-1, 2)
        self.drift: dict[int, Drift] = {}
        start = 0
        for item, count in zip(items, self.counts, strict=True):
            if item.batch.drift:
                self.drift |= {start + position: drift for position, drift in item.batch.drift.items()}
            start += count
        self.digest = self._digests()

    def spread(self, values: Iterable[T]) -> list[T]:
        """One value an item, repeated for each of its rows."""
        return list(chain.from_iterable(map(repeat, values, self.counts)))

    def constant(self, values: Sequence[object], dtype: pa.DataType) -> pa.Array:
        """A column of one value an item."""
        return pa.array(values, dtype).take(pa.array(self.item))

    def of(self, name: str) -> list[Any]:
        return list(map(attrgetter(name), self.records))

    def times(self, name: str) -> pa.Array:
        return _times(self.of(name))

    def direct(self, kind: Kind, name: str) -> pa.Array:
        """Tokens of a direct identifier."""
        return self.once(name, lambda context, value: pii.token(context.keys, kind, value))

    def identifiers(self, name: str) -> pa.Array:
        """`user_id` or a reference to one: a token, or as sent where the tenant keeps identities plain."""
        return self.once(name, stored_user)

    def few(self, name: str) -> pa.Array:
        """A column of few distinct values, PII tokenised."""
        return self.once(name, lambda context, value: pii.cached_tokenise(value, context.keys))

    def once(self, name: str, stored: Callable[[TenantContext, str], str]) -> pa.Array:
        """A column as stored, looked at once for each value that a tenant has in it."""
        values = pa.array(self.of(name), pa.string()).dictionary_encode("encode")
        words = values.dictionary.to_pylist()
        pairs = pa.array(self.context * len(words) + values.indices.to_numpy()).dictionary_encode()
        distinct = [divmod(pair, len(words)) for pair in pairs.dictionary.to_pylist()]
        return pa.array(
            [
                None if words[word] is None else stored(self.contexts[context], words[word])
                for context, word in distinct
            ],
            pa.string(),
        ).take(pairs.indices)

    def text(self, values: Sequence[str | None], *, urls: bool = False) -> pa.Array:
        """Free text, PII tokenised."""
        return _arrow(pii.tokenise(pl.Series(values, dtype=pl.String), self.keys, urls=urls))

    def captures(self) -> list[Capture]:
        """The policy of each row's tenant for this source."""
        return self.spread(
            item.context.tenant.capture_keystrokes
            if self.source is Source.KEYSTROKES
            else item.context.tenant.capture_clipboard
            for item in self.items
        )

    def _digests(self) -> npt.NDArray[np.int64]:
        """Keyed digests of the content as sent: known fields and drift together, in order of name.

        Fields left at their default do not count, so a contract that learns a field changes no digest.
        """
        content, digests = bytearray(), bytearray()
        for record, keyed in zip(self.records, self._digesters(), strict=True):
            _encoder.encode_into(record, content)
            digest = keyed.copy()
            digest.update(content)
            digests += digest.digest()
        out = np.frombuffer(digests, dtype="<i8").astype(np.int64)
        for index, drift in self.drift.items():
            sent = msgspec.json.decode(_encoder.encode(self.records[index])) | drift
            out[index] = pii.content_digest(self.keys[index], _encoder.encode(sent))
        return out

    def _digesters(self) -> list[hashlib.blake2b]:
        """A keyed hash for each row, to be copied: setting the key takes as long as hashing a record."""
        hashes = [hashlib.blake2b(key=context.keys.digest, digest_size=8) for context in self.contexts]
        return [hashes[place] for place in self.context.tolist()]


def _times(moments: Sequence[datetime]) -> pa.Array:
    # Arrow asks every datetime for its offset, in Python; it need not ask a difference.
    return pa.array([moment - _EPOCH for moment in moments], pa.duration("us")).view(
        pa.timestamp("us", "UTC")
    )


def _is_plain(context: TenantContext) -> bool:
    return context.tenant.identity is Identity.PLAIN


def stored_user(context: TenantContext, user_id: str) -> str:
    """A `user_id` as Bronze has it."""
    if _is_plain(context):
        return pii.plain_identifier(context.keys, user_id)
    return pii.cached_token(context.keys, Kind.USER, user_id)


def stored_device(context: TenantContext, device_id: str) -> str:
    """A `device_id` as Bronze has it."""
    return pii.cached_token(context.keys, Kind.DEVICE, device_id)


def snapshot_of(item: Pending) -> str:
    """Keyed digest of the jobs file that the rows belong to, 32 hex digits."""
    return item.snapshot or pii.digest_bytes(item.context.keys, item.batch.data, size=16).hex()


def _row_numbers(item: Pending) -> list[int]:
    if item.row_number is not None:
        return [item.row_number] * len(item.batch.records)
    return [place + 1 for place in item.batch.index]


def _arrow(series: pl.Series) -> pa.Array:
    return series.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())


# --------------------------------------------------------------------------------------------- columns
Columns = dict[str, Any]
"""Arrow arrays by column name."""


def _head(rows: _Records) -> Columns:
    items, constant = rows.items, rows.constant

    def collector(item: Pending) -> str:
        return pii.cached_tokenise(item.batch.header.collector, item.context.keys)

    string, timestamp = pa.string(), pa.timestamp("us", "UTC")
    return {
        "tenant_id": constant([item.context.tenant.tenant_id for item in items], string),
        "event_id": rows.event_ids,
        "event_date": pa.array(rows.day, pa.date32()),
        "user_id": rows.identifiers("user_id"),
        "device_id": constant(
            [stored_device(item.context, item.batch.header.device_id) for item in items], string
        ),
        "collector": constant([collector(item) for item in items], string),
        "sent_at": constant([item.batch.header.sent_at for item in items], timestamp),
        "published_at": constant([item.published_at for item in items], timestamp),
        "message_id": constant([item.message_id for item in items], string),
        "content_digest": pa.array(rows.digest, pa.int64()),
    }


def _context(rows: _Records) -> Columns:
    return {
        "exec": rows.few("exec"),
        "title": rows.text(rows.of("title")),
        "url": rows.text(rows.of("url"), urls=True),
        "os": rows.few("os"),
    }


def _activities(rows: _Records) -> Columns:
    return {"started_at": rows.time, "ended_at": rows.times("end"), **_context(rows)}


def _keystrokes(rows: _Records) -> Columns:
    captures = rows.captures()
    counts = np.array([key_counts(text) for text in rows.of("text")], dtype=np.int32)
    counts = counts.reshape(len(rows.records), len(KEY_CLASSES))
    typed = [
        _typed(text, keys) if capture is Capture.TEXT else None
        for text, keys, capture in zip(rows.of("text"), rows.keys, captures, strict=True)
    ]
    return {
        "minute": rows.time,
        **_context(rows),
        "capture": pa.array([capture.value for capture in captures], pa.string()),
        "text": pa.array(typed, pa.string()),
        "key_count": pa.array(counts.sum(axis=1, dtype=np.int32)),
        **{name: pa.array(np.ascontiguousarray(counts[:, place])) for place, name in enumerate(KEY_CLASSES)},
    }


def _typed(text: str, keys: TenantKeys) -> str:
    return pii.tokenise_typed(
        text, keys, [(start, end, meaning.typed) for start, end, meaning in control_tokens(text)]
    )


def _clipboard(rows: _Records) -> Columns:
    captures, texts = rows.captures(), rows.of("text")
    kept = [text if capture is Capture.TEXT else None for text, capture in zip(texts, captures, strict=True)]
    return {
        "occurred_at": rows.time,
        "action": pa.array(rows.of("action"), pa.string()),
        "exec": rows.few("exec"),
        "content_type": rows.few("content_type"),
        "capture": pa.array([capture.value for capture in captures], pa.string()),
        "text": rows.text(kept),
        "text_length": pa.array([None if text is None else len(text) for text in texts], pa.int32()),
    }


def _chat(rows: _Records) -> Columns:
    texts, roles = rows.of("text"), rows.of("role")
    own = [text if role == OWN_WORDS else None for text, role in zip(texts, roles, strict=True)]
    return {
        "occurred_at": rows.time,
        "conversation_id": rows.text(rows.of("conversation_id")),
        "assistant": rows.few("assistant"),
        "role": rows.few("role"),
        "text": rows.text(own),
        "text_length": pa.array([len(text) for text in texts], pa.int32()),
    }


def _manifests(rows: _Records) -> Columns:
    def all_of(texts: Sequence[str], keys: TenantKeys) -> list[str]:
        return [pii.tokenise_text(text, keys) for text in texts]

    table = BRONZE_BY_SOURCE[Source.MANIFESTS].arrow_schema
    kpis = [
        [
            {
                "name": pii.tokenise_text(kpi.name, keys),
                "target": kpi.target,
                "actual": kpi.actual,
                "unit": None if kpi.unit is None else pii.tokenise_text(kpi.unit, keys),
            }
            for kpi in record.kpis
        ]
        for record, keys in zip(rows.records, rows.keys, strict=True)
    ]
    return {
        "kind": pa.array(rows.of("kind"), pa.string()),
        "occurred_at": rows.time,
        "goals": pa.array(list(map(all_of, rows.of("goals"), rows.keys)), table.field("goals").type),
        "focus_areas": pa.array(
            list(map(all_of, rows.of("focus_areas"), rows.keys)), table.field("focus_areas").type
        ),
        "kpis": pa.array(kpis, table.field("kpis").type),
        "reflection": rows.text(rows.of("reflection")),
    }


def _jobs(rows: _Records) -> Columns:
    plain = [name for name in JobsRow.__struct_fields__ if name not in _JOBS_SPECIAL]
    return {
        "valid_from": rows.time,
        "snapshot_digest": pa.array(rows.spread(rows.snapshots), pa.string()),
        "row_number": pa.array(rows.row_numbers, pa.int32()),
        "name": rows.direct(Kind.NAME, "name"),
        "email": rows.direct(Kind.EMAIL, "email"),
        "manager_id": rows.identifiers("manager_id"),
        **{name: rows.few(name) for name in plain},
    }


_JOBS_SPECIAL = frozenset({"user_id", "valid_from", "name", "email", "manager_id"})


def _device_posture(rows: _Records) -> Columns:
    of_batch = rows.constant(
        [stored_device(item.context, item.batch.header.device_id) for item in rows.items], pa.string()
    )
    numbers = ("cpu_pct", "mem_pct", "battery_pct", "idle_s")
    return {
        "occurred_at": rows.time,
        "device_id": pc.coalesce(rows.direct(Kind.DEVICE, "device_id"), of_batch),
        **{name: rows.few(name) for name in ("os", "os_version", "agent_version")},
        **{name: pa.array(rows.of(name), pa.float64()) for name in numbers},
        **{name: pa.array(rows.of(name), pa.bool_()) for name in ("on_ac", "locked")},
    }


_COLUMNS: Mapping[Source, Callable[[_Records], Columns]] = {
    Source.ACTIVITIES: _activities,
    Source.KEYSTROKES: _keystrokes,
    Source.CLIPBOARD: _clipboard,
    Source.CHAT: _chat,
    Source.MANIFESTS: _manifests,
    Source.JOBS: _jobs,
    Source.DEVICE_POSTURE: _device_posture,
}
_KEPT_WHEN_OFF = frozenset(
    {
        "tenant_id",
        "event_id",
        "event_date",
        "published_at",
        "message_id",
        "content_digest",
        "capture",
        "extra",
    }
)


def _blank_off(rows: _Records, columns: Columns) -> None:
    """Under capture `off` a row keeps its identity, its date and how it came; nothing of what was done."""
    is_off = np.array([capture is Capture.OFF for capture in rows.captures()], dtype=bool)
    if not is_off.any():
        return
    kept = pa.array(~is_off)
    for name, column in columns.items():
        if name not in _KEPT_WHEN_OFF:
            columns[name] = pc.if_else(kept, column, pa.scalar(None, column.type))


# --------------------------------------------------------------------------------------------- drift
def _extra(rows: _Records) -> pa.Array:
    """Unknown fields as a JSON object; names and types only where the capture policy keeps values out."""
    if not rows.drift:
        return pa.nulls(len(rows.records), pa.string())
    captures = rows.captures() if rows.source in _CAPTURED else None
    extra: list[str | None] = [None] * len(rows.records)
    for index, drift in rows.drift.items():
        keys = rows.keys[index]
        is_kept = captures is None or captures[index] is Capture.TEXT
        kept = {
            pii.cached_tokenise(name, keys): _scrub(value, keys) if is_kept else _type_name(value)
            for name, value in drift.items()
        }
        extra[index] = msgspec.json.encode(kept, order="sorted").decode()
    return pa.array(extra, pa.string())


def _scrub(value: object, keys: TenantKeys) -> object:
    """A JSON value with the PII in its strings, names and numbers tokenised."""
    if isinstance(value, str):
        return pii.tokenise_text(value, keys)
    if isinstance(value, dict):
        return {pii.tokenise_text(str(name), keys): _scrub(inner, keys) for name, inner in value.items()}
    if isinstance(value, list):
        return [_scrub(inner, keys) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
        tokenised = pii.tokenise_text(text, keys)
        return value if tokenised == text else tokenised
    return value


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
