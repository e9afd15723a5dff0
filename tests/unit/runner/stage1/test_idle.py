"""Idle intervals from device readings (docs/domain.md, section 4)."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from tests.unit.runner.stage1.frames import at

from coworkai.common.tables import SILVER_DEVICE_POSTURE
from coworkai.runner.stage1.idle import IDLE, idle_intervals

Reading = tuple[str, float, bool]


def intervals(*readings: Reading, device: str = "laptop") -> list[tuple[datetime, datetime]]:
    return idle_intervals(posture(*readings, device=device)).select("started_at", "ended_at").rows()


def posture(*readings: Reading, device: str = "laptop") -> pl.DataFrame:
    names = ["tenant_id", "date", "user_id", "device_id", "occurred_at", "idle_s", "locked"]
    rows = [
        ("acme", at(clock).date(), "ann", device, at(clock), idle_s, locked)
        for clock, idle_s, locked in readings
    ]
    return pl.DataFrame(
        rows, schema=[(name, SILVER_DEVICE_POSTURE.schema[name]) for name in names], orient="row"
    )


def test_a_reading_idle_for_three_minutes_tells_that_much_of_the_past() -> None:
    assert intervals(("09:10", 180.0, False)) == [(at("09:07"), at("09:10"))]


def test_less_than_three_minutes_is_no_evidence() -> None:
    assert intervals(("09:10", 179.9, False)) == []


def test_a_locked_device_is_idle_until_its_next_reading() -> None:
    assert intervals(("09:10", 0.0, True), ("09:40", 0.0, False)) == [(at("09:10"), at("09:40"))]


def test_the_lock_of_the_last_reading_of_a_day_proves_nothing() -> None:
    assert intervals(("09:10", 0.0, True)) == []


def test_evidence_of_all_devices_is_one_set_of_disjoint_intervals() -> None:
    both = pl.concat(
        [
            posture(("09:10", 300.0, False), ("09:12", 420.0, False)),
            posture(("09:04", 0.0, True), ("09:06", 0.0, False), device="phone"),
        ]
    )
    assert idle_intervals(both).select("started_at", "ended_at").rows() == [(at("09:04"), at("09:12"))]


def test_intervals_have_the_date_of_their_reading() -> None:
    found = idle_intervals(posture(("2024-03-12 00:05", 600.0, False)))
    assert found.rows() == [
        ("acme", at("2024-03-12 00:00").date(), "ann", at("2024-03-11 23:55"), at("2024-03-12 00:05"))
    ]


def test_no_readings_give_an_empty_frame_with_all_columns() -> None:
    assert idle_intervals(posture()).schema == IDLE
