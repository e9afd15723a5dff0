"""Lineage over HTTP, with the real runner behind it in process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl
import pytest
from tests.unit.partner_api.conftest import Api
from tests.unit.partner_api.gold_lake import GoldLake, rows
from tests.unit.runner.pipeline.lakes import DAY, Place, typed, worked

from coworkai.common.bus import Publisher
from coworkai.common.calls import Calls
from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.tables import GOLD_INSIGHTS, GOLD_SLICES, GOLD_WORKBLOCKS
from coworkai.partner_api.lineage import FactLineage
from coworkai.partner_api.principal import Scope
from coworkai.runner.app import create_app
from coworkai.runner.settings import RunnerSettings

MONDAY = DAY - timedelta(days=DAY.weekday())


@pytest.fixture(scope="module")
def computed_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("computed"))
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"), worked("bo", "09:00", "09:30"))
    place.commit(Source.KEYSTROKES, typed("ana", "09:10"))
    place.process()
    place.close()
    return place


@pytest.fixture
def place(api: Api, computed_once: Place) -> Iterator[Place]:
    """What a runner has computed of two workers' day, and the runner to be asked."""
    shutil.copytree(computed_once.lake.root, api.settings.data_dir / "lake", dirs_exist_ok=True)
    place = Place(api.settings.data_dir)
    settings = RunnerSettings(data_dir=place.folder, sweep_every_s=0, maintain_every_s=0)
    bus = httpx.MockTransport(lambda _request: httpx.Response(200, json={"messageIds": []}))
    app = create_app(settings, Publisher("http://bus", "local", retry_for_s=0, transport=bus))
    lifespan = app.router.lifespan_context(app)
    api.run(lifespan.__aenter__())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    api.services.fact_lineage = FactLineage(
        "http://runner", Calls(settings.master_key_bytes()), httpx.AsyncClient(transport=transport)
    )
    yield place
    api.run(lifespan.__aexit__(None, None, None))
    place.close()


def trace(api: Api, identifier: str, key: str | None = None) -> httpx.Response:
    return api.get(f"/v1/lineage/{quote(identifier, safe='')}", key=key or api.key())


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_workblock_a_slice_and_a_measure_lead_to_the_records_they_came_from(api: Api, place: Place) -> None:
    block: dict[str, Any] = place.read(GOLD_WORKBLOCKS).filter(pl.col("user_id") == "ana").row(0, named=True)
    found = trace(api, block["workblock_id"]).json()
    assert (found["kind"], found["source"]) == ("fact", "gold/workblocks")
    assert found["row"]["worker_id"] == "ana"
    assert found["recount"]["active_s"] == block["active_s"]
    assert [run["stage"] for run in found["runs"]] == ["stage1", "silver"]
    assert sorted(event["table"] for event in found["events"]) == ["bronze/activities", "bronze/keystrokes"]
    for event in found["events"]:
        assert event["file"].startswith(f"{event['table']}/event_date={event['event_date']}/")
        assert (place.folder / "lake" / event["file"]).is_file()
    sequence = place.read(GOLD_SLICES).filter(pl.col("keystroke_minutes") > 0)["sequence"][0]
    for identifier in (f"{block['workblock_id']}/{sequence}", f"slice:{block['workblock_id']}#{sequence}"):
        assert len(trace(api, identifier).json()["keystroke_minutes"]) == 1
    measure = trace(api, f"kpi:ana:{DAY}:active_s").json()
    assert measure["recount"]["value"] == measure["row"]["value"] == 1800.0


def test_what_people_typed_or_saw_is_not_in_a_lineage(api: Api, place: Place) -> None:
    block = place.read(GOLD_WORKBLOCKS).filter(pl.col("user_id") == "ana")["workblock_id"][0]
    row = trace(api, f"{block}/1").json()["row"]
    assert {"app", "sequence"} <= row.keys()
    assert not {"title", "url", "keystroke_log", "tenant_id"} & row.keys()


def test_only_facts_of_its_workers_for_a_limited_key(api: Api, place: Place) -> None:
    limited = api.key(workers={"bo"})
    blocks = dict(place.read(GOLD_WORKBLOCKS).select("user_id", "workblock_id").iter_rows())
    assert trace(api, f"kpi:bo:{DAY}:active_s", limited).status_code == 200
    assert trace(api, blocks["bo"], limited).status_code == 200
    run = api.get("/v1/runs", key=api.key()).json()["data"][0]["run_id"]
    for identifier in (
        f"kpi:ana:{DAY}:active_s",
        blocks["ana"],
        f"{blocks['ana']}/1",
        f"group:tenant:acme:day:{DAY}:active_s",
        run,
    ):
        assert problem(trace(api, identifier, limited)) == (404, "not_found"), identifier


def test_a_lineage_of_a_persons_fact_is_in_their_access_log(api: Api, place: Place) -> None:
    trace(api, f"kpi:ana:{DAY}:active_s")
    (entry,) = GoldLake.reads_of(api, "ana")
    assert (entry.operation, entry.start_date, entry.row_count) == ("get_lineage", DAY, 1)
    assert GoldLake.reads_of(api, "bo") == []


def test_a_lineage_of_a_rollup_of_few_is_in_the_access_log_of_those_in_it(api: Api, place: Place) -> None:
    for group in ("worker:ana:week", "tenant:acme:day"):
        answer = trace(api, f"group:{group}:{DAY if 'day' in group else MONDAY}:active_s")
        assert answer.json()["facts"], answer.text
    assert [one.operation for one in GoldLake.reads_of(api, "ana")] == ["get_lineage"] * 2
    (of_tenant,) = GoldLake.reads_of(api, "bo")
    assert (of_tenant.start_date, of_tenant.end_date) == (DAY, DAY)


def test_an_insight_leads_to_its_claims_and_a_run_to_what_it_read(api: Api, place: Place) -> None:
    insight = {
        "date": DAY,
        "user_id": "ana",
        "insight_id": f"insight:ana:{DAY}:workblock:focus",
        "text": "secret",
        "claims": [{"fact_id": f"kpi:ana:{DAY}:active_s", "field": "value"}],
    }
    gold = GoldLake(api.settings.data_dir / "lake")
    gold.publish({DAY: {GOLD_INSIGHTS.id: rows(GOLD_INSIGHTS, insight)}}, stage=Stage.STAGE2)
    answer = trace(api, insight["insight_id"])  # type: ignore[arg-type]
    found = answer.json()
    assert (found["kind"], found["facts"]) == ("insight", [f"kpi:ana:{DAY}:active_s"])
    assert "secret" not in answer.text
    run = trace(api, found["runs"][0]["run_id"]).json()
    assert (run["kind"], run["source"]) == ("run", "ops/runs")


def test_what_there_is_none_of_is_not_found(api: Api, place: Place) -> None:
    for identifier in (
        "nothing",
        "wb:x:0:00",
        f"kpi:nobody:{DAY}:active_s",
        f"kpi:ana:{DAY}:joy",
        "insight:x",
        "a/b",
    ):
        assert problem(trace(api, identifier)) == (404, "not_found"), identifier
    other = api.key(tenant="globex")
    assert problem(trace(api, f"kpi:ana:{DAY}:active_s", other)) == (404, "not_found")


def test_without_a_runner_that_answers_facts_wait(api: Api, place: Place) -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    def is_slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow", request=request)

    for runner in (refuses, is_slow, lambda _request: httpx.Response(500)):
        client = httpx.AsyncClient(transport=httpx.MockTransport(runner))
        api.services.fact_lineage = FactLineage("http://runner", Calls(bytes(32)), client)
        answer = trace(api, f"kpi:ana:{DAY}:active_s")
        assert problem(answer) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert "runner" not in answer.text


def test_an_installation_without_a_runner_traces_no_facts(api: Api) -> None:
    answer = trace(api, f"kpi:ana:{DAY}:active_s")
    assert problem(answer) == (404, "not_found")
    assert answer.json()["detail"] == "facts are not traced by this installation"


def test_the_runner_answers_nobody_who_does_not_sign(api: Api, place: Place) -> None:
    client = api.services.fact_lineage._client
    for headers in ({}, {"authorization": Calls(bytes(32)).sign("/lineage", b"{}")}):
        answer = api.run(client.post("http://runner/lineage", content=b"{}", headers=headers))
        assert answer.status_code == 401


def test_lineage_needs_its_scope(api: Api) -> None:
    assert problem(trace(api, "nothing", api.key(Scope.BRIEFS))) == (403, "missing_scope")
