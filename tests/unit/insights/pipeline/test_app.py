"""The insights service over HTTP, without sockets: hints, tasks, announcements."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import msgspec
from tests.factories import TENANT
from tests.unit.insights.pipeline.desks import Desk
from tests.unit.runner.pipeline.lakes import DAY
from tests.unit.runner.pipeline.test_app import push

from coworkai.common.bus import Publisher
from coworkai.common.control import Stage
from coworkai.common.tables import GOLD_BRIEFS
from coworkai.insights.app import TOPIC, BriefReady, create_app
from coworkai.insights.settings import InsightsSettings

Announced = list[tuple[str, BriefReady]]
HINT = push(json.dumps({"tenant_id": TENANT, "stage": "stage1", "run_ids": {}, "versions": {}}).encode())


@asynccontextmanager
async def service(
    desk: Desk, announced: Announced, bus_status: int = 200
) -> AsyncIterator[httpx.AsyncClient]:
    def bus(request: httpx.Request) -> httpx.Response:
        messages = json.loads(request.content)["messages"]
        topic = request.url.path.rpartition("/")[2].removesuffix(":publish")
        announced.extend(
            (topic, msgspec.json.decode(base64.b64decode(message["data"]), type=BriefReady))
            for message in messages
        )
        return httpx.Response(bus_status, json={"messageIds": [str(n) for n in range(len(messages))]})

    settings = InsightsSettings(data_dir=desk.place.folder, settle_s=0.01, sweep_every_s=0)
    publisher = Publisher("http://bus", "local", retry_for_s=0, transport=httpx.MockTransport(bus))
    app = create_app(settings, publisher)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://insights", timeout=60
        ) as client,
    ):
        yield client


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_a_burst_of_hints_is_answered_when_the_briefs_are_published_and_told_of_once(week: Desk) -> None:
    announced: Announced = []

    async def scenario() -> None:
        async with service(week, announced) as client:
            hints = [client.post("/push/gold-updated", content=HINT) for _ in range(10)]
            assert {one.status_code for one in await asyncio.gather(*hints)} == {204}
            assert (await client.post("/push/gold-updated", content=HINT)).status_code == 204

    run(scenario)
    ((topic, message),) = announced
    assert topic == TOPIC
    assert sorted(message.brief_ids) == sorted(week.read(GOLD_BRIEFS)["brief_id"])
    assert message.run_ids == {day.isoformat(): run_id for day, run_id in week.published().run_ids.items()}


def test_a_sweep_finds_what_no_hint_told_of_and_what_is_due(week: Desk) -> None:

    async def scenario() -> None:
        async with service(week, []) as client:
            assert (await client.post("/tasks/sweep")).json() == {"tenants": 1, "publications": 1}
            assert (await client.post("/tasks/sweep")).json() == {"tenants": 0, "publications": 0}
            week.place.control.plan(TENANT, Stage.STAGE2, [DAY], week.place.clock.now - timedelta(days=1))
            assert (await client.post("/tasks/sweep")).json() == {"tenants": 1, "publications": 0}
            assert (await client.get("/readyz")).status_code == 200

    run(scenario)


def test_one_brief_is_written_on_demand(week: Desk) -> None:
    announced: Announced = []
    asked = {"tenant_id": TENANT, "user_id": "ana", "date": DAY.isoformat()}

    async def scenario() -> None:
        async with service(week, announced) as client:
            assert (await client.post("/tasks/brief", json=asked)).json() == {"publications": 1}
            assert (await client.post("/tasks/brief", json=asked)).json() == {"publications": 0}
            unknown = await client.post("/tasks/brief", json={**asked, "user_id": "nobody"})
            assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")

    run(scenario)
    assert len(announced) == 1


def test_a_bus_that_is_down_does_not_stop_the_writing_and_what_is_no_push_is_refused(week: Desk) -> None:

    async def scenario() -> None:
        async with service(week, [], bus_status=503) as client:
            assert (await client.post("/push/gold-updated", content=HINT)).status_code == 204
            assert (await client.post("/push/gold-updated", content=b"hello")).status_code == 400
            assert (await client.post("/push/gold-updated", content=push(b"[]"))).status_code == 400
            assert (await client.post("/tasks/brief", content=b"{}")).status_code == 400

    run(scenario)
    assert week.versions()[DAY, "ana"] == [1]
