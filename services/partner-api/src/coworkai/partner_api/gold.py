"""What a tenant has published, at one data version: the only thing that the API reads.

A tenant's data version is the Delta version of its `ops/runs`: that fixes the published version of every
other table. A snapshot is of one data version and never changes, so an answer, all pages of a list and a
shared table are of one moment, whatever is written, compacted or published meanwhile.

    ops/runs @ 41 ─▶ {gold/workblocks: 17, silver/telemetry_health: 12, …} ─▶ Snapshot 41
    commit     42 ─▶ looked for every half second ─▶ Snapshot 42, its tables open, takes its place
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.errors import CoworkError, NotFound, StorageUnavailable, Terminal
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.observability import get_logger
from coworkai.common.published import RUN_COLUMNS, Published, published_by
from coworkai.common.tables import OPS_RUNS, TABLES, Table
from coworkai.partner_api.delta_log import commit

log = get_logger(__name__)
T = TypeVar("T")

LOOK_EVERY_S = 0.5
"""How often the tenants that are being read are looked at."""
FRESH_S = 2 * LOOK_EVERY_S
"""A snapshot that was looked at longer ago is looked at before it is given out."""
ACTIVE_S = 30.0
"""A tenant that was not read for so long is not looked at."""
COMMITS_A_LOOK = 100
"""Up to so many commits of a table are read to tell what changed between two versions."""
PAST_SNAPSHOTS = 64
"""Snapshots of earlier data versions that stay open, over all tenants."""
READERS = 8


class VersionNotFound(NotFound):
    """The tenant never had this data version."""

    code = "version_not_found"


class VersionExpired(Terminal):
    """The tenant had this data version; its files or its log have been cleaned up since."""

    code = "version_expired"
    status = 410


@dataclass(frozen=True, slots=True)
class Partition:
    """What a published version has of a date. Files never change: the same ones hold the same rows."""

    rows: int
    size_bytes: int
    files: frozenset[str]


@dataclass(frozen=True)
class Snapshot:
    """A tenant's published tables at one data version. Safe to share between threads.

    `versions`: Delta version of every published table, by id; a table that is not among them has nothing
    published. At data version 0 there is none.
    """

    lake: Lake
    store: ArtifactStore
    tenant_id: str
    data_version: int
    stages: Mapping[Stage, Published]
    versions: Mapping[str, int]
    _deltas: dict[str, DeltaTable] = field(default_factory=dict, repr=False)
    _partitions: dict[str, dict[date, Partition]] = field(default_factory=dict, repr=False)
    _changes: dict[tuple[str, int], frozenset[date]] = field(default_factory=dict, repr=False)
    _opening: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def run_ids(self) -> Mapping[date, str]:
        """The run of stage 1 that made what is published of a day."""
        return self.stages[Stage.STAGE1].run_ids if Stage.STAGE1 in self.stages else {}

    def published_at(self, stage: Stage | None) -> datetime | None:
        """When the stage published last; any stage for None."""
        moments = [
            published.published_at
            for each, published in self.stages.items()
            if stage in {None, each} and published.published_at is not None
        ]
        return max(moments, default=None)

    def delta(self, table: Table) -> DeltaTable:
        """The table, opened at its published version: milliseconds, once a snapshot. Never refresh it.

        Raises NotFound when nothing of it is published, VersionExpired when its log has been cleaned up,
        StorageUnavailable.
        """
        delta = self._deltas.get(table.id)
        if delta is not None:
            return delta
        if table.id not in self.versions:
            raise NotFound(f"nothing of {table.id} is published")
        with self._opening:
            if table.id not in self._deltas:
                self._deltas[table.id] = _open_at(
                    self.lake, table, self.tenant_id, self.versions[table.id], self.data_version
                )
            return self._deltas[table.id]

    def partitions(self, table: Table) -> dict[date, Partition]:
        """The dates that have rows, in order; none where nothing is published. From the log, once a snapshot.

        Raises VersionExpired, StorageUnavailable.
        """
        found = self._partitions.get(table.id)
        if found is None:
            found = _partitions(self.delta(table), table) if table.id in self.versions else {}
            self._partitions[table.id] = found
        return found

    def windows(self, table: Table, days_before: int) -> dict[date, Partition]:
        """`partitions`, each with the files of the days before it too: what a trailing baseline is made of.

        Raises as `partitions`.
        """
        key = f"{table.id} {days_before}"
        found = self._partitions.get(key)
        if found is None:
            own = self.partitions(table)
            found = self._partitions[key] = {
                day: Partition(
                    part.rows,
                    part.size_bytes,
                    frozenset().union(
                        *(one.files for on, one in own.items() if 0 <= (day - on).days <= days_before)
                    ),
                )
                for day, part in own.items()
            }
        return found

    def changed_since(self, earlier: Snapshot, table: Table) -> frozenset[date]:
        """Dates whose rows may have changed since the earlier snapshot of the tenant: files of theirs came or
        went, and not because rows were put into other files. Once an earlier version. In a thread.

        Where the log does not tell, because it was cleaned up or would take too long to read, dates that were
        only compacted are among them. Raises VersionExpired, StorageUnavailable.
        """
        since, until = (one.versions.get(table.id, 0) for one in (earlier, self))
        found = self._changes.get((table.id, since))
        if found is None:
            old, new = earlier.partitions(table), self.partitions(table)
            found = frozenset(day for day in old.keys() | new.keys() if old.get(day) != new.get(day))
            kept = found & old.keys() & new.keys()
            if kept and until - since <= COMMITS_A_LOOK:
                with suppress(NotFound):
                    found -= kept - self._rewritten(table, range(since + 1, until + 1))
            self._changes[table.id, since] = found
        return found

    def _rewritten(self, table: Table, versions: Iterable[int]) -> frozenset[date]:
        """Dates that got or lost rows by these commits. Raises NotFound, StorageUnavailable."""
        actions = (one for version in versions for one in commit(self.store, table, self.tenant_id, version))
        files = (one.add or one.remove for one in actions)
        days = {one.partition_values[table.partition_by[0]] for one in files if one and one.data_change}
        return frozenset(date.fromisoformat(day) for day in days if day is not None)

    def known_partitions(self, table: Table) -> Mapping[date, Partition] | None:
        """`partitions`, where they have been asked for before; None otherwise."""
        return self._partitions.get(table.id) if table.id in self.versions else {}

    def scan(self, table: Table, dates: Collection[date] | None = None) -> pl.LazyFrame:
        """Rows of the table as published, of these partitions only; none where nothing is published.

        Give it to `collect`. Raises VersionExpired, StorageUnavailable.
        """
        if table.id not in self.versions:
            return table.empty().lazy()
        return scan(self.delta(table), table, dates)

    def collect(self, table: Table, rows: pl.LazyFrame) -> pl.DataFrame:
        """The rows of a `scan` of the table.

        Raises VersionExpired when files of this version have been removed, StorageUnavailable.
        """
        try:
            with reading(table):
                return rows.collect()
        except StorageUnavailable:
            if table.id in self.versions and self._misses_files(table):
                raise _expired(self.data_version) from None
            raise

    def _misses_files(self, table: Table) -> bool:
        paths = self.delta(table).get_add_actions(flatten=True)["path"].to_pylist()
        return any(not self.store.exists(f"{table.path(self.tenant_id)}/{path}") for path in paths)

    def at(self, data_version: int, stages: Mapping[Stage, Published]) -> Snapshot:
        """The tenant at another data version; tables of the same version stay open."""
        versions = _vector(stages, data_version)
        same = {table_id for table_id, version in versions.items() if self.versions.get(table_id) == version}
        return Snapshot(
            self.lake,
            self.store,
            self.tenant_id,
            data_version,
            stages,
            versions,
            {table_id: delta for table_id, delta in self._deltas.copy().items() if table_id in same},
            {table_id: dates for table_id, dates in self._partitions.copy().items() if table_id in same},
        )

    def open_like(self, other: Snapshot) -> None:
        """Open what is open in `other`, so that nobody waits for it later. Raises as `delta`."""
        for table_id in other._deltas.copy().keys() & self.versions.keys():
            self.delta(TABLES[table_id])
        for table_id in other._partitions.copy().keys() & TABLES.keys():
            self.partitions(TABLES[table_id])


class Gold:
    """The newest snapshot of every tenant that is being read, and earlier ones that are asked for.

    Made inside a running event loop; its methods are called from that loop. `warm` is called in a thread with
    the snapshot before (None at first) and the new one, before anybody gets the new one.
    """

    def __init__(
        self,
        lake: Lake,
        store: ArtifactStore,
        *,
        warm: Callable[[Snapshot | None, Snapshot], None] = lambda _before, _new: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lake = lake
        self._store = store
        self._warm = warm
        self._clock = clock
        self._tenants: dict[str, _Tenant] = {}
        self._past: OrderedDict[tuple[str, int], Snapshot] = OrderedDict()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="gold")

    async def snapshot(
        self, tenant_id: str, as_of: int | None = None, *, since: int | None = None
    ) -> Snapshot:
        """The tenant's newest snapshot, or the one of data version `as_of`; none from before `since`.

        Raises VersionNotFound, VersionExpired, StorageUnavailable.
        """
        newest = self.newest(tenant_id) or await self._looked_at(tenant_id)
        asked = max(as_of or 0, since or 0)
        if asked > newest.data_version:
            # Another instance may have answered with a version that this one has not seen yet.
            newest = await self._looked_at(tenant_id, anew=True)
        if asked > newest.data_version or (as_of is not None and as_of < 0):
            raise VersionNotFound(f"there is no data version {asked} yet")
        if as_of is None or as_of == newest.data_version:
            return newest
        if since is not None and since > as_of:
            raise VersionNotFound("since_version is later than the version that is read")
        return await self._earlier(newest, as_of)

    def newest(self, tenant_id: str) -> Snapshot | None:
        """The newest snapshot, where it is known to be: it was looked at a moment ago."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None or tenant.snapshot is None:
            return None
        now = self._clock()
        tenant.read_at = now
        return tenant.snapshot if now - tenant.looked_at <= FRESH_S else None

    def hint(self, tenant_id: str) -> None:
        """Something of the tenant may have been published: look now, if anybody reads it."""
        if tenant_id in self._tenants:
            self._look_soon(self._tenants[tenant_id])

    async def watch(self) -> None:
        """Look at the tenants that are being read, again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._clock()
            active = [one for one in self._tenants.values() if now - one.read_at <= ACTIVE_S]
            await asyncio.gather(
                *(self._watch(active[n :: self._store.writers]) for n in range(self._store.writers))
            )
            for tenant in list(self._tenants.values()):
                if now - tenant.read_at > 10 * ACTIVE_S and tenant.looking is None:
                    del self._tenants[tenant.tenant_id]

    async def _watch(self, tenants: Sequence[_Tenant]) -> None:
        """Look at those of the tenants whose runs have another commit: one question to the store for each."""
        quiet = [one for one in tenants if one.looking is None]
        began = self._clock()
        try:
            grown = await self.in_thread(
                lambda: [one.runs.has_grown(self._store, one.tenant_id) for one in quiet]
            )
        except CoworkError as error:
            log.warning("published tables could not be looked at", error=error)
            return
        for tenant, is_grown in zip(quiet, grown, strict=True):
            if is_grown:
                self._look_soon(tenant)
            elif tenant.looking is None:
                tenant.looked_at = began

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The work's result, from a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def aclose(self) -> None:
        """Wait for reads under way."""
        await asyncio.to_thread(self._threads.shutdown)

    def _look_soon(self, tenant: _Tenant) -> asyncio.Task[Snapshot]:
        """One look at a time for a tenant; whoever comes meanwhile joins it."""
        if tenant.looking is None:
            tenant.looking = asyncio.create_task(self._look(tenant))
            # Its error belongs to whoever waits; without anybody the next look tells.
            tenant.looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return tenant.looking

    async def _looked_at(self, tenant_id: str, *, anew: bool = False) -> Snapshot:
        """The newest snapshot by a look; `anew`: by none that is under way already."""
        tenant = self._tenants.setdefault(tenant_id, _Tenant(tenant_id))
        tenant.read_at = self._clock()
        if anew and tenant.looking is not None:
            await asyncio.shield(tenant.looking)
        return await asyncio.shield(self._look_soon(tenant))

    async def _look(self, tenant: _Tenant) -> Snapshot:
        began = self._clock()
        try:
            tenant.snapshot = await self.in_thread(lambda: self._newest_of(tenant))
            tenant.looked_at = began
        except CoworkError as error:
            log.warning("published tables could not be looked at", error=error, tenant=tenant.tenant_id)
            raise
        else:
            return tenant.snapshot
        finally:
            tenant.looking = None

    def _newest_of(self, tenant: _Tenant) -> Snapshot:
        """In a thread: the tenant's newest snapshot, warm."""
        before = tenant.snapshot
        runs = tenant.runs.newest(self._lake, tenant.tenant_id)
        if before is not None and before.data_version == runs.version:
            return before
        if before is None:
            snapshot = Snapshot(
                self._lake,
                self._store,
                tenant.tenant_id,
                runs.version,
                runs.stages,
                _vector(runs.stages, runs.version),
            )
        else:
            snapshot = before.at(runs.version, runs.stages)
            snapshot.open_like(before)
        self._warm(before, snapshot)
        return snapshot

    async def _earlier(self, newest: Snapshot, as_of: int) -> Snapshot:
        key = newest.tenant_id, as_of
        if key not in self._past:
            self._past[key] = await self.in_thread(lambda: self._open_earlier(newest, as_of))
            while len(self._past) > PAST_SNAPSHOTS:
                self._past.popitem(last=False)
        self._past.move_to_end(key)
        return self._past[key]

    def _open_earlier(self, newest: Snapshot, as_of: int) -> Snapshot:
        """In a thread. Raises as `snapshot`."""
        if as_of == 0:
            return newest.at(0, {})
        runs = _open_at(self._lake, OPS_RUNS, newest.tenant_id, as_of, as_of)
        earlier = newest.at(as_of, {})
        earlier._deltas[OPS_RUNS.id] = runs
        rows = earlier.collect(OPS_RUNS, earlier.scan(OPS_RUNS).select(RUN_COLUMNS))
        return newest.at(as_of, _stages(rows))


class _Runs:
    """`ops/runs` of a tenant as it grows: every file of it is read once. One thread at a time."""

    def __init__(self) -> None:
        self.version = 0
        self.stages: Mapping[Stage, Published] = {}
        self._delta: DeltaTable | None = None
        self._files: dict[str, pl.DataFrame] = {}

    def has_grown(self, store: ArtifactStore, tenant_id: str) -> bool:
        """Whether there may be a version after the one that is held. Raises StorageUnavailable.

        Asked again and again from when it was opened, so the log cannot have been cleaned up past it.
        """
        if self._delta is None:
            return True
        return store.exists(f"{OPS_RUNS.path(tenant_id)}/_delta_log/{self.version + 1:020}.json")

    def newest(self, lake: Lake, tenant_id: str) -> _Runs:
        """Refreshed. Raises StorageUnavailable."""
        if self._delta is None:
            if not lake.exists(OPS_RUNS, tenant_id):
                return self
            self._delta = lake.open(OPS_RUNS, tenant_id)
        else:
            try:
                self._delta.update_incremental()
            except (DeltaError, OSError):
                # The log of the version that is held may be gone: a table that is opened again needs none.
                self._delta = lake.open(OPS_RUNS, tenant_id)
        if self._delta.version() != self.version:
            self._read(lake, self._delta)
            self.version = self._delta.version()
        return self

    def _read(self, lake: Lake, delta: DeltaTable) -> None:
        files = delta.file_uris()
        new = [file for file in files if file not in self._files]
        with reading(OPS_RUNS):
            frames = [
                pl.read_parquet(
                    file, columns=list(RUN_COLUMNS), storage_options=dict(lake.storage_options) or None
                )
                for file in new
            ]
        self._files = {
            file: frame
            for file, frame in (*self._files.items(), *zip(new, frames, strict=True))
            if file in set(files)
        }
        self.stages = _stages(pl.concat(self._files.values())) if self._files else {}


@dataclass
class _Tenant:
    """What is known of a tenant that is read; changed on the event loop only, `runs` by its one look."""

    tenant_id: str
    runs: _Runs = field(default_factory=_Runs)
    snapshot: Snapshot | None = None
    looked_at: float = float("-inf")
    read_at: float = float("-inf")
    looking: asyncio.Task[Snapshot] | None = None


def _stages(runs: pl.DataFrame) -> dict[Stage, Published]:
    return {stage: published_by(runs, stage) for stage in Stage}


def _vector(stages: Mapping[Stage, Published], data_version: int) -> dict[str, int]:
    """Versions of all published tables by id, `ops/runs` itself among them; none at data version 0."""
    versions = {OPS_RUNS.id: data_version} if data_version else {}
    for published in stages.values():
        versions.update(published.versions)
    return versions


def _open_at(lake: Lake, table: Table, tenant_id: str, version: int, data_version: int) -> DeltaTable:
    """The table at the version.

    Raises VersionExpired when its log has been cleaned up, StorageUnavailable.
    """
    try:
        return lake.open(table, tenant_id, version=version)
    except StorageUnavailable:
        # The store answers, and that version was there: only its log can be gone.
        if lake.exists(table, tenant_id) and lake.open(table, tenant_id).version() >= version:
            raise _expired(data_version) from None
        raise


def _partitions(delta: DeltaTable, table: Table) -> dict[date, Partition]:
    adds = pl.DataFrame(delta.get_add_actions(flatten=True))
    if adds.is_empty():
        return {}
    by_date = (
        adds.group_by(pl.col(f"partition.{table.partition_by[0]}").alias("date"))
        .agg(pl.col("num_records").sum(), pl.col("size_bytes").sum(), pl.col("path"))
        .sort("date")
    )
    return {
        day: Partition(rows, size_bytes, frozenset(paths))
        for day, rows, size_bytes, paths in by_date.iter_rows()
    }


def _expired(data_version: int) -> VersionExpired:
    return VersionExpired(
        f"data version {data_version} has been cleaned up",
        remedy="read the newest version, or ask for changes since a later one",
    )
