"""The write path with a real language model on this machine: it is far too small to write a brief, and the
brief is right all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, cast

import pytest
from pydantic import BaseModel, Field
from tests.integration.small_model import model_file, running
from tests.unit.insights import books
from tests.unit.insights.test_write import deterministic_of
from tests.unit.insights.written import assert_right, stated_in

from coworkai.insights.answers import Repair, Repairs
from coworkai.insights.brief import Claim, Draft, DraftInsight, Statement
from coworkai.insights.llm import (
    A,
    Again,
    AnswerFormat,
    BoundedModel,
    Completion,
    ModelSettings,
    Prompt,
    Provider,
)
from coworkai.insights.models import open_model
from coworkai.insights.offer import offered
from coworkai.insights.write import Written, write_brief

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(900),
    pytest.mark.skipif(model_file() is None, reason="no model: make integration-model installs it"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as url:
        yield url


class ShortStatement(Statement):
    claims: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=2)]


class ShortDraft(Draft):
    """A draft that so small a model comes to the end of."""

    headline: ShortStatement
    momentum: Annotated[tuple[ShortStatement, ...], Field(max_length=1)] = ()
    blockers: Annotated[tuple[ShortStatement, ...], Field(max_length=1)] = ()
    next_steps: Annotated[tuple[ShortStatement, ...], Field(max_length=1)] = ()
    insights: Annotated[tuple[DraftInsight, ...], Field(max_length=0)] = ()
    data_quality: Annotated[tuple[ShortStatement, ...], Field(max_length=1)] = ()


class ShortRepair(Repair):
    statement: ShortStatement


class ShortRepairs(Repairs):
    repairs: Annotated[tuple[ShortRepair, ...], Field(max_length=3)]


_SHORT: dict[type[BaseModel], type[BaseModel]] = {Draft: ShortDraft, Repairs: ShortRepairs}


@dataclass(frozen=True)
class Concise:
    """A model that is held to less than what it is asked for."""

    model: BoundedModel

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def provider(self) -> Provider:
        return self.model.provider

    @property
    def max_output_tokens(self) -> int:
        return self.model.max_output_tokens

    async def draft(self, prompt: Prompt[A], again: Again = lambda: asyncio.sleep(0)) -> Completion[A]:
        return await self.model.draft(replace(prompt, answer=cast("type[A]", _SHORT[prompt.answer])), again)

    async def count_tokens(self, text: str) -> int | None:
        return await self.model.count_tokens(text)

    async def aclose(self) -> None:
        await self.model.aclose()


def written_by(url: str, name: str, answer_format: AnswerFormat, max_output_tokens: int) -> Written:
    book = books.every_book()[name]
    deterministic = deterministic_of(book)
    ids = offered(book, deterministic)
    settings = ModelSettings(
        Provider.OPENAI,
        "smollm2",
        base_url=url,
        answer_format=answer_format,
        timeout_s=120,
        max_output_tokens=max_output_tokens,
        attempts=1,
    )

    async def run() -> Written:
        model = Concise(open_model(settings))
        try:
            return await write_brief(book, deterministic, ids, model=model)
        finally:
            await model.aclose()

    written = asyncio.run(run())
    assert_right(written, book, deterministic, ids)
    counts = written.grounding
    print(f"\n{name}, {answer_format.value}: {counts}, {written.output_tokens} tokens")  # noqa: T201
    print("\n".join(f"  {one.origin.value:<13} {one.text}" for one in stated_in(written)))  # noqa: T201
    return written


@pytest.mark.parametrize(
    ("name", "answer_format", "max_output_tokens"),
    [
        ("chat_only_day", AnswerFormat.SCHEMA, 900),
        ("manifests_only_day", AnswerFormat.SCHEMA, 900),
        ("empty_day", AnswerFormat.SCHEMA, 100),
        ("many_scripts_day", AnswerFormat.TEXT, 200),
    ],
)
def test_the_brief_is_right_however_poor_the_model(
    url: str, name: str, answer_format: AnswerFormat, max_output_tokens: int
) -> None:
    written = written_by(url, name, answer_format, max_output_tokens)
    assert written.model == "smollm2"
    assert written.attempts >= 1
