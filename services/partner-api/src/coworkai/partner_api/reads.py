"""How a read is answered, whatever it is of: the gate, the snapshot, the ETag, the rows, the access log.

    caller ─▶ query ─▶ snapshot ─▶ ETag ─ as the client's ─▶ 304
                                     └──▶ rows ─▶ access log of everybody in them ─▶ answer

Invariants: nothing leaves before it is in the access log; an answer is of one data version, and says which.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
import polars as pl
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from coworkai.common.tables import Table
from coworkai.partner_api.etags import etag, is_current, not_modified
from coworkai.partner_api.formats import Format, chosen, encode
from coworkai.partner_api.gold import Gold, Snapshot, VersionExpired, VersionNotFound
from coworkai.partner_api.guard import Access, Caller, caller_of, guarded
from coworkai.partner_api.pages import Cursors, Query, parameters, parse
from coworkai.partner_api.problems import Code, Refused, not_found
from coworkai.partner_api.resources import WORKER, Resource
from coworkai.partner_api.selection import Page, Rows, Selection, select, workers_shown

T = TypeVar("T")
BULK_AT_ONCE = 2
"""Whole ranges that are put together at one time, over all callers."""
_VARY = "Accept, Authorization"
_KEPT_QUERIES = 4096
_KEPT_QUERY_BYTES = 1024
_encoder = msgspec.json.Encoder()


class Whole(Response):
    """A response whose headers are known: what the framework's own works out of them is left out."""

    def __init__(self, body: bytes, headers: Mapping[str, str], media_type: str) -> None:
        self.status_code = 200
        self.body = body
        self.background = None
        self.raw_headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self.raw_headers.append((b"content-type", media_type.encode()))
        self.raw_headers.append((b"content-length", b"%d" % len(body)))


@dataclass(frozen=True, slots=True)
class Opened:
    """A read of something single: its snapshot, its form, and the headers of its answer.

    `is_current`: the client has it already, and gets `not_modified`.
    """

    caller: Caller
    snapshot: Snapshot
    form: Format
    headers: dict[str, str]
    is_current: bool

    def not_modified(self) -> Response:
        return not_modified(self.headers)

    async def record(self, operation: str, found: Found) -> None:
        """Write down that the row is read. Raises StorageUnavailable, Overloaded."""
        if found.worker_id is not None:
            on = found.row["date"]
            await self.caller.record(operation, [found.worker_id], on, on, 1)

    def answer(self, content: object) -> Response:
        """The content as JSON, or the text as it is when it is bytes."""
        body = content if isinstance(content, bytes) else _encoder.encode(content)
        return Response(body, headers=self.headers, media_type=self.form.media_type)


class Found(NamedTuple):
    """A row by the names of its table's columns, and the worker that it is about."""

    row: dict[str, Any]
    worker_id: str | None


class Reads:
    """Answers lists, and opens what single things are read from."""

    def __init__(self, gold: Gold, rows: Rows, cursors: Cursors, *, max_bulk_rows: int) -> None:
        self._gold = gold
        self._rows = rows
        self._cursors = cursors
        self._max_bulk_rows = max_bulk_rows
        self._bulk = asyncio.Semaphore(BULK_AT_ONCE)

    async def list(self, resource: Resource, request: Request, caller: Caller) -> Response:
        """The answer to a list. Raises Refused, VersionNotFound, VersionExpired, StorageUnavailable."""
        headers = request.headers
        query = _query(resource, request.scope["query_string"], headers.get("accept"))
        mine = caller.limited_to(None)
        bound = (caller.tenant_id, repr(mine))
        begin = None
        if query.cursor is None:
            is_plain = query.as_of is None and query.since is None
            snapshot = self._gold.newest(caller.tenant_id) if is_plain else None
            if snapshot is None:
                snapshot = await self._gold.snapshot(caller.tenant_id, query.as_of, since=query.since)
        else:
            data_version, begin = self._cursors.read(query.cursor, bound, query)
            snapshot = await self._pinned(caller.tenant_id, data_version)
        tag = etag(caller.tenant_id, (snapshot.versions.get(resource.table.id),), query.digest, mine)
        answered = {"etag": tag, "x-data-version": str(snapshot.data_version), "vary": _VARY}
        if is_current(headers.get("if-none-match"), tag):
            return not_modified(answered)
        worker_ids = caller.limited_to(query.worker_ids)
        try:
            selection = await self._select(resource, query, snapshot, worker_ids)
            if selection.span is not None:
                answered["x-date-range"] = f"{selection.span.start}/{selection.span.end}"
            if query.form is not Format.JSON:
                return await self._whole(selection, caller, answered)
            text = self._rows.text(selection) if begin is None and selection.changed is None else None
            if text is not None:
                await record(caller, resource, selection.worker_ids or (), text.rows, selection.span)
                body = b'{"data":[%b],"has_more":false,"next_cursor":null}' % text.text
                return Whole(body, answered, Format.JSON.media_type)
            page = self._rows.page(selection, begin, may_read=False)
            if page is None:
                page = await self._gold.in_thread(lambda: self._rows.page(selection, begin, may_read=True))
                assert page is not None
        except VersionExpired:
            if query.cursor is None:
                raise
            raise _cursor_expired() from None
        shown = await workers_shown(self._gold, selection, page.rows)
        await record(caller, resource, shown, page.rows.height, selection.span)
        cursor = None
        if page.following is not None:
            cursor = self._cursors.make(bound, query, snapshot.data_version, page.following)
        return Whole(_list(selection, page, cursor), answered, Format.JSON.media_type)

    async def open(
        self,
        request: Request,
        caller: Caller,
        tables: Sequence[Table],
        *,
        as_of: int | None = None,
        form: str | None = None,
        offered: Sequence[Format] = (Format.JSON,),
    ) -> Opened:
        """Open the tables that a single thing is read from; `form` is what `format=` says.

        Raises Refused, VersionNotFound, VersionExpired, StorageUnavailable.
        """
        given = chosen(form, request.headers.get("accept"), offered)
        snapshot = await self._gold.snapshot(caller.tenant_id, as_of)
        asked = f"{request.url.path}?{sorted(request.query_params.multi_items())}{given}"
        versions = [snapshot.versions.get(table.id) for table in tables]
        tag = etag(
            caller.tenant_id, versions, hashlib.sha256(asked.encode()).digest(), caller.limited_to(None)
        )
        headers = {"etag": tag, "x-data-version": str(snapshot.data_version), "vary": _VARY}
        is_same = is_current(request.headers.get("if-none-match"), tag)
        return Opened(caller, snapshot, given, headers, is_same)

    async def find(
        self,
        opened: Opened,
        resource: Resource,
        where: pl.Expr,
        dates: Collection[date] | None = None,
        *,
        newest: str | None = None,
    ) -> Found:
        """The one row of the resource's table, by its columns; the one with most of `newest` where there are
        several. Partitions of `dates` only, where they are known.

        Raises Refused (NOT_FOUND) when there is none, or none that the caller may see; VersionExpired,
        StorageUnavailable. Whoever shows it records it.
        """
        snapshot, table = opened.snapshot, resource.table

        def read() -> pl.DataFrame:
            rows = snapshot.scan(table, dates).filter(where)
            names = {column.name: name for name, column in resource.columns.items()}
            renamed = rows.rename({old: new for old, new in names.items() if old != new})
            return snapshot.collect(table, renamed.with_columns(resource.worker.alias(WORKER)))

        found = await self._gold.in_thread(read)
        if newest is not None:
            found = found.sort(newest)
        if found.is_empty():
            raise not_found()
        row = found.drop("tenant_id").row(-1, named=True)
        worker_id = row.pop(WORKER)
        opened.caller.may_read(worker_id)
        return Found(row, worker_id)

    @staticmethod
    def json(content: object) -> Response:
        """The content as JSON, of no data version."""
        return Response(_encoder.encode(content), media_type=Format.JSON.media_type)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of reading, from a thread."""
        return await self._gold.in_thread(work)

    async def _select(
        self,
        resource: Resource,
        query: Query,
        snapshot: Snapshot,
        worker_ids: Sequence[str] | None,
    ) -> Selection:
        if query.since is None and snapshot.known_partitions(resource.table) is not None:
            return select(snapshot, None, resource, query, worker_ids)
        earlier = None
        if query.since is not None:
            earlier = await self._gold.snapshot(snapshot.tenant_id, query.since)
        return await self._gold.in_thread(lambda: select(snapshot, earlier, resource, query, worker_ids))

    async def _whole(self, selection: Selection, caller: Caller, headers: dict[str, str]) -> Response:
        query = selection.query

        def made() -> tuple[pl.DataFrame, bytes]:
            rows = self._rows.whole(selection, self._max_bulk_rows)
            return rows, encode(_chosen(rows, query), query.form)

        async with self._bulk:
            rows, body = await self._gold.in_thread(made)
        shown = await workers_shown(self._gold, selection, rows)
        await record(caller, selection.resource, shown, rows.height, selection.span)
        if selection.changed is not None:
            headers["x-changed-dates"] = ",".join(day.isoformat() for day in selection.changed)
        name = f"{selection.resource.path.replace('/', '-')}.{query.form.extension}"
        headers["content-disposition"] = f'attachment; filename="{name}"'
        return Response(body, headers=headers, media_type=query.form.media_type)

    async def _pinned(self, tenant_id: str, data_version: int) -> Snapshot:
        try:
            return await self._gold.snapshot(tenant_id, data_version)
        except (VersionExpired, VersionNotFound):
            raise _cursor_expired() from None


async def record(
    caller: Caller,
    resource: Resource,
    worker_ids: Collection[str],
    rows: int,
    span: tuple[date, date] | None,
) -> None:
    """Write the read down for everybody whose rows these are. Raises StorageUnavailable, Overloaded."""
    if rows and resource.has_workers:
        start, end = (None, None) if span is None else span
        await caller.record(resource.operation, worker_ids, start, end, rows)


def _query(resource: Resource, query_string: bytes, accept: str | None) -> Query:
    """The query of a list. Raises as `parse`."""
    if len(query_string) > _KEPT_QUERY_BYTES:
        return parse(resource, parameters(query_string), accept)
    return _kept_query(resource, query_string, accept)


@lru_cache(_KEPT_QUERIES)
def _kept_query(resource: Resource, query_string: bytes, accept: str | None) -> Query:
    """Remembered: clients ask the same again and again."""
    return parse(resource, parameters(query_string), accept)


def _list(selection: Selection, page: Page, cursor: str | None) -> bytes:
    rows = _chosen(page.rows, selection.query).to_dicts()
    body: dict[str, object] = {"data": rows, "has_more": cursor is not None, "next_cursor": cursor}
    if selection.changed is not None:
        body["changed_dates"] = selection.changed
    return _encoder.encode(body)


def _chosen(rows: pl.DataFrame, query: Query) -> pl.DataFrame:
    return rows if query.fields is None else rows.select(query.fields)


def _cursor_expired() -> Refused:
    return Refused(
        Code.CURSOR_EXPIRED,
        "the data version that the cursor was made at has been cleaned up",
        remedy="start again without a cursor",
    )


# ------------------------------------------------------------------------------------------ routes
Answers = Callable[[Request, Caller], Awaitable[Response]]


class ReadRoute(APIRoute):
    """A route whose endpoint gets request and caller and answers itself; what it declares is the document.

    The gate is the same as every route's (`caller_of`); what is left out is the framework's reading and
    checking of parameters one by one, which costs more than a read does.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answers: Answers = self.endpoint.answers  # type: ignore[attr-defined]
        access: Access = self.endpoint.access  # type: ignore[attr-defined]

        async def handle(request: Request) -> Response:
            caller = caller_of(request.scope, access, request.app.state.services.access_log)
            return await answers(request, caller)

        return handle


def add_read(
    router: APIRouter,
    path: str,
    answers: Answers,
    access: Access,
    *,
    operation_id: str,
    summary: str,
    description: str,
    parameters: Sequence[Mapping[str, object]],
    responses: dict[int | str, dict[str, Any]],
) -> None:
    """Add a GET route that `answers` answers."""

    async def endpoint() -> None:
        """Documents the route; `ReadRoute` answers it."""

    endpoint.answers = answers  # type: ignore[attr-defined]
    endpoint.access = access  # type: ignore[attr-defined]
    router.add_api_route(
        path,
        endpoint,
        methods=["GET"],
        operation_id=operation_id,
        summary=summary,
        description=description,
        dependencies=[guarded(access)],
        openapi_extra={"parameters": list(parameters)},
        responses=responses,
        route_class_override=ReadRoute,
    )
