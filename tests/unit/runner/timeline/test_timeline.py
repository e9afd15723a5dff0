"""The activity timeline and its accounting identity (docs/domain.md, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.doubles import reference_rules
from tests.doubles.reference_rules import Activity, Zones
from tests.unit.runner.strategies import Worker, activity_frame, bounds_of, crews

from coworkai.runner.silver.accounting import AUDIT
from coworkai.runner.silver.timeline import PIECES, Timeline, build_timeline

DAY = "2024-03-11"
MICROSECOND = timedelta(microseconds=1)


def at(clock: str) -> datetime:
    return datetime.fromisoformat(clock if "-" in clock else f"{DAY} {clock}").replace(tzinfo=UTC)


def activity(app: str, start: str, end: str, event_id: str = "") -> Activity:
    return Activity(event_id or f"{app}-{start}", at(start), at(end), app)


def build(*activities: Activity, zones: Zones | None = None) -> Timeline:
    return build_timeline(activity_frame({"ann": activities}), bounds_of({"ann": zones or Zones()}))


def shown(timeline: Timeline) -> list[tuple[str, str, str]]:
    return [
        (app, f"{start:%H:%M}", f"{end:%H:%M}")
        for app, start, end in timeline.pieces.select("app", "started_at", "ended_at").rows()
    ]


def build_crew(crew: dict[str, Worker], order: Sequence[int] | None = None) -> Timeline:
    frame = activity_frame({user: worker.activities for user, worker in crew.items()})
    return build_timeline(
        frame[order] if order is not None else frame,
        bounds_of({user: worker.zones for user, worker in crew.items()}),
    )


def test_the_last_one_opened_is_in_front_and_the_one_below_resumes() -> None:
    timeline = build(
        activity("chrome", "09:00", "09:15"),
        activity("code", "09:10", "09:30"),
        activity("slack", "09:12", "09:13"),
    )
    assert shown(timeline) == [
        ("chrome", "09:00", "09:10"),
        ("code", "09:10", "09:12"),
        ("slack", "09:12", "09:13"),
        ("code", "09:13", "09:30"),
    ]
    minute = 60_000_000
    assert timeline.audit.select("raw_us", "kept_us", "overlapped_us").row(0) == (
        36 * minute,
        30 * minute,
        6 * minute,
    )


def test_with_equal_starts_the_shorter_is_in_front() -> None:
    timeline = build(activity("long", "09:00", "10:00"), activity("short", "09:00", "09:20"))
    assert shown(timeline) == [("short", "09:00", "09:20"), ("long", "09:20", "10:00")]


def test_of_two_that_start_and_end_together_the_greater_event_id_is_in_front() -> None:
    timeline = build(activity("b", "09:00", "09:20", "2"), activity("a", "09:00", "09:20", "1"))
    assert shown(timeline) == [("b", "09:00", "09:20")]
    assert timeline.audit["overlapped_us"].to_list() == [20 * 60_000_000]


def test_what_starts_when_the_front_ends_takes_over_before_the_one_below_resumes() -> None:
    timeline = build(
        activity("below", "09:00", "10:00"),
        activity("front", "09:10", "09:20"),
        activity("next", "09:20", "09:30"),
    )
    assert shown(timeline) == [
        ("below", "09:00", "09:10"),
        ("front", "09:10", "09:20"),
        ("next", "09:20", "09:30"),
        ("below", "09:30", "10:00"),
    ]


def test_activities_without_length_are_counted_and_show_nowhere() -> None:
    timeline = build(activity("chrome", "09:00", "09:10"), activity("blink", "09:05", "09:05"))
    assert shown(timeline) == [("chrome", "09:00", "09:10")]
    assert timeline.audit["zero_length"].to_list() == [1]


def test_a_day_with_nothing_but_an_activity_without_length_has_an_audit_row() -> None:
    timeline = build(activity("blink", "09:05", "09:05"))
    assert timeline.pieces.is_empty()
    assert timeline.audit.select("raw_us", "kept_us", "overlapped_us", "zero_length").rows() == [(0, 0, 0, 1)]


def test_local_midnight_cuts_an_activity_and_says_so() -> None:
    timeline = build(
        activity("code", "2024-03-11 14:30", "2024-03-11 15:30"),
        zones=Zones("UTC", ((at("2024-03-09 00:00"), "Asia/Tokyo"),)),
    )
    assert timeline.pieces.select("date", "started_at", "ended_at", "cut_start", "cut_end").rows() == [
        (date(2024, 3, 11), at("14:30"), at("15:00"), False, True),
        (date(2024, 3, 12), at("15:00"), at("15:30"), True, False),
    ]


def test_an_activity_that_ends_at_midnight_is_not_cut() -> None:
    timeline = build(activity("code", "2024-03-11 23:00", "2024-03-12 00:00"))
    assert timeline.pieces.select("date", "cut_end").rows() == [(date(2024, 3, 11), False)]


def test_hidden_seconds_count_for_the_device_that_was_hidden_on_the_day_they_were() -> None:
    desk = Activity("1", at("2024-03-11 23:00"), at("2024-03-12 01:00"), "code", device_id="desk")
    lap = Activity("2", at("2024-03-11 23:30"), at("2024-03-12 00:30"), "chrome", device_id="lap")
    half_hour = 30 * 60_000_000
    assert build(desk, lap).audit.drop("tenant_id", "user_id", "zero_length").rows() == [
        (date(2024, 3, 11), "desk", 2 * half_hour, half_hour, half_hour),
        (date(2024, 3, 11), "lap", half_hour, half_hour, 0),
        (date(2024, 3, 12), "desk", 2 * half_hour, half_hour, half_hour),
        (date(2024, 3, 12), "lap", half_hour, half_hour, 0),
    ]


def test_equal_user_names_of_two_tenants_are_two_workers() -> None:
    mine = activity_frame({"ann": [activity("code", "09:00", "10:00")]}, tenant="acme")
    theirs = activity_frame({"ann": [activity("chrome", "09:30", "10:30")]}, tenant="zeta")
    timeline = build_timeline(pl.concat([theirs, mine]), bounds_of({}))
    assert timeline.pieces["tenant_id"].to_list() == ["acme", "zeta"]
    assert timeline.audit["overlapped_us"].to_list() == [0, 0]


def test_nothing_in_gives_empty_frames_with_all_columns() -> None:
    timeline = build()
    assert (timeline.pieces.schema, timeline.audit.schema) == (PIECES, AUDIT)
    assert timeline.pieces.is_empty()
    assert timeline.audit.is_empty()


def test_an_end_before_its_start_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it starts"):
        build(activity("code", "10:00", "09:00"))


@pytest.mark.parametrize("count", [1, 2, 3, 500])
def test_deep_nests_resume_in_reverse_order(count: int) -> None:
    nest = [
        Activity(f"{n:04d}", at("09:00") + n * MICROSECOND, at("10:00") - n * MICROSECOND, f"app{n}")
        for n in range(count)
    ]
    apps = build(*Random(1).sample(nest, count)).pieces["app"].to_list()
    assert apps == [f"app{n}" for n in [*range(count), *reversed(range(count - 1))]]


@given(crews())
def test_pieces_are_disjoint_and_cover_exactly_the_union(crew: dict[str, Worker]) -> None:
    pieces = build_crew(crew).pieces
    for user, worker in crew.items():
        mine = pieces.filter(user_id=user).select("started_at", "ended_at").rows()
        assert all(end <= start for (_, end), (start, _) in pairwise(mine))
        merged: list[list[datetime]] = []
        for a in sorted((a.started_at, a.ended_at) for a in worker.activities if a.ended_at > a.started_at):
            if merged and a[0] <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], a[1])
            else:
                merged.append(list(a))
        assert sum(((e - s) for s, e in mine), timedelta()) == sum(((e - s) for s, e in merged), timedelta())
        assert all(any(s <= start and end <= e for s, e in merged) for start, end in mine)


@given(crews())
def test_the_timeline_and_its_audit_equal_the_reference(crew: dict[str, Worker]) -> None:
    timeline = build_crew(crew)
    pieces, audit = [], []
    for user in sorted(crew):
        expected = reference_rules.timeline(crew[user].activities, crew[user].zones)
        pieces += [
            (user, p.activity.event_id, p.started_at, p.ended_at, p.date, p.cut_start, p.cut_end)
            for p in expected.pieces
        ]
        audit += [
            (
                day,
                user,
                device,
                d.raw // MICROSECOND,
                d.kept // MICROSECOND,
                d.overlapped // MICROSECOND,
                d.zero_length,
            )
            for (day, device), d in sorted(expected.audit.items())
        ]
    columns = ["user_id", "event_id", "started_at", "ended_at", "date", "cut_start", "cut_end"]
    assert timeline.pieces.select(columns).rows() == pieces
    assert timeline.audit.drop("tenant_id").rows() == audit


@given(crews(), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_rows_changes_nothing(crew: dict[str, Worker], random: Random) -> None:
    order = list(range(sum(len(worker.activities) for worker in crew.values())))
    random.shuffle(order)
    in_order, shuffled = build_crew(crew), build_crew(crew, order)
    assert_frame_equal(in_order.pieces, shuffled.pieces)
    assert_frame_equal(in_order.audit, shuffled.audit)


@given(crews())
@settings(max_examples=25)
def test_workers_one_by_one_give_what_they_give_together(crew: dict[str, Worker]) -> None:
    together = build_crew(crew)
    alone = [build_crew({user: crew[user]}) for user in sorted(crew)]
    assert_frame_equal(together.pieces, pl.concat(part.pieces for part in alone))
    assert_frame_equal(together.audit, pl.concat(part.audit for part in alone))
