"""Sends what is due, and goes on until it is told to stop.

    look ─▶ claim as many as there are slots for, few to any one endpoint ─▶ send them beside each other
      ▲                                                                              │
      ╰──────── an event was kept · a slot is free · look_every_s have passed ◀─────╯

An endpoint that is slow or dead holds its own few slots and nobody else's. Several instances may send at the
same time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import CoworkError
from coworkai.common.observability import get_logger, meter
from coworkai.partner_api.webhooks.deliveries import Claimed, Deliveries, Outcome
from coworkai.partner_api.webhooks.outbound import Fault, Post, Received
from coworkai.partner_api.webhooks.signing import signed_headers

log = get_logger(__name__)

PER_ENDPOINT = 4
"""Attempts at one endpoint that are under way at a time, by each instance."""
_SENT = {"content-type": "application/json", "user-agent": "CoworkAI-Webhooks/1"}


class Dispatcher:
    """One process's sender. Made inside a running event loop; `aclose` gives back what is under way.

    `outcomes` counts what became of its attempts. `look_every_s`: None looks only when it is told to, or a
    slot gets free.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        post: Post,
        *,
        in_store: Callable[[Callable[[], Any]], Awaitable[Any]],
        slots: int,
        look_every_s: float | None,
        grace_s: float,
        clock: Clock = utc_now,
    ) -> None:
        self._deliveries = deliveries
        self._post = post
        self._in_store = in_store
        self._slots = slots
        self._look_every_s = look_every_s
        self._grace_s = grace_s
        self._clock = clock
        self._wanted = asyncio.Event()
        self._claiming = asyncio.Lock()
        self._under_way: dict[asyncio.Task[None], str] = {}
        self.outcomes: Counter[Outcome] = Counter()
        self._attempts = meter().create_counter(
            "coworkai.partner_api.webhooks.attempts", description="attempts to deliver, by outcome"
        )
        self._attempt_seconds = meter().create_histogram(
            "coworkai.partner_api.webhooks.attempt", unit="s", description="time of one attempt"
        )
        self._lag_seconds = meter().create_histogram(
            "coworkai.partner_api.webhooks.lag",
            unit="s",
            description="from what happened to its first delivery",
        )
        self._busy = meter().create_up_down_counter(
            "coworkai.partner_api.webhooks.under_way", description="attempts under way"
        )

    def look(self) -> None:
        """Something may be due."""
        self._wanted.set()

    async def watch(self) -> None:
        """Send what is due as it comes, until cancelled."""
        while True:
            self._wanted.clear()
            try:
                await self._start_due()
            except CoworkError as error:
                log.warning("deliveries could not be claimed", error=error)
            except Exception:
                log.exception("deliveries could not be claimed")
            try:
                # `wait_for` would lose a cancellation that comes with the event.
                async with asyncio.timeout(self._look_every_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def send_due(self, within_s: float) -> None:
        """Send until nothing is due, or the time is over. Raises StorageUnavailable."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while loop.time() < until:
            if not await self._start_due():
                break
            if self._under_way:
                await asyncio.wait(
                    self._under_way, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED
                )

    async def aclose(self) -> None:
        """Let what is under way end for a moment, then give the rest back. `watch` has been cancelled."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._grace_s)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _start_due(self) -> bool:
        """Whether there is anything to wait for: something was under way, or is now."""
        # One at a time: what the one before has claimed is under way when the slots are counted.
        async with self._claiming:
            return await self._claim_and_start()

    async def _claim_and_start(self) -> bool:
        free = self._slots - len(self._under_way)
        if free <= 0:
            return True
        under_way = Counter(self._under_way.values())
        claiming = asyncio.ensure_future(
            self._in_store(lambda: self._deliveries.claim(free, PER_ENDPOINT, under_way))
        )
        try:
            claimed: list[Claimed] = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # The store may have given us some already: nobody should wait until the claim runs out.
            for one in await claiming:
                await self._release(one)
            raise
        for one in claimed:
            task = asyncio.create_task(self._send(one))
            self._under_way[task] = one.endpoint_id
            self._busy.add(1)
            task.add_done_callback(self._ended)
        # What was under way may have ended meanwhile, and its endpoint was left out for it.
        return bool(claimed or under_way)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._busy.add(-1)
        # A slot is free, and its endpoint may have more.
        self._wanted.set()

    async def _send(self, one: Claimed) -> None:
        """One attempt, from the request to its row."""
        try:
            await self._attempt(one)
        except asyncio.CancelledError:
            await self._release(one)
            raise
        except CoworkError as error:
            # Its claim runs out, and it is sent once more.
            log.warning("delivery was not written down", error=error, delivery=one.delivery_id)
        except Exception:
            log.exception("delivery failed", delivery=one.delivery_id)

    async def _attempt(self, one: Claimed) -> None:
        loop = asyncio.get_running_loop()
        started_at, began = self._clock(), loop.time()
        received = Received(fault=Fault.INTERNAL)
        if one.secrets:
            headers = {**_SENT, **signed_headers(one.event_id, started_at, one.body, one.secrets)}
            received = await self._post(one.url, headers, one.body)
        duration_s = loop.time() - began
        outcome: Outcome = await asyncio.shield(
            asyncio.ensure_future(
                self._in_store(lambda: self._deliveries.finish(one, received, started_at, duration_s))
            )
        )
        self.outcomes[outcome] += 1
        self._attempts.add(1, {"outcome": outcome.value, "type": one.event_type})
        self._attempt_seconds.record(duration_s)
        if outcome is Outcome.DELIVERED:
            self._lag_seconds.record((self._clock() - one.occurred_at).total_seconds())
        if outcome in {Outcome.FAILED, Outcome.GONE}:
            log.warning(
                "delivery failed for good",
                delivery=one.delivery_id,
                endpoint=one.endpoint_id,
                tenant=one.tenant_id,
                outcome=outcome.value,
            )

    async def _release(self, one: Claimed) -> None:
        try:
            await self._in_store(lambda: self._deliveries.release(one))
        except CoworkError as error:
            log.warning("delivery was not given back", error=error, delivery=one.delivery_id)
