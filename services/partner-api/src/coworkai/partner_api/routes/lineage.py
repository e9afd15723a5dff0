"""`GET /v1/lineage/{id}`: where anything with an id comes from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from coworkai.common.fact_ids import FactKind, FactName, fact_name
from coworkai.common.tables import GOLD_BRIEFS, GOLD_INSIGHTS, GOLD_TOKEN_CONTEXTS, OPS_RUNS
from coworkai.partner_api.gold import Snapshot
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.lineage import without_content
from coworkai.partner_api.metrics import SMALLEST_GROUP
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.problems import Code, Refused, not_found
from coworkai.partner_api.reads import Found, Opened
from coworkai.partner_api.resources import BRIEFS, CONTEXTS, INSIGHTS, RUNS, Resource
from coworkai.partner_api.services import Services, services_of

router = APIRouter(prefix="/v1", tags=["lineage"])

_TABLES = (GOLD_BRIEFS, GOLD_INSIGHTS, GOLD_TOKEN_CONTEXTS, OPS_RUNS)
_BY_ID: tuple[tuple[Resource, str, str | None], ...] = (
    (BRIEFS, "brief_id", "version"),
    (CONTEXTS, "context_id", None),
    (RUNS, "run_id", "finished_at"),
)


class LineageRun(BaseModel):
    """A run on the way, and the versions that it read."""

    stage: str = Field(examples=["stage1"])
    run_id: str
    input_versions: dict[str, int] = Field(examples=[{"silver/activity_timeline": 12}])


class LineageEvent(BaseModel):
    """A collected record."""

    table: str = Field(examples=["bronze/activities"])
    event_id: str = Field(description="the collector's id")
    event_date: dt.date
    file: str = Field(description="file that it is in, below the lake")
    version: int = Field(description="version of the table that was read; a later one where that is gone")


class Lineage(BaseModel):
    """Where something comes from. Texts, titles and addresses are not in it: ask for the row itself."""

    id: str
    kind: str = Field(description="fact, insight, brief, context or run", examples=["fact"])
    source: str = Field(description="table of the row, or path of the artefact", examples=["gold/kpi_daily"])
    row: dict[str, Any] = Field(description="the row, without what people typed, said or saw")
    formula: str | None = Field(description="how it is computed")
    recount: dict[str, Any] = Field(description="columns of the row, computed again from Silver")
    facts: list[str] = Field(description="ids that it is made of, each with a lineage of its own")
    runs: list[LineageRun] = Field(description="runs that made it, the last one first")
    pieces: list[dict[str, Any]] = Field(description="its pieces of the activity timeline")
    keystroke_minutes: list[dict[str, Any]] = Field(
        description="its keystroke minutes, with the phase that matched them"
    )
    silver: dict[str, list[dict[str, Any]]] = Field(description="its rows of other Silver tables")
    events: list[LineageEvent] = Field(description="the records that all of it was collected as")


@router.get("/lineage/{id:path}", operation_id="get_lineage", summary="Trace an id", response_model=Lineage)
async def get_lineage(
    identifier: Annotated[
        str,
        Path(
            alias="id",
            max_length=2_000,
            description="of a fact, workblock, slice, insight, brief, context or run",
            examples=["kpi:user_1f0c9a7be2d34856a0b1c2d3:2026-10-27:focus_s"],
        ),
    ],
    request: Request,
    caller: Annotated[Caller, guarded(Access(Scope.LINEAGE))],
) -> Response:
    """Lead an id back: to the row, the runs and versions, the Silver rows and the records collected."""
    services = services_of(request)
    opened = await services.reads.open(request, caller, _TABLES)
    if identifier.startswith("insight:"):
        return await _row(services, opened, INSIGHTS, ("insight_id", identifier, None))
    try:
        name = fact_name(identifier)
    except ValueError:
        name = None
    if name is None and not _is_slice(identifier):
        for resource, column, newest in _BY_ID:
            try:
                return await _row(services, opened, resource, (column, identifier, newest))
            except Refused as refused:
                if refused.kind is not Code.NOT_FOUND:
                    raise
        raise not_found()
    if name is not None:
        _check_subject(caller, name)
    traced = await services.fact_lineage.of(caller.tenant_id, identifier)
    row = traced["row"]
    if name is not None and name.kind is FactKind.GROUP:
        shown = _shown_of_group(row, [fact_name(one) for one in traced["facts"]])
    else:
        caller.may_read(row["user_id"])
        shown = {row["user_id"]: {dt.date.fromisoformat(row["date"])}}
    if shown:
        dates = set().union(*shown.values())
        await caller.record("get_lineage", shown.keys(), min(dates), max(dates), 1)
    traced["row"] = _public(row)
    return services.reads.json({"id": traced.pop("fact_id"), "kind": "fact", **traced})


def _is_slice(identifier: str) -> bool:
    """A slice may also be named `<workblock_id>/<sequence>`."""
    return identifier.startswith(f"{FactKind.BLOCK.value}:") and "/" in identifier


def _check_subject(caller: Caller, name: FactName) -> None:
    """Raises Refused (NOT_FOUND) for a fact of somebody whom the caller may not read."""
    if name.kind is FactKind.GROUP:
        caller.may_read(name.subject if name.rest[0] == "worker" else None)
    elif name.kind not in {FactKind.BLOCK, FactKind.SLICE}:
        caller.may_read(name.subject)


def _shown_of_group(row: dict[str, Any], facts: Sequence[FactName]) -> dict[str, set[dt.date]]:
    """Workers whom a group's value tells of, and their days: everybody in it, where they are few."""
    found: dict[str, set[dt.date]] = {}
    if row["level"] == "worker" or (row["contributors"] or 0) < SMALLEST_GROUP:
        for fact in facts:
            found.setdefault(fact.subject, set()).add(fact.on or dt.date.fromisoformat(row["date"]))
    return found


async def _row(
    services: Services, opened: Opened, resource: Resource, where: tuple[str, str, str | None]
) -> Response:
    """The lineage of a row that cites facts, or of a run. Raises Refused (NOT_FOUND)."""
    column, identifier, newest = where
    found = await services.reads.find(opened, resource, pl.col(column) == identifier, newest=newest)
    row = found.row
    if resource is not RUNS:
        await opened.record("get_lineage", found)
    runs = await services.reads.in_thread(lambda: _runs(opened.snapshot, row["run_id"]))
    shown = {name: value for name, value in row.items() if name in resource.columns}
    return services.reads.json(
        {
            "id": identifier,
            "kind": _KINDS[resource.path],
            "source": resource.table.id,
            "row": without_content(shown),
            "formula": None,
            "recount": {},
            "facts": _facts(found, resource),
            "runs": [
                {
                    "stage": run["stage"],
                    "run_id": run["run_id"],
                    "input_versions": {one["table"]: one["version"] for one in run["input_versions"]},
                }
                for run in runs
            ],
            "pieces": [],
            "keystroke_minutes": [],
            "silver": {},
            "events": [],
        }
    )


_KINDS = {INSIGHTS.path: "insight", BRIEFS.path: "brief", CONTEXTS.path: "context", RUNS.path: "run"}


def _runs(snapshot: Snapshot, run_id: str | None) -> list[dict[str, Any]]:
    """The newest record of the run; none for a row of before there were any."""
    rows = snapshot.scan(OPS_RUNS).filter(pl.col("run_id") == run_id)
    return snapshot.collect(OPS_RUNS, rows).sort("finished_at").tail(1).to_dicts()


def _facts(found: Found, resource: Resource) -> list[str]:
    if resource is INSIGHTS:
        return list(dict.fromkeys(claim["fact_id"] for claim in found.row["claims"]))
    if resource is BRIEFS:
        return list(dict.fromkeys(found.row["fact_ids"]))
    return []


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {("worker_id" if name == "user_id" else name): value for name, value in row.items()}
