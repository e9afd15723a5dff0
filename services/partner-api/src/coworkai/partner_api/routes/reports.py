"""`GET /v1/reports/{worker_id}/{date}`: the report of a worker's day."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.errors import NotFound
from coworkai.partner_api.formats import Format
from coworkai.partner_api.gold import VersionExpired
from coworkai.partner_api.guard import Caller, guarded
from coworkai.partner_api.problems import not_found
from coworkai.partner_api.resources import REPORTS
from coworkai.partner_api.routes.parameters import AsOf, DocumentFormat, document
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["reports"])


class WorkblockReport(BaseModel):
    """The report of a worker's day."""

    worker_id: str
    date: dt.date
    run_id: str = Field(description="run that wrote it")
    markdown: str = Field(description="the report", examples=["# Workblock report 2026-10-27\n\n…"])


@router.get(
    "/reports/{worker_id}/{date}",
    operation_id="get_report",
    summary="Get the report of a worker's day",
    response_model=WorkblockReport,
    responses=document(WorkblockReport, "# Workblock report 2026-10-27\n\n…"),
)
async def get_report(
    worker_id: Annotated[str, Path(examples=["user_1f0c9a7be2d34856a0b1c2d3"])],
    date: Annotated[dt.date, Path(examples=["2026-10-27"])],
    request: Request,
    caller: Annotated[Caller, guarded(REPORTS.access)],
    *,
    as_of: AsOf = None,
    form: DocumentFormat = None,
) -> Response:
    """Workblocks, slices, usage, manifests and data quality of the day, as markdown."""
    caller.may_read(worker_id)
    services = services_of(request)
    opened = await services.reads.open(
        request,
        caller,
        [REPORTS.table],
        as_of=as_of,
        form=form,
        offered=(Format.MARKDOWN, Format.JSON),
    )
    if opened.is_current:
        return opened.not_modified()
    run_id = opened.snapshot.run_ids.get(date)
    if run_id is None:
        raise not_found("nothing is published of that day")
    path = ArtifactPaths(caller.tenant_id).workblock_report(date, run_id, worker_id)
    try:
        text = await services.reads.in_thread(lambda: services.store.get(path))
    except NotFound:
        newest = await services.gold.snapshot(caller.tenant_id)
        if newest.run_ids.get(date) != run_id:
            raise VersionExpired(
                "reports of that version have been cleaned up", remedy="read the newest version"
            ) from None
        raise not_found("the worker has no report of that day") from None
    await caller.record("get_report", [worker_id], date, date, 1)
    if opened.form is Format.MARKDOWN:
        return opened.answer(text)
    return opened.answer({"worker_id": worker_id, "date": date, "run_id": run_id, "markdown": text.decode()})
