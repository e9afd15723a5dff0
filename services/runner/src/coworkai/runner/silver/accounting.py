"""The accounting identity: no second of evidence is lost, invented or counted twice (domain, section 3).

For every worker, local date and device, in whole microseconds:

    raw = kept + overlapped          each summed from its own stretches, none by subtraction
    kept = union of the raw intervals, for every worker and local date
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.common.errors import AccountingError
from coworkai.runner.lanes import Ints, dates, group_codes, sums_by
from coworkai.runner.silver.local_days import DayLanes, Split

AUDIT = pl.Schema(
    {
        "tenant_id": pl.String,
        "date": pl.Date,
        "user_id": pl.String,
        "device_id": pl.String,
        "raw_us": pl.Int64,
        "kept_us": pl.Int64,
        "overlapped_us": pl.Int64,
        "zero_length": pl.Int64,
    }
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Stretches of activities cut at local midnights, and the activity (row of the input) of each."""

    parts: Split
    rows: Ints


def audit_days(
    days: DayLanes,
    workers: pl.DataFrame,
    device_ids: pl.Series,
    *,
    raw: Evidence,
    kept: Evidence,
    hidden: Evidence,
    union: Split,
    zero_length: Ints,
    zero_length_stretch: Ints,
) -> pl.DataFrame:
    """One row for every worker, local date and device with an activity; the columns of AUDIT, sorted.

    `workers`: tenant_id, user_id by worker code; `device_ids`: by row of the activities. `zero_length`: rows
    of the activities without length. Raises AccountingError when the identity of this module does not hold.
    """
    devices = group_codes([device_ids.to_frame("device_id")], ["device_id"])
    device, device_total = devices.codes[0], max(len(devices), 1)
    first = days.date.min(initial=0)
    date_total = int(days.date.max(initial=0) - first) + 1
    worker_day = days.worker * date_total + days.date - first
    day_total = workers.height * date_total
    cell_total = day_total * device_total

    def microseconds_by_cell(evidence: Evidence) -> tuple[Ints, Ints]:
        cell = worker_day[evidence.parts.stretch] * device_total + device[evidence.rows]
        return sums_by(cell, evidence.parts.end - evidence.parts.start, cell_total)

    counted = sums_by(
        worker_day[zero_length_stretch] * device_total + device[zero_length],
        np.ones_like(zero_length),
        cell_total,
    )
    sums = [microseconds_by_cell(evidence) for evidence in (raw, kept, hidden)]
    cells = np.unique(np.concatenate([keys for keys, _ in (*sums, counted)]))
    raw_us, kept_us, overlapped_us, none = (_spread(cells, keys, values) for keys, values in (*sums, counted))

    broken = raw_us != kept_us + overlapped_us
    kept_by_day = sums_by(cells // device_total, kept_us, day_total)
    union_by_day = sums_by(worker_day[union.stretch], union.end - union.start, day_total)
    disputed = _spread(kept_by_day[0], *union_by_day) != kept_by_day[1]
    if broken.any() or disputed.any():
        raise AccountingError(
            f"raw differs from kept + overlapped on {int(broken.sum())} worker-days, "
            f"kept from the union of the raw intervals on {int(disputed.sum())}"
        )
    day = cells // device_total
    return pl.DataFrame(
        [
            workers["tenant_id"].gather(day // date_total),
            dates(day % date_total + first).alias("date"),
            workers["user_id"].gather(day // date_total),
            devices.table["device_id"].gather(cells % device_total),
            pl.Series("raw_us", raw_us),
            pl.Series("kept_us", kept_us),
            pl.Series("overlapped_us", overlapped_us),
            pl.Series("zero_length", none),
        ],
        schema=AUDIT,
    )


def _spread(cells: Ints, keys: Ints, values: Ints) -> Ints:
    """`values` at the places of their `keys` in `cells`, 0 elsewhere; keys that are no cell are left out."""
    spread = np.zeros(len(cells), np.int64)
    place = np.searchsorted(cells, keys)
    known = np.append(cells, np.int64(-1))[place] == keys
    spread[place[known]] = values[known]
    return spread
