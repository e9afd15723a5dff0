"""The insights service over HTTP: pushes that hint at work, tasks for a scheduler, health.

    /push/gold-updated ─▶ write the briefs of that tenant that its Gold asks for ─▶ announce
    /tasks/sweep       ─▶ every tenant that has days to write, also what waited for its time or failed
    /tasks/brief       ─▶ one worker's brief of a day, now

A hint carries nothing that is relied on: what is dirty is in the control store, and a sweep finds it without
any. A push is answered when the work it hinted at is done: the bus brings it again if this process dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from datetime import date
from typing import TypeVar

import msgspec
from fastapi import FastAPI, Request, Response

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.bus import Publisher, PushAuth, decode_push
from coworkai.common.control import Control, Stage
from coworkai.common.errors import StorageUnavailable, Terminal
from coworkai.common.lake import Lake
from coworkai.common.observability import extract, get_logger, inject, meter, tracer
from coworkai.common.service import add_health, add_problems
from coworkai.insights.metering import Meter
from coworkai.insights.pipeline import Pipeline, PipelineConfig, Publication
from coworkai.insights.settings import InsightsSettings
from coworkai.insights.writing import ModelWriting, Writing

log = get_logger(__name__)
T = TypeVar("T")

TOPIC = "brief-ready"


class _GoldUpdated(msgspec.Struct, frozen=True):
    tenant_id: str


class BriefReady(msgspec.Struct, frozen=True):
    """Message of `brief-ready`: what was published. Days, versions and ids, no content."""

    tenant_id: str
    run_ids: dict[str, str]
    versions: dict[str, int]
    brief_ids: list[str]


class BriefRequest(msgspec.Struct, frozen=True):
    """Body of `/tasks/brief`; `user_id` as the lake has it."""

    tenant_id: str
    user_id: str
    date: date


class SweepReport(msgspec.Struct, frozen=True):
    tenants: int
    publications: int


def message_of(tenant_id: str, publications: Sequence[Publication]) -> bytes:
    """The JSON body that tells of all publications of a run."""
    runs = {day.isoformat(): run for one in publications for day, run in one.run_ids.items()}
    return msgspec.json.encode(
        BriefReady(
            tenant_id,
            dict(sorted(runs.items())),
            dict(sorted(publications[-1].versions.items())),
            [brief_id for one in publications for brief_id in one.brief_ids],
        )
    )


def build_pipeline(settings: InsightsSettings, control: Control, writing: Writing) -> Pipeline:
    """The pipeline over the settings' lake."""
    return Pipeline(
        Lake(settings.lake_uri, settings.storage_options),
        control,
        ArtifactStore.from_settings(settings),
        settings.lease_holder(),
        writing,
        PipelineConfig(
            settings.lease_ttl_s,
            settings.batch_workers,
            settings.model_batch,
            settings.model_retry_s,
            settings.settle_s,
        ),
    )


class Insights:
    """The work of the service: writes tenants' briefs in threads and announces what they published.

    Made inside a running event loop. A burst of hints at one tenant becomes one run, and what comes while it
    writes is found by it before it lets go.
    """

    def __init__(self, settings: InsightsSettings, publisher: Publisher) -> None:
        self._loop = asyncio.get_running_loop()
        self._settle_s = settings.settle_s
        self._publisher = publisher
        self._waiting: dict[str, asyncio.Task[int]] = {}
        self._slots = asyncio.Semaphore(settings.parallel_tenants)
        self._threads = ThreadPoolExecutor(settings.parallel_tenants + 2, thread_name_prefix="insights")
        self._run_seconds = meter().create_histogram(
            "coworkai.insights.run", unit="s", description="wall time of one run of a tenant"
        )
        self.control = Control(settings.control_url)
        self.control.migrate()
        self._writing = ModelWriting(settings, Meter.from_settings(settings, self.control))
        self.pipeline = build_pipeline(settings, self.control, self._writing)

    async def look(self) -> SweepReport:
        """Write for every tenant that is dirty and not waiting, or whose time has come.

        Raises StorageUnavailable; a tenant that fails otherwise is logged and does not stop the others.
        """
        await self._in_thread(lambda: self.control.mark_due(Stage.STAGE2))
        dirty = await self._in_thread(lambda: self.control.dirty(Stage.STAGE2, ready_only=True))
        tenants = sorted({day.tenant_id for day in dirty})
        results = await asyncio.gather(*(self.compute(one) for one in tenants), return_exceptions=True)
        for tenant_id, result in zip(tenants, results, strict=True):
            if isinstance(result, StorageUnavailable):
                raise result
            if isinstance(result, BaseException):
                log.error("tenant failed", error=result, tenant=tenant_id)
        return SweepReport(len(tenants), sum(one for one in results if isinstance(one, int)))

    async def compute(self, tenant_id: str) -> int:
        """Write what is dirty of the tenant; how many publications. Raises as `Pipeline.run`."""
        run = self._waiting.get(tenant_id)
        if run is None:
            run = self._waiting[tenant_id] = asyncio.create_task(self._settled_run(tenant_id))
        return await asyncio.shield(run)

    async def write(self, request: BriefRequest) -> int:
        """Write one brief now; how many publications. Raises as `Pipeline.write`."""
        publications = await self._in_thread(
            lambda: self.pipeline.write(request.tenant_id, request.user_id, request.date)
        )
        await self._announce(request.tenant_id, publications)
        return len(publications)

    async def every(self, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        """Do the work again and again; a failure is logged and waits for the next time."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except Exception as error:
                log.error("periodic work failed", error=error)  # noqa: TRY400

    async def aclose(self) -> None:
        """Finish what runs, announce it, and let go of everything."""
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._writing.close)
        self.control.close()
        await self._publisher.aclose()

    def ready(self) -> None:
        """Raises StorageUnavailable when the control store does not answer."""
        self.control.ping()

    async def _settled_run(self, tenant_id: str) -> int:
        await asyncio.sleep(self._settle_s)
        del self._waiting[tenant_id]
        async with self._slots:
            started = self._loop.time()
            try:
                publications = await self._in_thread(lambda: self.pipeline.run(tenant_id))
            finally:
                self._run_seconds.record(self._loop.time() - started)
        await self._announce(tenant_id, publications)
        return len(publications)

    async def _announce(self, tenant_id: str, publications: Sequence[Publication]) -> None:
        """Tell of a run, once. What cannot be published is logged: it is only a hint."""
        if not publications:
            return
        attributes = {"tenant_id": tenant_id}
        inject(attributes)
        try:
            await self._publisher.publish(TOPIC, message_of(tenant_id, publications), attributes)
        except Exception as error:
            log.warning("not announced", error=error, topic=TOPIC)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._threads, copy_context().run, work)


def create_app(settings: InsightsSettings, publisher: Publisher | None = None) -> FastAPI:
    """The service's ASGI application; it announces on `publisher`, the settings' bus when None."""
    auth = PushAuth.from_settings(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        insights = app.state.insights = Insights(settings, publisher or Publisher.from_settings(settings))
        tasks = []
        if settings.sweep_every_s:
            tasks.append(asyncio.create_task(insights.every(settings.sweep_every_s, insights.look)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await insights.aclose()
        if auth is not None:
            await auth.aclose()

    app = FastAPI(title="CoworkAI insights", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_problems(app)

    def insights() -> Insights:
        found: Insights = app.state.insights
        return found

    async def authenticated(request: Request) -> None:
        if auth is not None:
            await auth.verify(request.headers.get("authorization"))

    @app.post("/push/gold-updated", status_code=204)
    async def gold_updated(request: Request) -> Response:
        await authenticated(request)
        message = decode_push(await request.body(), request.headers)
        with tracer().start_as_current_span("insights gold-updated", extract(message.attributes)):
            await insights().compute(_read(message.data, _GoldUpdated).tenant_id)
        return Response(status_code=204)

    @app.post("/tasks/sweep")
    async def sweep(request: Request) -> Response:
        await authenticated(request)
        return _json(await insights().look())

    @app.post("/tasks/brief")
    async def brief(request: Request) -> Response:
        await authenticated(request)
        asked = _read(await request.body(), BriefRequest)
        with tracer().start_as_current_span("insights brief"):
            return _json({"publications": await insights().write(asked)})

    add_health(app, ready=lambda: asyncio.to_thread(insights().ready))
    return app


def _read(data: bytes, of: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=of)
    except msgspec.MsgspecError:
        raise Terminal("the message is not what is expected here") from None


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
