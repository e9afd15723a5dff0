"""Connections of every service, on real sockets: what a request brings besides its body has an end."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.serving import serving

from coworkai.common.connection import MAX_HEAD_BYTES, Connection

pytestmark = pytest.mark.integration
MOST_S = 30.0


async def length_of_body(_scope: Any, receive: Any, send: Any) -> None:
    """Answers with how long the body was."""
    length, is_last = 0, False
    while not is_last:
        event = await receive()
        length += len(event.get("body", b""))
        is_last = not event.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d bytes" % length})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(length_of_body, Connection) as port:
        yield port


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=MOST_S)


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("beginning", "endless"),
    [
        (HEAD, b"x-header: endless\r\n"),
        (HEAD + b"x-header: ", b"x"),
        (b"GET /", b"x"),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"x-trailer: endless\r\n"),
        (CHUNKED + b"1\r\na\r\n0\r\nx-trailer: ", b"x"),
        (CHUNKED + b"1;", b"x"),
    ],
)
def test_a_request_that_never_ends_ends_its_connection(port: int, beginning: bytes, endless: bytes) -> None:
    piece = endless * (100_000 // len(endless))
    with connected(port) as connection:
        connection.sendall(beginning)
        with pytest.raises(OSError):
            for _ in range(500):
                connection.sendall(piece)


@pytest.mark.parametrize(("size", "times"), [(1, 100_000), (100_000, 20)])
def test_a_body_may_be_of_any_size_in_chunks_of_any_size(port: int, size: int, times: int) -> None:
    chunk = b"%x\r\n%b\r\n" % (size, b"a" * size)
    with connected(port) as connection:
        connection.sendall(CHUNKED + chunk * times + b"0\r\n\r\n")
        received = b""
        while part := connection.recv(65_536):
            received += part
    assert b"%d bytes" % (size * times) in received


def test_requests_on_one_connection_are_counted_each_by_itself(port: int) -> None:
    large = HEAD + b"x: " + b"x" * (MAX_HEAD_BYTES // 2) + b"\r\nContent-Length: 5\r\n\r\nabcde"
    with connected(port) as connection:
        for _ in range(5):
            connection.sendall(large)
            received = b""
            while b"5 bytes" not in received:
                received += connection.recv(65_536)
