"""WorkHorseLLM: Gemini through Vertex AI.

What the library would do of its own accord is off: its retries, and the silent one that it makes over aiohttp
(it gets a client of httpx instead), automatic function calling, and automatic continuation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import httpx
from google import genai
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.genai import errors, types
from pydantic import ValidationError

from coworkai.insights.answers import JsonSchema, schema_of
from coworkai.insights.llm import (
    A,
    Finish,
    Malformed,
    ModelSettings,
    Prompt,
    Rejected,
    Reply,
    Unavailable,
    failed,
    heard,
)

_FINISH = {
    None: Finish.BROKEN_OFF,
    types.FinishReason.STOP: Finish.STOP,
    types.FinishReason.MAX_TOKENS: Finish.LENGTH,
    types.FinishReason.CONTINUATION: Finish.LENGTH,
}
"""Everything else is a block of one kind or another."""


class WorkHorseLLM:
    """Adapter of one Gemini model. Without `credentials`, those of the environment."""

    def __init__(self, settings: ModelSettings, credentials: Credentials | None = None) -> None:
        self._settings = settings
        self._http = httpx.AsyncClient()
        self._client = genai.Client(
            vertexai=True,
            project=settings.project,
            location=settings.location,
            api_key=settings.api_key,
            credentials=credentials,
            http_options=types.HttpOptions(
                base_url=settings.base_url,
                timeout=round(settings.timeout_s * 1_000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
            ),
        )

    async def reply(self, prompt: Prompt[A]) -> Reply:
        config = types.GenerateContentConfig(
            system_instruction=prompt.system,
            temperature=0,
            candidate_count=1,
            max_output_tokens=self._settings.max_output_tokens,
            response_mime_type="application/json",
            response_schema=_schema(schema_of(prompt.answer)),
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,
        )
        models, model = self._client.aio.models, self._settings.model
        with _failures():
            if self._settings.silence_s is None:
                pieces = [await models.generate_content(model=model, contents=prompt.user, config=config)]
            else:
                stream = await models.generate_content_stream(
                    model=model, contents=prompt.user, config=config
                )
                pieces = [piece async for piece in heard(stream, self._settings.silence_s)]
        return _reply(pieces, model)

    async def count_tokens(self, text: str) -> int | None:
        with _failures():
            counted = await self._client.aio.models.count_tokens(model=self._settings.model, contents=text)
        return counted.total_tokens

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        self._client.close()
        await self._http.aclose()


def _reply(pieces: Sequence[types.GenerateContentResponse], model: str) -> Reply:
    candidates = [piece.candidates[0] for piece in pieces if piece.candidates]
    contents = [candidate.content for candidate in candidates if candidate.content is not None]
    parts = [part for content in contents for part in content.parts or ()]
    finish_reason = next((one.finish_reason for one in reversed(candidates) if one.finish_reason), None)
    finish = _FINISH.get(finish_reason, Finish.BLOCKED)
    word = finish_reason.value if finish_reason is not None else "none"
    feedback = next((piece.prompt_feedback for piece in pieces if piece.prompt_feedback), None)
    if feedback is not None and feedback.block_reason is not None:
        finish, word = Finish.BLOCKED, f"prompt {feedback.block_reason.value}"
    usage = next((piece.usage_metadata for piece in reversed(pieces) if piece.usage_metadata), None)
    output = (
        None if usage is None else (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    )
    return Reply(
        text="".join(part.text or "" for part in parts if not part.thought),
        finish=finish,
        finish_reason=word,
        model=next((piece.model_version for piece in pieces if piece.model_version), model),
        input_tokens=None if usage is None else usage.prompt_token_count,
        output_tokens=output,
        cached_tokens=None if usage is None else usage.cached_content_token_count,
    )


def _schema(node: dict[str, JsonSchema]) -> types.Schema:
    """The schema in Vertex AI's dialect. Lengths of lists are left out: with lists in lists they multiply the
    decoder's states until the request is turned down."""
    items, properties = (
        node.get("items"),
        cast("dict[str, dict[str, JsonSchema]]", node.get("properties", {})),
    )
    return types.Schema(
        type=types.Type(str(node["type"]).upper()),
        enum=cast("list[str] | None", node.get("enum")),
        items=_schema(items) if isinstance(items, dict) else None,
        properties={name: _schema(inner) for name, inner in properties.items()} or None,
        required=list(properties) or None,
        property_ordering=list(properties) or None,
    )


@contextmanager
def _failures() -> Iterator[None]:
    """The library's errors as ours; theirs quote replies."""
    try:
        yield
    except errors.APIError as error:
        headers = getattr(error.response, "headers", {})
        raise failed(error.code, headers.get("retry-after")) from None
    except httpx.HTTPError:
        raise Unavailable("the provider could not be reached, or broke off") from None
    except (errors.UnknownApiResponseError, ValidationError, json.JSONDecodeError):
        raise Malformed("the provider's reply could not be read") from None
    except GoogleAuthError as error:
        if error.retryable:
            raise Unavailable("Google's credentials could not be refreshed") from None
        raise Rejected("there are no credentials of Google that are accepted") from None
