"""What the routes stand on, built once and handed to them as `app.state.services`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Any, TypeVar

from fastapi import Request

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.bus import PushAuth
from coworkai.common.calls import Calls
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control, Database
from coworkai.common.control.access_log import AccessLog
from coworkai.common.errors import Transient
from coworkai.common.lake import Lake
from coworkai.common.observability import get_logger
from coworkai.partner_api.authentication import Authenticator
from coworkai.partner_api.credentials import Credentials
from coworkai.partner_api.exports import Exporter, ExportStore
from coworkai.partner_api.gold import Gold
from coworkai.partner_api.hot import HotDays
from coworkai.partner_api.idempotency import Idempotency, IdempotencyKeys
from coworkai.partner_api.lineage import FactLineage
from coworkai.partner_api.pages import Cursors
from coworkai.partner_api.rate_limit import RateLimit
from coworkai.partner_api.reads import Reads
from coworkai.partner_api.secrets import Purpose, Secrets
from coworkai.partner_api.selection import Rows
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.sharing.answers import Sharing
from coworkai.partner_api.sharing.files import SharedTables
from coworkai.partner_api.sharing.page_tokens import PageTokens
from coworkai.partner_api.signed_urls import SignedUrls
from coworkai.partner_api.tokens import Tokens
from coworkai.partner_api.webhooks.outbound import Network
from coworkai.partner_api.webhooks.webhooks import Webhooks

log = get_logger(__name__)
T = TypeVar("T")
STORE_THREADS = 8


class Services:
    """Made inside a running event loop; `start` before the first request, `aclose` after the last."""

    def __init__(
        self, settings: PartnerApiSettings, clock: Clock = utc_now, network: Network | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.secrets = Secrets(settings.master_key_bytes())
        self.database = Database(settings.control_url)
        self.database.migrate()
        self.control = Control(self.database, clock)
        self.lake = Lake(settings.lake_uri, settings.storage_options)
        self.store = ArtifactStore.from_settings(settings)
        self.hot = HotDays(settings.hot_bytes)
        self.gold = Gold(self.lake, self.store, warm=self.hot.follow)
        self.cursors = Cursors(self.secrets)
        self.rows = Rows(self.hot)
        self.reads = Reads(
            self.gold,
            self.rows,
            self.cursors,
            max_bulk_rows=settings.max_bulk_rows,
        )
        self.credentials = Credentials(self.database, self.secrets, clock)
        self.tokens = Tokens(self.secrets, settings.public_url, clock)
        self.authenticator = Authenticator(
            self.credentials,
            self.tokens,
            self.secrets,
            self.in_store,
            revalidate_s=settings.revalidate_s,
            clock=clock,
        )
        self.signed_urls = SignedUrls(
            self.store,
            self.secrets,
            public_url=settings.public_url,
            ttl_s=settings.signed_url_s,
            clock=clock,
        )
        self.sharing = Sharing(
            self.gold, SharedTables(self.store), self.signed_urls, PageTokens(self.secrets)
        )
        self.access_log = AccessLog(self.database, self.secrets.key(Purpose.ACCESS_LOG), clock)
        self.push_auth = PushAuth.from_settings(settings)
        self.webhooks = Webhooks(
            settings,
            self.database,
            self.secrets,
            self.lake,
            network=network or Network(),
            in_store=self.in_store,
            in_lake=self.gold.in_thread,
            clock=clock,
        )
        self.exports = ExportStore(self.database, self.webhooks.events, clock)
        self.exporter = Exporter(
            self.exports,
            self.gold,
            self.rows,
            self.store,
            access_log=self.access_log,
            in_store=self.in_store,
            kept_for=timedelta(hours=settings.export_hours),
            clock=clock,
        )
        self.fact_lineage = FactLineage(settings.runner_url, Calls(settings.master_key_bytes(), clock))
        self.rate_limit = RateLimit(settings.rate_limit_per_minute)
        kept_for = timedelta(hours=settings.idempotency_hours)
        answers = IdempotencyKeys(self.database, self.secrets, kept_for, clock)
        self.idempotency = Idempotency(answers, self.in_store)
        self._threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="store")
        self._background: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start what runs beside the requests."""
        self._run(self.authenticator.watch())
        self._run(self.gold.watch())
        self._run(self.exporter.watch())
        self._run(self.webhooks.watch())

    async def aclose(self) -> None:
        """Stop it, and let go of everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.webhooks.aclose()
        if self.push_auth is not None:
            await self.push_auth.aclose()
        await self.authenticator.write_last_used()
        await self.access_log.aclose()
        await self.fact_lineage.aclose()
        await self.gold.aclose()
        await asyncio.to_thread(self._threads.shutdown)
        self.database.close()

    def ready(self) -> None:
        """Raises Transient when the control store does not answer, or work beside the requests has ended."""
        if any(task.done() for task in self._background):
            raise Transient("work beside the requests has ended")
        self.database.ping()

    async def in_store(self, work: Callable[[], T]) -> T:
        """The result of work on the control store, from a thread. Raises StorageUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_tell_of_end)
        self._background.append(task)


def _tell_of_end(task: asyncio.Task[None]) -> None:
    try:
        task.result()
    except asyncio.CancelledError:
        return
    except Exception:
        log.exception("work beside the requests has ended")


def services_of(request: Request) -> Services:
    """The services of the application that a request came to."""
    services: Services = request.app.state.services
    return services
