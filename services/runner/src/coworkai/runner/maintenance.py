"""Maintenance of the lake: compaction, checkpoints, retention, vacuum; and what the control store forgets.

Invariants:
- Bronze is compacted beside appends; a tenant's tables under the lease of the lane that writes them, and the
  compacted versions are published before anything else may build on them;
- vacuum never removes a file of a version that is published or younger than the policy's `versions`, so a
  reader that began before keeps reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec
import polars as pl
from deltalake import DeltaTable

from coworkai.common import lake as delta_lake
from coworkai.common.artifacts import ArtifactPaths, ArtifactStore
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control, Lane, Lease, Stage
from coworkai.common.errors import LeaseLost
from coworkai.common.lake import COMPACT_FROM_FILES, Lake, reading, scan
from coworkai.common.lease import HeldLease
from coworkai.common.observability import get_logger
from coworkai.common.outputs import TABLES, Outputs, stage_of
from coworkai.common.published import published
from coworkai.common.tables import (
    BRONZE_QUARANTINE,
    BRONZE_RECEIPTS,
    BRONZE_REPEATS,
    OPS_RUNS,
    Layer,
    Table,
    of_layer,
)
from coworkai.runner.bronze import DATED

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MaintenancePolicy:
    """How long what is kept. `versions`: files that only older versions need stay this long.

    Snapshots of the organisation are kept for ever: history is computed from all of them. Partitions with
    `compact_from_files` or more files are compacted.
    """

    bronze: timedelta = timedelta(days=400)
    quarantine: timedelta = timedelta(days=14)
    versions: timedelta = timedelta(hours=168)
    compact_from_files: int = COMPACT_FROM_FILES
    lease_ttl_s: float = 60


class TableReport(msgspec.Struct, frozen=True, kw_only=True):
    """What maintenance did to a table. `tenant_id` is null for Bronze and the control store."""

    table: str
    tenant_id: str | None
    rows_expired: int = 0
    files_merged: int = 0
    files_removed: int = 0
    batches_removed: int = 0


@dataclass(frozen=True)
class Maintenance:
    """Maintains Bronze and every tenant. Safe to run beside ingest, runners and readers."""

    lake: Lake
    control: Control
    store: ArtifactStore
    holder: str
    policy: MaintenancePolicy = MaintenancePolicy()
    clock: Clock = utc_now

    def run(self) -> list[TableReport]:
        """Maintain everything once; what of a tenant is being computed is left for the next time.

        Raises StorageUnavailable.
        """
        reports = [self._bronze(table) for table in of_layer(Layer.BRONZE)]
        for tenant in self.control.tenants():
            for lane in Lane:
                reports += self._tenant(tenant.tenant_id, lane)
        purged = self.control.purge().items()
        return reports + [
            TableReport(table=f"control/{name}", tenant_id=None, rows_expired=rows) for name, rows in purged
        ]

    # ------------------------------------------------------------------------------------------ bronze
    def _bronze(self, table: Table) -> TableReport:
        delta = self.lake.open(table)
        expired = 0
        if table is BRONZE_QUARANTINE:
            now = self.clock()
            expired = delta_lake.expire(delta, table, before=now, column="expires_at")
        elif table in (*DATED, BRONZE_RECEIPTS, BRONZE_REPEATS):
            kept_from = self.clock().date() - self.policy.bronze
            expired = delta_lake.expire(delta, table, before=kept_from, column="event_date")
        merged = self._compact(delta, table)
        delta_lake.tidy_log(delta, table)
        removed = delta_lake.vacuum(delta, table, retention=self.policy.versions)
        return TableReport(
            table=table.id, tenant_id=None, rows_expired=expired, files_merged=merged, files_removed=removed
        )

    # ------------------------------------------------------------------------------------------ tenants
    def _tenant(self, tenant_id: str, lane: Lane) -> list[TableReport]:
        """The tables of a lane's stages; what belongs to no stage is the runner's to maintain."""
        lease = self.control.lease(tenant_id, self.holder, self.policy.lease_ttl_s, lane)
        if lease is None:
            return []
        try:
            with HeldLease(self.control, lease, self.policy.lease_ttl_s) as held:
                stages = [stage for stage in Stage if stage.lane is lane]
                reports = [one for stage in stages for one in self._stage(held, tenant_id, stage)]
                if lane is not Lane.RUNNER:
                    return reports
                shared = [table for table in of_layer(Layer.OPS) if stage_of(table) is None]
                reports += [self._ops(held, tenant_id, table) for table in shared]
                removed = self._artifacts(tenant_id)
                return [
                    *reports,
                    TableReport(table="artifacts", tenant_id=tenant_id, batches_removed=removed),
                ]
        except LeaseLost as error:
            log.warning("maintenance discarded", error=error, tenant=tenant_id)
            return []

    def _stage(self, held: HeldLease, tenant_id: str, stage: Stage) -> list[TableReport]:
        """Compact a stage's tables and publish them so, then remove what nobody needs."""
        outputs = Outputs.open(self.lake, tenant_id, stage, held.fence)
        merged = {
            table.id: self._compact(outputs.deltas[table.id], table, held.lease) for table in TABLES[stage]
        }
        held.check()
        if any(merged.values()):
            outputs.publish_again(self.clock())
        return [
            TableReport(
                table=table.id,
                tenant_id=tenant_id,
                files_merged=merged[table.id],
                files_removed=self._tidy(outputs.deltas[table.id], table, outputs.versions[table.id]),
            )
            for table in TABLES[stage]
        ]

    def _ops(self, held: HeldLease, tenant_id: str, table: Table) -> TableReport:
        delta = self.lake.open(table, tenant_id)
        merged = self._compact(delta, table, held.lease, shared=True)
        removed = self._tidy(delta, table, delta.version())
        return TableReport(table=table.id, tenant_id=tenant_id, files_merged=merged, files_removed=removed)

    def _compact(
        self, delta: DeltaTable, table: Table, lease: Lease | None = None, *, shared: bool = False
    ) -> int:
        from_files = self.policy.compact_from_files
        if lease is None:
            return delta_lake.compact(delta, table, from_files=from_files)
        return delta_lake.compact(
            delta, table, fence=lease.fence, lane=lease.lane, shared=shared, from_files=from_files
        )

    def _tidy(self, delta: DeltaTable, table: Table, published_version: int) -> int:
        delta_lake.tidy_log(delta, table)
        return delta_lake.vacuum(
            delta, table, retention=self.policy.versions, keep_versions=[published_version]
        )

    def _artifacts(self, tenant_id: str) -> int:
        """Remove batch folders of days that have been computed anew for longer than versions are kept."""
        kept_from = self.clock() - self.policy.versions
        with reading(OPS_RUNS):
            runs = (
                scan(self.lake.open(OPS_RUNS, tenant_id), OPS_RUNS).select("run_id", "finished_at").collect()
            )
        kept = set(runs.filter(pl.col("finished_at") >= kept_from)["run_id"])
        kept |= set(published(self.lake.open(OPS_RUNS, tenant_id), Stage.STAGE1).run_ids.values())
        superseded = set(runs["run_id"]) - kept
        stale = [
            path
            for folder in ArtifactPaths(tenant_id).batch_folders
            for path in self.store.list(folder)
            if not superseded.isdisjoint(_batches(path))
        ]
        self.store.delete(stale)
        return len({batch for path in stale for batch in _batches(path)})


def _batches(path: str) -> set[str]:
    """Run ids that name a folder of the path."""
    return {part.removeprefix("batch_") for part in path.split("/") if part.startswith("batch_")}
