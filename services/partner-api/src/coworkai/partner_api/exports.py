"""Exports: a list's whole range as files, made beside the requests and fetched by signed addresses.

    queued ─▶ running ─▶ part ─▶ part ─▶ … ─▶ ready ─▶ expired
                 │                              ╰ or failed: its parts are removed ╯
                 ╰ its process died: another claims it, and goes on after the last part that is kept;
                   where MAX_ATTEMPTS have died of the same part, it has failed

Invariants: an export is of the data version that it was asked for at; a part is kept with the claim that it
was made under, so two processes never both make one; everybody whose rows are in a part has it in their
access log before the part is kept, and nothing can be fetched before every part is; no file outlives its
export.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from urllib.parse import quote

import polars as pl
from sqlalchemy import Connection, Row, and_, func, or_, select, update

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.access_log import AccessLog
from coworkai.common.control.schema import exports as table
from coworkai.common.errors import CoworkError, Transient
from coworkai.common.observability import get_logger
from coworkai.partner_api.formats import Format, encode
from coworkai.partner_api.gold import Gold
from coworkai.partner_api.hot import chunks
from coworkai.partner_api.pages import Query, parse
from coworkai.partner_api.principal import Principal, PrincipalKind, Reach
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.resources import RESOURCES, Resource
from coworkai.partner_api.selection import Rows, Selection, workers_shown
from coworkai.partner_api.selection import select as selected
from coworkai.partner_api.webhooks.event_types import EventType, ExportReady
from coworkai.partner_api.webhooks.events import Events, Occurrence

log = get_logger(__name__)

ROWS_A_PART = 250_000
"""Days are put into one file up to so many rows, before filters."""
CLAIM = timedelta(seconds=60)
"""Longer than a part takes; then the process that makes it is taken for dead."""
RETRY = timedelta(seconds=10)
GIVEN_UP = timedelta(hours=6)
MAX_ATTEMPTS = 5
"""Processes that may die of an export without making a part of it."""
MAX_UNDER_WAY = 20
"""Exports of a tenant that wait or are made: they are made one after the other, everybody's in one row."""
LOOK_EVERY_S = 5.0
"""How often exports of other processes that died, and those that have expired, are looked for."""
MAX_ROWS = 100_000_000
"""Of one part: all that a day can have."""


class ExportState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


_UNDER_WAY = (ExportState.QUEUED, ExportState.RUNNING)
_WITH_FILES = (ExportState.READY, ExportState.FAILED)
"""Files may be there, until `expires_at`."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export as it is kept. `request` is what was asked for and on whose behalf; no content of it."""

    export_id: str
    tenant_id: str
    principal_id: str
    request: dict[str, Any]
    format: str
    state: ExportState
    rows: int | None
    bytes: int | None
    files: list[dict[str, Any]]
    data_version: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    error_code: str | None
    claim_token: str | None

    @property
    def resource(self) -> Resource:
        return RESOURCES[self.request["resource"]]

    @property
    def folder(self) -> str:
        """Where its files are, below the store's root."""
        return f"{folder_of(self.tenant_id)}/{self.export_id}"

    @property
    def paths(self) -> list[str]:
        return [f"{self.folder}/{file['name']}" for file in self.files]


class ExportStore:
    """Exports in the control store. Safe to share between threads; methods raise StorageUnavailable."""

    def __init__(self, database: Database, events: Events, clock: Clock = utc_now) -> None:
        self._database = database
        self._events = events
        self._clock = clock

    def create(
        self, export_id: str, principal: Principal, request: dict[str, Any], form: Format, data_version: int
    ) -> Export:
        """Queue an export; the one that there is already under this id, where there is one.

        Raises Refused (409) when as many of the tenant's are under way as there may be.
        """
        made = {
            "export_id": export_id,
            "tenant_id": principal.tenant_id,
            "principal_id": principal.principal_id,
            "request": request,
            "format": form.value,
            "state": ExportState.QUEUED.value,
            "files": [],
            "data_version": data_version,
            "created_at": self._clock(),
        }
        found = select(table).where(table.c.export_id == export_id)
        under_way = select(func.count()).where(
            table.c.tenant_id == principal.tenant_id, table.c.state.in_(_UNDER_WAY)
        )
        with self._database.write() as connection:
            is_new = connection.execute(found).one_or_none() is None
            if is_new and connection.execute(under_way).scalar_one() >= MAX_UNDER_WAY:
                raise Refused(
                    Code.CONFLICT, f"{MAX_UNDER_WAY} exports are under way", remedy="wait until one is ready"
                )
            insert = self._database.insert(table).values(made)
            connection.execute(insert.on_conflict_do_nothing(index_elements=["export_id"]))
            return self._seen(connection.execute(found).one())

    def get(self, tenant_id: str, principal_id: str, export_id: str) -> Export | None:
        """The principal's export of this id."""
        with self._database.read() as connection:
            row = connection.execute(
                select(table).where(
                    table.c.export_id == export_id,
                    table.c.tenant_id == tenant_id,
                    table.c.principal_id == principal_id,
                )
            ).one_or_none()
        return None if row is None else self._seen(row)

    def page(
        self, tenant_id: str, principal_id: str, *, before: tuple[datetime, str] | None, limit: int
    ) -> list[Export]:
        """The principal's exports, newest first; those before the one made then with that id."""
        statement = (
            select(table)
            .where(table.c.tenant_id == tenant_id, table.c.principal_id == principal_id)
            .order_by(table.c.created_at.desc(), table.c.export_id.desc())
            .limit(limit)
        )
        if before is not None:
            at, export_id = before
            statement = statement.where(
                or_(
                    table.c.created_at < at,
                    and_(table.c.created_at == at, table.c.export_id < export_id),
                )
            )
        with self._database.read() as connection:
            return [self._seen(row) for row in connection.execute(statement)]

    def claim(self) -> Export | None:
        """The oldest export that nobody is making, claimed; those that have killed enough have failed."""
        now = self._clock()
        is_left = and_(table.c.state == ExportState.RUNNING.value, table.c.claimed_until <= now)
        deadly = (
            update(table)
            .where(is_left, table.c.attempts >= MAX_ATTEMPTS)
            .values(_failed(Code.TOO_MANY_ATTEMPTS.value, now))
            .returning(table.c.export_id)
        )
        free = or_(table.c.state == ExportState.QUEUED.value, is_left)
        with self._database.write() as connection:
            for export_id in connection.execute(deadly).scalars():
                log.warning("export is given up: its processes died", export=export_id)
            export_id = connection.execute(
                select(table.c.export_id).where(free).order_by(table.c.created_at).limit(1)
            ).scalar_one_or_none()
            if export_id is None:
                return None
            row = connection.execute(
                update(table)
                .where(table.c.export_id == export_id, free)
                .values(
                    state=ExportState.RUNNING.value,
                    started_at=now,
                    attempts=table.c.attempts + 1,
                    claimed_until=now + CLAIM,
                    claim_token=secrets.token_hex(16),
                )
                .returning(table)
            ).one_or_none()
        return None if row is None else _export(row)

    def keep(self, export: Export, files: Sequence[dict[str, Any]]) -> bool:
        """Keep the parts that there are, and the claim; whether the claim still held."""
        return self._update(export, files=list(files), claimed_until=self._clock() + CLAIM, attempts=1)

    def finish(self, export: Export, files: Sequence[dict[str, Any]], expires_at: datetime) -> bool:
        """Make the export ready, and tell of it; whether the claim still held."""
        now = self._clock()
        ready = {
            "state": ExportState.READY.value,
            "files": list(files),
            "rows": sum(file["rows"] for file in files),
            "bytes": sum(file["bytes"] for file in files),
            "finished_at": now,
            "expires_at": expires_at,
            "claimed_until": None,
            "claim_token": None,
        }
        told = ExportReady(export_id=export.export_id, data_version=export.data_version)
        event = Occurrence(EventType.EXPORT_READY, export.export_id, now, told)
        with self._database.write() as connection:
            is_ours = _changed(connection, export, ready)
            if is_ours:
                self._events.emit(connection, export.tenant_id, [event])
        return is_ours

    def fail(self, export: Export, error_code: str) -> bool:
        """Give the export up; what there is of it expires at once. Whether the claim still held."""
        return self._update(export, **_failed(error_code, self._clock()))

    def put_off(self, export: Export) -> bool:
        """Let whoever comes first try again in a while. Nobody died: that was no attempt."""
        return self._update(export, claimed_until=self._clock() + RETRY, attempts=table.c.attempts - 1)

    def expired(self) -> list[Export]:
        """Exports whose files are to be removed."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(table).where(table.c.state.in_(_WITH_FILES), table.c.expires_at <= self._clock())
            )
            return [_export(row) for row in rows]

    def expire(self, export: Export) -> None:
        """Its files are gone."""
        gone: dict[str, Any] = {"files": []}
        if export.state is ExportState.READY:
            gone["state"] = ExportState.EXPIRED.value
        else:
            gone["expires_at"] = None
        with self._database.write() as connection:
            connection.execute(update(table).where(table.c.export_id == export.export_id).values(gone))

    def _seen(self, row: Row[Any]) -> Export:
        """The export as its owner sees it: expired in time, whether its files have been removed or not."""
        export = _export(row)
        if export.state is not ExportState.READY or export.expires_at is None:
            return export
        is_over = export.expires_at <= self._clock()
        return replace(export, state=ExportState.EXPIRED, files=[]) if is_over else export

    def _update(self, export: Export, **values: Any) -> bool:
        with self._database.write() as connection:
            return _changed(connection, export, values)


class ClaimLost(Exception):
    """Another process makes the export."""


class Exporter:
    """Makes exports, one at a time."""

    def __init__(
        self,
        exports: ExportStore,
        gold: Gold,
        rows: Rows,
        store: ArtifactStore,
        *,
        access_log: AccessLog,
        in_store: Callable[[Callable[[], Any]], Awaitable[Any]],
        kept_for: timedelta,
        rows_a_part: int = ROWS_A_PART,
        clock: Clock = utc_now,
    ) -> None:
        self._exports = exports
        self._gold = gold
        self._rows = rows
        self._store = store
        self._access_log = access_log
        self._in_store = in_store
        self._kept_for = kept_for
        self._rows_a_part = rows_a_part
        self._clock = clock
        self._wanted = asyncio.Event()

    def look(self) -> None:
        """There is an export to make."""
        self._wanted.set()

    async def watch(self) -> None:
        """Make exports as they come, until cancelled."""
        while True:
            self._wanted.clear()
            try:
                while await self.make_next():
                    pass
                await self.remove_expired()
            except CoworkError as error:
                log.warning("exports could not be looked at", error=error)
            except Exception:
                log.exception("exports could not be looked at")
            try:
                # `wait_for` would lose a cancellation that comes with the event.
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def make_next(self) -> bool:
        """Make one export, if there is one to make. Raises StorageUnavailable."""
        export: Export | None = await self._in_store(self._exports.claim)
        if export is None:
            return False
        try:
            await self._make(export)
        except asyncio.CancelledError:
            # This process ends: another need not wait for its claim to run out.
            await self._in_store(lambda: self._exports.put_off(export))
            raise
        except ClaimLost:
            log.warning("export is made by another process", export=export.export_id)
        except Transient as error:
            log.warning("export waits", error=error, export=export.export_id)
            if self._clock() - export.created_at > GIVEN_UP:
                await self._fail(export, error.code)
            else:
                await self._in_store(lambda: self._exports.put_off(export))
        except CoworkError as error:
            await self._fail(export, error.code)
        except Exception:
            log.exception("export failed", export=export.export_id)
            await self._fail(export, Code.INTERNAL.value)
        return True

    async def _fail(self, export: Export, error_code: str) -> None:
        await self._in_store(lambda: self._exports.fail(export, error_code))

    async def _make(self, export: Export) -> None:
        selection = await self._selection(export, query_of(export))
        parts = _parts(selection, self._rows_a_part)
        files = list(export.files)
        for number in range(len(files), len(parts)):
            files = [*files, await self._make_part(export, selection.on(parts[number]), number)]
            kept = partial(self._exports.keep, export, files)
            if not await self._in_store(kept):
                raise ClaimLost
        expires_at = self._clock() + self._kept_for
        if not await self._in_store(lambda: self._exports.finish(export, files, expires_at)):
            raise ClaimLost

    async def _make_part(self, export: Export, part: Selection, number: int) -> dict[str, Any]:
        """Write a part's file; what is kept of it."""
        query = part.query
        name = f"part-{number:05}.{query.form.extension}"

        def made() -> tuple[pl.DataFrame, bytes]:
            rows = self._rows.whole(part, MAX_ROWS)
            return rows, encode(rows if query.fields is None else rows.select(query.fields), query.form)

        rows, content = await self._gold.in_thread(made)
        await self._record(export, part, rows)
        await self._gold.in_thread(lambda: self._store.put(f"{export.folder}/{name}", content))
        return {"name": name, "rows": rows.height, "bytes": len(content)}

    async def _selection(self, export: Export, query: Query) -> Selection:
        snapshot = await self._gold.snapshot(export.tenant_id, export.data_version)
        earlier = None
        if query.since is not None:
            earlier = await self._gold.snapshot(export.tenant_id, query.since)
        worker_ids = export.request["worker_ids"]
        return await self._gold.in_thread(
            lambda: selected(snapshot, earlier, export.resource, query, worker_ids)
        )

    async def _record(self, export: Export, selection: Selection, rows: pl.DataFrame) -> None:
        span = selection.span
        workers = await workers_shown(self._gold, selection, rows)
        if not workers or export.request["kind"] == PrincipalKind.WORKER.value:
            return
        await self._access_log.record(
            _principal(export),
            operation="create_export",
            worker_ids=workers,
            start_date=None if span is None else span.start,
            end_date=None if span is None else span.end,
            row_count=rows.height,
            request_id=export.request["request_id"],
        )

    async def remove_expired(self) -> None:
        """Remove the files of exports that have expired. Raises StorageUnavailable."""
        for export in await self._in_store(self._exports.expired):
            await self._gold.in_thread(partial(self._remove, export.folder))
            await self._in_store(partial(self._exports.expire, export))

    def _remove(self, folder: str) -> None:
        # What a process wrote that died before it kept it, too.
        self._store.delete(self._store.list(folder))


def _changed(connection: Connection, export: Export, values: Mapping[str, Any]) -> bool:
    """Change the export; whether its claim still holds."""
    changed = connection.execute(
        update(table)
        .where(table.c.export_id == export.export_id, table.c.claim_token == export.claim_token)
        .values(values)
    )
    return changed.rowcount == 1


def _failed(error_code: str, now: datetime) -> dict[str, Any]:
    """Columns of an export that has failed."""
    return {
        "state": ExportState.FAILED.value,
        "error_code": error_code,
        "finished_at": now,
        "expires_at": now,
        "claimed_until": None,
        "claim_token": None,
    }


def query_of(export: Export) -> Query:
    """The query that the export was asked with."""
    return parse(export.resource, export.request["query"], None)


def folder_of(tenant_id: str) -> str:
    """Where a tenant's exports are, below the store's root."""
    return f"tenants/{quote(tenant_id, safe='')}/exports"


def _parts(selection: Selection, rows_a_part: int) -> list[list[date]]:
    """Dates of each file; one file, of nothing, where there are none."""
    partitions = selection.resource.partitions(selection.snapshot)
    return list(chunks(selection.days, partitions, rows_a_part)) or [[]]


def _principal(export: Export) -> Principal:
    return Principal(
        PrincipalKind(export.request["kind"]),
        export.principal_id,
        export.request["name"],
        export.tenant_id,
        Reach.INDIVIDUAL,
        frozenset(),
    )


def _export(row: Row[Any]) -> Export:
    values = {name: getattr(row, name) for name in Export.__slots__}
    return Export(**{**values, "state": ExportState(row.state)})
