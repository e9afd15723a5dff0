"""Stage 1 as a whole: contracts of its frames, accounting, odd days (docs/domain.md, section 4)."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import polars as pl
import pytest
from tests.doubles.reference_rules import Zones
from tests.unit.runner.stage1.frames import (
    activity,
    at,
    health_frame,
    keys,
    keystroke_frame,
    stage1_of,
)
from tests.unit.runner.strategies import activity_frame, bounds_of

from coworkai.common.errors import AccountingError
from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_SLICES, GOLD_USAGE, GOLD_WORKBLOCKS, TABLES
from coworkai.runner.silver.timeline import build_timeline
from coworkai.runner.stage1.build import build_stage1
from coworkai.runner.stage1.idle import IDLE

TABLE_OF = {
    "workblocks": GOLD_WORKBLOCKS,
    "atomic_slices": GOLD_SLICES,
    "usage_statistics": GOLD_USAGE,
    "day_accounting": GOLD_ACCOUNTING,
}


@pytest.mark.parametrize("name", TABLE_OF)
@pytest.mark.parametrize("is_empty", [True, False])
def test_frames_have_the_columns_of_their_table(name: str, is_empty: bool) -> None:
    built = (
        stage1_of() if is_empty else stage1_of([activity("code", "09:00", "10:00")], [keys("code", "09:10")])
    )
    frame: pl.DataFrame = getattr(built, name)
    declared = pl.Schema([(c, t) for c, t in TABLE_OF[name].schema.items() if c != "run_id"])
    assert frame.schema == declared
    assert frame.is_empty() == is_empty


def test_whole_silver_tables_are_accepted_when_empty() -> None:
    built = build_stage1(
        TABLES["silver/activity_timeline"].empty(),
        TABLES["silver/keystroke_minutes"].empty(),
        pl.DataFrame(schema=IDLE),
        TABLES["silver/telemetry_health"].empty(),
    )
    assert all(getattr(built, field.name).is_empty() for field in fields(built))


def test_a_day_of_nothing_but_zero_length_activities_has_an_accounting_row() -> None:
    built = stage1_of([activity("code", "09:00", "09:00")])
    assert built.day_accounting.select("raw_s", "kept_s", "keystroke_minutes").rows() == [(0, 0, 0)]
    assert built.workblocks.is_empty()


def test_health_rows_without_seconds_of_activities_make_no_accounting() -> None:
    """Quarantined or missing activities, unreadable workers, and other sources."""
    health = TABLES["silver/telemetry_health"].empty().drop("run_id")
    rows = pl.DataFrame(
        [
            {"user_id": "ann", "source": "activities", "quarantined": 3},
            {"user_id": None, "source": "activities", "raw_s": 1.0},
            {"user_id": "ann", "source": "keystrokes", "records": 5},
        ],
        schema_overrides=dict(health.schema),
    ).with_columns(tenant_id=pl.lit("acme"), date=date(2024, 3, 11))
    bounds = bounds_of({})
    built = build_stage1(
        build_timeline(activity_frame({}), bounds).pieces,
        keystroke_frame({}, bounds),
        pl.DataFrame(schema=IDLE),
        pl.concat([health, rows], how="diagonal"),
    )
    assert built.day_accounting.is_empty()


def test_a_timeline_that_lost_seconds_breaks_the_accounting() -> None:
    bounds = bounds_of({})
    timeline = build_timeline(activity_frame({"ann": [activity("code", "09:00", "10:00")]}), bounds)
    shorter = timeline.pieces.with_columns(
        ended_at=pl.lit(at("09:59")).cast(timeline.pieces.schema["ended_at"])
    )
    nothing = keystroke_frame({}, bounds)
    with pytest.raises(AccountingError, match="seconds that the health audit kept"):
        build_stage1(shorter, nothing, pl.DataFrame(schema=IDLE), health_frame(timeline))
    with pytest.raises(AccountingError):
        build_stage1(timeline.pieces, nothing, pl.DataFrame(schema=IDLE), health_frame(timeline).clear())


def test_pieces_that_overlap_are_refused() -> None:
    bounds = bounds_of({})
    frame = activity_frame({"ann": [activity("code", "09:00", "10:00")]})
    timeline = build_timeline(frame, bounds)
    with pytest.raises(ValueError, match="overlap"):
        build_stage1(
            pl.concat([timeline.pieces, timeline.pieces]),
            keystroke_frame({}, bounds),
            pl.DataFrame(schema=IDLE),
            health_frame(timeline),
        )


def test_a_time_that_is_not_on_its_date_is_refused() -> None:
    bounds = bounds_of({})
    timeline = build_timeline(activity_frame({"ann": [activity("code", "09:00", "10:00")]}), bounds)
    moved = timeline.pieces.with_columns(date=date(2020, 1, 1))
    with pytest.raises(ValueError, match="outside the local date"):
        build_stage1(
            moved, keystroke_frame({}, bounds), pl.DataFrame(schema=IDLE), health_frame(timeline).clear()
        )


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "America/New_York"])
def test_keystrokes_are_matched_on_the_workers_own_date(zone: str) -> None:
    """An activity over 40 hours of a weekend with a change of daylight saving, keys in every one of them."""
    day_and_a_half = [
        activity(
            "code", f"2024-03-{9 + n // 24:02d} {n % 24:02d}:00", f"2024-03-{9 + n // 24:02d} {n % 24:02d}:59"
        )
        for n in range(12, 52)
    ]
    typed = [keys("code", f"2024-03-{9 + n // 24:02d} {n % 24:02d}:30") for n in range(12, 52)]
    built = stage1_of(day_and_a_half, typed, zones=Zones("UTC", ((at("2024-03-08 00:00"), zone),)))
    assert built.matches["phase"].to_list() == [1] * 40
    assert built.day_accounting["direct"].sum() == 40
    assert built.workblocks["active_s"].sum() == 40 * 59 * 60


def test_a_date_in_two_stretches_is_one_day() -> None:
    """Tokyo until midnight UTC of the 11th, then New York, where the 10th goes on for four hours."""
    zones = Zones(
        "UTC", ((at("2024-03-08 00:00"), "Asia/Tokyo"), (at("2024-03-11 00:00"), "America/New_York"))
    )
    built = stage1_of(
        [
            activity("code", "2024-03-10 20:00", "2024-03-10 21:00"),
            activity("code", "2024-03-10 23:30", "2024-03-11 00:30"),
            activity("code", "2024-03-11 05:00", "2024-03-11 06:00"),
        ],
        [keys("code", "2024-03-10 23:59"), keys("code", "2024-03-11 00:00")],
        zones=zones,
    )
    tenth, eleventh = date(2024, 3, 10), date(2024, 3, 11)
    number = pl.col("workblock_id").str.slice(-2)
    assert built.workblocks.select("date", "started_at", number, "is_continuation").rows() == [
        (tenth, at("2024-03-11 00:00"), "00", True),
        (eleventh, at("2024-03-10 20:00"), "00", False),
        (eleventh, at("2024-03-10 23:30"), "01", True),
        (eleventh, at("2024-03-11 05:00"), "02", False),
    ]
    assert built.matches.select("date", "event_id", "phase").rows() == [
        (tenth, "code-2024-03-11 00:00", 1),
        (eleventh, "code-2024-03-10 23:59", 1),
    ]
