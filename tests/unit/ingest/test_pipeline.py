"""Deliveries end to end, without HTTP: outcomes, what is stored, receipts, replay, breaker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest
from tests import factories
from tests.doubles.ingest import PUBLISHED_AT, Lab, with_ingest

from coworkai.common import pii
from coworkai.common.control import Capture, Identity
from coworkai.common.errors import Forbidden, Overloaded, StorageUnavailable, Terminal
from coworkai.common.events import JsonRecord, Source
from coworkai.common.outcome import Outcome, Reason
from coworkai.common.tables import BRONZE_BY_SOURCE, KEY_CLASSES
from coworkai.ingest.decode import Delivery
from coworkai.ingest.pipeline import Delivered
from coworkai.ingest.quarantine import open_original
from coworkai.ingest.replay import Selection, quarantined

JOBS_ATTRIBUTES = {
    "tenant_id": "acme",
    "device_id": "hr",
    "collector": "hr/1",
    "sent_at": "2024-01-01T10:00:00Z",
}


def spoilt(record: JsonRecord, **changes: object) -> Mapping[str, object]:
    """The record's JSON with fields changed or added."""
    fields = msgspec.to_builtins(record)
    assert isinstance(fields, dict)
    return fields | changes


def counts(delivered: Delivered) -> tuple[int, int, int, int]:
    assert delivered.received == delivered.accepted + delivered.duplicate + delivered.quarantined
    return delivered.received, delivered.accepted, delivered.duplicate, delivered.quarantined


def outcomes(delivered: Delivered) -> list[str]:
    return [record.reason or record.outcome for record in delivered.records()]


def test_one_batch_with_every_outcome(tmp_path: Path) -> None:
    good = factories.activity("09:00", "09:30")
    records: Sequence[JsonRecord | Mapping[str, object]] = [
        good,
        good,
        spoilt(good, title="other content"),
        factories.activity("09:30", "09:00"),
        spoilt(good, event_id=None),
        spoilt(factories.activity("10:00", "10:30"), mood="fine"),
        factories.activity("11:00", "11:30"),
    ]

    async def scenario(lab: Lab) -> None:
        delivered = await lab.deliver(Source.ACTIVITIES, factories.batch(records), message_id="m1")
        assert outcomes(delivered) == [
            Outcome.ACCEPTED,
            Outcome.DUPLICATE,
            Reason.ID_CONFLICT,
            Reason.START_AFTER_END,
            Reason.MISSING_EVENT_ID,
            Outcome.ACCEPTED,
            Outcome.ACCEPTED,
        ]
        assert counts(delivered) == (7, 3, 1, 3)
        assert lab.rows(Source.ACTIVITIES).height == 3
        receipts = lab.receipts()
        assert receipts["records"].sum() == 4
        assert set(receipts["message_id"]) == {"m1"}
        assert sorted(receipts["outcome"]) == ["duplicate"] + ["quarantined"] * 3
        assert lab.quarantine()["reason"].sort().to_list() == [
            "id_conflict",
            "missing_event_id",
            "start_after_end",
        ]

    with_ingest(tmp_path, scenario)


def test_a_redelivery_is_duplicates_and_stores_no_original_twice(tmp_path: Path) -> None:
    data = factories.batch([factories.activity("09:00", "09:30"), factories.activity("10:00", "09:00")])

    async def scenario(lab: Lab) -> None:
        assert counts(await lab.deliver(Source.ACTIVITIES, data)) == (2, 1, 0, 1)
        assert counts(await lab.deliver(Source.ACTIVITIES, data, is_first_attempt=False)) == (2, 0, 1, 1)
        assert lab.rows(Source.ACTIVITIES).height == 1
        assert lab.quarantine().height == 1
        assert lab.receipts()["delivery_id"].n_unique() == 2

    with_ingest(tmp_path, scenario)


def test_what_was_published_long_ago_is_kept_as_long_as_anything_else(tmp_path: Path) -> None:
    data = factories.batch([factories.activity("10:00", "09:00")])

    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.ACTIVITIES, data, published_at=PUBLISHED_AT - timedelta(days=20))
        (row,) = lab.quarantine().to_dicts()
        assert row["published_at"] == PUBLISHED_AT - timedelta(days=20)
        assert row["expires_at"] == PUBLISHED_AT + timedelta(days=14)

    with_ingest(tmp_path, scenario)


def test_a_restart_remembers(tmp_path: Path) -> None:
    data = factories.batch([factories.activity("09:00", "09:30")])

    async def first(lab: Lab) -> None:
        assert counts(await lab.deliver(Source.ACTIVITIES, data)) == (1, 1, 0, 0)

    async def second(lab: Lab) -> None:
        assert counts(await lab.deliver(Source.ACTIVITIES, data)) == (1, 0, 1, 0)

    with_ingest(tmp_path, first)
    with_ingest(tmp_path, second)


def test_the_same_content_in_other_bytes_is_a_duplicate(tmp_path: Path) -> None:
    record = spoilt(factories.activity("09:00", "09:30"), zeta=1, alpha=[1, 2])
    other = dict(reversed(list(record.items()))) | {"title": None, "start": "2024-01-01T09:00:00+00:00"}

    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.ACTIVITIES, factories.batch([record]))
        padded = json.dumps(json.loads(factories.batch([other])), indent=2).encode()
        assert counts(await lab.deliver(Source.ACTIVITIES, padded)) == (1, 0, 1, 0)

    with_ingest(tmp_path, scenario)


def test_direct_identifiers_are_tokens_and_the_tenants_own(tmp_path: Path) -> None:
    record = factories.activity("09:00", "09:30", user_id="alice@corp.example")

    async def scenario(lab: Lab) -> None:
        lab.control.put_tenant("globex")
        await lab.deliver(Source.ACTIVITIES, factories.batch([record]))
        await lab.deliver(Source.ACTIVITIES, factories.batch([record], tenant_id="globex"))
        rows = lab.rows(Source.ACTIVITIES)
        assert rows["user_id"].str.contains(r"^user_[0-9a-f]{24}$").all()
        assert rows["device_id"].str.contains(r"^device_[0-9a-f]{24}$").all()
        assert rows["user_id"].n_unique() == rows["device_id"].n_unique() == 2

    with_ingest(tmp_path, scenario)


def test_plain_identity_keeps_user_ids_but_never_one_that_looks_like_a_token(tmp_path: Path) -> None:
    forged = "user_0123456789abcdef01234567"

    async def scenario(lab: Lab) -> None:
        lab.control.put_tenant("acme", identity=Identity.PLAIN)
        records = [
            factories.activity("09:00", "09:30", user_id="alice"),
            factories.activity("09:30", "10:00", user_id=forged),
            factories.activity("10:00", "09:00", user_id="alice"),
        ]
        await lab.deliver(Source.ACTIVITIES, factories.batch(records))
        users = lab.rows(Source.ACTIVITIES)["user_id"].to_list()
        assert "alice" in users
        assert forged not in users
        assert lab.receipts()["user_id"].to_list() == ["alice"]

    with_ingest(tmp_path, scenario)


def test_rows_carry_how_they_came(tmp_path: Path) -> None:
    record = factories.activity("09:00", "09:30", event_id="ABCDEF00-0000-0000-0000-000000000001")

    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.ACTIVITIES, factories.batch([record]), message_id="m7")
        (row,) = lab.rows(Source.ACTIVITIES).to_dicts()
        assert row["event_id"] == "abcdef00-0000-0000-0000-000000000001"
        assert row["event_date"] == date(2024, 1, 1)
        assert (row["message_id"], row["published_at"]) == ("m7", PUBLISHED_AT)
        assert (row["collector"], row["sent_at"]) == ("test/1", factories.at("23:00"))
        assert (row["started_at"], row["ended_at"]) == (factories.at("09:00"), factories.at("09:30"))

    with_ingest(tmp_path, scenario)


def test_bronze_committed_tells_tenants_and_dates(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> list[tuple[str, bytes]]:
        await lab.deliver(Source.ACTIVITIES, factories.batch([factories.activity("09:00", "09:30")]))
        await lab.ingest.hints.aclose()
        return lab.bus.messages

    ((topic, body),) = with_ingest(tmp_path, scenario)
    assert topic == "bronze-committed"
    assert json.loads(body) == {"tables": {"bronze/activities": 1}, "touched": {"acme": ["2024-01-01"]}}


# --------------------------------------------------------------------------------------------- capture
TYPED = "Dear john@example.com<Ctrl + c><Enter>"


async def captured(lab: Lab, policy: Capture) -> tuple[dict[str, object], dict[str, object]]:
    lab.control.put_tenant("acme", capture_keystrokes=policy, capture_clipboard=policy)
    keys = spoilt(factories.keystroke_minute("09:00", TYPED), note="typed note")
    clip = spoilt(factories.clipboard("09:00", text="copied john@example.com"), note="copied note")
    assert counts(await lab.deliver(Source.KEYSTROKES, factories.batch([keys]))) == (1, 1, 0, 0)
    assert counts(await lab.deliver(Source.CLIPBOARD, factories.batch([clip]))) == (1, 1, 0, 0)
    return lab.rows(Source.KEYSTROKES).row(0, named=True), lab.rows(Source.CLIPBOARD).row(0, named=True)


def test_counts_keep_lengths_and_classes_only(tmp_path: Path) -> None:
    keys, clip = with_ingest(tmp_path, lambda lab: captured(lab, Capture.COUNTS))
    assert (keys["capture"], keys["text"], keys["key_count"]) == ("counts", None, 23)
    assert {name: keys[name] for name in KEY_CLASSES if keys[name]} == {
        "keys_printable": 21,
        "keys_copy": 1,
        "keys_enter": 1,
    }
    assert (clip["action"], clip["text"], clip["text_length"]) == ("COPY", None, 23)
    assert keys["extra"] == clip["extra"] == '{"note":"string"}'


def test_text_keeps_the_text_tokenised_with_its_control_tokens(tmp_path: Path) -> None:
    keys, clip = with_ingest(tmp_path, lambda lab: captured(lab, Capture.TEXT))
    text = str(keys["text"])
    assert text.startswith("Dear <email:")
    assert text.endswith("<Ctrl + c><Enter>")
    assert keys["key_count"] == 23
    assert str(clip["text"]).startswith("copied <email:")
    assert keys["extra"] == '{"note":"typed note"}'


def test_off_keeps_identity_and_date_only(tmp_path: Path) -> None:
    keys, clip = with_ingest(tmp_path, lambda lab: captured(lab, Capture.OFF))
    for row in (keys, clip):
        kept = {name for name, value in row.items() if value is not None}
        assert kept == {
            "tenant_id",
            "event_id",
            "event_date",
            "published_at",
            "message_id",
            "content_digest",
            "capture",
            "extra",
        }
        assert row["extra"] == '{"note":"string"}'


def test_only_the_workers_own_words_are_kept_of_a_chat(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        messages = [
            factories.chat_message("09:00", "my question"),
            factories.chat_message("09:01", "its answer", role="assistant"),
        ]
        await lab.deliver(Source.CHAT, factories.batch(messages))
        rows = lab.rows(Source.CHAT).sort("occurred_at")
        assert rows["text"].to_list() == ["my question", None]
        assert rows["text_length"].to_list() == [11, 10]

    with_ingest(tmp_path, scenario)


def test_manifests_and_posture_are_stored(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        declared = factories.manifest(
            "SOD", "09:00", ["call bob@example.com"], kpis=[{"name": "calls", "target": 3}]
        )
        await lab.deliver(Source.MANIFESTS, factories.batch([declared]))
        (row,) = lab.rows(Source.MANIFESTS).to_dicts()
        assert row["goals"][0].startswith("call <email:")
        assert row["kpis"] == [{"name": "calls", "target": 3.0, "actual": None, "unit": None}]
        reading = factories.posture("09:00", 200.0, locked=True)
        own = factories.posture("09:01", device_id=None)
        await lab.deliver(Source.DEVICE_POSTURE, factories.batch([reading, own], device_id="other"))
        rows = lab.rows(Source.DEVICE_POSTURE).sort("occurred_at")
        assert rows["idle_s"].to_list() == [200.0, 0.0]
        assert rows["device_id"].n_unique() == 2

    with_ingest(tmp_path, scenario)


# --------------------------------------------------------------------------------------------- drift
def test_drift_is_kept_with_its_pii_tokenised(tmp_path: Path) -> None:
    record = spoilt(
        factories.activity("09:00", "09:30"),
        note="to bob@example.com",
        nested={"card": [4111111111111111], "bob@example.com": True},
        plain=3.5,
    )

    async def scenario(lab: Lab) -> str:
        await lab.deliver(Source.ACTIVITIES, factories.batch([record]))
        return str(lab.rows(Source.ACTIVITIES)["extra"][0])

    extra = with_ingest(tmp_path, scenario)
    assert "bob" not in extra
    assert "4111" not in extra
    kept = json.loads(extra)
    assert sorted(kept) == ["nested", "note", "plain"]
    assert kept["plain"] == 3.5
    assert kept["nested"]["card"][0].startswith("<card:")


# --------------------------------------------------------------------------------------------- jobs
def test_an_organisation_snapshot_is_stored_row_by_row(tmp_path: Path) -> None:
    text = (
        "\ufeffuser_id,name,email,role,manager_id,time_zone,valid_from\r\n"
        'alice,"Alice\nDoe",alice@corp.example,dev,bob,Europe/Berlin,2024-01-01\r\n'
        "bob,Bob,,lead,,,2024-01-01\r\n"
        "carol,Carol,,dev,bob,,not a date\r\n"
    )

    async def scenario(lab: Lab) -> None:
        for expected in ((3, 2, 0, 1), (3, 0, 2, 1)):
            delivered = await lab.deliver(Source.JOBS, text.encode(), attributes=JOBS_ATTRIBUTES)
            assert counts(delivered) == expected
        rows = lab.rows(Source.JOBS).sort("row_number")
        alice, bob = rows.to_dicts()
        assert (alice["row_number"], bob["row_number"]) == (1, 2)
        assert alice["manager_id"] == bob["user_id"]
        assert alice["name"].startswith("name_")
        assert alice["email"].startswith("email_")
        assert (bob["email"], bob["manager_id"]) == (None, None)
        assert rows["snapshot_digest"].n_unique() == 1
        assert (alice["valid_from"], alice["event_date"]) == (date(2024, 1, 1), date(2024, 1, 1))
        assert (alice["role"], alice["time_zone"]) == ("dev", "Europe/Berlin")

    with_ingest(tmp_path, scenario)


# --------------------------------------------------------------------------------------------- whole messages
@pytest.mark.parametrize(
    ("source", "data", "reason", "key_id"),
    [
        (None, factories.batch([]), Reason.UNKNOWN_SOURCE, "platform"),
        (Source.CHAT, b"{broken", Reason.UNREADABLE, "platform"),
        (Source.CHAT, factories.batch([], tenant_id="nobody"), Reason.UNKNOWN_TENANT, "platform"),
        (Source.CHAT, b'{"tenant_id":"acme"}', Reason.BAD_BATCH, "tenant:acme"),
        (Source.CHAT, factories.batch([]) + b" " * 10_000_000, Reason.MESSAGE_TOO_LARGE, "tenant:acme"),
    ],
)
def test_a_message_that_cannot_be_taken_is_one_quarantined_record(
    tmp_path: Path, source: Source | None, data: bytes, reason: Reason, key_id: str
) -> None:
    async def scenario(lab: Lab) -> None:
        delivered = await lab.deliver(source, data)
        assert counts(delivered) == (1, 0, 0, 1)
        assert outcomes(delivered) == [reason]
        (row,) = lab.quarantine().to_dicts()
        assert (row["reason"], row["key_id"], row["length"]) == (reason.value, key_id, len(data))
        assert row["expires_at"] == PUBLISHED_AT + timedelta(days=14)
        assert lab.receipts()["records"].to_list() == [1]

    with_ingest(tmp_path, scenario)


def test_an_inactive_tenant_is_unknown(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        lab.control.put_tenant("acme", active=False)
        delivered = await lab.deliver(Source.CHAT, factories.batch([]))
        assert outcomes(delivered) == [Reason.UNKNOWN_TENANT]

    with_ingest(tmp_path, scenario)


def test_an_empty_batch_is_nothing(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        assert counts(await lab.deliver(Source.CHAT, factories.batch([]))) == (0, 0, 0, 0)

    with_ingest(tmp_path, scenario)


def test_a_sender_may_only_speak_for_its_own_tenant(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        lab.control.put_tenant("globex")
        delivery = Delivery(
            "telemetry-chat", Source.CHAT, factories.batch([]), {}, "m", PUBLISHED_AT, sender="globex"
        )
        with pytest.raises(Forbidden):
            await lab.ingest.pipeline.deliver(delivery)

    with_ingest(tmp_path, scenario)


def test_receipts_of_absurd_times_open_no_absurd_day(tmp_path: Path) -> None:
    ancient = spoilt(factories.activity("09:00", "09:30"), start="0001-01-01T00:00:00+05:00")

    async def scenario(lab: Lab) -> None:
        delivered = await lab.deliver(Source.ACTIVITIES, factories.batch([ancient]))
        assert outcomes(delivered) == [Reason.TOO_LONG]
        assert lab.receipts()["record_date"].to_list() == [None]
        (hint,) = [json.loads(body) for _, body in lab.bus.messages]
        assert hint["touched"] == {"acme": ["2024-01-01"]}

    with_ingest(tmp_path, scenario)


# --------------------------------------------------------------------------------------------- storage
def test_while_storage_is_down_nothing_has_an_outcome_and_afterwards_all_has(tmp_path: Path) -> None:
    data = factories.batch([factories.activity("09:00", "09:30"), factories.activity("10:00", "09:00")])

    lake, away = tmp_path / "lake", tmp_path / "away"

    def take_away() -> None:
        lake.rename(away)
        lake.write_text("no folder")

    def bring_back() -> None:
        lake.unlink()
        away.rename(lake)

    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.ACTIVITIES, factories.batch([factories.activity("08:00", "08:30")]))
        take_away()
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                await lab.deliver(Source.ACTIVITIES, data)
        with pytest.raises(StorageUnavailable):
            await lab.ingest.ready()
        bring_back()
        assert counts(await lab.deliver(Source.ACTIVITIES, data)) == (2, 1, 0, 1)
        await lab.ingest.ready()
        assert lab.rows(Source.ACTIVITIES).height == 2

    with_ingest(tmp_path, scenario)


# --------------------------------------------------------------------------------------------- breaker
def test_a_collector_that_sends_rubbish_is_held_back_until_an_operator_accepts_it(tmp_path: Path) -> None:
    rubbish = factories.batch([spoilt(factories.activity("09:00", "09:30"), exec=5) for _ in range(20)])

    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.ACTIVITIES, rubbish)
        with pytest.raises(Overloaded):
            await lab.deliver(Source.ACTIVITIES, rubbish)
        await lab.deliver(Source.CHAT, factories.batch([factories.chat_message("09:00", "hi")]))
        lab.control.accept_collector("acme", "activities", "test/1", datetime.now(UTC) + timedelta(hours=1))
        assert counts(await lab.deliver(Source.ACTIVITIES, rubbish)) == (20, 0, 0, 20)

    with_ingest(tmp_path, scenario, breaker_min_records=20)


# --------------------------------------------------------------------------------------------- replay
def test_replay_takes_what_can_be_taken_now_as_of_its_first_publication(tmp_path: Path) -> None:
    old = factories.activity("09:00", "09:30")
    broken = spoilt(factories.activity("10:00", "10:30"), exec=5)
    later = PUBLISHED_AT + timedelta(days=3)
    jobs = "user_id,valid_from\nalice,2023-12-30\nbob,2024-01-01\n"

    async def first(lab: Lab) -> None:
        await lab.deliver(
            Source.ACTIVITIES, factories.batch([old, broken]), message_id="m1", published_at=later
        )
        await lab.deliver(Source.JOBS, jobs.encode(), attributes=JOBS_ATTRIBUTES)
        await lab.deliver(
            Source.CHAT, factories.batch([factories.chat_message("09:00", "hi")], tenant_id="new")
        )
        assert lab.quarantine().height == 4

    async def second(lab: Lab) -> None:
        lab.control.put_tenant("new")
        tally = await lab.ingest.replay(Selection())
        assert (tally.received, tally.accepted, tally.duplicate) == (4, 3, 0)
        assert tally.quarantined == {Reason.CONTRACT_VIOLATION: 1}
        (row,) = lab.rows(Source.ACTIVITIES).to_dicts()
        assert (row["published_at"], row["message_id"]) == (later, "m1")
        people = lab.rows(Source.JOBS).sort("row_number")
        assert people["row_number"].to_list() == [1, 2]
        assert people["snapshot_digest"].n_unique() == 1
        assert lab.rows(Source.CHAT)["tenant_id"].to_list() == ["new"]
        assert lab.quarantine().height == 4
        again = await lab.ingest.replay(Selection(tenant_id="acme", reason=Reason.TOO_OLD))
        assert (again.accepted, again.duplicate) == (0, 2)
        delivered = await lab.deliver(Source.JOBS, jobs.encode(), attributes=JOBS_ATTRIBUTES)
        assert counts(delivered) == (2, 0, 2, 0)

    with_ingest(tmp_path, first, bronze_days=1)
    with_ingest(tmp_path, second)


def test_replay_keeps_the_tenant_that_the_sender_was_known_as(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        delivery = Delivery("telemetry-chat", Source.CHAT, b"{broken", {}, "m", PUBLISHED_AT, sender="acme")
        await lab.ingest.pipeline.deliver(delivery)
        await lab.ingest.replay(Selection())
        assert lab.quarantine()["tenant_id"].to_list() == ["acme"]

    with_ingest(tmp_path, scenario)


def test_quarantine_is_listed_without_its_sealed_originals(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.CHAT, b"{broken")
        await lab.deliver(Source.CLIPBOARD, b"{broken too")
        listed = quarantined(lab.ingest.lake, Selection(source=Source.CHAT))
        assert listed["reason"].to_list() == ["unreadable"]
        assert "sealed" not in listed.columns

    with_ingest(tmp_path, scenario)


def test_a_sealed_original_needs_its_tenants_key(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        broken = factories.batch([spoilt(factories.activity("10:00", "10:30"), exec=5)])
        await lab.deliver(Source.ACTIVITIES, broken)
        (row,) = lab.quarantine().to_dicts()
        others = pii.tenant_keys(b"x" * 32, "acme", b"")
        with pytest.raises(Terminal):
            open_original(others, row["quarantine_id"], row["sealed"])

    with_ingest(tmp_path, scenario)


# --------------------------------------------------------------------------------------------- batches
def test_splitting_the_input_into_other_batches_changes_nothing(tmp_path: Path) -> None:
    records = [factories.activity(f"{9 + n % 8:02}:00", f"{9 + n % 8:02}:30") for n in range(30)]
    ids = [record.event_id for record in records]

    async def scenario(lab: Lab) -> pl.DataFrame:
        batches = [
            factories.batch(records[at : at + size]) for size in (30, 7, 4) for at in range(0, 30, size)
        ]
        delivered = await asyncio.gather(*(lab.deliver(Source.ACTIVITIES, data) for data in batches))
        assert sum(one.accepted for one in delivered) == 30
        assert sum(one.duplicate for one in delivered) == 60
        return lab.rows(Source.ACTIVITIES)

    rows = with_ingest(tmp_path, scenario)
    assert sorted(rows["event_id"]) == sorted(ids)


def test_every_table_has_the_declared_columns(tmp_path: Path) -> None:
    async def scenario(lab: Lab) -> None:
        await lab.deliver(Source.KEYSTROKES, factories.batch([factories.keystroke_minute("09:00", "x")]))
        table = BRONZE_BY_SOURCE[Source.KEYSTROKES]
        assert dict(lab.rows(Source.KEYSTROKES).schema) == dict(table.schema)

    with_ingest(tmp_path, scenario)
