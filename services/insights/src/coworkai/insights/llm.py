"""The port that models are called through, whoever serves them.

    Prompt ─▶ Model.draft ─▶ Completion[Draft]       one of these, always:
                  │                                    an answer that fits its schema
                  └─ attempts, each timed out ─▶       or a ModelError that says what failed

An adapter (`models/`) makes one attempt and reports what came, finish reason included: a safety block and
truncated JSON raise nothing in the providers' libraries. `BoundedModel` does the rest for all of them: a time
limit for every attempt, few attempts, back-off with jitter between them, the provider's `Retry-After` where
there is one, and the strict reading of the answer. The libraries' own retries stay off: they count no
attempts, and a retry must pass the rate limit as the first attempt did.

No model is ever given a tool. Prompts and answers are in no message, log or repr.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from coworkai.common.errors import CoworkError, SettingsError, Terminal, Transient

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")

PROBLEMS_MAX = 8
_BYTES_PER_TOKEN = 3
_FENCE = re.compile(r"\A```(?:json)?\s*\n(?P<inside>.*)\n```\Z", re.DOTALL)


class Provider(StrEnum):
    """Who serves a model; a brief's provenance names it."""

    GEMINI = "gemini"
    ENDPOINT = "endpoint"
    OPENAI = "openai"


COUNTS_TOKENS = frozenset({Provider.GEMINI})
"""Providers that can be asked how many tokens a text has."""


class AnswerFormat(StrEnum):
    """What an OpenAI-compatible server can be held to; the prompt asks for JSON of the schema in any case."""

    SCHEMA = "schema"
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model, where, and the bounds of its calls.

    gemini: `project` (and `location`), or an `api_key`. endpoint: `endpoint` (id or resource name) in
    `project` and `location`. `base_url` takes the place of Google's for both. openai: `base_url`, `api_key`
    where the server asks for one, and the `answer_format` it knows.

    `timeout_s` bounds one attempt; with `silence_s` replies are streamed, and an attempt also ends when
    nothing comes for so long. Raises SettingsError for what does not go together.
    """

    provider: Provider
    model: str
    base_url: str | None = None
    endpoint: str | None = None
    project: str | None = None
    location: str | None = None
    api_key: str | None = field(default=None, repr=False)
    answer_format: AnswerFormat = AnswerFormat.SCHEMA
    timeout_s: float = 60
    silence_s: float | None = None
    max_output_tokens: int = 4_096
    attempts: int = 3
    backoff_s: float = 1
    backoff_max_s: float = 20

    def __post_init__(self) -> None:
        needed = {
            Provider.GEMINI: self.project or self.api_key,
            Provider.ENDPOINT: self.endpoint and self.project and self.location,
            Provider.OPENAI: self.base_url,
        }
        if not self.model or not needed[self.provider]:
            raise SettingsError(
                f"a model of provider {self.provider.value} is not fully named",
                remedy="gemini: project or api_key; endpoint: that, project, location; openai: base_url",
            )
        if self.provider is Provider.ENDPOINT and self.silence_s is not None:
            raise SettingsError("an endpoint's predictions are not streamed", remedy="leave silence_s out")
        # Above two minutes the endpoint's library wants another one for its sockets.
        if not 0 < self.timeout_s <= 120 or self.attempts < 1 or self.max_output_tokens < 1:
            raise SettingsError("a model's bounds are out of range", remedy="timeout_s: at most 120")


class Purpose(StrEnum):
    """What a call is made for."""

    BRIEF = "brief"
    REPAIR = "repair"
    COUNT = "count"
    """Tokens of a text are counted; nothing is written, and it costs nothing."""


@dataclass(frozen=True, slots=True)
class Prompt(Generic[A]):
    """What a model is asked. `version` names the file that it was filled from and a digest of it;
    `answer` is the schema that its answer is held to."""

    purpose: Purpose
    version: str
    system: str = field(repr=False)
    user: str = field(repr=False)
    answer: type[A]

    def estimated_tokens(self) -> int:
        """Tokens of the input, rather too many than too few, without asking anyone."""
        return -(-len((self.system + self.user).encode()) // _BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call took. Token counts are the provider's (thinking is output), None where it gave none;
    `cached_tokens` of the input came from its cache."""

    attempts: int = 1
    latency_s: float = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion(Generic[A]):
    """An answer. `model` is the one that the provider says answered."""

    answer: A = field(repr=False)
    text: str = field(repr=False)
    finish_reason: str
    model: str
    usage: Usage


# ------------------------------------------------------------------------------------------- failures


class Failure(StrEnum):
    """Why there is no answer."""

    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"


class ModelError(CoworkError):
    """A call that brought no answer, after every attempt it was given."""

    failure: Failure
    status = 502

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.usage = Usage()


class Limited(ModelError, Transient):
    """The provider's own limit (429); `retry_after_s` is what it asked for."""

    failure = Failure.LIMITED
    code = "model_limited"
    status = 503

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unavailable(ModelError, Transient):
    """No answer in time, a server error, or an answer that broke off."""

    failure = Failure.UNAVAILABLE
    code = "model_unavailable"
    status = 503


class Rejected(ModelError, Terminal):
    """The request itself was turned down: credentials, permission, no such model, too long."""

    failure = Failure.REJECTED
    code = "model_rejected"


class Refused(ModelError, Terminal):
    """The provider blocked the prompt or the answer."""

    failure = Failure.REFUSED
    code = "model_refused"


class Truncated(ModelError, Terminal):
    """The answer reached the limit of its tokens before its end."""

    failure = Failure.TRUNCATED
    code = "model_truncated"


class Malformed(ModelError, Terminal):
    """The answer is not JSON, or not of the schema. `problems` say where, and may quote the model's keys: for
    the repair prompt, never for a log."""

    failure = Failure.MALFORMED
    code = "model_malformed"

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class NotAdmitted(Transient):
    """Our own limits did not let the call through within the time that a call may wait: it costs nothing, and
    is tried again later."""

    code = "not_admitted"


class BudgetSpent(Terminal):
    """The tenant's budget of the day is spent: there is no call, and none later that day."""

    code = "budget_spent"
    status = 429


# ------------------------------------------------------------------------------------------- the port


async def _nothing() -> None:
    return


Again = Callable[[], Awaitable[None]]


class Model(Protocol):
    """What writes answers. Safe to share between tasks of one event loop."""

    @property
    def name(self) -> str: ...

    @property
    def provider(self) -> Provider: ...

    @property
    def max_output_tokens(self) -> int: ...

    async def draft(self, prompt: Prompt[A], again: Again = _nothing) -> Completion[A]:
        """The model's answer. `again` is awaited before each further attempt, which may be one too many for a
        rate limit; what it raises ends the call. Raises ModelError."""
        ...

    async def count_tokens(self, text: str) -> int | None:
        """Tokens of a text as the provider counts them; None where it does not, as all but `COUNTS_TOKENS`.
        Raises ModelError."""
        ...

    async def aclose(self) -> None: ...


class Finish(StrEnum):
    """How a reply ended."""

    STOP = "stop"
    LENGTH = "length"
    BLOCKED = "blocked"
    BROKEN_OFF = "broken_off"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from one attempt. `finish_reason` is the provider's own word."""

    text: str = field(repr=False)
    finish: Finish
    finish_reason: str
    model: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


class Adapter(Protocol):
    """One provider's library. An attempt has no retries; its time limit is the caller's."""

    async def reply(self, prompt: Prompt[A]) -> Reply:
        """Raises Limited, Unavailable, Rejected, and Malformed for what is no reply at all."""
        ...

    async def count_tokens(self, text: str) -> int | None:
        """Raises Limited, Unavailable, Rejected."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class BoundedModel:
    """A model whose calls end: in an answer that fits its schema, or in a ModelError, within
    `attempts * timeout_s` and the pauses between."""

    adapter: Adapter
    settings: ModelSettings
    jitter: Callable[[], float] = random.random

    @property
    def name(self) -> str:
        return self.settings.model

    @property
    def provider(self) -> Provider:
        return self.settings.provider

    @property
    def max_output_tokens(self) -> int:
        return self.settings.max_output_tokens

    async def draft(self, prompt: Prompt[A], again: Again = _nothing) -> Completion[A]:
        started, attempts = time.monotonic(), 0
        replies: list[Reply] = []
        while True:
            attempts += 1
            try:
                reply = await in_time(self.adapter.reply(prompt), self.settings.timeout_s)
                replies.append(reply)
                answer = _read(reply, prompt.answer)
            except ModelError as error:
                error.usage = _usage(attempts, started, replies)
                pause_s = self._pause_s(attempts, error)
                if pause_s is None:
                    raise
            else:
                usage = _usage(attempts, started, replies)
                return Completion(answer, reply.text, reply.finish_reason, reply.model, usage)
            await asyncio.sleep(pause_s)
            await again()

    async def count_tokens(self, text: str) -> int | None:
        return await in_time(self.adapter.count_tokens(text), self.settings.timeout_s)

    async def aclose(self) -> None:
        await self.adapter.aclose()

    def _pause_s(self, attempts: int, error: ModelError) -> float | None:
        """Seconds before the next attempt; None when there is none, or it is too far off to wait for."""
        if not isinstance(error, Limited | Unavailable) or attempts >= self.settings.attempts:
            return None
        ceiling_s = min(self.settings.backoff_max_s, self.settings.backoff_s * 2.0 ** (attempts - 1))
        pause_s = ceiling_s * (1 + self.jitter()) / 2
        asked_s = error.retry_after_s if isinstance(error, Limited) else None
        if asked_s is None:
            return pause_s
        return None if asked_s > self.settings.backoff_max_s else max(asked_s, pause_s)


def _usage(attempts: int, started: float, replies: list[Reply]) -> Usage:
    """What the attempts of a call came to; replies that were no use cost as much as the others."""
    return Usage(
        attempts,
        time.monotonic() - started,
        _sum(reply.input_tokens for reply in replies),
        _sum(reply.output_tokens for reply in replies),
        _sum(reply.cached_tokens for reply in replies),
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _read(reply: Reply, answer: type[A]) -> A:
    """The answer in a reply. Raises Unavailable, Refused, Truncated, Malformed."""
    match reply.finish:
        case Finish.BROKEN_OFF:
            raise Unavailable("the model's answer broke off")
        case Finish.BLOCKED:
            raise Refused("the provider blocked the prompt or the answer")
        case Finish.LENGTH:
            raise Truncated("the model's answer was cut at its limit of tokens")
        case Finish.STOP:
            pass
    text = reply.text.strip()
    fenced = _FENCE.match(text)
    try:
        return answer.model_validate_json(fenced["inside"] if fenced else text)
    except ValidationError as error:
        raise Malformed("the model's answer does not fit its schema", problems=_problems(error)) from None


def _problems(error: ValidationError) -> tuple[str, ...]:
    """Where an answer breaks its schema: places and rules, not its text."""
    return tuple(
        f"{'.'.join(str(part) for part in problem['loc']) or 'the whole'}: {problem['type']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)[
            :PROBLEMS_MAX
        ]
    )


async def in_time(answer: Awaitable[T], timeout_s: float) -> T:
    """What is awaited. Raises Unavailable when it takes longer."""
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        raise Unavailable("the model did not answer in time") from None


async def heard(pieces: AsyncIterator[T], silence_s: float) -> AsyncIterator[T]:
    """The pieces of a streamed reply. Raises Unavailable when none comes for so long."""
    while True:
        try:
            yield await in_time(anext(pieces), silence_s)
        except StopAsyncIteration:
            return


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header; None without one, or for a date."""
    try:
        seconds = float(value) if value is not None else -1.0
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def failed(status: int, retry_after: str | None = None) -> ModelError:
    """The error of an HTTP status."""
    if status == 429:
        return Limited("the provider's limit is reached", retry_after_s=retry_after_s(retry_after))
    if status in {408, 409, 425} or status >= 500:
        return Unavailable(f"the provider answered {status}")
    return Rejected(f"the provider answered {status}")
