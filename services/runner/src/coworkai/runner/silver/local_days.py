"""Local days: which date it is for a worker at an instant (domain, section 3).

An instant takes the zone valid at it, daylight saving included, and its date is its local date. So a worker's
time is a row of stretches of one date each; a change of zone can shorten, repeat or skip one:

    Tokyo until 00:00Z of the 11th        │ New York from then on
    ├─ 10th ────────────┤├─ 11th ─────────┤├─ 10th ──┤├─ 11th ───────────────┤
    15:00Z              15:00Z            00:00Z     05:00Z
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import polars as pl

from coworkai.common.tables import TIMESTAMP
from coworkai.runner.lanes import (
    DAY_US,
    FAR,
    LANE_BITS,
    SECOND_US,
    Ints,
    dates,
    group_codes,
    microseconds,
    ranges,
    run_starts,
)

BOUNDS = pl.Schema([("user_id", pl.String), ("starts_at", TIMESTAMP), ("date", pl.Date)])
"""Stretches of constant local date; each lasts until the worker's next one. The rows whose user_id is null
are for workers who have none of their own."""


def day_bounds(zones: pl.DataFrame, lo: datetime, hi: datetime, *, default_zone: str = "UTC") -> pl.DataFrame:
    """Stretches of constant local date of every worker of `zones`, good for instants from `lo` to `hi`.

    `zones`: user_id, valid_from (UTC timestamp; null for "always"), time_zone (IANA). `default_zone` is valid
    before a worker's first row, where time_zone is null or no known zone, and for workers without a row.
    Returns the columns of BOUNDS, sorted. Raises ValueError when `default_zone` is no zone.
    """
    lo_us, hi_us = _epoch_us(lo), _epoch_us(hi)
    first, last = lo_us // DAY_US - 1, hi_us // DAY_US + 2
    known = {
        zone: days
        for zone in zones["time_zone"].drop_nulls().unique()
        if (days := _zone_days(zone, first, last)) is not None
    }
    if (default := _zone_days(default_zone, first, last)) is None:
        raise ValueError(f"{default_zone!r} is no known time zone")
    known[default_zone] = default

    begin = pl.lit(first * DAY_US).cast(TIMESTAMP)
    spans = (
        pl.concat(
            [
                zones.drop_nulls("user_id").select(
                    pl.col("user_id").cast(pl.String),
                    pl.col("valid_from").cast(TIMESTAMP).fill_null(begin).clip(lower_bound=begin),
                    pl.when(pl.col("time_zone").is_in(list(known)))
                    .then(pl.col("time_zone"))
                    .otherwise(pl.lit(default_zone))
                    .alias("time_zone"),
                    order=pl.int_range(1, pl.len() + 1),
                ),
                zones.select(pl.col("user_id").cast(pl.String))
                .drop_nulls()
                .unique()
                .with_columns(valid_from=begin, time_zone=pl.lit(default_zone), order=pl.lit(0, pl.Int64)),
                pl.DataFrame({"user_id": [None]}, schema={"user_id": pl.String}).with_columns(
                    valid_from=begin, time_zone=pl.lit(default_zone), order=pl.lit(0, pl.Int64)
                ),
            ]
        )
        .sort("user_id", "valid_from", "order")
        .with_columns(valid_to=pl.col("valid_from").shift(-1).over("user_id"))
    )
    stretches = pl.concat(
        pl.DataFrame({"starts_at": starts, "ends_at": np.append(starts[1:], FAR), "date": day}).with_columns(
            time_zone=pl.lit(zone)
        )
        for zone, (starts, day) in known.items()
    ).with_columns(
        pl.col("starts_at", "ends_at").cast(TIMESTAMP), pl.col("date").cast(pl.Int32).cast(pl.Date)
    )
    changed = (pl.col("date") != pl.col("date").shift(1).over("user_id")).fill_null(value=True)
    return (
        spans.join(stretches, on="time_zone")
        .filter(
            (pl.col("ends_at") > pl.col("valid_from"))
            & (pl.col("starts_at") < pl.col("valid_to")).fill_null(value=True)
            & (pl.col("valid_from") < pl.col("valid_to")).fill_null(value=True)
        )
        .select("user_id", pl.max_horizontal("starts_at", "valid_from").alias("starts_at"), "date")
        .sort("user_id", "starts_at")
        .filter(changed)
        .match_to_schema(BOUNDS)
    )


def local_dates(frame: pl.DataFrame, time_column: str, bounds: pl.DataFrame) -> pl.DataFrame:
    """`frame` with `date`, the local date of `time_column` for the row's `user_id`.

    Raises ValueError when a time is missing or lies before the stretches of `bounds`.
    """
    instants = microseconds(frame[time_column])
    workers = group_codes([frame], ["user_id"])
    days = DayLanes.of(workers.table["user_id"], bounds, instants, instants)
    stretch = days.find(days.lanes(workers.codes[0], instants))
    return frame.with_columns(date=dates(days.date[stretch]))


@dataclass(frozen=True, slots=True)
class DayLanes:
    """The stretches of several workers on one lane of `worker << bits | microseconds since origin`."""

    bits: int
    origin: int
    starts: Ints
    """Lane values where stretches begin, sorted; a worker's first one begins at the worker's lane."""
    worker: Ints
    date: Ints
    """Days since the epoch."""

    @classmethod
    def of(cls, users: pl.Series, bounds: pl.DataFrame, started: Ints, ended: Ints) -> DayLanes:
        """Stretches of worker 0, 1, … (`users`, in order) around the instants `started … ended`
        (microseconds).

        Raises ValueError when an instant lies before all stretches of `bounds`, or when workers times
        microseconds do not fit 63 bits (100,000 workers over a year do).
        """
        workers = pl.DataFrame({"user_id": users, "worker": np.arange(len(users))})
        fallback = bounds.filter(pl.col("user_id").is_null()).drop("user_id")
        own = workers.join(bounds, on="user_id")
        others = workers.join(bounds.select("user_id").unique(), on="user_id", how="anti")
        stretches = pl.concat(
            [
                frame.select("worker", "starts_at", "date")
                for frame in (own, others.join(fallback, how="cross"))
            ]
        ).sort("worker", "starts_at")
        worker = stretches["worker"].to_numpy()
        starts = microseconds(stretches["starts_at"])
        lo = int(started.min()) if len(started) else 0
        hi = int(ended.max()) if len(ended) else 0
        first = np.flatnonzero(run_starts(worker))
        if len(first) != len(users) or (len(started) and (starts[first] > lo).any()):
            raise ValueError("the day bounds begin after the first instant")
        origin = lo - 1
        bits = int(hi - origin + DAY_US).bit_length()
        if len(users).bit_length() + bits > LANE_BITS:
            raise ValueError("too many workers over too long a time: give fewer workers at once")
        lane = (worker << bits) + np.clip(starts - origin, 0, (1 << bits) - 1)
        lane[first] = worker[first] << bits
        return cls(bits, origin, lane, worker, stretches["date"].to_physical().to_numpy().astype(np.int64))

    def lanes(self, worker: Ints, instants: Ints) -> Ints:
        return (worker << self.bits) + (instants - self.origin)

    def instants(self, lanes: Ints) -> Ints:
        return (lanes & ((1 << self.bits) - 1)) + self.origin

    def find(self, lanes: Ints) -> Ints:
        """Index of the stretch of every lane value."""
        return np.searchsorted(self.starts, lanes, "right") - 1

    def split(self, start: Ints, end: Ints) -> Split:
        """Cut intervals `[start, end)` (lane values) where the local date changes."""
        stretch = self.find(start)
        limit = np.append(self.starts[1:], FAR)
        crossing = np.flatnonzero(end > limit[stretch])
        if not len(crossing):
            return Split(np.arange(len(start)), start, end, stretch)
        count = np.ones(len(start), np.int64)
        count[crossing] = np.searchsorted(self.starts, end[crossing], "left") - stretch[crossing]
        source = np.repeat(np.arange(len(start)), count)
        stretch = ranges(stretch, count)
        return Split(
            source,
            np.maximum(start[source], self.starts[stretch]),
            np.minimum(end[source], limit[stretch]),
            stretch,
        )


@dataclass(frozen=True, slots=True)
class Split:
    """Intervals cut at changes of date: `source` is the index of the whole, `stretch` of the stretch."""

    source: Ints
    start: Ints
    end: Ints
    stretch: Ints


def _epoch_us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)


@lru_cache(maxsize=4096)
def _zone_days(zone: str, first: int, last: int) -> tuple[Ints, Ints] | None:
    """Where the local date of `zone` changes between two UTC days (since the epoch), and the dates that begin
    there.

    None when there is no such zone. Offsets are sampled daily and their changes found to the second by
    bisection; between two changes local midnights are arithmetic.
    """
    samples = np.arange(first, last + 1) * DAY_US
    try:
        offsets = _offsets(zone, samples)
    except pl.exceptions.ComputeError:
        return None
    before = np.flatnonzero(offsets[1:] != offsets[:-1])
    left, right = samples[before], samples[before + 1]
    while len(before) and (right - left > SECOND_US).any():
        middle = (left + right) // 2 // SECOND_US * SECOND_US
        same = _offsets(zone, middle) == offsets[before]
        left, right = np.where(same, middle, left), np.where(same, right, middle)

    begin = np.append(samples[:1], right)
    end = np.append(right, samples[-1])
    shift = np.append(offsets[:1], offsets[before + 1])
    day = (begin + shift) // DAY_US
    count = (end + shift - 1) // DAY_US - day + 1
    date = ranges(day, count)
    starts = np.maximum(np.repeat(begin, count), date * DAY_US - np.repeat(shift, count))
    change = run_starts(date)
    return starts[change], date[change]


def _offsets(zone: str, instants: Ints) -> Ints:
    """UTC offset of the zone at the instants, in microseconds."""
    local = pl.Series(instants).cast(TIMESTAMP).dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return local.to_physical().to_numpy() - instants
