"""Upstash's REST protocol over a real `redis-server`: commands as JSON arrays, one each POST.

`fault` is what goes wrong from then on; a lost answer is one of a command that was carried out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

import uvicorn

TOKEN = "a-token"
READY_S = 20.0


class Fault(Enum):
    NONE = auto()
    DOWN = auto()
    """Every request is answered 503 with a page."""
    SILENT = auto()
    """Nothing is answered, and nothing is done."""
    LOSES_ONE_ANSWER = auto()
    """The next command is carried out, and its answer never comes."""


def is_installed() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis_server() -> Iterator[int]:
    """The port of an empty server without persistence, ended on leaving."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(process, port)
            yield port
        finally:
            process.kill()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline, pause = time.monotonic() + READY_S, threading.Event()
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            pause.wait(0.05)
    raise RuntimeError("redis-server did not come up")


class Upstash:
    """Entered, it listens on `url` for the token `TOKEN`, over the Redis at `redis_port`."""

    def __init__(self, redis_port: int) -> None:
        self.fault = Fault.NONE
        self.commands: list[str] = []
        self._redis_port = redis_port
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        status, reply = 200, b""
        match self.fault:
            case Fault.SILENT:
                return await _hear_nothing(receive)
            case Fault.DOWN:
                status, reply = 503, b"<html>Service Unavailable</html>"
            case _ if dict(scope["headers"]).get(b"authorization") != f"Bearer {TOKEN}".encode():
                status, reply = 401, b'{"error": "WRONGPASS invalid or missing auth token"}'
            case _:
                answer = await self._carry_out(json.loads(body))
                status, reply = (400 if "error" in answer else 200), json.dumps(answer).encode()
        if self.fault is Fault.LOSES_ONE_ANSWER:
            self.fault = Fault.NONE
            return await _hear_nothing(receive)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": reply})
        return None

    async def _carry_out(self, command: list[str | int | float]) -> dict[str, Any]:
        self.commands.append(str(command[0]).upper())
        try:
            return {"result": await _ask(self._redis_port, [str(part) for part in command])}
        except RedisError as error:
            return {"error": str(error)}


async def _hear_nothing(receive: Any) -> None:
    """Until the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        continue


class RedisError(Exception):
    """What Redis said was wrong."""


async def _ask(redis_port: int, command: Sequence[str]) -> Any:
    """The answer to one command. Raises RedisError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis_port)
    try:
        parts = [part.encode() for part in command]
        writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return await _reply(reader)
    finally:
        writer.close()
        await writer.wait_closed()


async def _reply(reader: asyncio.StreamReader) -> Any:
    line = (await reader.readline()).rstrip(b"\r\n").decode()
    kind, rest = line[:1], line[1:]
    match kind:
        case "+":
            return rest
        case ":":
            return int(rest)
        case "-":
            raise RedisError(rest)
        case "$":
            if rest == "-1":
                return None
            return (await reader.readexactly(int(rest) + 2))[:-2].decode()
        case "*":
            return [await _reply(reader) for _ in range(int(rest))]
    raise RedisError(f"not a reply: {line}")


def redis_command(redis_port: int, *command: str) -> Any:
    """The answer of Redis to one command, past the REST protocol."""
    return asyncio.run(_ask(redis_port, command))
