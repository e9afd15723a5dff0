"""Workers' local dates on one lane: `worker-day * STRIDE + microseconds since the day's origin`.

The stride is a whole number of minutes, so that minutes of the lane are minutes of the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.runner.lanes import (
    DAY_US,
    MINUTE_US,
    NONE,
    Groups,
    Ints,
    gather,
    group_codes,
    microseconds,
    order_of,
    timestamps,
    union,
)

_HOUR_US = 60 * MINUTE_US
_BEFORE_US = 18 * _HOUR_US
"""A local date begins at most so long before the UTC date of the same name."""
STRIDE = 80 * _HOUR_US
KEY = ("tenant_id", "user_id", "date")


@dataclass(frozen=True, slots=True)
class WorkerDays:
    """`groups`: distinct tenant_id, user_id and date, sorted; a group's code is its place on the lane."""

    groups: Groups
    origin: Ints

    @classmethod
    def of(cls, frames: Sequence[pl.DataFrame]) -> WorkerDays:
        """All worker-days of the frames (tenant_id, user_id, date), with a code for every row of each."""
        groups = group_codes(frames, KEY)
        date = groups.table["date"].to_physical().to_numpy().astype(np.int64)
        return cls(groups, date * DAY_US - _BEFORE_US)

    def __len__(self) -> int:
        return len(self.groups)

    def lanes(self, day: Ints, instants: Ints) -> Ints:
        """Lane values. Raises ValueError when an instant is on no local date of its row's date."""
        offset = instants - self.origin[day]
        if len(offset) and (offset.min() < 0 or offset.max() > STRIDE - MINUTE_US):
            raise ValueError("a time lies outside the local date of its row")
        return day * STRIDE + offset

    def stretches(self, frame: pl.DataFrame) -> tuple[Ints, Ints]:
        """Disjoint, sorted stretches of the frame's intervals (started_at, ended_at) on these worker-days.

        What lies outside a row's date, and worker-days that are none of these, are left out.
        """
        day = self.groups.find(frame)
        known = day != NONE
        day = day[known]
        start, end = (
            day * STRIDE + np.clip(microseconds(frame[name])[known] - self.origin[day], 0, STRIDE - MINUTE_US)
            for name in ("started_at", "ended_at")
        )
        order = order_of(start)
        order = order[end[order] > start[order]]
        return union(start[order], end[order])

    def timestamps(self, lanes: Ints, day: Ints) -> pl.Series:
        """Lane values of worker-days as UTC timestamps."""
        return timestamps(lanes + (self.origin - np.arange(len(self)) * STRIDE)[day])

    def columns(self, day: Ints) -> dict[str, pl.Series]:
        """tenant_id, date and user_id, one row a code of `day`."""
        table = self.groups.table
        return {name: gather(table[name], day) for name in ("tenant_id", "date", "user_id")}
