"""The partner API as processes, on real sockets: slow clients, no HTTP at all, revoked keys."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.serving import serving

from coworkai.common.control import Control, Database
from coworkai.common.settings import load
from coworkai.partner_api.connection import protocol
from coworkai.partner_api.credentials import Credentials, Grant
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings

HEAD_TIMEOUT_S = 0.5
MAX_BODY_BYTES = 100_000
MOST_S = 30.0


@dataclass(frozen=True)
class Running:
    """A process of the service, and its port."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=MOST_S)


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """The service over the folder, ready."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-m", "coworkai.partner_api"],
            env={
                **os.environ,
                "COWORKAI_DATA_DIR": str(folder),
                "COWORKAI_LISTEN_FD": str(listener.fileno()),
                "COWORKAI_HEAD_TIMEOUT_S": str(HEAD_TIMEOUT_S),
                "COWORKAI_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
            },
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
        )
        service = Running(listener.getsockname()[1])
    try:
        httpx.get(f"{service.url}/readyz", timeout=MOST_S).raise_for_status()
        yield service
    finally:
        process.terminate()
        process.wait(MOST_S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Running]:
    with running(folder) as service:
        yield service


@pytest.fixture(scope="module")
def credentials(folder: Path) -> Iterator[Credentials]:
    """The credentials of the folder, as an administrator has them."""
    settings = load(PartnerApiSettings, folder)
    database = Database(settings.control_url)
    database.migrate()
    Control(database).put_tenant("acme")
    yield Credentials(database, Secrets(settings.master_key_bytes()))
    database.close()


def everything(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = bytearray()
    while chunk := connection.recv(65_536):
        received += chunk
    return bytes(received)


def problem(received: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(received.partition(b"\r\n\r\n")[2])
    return found


def test_a_head_that_does_not_arrive_in_time_ends_the_connection(service: Running) -> None:
    for beginning in (b"", b"GET /v1/me HT", b"GET /v1/me HTTP/1.1\r\nHost: x\r\n"):
        with service.connection() as connection:
            began = time.monotonic()
            connection.sendall(beginning)
            assert everything(connection) == b""
            assert time.monotonic() - began >= 0.9 * HEAD_TIMEOUT_S


def test_a_second_head_on_a_connection_has_as_much_time(service: Running) -> None:
    with service.connection() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHos")
        received = everything(connection)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert received.count(b"HTTP/1.1") == 1


def test_a_head_without_an_end_is_refused_at_its_limit(service: Running) -> None:
    for beginning in (b"GET /v1/me HTTP/1.1\r\nx-endless: ", b"GET /", b"GET / HTTP/1.1\r\n"):
        with service.connection() as connection:
            connection.sendall(
                beginning + (b"x: y\r\n" * 8_000 if beginning.endswith(b"\n") else b"x" * 48_000)
            )
            received = everything(connection)
        assert received.startswith(b"HTTP/1.1 431 "), beginning
        assert problem(received)["code"] == "headers_too_large"


def test_what_follows_a_body_is_not_kept_and_ends_the_connection_when_it_never_ends(service: Running) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    beginning = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\n" + form + b"\r\n1\r\na\r\n0\r\n"
    with service.connection() as connection:
        connection.sendall(beginning + b"x-trailer: a\r\n" * 1_000 + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400 ")
    for piece in (b"x-trailer: endless\r\n" * 5_000, b"x" * 100_000):
        sent = 0
        with service.connection() as connection:
            connection.sendall(beginning)
            with pytest.raises(OSError):
                while sent < 160 * MAX_BODY_BYTES:
                    connection.sendall(piece)
                    sent += len(piece)


def test_a_body_in_chunks_of_a_byte_is_taken(service: Running) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    closed = b"Connection: close\r\n"
    chunks = b"1\r\na\r\n" * MAX_BODY_BYTES + b"0\r\n\r\n"
    with service.connection() as connection:
        connection.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: x\r\n" + form + closed + b"\r\n" + chunks)
        assert b'"the body is no form"' in everything(connection)


def test_what_is_no_http_is_answered_with_a_problem(service: Running) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"HELLO\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with service.connection() as connection:
            connection.sendall(garbage)
            received = everything(connection)
        assert received.startswith(b"HTTP/1.1 400 "), garbage
        told = problem(received)
        assert told["code"] == "bad_request"
        assert str(told["request_id"]).startswith("req_")


async def endless(_scope: Any, _receive: Any, send: Any) -> None:
    """An answer much larger than what sockets hold."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 64_000_000})


def test_a_client_that_does_not_read_its_answer_is_given_up_and_one_that_reads_gets_it_whole(
    folder: Path,
) -> None:
    settings = load(PartnerApiSettings, folder, send_timeout_s=1)
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(endless, protocol(settings)) as port:
        reader = Running(port).connection()
        stalled = Running(port).connection()
        with reader, stalled:
            stalled.sendall(request)
            reader.sendall(request)
            assert len(everything(reader).partition(b"\r\n\r\n")[2]) > 64_000_000
            poller = select.poll()
            poller.register(stalled, select.POLLERR | select.POLLHUP)
            assert poller.poll(MOST_S * 1_000), "the server goes on holding the answer"


def test_two_lengths_of_one_body_are_no_request(service: Running) -> None:
    lengths = b"Content-Length: 4\r\nContent-Length: 9\r\n"
    both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
    for headers in (lengths, both):
        with service.connection() as connection:
            connection.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\nabcd")
            received = everything(connection)
        assert received.startswith(b"HTTP/1.1 400 "), headers


def test_a_revoked_key_is_refused_by_every_process_within_two_seconds(
    service: Running, folder: Path, credentials: Credentials
) -> None:
    issued = credentials.create_key("acme", "bi", Grant(frozenset({Scope.KPIS})), actor="t")
    headers = {"authorization": f"Bearer {issued.secret}"}
    with running(folder) as another, httpx.Client(headers=headers, timeout=MOST_S) as client:
        urls = [f"{each.url}/v1/me" for each in (service, another)]
        assert [client.get(url).status_code for url in urls] == [200, 200]
        credentials.revoke(issued.credential.credential_id, actor="t")
        revoked_at = time.monotonic()
        last_taken = dict.fromkeys(urls, revoked_at)
        while urls:
            for url in tuple(urls):
                asked_at = time.monotonic()
                answer = client.get(url)
                if answer.status_code == 200:
                    last_taken[url] = asked_at
                else:
                    assert answer.json()["code"] == "revoked_credentials"
                    urls.remove(url)
            assert time.monotonic() - revoked_at < MOST_S
        assert max(last_taken.values()) - revoked_at <= 2
