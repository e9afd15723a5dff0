"""Scheduled time in UTC, over changes of clocks and through the night (docs/domain.md section 3)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from tests.factories import TENANT, USER, at, bronze

from coworkai.common.events import Source
from coworkai.runner.silver.org_history import org_members
from coworkai.runner.silver.schedules import scheduled_windows

WINTER = date(2024, 1, 15)
SPRING = date(2024, 3, 31)
"""02:00 becomes 03:00 in Berlin."""
AUTUMN = date(2024, 10, 27)
"""03:00 becomes 02:00 in Berlin."""


def window(
    day: date, start: str | None, end: str | None, zone: str | None = "Europe/Berlin"
) -> dict[str, Any]:
    jobs = bronze(
        Source.JOBS,
        {
            "valid_from": date(2024, 1, 1),
            "snapshot_digest": "file",
            "row_number": 1,
            "time_zone": zone,
            "schedule_start": start,
            "schedule_end": end,
        },
    )
    days = pl.DataFrame({"tenant_id": [TENANT], "date": [day], "user_id": [USER]})
    return scheduled_windows(days, org_members(jobs), "America/New_York").to_dicts()[0]


def instants(found: dict[str, Any]) -> list[datetime]:
    return [found[name] for name in ("first_from", "first_to", "second_from", "second_to")]


def test_a_schedule_is_in_the_workers_zone() -> None:
    found = window(WINTER, "09:00", "17:30")
    assert instants(found)[:2] == [at("08:00", WINTER), at("16:30", WINTER)]
    assert found["scheduled_minutes"] == 510


@pytest.mark.parametrize("zone", [None, "Nowhere/Town"])
def test_without_a_known_zone_it_is_in_the_tenants(zone: str | None) -> None:
    assert window(WINTER, "09:00", "17:00", zone)["first_from"] == at("14:00", WINTER)


def test_a_night_shift_has_both_ends_of_the_date() -> None:
    found = window(WINTER, "22:00", "06:00")
    assert instants(found) == [
        at("23:00", WINTER - timedelta(days=1)),
        at("05:00", WINTER),
        at("21:00", WINTER),
        at("23:00", WINTER),
    ]
    assert found["scheduled_minutes"] == 480


def test_a_shift_until_midnight_is_one_window() -> None:
    assert window(WINTER, "16:00", "00:00")["scheduled_minutes"] == 480


@pytest.mark.parametrize(("day", "minutes"), [(WINTER, 480), (SPRING, 420), (AUTUMN, 540)])
def test_a_night_shift_is_shorter_in_spring_and_longer_in_autumn(day: date, minutes: int) -> None:
    assert window(day, "22:00", "06:00")["scheduled_minutes"] == minutes


def test_a_time_that_the_clocks_skip_is_as_far_after_the_change() -> None:
    assert window(SPRING, "02:30", "10:00")["first_from"] == at("01:30", SPRING)


def test_a_time_that_comes_twice_is_the_first() -> None:
    assert window(AUTUMN, "02:30", "10:00")["first_from"] == at("00:30", AUTUMN)


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), ("09:00", None), (None, "17:00"), ("09:00", "09:00")]
)
def test_without_both_ends_there_is_no_schedule(start: str | None, end: str | None) -> None:
    found = window(WINTER, start, end)
    assert instants(found) == [None] * 4
    assert found["scheduled_minutes"] is None
