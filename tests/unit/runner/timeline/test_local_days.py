"""Local days: which date it is for a worker (docs/domain.md, section 3)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from coworkai.common.tables import TIMESTAMP
from coworkai.runner.silver.local_days import BOUNDS, day_bounds, local_dates

Zone = tuple[str, datetime | None, str | None]


def zones(*rows: Zone) -> pl.DataFrame:
    return pl.DataFrame(
        rows,
        schema={"user_id": pl.String, "valid_from": TIMESTAMP, "time_zone": pl.String},
        orient="row",
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dates_of(bounds: pl.DataFrame, user: str, *instants: str) -> list[date]:
    frame = pl.DataFrame(
        {
            "user_id": pl.Series([user] * len(instants), dtype=pl.String),
            "t": pl.Series(map(at, instants), dtype=TIMESTAMP),
        }
    )
    return local_dates(frame, "t", bounds)["date"].to_list()


def stretches(bounds: pl.DataFrame, user: str, *, from_: str, to: str) -> list[tuple[datetime, date]]:
    mine = bounds.filter((pl.col("user_id") == user) & pl.col("starts_at").is_between(at(from_), at(to)))
    return mine.select("starts_at", "date").rows()


def test_the_date_is_the_one_on_the_workers_own_calendar() -> None:
    bounds = day_bounds(zones(("ann", None, "Asia/Tokyo")), at("2024-05-01 00:00"), at("2024-05-02 00:00"))
    assert dates_of(bounds, "ann", "2024-05-01 14:59:59", "2024-05-01 15:00") == [
        date(2024, 5, 1),
        date(2024, 5, 2),
    ]


@pytest.mark.parametrize(
    ("zone", "start_of_day"),
    [
        ("Pacific/Kiritimati", "2024-05-01 10:00"),
        ("Etc/GMT+12", "2024-05-02 12:00"),
        ("Asia/Kathmandu", "2024-05-01 18:15"),
    ],
)
def test_zones_at_both_ends_of_the_day_and_off_the_hour(zone: str, start_of_day: str) -> None:
    bounds = day_bounds(zones(("ann", None, zone)), at("2024-05-01 00:00"), at("2024-05-03 00:00"))
    assert (at(start_of_day), date(2024, 5, 2)) in bounds.filter(user_id="ann").select(
        "starts_at", "date"
    ).rows()


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2024, 3, 31), 23), (date(2024, 10, 27), 25), (date(2024, 6, 1), 24)]
)
def test_a_day_of_a_daylight_saving_change_is_an_hour_shorter_or_longer(day: date, hours: int) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    bounds = day_bounds(zones(("ann", None, "Europe/Berlin")), noon, noon).filter(user_id="ann")
    ends = bounds.with_columns(ends_at=pl.col("starts_at").shift(-1)).filter(date=day)
    assert [
        (end - start).total_seconds() / 3600 for start, end in ends.select("starts_at", "ends_at").rows()
    ] == [hours]


def test_an_instant_takes_the_zone_valid_at_it() -> None:
    bounds = day_bounds(
        zones(("ann", None, "Asia/Tokyo"), ("ann", at("2024-01-11 00:00"), "America/New_York")),
        at("2024-01-10 00:00"),
        at("2024-01-12 00:00"),
    )
    assert stretches(bounds, "ann", from_="2024-01-10 12:00", to="2024-01-11 12:00") == [
        (at("2024-01-10 15:00"), date(2024, 1, 11)),
        (at("2024-01-11 00:00"), date(2024, 1, 10)),
        (at("2024-01-11 05:00"), date(2024, 1, 11)),
    ]


def test_a_change_between_zones_of_one_date_is_no_boundary() -> None:
    bounds = day_bounds(
        zones(("ann", None, "Europe/Berlin"), ("ann", at("2024-05-01 09:00"), "Europe/London")),
        at("2024-05-01 08:00"),
        at("2024-05-01 10:00"),
    )
    assert stretches(bounds, "ann", from_="2024-05-01 00:00", to="2024-05-01 23:30") == [
        (at("2024-05-01 23:00"), date(2024, 5, 2))
    ]


def test_a_day_that_a_country_skipped_does_not_exist() -> None:
    bounds = day_bounds(zones(("ann", None, "Pacific/Apia")), at("2011-12-29 00:00"), at("2012-01-01 00:00"))
    assert date(2011, 12, 30) not in bounds.filter(user_id="ann")["date"]
    assert date(2011, 12, 31) in bounds.filter(user_id="ann")["date"]


def test_clocks_put_back_over_midnight_repeat_the_evening() -> None:
    """Newfoundland turned 00:01 back to 23:01: a minute of the new date, an hour of the old, the new date."""
    bounds = day_bounds(
        zones(("ann", None, "America/St_Johns")), at("2010-11-06 12:00"), at("2010-11-07 12:00")
    )
    assert stretches(bounds, "ann", from_="2010-11-07 00:00", to="2010-11-07 12:00") == [
        (at("2010-11-07 02:30"), date(2010, 11, 7)),
        (at("2010-11-07 02:31"), date(2010, 11, 6)),
        (at("2010-11-07 03:30"), date(2010, 11, 7)),
    ]


def test_who_has_no_known_zone_has_the_default() -> None:
    bounds = day_bounds(
        zones(("bad", None, "Mars/Olympus"), ("null", None, None), ("later", at("2024-05-01 12:00"), "UTC")),
        at("2024-05-01 00:00"),
        at("2024-05-02 00:00"),
        default_zone="Pacific/Kiritimati",
    )
    for user in ("bad", "null", "later", "stranger"):
        assert dates_of(bounds, user, "2024-05-01 11:00") == [date(2024, 5, 2)], user
    assert dates_of(bounds, "later", "2024-05-01 13:00") == [date(2024, 5, 1)]


def test_a_default_that_is_no_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no known time zone"):
        day_bounds(zones(), at("2024-05-01 00:00"), at("2024-05-02 00:00"), default_zone="Mars/Olympus")


def test_an_instant_before_the_bounds_is_refused() -> None:
    bounds = day_bounds(zones(), at("2024-05-01 00:00"), at("2024-05-02 00:00"))
    with pytest.raises(ValueError, match="after the first instant"):
        dates_of(bounds, "ann", "2024-01-01 00:00")


def test_bounds_of_nobody_and_dates_of_nothing_are_empty_but_typed() -> None:
    bounds = day_bounds(zones(), at("2024-05-01 00:00"), at("2024-05-02 00:00"))
    assert bounds.schema == BOUNDS
    assert dates_of(bounds, "ann") == []
