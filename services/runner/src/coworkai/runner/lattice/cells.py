"""Cells of the lattice: (team, department, tenant) x (day, ISO week) x measure, made of published blocks.

A day's cell is told when whole blocks make it up; a week's is the days of it that are told, and says how many
they are. So no cell tells anything that its blocks do not. What is not told is there all the same, for every
group that the organisation has, so that a missing cell does not tell that nobody worked:

    primary        fewer than `min_group` contributors, or one of them is nearly all of it
    complementary  it would tell such a cell by subtraction

A reason stays as long as the cell is not told: one that changed would tell of somebody's late data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from coworkai.common.measures import CATALOGUE, Aggregation, Measure
from coworkai.common.tables import GOLD_KPI_LATTICE
from coworkai.runner.lattice.blocks import CELL, SafetyRules, is_safe_cell, merge, newest, sums_of_blocks
from coworkai.runner.stage1.org_context import KEYS, with_org

LEVELS = ("team", "department", "tenant")
DAY, WEEK = "day", "week"
_GROUP = ("date", "level", "group_id")
_KEY = ("date", "period", "level", "group_id", "measure")
_DIGITS = 6
_MILLION = 10**_DIGITS


class Suppressed(StrEnum):
    """Why a cell is not told."""

    PRIMARY = "primary"
    COMPLEMENTARY = "complementary"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a measure of a group is made of sums: (sum of `numerator` - sum of `minus`) / sum of `denominator`.

    Without a denominator a MEAN is divided by its worker-days, a sum by nothing. Weighted measures are summed
    as value x active time.
    """

    numerator: str
    minus: str | None = None
    denominator: str | None = None


def terms_of(measure: Measure) -> Terms:
    if measure.name == "active_net_s":
        return Terms("active_s", minus="idle_s")
    if measure.aggregation is Aggregation.RATIO:
        return Terms(str(measure.numerator), denominator=measure.denominator)
    if measure.aggregation is Aggregation.ACTIVE_WEIGHTED:
        return Terms(measure.name, denominator="active_s")
    return Terms(measure.name)


TERMS: Mapping[str, Terms] = {name: terms_of(measure) for name, measure in CATALOGUE.items()}
SUMMED = tuple(dict.fromkeys(terms.numerator for terms in TERMS.values()))
"""What blocks are made of: measures that add up, and no two of which add up to a third."""
_WEIGHTED = [name for name in SUMMED if CATALOGUE[name].aggregation is Aggregation.ACTIVE_WEIGHTED]
_TERMS = pl.DataFrame(
    [
        {
            "measure": name,
            "numerator": terms.numerator,
            "other": terms.minus or terms.denominator,
            "is_minus": terms.minus is not None,
            "is_mean": CATALOGUE[name].aggregation is Aggregation.MEAN,
            "is_weighted": name in _WEIGHTED,
            "scale": CATALOGUE[name].scale,
            "unit": CATALOGUE[name].unit.value,
        }
        for name, terms in TERMS.items()
    ],
    schema_overrides={"other": pl.String},
)


def values_of(kpi_daily: pl.DataFrame, org_members: pl.DataFrame) -> pl.DataFrame:
    """What workers contribute to blocks: date, measure (one of SUMMED), user_id, team, department, value.

    `kpi_daily` are whole days, `org_members` the tenant's whole history. Workers without a value have no row.
    """
    known = kpi_daily.filter(pl.col("value").is_not_null())
    active = known.filter(measure="active_s").select("date", "user_id", weight="value")
    weighted = pl.col("measure").is_in(_WEIGHTED)
    who = with_org(known.select(KEYS).unique(), org_members, "UTC")
    return (
        known.filter(pl.col("measure").is_in(SUMMED))
        .join(active, on=["date", "user_id"], how="left")
        .with_columns(value=pl.when(weighted).then(pl.col("value") * pl.col("weight")).otherwise("value"))
        .drop_nulls("value")
        .join(who.select("date", "user_id", "team", "department"), on=["date", "user_id"])
        .select(*CELL, "user_id", "team", "department", "value")
        .sort(*CELL, "user_id")
    )


def groups_of(org_members: pl.DataFrame, days: pl.DataFrame, tenant_id: str) -> pl.DataFrame:
    """Groups that the organisation has on each of the days (`date`): date, level, group_id."""
    valid = (
        org_members.select("team", "department", "valid_from", "valid_to")
        .join(days, how="cross")
        .filter(
            pl.col("valid_from") <= pl.col("date"),
            pl.col("valid_to").is_null() | (pl.col("date") < pl.col("valid_to")),
        )
    )
    named = [
        valid.select("date", level=pl.lit(level), group_id=level).drop_nulls().unique()
        for level in ("team", "department")
    ]
    return pl.concat([*named, days.select("date", level=pl.lit("tenant"), group_id=pl.lit(tenant_id))])


def cells(
    contributions: pl.DataFrame,
    values: pl.DataFrame,
    groups: pl.DataFrame,
    before: pl.DataFrame,
    rules: SafetyRules,
    *,
    tenant_id: str,
    weeks: Sequence[object],
) -> pl.DataFrame:
    """The lattice of the days in `groups`, and of the ISO weeks that begin on the dates `weeks`.

    `contributions`: every version of every block of these days; `values`: as `values_of` gives, to tell why a
    cell is not told; `before`: the lattice as it is, whose reasons stay. Returns the columns of
    `gold/kpi_lattice` without tenant_id and run_id, sorted by key.
    """
    members = _by_level(newest(contributions), tenant_id)
    told = _told(newest(contributions), members, rules)
    days = _measures(told)
    listed = pl.concat([groups, days.select(_GROUP)]).unique()
    grid = listed.join(_TERMS.select("measure", "unit"), how="cross").join(
        days, on=[*_GROUP, "measure"], how="left"
    )
    unsafe = _unsafe(_by_level(values, tenant_id), rules)
    of_days = (
        grid.join(unsafe, on=[*_GROUP, "measure"], how="left")
        .with_columns(
            period=pl.lit(DAY),
            days_covered=pl.lit(1, pl.Int32),
            is_primary=pl.col("is_safe").fill_null(value=False).not_(),
        )
        .select(*_COMPUTED)
    )
    of_weeks = _weeks(of_days, members, weeks)
    return _finished(pl.concat([of_days, of_weeks]), before)


_COMPUTED = (
    *_KEY,
    "unit",
    "is_told",
    "numerator",
    "denominator",
    "contributors",
    "days_covered",
    "published_at",
    "is_primary",
)


def _by_level(rows: pl.DataFrame, tenant_id: str) -> pl.DataFrame:
    """The rows once for each group that they are of, with level and group_id."""
    whole = rows.with_columns(tenant=pl.lit(tenant_id))
    return pl.concat(
        whole.with_columns(level=pl.lit(level), group_id=level).drop("tenant") for level in LEVELS
    ).drop_nulls("group_id")


def _told(rows: pl.DataFrame, members: pl.DataFrame, rules: SafetyRules) -> pl.DataFrame:
    """Sums of groups and whether they may be told: the groups of which no block is only a part, or unsafe."""
    blocks = merge(sums_of_blocks(rows), rules).select(*CELL, "block", "merged", "is_safe")
    sizes = rows.join(blocks, on=[*CELL, "block"]).group_by(*CELL, "merged").len("whole")
    summed = [*_GROUP, "measure"]
    parts = (
        members.join(blocks, on=[*CELL, "block"])
        .group_by(*summed, "merged")
        .agg(
            is_safe=pl.col("is_safe").first(),
            # In whole millionths, so that a sum does not depend on the order of rows.
            total=(pl.col("value") * _MILLION).round().cast(pl.Int64).sum(),
            people=pl.len().cast(pl.Int32),
            positive=(pl.col("value") > 0).sum().cast(pl.Int32),
            published_at=pl.col("published_at").max(),
        )
        .join(sizes, on=[*CELL, "merged"])
    )
    return parts.group_by(summed).agg(
        is_told=((pl.col("people") == pl.col("whole")) & pl.col("is_safe")).all(),
        total=pl.col("total").sum() / _MILLION,
        people=pl.col("people").sum(),
        positive=pl.col("positive").sum(),
        published_at=pl.col("published_at").max(),
    )


def _measures(told: pl.DataFrame) -> pl.DataFrame:
    """Measures of groups and days: the group, measure, is_told, numerator, denominator, contributors,
    published_at. The denominator is null where there is none."""
    other = told.select(
        *_GROUP,
        other="measure",
        other_told="is_told",
        other_total="total",
        other_positive="positive",
        other_at="published_at",
    )
    total = pl.col("total") - pl.when("is_minus").then("other_total").otherwise(0)
    # Active time of somebody who has no value would weigh nothing.
    is_weighed = ~pl.col("is_weighted") | (pl.col("people") == pl.col("other_positive"))
    return (
        told.rename({"measure": "numerator"})
        .join(_TERMS, on="numerator")
        .join(other, on=[*_GROUP, "other"], how="left")
        .select(
            *_GROUP,
            "measure",
            is_told=pl.col("is_told")
            & (pl.col("other").is_null() | pl.col("other_told").fill_null(value=False))
            & is_weighed.fill_null(value=False),
            numerator=total,
            denominator=pl.when("is_mean")
            .then(pl.col("people").cast(pl.Float64))
            .when(~pl.col("is_minus"))
            .then("other_total"),
            contributors="people",
            published_at=pl.max_horizontal("published_at", "other_at"),
        )
    )


def _unsafe(values: pl.DataFrame, rules: SafetyRules) -> pl.DataFrame:
    """Whether what a measure is made of would be safe by itself: the group, measure, is_safe."""
    safe = values.group_by(*_GROUP, "measure").agg(is_safe=is_safe_cell(pl.col("value"), rules))
    other = safe.rename({"measure": "other", "is_safe": "other_safe"})
    return (
        safe.rename({"measure": "numerator"})
        .join(_TERMS.select("measure", "numerator", "other"), on="numerator")
        .join(other, on=[*_GROUP, "other"], how="left")
        .select(
            *_GROUP,
            "measure",
            is_safe=pl.col("is_safe")
            & (pl.col("other").is_null() | pl.col("other_safe").fill_null(value=False)),
        )
    )


def _weeks(of_days: pl.DataFrame, members: pl.DataFrame, weeks: Sequence[object]) -> pl.DataFrame:
    """Weeks of the days that are told."""
    week = pl.col("date").dt.truncate("1w").alias("date")
    told = of_days.filter("is_told")
    cell = ["level", "group_id", "measure"]
    people = (
        members.rename({"measure": "numerator"})
        .join(_TERMS.select("measure", "numerator"), on="numerator")
        .join(told.select(*_GROUP, "measure"), on=[*_GROUP, "measure"], how="semi")
        .group_by(week, *cell)
        .agg(contributors=pl.col("user_id").n_unique().cast(pl.Int32))
    )
    sums = told.group_by(week, *cell).agg(
        is_told=pl.lit(value=True),
        numerator=pl.col("numerator").sort_by("date").sum().round(_DIGITS),
        denominator=pl.when(pl.col("denominator").is_not_null().all()).then(
            pl.col("denominator").sort_by("date").sum().round(_DIGITS)
        ),
        days_covered=pl.len().cast(pl.Int32),
        published_at=pl.col("published_at").max(),
    )
    return (
        of_days.group_by(week, *cell, "unit")
        .agg(is_primary=pl.col("is_primary").all())
        .filter(pl.col("date").is_in(list(weeks)))
        .join(sums, on=["date", *cell], how="left")
        .join(people, on=["date", *cell], how="left")
        .with_columns(period=pl.lit(WEEK))
        .select(*_COMPUTED)
    )


def _finished(computed: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Values of what is told, reasons of what is not."""
    is_told = pl.col("is_told").fill_null(value=False)
    reason = (
        pl.when("is_primary")
        .then(pl.lit(Suppressed.PRIMARY.value))
        .otherwise(pl.lit(Suppressed.COMPLEMENTARY.value))
    )
    value = pl.col("numerator") / pl.col("denominator").fill_null(1) * pl.col("scale")
    return (
        computed.join(before.select(*_KEY, "suppressed"), on=_KEY, how="left")
        .join(_TERMS.select("measure", "scale"), on="measure")
        .with_columns(
            pl.when(is_told).then(value.round(_DIGITS)).alias("value"),
            pl.when(is_told).then("contributors").alias("contributors"),
            pl.when(is_told).then("days_covered").otherwise(pl.lit(0, pl.Int32)).alias("days_covered"),
            pl.when(is_told).then("published_at").alias("published_at"),
            pl.when(~is_told).then(pl.coalesce("suppressed", reason)).alias("suppressed"),
        )
        .sort(_KEY)
        .select(name for name in GOLD_KPI_LATTICE.schema if name not in {"tenant_id", "run_id"})
    )
