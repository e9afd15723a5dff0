"""Published Gold as Stage 2 sees it: tables at the versions that stage 1 has published, and the artefacts of
the runs that made them.

Invariant: nothing is read but what the newest published vector names, so no brief sees half a day; artefacts
are named by the run of their day and never change.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache, partial

import polars as pl
from deltalake import DeltaTable

from coworkai.common.artifacts import ArtifactPaths, ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.errors import NotFound, StorageUnavailable
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.outputs import TABLES
from coworkai.common.published import Published, published
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_FOCUS_BLOCKS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_SLICES,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    OPS_FAILURES,
    OPS_RUNS,
    SILVER_CHAT,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    Table,
)
from coworkai.insights.fact_rows import ARTIFACTS, CHAT, JOBS, MANIFESTS, GoldFrames, days_of, longest_slices
from coworkai.insights.team_cells import week_of

_READERS = 8
_FILES_KEPT = 64
"""Those of the windows and weeks of seven primary dates."""
_SCHEMAS: Mapping[str, pl.Schema] = {
    MANIFESTS: SILVER_MANIFEST_PAIRS.schema,
    JOBS: SILVER_ORG_MEMBERS.schema,
    CHAT: SILVER_CHAT.schema,
}
"""Columns of the artefacts; one that a file does not have is null."""


@dataclass(frozen=True)
class PinnedGold:
    """A tenant's published Gold, and its runs. Every read raises StorageUnavailable."""

    tenant_id: str
    deltas: Mapping[str, DeltaTable]
    runs: Published
    silver_runs: Published
    failures: DeltaTable
    store: ArtifactStore

    @classmethod
    def pin(cls, lake: Lake, store: ArtifactStore, tenant_id: str) -> PinnedGold:
        """Gold as it is published now. Raises StorageUnavailable."""
        runs = lake.open(OPS_RUNS, tenant_id)
        gold = published(runs, Stage.STAGE1)
        deltas = {
            table.id: lake.open(table, tenant_id, version=gold.version(table))
            for table in TABLES[Stage.STAGE1]
        }
        failures = lake.open(OPS_FAILURES, tenant_id)
        return cls(tenant_id, deltas, gold, published(runs, Stage.SILVER), failures, store)

    @property
    def versions(self) -> dict[str, int]:
        """By table id."""
        return {table_id: delta.version() for table_id, delta in self.deltas.items()}

    @property
    def run_ids(self) -> Mapping[date, str]:
        """The run that made what is published of a day."""
        return self.runs.run_ids

    def read(
        self,
        table: Table,
        dates: Collection[date],
        workers: Collection[str] | None = None,
        choose: Callable[[pl.LazyFrame], pl.LazyFrame] | None = None,
    ) -> pl.DataFrame:
        """Rows of the table on the dates, of these workers only where they are given, and what `choose` takes
        of them."""
        with reading(table):
            rows = scan(self.deltas[table.id], table, dates)
            if workers is not None:
                rows = rows.filter(pl.col("user_id").is_in(sorted(workers)))
            return (rows if choose is None else choose(rows)).collect()

    def workers(self, days: Sequence[date]) -> list[str]:
        """Workers that anything is known of on the days, by id."""
        rows = [
            scan(self.deltas[table.id], table, days).select("user_id").unique()
            for table in (GOLD_ACCOUNTING, GOLD_WORKBLOCKS, GOLD_KPI_DAILY)
        ]
        with reading(GOLD_KPI_DAILY):
            known = pl.concat(rows).unique().collect(engine="streaming")
        files = [self._artifacts(name, days)[0] for name in (MANIFESTS, CHAT)]
        frames = [known, *files, self._incomplete(days, None)]
        users = pl.concat([frame.select("user_id") for frame in frames])["user_id"]
        return users.drop_nulls().unique().sort().to_list()

    def manifests(self, day: date) -> pl.DataFrame:
        """Manifest pairs of the day: the columns of `silver/manifest_pairs`; empty where there is no file."""
        return self._artifacts(MANIFESTS, [day])[0]

    def chat(self, day: date) -> pl.DataFrame:
        """The workers' own messages of the day: the columns of `silver/chat_messages`."""
        return self._artifacts(CHAT, [day])[0]

    def worker_frames(
        self,
        primary: date,
        start: date,
        tenant_zone: str,
        *,
        baseline_days: int,
        slices: int | None = None,
        workers: Collection[str] | None = None,
    ) -> GoldFrames:
        """Everything that workers' facts of the window `[start, primary]` are made of, in one read a table.

        `baseline_days`: how far before the primary day measures are read; `slices`: how many of a worker's
        longest slices, where not all of them. With `workers` the rows are theirs alone.
        """
        longest = None if slices is None else partial(longest_slices, limit=slices)
        window = days_of(start, primary)
        measured = days_of(min(start, primary - timedelta(days=baseline_days)), primary)
        manifests, lost_manifests = self._artifacts(MANIFESTS, window, workers)
        chat, lost_chat = self._artifacts(CHAT, window, workers)
        jobs, lost_jobs = self._artifacts(JOBS, window, workers)
        lost = {MANIFESTS: lost_manifests, CHAT: lost_chat, JOBS: lost_jobs}
        return GoldFrames(
            tenant_id=self.tenant_id,
            tenant_zone=tenant_zone,
            versions=self.versions,
            run_ids=self.run_ids,
            workblocks=self.read(GOLD_WORKBLOCKS, window, workers),
            atomic_slices=self.read(GOLD_SLICES, [primary], workers, longest),
            usage_statistics=self.read(GOLD_USAGE, [primary], workers),
            kpi_daily=self.read(GOLD_KPI_DAILY, measured, workers),
            focus_blocks=self.read(GOLD_FOCUS_BLOCKS, window, workers),
            day_accounting=self.read(GOLD_ACCOUNTING, window, workers),
            kpi_group_rollups=GOLD_KPI_GROUPS.empty(),
            manifests=manifests,
            chat=chat,
            jobs=jobs,
            missing={
                day: frozenset(name for name in ARTIFACTS if day in lost[name])
                for day in window
                if any(day in days for days in lost.values())
            },
            incomplete=self._incomplete(window, workers),
        )

    def team_frames(self, primary: date, start: date, tenant_zone: str) -> GoldFrames:
        """Everything that teams' facts of the window are made of; frames of nothing else have rows."""
        weeks = days_of(week_of(start), primary)
        return GoldFrames(
            tenant_id=self.tenant_id,
            tenant_zone=tenant_zone,
            versions=self.versions,
            run_ids=self.run_ids,
            workblocks=GOLD_WORKBLOCKS.empty(),
            atomic_slices=GOLD_SLICES.empty(),
            usage_statistics=GOLD_USAGE.empty(),
            kpi_daily=self.read(GOLD_KPI_DAILY, weeks, choose=_values),
            focus_blocks=GOLD_FOCUS_BLOCKS.empty(),
            day_accounting=GOLD_ACCOUNTING.empty(),
            kpi_group_rollups=self.read(GOLD_KPI_GROUPS, weeks, choose=_of_teams),
            manifests=SILVER_MANIFEST_PAIRS.empty(),
            chat=SILVER_CHAT.empty(),
            jobs=self._artifacts(JOBS, weeks)[0],
            missing={},
            incomplete=OPS_FAILURES.empty().select("date", "user_id"),
        )

    def _artifacts(
        self, name: str, days: Sequence[date], workers: Collection[str] | None = None
    ) -> tuple[pl.DataFrame, frozenset[date]]:
        """Rows of the days' files of this name, and the days that have none."""
        with ThreadPoolExecutor(_READERS) as pool:
            found = dict(zip(days, pool.map(partial(self._artifact, name), days), strict=True))
        schema = _SCHEMAS[name]
        rows = pl.concat(
            [pl.DataFrame(schema=schema), *(frame for frame in found.values() if frame is not None)]
        )
        if workers is not None:
            rows = rows.filter(pl.col("user_id").is_in(sorted(workers)))
        return rows, frozenset(day for day, frame in found.items() if frame is None)

    @cached_property
    def _artifact(self) -> Callable[[str, date], pl.DataFrame | None]:
        """A day's file of a name. The last ones are kept: windows overlap, and files do not change."""
        return lru_cache(_FILES_KEPT)(partial(_artifact, self.store, self.tenant_id, self.run_ids))

    def _incomplete(self, days: Sequence[date], workers: Collection[str] | None) -> pl.DataFrame:
        """date and user_id of what the published runs of the days could not compute."""
        partial_runs = [
            runs.run_ids[day] for runs in (self.runs, self.silver_runs) for day in days if day in runs.partial
        ]
        rows = OPS_FAILURES.empty() if not partial_runs else self._failed(partial_runs, days)
        if workers is not None:
            rows = rows.filter(pl.col("user_id").is_in(sorted(workers)))
        return rows.select("date", "user_id").unique()

    def _failed(self, run_ids: Sequence[str], days: Sequence[date]) -> pl.DataFrame:
        with reading(OPS_FAILURES):
            rows = scan(self.failures, OPS_FAILURES, days).filter(pl.col("run_id").is_in(run_ids))
            return rows.collect()


def _values(measures: pl.LazyFrame) -> pl.LazyFrame:
    """Of measures, what says how many workers have one."""
    return measures.filter(pl.col("value").is_not_null()).select("date", "user_id", "measure", "value")


def _of_teams(groups: pl.LazyFrame) -> pl.LazyFrame:
    return groups.filter(pl.col("level") == "team")


def _artifact(
    store: ArtifactStore, tenant_id: str, run_ids: Mapping[date, str], name: str, day: date
) -> pl.DataFrame | None:
    batch = run_ids.get(day)
    if batch is None:
        return None
    paths = ArtifactPaths(tenant_id)
    path = paths.chat_history_table(day, batch) if name == CHAT else paths.stage1_table(day, batch, name)
    try:
        content = store.get(path)
    except NotFound:
        return None
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except pl.exceptions.PolarsError as error:
        raise StorageUnavailable(f"{path} could not be read ({type(error).__name__})") from None
    return frame.match_to_schema(_SCHEMAS[name], missing_columns="insert", extra_columns="ignore")
