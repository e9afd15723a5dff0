"""The ingest service, put together: settings in, an ASGI application out.

`Ingest` is the service without HTTP, for commands that feed the pipeline in process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import msgspec
from fastapi import FastAPI, Request, Response

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.bus import Publisher, PushAuth
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control
from coworkai.common.errors import Terminal
from coworkai.common.events import Source
from coworkai.common.lake import Lake
from coworkai.common.outcome import Reason, Tally
from coworkai.common.service import add_health, add_problems
from coworkai.common.settings import Mode
from coworkai.common.tables import (
    BRONZE_BY_SOURCE,
    BRONZE_QUARANTINE,
    BRONZE_RECEIPTS,
    Table,
)
from coworkai.ingest.breaker import Breaker, BreakerRules
from coworkai.ingest.bronze import AppendOnce, IdentityColumns
from coworkai.ingest.commit import SourceCommit
from coworkai.ingest.group_commit import GroupCommit, Grouping
from coworkai.ingest.hints import Hints, Publishes
from coworkai.ingest.pipeline import BronzeTables, Limits, Pipeline
from coworkai.ingest.push import PREFIX, InFlight, Push, Receive, Scope, Send
from coworkai.ingest.quarantine import (
    QUARANTINE_IDENTITY,
    Receipt,
    Refusal,
    quarantine_rows,
    receipt_rows,
)
from coworkai.ingest.replay import Selection, replay
from coworkai.ingest.seen import Verdicts
from coworkai.ingest.settings import IngestSettings
from coworkai.ingest.telemetry import TelemetryRoute
from coworkai.ingest.tenants import Tenants
from coworkai.ingest.tokenise import Pending

BRONZE_IDENTITY = IdentityColumns(id="event_id", digest="content_digest", tenant="tenant_id")


class Ingest:
    """The pipeline with all it stands on. `start` and `aclose` belong to one event loop."""

    def __init__(
        self, settings: IngestSettings, publisher: Publishes, control: Control, clock: Clock = utc_now
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.control = control
        self.lake = Lake(settings.lake_uri, settings.storage_options)
        self.tenants = Tenants(
            control,
            settings.master_key_bytes(),
            ttl_s=settings.tenant_ttl_s,
            monotonic=time.monotonic,
            plain_allowed=settings.mode is Mode.LOCAL,
        )
        self._files = ArtifactStore(self.lake.root, self.lake.storage_options)
        self.hints = Hints(publisher)
        self.tables = BronzeTables(
            sources={source: self._source_commit(source) for source in Source},
            quarantine=self._quarantine_commit(),
            receipts=self._receipts_commit(),
        )
        breaker = Breaker(
            BreakerRules(
                settings.breaker_share, settings.breaker_min_records, probe_every_s=settings.breaker_probe_s
            ),
            time.monotonic,
        )
        limits = Limits(settings.max_message_bytes, timedelta(days=settings.bronze_days))
        self.pipeline = Pipeline(self.tenants, self.tables, breaker, limits)

    async def start(self) -> None:
        self.hints.start()
        await asyncio.to_thread(self.control.migrate)

    async def aclose(self) -> None:
        """Finish the open commits and the hints about them."""
        await self.tables.aclose()
        await self.hints.aclose()

    async def ready(self) -> None:
        """Raises StorageUnavailable unless lake and control store answer."""
        await self.tenants.ping()
        await asyncio.to_thread(self._files.exists, "_ready")

    async def replay(self, selection: Selection) -> Tally:
        """Replay quarantined originals; see `replay.replay`."""
        return await replay(self.lake, self.tenants, self.pipeline, selection)

    # ---------------------------------------------------------------------------------- tables
    def _writer(self, table: Table, identity: IdentityColumns | None) -> AppendOnce:
        return AppendOnce(self.lake, table, identity, max_ids=self.settings.seen_max_ids)

    def _grouping(self) -> Grouping:
        return Grouping(self.settings.commit_linger_s, self.settings.commit_max_rows)

    def _source_commit(self, source: Source) -> GroupCommit[Pending, Verdicts]:
        table = BRONZE_BY_SOURCE[source]
        commit = SourceCommit(source, self._writer(table, BRONZE_IDENTITY), self.hints.note)
        return GroupCommit(table.name, commit, lambda pending: len(pending.batch.records), self._grouping())

    def _quarantine_commit(self) -> GroupCommit[Sequence[Refusal], None]:
        writer = self._writer(BRONZE_QUARANTINE, QUARANTINE_IDENTITY)
        keep = timedelta(days=self.settings.quarantine_days)

        def commit(refusals: Sequence[Sequence[Refusal]]) -> list[None]:
            writer.append(quarantine_rows(refusals, self.clock() + keep))
            return [None] * len(refusals)

        return GroupCommit("quarantine", commit, len, self._grouping())

    def _receipts_commit(self) -> GroupCommit[Receipt, None]:
        writer = self._writer(BRONZE_RECEIPTS, None)

        def commit(receipts: Sequence[Receipt]) -> list[None]:
            appended = writer.append(receipt_rows(receipts))
            if appended.version is not None:
                self.hints.note(BRONZE_RECEIPTS.id, appended)
            return [None] * len(receipts)

        return GroupCommit("receipts", commit, lambda receipt: len(receipt.counts), self._grouping())


class IngestApp:
    """ASGI application: pushes go straight to their endpoint, everything else to FastAPI."""

    def __init__(self, push: Push, rest: FastAPI) -> None:
        self._push = push
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self._push(scope, receive, send)
        else:
            await self.rest(scope, receive, send)


def create_app(
    settings: IngestSettings, clock: Clock = utc_now, publisher: Publishes | None = None
) -> IngestApp:
    """The service's ASGI application; hints go to the bus of the settings, or to `publisher`.

    Raises SettingsError.
    """
    bus = Publisher.from_settings(settings)
    control = Control(settings.control_url)
    ingest = Ingest(settings, publisher or bus, control, clock)
    auth = PushAuth.from_settings(settings)
    in_flight = InFlight(settings.max_bytes_in_flight)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await ingest.start()
        try:
            yield
        finally:
            await ingest.aclose()
            await bus.aclose()
            control.close()

    app = FastAPI(title="CoworkAI ingest", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_problems(app)
    add_health(app, ready=ingest.ready)
    limit = settings.max_message_bytes
    app.include_router(TelemetryRoute(ingest.pipeline, ingest.tenants, in_flight, clock, limit).router())
    _add_replay(app, ingest.replay, auth)
    return IngestApp(Push(ingest.pipeline, auth, in_flight, clock, limit), app)


class ReplayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which quarantined originals to replay; what is left out does not limit."""

    tenant_id: str | None = None
    reason: Reason | None = None
    source: Source | None = None
    quarantine_ids: list[str] | None = None


def _add_replay(app: FastAPI, run: Callable[[Selection], Awaitable[Tally]], auth: PushAuth | None) -> None:
    """`POST /admin/quarantine/replay`, for who may push."""

    @app.post("/admin/quarantine/replay")
    async def replay_quarantine(request: Request) -> Response:
        if auth is not None:
            await auth.verify(request.headers.get("authorization"))
        try:
            wanted = msgspec.json.decode(await request.body() or b"{}", type=ReplayRequest)
        except msgspec.DecodeError:
            raise Terminal("the body is no selection of quarantined originals") from None
        tally = await run(Selection(wanted.tenant_id, wanted.reason, wanted.source, wanted.quarantine_ids))
        answer = {
            "received": tally.received,
            "accepted": tally.accepted,
            "duplicate": tally.duplicate,
            "quarantined": {reason.value: count for reason, count in tally.quarantined.items()},
        }
        return Response(msgspec.json.encode(answer), media_type="application/json")
