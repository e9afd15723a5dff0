"""Telemetry health, audited (docs/domain.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import DAY, DEVICE, TENANT, USER, at, bronze

from coworkai.common.events import Source
from coworkai.common.tables import BRONZE_RECEIPTS
from coworkai.runner.silver.build import build_silver

ID = "00000000-0000-0000-0000-0000000000aa"
NEXT = DAY + timedelta(days=1)


def activity(start: str | datetime, end: str | datetime, **fields: Any) -> dict[str, Any]:
    started, ended = (at(t) if isinstance(t, str) else t for t in (start, end))
    return {"started_at": started, "ended_at": ended, "exec": "chrome.exe", **fields}


def receipt(outcome: str, records: int, **fields: Any) -> dict[str, Any]:
    return {
        "tenant_id": TENANT,
        "event_date": DAY,
        "delivery_id": "delivery",
        "message_id": "message",
        "source": "activities",
        "user_id": USER,
        "device_id": DEVICE,
        "record_date": DAY,
        "outcome": outcome,
        "reason": None,
        "records": records,
        "published_at": at("23:00"),
        **fields,
    }


def health(
    rows: Mapping[Source, list[dict[str, Any]]],
    receipts: list[dict[str, Any]] | None = None,
    days: list[date] | None = None,
    zone: str = "UTC",
) -> pl.DataFrame:
    frames = {source.table: bronze(source, *records) for source, records in rows.items()}
    frames["receipts"] = pl.DataFrame(receipts or [], schema=BRONZE_RECEIPTS.schema)
    return build_silver(frames, days, zone)["silver/telemetry_health"]


def audited(found: pl.DataFrame, source: Source = Source.ACTIVITIES, **keys: Any) -> dict[str, Any]:
    keys = {"date": DAY, "user_id": USER, "device_id": DEVICE, "source": source.value, **keys}
    rows = found.filter(pl.col(name).eq_missing(pl.lit(value)) for name, value in keys.items())
    assert rows.height == 1, rows
    return rows.to_dicts()[0]


def jobs(start: str = "09:00", end: str = "17:00", zone: str = "UTC") -> dict[str, Any]:
    return {
        "valid_from": date(2023, 12, 1),
        "snapshot_digest": "file",
        "row_number": 1,
        "time_zone": zone,
        "schedule_start": start,
        "schedule_end": end,
    }


# ------------------------------------------------------------------------------------------- deliveries
def test_records_duplicates_and_quarantined_add_up_to_what_was_received() -> None:
    found = health(
        {Source.ACTIVITIES: [activity("09:00", "09:10"), activity("09:10", "09:20")]},
        [
            receipt("duplicate", 3),
            receipt("duplicate", 1, delivery_id="second"),
            receipt("quarantined", 2, reason="too_long"),
            receipt("quarantined", 1, reason="id_conflict"),
            receipt("quarantined", 1, reason="too_long", delivery_id="second"),
        ],
    )
    row = audited(found)
    assert (row["records"], row["duplicates"], row["quarantined"]) == (2, 4, 4)
    assert row["quarantined_by_reason"] == [
        {"name": "id_conflict", "count": 1},
        {"name": "too_long", "count": 3},
    ]


def test_a_receipt_that_a_crash_repeated_counts_once() -> None:
    found = health({}, [receipt("duplicate", 3)] * 2)
    assert audited(found)["duplicates"] == 3


def test_what_nobody_is_known_for_is_audited_too() -> None:
    unknown = {"user_id": None, "device_id": None, "source": None, "record_date": None}
    found = health({}, [receipt("quarantined", 5, reason="unreadable", **unknown)])
    assert found.select("date", "user_id", "device_id", "source", "quarantined").row(0) == (
        DAY, None, None, None, 5,
    )  # fmt: skip
    assert found.height == 1


def test_snapshots_of_the_organisation_are_not_audited_by_worker() -> None:
    found = health({Source.JOBS: [jobs()]}, [receipt("duplicate", 5, source="jobs", user_id=None)])
    assert found.is_empty()


def test_an_id_sent_again_under_another_date_is_a_duplicate_there() -> None:
    again = activity(at("09:00", NEXT), at("09:10", NEXT), event_id=ID, published_at=at("09:00", NEXT))
    found = health({Source.ACTIVITIES: [activity("09:00", "09:10", event_id=ID), again]})
    assert (audited(found)["records"], audited(found)["duplicates"]) == (1, 0)
    later = audited(found, date=NEXT)
    assert (later["records"], later["duplicates"], later["raw_s"]) == (0, 1, None)


def test_a_record_is_late_when_published_more_than_a_day_after_its_time() -> None:
    exactly, later = at("09:00", NEXT), at("09:00:00.000001", NEXT)
    found = health(
        {Source.ACTIVITIES: [activity("09:00", "09:10", published_at=t) for t in (exactly, later)]}
    )
    assert audited(found)["late_records"] == 1


def test_skew_and_delay_are_medians_in_seconds() -> None:
    rows = [
        activity("09:00", "09:10", sent_at=at("10:00"), published_at=at("10:00") + timedelta(seconds=s))
        for s in (-2, 1, 30.5)
    ]
    row = audited(health({Source.ACTIVITIES: rows}))
    assert (row["clock_skew_s"], row["delay_s"]) == (1.0, 3601.0)


def test_devices_are_audited_apart() -> None:
    rows = [activity("09:00", "09:10"), activity("09:05", "09:15", device_id="phone")]
    found = health({Source.ACTIVITIES: rows})
    laptop, phone = audited(found), audited(found, device_id="phone")
    assert (laptop["raw_s"], laptop["kept_s"], laptop["overlapped_s"]) == (600.0, 300.0, 300.0)
    assert (phone["raw_s"], phone["kept_s"], phone["overlapped_s"]) == (600.0, 600.0, 0.0)
    assert laptop["evidence_minutes"] == phone["evidence_minutes"] == 10


def test_unknown_fields_are_counted() -> None:
    rows = [activity("09:00", "09:10", extra=extra) for extra in ('{"dpi":96}', '{"dpi":120,"hz":60}', None)]
    assert audited(health({Source.ACTIVITIES: rows}))["drift_fields"] == [
        {"name": "dpi", "count": 2},
        {"name": "hz", "count": 1},
    ]


def test_records_that_the_policy_withholds_count_on_their_utc_date() -> None:
    rows: list[dict[str, Any]] = [
        {"minute": None, "event_date": DAY, "capture": "off"},
        {"minute": at("00:00"), "capture": "off"},
    ]
    found = health({Source.KEYSTROKES: rows}, zone="America/New_York")
    row = audited(found, Source.KEYSTROKES)
    assert (row["records"], row["evidence_minutes"], row["delay_s"]) == (2, 0, None)
    silver = build_silver({"keystrokes": bronze(Source.KEYSTROKES, *rows)}, None, "UTC")
    assert silver["silver/keystroke_minutes"].is_empty()


# ------------------------------------------------------------------------------------------- evidence
def test_evidence_minutes_are_the_distinct_minutes_that_records_touch() -> None:
    rows = [
        activity("09:00:30", "09:02:00"),
        activity("09:01:10", "09:01:20"),
        activity("09:02:59", "09:03:01"),
        activity("12:00", "12:00"),
    ]
    row = audited(health({Source.ACTIVITIES: rows}))
    assert (row["evidence_minutes"], row["records"], row["zero_length"]) == (4, 4, 1)


def test_the_longest_gap_is_between_the_first_and_the_last_evidence() -> None:
    rows = [activity("09:00", "11:00"), activity("09:30", "09:40"), activity("11:20", "11:30")]
    keys = [{"minute": at(t), "exec": "x", "capture": "counts"} for t in ("09:00:20", "09:05")]
    found = health({Source.ACTIVITIES: rows, Source.KEYSTROKES: keys})
    assert audited(found)["longest_gap_s"] == 20 * 60.0
    assert audited(found, Source.KEYSTROKES)["longest_gap_s"] == 4 * 60.0


def test_an_activity_over_midnight_counts_where_it_starts_and_is_evidence_on_both_days() -> None:
    found = health({Source.ACTIVITIES: [activity("23:50", at("00:20", NEXT))]})
    first, second = audited(found), audited(found, date=NEXT)
    assert (first["records"], second["records"]) == (1, 0)
    assert (first["evidence_minutes"], second["evidence_minutes"]) == (10, 20)
    assert (first["kept_s"], second["kept_s"]) == (600.0, 1200.0)


def test_coverage_is_the_share_of_the_schedule_with_evidence() -> None:
    rows = [activity("08:00", "10:00"), activity("16:59:30", "18:00")]
    row = audited(health({Source.ACTIVITIES: rows, Source.JOBS: [jobs()]}))
    assert row["scheduled_minutes"] == 480
    assert row["coverage"] == 61 / 480
    assert row["evidence_minutes"] == 181


def test_without_a_schedule_there_is_no_coverage() -> None:
    row = audited(health({Source.ACTIVITIES: [activity("08:00", "10:00")]}))
    assert (row["scheduled_minutes"], row["coverage"]) == (None, None)


def test_a_night_shift_is_covered_at_both_ends_of_the_date() -> None:
    rows = [activity("05:00", "07:00"), activity("21:00", "23:00")]
    row = audited(health({Source.ACTIVITIES: rows, Source.JOBS: [jobs("22:00", "06:00")]}))
    assert row["coverage"] == 120 / 480


def test_on_the_day_clocks_change_minutes_stay_minutes() -> None:
    spring = date(2024, 3, 31)
    whole = activity(at("23:00", date(2024, 3, 30)), at("22:00", spring))
    found = health({Source.ACTIVITIES: [whole], Source.JOBS: [jobs("00:00", "23:59", "Europe/Berlin")]})
    row = audited(found, date=spring)
    assert (row["evidence_minutes"], row["scheduled_minutes"], row["kept_s"]) == (1380, 1379, 82_800.0)
    assert row["coverage"] == 1.0


# ------------------------------------------------------------------------------------------- missing sources
def test_a_source_that_sent_nothing_on_a_day_of_work_is_missing() -> None:
    found = health({Source.ACTIVITIES: [activity("09:00", "09:10")]})
    missing = found.filter("is_missing")
    assert set(missing["source"]) == {"keystrokes", "clipboard", "chat", "manifests", "device-posture"}
    assert missing["device_id"].null_count() == missing.height
    assert missing["records"].sum() == 0


def test_a_source_of_which_all_was_quarantined_is_not_missing() -> None:
    found = health(
        {Source.ACTIVITIES: [activity("09:00", "09:10")]},
        [receipt("quarantined", 1, source="keystrokes", reason="contract_violation")],
    )
    assert "keystrokes" not in set(found.filter("is_missing")["source"])


def test_an_idle_device_alone_is_no_day_of_work() -> None:
    found = health({Source.DEVICE_POSTURE: [{"occurred_at": at("03:00")}]})
    assert found["source"].to_list() == ["device-posture"]


# ------------------------------------------------------------------------------------------- properties
minutes = st.integers(0, 3 * 24 * 60 * 6).map(lambda n: at("00:00") + timedelta(seconds=10 * n))
spans = st.tuples(
    minutes, st.integers(0, 600).map(lambda n: timedelta(seconds=10 * n)), st.sampled_from("ab")
)


@given(st.lists(spans, max_size=12))
def test_evidence_equals_a_count_of_touched_minutes_and_longest_gap_a_walk(
    activities: list[tuple[datetime, timedelta, str]],
) -> None:
    rows = [activity(start, start + length, device_id=device) for start, length, device in activities]
    found = health({Source.ACTIVITIES: rows}).filter(~pl.col("is_missing"))
    touched: dict[tuple[date, str], list[tuple[datetime, datetime]]] = {}
    for start, length, device in activities:
        end, begin = start + length, start
        while begin < end:
            midnight = at("00:00", begin.date() + timedelta(days=1))
            touched.setdefault((begin.date(), device), []).append((begin, min(end, midnight)))
            begin = midnight
    for (day, device), stretches in touched.items():
        row = audited(found, date=day, device_id=device)
        seen = set()
        for begin, end in stretches:
            minute = begin.replace(second=0)
            while minute < end:
                seen.add(minute)
                minute += timedelta(minutes=1)
        gap, latest = timedelta(), min(stretches)[0]
        for begin, end in sorted(stretches):
            gap, latest = max(gap, begin - latest), max(latest, end)
        assert (row["evidence_minutes"], row["longest_gap_s"]) == (len(seen), gap.total_seconds())
    assert found["records"].sum() == len(rows)
    assert found["evidence_minutes"].sum() == sum(
        row["evidence_minutes"] for row in found.to_dicts() if (row["date"], row["device_id"]) in touched
    )
