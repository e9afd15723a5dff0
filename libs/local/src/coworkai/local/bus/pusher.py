"""Delivers the backlog of one subscription: pushes, acknowledges, retries, gives up.

Flow control is Pub/Sub's idea of it: the window of pushes in flight grows by one with a success and halves
with a failure, and while the endpoint keeps failing the subscription as a whole pauses, so that a service
that is down is probed rather than hammered.
"""

from __future__ import annotations

import asyncio
import base64
import random
from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from coworkai.common.clock import Clock
from coworkai.common.errors import CoworkError, Transient
from coworkai.common.observability import get_logger, meter
from coworkai.local.bus.push_client import PushClient, parse_endpoint
from coworkai.local.bus.queue import Commits, Delivery, Queue, Subscription
from coworkai.local.bus.settings import BusSettings
from coworkai.local.bus.tokens import TokenSigner

READ_AHEAD = 64
POLL_S = 1.0
"""The queue is looked at this often without being told to: another process may have replayed dead letters."""
STORAGE_PAUSE_S = 1.0

log = get_logger(__name__)
_deliveries = meter().create_counter("bus_deliveries", description="push attempts by subscription and result")


class Pusher:
    """One task a subscription; `wake` it after a publish, `stop` it before the client closes."""

    def __init__(
        self,
        subscription: Subscription,
        *,
        queue: Queue,
        commits: Commits,
        tokens: TokenSigner,
        client: PushClient,
        settings: BusSettings,
        clock: Clock,
    ) -> None:
        self.in_flight = 0
        self.point_to(subscription)
        self._queue = queue
        self._commits = commits
        self._tokens = tokens
        self._client = client
        self._settings = settings
        self._clock = clock
        self._short_name = subscription.name.rpartition("/")[2]
        self._claimed: set[int] = set()
        self._ahead: deque[Delivery] = deque()
        self._next_due: datetime | None = None
        self._window = float(settings.bus_max_in_flight)
        self._failures = 0
        self._paused_until = clock()
        self._wake = asyncio.Event()
        self._pushes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.create_task(self._run())

    def point_to(self, subscription: Subscription) -> None:
        """Deliver to the endpoint of `subscription` from now on. Raises Terminal when it is none."""
        self.endpoint = parse_endpoint(subscription.endpoint)
        self.subscription = subscription

    def wake(self) -> None:
        self._wake.set()

    async def stop(self) -> None:
        """Start no more pushes; those in flight get the grace period to be answered and written down."""
        self._loop.cancel()
        with suppress(asyncio.CancelledError):
            await self._loop
        if self._pushes:
            _done, unanswered = await asyncio.wait(self._pushes, timeout=self._settings.shutdown_grace_s)
            for push in unanswered:
                push.cancel()
            await asyncio.gather(*unanswered, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            wait_s = (self._paused_until - now).total_seconds()
            if wait_s <= 0:
                wait_s = POLL_S
                if self.in_flight < int(self._window):
                    if not self._ahead:
                        await self._read_ahead(now)
                    if self._ahead:
                        self._start(self._ahead.popleft())
                        continue
                    if self._next_due is not None:
                        wait_s = min(POLL_S, max((self._next_due - now).total_seconds(), 0.001))
            with suppress(TimeoutError):
                # `wait_for` would lose a cancellation that comes with the event.
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _read_ahead(self, now: datetime) -> None:
        claimed = frozenset(self._claimed)
        try:
            found, self._next_due = await self._commits.do(
                lambda: self._queue.due(self.subscription.name, now, READ_AHEAD, claimed)
            )
        except CoworkError:
            log.exception("the bus cannot read its queue", subscription=self._short_name)
            self._paused_until = now + timedelta(seconds=STORAGE_PAUSE_S)
            return
        self._claimed.update(delivery.id for delivery in found)
        self._ahead.extend(found)

    def _start(self, delivery: Delivery) -> None:
        self.in_flight += 1
        task = asyncio.create_task(self._deliver(delivery))
        self._pushes.add(task)
        task.add_done_callback(self._pushes.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            status = await self._push(delivery)
            if status is not None and 200 <= status < 300:
                await self._delivered(delivery)
            else:
                await self._failed(delivery, status)
        except CoworkError:
            # The outcome could not be written: the delivery is still queued and will be pushed again.
            log.exception("the bus cannot write its queue", subscription=self._short_name)
        finally:
            self._claimed.discard(delivery.id)
            self.in_flight -= 1
            self._wake.set()

    async def _push(self, delivery: Delivery) -> int | None:
        """Status of the answer; None where there was none."""
        subscription = self.subscription
        headers = {"content-type": "application/json", "user-agent": "CoworkAI-Bus"}
        if subscription.audience is not None and subscription.service_account is not None:
            token = self._tokens.token(subscription.audience, subscription.service_account, self._clock())
            headers["authorization"] = f"Bearer {token}"
        try:
            return await self._client.post(self.endpoint, headers, envelope(delivery, subscription.name))
        except Transient:
            return None

    async def _delivered(self, delivery: Delivery) -> None:
        self._failures = 0
        self._window = min(self._window + 1, self._settings.bus_max_in_flight)
        await self._commits.do(lambda: self._queue.acknowledge(delivery.id))
        _deliveries.add(1, {"subscription": self._short_name, "result": "acknowledged"})

    async def _failed(self, delivery: Delivery, status: int | None) -> None:
        now = self._clock()
        attempt = delivery.attempts + 1
        if now >= self._paused_until:
            self._failures += 1
            self._window = max(self._window / 2, 1.0)
            self._paused_until = now + self._backoff(self._failures)
        if attempt >= self._settings.bus_max_attempts:
            await self._commits.do(lambda: self._queue.bury(delivery.id, status))
            _deliveries.add(1, {"subscription": self._short_name, "result": "dead"})
            log.error(
                "dead letter",
                subscription=self._short_name,
                message_id=delivery.message.message_id,
                attempts=attempt,
                status=status,
            )
            return
        due_at = now + self._backoff(attempt)
        await self._commits.do(lambda: self._queue.retry(delivery.id, due_at, status))
        if self._next_due is None or due_at < self._next_due:
            self._next_due = due_at
        _deliveries.add(1, {"subscription": self._short_name, "result": "failed"})
        log.warning(
            "delivery failed",
            subscription=self._short_name,
            message_id=delivery.message.message_id,
            attempts=attempt,
            status=status,
        )

    def _backoff(self, failures: int) -> timedelta:
        """Exponential with jitter over its upper half."""
        settings = self._settings
        longest_s = min(settings.bus_retry_min_s * 2.0 ** min(failures - 1, 60), settings.bus_retry_max_s)
        return timedelta(seconds=random.uniform(longest_s / 2, longest_s))


def envelope(delivery: Delivery, subscription: str) -> bytes:
    """The JSON body that Pub/Sub pushes."""
    message = delivery.message
    published_at = message.published_at.isoformat().replace("+00:00", "Z")
    return msgspec.json.encode(
        {
            "message": {
                "attributes": message.attributes,
                "data": base64.b64encode(message.data).decode(),
                "messageId": message.message_id,
                "message_id": message.message_id,
                "publishTime": published_at,
                "publish_time": published_at,
            },
            "subscription": subscription,
            "deliveryAttempt": delivery.attempts + 1,
        }
    )
