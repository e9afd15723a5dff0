"""`GET /v1/access-log`: who read a worker's rows."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.common.control.access_log import AccessEntry
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.pages import DEFAULT_LIMIT, MAX_LIMIT
from coworkai.partner_api.principal import PrincipalKind, Scope
from coworkai.partner_api.problems import Code, FieldError, Refused
from coworkai.partner_api.schemas import page_model
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["access"])


class AccessLogEntry(BaseModel):
    """One read of the worker's rows. Entries are a chain: each holds the hash of the one before."""

    seq: int = Field(description="position in the worker's chain, from 1", examples=[42])
    read_at: dt.datetime
    principal_id: str = Field(examples=["key_9f3c"])
    principal_kind: PrincipalKind
    principal_name: str = Field(examples=["wellbeing dashboard"])
    operation: str = Field(examples=["list_workblocks"])
    start_date: dt.date | None = Field(description="first local date that was read")
    end_date: dt.date | None = Field(description="last one")
    row_count: int = Field(description="rows of the whole answer")
    request_id: str = Field(examples=["req_5c1f0a"])
    previous_hash: str = Field(description="hash of the entry before, hexadecimal")
    hash: str = Field(description="hash of this entry and the one before, hexadecimal")


@router.get(
    "/access-log",
    operation_id="list_access_log",
    summary="List who read a worker's rows",
    response_model=page_model("AccessLog", AccessLogEntry, "reads, newest first"),
)
async def list_access_log(
    request: Request,
    caller: Annotated[Caller, guarded(Access(Scope.ACCESS_LOG, workers=True))],
    *,
    worker_id: Annotated[
        str | None, Query(min_length=1, max_length=256, description="whose; a worker's token needs none")
    ] = None,
    start_date: Annotated[dt.date | None, Query(description="first UTC date of the reads")] = None,
    end_date: Annotated[dt.date | None, Query(description="last UTC date, inclusive")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="entries of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=1_024, description="`next_cursor` of the page before")
    ] = None,
) -> Response:
    """Reads by keys and clients, newest first. A worker's own reads are not in it."""
    if worker_id is None:
        if caller.principal.kind is not PrincipalKind.WORKER:
            missing = FieldError("query.worker_id", "whose access log?")
            raise Refused(Code.INVALID_PARAMETER, "worker_id is missing", errors=[missing])
        (worker_id,) = caller.limited_to(None) or [""]
    caller.may_read(worker_id)
    if start_date is not None and end_date is not None and end_date < start_date:
        wrong = FieldError("query.end_date", "lies before start_date")
        raise Refused(Code.INVALID_RANGE, "the range is not valid", errors=[wrong])
    services = services_of(request)
    bound = [caller.tenant_id, "access-log", worker_id, repr((start_date, end_date))]
    before = None if cursor is None else services.cursors.read_after(cursor, bound)[0]
    of = worker_id
    entries = await services.in_store(
        lambda: services.access_log.page(
            caller.tenant_id,
            of,
            before=before,
            since=None if start_date is None else _midnight(start_date),
            until=None
            if end_date is None or end_date == dt.date.max
            else _midnight(end_date + dt.timedelta(days=1)),
            limit=limit + 1,
        )
    )
    page = entries[:limit]
    has_more = len(entries) > limit
    following = services.cursors.make_after(page[-1].seq, "", bound) if has_more else None
    content = {"data": [_shown(one) for one in page], "has_more": has_more, "next_cursor": following}
    return services.reads.json(content)


def _midnight(on: dt.date) -> dt.datetime:
    return dt.datetime.combine(on, dt.time(), dt.UTC)


def _shown(entry: AccessEntry) -> dict[str, object]:
    shown = {name: getattr(entry, name) for name in AccessLogEntry.model_fields}
    return {**shown, "previous_hash": entry.previous_hash.hex(), "hash": entry.hash.hex()}
