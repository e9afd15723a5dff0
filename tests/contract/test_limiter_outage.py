"""What the shared limits do when Upstash answers late, wrongly or not at all, over a real Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import pytest
from tests.doubles import upstash
from tests.doubles.upstash import Fault

from coworkai.insights.limiter import Admission, Bound, Denied, Limits, Reservation
from coworkai.insights.upstash import UpstashLimiter

pytestmark = pytest.mark.integration

TOTAL = Limits(100, 10_000)
AMPLE = Limits(1_000, 100_000)
_names = count()


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    if not upstash.is_installed():
        pytest.skip("the shared limits are tested over a redis-server, and none is on the PATH")
    with upstash.redis_server() as port:
        yield port


@pytest.fixture
def double(redis_port: int) -> Iterator[upstash.Upstash]:
    with upstash.Upstash(redis_port) as running:
        yield running


class Clock:
    """The process's own time, moved by hand; Redis keeps its own."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits_name() -> str:
    return f"outage-{next(_names)}"


@pytest.fixture
def run(
    double: upstash.Upstash, clock: Clock, limits_name: str
) -> Callable[[Callable[[UpstashLimiter], Awaitable[None]]], None]:
    """Runs a scenario against a limiter of sixty seconds."""

    def scenario_on(scenario: Callable[[UpstashLimiter], Awaitable[None]]) -> None:
        async def on() -> None:
            limiter = UpstashLimiter(
                double.url, upstash.TOKEN, TOTAL, name=limits_name, timeout_s=0.3, retry_s=10, clock=clock
            )
            try:
                await scenario(limiter)
            finally:
                await limiter.aclose()

        asyncio.run(on())

    return scenario_on


Run = Callable[[Callable[[UpstashLimiter], Awaitable[None]]], None]


async def granted(limiter: UpstashLimiter, tokens: int, times: int = 1) -> int:
    """How many of so many calls are let through."""
    answers = [await limiter.reserve("acme", AMPLE, tokens) for _ in range(times)]
    return sum(isinstance(answer, Reservation) for answer in answers)


def used(redis_port: int, name: str) -> tuple[int, int]:
    """Requests and tokens of the total as Redis has them."""
    requests, tokens = upstash.redis_command(
        redis_port, "HMGET", f"{{{name}}}:total:state", "requests", "tokens"
    )
    return int(requests), int(tokens)


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SILENT])
def test_without_upstash_a_share_of_the_limit_is_granted_and_no_more(
    fault: Fault, double: upstash.Upstash, clock: Clock, run: Run
) -> None:
    async def scenario(limiter: UpstashLimiter) -> None:
        double.fault = fault
        assert await granted(limiter, 50, times=40) == 10
        assert limiter.is_out
        clock.now_s += 61
        assert await granted(limiter, 500, times=5) == 2

    run(scenario)


def test_what_redis_granted_before_counts_when_it_is_gone(double: upstash.Upstash, run: Run) -> None:
    async def scenario(limiter: UpstashLimiter) -> None:
        assert await granted(limiter, 1_000) == 1
        double.fault = Fault.DOWN
        assert await granted(limiter, 1, times=5) == 0

    run(scenario)


def test_what_was_granted_without_redis_counts_when_it_is_back(
    double: upstash.Upstash, clock: Clock, run: Run
) -> None:
    async def scenario(limiter: UpstashLimiter) -> None:
        double.fault = Fault.DOWN
        assert await granted(limiter, 1_000) == 1
        double.fault = Fault.NONE
        clock.now_s += 11
        assert await granted(limiter, 9_001) == 0
        assert await granted(limiter, 9_000) == 1
        assert not limiter.is_out

    run(scenario)


def test_an_outage_is_logged_once_and_ends_by_itself(
    double: upstash.Upstash, clock: Clock, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "coworkai.insights.upstash")

    async def scenario(limiter: UpstashLimiter) -> None:
        double.fault = Fault.DOWN
        for _ in range(3):
            await granted(limiter, 10)
            clock.now_s += 11
        double.fault = Fault.NONE
        assert await granted(limiter, 10) == 1
        assert not limiter.is_out

    run(scenario)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "shared limits of model calls do not answer; a share is granted here"),
        ("INFO", "shared limits of model calls answer again"),
    ]


def test_in_an_outage_upstash_is_asked_again_only_after_a_while(
    double: upstash.Upstash, clock: Clock, run: Run
) -> None:
    async def scenario(limiter: UpstashLimiter) -> None:
        double.fault = Fault.DOWN
        await granted(limiter, 10)
        double.fault = Fault.NONE
        before = len(double.commands)
        await granted(limiter, 10, times=5)
        assert len(double.commands) == before
        clock.now_s += 11
        await granted(limiter, 10)
        assert len(double.commands) > before

    run(scenario)


def test_a_lost_answer_counts_once(
    double: upstash.Upstash, redis_port: int, limits_name: str, run: Run
) -> None:
    reservations: list[Reservation] = []

    async def scenario(limiter: UpstashLimiter) -> None:
        double.fault = Fault.LOSES_ONE_ANSWER
        reservation = await limiter.reserve("acme", AMPLE, 500)
        assert isinstance(reservation, Reservation)
        assert not limiter.is_out
        reservations.append(reservation)

    async def settled(limiter: UpstashLimiter) -> None:
        double.fault = Fault.LOSES_ONE_ANSWER
        await limiter.settle(reservations[0], 800)

    run(scenario)
    assert used(redis_port, limits_name) == (1, 500)
    run(settled)
    assert used(redis_port, limits_name) == (1, 800)


def test_settling_in_an_outage_fails_nobody(double: upstash.Upstash, run: Run) -> None:
    async def scenario(limiter: UpstashLimiter) -> None:
        reservation = await limiter.reserve("acme", AMPLE, 500)
        assert isinstance(reservation, Reservation)
        double.fault = Fault.DOWN
        await limiter.settle(reservation, 100)
        assert limiter.is_out
        await limiter.refund(reservation)

    run(scenario)


def test_a_wrong_token_is_an_outage_and_not_without_limit(double: upstash.Upstash, limits_name: str) -> None:
    async def scenario() -> None:
        limiter = UpstashLimiter(double.url, "another-token", TOTAL, name=limits_name, timeout_s=0.3)
        try:
            assert await granted(limiter, 100, times=20) == 10
            assert limiter.is_out
        finally:
            await limiter.aclose()

    asyncio.run(scenario())


def test_two_processes_share_the_limit(double: upstash.Upstash, limits_name: str) -> None:
    async def scenario() -> None:
        first, second = (
            UpstashLimiter(double.url, upstash.TOKEN, TOTAL, name=limits_name, timeout_s=0.3)
            for _ in range(2)
        )
        try:
            assert await granted(first, 6_000) == 1
            denied = await second.reserve("globex", AMPLE, 6_000)
            assert isinstance(denied, Denied)
            assert denied.bound is Bound.TOTAL
            assert denied.retry_after_s > 50
        finally:
            await first.aclose()
            await second.aclose()

    asyncio.run(scenario())


def test_what_one_process_gives_back_another_that_waits_gets(
    double: upstash.Upstash, limits_name: str
) -> None:
    async def scenario() -> None:
        first, second = (
            UpstashLimiter(double.url, upstash.TOKEN, TOTAL, name=limits_name, timeout_s=0.3)
            for _ in range(2)
        )
        try:
            reservation = await Admission(first).admit("acme", AMPLE, 10_000)
            waiting = asyncio.ensure_future(Admission(second, poll_s=0.05).admit("globex", AMPLE, 10_000))
            async with asyncio.timeout(5):
                await asyncio.wait({waiting}, timeout=0.1)
                assert not waiting.done()
                await first.refund(reservation)
                assert (await waiting).tokens == 10_000
        finally:
            await first.aclose()
            await second.aclose()

    asyncio.run(scenario())


def test_every_key_expires_and_lies_on_one_node(
    double: upstash.Upstash, redis_port: int, limits_name: str, run: Run
) -> None:
    async def scenario(limiter: UpstashLimiter) -> None:
        assert await granted(limiter, 10) == 1

    run(scenario)
    keys = upstash.redis_command(redis_port, "KEYS", f"*{limits_name}*")
    assert sorted(keys) == [
        f"{{{limits_name}}}:{whose}:{what}" for whose in ("tenant:acme", "total") for what in ("log", "state")
    ]
    for key in keys:
        assert 60_000 < upstash.redis_command(redis_port, "PTTL", key) <= 130_000


def test_a_script_that_redis_has_forgotten_is_sent_again(
    double: upstash.Upstash, redis_port: int, run: Run
) -> None:
    upstash.redis_command(redis_port, "SCRIPT", "FLUSH")

    async def scenario(limiter: UpstashLimiter) -> None:
        assert await granted(limiter, 10, times=2) == 2
        assert not limiter.is_out

    run(scenario)
    assert double.commands == ["EVALSHA", "EVAL", "EVALSHA"]
