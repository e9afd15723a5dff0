"""Integer lanes: many workers' intervals in one sorted array, so that rules need no loop over workers or
rows.

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
NONE = np.int64(-1)
"""The code of a missing or empty string, the index of nothing."""


def microseconds(column: pl.Series) -> Ints:
    """A Datetime column (any unit and zone) as microseconds since the epoch. Raises ValueError on nulls."""
    if column.null_count():
        raise ValueError(f"{column.name}: {column.null_count()} times are missing")
    if column.dtype != TIMESTAMP:
        column = column.dt.cast_time_unit("us")
    values: Ints = column.to_physical().to_numpy()
    return values


def timestamps(values: Ints) -> pl.Series:
    """Microseconds since the epoch as UTC timestamps."""
    return pl.Series(values).cast(TIMESTAMP)


def dates(days: Ints) -> pl.Series:
    """Days since the epoch as dates."""
    return pl.Series(days).cast(pl.Int32).cast(pl.Date)


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


def sums_by(keys: Ints, values: Ints) -> tuple[Ints, Ints]:
    """Sorted distinct keys and the exact integer sum of `values` under each."""
    if len(keys) > 1 and (keys[1:] < keys[:-1]).any():
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
    first = np.flatnonzero(run_starts(keys))
    return keys[first], np.add.reduceat(values, first) if len(first) else values[:0]


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
    coded = table.with_row_index("code")
    codes = []
    for frame, index, head in zip(frames, first, heads, strict=True):
        code = head.join(coded, on=list(columns), how="left", nulls_equal=True, maintain_order="left")["code"]
        codes.append(np.repeat(code.to_numpy().astype(np.int64), run_lengths(index, frame.height)))
    return Groups(table, tuple(codes))


@dataclass(frozen=True, slots=True)
class Strings:
    """Distinct strings, and columns as indices into them; NONE is null or empty."""

    values: pl.Series
    codes: tuple[Ints, ...]


def string_codes(*columns: pl.Series) -> Strings:
    """Codes shared by the columns, in no particular order."""
    joined = pl.concat([column.rename("") for column in columns]) if len(columns) > 1 else columns[0]
    categories = pl.Categories.random()
    coded = joined.cast(pl.Categorical(categories)).to_physical()
    values = categories.to_series().cast(pl.String)
    lookup = np.arange(len(values) + 1)
    lookup[-1] = NONE
    lookup[:-1][(values == "").to_numpy()] = NONE
    codes = lookup[coded.fill_null(len(values)).to_numpy()]
    ends = np.cumsum([len(column) for column in columns])
    return Strings(values, tuple(np.split(codes, ends[:-1])))


def worker_batches(rows: pl.DataFrame, max_rows: int = 200_000) -> list[pl.Series]:
    """Deal whole workers into batches of about `max_rows` rows, in order of `user_id`.

    `rows`: user_id, rows (how many the worker has in all inputs together). A worker with more than `max_rows`
    is a batch alone. Stage 1 and the timeline of a batch need some 1.2 kB a row, so memory does not grow with
    the tenant.
    """
    workers = rows.sort("user_id")
    batch = ((workers["rows"].cum_sum() - 1) // max_rows).alias("batch")
    return [
        part["user_id"] for part in workers.with_columns(batch).partition_by("batch", maintain_order=True)
    ]
