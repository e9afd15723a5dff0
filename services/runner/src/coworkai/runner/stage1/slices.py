"""Atomic slices: one context inside a workblock (docs/domain.md section 4).

Activities are cut at minute boundaries, and neighbours of one context are merged again unless they hold
keystrokes or are multitasking. So cuts are needed only around the minutes that hold keystrokes, and at every
minute of synthetic activities that overlap each other:

    chrome ├────────────────────────────────────────┤        keystrokes of 14:01 and 14:20
           14:00│01│02                 │20│21     14:35
           ├────┤├┤├───────────────────┤├┤├──────────┤       five slices
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coworkai.runner.lanes import FAR, MINUTE_US, NONE, SECOND_US, Ints, Mask, ranges, run_lengths, run_starts
from coworkai.runner.stage1.activities import Activities, Kind, Minutes
from coworkai.runner.stage1.match_keystrokes import Matches
from coworkai.runner.stage1.rules import Stage1Rules
from coworkai.runner.stage1.workblocks import Blocks

_OFFSET_BITS = 38
"""Enough for the microseconds of a stride; an activity's number is in the bits above."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Activities of kept workblocks cut at minutes, in order of start, end and app. `of_minute` is by
    keystroke minute the piece it belongs to, NONE in a workblock dropped as noise."""

    activity: Ints
    start: Ints
    end: Ints
    multitasking: Mask
    of_minute: Ints

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Slices:
    """In order of workblock and sequence. `first` is the first piece of each, whose activity names it;
    `of_piece` the slice of every piece; `of_minute` that of every keystroke minute, NONE for noise."""

    first: Ints
    of_piece: Ints
    of_minute: Ints
    block: Ints
    sequence: Ints
    start: Ints
    end: Ints
    evidence_us: Ints
    multitasking: Mask

    def __len__(self) -> int:
        return len(self.first)


def cut_pieces(matches: Matches, minutes: Minutes, kept: Mask) -> Pieces:
    """Cut the activities that are `kept`, by activity, around their keystroke minutes."""
    activities = matches.activities
    held = np.flatnonzero(kept[matches.activity])
    holder = matches.activity[held]
    start, end = activities.start[holder], activities.end[holder]
    # The part of the activity in the minute, or its first or last one where the minute lies outside.
    minute = np.clip(minutes.start[held] // MINUTE_US, start // MINUTE_US, (end - 1) // MINUTE_US) * MINUTE_US
    opening = _point(holder, np.maximum(minute - start, 0))
    closing = _point(holder, minute + MINUTE_US - start)[minute + MINUTE_US < end]

    whole = np.flatnonzero(kept)
    overlapping = np.flatnonzero(kept & activities.overlapping)
    points = np.concatenate([_point(whole, 0), opening, closing, _every_minute(activities, overlapping)])
    points.sort(kind="stable")
    points = points[run_starts(points)]

    activity = points >> _OFFSET_BITS
    piece_start = activities.start[activity] + (points & ((1 << _OFFSET_BITS) - 1))
    piece_end = np.append(piece_start[1:], FAR)[: len(points)]
    last = np.append(activity[1:] != activity[:-1], True)[: len(points)]
    piece_end[last] = activities.end[activity[last]]
    of_minute = np.full(len(minutes), NONE)
    of_minute[held] = np.searchsorted(points, opening)
    pieces = Pieces(activity, piece_start, piece_end, np.zeros(len(points), np.bool_), of_minute)
    return _in_order(pieces, activities, overlapping) if len(overlapping) else pieces


def merge_slices(
    pieces: Pieces, activities: Activities, context: Ints, blocks: Blocks, rules: Stage1Rules
) -> Slices:
    """Merge neighbours of one `context` (by activity), block and kind that hold no keystrokes, do not
    multitask and are at most `slice_break_s` apart."""
    held = pieces.of_minute[pieces.of_minute != NONE]
    alone = pieces.multitasking.copy()
    alone[held] = True
    block = blocks.of_activity[pieces.activity]
    is_real = activities.kind[pieces.activity] == Kind.REAL
    begins = run_starts(context[pieces.activity]) | run_starts(block) | run_starts(is_real) | alone
    begins[1:] |= alone[:-1] | (pieces.start[1:] - pieces.end[:-1] > rules.slice_break_s * SECOND_US)

    first = np.flatnonzero(begins)
    last = first + run_lengths(first, len(pieces)) - 1
    of_piece = np.cumsum(begins) - 1
    block = block[first]
    block_first = np.flatnonzero(run_starts(block))
    sequence = np.arange(1, len(first) + 1) - np.repeat(block_first, run_lengths(block_first, len(first)))
    lengths = pieces.end - pieces.start
    return Slices(
        first,
        of_piece,
        np.append(of_piece, NONE)[pieces.of_minute],
        block,
        sequence,
        pieces.start[first],
        pieces.end[last],
        np.add.reduceat(lengths, first) if len(first) else lengths,
        pieces.multitasking[first],
    )


def ambiguous_minutes(activities: Activities, context: Ints, minutes: Minutes) -> Mask:
    """By keystroke minute, whether activities of more than one context overlap it, those of noise
    included."""
    if not len(activities) or not len(minutes):
        return np.zeros(len(minutes), np.bool_)
    first = np.searchsorted(activities.latest_end, minutes.start, "right")
    last = np.searchsorted(activities.start, minutes.start + MINUTE_US, "left") - 1
    several = np.flatnonzero(first < last)
    first, last = first[several], last[several]
    changes = np.cumsum(run_starts(context))
    differ = changes[last] > changes[first]

    # Where activities overlap each other, one between the first and the last may end before the minute.
    overlapping = np.append(0, np.cumsum(activities.overlapping))
    unsure = np.flatnonzero(overlapping[last + 1] > overlapping[first])
    count = last[unsure] - first[unsure] + 1
    candidate = ranges(first[unsure], count)
    reaches = activities.end[candidate] > np.repeat(minutes.start[several[unsure]], count)
    begin = np.cumsum(count) - count
    if len(unsure):
        least = np.minimum.reduceat(np.where(reaches, context[candidate], FAR), begin)
        most = np.maximum.reduceat(np.where(reaches, context[candidate], NONE), begin)
        differ[unsure] = most > least
    ambiguous = np.zeros(len(minutes), np.bool_)
    ambiguous[several] = differ
    return ambiguous


def _point(activity: Ints, offset: Ints | int) -> Ints:
    return (activity << _OFFSET_BITS) + offset


def _every_minute(activities: Activities, chosen: Ints) -> Ints:
    """Points at every whole minute inside the chosen activities."""
    start, end = activities.start[chosen], activities.end[chosen]
    count = (end - 1) // MINUTE_US - start // MINUTE_US
    minute = ranges(start // MINUTE_US + 1, count) * MINUTE_US
    return _point(np.repeat(chosen, count), minute - np.repeat(start, count))


def _in_order(pieces: Pieces, activities: Activities, overlapping: Ints) -> Pieces:
    """Pieces of the overlapping activities by start, end and app instead of by activity, those that share a
    minute marked as multitasking. Overlapping activities lie together, so their pieces only trade places."""
    is_overlapping = np.zeros(len(activities), np.bool_)
    is_overlapping[overlapping] = True
    place = np.flatnonzero(is_overlapping[pieces.activity])
    by_time = place[
        np.lexsort((activities.app[pieces.activity[place]], pieces.end[place], pieces.start[place]))
    ]
    order = np.arange(len(pieces))
    order[place] = by_time
    back = np.empty(len(pieces) + 1, np.int64)
    back[order], back[-1] = np.arange(len(pieces)), NONE
    start = pieces.start[order]
    together = start[1:] == start[:-1]
    multitasking = np.append(together, False) | np.append(False, together)
    return Pieces(pieces.activity[order], start, pieces.end[order], multitasking, back[pieces.of_minute])
