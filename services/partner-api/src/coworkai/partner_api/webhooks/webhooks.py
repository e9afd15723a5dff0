"""The webhooks of one process, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.errors import StorageUnavailable
from coworkai.common.lake import Lake
from coworkai.common.observability import get_logger
from coworkai.common.settings import Mode
from coworkai.partner_api.secrets import Purpose, Secrets
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.webhooks.deliveries import Deliveries
from coworkai.partner_api.webhooks.dispatcher import Dispatcher
from coworkai.partner_api.webhooks.endpoints import Endpoints
from coworkai.partner_api.webhooks.events import Events
from coworkai.partner_api.webhooks.outbound import Network, Outbound
from coworkai.partner_api.webhooks.publications import Publications

log = get_logger(__name__)
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]

LOOK_AT_PUBLICATIONS_EVERY_S = 60.0
"""How often what no message told of is looked for."""
CLAIM_MARGIN_S = 3.0
TASK_S = 50.0
"""How long one call of a scheduler sends."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a call of a scheduler did: events that no message had told of, and attempts by outcome."""

    events: int
    attempts: dict[str, int]


class Webhooks:
    """Endpoints, events, deliveries, and what sends them. Made inside a running event loop."""

    def __init__(
        self,
        settings: PartnerApiSettings,
        database: Database,
        secrets: Secrets,
        lake: Lake,
        *,
        network: Network,
        in_store: InThread,
        in_lake: InThread,
        clock: Clock = utc_now,
    ) -> None:
        self._look_every_s = settings.webhook_every_s
        audit = AuditLog(database, secrets.key(Purpose.AUDIT_LOG), clock)
        self.outbound = Outbound(
            network,
            is_local=settings.mode is Mode.LOCAL,
            timeout_s=settings.webhook_timeout_s,
            max_connections=settings.webhook_slots,
        )
        self.events = Events(database, clock)
        self.endpoints = Endpoints(database, secrets, audit, clock)
        self.deliveries = Deliveries(
            database,
            self.events,
            secrets,
            audit,
            clock,
            claim=timedelta(seconds=2 * settings.webhook_timeout_s + CLAIM_MARGIN_S),
        )
        self.dispatcher = Dispatcher(
            self.deliveries,
            self.outbound,
            in_store=in_store,
            slots=settings.webhook_slots,
            look_every_s=settings.webhook_every_s or None,
            grace_s=settings.shutdown_grace_s / 2,
            clock=clock,
        )
        self.publications = Publications(
            database,
            self.events,
            lake,
            in_store=in_store,
            in_lake=in_lake,
            tell=self.dispatcher.look,
            clock=clock,
        )

    async def watch(self) -> None:
        """Send what is due, and look for what no message told of, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.dispatcher.watch())
            if self._look_every_s:
                tasks.create_task(self._watch_publications())

    async def task(self) -> Sent:
        """What a scheduler asks for: look at what was published, and send what is due.

        Raises StorageUnavailable.
        """
        events = await self.publications.look_everywhere()
        before = self.dispatcher.outcomes.copy()
        await self.dispatcher.send_due(TASK_S)
        ended = self.dispatcher.outcomes - before
        return Sent(events, {outcome.value: count for outcome, count in sorted(ended.items())})

    async def aclose(self) -> None:
        """After `watch` has been cancelled."""
        await self.dispatcher.aclose()
        await self.outbound.aclose()

    async def _watch_publications(self) -> None:
        while True:
            try:
                await self.publications.look_everywhere()
            except StorageUnavailable as error:
                log.warning("publications could not be looked at", error=error)
            except Exception:
                log.exception("publications could not be looked at")
            await asyncio.sleep(LOOK_AT_PUBLICATIONS_EVERY_S)
