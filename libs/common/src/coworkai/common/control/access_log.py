"""Who read whose rows: one chain a worker, which the worker may read (domain, section 7).

Invariants:
- a read is durable in the log of every worker it shows before any of its rows leaves: `record` returns after
  the commit, or raises. What was recorded and did not leave after all stays in the log;
- many reads share a transaction: those that come while one is committed are the next one;
- rows are only added; `verify` finds what was changed, removed, moved, added or cut off since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import select

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import schema
from coworkai.common.control.chains import Broken, Chains, Fault, Key
from coworkai.common.control.database import Database
from coworkai.common.errors import Overloaded, Terminal

MAX_WORKER_ID_CHARS = 256
MAX_WAITING_ROWS = 20_000
TIMEOUT_S = 5.0
GATHER_S = 0.002
"""How long reads are gathered after several shared a transaction: at such a time more will come."""
_CHAINS = ""
"""In place of a worker: the head that counts the chains of the tenant, so that one cannot vanish whole."""
_FIELDS = (
    "read_at",
    "principal_id",
    "principal_kind",
    "principal_name",
    "operation",
    "start_date",
    "end_date",
    "row_count",
    "request_id",
)


class Reader(Protocol):
    """Who reads."""

    @property
    def tenant_id(self) -> str: ...
    @property
    def kind(self) -> StrEnum: ...
    @property
    def principal_id(self) -> str: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One read. `start_date` and `end_date`: local dates asked for; `row_count`: rows of the whole answer."""

    seq: int
    read_at: datetime
    principal_id: str
    principal_kind: str
    principal_name: str
    operation: str
    start_date: date | None
    end_date: date | None
    row_count: int
    request_id: str
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Verification:
    """What was looked at, and where it does not verify; a fault with worker '' is of the count of chains."""

    chains: int
    entries: int
    broken: list[Broken]


@dataclass(frozen=True, slots=True)
class _Read:
    tenant_id: str
    worker_ids: list[str]
    fields: Mapping[str, Any]
    committed: asyncio.Future[None]


class AccessLog:
    """The log of one process; any number may share a store. `record` belongs to one event loop."""

    def __init__(
        self,
        database: Database,
        seal_key: bytes,
        clock: Clock = utc_now,
        *,
        max_waiting_rows: int = MAX_WAITING_ROWS,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._max_waiting_rows = max_waiting_rows
        self._timeout_s = timeout_s
        self._chains = Chains(database, seal_key, schema.access_log, schema.access_log_heads, _FIELDS)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="access-log")
        self._waiting: list[_Read] = []
        self._waiting_rows = 0
        self._writer: asyncio.Task[None] | None = None
        self._is_shared = False

    async def record(
        self,
        reader: Reader,
        *,
        operation: str,
        worker_ids: Collection[str],
        start_date: date | None,
        end_date: date | None,
        row_count: int,
        request_id: str,
    ) -> None:
        """Write a read down for each worker; what returns is durable.

        Raises StorageUnavailable when the store does not answer, Overloaded when it is too slow or too much
        waits for it, Terminal for an id that is none. The rows may leave in none of these cases.
        """
        workers = sorted(set(worker_ids))
        if not workers:
            return
        if not all(0 < len(each) <= MAX_WORKER_ID_CHARS and "\0" not in each for each in workers):
            raise Terminal("a worker id is empty, too long or has a null character")
        if self._waiting_rows and self._waiting_rows + len(workers) > self._max_waiting_rows:
            raise Overloaded("too many reads wait for the access log")
        fields = {
            "read_at": self._clock(),
            "principal_id": reader.principal_id,
            "principal_kind": reader.kind.value,
            "principal_name": reader.name,
            "operation": operation,
            "start_date": start_date,
            "end_date": end_date,
            "row_count": row_count,
            "request_id": request_id,
        }
        loop = asyncio.get_running_loop()
        read = _Read(reader.tenant_id, workers, fields, loop.create_future())
        self._waiting.append(read)
        self._waiting_rows += len(workers)
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        try:
            async with asyncio.timeout(self._timeout_s):
                await read.committed
        except TimeoutError as error:
            raise Overloaded("the access log is too slow") from error

    async def aclose(self) -> None:
        """Commit what waits, then let go; no `record` may come any more."""
        while self._writer is not None:
            await self._writer
        self._thread.shutdown()

    def page(
        self,
        tenant_id: str,
        worker_id: str,
        *,
        before: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[AccessEntry]:
        """Reads of the worker's rows, newest first: those before seq `before`, in `[since, until)`."""
        log = schema.access_log
        statement = (
            select(log)
            .where(log.c.tenant_id == tenant_id, log.c.worker_id == worker_id)
            .order_by(log.c.seq.desc())
            .limit(limit)
        )
        if before is not None:
            statement = statement.where(log.c.seq < before)
        if since is not None:
            statement = statement.where(log.c.read_at >= since)
        if until is not None:
            statement = statement.where(log.c.read_at < until)
        with self._database.read() as connection:
            return [
                AccessEntry(*(getattr(row, name) for name in AccessEntry.__slots__))
                for row in connection.execute(statement)
            ]

    def verify(self, tenant_id: str, worker_id: str) -> Verification:
        """Look at the worker's chain from its first row to its head."""
        with self._database.read() as connection:
            entries, broken = self._chains.verify(connection, (tenant_id, worker_id))
        return Verification(int(entries > 0), entries, [] if broken is None else [broken])

    def verify_tenant(self, tenant_id: str) -> Verification:
        """Look at the chains of all the tenant's workers, and whether all that were begun are there."""
        heads, log = schema.access_log_heads, schema.access_log
        with self._database.read() as connection:
            # In this order: of an honest log there are no fewer chains than before, and no more than after.
            begun = self._chains.counted(connection, (tenant_id, _CHAINS))
            of_heads = select(heads.c.worker_id).where(heads.c.tenant_id == tenant_id)
            of_rows = select(log.c.worker_id).where(log.c.tenant_id == tenant_id)
            workers = [each for each in connection.scalars(of_heads.union(of_rows)) if each != _CHAINS]
            counted = self._chains.counted(connection, (tenant_id, _CHAINS))
        results = [self.verify(tenant_id, worker_id) for worker_id in sorted(workers)]
        broken = [fault for each in results for fault in each.broken]
        if begun is None or counted is None:
            broken.insert(0, Broken((tenant_id, _CHAINS), 0, Fault.UNSEALED))
        elif len(workers) < begun:
            broken.insert(0, Broken((tenant_id, _CHAINS), len(workers), Fault.MISSING))
        elif len(workers) > counted:
            broken.insert(0, Broken((tenant_id, _CHAINS), counted, Fault.CHANGED))
        return Verification(len(workers), sum(each.entries for each in results), broken)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self._is_shared:
                await asyncio.sleep(GATHER_S)
            reads, self._waiting = self._waiting, []
            self._is_shared = len(reads) > 1
            try:
                await loop.run_in_executor(self._thread, self._append, reads)
            except Exception as error:
                for read in reads:
                    if not read.committed.done():
                        read.committed.set_exception(error)
            else:
                for read in reads:
                    if not read.committed.done():
                        read.committed.set_result(None)
            self._waiting_rows -= sum(len(read.worker_ids) for read in reads)
        self._writer = None

    def _append(self, reads: list[_Read]) -> None:
        """All the reads, in one transaction."""
        rows: dict[Key, list[Mapping[str, Any]]] = {}
        for read in reads:
            for worker_id in read.worker_ids:
                rows.setdefault((read.tenant_id, worker_id), []).append(read.fields)
        with self._database.write(forced=True) as connection:
            begun = self._chains.append(connection, rows)
            if begun:
                tenants = [(tenant_id, _CHAINS) for tenant_id, _ in begun]
                self._chains.count(connection, {key: tenants.count(key) for key in set(tenants)})
