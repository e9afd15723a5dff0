"""The HTTP surfaces that models are asked over, in one double, with their ways to fail.

    generateContent, streamGenerateContent, countTokens      Gemini on Vertex AI
    endpoints GET, predict, rawPredict                       a Vertex AI Endpoint, with vLLM's chat format
    chat/completions, whole and streamed                     OpenAI and what is compatible with it

    with ModelDouble(in_turn(Fault(429, retry_after="0"), Answer("{}"))) as double:
        …                                                    double.asked: what it was asked, in order

One play is made for each request that asks for an answer, in the words of the protocol that it came over. A
last play is repeated.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import uvicorn

COUNTED_TOKENS = 42
INPUT_TOKENS, OUTPUT_TOKENS, THINKING_TOKENS, CACHED_TOKENS = 120, 30, 12, 64
MODEL_VERSION = "workhorse-001"
PIECES = 5
"""How many a streamed answer comes in."""


class Ending(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    SAFETY = "safety"
    PROMPT_BLOCK = "prompt_block"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply with status 200. A block has no text, whatever it is given."""

    text: str
    ending: Ending = Ending.STOP


@dataclass(frozen=True, slots=True)
class Fault:
    """An error with a status, and a body as the protocol has it."""

    status: int
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing, until the client leaves; after the first piece of `text` where it is given and streamed."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class Half:
    """The first half of an answer: the connection breaks, or `cleanly` the stream just ends."""

    text: str
    cleanly: bool = False


@dataclass(frozen=True, slots=True)
class Gibberish:
    """Status 200 and a body that is no JSON."""


Play = Answer | Fault | Hang | Half | Gibberish


class Protocol(StrEnum):
    GEMINI = "gemini"
    ENDPOINT = "endpoint"
    OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for an answer. `system` and `user` are what the model would have read."""

    protocol: Protocol
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    system: str = field(repr=False)
    user: str = field(repr=False)
    is_streamed: bool


Script = Callable[[Asked], Play]
_Send = Callable[[dict[str, Any]], Awaitable[None]]
_Receive = Callable[[], Awaitable[dict[str, Any]]]


def in_turn(*plays: Play) -> Script:
    """One play after the other; the last is repeated."""
    left = list(plays)
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]


class ModelDouble:
    """Entered, it listens on `url`. `script` may be replaced between requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def _app(self, scope: Any, receive: _Receive, send: _Send) -> None:
        raw = b""
        while True:
            event = await receive()
            raw += event.get("body", b"")
            if not event.get("more_body"):
                break
        path = scope["path"]
        body = json.loads(raw or b"{}")
        if scope["method"] == "GET":
            await _respond(send, _endpoint(path))
        elif path.endswith(":countTokens"):
            await _respond(send, {"totalTokens": COUNTED_TOKENS})
        else:
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            asked = _asked(path, headers, body)
            self.asked.append(asked)
            await _perform(self.script(asked), asked, receive, send)


def _endpoint(path: str) -> dict[str, Any]:
    return {
        "name": path.partition("/v1/")[2],
        "displayName": "double",
        "createTime": "2026-01-05T00:00:00Z",
        "deployedModels": [{"id": "7", "model": "projects/p/locations/l/models/1"}],
    }


def _asked(path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
    if ":generateContent" in path or ":streamGenerateContent" in path:
        system = "".join(part["text"] for part in body["systemInstruction"]["parts"])
        user = "".join(part["text"] for content in body["contents"] for part in content["parts"])
        return Asked(Protocol.GEMINI, path, headers, body, system, user, ":stream" in path)
    if path.endswith((":predict", ":rawPredict")):
        chat, protocol = body["instances"][0], Protocol.ENDPOINT
    else:
        chat, protocol = body, Protocol.OPENAI
    said = {message["role"]: message["content"] for message in chat["messages"]}
    return Asked(protocol, path, headers, body, said["system"], said["user"], bool(chat.get("stream")))


async def _perform(play: Play, asked: Asked, receive: _Receive, send: _Send) -> None:
    match play:
        case Answer(text, ending):
            if asked.is_streamed:
                await _stream(send, [*_pieces(asked, text, ending)])
            else:
                await _respond(send, _whole(asked, text, ending))
        case Fault(status, retry_after):
            error = {"code": status, "message": "told to fail", "status": "FAILED"}
            await _respond(send, {"error": error}, status, retry_after)
        case Hang(text):
            if text and asked.is_streamed:
                await _begin(send, "text/event-stream")
                await _event(send, next(_pieces(asked, text, Ending.STOP)))
            while (await receive())["type"] != "http.disconnect":
                pass
        case Half(text, cleanly):
            if asked.is_streamed:
                await _stream(send, [*_pieces(asked, text, Ending.STOP)][: PIECES // 2], is_ended=cleanly)
            else:
                whole = json.dumps(_whole(asked, text, Ending.STOP)).encode()
                await _begin(send, "application/json", length=len(whole))
                await send(
                    {"type": "http.response.body", "body": whole[: len(whole) // 2], "more_body": True}
                )
        case Gibberish():
            kind = "text/event-stream" if asked.is_streamed else "application/json"
            await _begin(send, kind)
            await send({"type": "http.response.body", "body": b"data: <html>\n\n"})


# ------------------------------------------------------------------------------------------- the protocols


def _whole(asked: Asked, text: str, ending: Ending) -> dict[str, Any]:
    if asked.protocol is Protocol.GEMINI:
        return _gemini(text, ending)
    completion = {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL_VERSION,
        "choices": [
            {
                "index": 0,
                "finish_reason": _chat_finish(ending),
                "message": {"role": "assistant", "content": _shown(text, ending)},
            }
        ],
        "usage": _chat_usage(),
    }
    if asked.protocol is Protocol.OPENAI:
        return completion
    return {"predictions": [completion], "deployedModelId": "7", "model": "projects/p/locations/l/models/1"}


def _pieces(asked: Asked, text: str, ending: Ending) -> Iterator[dict[str, Any]]:
    """A streamed answer; what ended it, and the tokens, are in the last piece."""
    text = _shown(text, ending)
    size = max(1, -(-len(text) // (PIECES - 1)))
    texts = [text[start : start + size] for start in range(0, (PIECES - 1) * size, size)]
    if asked.protocol is Protocol.GEMINI:
        if ending is Ending.PROMPT_BLOCK:
            yield _gemini("", ending)
            return
        for piece in texts:
            yield {"candidates": [{"content": {"role": "model", "parts": [{"text": piece}]}}]}
        yield _gemini("", ending)
        return
    for piece in texts:
        yield _chunk([{"index": 0, "delta": {"content": piece}, "finish_reason": None}])
    yield _chunk([{"index": 0, "delta": {}, "finish_reason": _chat_finish(ending)}])
    yield _chunk([]) | {"usage": _chat_usage()}


def _gemini(text: str, ending: Ending) -> dict[str, Any]:
    usage = {
        "promptTokenCount": INPUT_TOKENS,
        "cachedContentTokenCount": CACHED_TOKENS,
        "totalTokenCount": INPUT_TOKENS,
    }
    if ending is Ending.PROMPT_BLOCK:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": usage}
    words = {Ending.STOP: "STOP", Ending.LENGTH: "MAX_TOKENS", Ending.SAFETY: "SAFETY"}
    candidate: dict[str, Any] = {"finishReason": words[ending]}
    if shown := _shown(text, ending):
        thought = {"text": "a thought, which is no part of the answer", "thought": True}
        candidate["content"] = {"role": "model", "parts": [thought, {"text": shown}]}
    usage |= {"candidatesTokenCount": OUTPUT_TOKENS - THINKING_TOKENS, "thoughtsTokenCount": THINKING_TOKENS}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": MODEL_VERSION}


def _shown(text: str, ending: Ending) -> str:
    return text if ending in {Ending.STOP, Ending.LENGTH} else ""


def _chat_finish(ending: Ending) -> str:
    return ending.value if ending in {Ending.STOP, Ending.LENGTH} else "content_filter"


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": INPUT_TOKENS,
        "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chat-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL_VERSION,
        "choices": choices,
    }


# --------------------------------------------------------------------------------------------------- HTTP


async def _begin(
    send: _Send,
    content_type: str,
    *,
    status: int = 200,
    length: int | None = None,
    retry_after: str | None = None,
) -> None:
    headers = [(b"content-type", content_type.encode())]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    if retry_after is not None:
        headers.append((b"retry-after", retry_after.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _respond(
    send: _Send, content: Mapping[str, Any], status: int = 200, retry_after: str | None = None
) -> None:
    body = json.dumps(content).encode()
    await _begin(send, "application/json", status=status, length=len(body), retry_after=retry_after)
    await send({"type": "http.response.body", "body": body})


async def _event(send: _Send, content: Mapping[str, Any]) -> None:
    line = f"data: {json.dumps(content)}\r\n\r\n".encode()
    await send({"type": "http.response.body", "body": line, "more_body": True})


async def _stream(send: _Send, pieces: list[dict[str, Any]], *, is_ended: bool = True) -> None:
    """Not ended, the server closes the connection in the middle of the response."""
    await _begin(send, "text/event-stream")
    for piece in pieces:
        await _event(send, piece)
    if is_ended:
        await send({"type": "http.response.body", "body": b""})
