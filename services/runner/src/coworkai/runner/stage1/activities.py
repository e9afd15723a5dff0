"""Activities and keystroke minutes of many worker-days as arrays on one lane."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from coworkai.runner.lanes import (
    MINUTE_US,
    NONE,
    Ints,
    Mask,
    Strings,
    is_sorted,
    microseconds,
    order_of,
    string_codes,
)
from coworkai.runner.stage1.worker_days import STRIDE, WorkerDays

T = TypeVar("T", bound=np.generic)
Kinds = npt.NDArray[np.int8]


class Kind(IntEnum):
    """What an activity was made from."""

    REAL = 0
    GAP = 1
    """Synthetic, between two real activities of the day."""
    ORPHAN = 2
    """Synthetic, before the first or after the last real activity, or on a day without any."""


@dataclass(frozen=True, slots=True)
class Words:
    """Apps, URLs and titles by code; codes of apps are in the order of their names."""

    apps: Strings
    urls: Strings
    titles: Strings

    def context(self, app: Ints, url: Ints, title: Ints) -> Ints:
        """A number for app and URL, or title where there is no URL: equal for equal contexts."""
        titles = len(self.titles) + 1
        place = np.where(url == NONE, title + 1, url + titles)
        return app * (titles + len(self.urls)) + place


@dataclass(frozen=True, slots=True)
class Stretches:
    """Disjoint stretches in order of time, with the activity that each is evidence of."""

    activity: Ints
    start: Ints
    end: Ints

    @property
    def microseconds(self) -> Ints:
        return self.end - self.start


@dataclass(frozen=True)
class Activities:
    """Sorted by start, then end, then app. Real ones are disjoint; synthetic ones overlap synthetic ones
    only."""

    start: Ints
    end: Ints
    app: Ints
    url: Ints
    title: Ints
    kind: Kinds
    cut_start: Mask
    cut_end: Mask

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def day(self) -> Ints:
        return self.start // STRIDE

    @cached_property
    def latest_end(self) -> Ints:
        """The latest end so far, at every activity."""
        return np.maximum.accumulate(self.end)

    @cached_property
    def overlapping(self) -> Mask:
        """Whether another activity overlaps it."""
        overlapping = np.zeros(len(self), np.bool_)
        overlapping[1:] |= self.latest_end[:-1] > self.start[1:]
        overlapping[:-1] |= self.start[1:] < self.end[:-1]
        return overlapping

    @cached_property
    def evidence(self) -> Stretches:
        """Their union: of each what no earlier one gave, where that is anything."""
        before = np.append(np.int64(0), self.latest_end[:-1])[: len(self)]
        start = np.maximum(self.start, before)
        activity = np.flatnonzero(start < self.end)
        return Stretches(activity, start[activity], self.end[activity])

    def merged(self, other: Activities) -> tuple[Activities, Ints, Ints]:
        """Both in one order, and the new places of mine and of the other's. No two may start together."""
        place = np.searchsorted(self.start, other.start, "right") + np.arange(len(other))
        mine = np.ones(len(self) + len(other), np.bool_)
        mine[place] = False
        kept = np.flatnonzero(mine)

        def both(left: npt.NDArray[T], right: npt.NDArray[T]) -> npt.NDArray[T]:
            values = np.empty(len(mine), left.dtype)
            values[kept], values[place] = left, right
            return values

        return (
            Activities(
                both(self.start, other.start),
                both(self.end, other.end),
                both(self.app, other.app),
                both(self.url, other.url),
                both(self.title, other.title),
                both(self.kind, other.kind),
                both(self.cut_start, other.cut_start),
                both(self.cut_end, other.cut_end),
            ),
            kept,
            place,
        )


@dataclass(frozen=True)
class Minutes:
    """Keystroke minutes in order of time, then event_id. `row` is the row of the input frame."""

    start: Ints
    app: Ints
    url: Ints
    title: Ints
    row: Ints

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def day(self) -> Ints:
        return self.start // STRIDE


def read_words(timeline: pl.DataFrame, keystrokes: pl.DataFrame) -> Words:
    """Codes of the frames' apps, URLs and titles: those of the timeline first, then the keystrokes'."""
    return Words(
        string_codes(timeline["app"], keystrokes["app"]).sorted(),
        string_codes(timeline["url"], keystrokes["url"]),
        string_codes(timeline["title"], keystrokes["title"]),
    )


def read_activities(timeline: pl.DataFrame, words: Words, days: WorkerDays) -> Activities:
    """Real activities of `silver/activity_timeline`. Raises ValueError when pieces of a worker-day
    overlap."""
    day = days.groups.codes[0]
    start = days.lanes(day, microseconds(timeline["started_at"]))
    end = days.lanes(day, microseconds(timeline["ended_at"]))
    app, url, title = (words.apps.codes[0], words.urls.codes[0], words.titles.codes[0])
    cut_start, cut_end = timeline["cut_start"].to_numpy(), timeline["cut_end"].to_numpy()
    if not is_sorted(start):
        order = order_of(start)
        start, end, app, url, title = (each[order] for each in (start, end, app, url, title))
        cut_start, cut_end = cut_start[order], cut_end[order]
    if (end <= start).any() or (start[1:] < end[:-1]).any():
        raise ValueError("pieces of the timeline overlap or are empty")
    kind = np.full(len(start), Kind.REAL, np.int8)
    return Activities(start, end, app, url, title, kind, cut_start, cut_end)


def read_minutes(keystrokes: pl.DataFrame, words: Words, days: WorkerDays) -> Minutes:
    """Keystroke minutes of `silver/keystroke_minutes`, floored to whole minutes."""
    minute = microseconds(keystrokes["minute"])
    start = days.lanes(days.groups.codes[1], minute - minute % MINUTE_US)
    order = order_of(start)
    same = start[order[1:]] == start[order[:-1]]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        rows = order[tied]
        by_id = pl.DataFrame({"start": start[rows], "event_id": keystrokes["event_id"].gather(rows)})
        order[tied] = rows[by_id.select(pl.arg_sort_by("start", "event_id")).to_series().to_numpy()]
    return Minutes(
        start[order],
        words.apps.codes[1][order],
        words.urls.codes[1][order],
        words.titles.codes[1][order],
        order,
    )
