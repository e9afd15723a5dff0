"""From bytes to typed records, one rejection never touching its neighbours.

The whole batch is decoded in one call of msgspec. Only when that fails is every record looked at alone: a bad
one is rejected with its reason and its original bytes, and fields the contract does not know are set aside as
drift. Nothing here knows keys or policies, so nothing of a record may be logged or raised from here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Generic, TypeVar

import msgspec

from coworkai.common.events import MAX_RECORDS_PER_BATCH, RECORD_TYPES, BatchHeader, JobsRow, Source
from coworkai.common.outcome import Reason
from coworkai.ingest.split import split_batch

OWN_TIME: dict[Source, str] = {
    Source.ACTIVITIES: "start",
    Source.KEYSTROKES: "minute",
    Source.CLIPBOARD: "at",
    Source.CHAT: "at",
    Source.MANIFESTS: "at",
    Source.DEVICE_POSTURE: "at",
    Source.JOBS: "valid_from",
}
"""The field that decides a record's `event_date`."""

Drift = dict[str, object]
"""Fields the contract does not know, as decoded JSON."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One delivery attempt of one message, however it came.

    `source` is None when the topic is none of ours. `sender` is the tenant that the sender is authenticated
    as; None for Pub/Sub, which vouches for all. `snapshot` and `row_number` come with a replayed jobs row.
    """

    topic: str
    source: Source | None
    data: bytes
    attributes: Mapping[str, str]
    message_id: str
    published_at: datetime
    is_first_attempt: bool = True
    sender: str | None = None
    snapshot: str | None = None
    row_number: int | None = None


class Rejected(Exception):
    """The whole message cannot be taken; `tenant_id` as far as it could be read."""

    def __init__(self, reason: Reason, tenant_id: str | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.tenant_id = tenant_id


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that cannot be taken. `raw` are its bytes as sent; `day` its UTC date where it has one."""

    index: int
    reason: Reason
    raw: bytes
    user_id: str | None = None
    day: date | None = None


class Batch(msgspec.Struct, frozen=True):
    """Readable records of one message, in order, and the rejects between them.

    `index[i]` is the place of `records[i]` in the message; `drift[i]` its unknown fields, where it has any.
    """

    source: Source
    header: BatchHeader
    records: list[msgspec.Struct]
    index: Sequence[int]
    rejects: list[Reject] = []
    drift: dict[int, Drift] = {}
    raws: list[bytes] | None = None
    data: bytes = b""

    @property
    def received(self) -> int:
        return len(self.records) + len(self.rejects)

    def raw(self, place: int) -> bytes:
        """The record at `place` of the message, as sent."""
        if self.raws is not None:
            return self.raws[place]
        return bytes(_LENIENT_BATCH.decode(self.data).records[place])


def decode_batch(delivery: Delivery) -> Batch:
    """The batch of a delivery. Raises Rejected when the message as a whole cannot be read."""
    if delivery.source is None:
        raise Rejected(Reason.UNKNOWN_SOURCE)
    if delivery.source is Source.JOBS:
        return _decode_jobs(delivery)
    try:
        batch = _STRICT_BATCH[delivery.source].decode(delivery.data)
    except _UNDECODABLE:
        return _decode_one_by_one(delivery.source, delivery.data)
    if not _have_uuids(batch.records):
        return _decode_one_by_one(delivery.source, delivery.data)
    return Batch(delivery.source, batch, batch.records, range(len(batch.records)), data=delivery.data)


def tenant_of(delivery: Delivery) -> str | None:
    """The tenant that a message names, as far as it can be read."""
    if delivery.source is Source.JOBS:
        return delivery.attributes.get("tenant_id")
    return _tenant_in(delivery.data)


# --------------------------------------------------------------------------------------------- JSON
R = TypeVar("R")


class _StrictBatch(BatchHeader, Generic[R], forbid_unknown_fields=True):
    records: Annotated[list[R], msgspec.Meta(max_length=MAX_RECORDS_PER_BATCH)]


class _LenientBatch(BatchHeader):
    records: list[msgspec.Raw]


class _TenantOnly(msgspec.Struct):
    tenant_id: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


_UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_JSON_SOURCES: tuple[Source, ...] = tuple(source for source in Source if source is not Source.JOBS)


def _batch_decoder(record: type[msgspec.Struct]) -> msgspec.json.Decoder[_StrictBatch[msgspec.Struct]]:
    return msgspec.json.Decoder(_StrictBatch[record])  # type: ignore[valid-type]


_STRICT_BATCH = {source: _batch_decoder(RECORD_TYPES[source]) for source in _JSON_SOURCES}
_STRICT_RECORD = {source: msgspec.json.Decoder(RECORD_TYPES[source]) for source in _JSON_SOURCES}
_LENIENT_BATCH = msgspec.json.Decoder(_LenientBatch)
_TENANT_ONLY = msgspec.json.Decoder(_TenantOnly)
_OBJECT = msgspec.json.Decoder(dict[str, object])
_ANY = msgspec.json.Decoder()
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HEADER_FIELDS = frozenset(BatchHeader.__struct_fields__) | {"records"}
_UUID_SHAPE = b"00000000-0000-0000-0000-000000000000"
_ANY_DIGIT = bytes.maketrans(b"0123456789abcdefABCDEF", b"0" * 22)


def _is_uuid(text: str, count: int = 1) -> bool:
    """Whether the text is `count` UUIDs, one after the other."""
    return text.encode("ascii", "replace").translate(_ANY_DIGIT) == _UUID_SHAPE * count


def _have_uuids(records: Sequence[msgspec.Struct]) -> bool:
    return _is_uuid("".join([record.event_id for record in records]), len(records))  # type: ignore[attr-defined]


def _decode_one_by_one(source: Source, data: bytes) -> Batch:
    batch, raws = _header_and_records(data)
    if len(raws) > MAX_RECORDS_PER_BATCH:
        raise Rejected(Reason.TOO_MANY_RECORDS, batch.tenant_id)
    header_drift = _header_drift(data)
    records: list[msgspec.Struct] = []
    index: list[int] = []
    rejects: list[Reject] = []
    drift: dict[int, Drift] = {}
    for place, raw in enumerate(raws):
        try:
            record, unknown = _decode_record(source, raw)
        except _BadRecord as bad:
            rejects.append(Reject(place, bad.reason, raw, bad.user_id, bad.day))
            continue
        if unknown or header_drift:
            drift[len(records)] = header_drift | unknown
        records.append(record)
        index.append(place)
    return Batch(source, batch, records, index, rejects, drift, raws, data)


def _header_and_records(data: bytes) -> tuple[BatchHeader, list[bytes]]:
    try:
        batch = _LENIENT_BATCH.decode(data)
        return batch, [bytes(raw) for raw in batch.records]
    except msgspec.ValidationError:
        raise Rejected(Reason.BAD_BATCH, _tenant_in(data)) from None
    except _UNDECODABLE:
        split = split_batch(data)
    if split is None:
        raise Rejected(Reason.UNREADABLE)
    try:
        return _LENIENT_BATCH.decode(split.header), split.records
    except msgspec.ValidationError:
        raise Rejected(Reason.BAD_BATCH, _tenant_in(data)) from None
    except _UNDECODABLE:
        raise Rejected(Reason.UNREADABLE) from None


def _tenant_in(data: bytes) -> str | None:
    try:
        return _TENANT_ONLY.decode(data).tenant_id
    except msgspec.ValidationError:
        return None
    except _UNDECODABLE:
        split = split_batch(data)
    try:
        return None if split is None else _TENANT_ONLY.decode(split.header).tenant_id
    except _UNDECODABLE:
        return None


def _header_drift(data: bytes) -> Drift:
    try:
        fields = _FIELDS.decode(data)
    except _UNDECODABLE:
        split = split_batch(data)
        fields = {} if split is None else _FIELDS.decode(split.header)
    unknown = {name: raw for name, raw in fields.items() if name not in _HEADER_FIELDS}
    drift: Drift = {}
    for name, raw in unknown.items():
        try:
            drift[f"batch.{name}"] = _ANY.decode(raw)
        except _UNDECODABLE:
            drift[f"batch.{name}"] = None
    return drift


class _BadRecord(Exception):
    def __init__(self, reason: Reason, user_id: str | None = None, day: date | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.user_id = user_id
        self.day = day


def _decode_record(source: Source, raw: bytes) -> tuple[msgspec.Struct, Drift]:
    try:
        record: msgspec.Struct = _STRICT_RECORD[source].decode(raw)
    except _UNDECODABLE:
        return _decode_drifted(source, raw)
    return (record, {}) if _have_uuids([record]) else _decode_drifted(source, raw)


def _decode_drifted(source: Source, raw: bytes) -> tuple[msgspec.Struct, Drift]:
    try:
        fields = _OBJECT.decode(raw)
    except msgspec.ValidationError:
        raise _BadRecord(Reason.CONTRACT_VIOLATION) from None
    except _UNDECODABLE:
        raise _BadRecord(Reason.UNREADABLE) from None
    return _convert(source, fields)


def _convert(source: Source, fields: Mapping[str, object]) -> tuple[msgspec.Struct, Drift]:
    """The record and its drift. Raises _BadRecord with the first reason that applies."""
    own_time = fields.get(OWN_TIME[source])
    user_id = fields.get("user_id")
    user_id = user_id if isinstance(user_id, str) and 0 < len(user_id) <= 512 else None
    day = _day(own_time)
    if source is not Source.JOBS:
        event_id = fields.get("event_id")
        if event_id is None:
            raise _BadRecord(Reason.MISSING_EVENT_ID, user_id, day)
        if not isinstance(event_id, str) or not _is_uuid(event_id):
            raise _BadRecord(Reason.BAD_EVENT_ID, user_id, day)
    if own_time is None:
        raise _BadRecord(Reason.START_MISSING, user_id)
    known, drift = _part(source, fields)
    try:
        return msgspec.convert(known, RECORD_TYPES[source]), drift
    except (msgspec.ValidationError, RecursionError):
        raise _BadRecord(Reason.CONTRACT_VIOLATION, user_id, day) from None


def _part(source: Source, fields: Mapping[str, object]) -> tuple[dict[str, object], Drift]:
    """The fields that the contract knows, and the rest; those of a manifest's KPIs too."""
    contract = RECORD_TYPES[source].__struct_fields__
    known = {name: value for name, value in fields.items() if name in contract}
    drift: Drift = {name: value for name, value in fields.items() if name not in contract}
    kpis = known.get("kpis")
    if source is Source.MANIFESTS and isinstance(kpis, list):
        known["kpis"] = [
            {name: value for name, value in kpi.items() if name in _KPI_FIELDS}
            if isinstance(kpi, dict)
            else kpi
            for kpi in kpis
        ]
        for place, kpi in enumerate(kpis):
            if isinstance(kpi, dict):
                drift |= {
                    f"kpis[{place}].{name}": value for name, value in kpi.items() if name not in _KPI_FIELDS
                }
    return known, drift


_KPI_FIELDS = frozenset({"name", "target", "actual", "unit"})


def _day(own_time: object) -> date | None:
    if not isinstance(own_time, str):
        return None
    try:
        if len(own_time) == 10:
            return date.fromisoformat(own_time)
        moment = msgspec.convert(own_time, datetime)
        return moment.astimezone(UTC).date() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


# --------------------------------------------------------------------------------------------- CSV
class _JobsAttributes(BatchHeader):
    pass


def _decode_jobs(delivery: Delivery) -> Batch:
    """Rows of an organisation snapshot; its batch fields are message attributes.

    Quoted newlines and a byte order mark are understood. A row that is no UTF-8 or no CSV is rejected alone.
    """
    tenant_id = delivery.attributes.get("tenant_id")
    try:
        header = msgspec.convert(dict(delivery.attributes), _JobsAttributes)
    except msgspec.ValidationError:
        raise Rejected(Reason.BAD_BATCH, tenant_id) from None
    # Bytes that are no UTF-8 survive as surrogates, so that only their row is rejected.
    text = delivery.data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    rows = _rows(text)
    _, columns, _ = next(rows, (0, None, ""))
    names = [name.strip() for name in columns or []]
    if not names or len(set(names)) < len(names) or not _is_clean(text[:1]):
        raise Rejected(Reason.UNREADABLE, header.tenant_id)
    if not {"user_id", "valid_from"} <= set(names):
        raise Rejected(Reason.BAD_BATCH, header.tenant_id)
    heading = _csv_line(names)
    records: list[msgspec.Struct] = []
    index: list[int] = []
    rejects: list[Reject] = []
    drift: dict[int, Drift] = {}
    raws: list[bytes] = []
    for place, cells, raw in rows:
        if place > MAX_RECORDS_PER_BATCH:
            raise Rejected(Reason.TOO_MANY_RECORDS, header.tenant_id)
        raws.append((heading + raw).encode("utf-8", "surrogateescape"))
        try:
            record, unknown = _decode_row(names, cells, raw)
        except _BadRecord as bad:
            rejects.append(Reject(place - 1, bad.reason, raws[-1], bad.user_id, bad.day))
            continue
        if unknown:
            drift[len(records)] = unknown
        records.append(record)
        index.append(place - 1)
    return Batch(Source.JOBS, header, records, index, rejects, drift, raws, delivery.data)


def _decode_row(names: list[str], cells: list[str] | None, raw: str) -> tuple[JobsRow, Drift]:
    if cells is None or not _is_clean(raw):
        raise _BadRecord(Reason.UNREADABLE)
    if len(cells) != len(names):
        raise _BadRecord(Reason.CONTRACT_VIOLATION)
    fields = {name: cell for name, cell in zip(names, cells, strict=True) if cell != ""}
    record, drift = _convert(Source.JOBS, fields)
    assert isinstance(record, JobsRow)
    return record, drift


def _is_clean(text: str) -> bool:
    return not any("\udc80" <= char <= "\udcff" for char in text)


def _rows(text: str) -> Iterator[tuple[int, list[str] | None, str]]:
    """Row number (0 is the heading), cells and original text of each row; no cells where it is no CSV.

    A row that cannot be parsed ends with its line, so an open quote does not swallow the rest of the file.
    """
    lines = list(io.StringIO(text, newline=""))
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    number = at = 0
    while at < len(lines):
        reader = csv.reader(iter(lines[at:]), strict=True)
        start = at
        try:
            for cells in reader:
                raw = "".join(lines[start : at + reader.line_num])
                start = at + reader.line_num
                if cells:
                    yield number, cells, raw
                    number += 1
        except csv.Error:
            yield number, None, lines[start]
            number += 1
            at = start + 1
        else:
            return


def _csv_line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()
