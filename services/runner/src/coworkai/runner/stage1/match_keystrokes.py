"""Which activity a keystroke minute belongs to, in four phases (docs/domain.md section 4).

    chrome ├── 09:00–09:30 ──┤                                        code ├── 11:00–11:30 ──┤
    07:00 notepad   09:15 chrome   09:35 chrome   10:00 slack
      4 orphan        1 direct       2 nearest      3 gap

Every minute `[m, m + 60 s)` is matched once. What no activity explains becomes synthetic activities, so that
after phase 4 nothing is left. No synthetic activity overlaps a real one: all of its minutes are further from
any real activity than `nearest_max_s - cross_app_penalty_s`, and no real one lies between two of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from coworkai.runner.lanes import (
    FAR,
    LANE_BITS,
    MINUTE_US,
    NONE,
    SECOND_US,
    Ints,
    Mask,
    ranges,
    run_lengths,
    run_starts,
)
from coworkai.runner.stage1.activities import Activities, Kind, Kinds, Minutes
from coworkai.runner.stage1.rules import Stage1Rules
from coworkai.runner.stage1.worker_days import STRIDE


class Phase(IntEnum):
    DIRECT = 1
    NEAREST = 2
    GAP = 3
    ORPHAN = 4


@dataclass(frozen=True, slots=True)
class Matches:
    """`activities`: real and synthetic. By minute: the `activity` it belongs to, the `phase` that found it,
    and `cross_app`, whether that activity is of another app."""

    activities: Activities
    activity: Ints
    phase: Kinds
    cross_app: Mask


def match_keystrokes(real: Activities, minutes: Minutes, rules: Stage1Rules) -> Matches:
    """Match every keystroke minute with one activity of its worker-day, making synthetic ones where none
    fits."""
    phase = np.zeros(len(minutes), np.int8)
    cross_app = np.zeros(len(minutes), np.bool_)
    same_app = _SameApp.of(real, minutes)

    activity = same_app.overlapping()
    left = np.flatnonzero(activity == NONE)
    phase[activity != NONE] = Phase.DIRECT

    activity[left] = _nearest(real, minutes, left, same_app, rules)
    nearest = left[activity[left] != NONE]
    phase[nearest] = Phase.NEAREST
    cross_app[nearest] = real.app[activity[nearest]] != minutes.app[nearest]

    left = left[activity[left] == NONE]
    synthetic, member = _synthetic(real, minutes, left, rules)
    activities, place_of_real, place_of_synthetic = real.merged(synthetic)
    matched = np.flatnonzero(activity != NONE)
    activity[matched] = place_of_real[activity[matched]]
    activity[left] = place_of_synthetic[member]
    phase[left] = np.where(synthetic.kind[member] == Kind.GAP, Phase.GAP, Phase.ORPHAN)
    return Matches(activities, activity, phase, cross_app)


@dataclass(frozen=True, slots=True)
class _SameApp:
    """Real activities on a lane for every worker-day and app: neighbours are of one app and day, or far
    apart.

    `activity` is the place in `Activities` of the lane's intervals; by minute, `at` is its lane value and
    `last` the last interval that starts no later (perhaps of a lane below, NONE where there is none).
    """

    start: Ints
    end: Ints
    activity: Ints
    at: Ints
    last: Ints

    @classmethod
    def of(cls, real: Activities, minutes: Minutes) -> _SameApp:
        lane, minute_lane = _app_days(real, minutes)
        order = _stable_order(real.app)
        start, end = (lane + real.start)[order], (lane + real.end)[order]
        by_app = _stable_order(minutes.app)
        at = minute_lane + minutes.start
        last = np.empty(len(minutes), np.int64)
        last[by_app] = np.searchsorted(start, at[by_app], "right") - 1
        return cls(start, end, order, at, last)

    def overlapping(self) -> Ints:
        """Phase 1, by minute: the activity of its app that is open when it begins, else the one that overlaps
        it longest, else the earliest of those; NONE where none overlaps it."""
        activity = np.full(len(self.at), NONE)
        open_then = np.flatnonzero(self.last != NONE)
        open_then = open_then[self.end[self.last[open_then]] > self.at[open_then]]
        activity[open_then] = self.activity[self.last[open_then]]

        later = np.flatnonzero(activity == NONE)
        count = np.searchsorted(self.start, self.at[later] + MINUTE_US, "left") - self.last[later] - 1
        later, count = later[count > 0], count[count > 0]
        candidate = ranges(self.last[later] + 1, count)
        until = np.minimum(self.end[candidate], np.repeat(self.at[later] + MINUTE_US, count))
        overlap = until - self.start[candidate]
        first = np.cumsum(count) - count
        longest = np.maximum.reduceat(overlap, first) if len(first) else overlap
        best = np.flatnonzero(overlap == np.repeat(longest, count))
        minute = np.repeat(np.arange(len(later)), count)[best]
        earliest = best[run_starts(minute)]
        activity[later] = self.activity[candidate[earliest]]
        return activity

    def before_and_after(self, minutes: Ints) -> tuple[Ints, Ints]:
        """The last activity of the app and day that starts before the minutes, and the next; NONE for
        none."""
        return self._on_lane(self.last[minutes], minutes), self._on_lane(self.last[minutes] + 1, minutes)

    def _on_lane(self, interval: Ints, minutes: Ints) -> Ints:
        if not len(self.start):
            return np.full(len(minutes), NONE)
        place = np.clip(interval, 0, len(self.start) - 1)
        on_lane = (place == interval) & (self.start[place] // STRIDE == self.at[minutes] // STRIDE)
        return np.where(on_lane, self.activity[place], NONE)


def _app_days(real: Activities, minutes: Minutes) -> tuple[Ints, Ints]:
    """What to add to the lane values of both, so that every app of a worker-day has a lane of its own, in
    order of app, then day."""
    days = int(max(real.start.max(initial=0), minutes.start.max(initial=0))) // STRIDE + 1
    apps = int(max(real.app.max(initial=0), minutes.app.max(initial=0))) + 1
    if (apps * days * STRIDE).bit_length() < LANE_BITS:
        return real.app * (days * STRIDE), minutes.app * (days * STRIDE)
    pairs = [part.app * days + part.day for part in (real, minutes)]
    distinct = np.unique(np.concatenate(pairs))
    of_real, of_minutes = (np.searchsorted(distinct, pair) for pair in pairs)
    return (of_real - real.day) * STRIDE, (of_minutes - minutes.day) * STRIDE


def _stable_order(codes: Ints) -> Ints:
    """Indices that sort the codes, ties in order; 16-bit codes are sorted by radix."""
    narrow = codes.max(initial=0) < 1 << 15
    return np.argsort(codes.astype(np.int16) if narrow else codes, kind="stable")


def _nearest(real: Activities, minutes: Minutes, left: Ints, same_app: _SameApp, rules: Stage1Rules) -> Ints:
    """Phase 2, for the minutes `left`: the activity of the day at the smallest effective distance, or NONE.

    Distances are from the minute's start. Only neighbours can win: of the same app the last that starts
    before the minute and the next one, of any app those around it. Two earlier ones can be equally near, when
    one ends and one starts at the minute.
    """
    if not len(real):
        return np.full(len(left), NONE)
    at, day = minutes.start[left], minutes.day[left]
    around = np.searchsorted(real.start, at, "right") - 1
    candidates = np.stack(
        [*same_app.before_and_after(left), *(_within(around + step, real.day, day) for step in (-1, 0, 1))]
    )
    differs = real.app[candidates] != minutes.app[left]
    distance = np.maximum(np.maximum(real.start[candidates] - at, at - real.end[candidates]), 0)
    distance += differs * (rules.cross_app_penalty_s * SECOND_US)
    near = (candidates != NONE) & (distance <= rules.nearest_max_s * SECOND_US)
    # Smallest distance first, then the same app, then the earlier start, in one number.
    preference = np.where(near, (2 * distance + differs) * len(real) + candidates, FAR)
    best = preference.min(axis=0)
    return np.where(best == FAR, NONE, best % len(real))


def _within(activity: Ints, day_of: Ints, day: Ints) -> Ints:
    """The activities that exist and are of the day; NONE for the others."""
    place = np.clip(activity, 0, len(day_of) - 1)
    return np.where((place == activity) & (day_of[place] == day), activity, NONE)


def _synthetic(real: Activities, minutes: Minutes, left: Ints, rules: Stage1Rules) -> tuple[Activities, Ints]:
    """Phases 3 and 4: synthetic activities of the minutes `left`, and by minute which one it is a member of.

    real      ├───┤                         ├───┤
    slack            │││   ││
    notepad            │      │          │
                     ├────────┤ slack: minutes no more than 5 min apart
                       ├──────┤          ├┤ notepad: a new one after more than 5 min
    """
    at, app = minutes.start[left], minutes.app[left]
    before = np.searchsorted(real.start, at, "right") - 1
    day = at // STRIDE
    real_day = real.day
    has_before = _within(before, real_day, day) != NONE if len(real) else np.zeros(len(left), np.bool_)
    has_after = _within(before + 1, real_day, day) != NONE if len(real) else has_before
    gap = np.cumsum(run_starts(before) | run_starts(day))

    order = np.lexsort((app, gap))
    begins = run_starts(gap[order]) | run_starts(app[order])
    begins[1:] |= np.diff(at[order]) > rules.synthetic_break_s * SECOND_US
    first = np.flatnonzero(begins)
    last = first + run_lengths(first, len(left)) - 1
    start, end = at[order][first], at[order][last] + MINUTE_US
    in_order = np.lexsort((app[order][first], end, start))
    rank = np.empty(len(first), np.int64)
    rank[in_order] = np.arange(len(first))
    member = np.empty(len(left), np.int64)
    member[order] = rank[np.cumsum(begins) - 1]

    head = left[order][first][in_order]
    is_gap = (has_before & has_after)[order][first][in_order]
    uncut = np.zeros(len(first), np.bool_)
    return (
        Activities(
            start[in_order],
            end[in_order],
            minutes.app[head],
            _first_given(minutes.url[left[order]], first)[in_order],
            _first_given(minutes.title[left[order]], first)[in_order],
            np.where(is_gap, Kind.GAP, Kind.ORPHAN).astype(np.int8),
            uncut,
            uncut,
        ),
        member,
    )


def _first_given(codes: Ints, first: Ints) -> Ints:
    """The first code that is not NONE in each of the runs that begin at `first`; NONE where there is none."""
    if not len(first):
        return codes
    place = np.where(codes == NONE, len(codes), np.arange(len(codes)))
    return np.append(codes, NONE)[np.minimum.reduceat(place, first)]
