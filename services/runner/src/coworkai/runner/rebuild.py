"""Compute days again: as Bronze is now, or as it was.

In place, a rebuild is a run like any other: it holds the tenant's lease, publishes, and writes nothing that
is unchanged. Beside, it writes the same tables and artefacts under another root and publishes nothing here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.errors import NotFound, Overloaded, Terminal
from coworkai.common.lake import Lake, reading, scan, version_at
from coworkai.common.lease import HeldLease
from coworkai.common.tables import OPS_RUNS
from coworkai.runner.bronze import INPUTS, PinnedBronze
from coworkai.runner.pipeline import Pipeline, Publication

MAX_DAYS = 3_660
RELOOK = timedelta(hours=1)
"""How long after a rebuild began briefs are looked at again, whatever became of it."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild published, where, and from which Bronze versions."""

    root: str
    bronze_versions: Mapping[str, int]
    publications: list[Publication]
    failed_days: frozenset[date]


def rebuild(
    pipeline: Pipeline,
    tenant_id: str,
    first: date,
    last: date,
    *,
    as_of: int | datetime | None = None,
    beside: str | None = None,
) -> Rebuilt:
    """Compute the local dates from `first` to `last` again.

    `as_of`: a version of the tenant's `ops/runs`, to read the Bronze versions that its newest Silver run had
    read, or a time, to read Bronze as it was then; None for Bronze as it is. `beside`: root of a lake to
    write to; None to publish in place.
    Raises NotFound (no such tenant or version), Terminal (a range that is none), Overloaded (a runner holds
    the tenant), StorageUnavailable (also for files that vacuum has removed).
    """
    if first > last:
        raise Terminal(f"the range of days is empty: {first} is after {last}", remedy="swap the dates")
    if (last - first).days >= MAX_DAYS:
        raise Terminal(f"the range of days is too long: {(last - first).days + 1} days; at most {MAX_DAYS}")
    tenant = pipeline.control.tenant(tenant_id)
    if tenant is None:
        raise NotFound("no such tenant")
    bronze = PinnedBronze.pin(pipeline.lake, tenant_id, _bronze_versions(pipeline.lake, tenant_id, as_of))
    target = pipeline if beside is None else _beside(pipeline, beside)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    lease = pipeline.control.lease(tenant_id, pipeline.holder, pipeline.config.lease_ttl_s)
    if lease is None:
        raise Overloaded("a runner computes the tenant at this moment", remedy="try again in a minute")

    def reopen_briefs(changed: Collection[date]) -> None:
        # What is written beside has no briefs here.
        if beside is None:
            pipeline.control.mark_dirty(tenant_id, Stage.STAGE2, changed)

    if beside is None:
        # Should this process die between publishing and reopening, briefs are looked at all the same.
        pipeline.control.plan(tenant_id, Stage.STAGE2, days, pipeline.clock() + RELOOK)
    label = as_of.isoformat() if isinstance(as_of, datetime) else None if as_of is None else str(as_of)
    with HeldLease(pipeline.control, lease, pipeline.config.lease_ttl_s) as held:
        silver = target.silver(held, tenant, bronze, days, as_of=label)
        news = {day for one in silver.publications for day in one.run_ids}
        pinned = target.pin_silver(tenant_id)

        def reopen_lattice(changed: Collection[date]) -> None:
            if beside is None:
                pipeline.plan_lattice(tenant, pinned.org_members, changed)

        # Also of days that turn out unchanged: a rebuild makes what is missing.
        reopen_lattice(days)
        gold = target.stage1(
            held,
            tenant,
            pinned,
            {*days, *news},
            before_publication=reopen_lattice,
            after_publication=reopen_briefs,
            as_of=label,
        )
    return Rebuilt(
        target.lake.root,
        bronze.versions,
        [*silver.publications, *gold.publications],
        silver.failed_days | gold.failed_days,
    )


def _beside(pipeline: Pipeline, root: str) -> Pipeline:
    """The same pipeline, reading Bronze where it is and writing below `root`, telling nobody."""
    if root.rstrip("/") == pipeline.lake.root.rstrip("/"):
        raise Terminal("a rebuild beside needs another root", remedy="publish in place instead")
    options = pipeline.lake.storage_options
    return replace(
        pipeline,
        lake=Lake(root, options),
        store=ArtifactStore(root, options),
        announce=lambda _publication: None,
    )


def _bronze_versions(lake: Lake, tenant_id: str, as_of: int | datetime | None) -> Mapping[str, int]:
    """Versions by table id; none where Bronze is read as it is."""
    if as_of is None:
        return {}
    if isinstance(as_of, datetime):
        return {table.id: version_at(lake.open(table), table, as_of) for table in INPUTS}
    runs = lake.open(OPS_RUNS, tenant_id)
    if not 0 <= as_of <= runs.version():
        raise NotFound(f"ops/runs has no version {as_of}", remedy=f"its newest is {runs.version()}")
    with reading(OPS_RUNS):
        newest = (
            scan(lake.open(OPS_RUNS, tenant_id, version=as_of), OPS_RUNS)
            .filter(pl.col("stage") == Stage.SILVER.value)
            .select("fence", "finished_at", "input_versions")
            .collect()
            .sort("fence", "finished_at")
        )
    if newest.is_empty():
        raise NotFound(f"no Silver was published by version {as_of}")
    return {entry["table"]: entry["version"] for entry in newest["input_versions"][-1]}
