"""The lists that the API has of published tables: which table, whose rows, which filters.

A resource shows the columns of its table by the names that they have there, less `tenant_id`; `user_id` is
called `worker_id`. Its schema in the API document is made from those columns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from types import MappingProxyType

import polars as pl

from coworkai.common.control import Stage
from coworkai.common.health_anomalies import DEFAULT_RULES as ANOMALY_RULES
from coworkai.common.health_anomalies import MEASURES as ANOMALY_MEASURES
from coworkai.common.health_anomalies import health_anomalies
from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_BRIEFS,
    GOLD_FOCUS_BLOCKS,
    GOLD_INSIGHTS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_SLICES,
    GOLD_TOKEN_CONTEXTS,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    SILVER_HEALTH,
    Column,
    Table,
)
from coworkai.partner_api.gold import Partition, Snapshot
from coworkai.partner_api.guard import Access
from coworkai.partner_api.principal import Scope

WORKER_ID = "worker_id"
WORKER = "__worker"
"""Beside the columns of a row: the worker that it is about."""
_FEW = 1000
"""Up to so many rows a set is made faster in Python than by Polars."""
NO_WORKER = pl.lit(None, pl.String)
_PUBLIC = {"user_id": WORKER_ID}


@dataclass(frozen=True, slots=True)
class Filter:
    """A query parameter that keeps the rows whose column has one of its values; it may be given repeatedly.

    `values`: the only ones there are; None for any text.
    """

    name: str
    description: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Derived:
    """Rows that are computed when they are read, from the table's rows of a date and of the days before it.

    `compute` makes rows of `columns` and `date` of the dates, from rows of the table.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    days_before: int
    compute: Callable[[pl.DataFrame, Collection[date]], pl.DataFrame]


@dataclass(frozen=True, eq=False)
class Resource:
    """One list. `item` names its rows in the API document, `path` is below `/v1`.

    `worker`: the worker whose row it is, in columns that are shown; null for rows of no single one.
    `left_out`: columns that are not shown. `superseded_by`: with `all_versions=true` every row is shown, and
    otherwise only those with the greatest value of this column among the ones alike in the others.
    `description`: what the rows are, where that is not what the table's are.
    """

    path: str
    item: str
    table: Table
    summary: str
    access: Access
    filters: tuple[Filter, ...] = ()
    worker: pl.Expr = pl.col(WORKER_ID)  # noqa: RUF009 - expressions do not change
    left_out: frozenset[str] = frozenset()
    superseded_by: tuple[str, tuple[str, ...]] | None = None
    derived: Derived | None = None
    description: str | None = None

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """Columns of the table by the names that they are shown under."""
        return MappingProxyType(
            {
                _PUBLIC.get(column.name, column.name): column
                for column in (self.table.columns if self.derived is None else self.derived.columns)
                if column.name not in self.left_out | {"tenant_id"}
            }
        )

    @cached_property
    def order(self) -> tuple[str, ...]:
        """What rows of a list are in order of; `WORKER` is null, and first, for rows of no worker."""
        return ("date", WORKER, *(name for name in self.key if name != "user_id"))

    @property
    def key(self) -> tuple[str, ...]:
        """Columns of the table, or of what is derived, that tell rows of a date apart."""
        return self.table.key if self.derived is None else self.derived.key

    def partitions(self, snapshot: Snapshot) -> dict[date, Partition]:
        """The dates that there may be rows of, and the files that these are made of.

        Raises VersionExpired, StorageUnavailable.
        """
        if self.derived is None:
            return snapshot.partitions(self.table)
        return snapshot.windows(self.table, self.derived.days_before)

    def changed_since(self, snapshot: Snapshot, earlier: Snapshot) -> Collection[date]:
        """Dates that rows may have changed of, or come or gone. In a thread.

        Raises VersionExpired, StorageUnavailable.
        """
        changed = snapshot.changed_since(earlier, self.table)
        if self.derived is None:
            return changed
        days_before = self.derived.days_before
        known = self.partitions(snapshot).keys() | self.partitions(earlier).keys()
        return {day for day in known if any(0 <= (day - on).days <= days_before for on in changed)}

    @property
    def meaning(self) -> str:
        """What the rows are."""
        return self.description or self.table.description

    @cached_property
    def operation(self) -> str:
        """Its operation id in the API document."""
        return "list_" + self.path.replace("-", "_").replace("/", "_")

    @property
    def has_workers(self) -> bool:
        """Whether rows are about single workers."""
        return self.worker is not NO_WORKER

    def shown(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """The columns that are shown, of rows of the table, and `WORKER`."""
        columns = [pl.col(column.name).alias(name) for name, column in self.columns.items()]
        return rows.select(columns).with_columns(self.worker.alias(WORKER))

    def workers_of(self, rows: pl.DataFrame) -> set[str]:
        """Everybody whose rows these are."""
        if WORKER_ID in self.columns:
            workers = rows.get_column(WORKER_ID)
        else:
            workers = rows.select(self.worker.alias(WORKER)).to_series()
        found = set((workers if rows.height <= _FEW else workers.unique()).to_list())
        found.discard(None)
        return found


_MEASURE = Filter("measure", "name of a measure in the catalogue", tuple(CATALOGUE))

WORKBLOCKS = Resource(
    "workblocks",
    "Workblock",
    GOLD_WORKBLOCKS,
    "List workblocks",
    Access(Scope.ACTIVITY, workers=True),
)
SLICES = Resource(
    "atomic-slices",
    "AtomicSlice",
    GOLD_SLICES,
    "List atomic slices",
    Access(Scope.ACTIVITY, workers=True),
    (
        Filter("workblock_id", "slices of this workblock"),
        Filter("app", "normalised application name"),
    ),
)
USAGE = Resource(
    "usage",
    "Usage",
    GOLD_USAGE,
    "List top apps, domains and URLs",
    Access(Scope.ACTIVITY, workers=True),
    (Filter("kind", "what is ranked", ("app", "domain", "url")),),
)
FOCUS_BLOCKS = Resource(
    "focus-blocks",
    "FocusBlock",
    GOLD_FOCUS_BLOCKS,
    "List focus blocks",
    Access(Scope.ACTIVITY, workers=True),
)
KPIS_DAILY = Resource(
    "kpis/daily",
    "DailyKpi",
    GOLD_KPI_DAILY,
    "List daily measures of workers",
    Access(Scope.KPIS, workers=True),
    (_MEASURE,),
)
KPI_ROLLUPS = Resource(
    "kpis/rollups",
    "KpiRollup",
    GOLD_KPI_GROUPS,
    "List measures rolled up by worker, team, department, tenant and week",
    Access(Scope.KPIS, workers=True),
    (
        Filter("period", "what the row is of", ("day", "week")),
        Filter("level", "kind of group", ("worker", "team", "department", "tenant")),
        Filter("group_id", "name of the group, or the worker's id"),
        _MEASURE,
    ),
    worker=pl.when(pl.col("level") == "worker").then(pl.col("group_id")),
)
INSIGHTS = Resource(
    "insights",
    "Insight",
    GOLD_INSIGHTS,
    "List insights",
    Access(Scope.INSIGHTS, workers=True),
    (
        Filter("kind", "what they are drawn from", ("workblock", "chat")),
        Filter("type", "what they are about"),
    ),
)
CONTEXTS = Resource(
    "contexts",
    "Context",
    GOLD_TOKEN_CONTEXTS,
    "List consolidated contexts",
    Access(Scope.INSIGHTS, workers=True),
)
BRIEFS = Resource(
    "briefs",
    "BriefVersion",
    GOLD_BRIEFS,
    "List briefs",
    Access(Scope.BRIEFS, workers=True),
    (
        Filter("subject_kind", "what they are about", ("worker", "team")),
        Filter("subject_id", "the worker's id, or the team's name"),
    ),
    worker=pl.when(pl.col("subject_kind") == "worker").then(pl.col("subject_id")),
    left_out=frozenset({"brief_json", "markdown"}),
    superseded_by=("version", ("subject_kind", "subject_id")),
)
TELEMETRY_HEALTH = Resource(
    "telemetry-health",
    "TelemetryHealth",
    SILVER_HEALTH,
    "List telemetry health by worker, device and source",
    Access(Scope.HEALTH, workers=True),
    (Filter("source", "what was collected"),),
)
_DAY = next(column for column in SILVER_HEALTH.columns if column.name == "date")
_USER = next(column for column in SILVER_HEALTH.columns if column.name == "user_id")


def _anomalies(health: pl.DataFrame, days: Collection[date]) -> pl.DataFrame:
    return health_anomalies(health, days).filter("is_anomaly")


ANOMALIES = Resource(
    "telemetry-health/anomalies",
    "HealthAnomaly",
    SILVER_HEALTH,
    "List anomalies of telemetry health",
    Access(Scope.HEALTH, workers=True),
    (
        Filter("source", "what was collected"),
        Filter("measure", "measure of the audit", tuple(sorted(ANOMALY_MEASURES))),
    ),
    derived=Derived(
        (
            _DAY,
            _USER,
            Column("source", pl.String, "source"),
            Column("measure", pl.String, "measure of the audit"),
            Column("value", pl.Float64, "its value that day"),
            Column("median_28d", pl.Float64, "median of the 28 days before"),
            Column("mad_28d", pl.Float64, "median of their absolute deviations from it"),
            Column("days_28d", pl.Int64, "days of the 28 that have a value"),
            Column("mad_z", pl.Float64, "(value - median) over the scale of usual deviations; beyond 3.5"),
        ),
        ("user_id", "source", "measure"),
        ANOMALY_RULES.baseline_days,
        _anomalies,
    ),
    description="Measures of a worker's telemetry that lie far from the same worker's own 28 days before.",
)
REPORTS = Resource(
    "reports",
    "Report",
    GOLD_ACCOUNTING,
    "List workers' days that have a report",
    Access(Scope.REPORTS, workers=True),
    left_out=frozenset(column.name for column in GOLD_ACCOUNTING.columns)
    - {"date", "user_id", "raw_s", "kept_s", "overlapped_s", "run_id"},
    description="Workers' days, with the accounting identity that their reports begin from: raw = kept + "
    "overlapped. The report itself is `/v1/reports/{worker_id}/{date}`.",
)
RUNS = Resource(
    "runs",
    "Run",
    OPS_RUNS,
    "List runs of stages",
    Access(Scope.OPS, limited=False),
    (
        Filter("stage", "stage", tuple(stage.value for stage in Stage)),
        Filter("status", "how it ended", ("succeeded", "partial")),
        Filter("run_id", "id of the run"),
    ),
    worker=NO_WORKER,
)

RESOURCES: Mapping[str, Resource] = MappingProxyType(
    {
        resource.path: resource
        for resource in (
            WORKBLOCKS,
            SLICES,
            USAGE,
            FOCUS_BLOCKS,
            KPIS_DAILY,
            KPI_ROLLUPS,
            INSIGHTS,
            CONTEXTS,
            BRIEFS,
            REPORTS,
            TELEMETRY_HEALTH,
            ANOMALIES,
            RUNS,
        )
    }
)
"""Every list of a published table, by path."""
