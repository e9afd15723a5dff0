"""Briefs: the newest of a worker, one by its id, and its statements with their evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
import polars as pl
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.partner_api.formats import DOCUMENT, Format
from coworkai.partner_api.guard import Caller, guarded
from coworkai.partner_api.reads import Found, Opened
from coworkai.partner_api.resources import BRIEFS
from coworkai.partner_api.routes.parameters import (
    AsOf,
    DocumentFormat,
    Fields,
    document,
    shown,
    with_fields,
)
from coworkai.partner_api.schemas import page_model, row_of
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["briefs"])

_MARKDOWN = "# Tuesday, 27 October 2026\n\n3 h 12 min of focus, 40 min more than usual.\n"


class Brief(row_of(BRIEFS)):  # type: ignore[misc]
    """A version of a brief, and the brief itself."""

    brief: dict[str, Any] = Field(
        description="the brief, by the schema that `schema_version` names (docs/schemas/brief.json)"
    )


class Claim(BaseModel):
    """A value of a fact, in the place of its position."""

    fact_id: str = Field(examples=["kpi:user_1f0c9a7be2d34856a0b1c2d3:2026-10-27:focus_s"])
    field: str = Field(examples=["value"])


class Statement(BaseModel):
    """A statement of a brief, and the facts that it rests on, as they were when it was written."""

    position: int = Field(description="from 1, in reading order", examples=[1])
    section: str = Field(description="part of the brief that it is in", examples=["headline"])
    kind: str = Field(examples=["headline"])
    text: str = Field(examples=["3 h 12 min of focus, 40 min more than usual"])
    text_template: str = Field(examples=["{0} of focus, {1} more than usual"])
    origin: str = Field(
        description="deterministic, or of a model: accepted, repaired or replaced", examples=["deterministic"]
    )
    claims: list[Claim] = Field(description="what stands in the places {0}, {1}, … of the template")
    evidence: list[dict[str, Any]] = Field(
        description="the facts: value, unit, table, version and key; `/v1/lineage/{fact_id}` leads further"
    )


@router.get(
    "/workers/{worker_id}/brief",
    operation_id="get_worker_brief",
    summary="Get a worker's brief of a day",
    response_model=Brief,
    responses=document(Brief, _MARKDOWN),
)
async def get_worker_brief(
    worker_id: Annotated[str, Path(examples=["user_1f0c9a7be2d34856a0b1c2d3"])],
    request: Request,
    caller: Annotated[Caller, guarded(BRIEFS.access)],
    *,
    date: Annotated[
        dt.date | None, Query(description="its primary date; by default the newest there is")
    ] = None,
    as_of: AsOf = None,
    form: DocumentFormat = None,
) -> Response:
    """The current brief of a worker: JSON, or markdown with `Accept: text/markdown`."""
    caller.may_read(worker_id)
    theirs = (pl.col("subject_kind") == "worker") & (pl.col("subject_id") == worker_id)
    opened = await _open(request, caller, as_of, form)
    if opened.is_current:
        return opened.not_modified()
    reads = services_of(request).reads
    if date is None:
        date = await reads.in_thread(lambda: _newest_date(opened, theirs))
    found = await reads.find(opened, BRIEFS, theirs, [] if date is None else [date], newest="version")
    return await _answer(opened, found, "get_worker_brief")


@router.get(
    "/briefs/{brief_id}",
    operation_id="get_brief",
    summary="Get a brief",
    response_model=Brief,
    responses=document(Brief, _MARKDOWN),
)
async def get_brief(
    brief_id: Annotated[str, Path(examples=["b1f6c2d07a9e4c55"])],
    request: Request,
    caller: Annotated[Caller, guarded(BRIEFS.access)],
    as_of: AsOf = None,
    form: DocumentFormat = None,
) -> Response:
    """A brief by its id: JSON, or markdown with `Accept: text/markdown`."""
    opened = await _open(request, caller, as_of, form)
    if opened.is_current:
        return opened.not_modified()
    return await _answer(opened, await _by_id(request, opened, brief_id), "get_brief")


@router.get(
    "/briefs/{brief_id}/statements",
    operation_id="list_brief_statements",
    summary="List a brief's statements with their evidence",
    response_model=page_model("StatementList", Statement, "statements, in reading order"),
    openapi_extra=with_fields(Statement),
)
async def list_brief_statements(
    brief_id: Annotated[str, Path(examples=["b1f6c2d07a9e4c55"])],
    request: Request,
    caller: Annotated[Caller, guarded(BRIEFS.access)],
    as_of: AsOf = None,
    fields: Fields = None,
) -> Response:
    """Every statement in reading order, whole: a brief has no second page."""
    reads = services_of(request).reads
    opened = await reads.open(request, caller, [BRIEFS.table], as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    found = await _by_id(request, opened, brief_id)
    brief = msgspec.json.decode(found.row["brief_json"])
    evidence = {one["fact_id"]: one for one in brief["evidence"]}
    statements = [
        {
            "position": position,
            "section": section,
            **stated,
            "evidence": [
                evidence[fact_id]
                for fact_id in dict.fromkeys(claim["fact_id"] for claim in stated["claims"])
                if fact_id in evidence
            ],
        }
        for position, (section, stated) in enumerate(_statements(brief), 1)
    ]
    data = shown(statements, fields, Statement)
    await opened.record("list_brief_statements", found)
    return opened.answer({"data": data, "has_more": False, "next_cursor": None})


async def _open(request: Request, caller: Caller, as_of: int | None, form: str | None) -> Opened:
    return await services_of(request).reads.open(
        request, caller, [BRIEFS.table], as_of=as_of, form=form, offered=DOCUMENT
    )


async def _by_id(request: Request, opened: Opened, brief_id: str) -> Found:
    return await services_of(request).reads.find(
        opened, BRIEFS, pl.col("brief_id") == brief_id, newest="version"
    )


def _newest_date(opened: Opened, theirs: pl.Expr) -> dt.date | None:
    rows = opened.snapshot.scan(BRIEFS.table).filter(theirs).select(pl.col("date").max())
    newest: dt.date | None = opened.snapshot.collect(BRIEFS.table, rows).item()
    return newest


async def _answer(opened: Opened, found: Found, operation: str) -> Response:
    row = dict(found.row)
    markdown, brief_json = row.pop("markdown"), row.pop("brief_json")
    await opened.record(operation, found)
    if opened.form is Format.MARKDOWN:
        return opened.answer(markdown.encode())
    return opened.answer({**row, "brief": msgspec.Raw(brief_json.encode())})


def _statements(brief: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Sections and statements, in reading order."""
    yield "headline", brief["headline"]
    for section in ("momentum", "blockers", "next_steps"):
        yield from ((section, stated) for stated in brief[section])
    for pair in brief["insights"]:
        yield from (("insights", pair[part]) for part in ("insight", "recommendation"))
    yield from (("data_quality", stated) for stated in brief["data_quality"])
