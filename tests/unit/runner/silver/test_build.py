"""Silver as a whole: every table from Bronze (docs/domain.md section 3)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.factories import DAY, USER, at, bronze

from coworkai.common.events import Source
from coworkai.common.tables import TABLES, Layer, of_layer
from coworkai.runner.silver.build import build_silver

NEXT = DAY + timedelta(days=1)
DST = date(2024, 3, 10)
"""New York's clocks go from 02:00 to 03:00."""


def silver(
    *frames: tuple[Source, list[dict[str, Any]]], days: list[date] | None = None, zone: str = "UTC"
) -> dict[str, pl.DataFrame]:
    return build_silver({source.table: bronze(source, *rows) for source, rows in frames}, days, zone)


def member(user: str = USER, zone: str | None = None, since: date = date(2023, 1, 1)) -> dict[str, Any]:
    return {
        "user_id": user,
        "valid_from": since,
        "snapshot_digest": f"{user}-{since}",
        "row_number": 1,
        "time_zone": zone,
    }


def keys(minute: datetime, **fields: Any) -> dict[str, Any]:
    return {"minute": minute, "exec": "WINWORD.EXE", "capture": "counts", "key_count": 7, **fields}


# ------------------------------------------------------------------------------------------- shape
def test_every_silver_table_comes_out_as_declared_even_of_nothing() -> None:
    found = build_silver({}, None, "UTC")
    assert set(found) == {table.id for table in of_layer(Layer.SILVER)}
    for table_id, frame in found.items():
        declared = {n: t for n, t in TABLES[table_id].schema.items() if n != "run_id"}
        assert dict(frame.schema) == declared
        assert list(frame.columns) == list(declared)
        assert frame.is_empty()


def test_frames_may_be_named_by_table_or_by_its_id() -> None:
    rows = bronze(Source.KEYSTROKES, keys(at("09:00")))
    for name in ("keystrokes", "bronze/keystrokes"):
        assert build_silver({name: rows}, None, "UTC")["silver/keystroke_minutes"].height == 1


def test_rows_of_two_tenants_are_refused() -> None:
    rows = bronze(Source.CHAT, *({"occurred_at": at("09:00"), "tenant_id": t} for t in ("acme", "beta")))
    with pytest.raises(ValueError, match="2 tenants"):
        build_silver({"chat": rows}, None, "UTC")


def test_an_unknown_zone_of_the_tenant_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        silver((Source.CHAT, [{"occurred_at": at("09:00")}]), zone="Nowhere/Town")


# ------------------------------------------------------------------------------------------- tables
def test_the_worked_timeline_of_three_apps() -> None:
    found = silver(
        (
            Source.ACTIVITIES,
            [
                {"started_at": at("09:00"), "ended_at": at("09:15"), "exec": "chrome.exe"},
                {
                    "started_at": at("09:10"),
                    "ended_at": at("09:30"),
                    "exec": "/Applications/Visual Studio Code.app/Contents/MacOS/Electron",
                },
                {"started_at": at("09:12"), "ended_at": at("09:13"), "exec": "com.slack"},
            ],
        )
    )
    pieces = found["silver/activity_timeline"].select("app", "started_at", "ended_at").rows()
    assert pieces == [
        ("chrome", at("09:00"), at("09:10")),
        ("code", at("09:10"), at("09:12")),
        ("slack", at("09:12"), at("09:13")),
        ("code", at("09:13"), at("09:30")),
    ]
    row = found["silver/telemetry_health"].filter(pl.col("source") == "activities").to_dicts()[0]
    assert (row["raw_s"], row["kept_s"], row["overlapped_s"]) == (2160.0, 1800.0, 360.0)


def test_a_keystroke_minute_is_floored_and_its_counts_pass_through() -> None:
    rows = [keys(at("09:00:59.999"), keys_printable=5, keys_enter=2), keys(at("09:00"))]
    found = silver((Source.KEYSTROKES, rows))["silver/keystroke_minutes"]
    assert found["minute"].to_list() == [at("09:00"), at("09:00")]
    assert found["app"].to_list() == ["word", "word"]
    assert sorted(found["keys_printable"].to_list(), key=str) == [5, None]


def test_only_the_workers_own_words_are_kept_of_a_chat() -> None:
    rows = [
        {"occurred_at": at("09:00"), "role": role, "text": role} for role in ("user", "assistant", "system")
    ]
    found = silver((Source.CHAT, rows))
    assert found["silver/chat_messages"]["text"].to_list() == ["user"]
    health = found["silver/telemetry_health"].filter(pl.col("source") == "chat")
    assert health["records"].to_list() == [3]


def test_a_reading_without_idle_time_says_not_idle() -> None:
    rows = [{"occurred_at": at("09:00"), "idle_s": None, "locked": None}]
    found = silver((Source.DEVICE_POSTURE, rows))["silver/device_posture"]
    assert found.select("idle_s", "locked").row(0) == (0.0, False)


def test_a_clipboard_event_has_its_app() -> None:
    rows = [{"occurred_at": at("09:00"), "action": "COPY", "exec": "EXCEL.EXE", "text_length": 4}]
    found = silver((Source.CLIPBOARD, rows))["silver/clipboard_events"]
    assert found.select("app", "action", "text_length").row(0) == ("excel", "COPY", 4)


def test_an_id_sent_again_under_another_date_appears_once_everywhere() -> None:
    first = keys(at("09:00"), event_id="same", published_at=at("10:00"))
    again = keys(at("09:00", NEXT), event_id="same", published_at=at("09:30"))
    found = silver((Source.KEYSTROKES, [first, again]))["silver/keystroke_minutes"]
    assert found["minute"].to_list() == [at("09:00", NEXT)]


# ------------------------------------------------------------------------------------------- local days
def test_a_row_is_on_the_local_date_of_its_worker() -> None:
    rows = [keys(at("02:00"), user_id=user) for user in ("ann", "bob", "cyd")]
    found = silver(
        (Source.KEYSTROKES, rows),
        (Source.JOBS, [{**member("ann", "Asia/Tokyo"), "snapshot_digest": "f"},
                       {**member("cyd", None), "snapshot_digest": "f"}]),
        zone="America/New_York",
    )["silver/keystroke_minutes"]  # fmt: skip
    assert dict(found.select("user_id", "date").iter_rows()) == {
        "ann": DAY,
        "bob": DAY - timedelta(days=1),
        "cyd": DAY - timedelta(days=1),
    }


def test_a_zone_is_valid_from_the_utc_date_of_its_snapshot() -> None:
    rows = [keys(at("23:30")), keys(at("00:30", NEXT))]
    jobs = [member(zone="Asia/Tokyo"), member(zone="America/New_York", since=NEXT)]
    found = silver((Source.KEYSTROKES, rows), (Source.JOBS, jobs))["silver/keystroke_minutes"]
    assert found["date"].to_list() == [NEXT, DAY]


def test_the_organisation_may_be_given_instead_of_its_snapshots() -> None:
    rows, jobs = [keys(at("23:30"))], [member(zone="Asia/Tokyo"), member(zone="UTC", since=NEXT)]
    expected = silver((Source.KEYSTROKES, rows), (Source.JOBS, jobs))
    members = expected["silver/org_members"].with_columns(run_id=pl.lit("0123456789abcdef"))
    frames = {"keystrokes": bronze(Source.KEYSTROKES, *rows), "silver/org_members": members}
    found = build_silver(frames, None, "UTC")
    assert found["silver/org_members"].equals(expected["silver/org_members"])
    assert found["silver/keystroke_minutes"]["date"].to_list() == [NEXT]


@pytest.mark.parametrize(
    ("day", "hours"), [(DST, 23), (DST + timedelta(days=1), 24), (date(2024, 11, 3), 25)]
)
def test_a_whole_local_day_has_the_hours_its_clocks_show(day: date, hours: int) -> None:
    start = at("00:00", day - timedelta(days=1))
    rows = [
        {
            "started_at": start + timedelta(hours=20 * n),
            "ended_at": start + timedelta(hours=20 * (n + 1)),
            "exec": "chrome",
        }
        for n in range(4)
    ]
    found = silver((Source.ACTIVITIES, rows), days=[day], zone="America/New_York")
    pieces = found["silver/activity_timeline"]
    assert (pieces["ended_at"] - pieces["started_at"]).sum() == timedelta(hours=hours)
    assert pieces["cut_start"].to_list()[0]
    assert pieces["cut_end"].to_list()[-1]


# ------------------------------------------------------------------------------------------- properties
USERS = st.sampled_from(["ann", "bob", "cyd"])
ZONES = st.sampled_from([None, "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati"])
INSTANTS = st.integers(0, 4 * 24 * 12).map(
    lambda n: at("00:00", DST - timedelta(days=2)) + timedelta(minutes=5 * n)
)
PUBLISHED = st.sampled_from([at("01:00", DST + timedelta(days=4)), at("02:00", DST + timedelta(days=4))])


@st.composite
def inputs(draw: st.DrawFn) -> dict[str, pl.DataFrame]:
    number = iter(range(1000))

    def common() -> dict[str, Any]:
        # a few ids come again, under this or another date
        n = draw(st.one_of(st.just(next(number)), st.integers(0, 3)))
        return {
            "event_id": f"{n:03d}",
            "user_id": draw(USERS) if n > 3 else "ann",
            "device_id": draw(st.sampled_from(["laptop", "phone"])),
            "published_at": draw(PUBLISHED),
            "content_digest": next(number),
            "extra": draw(st.sampled_from([None, '{"dpi":96}'])),
        }

    def activity() -> dict[str, Any]:
        start = draw(INSTANTS)
        length = timedelta(minutes=draw(st.integers(0, 24 * 12)) * 5)
        app = draw(st.sampled_from(["chrome.exe", "code", "com.slack"]))
        return {**common(), "started_at": start, "ended_at": start + length, "exec": app}

    def jobs() -> list[dict[str, Any]]:
        return [
            {
                "user_id": user,
                "valid_from": DST + timedelta(days=offset),
                "snapshot_digest": f"file-{offset}",
                "row_number": row,
                "time_zone": draw(ZONES),
                "schedule_start": "09:00",
                "schedule_end": draw(st.sampled_from(["17:00", "06:00"])),
                "event_id": f"job-{offset}-{row}",
            }
            for offset in draw(st.sets(st.integers(-3, 2), max_size=2))
            for row, user in enumerate(sorted(draw(st.sets(USERS))))
        ]

    def many(make: Any, most: int = 4) -> list[dict[str, Any]]:
        return [make() for _ in range(draw(st.integers(0, most)))]

    return {
        source.table: bronze(source, *rows)
        for source, rows in (
            (Source.ACTIVITIES, many(activity, 6)),
            (Source.KEYSTROKES, many(lambda: {**common(), **keys(draw(INSTANTS))})),
            (Source.CHAT, many(lambda: {**common(), "occurred_at": draw(INSTANTS), "role": "user"})),
            (
                Source.MANIFESTS,
                many(
                    lambda: {
                        **common(),
                        "occurred_at": draw(INSTANTS),
                        "kind": draw(st.sampled_from(["SOD", "EOD"])),
                        "goals": draw(st.lists(st.sampled_from(["Ship", "SHIP", "rest"]), max_size=2)),
                    }
                ),
            ),
            (Source.DEVICE_POSTURE, many(lambda: {**common(), "occurred_at": draw(INSTANTS)})),
            (Source.JOBS, jobs()),
        )
    }


def equal(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    for table_id, frame in one.items():
        assert frame.equals(other[table_id]), table_id


quick = settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@quick
@given(inputs(), st.integers(0, 2**32), ZONES)
def test_shuffling_and_duplicating_rows_changes_nothing(
    frames: dict[str, pl.DataFrame], seed: int, zone: str | None
) -> None:
    tenant_zone = zone or "UTC"
    mixed = {
        name: pl.concat([frame, frame.head(3)]).sample(fraction=1.0, shuffle=True, seed=seed)
        for name, frame in frames.items()
    }
    equal(build_silver(mixed, None, tenant_zone), build_silver(frames, None, tenant_zone))


@quick
@given(inputs(), ZONES)
def test_a_day_from_its_own_event_dates_is_the_day_of_the_whole(
    frames: dict[str, pl.DataFrame], zone: str | None
) -> None:
    tenant_zone = zone or "UTC"
    # an id of two far dates is found only where both are read
    frames = {name: frame.unique("event_id", keep="any") for name, frame in frames.items()}
    whole = build_silver(frames, None, tenant_zone)
    for day in (DST - timedelta(days=1), DST, DST + timedelta(days=1)):
        reach = [day + timedelta(days=n) for n in (-2, -1, 0, 1)]
        window = {
            name: frame if name == "jobs" else frame.filter(pl.col("event_date").is_in(reach))
            for name, frame in frames.items()
        }
        expected = {
            name: frame if name == "silver/org_members" else frame.filter(pl.col("date") == day)
            for name, frame in whole.items()
        }
        equal(build_silver(window, [day], tenant_zone), expected)


@quick
@given(inputs())
def test_workers_may_be_computed_apart(frames: dict[str, pl.DataFrame]) -> None:
    whole = build_silver(frames, None, "UTC")
    apart = [
        build_silver(
            {n: f if n == "jobs" else f.filter(pl.col("user_id") == user) for n, f in frames.items()},
            None,
            "UTC",
        )
        for user in ("ann", "bob", "cyd")
    ]
    for name, frame in whole.items():
        if name != "silver/org_members":
            together = pl.concat(part[name] for part in apart)
            order = [column for column in together.columns if not together.schema[column].is_nested()]
            assert together.sort(order).equals(frame.sort(order)), name


@quick
@given(inputs())
def test_every_bronze_record_is_a_record_or_a_duplicate_of_the_audit(frames: dict[str, pl.DataFrame]) -> None:
    health = build_silver(frames, None, "UTC")["silver/telemetry_health"]
    for source in Source:
        if source is Source.JOBS or source.table not in frames:
            continue
        rows = frames[source.table].unique(["event_id", "event_date"])
        mine = health.filter(pl.col("source") == source.value)
        assert mine.select(pl.col("records", "duplicates").sum()).row(0) == (
            rows["event_id"].n_unique(),
            rows.height - rows["event_id"].n_unique(),
        )
