"""HTTP/1.1 POSTs to services on this machine, over connections that are kept.

A general client costs the bus more CPU a push than all the rest of it; this one knows plain http, one request
at a time a connection, and the answer's status, which is all that a push needs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

from coworkai.common.errors import Terminal, Transient


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to push. Raises Terminal (from `parse`) for what is no plain http address."""

    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError:
            raise Terminal("the push endpoint is no address") from None
        if parts.scheme != "http" or not parts.hostname:
            raise Terminal("the embedded bus pushes to http:// addresses only")
        path = parts.path or "/"
        return cls(parts.hostname, port, f"{path}?{parts.query}" if parts.query else path)


class PushClient:
    """Posts to any number of endpoints at once; `timeout_s` covers a whole push."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._idle: defaultdict[tuple[str, int], list[_Connection]] = defaultdict(list)

    async def post(self, endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> int:
        """Status of the answer. Raises Transient when there is none in time."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(endpoint, _request(endpoint, headers, body))
        except (OSError, TimeoutError) as error:
            raise Transient(f"no answer to a push ({type(error).__name__})") from None

    async def aclose(self) -> None:
        """Close the kept connections; none may be in use."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _post(self, endpoint: Endpoint, request: bytes) -> int:
        idle = self._idle[endpoint.host, endpoint.port]
        while idle:
            kept = idle.pop()
            try:
                return await self._exchange(kept, request, idle)
            except ConnectionError:
                # The service closed it meanwhile; another delivery of a message is always allowed.
                continue
        _transport, fresh = await asyncio.get_running_loop().create_connection(
            _Connection, endpoint.host, endpoint.port
        )
        return await self._exchange(fresh, request, idle)

    async def _exchange(self, connection: _Connection, request: bytes, idle: list[_Connection]) -> int:
        try:
            status = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable:
            idle.append(connection)
        else:
            connection.close()
        return status


@dataclass(eq=False)
class _Connection(asyncio.Protocol):
    """One connection; the parser's callbacks are its `on_…` methods."""

    is_reusable: bool = False
    _transport: asyncio.Transport | None = None
    _parser: httptools.HttpResponseParser | None = None
    _answer: asyncio.Future[int] | None = field(default=None, repr=False)

    async def exchange(self, request: bytes) -> int:
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self.is_reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ConnectionAbortedError())

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._fail(ConnectionResetError())

    def on_message_complete(self) -> None:
        assert self._parser is not None
        self.is_reusable = self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())

    def _fail(self, error: ConnectionError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _request(endpoint: Endpoint, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"POST {endpoint.path} HTTP/1.1",
        f"host: {endpoint.host}:{endpoint.port}",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
