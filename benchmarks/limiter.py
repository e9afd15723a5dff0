"""50 concurrent calls against the limits of model calls: how full the fullest window was, and how empty the
emptiest while work waited.

The window is scaled down from 60 s to one that passes twice in a few seconds. A call is counted when it
starts, by what it took; windows slide over all starts. The calls are of two tenants whose limits together
exceed the total; in one run requests are what is short, in the other tokens. In place of Upstash there is its
REST protocol over a real `redis-server`, where that is installed, and two limiters are two instances.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.doubles import upstash
from tests.doubles.windows import Call, Extremes, extremes

from benchmarks.result import Result
from coworkai.insights.limiter import Admission, InProcessLimiter, Limiter, Limits
from coworkai.insights.upstash import UpstashLimiter

CALLS_AT_ONCE = 50
IN_PROCESS_WINDOW_S, UPSTASH_WINDOW_S = 1.5, 4
WINDOWS = 2
LATENCY_OF_WINDOW = 0.02
TENANTS = ("acme", "globex")


@dataclass(frozen=True)
class Load:
    """What is asked for: estimates above what a call takes, of sizes that vary by half."""

    name: str
    total: Limits
    tokens: int

    @property
    def of_tenant(self) -> Limits:
        return self.total.share(0.7)


REQUESTS_SHORT = Load("requests", Limits(100, 10_000_000), 1_000)
TOKENS_SHORT = Load("tokens", Limits(10_000, 100_000), 1_000)


def run() -> list[Result]:
    results: list[Result] = []
    for load in (REQUESTS_SHORT, TOKENS_SHORT):
        with in_process(load) as limiters:
            results += _results("in process", load, limiters, IN_PROCESS_WINDOW_S)
        if upstash.is_installed():
            with on_upstash(load) as limiters:
                results += _results("Upstash", load, limiters, UPSTASH_WINDOW_S)
    return results


def _results(where: str, load: Load, limiters: list[Limiter], window_s: float) -> list[Result]:
    found = asyncio.run(calls_of(load, limiters, window_s))
    if load is REQUESTS_SHORT:
        most, fewest, limit = found.most_requests, found.fewest_requests, load.total.requests
    else:
        most, fewest, limit = found.most_tokens, found.fewest_tokens, load.total.tokens
    what = f"{where}, {CALLS_AT_ONCE} at once, {load.name}"
    return [
        Result("limiter", f"{what}: fullest window", 100 * most / limit, "% of limit", at_most=100),
        Result("limiter", f"{what}: emptiest window", 100 * fewest / limit, "% of limit", at_least=90),
    ]


@contextmanager
def in_process(load: Load) -> Iterator[list[Limiter]]:
    """One process."""
    yield [InProcessLimiter(load.total, window_s=IN_PROCESS_WINDOW_S, slack_s=0.01)]


@contextmanager
def on_upstash(load: Load) -> Iterator[list[Limiter]]:
    """Two processes' worth, over one Redis."""
    with ExitStack() as stack:
        double = stack.enter_context(upstash.Upstash(stack.enter_context(upstash.redis_server())))
        yield [
            UpstashLimiter(double.url, upstash.TOKEN, load.total, window_s=UPSTASH_WINDOW_S, timeout_s=0.15)
            for _ in range(2)
        ]


async def calls_of(load: Load, limiters: list[Limiter], window_s: float) -> Extremes:
    """Windows of calls that are made as fast as they are let through, 50 at once."""
    now = asyncio.get_running_loop().time
    admissions = [Admission(one, max_wait_s=10 * window_s, poll_s=window_s / 60) for one in limiters]
    calls: list[Call] = []
    start_s = now()
    end_s = start_s + WINDOWS * window_s

    async def works(number: int) -> None:
        chance, tenant_id = random.Random(number), TENANTS[number % len(TENANTS)]
        admission = admissions[number // len(TENANTS) % len(admissions)]
        while now() < end_s:
            takes = round(load.tokens * chance.uniform(0.75, 1.25))
            reservation = await admission.admit(tenant_id, load.of_tenant, round(takes * 1.2))
            calls.append(Call(tenant_id, now(), takes))
            await asyncio.sleep(LATENCY_OF_WINDOW * window_s * chance.uniform(0.5, 1.5))
            await admission.settle(reservation, takes)

    await asyncio.gather(*(works(number) for number in range(CALLS_AT_ONCE)))
    for one in limiters:
        await one.aclose()
    return extremes(calls, window_s, start_s, end_s)
