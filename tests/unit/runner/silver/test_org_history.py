"""The organisation's history, SCD type 2 (docs/domain.md section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import at, bronze, event_id

from coworkai.common.events import Source
from coworkai.common.tables import TIMESTAMP
from coworkai.runner.silver.org_history import ATTRIBUTES, on_day, org_members, worker_zones

People = Mapping[str, Mapping[str, Any]]


def day(number: int) -> date:
    return date(2024, 1, number)


def snapshot(
    valid_from: int, people: People, *, digest: str | None = None, published: datetime | None = None
) -> list[dict[str, Any]]:
    return [
        {
            "valid_from": day(valid_from),
            "snapshot_digest": digest or f"file-{valid_from}",
            "row_number": number,
            "user_id": user,
            "published_at": published or at("06:00", day(valid_from)),
            **fields,
        }
        for number, (user, fields) in enumerate(people.items(), start=1)
    ]


def history(*files: list[dict[str, Any]]) -> pl.DataFrame:
    return org_members(bronze(Source.JOBS, *(row for rows in files for row in rows)))


def spans(members: pl.DataFrame, user: str) -> list[tuple[Any, ...]]:
    """(team, from, to) by day of January."""
    return [
        (row["team"], row["valid_from"].day, row["valid_to"] and row["valid_to"].day)
        for row in members.filter(pl.col("user_id") == user).sort("valid_from").to_dicts()
    ]


SALES, SUPPORT = {"team": "sales"}, {"team": "support"}


def test_an_unchanged_person_has_one_open_row() -> None:
    members = history(*(snapshot(n, {"ana": SALES}) for n in (1, 5, 9)))
    assert spans(members, "ana") == [("sales", 1, None)]
    assert members["is_current"].to_list() == [True]
    assert members["date"].to_list() == [day(1)]


def test_a_change_closes_a_row_and_opens_the_next_on_the_same_day() -> None:
    members = history(snapshot(1, {"ana": SALES}), snapshot(9, {"ana": SUPPORT}))
    assert spans(members, "ana") == [("sales", 1, 9), ("support", 9, None)]
    assert members["is_current"].to_list() == [False, True]


def test_a_value_that_appears_or_disappears_is_a_change() -> None:
    members = history(snapshot(1, {"ana": {}}), snapshot(2, {"ana": SALES}), snapshot(3, {"ana": {}}))
    assert spans(members, "ana") == [(None, 1, 2), ("sales", 2, 3), (None, 3, None)]


def test_a_missing_person_is_closed_and_a_returning_one_opened_again() -> None:
    both, one = {"ana": SALES, "bo": SALES}, {"ana": SALES}
    members = history(snapshot(1, both), snapshot(5, one), snapshot(9, both))
    assert spans(members, "bo") == [("sales", 1, 5), ("sales", 9, None)]
    assert spans(members, "ana") == [("sales", 1, None)]


def test_a_late_snapshot_with_an_older_date_lands_in_its_place() -> None:
    late = snapshot(5, {"ana": SUPPORT}, published=at("06:00", day(20)))
    members = history(snapshot(1, {"ana": SALES}), snapshot(9, {"ana": SALES}), late)
    assert spans(members, "ana") == [("sales", 1, 5), ("support", 5, 9), ("sales", 9, None)]


def test_of_several_snapshots_of_one_date_the_last_published_is_the_one() -> None:
    first = snapshot(5, {"ana": SALES, "bo": SALES}, digest="first", published=at("06:00"))
    last = snapshot(5, {"ana": SUPPORT}, digest="last", published=at("07:00"))
    members = history(last, first)
    assert spans(members, "ana") == [("support", 5, None)]
    assert spans(members, "bo") == []


def test_a_person_twice_in_a_file_counts_as_the_last_row() -> None:
    rows = snapshot(1, {"ana": SALES}) + [{**row, "row_number": 2} for row in snapshot(1, {"ana": SUPPORT})]
    assert spans(history(rows), "ana") == [("support", 1, None)]


def test_a_file_whose_rows_disagree_is_of_their_latest_date() -> None:
    rows = [*snapshot(1, {"ana": SALES}, digest="one"), *snapshot(4, {"bo": SALES}, digest="one")]
    members = history(rows)
    assert spans(members, "ana") == spans(members, "bo") == [("sales", 4, None)]


def test_no_snapshots_make_no_members() -> None:
    assert history().is_empty()


def test_a_zone_is_valid_while_its_row_is_and_then_the_tenants_again() -> None:
    members = history(
        snapshot(1, {"ana": {"time_zone": "Asia/Tokyo"}, "bo": {}}),
        snapshot(5, {"bo": {}}),
        snapshot(9, {"ana": {"time_zone": "Europe/Berlin"}, "bo": {}}),
    )
    zones = worker_zones(members)
    ana = zones.filter(pl.col("user_id") == "ana")
    assert ana["time_zone"].to_list() == ["Asia/Tokyo", None, "Europe/Berlin"]
    assert ana["valid_from"].to_list() == [at("00:00", day(n)) for n in (1, 5, 9)]
    assert zones.schema["valid_from"] == TIMESTAMP


def test_the_row_of_a_day_is_the_one_valid_on_it() -> None:
    members = history(
        snapshot(1, {"ana": {"schedule_start": "09:00"}}), snapshot(5, {"bo": {}}), snapshot(9, {"ana": {}})
    )
    days = pl.DataFrame(
        [("acme", date(2023, 12, 31), "ana"), *(("acme", day(n), "ana") for n in (1, 4, 5, 9))],
        schema={"tenant_id": pl.String, "date": pl.Date, "user_id": pl.String},
        orient="row",
    )
    found = on_day(days, members).sort("date")
    assert found["schedule_start"].to_list() == [None, "09:00", "09:00", None, None]


teams = st.sampled_from([None, "sales", "support"])
files = st.lists(
    st.tuples(st.integers(1, 12), st.dictionaries(st.sampled_from("abc"), teams), st.integers(0, 3)),
    max_size=6,
)


@given(files, st.randoms(use_true_random=False))
def test_history_says_of_every_day_what_its_last_snapshot_says(
    contents: list[tuple[int, dict[str, str | None], int]], random: Any
) -> None:
    rows = [
        row
        for number, (valid_from, people, hour) in enumerate(contents)
        for row in snapshot(
            valid_from,
            {user: {"team": team} for user, team in people.items()},
            digest=f"{number:02d}",
            published=at(f"0{hour}:00"),
        )
    ]
    for row in rows:
        row["event_id"] = event_id()
    members = history(rows)
    random.shuffle(rows)
    assert history(rows).equals(members)
    assert members.select("user_id", "valid_from").is_duplicated().sum() == 0

    seen = [  # a file without rows leaves no trace
        (valid_from, hour, f"{number:02d}", people)
        for number, (valid_from, people, hour) in enumerate(contents)
        if people
    ]
    for n in range(1, 14):
        valid = [entry for entry in seen if entry[0] <= n]
        expected = max(valid, key=lambda entry: entry[:3])[3] if valid else {}
        on = members.filter(
            pl.col("valid_from") <= day(n), pl.col("valid_to").is_null() | (pl.col("valid_to") > day(n))
        )
        assert dict(on.select("user_id", "team").iter_rows()) == expected


@given(files)
def test_history_has_no_two_rows_that_could_be_one(
    contents: list[tuple[int, dict[str, str | None], int]],
) -> None:
    rows = [
        row
        for number, (valid_from, people, _) in enumerate(contents)
        for row in snapshot(
            valid_from, {user: {"team": team} for user, team in people.items()}, digest=f"{number:02d}"
        )
    ]
    members = history(rows).sort("user_id", "valid_from")
    touching = (pl.col("valid_to").shift(1) == pl.col("valid_from")) & (
        pl.col("user_id").shift(1) == pl.col("user_id")
    )
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in ATTRIBUTES)
    assert members.filter(touching & same).is_empty()
    assert members.filter(pl.col("valid_to") <= pl.col("valid_from") + timedelta(0)).is_empty()
