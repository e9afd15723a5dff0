"""Atomic slices (docs/domain.md, section 4)."""

from __future__ import annotations

from datetime import datetime

import polars as pl
from tests.unit.runner.stage1.frames import activity, at, keys, stage1_of

from coworkai.runner.stage1.build import Stage1

ARTICLE = "https://medium.com/article"


def spans(built: Stage1) -> list[tuple[str, str, int]]:
    """Start, last second and keystroke minutes of every slice."""
    return [
        (f"{start:%H:%M:%S}", f"{end:%H:%M:%S}", minutes)
        for start, end, minutes in built.atomic_slices.select(
            "started_at", pl.col("ended_at").dt.offset_by("-1s"), "keystroke_minutes"
        ).rows()
    ]


def test_reading_with_two_keystroke_minutes_is_five_slices() -> None:
    built = stage1_of(
        [activity("chrome", "14:00", "14:35", url=ARTICLE)],
        [keys("chrome", "14:01", "a"), keys("chrome", "14:20", "b")],
        texts={"a": "<Ctrl+D>", "b": "<Ctrl+C>"},
    )
    assert spans(built) == [
        ("14:00:00", "14:00:59", 0),
        ("14:01:00", "14:01:59", 1),
        ("14:02:00", "14:19:59", 0),
        ("14:20:00", "14:20:59", 1),
        ("14:21:00", "14:34:59", 0),
    ]
    assert built.atomic_slices["keystroke_log"].to_list() == [None, "<Ctrl+D>", None, "<Ctrl+C>", None]
    assert built.atomic_slices["sequence"].to_list() == [1, 2, 3, 4, 5]
    assert built.matches.select("event_id", "sequence").rows() == [("a", 2), ("b", 4)]


def test_neighbours_of_one_context_a_second_apart_are_one_slice_of_their_evidence() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:10:00"), activity("code", "09:10:01", "09:20")],
    )
    assert built.atomic_slices.select("started_at", "ended_at", "duration_s").rows() == [
        (at("09:00"), at("09:20"), 1199)
    ]


def test_neighbours_more_than_a_second_apart_are_two_slices() -> None:
    built = stage1_of([activity("code", "09:00", "09:10"), activity("code", "09:10:01.000001", "09:20")])
    assert built.atomic_slices.height == 2


def test_titles_make_contexts_only_where_there_is_no_url() -> None:
    built = stage1_of(
        [
            activity("chrome", "09:00", "09:10", url=ARTICLE, title="one"),
            activity("chrome", "09:10", "09:20", url=ARTICLE, title="two"),
            activity("code", "09:20", "09:30", title="one"),
            activity("code", "09:30", "09:40", title="two"),
        ]
    )
    assert built.atomic_slices["title"].to_list() == ["one", "one", "two"]


def test_a_url_and_a_title_that_read_the_same_are_two_contexts() -> None:
    built = stage1_of(
        [activity("chrome", "09:00", "09:10", url="x"), activity("chrome", "09:10", "09:20", title="x")]
    )
    assert built.atomic_slices.select("url", "title").rows() == [("x", None), (None, "x")]


def test_a_minute_outside_its_activity_belongs_to_the_nearest_part() -> None:
    built = stage1_of(
        [activity("code", "09:00:20", "09:10:40")], [keys("code", "09:12"), keys("code", "08:58")]
    )
    assert spans(built) == [
        ("09:00:20", "09:00:59", 1),
        ("09:01:00", "09:09:59", 0),
        ("09:10:00", "09:10:39", 1),
    ]


def test_a_minute_that_saw_two_contexts_is_ambiguous() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:05:30"), activity("chrome", "09:05:30", "09:15")],
        [keys("code", "09:05"), keys("code", "09:04")],
    )
    assert dict(built.matches.select("event_id", "ambiguous").rows()) == {
        "code-09:05": True,
        "code-09:04": False,
    }
    assert built.atomic_slices.filter("ambiguous")["started_at"].to_list() == [at("09:05")]


def test_contexts_of_dropped_blocks_count_for_ambiguity() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:01:30"), activity("chrome", "09:01:30", "09:03")],
        [keys("code", "09:01")],
    )
    assert built.workblocks.is_empty()
    assert built.matches.select("ambiguous", "workblock_id").rows() == [(True, None)]


def test_a_context_that_the_minute_only_touches_does_not_make_it_ambiguous() -> None:
    built = stage1_of(
        [
            activity("code", "09:00", "09:05"),
            activity("chrome", "09:05", "09:06"),
            activity("code", "09:06", "09:15"),
        ],
        [keys("chrome", "09:05")],
    )
    assert built.matches["ambiguous"].to_list() == [False]


def test_synthetic_activities_that_share_a_minute_multitask() -> None:
    slack = [keys("slack", f"09:0{minute}", title="general") for minute in (0, 4, 8)]
    built = stage1_of([], [*slack, keys("notepad", "09:04"), keys("notepad", "09:05")])
    shown = built.atomic_slices.select(
        "sequence", "app", "started_at", "multitasking", "keystroke_minutes", "ambiguous"
    )
    assert shown.rows() == [
        (1, "slack", at("09:00"), False, 1, False),
        (2, "slack", at("09:01"), False, 0, False),
        (3, "notepad", at("09:04"), True, 1, True),
        (4, "slack", at("09:04"), True, 1, True),
        (5, "notepad", at("09:05"), True, 1, True),
        (6, "slack", at("09:05"), True, 0, False),
        (7, "slack", at("09:06"), False, 0, False),
        (8, "slack", at("09:08"), False, 1, False),
    ]


def test_real_and_synthetic_neighbours_stay_apart() -> None:
    """Keys of code two minutes after slack's window closed, and far from any of code's own."""
    built = stage1_of(
        [activity("slack", "09:00", "09:20", title="x"), activity("chrome", "09:40", "10:00")],
        [keys("code", "09:25", title="x")],
    )
    assert built.atomic_slices.select("app", "is_synthetic").rows() == [
        ("slack", False),
        ("code", True),
        ("chrome", False),
    ]


def test_key_counts_are_summed_and_null_where_none_was_captured() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:10")],
        [
            keys("code", "09:01", "a", count=5),
            keys("code", "09:01", "b", count=None),
            keys("code", "09:03", "c", count=None),
        ],
    )
    assert built.atomic_slices.select("keystroke_minutes", "key_count").rows() == [
        (0, 0),
        (2, 5),
        (0, 0),
        (1, None),
        (0, 0),
    ]


def test_the_log_of_a_minute_with_several_records_has_a_line_each() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:10")],
        [keys("code", "09:01", "b"), keys("code", "09:01", "a"), keys("code", "09:01", "c")],
        texts={"a": "one", "b": "two<Enter><Enter>"},
    )
    assert built.atomic_slices["keystroke_log"].to_list() == [None, "one\ntwo<Enter>{2}", None]


def test_slices_of_a_minute_are_cut_at_the_clock_not_at_the_start() -> None:
    built = stage1_of([activity("code", "09:00:30", "09:10:30")], [keys("code", "09:02")])
    starts: list[datetime] = built.atomic_slices["started_at"].to_list()
    assert starts == [at("09:00:30"), at("09:02"), at("09:03")]
