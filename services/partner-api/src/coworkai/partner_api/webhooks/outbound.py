"""Requests to partners' endpoints: to public addresses only, within a time, and no more read than needed.

    host ─▶ resolve ─▶ every address allowed? ─▶ connect to one of these very addresses ─▶ TLS for the host

Invariants: what is connected to is an address that was checked, never a name, so a name that resolves
differently the next time leads nowhere else; no redirect is followed, no proxy and no environment is used;
nothing of an answer's body is kept.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Protocol

import httpcore
import httpx

from coworkai.common.observability import get_logger
from coworkai.partner_api.webhooks.addresses import RefusedAddress, checked_addresses, parse_url

log = get_logger(__name__)

MAX_ANSWER_BYTES = 65_536
RESOLVE_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
KEPT_OPEN_S = 10.0
MAX_ADDRESSES = 4
"""Addresses of a host that are tried, one after the other."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Fault(StrEnum):
    """Why an attempt got no answer."""

    TIMEOUT = "timeout"
    REFUSED_ADDRESS = "refused_address"
    UNRESOLVED = "unresolved"
    CONNECTION_FAILED = "connection_failed"
    TLS_FAILED = "tls_failed"
    BROKEN_ANSWER = "broken_answer"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Received:
    """How an endpoint answered: its status, or why there is none."""

    status: int | None = None
    fault: Fault | None = None
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Post(Protocol):
    """Sends a body to an endpoint."""

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Received:
        """How it was answered. Raises nothing but what cancels it."""
        ...


class Unresolved(httpcore.ConnectError):
    """The host has no address now."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Addresses of the host, by the system's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@cache
def _trusted() -> ssl.SSLContext:
    """Verifies certificates by the usual authorities."""
    return httpx.create_ssl_context(trust_env=False)


@dataclass(frozen=True, slots=True)
class Network:
    """What requests go over: finds addresses, opens connections to them, verifies who answers."""

    resolve: Resolve = resolve
    backend: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)
    tls: ssl.SSLContext = field(default_factory=_trusted)


class Outbound:
    """A `Post` over the network. Made inside a running event loop; `aclose` after the last."""

    def __init__(self, network: Network, *, is_local: bool, timeout_s: float, max_connections: int) -> None:
        self._is_local = is_local
        self._timeout_s = timeout_s
        self._resolve = network.resolve

        def pool(*, public: bool) -> httpcore.AsyncConnectionPool:
            return httpcore.AsyncConnectionPool(
                ssl_context=network.tls,
                max_connections=max_connections,
                keepalive_expiry=KEPT_OPEN_S,
                network_backend=_Checked(network, loopback=is_local, public=public),
            )

        self._pools = {"https": pool(public=True), "http": pool(public=False)}

    async def check(self, text: str) -> str:
        """The URL as it is kept, of a host that resolves to allowed addresses now. Raises RefusedAddress."""
        url = parse_url(text, is_local=self._is_local)
        try:
            await _addresses(
                self._resolve, url.host, _port(url), loopback=self._is_local, public=url.scheme == "https"
            )
        except Unresolved:
            raise RefusedAddress("the host has no address") from None
        return str(url)

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Received:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(parse_url(url, is_local=self._is_local), headers, body)
        except (TimeoutError, httpcore.TimeoutException):
            return Received(fault=Fault.TIMEOUT)
        except RefusedAddress:
            return Received(fault=Fault.REFUSED_ADDRESS)
        except Unresolved:
            return Received(fault=Fault.UNRESOLVED)
        except httpcore.ConnectError as error:
            is_tls = isinstance(error.__context__, ssl.SSLError)
            return Received(fault=Fault.TLS_FAILED if is_tls else Fault.CONNECTION_FAILED)
        except (httpcore.NetworkError, httpcore.ProtocolError):
            return Received(fault=Fault.BROKEN_ANSWER)
        except Exception:
            # Whatever it is, it counts as an attempt: else it would be tried without end.
            log.exception("webhook could not be sent")
            return Received(fault=Fault.INTERNAL)

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def _post(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Received:
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path or b"/"
        )
        sent = {"host": url.netloc.decode(), "content-length": str(len(body)), **headers}
        pool = self._pools[url.scheme]
        timeouts = {"connect": CONNECT_TIMEOUT_S, "pool": self._timeout_s}
        async with pool.stream(
            "POST",
            target,
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=body,
            extensions={"timeout": timeouts},
        ) as response:
            retry_after = next(
                (value for name, value in response.headers if name.lower() == b"retry-after"), None
            )
            read = 0
            # Read to its end, a connection can be used again; one that sends more is closed.
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > MAX_ANSWER_BYTES:
                    break
        return Received(response.status, None, None if retry_after is None else retry_after.decode("latin-1"))


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only."""

    def __init__(self, network: Network, *, loopback: bool, public: bool) -> None:
        self._backend = network.backend
        self._resolve = network.resolve
        self._loopback = loopback
        self._public = public

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the interface has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _addresses(self._resolve, host, port, loopback=self._loopback, public=self._public)
        *others, last = addresses[:MAX_ADDRESSES]
        for address in others:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(last, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


async def _addresses(resolve: Resolve, host: str, port: int, *, loopback: bool, public: bool) -> list[str]:
    """Where the host can be connected to. Raises RefusedAddress, Unresolved."""
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await resolve(host, port)
    except (OSError, UnicodeError):
        # A timeout is an OSError.
        raise Unresolved("the host has no address") from None
    return checked_addresses(found, loopback=loopback, public=public)


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
