"""A worker's day against the same worker's own past (domain, section 4); computed when read, never stored."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

KEYS = ("tenant_id", "date", "user_id")
_MAD_TO_SIGMA = 0.6745


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
    series = ["tenant_id", "user_id", "measure"]
    ordered = kpi_daily.select(*KEYS, "measure", "value", "unit").sort(*series, "date")
    past = pl.col("value").drop_nulls()
    return (
        ordered.join(
            ordered.rolling(
                "date",
                period=f"{rules.baseline_days}d",
                offset=f"-{rules.baseline_days}d",
                closed="left",
                group_by=series,
            ).agg(
                median_28d=past.median(),
                mad=(past - past.median()).abs().median(),
                baseline_days=past.len().cast(pl.Int32),
            ),
            on=[*series, "date"],
            how="left",
        )
        .with_columns(
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
