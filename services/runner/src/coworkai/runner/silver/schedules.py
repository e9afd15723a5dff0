"""When a worker is scheduled, in UTC (docs/domain.md section 3, "coverage").

09:00–17:00   00├────────▓▓▓▓▓▓▓▓▓▓▓▓▓▓───────┤24      one window of the local date
22:00–06:00   00├▓▓▓▓▓▓───────────────────▓▓▓▓┤24      a night shift has both ends of it
"""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import TIMESTAMP
from coworkai.runner.silver.org_history import on_day

_NAIVE = pl.Datetime("us")
_EDGES = ("first_from", "first_to", "second_from", "second_to")


def scheduled_windows(days: pl.DataFrame, members: pl.DataFrame, tenant_zone: str) -> pl.DataFrame:
    """`days` (tenant_id, date, user_id; distinct) with first_from, first_to, second_from, second_to (UTC,
    the second window empty but for night shifts) and scheduled_minutes (Int64), all null where no
    schedule is known.

    A time that a change of clocks skips is taken as far after the change as it says; one that comes twice
    is the first. Equal start and end are no schedule. Order of rows is not kept.
    """
    start, end = _clock("schedule_start"), _clock("schedule_end")
    midnight, next_midnight = pl.col("date").cast(_NAIVE), pl.col("date").cast(_NAIVE) + pl.duration(days=1)
    overnight = end < start
    local = on_day(days, members).with_columns(
        pl.col("time_zone").fill_null(tenant_zone),
        first_from=pl.when(overnight).then(midnight).otherwise(midnight + start),
        first_to=pl.when(start != end).then(midnight + end),
        second_from=pl.when(overnight).then(midnight + start).otherwise(next_midnight),
        second_to=next_midnight,
    )
    known = pl.all_horizontal(pl.col("first_from", "first_to").is_not_null())
    parts = [
        part.with_columns(_to_utc(pl.col(edge), zone if _is_zone(zone) else tenant_zone) for edge in _EDGES)
        for (zone,), part in local.partition_by("time_zone", as_dict=True).items()
        if isinstance(zone, str)
    ]
    windows = pl.concat(parts) if parts else local.with_columns(pl.col(_EDGES).cast(TIMESTAMP))
    minutes = sum(
        ((pl.col(to) - pl.col(from_)).dt.total_minutes() for from_, to in (_EDGES[:2], _EDGES[2:])),
        start=pl.lit(0, pl.Int64),
    )
    return windows.with_columns(pl.when(known).then(edge) for edge in _EDGES).select(
        *days.columns, *_EDGES, scheduled_minutes=minutes
    )


def _clock(column: str) -> pl.Expr:
    parts = pl.col(column).str.split(":")
    return pl.duration(
        hours=parts.list.get(0, null_on_oob=True).cast(pl.Int64, strict=False),
        minutes=parts.list.get(1, null_on_oob=True).cast(pl.Int64, strict=False),
    )


def _to_utc(local: pl.Expr, zone: str) -> pl.Expr:
    hours = pl.duration(hours=3)

    def at(time: pl.Expr) -> pl.Expr:
        return time.dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        ).dt.convert_time_zone("UTC")

    return at(local).fill_null(at(local - hours) + hours)


def _is_zone(name: str) -> bool:
    try:
        pl.Series([0], dtype=TIMESTAMP).dt.convert_time_zone(name)
    except pl.exceptions.ComputeError:
        return False
    return True
