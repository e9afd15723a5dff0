"""Stage 1 of a tenant's local days: read published Silver, apply the rules, verify, write Gold.

A day's run id is a digest of its Silver run, the organisation as of the day, and the rules: a day whose
id was published already is not even read. Groups are rolled up by whole weeks from what the days have become.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
from deltalake import DeltaTable

from coworkai.common.control import Stage
from coworkai.common.errors import AccountingError
from coworkai.common.isolation import isolate
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.outputs import TABLES, Accounted, ComputedDay, Frames, Outputs, Run, WorkerFailure
from coworkai.common.published import Published
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    SILVER_KEYSTROKES,
    SILVER_ORG_MEMBERS,
    SILVER_TIMELINE,
    Table,
)
from coworkai.runner.batches import of_workers, together, worker_batches
from coworkai.runner.digests import DayDigests, Sums, run_id
from coworkai.runner.run_silver import DAY_TABLES as SILVER_DAY_TABLES
from coworkai.runner.stages import TenantRules

DAY_TABLES = tuple(table for table in TABLES[Stage.STAGE1] if table is not GOLD_KPI_GROUPS)
_BATCH_BY = (SILVER_TIMELINE, SILVER_KEYSTROKES)
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class PinnedSilver:
    """A tenant's Silver at the versions that were published. Every read raises StorageUnavailable."""

    tenant_id: str
    deltas: Mapping[str, DeltaTable]
    published: Published
    org_members: pl.DataFrame

    @property
    def versions(self) -> dict[str, int]:
        return {table_id: delta.version() for table_id, delta in self.deltas.items()}

    @classmethod
    def pin(cls, lake: Lake, tenant_id: str, published: Published) -> PinnedSilver:
        deltas = {
            table.id: lake.open(table, tenant_id, version=published.version(table))
            for table in TABLES[Stage.SILVER]
        }
        with reading(SILVER_ORG_MEMBERS):
            members = scan(deltas[SILVER_ORG_MEMBERS.id], SILVER_ORG_MEMBERS).collect()
        return cls(tenant_id, deltas, published, members)

    def has(self, day: date) -> bool:
        """Whether Silver has computed the day."""
        return day in self.published.run_ids

    def workers(self, days: Collection[date]) -> list[tuple[str, int]]:
        """Workers with rows on the days, and how many activity pieces and keystroke minutes; by worker."""
        counts = pl.concat(
            scan(self.deltas[table.id], table, days)
            .group_by("user_id")
            .agg(pl.len() if table in _BATCH_BY else pl.lit(0, pl.get_index_type()).alias("len"))
            for table in SILVER_DAY_TABLES
        )
        with reading(SILVER_TIMELINE):
            totals = counts.drop_nulls("user_id").group_by("user_id").sum().collect(engine="streaming")
        return list(totals.sort("user_id").iter_rows())

    def window(self, days: Collection[date], workers: Collection[str]) -> dict[str, pl.DataFrame]:
        """Frames by table id of the workers' days, org_members left out."""
        theirs = pl.col("user_id").is_in(sorted(workers))
        frames: dict[str, pl.DataFrame] = {}
        for table in SILVER_DAY_TABLES:
            with reading(table):
                frames[table.id] = scan(self.deltas[table.id], table, days).filter(theirs).collect()
        return frames

    def read(self, table: Table, days: Collection[date]) -> pl.DataFrame:
        """Rows of the table on the days."""
        with reading(table):
            return scan(self.deltas[table.id], table, days).collect()

    def org_of(self, days: Collection[date]) -> pl.DataFrame:
        """The organisation as of each day, without what later snapshots say: org_members' columns but
        valid_to and is_current; `date` is the day."""
        return (
            self.org_members.drop("date", "run_id", "is_current")
            .join(pl.DataFrame({"date": sorted(days)}, schema={"date": pl.Date}), how="cross")
            .filter(
                pl.col("valid_from") <= pl.col("date"),
                pl.col("valid_to").is_null() | (pl.col("date") < pl.col("valid_to")),
            )
            .drop("valid_to")
            .sort("date", "user_id")
        )


# ------------------------------------------------------------------------------------------ days
def day_run_ids(silver: PinnedSilver, days: Collection[date], rules: TenantRules) -> dict[date, str]:
    """Run ids of the days, from what they would be computed of."""
    organisation = DayDigests()
    organisation.add(SILVER_ORG_MEMBERS.id, silver.org_of(days))
    settings = DayDigests()
    settings.add("focus", rules.focus.with_columns(date=pl.lit(date.min)))
    shared: Mapping[str, Sums] = settings.of(date.min)
    return {
        day: run_id(
            Stage.STAGE1,
            silver.tenant_id,
            [day],
            {**shared, **organisation.of(day)},
            f"{rules.version} {silver.published.run_ids.get(day)} {rules.tenant_zone}",
        )
        for day in days
    }


def compute_day(
    silver: PinnedSilver, run_ids: Mapping[date, str], day: date, *, rules: TenantRules, batch_rows: int
) -> ComputedDay:
    """Gold of a local day under its run id in `run_ids`.

    Raises AccountingError when an identity does not hold, StorageUnavailable.
    """
    results: list[Frames] = []
    failures: list[WorkerFailure] = []
    counts = dict.fromkeys((table.id for table in SILVER_DAY_TABLES), 0)
    for batch in worker_batches(silver.workers([day]), batch_rows):
        window = silver.window([day], batch)
        computed, failed = isolate(_stage_of(window, silver.org_members, batch, rules), batch)
        results += computed
        failures += failed
        for table_id, frame in window.items():
            counts[table_id] += frame.height
    frames = together(results, DAY_TABLES)
    counts |= {table_id: frame.height for table_id, frame in frames.items()}
    accounted = account(frames)
    if not failures and accounted.keystroke_minutes != counts[SILVER_KEYSTROKES.id]:
        raise AccountingError(
            f"{counts[SILVER_KEYSTROKES.id]} keystroke minutes in, {accounted.keystroke_minutes} matched"
        )
    return ComputedDay(frames, Run(run_ids[day], (day,), counts, accounted.seconds, tuple(failures)))


def _stage_of(
    window: Frames, members: pl.DataFrame, batch: Sequence[str], rules: TenantRules
) -> Callable[[Sequence[str]], Frames]:
    def compute(workers: Sequence[str]) -> Frames:
        frames = window if len(workers) == len(batch) else of_workers(window, workers)
        return rules.stage1({**frames, SILVER_ORG_MEMBERS.id: members}, rules.tenant_zone, rules.focus)

    return compute


@dataclass(frozen=True, slots=True)
class _Accounted:
    seconds: Accounted
    keystroke_minutes: int


def account(frames: Frames) -> _Accounted:
    """The accounting identities of the day, checked on what is about to be written.

    Raises AccountingError when raw is not kept + overlapped, or a keystroke minute is matched never or twice.
    """

    def us(column: str) -> pl.Expr:
        return (pl.col(column) * _MICROSECONDS).round().cast(pl.Int64).sum()

    matched = pl.sum_horizontal("direct", "nearest", "gap", "orphan")
    raw_us, kept_us, overlapped_us, minutes, phases = (
        frames[GOLD_ACCOUNTING.id]
        .select(
            us("raw_s"), us("kept_s"), us("overlapped_s"), pl.col("keystroke_minutes").sum(), matched.sum()
        )
        .row(0)
    )
    if raw_us != kept_us + overlapped_us:
        raise AccountingError(f"raw {raw_us} us, kept {kept_us} us, overlapped {overlapped_us} us")
    if minutes != phases:
        raise AccountingError(f"{minutes} keystroke minutes, {phases} matched")
    return _Accounted(Accounted(raw_us, kept_us, overlapped_us), minutes)


def write_days(outputs: Outputs, computed: Sequence[ComputedDay]) -> tuple[Frames, list[Run]]:
    """Replace the partitions of computed days; the rows with run ids by table id, and their runs.

    Raises as `Outputs.replace`.
    """
    return outputs.replace_days(DAY_TABLES, computed), [day.run for day in computed]


# ------------------------------------------------------------------------------------------ groups
def week_of(day: date) -> tuple[date, ...]:
    """The seven days of the ISO week."""
    monday = day - timedelta(days=day.weekday())
    return tuple(monday + timedelta(days=n) for n in range(7))


def roll_up_week(outputs: Outputs, silver: PinnedSilver, week: tuple[date, ...], rules: TenantRules) -> Run:
    """Replace the group rollups of a week with those of its days as they are now; its row of `ops/runs`.

    Raises as `Outputs.replace`.
    """
    rollups, run = week_rollups(outputs.read(GOLD_KPI_DAILY, week), silver, week, rules)
    outputs.replace(GOLD_KPI_GROUPS, rollups, week)
    return run


def week_rollups(
    kpis: pl.DataFrame, silver: PinnedSilver, week: tuple[date, ...], rules: TenantRules
) -> tuple[pl.DataFrame, Run]:
    """Group rollups of the week's `kpis` with their run id, and their row of `ops/runs`."""
    digests = DayDigests()
    digests.add(GOLD_KPI_DAILY.id, kpis.with_columns(date=pl.lit(week[0])))
    digests.add(SILVER_ORG_MEMBERS.id, silver.org_of(week).with_columns(date=pl.lit(week[0])))
    name = run_id(Stage.STAGE1, silver.tenant_id, week, digests.of(week[0]), rules.version)
    rollups = rules.rollups(kpis, silver.org_members).with_columns(run_id=pl.lit(name))
    return rollups, Run(name, week, {GOLD_KPI_DAILY.id: kpis.height, GOLD_KPI_GROUPS.id: rollups.height})
