"""What runs have published, as events.

    ops/runs, since the cursor ─┬ stage 1, a day ─▶ day.ready
                                ├ stage 2 ─▶ its rows of gold/briefs ─▶ brief.ready
                                ├ silver ─▶ the day's anomalies ─▶ anomaly.detected
                                └ lattice ─▶ metrics.published

A message of the bus only hints that there is something to look at: what is told is read from `ops/runs`, so a
message that was lost, doubled or late loses and doubles nothing. Events and the cursor behind them are one
transaction.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy import select

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database, Stage
from coworkai.common.control.schema import webhook_endpoints
from coworkai.common.errors import StorageUnavailable
from coworkai.common.health_anomalies import DEFAULT_RULES, health_anomalies
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.observability import get_logger
from coworkai.common.tables import GOLD_BRIEFS, OPS_RUNS, SILVER_HEALTH, Table
from coworkai.partner_api.webhooks.endpoints import cursor, move_cursor
from coworkai.partner_api.webhooks.event_types import (
    AnomalyDetected,
    BriefReady,
    DayReady,
    EventType,
    MetricsPublished,
)
from coworkai.partner_api.webhooks.events import Events, Occurrence

log = get_logger(__name__)
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]

OVERLAP = timedelta(minutes=10)
"""Longer than a run takes from the time it says it finished at to its commit."""
LONGEST_RUN = timedelta(days=1)
"""A row that says it took longer is of maintenance, which publishes the newest run once more."""
_COLUMNS = ("run_id", "stage", "days", "status", "output_versions", "fence", "started_at", "finished_at")
_BRIEF_COLUMNS = ("brief_id", "version", "subject_kind", "date", "run_id")


class RunKey(NamedTuple):
    stage: str
    run_id: str
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Watched:
    """A tenant that somebody is told of: up to when they have been, and which events they want."""

    tenant_id: str
    since: datetime
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Published:
    """Runs of a tenant since a time, and what there is to tell of those that are new."""

    keys: frozenset[RunKey]
    occurrences: list[Occurrence]


class Publications:
    """Tells of what tenants publish. Made inside a running event loop.

    `tell` is called after events were kept; `in_store` and `in_lake` run work in threads.
    """

    def __init__(
        self,
        database: Database,
        events: Events,
        lake: Lake,
        *,
        in_store: InThread,
        in_lake: InThread,
        tell: Callable[[], None],
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._events = events
        self._lake = lake
        self._in_store = in_store
        self._in_lake = in_lake
        self._tell = tell
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, asyncio.Task[int]] = {}
        self._seen: dict[str, frozenset[RunKey]] = {}

    async def look(self, tenant_id: str) -> int:
        """Keep an event of everything the tenant has published and nobody was told of; how many.

        A burst of hints at one tenant becomes one look after the one that is under way. Raises
        StorageUnavailable.
        """
        turn = self._waiting.get(tenant_id)
        if turn is None:
            turn = self._waiting[tenant_id] = asyncio.create_task(self._turn(tenant_id))
        return await asyncio.shield(turn)

    async def look_everywhere(self) -> int:
        """`look` at every tenant that somebody is told of; a tenant that fails does not stop the others."""
        emitted = 0
        for tenant_id in await self._in_store(self._tenants):
            try:
                emitted += await self.look(tenant_id)
            except StorageUnavailable as error:
                log.warning("publications could not be looked at", error=error, tenant=tenant_id)
            except Exception:
                log.exception("publications could not be looked at", tenant=tenant_id)
        return emitted

    async def _turn(self, tenant_id: str) -> int:
        async with self._locks.setdefault(tenant_id, asyncio.Lock()):
            del self._waiting[tenant_id]
            return await self._look(tenant_id)

    async def _look(self, tenant_id: str) -> int:
        watched: Watched | None = await self._in_store(lambda: self._watched(tenant_id))
        if watched is None:
            return 0
        seen = self._seen.get(tenant_id, frozenset())
        found: Published = await self._in_lake(lambda: self._published(watched, seen))
        if found.keys <= seen:
            return 0
        emitted: int = await self._in_store(lambda: self._keep(tenant_id, found))
        self._seen[tenant_id] = found.keys
        if emitted:
            self._tell()
        return emitted

    def _tenants(self) -> list[str]:
        with self._database.read() as connection:
            enabled = select(webhook_endpoints.c.tenant_id).where(webhook_endpoints.c.state == "enabled")
            return sorted(connection.scalars(enabled.distinct()))

    def _watched(self, tenant_id: str) -> Watched | None:
        with self._database.read() as connection:
            event_types = connection.scalars(
                select(webhook_endpoints.c.event_types).where(
                    webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.state == "enabled"
                )
            ).all()
            since = cursor(connection, tenant_id)
        if not event_types or since is None:
            return None
        return Watched(tenant_id, since, frozenset(each for types in event_types for each in types))

    def _keep(self, tenant_id: str, found: Published) -> int:
        until = min(max(key.finished_at for key in found.keys), self._clock())
        with self._database.write() as connection:
            emitted = self._events.emit(connection, tenant_id, found.occurrences)
            move_cursor(self._database, connection, tenant_id, until)
        return emitted

    # ------------------------------------------------------------------------------------------ in a thread
    def _published(self, watched: Watched, seen: Collection[RunKey]) -> Published:
        """Raises StorageUnavailable."""
        if not self._lake.exists(OPS_RUNS, watched.tenant_id):
            return Published(frozenset(), [])
        delta = self._lake.open(OPS_RUNS, watched.tenant_id)
        since = watched.since - OVERLAP
        with reading(OPS_RUNS):
            runs = (
                scan(delta, OPS_RUNS)
                .filter(pl.col("date") >= since.date(), pl.col("finished_at") > since)
                .filter(pl.col("finished_at") - pl.col("started_at") < LONGEST_RUN)
                .select(_COLUMNS)
                .collect()
                .sort("fence", "finished_at")
            )
        keys = [RunKey(*row) for row in runs.select(RunKey._fields).iter_rows()]
        new = runs.filter(pl.Series([key not in seen for key in keys], dtype=pl.Boolean))
        of = _New(self._lake, watched, runs, new, delta.version())
        return Published(frozenset(keys), list(of.occurrences()))


@dataclass(frozen=True, slots=True)
class _New:
    """Runs in their order, those of them that are new, and the data version that has them."""

    lake: Lake
    watched: Watched
    runs: pl.DataFrame
    new: pl.DataFrame
    data_version: int

    def occurrences(self) -> Iterator[Occurrence]:
        for event_type, of_type in (
            (EventType.DAY_READY, self._days),
            (EventType.BRIEF_READY, self._briefs),
            (EventType.ANOMALY_DETECTED, self._anomalies),
            (EventType.METRICS_PUBLISHED, self._metrics),
        ):
            if event_type in self.watched.wanted:
                yield from of_type()

    def _days(self) -> Iterator[Occurrence]:
        for run in self._of(Stage.STAGE1):
            # A run of several days is of their rollups.
            if len(run["days"]) == 1:
                day = run["days"][0]
                data = DayReady(
                    date=day, status=run["status"], run_id=run["run_id"], data_version=self.data_version
                )
                key = f"{day.isoformat()}:{run['run_id']}"
                yield Occurrence(EventType.DAY_READY, key, run["finished_at"], data)

    def _metrics(self) -> Iterator[Occurrence]:
        for run in self._of(Stage.LATTICE):
            data = MetricsPublished(
                start_date=min(run["days"]), end_date=max(run["days"]), run_id=run["run_id"]
            )
            yield Occurrence(EventType.METRICS_PUBLISHED, run["run_id"], run["finished_at"], data)

    def _briefs(self) -> Iterator[Occurrence]:
        finished = {run["run_id"]: run["finished_at"] for run in self._of(Stage.STAGE2)}
        days = {day for run in self._of(Stage.STAGE2) for day in run["days"]}
        if not days:
            return
        rows = self._read(GOLD_BRIEFS, Stage.STAGE2, days, _BRIEF_COLUMNS)
        for row in rows.filter(pl.col("run_id").is_in(list(finished))).sort("brief_id").iter_rows(named=True):
            data = BriefReady(**row, data_version=self.data_version)
            key = f"{row['brief_id']}:{row['version']}"
            yield Occurrence(EventType.BRIEF_READY, key, finished[row["run_id"]], data)

    def _anomalies(self) -> Iterator[Occurrence]:
        newest = {day: run for run in self._of(Stage.SILVER) for day in run["days"]}
        if not newest:
            return
        before = range(DEFAULT_RULES.baseline_days + 1)
        days = {day - timedelta(days=n) for day in newest for n in before}
        health = self._read(SILVER_HEALTH, Stage.SILVER, days, SILVER_HEALTH.schema.names())
        found = health_anomalies(health, newest.keys()).filter("is_anomaly")
        for (day,), rows in found.group_by("date", maintain_order=True):
            assert isinstance(day, date)
            run = newest[day]
            # What is told is that the day has these and no others: the same ones are told once.
            which = repr(sorted(rows.select("user_id", "source", "measure").iter_rows()))
            key = f"{day.isoformat()}:{hashlib.sha256(which.encode()).hexdigest()[:32]}"
            data = AnomalyDetected(
                date=day, anomalies=rows.height, run_id=run["run_id"], data_version=self.data_version
            )
            yield Occurrence(EventType.ANOMALY_DETECTED, key, run["finished_at"], data)

    def _of(self, stage: Stage) -> list[dict[str, Any]]:
        return self.new.filter(pl.col("stage") == stage.value).to_dicts()

    def _read(
        self, table: Table, stage: Stage, days: Collection[date], columns: Collection[str]
    ) -> pl.DataFrame:
        """The table's partitions at the version that the stage's newest run published."""
        newest = self.runs.filter(pl.col("stage") == stage.value)["output_versions"][-1]
        version = next(each["version"] for each in newest if each["table"] == table.id)
        delta = self.lake.open(table, self.watched.tenant_id, version=version)
        with reading(table):
            return scan(delta, table, days).select(columns).collect()
