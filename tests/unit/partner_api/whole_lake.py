"""A tenant with one of everything that the API has an id of, by the path parameter that takes the id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from tests.unit.partner_api.conftest import Api
from tests.unit.partner_api.gold_lake import GoldLake, day, kpi, rows, workblock

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.control import Stage
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_BRIEFS,
    GOLD_INSIGHTS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_SLICES,
    GOLD_TOKEN_CONTEXTS,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    SILVER_HEALTH,
)

HOOKS = {"hooks.example.com": ["93.184.215.14"]}
SAME_FOR_ALL = {
    "date": day(0).isoformat(),
    "layer": "gold",
    "name": "kpi_daily",
    "code": "not_found",
    "share": "coworkai",
    "schema": "gold",
    "table": "kpi_daily",
}
"""Path parameters whose values are no tenant's own."""
_BRIEF = Path(__file__).parents[2] / "golden" / "briefs" / "rich_day.json"


@dataclass(frozen=True)
class Whole:
    """A tenant: a worker, a key to it all, and its own value of every path parameter that names something."""

    tenant: str
    worker: str
    ids: dict[str, str]
    key: str


def publish_whole(api: Api, tenant: str) -> Whole:
    """Publish two days with a row of every list, and make an export, an endpoint and a delivery."""
    lake = GoldLake(api.settings.data_dir / "lake")
    ana, on = f"{tenant}-ana", day(0)
    row = {"date": on, "user_id": ana}
    block = f"wb:{tenant}:VZFpXIe:00"
    stage1 = {
        GOLD_WORKBLOCKS.id: rows(GOLD_WORKBLOCKS, workblock(ana, on, 9, workblock_id=block)),
        GOLD_SLICES.id: rows(GOLD_SLICES, {**row, "workblock_id": block, "sequence": 1}),
        GOLD_USAGE.id: rows(
            GOLD_USAGE, {**row, "kind": "app", "rank": 1, "name": "code", "duration_s": 60.0}
        ),
        GOLD_KPI_DAILY.id: rows(
            GOLD_KPI_DAILY, kpi(ana, on, "focus_s", 60.0), kpi(ana, on, "active_s", 90.0)
        ),
        GOLD_KPI_GROUPS.id: rows(
            GOLD_KPI_GROUPS,
            {
                "date": on,
                "period": "day",
                "level": "worker",
                "group_id": ana,
                "measure": "focus_s",
                "value": 60.0,
                "unit": "s",
            },
        ),
        GOLD_ACCOUNTING.id: rows(GOLD_ACCOUNTING, {**row, "raw_s": 9.0, "kept_s": 8.0, "overlapped_s": 1.0}),
    }
    lake.publish({on: stage1, day(1): {}}, tenant_id=tenant, run=tenant)
    health = rows(SILVER_HEALTH, {**row, "device_id": "device_1", "source": "activities", "records": 3})
    lake.publish({on: {SILVER_HEALTH.id: health}}, tenant_id=tenant, stage=Stage.SILVER, run=f"{tenant}-0")
    lake.publish({on: _stage2(ana, tenant)}, tenant_id=tenant, stage=Stage.STAGE2, run=f"{tenant}-2")
    paths = ArtifactPaths(tenant)
    lake.store.put(paths.workblock_report(on, f"{tenant}-{on.isoformat()}", ana), b"# Report\n")
    lake.store.put(paths.context(ana, on, day(-6), on, "md"), b"# Context\n")
    key = api.key(tenant=tenant)
    export = api.post("/v1/exports", key=key, json={"resource": "workblocks"}).json()
    endpoint = new_endpoint(api, key)
    delivery = api.post(f"/v1/webhook-endpoints/{endpoint}/ping", key=key).json()
    ids = {
        "worker_id": ana,
        "workblock_id": block,
        "insight_id": f"insight:{ana}:{on}:workblock:focus",
        "context_id": f"{tenant}-context",
        "brief_id": f"{tenant}-brief",
        "run_id": f"{tenant}-{on.isoformat()}",
        "id": f"{tenant}-{on.isoformat()}",
        "export_id": export["export_id"],
        "endpoint_id": endpoint,
        "delivery_id": delivery["delivery_id"],
    }
    return Whole(tenant, ana, ids, key)


def new_endpoint(api: Api, key: str) -> str:
    """Id of a new webhook endpoint."""
    body = {"url": "https://hooks.example.com/coworkai", "event_types": ["brief.ready"]}
    made: str = api.post("/v1/webhook-endpoints", key=key, json=body).json()["endpoint_id"]
    return made


def _stage2(worker: str, tenant: str) -> dict[str, pl.DataFrame]:
    on = day(0)
    insight = {
        "date": on,
        "user_id": worker,
        "insight_id": f"insight:{worker}:{on}:workblock:focus",
        "kind": "workblock",
        "type": "focus",
        "rank": 1,
        "text": "1 min of focus",
        "text_template": "{0} of focus",
        "claims": [{"fact_id": "kpi:x", "field": "value"}],
        "score": 1.5,
    }
    context = {
        "date": on,
        "user_id": worker,
        "context_id": f"{tenant}-context",
        "start_date": day(-6),
        "end_date": on,
        "tokens": 80,
        "components": [{"date": on, "component": "kpis", "status": "included", "tokens": 80, "reason": None}],
    }
    brief = {
        "date": on,
        "subject_kind": "worker",
        "subject_id": worker,
        "brief_id": f"{tenant}-brief",
        "version": 1,
        "start_date": day(-6),
        "end_date": on,
        "writer": "deterministic",
        "schema_version": "1",
        "brief_json": _BRIEF.read_text(encoding="utf-8"),
        "markdown": "# Brief\n",
        "fact_ids": ["day:ana:2026-10-26"],
        "gold_versions": [{"table": "gold/workblocks", "version": 1}],
    }
    return {
        GOLD_INSIGHTS.id: rows(GOLD_INSIGHTS, insight),
        GOLD_TOKEN_CONTEXTS.id: rows(GOLD_TOKEN_CONTEXTS, context),
        GOLD_BRIEFS.id: rows(GOLD_BRIEFS, brief),
    }
