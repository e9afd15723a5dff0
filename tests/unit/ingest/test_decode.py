"""Batches: bytes to records, each bad one rejected alone, with its reason and its original bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest
from tests import factories
from tests.doubles.ingest import PUBLISHED_AT

from coworkai.common.events import MAX_RECORDS_PER_BATCH, Activity, JobsRow, Source
from coworkai.common.outcome import Reason
from coworkai.ingest.decode import Batch, Delivery, Rejected, decode_batch

GOOD = {
    "event_id": "00000000-0000-0000-0000-000000000001",
    "user_id": "alice",
    "start": "2024-01-01T09:00:00Z",
    "end": "2024-01-01T09:01:00+00:00",
    "exec": "code",
}


def decoded(data: bytes, source: Source | None = Source.ACTIVITIES, **attributes: str) -> Batch:
    topic = "unknown" if source is None else source.topic
    return decode_batch(Delivery(topic, source, data, attributes, "m", PUBLISHED_AT))


def raw_batch(*records: bytes) -> bytes:
    head = (
        b'{"tenant_id":"acme","device_id":"d","collector":"c/1","sent_at":"2024-01-01T10:00:00Z","records":['
    )
    return head + b",".join(records) + b"]}"


def of(record: Mapping[str, object]) -> bytes:
    return json.dumps(record).encode()


def reasons(batch: Batch) -> dict[int, Reason]:
    return {reject.index: reject.reason for reject in batch.rejects}


def test_a_good_batch_is_read_whole() -> None:
    batch = decoded(
        factories.batch([factories.activity("09:00", "09:30"), factories.activity("09:30", "10:00")])
    )
    assert len(batch.records) == batch.received == 2
    assert isinstance(batch.records[0], Activity)
    assert not batch.rejects
    assert not batch.drift


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (of({**GOOD, "event_id": None}), Reason.MISSING_EVENT_ID),
        (of({k: v for k, v in GOOD.items() if k != "event_id"}), Reason.MISSING_EVENT_ID),
        (of({**GOOD, "event_id": "no-uuid"}), Reason.BAD_EVENT_ID),
        (of({**GOOD, "event_id": 7}), Reason.BAD_EVENT_ID),
        (of({**GOOD, "start": None}), Reason.START_MISSING),
        (of({k: v for k, v in GOOD.items() if k != "start"}), Reason.START_MISSING),
        (of({**GOOD, "start": "yesterday"}), Reason.CONTRACT_VIOLATION),
        (of({**GOOD, "start": -5}), Reason.CONTRACT_VIOLATION),
        (of({**GOOD, "start": "2024-01-01T09:00:00"}), Reason.CONTRACT_VIOLATION),
        (of({**GOOD, "end": "2024-13-01T09:00:00Z"}), Reason.CONTRACT_VIOLATION),
        (of({**GOOD, "exec": 5}), Reason.CONTRACT_VIOLATION),
        (of({**GOOD, "user_id": ""}), Reason.CONTRACT_VIOLATION),
        (of({**GOOD, "title": "x" * 1_048_577}), Reason.CONTRACT_VIOLATION),
        (b"5", Reason.CONTRACT_VIOLATION),
        (b"null", Reason.CONTRACT_VIOLATION),
        (b"[]", Reason.CONTRACT_VIOLATION),
        (of(GOOD).replace(b'"code"', b'"\xff\xfe"'), Reason.UNREADABLE),
        (of(GOOD).replace(b'"code"', b'"\\ud800"'), Reason.UNREADABLE),
        (of(GOOD).replace(b'"code"', b'"\x01"'), Reason.UNREADABLE),
        (of(GOOD).replace(b'"code"', b"tru"), Reason.UNREADABLE),
        (of(GOOD).replace(b'"code"', b'"],}{\\" \\x"'), Reason.UNREADABLE),
        (b"", Reason.UNREADABLE),
    ],
)
def test_one_bad_record_is_rejected_alone_with_its_bytes(bad: bytes, reason: Reason) -> None:
    other = {**GOOD, "event_id": "00000000-0000-0000-0000-000000000002"}
    batch = decoded(raw_batch(of(GOOD), bad, of(other)))
    assert reasons(batch) == {1: reason}
    assert batch.rejects[0].raw == bad
    assert batch.index == [0, 2]
    assert batch.received == 3


@pytest.mark.parametrize(
    ("data", "reason", "tenant"),
    [
        (b"", Reason.UNREADABLE, None),
        (b"{broken", Reason.UNREADABLE, None),
        (b"\xff\xfe", Reason.UNREADABLE, None),
        (b"[" * 100_000, Reason.BAD_BATCH, None),
        (raw_batch(b"[" * 100_000 + b"]" * 100_000), Reason.UNREADABLE, None),
        (raw_batch(b'{"a":1'), Reason.UNREADABLE, None),
        (raw_batch(b'{"a":"'), Reason.UNREADABLE, None),
        (raw_batch(b"tru").replace(b"acme", b"ac\x01me"), Reason.UNREADABLE, None),
        (raw_batch(b"tru").replace(b'"c/1"', b"5"), Reason.BAD_BATCH, "acme"),
        (b"[]", Reason.BAD_BATCH, None),
        (b'{"tenant_id":"acme"}', Reason.BAD_BATCH, "acme"),
        (raw_batch().replace(b'"c/1"', b"5"), Reason.BAD_BATCH, "acme"),
        (raw_batch().replace(b'"acme"', b'"NO/SUCH"'), Reason.BAD_BATCH, None),
        (raw_batch().replace(b'"2024-01-01T10:00:00Z"', b'"noon"'), Reason.BAD_BATCH, "acme"),
        (raw_batch(*[b"{}"] * (MAX_RECORDS_PER_BATCH + 1)), Reason.TOO_MANY_RECORDS, "acme"),
    ],
)
def test_a_message_that_cannot_be_read_is_rejected_whole(
    data: bytes, reason: Reason, tenant: str | None
) -> None:
    with pytest.raises(Rejected) as rejected:
        decoded(data)
    assert (rejected.value.reason, rejected.value.tenant_id) == (reason, tenant)


def test_an_unknown_source_is_rejected_whole() -> None:
    with pytest.raises(Rejected) as rejected:
        decoded(raw_batch(of(GOOD)), None)
    assert rejected.value.reason is Reason.UNKNOWN_SOURCE


def test_unknown_fields_are_drift_of_their_record_and_no_reason_to_reject() -> None:
    batch = decoded(raw_batch(of(GOOD), of({**GOOD, "mood": 3, "tags": ["a"]})))
    assert not batch.rejects
    assert batch.drift == {1: {"mood": 3, "tags": ["a"]}}


def test_unknown_fields_of_the_batch_are_drift_of_all_its_records() -> None:
    batch = decoded(raw_batch(of(GOOD), of(GOOD))[:-1] + b',"build":"7"}')
    assert batch.drift == {0: {"batch.build": "7"}, 1: {"batch.build": "7"}}


def test_unknown_fields_of_a_manifest_kpi_are_drift() -> None:
    manifest = {
        **{name: GOOD[name] for name in ("event_id", "user_id")},
        "kind": "SOD",
        "at": "2024-01-01T09:00:00Z",
        "kpis": [{"name": "calls", "target": 3, "owner": "bob"}],
    }
    batch = decoded(raw_batch(of(manifest)), Source.MANIFESTS)
    assert not batch.rejects
    assert batch.drift == {0: {"kpis[0].owner": "bob"}}


# --------------------------------------------------------------------------------------------- jobs
ATTRIBUTES = {"tenant_id": "acme", "device_id": "hr", "collector": "hr/1", "sent_at": "2024-01-01T10:00:00Z"}
HEADING = "user_id,name,time_zone,valid_from"


def jobs(text: str | bytes, **changes: str) -> Batch:
    data = text.encode() if isinstance(text, str) else text
    return decoded(data, Source.JOBS, **{**ATTRIBUTES, **changes})


def test_a_csv_with_byte_order_mark_crlf_and_quoted_newlines_is_read() -> None:
    batch = jobs(
        f'\ufeff{HEADING}\r\nalice,"Alice\r\n""Al"" Doe",Europe/Berlin,2024-01-01\r\n\r\nbob,,,2024-01-01'
    )
    alice, bob = batch.records
    assert isinstance(alice, JobsRow)
    assert isinstance(bob, JobsRow)
    assert (alice.name, alice.time_zone) == ('Alice\r\n"Al" Doe', "Europe/Berlin")
    assert (bob.name, bob.time_zone) == (None, None)


def test_bad_rows_are_rejected_one_by_one() -> None:
    rows = [
        b"alice,Alice,,2024-01-01",
        b",nobody,,2024-01-01",
        b"bob,\xff\xfe,,2024-01-01",
        b"carol,Carol,2024-01-01",
        b'dave,"never closed,,2024-01-01',
        b"erin,Erin,,",
        b"frank,Frank,,01/02/2024",
        b"grace,Grace,,2024-01-01",
    ]
    batch = jobs(HEADING.encode() + b"\n" + b"\n".join(rows) + b"\n")
    assert reasons(batch) == {
        1: Reason.CONTRACT_VIOLATION,
        2: Reason.UNREADABLE,
        3: Reason.CONTRACT_VIOLATION,
        4: Reason.UNREADABLE,
        5: Reason.START_MISSING,
        6: Reason.CONTRACT_VIOLATION,
    }
    assert batch.index == [0, 7]
    assert batch.rejects[1].raw == HEADING.encode() + b"\nbob,\xff\xfe,,2024-01-01\n"


def test_unknown_columns_are_drift() -> None:
    batch = jobs(HEADING + ",badge\nalice,,,2024-01-01,77\n")
    assert batch.drift == {0: {"badge": "77"}}


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("", {}, Reason.UNREADABLE),
        ("user_id,user_id,valid_from\n", {}, Reason.UNREADABLE),
        ("name,role\nx,y\n", {}, Reason.BAD_BATCH),
        (HEADING, {"sent_at": "noon"}, Reason.BAD_BATCH),
        (HEADING + "\nalice,,,2024-01-01" * (MAX_RECORDS_PER_BATCH + 1), {}, Reason.TOO_MANY_RECORDS),
    ],
)
def test_a_file_that_cannot_be_read_is_rejected_whole(
    text: str, changes: dict[str, str], reason: Reason
) -> None:
    with pytest.raises(Rejected) as rejected:
        jobs(text, **changes)
    assert rejected.value.reason is reason


@pytest.mark.parametrize(
    "event_id",
    [
        "g0000000-0000-4000-8000-000000000000",
        "00000000000000000000000000000000----",
        "0000000-00000-4000-8000-000000000000",
        "００000000-0000-4000-8000-00000000000",
        "00000000-0000-4000-8000-00000000000\n",
        "00000000-0000-4000-8000-000000000000\n",
    ],
)
def test_what_only_resembles_a_uuid_is_a_bad_event_id(event_id: str) -> None:
    good = factories.activity("09:00", "09:30")
    bad = {**msgspec.to_builtins(good), "event_id": event_id}
    data = factories.batch([bad, good])
    batch = decode_batch(Delivery("telemetry-activities", Source.ACTIVITIES, data, {}, "m", PUBLISHED_AT))
    assert [reject.reason for reject in batch.rejects] == [Reason.BAD_EVENT_ID]
    assert list(batch.index) == [1]
