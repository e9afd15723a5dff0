"""Single things over HTTP: blocks, insights, contexts, briefs, reports, workers, tables, runs, the log."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.partner_api.conftest import Api
from tests.unit.partner_api.gold_lake import GoldLake, day, rows, workblock

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.control import Stage
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_BRIEFS,
    GOLD_INSIGHTS,
    GOLD_TOKEN_CONTEXTS,
    GOLD_WORKBLOCKS,
    SILVER_HEALTH,
)
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.routes.workblocks import dates_of

GOLDEN = Path(__file__).parents[2] / "golden" / "briefs"
WORKBLOCK = "wb:4Ms60eGxco:VZFpXIe:00"
"""Its start is 2026-10-26 09:00 UTC, or so: only the date counts."""


@pytest.fixture
def lake(api: Api) -> GoldLake:
    return GoldLake(api.settings.data_dir / "lake")


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def brief(
    user_id: str, on: date, version: int, subject_kind: str = "worker", **fields: Any
) -> dict[str, Any]:
    body = (GOLDEN / "rich_day.json").read_text(encoding="utf-8")
    return {
        "date": on,
        "subject_kind": subject_kind,
        "subject_id": user_id,
        "brief_id": f"{user_id}-{on:%d}-{version}",
        "version": version,
        "start_date": on - timedelta(days=6),
        "end_date": on,
        "writer": "deterministic",
        "schema_version": "1",
        "brief_json": body,
        "markdown": f"# Brief of {user_id}, version {version}\n",
        "fact_ids": ["day:ana:2026-10-26"],
        "gold_versions": [{"table": "gold/workblocks", "version": 3}],
        **fields,
    }


def publish_briefs(lake: GoldLake) -> None:
    frame = rows(
        GOLD_BRIEFS,
        brief("ana", day(0), 1),
        brief("ana", day(0), 2),
        brief("ben", day(0), 1),
        brief("Platform", day(0), 1, "team"),
    )
    later = rows(GOLD_BRIEFS, brief("ana", day(1), 1))
    lake.publish({day(0): {GOLD_BRIEFS.id: frame}, day(1): {GOLD_BRIEFS.id: later}}, stage=Stage.STAGE2)


def test_a_workblock_is_found_by_its_id_alone(api: Api, lake: GoldLake) -> None:
    on = dates_of(WORKBLOCK)[1]
    block = workblock("ana", on, 9, workblock_id=WORKBLOCK)
    lake.publish({on: {GOLD_WORKBLOCKS.id: rows(GOLD_WORKBLOCKS, block)}})
    key = api.key()
    answer = api.get(f"/v1/workblocks/{WORKBLOCK}", key=key)
    assert answer.json()["worker_id"] == "ana"
    assert answer.json() == api.get("/v1/workblocks", key=key).json()["data"][0]
    assert [one.operation for one in lake.reads_of(api, "ana")] == ["get_workblock", "list_workblocks"]
    etag = answer.headers["etag"]
    assert api.get(f"/v1/workblocks/{WORKBLOCK}", key=key, headers={"if-none-match": etag}).status_code == 304
    limited = api.key(workers={"ben"})
    assert problem(api.get(f"/v1/workblocks/{WORKBLOCK}", key=limited)) == (404, "not_found")
    assert problem(api.get(f"/v1/workblocks/{WORKBLOCK}", key=api.key(tenant="globex"))) == (404, "not_found")


NOTHING = (
    "/v1/workblocks/nothing",
    "/v1/workblocks/wb:zzzzzzzzzz:zzzzzzzzzz:00",
    "/v1/workblocks/wb:' OR 1=1:0:00",
    "/v1/workblocks/..%2F..%2Fetc",
    "/v1/insights/nothing",
    "/v1/insights/insight:ana:2026-99-99:workblock:focus",
    "/v1/contexts/nothing",
    "/v1/briefs/nothing",
    "/v1/briefs/nothing/statements",
    "/v1/workers/nobody",
    "/v1/workers/nobody/brief",
    "/v1/reports/nobody/2026-10-26",
    "/v1/reports/..%2F..%2Fben/2026-10-26",
    "/v1/runs/nothing",
    "/v1/tables/gold/nothing",
    "/v1/tables/bronze/activities",
)


def test_what_there_is_none_of_is_not_found(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    for path in NOTHING:
        assert problem(api.get(path, key=key)) == (404, "not_found"), path


def test_what_is_of_nobody_and_what_is_of_somebody_else_have_one_remedy(api: Api, lake: GoldLake) -> None:
    publish_briefs(lake)
    lake.publish_kpis(day(0))
    bens = api.key(workers={"ben"})
    remedies = {
        api.get(path, key=key).json()["remedy"]
        for key in (api.key(), bens)
        for path in (
            "/v1/workers/nobody",
            "/v1/workers/nobody/brief",
            "/v1/briefs/none",
            "/v1/reports/nobody/2026-10-26",
            "/v1/lineage/insight:none",
        )
    }
    theirs = {
        api.get(path, key=bens).json()["remedy"]
        for path in ("/v1/workers/ana", "/v1/workers/ana/brief", "/v1/reports/ana/2026-10-26")
    }
    assert remedies == theirs == {"GET /v1/workers lists workers with their first and last date"}


def test_the_newest_version_of_a_brief_is_the_one_that_is_listed_and_shown(api: Api, lake: GoldLake) -> None:
    publish_briefs(lake)
    key = api.key()
    listed = api.get("/v1/briefs", key=key).json()["data"]
    assert [one["brief_id"] for one in listed] == ["Platform-26-1", "ana-26-2", "ben-26-1", "ana-27-1"]
    assert "brief_json" not in listed[0]
    everything = api.get("/v1/briefs", key=key, params={"all_versions": "true", "worker_id": "ana"}).json()
    assert [one["version"] for one in everything["data"]] == [1, 2, 1]
    newest = api.get("/v1/workers/ana/brief", key=key).json()
    assert (newest["brief_id"], newest["date"]) == ("ana-27-1", "2026-10-27")
    dated = api.get("/v1/workers/ana/brief", key=key, params={"date": "2026-10-26"}).json()
    assert dated["version"] == 2
    assert dated["brief"] == json.loads((GOLDEN / "rich_day.json").read_text(encoding="utf-8"))
    assert api.get("/v1/briefs/ana-26-1", key=key).json()["version"] == 1


def test_a_brief_is_markdown_for_whom_accepts_it(api: Api, lake: GoldLake) -> None:
    publish_briefs(lake)
    key = api.key()
    answer = api.get("/v1/briefs/ana-26-2", key=key, headers={"accept": "text/markdown"})
    assert answer.text == "# Brief of ana, version 2\n"
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert api.get("/v1/briefs/ana-26-2?format=markdown", key=key).text == answer.text


def test_a_briefs_statements_come_with_the_evidence_of_their_claims(api: Api, lake: GoldLake) -> None:
    publish_briefs(lake)
    body = json.loads((GOLDEN / "rich_day.json").read_text(encoding="utf-8"))
    found = api.get("/v1/briefs/ana-26-2/statements", key=api.key()).json()
    assert (found["has_more"], found["next_cursor"]) == (False, None)
    assert found["data"][0]["text"] == body["headline"]["text"]
    assert [one["position"] for one in found["data"]] == list(range(1, len(found["data"]) + 1))
    sections = {one["section"] for one in found["data"]}
    assert {"headline", "insights", "next_steps"} <= sections
    for one in found["data"]:
        assert {fact["fact_id"] for fact in one["evidence"]} == {claim["fact_id"] for claim in one["claims"]}


def test_a_worker_sees_their_own_briefs_and_nobody_elses_nor_a_teams(api: Api, lake: GoldLake) -> None:
    publish_briefs(lake)
    token = api.worker_token("ana")
    assert api.get("/v1/workers/ana/brief", key=token).status_code == 200
    assert api.get("/v1/briefs/ana-26-2/statements", key=token).status_code == 200
    for path in (
        "workers/ben/brief",
        "briefs/ben-26-1",
        "briefs/Platform-26-1",
        "briefs/ben-26-1/statements",
    ):
        assert problem(api.get(f"/v1/{path}", key=token)) == (404, "not_found")
    assert {one["subject_id"] for one in api.get("/v1/briefs", key=token).json()["data"]} == {"ana"}


def test_reading_a_teams_brief_is_in_nobodys_log_and_a_persons_is_in_theirs(api: Api, lake: GoldLake) -> None:
    publish_briefs(lake)
    key = api.key()
    api.get("/v1/briefs/Platform-26-1", key=key)
    api.get("/v1/briefs/ana-26-2", key=key)
    api.get("/v1/briefs/ana-26-2/statements", key=key)
    api.get("/v1/workers/ana/brief", key=key)
    assert [one.operation for one in lake.reads_of(api, "ana")] == [
        "get_brief",
        "list_brief_statements",
        "get_worker_brief",
    ]
    assert lake.reads_of(api, "Platform") == []


def test_an_insight_is_found_by_its_id_whatever_characters_its_worker_has(api: Api, lake: GoldLake) -> None:
    identifier = "insight:DOMAIN/ann%3A b:2026-10-26:workblock:focus"
    insight = {
        "date": day(0),
        "user_id": "DOMAIN/ann: b",
        "insight_id": identifier,
        "kind": "workblock",
        "type": "focus",
        "rank": 1,
        "text": "3 h of focus",
        "text_template": "{0} of focus",
        "claims": [{"fact_id": "kpi:x", "field": "value"}],
        "score": 1.5,
    }
    lake.publish({day(0): {GOLD_INSIGHTS.id: rows(GOLD_INSIGHTS, insight)}}, stage=Stage.STAGE2)
    path = "/v1/insights/" + identifier.replace("%", "%25").replace(" ", "%20")
    answer = api.get(path, key=api.key(Scope.INSIGHTS))
    assert answer.json()["claims"] == [{"fact_id": "kpi:x", "field": "value"}]
    csv = api.get("/v1/insights?format=csv", key=api.key()).text
    assert '"[{""fact_id"":""kpi:x"",""field"":""value""}]"' in csv


def test_a_context_is_its_log_of_components_or_its_text(api: Api, lake: GoldLake) -> None:
    context = {
        "date": day(0),
        "user_id": "ana",
        "context_id": "c1",
        "start_date": day(-6),
        "end_date": day(0),
        "token_budget": 100,
        "tokens": 80,
        "tokenizer": "words",
        "components": [
            {"date": day(0), "component": "kpis", "status": "included", "tokens": 80, "reason": None}
        ],
    }
    lake.publish({day(0): {GOLD_TOKEN_CONTEXTS.id: rows(GOLD_TOKEN_CONTEXTS, context)}}, stage=Stage.STAGE2)
    key = api.key()
    components = api.get("/v1/contexts/c1", key=key).json()["components"]
    assert components[0]["date"] == "2026-10-26"
    assert problem(api.get("/v1/contexts/c1?format=markdown", key=key)) == (404, "not_found")
    path = ArtifactPaths("acme").context("ana", day(0), day(-6), day(0), "md")
    lake.store.put(path, b"# Context\n")
    assert api.get("/v1/contexts/c1?format=markdown", key=key).text == "# Context\n"


def accounting(user_id: str, on: date) -> dict[str, object]:
    return {"date": on, "user_id": user_id, "raw_s": 20.0, "kept_s": 15.0, "overlapped_s": 5.0}


def test_a_report_is_the_one_of_the_published_run(api: Api, lake: GoldLake) -> None:
    frame = rows(GOLD_ACCOUNTING, accounting("ana", day(0)), accounting("ben", day(0)))
    lake.publish({day(0): {GOLD_ACCOUNTING.id: frame}}, run="second")
    for run, text in (("first", b"# Old\n"), ("second", b"# New\n")):
        path = ArtifactPaths("acme").workblock_report(day(0), f"{run}-2026-10-26", "ana")
        lake.store.put(path, text)
    key = api.key()
    assert api.get("/v1/reports/ana/2026-10-26", key=key).text == "# New\n"
    told = api.get("/v1/reports/ana/2026-10-26", key=key, headers={"accept": "application/json"}).json()
    assert told == {
        "worker_id": "ana",
        "date": "2026-10-26",
        "run_id": "second-2026-10-26",
        "markdown": "# New\n",
    }
    assert [one["worker_id"] for one in api.get("/v1/reports", key=key).json()["data"]] == ["ana", "ben"]
    assert problem(api.get("/v1/reports/ben/2026-10-26", key=key)) == (404, "not_found")
    assert problem(api.get("/v1/reports/ana/yesterday", key=key)) == (422, "invalid_parameter")
    assert api.get("/v1/reports/ana/2026-10-26", key=api.worker_token("ana")).text == "# New\n"
    assert problem(api.get("/v1/reports/ana/2026-10-26", key=api.worker_token("ben"))) == (404, "not_found")


def test_a_report_of_a_version_whose_reports_were_removed_has_expired(api: Api, lake: GoldLake) -> None:
    frame = rows(GOLD_ACCOUNTING, accounting("ana", day(0)))
    first = lake.publish({day(0): {GOLD_ACCOUNTING.id: frame}}, run="first")
    second = lake.publish({day(0): {GOLD_ACCOUNTING.id: frame}}, run="second")
    key = api.key()
    for as_of, expected in ((first, (410, "version_expired")), (second, (404, "not_found"))):
        answer = api.get("/v1/reports/ana/2026-10-26", key=key, params={"as_of_version": as_of})
        assert problem(answer) == expected


def test_workers_are_listed_by_token_with_the_dates_that_there_are(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0), ["cleo", "ana"])
    lake.publish({day(3): {GOLD_ACCOUNTING.id: rows(GOLD_ACCOUNTING, accounting("ben", day(3)))}})
    lake.publish_kpis(day(5), ["ana"])
    key = api.key()
    first = api.get("/v1/workers", key=key, params={"limit": 2}).json()
    assert first["data"] == [
        {"worker_id": "ana", "first_date": "2026-10-26", "last_date": "2026-10-31", "days": 2},
        {"worker_id": "ben", "first_date": "2026-10-29", "last_date": "2026-10-29", "days": 1},
    ]
    rest = api.get("/v1/workers", key=key, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["worker_id"] for one in rest["data"]] == ["cleo"]
    assert rest["has_more"] is False
    assert api.get("/v1/workers/ben", key=key).json() == first["data"][1]
    limited = api.key(workers={"cleo", "nobody"})
    assert [one["worker_id"] for one in api.get("/v1/workers", key=limited).json()["data"]] == ["cleo"]
    assert problem(api.get("/v1/workers/ana", key=limited)) == (404, "not_found")
    forged = api.get("/v1/workers", key=limited, params={"cursor": first["next_cursor"]})
    assert problem(forged) == (422, "invalid_cursor")


def test_all_workers_come_as_a_table_of_the_columns_that_are_asked_for(start: Any) -> None:
    api: Api = start(max_bulk_rows=2)
    lake = GoldLake(api.settings.data_dir / "lake")
    lake.publish_kpis(day(0), ["cleo", "ana"])
    key = api.key()
    answer = api.get("/v1/workers", key=key, params={"format": "csv", "fields": "days,worker_id"})
    assert answer.text == "days,worker_id\r\n1,ana\r\n1,cleo\r\n"
    assert answer.headers["content-disposition"] == 'attachment; filename="workers.csv"'
    assert [one.operation for one in lake.reads_of(api, "ana")] == ["list_workers"]
    for query in ({"format": "csv", "limit": 1}, {"format": "markdown"}):
        assert problem(api.get("/v1/workers", key=key, params=query)) == (422, "invalid_parameter")
    lake.publish_kpis(day(1), ["ben"])
    lake.forget_snapshots(api)
    assert problem(api.get("/v1/workers", key=key, params={"format": "csv"})) == (413, "too_many_rows")


def test_lists_of_what_is_no_table_show_the_fields_that_are_asked_for(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    publish_briefs(lake)
    key = api.key()

    def first(path: str, fields: str) -> httpx.Response:
        return api.get(path, key=key, params={"fields": fields})

    for path, fields, shown in (
        ("/v1/workers", "days,worker_id", {"days": 1, "worker_id": "ana"}),
        ("/v1/tables", "table", {"table": "gold/workblocks"}),
        ("/v1/briefs/ana-26-2/statements", "position,section", {"position": 1, "section": "headline"}),
    ):
        answer = first(path, fields).json()["data"][0]
        assert (answer, list(answer)) == (shown, fields.split(","))
        assert problem(first(path, "tenant_id")) == (422, "unknown_field")


def test_tables_tell_versions_sizes_and_freshness(api: Api, lake: GoldLake) -> None:
    version = lake.publish_kpis(day(0))
    lake.publish_kpis(day(2))
    key = api.key()
    listed = {one["table"]: one for one in api.get("/v1/tables", key=key).json()["data"]}
    assert "gold/briefs" not in listed
    assert "ops/runs" in listed
    kpis = listed["gold/kpi_daily"]
    assert (kpis["version"], kpis["rows"], kpis["files"]) == (2, 12, 2)
    assert (kpis["first_date"], kpis["last_date"]) == ("2026-10-26", "2026-10-28")
    assert kpis["published_at"] == lake.published_at().isoformat().replace("+00:00", "Z")
    assert api.get("/v1/tables/gold/kpi_daily", key=key).json() == kpis
    earlier = api.get("/v1/tables/gold/kpi_daily", key=key, params={"as_of_version": version}).json()
    assert (earlier["version"], earlier["last_date"]) == (1, "2026-10-26")


def test_runs_are_listed_and_found_by_id(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    lake.publish({day(0): {}}, stage=Stage.STAGE2, run="later")
    key = api.key(Scope.OPS)
    stages = [one["stage"] for one in api.get("/v1/runs", key=key).json()["data"]]
    assert sorted(stages) == ["stage1", "stage2"]
    assert len(api.get("/v1/runs", key=key, params={"stage": "stage2"}).json()["data"]) == 1
    run = api.get("/v1/runs/later-2026-10-26", key=key).json()
    assert run["days"] == ["2026-10-26"]
    assert {"table": "gold/briefs", "version": 1} in run["output_versions"]


def test_anomalies_are_of_the_workers_own_weeks_before(api: Api, lake: GoldLake) -> None:
    def health(user_id: str, number: int, records: int) -> dict[str, object]:
        return {
            "date": day(number),
            "user_id": user_id,
            "device_id": "d",
            "source": "activities",
            "records": records,
            "duplicates": 0,
            "quarantined": 0,
            "late_records": 0,
            "drift_fields": [],
        }

    def of(number: int) -> dict[str, Any]:
        ana = health("ana", number, 900 if number == 9 else 100 + number % 2)
        return {SILVER_HEALTH.id: rows(SILVER_HEALTH, ana, health("ben", number, 50))}

    lake.publish({day(number): of(number) for number in range(10)}, stage=Stage.SILVER)
    key = api.key(Scope.HEALTH)
    found = api.get("/v1/telemetry-health/anomalies", key=key).json()["data"]
    assert [(one["date"], one["worker_id"], one["measure"], one["value"]) for one in found] == [
        (day(9).isoformat(), "ana", "records", 900.0)
    ]
    assert (found[0]["median_28d"], found[0]["days_28d"]) == (100.0, 9)
    assert api.get("/v1/telemetry-health/anomalies", key=api.worker_token("ben")).json()["data"] == []
    assert len(api.get("/v1/telemetry-health", key=key, params={"worker_id": "ben"}).json()["data"]) == 10
    had = api.get("/v1/telemetry-health", key=key).headers["x-data-version"]
    lake.publish({day(2): {SILVER_HEALTH.id: rows(SILVER_HEALTH, health("ana", 2, 800))}}, stage=Stage.SILVER)
    lake.forget_snapshots(api)
    changed = api.get("/v1/telemetry-health/anomalies", key=key, params={"since_version": had}).json()
    assert changed["changed_dates"] == [day(number).isoformat() for number in range(2, 10)]
    bulk = api.get("/v1/telemetry-health/anomalies?format=ndjson", key=key)
    assert bulk.text.count("\n") == len(changed["data"])


def test_a_worker_sees_who_read_them_newest_first_and_nobody_elses(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key(name="dashboards")
    for path in ("workblocks", "kpis/daily", "workblocks?worker_id=ana"):
        assert api.get(f"/v1/{path}", key=key).is_success
    token = api.worker_token("ana")
    first = api.get("/v1/access-log", key=token, params={"limit": 2}).json()
    assert [one["seq"] for one in first["data"]] == [3, 2]
    assert first["data"][1]["operation"] == "list_kpis_daily"
    assert first["data"][1]["principal_name"] == "dashboards"
    assert first["data"][0]["previous_hash"] == first["data"][1]["hash"]
    rest = api.get("/v1/access-log", key=token, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert ([one["seq"] for one in rest["data"]], rest["has_more"]) == ([1], False)
    assert problem(api.get("/v1/access-log", key=token, params={"worker_id": "ben"})) == (404, "not_found")
    forged = api.get(
        "/v1/access-log", key=key, params={"worker_id": "ben", "limit": 2, "cursor": first["next_cursor"]}
    )
    assert problem(forged) == (422, "invalid_cursor")
    assert problem(api.get("/v1/access-log", key=key)) == (422, "invalid_parameter")
    today = api.now.date().isoformat()
    within = api.get("/v1/access-log", key=token, params={"start_date": today, "end_date": today}).json()
    assert len(within["data"]) == 3
    before = api.get("/v1/access-log", key=token, params={"end_date": "2026-01-01"}).json()
    assert before["data"] == []
    for last in ("0001-01-01", "9999-12-31"):
        assert api.get("/v1/access-log", key=token, params={"end_date": last}).is_success
