"""`GET /v1/workers`: whom there is data of, by token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_KPI_DAILY
from coworkai.partner_api.formats import TABULAR, Format, encode
from coworkai.partner_api.gold import Snapshot
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.pages import DEFAULT_LIMIT, MAX_LIMIT, check_pages, chosen_fields
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.problems import not_found
from coworkai.partner_api.reads import Opened
from coworkai.partner_api.routes.parameters import AsOf, Fields, TabularFormat, with_fields
from coworkai.partner_api.schemas import page_model, tabular
from coworkai.partner_api.selection import check_height
from coworkai.partner_api.services import Services, services_of

router = APIRouter(prefix="/v1", tags=["workers"])

_TABLES = (GOLD_ACCOUNTING, GOLD_KPI_DAILY)


class Worker(BaseModel):
    """A worker: a token, and what there is of them. Names are nowhere in the platform."""

    worker_id: str = Field(examples=["user_1f0c9a7be2d34856a0b1c2d3"])
    first_date: dt.date = Field(description="first local date that anything is known of")
    last_date: dt.date = Field(description="last one")
    days: int = Field(description="dates that anything is known of", examples=[21])


@router.get(
    "/workers",
    operation_id="list_workers",
    summary="List workers",
    responses={200: tabular(page_model("WorkerList", Worker, "workers, in order of their ids"))},
    openapi_extra=with_fields(Worker),
)
async def list_workers(
    request: Request,
    caller: Annotated[Caller, guarded(Access(Scope.WORKERS))],
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=1_024, description="`next_cursor` of the page before")
    ] = None,
    as_of: AsOf = None,
    fields: Fields = None,
    form: TabularFormat = None,
) -> Response:
    """Workers with published data, in order of their ids."""
    services = services_of(request)
    after = ""
    bound = [caller.tenant_id, repr(caller.limited_to(None)), "workers", repr((as_of, fields))]
    if cursor is not None:
        as_of, after = services.cursors.read_after(cursor, bound)
    opened = await services.reads.open(request, caller, _TABLES, as_of=as_of, form=form, offered=TABULAR)
    check_pages(opened.form, request.query_params.keys())
    columns = list(Worker.model_fields if fields is None else chosen_fields(fields, Worker.model_fields))
    if opened.is_current:
        return opened.not_modified()
    workers = await services.reads.in_thread(lambda: _workers(opened.snapshot))
    theirs = caller.limited_to(None)
    rest = workers.filter(pl.col("worker_id") > after)
    if theirs is not None:
        rest = rest.filter(pl.col("worker_id").is_in(theirs))
    if opened.form is not Format.JSON:
        return await _whole(services, opened, rest, columns)
    page = rest.head(limit)
    await caller.record("list_workers", page["worker_id"].to_list(), None, None, page.height)
    has_more = rest.height > limit
    following = None
    if has_more:
        following = services.cursors.make_after(opened.snapshot.data_version, page["worker_id"][-1], bound)
    data = page.select(columns).to_dicts()
    return opened.answer({"data": data, "has_more": has_more, "next_cursor": following})


async def _whole(
    services: Services, opened: Opened, workers: pl.DataFrame, columns: Sequence[str]
) -> Response:
    """All of them in one answer. Raises Refused (TOO_MANY_ROWS)."""
    check_height(workers.height, services.settings.max_bulk_rows)
    await opened.caller.record("list_workers", workers["worker_id"].to_list(), None, None, workers.height)
    body = await services.reads.in_thread(lambda: encode(workers.select(columns), opened.form))
    opened.headers["content-disposition"] = f'attachment; filename="workers.{opened.form.extension}"'
    return opened.answer(body)


@router.get("/workers/{worker_id}", operation_id="get_worker", summary="Get a worker", response_model=Worker)
async def get_worker(
    worker_id: Annotated[str, Path(examples=["user_1f0c9a7be2d34856a0b1c2d3"])],
    request: Request,
    caller: Annotated[Caller, guarded(Access(Scope.WORKERS))],
    as_of: AsOf = None,
) -> Response:
    """What there is of a worker."""
    caller.may_read(worker_id)
    reads = services_of(request).reads
    opened = await reads.open(request, caller, _TABLES, as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    workers = await reads.in_thread(lambda: _workers(opened.snapshot))
    found = workers.filter(pl.col("worker_id") == worker_id)
    if found.is_empty():
        raise not_found()
    await caller.record("get_worker", [worker_id], None, None, 1)
    return opened.answer(found.row(0, named=True))


def _workers(snapshot: Snapshot) -> pl.DataFrame:
    """worker_id, first_date, last_date and days of everybody, by id."""
    days = [
        snapshot.collect(table, snapshot.scan(table).select("user_id", "date").unique()) for table in _TABLES
    ]
    return (
        pl.concat(days)
        .drop_nulls("user_id")
        .group_by(pl.col("user_id").alias("worker_id"))
        .agg(first_date=pl.col("date").min(), last_date=pl.col("date").max(), days=pl.col("date").n_unique())
        .sort("worker_id")
    )
