"""How worker-days become groups, weeks and ranges: the catalogue's aggregations as expressions.

Frames are wide: a row a worker and day, a column a measure. Rules: `docs/domain.md` section 4.
"""

from __future__ import annotations

import polars as pl

from coworkai.common.measures import CATALOGUE, Aggregation, Measure

_SECOND_US = 1_000_000


def quotient(measure: Measure, numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Value of a ratio; null where the denominator is 0 or missing."""
    return pl.when(denominator > 0).then(numerator / denominator * measure.scale).alias(measure.name)


def needed_for(measure: Measure) -> tuple[str, ...]:
    """Measures whose columns `aggregate` needs, the measure itself among them."""
    match measure.aggregation:
        case Aggregation.RATIO:
            return measure.name, str(measure.numerator), str(measure.denominator)
        case Aggregation.ACTIVE_WEIGHTED:
            return measure.name, "active_s"
        case Aggregation.SUM | Aggregation.MEAN:
            return (measure.name,)


def aggregate(measure: Measure) -> pl.Expr:
    """Value of a measure over the worker-days of a cell that have one; null where none has."""
    value = pl.col(measure.name)
    known = value.is_not_null()

    def exact_sum(column: str) -> pl.Expr:
        us = (pl.col(column) * _SECOND_US).round().cast(pl.Int64)
        return us.filter(known).sum() / _SECOND_US

    match measure.aggregation:
        case Aggregation.SUM:
            return pl.when(known.any()).then(exact_sum(measure.name))
        case Aggregation.RATIO:
            return quotient(measure, exact_sum(str(measure.numerator)), exact_sum(str(measure.denominator)))
        case Aggregation.ACTIVE_WEIGHTED:
            weight = pl.col("active_s").filter(known)
            return pl.when(weight.sum() > 0).then((value.filter(known) * weight).sum() / weight.sum())
        case Aggregation.MEAN:
            return value.mean()


def contributors(measure: Measure) -> pl.Expr:
    """How many workers of a cell have a value, of `user_id`."""
    return pl.col("user_id").filter(pl.col(measure.name).is_not_null()).n_unique().cast(pl.Int32)


def units() -> pl.Expr:
    """The unit of every row's `measure`."""
    return pl.col("measure").replace_strict(
        {measure.name: measure.unit.value for measure in CATALOGUE.values()}, return_dtype=pl.String
    )
