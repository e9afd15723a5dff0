"""Small organisations: who worked when, and what was measured, as stage 1 publishes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl
from tests.unit.runner.kpis.frames import TENANT, org, rows

from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_KPI_LATTICE, OPS_LATTICE_CONTRIBUTIONS
from coworkai.runner.lattice.blocks import SafetyRules, publishable
from coworkai.runner.lattice.cells import cells, groups_of, values_of

MONDAY = date(2024, 1, 1)
NOW = datetime(2024, 2, 1, tzinfo=UTC)
RULES = SafetyRules(5)
Measured = Mapping[tuple[str, date], Mapping[str, float | None]]
"""Values of measures by worker and day."""


def day(number: int) -> date:
    """Day of the week from 0, Monday."""
    return MONDAY + timedelta(days=number)


def team(name: str, people: int, department: str | None = "ops") -> list[dict[str, object]]:
    """Members of a team, as rows of the organisation; their names tell the team."""
    return [
        {"user_id": f"{name}{n}", "team": name, "department": department, "valid_from": MONDAY}
        for n in range(people)
    ]


def worked(
    members: Iterable[Mapping[str, object]], days: Sequence[int] = (0,), **measures: float
) -> dict[tuple[str, date], dict[str, float | None]]:
    """Values of each worker on each day; 100 and a bit of active time where nothing is named."""
    given = measures or {"active_s": 100.0}
    return {
        (str(one["user_id"]), day(n)): {name: value + k + n / 10 for name, value in given.items()}
        for n in days
        for k, one in enumerate(members)
    }


def kpi_daily(measured: Measured) -> pl.DataFrame:
    return rows(
        GOLD_KPI_DAILY,
        *(
            {"user_id": user, "date": on, "measure": name, "value": value, "unit": CATALOGUE[name].unit.value}
            for (user, on), values in measured.items()
            for name, value in values.items()
        ),
    )


def _without(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop("tenant_id", "run_id")


@dataclass
class Publications:
    """A lattice over time: what was contributed in every version, and every lattice that was ever read."""

    members: Sequence[Mapping[str, object]]
    rules: SafetyRules = RULES
    contributions: pl.DataFrame = field(default_factory=lambda: _without(OPS_LATTICE_CONTRIBUTIONS.empty()))
    lattice: pl.DataFrame = field(default_factory=lambda: _without(GOLD_KPI_LATTICE.empty()))
    seen: list[tuple[pl.DataFrame, pl.DataFrame]] = field(default_factory=list)
    """Every lattice with the contributions behind it."""

    def publish(
        self,
        measured: Measured,
        *,
        days: int = 7,
        members: Sequence[Mapping[str, object]] | None = None,
        rules: SafetyRules | None = None,
    ) -> pl.DataFrame:
        """The lattice after the first `days` days of the week were looked at, with these values."""
        self.members = members or self.members
        self.rules = rules or self.rules
        history = org(*self.members) if self.members else org()
        values = values_of(kpi_daily(measured), history)
        at = NOW + timedelta(hours=len(self.seen))
        new = publishable(values, self.contributions, self.rules, at)
        self.contributions = pl.concat([self.contributions, new.select(self.contributions.columns)])
        dates = pl.DataFrame({"date": [day(n) for n in range(days)]}, schema={"date": pl.Date})
        self.lattice = cells(
            self.contributions,
            values,
            groups_of(history, dates, TENANT),
            self.lattice,
            self.rules,
            tenant_id=TENANT,
            weeks=[MONDAY] if days == 7 else [],
        )
        self.seen.append((self.lattice, self.contributions))
        return self.lattice

    def cell(
        self, group: str, number: int | None = 0, measure: str = "active_s", level: str | None = None
    ) -> tuple[float | None, int | None, str | None]:
        """Value, contributors and reason of a group's day, or of its week where `number` is None."""
        found = self.lattice.filter(
            pl.col("group_id") == group,
            pl.col("measure") == measure,
            pl.col("period") == ("week" if number is None else "day"),
            pl.col("date") == day(number or 0),
            *([] if level is None else [pl.col("level") == level]),
        )
        assert found.height == 1, found
        value, contributors, suppressed = found.select("value", "contributors", "suppressed").row(0)
        return value, contributors, suppressed

    def told(self, measure: str = "active_s", number: int | None = 0) -> set[str]:
        """Groups whose cell is told."""
        found = self.lattice.filter(
            pl.col("measure") == measure,
            pl.col("period") == ("week" if number is None else "day"),
            pl.col("date") == day(number or 0),
            pl.col("suppressed").is_null(),
        )
        return set(found["group_id"])
