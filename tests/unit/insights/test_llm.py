"""Calls of models: their bounds, their failures, and what is never in a message."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from coworkai.common.errors import SettingsError, Terminal, Transient
from coworkai.insights.answers import schema_of
from coworkai.insights.brief import Claim, Draft, Statement, StatementKind
from coworkai.insights.llm import (
    A,
    BoundedModel,
    Completion,
    Finish,
    Limited,
    Malformed,
    ModelError,
    ModelSettings,
    NotAdmitted,
    Prompt,
    Provider,
    Purpose,
    Refused,
    Rejected,
    Reply,
    Truncated,
    Unavailable,
    failed,
    retry_after_s,
)

SECRET = "Ship the billing export"
DRAFT = Draft(
    headline=Statement(
        text_template="Focus came to {0}.",
        claims=(Claim(fact_id="kpi:focus", field="value"),),
        kind=StatementKind.HEADLINE,
    )
)
PROMPT = Prompt(Purpose.BRIEF, "test@1", SECRET, SECRET, Draft)
SETTINGS = ModelSettings(Provider.OPENAI, "m", base_url="http://127.0.0.1", attempts=3, backoff_s=0)


@dataclass
class Scripted:
    """An adapter that replies in turn; an error is raised, None hangs."""

    replies: list[Reply | ModelError | None]
    asked: int = 0
    cancelled: int = 0
    closed: bool = field(default=False)

    async def reply(self, _prompt: Prompt[A]) -> Reply:
        self.asked += 1
        reply = self.replies.pop(0)
        if reply is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        if isinstance(reply, ModelError):
            raise reply
        assert reply is not None
        return reply

    async def count_tokens(self, _text: str) -> int | None:
        return 7

    async def aclose(self) -> None:
        self.closed = True


def reply(text: str, finish: Finish = Finish.STOP, tokens: int | None = 10) -> Reply:
    return Reply(text, finish, finish.value, "m-1", tokens, tokens)


GOOD = reply(DRAFT.model_dump_json())


async def _pass() -> None:
    return


def drafted(
    adapter: Scripted,
    settings: ModelSettings = SETTINGS,
    again: Callable[[], Awaitable[None]] = _pass,
) -> Completion[Draft]:
    return asyncio.run(BoundedModel(adapter, settings, jitter=lambda: 0).draft(PROMPT, again))


def test_tokens_of_attempts_that_broke_off_are_counted_too() -> None:
    completion = drafted(Scripted([reply("{", Finish.BROKEN_OFF), GOOD]))
    assert (completion.usage.attempts, completion.usage.input_tokens) == (2, 20)


def test_tokens_that_the_provider_does_not_tell_are_unknown_not_none_at_all() -> None:
    completion = drafted(Scripted([reply(DRAFT.model_dump_json(), tokens=None)]))
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (None, None)


def test_a_hang_is_cancelled_and_tried_again() -> None:
    adapter = Scripted([None, GOOD])
    completion = drafted(adapter, ModelSettings(Provider.OPENAI, "m", base_url="u", timeout_s=0.05))
    assert (completion.usage.attempts, adapter.cancelled) == (2, 1)


def test_attempts_are_bounded() -> None:
    adapter = Scripted([Unavailable("gone") for _ in range(9)])
    with pytest.raises(Unavailable) as caught:
        drafted(adapter)
    assert caught.value.usage.attempts == adapter.asked == 3


@pytest.mark.parametrize(
    "last",
    [
        Rejected("no"),
        reply("", Finish.BLOCKED),
        reply("{", Finish.LENGTH),
        reply("prose"),
    ],
    ids=["rejected", "refused", "truncated", "malformed"],
)
def test_what_would_fail_again_is_not_tried_again(last: Reply | ModelError) -> None:
    adapter = Scripted([last, GOOD])
    with pytest.raises(ModelError) as caught:
        drafted(adapter)
    assert (adapter.asked, caught.value.usage.attempts) == (1, 1)


def test_every_further_attempt_asks_for_admission_first() -> None:
    asked: list[int] = []
    adapter = Scripted([Limited("full"), Limited("full"), GOOD])

    async def again() -> None:
        asked.append(adapter.asked)

    drafted(adapter, again=again)
    assert asked == [1, 2]


def test_an_attempt_that_is_not_admitted_is_not_made() -> None:
    adapter = Scripted([Limited("full"), GOOD])

    async def again() -> None:
        raise NotAdmitted("full here, too")

    with pytest.raises(NotAdmitted):
        drafted(adapter, again=again)
    assert adapter.asked == 1


def test_pauses_grow_and_are_capped() -> None:
    settings = ModelSettings(Provider.OPENAI, "m", base_url="u", backoff_s=1, backoff_max_s=3, attempts=9)
    for jitter, expected in ((0.0, [0.5, 1.0, 1.5, 1.5]), (1.0, [1.0, 2.0, 3.0, 3.0])):
        model = BoundedModel(Scripted([]), settings, jitter=lambda jitter=jitter: jitter)  # type: ignore[misc]
        assert [model._pause_s(attempts, Unavailable("gone")) for attempts in (1, 2, 3, 4)] == expected


def test_problems_of_an_answer_name_places_and_never_its_text() -> None:
    text = DRAFT.model_dump_json().replace('"headline","', '"headline","').replace("{0}", SECRET * 40)
    with pytest.raises(Malformed) as caught:
        drafted(Scripted([reply(text)]))
    assert caught.value.problems == ("headline.text_template: string_too_long",)
    assert SECRET not in caught.value.message


def test_errors_say_whether_to_come_back() -> None:
    assert {type(failed(status)) for status in (429,)} == {Limited}
    assert {type(failed(status)) for status in (408, 500, 502, 503, 504)} == {Unavailable}
    assert {type(failed(status)) for status in (400, 401, 403, 404, 422)} == {Rejected}
    assert issubclass(Limited, Transient)
    assert issubclass(Unavailable, Transient)
    assert all(issubclass(kind, Terminal) for kind in (Rejected, Refused, Truncated, Malformed))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2), ("0.5", 0.5), (None, None), ("-1", None), ("inf", None), ("nan", None), ("Tue, 27 Oct", None)],
)
def test_retry_after_is_seconds_or_nothing(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value) == seconds


def test_neither_prompts_nor_answers_nor_keys_are_in_a_repr() -> None:
    settings = ModelSettings(Provider.OPENAI, "m", base_url="u", api_key="sk-secret")
    assert "sk-secret" not in repr(settings)
    assert SECRET not in repr(PROMPT)
    assert "Focus came" not in repr(drafted(Scripted([GOOD])))


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": Provider.GEMINI},
        {"provider": Provider.ENDPOINT, "endpoint": "7"},
        {"provider": Provider.OPENAI},
        {"provider": Provider.OPENAI, "base_url": "u", "timeout_s": 600},
        {"provider": Provider.OPENAI, "base_url": "u", "attempts": 0},
        {
            "provider": Provider.ENDPOINT,
            "endpoint": "7",
            "project": "p",
            "location": "us-central1",
            "silence_s": 5,
        },
    ],
)
def test_settings_that_do_not_go_together_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        ModelSettings(model="m", **wrong)  # type: ignore[arg-type]


def test_the_estimate_of_a_prompt_is_rather_too_high() -> None:
    assert PROMPT.estimated_tokens() == len(SECRET) * 2 // 3 + 1


def test_a_schema_for_decoders_has_no_references_and_asks_for_everything() -> None:
    schema = schema_of(Draft)
    assert "$ref" not in str(schema)
    assert schema["required"] == list(Draft.model_fields)
    assert "maxLength" not in str(schema)


def test_a_service_without_a_model_imports_no_library_of_a_provider() -> None:
    """They take seconds, Vertex AI's more than ten."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, coworkai.insights.app, coworkai.insights.write, coworkai.insights.models\n"
            "print([name for name in sys.modules if name in"
            " {'openai', 'google.genai', 'google.cloud.aiplatform'}])",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip() == "[]"
