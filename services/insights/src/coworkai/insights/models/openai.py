"""Any server that speaks OpenAI's chat completions: llama.cpp, Ollama, vLLM and others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import cast

import openai
from openai.types.chat import (
    ChatCompletionChunk,
    ChatCompletionMessageParam,
    completion_create_params,
)

from coworkai.insights.answers import schema_of
from coworkai.insights.llm import (
    A,
    AnswerFormat,
    Finish,
    Malformed,
    ModelSettings,
    Prompt,
    Reply,
    Unavailable,
    failed,
    heard,
    in_time,
)
from coworkai.insights.models.chat import finish_of, reply_of

_NO_KEY = "none"
"""Servers on one's own machine ask for none; the library does."""


class OpenAIModel:
    """Adapter of one model behind `base_url`."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=settings.api_key or _NO_KEY,
            timeout=settings.timeout_s,
            max_retries=0,
        )

    async def reply(self, prompt: Prompt[A]) -> Reply:
        settings = self._settings
        messages: list[ChatCompletionMessageParam] = [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ]
        answer_format = _format(prompt, settings.answer_format)
        with _failures():
            if settings.silence_s is None:
                response = await self._client.chat.completions.with_raw_response.create(
                    model=settings.model,
                    messages=messages,
                    response_format=answer_format,
                    max_tokens=settings.max_output_tokens,
                    temperature=0,
                )
                return reply_of(response.http_response.json(), settings.model)
            stream = await in_time(
                self._client.chat.completions.create(
                    model=settings.model,
                    messages=messages,
                    response_format=answer_format,
                    max_tokens=settings.max_output_tokens,
                    temperature=0,
                    stream=True,
                    stream_options={"include_usage": True},
                ),
                settings.silence_s,
            )
            async with stream:
                return await _streamed(heard(aiter(stream), settings.silence_s), settings.model)
        raise AssertionError

    async def count_tokens(self, text: str) -> int | None:
        """None: the protocol has no such question."""
        return None

    async def aclose(self) -> None:
        await self._client.close()


def _format(prompt: Prompt[A], answer_format: AnswerFormat) -> completion_create_params.ResponseFormat:
    match answer_format:
        case AnswerFormat.SCHEMA:
            schema = cast("dict[str, object]", schema_of(prompt.answer))
            return {
                "type": "json_schema",
                "json_schema": {"name": prompt.answer.__name__.lower(), "schema": schema, "strict": True},
            }
        case AnswerFormat.JSON:
            return {"type": "json_object"}
        case AnswerFormat.TEXT:
            return {"type": "text"}


async def _streamed(pieces: AsyncIterator[ChatCompletionChunk], model: str) -> Reply:
    text: list[str] = []
    finish_reason: str | None = None
    is_refused = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    async for piece in pieces:
        model = piece.model or model
        if piece.usage is not None:
            input_tokens, output_tokens = piece.usage.prompt_tokens, piece.usage.completion_tokens
            details = piece.usage.prompt_tokens_details
            cached_tokens = None if details is None else details.cached_tokens
        for choice in piece.choices[:1]:
            text.append(choice.delta.content or "")
            is_refused = is_refused or bool(choice.delta.refusal)
            finish_reason = choice.finish_reason or finish_reason
    return Reply(
        text="".join(text),
        finish=Finish.BLOCKED if is_refused else finish_of(finish_reason),
        finish_reason=finish_reason or "none",
        model=model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
    )


@contextmanager
def _failures() -> Iterator[None]:
    """The library's errors as ours; theirs quote replies."""
    try:
        yield
    except openai.APIStatusError as error:
        raise failed(error.status_code, error.response.headers.get("retry-after")) from None
    except openai.APIConnectionError:
        raise Unavailable("the server could not be reached, or broke off") from None
    except (openai.APIResponseValidationError, json.JSONDecodeError):
        raise Malformed("the server's reply could not be read") from None
    except openai.APIError:
        raise Unavailable("the server reported an error in the middle of its reply") from None
