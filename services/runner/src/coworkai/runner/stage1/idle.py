"""Idle time: a worker was away from their devices (docs/domain.md section 4, "idle time").

A reading says that nothing was typed or moved in `[occurred_at - idle_s, occurred_at]`, which counts from
`idle_min_s` on, and whether the device was locked, which holds until its next reading of the day:

    readings        r1 (idle 20 s)       r2 (idle 400 s)      r3 (locked)        r4
    idle                        ├────────┤                    ├──────────────────┤
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.common.tables import TIMESTAMP
from coworkai.runner.lanes import SECOND_US, Ints, ranges
from coworkai.runner.stage1.rules import DEFAULT_RULES, Stage1Rules
from coworkai.runner.stage1.worker_days import STRIDE, WorkerDays

IDLE = pl.Schema(
    [
        ("tenant_id", pl.String),
        ("date", pl.Date),
        ("user_id", pl.String),
        ("started_at", TIMESTAMP),
        ("ended_at", TIMESTAMP),
    ]
)


def idle_intervals(device_posture: pl.DataFrame, rules: Stage1Rules = DEFAULT_RULES) -> pl.DataFrame:
    """Idle intervals of every worker and local date, disjoint and sorted; the columns of IDLE.

    `device_posture`: tenant_id, date, user_id, device_id, occurred_at, idle_s, locked. A date's intervals
    follow from its own readings alone: they may begin before its midnight, and the lock of its last reading
    proves nothing. Any device of the worker counts.
    """
    readings = device_posture.sort(
        "tenant_id", "user_id", "date", "device_id", "occurred_at", "idle_s", "locked"
    )
    keys = ["tenant_id", "date", "user_id"]
    untouched = readings.filter(pl.col("idle_s") >= rules.idle_min_s).select(
        *keys,
        started_at=pl.col("occurred_at") - pl.duration(microseconds=(pl.col("idle_s") * SECOND_US).round()),
        ended_at="occurred_at",
    )
    locked = (
        readings.with_columns(next_at=pl.col("occurred_at").shift(-1).over(*keys, "device_id"))
        .filter(pl.col("locked"))
        .drop_nulls("next_at")
        .select(*keys, started_at="occurred_at", ended_at="next_at")
    )
    evidence = pl.concat([untouched, locked]).match_to_schema(IDLE)
    days = WorkerDays.of([evidence])
    start, end = days.stretches(evidence)
    day = start // STRIDE
    return pl.DataFrame(
        days.columns(day) | {"started_at": days.timestamps(start, day), "ended_at": days.timestamps(end, day)}
    ).match_to_schema(IDLE)


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Microseconds of idle time in parts of activities: `part` is the index of the part, in no order."""

    part: Ints
    start: Ints
    end: Ints


def overlaps(idle: tuple[Ints, Ints], start: Ints, end: Ints) -> Overlaps:
    """Where disjoint idle stretches meet parts `[start, end)` that are sorted by start and may overlap."""
    idle_start, idle_end = idle
    first = np.searchsorted(np.maximum.accumulate(end), idle_start, "right")
    count = np.maximum(np.searchsorted(start, idle_end, "left") - first, 0)
    part = ranges(first, count)
    begin = np.maximum(start[part], np.repeat(idle_start, count))
    until = np.minimum(end[part], np.repeat(idle_end, count))
    meets = until > begin
    return Overlaps(part[meets], begin[meets], until[meets])
