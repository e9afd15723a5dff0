"""Queries of measures: groups x periods x dates.

    aggregate reach  ─▶ cells of the published lattice as they are, or a refusal: nothing is computed
    individual reach ─▶ workers' days, by the catalogue's aggregations

Invariant: what aggregate reach gets was published as it is, so that no choice of groups, dates and filters,
and no number of queries, tells more than the published lattice does (docs/privacy.md).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from coworkai.common.aggregation import aggregate, contributors, needed_for, units
from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_KPI_LATTICE, SILVER_ORG_MEMBERS
from coworkai.partner_api.gold import Snapshot
from coworkai.partner_api.pages import MAX_RANGE_DAYS
from coworkai.partner_api.problems import Code, FieldError, Refused
from coworkai.partner_api.schemas import DataVersion

SMALLEST_GROUP = 5
"""A value of fewer workers is about them, whatever it is called."""
_DIGITS = 9


class Dimension(StrEnum):
    """What values are grouped by: one kind of group, and one period."""

    WORKER = "worker"
    TEAM = "team"
    DEPARTMENT = "department"
    DAY = "day"
    WEEK = "week"


PERIODS = (Dimension.DAY, Dimension.WEEK)
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=256)]], Field(min_length=1, max_length=500)
]


class Filters(BaseModel):
    """Only these; of several, what all of them let through."""

    model_config = ConfigDict(extra="forbid")

    worker_id: Names | None = Field(default=None, description="days of these workers; needs individual reach")
    team: Names | None = Field(default=None, description="days on which the worker was of one of these teams")
    department: Names | None = Field(default=None, description="likewise, of these departments")


class MetricsQuery(BaseModel):
    """Which measures, of whom, when.

    Aggregate reach: group by `day` or `week`, and by `team`, `department` or neither (the tenant); filter by
    what it is grouped by.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "measures": ["focus_s", "active_s"],
                    "group_by": ["team", "week"],
                    "start_date": "2026-10-05",
                    "end_date": "2026-10-31",
                }
            ]
        },
    )

    measures: list[Annotated[str, Field(json_schema_extra={"enum": list(CATALOGUE)})]] = Field(
        min_length=1, max_length=len(CATALOGUE), description="names in the catalogue, `GET /v1/metrics`"
    )
    group_by: list[Dimension] = Field(
        default=[], max_length=2, description="a kind of group, a period, both or none: the tenant, the range"
    )
    start_date: dt.date = Field(description="first local date")
    end_date: dt.date = Field(
        description=f"last local date, inclusive, at most {MAX_RANGE_DAYS} days; weeks that begin in between"
    )
    filters: Filters = Filters()
    as_of_version: DataVersion | None = Field(
        default=None,
        description="what was published at this `X-Data-Version`; needs individual reach",
    )


class Cell(BaseModel):
    """A measure of a group in a period."""

    date: dt.date = Field(description="first day of the period", examples=["2026-10-26"])
    period: str = Field(description="day, week (ISO, from Monday) or range", examples=["week"])
    level: str = Field(description="worker, team, department or tenant", examples=["team"])
    group_id: str = Field(description="name of the group, or the worker's id", examples=["Platform"])
    measure: str = Field(examples=["focus_s"])
    value: float | None = Field(
        description="null where it is suppressed, or has no meaning", examples=[8100.0]
    )
    unit: str = Field(examples=["s"])
    contributors: int | None = Field(description="workers with a value; null where suppressed", examples=[12])
    suppressed: str | None = Field(
        description="aggregate reach: primary or complementary where the value is not told", examples=[None]
    )
    days_covered: int = Field(description="days whose values it holds", examples=[5])
    published_at: dt.datetime | None = Field(
        description="aggregate reach: when the value was published", examples=["2026-11-03T00:00:00Z"]
    )


_COLUMNS = list(Cell.model_fields)


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, checked. `dates` are the days that it needs, `starts` the first days of its periods."""

    measures: tuple[str, ...]
    level: str
    period: str
    starts: tuple[dt.date, ...]
    dates: tuple[dt.date, ...]
    filters: Filters


def asked(query: MetricsQuery) -> Asked:
    """Raises Refused for measures nobody knows, groups or periods of two kinds, and a range that is none."""
    wrong = [
        FieldError(f"body.measures.{n}", "no measure of the catalogue")
        for n, name in enumerate(query.measures)
        if name not in CATALOGUE
    ]
    groups = [one for one in query.group_by if one not in PERIODS]
    periods = [one for one in query.group_by if one in PERIODS]
    if len(groups) > 1 or len(periods) > 1:
        wrong.append(FieldError("body.group_by", "at most one of worker, team, department; of day, week"))
    if wrong:
        raise Refused(Code.INVALID_BODY, "the query is not valid", errors=wrong)
    days = (query.end_date - query.start_date).days + 1
    if not 1 <= days <= MAX_RANGE_DAYS:
        raise Refused(
            Code.INVALID_RANGE,
            "the range of dates is not valid",
            errors=[FieldError("body.end_date", f"from start_date, and at most {MAX_RANGE_DAYS} days")],
        )
    starts = tuple(query.start_date + dt.timedelta(days=n) for n in range(days))
    dates = starts
    if Dimension.WEEK in periods:
        starts = tuple(day for day in starts if day.weekday() == 0 and dt.date.max - day >= dt.timedelta(7))
        dates = tuple(monday + dt.timedelta(days=n) for monday in starts for n in range(7))
    elif not periods:
        starts = starts[:1]
    return Asked(
        tuple(dict.fromkeys(query.measures)),
        groups[0].value if groups else "tenant",
        periods[0].value if periods else "range",
        starts,
        dates,
        query.filters,
    )


# ------------------------------------------------------------------------------------------- aggregate
def refuse_unpublished(query: MetricsQuery) -> None:
    """Raises Refused for what aggregate reach may not ask; nothing but the query decides."""
    filters, grouped = query.filters, set(query.group_by)
    if Dimension.WORKER in grouped or filters.worker_id is not None:
        raise Refused(
            Code.INDIVIDUAL_REACH_REQUIRED,
            "these credentials have aggregate reach",
            remedy="group by team or department, or use credentials of individual reach",
        )
    wrong = []
    if grouped.isdisjoint(PERIODS):
        wrong.append(FieldError("body.group_by", "day or week"))
    for name, dimension in (("team", Dimension.TEAM), ("department", Dimension.DEPARTMENT)):
        if getattr(filters, name) is not None and dimension not in grouped:
            wrong.append(FieldError(f"body.filters.{name}", f"needs {name} in group_by"))
    if query.as_of_version is not None:
        wrong.append(FieldError("body.as_of_version", "the lattice is read as it is published now"))
    if wrong:
        raise Refused(
            Code.NOT_PUBLISHED,
            "credentials of aggregate reach read cells of the published lattice, and nothing made of them",
            errors=wrong,
        )


def published_cells(snapshot: Snapshot, query: Asked) -> pl.DataFrame:
    """Cells of the lattice, suppressed ones among them. Raises as `Snapshot.collect`."""
    rows = snapshot.scan(GOLD_KPI_LATTICE, query.starts).filter(
        pl.col("period") == query.period,
        pl.col("level") == query.level,
        pl.col("measure").is_in(query.measures),
    )
    names = {"team": query.filters.team, "department": query.filters.department}.get(query.level)
    if names is not None:
        rows = rows.filter(pl.col("group_id").is_in(names))
    return snapshot.collect(GOLD_KPI_LATTICE, rows.select(_COLUMNS)).sort("date", "group_id", "measure")


# ------------------------------------------------------------------------------------------- individual
@dataclass(frozen=True, slots=True)
class Computed:
    """Cells that were computed, and the workers whose rows they show."""

    cells: pl.DataFrame
    workers: frozenset[str]


def computed_cells(snapshot: Snapshot, query: Asked, worker_ids: Sequence[str] | None) -> Computed:
    """Cells of workers' days by the catalogue's aggregations; of `worker_ids` only, where there are some.

    A value that fewer than SMALLEST_GROUP workers have shows their rows, as one chosen by worker does.
    Raises as `Snapshot.collect`.
    """
    days = _worker_days(snapshot, query, worker_ids)
    group = {"worker": pl.col("user_id"), "tenant": pl.lit(snapshot.tenant_id)}.get(
        query.level, pl.col(query.level)
    )
    first = {
        "day": pl.col("date"),
        "week": pl.col("date").dt.truncate("1w"),
        "range": pl.lit(query.starts[0] if query.starts else None, pl.Date),
    }[query.period]
    # Expressions name the days they count, so the first day of a period is called something else until then.
    placed = days.with_columns(group_id=group, first=first).drop_nulls("group_id")
    index = ["first", "group_id"]
    measures = [CATALOGUE[name] for name in query.measures]

    def per_measure(name: str, values: Sequence[pl.Expr]) -> pl.DataFrame:
        return (
            placed.group_by(index)
            .agg(values)
            .sort(index)
            .unpivot(index=index, variable_name="measure", value_name=name)
        )

    known = [pl.col("date").filter(pl.col(one.name).is_not_null()) for one in measures]
    cells = per_measure("value", [aggregate(one).round(_DIGITS).alias(one.name) for one in measures])
    people = per_measure("contributors", [contributors(one).alias(one.name) for one in measures])
    covered = per_measure(
        "days_covered", [of.n_unique().alias(one.name) for of, one in zip(known, measures, strict=True)]
    )
    whole = cells.with_columns(
        people["contributors"],
        covered["days_covered"].cast(pl.Int32),
        date=pl.col("first"),
        period=pl.lit(query.period),
        level=pl.lit(query.level),
        unit=units(),
        suppressed=pl.lit(None, pl.String),
        published_at=pl.lit(None, pl.Datetime("us", "UTC")),
    ).select(_COLUMNS)
    is_personal = query.level == "worker" or worker_ids is not None
    is_of_few = [
        pl.col(one.name).is_not_null() & (contributors(one).over(index) < SMALLEST_GROUP) for one in measures
    ]
    shown = placed if is_personal else placed.filter(pl.any_horizontal(is_of_few))
    return Computed(whole.sort("date", "group_id", "measure"), frozenset(shown["user_id"]))


def few_behind(snapshot: Snapshot, rows: pl.DataFrame) -> set[str]:
    """Everybody who has a value in one of a group, among rows of `gold/kpi_group_rollups`, that fewer than
    SMALLEST_GROUP workers have. Raises as `Snapshot.collect`.
    """
    return set(few_behind_each(snapshot, rows.with_columns(of=0), "of")["user_id"])


def few_behind_each(snapshot: Snapshot, rows: pl.DataFrame, of: str) -> pl.DataFrame:
    """`few_behind` for each value of the column `of`: it and user_id, once each. Raises likewise."""
    is_week = pl.col("period") == "week"
    last = pl.when(is_week).then(pl.col("date").dt.offset_by("6d")).otherwise(pl.col("date"))
    few = (
        rows.filter(pl.col("level") != "worker", pl.col("contributors").is_between(1, SMALLEST_GROUP - 1))
        .select(of, "level", "group_id", "measure", day=pl.date_ranges("date", last))
        .explode("day")
    )
    if few.is_empty():
        return pl.DataFrame(schema={of: rows.schema[of], "user_id": pl.String})
    values = snapshot.scan(GOLD_KPI_DAILY, few["day"].unique().to_list()).filter(
        pl.col("measure").is_in(few["measure"].unique().to_list()), pl.col("value").is_not_null()
    )
    days = snapshot.collect(GOLD_KPI_DAILY, values.select("date", "user_id", "measure"))
    placed = _with_groups(snapshot, days).with_columns(tenant=pl.lit(snapshot.tenant_id))
    found = [
        placed.join(
            few.filter(pl.col("level") == level),
            left_on=["date", "measure", level],
            right_on=["day", "measure", "group_id"],
        ).select(of, "user_id")
        for level in ("team", "department", "tenant")
    ]
    return pl.concat(found).unique()


def _worker_days(snapshot: Snapshot, query: Asked, worker_ids: Sequence[str] | None) -> pl.DataFrame:
    """A row a worker and day: date, user_id, team, department, and the measures that are needed."""
    needed = sorted({name for one in query.measures for name in needed_for(CATALOGUE[one])})
    rows = snapshot.scan(GOLD_KPI_DAILY, query.dates).filter(pl.col("measure").is_in(needed))
    if worker_ids is not None:
        rows = rows.filter(pl.col("user_id").is_in(worker_ids))
    wide = snapshot.collect(GOLD_KPI_DAILY, rows.select("date", "user_id", "measure", "value")).pivot(
        on="measure", on_columns=needed, index=["date", "user_id"], values="value"
    )
    days = _with_groups(snapshot, wide)
    for name, values in (("team", query.filters.team), ("department", query.filters.department)):
        if values is not None:
            days = days.filter(pl.col(name).is_in(values))
    return days


def _with_groups(snapshot: Snapshot, days: pl.DataFrame) -> pl.DataFrame:
    """The days with the team and department that the worker was of; null where that is not known."""
    members = snapshot.collect(
        SILVER_ORG_MEMBERS,
        snapshot.scan(SILVER_ORG_MEMBERS).select("user_id", "team", "department", "valid_from", "valid_to"),
    )
    of_day = (
        days.select("date", "user_id")
        .unique()
        .join(members, on="user_id")
        .filter(
            pl.col("valid_from") <= pl.col("date"),
            pl.col("valid_to").is_null() | (pl.col("date") < pl.col("valid_to")),
        )
        .select("date", "user_id", "team", "department")
    )
    return days.join(of_day, on=["date", "user_id"], how="left")
