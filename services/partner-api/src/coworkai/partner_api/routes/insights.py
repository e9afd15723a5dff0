"""`GET /v1/insights/{insight_id}` and `GET /v1/contexts/{context_id}`."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from urllib.parse import unquote

import polars as pl
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.errors import NotFound
from coworkai.partner_api.formats import DOCUMENT, Format
from coworkai.partner_api.guard import Caller, guarded
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.resources import CONTEXTS, INSIGHTS
from coworkai.partner_api.routes.parameters import AsOf, DocumentFormat, document
from coworkai.partner_api.schemas import row_of
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["insights"])


@router.get(
    "/insights/{insight_id:path}",
    operation_id="get_insight",
    summary="Get an insight",
    response_model=row_of(INSIGHTS),
)
async def get_insight(
    insight_id: Annotated[str, Path(examples=["insight:user_1f0c9a7b:2026-10-27:workblock:focus"])],
    request: Request,
    caller: Annotated[Caller, guarded(INSIGHTS.access)],
    as_of: AsOf = None,
) -> Response:
    """An insight by its id. Its claims lead to their origin by `/v1/lineage`."""
    reads = services_of(request).reads
    opened = await reads.open(request, caller, [INSIGHTS.table], as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    found = await reads.find(opened, INSIGHTS, pl.col("insight_id") == insight_id, _dates_of(insight_id))
    await opened.record("get_insight", found)
    return opened.answer(found.row)


@router.get(
    "/contexts/{context_id}",
    operation_id="get_context",
    summary="Get a consolidated context",
    response_model=row_of(CONTEXTS),
    responses=document(row_of(CONTEXTS), "# Context of 2026-10-27\n\n…"),
)
async def get_context(
    context_id: Annotated[str, Path(examples=["c0a4d1e8b27f4a10"])],
    request: Request,
    caller: Annotated[Caller, guarded(CONTEXTS.access)],
    as_of: AsOf = None,
    form: DocumentFormat = None,
) -> Response:
    """What went into a consolidated context and what did not; as markdown, the context itself."""
    services = services_of(request)
    opened = await services.reads.open(
        request, caller, [CONTEXTS.table], as_of=as_of, form=form, offered=DOCUMENT
    )
    if opened.is_current:
        return opened.not_modified()
    found = await services.reads.find(opened, CONTEXTS, pl.col("context_id") == context_id)
    if opened.form is Format.JSON:
        await opened.record("get_context", found)
        return opened.answer(found.row)
    row = found.row
    path = ArtifactPaths(caller.tenant_id).context(
        row["worker_id"], row["date"], row["start_date"], row["end_date"], "md"
    )
    try:
        text = await services.reads.in_thread(lambda: services.store.get(path))
    except NotFound:
        raise Refused(Code.NOT_FOUND, "the text of the context is not there") from None
    await opened.record("get_context", found)
    return opened.answer(text)


def _dates_of(insight_id: str) -> list[date]:
    """The date in `insight:<user>:<date>:…`; none for what is no id."""
    parts = insight_id.split(":")
    try:
        return [date.fromisoformat(unquote(parts[2]))]
    except (IndexError, ValueError):
        return []
