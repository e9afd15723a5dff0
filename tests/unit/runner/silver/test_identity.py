"""An id sent again under another date (docs/domain.md section 2)."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
from tests.factories import DAY, at, bronze

from coworkai.common.events import Source
from coworkai.runner.silver.identity import first_of_each

ID = "00000000-0000-0000-0000-0000000000aa"


def test_distinct_ids_are_all_kept() -> None:
    rows = bronze(Source.CHAT, *({"occurred_at": at(f"09:0{n}"), "event_id": f"id-{n}"} for n in range(3)))
    found = first_of_each(rows)
    assert found.kept.height == 3
    assert found.left_out.is_empty()


def test_the_earliest_publication_of_an_id_is_kept_whatever_its_date() -> None:
    rows = bronze(
        Source.CHAT,
        {"event_id": ID, "occurred_at": at("09:00"), "published_at": at("11:00"), "assistant": "later"},
        {
            "event_id": ID,
            "occurred_at": at("09:00", DAY + timedelta(days=1)),
            "published_at": at("10:00"),
            "assistant": "first",
        },
    )
    found = first_of_each(rows)
    assert found.kept["assistant"].to_list() == ["first"]
    assert found.left_out["assistant"].to_list() == ["later"]


def test_published_together_the_smaller_date_is_kept() -> None:
    rows = bronze(
        Source.CHAT,
        *({"event_id": ID, "occurred_at": at("09:00", DAY + timedelta(days=n))} for n in (2, 0, 1)),
    )
    found = first_of_each(rows)
    assert found.kept["event_date"].to_list() == [DAY]
    assert sorted(found.left_out["event_date"]) == [DAY + timedelta(days=1), DAY + timedelta(days=2)]


def test_the_same_delivery_read_twice_is_no_duplicate() -> None:
    rows = bronze(Source.CHAT, *[{"event_id": ID, "occurred_at": at("09:00")}] * 3)
    found = first_of_each(rows)
    assert found.kept.height == 1
    assert found.left_out.is_empty()


def test_what_is_listed_is_left_out_though_its_first_came_under_a_date_out_of_sight() -> None:
    rows = bronze(Source.CHAT, {"event_id": ID, "occurred_at": at("09:00")}, {"occurred_at": at("09:05")})
    listed = rows.filter(pl.col("event_id") == ID).select("event_id", "event_date")
    found = first_of_each(rows, listed)
    assert ID not in found.kept["event_id"]
    assert found.left_out["event_id"].to_list() == [ID]


def test_an_id_of_two_workers_is_not_judged_by_whose_rows_are_computed_together() -> None:
    rows = bronze(
        Source.CHAT,
        {"event_id": ID, "user_id": "ana", "occurred_at": at("09:00")},
        {"event_id": ID, "user_id": "bo", "occurred_at": at("09:00", DAY + timedelta(days=1))},
    )
    assert first_of_each(rows).kept.height == 2
