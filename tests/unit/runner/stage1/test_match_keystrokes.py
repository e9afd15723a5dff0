"""Keystroke matching in four phases (docs/domain.md, section 4)."""

from __future__ import annotations

import pytest
from tests.doubles.reference_rules import Activity, Keystrokes
from tests.unit.runner.stage1.frames import activity, keys, stage1_of

from coworkai.runner.stage1.rules import Stage1Rules


def phases(activities: list[Activity], keystrokes: list[Keystrokes]) -> dict[str, int]:
    return dict(stage1_of(activities, keystrokes).matches.select("event_id", "phase").rows())


def matched_apps(activities: list[Activity], keystrokes: list[Keystrokes]) -> list[tuple[str, bool]]:
    """App of the slice of every keystroke minute, and whether it was matched across apps."""
    built = stage1_of(activities, keystrokes)
    slices = built.atomic_slices.select("workblock_id", "sequence", "app")
    joined = built.matches.join(slices, on=["workblock_id", "sequence"])
    return joined.select("app", "cross_app").rows()


def test_direct_nearest_gap_and_orphan() -> None:
    built = stage1_of(
        [activity("chrome", "09:00", "09:30"), activity("code", "11:00", "11:30")],
        [keys("chrome", "09:15"), keys("chrome", "09:35"), keys("slack", "10:00"), keys("notepad", "07:00")],
    )
    assert dict(built.matches.select("event_id", "phase").rows()) == {
        "chrome-09:15": 1,
        "chrome-09:35": 2,
        "slack-10:00": 3,
        "notepad-07:00": 4,
    }
    accounting = built.day_accounting.row(0, named=True)
    assert [accounting[name] for name in ("keystroke_minutes", "direct", "nearest", "gap", "orphan")] == [
        4,
        1,
        1,
        1,
        1,
    ]
    assert accounting["synthetic_s"] == 120


def test_the_activity_open_when_the_minute_begins_wins_over_a_longer_overlap() -> None:
    before, after = (
        activity("code", "09:00:00", "09:10:05", title="a"),
        activity("code", "09:10:10", "09:20", title="b"),
    )
    built = stage1_of([before, after], [keys("code", "09:10")])
    assert built.atomic_slices.filter(keystroke_minutes=1)["title"].to_list() == ["a"]


def test_else_the_largest_overlap_wins_and_of_equal_ones_the_earliest() -> None:
    one, two, three = (
        activity("code", "09:10:05", "09:10:10", title="one"),
        activity("code", "09:10:20", "09:10:30", title="two"),
        activity("code", "09:10:40", "09:10:50", title="three"),
    )
    long = activity("chrome", "09:00", "09:09")
    built = stage1_of([long, one, two, three], [keys("code", "09:10")])
    assert built.atomic_slices.filter(keystroke_minutes=1)["title"].to_list() == ["two"]


@pytest.mark.parametrize(("minute", "phase"), [("09:35", 2), ("09:36", 4), ("08:55", 2), ("08:54", 4)])
def test_the_same_app_is_near_within_five_minutes(minute: str, phase: int) -> None:
    assert phases([activity("code", "09:00", "09:30")], [keys("code", minute)]) == {f"code-{minute}": phase}


@pytest.mark.parametrize(("minute", "phase"), [("09:32", 2), ("09:33", 4), ("08:58", 2), ("08:57", 4)])
def test_another_app_counts_as_three_minutes_further_away(minute: str, phase: int) -> None:
    assert phases([activity("code", "09:00", "09:30")], [keys("slack", minute)]) == {f"slack-{minute}": phase}


def test_a_match_to_another_app_is_marked() -> None:
    assert matched_apps([activity("code", "09:00", "09:30")], [keys("slack", "09:10")]) == [("code", True)]


def test_of_equally_near_activities_the_same_app_wins() -> None:
    """code is 60 s away, 240 with its penalty; slack is 240 s away."""
    around = [activity("slack", "09:00", "09:06"), activity("code", "09:11", "09:30")]
    assert matched_apps(around, [keys("slack", "09:10")]) == [("slack", False)]


def test_of_equally_near_activities_of_other_apps_the_earlier_wins() -> None:
    """One ends and one begins at the minute: both are at no distance."""
    around = [activity("code", "09:00", "09:10"), activity("chrome", "09:10", "09:30")]
    assert matched_apps(around, [keys("slack", "09:10")]) == [("code", True)]


def test_minutes_of_a_gap_and_app_form_one_synthetic_activity() -> None:
    built = stage1_of(
        [activity("chrome", "09:00", "09:30"), activity("code", "10:30", "11:00")],
        [
            keys("slack", "09:50", url=""),
            keys("slack", "09:55", title="general", url="https://a.example"),
            keys("slack", "09:52", title="random"),
            keys("slack", "10:01"),
        ],
    )
    synthetic = built.atomic_slices.filter("is_synthetic")
    assert built.day_accounting["synthetic_s"].to_list() == [6 * 60 + 60]
    assert set(synthetic.filter(sequence=2).select("title", "url", "is_gap").rows()) == {
        ("random", "https://a.example", True)
    }
    assert synthetic.select("started_at").to_series().dt.strftime("%H:%M").to_list() == [
        "09:50",
        "09:51",
        "09:52",
        "09:53",
        "09:55",
        "10:01",
    ]


def test_an_orphan_group_does_not_span_a_real_activity() -> None:
    """09:00 and 09:05 are five minutes apart, with a blink of a real activity further than 120 s from
    both."""
    built = stage1_of(
        [activity("code", "09:02:30", "09:02:31")],
        [keys("slack", "09:00"), keys("slack", "09:05")],
    )
    assert built.day_accounting.select("orphan", "synthetic_s").row(0) == (2, 120)
    synthetic = built.atomic_slices.filter("is_orphan")
    assert synthetic["started_at"].dt.strftime("%H:%M").to_list() == ["09:00", "09:05"]


def test_keystrokes_alone_make_orphans() -> None:
    built = stage1_of([], [keys("slack", f"09:{minute:02d}") for minute in range(10)])
    assert built.day_accounting.select("orphan", "raw_s", "synthetic_s").row(0) == (10, 0, 600)
    assert built.workblocks.select("active_s", "keystroke_minutes").rows() == [(600, 10)]
    assert built.atomic_slices["is_orphan"].all()


def test_several_records_of_one_minute_are_each_matched() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:30")], [keys("code", "09:10", "a"), keys("code", "09:10", "b")]
    )
    assert built.matches["sequence"].to_list() == [2, 2]
    assert built.atomic_slices.filter(sequence=2).select("keystroke_minutes", "key_count").row(0) == (2, 2)


def test_a_minute_that_is_not_whole_is_floored() -> None:
    built = stage1_of([activity("code", "09:00", "09:10")], [keys("code", "09:05:42")])
    assert built.atomic_slices.filter(keystroke_minutes=1)["started_at"].dt.strftime(
        "%H:%M:%S"
    ).to_list() == ["09:05:00"]


def test_rules_that_let_synthetic_activities_overlap_real_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="synthetic activity could overlap"):
        Stage1Rules(nearest_max_s=200)
