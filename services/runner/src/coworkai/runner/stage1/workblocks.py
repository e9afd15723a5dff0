"""Workblocks: stretches of work without a long break (docs/domain.md section 4).

    ├──┤ ├────┤  ├───┤         more than 60 min         ├──┤├────┤
    wb:…:00                                              wb:…:01

A block under 5 min is noise: dropped, not numbered, and accounted for. One whose first or last activity was
cut by midnight continues on another date and is kept however short.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.runner.lanes import NONE, SECOND_US, Ints, Mask, run_lengths, run_starts, totals
from coworkai.runner.stage1.activities import Activities
from coworkai.runner.stage1.rules import Stage1Rules
from coworkai.runner.stage1.worker_days import STRIDE

ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)


@dataclass(frozen=True, slots=True)
class Blocks:
    """All blocks in order, noise included. `of_activity` is the block of every activity; `number` is the
    order in the worker's day from 0, NONE for noise; `active_us` is the union of the evidence in
    microseconds."""

    of_activity: Ints
    start: Ints
    end: Ints
    active_us: Ints
    is_continuation: Mask
    number: Ints

    @property
    def is_kept(self) -> Mask:
        kept: Mask = self.number != NONE
        return kept

    @property
    def day(self) -> Ints:
        return self.start // STRIDE


def split_into_workblocks(activities: Activities, rules: Stage1Rules) -> Blocks:
    """Begin a block where the next start is more than `workblock_break_s` after the latest end so far."""
    latest, evidence = activities.latest_end, activities.evidence
    begins = run_starts(activities.day)
    begins[1:] |= activities.start[1:] - latest[:-1] > rules.workblock_break_s * SECOND_US
    first = np.flatnonzero(begins)
    last = first + run_lengths(first, len(activities)) - 1
    start, end = activities.start[first], latest[last]
    of_activity = np.cumsum(begins) - 1

    cut_end = np.zeros(len(first), np.bool_)
    cut_end[of_activity[activities.cut_end & (activities.end == end[of_activity])]] = True
    is_continuation = activities.cut_start[first] | cut_end
    kept = is_continuation | (end - start >= rules.workblock_min_s * SECOND_US)
    return Blocks(
        of_activity,
        start,
        end,
        totals(of_activity[evidence.activity], evidence.microseconds, len(first)),
        is_continuation,
        np.where(kept, _order_in_day(start // STRIDE, kept), NONE),
    )


def _order_in_day(day: Ints, kept: Mask) -> Ints:
    before: Ints = np.cumsum(kept) - kept
    first = np.flatnonzero(run_starts(day))
    order: Ints = before - np.repeat(before[first], run_lengths(first, len(day)))
    return order


def workblock_ids(user_ids: pl.Series, started_at: pl.Series, number: Ints) -> pl.Series:
    """`wb:<user>:<time>:<n>` of blocks of the workers `user_ids`, which begin at `started_at` (UTC
    microseconds).

    `<user>`: first 10 digits of the base 62 of the MD5 of the user_id; `<time>`: base 62 of the start in Unix
    milliseconds; `<n>`: `number`, two digits.
    """
    users = user_ids.unique()
    # No engine has MD5 of a column: one hash for every worker of the batch.
    first_digits = base62(np.array([_first_digits(user) for user in users], np.int64))
    user = user_ids.replace_strict(users, first_digits, return_dtype=pl.String)
    time = base62(started_at.dt.timestamp("ms").to_numpy())
    order = pl.Series(number).cast(pl.String).str.zfill(2)
    return pl.select(pl.concat_str(pl.lit("wb"), user, time, order, separator=":")).to_series()


def base62(values: Ints) -> pl.Series:
    """Whole numbers from 0 in the alphabet 0-9A-Za-z, without leading zeros."""
    width = 1
    while len(values) and 62**width <= int(values.max()):
        width += 1
    powers = np.array([62**place for place in reversed(range(width))], np.int64)
    digits = ALPHABET[values[:, np.newaxis] // powers % 62]
    words = pl.Series(digits.view(f"S{width}").ravel().tolist(), dtype=pl.Binary).cast(pl.String)
    return words.str.replace("^0+(.)", "$1")


def _first_digits(user_id: str) -> int:
    """The number that the first 10 base 62 digits of the MD5 stand for."""
    number = int.from_bytes(hashlib.md5(user_id.encode(), usedforsecurity=False).digest(), "big")
    digits = 22
    while digits > 10 and number < 62 ** (digits - 1):
        digits -= 1
    return number // int(62 ** (digits - 10))
