"""The limits of model calls on Upstash Redis, shared by every process of the service.

Invariants:
- every step is one atomic script in Redis' own time; asked twice, as after a lost answer, it is done once;
- no call of Upstash is waited for longer than `timeout_s`, twice at most;
- when Upstash does not answer, this process grants by itself, up to `outage_share` of each limit: never more,
  and never without limit. It asks again every `retry_s`, and goes back by itself. Its own grants count before
  and after, so one process stays within the limits at every change; several may exceed them by their shares,
  for the one window in which an outage begins or ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from importlib.resources import files
from uuid import uuid4

from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from coworkai.common.errors import Transient
from coworkai.common.observability import get_logger, meter
from coworkai.insights.limiter import (
    BURST,
    MICROSECONDS,
    WINDOW_S,
    Bound,
    Denied,
    InProcessLimiter,
    Limits,
    Reservation,
)

SCRIPT = files("coworkai.insights").joinpath("limiter.lua").read_text("utf-8")
SCRIPT_DIGEST = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_BOUNDS = {1: Bound.TENANT, 2: Bound.TOTAL}

log = get_logger(__name__)
_outages = meter().create_counter(
    "llm_limiter_outages", description="times that the shared limits of model calls stopped answering"
)


class _NoAnswer(Transient):
    """Upstash did not answer, or not as it should."""

    code = "limiter_unavailable"


class UpstashLimiter:
    """Limits shared through the Redis at `url`. For one event loop."""

    def __init__(
        self,
        url: str,
        token: str,
        total: Limits,
        *,
        window_s: float = WINDOW_S,
        name: str = "coworkai-llm",
        timeout_s: float = 1,
        retry_s: float = 10,
        outage_share: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = Redis(url, token, rest_encoding=None, rest_retries=0, allow_telemetry=False)
        self._total = total
        self._name = name
        # A grant is known here at most so long after Redis counted it.
        self._span_us = round((window_s + timeout_s) * MICROSECONDS)
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._outage_share = outage_share
        self._clock = clock
        self._own = InProcessLimiter(total, window_s=window_s, burst=None, clock=clock)
        self._ask_again_at: float | None = None

    @property
    def total(self) -> Limits:
        return self._total

    @property
    def is_out(self) -> bool:
        """Whether this process grants by itself."""
        return self._ask_again_at is not None

    async def reserve(self, tenant_id: str, limits: Limits, tokens: int) -> Reservation | Denied:
        reservation = Reservation(uuid4().hex, tenant_id, limits, tokens)
        if self._ask_again_at is not None and self._clock() < self._ask_again_at:
            return self._by_itself(reservation)
        # Redis knows nothing of what was granted here in an outage.
        denied = self._own.denied(reservation, self._total)
        if denied is not None:
            return denied
        try:
            granted, bound, wait_us = await self._run("reserve", reservation)
        except _NoAnswer:
            return self._by_itself(reservation)
        if not granted:
            return Denied(_BOUNDS[bound], wait_us / MICROSECONDS)
        self._own.grant(reservation)
        return reservation

    async def settle(self, reservation: Reservation, tokens: int) -> None:
        await self._correct(reservation, requests=1, tokens=tokens)

    async def refund(self, reservation: Reservation) -> None:
        await self._correct(reservation, requests=0, tokens=0)

    async def aclose(self) -> None:
        await self._redis.close()

    def _by_itself(self, asked: Reservation) -> Reservation | Denied:
        share = self._outage_share
        limits, total = asked.limits.share(share), self._total.share(share)
        return self._own.take(asked.tenant_id, limits, total, asked.tokens)

    async def _correct(self, reservation: Reservation, *, requests: int, tokens: int) -> None:
        """What an outage keeps from being given back counts until its window has passed."""
        self._own.correct(reservation, requests=requests, tokens=tokens)
        if not self.is_out:
            try:
                await self._run("correct", reservation, requests, tokens)
            except _NoAnswer:
                return

    async def _run(
        self, operation: str, reservation: Reservation, requests: int = 0, tokens: int = 0
    ) -> tuple[int, int, int]:
        """The script's answer. Raises _NoAnswer, and the outage begins, or goes on."""
        shared = f"{{{self._name}}}"
        total, tenant = f"{shared}:total", f"{shared}:tenant:{reservation.tenant_id}"
        keys = [f"{total}:log", f"{total}:state", f"{tenant}:log", f"{tenant}:state"]
        numbers = (
            *(reservation.tokens, self._span_us, round(self._span_us * BURST)),
            *(self._total.requests, self._total.tokens),
            *(reservation.limits.requests, reservation.limits.tokens),
            *(requests, tokens),
        )
        arguments = [operation, reservation.reservation_id, *map(str, numbers)]
        for last in (True,) if self.is_out else (False, True):
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = _read(await self._evaluate(keys, arguments))
            except Exception as error:  # The client lets through whatever it stumbles over in a reply.
                if last:
                    self._goes_out(error)
                    raise _NoAnswer("the shared limits did not answer") from error
            else:
                self._is_back()
                return answer
        raise AssertionError

    async def _evaluate(self, keys: list[str], arguments: list[str]) -> object:
        try:
            return await self._redis.evalsha(SCRIPT_DIGEST, keys, arguments)
        except UpstashError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        return await self._redis.eval(SCRIPT, keys, arguments)

    def _goes_out(self, error: Exception) -> None:
        if not self.is_out:
            _outages.add(1)
            log.warning(
                "shared limits of model calls do not answer; a share is granted here",
                error=error,
                share=self._outage_share,
            )
        self._ask_again_at = self._clock() + self._retry_s

    def _is_back(self) -> None:
        if self.is_out:
            log.info("shared limits of model calls answer again")
        self._ask_again_at = None


def _read(answer: object) -> tuple[int, int, int]:
    match answer:
        case [int(granted), int(bound), int(wait_us)]:
            return granted, bound, wait_us
    raise ValueError("not the script's answer")
