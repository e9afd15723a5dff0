"""From a number back to what was collected: a workblock or slice, its Silver rows, its Bronze events, files.

Nothing of this is stored: the rules are pure, so the worker's day is computed again from the versions that
the run had read, and what the rules matched is looked up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from coworkai.common.control import Stage
from coworkai.common.errors import NotFound, StorageUnavailable
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.published import Published, published
from coworkai.common.tables import (
    BRONZE_ACTIVITIES,
    BRONZE_KEYSTROKES,
    GOLD_SLICES,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    SILVER_DEVICE_POSTURE,
    SILVER_HEALTH,
    SILVER_KEYSTROKES,
    SILVER_TIMELINE,
    TIMESTAMP,
    Table,
)
from coworkai.runner.bronze import event_dates
from coworkai.runner.run_stage1 import PinnedSilver
from coworkai.runner.stage1.build import Stage1, build_stage1
from coworkai.runner.stage1.idle import idle_intervals

SLICE_SEPARATOR = "/"
"""A slice is named `<workblock_id>/<sequence>`."""


_EVENTS = pl.Schema(
    {"table": pl.String, "event_id": pl.String, "event_date": pl.Date, "file": pl.String, "version": pl.Int64}
)


@dataclass(frozen=True, slots=True)
class RunStep:
    """A run on the way: its id and the versions that it read, by table id."""

    stage: Stage
    run_id: str
    input_versions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a workblock or a slice comes from.

    `row`: the Gold row. `pieces`: its rows of `silver/activity_timeline`; `keystrokes`: its keystroke minutes
    with the phase that matched them (1 to 4). `events`: the Bronze rows of both: table, event_id, event_date,
    file and the version of the table that the Silver run read.
    """

    row: Mapping[str, object]
    steps: tuple[RunStep, RunStep]
    pieces: pl.DataFrame
    keystrokes: pl.DataFrame
    events: pl.DataFrame


def lineage(lake: Lake, tenant_id: str, identifier: str) -> Lineage:
    """Trace a workblock (`wb:…`) or a slice (`wb:…/3`) of what is published.

    Raises NotFound when there is none, StorageUnavailable when a version that the run had read is gone.
    """
    workblock_id, _, sequence = identifier.partition(SLICE_SEPARATOR)
    row = _gold_row(lake, tenant_id, workblock_id, sequence)
    day, user_id = row["date"], row["user_id"]
    assert isinstance(day, date)
    gold = _step(lake, tenant_id, Stage.STAGE1, row["run_id"], day)
    silver = _pinned(lake, tenant_id, gold)
    frames = silver.window([day], [str(user_id)])
    stage1 = _computed(frames)
    if stage1.workblocks.filter(pl.col("workblock_id") == workblock_id).is_empty():
        raise StorageUnavailable("the day has been computed anew meanwhile; ask again")
    keystrokes = _keystrokes(stage1, frames[SILVER_KEYSTROKES.id], workblock_id, sequence)
    pieces = _pieces(frames[SILVER_TIMELINE.id], row, is_slice=bool(sequence))
    source = _step(lake, tenant_id, Stage.SILVER, _run_id_of(frames), day)
    bronze = _Bronze(lake, tenant_id, day, source.input_versions)
    events = pl.concat(
        [
            bronze.events(BRONZE_ACTIVITIES, pieces["event_id"]),
            bronze.events(BRONZE_KEYSTROKES, keystrokes["event_id"]),
        ]
    )
    return Lineage(row, (gold, source), pieces, keystrokes, events)


def _gold_row(lake: Lake, tenant_id: str, workblock_id: str, sequence: str) -> Mapping[str, object]:
    table = GOLD_SLICES if sequence else GOLD_WORKBLOCKS
    if sequence and not sequence.isdecimal():
        raise NotFound("a slice is named by its workblock and a number", remedy="wb:…/3")
    visible = published(lake.open(OPS_RUNS, tenant_id), Stage.STAGE1)
    wanted = pl.col("workblock_id") == workblock_id
    if sequence:
        wanted &= pl.col("sequence") == int(sequence)
    with reading(table):
        rows = (
            scan(lake.open(table, tenant_id, version=visible.version(table)), table).filter(wanted).collect()
        )
    if rows.is_empty():
        raise NotFound(f"no {'slice' if sequence else 'workblock'} of this id is published")
    return rows.row(0, named=True)


def _step(lake: Lake, tenant_id: str, stage: Stage, run_id: object, day: date) -> RunStep:
    """The newest record of the run of the day."""
    with reading(OPS_RUNS):
        rows = (
            scan(lake.open(OPS_RUNS, tenant_id), OPS_RUNS)
            .filter(
                pl.col("run_id") == run_id,
                pl.col("stage") == stage.value,
                pl.col("days").list.contains(day),
            )
            .select("run_id", "fence", "finished_at", "input_versions")
            .collect()
            .sort("fence", "finished_at")
        )
    if rows.is_empty():
        raise NotFound(f"no {stage.value} run of the day is recorded")
    versions = {entry["table"]: entry["version"] for entry in rows["input_versions"][-1]}
    return RunStep(stage, rows["run_id"][-1], versions)


def _pinned(lake: Lake, tenant_id: str, gold: RunStep) -> PinnedSilver:
    return PinnedSilver.pin(lake, tenant_id, Published(gold.input_versions, {}, frozenset()))


def _computed(frames: Mapping[str, pl.DataFrame]) -> Stage1:
    return build_stage1(
        frames[SILVER_TIMELINE.id],
        frames[SILVER_KEYSTROKES.id],
        idle_intervals(frames[SILVER_DEVICE_POSTURE.id]),
        frames[SILVER_HEALTH.id],
    )


def _run_id_of(frames: Mapping[str, pl.DataFrame]) -> object:
    return next(frame["run_id"][0] for frame in frames.values() if not frame.is_empty())


def _keystrokes(stage1: Stage1, minutes: pl.DataFrame, workblock_id: str, sequence: str) -> pl.DataFrame:
    matched = stage1.matches.filter(pl.col("workblock_id") == workblock_id)
    if sequence:
        matched = matched.filter(pl.col("sequence") == int(sequence))
    return (
        matched.select("event_id", "phase", "cross_app", "ambiguous")
        .join(minutes.select("event_id", "minute", "app"), on="event_id", how="left")
        .sort("minute", "event_id")
    )


def _pieces(timeline: pl.DataFrame, row: Mapping[str, object], *, is_slice: bool) -> pl.DataFrame:
    """Pieces inside the block's span; for a slice, those of its context."""
    started_at, ended_at = (pl.lit(row[name], TIMESTAMP) for name in ("started_at", "ended_at"))
    inside = (pl.col("ended_at") > started_at) & (pl.col("started_at") < ended_at)
    if is_slice:
        if row["is_synthetic"]:
            inside = pl.lit(value=False)
        for name in ("app", "url") if row["url"] is not None else ("app", "url", "title"):
            inside &= pl.col(name).eq_missing(pl.lit(row[name], pl.String))
    return timeline.filter(inside).select("event_id", "started_at", "ended_at", "app").sort("started_at")


@dataclass(frozen=True, slots=True)
class _Bronze:
    """Bronze of a tenant's day at the versions that a Silver run read."""

    lake: Lake
    tenant_id: str
    day: date
    versions: Mapping[str, int]

    def events(self, table: Table, event_ids: pl.Series) -> pl.DataFrame:
        """Rows of these ids, with the file that holds them."""
        version = self.versions[table.id]
        delta = self.lake.open(table, version=version)
        dates = [one.isoformat() for one in event_dates([self.day])]
        files = delta.file_uris(file_pruning_predicate=[("event_date", "in", dates)])
        if not files or event_ids.is_empty():
            return pl.DataFrame(schema=_EVENTS)
        rows = pl.scan_parquet(
            files, storage_options=dict(self.lake.storage_options) or None, include_file_paths="file"
        )
        theirs = pl.col("event_id").is_in(event_ids.unique().to_list())
        with reading(table):
            return (
                rows.filter(pl.col("tenant_id") == self.tenant_id, theirs)
                .select(
                    pl.lit(table.id).alias("table"),
                    "event_id",
                    pl.col("file").str.extract(r"event_date=([0-9-]+)").str.to_date().alias("event_date"),
                    "file",
                    pl.lit(version, pl.Int64).alias("version"),
                )
                .sort("event_date", "event_id")
                .collect()
            )
