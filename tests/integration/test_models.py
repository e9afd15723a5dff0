"""One suite for all adapters: the providers' own libraries over HTTP, against a double with their failures.

Whatever a model does, a brief comes of it that is right, or a failure that says whether to come back.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest
from google.oauth2.credentials import Credentials
from tests.doubles.vertex import (
    CACHED_TOKENS,
    COUNTED_TOKENS,
    INPUT_TOKENS,
    MODEL_VERSION,
    OUTPUT_TOKENS,
    Answer,
    Ending,
    Fault,
    Gibberish,
    Half,
    Hang,
    ModelDouble,
    Play,
    in_turn,
)
from tests.unit.insights import books
from tests.unit.insights.written import assert_right

from coworkai.insights.answers import Repair, Repairs
from coworkai.insights.assemble import sections_of
from coworkai.insights.brief import Claim, Draft, Statement, StatementKind
from coworkai.insights.compose import compose
from coworkai.insights.insights import insights_of
from coworkai.insights.llm import (
    Adapter,
    BoundedModel,
    Completion,
    Limited,
    Malformed,
    ModelError,
    ModelSettings,
    Prompt,
    Provider,
    Purpose,
    Refused,
    Rejected,
    Truncated,
    Unavailable,
)
from coworkai.insights.models.gemini import WorkHorseLLM
from coworkai.insights.models.openai import OpenAIModel
from coworkai.insights.offer import offered
from coworkai.insights.prompts.fill import OfferedIds, prompts_version
from coworkai.insights.write import Written, write_brief

PATIENCE_S = 20
"""Far more than an answer takes."""
HANG_S = 0.5
ATTEMPTS = 3
T = TypeVar("T")
CREDENTIALS = Credentials("a-token")  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Kind:
    """One way to be asked."""

    provider: Provider
    is_streamed: bool = False

    def __str__(self) -> str:
        return f"{self.provider.value}{'-streamed' if self.is_streamed else ''}"

    def settings(self, url: str, timeout_s: float) -> ModelSettings:
        return ModelSettings(
            provider=self.provider,
            model="workhorse",
            base_url=f"{url}/v1" if self.provider is Provider.OPENAI else url,
            project="p",
            location="us-central1",
            endpoint="7",
            timeout_s=timeout_s,
            silence_s=timeout_s / 2 if self.is_streamed else None,
            attempts=ATTEMPTS,
            backoff_s=0.01,
            backoff_max_s=0.2,
        )

    def adapter(self, settings: ModelSettings) -> Adapter:
        if self.provider is Provider.GEMINI:
            return WorkHorseLLM(settings, CREDENTIALS)
        if self.provider is Provider.OPENAI:
            return OpenAIModel(settings)
        # Its library takes ten seconds to import.
        from coworkai.insights.models.endpoint import EndpointModel

        return EndpointModel(settings, CREDENTIALS)


KINDS = [
    Kind(Provider.GEMINI),
    Kind(Provider.GEMINI, is_streamed=True),
    Kind(Provider.OPENAI),
    Kind(Provider.OPENAI, is_streamed=True),
    pytest.param(Kind(Provider.ENDPOINT), marks=pytest.mark.integration),
]


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def running_double() -> Iterator[ModelDouble]:
    with ModelDouble(in_turn(Answer("{}"))) as double:
        yield double


@pytest.fixture
def double(running_double: ModelDouble) -> ModelDouble:
    running_double.asked.clear()
    return running_double


STATEMENT = Statement(
    text_template="Focus came to {0}.",
    claims=(Claim(fact_id="kpi:focus", field="value"),),
    kind=StatementKind.HEADLINE,
)
DRAFT = Draft(headline=STATEMENT)
PROMPT = Prompt(Purpose.BRIEF, "test@1", "You write briefs.", "These are the facts.", Draft)


def using(
    kind: Kind,
    double: ModelDouble,
    use: Callable[[BoundedModel], Awaitable[T]],
    timeout_s: float = PATIENCE_S,
) -> T:
    """What comes of a model, by an event loop and a client of its own."""

    async def run() -> T:
        settings = kind.settings(double.url, timeout_s)
        model = BoundedModel(kind.adapter(settings), settings)
        try:
            return await use(model)
        finally:
            await model.aclose()

    return asyncio.run(run())


def asking(kind: Kind, double: ModelDouble, timeout_s: float = PATIENCE_S) -> Completion[Draft]:
    return using(kind, double, lambda model: model.draft(PROMPT), timeout_s)


def failing(
    kind: Kind, double: ModelDouble, expected: type[ModelError], timeout_s: float = PATIENCE_S
) -> ModelError:
    with pytest.raises(expected) as caught:
        asking(kind, double, timeout_s)
    return caught.value


# ------------------------------------------------------------------------------------------------ the port


def test_an_answer_comes_with_its_tokens_and_with_what_ended_it(kind: Kind, double: ModelDouble) -> None:
    double.script = in_turn(Answer(DRAFT.model_dump_json()))
    completion = asking(kind, double)
    assert completion.answer == DRAFT
    assert completion.finish_reason.lower() == "stop"
    assert completion.model == MODEL_VERSION
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert completion.usage.cached_tokens == CACHED_TOKENS
    assert completion.usage.attempts == 1


def test_a_model_is_asked_at_temperature_0_for_the_schema_and_given_no_tools(
    kind: Kind, double: ModelDouble
) -> None:
    double.script = in_turn(Answer(DRAFT.model_dump_json()))
    asking(kind, double)
    (asked,) = double.asked
    assert (asked.system, asked.user, asked.is_streamed) == (PROMPT.system, PROMPT.user, kind.is_streamed)
    assert "tool" not in json.dumps(asked.body).lower()
    match kind.provider:
        case Provider.GEMINI:
            config = asked.body["generationConfig"]
            assert (config["temperature"], config["responseMimeType"]) == (0, "application/json")
            assert config["responseSchema"]["property_ordering"] == list(Draft.model_fields)
            assert asked.headers["authorization"] == "Bearer a-token"
        case Provider.OPENAI:
            assert asked.body["temperature"] == 0
            schema = asked.body["response_format"]["json_schema"]["schema"]
            assert schema["required"] == list(Draft.model_fields)
        case Provider.ENDPOINT:
            assert asked.body["instances"][0]["temperature"] == 0


def test_a_fenced_answer_is_read(kind: Kind, double: ModelDouble) -> None:
    double.script = in_turn(Answer(f"```json\n{DRAFT.model_dump_json()}\n```"))
    assert asking(kind, double).answer == DRAFT


MALFORMED = {
    "prose": "You had a good day, with plenty of focus.",
    "nothing": "",
    "json cut short": DRAFT.model_dump_json()[:-20],
    "json around which the model talks": f"Here it is: {DRAFT.model_dump_json()}",
    "another schema": '{"title": "A day", "score": 3}',
    "a field of the model's own": DRAFT.model_dump_json()[:-1] + ', "recipients": ["boss"]}',
    "a statement without claims": '{"headline": {"text_template": "A.", "claims": [], "kind": "headline"}}',
}


def test_an_answer_that_is_none_of_the_schema_is_malformed_and_not_asked_for_again(
    kind: Kind, double: ModelDouble
) -> None:
    async def use(model: BoundedModel) -> None:
        for name, text in MALFORMED.items():
            double.asked.clear()
            double.script = in_turn(Answer(text))
            with pytest.raises(Malformed) as caught:
                await model.draft(PROMPT)
            assert len(double.asked) == 1, name
            assert caught.value.usage.output_tokens == OUTPUT_TOKENS, name
            assert "boss" not in caught.value.message

    using(kind, double, use)


@pytest.mark.parametrize("ending", [Ending.SAFETY, Ending.PROMPT_BLOCK])
def test_a_block_is_a_refusal_though_it_raises_nothing(
    kind: Kind, double: ModelDouble, ending: Ending
) -> None:
    double.script = in_turn(Answer("", ending))
    error = failing(kind, double, Refused)
    assert len(double.asked) == 1
    assert error.usage.input_tokens == INPUT_TOKENS


def test_an_answer_at_its_limit_of_tokens_is_truncated_even_if_it_parses(
    kind: Kind, double: ModelDouble
) -> None:
    double.script = in_turn(Answer(DRAFT.model_dump_json(), Ending.LENGTH))
    failing(kind, double, Truncated)
    assert len(double.asked) == 1


TRANSIENT: dict[str, Play] = {
    "429": Fault(429),
    "500": Fault(500),
    "503": Fault(503),
    "half an answer": Half(DRAFT.model_dump_json()),
}
HANGING = [Hang(), Hang(DRAFT.model_dump_json())]


def test_what_may_pass_is_tried_again(kind: Kind, double: ModelDouble) -> None:
    async def use(model: BoundedModel) -> None:
        for name, play in TRANSIENT.items():
            double.asked.clear()
            double.script = in_turn(play, Answer(DRAFT.model_dump_json()))
            completion = await model.draft(PROMPT)
            assert completion.answer == DRAFT, name
            assert completion.usage.attempts == len(double.asked) == 2, name

    using(kind, double, use)


@pytest.mark.parametrize("play", HANGING, ids=["at once", "in the middle"])
def test_a_hang_is_given_up_and_tried_again(kind: Kind, double: ModelDouble, play: Play) -> None:
    double.script = in_turn(play, Answer(DRAFT.model_dump_json()))
    completion = asking(kind, double, 2 * HANG_S)
    assert completion.answer == DRAFT
    assert completion.usage.attempts == len(double.asked) >= 2


@pytest.mark.parametrize(
    ("play", "expected", "timeout_s"),
    [
        (Fault(429), Limited, PATIENCE_S),
        (Fault(503), Unavailable, PATIENCE_S),
        (Hang(), Unavailable, HANG_S),
        (Half(DRAFT.model_dump_json()), Unavailable, PATIENCE_S),
    ],
    ids=["429", "503", "hang", "half an answer"],
)
def test_what_does_not_pass_ends_after_a_few_attempts_and_in_bounded_time(
    kind: Kind, double: ModelDouble, play: Play, expected: type[ModelError], timeout_s: float
) -> None:
    double.script = in_turn(play)
    error = failing(kind, double, expected, timeout_s)
    assert error.usage.attempts == len(double.asked) == ATTEMPTS
    assert error.usage.latency_s < ATTEMPTS * (timeout_s + 1)


def test_a_stream_that_just_ends_broke_off(double: ModelDouble) -> None:
    for provider in (Provider.GEMINI, Provider.OPENAI):
        double.script = in_turn(Half(DRAFT.model_dump_json(), cleanly=True))
        failing(Kind(provider, is_streamed=True), double, Unavailable)


def test_a_limit_that_asks_to_come_back_soon_is_obeyed(kind: Kind, double: ModelDouble) -> None:
    double.script = in_turn(Fault(429, retry_after="0.1"), Answer(DRAFT.model_dump_json()))
    started = time.monotonic()
    asking(kind, double)
    assert time.monotonic() - started >= 0.1


def test_a_limit_that_asks_to_come_back_much_later_is_not_waited_for(kind: Kind, double: ModelDouble) -> None:
    double.script = in_turn(Fault(429, retry_after="3600"))
    error = failing(kind, double, Limited)
    assert isinstance(error, Limited)
    assert (error.retry_after_s, len(double.asked)) == (3600, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_request_that_is_turned_down_is_not_made_again(
    kind: Kind, double: ModelDouble, status: int
) -> None:
    double.script = in_turn(Fault(status))
    failing(kind, double, Rejected)
    assert len(double.asked) == 1


def test_a_body_that_is_no_json_ends_in_a_failure(kind: Kind, double: ModelDouble) -> None:
    double.script = in_turn(Gibberish())
    failing(kind, double, ModelError)


def test_nobody_listening_ends_in_a_failure(kind: Kind) -> None:
    with ModelDouble(in_turn(Answer("{}"))) as gone:
        pass
    failing(kind, gone, Unavailable)


def test_gemini_counts_tokens_and_the_others_are_not_asked(kind: Kind, double: ModelDouble) -> None:
    tokens = using(kind, double, lambda model: model.count_tokens("a text"))
    assert tokens == (COUNTED_TOKENS if kind.provider is Provider.GEMINI else None)


# ------------------------------------------------------------------------------------------------- briefs

BOOK = books.rich_day()
DETERMINISTIC = compose(BOOK, insights_of(BOOK))
OFFERED = offered(BOOK, DETERMINISTIC)
IDS = OfferedIds(BOOK, OFFERED)
FOCUS, ACTIVE = IDS.short(f"kpi:{books.USER}:{books.PRIMARY}:focus_s"), "kpi:2026-10-27:active_s"


def said(template: str, *fact_ids: str, kind: StatementKind = StatementKind.MOMENTUM) -> Statement:
    claims = tuple(Claim(fact_id=fact_id, field="value") for fact_id in fact_ids)
    return Statement(text_template=template, claims=claims, kind=kind)


TRUE_HEADLINE = said("You had {0} of focused work.", FOCUS, kind=StatementKind.HEADLINE)
TRUE = said("You were active for {0}.", ACTIVE)
NO_REPAIRS = Answer(Repairs(repairs=()).model_dump_json())


def drafting(*momentum: Statement) -> Answer:
    return Answer(Draft(headline=TRUE_HEADLINE, momentum=momentum).model_dump_json())


def written_by(kind: Kind, double: ModelDouble, timeout_s: float = PATIENCE_S) -> Written:
    """The brief that comes of what the double plays, which is right whatever that is."""
    written = using(
        kind, double, lambda model: write_brief(BOOK, DETERMINISTIC, OFFERED, model=model), timeout_s
    )
    assert_right(written, BOOK, DETERMINISTIC, OFFERED)
    return written


def test_a_brief_by_a_model_says_which_model_and_what_it_took(kind: Kind, double: ModelDouble) -> None:
    double.script = in_turn(drafting(TRUE))
    written = written_by(kind, double)
    assert (written.writer, written.model) == (kind.provider.value, "workhorse")
    assert written.prompt_version == prompts_version()
    assert (written.input_tokens, written.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert (written.grounding.accepted, written.grounding.replaced) == (2, 0)
    assert written.sections.momentum[0].text == "You were active for 7 h 5 min."
    assert books.USER not in double.asked[0].user


WRONG = {
    "invented ids": said("You were active for {0}.", "kpi:2026-10-27:happiness"),
    "an id that looks right": said("You were active for {0}.", "kpi:2026-10-28:active_s"),
    "a number of its own": said("You were active for 11 hours, or {0}.", ACTIVE),
    "swapped numbers": said("You were active for {0}, {1} of it focused work.", FOCUS, ACTIVE),
    "a cause": said("You were active for {0} because of the deadline.", ACTIVE),
    "a character": said("You are lazy: {0} of activity.", ACTIVE),
    "a link": said("You were active for {0}, see https://example.com.", ACTIVE),
    "a place without a claim": said("You were active for {0} and {1}.", ACTIVE),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_of_a_model_is_replaced(double: ModelDouble, name: str) -> None:
    double.script = in_turn(drafting(WRONG[name]), NO_REPAIRS)
    written = written_by(Kind(Provider.GEMINI), double)
    assert (written.grounding.accepted, written.grounding.replaced) == (1, 1)


def test_what_is_wrong_is_repaired_by_a_second_call(kind: Kind, double: ModelDouble) -> None:
    repair = Repairs(repairs=(Repair(number=1, statement=TRUE),))
    double.script = in_turn(drafting(WRONG["a cause"]), Answer(repair.model_dump_json()))
    written = written_by(kind, double)
    assert (written.grounding.accepted, written.grounding.repaired) == (1, 1)
    assert "because of the deadline" in double.asked[1].user


USELESS: dict[str, tuple[Play, str, float]] = {
    "prose": (Answer("You had a fine day."), "malformed", PATIENCE_S),
    "truncated JSON": (Answer(DETERMINISTIC.model_dump_json()[:90]), "malformed", PATIENCE_S),
    "at its limit of tokens": (Answer('{"headline": {', Ending.LENGTH), "truncated", PATIENCE_S),
    "safety block": (Answer("", Ending.SAFETY), "refused", PATIENCE_S),
    "prompt block": (Answer("", Ending.PROMPT_BLOCK), "refused", PATIENCE_S),
    "429s": (Fault(429), "limited", PATIENCE_S),
    "403": (Fault(403), "rejected", PATIENCE_S),
    "server errors": (Fault(500), "unavailable", PATIENCE_S),
    "half a reply": (Half(DETERMINISTIC.model_dump_json()), "unavailable", PATIENCE_S),
    "hangs": (Hang(), "unavailable", HANG_S),
}


@pytest.mark.parametrize("name", USELESS)
def test_a_model_that_is_no_use_leaves_a_whole_brief_and_the_reason(double: ModelDouble, name: str) -> None:
    play, reason, timeout_s = USELESS[name]
    double.script = in_turn(play)
    # The adapters fail alike: that is what the tests above are for.
    written = written_by(Kind(Provider.GEMINI, is_streamed=True), double, timeout_s)
    assert written.grounding.fallback_reason == reason
    assert written.sections == sections_of(DETERMINISTIC, BOOK)
