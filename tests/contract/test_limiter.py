"""What every limiter of model calls promises: in process in virtual time, on Upstash over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import pytest
from tests.doubles import upstash
from tests.doubles.virtual_time import run_in_virtual_time
from tests.doubles.windows import Call, extremes

from coworkai.insights.limiter import (
    Admission,
    Bound,
    Denied,
    InProcessLimiter,
    Limiter,
    Limits,
    LimitWaitExceeded,
    Reservation,
)
from coworkai.insights.upstash import UpstashLimiter

AMPLE = Limits(100_000, 10_000_000)
_names = count()

Scenario = Callable[["Subject"], Coroutine[object, object, None]]


@dataclass(frozen=True)
class Subject:
    """A limiter under test and the calls that it let through."""

    limiter: Limiter
    admission: Admission
    window_s: float
    calls: list[Call]

    @staticmethod
    def now_s() -> float:
        return asyncio.get_running_loop().time()

    async def take(self, tokens: int, tenant_id: str = "acme", limits: Limits = AMPLE) -> Reservation:
        """A call, once it is let through."""
        reservation = await self.admission.admit(tenant_id, limits, tokens)
        self.calls.append(Call(tenant_id, self.now_s(), tokens))
        return reservation

    async def denied(self, tokens: int, tenant_id: str = "acme", limits: Limits = AMPLE) -> Denied:
        answer = await self.limiter.reserve(tenant_id, limits, tokens)
        assert isinstance(answer, Denied)
        return answer

    async def since(self, work: Awaitable[object]) -> float:
        """How many windows it took."""
        started_s = self.now_s()
        await work
        return (self.now_s() - started_s) / self.window_s


@dataclass(frozen=True)
class Kind:
    """A kind of limiter: runs a scenario against one of the total."""

    run: Callable[[Limits, Scenario], None]
    is_real: bool


@pytest.fixture(scope="module")
def redis_port() -> Iterator[int]:
    if not upstash.is_installed():
        pytest.skip("the shared limits are tested over a redis-server, and none is on the PATH")
    with upstash.redis_server() as port:
        yield port


@pytest.fixture(params=["in-process", pytest.param("upstash", marks=pytest.mark.integration)])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    async def scenario_on(limiter: Limiter, window_s: float, scenario: Scenario) -> None:
        admission = Admission(limiter, max_wait_s=10 * window_s, poll_s=window_s / 20)
        try:
            await scenario(Subject(limiter, admission, window_s, []))
        finally:
            await limiter.aclose()

    def virtual(total: Limits, scenario: Scenario) -> None:
        async def run() -> None:
            clock = asyncio.get_running_loop().time
            await scenario_on(InProcessLimiter(total, clock=clock), 60, scenario)

        run_in_virtual_time(run())

    with ExitStack() as stack:
        if request.param == "in-process":
            yield Kind(virtual, is_real=False)
            return
        double = stack.enter_context(upstash.Upstash(request.getfixturevalue("redis_port")))

        def real(total: Limits, scenario: Scenario) -> None:
            async def run() -> None:
                name = f"limits-{next(_names)}"
                limiter = UpstashLimiter(
                    double.url, upstash.TOKEN, total, window_s=2, name=name, timeout_s=0.5
                )
                await scenario_on(limiter, 2, scenario)
                assert not limiter.is_out

            asyncio.run(run())

        yield Kind(real, is_real=True)


def test_no_window_holds_more_than_the_limits_and_none_much_less_while_work_waits(kind: Kind) -> None:
    total, windows = Limits(40, 40_000), 3.2
    of_tenant = {"acme": Limits(28, 20_000), "globex": Limits(28, 28_000)}

    async def scenario(subject: Subject) -> None:
        start_s = subject.now_s()
        end_s = start_s + windows * subject.window_s

        async def works(tenant_id: str, sizes: Iterator[int]) -> None:
            while subject.now_s() < end_s:
                actual = next(sizes)
                reservation = await subject.admission.admit(tenant_id, of_tenant[tenant_id], actual + 200)
                subject.calls.append(Call(tenant_id, subject.now_s(), actual))
                await subject.admission.settle(reservation, actual)

        await asyncio.gather(
            *(
                works(tenant_id, (600 + 100 * ((n * 7 + worker) % 9) for n in count()))
                for tenant_id in of_tenant
                for worker in range(25)
            )
        )
        found = extremes(subject.calls, subject.window_s, start_s, end_s)
        assert found.most_requests <= total.requests
        assert found.most_tokens <= total.tokens
        # A call is up to a twenty-fifth of the limit, and a window may lack one or two at its ends. In real
        # time, a fifth of the window is kept for the time that an answer may take.
        least = 0.6 if kind.is_real else 0.85
        assert found.fewest_tokens >= least * total.tokens or found.fewest_requests >= least * total.requests
        for tenant_id, limits in of_tenant.items():
            own = [call for call in subject.calls if call.tenant_id == tenant_id]
            assert extremes(own, subject.window_s, start_s, end_s).most_requests <= limits.requests

    kind.run(total, scenario)


def test_tokens_of_the_fullest_window_are_within_the_limit_to_the_last_one(kind: Kind) -> None:
    total = Limits(100_000, 10_000)

    async def scenario(subject: Subject) -> None:
        start_s = subject.now_s()
        end_s = start_s + 2.5 * subject.window_s

        async def works(tokens: int) -> None:
            while subject.now_s() < end_s:
                await subject.take(tokens)

        await asyncio.gather(*(works(100 + 13 * worker) for worker in range(10)))
        found = extremes(subject.calls, subject.window_s, start_s, end_s)
        assert found.most_tokens <= total.tokens
        assert found.fewest_tokens >= (0.6 if kind.is_real else 0.9) * total.tokens

    kind.run(total, scenario)


def test_what_is_denied_takes_nothing_from_the_other_limits(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        await subject.take(600, "acme", Limits(10, 1_000))
        for _ in range(5):
            assert (await subject.denied(600, "acme", Limits(10, 1_000))).bound is Bound.TENANT
        assert await subject.since(subject.take(400, "globex")) < 0.8

    kind.run(Limits(1_000, 1_000), scenario)


def test_the_limit_of_all_together_is_told_from_a_tenants_own(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        await subject.take(900, "acme")
        assert (await subject.denied(900, "globex")).bound is Bound.TOTAL

    kind.run(Limits(1_000, 1_000), scenario)


def test_what_was_never_settled_counts_until_its_window_has_passed(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        await subject.take(1_000)
        denied = await subject.denied(1_000)
        assert denied.retry_after_s >= 0.95 * subject.window_s
        waited = await subject.since(subject.take(1_000))
        assert 0.95 <= waited <= (1.7 if kind.is_real else 1.01)

    kind.run(Limits(1_000, 1_000), scenario)


def test_settling_below_the_estimate_frees_the_rest_at_once(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        reservation = await subject.take(1_000)
        await subject.admission.settle(reservation, 100)
        assert await subject.since(subject.take(900)) < 0.6
        assert (await subject.denied(100)).retry_after_s > 0.5 * subject.window_s

    kind.run(Limits(1_000, 1_000), scenario)


def test_settling_above_the_estimate_counts_and_grants_nothing_until_there_is_room(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        reservation = await subject.take(400)
        await subject.admission.settle(reservation, 1_400)
        assert (await subject.denied(1)).retry_after_s > 0.8 * subject.window_s
        assert await subject.since(subject.take(600)) >= 0.9

    kind.run(Limits(1_000, 1_000), scenario)


def test_settling_twice_is_settling_once(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        reservation = await subject.take(1_000)
        for tokens in (500, 0, 500):
            await subject.limiter.settle(reservation, tokens)
        await subject.limiter.refund(reservation)
        assert (await subject.denied(501)).retry_after_s > 0.5 * subject.window_s
        assert await subject.since(subject.take(500)) < 0.8

    kind.run(Limits(1_000, 1_000), scenario)


def test_a_refund_gives_back_the_request_and_its_tokens_one_time(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        for _ in range(3):
            reservation = await subject.take(1_000)
            await subject.limiter.refund(reservation)
            await subject.limiter.refund(reservation)
        await subject.take(1_000)
        assert (await subject.denied(0)).retry_after_s > 0.8 * subject.window_s

    kind.run(Limits(1, 1_000), scenario)


def test_a_settled_call_keeps_its_request(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        await subject.limiter.settle(await subject.take(10), 0)
        assert await subject.since(subject.take(10)) >= 0.95

    kind.run(Limits(1, 1_000), scenario)


def test_a_tenant_at_its_own_limit_holds_up_nobody_else(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        own = Limits(1, 10_000)
        await subject.take(10, "acme", own)
        waiting = [asyncio.ensure_future(subject.take(10, "acme", own)) for _ in range(3)]
        assert await subject.since(_each(subject, 5)) < 0.6
        assert not any(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _each(subject: Subject, calls: int) -> None:
        for _ in range(calls):
            await subject.take(10, "globex")

    kind.run(Limits(1_000, 10_000), scenario)


def test_calls_of_a_tenant_go_in_the_order_that_they_came(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        sizes = [90, 30, 60, 10, 80, 20]
        await asyncio.gather(*(subject.take(size) for size in sizes))
        assert [call.tokens for call in subject.calls] == sizes

    kind.run(Limits(1_000, 200), scenario)


def test_tenants_that_share_the_total_go_in_turn(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        await asyncio.gather(
            *(subject.take(10, "acme") for _ in range(8)), *(subject.take(10, "globex") for _ in range(4))
        )
        first = [call.tenant_id for call in subject.calls[:8]]
        assert first.count("globex") >= 3

    kind.run(Limits(20, 10_000), scenario)


def test_a_large_call_is_not_overtaken_for_ever(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        async def small_ones() -> None:
            while True:
                await subject.take(100, "acme")

        small = asyncio.ensure_future(small_ones())
        await subject.take(100, "acme")
        assert await subject.since(subject.take(900, "globex")) <= 2
        small.cancel()
        await asyncio.gather(small, return_exceptions=True)

    kind.run(Limits(1_000, 1_000), scenario)


def test_the_wait_is_bounded_and_says_when_to_come_back(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        await subject.take(1_000)
        impatient = Admission(subject.limiter, max_wait_s=subject.window_s / 4)
        started_s = subject.now_s()
        with pytest.raises(LimitWaitExceeded) as exceeded:
            await impatient.admit("acme", AMPLE, 10)
        assert subject.now_s() - started_s <= 0.5 * subject.window_s
        assert exceeded.value.retry_after_s > 0.2 * subject.window_s

    kind.run(Limits(1_000, 1_000), scenario)


def test_a_call_that_no_window_could_hold_does_not_fit(kind: Kind) -> None:
    async def scenario(subject: Subject) -> None:
        assert subject.admission.fits(Limits(1, 500), 500)
        assert not subject.admission.fits(Limits(1, 500), 501)
        assert not subject.admission.fits(Limits(0, 500), 1)
        assert not subject.admission.fits(AMPLE, 1_001)
        assert (await subject.denied(1_001)).retry_after_s >= subject.window_s

    kind.run(Limits(1_000, 1_000), scenario)
