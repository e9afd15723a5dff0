"""Exports: a list's whole range as files (`POST /v1/exports`)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from coworkai.partner_api.exports import Export, ExportState
from coworkai.partner_api.formats import Format
from coworkai.partner_api.guard import Access, Caller, authorise, guarded
from coworkai.partner_api.openapi.answers import header_refs
from coworkai.partner_api.pages import DEFAULT_LIMIT, MAX_LIMIT, parse
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.problems import Code, FieldError, Refused
from coworkai.partner_api.resources import RESOURCES
from coworkai.partner_api.schemas import DataVersion, page_model
from coworkai.partner_api.services import Services, services_of

router = APIRouter(prefix="/v1", tags=["exports"])

_ACCESS = Access(Scope.EXPORTS)
_FORMATS = (Format.PARQUET, Format.ARROW, Format.CSV, Format.NDJSON)


class NewExport(BaseModel):
    """What to export: a list, with the parameters that it has as a query."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "resource": "kpis/daily",
                    "format": "parquet",
                    "start_date": "2026-10-01",
                    "end_date": "2026-10-31",
                    "filters": {"measure": ["focus_s", "active_s"]},
                }
            ]
        },
    )

    resource: str = Field(
        description="a list below `/v1`", examples=["workblocks"], json_schema_extra={"enum": list(RESOURCES)}
    )
    format: str = Field(default="parquet", json_schema_extra={"enum": [one.value for one in _FORMATS]})
    worker_ids: list[str] | None = Field(
        default=None, min_length=1, max_length=10_000, description="rows of these workers; all by default"
    )
    start_date: dt.date | None = Field(default=None, description="first local date", examples=["2026-10-01"])
    end_date: dt.date | None = Field(
        default=None, description="last local date, inclusive", examples=["2026-10-31"]
    )
    filters: dict[str, list[str]] = Field(
        default_factory=dict,
        description="further parameters of the list, by name",
        examples=[{"measure": ["focus_s"]}],
    )
    fields: list[str] | None = Field(default=None, min_length=1, description="columns; all by default")
    as_of_version: DataVersion | None = Field(default=None, description="data version; the newest by default")
    since_version: DataVersion | None = Field(
        default=None, description="only dates that were published anew after this data version"
    )


class ExportFile(BaseModel):
    """A file of an export."""

    name: str = Field(examples=["part-00000.parquet"])
    rows: int
    bytes: int
    url: str | None = Field(description="signed address; null until the export is ready")
    url_expires_at: dt.datetime | None = Field(description="when it stops to work; ask again for another")


class ExportJob(BaseModel):
    """An export."""

    export_id: str = Field(examples=["exp_5c1f0a9b7e2d"])
    state: ExportState
    resource: str = Field(examples=["workblocks"])
    format: str = Field(examples=["parquet"])
    data_version: int = Field(description="what it is of", examples=[41])
    rows: int | None = Field(description="null until it is ready")
    bytes: int | None = Field(description="null until it is ready")
    files: list[ExportFile] = Field(description="whole dates, in order; every date is in one file")
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    expires_at: dt.datetime | None = Field(description="when its files are removed")
    error_code: str | None = Field(description="code of a problem, where it failed")


@router.post(
    "/exports",
    operation_id="create_export",
    summary="Make an export",
    status_code=202,
    response_model=ExportJob,
    responses={202: {"headers": header_refs("Location", "Retry-After")}},
)
async def create_export(
    asked: NewExport, request: Request, caller: Annotated[Caller, guarded(_ACCESS)]
) -> Response:
    """Begin an export. It needs the scope of its list too. Ask for it until its state is `ready`."""
    services = services_of(request)
    resource = RESOURCES.get(asked.resource)
    if resource is None:
        raise _invalid("resource", f"one of {', '.join(RESOURCES)}")
    if asked.format not in _FORMATS:
        raise _invalid("format", f"one of {', '.join(_FORMATS)}")
    authorise(caller.principal, resource.access)
    known = {each.name for each in resource.filters} | ({"all_versions"} if resource.superseded_by else set())
    for name in asked.filters.keys() - known:
        raise _invalid("filters", f"{name[:64]!r}: known are {', '.join(sorted(known)) or 'none'}")
    given = _parameters(asked)
    try:
        query = parse(resource, given, None)
    except Refused as refused:
        errors = [FieldError(one.field.replace("query.", "body."), one.message) for one in refused.errors]
        raise Refused(refused.kind, "the export is not valid", errors=errors) from None
    snapshot = await services.gold.snapshot(caller.tenant_id, query.as_of, since=query.since)
    if query.since is not None:
        # What there is no more of is told now, and not when the export fails.
        await services.gold.snapshot(caller.tenant_id, query.since)
    principal = caller.principal
    kept: dict[str, Any] = {
        "resource": resource.path,
        "query": given,
        "worker_ids": caller.limited_to(query.worker_ids),
        "kind": principal.kind.value,
        "name": principal.name,
        "request_id": caller.request_id,
    }
    export = await services.in_store(
        lambda: services.exports.create(
            f"exp_{caller.operation_id}", principal, kept, query.form, snapshot.data_version
        )
    )
    services.exporter.look()
    return await _answer(services, export, status=202)


@router.get(
    "/exports",
    operation_id="list_exports",
    summary="List exports",
    response_model=page_model("ExportList", ExportJob, "exports, newest first"),
)
async def list_exports(
    request: Request,
    caller: Annotated[Caller, guarded(_ACCESS)],
    *,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="exports of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=1_024, description="`next_cursor` of the page before")
    ] = None,
) -> Response:
    """The caller's own exports, newest first, without addresses."""
    services = services_of(request)
    principal = caller.principal
    bound = [caller.tenant_id, "exports", principal.principal_id]
    before = None
    if cursor is not None:
        at, export_id = services.cursors.read_after(cursor, bound)
        before = (dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=at), export_id)
    found = await services.in_store(
        lambda: services.exports.page(
            caller.tenant_id, principal.principal_id, before=before, limit=limit + 1
        )
    )
    page = found[:limit]
    following = None
    if len(found) > limit:
        since_epoch = page[-1].created_at - dt.datetime.fromtimestamp(0, dt.UTC)
        following = services.cursors.make_after(
            since_epoch // dt.timedelta(microseconds=1), page[-1].export_id, bound
        )
    data = [_shown(one, None) for one in page]
    return services.reads.json({"data": data, "has_more": following is not None, "next_cursor": following})


@router.get(
    "/exports/{export_id}",
    operation_id="get_export",
    summary="Get an export",
    response_model=ExportJob,
    responses={200: {"headers": header_refs("Location", "Retry-After")}},
)
async def get_export(
    export_id: Annotated[str, Path(examples=["exp_5c1f0a9b7e2d"])],
    request: Request,
    caller: Annotated[Caller, guarded(_ACCESS)],
) -> Response:
    """An export of the caller's own; when it is ready, with fresh addresses of its files."""
    services = services_of(request)
    principal = caller.principal
    export = await services.in_store(
        lambda: services.exports.get(caller.tenant_id, principal.principal_id, export_id)
    )
    if export is None:
        raise Refused(Code.NOT_FOUND, "not found")
    authorise(principal, export.resource.access)
    return await _answer(services, export)


async def _answer(services: Services, export: Export, status: int = 200) -> Response:
    signed = None
    if export.state is ExportState.READY:
        signed = await services.signed_urls.of(export.paths, until=export.expires_at)
    answer = services.reads.json(_shown(export, signed))
    answer.status_code = status
    answer.headers["location"] = f"/v1/exports/{export.export_id}"
    if export.state in {ExportState.QUEUED, ExportState.RUNNING}:
        answer.headers["retry-after"] = "1"
    return answer


def _shown(export: Export, signed: Any) -> dict[str, object]:
    files = [
        {
            **file,
            "url": None if signed is None else signed[number].url,
            "url_expires_at": None
            if signed is None
            else dt.datetime.fromtimestamp(signed[number].expires_ms / 1000, dt.UTC),
        }
        for number, file in enumerate(export.files)
    ]
    told: dict[str, object] = {
        "state": export.state.value,
        "resource": export.resource.path,
        "files": files if export.state is ExportState.READY else [],
    }
    return {name: told[name] if name in told else getattr(export, name) for name in ExportJob.model_fields}


def _parameters(asked: NewExport) -> dict[str, list[str]]:
    """What is asked for, as the parameters of a query."""
    single = {
        "start_date": asked.start_date,
        "end_date": asked.end_date,
        "fields": None if asked.fields is None else ",".join(asked.fields),
        "as_of_version": asked.as_of_version,
        "since_version": asked.since_version,
        "format": asked.format,
    }
    repeated = asked.filters if asked.worker_ids is None else {**asked.filters, "worker_id": asked.worker_ids}
    return {**repeated, **{name: [str(value)] for name, value in single.items() if value is not None}}


def _invalid(field: str, message: str) -> Refused:
    return Refused(
        Code.INVALID_BODY, "the export is not valid", errors=[FieldError(f"body.{field}", message)]
    )
