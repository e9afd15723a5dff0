"""Anomalies of telemetry health: a worker's day against their own trailing weeks (docs/domain.md section
3).

    value  ·  ·   ·  ·    ·   ·  ·  ·   ●     median and MAD of the 28 days before, never of other people
           ╰────── 28 days ────────╯   day

Computed when the audit is read, so a day that arrives late changes no stored row of another day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import polars as pl

MEASURES: Mapping[str, float] = MappingProxyType(
    {
        "records": 1.0,
        "duplicates": 1.0,
        "quarantined": 1.0,
        "late_records": 1.0,
        "drift_fields": 0.25,
        "clock_skew_s": 1.0,
        "delay_s": 1.0,
        "coverage": 0.02,
        "longest_gap_s": 60.0,
        "overlapped_s": 60.0,
    }
)
"""Measures of the audit, and the least scale of their deviations in their own unit."""

_MAD_TO_SIGMA = 1.4826
_SERIES = ("tenant_id", "user_id", "source", "measure")


@dataclass(frozen=True, slots=True)
class AnomalyRules:
    """Numbers of the flags that are computed when the audit is read."""

    baseline_days: int = 28
    """Calendar days before the day that its baseline is taken from."""
    min_days: int = 7
    """Fewer days than this with a row in the baseline flag nothing."""
    threshold: float = 3.5
    """A deviation beyond this many scaled MADs is an anomaly."""
    relative_floor: float = 0.05
    """The scale is at least this share of the median, so that a very regular worker is not flagged for
    trifles.
    """


DEFAULT_RULES = AnomalyRules()


def health_anomalies(
    health: pl.DataFrame, days: Collection[date] | None = None, rules: AnomalyRules = DEFAULT_RULES
) -> pl.DataFrame:
    """Every measure of every worker, source and day against its baseline.

    `health`: rows of `silver/telemetry_health` of `days` (of all when None) and the 28 days before them.
    Returns tenant_id, date, user_id, source, measure, value, median_28d and mad_28d (in the measure's
    unit), days_28d (days with a value in the baseline), mad_z, is_anomaly; in order of tenant, date,
    worker, source and measure. A worker's devices make one value: counts and seconds are summed, of skew,
    delay, gap and drift it is the worst device, of coverage the best. mad_z is (value - median) over the
    greatest of the scaled MAD, a share of the median, and the measure's least scale. Rows of nobody are
    left out.
    """
    series = _series(health)
    baselines = series.rolling("date", period=f"{rules.baseline_days}d", closed="left", group_by=_SERIES).agg(
        median_28d=pl.col("value").median(),
        mad_28d=(pl.col("value") - pl.col("value").median()).abs().median(),
        days_28d=pl.col("value").count().cast(pl.Int64),
    )
    scale = pl.max_horizontal(
        pl.col("mad_28d") * _MAD_TO_SIGMA,
        pl.col("median_28d").abs() * rules.relative_floor,
        pl.col("measure").replace_strict(dict(MEASURES), return_dtype=pl.Float64),
    )
    flagged = (
        series.join(baselines, on=[*_SERIES, "date"], nulls_equal=True)
        .with_columns(mad_z=(pl.col("value") - pl.col("median_28d")) / scale)
        .with_columns(
            is_anomaly=(
                (pl.col("days_28d") >= rules.min_days) & (pl.col("mad_z").abs() > rules.threshold)
            ).fill_null(value=False)
        )
    )
    if days is not None:
        flagged = flagged.filter(pl.col("date").is_in(list(days)))
    order = ["tenant_id", "date", "user_id", "source", "measure"]
    return flagged.select(*order, "value", "median_28d", "mad_28d", "days_28d", "mad_z", "is_anomaly").sort(
        order, nulls_last=False
    )


def _series(health: pl.DataFrame) -> pl.DataFrame:
    """Long rows (_SERIES, date, value) in order of date."""
    skew = pl.col("clock_skew_s").drop_nulls()
    return (
        health.drop_nulls("user_id")
        .with_columns(pl.col("drift_fields").list.len().cast(pl.Int64))
        .group_by("tenant_id", "user_id", "source", "date")
        .agg(
            pl.col("records", "duplicates", "quarantined", "late_records").sum(),
            pl.when(pl.col("overlapped_s").count() > 0).then(pl.col("overlapped_s").sum()),
            pl.col("delay_s", "longest_gap_s", "coverage", "drift_fields").max(),
            clock_skew_s=skew.sort_by(skew.abs(), skew).last(),
        )
        .unpivot(
            list(MEASURES),
            index=["tenant_id", "user_id", "source", "date"],
            variable_name="measure",
            value_name="value",
        )
        .cast({"value": pl.Float64})
        .sort("date")
    )
