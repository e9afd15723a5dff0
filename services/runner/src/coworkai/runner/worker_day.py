"""A worker's day computed again from the versions that its published run had read, and the way from its
Silver rows to Bronze.

Nothing of this is stored: the rules are pure, so the same input gives the rows that were published, and what
the rules matched can be looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from coworkai.common.control import Stage
from coworkai.common.errors import NotFound, StorageUnavailable
from coworkai.common.events import Source
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.outputs import Frames
from coworkai.common.published import Published, published
from coworkai.common.tables import (
    BRONZE_ACTIVITIES,
    BRONZE_CHAT,
    BRONZE_DEVICE_POSTURE,
    BRONZE_JOBS,
    BRONZE_KEYSTROKES,
    BRONZE_MANIFESTS,
    BRONZE_REPEATS,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    SILVER_CHAT,
    SILVER_DEVICE_POSTURE,
    SILVER_HEALTH,
    SILVER_KEYSTROKES,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    SILVER_TIMELINE,
    TIMESTAMP,
    Table,
)
from coworkai.runner.bronze import event_dates
from coworkai.runner.run_silver import DAY_TABLES as SILVER_DAY_TABLES
from coworkai.runner.run_stage1 import PinnedSilver
from coworkai.runner.silver.identity import first_of_each
from coworkai.runner.stage1.build import build_stage1
from coworkai.runner.stage1.idle import idle_intervals
from coworkai.runner.stage1.org_context import with_org
from coworkai.runner.stages import TenantRules

_EVENTS = pl.Schema(
    {"table": pl.String, "event_id": pl.String, "event_date": pl.Date, "file": pl.String, "version": pl.Int64}
)
_SHOWN: Mapping[str, tuple[str, ...]] = {
    SILVER_CHAT.id: ("event_id", "occurred_at", "assistant"),
    SILVER_DEVICE_POSTURE.id: ("event_id", "occurred_at", "idle_s", "locked"),
    SILVER_MANIFEST_PAIRS.id: ("sod_event_id", "eod_event_id", "sod_at", "eod_at"),
    SILVER_ORG_MEMBERS.id: (
        "user_id",
        "valid_from",
        "team",
        "department",
        "time_zone",
        "schedule_start",
        "schedule_end",
    ),
}
"""What is shown of Silver rows: where they come from and when, not what they say."""
_BRONZE_OF: Mapping[str, tuple[Table, tuple[str, ...]]] = {
    SILVER_CHAT.id: (BRONZE_CHAT, ("event_id",)),
    SILVER_DEVICE_POSTURE.id: (BRONZE_DEVICE_POSTURE, ("event_id",)),
    SILVER_MANIFEST_PAIRS.id: (BRONZE_MANIFESTS, ("sod_event_id", "eod_event_id")),
}
"""Where the events of shown Silver rows are, and the columns with their ids."""
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class RunStep:
    """A run on the way: its id and the versions that it read, by table id."""

    stage: Stage
    run_id: str
    input_versions: Mapping[str, int]


def run_step(lake: Lake, tenant_id: str, stage: Stage, run_id: object, day: date) -> RunStep:
    """The newest record of the run of the day. Raises NotFound."""
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


def silver_read_by(lake: Lake, tenant_id: str, gold: RunStep) -> PinnedSilver:
    """Silver at the versions that a stage 1 run had read.

    As it is published now where one of them is gone.
    """
    try:
        return PinnedSilver.pin(lake, tenant_id, Published(gold.input_versions, {}, frozenset()))
    except StorageUnavailable:
        return _silver_of_now(lake, tenant_id)


def _silver_of_now(lake: Lake, tenant_id: str) -> PinnedSilver:
    """Silver as it is published. A day whose rows have changed since a run of stage 1 has a newer run, so the
    rows of the newest one's days are those that it read."""
    return PinnedSilver.pin(lake, tenant_id, published(lake.open(OPS_RUNS, tenant_id), Stage.SILVER))


@dataclass(frozen=True)
class WorkerDay:
    """One worker's local day.

    `silver` are the worker's rows and the organisation's whole history, `gold` what the rules make of them,
    both by table id; `matches` what keystroke minutes were matched to. `zone` is the worker's that day.
    """

    lake: Lake
    tenant_id: str
    user_id: str
    day: date
    zone: str
    steps: tuple[RunStep, RunStep]
    silver: Frames
    gold: Frames
    matches: pl.DataFrame

    @classmethod
    def open(cls, lake: Lake, tenant_id: str, user_id: str, day: date, rules: TenantRules) -> WorkerDay:
        """The day as its published run saw it.

        Raises NotFound for a day that is not published, StorageUnavailable.
        """
        run_ids = published(lake.open(OPS_RUNS, tenant_id), Stage.STAGE1).run_ids
        if day not in run_ids:
            raise NotFound("nothing is published of that day")
        gold_step = run_step(lake, tenant_id, Stage.STAGE1, run_ids[day], day)
        pinned = silver_read_by(lake, tenant_id, gold_step)
        try:
            silver_run, silver = _run_id_of(pinned, day), pinned.window([day], [user_id])
        except StorageUnavailable:
            # The log of that version is there, and files of it are not.
            pinned = _silver_of_now(lake, tenant_id)
            silver_run, silver = _run_id_of(pinned, day), pinned.window([day], [user_id])
        silver_step = run_step(lake, tenant_id, Stage.SILVER, silver_run, day)
        members = pinned.org_members
        silver |= {SILVER_ORG_MEMBERS.id: members}
        stage1 = build_stage1(
            silver[SILVER_TIMELINE.id],
            silver[SILVER_KEYSTROKES.id],
            idle_intervals(silver[SILVER_DEVICE_POSTURE.id]),
            silver[SILVER_HEALTH.id],
        )
        gold = rules.stage1(silver, rules.tenant_zone, rules.focus)
        them = pl.DataFrame({"tenant_id": [tenant_id], "date": [day], "user_id": [user_id]})
        zone: str = with_org(them, members, rules.tenant_zone)["zone"].item()
        steps = (gold_step, silver_step)
        return cls(lake, tenant_id, user_id, day, zone, steps, silver, gold, stage1.matches)

    # ------------------------------------------------------------------------------------------ Silver rows
    def pieces(self, *where: pl.Expr) -> pl.DataFrame:
        """Pieces of the timeline, in order: event_id, started_at, ended_at, app."""
        rows = self.silver[SILVER_TIMELINE.id].filter(*where)
        return rows.select("event_id", "started_at", "ended_at", "app").sort("started_at")

    def pieces_within(self, spans: pl.DataFrame, *where: pl.Expr) -> pl.DataFrame:
        """Pieces that meet one of the spans (started_at, ended_at)."""
        met = [
            (pl.col("ended_at") > pl.lit(start, TIMESTAMP)) & (pl.col("started_at") < pl.lit(end, TIMESTAMP))
            for start, end in spans.select("started_at", "ended_at").iter_rows()
        ]
        return self.pieces(pl.any_horizontal(pl.lit(value=False), *met), *where)

    def kept_pieces(self, *where: pl.Expr) -> pl.DataFrame:
        """Pieces in workblocks, those of noise left out."""
        return self.pieces_within(self.gold[GOLD_WORKBLOCKS.id], *where)

    def keystrokes(self, *where: pl.Expr) -> pl.DataFrame:
        """Keystroke minutes: event_id, phase, cross_app, ambiguous, minute, app.

        `where` is of these, of url, and of workblock_id and sequence, which are null for noise.
        """
        minutes = self.silver[SILVER_KEYSTROKES.id].select("event_id", "minute", "app", "url")
        return (
            self.matches.join(minutes, on="event_id", how="left")
            .filter(*where)
            .select("event_id", "phase", "cross_app", "ambiguous", "minute", "app")
            .sort("minute", "event_id")
        )

    def shown(self, table: Table, *where: pl.Expr) -> pl.DataFrame:
        """The worker's rows of a Silver table that day; of the organisation, the row valid on it."""
        rows = self.silver[table.id].filter(*where)
        if table is SILVER_ORG_MEMBERS:
            ends = pl.col("valid_to")
            rows = rows.filter(
                pl.col("user_id") == self.user_id,
                pl.col("valid_from") <= self.day,
                ends.is_null() | (ends > self.day),
            )
        return rows.select(_SHOWN[table.id])

    def is_known(self) -> bool:
        """Whether anything of the worker's day, or the worker in the organisation, is known."""
        theirs = pl.col("user_id") == self.user_id
        return any(not frame.filter(theirs).is_empty() for frame in self.silver.values())

    # ------------------------------------------------------------------------------------------ Bronze rows
    def events(
        self, pieces: pl.DataFrame, keystrokes: pl.DataFrame, others: Mapping[str, pl.DataFrame]
    ) -> pl.DataFrame:
        """The Bronze events of Silver rows: table, event_id, event_date, file and version of the table."""
        return pl.concat(
            [
                pl.DataFrame(schema=_EVENTS),
                self._events(BRONZE_ACTIVITIES, pieces["event_id"]),
                self._events(BRONZE_KEYSTROKES, keystrokes["event_id"]),
                *(
                    self._events(table, pl.concat(rows[name].alias("event_id") for name in columns))
                    for table_id, (table, columns) in _BRONZE_OF.items()
                    if (rows := others.get(table_id)) is not None
                ),
                *self._snapshots(others.get(SILVER_ORG_MEMBERS.id)),
            ]
        )

    def _events(self, table: Table, event_ids: pl.Series) -> pl.DataFrame:
        ids = event_ids.drop_nulls().unique()
        return self._rows(table, pl.col("event_id").is_in(ids.to_list())) if len(ids) else _EVENTS.to_frame()

    def _snapshots(self, members: pl.DataFrame | None) -> Iterator[pl.DataFrame]:
        """Rows of the organisation snapshots in which the shown rows began."""
        if members is not None and not members.is_empty():
            began = pl.col("valid_from").is_in(members["valid_from"].to_list())
            yield self._rows(BRONZE_JOBS, pl.col("user_id") == self.user_id, began)

    def _rows(self, table: Table, *where: pl.Expr) -> pl.DataFrame:
        """Rows at the version that was read; as they are now where that one is gone. Bronze only adds."""
        try:
            return self._rows_at(self.steps[1].input_versions[table.id], table, *where)
        except StorageUnavailable:
            return self._rows_at(self.lake.open(table).version(), table, *where)

    def _rows_at(self, version: int, table: Table, *where: pl.Expr) -> pl.DataFrame:
        delta = self.lake.open(table, version=version)
        dates = [("event_date", "in", [one.isoformat() for one in event_dates([self.day])])]
        files = delta.file_uris(file_pruning_predicate=None if table is BRONZE_JOBS else dates)
        if not files:
            return _EVENTS.to_frame()
        rows = pl.scan_parquet(
            files, storage_options=dict(self.lake.storage_options) or None, include_file_paths="file"
        )
        with reading(table):
            return (
                rows.filter(pl.col("tenant_id") == self.tenant_id, *where)
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

    def activities(self) -> pl.DataFrame:
        """Activities that the day's raw seconds are the sum of: event_id, and raw_us, what lies on the day.

        Those that others hid entirely are among them, though nothing of them is in the timeline.
        """
        versions = self.steps[1].input_versions
        delta = self.lake.open(BRONZE_ACTIVITIES, version=versions[BRONZE_ACTIVITIES.id])
        repeats = self.lake.open(BRONZE_REPEATS, version=versions.get(BRONZE_REPEATS.id, 0))
        dates = event_dates([self.day])
        theirs = (pl.col("tenant_id") == self.tenant_id) & (pl.col("user_id") == self.user_id)
        with reading(BRONZE_ACTIVITIES):
            rows = scan(delta, BRONZE_ACTIVITIES, dates).filter(theirs).collect()
            listed = (
                scan(repeats, BRONZE_REPEATS, dates)
                .filter(theirs, pl.col("source") == Source.ACTIVITIES.value)
                .select("event_id", "event_date")
                .collect()
            )
        begins, ends = (pl.lit(moment, TIMESTAMP) for moment in self._midnights())
        raw = pl.min_horizontal("ended_at", ends) - pl.max_horizontal("started_at", begins)
        return (
            first_of_each(rows, listed)
            .kept.filter(pl.col("ended_at") > begins, pl.col("started_at") < ends)
            .select("event_id", raw_us=raw.dt.total_microseconds())
        )

    def _midnights(self) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.zone)
        first, last = (
            datetime.combine(on, time(), zone).astimezone(UTC)
            for on in (self.day, self.day + timedelta(days=1))
        )
        return first, last


def _run_id_of(silver: PinnedSilver, day: date) -> str:
    """The Silver run that had made the day, as every row of it says. Raises NotFound for one without rows."""
    for table in SILVER_DAY_TABLES:
        with reading(table):
            rows = scan(silver.deltas[table.id], table, [day]).select("run_id").head(1).collect()
        if not rows.is_empty():
            found: str = rows["run_id"].item()
            return found
    raise NotFound("nothing had arrived of that day")
