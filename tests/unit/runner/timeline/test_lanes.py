"""Integer lanes: codes, sums and gathers that the rules rest on."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from coworkai.common.tables import TIMESTAMP
from coworkai.runner.lanes import (
    NONE,
    distinct,
    gather,
    group_codes,
    microseconds,
    ranges,
    string_codes,
    sums_by,
    union,
)


def test_groups_of_several_frames_share_codes_in_sort_order() -> None:
    left = pl.DataFrame({"tenant": ["b", "a", "a"], "user": ["x", "y", "x"]})
    right = pl.DataFrame({"tenant": ["a", None], "user": ["y", "x"]})
    groups = group_codes([left, right], ["tenant", "user"])
    assert groups.table.rows() == [(None, "x"), ("a", "x"), ("a", "y"), ("b", "x")]
    assert [codes.tolist() for codes in groups.codes] == [[3, 2, 1], [2, 0]]


def test_an_unknown_group_is_none() -> None:
    groups = group_codes([pl.DataFrame({"user": ["a", "c"]})], ["user"])
    assert groups.find(pl.DataFrame({"user": ["c", "b"]})).tolist() == [1, NONE]


def test_groups_of_nothing_are_none() -> None:
    nothing = pl.DataFrame(schema={"user": pl.String})
    groups = group_codes([nothing, nothing], ["user"])
    assert (len(groups), [len(codes) for codes in groups.codes]) == (0, [0, 0])


def test_empty_and_missing_strings_have_the_same_code() -> None:
    strings = string_codes(pl.Series(["b", "", None]), pl.Series(["a", "b"])).sorted()
    assert [strings.column(codes).to_list() for codes in strings.codes] == [["b", None, None], ["a", "b"]]
    assert strings.codes[1][0] < strings.codes[1][1]


@pytest.mark.parametrize("limit", [10, 1 << 60])
def test_sums_are_exact_beyond_the_precision_of_a_float(limit: int) -> None:
    big = (1 << 53) - 1
    keys, sums = sums_by(np.array([7, 2, 7]), np.array([big, 5, 4]), limit)
    assert (keys.tolist(), sums.tolist()) == ([2, 7], [5, big + 4])


@pytest.mark.parametrize("limit", [10, 1 << 60])
def test_distinct_keys_are_sorted_whichever_way_they_are_found(limit: int) -> None:
    assert distinct(np.array([7, 2, 7]), limit).tolist() == [2, 7]


def test_ranges_follow_each_other() -> None:
    assert ranges(np.array([5, 9, 1]), np.array([2, 0, 3])).tolist() == [5, 6, 1, 2, 3]


def test_intervals_that_touch_are_one_stretch() -> None:
    starts, ends = union(np.array([0, 2, 5, 9]), np.array([5, 3, 7, 10]))
    assert (starts.tolist(), ends.tolist()) == ([0, 9], [7, 10])


def test_what_is_at_none_is_null() -> None:
    assert gather(pl.Series(["a", "b"]), np.array([1, NONE, 0])).to_list() == ["b", None, "a"]
    assert gather(pl.Series([], dtype=pl.String), np.array([NONE])).to_list() == [None]


def test_a_missing_time_is_refused() -> None:
    with pytest.raises(ValueError, match="started_at: 1 times are missing"):
        microseconds(pl.Series("started_at", [None], dtype=TIMESTAMP))
