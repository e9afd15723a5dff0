"""A worker's day against the same worker's own past (domain, section 4); computed when read, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

KEYS = ("tenant_id", "date", "user_id")
_SERIES = ("tenant_id", "user_id", "measure")
_MAD_TO_SIGMA = 0.6745
_VALUES = pl.col("value").drop_nulls()
_PAST = (
    _VALUES.median().alias("median_28d"),
    (_VALUES - _VALUES.median()).abs().median().alias("mad"),
    _VALUES.len().cast(pl.Int32).alias("baseline_days"),
)


@dataclass(frozen=True, slots=True)
class BaselineRules:
    """Numbers of the baselines. Every one is a named setting with its default."""

    baseline_days: int = 28
    """Calendar days before the day that its baseline is taken from."""
    baseline_min_days: int = 7
    """With fewer days than this that have a value there is no baseline."""


DEFAULT_RULES = BaselineRules()


def baselines(kpi_daily: pl.DataFrame, rules: BaselineRules = DEFAULT_RULES) -> pl.DataFrame:
    """Each value against the same worker's own past 28 days; applied when read, never stored.

    Returns tenant_id, date, user_id, measure, value, unit, median_28d, mad_z, baseline_days, sorted by
    tenant_id, date, user_id, measure. `baseline_days` are the days before with a value; below
    `baseline_min_days` median and z are null. mad_z = 0.6745 x (value - median) / MAD; where the MAD is 0
    it is 0 for a value equal to the median, else null.
    """
    ordered = kpi_daily.select(*KEYS, "measure", "value", "unit").sort(*_SERIES, "date")
    past = ordered.rolling(
        "date",
        period=f"{rules.baseline_days}d",
        offset=f"-{rules.baseline_days}d",
        closed="left",
        group_by=_SERIES,
    ).agg(_PAST)
    return _compared(ordered.join(past, on=[*_SERIES, "date"], how="left"), rules)


def baselines_on(kpi_daily: pl.DataFrame, day: date, rules: BaselineRules = DEFAULT_RULES) -> pl.DataFrame:
    """The rows of `baselines` of one date, for a fraction of its cost."""
    first = day - timedelta(days=rules.baseline_days)
    past = kpi_daily.filter(pl.col("date").is_between(first, day, closed="left")).group_by(_SERIES).agg(_PAST)
    current = kpi_daily.filter(pl.col("date") == day).select(*KEYS, "measure", "value", "unit")
    joined = current.join(past, on=_SERIES, how="left").with_columns(pl.col("baseline_days").fill_null(0))
    return _compared(joined, rules)


def _compared(values: pl.DataFrame, rules: BaselineRules) -> pl.DataFrame:
    """Values with median_28d, mad and baseline_days of their past, as `baselines` returns them."""
    return (
        values.with_columns(
            pl.when(pl.col("baseline_days") >= rules.baseline_min_days).then(name).alias(name)
            for name in ("median_28d", "mad")
        )
        .with_columns(distance=pl.col("value") - pl.col("median_28d"))
        .with_columns(
            mad_z=pl.when(pl.col("mad") > 0)
            .then(_MAD_TO_SIGMA * pl.col("distance") / pl.col("mad"))
            .when(pl.col("distance") == 0)
            .then(0.0)
        )
        .sort(*KEYS, "measure")
        .select(*KEYS, "measure", "value", "unit", "median_28d", "mad_z", "baseline_days")
    )
