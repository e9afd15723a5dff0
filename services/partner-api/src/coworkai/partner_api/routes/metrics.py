"""`GET /v1/metrics`, the catalogue, and `POST /v1/metrics/query`."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
import polars as pl
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_LATTICE
from coworkai.partner_api.etags import etag, is_current, not_modified
from coworkai.partner_api.formats import TABULAR, Format, chosen, encode
from coworkai.partner_api.gold import Snapshot
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.metrics import (
    Asked,
    Cell,
    MetricsQuery,
    asked,
    computed_cells,
    published_cells,
    refuse_unpublished,
)
from coworkai.partner_api.openapi.answers import header_refs
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.routes.parameters import TabularFormat
from coworkai.partner_api.schemas import tabular
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["metrics"])
ACCESS = Access(Scope.METRICS, Reach.AGGREGATE, is_query=True)


class Metric(BaseModel):
    """A measure of the catalogue."""

    name: str = Field(examples=["focus_s"])
    title: str = Field(examples=["Focus time"])
    unit: str = Field(examples=["s"])
    formula: str = Field(description="of a worker's day", examples=["evidence inside focus blocks"])
    null_when: str = Field(description="days without a value", examples=["the day has no telemetry"])
    aggregation: str = Field(description="how days become groups and periods", examples=["sum"])
    numerator: str | None = Field(description="of a ratio, the measure above", examples=["focus_s"])
    denominator: str | None = Field(description="of a ratio, the measure below", examples=["active_s"])
    scale: float = Field(description="of a ratio, what it is multiplied by", examples=[1.0])
    sources: list[str] = Field(description="tables that it is computed from", examples=[["gold/workblocks"]])


class MetricList(BaseModel):
    """The whole catalogue."""

    data: list[Metric]
    has_more: Literal[False] = False
    next_cursor: None = None


class CellList(BaseModel):
    """All cells of a query."""

    data: list[Cell] = Field(description="in order of date, group and measure")
    has_more: Literal[False] = False
    next_cursor: None = None


_CATALOGUE = msgspec.json.encode(
    {
        "data": [
            {
                "name": one.name,
                "title": one.title,
                "unit": one.unit.value,
                "formula": one.formula,
                "null_when": one.null_when,
                "aggregation": one.aggregation.value,
                "numerator": one.numerator,
                "denominator": one.denominator,
                "scale": one.scale,
                "sources": one.sources,
            }
            for one in CATALOGUE.values()
        ],
        "has_more": False,
        "next_cursor": None,
    }
)
_CATALOGUE_TAG = etag(None, (), hashlib.sha256(_CATALOGUE).digest(), None)


@router.get(
    "/metrics",
    operation_id="list_metrics",
    summary="List the catalogue of measures",
    response_model=MetricList,
    responses={200: {"headers": header_refs("ETag")}},
)
async def list_metrics(request: Request, caller: Annotated[Caller, guarded(ACCESS)]) -> Response:
    """Every measure: what it is called, its unit, how it is computed and aggregated, and when it is null."""
    headers = {"etag": _CATALOGUE_TAG}
    if is_current(request.headers.get("if-none-match"), _CATALOGUE_TAG):
        return not_modified(headers)
    return Response(_CATALOGUE, headers=headers, media_type="application/json")


@router.post(
    "/metrics/query",
    operation_id="query_metrics",
    summary="Query measures of workers, teams, departments and the tenant",
    response_model=CellList,
    responses={200: {**tabular(CellList), "headers": header_refs("X-Data-Version")}},
)
async def query_metrics(
    query: MetricsQuery,
    request: Request,
    caller: Annotated[Caller, guarded(ACCESS)],
    form: TabularFormat = None,
) -> Response:
    """Measures by group and period.

    Credentials of aggregate reach get cells of the published lattice as they are: teams, departments and the
    tenant by day or week, a day after the period is over, suppressed where they would tell of few people.
    Their `X-Data-Version` is the lattice's own. What is not in the lattice is refused. Credentials of
    individual reach get values as they are now, computed from workers' days. An answer is whole, or refused
    as too large.
    """
    services, principal = services_of(request), caller.principal
    is_aggregate = principal.reach is Reach.AGGREGATE
    if is_aggregate:
        if principal.worker_ids is not None:
            raise Refused(Code.NOT_FOR_LIMITED_KEYS, "these credentials are limited to some workers")
        refuse_unpublished(query)
    wanted = asked(query)
    shape = chosen(form, request.headers.get("accept"), TABULAR)
    snapshot = await services.gold.snapshot(caller.tenant_id, query.as_of_version)
    if is_aggregate:
        cells = await services.gold.in_thread(lambda: published_cells(snapshot, wanted))
        version = snapshot.versions.get(GOLD_KPI_LATTICE.id, 0)
    else:
        cells = await _computed(request, caller, snapshot, wanted)
        version = snapshot.data_version
    if cells.height > services.settings.max_bulk_rows:
        raise Refused(Code.TOO_MANY_ROWS, "the answer has too many rows", remedy="ask for fewer days")
    headers = {"x-data-version": str(version), "vary": "Accept, Authorization"}
    return Response(_body(cells, shape), headers=headers, media_type=shape.media_type)


async def _computed(request: Request, caller: Caller, snapshot: Snapshot, wanted: Asked) -> pl.DataFrame:
    """Cells of individual reach; whoever's rows they show has it in the access log."""
    worker_ids = caller.limited_to(wanted.filters.worker_id)
    found = await services_of(request).gold.in_thread(lambda: computed_cells(snapshot, wanted, worker_ids))
    if wanted.dates:
        await caller.record(
            "query_metrics", found.workers, wanted.dates[0], wanted.dates[-1], found.cells.height
        )
    return found.cells


def _body(cells: pl.DataFrame, shape: Format) -> bytes:
    if shape is not Format.JSON:
        return encode(cells, shape)
    return msgspec.json.encode({"data": cells.to_dicts(), "has_more": False, "next_cursor": None})
