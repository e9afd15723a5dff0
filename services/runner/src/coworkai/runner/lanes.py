"""Integer lanes: many workers' intervals in one sorted array, so that rules loop over no workers and no rows.

A lane value is `group << bits | offset`: the group (a worker, or a worker's day) in the high bits,
microseconds since an origin in the low ones. Every offset fits its bits, so groups never meet, and
`searchsorted`, a running maximum or a difference over the whole array is the same as over each group on its
own:

    worker 0            worker 1            worker 2
    ├──09:00──17:00──┤  ├──09:00──17:00──┤  ├──09:00──17:00──┤   one int64 axis, in order
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from coworkai.common.tables import TIMESTAMP

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = 86_400 * SECOND_US
LANE_BITS = 63
FAR = np.int64(1 << 62)
"""Later than every lane value."""
_EXACT = 1 << 53
"""Sums below this are exact in a float."""
NONE = np.int64(-1)
"""The code of a missing or empty string, the index of nothing."""


def microseconds(column: pl.Series) -> Ints:
    """A Datetime column (any unit and zone) as microseconds since the epoch. Raises ValueError on nulls."""
    if column.null_count():
        raise ValueError(f"{column.name}: {column.null_count()} times are missing")
    if column.dtype != TIMESTAMP:
        column = column.dt.cast_time_unit("us")
    values: Ints = column.cast(pl.Int64).to_numpy()
    return values


def timestamps(values: Ints) -> pl.Series:
    """Microseconds since the epoch as UTC timestamps."""
    return pl.Series(values).cast(TIMESTAMP)


def dates(days: Ints) -> pl.Series:
    """Days since the epoch as dates."""
    return pl.Series(days).cast(pl.Int32).cast(pl.Date)


def gather(values: pl.Series, index: Ints) -> pl.Series:
    """The values at the indices, null for NONE (a null index is several times faster than a null value)."""
    missing = index == NONE
    if not missing.any():
        return values[pl.Series(index.astype(np.uint32))]
    if values.is_empty():
        return pl.repeat(None, len(index), dtype=values.dtype, eager=True)
    place = pl.Series(np.where(missing, 0, index).astype(np.uint32))
    return values[place.set(pl.Series(missing), None)]


def run_starts(keys: npt.NDArray[np.generic]) -> Mask:
    """True where a run of equal neighbours begins."""
    starts = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    return starts


def run_lengths(first: Ints, total: int) -> Ints:
    """Lengths of the runs that begin at the indices `first` of an array of `total` values."""
    return np.diff(first, append=total)


def ranges(first: Ints, count: Ints) -> Ints:
    """The ranges `first[i] … first[i] + count[i] - 1`, one after the other."""
    before = np.cumsum(count) - count
    values: Ints = np.arange(int(count.sum())) + np.repeat(first - before, count)
    return values


def distinct(keys: Ints, limit: int) -> Ints:
    """Sorted distinct keys; all are below `limit`."""
    if not _is_dense(keys, limit):
        return np.unique(keys)
    seen = np.zeros(limit, np.bool_)
    seen[keys] = True
    return np.flatnonzero(seen)


def sums_by(keys: Ints, values: Ints, limit: int) -> tuple[Ints, Ints]:
    """Sorted distinct keys, all below `limit`, and the exact sum of `values`, none below 0, under each."""
    if _is_dense(keys, limit) and len(values) * int(values.max(initial=0)) < _EXACT:
        found = distinct(keys, limit)
        return found, totals(keys, values, limit)[found]
    if len(keys) > 1 and (keys[1:] < keys[:-1]).any():
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
    first = np.flatnonzero(run_starts(keys))
    return keys[first], np.add.reduceat(values, first) if len(first) else values[:0]


def totals(group: Ints, values: Ints | Mask, groups: int) -> Ints:
    """Sum of the values of group 0, 1, …, `groups` - 1; each sum is exact below 2^53, which is 285 years."""
    return np.bincount(group, weights=values, minlength=groups).astype(np.int64)


def _is_dense(keys: Ints, limit: int) -> bool:
    """Whether a table of all possible keys costs less than sorting those there are."""
    return limit <= 4 * len(keys) + 4_096


def union(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Disjoint stretches `(start, end)` that intervals sorted by start cover; those that touch are one."""
    latest = np.maximum.accumulate(end)
    opens = np.ones(len(start), np.bool_)
    np.greater(start[1:], latest[:-1], out=opens[1:])
    first = np.flatnonzero(opens)
    return start[first], latest[np.append(first[1:], len(start))[: len(first)] - 1]


def is_sorted(values: Ints) -> bool:
    """Whether no value is less than the one before it."""
    return bool((values[1:] >= values[:-1]).all())


def order_of(lanes: Ints) -> Ints:
    """Indices that sort the lanes; cheap when they are sorted already."""
    return np.arange(len(lanes)) if is_sorted(lanes) else np.argsort(lanes, kind="stable")


@dataclass(frozen=True, slots=True)
class Groups:
    """Dense codes of the distinct values of some columns, shared by several frames.

    `table` has one row a code, sorted by the columns; `codes` one array a frame.
    """

    table: pl.DataFrame
    codes: tuple[Ints, ...]

    def __len__(self) -> int:
        return self.table.height

    def find(self, frame: pl.DataFrame) -> Ints:
        """Codes of the frame's rows, NONE for a group that is none of these."""
        columns = self.table.columns
        codes = frame.select(columns).join(
            self.table.with_row_index("code"), on=columns, how="left", nulls_equal=True, maintain_order="left"
        )["code"]
        return _or_none(codes)


def group_codes(frames: Sequence[pl.DataFrame], columns: Sequence[str]) -> Groups:
    """Codes of `columns` (equal names and types in every frame), in their sort order; a null is a value.

    Costs a comparison of neighbours where rows of one group follow each other, a join where they do not.
    """
    changes = pl.any_horizontal(pl.col(c).ne_missing(pl.col(c).shift(1)) for c in columns)
    first = []
    for frame in frames:
        starts = frame.select(changes).to_series().to_numpy(writable=True)
        starts[:1] = True
        first.append(np.flatnonzero(starts))
    heads = [frame.select(columns)[index] for frame, index in zip(frames, first, strict=True)]
    table = pl.concat(heads).unique().sort(columns, nulls_last=False)
    code = Groups(table, ()).find(pl.concat(heads))
    ends = np.cumsum([len(index) for index in first])
    codes = tuple(
        np.repeat(part, run_lengths(index, frame.height))
        for frame, index, part in zip(frames, first, np.split(code, ends[:-1]), strict=True)
    )
    return Groups(table, codes)


@dataclass(frozen=True, slots=True)
class Strings:
    """Distinct strings, and columns as indices into them; NONE is null or empty."""

    values: pl.Series
    codes: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.values)

    def column(self, codes: Ints) -> pl.Series:
        """The strings of `codes`, null for NONE."""
        return gather(self.values, codes)

    def sorted(self) -> Strings:
        """The same with codes in the order of the strings."""
        order = self.values.arg_sort()
        rank = np.empty(len(order) + 1, np.int64)
        rank[order.to_numpy()] = np.arange(len(order))
        rank[-1] = NONE
        return Strings(self.values.gather(order), tuple(rank[codes] for codes in self.codes))


def string_codes(*columns: pl.Series) -> Strings:
    """Codes shared by the columns, in no particular order."""
    categories = pl.Categories.random()
    # The categories live as long as a column of them: keep these until their strings are read.
    coded = [column.cast(pl.Categorical(categories)) for column in columns]
    physical = [_or_none(column.to_physical()) for column in coded]
    total = 1 + max(int(codes.max(initial=-1)) for codes in physical)
    every = pl.Series(np.arange(total, dtype=np.uint32))
    values = every.cat.to(pl.Categorical(categories)).cast(pl.String)
    lookup = np.arange(total + 1)
    lookup[np.flatnonzero((values == "").to_numpy())] = NONE
    lookup[NONE] = NONE
    return Strings(values, tuple(lookup[codes] for codes in physical))


def _or_none(column: pl.Series) -> Ints:
    """Whole numbers, NONE for null."""
    if column.null_count():
        column = column.cast(pl.Int64).fill_null(int(NONE))
    return column.to_numpy().astype(np.int64)
