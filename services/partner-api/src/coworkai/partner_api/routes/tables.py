"""`GET /v1/tables`: what is published, at which version, how fresh. And `GET /v1/runs/{run_id}`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.common.outputs import stage_of
from coworkai.common.tables import OPS_RUNS, TABLES, Layer, Table
from coworkai.partner_api.gold import Snapshot
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.resources import RUNS
from coworkai.partner_api.routes.parameters import AsOf, Fields, shown, with_fields
from coworkai.partner_api.schemas import page_model, row_of
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["operations"])

_ACCESS = Access(Scope.OPS, limited=False)


class TableColumn(BaseModel):
    """A column."""

    name: str = Field(examples=["duration_s"])
    type: str = Field(description="type in Arrow's words", examples=["double"])
    description: str = Field(examples=["ended_at - started_at"])


class PublishedTable(BaseModel):
    """A published table."""

    table: str = Field(description="layer/name", examples=["gold/workblocks"])
    description: str
    version: int = Field(description="its Delta version", examples=[17])
    rows: int
    size_bytes: int
    files: int
    first_date: dt.date | None = Field(description="oldest date that has rows")
    last_date: dt.date | None = Field(description="newest date that has rows")
    published_at: dt.datetime | None = Field(description="when its stage published last: how fresh it is")
    key: list[str] = Field(description="columns that tell its rows apart")
    partition_by: list[str]
    columns: list[TableColumn]


@router.get(
    "/tables",
    operation_id="list_tables",
    summary="List published tables",
    response_model=page_model("TableList", PublishedTable, "tables, from Silver to Gold"),
    openapi_extra=with_fields(PublishedTable),
)
async def list_tables(
    request: Request,
    caller: Annotated[Caller, guarded(_ACCESS)],
    as_of: AsOf = None,
    fields: Fields = None,
) -> Response:
    """Every published table of Silver and Gold, and the runs that made them."""
    reads = services_of(request).reads
    opened = await reads.open(request, caller, tuple(TABLES.values()), as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    published = [table for table in TABLES.values() if table.id in opened.snapshot.versions]
    described = await reads.in_thread(lambda: [_described(opened.snapshot, table) for table in published])
    data = shown(described, fields, PublishedTable)
    return opened.answer({"data": data, "has_more": False, "next_cursor": None})


@router.get(
    "/tables/{layer}/{name}",
    operation_id="get_table",
    summary="Get a published table",
    response_model=PublishedTable,
)
async def get_table(
    layer: Layer,
    name: Annotated[str, Path(examples=["workblocks"])],
    request: Request,
    caller: Annotated[Caller, guarded(_ACCESS)],
    as_of: AsOf = None,
) -> Response:
    """A published table: version, size, freshness and columns."""
    table = TABLES.get(f"{layer.value}/{name}")
    if table is None:
        raise Refused(Code.NOT_FOUND, "not found")
    reads = services_of(request).reads
    opened = await reads.open(request, caller, [OPS_RUNS], as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    if table.id not in opened.snapshot.versions:
        raise Refused(Code.NOT_FOUND, "not found")
    return opened.answer(await reads.in_thread(lambda: _described(opened.snapshot, table)))


@router.get("/runs/{run_id}", operation_id="get_run", summary="Get a run", response_model=row_of(RUNS))
async def get_run(
    run_id: Annotated[str, Path(examples=["6f0e2f7c9ad84c0f"])],
    request: Request,
    caller: Annotated[Caller, guarded(_ACCESS)],
    as_of: AsOf = None,
) -> Response:
    """A run by its id, as it was published last: what it read and wrote, what it counted."""
    reads = services_of(request).reads
    opened = await reads.open(request, caller, [OPS_RUNS], as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    found = await reads.find(opened, RUNS, pl.col("run_id") == run_id, newest="finished_at")
    return opened.answer(found.row)


def _described(snapshot: Snapshot, table: Table) -> dict[str, object]:
    partitions = snapshot.partitions(table)
    stage = stage_of(table)
    return {
        "table": table.id,
        "description": table.description,
        "version": snapshot.versions[table.id],
        "rows": sum(one.rows for one in partitions.values()),
        "size_bytes": sum(one.size_bytes for one in partitions.values()),
        "files": sum(len(one.files) for one in partitions.values()),
        "first_date": min(partitions, default=None),
        "last_date": max(partitions, default=None),
        "published_at": snapshot.published_at(stage),
        "key": list(table.key),
        "partition_by": list(table.partition_by),
        "columns": [
            {"name": field.name, "type": str(field.type), "description": column.description}
            for field, column in zip(table.arrow_schema, table.columns, strict=True)
        ],
    }
