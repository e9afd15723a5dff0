"""Workblocks: breaks, noise, continuations, identity, seconds (docs/domain.md, section 4)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from tests.doubles.reference_rules import Zones
from tests.unit.runner.stage1.frames import activity, at, keys, stage1_of

from coworkai.runner.stage1.workblocks import base62, workblock_ids

TOKYO = Zones("UTC", ((at("2024-03-08 00:00"), "Asia/Tokyo"),))


def test_exactly_sixty_minutes_apart_stays_one_workblock() -> None:
    built = stage1_of([activity("code", "09:00", "09:30"), activity("code", "10:30", "11:00")])
    assert built.workblocks.select("started_at", "ended_at", "duration_s", "active_s").rows() == [
        (at("09:00"), at("11:00"), 7200, 3600)
    ]


def test_a_microsecond_more_than_sixty_minutes_apart_is_two_workblocks() -> None:
    built = stage1_of([activity("code", "09:00", "09:30"), activity("code", "10:30:00.000001", "11:00")])
    assert built.workblocks["started_at"].to_list() == [at("09:00"), at("10:30:00.000001")]


def test_the_pause_counts_from_the_latest_end_so_far() -> None:
    """notepad's synthetic activity ends before slack's, which began first."""
    around = [keys("slack", f"09:{minute:02d}") for minute in range(0, 21, 5)]
    built = stage1_of([], [*around, keys("notepad", "09:10"), keys("notepad", "10:21")])
    assert built.workblocks.select("started_at", "ended_at").rows() == [(at("09:00"), at("10:22"))]


def test_a_block_under_five_minutes_is_noise_and_accounted_for() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:04:59"), activity("code", "11:00", "11:05")],
        [keys("code", "09:02"), keys("code", "11:02")],
    )
    assert built.workblocks["started_at"].to_list() == [at("11:00")]
    assert built.workblocks["workblock_id"].str.slice(-2).to_list() == ["00"]
    noise = built.day_accounting.select("noise_s", "noise_blocks", "noise_keystroke_minutes", "kept_s")
    assert noise.row(0) == (299, 1, 1, 599)
    assert built.matches.select("event_id", "workblock_id", "sequence").row(0) == ("code-09:02", None, None)


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        ("2024-03-11 14:58", "2024-03-11 15:02", [True, True]),
        ("2024-03-11 14:58", "2024-03-11 15:00", []),
        ("2024-03-11 14:50", "2024-03-11 15:00", [False]),
    ],
)
def test_a_short_block_that_midnight_cut_is_a_continuation_and_kept(
    start: str, end: str, kept: list[bool]
) -> None:
    """Midnight in Tokyo is 15:00 UTC."""
    built = stage1_of([activity("code", start, end)], zones=TOKYO)
    assert built.workblocks["is_continuation"].to_list() == kept


def test_only_the_blocks_at_midnight_are_continuations() -> None:
    built = stage1_of(
        [
            activity("code", "2024-03-11 10:00", "2024-03-11 10:30"),
            activity("code", "2024-03-11 14:00", "2024-03-11 15:30"),
        ],
        zones=TOKYO,
    )
    assert built.workblocks["is_continuation"].to_list() == [False, True, True]


def test_blocks_are_numbered_within_the_local_date() -> None:
    built = stage1_of(
        [
            activity("code", f"2024-03-11 {hour:02d}:00", f"2024-03-11 {hour:02d}:30")
            for hour in (9, 11, 13, 16)
        ],
        zones=TOKYO,
    )
    assert built.workblocks["workblock_id"].str.slice(-2).to_list() == ["00", "01", "02", "00"]


def test_the_identity_of_alices_block_at_nine_on_new_years_day() -> None:
    ids = workblock_ids(pl.Series(["alice"]), pl.Series([datetime(2024, 1, 1, 9, tzinfo=UTC)]), np.array([0]))
    assert ids.to_list() == ["wb:31my5iJtNx:U06GFvM:00"]


def test_base_62_has_no_leading_zeros_but_zero_itself() -> None:
    assert base62(np.array([0, 61, 62, 62**7])).to_list() == ["0", "z", "10", "10000000"]
    assert base62(np.array([], np.int64)).to_list() == []


def test_active_time_counts_overlapping_synthetic_activities_once() -> None:
    built = stage1_of([], [keys(app, f"09:0{minute}") for app in ("slack", "notepad") for minute in range(6)])
    assert built.workblocks.select("duration_s", "active_s", "app_count").row(0) == (360, 360, 2)
    assert built.day_accounting["synthetic_s"].to_list() == [360]


def test_idle_time_is_counted_inside_active_time_only() -> None:
    built = stage1_of(
        [activity("code", "09:00", "09:10"), activity("chrome", "09:20", "09:30")],
        idle=[(at("09:05"), at("09:25"))],
    )
    assert built.workblocks["idle_s"].to_list() == [600]
    assert built.atomic_slices["idle_s"].to_list() == [300, 300]


def test_idle_time_counts_once_in_a_block_whose_synthetic_activities_overlap() -> None:
    typed = [keys(app, f"09:0{minute}") for app in ("slack", "notepad") for minute in range(6)]
    built = stage1_of([], typed, idle=[(at("09:02:30"), at("09:03:30"))])
    assert built.workblocks["idle_s"].to_list() == [60]
    assert built.atomic_slices["idle_s"].sum() == 120
