"""The lattice of a tenant's weeks: published Gold in, what aggregate readers see out, once a period is over.

A day is over at its end in the last of the tenant's time zones, and settled so long after; its week with its
Sunday. A week is looked at as a whole, as far as it is settled. What was published before is kept in
`ops/lattice_contributions`, and is all that decides with the values what may be published next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from coworkai.common.control import Control, Stage, Tenant
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.outputs import Outputs, Run
from coworkai.common.published import published
from coworkai.common.tables import (
    GOLD_KPI_DAILY,
    GOLD_KPI_LATTICE,
    OPS_LATTICE_CONTRIBUTIONS,
    OPS_RUNS,
    OPS_SUPPRESSIONS,
    SILVER_ORG_MEMBERS,
    TIMESTAMP,
    Table,
)
from coworkai.runner.digests import DayDigests, run_id
from coworkai.runner.lattice.blocks import SafetyRules, publishable
from coworkai.runner.lattice.cells import cells, groups_of, values_of
from coworkai.runner.run_stage1 import week_of
from coworkai.runner.stage1.org_context import is_zone

RULES_VERSION = "1"


# -------------------------------------------------------------------------------------------- periods
def zones_of(tenant: Tenant, org_members: pl.DataFrame) -> frozenset[str]:
    """Time zones that the tenant's days may end in."""
    known = (zone for zone in org_members["time_zone"].unique().drop_nulls() if is_zone(zone))
    return frozenset({tenant.time_zone, *known})


def settled_at(day: date, zones: Iterable[str], settle: timedelta) -> datetime:
    """When the day is over in all of the zones, and `settle` later."""
    midnight = datetime.combine(day + timedelta(days=1), time())
    return max(midnight.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for zone in zones) + settle


def plan(
    control: Control,
    tenant_id: str,
    days: Collection[date],
    zones: Collection[str],
    *,
    settle: timedelta,
    now: datetime,
) -> None:
    """Have the lattice of the days and their weeks looked at when they are settled; at once if they are."""
    wanted = {*days, *(week_of(day)[-1] for day in days)}
    due = {day: settled_at(day, zones, settle) for day in wanted}
    control.mark_dirty(tenant_id, Stage.LATTICE, [day for day, at in due.items() if at <= now])
    for at in sorted({at for at in due.values() if at > now}):
        control.plan(tenant_id, Stage.LATTICE, [day for day, when in due.items() if when == at], at)


# -------------------------------------------------------------------------------------------- weeks
@dataclass(frozen=True)
class PinnedKpis:
    """Measures of workers and the organisation, at the versions that were published."""

    tenant_id: str
    kpi_daily: pl.LazyFrame
    org_members: pl.DataFrame
    versions: dict[str, int]

    @classmethod
    def pin(cls, lake: Lake, tenant_id: str) -> PinnedKpis:
        """Raises StorageUnavailable, as does every read."""
        runs = lake.open(OPS_RUNS, tenant_id)
        versions = {
            table: published(runs, stage).version(table)
            for table, stage in ((GOLD_KPI_DAILY, Stage.STAGE1), (SILVER_ORG_MEMBERS, Stage.SILVER))
        }

        def rows(table: Table) -> pl.LazyFrame:
            return scan(lake.open(table, tenant_id, version=versions[table]), table)

        with reading(SILVER_ORG_MEMBERS):
            members = rows(SILVER_ORG_MEMBERS).collect()
        pinned = {table.id: version for table, version in versions.items()}
        return cls(tenant_id, rows(GOLD_KPI_DAILY), members, pinned)

    def of_days(self, days: Collection[date]) -> pl.DataFrame:
        with reading(GOLD_KPI_DAILY):
            return self.kpi_daily.filter(pl.col("date").is_in(sorted(days))).collect()


def publish_week(
    outputs: Outputs, kpis: PinnedKpis, days: Sequence[date], rules: SafetyRules, at: datetime
) -> list[Run]:
    """Write what may be published of the settled days of an ISO week; its row of `ops/runs`, none where
    nothing changes. Raises as `Outputs.replace`."""
    contributed, before = outputs.read(OPS_LATTICE_CONTRIBUTIONS, days), outputs.read(GOLD_KPI_LATTICE, days)
    values = values_of(kpis.of_days(days), kpis.org_members)
    new = publishable(values, contributed, rules, at)
    is_whole = len(days) == len(week_of(days[0]))
    lattice = cells(
        pl.concat([contributed.select(new.columns), new]),
        values,
        groups_of(kpis.org_members, pl.DataFrame({"date": days}, schema={"date": pl.Date}), kpis.tenant_id),
        before,
        rules,
        tenant_id=kpis.tenant_id,
        weeks=days[:1] if is_whole else [],
    )
    was = before.sort("date", *GOLD_KPI_LATTICE.key).select(lattice.columns)
    if new.is_empty() and lattice.equals(was):
        return []
    # Of what readers see, and of nothing else: a digest of workers' values would be a way to test guesses.
    digests = DayDigests()
    digests.add(GOLD_KPI_LATTICE.id, lattice.with_columns(date=pl.lit(days[0])))
    name = run_id(Stage.LATTICE, kpis.tenant_id, days, digests.of(days[0]), RULES_VERSION)

    def of_run(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(tenant_id=pl.lit(kpis.tenant_id), run_id=pl.lit(name))

    outputs.append(OPS_LATTICE_CONTRIBUTIONS, of_run(new))
    outputs.append(OPS_SUPPRESSIONS, of_run(_suppressions(lattice, was, at)))
    outputs.replace(GOLD_KPI_LATTICE, of_run(lattice), days)
    counts = {GOLD_KPI_LATTICE.id: lattice.height, OPS_LATTICE_CONTRIBUTIONS.id: new.height}
    return [Run(name, tuple(days), counts)]


def _suppressions(lattice: pl.DataFrame, before: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Cells that are suppressed and were not before."""
    key = ["date", *GOLD_KPI_LATTICE.key]
    return (
        lattice.filter(pl.col("suppressed").is_not_null())
        .join(before.filter(pl.col("suppressed").is_not_null()), on=key, how="anti")
        .select(*key, reason="suppressed", suppressed_at=pl.lit(at, TIMESTAMP))
    )
