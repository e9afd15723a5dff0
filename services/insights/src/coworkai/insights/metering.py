"""What stands between the write path and a model: budget, rate limit, span, audit.

    budget of the day ─▶ limits of the minute ─▶ the call ─▶ what it took ─▶ its row
          └─ BudgetSpent       └─ LimitWaitExceeded    └─ each further attempt passes both again

Invariants:
- no attempt is made that the tenant's budget and limits, by its estimate, have no room for;
- a call that took less than its estimate gives the rest back, to both. A request that was made stays counted,
  except where it was turned down at the door, which cost nobody anything;
- a call of which nobody can say what it took keeps its estimate.

Spans follow OpenTelemetry's conventions for generative AI and hold no content; of exceptions, their type.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Self
from uuid import uuid4

from opentelemetry.trace import SpanKind, StatusCode, format_trace_id, get_current_span

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control, Spend
from coworkai.common.insight_policy import InsightPolicy
from coworkai.common.observability import get_logger, meter, tracer
from coworkai.insights.audit import LlmCall, Outcome
from coworkai.insights.limiter import Admission, InProcessLimiter, Limiter, Limits, Reservation
from coworkai.insights.llm import (
    COUNTS_TOKENS,
    A,
    Again,
    BudgetSpent,
    Completion,
    Model,
    ModelError,
    NotAdmitted,
    Prompt,
    Provider,
    Purpose,
    Rejected,
    Usage,
)
from coworkai.insights.prices import Prices
from coworkai.insights.settings import InsightsSettings

log = get_logger(__name__)

MICROUSD = 1_000_000
_PROVIDER_NAMES = {
    Provider.GEMINI: "gcp.vertex_ai",
    Provider.ENDPOINT: "gcp.vertex_ai",
    Provider.OPENAI: "openai",
}
_NOTHING = Spend(0, 0)
_NO_USAGE = Usage(attempts=0)
_REPLIED = frozenset({Outcome.ANSWERED, Outcome.REFUSED, Outcome.TRUNCATED, Outcome.MALFORMED})
"""Something came back, and took tokens whether or not the provider says how many."""

_calls = meter().create_counter("llm_calls", description="calls of models, by provider and outcome")
_tokens = meter().create_counter("llm_tokens", description="tokens of model calls, by direction")
_cost_usd = meter().create_counter("llm_cost_usd", description="estimated cost of model calls")


@dataclass
class _Call:
    """A call as far as it has come. `reserved` of the budget, over all attempts."""

    call_id: str
    called_at: datetime
    purpose: Purpose
    prompt_version: str | None
    model: Model
    input_estimate: int
    output_estimate: int
    reserved: Spend = _NOTHING
    reservation: Reservation | None = None
    attempts: int = 0
    waited_s: float = 0
    began_s: float | None = None
    usage: Usage = _NO_USAGE

    def runs_s(self) -> float:
        """Seconds since it was let through; 0 where it was not."""
        return 0 if self.began_s is None else asyncio.get_running_loop().time() - self.began_s


class Meter:
    """Budgets, limits and audit of all tenants' calls. For one event loop; the store is asked in threads.

    `share`: of each tenant's limits, what this process may grant.
    """

    def __init__(
        self,
        admission: Admission,
        control: Control,
        prices: Prices,
        *,
        share: float = 1,
        clock: Clock = utc_now,
    ) -> None:
        self.admission = admission
        self.control = control
        self.prices = prices
        self.share = share
        self.clock = clock

    @classmethod
    def from_settings(cls, settings: InsightsSettings, control: Control) -> Self:
        """Limits shared over Upstash where there is one, else this process's share. Raises SettingsError."""
        total = Limits(settings.model_requests_per_minute, settings.model_tokens_per_minute)
        if settings.upstash_url is None or settings.upstash_token is None:
            limiter: Limiter = InProcessLimiter(total.share(settings.own_share))
            if settings.own_share < 1:
                log.warning(
                    "no shared limits of model calls; a share is granted here", share=settings.own_share
                )
        else:
            from coworkai.insights.upstash import UpstashLimiter

            limiter = UpstashLimiter(
                settings.upstash_url,
                settings.upstash_token.get_secret_value(),
                total,
                outage_share=settings.upstash_outage_share,
            )
        admission = Admission(limiter, max_wait_s=settings.model_wait_s)
        return cls(admission, control, Prices.load(settings.model_prices), share=settings.own_share)

    def of(self, tenant_id: str, policy: InsightPolicy, brief_id: str | None = None) -> MeteredCalls:
        """What the tenant's calls, of that brief where one is given, go through."""
        return MeteredCalls(self, tenant_id, policy, brief_id)

    async def aclose(self) -> None:
        await self.admission.aclose()


@dataclass(frozen=True)
class MeteredCalls:
    """A tenant's way to models: `Metered` for drafts, and `count`."""

    meter: Meter
    tenant_id: str
    policy: InsightPolicy
    brief_id: str | None

    @property
    def limits(self) -> Limits:
        limits = Limits(self.policy.requests_per_minute, self.policy.tokens_per_minute)
        return limits.share(self.meter.share)

    @property
    def budget(self) -> Spend:
        return Spend(self.policy.daily_budget_tokens, round(self.policy.daily_budget_usd * MICROUSD))

    async def __call__(
        self, model: Model, prompt: Prompt[A], do: Callable[[Again], Awaitable[Completion[A]]], /
    ) -> Completion[A]:
        tokens = prompt.estimated_tokens(), model.max_output_tokens
        call = self._call(prompt.purpose, prompt.version, model, tokens)
        async with self._recorded(call):
            with _span(model):
                completion = await do(partial(self._again, call))
                _describe(completion)
            call.usage = completion.usage
        return completion

    async def count(self, model: Model, text: str) -> int | None:
        """Tokens of a text as the model's provider counts them, None where it does not.

        A request as any other, of no tokens and at no cost. Raises ModelError, NotAdmitted, BudgetSpent (more
        than the day's budget was taken).
        """
        if model.provider not in COUNTS_TOKENS:
            return None
        call = self._call(Purpose.COUNT, None, model, (0, 0))
        async with self._recorded(call):
            with _span(model, Purpose.COUNT):
                counted = await model.count_tokens(text)
            call.usage = Usage(1, call.runs_s(), 0, 0)
        return counted

    def _call(self, purpose: Purpose, version: str | None, model: Model, tokens: tuple[int, int]) -> _Call:
        """A call that is about to be made, with its estimate of input and output."""
        return _Call(uuid4().hex, self.meter.clock(), purpose, version, model, *tokens)

    @asynccontextmanager
    async def _recorded(self, call: _Call) -> AsyncIterator[None]:
        """Lets the call through, and keeps what came of it: `call.usage`, or an error."""
        try:
            await self._let_through(call)
            call.began_s = asyncio.get_running_loop().time()
            yield
        except BaseException as error:
            await self._over(call, _outcome(error), _usage(call, error), error)
            raise
        await self._over(call, Outcome.ANSWERED, call.usage)

    async def _let_through(self, call: _Call) -> None:
        """Raises Rejected, BudgetSpent, LimitWaitExceeded."""
        tokens = call.input_estimate + call.output_estimate
        if not self.meter.admission.fits(self.limits, tokens):
            error = Rejected("the call is larger than the limits of a minute")
            error.usage = Usage(attempts=0)
            raise error
        estimate = Spend(tokens, self._cost_microusd(call, call.input_estimate, call.output_estimate) or 0)
        lost = self._row(call, Outcome.LOST, Usage(attempts=call.attempts + 1)).json()
        if not await asyncio.to_thread(
            partial(self.meter.control.reserve_spend, call_id=call.call_id, lost=lost),
            *(self.tenant_id, call.called_at.date(), estimate, self.budget),
        ):
            raise BudgetSpent("the tenant's budget of the day is spent")
        call.reserved = Spend(
            call.reserved.tokens + estimate.tokens,
            call.reserved.cost_microusd + estimate.cost_microusd,
        )
        now = asyncio.get_running_loop().time
        asked_s = now()
        try:
            call.reservation = await self.meter.admission.admit(self.tenant_id, self.limits, tokens)
        finally:
            call.waited_s += now() - asked_s
        call.attempts += 1

    async def _again(self, call: _Call) -> None:
        """Before a further attempt: the one before brought nothing, and kept its request."""
        if call.reservation is not None:
            await self.meter.admission.settle(call.reservation, 0)
            call.reservation = None
        await self._let_through(call)

    # ------------------------------------------------------------------------------------------- over
    async def _over(
        self, call: _Call, outcome: Outcome, usage: Usage, error: BaseException | None = None
    ) -> None:
        """Give back what was not taken, and keep the call's row. Raises StorageUnavailable."""
        took = _took(call, outcome, usage)
        if call.reservation is not None and took is not None:
            if outcome is Outcome.REJECTED and took == (0, 0):
                await self.meter.admission.refund(call.reservation)
            else:
                await self.meter.admission.settle(call.reservation, sum(took))
        change = _NOTHING
        if took is not None and call.reserved != _NOTHING:
            change = Spend(
                sum(took) - call.reserved.tokens,
                (self._cost_microusd(call, *took) or 0) - call.reserved.cost_microusd,
            )
        row = self._row(call, outcome, usage, error)
        await asyncio.to_thread(
            partial(self.meter.control.settle_spend, call_id=row.call_id, row=row.json()),
            *(self.tenant_id, row.date, change),
        )
        _calls.add(1, {"provider": row.provider, "outcome": outcome.value})
        _tokens.add(usage.input_tokens or 0, {"direction": "input"})
        _tokens.add(usage.output_tokens or 0, {"direction": "output"})
        _cost_usd.add(row.cost_usd or 0)

    def _row(
        self, call: _Call, outcome: Outcome, usage: Usage, error: BaseException | None = None
    ) -> LlmCall:
        cost_microusd: int | None = None
        if usage.input_tokens is not None and usage.output_tokens is not None:
            cost_microusd = self._cost_microusd(call, usage.input_tokens, usage.output_tokens)
        trace_id = get_current_span().get_span_context().trace_id
        return LlmCall(
            tenant_id=self.tenant_id,
            date=call.called_at.date(),
            call_id=call.call_id,
            called_at=call.called_at,
            purpose=call.purpose.value,
            provider=call.model.provider.value,
            model=call.model.name,
            prompt_version=call.prompt_version,
            brief_id=self.brief_id,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            attempts=usage.attempts,
            waited_s=call.waited_s,
            latency_s=usage.latency_s,
            outcome=outcome,
            error_type=None if error is None else type(error).__name__,
            cost_usd=None if cost_microusd is None else cost_microusd / MICROUSD,
            trace_id=format_trace_id(trace_id) if trace_id else None,
        )

    def _cost_microusd(self, call: _Call, input_tokens: int, output_tokens: int) -> int | None:
        model = call.model
        price = self.meter.prices.of(self.tenant_id, model.provider, model.name, input_tokens)
        return None if price is None else price.cost_microusd(input_tokens, output_tokens)


def _took(call: _Call, outcome: Outcome, usage: Usage) -> tuple[int, int] | None:
    """Input and output tokens that the call is held to have taken; None for all that was reserved."""
    if outcome in {Outcome.CANCELLED, Outcome.FAILED} and call.attempts:
        return None
    if outcome not in _REPLIED:
        return usage.input_tokens or 0, usage.output_tokens or 0
    return (
        call.input_estimate if usage.input_tokens is None else usage.input_tokens,
        call.output_estimate if usage.output_tokens is None else usage.output_tokens,
    )


def _outcome(error: BaseException) -> Outcome:
    match error:
        case ModelError():
            return Outcome(error.failure.value)
        case BudgetSpent():
            return Outcome.BUDGET
        case NotAdmitted():
            return Outcome.NOT_ADMITTED
        case asyncio.CancelledError():
            return Outcome.CANCELLED
    return Outcome.FAILED


def _usage(call: _Call, error: BaseException) -> Usage:
    """What a call that ended so took: as its error says, where an attempt was made."""
    if isinstance(error, ModelError) and call.attempts and call.purpose is not Purpose.COUNT:
        return error.usage
    return Usage(attempts=call.attempts, latency_s=call.runs_s())


# ------------------------------------------------------------------------------------------- spans


@contextmanager
def _span(model: Model, purpose: Purpose = Purpose.BRIEF) -> Iterator[None]:
    operation = "count_tokens" if purpose is Purpose.COUNT else "chat"
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDER_NAMES[model.provider],
        "gen_ai.request.model": model.name,
    }
    if purpose is not Purpose.COUNT:
        attributes |= {
            "gen_ai.request.max_tokens": model.max_output_tokens,
            "gen_ai.output.type": "json",
        }
    with tracer().start_as_current_span(
        f"{operation} {model.name}",
        kind=SpanKind.CLIENT,
        attributes=attributes,
        # Both would put an exception's message into the span.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


def _describe(completion: Completion[A]) -> None:
    """What came back, on the current span."""
    span = get_current_span()
    span.set_attribute("gen_ai.response.model", completion.model)
    span.set_attribute("gen_ai.response.finish_reasons", [completion.finish_reason])
    if completion.usage.input_tokens is not None:
        span.set_attribute("gen_ai.usage.input_tokens", completion.usage.input_tokens)
    if completion.usage.cached_tokens is not None:
        span.set_attribute("gen_ai.usage.cache_read.input_tokens", completion.usage.cached_tokens)
    if completion.usage.output_tokens is not None:
        span.set_attribute("gen_ai.usage.output_tokens", completion.usage.output_tokens)
