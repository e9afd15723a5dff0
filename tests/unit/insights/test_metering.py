"""Every call of a model passes budget and limits, gives back what it did not take, and leaves its row."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from coworkai.common.control import Control, Spend
from coworkai.common.insight_policy import InsightPolicy
from coworkai.common.lake import Lake, scan
from coworkai.common.tables import OPS_LLM_CALLS
from coworkai.insights import metering
from coworkai.insights.audit import LlmCall, Outcome, frame_of, publish_calls
from coworkai.insights.limiter import Admission, InProcessLimiter, Limits, LimitWaitExceeded
from coworkai.insights.llm import (
    A,
    Again,
    BudgetSpent,
    Completion,
    Limited,
    Malformed,
    Model,
    ModelError,
    NotAdmitted,
    Prompt,
    Provider,
    Purpose,
    Rejected,
    Unavailable,
    Usage,
)
from coworkai.insights.metering import Meter
from coworkai.insights.prices import Price, Prices

NOW = datetime(2026, 11, 3, 23, 59, 59, tzinfo=UTC)
TODAY = NOW.date()
SECRET = "the worker's own words"
POLICY = InsightPolicy(requests_per_minute=10, tokens_per_minute=10_000, daily_budget_tokens=20_000)


class Answer(BaseModel):
    text: str


@dataclass(frozen=True)
class NamedModel:
    """A model by name only: what is asked of it, a test answers itself."""

    name: str = "m"
    provider: Provider = Provider.GEMINI
    max_output_tokens: int = 1_000
    counted: int | ModelError = 777

    async def draft(self, prompt: Prompt[A], again: Again = ...) -> Completion[A]:  # type: ignore[assignment]
        raise AssertionError

    async def count_tokens(self, text: str) -> int | None:
        if isinstance(self.counted, ModelError):
            raise self.counted
        return self.counted

    async def aclose(self) -> None:
        return


PROMPT = Prompt(Purpose.BRIEF, "brief_v2:abc", "system", SECRET * 10, Answer)
ESTIMATE = PROMPT.estimated_tokens() + 1_000
Do = Callable[[Again], Awaitable[Completion[Answer]]]


def answered(
    input_tokens: int | None = 100,
    output_tokens: int | None = 50,
    attempts: int = 1,
    cached_tokens: int | None = 30,
) -> Do:
    async def do(again: Again) -> Completion[Answer]:
        for _ in range(attempts - 1):
            await again()
        usage = Usage(attempts, 1.5, input_tokens, output_tokens, cached_tokens)
        return Completion(Answer(text=SECRET), SECRET, "STOP", "m-001", usage)

    return do


def fails(error: BaseException, usage: Usage | None = None) -> Do:
    async def do(_again: Again) -> Completion[Answer]:
        if isinstance(error, ModelError) and usage is not None:
            error.usage = usage
        raise error

    return do


@dataclass
class Bench:
    """A meter over a store of its own, and what it left behind."""

    control: Control
    total: Limits = field(default_factory=lambda: Limits(10, 10_000))
    prices: Prices = field(default_factory=lambda: Prices([Price(Provider.GEMINI, "m", 2.0, 4.0)]))

    def call(
        self,
        *dos: Do,
        policy: InsightPolicy = POLICY,
        model: Model | None = None,
        max_wait_s: float = 0.05,
        share: float = 1,
    ) -> list[Completion[Answer] | BaseException]:
        """What calls came to, one after the other, by one limiter."""

        async def run() -> list[Completion[Answer] | BaseException]:
            self.limiter = InProcessLimiter(self.total, burst=None)
            admission = Admission(self.limiter, max_wait_s=max_wait_s)
            meter = Meter(admission, self.control, self.prices, share=share, clock=lambda: NOW)
            metered = meter.of("acme", policy, "b" * 32)
            results: list[Completion[Answer] | BaseException] = []
            for do in dos:
                results += await asyncio.gather(
                    metered(model or NamedModel(), PROMPT, do), return_exceptions=True
                )
            await meter.aclose()
            return results

        return asyncio.run(run())

    def count(self, *models: Model, policy: InsightPolicy = POLICY) -> list[int | BaseException | None]:
        """What counting the tokens of a text came to, by each of the models, one after the other."""

        async def run() -> list[int | BaseException | None]:
            admission = Admission(InProcessLimiter(self.total, burst=None), max_wait_s=0.05)
            meter = Meter(admission, self.control, self.prices, clock=lambda: NOW)
            metered = meter.of("acme", policy, "b" * 32)
            results: list[int | BaseException | None] = []
            for model in models:
                results += await asyncio.gather(metered.count(model, SECRET), return_exceptions=True)
            await meter.aclose()
            return results

        return asyncio.run(run())

    def rows(self) -> list[LlmCall]:
        rows = self.control.unpublished_calls("acme").values()
        return [msgspec.json.decode(row, type=LlmCall) for row in rows]

    def row(self) -> LlmCall:
        (row,) = self.rows()
        return row

    @property
    def spend(self) -> Spend:
        return self.control.spend("acme", TODAY)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    control = Control(f"sqlite:///{tmp_path / 'control.db'}")
    control.migrate()
    yield Bench(control)
    control.close()


def test_an_answered_call_is_recorded_with_what_it_took_and_cost(bench: Bench) -> None:
    bench.call(answered())
    row = bench.row()
    assert row == LlmCall(
        tenant_id="acme",
        date=date(2026, 11, 3),
        call_id=row.call_id,
        called_at=NOW,
        purpose="brief",
        provider="gemini",
        model="m",
        prompt_version="brief_v2:abc",
        brief_id="b" * 32,
        input_tokens=100,
        output_tokens=50,
        cached_tokens=30,
        attempts=1,
        waited_s=row.waited_s,
        latency_s=1.5,
        outcome=Outcome.ANSWERED,
        cost_usd=0.0004,
        trace_id=row.trace_id,
    )
    assert bench.spend == Spend(150, 400)


def test_a_process_grants_no_more_than_its_share_of_a_tenants_limits(bench: Bench) -> None:
    policy = replace(POLICY, tokens_per_minute=100_000)
    kept, refused = bench.call(answered(), answered(), policy=policy, share=0.1)
    assert isinstance(kept, Completion)
    assert isinstance(refused, LimitWaitExceeded)


def test_no_text_is_in_a_row(bench: Bench) -> None:
    bench.call(answered(), fails(Malformed(SECRET, problems=(SECRET,))), fails(RuntimeError(SECRET)))
    rows = bench.control.unpublished_calls("acme")
    assert len(rows) == 3
    assert SECRET not in "".join(rows.values())


def test_a_call_that_took_less_than_its_estimate_leaves_room_for_others(bench: Bench) -> None:
    bench.total = Limits(10, ESTIMATE + 300)
    results = bench.call(answered(), answered(), answered(), answered())
    assert [isinstance(one, Completion) for one in results] == [True, True, True, False]
    assert isinstance(results[3], LimitWaitExceeded)


def test_a_provider_that_does_not_say_what_it_took_took_the_estimate(bench: Bench) -> None:
    bench.call(answered(None, None))
    row = bench.row()
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (None, None, None)
    assert bench.spend.tokens == ESTIMATE


def test_a_model_without_a_price_costs_nobody_knows_what(bench: Bench) -> None:
    bench.call(answered(), model=NamedModel("another"))
    assert bench.row().cost_usd is None
    assert bench.spend == Spend(150, 0)


def test_a_spent_budget_of_tokens_stops_calls_before_they_are_made(bench: Bench) -> None:
    policy = InsightPolicy(daily_budget_tokens=ESTIMATE + 100)
    results = bench.call(answered(), fails(AssertionError("called")), policy=policy)
    assert isinstance(results[1], BudgetSpent)
    assert sorted((row.outcome, row.attempts) for row in bench.rows()) == [
        (Outcome.ANSWERED, 1),
        (Outcome.BUDGET, 0),
    ]
    assert bench.spend.tokens == 150


def test_a_spent_budget_of_dollars_stops_calls_before_they_are_made(bench: Bench) -> None:
    policy = InsightPolicy(daily_budget_usd=0.001)
    (result,) = bench.call(fails(AssertionError("called")), policy=policy)
    assert isinstance(result, BudgetSpent)
    assert bench.spend == Spend(0, 0)


def test_what_the_limits_do_not_let_through_takes_nothing_of_the_budget(bench: Bench) -> None:
    bench.total = Limits(1, 10_000)
    results = bench.call(answered(), fails(AssertionError("called")))
    assert isinstance(results[1], NotAdmitted)
    refused = next(row for row in bench.rows() if row.outcome is Outcome.NOT_ADMITTED)
    assert refused.attempts == 0
    assert refused.waited_s >= 0.04
    assert refused.error_type == "LimitWaitExceeded"
    assert bench.spend.tokens == 150


def test_a_call_larger_than_a_minutes_limits_is_turned_down_at_once(bench: Bench) -> None:
    policy = InsightPolicy(tokens_per_minute=ESTIMATE - 1)
    (result,) = bench.call(fails(AssertionError("called")), policy=policy, max_wait_s=60)
    assert isinstance(result, Rejected)
    assert result.usage.attempts == 0
    assert (bench.row().outcome, bench.row().attempts) == (Outcome.REJECTED, 0)


@pytest.mark.parametrize(
    ("error", "usage", "outcome", "tokens"),
    [
        (Limited("busy"), Usage(3, 2.0), Outcome.LIMITED, 0),
        (Unavailable("down"), Usage(1, 2.0), Outcome.UNAVAILABLE, 0),
        (Unavailable("broke off"), Usage(1, 2.0, 70, 5), Outcome.UNAVAILABLE, 75),
        (Malformed("prose"), Usage(1, 2.0, 70, 30), Outcome.MALFORMED, 100),
        (Malformed("prose, uncounted"), Usage(1, 2.0), Outcome.MALFORMED, ESTIMATE),
        (Rejected("no such model"), Usage(1, 0.1), Outcome.REJECTED, 0),
    ],
)
def test_a_call_without_an_answer_is_held_to_what_it_took(
    bench: Bench, error: ModelError, usage: Usage, outcome: Outcome, tokens: int
) -> None:
    (result,) = bench.call(fails(error, usage))
    assert result is error
    row = bench.row()
    assert (row.outcome, row.attempts, row.latency_s) == (outcome, usage.attempts, usage.latency_s)
    assert row.error_type == type(error).__name__
    assert bench.spend.tokens == tokens


@pytest.mark.parametrize(("error", "is_let_through"), [(Rejected("no"), True), (Limited("busy"), False)])
def test_a_request_that_was_made_counts_unless_it_was_turned_down_at_the_door(
    bench: Bench, error: ModelError, is_let_through: bool
) -> None:
    bench.total = Limits(1, 10_000)
    results = bench.call(fails(error, Usage()), answered())
    assert isinstance(results[1], Completion) is is_let_through


def test_every_further_attempt_takes_a_request_more(bench: Bench) -> None:
    bench.total = Limits(4, 10_000)
    results = bench.call(answered(attempts=3), answered(), answered())
    assert [isinstance(one, Completion) for one in results] == [True, True, False]
    assert bench.spend.tokens == 300
    assert next(row for row in bench.rows() if row.attempts == 3).outcome is Outcome.ANSWERED


def test_a_further_attempt_that_the_limits_leave_no_room_for_ends_the_call(bench: Bench) -> None:
    bench.total = Limits(1, 10_000)
    (result,) = bench.call(answered(attempts=2))
    assert isinstance(result, NotAdmitted)
    assert (bench.row().outcome, bench.row().attempts) == (Outcome.NOT_ADMITTED, 1)
    assert bench.spend.tokens == 0


def test_a_further_attempt_that_the_budget_leaves_no_room_for_ends_the_call(bench: Bench) -> None:
    policy = InsightPolicy(daily_budget_tokens=ESTIMATE + 10)
    (result,) = bench.call(answered(attempts=2), policy=policy)
    assert isinstance(result, BudgetSpent)
    assert bench.spend.tokens == 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(asyncio.CancelledError(), Outcome.CANCELLED), (RuntimeError("ours"), Outcome.FAILED)],
)
def test_a_call_that_was_broken_off_keeps_its_estimate(
    bench: Bench, error: BaseException, outcome: Outcome
) -> None:
    bench.call(fails(error))
    assert bench.row().outcome is outcome
    assert bench.spend.tokens == ESTIMATE


def test_a_call_that_is_not_over_is_lost_until_it_is_heard_of(tmp_path: Path) -> None:
    clock = [NOW]
    control = Control(f"sqlite:///{tmp_path / 'control.db'}", lambda: clock[0])
    control.migrate()
    bench = Bench(control)

    async def do(_again: Again) -> Completion[Answer]:
        assert control.unpublished_calls("acme") == {}
        clock[0] = datetime(2026, 11, 4, 0, 15, tzinfo=UTC)
        assert bench.row().outcome is Outcome.LOST
        return await answered()(_again)

    bench.call(do)
    assert bench.row().outcome is Outcome.ANSWERED
    control.close()


def test_calls_that_are_over_are_published_once(bench: Bench, tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"), {})
    bench.call(answered(), fails(Limited("busy")))
    rows = sorted(bench.rows(), key=lambda row: row.call_id)
    assert publish_calls(lake, bench.control, "acme", fence=1) == 2
    assert publish_calls(lake, bench.control, "acme", fence=1) == 0
    bench.call(answered())
    assert publish_calls(lake, bench.control, "acme", fence=1) == 1
    published = scan(lake.open(OPS_LLM_CALLS, "acme"), OPS_LLM_CALLS).collect().sort("call_id")
    assert published.height == 3
    assert published.join(frame_of(rows), on="call_id", how="semi").equals(frame_of(rows))


def test_tokens_that_a_provider_counts_are_a_call_without_tokens_or_cost(bench: Bench) -> None:
    assert bench.count(NamedModel()) == [777]
    row = bench.row()
    assert (row.purpose, row.provider, row.model, row.brief_id) == ("count", "gemini", "m", "b" * 32)
    assert (row.outcome, row.attempts, row.prompt_version) == (Outcome.ANSWERED, 1, None)
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (0, 0, 0)
    assert bench.spend == Spend(0, 0)
    assert SECRET not in row.json()


def test_a_provider_that_counts_nothing_is_not_asked(bench: Bench) -> None:
    models = [NamedModel(provider=provider) for provider in (Provider.OPENAI, Provider.ENDPOINT)]
    assert bench.count(*models) == [None, None]
    assert bench.rows() == []


def test_counting_is_a_request_of_the_limits(bench: Bench) -> None:
    bench.total = Limits(1, 10_000)
    counted, refused = bench.count(NamedModel(), NamedModel())
    assert counted == 777
    assert isinstance(refused, NotAdmitted)
    assert sorted(row.outcome for row in bench.rows()) == [Outcome.ANSWERED, Outcome.NOT_ADMITTED]


def test_counting_goes_on_where_the_budget_is_used_up_as_it_takes_none(bench: Bench) -> None:
    bench.call(answered())
    policy = replace(POLICY, daily_budget_tokens=150, daily_budget_usd=0.0004)
    assert bench.count(NamedModel(), policy=policy) == [777]
    assert bench.spend == Spend(150, 400)


def test_counting_that_fails_has_a_row_that_says_how(bench: Bench) -> None:
    error = Unavailable("down")
    assert bench.count(NamedModel(counted=error)) == [error]
    row = bench.row()
    assert (row.purpose, row.outcome, row.error_type) == ("count", Outcome.UNAVAILABLE, "Unavailable")
    assert bench.spend == Spend(0, 0)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(metering, "tracer", lambda: provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def test_a_call_is_a_span_of_the_genai_conventions(bench: Bench, spans: InMemorySpanExporter) -> None:
    bench.call(answered())
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind.name) == ("chat m", "CLIENT")
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.vertex_ai",
        "gen_ai.request.model": "m",
        "gen_ai.request.max_tokens": 1_000,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "m-001",
        "gen_ai.response.finish_reasons": ("STOP",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "gen_ai.usage.output_tokens": 50,
    }


def test_a_span_of_a_failed_call_has_the_errors_type_and_no_content(
    bench: Bench, spans: InMemorySpanExporter
) -> None:
    bench.call(fails(Malformed(SECRET, problems=(SECRET,))), fails(RuntimeError(SECRET)))

    written = [str(span.to_json()) for span in spans.get_finished_spans()]
    assert ["Malformed" in written[0], "RuntimeError" in written[1]] == [True, True]
    assert SECRET not in "".join(written)
