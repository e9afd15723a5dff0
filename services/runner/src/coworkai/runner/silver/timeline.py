"""The activity timeline: what was in front, when (domain, section 3).

Activities are ordered by start, then end descending, then event_id. At any instant the last of those open is
in front; when it ends, the last one still open resumes:

    chrome 09:00 ├───────────────┤ 09:15         chrome 09:00–09:10   code 09:10–09:12
    code   09:10       ├──────────────┤ 09:30    slack  09:12–09:13   code 09:13–09:30
    slack  09:12         ├─┤ 09:13               hidden: chrome 09:10–09:15, code 09:12–09:13

Invariants, checked on every run for every worker and day in whole microseconds:

    raw = kept + overlapped      overlapped is summed from the hidden stretches
    kept = union of the raw intervals
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.common.tables import SILVER_TIMELINE
from coworkai.runner.lanes import (
    FAR,
    NONE,
    Ints,
    dates,
    group_codes,
    microseconds,
    order_of,
    run_lengths,
    timestamps,
    union,
)
from coworkai.runner.silver.accounting import Evidence, audit_days
from coworkai.runner.silver.local_days import DayLanes

PIECES = pl.Schema({name: dtype for name, dtype in SILVER_TIMELINE.schema.items() if name != "run_id"})


@dataclass(frozen=True, slots=True)
class Timeline:
    """`pieces`: the columns of PIECES, sorted by tenant, user and start. `audit`: the columns of
    `accounting.AUDIT`, one row for every worker, local date and device with an activity, in microseconds;
    hidden stretches count for the device whose activity is hidden."""

    pieces: pl.DataFrame
    audit: pl.DataFrame


def build_timeline(activities: pl.DataFrame, bounds: pl.DataFrame) -> Timeline:
    """Resolve overlapping activities into disjoint pieces that cover exactly their union, cut at local
    midnights.

    `activities`: tenant_id, user_id, event_id, started_at, ended_at, app, url, title, os, device_id, in any
    order, no end before its start, each event_id of a tenant once. `bounds`: see `local_days.day_bounds`.
    Zero-length activities are counted in the audit and take no further part. Raises AccountingError when an
    invariant of this module does not hold, ValueError for times out of `bounds`.
    """
    started, ended = microseconds(activities["started_at"]), microseconds(activities["ended_at"])
    if (ended < started).any():
        raise ValueError("an activity ends before it starts")
    workers = group_codes([activities], ["tenant_id", "user_id"])
    days = DayLanes.of(workers.table["user_id"], bounds, started, ended)
    start, end = days.lanes(workers.codes[0], started), days.lanes(workers.codes[0], ended)

    instants = np.flatnonzero(end == start)
    open_rows = np.flatnonzero(end > start)
    rows = open_rows[_front_order(activities["event_id"], open_rows, start[open_rows], end[open_rows])]
    start, end = start[rows], end[rows]
    in_front = resolve(start, end)
    kept = days.split(in_front.start, in_front.end)
    owner = in_front.owner[kept.source]

    hidden = hidden_stretches(in_front, start, end)
    concealed = days.split(hidden.start, hidden.end)
    raw = days.split(start, end)
    audit = audit_days(
        days,
        workers.table,
        activities["device_id"],
        raw=Evidence(raw, rows[raw.source]),
        kept=Evidence(kept, rows[owner]),
        hidden=Evidence(concealed, rows[hidden.owner[concealed.source]]),
        zero_length=instants,
        zero_length_stretch=days.find(days.lanes(workers.codes[0][instants], started[instants])),
        union=days.split(*union(start, end)),
    )
    limit = np.append(days.starts[1:], FAR)
    pieces = activities[rows[owner]].with_columns(
        date=dates(days.date[kept.stretch]),
        started_at=timestamps(days.instants(kept.start)),
        ended_at=timestamps(days.instants(kept.end)),
        cut_start=pl.Series(
            (kept.start == days.starts[kept.stretch]) & (start[owner] < kept.start), dtype=pl.Boolean
        ),
        cut_end=pl.Series((kept.end == limit[kept.stretch]) & (end[owner] > kept.end), dtype=pl.Boolean),
    )
    return Timeline(pieces.select(list(PIECES)).match_to_schema(PIECES), audit)


@dataclass(frozen=True, slots=True)
class InFront:
    """Disjoint pieces in order of time; `owner` is the index of the activity in front."""

    owner: Ints
    start: Ints
    end: Ints


def resolve(start: Ints, end: Ints) -> InFront:
    """What is in front, given intervals sorted by start, then end descending, each longer than nothing.

    A piece begins where an interval starts, and where one that is in front ends while an earlier one is still
    open: that is the previous interval with a greater end, which resumes. A piece ends with its owner or at
    the next piece.

        0 ├────────────────────┤      0 ├──┤          ├──┤
        1     ├──────────┤              1  ├──┤     ├──┤
        2         ├────┤                2     ├────┤
    """
    total = len(start)
    latest = np.maximum.accumulate(end)
    covered = np.flatnonzero(latest[:-1] > end[1:]) + 1
    next_start = np.append(start[1:], FAR)[:total]
    seen = np.minimum(end, next_start) > start
    if not len(covered):
        owner = np.flatnonzero(seen)
        return InFront(owner, start[owner], np.minimum(end, next_start)[owner])

    windows = _RangeMaximum(end, longest=_longest_run(start, latest))
    started_by_then = np.searchsorted(start, end[covered], "right") - 1
    on_top = windows.maximum(covered + 1, started_by_then) < end[covered]
    ending = covered[on_top]
    ending = ending[np.argsort(end[ending], kind="stable")]
    resumed = windows.previous_greater(ending)

    place = np.searchsorted(start, end[ending], "right") + np.arange(len(ending))
    is_start = np.ones(total + len(ending), np.bool_)
    is_start[place] = False
    owner = np.empty(len(is_start), np.int64)
    begin = np.empty(len(is_start), np.int64)
    owner[is_start], begin[is_start] = np.arange(total), start
    owner[place], begin[place] = resumed, end[ending]
    is_start[is_start] = seen
    is_start[place] = True
    owner, begin = owner[is_start], begin[is_start]
    return InFront(owner, begin, np.minimum(end[owner], np.append(begin[1:], FAR)))


def hidden_stretches(in_front: InFront, start: Ints, end: Ints) -> InFront:
    """Stretches of each interval that are not in front, by owner: before, between and after its pieces.

    interval   ├───────────────────────┤
    in front      ├────┤     ├────┤
    hidden     ├──┤    ├─────┤    ├────┤
    """
    owner = in_front.owner
    complete = (in_front.start == start[owner]) & (in_front.end == end[owner])
    parted = np.ones(len(start), np.bool_)
    parted[owner[complete]] = False
    pieces = np.flatnonzero(~complete)
    pieces = pieces[np.argsort(owner[pieces], kind="stable")]
    parts = np.bincount(owner[pieces], minlength=len(start))[parted]

    # One line of points for every parted interval: its start, then each piece's start and end, then its end.
    points = 2 * parts + 2
    first = np.cumsum(points) - points
    line = np.empty(int(points.sum()), np.int64)
    inner = np.ones(len(line), np.bool_)
    inner[first] = inner[first + points - 1] = False
    line[first], line[first + points - 1] = start[parted], end[parted]
    line[inner] = np.column_stack((in_front.start[pieces], in_front.end[pieces])).ravel()
    begin, until = line[0::2], line[1::2]
    long = until > begin
    return InFront(np.repeat(np.flatnonzero(parted), parts + 1)[long], begin[long], until[long])


def _front_order(event_ids: pl.Series, rows: Ints, start: Ints, end: Ints) -> Ints:
    """Order by start, then end descending, then event_id."""
    order = order_of(start)
    same = start[order[1:]] == start[order[:-1]]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        index = order[tied]
        ranked = pl.DataFrame(
            {"start": start[index], "end": -end[index], "event_id": event_ids.gather(rows[index])}
        ).select(pl.arg_sort_by("start", "end", "event_id"))
        order[tied] = index[ranked.to_series().to_numpy()]
    return order


def _longest_run(start: Ints, latest: Ints) -> int:
    """Length of the longest run of intervals without a break in their union."""
    opens = np.ones(len(start), np.bool_)
    np.greater_equal(start[1:], latest[:-1], out=opens[1:])
    return int(run_lengths(np.flatnonzero(opens), len(start)).max())


class _RangeMaximum:
    """Maxima over windows of 1, 2, 4, … values: logarithmic however deeply intervals nest."""

    def __init__(self, values: Ints, longest: int) -> None:
        levels = max(longest - 1, 0).bit_length() + 1
        self._windows = np.empty((levels, len(values)), np.int64)
        self._windows[0] = values
        for level in range(1, levels):
            narrow, width = self._windows[level - 1], 1 << (level - 1)
            self._windows[level, :width] = narrow[:width]
            np.maximum(narrow[width:], narrow[:-width], out=self._windows[level, width:])

    def maximum(self, first: Ints, last: Ints) -> Ints:
        """Greatest of values[first … last], NONE where the range is empty."""
        length = np.maximum(last - first + 1, 1)
        level = np.frexp(length)[1].astype(np.int64) - 1
        left = np.minimum(first + (1 << level) - 1, last)
        both = np.maximum(self._windows[level, last], self._windows[level, left])
        return np.where(last >= first, both, NONE)

    def previous_greater(self, index: Ints) -> Ints:
        """The nearest earlier index with a greater value; there must be one no further than `longest`."""
        value = self._windows[0][index]
        at = index - 1
        for level in reversed(range(len(self._windows))):
            at = np.where(self._windows[level][at] <= value, at - (1 << level), at)
        return at
