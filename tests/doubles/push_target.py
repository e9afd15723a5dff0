"""A push endpoint over real HTTP that keeps what it is sent and answers as told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import uvicorn

from coworkai.common.bus import PushMessage, decode_push


class PushTarget:
    """Entered, it listens on `url`. `answer` decides the status of each push, 204 until told otherwise."""

    def __init__(self, answer: Callable[[PushMessage], int] = lambda _message: 204) -> None:
        self.answer = answer
        self.received: list[PushMessage] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self._arrived = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/push"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def wait_for(self, condition: Callable[[list[PushMessage]], bool], timeout_s: float = 20) -> None:
        """Until the received messages meet the condition. Raises AssertionError after the timeout."""
        with self._arrived:
            met = self._arrived.wait_for(lambda: condition(self.received), timeout_s)
        assert met, f"{len(self.received)} pushes do not meet the condition after {timeout_s} s"

    def wait_for_count(self, count: int, timeout_s: float = 20) -> None:
        self.wait_for(lambda received: len(received) >= count, timeout_s)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        message = decode_push(body, headers)
        arrived_at = time.monotonic()
        status = self.answer(message)
        self.in_flight -= 1
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})
        with self._arrived:
            self.received.append(message)
            self.headers.append(headers)
            self.times.append(arrived_at)
            self._arrived.notify_all()
