"""Silver of a tenant's local days: read pinned Bronze, apply the rules, verify, write what changed.

A day is computed from its own event dates alone, so its rows are the same whatever else is computed with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from coworkai.common.control import Stage
from coworkai.common.errors import AccountingError
from coworkai.common.isolation import isolate
from coworkai.common.outputs import TABLES, Accounted, ComputedDay, Frames, Outputs, Run, WorkerFailure
from coworkai.common.tables import (
    BRONZE_JOBS,
    BRONZE_RECEIPTS,
    SILVER_HEALTH,
    SILVER_ORG_MEMBERS,
    SILVER_TIMELINE,
)
from coworkai.runner.batches import of_workers, together, worker_batches
from coworkai.runner.bronze import INPUTS, PinnedBronze
from coworkai.runner.digests import DayDigests, run_id
from coworkai.runner.silver.identity import first_of_each
from coworkai.runner.silver.org_history import ATTRIBUTES, org_members
from coworkai.runner.stages import TenantRules

DAY_TABLES = tuple(table for table in TABLES[Stage.SILVER] if table is not SILVER_ORG_MEMBERS)
_MICROSECONDS = 1_000_000


# ------------------------------------------------------------------------------------------ a day
def compute_day(
    bronze: PinnedBronze, members: pl.DataFrame, day: date, *, rules: TenantRules, batch_rows: int
) -> ComputedDay:
    """Silver of a local day, in the organisation that `members` tells.

    Raises AccountingError when an identity does not hold, StorageUnavailable.
    """
    results: list[Frames] = []
    failures: list[WorkerFailure] = []
    rows_in = 0
    for batch in worker_batches(bronze.workers([day]), batch_rows):
        window = bronze.window([day], batch)
        rows_in += sum(frame.height for frame in window.values())
        computed, failed = isolate(_stage_of(window, members, batch, day, rules), batch)
        results += computed
        failures += failed
    nobodys = bronze.unattributed([day])
    if not nobodys.is_empty():
        empty = {table.id: table.empty() for table in INPUTS}
        results.append(_stage(empty | {BRONZE_RECEIPTS.id: nobodys}, members, day, rules))
    frames = together(results, DAY_TABLES)
    digests = DayDigests()
    for table_id, frame in frames.items():
        digests.add(table_id, frame)
    run = Run(
        run_id(Stage.SILVER, bronze.tenant_id, [day], digests.of(day), rules.version),
        (day,),
        {"bronze": rows_in} | {table_id: frame.height for table_id, frame in frames.items()},
        account(frames),
        tuple(failures),
    )
    return ComputedDay(frames, run)


def _stage_of(
    window: Frames, members: pl.DataFrame, batch: Sequence[str], day: date, rules: TenantRules
) -> Callable[[Sequence[str]], Frames]:
    def compute(workers: Sequence[str]) -> Frames:
        frames = window if len(workers) == len(batch) else of_workers(window, workers)
        return _stage(frames, members, day, rules)

    return compute


def _stage(bronze: Frames, members: pl.DataFrame, day: date, rules: TenantRules) -> Frames:
    return rules.silver({**bronze, SILVER_ORG_MEMBERS.id: members}, [day], rules.tenant_zone)


def account(frames: Frames) -> Accounted:
    """The accounting identity of the frames, checked again on what is about to be written.

    Raises AccountingError when raw is not kept + overlapped, or kept is not what the timeline holds.
    """
    health = frames[SILVER_HEALTH.id].select(
        (pl.col(name) * _MICROSECONDS).round().cast(pl.Int64).sum()
        for name in ("raw_s", "kept_s", "overlapped_s")
    )
    raw_us, kept_us, overlapped_us = health.row(0)
    spans = (pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds().sum()
    timeline_us = frames[SILVER_TIMELINE.id].select(spans).item()
    if raw_us != kept_us + overlapped_us or kept_us != timeline_us:
        raise AccountingError(
            f"raw {raw_us} us, kept {kept_us} us, overlapped {overlapped_us} us, timeline {timeline_us} us"
        )
    return Accounted(raw_us, kept_us, overlapped_us)


def write_days(outputs: Outputs, news: Sequence[ComputedDay]) -> list[Run]:
    """Replace the partitions of computed days; their runs. Raises as `Outputs.replace`."""
    outputs.replace_days(DAY_TABLES, news)
    return [day.run for day in news]


# ------------------------------------------------------------------------------------------ the organisation
@dataclass(frozen=True, slots=True)
class OrgHistory:
    """The organisation from all snapshots; `changed_from` is the first day that it changes, if any."""

    members: pl.DataFrame
    run: Run
    changed_from: date | None


def compute_org(bronze: PinnedBronze, published: pl.DataFrame, rules: TenantRules) -> OrgHistory:
    """History of all of the tenant's snapshots, compared with the `published` rows of org_members."""
    jobs = bronze.jobs()
    members = org_members(first_of_each(jobs).kept)
    digests = DayDigests()
    digests.add(SILVER_ORG_MEMBERS.id, members.with_columns(date=pl.lit(date.min)), by="date")
    name = run_id(Stage.SILVER, bronze.tenant_id, [], digests.of(date.min), rules.version)
    counts = {BRONZE_JOBS.id: jobs.height, SILVER_ORG_MEMBERS.id: members.height}
    return OrgHistory(members, Run(name, (), counts), first_change(published, members))


def first_change(before: pl.DataFrame, after: pl.DataFrame) -> date | None:
    """The first day on which the organisation differs between two histories; None when on none.

    before  ana  sales ├───────────────────────▶        changed from ─┐
    after   ana  sales ├───────────┤├─ support ─▶                     └ here, where sales ends
    """
    row = ["user_id", "valid_from", *ATTRIBUTES]
    opened = [
        one.join(other, on=row, how="anti", nulls_equal=True).get_column("valid_from")
        for one, other in ((before, after), (after, before))
    ]
    closed = (
        before.join(after, on=row, nulls_equal=True)
        .filter(pl.col("valid_to").ne_missing(pl.col("valid_to_right")))
        .select(pl.min_horizontal("valid_to", "valid_to_right"))
        .to_series()
    )
    first: date | None = pl.concat([*opened, closed.rename("valid_from")]).min()  # type: ignore[assignment]
    return first


def reopened(outputs: Outputs, org: OrgHistory) -> set[date]:
    """Days to be computed again because the organisation changed.

    What happened after the UTC midnight of the change may have been filed from the day before on, and another
    zone may move it by up to two days.
    """
    if org.changed_from is None:
        return set()
    first = org.changed_from - timedelta(days=1)
    filed = {day for table in DAY_TABLES for day in outputs.days(table) if day >= first}
    return {day + timedelta(days=n) for day in filed for n in range(-2, 3)}


def write_org(outputs: Outputs, org: OrgHistory) -> list[Run]:
    """Replace the whole history if it changed; its run. Raises as `Outputs.replace`."""
    if org.changed_from is None:
        return []
    dates = {*outputs.days(SILVER_ORG_MEMBERS), *org.members["date"].unique()}
    outputs.replace(SILVER_ORG_MEMBERS, org.members.with_columns(run_id=pl.lit(org.run.run_id)), dates)
    return [org.run]
