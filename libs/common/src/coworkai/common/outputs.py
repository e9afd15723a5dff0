"""The tables a run writes, and the row that makes them visible.

Invariants:
- all tables are opened before anything is computed and not refreshed, so a commit of anybody else in between
  makes this run's commits fail, and the run is discarded;
- a run starts from what was published: commits that another left behind without publishing are undone first;
- the rows in `ops/runs` are the last commit. That table and `ops/failures` have rows of every lane: those
  of another are kept beside, a commit of the same lane makes this run's fail as in the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
from deltalake import DeltaTable

from coworkai.common.control import Lane, Stage
from coworkai.common.lake import (
    Lake,
    WrittenFile,
    append,
    partitions,
    reading,
    replace_partitions,
    replace_with_files,
    restore,
    scan,
)
from coworkai.common.published import PARTIAL, SUCCEEDED, Published, published
from coworkai.common.tables import (
    LATTICE_TABLES,
    OPS_FAILURES,
    OPS_RUNS,
    STAGE2_TABLES,
    TIMESTAMP,
    VERSIONS,
    Layer,
    Table,
    of_layer,
)

TABLES: Mapping[Stage, tuple[Table, ...]] = {
    Stage.SILVER: of_layer(Layer.SILVER),
    Stage.STAGE1: tuple(
        table for table in of_layer(Layer.GOLD) if table not in (*LATTICE_TABLES, *STAGE2_TABLES)
    ),
    Stage.LATTICE: LATTICE_TABLES,
    Stage.STAGE2: STAGE2_TABLES,
}
"""The tables that a stage writes; nobody else writes them. The rest of `ops/` has the rows of all stages."""


def stage_of(table: Table) -> Stage | None:
    """The stage that writes the table; None for Bronze, and for what of ops has rows of several."""
    return next((stage for stage, tables in TABLES.items() if table in tables), None)


Frames = Mapping[str, pl.DataFrame]
"""Frames by table id."""


@dataclass(frozen=True, slots=True)
class WorkerFailure:
    """A worker that could not be computed: class of the exception and line of ours that raised, no values."""

    user_id: str
    error_type: str
    location: str


@dataclass(frozen=True, slots=True)
class Accounted:
    """The accounting identity of a day in microseconds: raw = kept + overlapped."""

    raw_us: int = 0
    kept_us: int = 0
    overlapped_us: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One row of `ops/runs` to be: the run of a day, or of the days that a rollup covers."""

    run_id: str
    days: tuple[date, ...]
    counts: Mapping[str, int]
    accounted: Accounted = Accounted()
    failures: tuple[WorkerFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class ComputedDay:
    """A computed day: frames by table id without run ids, and its row of `ops/runs` to be."""

    frames: Frames
    run: Run

    @property
    def day(self) -> date:
        return self.run.days[0]

    @property
    def has_rows(self) -> bool:
        return any(not frame.is_empty() for frame in self.frames.values())


@dataclass(frozen=True, slots=True)
class Facts:
    """What all runs of one publication share."""

    input_versions: Mapping[str, int]
    code_version: str
    rules_version: str
    started_at: datetime
    finished_at: datetime
    rebuild_as_of: str | None = None


@dataclass(frozen=True)
class Outputs:
    """Output tables of a stage of a tenant."""

    tenant_id: str
    stage: Stage
    fence: int
    before: Published
    deltas: Mapping[str, DeltaTable]
    runs: DeltaTable
    failures: DeltaTable

    @classmethod
    def open(cls, lake: Lake, tenant_id: str, stage: Stage, fence: int) -> Outputs:
        """Open every table as it is now.

        Raises StorageUnavailable, and LeaseLost when another runner writes at this moment.
        """
        runs = lake.open(OPS_RUNS, tenant_id)
        before = published(runs, stage)
        deltas = {table.id: lake.open(table, tenant_id) for table in TABLES[stage]}
        for table in TABLES[stage]:
            delta, version = deltas[table.id], before.version(table)
            if delta.version() == version:
                continue
            visible = lake.open(table, tenant_id, version=version)
            if set(visible.file_uris()) != set(delta.file_uris()):
                restore(delta, table, version, fence=fence, lane=stage.lane)
        return cls(tenant_id, stage, fence, before, deltas, runs, lake.open(OPS_FAILURES, tenant_id))

    @property
    def lane(self) -> Lane:
        return self.stage.lane

    @property
    def versions(self) -> dict[str, int]:
        return {table_id: delta.version() for table_id, delta in self.deltas.items()}

    def days(self, table: Table) -> Collection[date]:
        """Dates that have rows."""
        return partitions(self.deltas[table.id], table).keys()

    def read(self, table: Table, dates: Collection[date] | None = None) -> pl.DataFrame:
        """Rows as this run sees them, its own included. Raises StorageUnavailable."""
        with reading(table):
            return scan(self.deltas[table.id], table, dates).collect()

    def is_new(self, day: date, name: str, *, has_rows: bool) -> bool:
        """Whether the day's run is not the published one, or was published without the workers that failed.

        A day without rows is new only where it had some.
        """
        if day in self.before.partial:
            return True
        return self.before.run_ids.get(day) != name and (has_rows or day in self.before.run_ids)

    def replace_days(
        self, tables: Iterable[Table], computed: Sequence[ComputedDay]
    ) -> dict[str, pl.DataFrame]:
        """Replace the partitions of computed days; rows with run ids, by table id. Raises as `replace`."""
        run_ids: Mapping[object, str] = {day.day: day.run.run_id for day in computed}
        written: dict[str, pl.DataFrame] = {}
        for table in tables if computed else ():
            frame = pl.concat(day.frames[table.id] for day in computed)
            written[table.id] = _with_run_ids(frame, table, run_ids)
            self.replace(table, written[table.id], [day.day for day in computed])
        return written

    def replace(self, table: Table, frame: pl.DataFrame, dates: Collection[date]) -> None:
        """Replace the partitions of `dates`. Raises LeaseLost or StorageUnavailable; the run is over then."""
        if dates:
            replace_partitions(self.deltas[table.id], table, frame, dates, fence=self.fence, lane=self.lane)

    def replace_with_files(
        self, table: Table, files: Collection[WrittenFile], dates: Collection[date]
    ) -> None:
        """Replace the partitions of `dates` with files of another engine. Raises as `replace`."""
        if dates:
            replace_with_files(self.deltas[table.id], table, files, dates, fence=self.fence, lane=self.lane)

    def append(self, table: Table, frame: pl.DataFrame) -> None:
        """Add rows. Raises as `replace`."""
        if not frame.is_empty():
            append(self.deltas[table.id], table, frame, fence=self.fence, lane=self.lane)

    def publish(self, runs: Sequence[Run], facts: Facts) -> None:
        """Record failures, then publish the runs. Raises as `replace`."""
        failed = _failure_rows(self.tenant_id, self.stage, runs, facts)
        if not failed.is_empty():
            append(self.failures, OPS_FAILURES, failed, fence=self.fence, lane=self.lane, shared=True)
        self._append_runs(self._run_rows(runs, facts))

    def publish_again(self, finished_at: datetime) -> None:
        """Publish the tables as they are after maintenance: the same rows, at their new versions.

        The newest run of the stage appears once more; nothing is published before the stage's first run.
        Raises as `replace`.
        """
        with reading(OPS_RUNS):
            rows = scan(self.runs, OPS_RUNS).filter(pl.col("stage") == self.stage.value).collect()
        newest = rows.sort("fence", "finished_at", maintain_order=True).tail(1)
        if newest.is_empty():
            return
        again = newest.with_columns(
            date=pl.lit(finished_at.date()),
            finished_at=pl.lit(finished_at, TIMESTAMP),
            fence=pl.lit(self.fence, pl.Int64),
            output_versions=pl.Series([_versions(self.versions)], dtype=VERSIONS),
        )
        self._append_runs(again)

    def _append_runs(self, rows: pl.DataFrame) -> None:
        append(self.runs, OPS_RUNS, rows, fence=self.fence, lane=self.lane, shared=True)

    def _run_rows(self, runs: Sequence[Run], facts: Facts) -> pl.DataFrame:
        inputs, outputs = _versions(facts.input_versions), _versions(self.versions)
        return pl.DataFrame(
            [
                {
                    "tenant_id": self.tenant_id,
                    "date": facts.finished_at.date(),
                    "run_id": run.run_id,
                    "stage": self.stage.value,
                    "days": list(run.days),
                    "input_versions": inputs,
                    "output_versions": outputs,
                    "code_version": facts.code_version,
                    "rules_version": facts.rules_version,
                    "fence": self.fence,
                    "counts": [{"name": name, "count": n} for name, n in sorted(run.counts.items())],
                    "raw_us": run.accounted.raw_us,
                    "kept_us": run.accounted.kept_us,
                    "overlapped_us": run.accounted.overlapped_us,
                    "failures": len(run.failures),
                    "status": PARTIAL if run.failures else SUCCEEDED,
                    "started_at": facts.started_at,
                    "finished_at": facts.finished_at,
                    "rebuild_as_of": facts.rebuild_as_of,
                }
                for run in runs
            ],
            schema=OPS_RUNS.schema,
        )


def _versions(versions: Mapping[str, int]) -> list[dict[str, str | int]]:
    return [{"table": table_id, "version": version} for table_id, version in sorted(versions.items())]


def _failure_rows(tenant_id: str, stage: Stage, runs: Sequence[Run], facts: Facts) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "tenant_id": tenant_id,
                "date": day,
                "user_id": failure.user_id,
                "stage": stage.value,
                "run_id": run.run_id,
                "error_type": failure.error_type,
                "location": failure.location,
                "failed_at": facts.finished_at,
            }
            for run in runs
            for day in run.days
            for failure in run.failures
        ],
        schema=OPS_FAILURES.schema,
    )


def _with_run_ids(frame: pl.DataFrame, table: Table, run_ids: Mapping[object, str]) -> pl.DataFrame:
    """The table's columns, with the run id of every row's date."""
    if frame.is_empty():
        return table.empty()
    return frame.with_columns(run_id=pl.col("date").replace_strict(run_ids, return_dtype=pl.String)).select(
        table.schema.names()
    )
