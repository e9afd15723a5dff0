"""How much models may be asked for in a minute: requests and tokens, of each tenant and of all together.

    reserve ─▶ Reservation: one request and the estimate, of the tenant's limits and of the total
           └─▶ Denied, and nothing taken: by which of the two, and when to ask again
    settle ─▶ the tokens that it really was          refund ─▶ the call was not made

Invariants, over every adapter:
- no window of `window_s`, wherever it begins, has more requests or tokens than the limits, as long as a call
  starts within `slack_s` of its grant and takes no more than its estimate. What it takes beyond counts from
  when it is known, and nothing is granted until there is room again;
- grants are spread over the window after a short burst (`BURST` of a window's worth): a limit that is used up
  at once would come back at once a window later, and leave windows between with almost nothing;
- what was never settled counts until its window has passed; settling or refunding twice is doing it once.

    |<--------------- window + slack --------------->|
    grant ▪▪▪ ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪▪▪ ▪  ▪ …     each comes back when it leaves the window

Times are whole microseconds; the script beside this file (`limiter.lua`) is the same arithmetic on Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import uuid4
from weakref import WeakValueDictionary

from coworkai.common.observability import meter
from coworkai.insights.llm import NotAdmitted

WINDOW_S = 60.0
BURST = 0.025
MICROSECONDS = 1_000_000

_waits = meter().create_histogram(
    "llm_wait_seconds", unit="s", description="time that calls of models waited for their limits"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be asked for in a window."""

    requests: int
    tokens: int

    def share(self, share: float) -> Limits:
        """A part of the limits, rounded down."""
        return Limits(int(self.requests * share), int(self.tokens * share))


@dataclass(frozen=True, slots=True)
class Reservation:
    """One request and so many tokens of a tenant, granted."""

    reservation_id: str
    tenant_id: str
    limits: Limits
    tokens: int


class Bound(StrEnum):
    """Whose limit is reached; the tenant's, where both are."""

    TENANT = "tenant"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was taken. `retry_after_s`: when there is room, if nobody else takes it or gives any back."""

    bound: Bound
    retry_after_s: float


class Limiter(Protocol):
    """What grants calls of models, at once or not: who waits, and in which order, is `Admission`'s."""

    @property
    def total(self) -> Limits: ...

    async def reserve(self, tenant_id: str, limits: Limits, tokens: int) -> Reservation | Denied:
        """One request and `tokens` within the tenant's limits and the total, or nothing."""
        ...

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        """The call took so many tokens: what is left of the estimate is free again, more than it is added."""
        ...

    async def refund(self, reservation: Reservation) -> None:
        """The call was not made: the request and the tokens are free again."""
        ...

    async def aclose(self) -> None: ...


class LimitWaitExceeded(NotAdmitted):
    """The limits left no room within the time that a call may wait; `retry_after_s` is worth waiting then."""

    code = "limit_wait_exceeded"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the limits of model calls left no room in time")
        self.retry_after_s = retry_after_s


# ------------------------------------------------------------------------------------------- in process


@dataclass(slots=True)
class _Grant:
    """What counts from an instant on, for a window."""

    grant_id: str
    tenant_id: str
    at_us: int
    requests: int
    tokens: int


@dataclass(slots=True)
class _Allowance:
    """The grants that count, oldest first, their sums, and the times up to which the pace is used."""

    grants: deque[_Grant] = field(default_factory=deque)
    requests: int = 0
    tokens: int = 0
    requests_due_us: int = 0
    tokens_due_us: int = 0

    def wait_us(self, now_us: int, span_us: int, burst_us: int | None, limits: Limits, tokens: int) -> int:
        """Microseconds until there is room for one request more; 0 when there is."""
        due_us = max(self.requests_due_us, self.tokens_due_us)
        wait_us = 0 if burst_us is None else max(due_us - burst_us - now_us, 0)
        requests_over = self.requests + 1 - limits.requests
        tokens_over = self.tokens + tokens - limits.tokens
        for grant in self.grants:
            if requests_over <= 0 and tokens_over <= 0:
                break
            requests_over -= grant.requests
            tokens_over -= grant.tokens
            wait_us = max(wait_us, grant.at_us + span_us + 1 - now_us)
        return span_us if requests_over > 0 or tokens_over > 0 else wait_us

    def add(self, grant: _Grant, span_us: int, limits: Limits) -> None:
        self.grants.append(grant)
        self.requests += grant.requests
        self.tokens += grant.tokens
        self.requests_due_us = max(self.requests_due_us, grant.at_us) + _pace_us(
            grant.requests, limits.requests, span_us
        )
        self.tokens_due_us = max(self.tokens_due_us, grant.at_us) + _pace_us(
            grant.tokens, limits.tokens, span_us
        )

    def give_back(self, requests: int, tokens: int, span_us: int, limits: Limits) -> None:
        self.requests -= requests
        self.tokens -= tokens
        self.requests_due_us -= _pace_us(requests, limits.requests, span_us)
        self.tokens_due_us -= _pace_us(tokens, limits.tokens, span_us)

    def forget_oldest(self) -> _Grant:
        grant = self.grants.popleft()
        self.requests -= grant.requests
        self.tokens -= grant.tokens
        return grant


def _pace_us(amount: int, limit: int, span_us: int) -> int:
    """How much of the time an amount uses at the pace that the limit allows."""
    return amount * span_us // max(limit, 1)


class InProcessLimiter:
    """Limits of one process. `clock` is monotonic, in seconds; without `burst`, grants are not spread."""

    def __init__(
        self,
        total: Limits,
        *,
        window_s: float = WINDOW_S,
        slack_s: float = 0.1,
        burst: float | None = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._span_us = round((window_s + slack_s) * MICROSECONDS)
        self._burst_us = None if burst is None else round(self._span_us * burst)
        self._clock = clock
        self._all = _Allowance()
        self._tenants: dict[str, _Allowance] = {}
        self._open: dict[str, _Grant] = {}

    @property
    def total(self) -> Limits:
        return self._total

    async def reserve(self, tenant_id: str, limits: Limits, tokens: int) -> Reservation | Denied:
        return self.take(tenant_id, limits, self._total, tokens)

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        self.correct(reservation, requests=1, tokens=tokens)

    async def refund(self, reservation: Reservation) -> None:
        self.correct(reservation, requests=0, tokens=0)

    async def aclose(self) -> None:
        return

    def take(self, tenant_id: str, limits: Limits, total: Limits, tokens: int) -> Reservation | Denied:
        """`reserve`, within another total."""
        reservation = Reservation(uuid4().hex, tenant_id, limits, tokens)
        denied = self.denied(reservation, total)
        if denied is None:
            self.grant(reservation)
        return denied or reservation

    def denied(self, reservation: Reservation, total: Limits) -> Denied | None:
        """What speaks against the reservation; None where nothing does."""
        now_us = self._forget()
        of_tenant = self._tenants.get(reservation.tenant_id) or _Allowance()
        asked = now_us, self._span_us, self._burst_us
        tenant_us = of_tenant.wait_us(*asked, reservation.limits, reservation.tokens)
        total_us = self._all.wait_us(*asked, total, reservation.tokens)
        if not (tenant_us or total_us):
            return None
        return Denied(Bound.TENANT if tenant_us else Bound.TOTAL, max(tenant_us, total_us) / MICROSECONDS)

    def grant(self, reservation: Reservation) -> None:
        """Count a reservation from now on."""
        self._open[reservation.reservation_id] = self._add(reservation, self._forget(), 1, reservation.tokens)

    def correct(self, reservation: Reservation, *, requests: int, tokens: int) -> None:
        """What the call came to; nothing where that is known already, or its window has passed."""
        now_us = self._forget()
        grant = self._open.pop(reservation.reservation_id, None)
        if grant is None:
            return
        spare_requests, spare_tokens = grant.requests - requests, max(grant.tokens - tokens, 0)
        grant.requests -= spare_requests
        grant.tokens -= spare_tokens
        of_tenant = self._tenants[reservation.tenant_id]
        of_tenant.give_back(spare_requests, spare_tokens, self._span_us, reservation.limits)
        self._all.give_back(spare_requests, spare_tokens, self._span_us, self._total)
        if tokens > reservation.tokens:
            self._add(reservation, now_us, 0, tokens - reservation.tokens)

    def _add(self, reservation: Reservation, now_us: int, requests: int, tokens: int) -> _Grant:
        grant = _Grant(reservation.reservation_id, reservation.tenant_id, now_us, requests, tokens)
        of_tenant = self._tenants.setdefault(reservation.tenant_id, _Allowance())
        of_tenant.add(grant, self._span_us, reservation.limits)
        self._all.add(grant, self._span_us, self._total)
        return grant

    def _forget(self) -> int:
        """Drop what no longer counts; the time in microseconds."""
        now_us = round(self._clock() * MICROSECONDS)
        while self._all.grants and self._all.grants[0].at_us < now_us - self._span_us:
            grant = self._all.forget_oldest()
            self._open.pop(grant.grant_id, None)
            # The tenant's grants are a subsequence of all grants: its oldest is this one.
            of_tenant = self._tenants[grant.tenant_id]
            of_tenant.forget_oldest()
            if not of_tenant.grants:
                del self._tenants[grant.tenant_id]
        return now_us


# ------------------------------------------------------------------------------------------- waiting


class Admission:
    """Lets calls through as the limiter grants them: of a tenant in the order that they came, of different
    tenants in turn.

        tenant's queue:  ▪ ▪ ▪ ─▶ its first ─▶ ┐
        tenant's queue:      ▪ ─▶ its first ─▶ ├─▶ one line ─▶ limiter
        at its own limit:  ▪ ▪ ─▶ its first waits beside the line, not in it

    Who is first in line and finds the total used up waits there, so nobody with less to ask for overtakes it
    for ever. For one event loop. `poll_s`: the longest pause between two questions, as other processes may
    give something back.
    """

    def __init__(self, limiter: Limiter, *, max_wait_s: float = 20, poll_s: float = 1) -> None:
        self._limiter = limiter
        self._max_wait_s = max_wait_s
        self._poll_s = poll_s
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._line = asyncio.Lock()
        self._given_back = asyncio.Event()

    def fits(self, limits: Limits, tokens: int) -> bool:
        """Whether a call of so many tokens can ever be let through."""
        total = self._limiter.total
        return min(limits.requests, total.requests) >= 1 and tokens <= min(limits.tokens, total.tokens)

    async def admit(self, tenant_id: str, limits: Limits, tokens: int) -> Reservation:
        """A reservation, once there is room. Raises LimitWaitExceeded after `max_wait_s`."""
        now = asyncio.get_running_loop().time
        started, retry_after_s = now(), self._max_wait_s
        try:
            async with asyncio.timeout(self._max_wait_s), self._queue(tenant_id):
                while True:
                    given_back = self._given_back
                    answer = await self._in_line(tenant_id, limits, tokens)
                    if isinstance(answer, Reservation):
                        return answer
                    retry_after_s = answer.retry_after_s
                    await self._pause(retry_after_s, given_back)
        except TimeoutError:
            raise LimitWaitExceeded(retry_after_s) from None
        finally:
            _waits.record(now() - started)

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        """As the limiter's; those who wait look again."""
        await self._limiter.settle(reservation, tokens)
        self._wake()

    async def refund(self, reservation: Reservation) -> None:
        """As the limiter's; those who wait look again."""
        await self._limiter.refund(reservation)
        self._wake()

    async def aclose(self) -> None:
        await self._limiter.aclose()

    async def _in_line(self, tenant_id: str, limits: Limits, tokens: int) -> Reservation | Denied:
        """The limiter's answer when it is the tenant's turn; denied only at the tenant's own limit."""
        async with self._line:
            while True:
                given_back = self._given_back
                answer = await self._limiter.reserve(tenant_id, limits, tokens)
                if isinstance(answer, Reservation) or answer.bound is Bound.TENANT:
                    return answer
                await self._pause(answer.retry_after_s, given_back)

    def _queue(self, tenant_id: str) -> asyncio.Lock:
        return self._queues.setdefault(tenant_id, asyncio.Lock())

    async def _pause(self, pause_s: float, given_back: asyncio.Event) -> None:
        """Until the time has passed, or something is given back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause_s, self._poll_s)):
                await given_back.wait()

    def _wake(self) -> None:
        given_back, self._given_back = self._given_back, asyncio.Event()
        given_back.set()
