"""What may be told of a team: no cell of fewer people than the tenant's smallest group, and none that would
give such a cell away by subtraction (domain, section 7).

A cell is a measure of a team in a day or week. It is withheld when

1. fewer than `min_group` workers have a value in it;
2. what is left of a department, or of the tenant, after the teams that are told is somebody, but fewer than
   `min_group` workers: then the told team with the fewest contributors is withheld too (ties by name), until
   nobody or enough are left. Workers without a team or department are among those that are left;

        department  ├── Platform 9 ──┼─ Data 6 ─┼ QA 3 ┤   QA is withheld, 12 - 9 - 6 would tell it:
                    ├── Platform 9 ──┼───── withheld ──┤   so Data is withheld with it

3. it is a week, and the days of it that are withheld have somebody, but fewer than `min_group` workers: the
   week less its other days would tell them.

Departments and the tenant are not told here at all; the rule holds for whoever has their numbers from
elsewhere.
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

_CELL = ("period", "date", "measure")
_DAY, _WEEK = "day", "week"
_ROWS_AT_ONCE = 200_000
"""Of measures of worker-days, so that a large tenant takes no more memory than a small one."""


def week_of(day: date) -> date:
    """Monday of the ISO week."""
    return day - timedelta(days=day.weekday())


def team_cells(
    rollups: pl.DataFrame, kpi_daily: pl.DataFrame, jobs: pl.DataFrame, min_group: int
) -> pl.DataFrame:
    """Cells of teams that have a value, with `is_told`.

    `rollups`: the columns of `gold/kpi_group_rollups`, of whole weeks. `kpi_daily` and `jobs` (date, user_id,
    team, department): the same days, all workers. Returns group_id, period, date, measure, value,
    contributors, is_told.
    """
    measures = rollups["measure"].unique().sort().to_list()
    at_once = max(1, _ROWS_AT_ONCE * len(measures) // max(1, kpi_daily.height))
    some = [measures[n : n + at_once] for n in range(0, len(measures), at_once)] or [[]]
    of = [pl.col("measure").is_in(names) for names in some]
    return pl.concat(_cells_of(rollups.filter(one), kpi_daily.filter(one), jobs, min_group) for one in of)


def _cells_of(
    rollups: pl.DataFrame, kpi_daily: pl.DataFrame, jobs: pl.DataFrame, min_group: int
) -> pl.DataFrame:
    """Cells of some measures: those of one say nothing of those of another."""
    cells = rollups.filter(
        pl.col("level") == "team", pl.col("value").is_not_null(), pl.col("contributors") > 0
    ).select("group_id", *_CELL, "value", "contributors", is_told=pl.col("contributors") >= min_group)
    values = (
        kpi_daily.filter(pl.col("value").is_not_null())
        .select("user_id", "measure", on="date")
        .join(jobs.select("user_id", "team", "department", on="date"), on=["user_id", "on"], how="left")
    )
    days = _complemented(
        cells.filter(pl.col("period") == _DAY),
        values.with_columns(period=pl.lit(_DAY), date=pl.col("on")),
        min_group,
    )
    of_weeks = values.with_columns(period=pl.lit(_WEEK), date=pl.col("on").dt.truncate("1w"))
    weeks = _complemented(
        _without_derivable_days(cells.filter(pl.col("period") == _WEEK), days, of_weeks, min_group),
        of_weeks,
        min_group,
    )
    return pl.concat([days, weeks])


def _complemented(cells: pl.DataFrame, values: pl.DataFrame, min_group: int) -> pl.DataFrame:
    """Cells with the teams withheld that would give others away.

    `values` has a row a worker-day and measure that is not null: user_id, team, department, and the cell.
    """
    departments = values.drop_nulls("department").select(*_CELL, "user_id", "team", parent="department")
    tenant = values.select(*_CELL, "user_id", "team", parent=pl.lit(""))
    # Departments first: what they withhold may be enough for the tenant.
    for members in (departments, tenant):
        while not (smallest := _to_withhold(cells, members, min_group)).is_empty():
            cells = (
                cells.join(smallest, on=[*_CELL, "group_id"], how="left")
                .with_columns(is_told=pl.col("is_told") & pl.col("withheld").is_null())
                .drop("withheld")
            )
    return cells


def _to_withhold(cells: pl.DataFrame, members: pl.DataFrame, min_group: int) -> pl.DataFrame:
    """The smallest told team of every parent with too few people left: the cell, group_id, withheld."""
    told = cells.filter("is_told")
    few = (
        members.join(told.select(*_CELL, team="group_id"), on=[*_CELL, "team"], how="anti")
        .group_by(*_CELL, "parent")
        .agg(pl.col("user_id").n_unique().alias("people"))
        .filter(pl.col("people") < min_group)
    )
    teams = members.drop_nulls("team").select(*_CELL, "parent", group_id="team").unique()
    return (
        few.join(teams, on=[*_CELL, "parent"])
        .join(told, on=[*_CELL, "group_id"])
        .sort("contributors", "group_id")
        .unique([*_CELL, "parent"], keep="first", maintain_order=True)
        .select(*_CELL, "group_id", withheld=pl.lit(value=True))
        .unique()
    )


def _without_derivable_days(
    weeks: pl.DataFrame, days: pl.DataFrame, values: pl.DataFrame, min_group: int
) -> pl.DataFrame:
    """Weeks without those whose withheld days have too few workers."""
    withheld = days.filter(~pl.col("is_told")).select("group_id", "measure", on="date")
    cell = ["group_id", *_CELL]
    few = (
        values.join(withheld, left_on=["team", "measure", "on"], right_on=["group_id", "measure", "on"])
        .group_by(*_CELL, group_id="team")
        .agg(pl.col("user_id").n_unique().alias("people"))
        .filter(pl.col("people") < min_group)
        .select(*cell, derivable=pl.lit(value=True))
    )
    return (
        weeks.join(few, on=cell, how="left")
        .with_columns(is_told=pl.col("is_told") & pl.col("derivable").is_null())
        .drop("derivable")
    )
