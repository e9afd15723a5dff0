"""Stage 1: from Silver to workblocks, atomic slices, usage statistics and the day's accounting.

    timeline ──▶ real activities ─┐
                                  ├─▶ match keystrokes ─▶ workblocks ─▶ slices ─▶ usage, accounting
    keystrokes ─▶ minutes ────────┘      + synthetic activities

Invariants, checked on every run: every keystroke minute is matched once, and the timeline holds exactly the
seconds that the health audit kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.common.errors import AccountingError
from coworkai.common.events import Source
from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_SLICES, GOLD_WORKBLOCKS, Table
from coworkai.runner.lanes import NONE, SECOND_US, Ints, Mask, distinct, gather, totals
from coworkai.runner.stage1.activities import (
    Activities,
    Kind,
    Minutes,
    Words,
    read_activities,
    read_minutes,
    read_words,
)
from coworkai.runner.stage1.idle import overlaps
from coworkai.runner.stage1.keystroke_log import keystroke_logs
from coworkai.runner.stage1.match_keystrokes import Matches, Phase, match_keystrokes
from coworkai.runner.stage1.rules import DEFAULT_RULES, Stage1Rules
from coworkai.runner.stage1.slices import Pieces, Slices, ambiguous_minutes, cut_pieces, merge_slices
from coworkai.runner.stage1.usage import usage_statistics
from coworkai.runner.stage1.workblocks import Blocks, split_into_workblocks, workblock_ids
from coworkai.runner.stage1.worker_days import WorkerDays

TIMELINE_COLUMNS = (
    "tenant_id",
    "date",
    "user_id",
    "started_at",
    "ended_at",
    "app",
    "url",
    "title",
    "cut_start",
    "cut_end",
)
"""Columns of `silver/activity_timeline` that Stage 1 reads."""
KEYSTROKE_COLUMNS = (
    "tenant_id",
    "date",
    "user_id",
    "event_id",
    "minute",
    "app",
    "url",
    "title",
    "text",
    "key_count",
)
"""Columns of `silver/keystroke_minutes` that Stage 1 reads."""


@dataclass(frozen=True, slots=True)
class Stage1:
    """Gold frames with their tables' columns but run_id, sorted by tenant, worker and time.

    `matches`, one row a keystroke minute: tenant_id, date, user_id, event_id, phase (Int8, see Phase),
    cross_app, ambiguous, workblock_id and sequence (Int32) of its slice, both null in a block dropped as
    noise.
    """

    workblocks: pl.DataFrame
    atomic_slices: pl.DataFrame
    usage_statistics: pl.DataFrame
    day_accounting: pl.DataFrame
    matches: pl.DataFrame


def build_stage1(
    timeline: pl.DataFrame,
    keystrokes: pl.DataFrame,
    idle: pl.DataFrame,
    health: pl.DataFrame,
    rules: Stage1Rules = DEFAULT_RULES,
) -> Stage1:
    """Compute Stage 1 of the worker-days in the frames; other columns and the order of rows do not matter.

    `timeline`: TIMELINE_COLUMNS of `silver/activity_timeline`, disjoint within a worker-day. `keystrokes`:
    KEYSTROKE_COLUMNS of `silver/keystroke_minutes`. `idle`: the columns of `idle.IDLE`. `health`: tenant_id,
    date, user_id, source, raw_s, kept_s, overlapped_s of `silver/telemetry_health`. Raises
    AccountingError when an invariant of this module does not hold, ValueError for pieces that overlap and
    times that are not on their row's date.
    """
    audit = health.filter(
        pl.col("source") == Source.ACTIVITIES.value,
        pl.col("user_id").is_not_null(),
        pl.col("raw_s").is_not_null(),
    )
    days = WorkerDays.of([timeline, keystrokes, audit])
    words = read_words(timeline, keystrokes)
    minutes = read_minutes(keystrokes, words, days)
    matches = match_keystrokes(read_activities(timeline, words, days), minutes, rules)
    activities = matches.activities
    context = words.context(activities.app, activities.url, activities.title)
    blocks = split_into_workblocks(activities, rules)
    pieces = cut_pieces(matches, minutes, blocks.is_kept[blocks.of_activity])
    slices = merge_slices(pieces, activities, context, blocks, rules)
    day = Day(
        days,
        words,
        minutes,
        matches,
        blocks,
        pieces,
        slices,
        ambiguous_minutes(activities, context, minutes),
        days.stretches(idle),
    )
    ids = day.workblock_ids()
    return Stage1(
        day.workblocks(ids),
        day.atomic_slices(ids, keystrokes),
        usage_statistics(activities, words, blocks, days, rules),
        day.accounting(audit),
        day.match_rows(ids, keystrokes),
    )


@dataclass(frozen=True, slots=True)
class Day:
    """What the rules found, to be written as frames. `evidence` is the activities' union; `ambiguous` is by
    keystroke minute, `idle` disjoint stretches."""

    days: WorkerDays
    words: Words
    minutes: Minutes
    matches: Matches
    blocks: Blocks
    pieces: Pieces
    slices: Slices
    ambiguous: Mask
    idle: tuple[Ints, Ints]

    @property
    def activities(self) -> Activities:
        return self.matches.activities

    def workblock_ids(self) -> pl.Series:
        """By block, null for noise."""
        kept = self.blocks.is_kept
        users = self.days.columns(self.blocks.day[kept])["user_id"]
        ids = workblock_ids(
            users,
            self.days.timestamps(self.blocks.start[kept], self.blocks.day[kept]),
            self.blocks.number[kept],
        )
        return gather(ids, np.where(kept, np.cumsum(kept) - 1, NONE))

    def workblocks(self, ids: pl.Series) -> pl.DataFrame:
        blocks, total = self.blocks, len(self.blocks.start)
        evidence = self.activities.evidence
        idle = overlaps(self.idle, evidence.start, evidence.end)
        idle_us = totals(blocks.of_activity[evidence.activity[idle.part]], idle.end - idle.start, total)
        slice_app = self.activities.app[self.pieces.activity[self.slices.first]]
        apps = max(len(self.words.apps), 1)
        block_apps = distinct(self.slices.block * apps + slice_app, total * apps)
        frame = pl.DataFrame(
            self.days.columns(blocks.day)
            | {
                "workblock_id": ids,
                "started_at": self.days.timestamps(blocks.start, blocks.day),
                "ended_at": self.days.timestamps(blocks.end, blocks.day),
                "duration_s": (blocks.end - blocks.start) / SECOND_US,
                "active_s": blocks.active_us / SECOND_US,
                "idle_s": idle_us / SECOND_US,
                "slice_count": np.bincount(self.slices.block, minlength=total),
                "app_count": np.bincount(block_apps // apps, minlength=total),
                "keystroke_minutes": np.bincount(self.block_of_minute, minlength=total),
                "is_continuation": blocks.is_continuation,
            }
        )
        return _columns_of(GOLD_WORKBLOCKS, frame.filter(blocks.is_kept))

    def atomic_slices(self, ids: pl.Series, keystrokes: pl.DataFrame) -> pl.DataFrame:
        slices, activities, total = self.slices, self.activities, len(self.slices)
        named = self.pieces.activity[slices.first]
        kind = activities.kind[named]
        held = slices.of_minute != NONE
        slice_of_held = slices.of_minute[held]

        def any_minute(mask: Mask) -> Mask:
            found = np.zeros(total, np.bool_)
            found[slices.of_minute[held & mask]] = True
            return found

        key_count = gather(keystrokes["key_count"], self.minutes.row[held])
        known = key_count.is_not_null().to_numpy()
        minutes = np.bincount(slice_of_held, minlength=total)
        known_minutes = np.bincount(slice_of_held[known], minlength=total)
        keys = totals(slice_of_held, key_count.fill_null(0).to_numpy(), total)
        idle = overlaps(self.idle, self.pieces.start, self.pieces.end)
        idle_us = totals(slices.of_piece[idle.part], idle.end - idle.start, total)
        day = self.blocks.day[slices.block]
        frame = pl.DataFrame(
            self.days.columns(day)
            | {
                "workblock_id": gather(ids, slices.block),
                "sequence": slices.sequence,
                "started_at": self.days.timestamps(slices.start, day),
                "ended_at": self.days.timestamps(slices.end, day),
                "duration_s": slices.evidence_us / SECOND_US,
                "app": self.words.apps.column(activities.app[named]),
                "url": self.words.urls.column(activities.url[named]),
                "title": self.words.titles.column(activities.title[named]),
                "keystroke_minutes": minutes,
                "key_count": pl.Series(keys).set(pl.Series((minutes > 0) & (known_minutes == 0)), None),
                "keystroke_log": keystroke_logs(
                    gather(keystrokes["text"], self.minutes.row[held]), slice_of_held, total
                ),
                "ambiguous": any_minute(self.ambiguous),
                "multitasking": slices.multitasking,
                "is_synthetic": kind != Kind.REAL,
                "is_gap": kind == Kind.GAP,
                "is_orphan": kind == Kind.ORPHAN,
                "cross_app": any_minute(self.matches.cross_app),
                "idle_s": idle_us / SECOND_US,
            }
        )
        return _columns_of(GOLD_SLICES, frame)

    def accounting(self, audit: pl.DataFrame) -> pl.DataFrame:
        total = len(self.days)
        evidence = self.activities.evidence
        day, us = self.activities.day[evidence.activity], evidence.microseconds
        is_real = self.activities.kind[evidence.activity] == Kind.REAL
        is_noise = ~self.blocks.is_kept[self.blocks.of_activity[evidence.activity]]

        audited = {
            name: totals(
                self.days.groups.codes[2], (audit[name] * SECOND_US).round().cast(pl.Int64).to_numpy(), total
            )
            for name in ("raw_s", "kept_s", "overlapped_s")
        }
        if (audited["raw_s"] != audited["kept_s"] + audited["overlapped_s"]).any():
            raise AccountingError("raw differs from kept + overlapped in the health audit")
        if (audited["kept_s"] != totals(day[is_real], us[is_real], total)).any():
            raise AccountingError("the timeline does not hold the seconds that the health audit kept")

        minute_day = self.minutes.day
        noise_minutes = ~self.blocks.is_kept[self.block_of_minute]
        frame = pl.DataFrame(
            self.days.columns(np.arange(total))
            | {name: values / SECOND_US for name, values in audited.items()}
            | {"keystroke_minutes": np.bincount(minute_day, minlength=total)}
            | {phase.name.lower(): totals(minute_day, self.matches.phase == phase, total) for phase in Phase}
            | {
                "cross_app": totals(minute_day, self.matches.cross_app, total),
                "synthetic_s": totals(day[~is_real], us[~is_real], total) / SECOND_US,
                "noise_s": totals(day[is_noise], us[is_noise], total) / SECOND_US,
                "noise_blocks": totals(self.blocks.day, ~self.blocks.is_kept, total),
                "noise_keystroke_minutes": totals(minute_day, noise_minutes, total),
            }
        )
        return _columns_of(GOLD_ACCOUNTING, frame)

    def match_rows(self, ids: pl.Series, keystrokes: pl.DataFrame) -> pl.DataFrame:
        return pl.DataFrame(
            self.days.columns(self.minutes.day)
            | {
                "event_id": gather(keystrokes["event_id"], self.minutes.row),
                "phase": self.matches.phase,
                "cross_app": self.matches.cross_app,
                "ambiguous": self.ambiguous,
                "workblock_id": gather(ids, self.block_of_minute),
                "sequence": gather(pl.Series(self.slices.sequence, dtype=pl.Int32), self.slices.of_minute),
            }
        )

    @property
    def block_of_minute(self) -> Ints:
        return self.blocks.of_activity[self.matches.activity]


def _columns_of(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The table's columns but run_id, in order and type."""
    return frame.select(pl.col(name).cast(dtype) for name, dtype in table.schema.items() if name != "run_id")
