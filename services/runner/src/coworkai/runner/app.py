"""The runner over HTTP: pushes that hint at work, tasks for a scheduler, health.

    /push/bronze-committed ─▶ mark what the Bronze logs say ─▶ compute every dirty tenant ─▶ announce
                              ─▶ list ids that came under several dates ─▶ again, if there were any
    /push/silver-updated   ─▶ compute that tenant
    /tasks/sweep           ─▶ as bronze-committed, also what waits after a failure
    /tasks/maintain        ─▶ compaction, retention, vacuum
    /lineage               ─▶ where a fact comes from, for the partner API: only here are the rules

A hint carries nothing that is relied on: what is dirty is in the control store, and a sweep finds it without
any. A push is answered when the work it hinted at is done: the bus brings it again if this process dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from datetime import timedelta
from typing import TypeVar

import msgspec
from fastapi import FastAPI, Request, Response

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.bus import Publisher, PushAuth, decode_push
from coworkai.common.calls import Calls
from coworkai.common.control import Control, Stage, Tenant
from coworkai.common.errors import NotFound, StorageUnavailable, Terminal
from coworkai.common.lake import Lake
from coworkai.common.observability import extract, get_logger, inject, meter, tracer
from coworkai.common.service import add_health, add_problems
from coworkai.common.tables import BRONZE_ACTIVITIES
from coworkai.runner.dispatch import Dispatcher
from coworkai.runner.lineage import as_json, lineage
from coworkai.runner.maintenance import Maintenance, MaintenancePolicy, TableReport
from coworkai.runner.pipeline import STAGES, Pipeline, PipelineConfig, Publication
from coworkai.runner.repeats import Repeats
from coworkai.runner.settings import RunnerSettings
from coworkai.runner.stages import TenantRules

log = get_logger(__name__)
T = TypeVar("T")

TRACED_AT_ONCE = 2
"""Facts whose lineage is looked for at one time: each computes a worker's day again."""
REPEATS_SHARE = 0.05
"""Of the time at most this much is spent on looking for repeated ids, however large Bronze is."""
TOPICS = {
    Stage.SILVER: "silver-updated",
    Stage.STAGE1: "gold-updated",
    Stage.LATTICE: "gold-updated",
}


class Updated(msgspec.Struct, frozen=True):
    """Message of `silver-updated` and `gold-updated`: what was published. Days and versions, no content."""

    tenant_id: str
    stage: str
    run_ids: dict[str, str]
    versions: dict[str, int]


class LineageRequest(msgspec.Struct, frozen=True):
    """Body of `/lineage`; `fact_id` as `fact_ids` writes them."""

    tenant_id: str
    fact_id: str


class SweepReport(msgspec.Struct, frozen=True):
    tenants: int
    publications: int


def message_of(publication: Publication) -> bytes:
    """The JSON body that tells of a publication."""
    return msgspec.json.encode(
        Updated(
            publication.tenant_id,
            publication.stage.value,
            {day.isoformat(): run_id for day, run_id in sorted(publication.run_ids.items())},
            dict(sorted(publication.versions.items())),
        )
    )


def build_pipeline(
    settings: RunnerSettings, control: Control, announce: Callable[[Publication], None]
) -> Pipeline:
    """The pipeline over the settings' lake."""

    def rules_of(tenant: Tenant) -> TenantRules:
        return TenantRules.of_zone(tenant.time_zone)

    return Pipeline(
        Lake(settings.lake_uri, settings.storage_options),
        control,
        ArtifactStore.from_settings(settings),
        settings.lease_holder(),
        rules_of,
        announce,
        PipelineConfig(
            settings.lease_ttl_s,
            settings.batch_rows,
            settings.bronze_days,
            settings.settle_s,
            settings.lattice_settle_s,
        ),
    )


def build_maintenance(settings: RunnerSettings, control: Control, pipeline: Pipeline) -> Maintenance:
    """Maintenance of the pipeline's lake."""
    policy = MaintenancePolicy(
        bronze=timedelta(days=settings.bronze_days),
        quarantine=timedelta(days=settings.quarantine_days),
        versions=timedelta(hours=settings.vacuum_hours),
        lease_ttl_s=settings.lease_ttl_s,
    )
    return Maintenance(pipeline.lake, control, pipeline.store, pipeline.holder, policy)


class Runner:
    """The work of the service: computes tenants in threads and announces what they published.

    Made inside a running event loop. A burst of hints at one tenant becomes one run, and what comes while it
    computes is found by it before it lets go.
    """

    def __init__(self, settings: RunnerSettings, publisher: Publisher) -> None:
        self._loop = asyncio.get_running_loop()
        self._settle_s = settings.settle_s
        self._publisher = publisher
        self._announcements: asyncio.Queue[tuple[Publication, dict[str, str]]] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Task[int]] = {}
        self._slots = asyncio.Semaphore(settings.parallel_tenants)
        self._threads = ThreadPoolExecutor(
            settings.parallel_tenants + 2 + TRACED_AT_ONCE, thread_name_prefix="runner"
        )
        self._tracing = asyncio.Semaphore(TRACED_AT_ONCE)
        self._run_seconds = meter().create_histogram(
            "coworkai.runner.run", unit="s", description="wall time of one run of a tenant"
        )
        self._published_days = meter().create_counter(
            "coworkai.runner.days", description="days published, by stage"
        )
        self.control = Control(settings.control_url)
        self.control.migrate()
        self.pipeline = build_pipeline(settings, self.control, self._tell)
        self._dispatcher = Dispatcher(self.pipeline.lake, self.control)
        self._repeats = Repeats(self.pipeline.lake, self.control, self.pipeline.holder, settings.lease_ttl_s)
        self._repeats_due = 0.0
        self._maintenance = build_maintenance(settings, self.control, self.pipeline)

    async def look(self) -> SweepReport:
        """Mark what the Bronze logs say, and compute every tenant that is dirty and not waiting; then find
        the ids that came under several dates, if it is time, and compute what they change.

        Raises StorageUnavailable; a tenant that fails otherwise is logged and does not stop the others.
        """
        report = await self._compute_dirty()
        if not await self._find_repeats():
            return report
        again = await self._compute_dirty()
        return SweepReport(report.tenants + again.tenants, report.publications + again.publications)

    async def _find_repeats(self) -> int:
        started = self._loop.time()
        if started < self._repeats_due:
            return 0
        try:
            return await self._in_thread(self._repeats.find)
        finally:
            ended = self._loop.time()
            self._repeats_due = ended + (ended - started) / REPEATS_SHARE

    async def _compute_dirty(self) -> SweepReport:
        await self._in_thread(self._dispatcher.mark)
        await self._in_thread(lambda: self.control.mark_due(Stage.LATTICE))
        dirty = await self._in_thread(lambda: self.control.dirty(STAGES, ready_only=True))
        tenants = sorted({day.tenant_id for day in dirty})
        results = await asyncio.gather(*(self.compute(one) for one in tenants), return_exceptions=True)
        for tenant_id, result in zip(tenants, results, strict=True):
            if isinstance(result, StorageUnavailable):
                raise result
            if isinstance(result, BaseException):
                log.error("tenant failed", error=result, tenant=tenant_id)
        return SweepReport(len(tenants), sum(one for one in results if isinstance(one, int)))

    async def compute(self, tenant_id: str) -> int:
        """Compute what is dirty of the tenant; how many publications. Raises as `Pipeline.run`."""
        run = self._waiting.get(tenant_id)
        if run is None:
            run = self._waiting[tenant_id] = asyncio.create_task(self._settled_run(tenant_id))
        return await asyncio.shield(run)

    async def maintain(self) -> list[TableReport]:
        return await self._in_thread(self._maintenance.run)

    async def lineage(self, asked: LineageRequest) -> dict[str, object]:
        """Trace a fact. Raises as `lineage.lineage`, and NotFound for no tenant of ours."""

        def traced() -> dict[str, object]:
            tenant = self.control.tenant(asked.tenant_id)
            if tenant is None:
                raise NotFound("no such tenant")
            rules = TenantRules.of_zone(tenant.time_zone)
            return as_json(lineage(self.pipeline.lake, asked.tenant_id, asked.fact_id, rules))

        async with self._tracing:
            return await self._in_thread(traced)

    async def announce_forever(self) -> None:
        """Publish announcements as they come. One that cannot be published is logged: it is only a hint."""
        while True:
            publication, attributes = await self._announcements.get()
            try:
                await self._publisher.publish(TOPICS[publication.stage], message_of(publication), attributes)
            except Exception as error:
                # Whoever waits for the queue to be empty must not wait for ever.
                log.warning("not announced", error=error, topic=TOPICS[publication.stage])
            finally:
                self._announcements.task_done()

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
        self.control.close()
        await self._publisher.aclose()

    def ready(self) -> None:
        """Raises StorageUnavailable when the control store or the lake does not answer."""
        self.control.ping()
        self.pipeline.lake.exists(BRONZE_ACTIVITIES)

    async def _settled_run(self, tenant_id: str) -> int:
        await asyncio.sleep(self._settle_s)
        del self._waiting[tenant_id]
        async with self._slots:
            started = self._loop.time()
            try:
                publications = await self._in_thread(lambda: self.pipeline.run(tenant_id))
            finally:
                self._run_seconds.record(self._loop.time() - started)
        await self._announcements.join()
        return len(publications)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._threads, copy_context().run, work)

    def _tell(self, publication: Publication) -> None:
        """Called in the computing thread, inside the run's span."""
        attributes = {"tenant_id": publication.tenant_id}
        inject(attributes)
        self._published_days.add(len(publication.run_ids), {"stage": publication.stage.value})
        self._loop.call_soon_threadsafe(self._announcements.put_nowait, (publication, attributes))


def create_app(settings: RunnerSettings, publisher: Publisher | None = None) -> FastAPI:
    """The service's ASGI application; it announces on `publisher`, the settings' bus when None."""
    auth = PushAuth.from_settings(settings)
    calls = Calls(settings.master_key_bytes())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        runner = app.state.runner = Runner(settings, publisher or Publisher.from_settings(settings))
        tasks = [asyncio.create_task(runner.announce_forever())]
        if settings.sweep_every_s:
            tasks.append(asyncio.create_task(runner.every(settings.sweep_every_s, runner.look)))
        if settings.maintain_every_s:
            tasks.append(asyncio.create_task(runner.every(settings.maintain_every_s, runner.maintain)))
        yield
        for task in tasks[1:]:
            task.cancel()
        await runner.aclose()
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if auth is not None:
            await auth.aclose()

    app = FastAPI(title="CoworkAI runner", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_problems(app)

    def runner() -> Runner:
        found: Runner = app.state.runner
        return found

    async def authenticated(request: Request) -> None:
        if auth is not None:
            await auth.verify(request.headers.get("authorization"))

    @app.post("/push/bronze-committed", status_code=204)
    async def bronze_committed(request: Request) -> Response:
        await authenticated(request)
        message = decode_push(await request.body(), request.headers)
        with tracer().start_as_current_span("runner bronze-committed", extract(message.attributes)):
            await runner().look()
        return Response(status_code=204)

    @app.post("/push/silver-updated", status_code=204)
    async def silver_updated(request: Request) -> Response:
        await authenticated(request)
        message = decode_push(await request.body(), request.headers)
        with tracer().start_as_current_span("runner silver-updated", extract(message.attributes)):
            await runner().compute(_tenant_of(message.data))
        return Response(status_code=204)

    @app.post("/tasks/sweep")
    async def sweep(request: Request) -> Response:
        await authenticated(request)
        return _json(await runner().look())

    @app.post("/tasks/maintain")
    async def maintain(request: Request) -> Response:
        await authenticated(request)
        return _json(await runner().maintain())

    @app.post("/lineage")
    async def lineage_of(request: Request) -> Response:
        body = await request.body()
        calls.verify(request.headers.get("authorization"), request.url.path, body)
        try:
            asked = msgspec.json.decode(body, type=LineageRequest)
        except msgspec.MsgspecError:
            raise Terminal("the call names no fact") from None
        return _json(await runner().lineage(asked))

    add_health(app, ready=lambda: asyncio.to_thread(runner().ready))
    return app


def _tenant_of(data: bytes) -> str:
    try:
        return msgspec.json.decode(data, type=Updated).tenant_id
    except msgspec.MsgspecError:
        raise Terminal("the message names no tenant") from None


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
