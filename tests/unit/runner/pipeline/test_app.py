"""The runner over HTTP, without sockets: hints, tasks, announcements."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import msgspec
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import DAY, Place, worked

from coworkai.common.bus import Publisher
from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.tables import GOLD_WORKBLOCKS
from coworkai.runner.app import Updated, create_app
from coworkai.runner.settings import RunnerSettings

Announced = list[tuple[str, Updated]]


@asynccontextmanager
async def service(
    place: Place, announced: Announced, bus_status: int = 200
) -> AsyncIterator[httpx.AsyncClient]:
    def bus(request: httpx.Request) -> httpx.Response:
        messages = json.loads(request.content)["messages"]
        topic = request.url.path.rpartition("/")[2].removesuffix(":publish")
        announced.extend(
            (topic, msgspec.json.decode(base64.b64decode(message["data"]), type=Updated))
            for message in messages
        )
        return httpx.Response(bus_status, json={"messageIds": [str(n) for n in range(len(messages))]})

    settings = RunnerSettings(
        data_dir=place.folder, settle_s=0.01, sweep_every_s=0, maintain_every_s=0, bronze_days=100_000
    )
    publisher = Publisher("http://bus", "local", retry_for_s=0, transport=httpx.MockTransport(bus))
    app = create_app(settings, publisher)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://runner", timeout=60) as client,
    ):
        yield client


def push(data: bytes) -> bytes:
    return json.dumps(
        {
            "message": {
                "data": base64.b64encode(data).decode(),
                "messageId": "1",
                "publishTime": "2024-01-20T12:00:00Z",
                "attributes": {},
            },
            "subscription": "s",
        }
    ).encode()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_hint_is_answered_when_gold_is_published_and_announced(place: Place) -> None:
    announced: Announced = []
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))

    async def scenario() -> None:
        async with service(place, announced) as client:
            answer = await client.post("/push/bronze-committed", content=push(b"{}"))
            assert answer.status_code == 204
            assert place.read(GOLD_WORKBLOCKS).height == 1
            assert [(topic, told.stage) for topic, told in announced] == [
                ("silver-updated", "silver"),
                ("gold-updated", "stage1"),
                ("gold-updated", "lattice"),
            ]
            assert announced[1][1].run_ids == {
                day.isoformat(): name for day, name in place.published(Stage.STAGE1).run_ids.items()
            }

    run(scenario)


def test_a_burst_of_hints_is_one_run(place: Place) -> None:
    announced: Announced = []
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))

    async def scenario() -> None:
        async with service(place, announced) as client:
            hints = [client.post("/push/bronze-committed", content=push(b"{}")) for _ in range(20)]
            assert {one.status_code for one in await asyncio.gather(*hints)} == {204}

    run(scenario)
    assert [told.stage for _, told in announced] == ["silver", "stage1", "lattice"]


def test_a_sweep_finds_what_no_hint_told_of(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))

    async def scenario() -> None:
        async with service(place, []) as client:
            assert (await client.post("/tasks/sweep")).json() == {"tenants": 1, "publications": 3}
            assert (await client.post("/tasks/sweep")).json() == {"tenants": 0, "publications": 0}
            place.control.plan(TENANT, Stage.LATTICE, [DAY], place.clock())
            assert (await client.post("/tasks/sweep")).json() == {"tenants": 1, "publications": 0}
            assert place.control.planned(Stage.LATTICE, TENANT) == []

    run(scenario)


def test_an_id_sent_again_a_month_away_is_left_out_before_the_hint_is_answered(place: Place) -> None:
    first = worked("ana", "09:00", "09:30") | {"event_id": "00000000-0000-0000-0000-0000000000aa"}
    again = worked("ana", "09:00", "09:30", DAY - timedelta(days=30)) | {"event_id": first["event_id"]}
    again["published_at"] = at("23:59", DAY)
    place.commit(Source.ACTIVITIES, first, again)

    async def scenario() -> None:
        async with service(place, []) as client:
            await client.post("/push/bronze-committed", content=push(b"{}"))

    run(scenario)
    assert place.read(GOLD_WORKBLOCKS)["date"].to_list() == [DAY]


def test_silver_updated_computes_the_tenant_it_names(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))
    place.dispatcher.mark()
    message = msgspec.json.encode(Updated(TENANT, "silver", {DAY.isoformat(): "x"}, {}))

    async def scenario() -> None:
        async with service(place, []) as client:
            assert (await client.post("/push/silver-updated", content=push(message))).status_code == 204

    run(scenario)
    assert place.read(GOLD_WORKBLOCKS).height == 1


def test_a_bus_that_is_down_does_not_stop_the_computing(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))

    async def scenario() -> None:
        async with service(place, [], bus_status=503) as client:
            assert (await client.post("/push/bronze-committed", content=push(b"{}"))).status_code == 204

    run(scenario)
    assert place.read(GOLD_WORKBLOCKS).height == 1


def test_what_is_no_push_is_refused(place: Place) -> None:
    async def scenario() -> None:
        async with service(place, []) as client:
            assert (await client.post("/push/bronze-committed", content=b"hello")).status_code == 400
            assert (await client.post("/push/silver-updated", content=push(b"[]"))).status_code == 400

    run(scenario)


def test_maintenance_reports_every_table(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))

    async def scenario() -> None:
        async with service(place, []) as client:
            reports = (await client.post("/tasks/maintain")).json()
            assert {one["table"] for one in reports} >= {"bronze/activities", "gold/workblocks", "ops/runs"}
            assert (await client.get("/readyz")).status_code == 200

    run(scenario)
