"""A webhook receiver behind a network of its own: real HTTP bytes, no socket.

    network = ReceiverNetwork({"hooks.example.com": ["93.184.215.14"]})
    network.answer = lambda request: Reply(500)

Records what was connected to and what arrived. `hold(host)` makes that host wait with its answers until
`let_go()`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import h11
import httpcore

from coworkai.partner_api.webhooks.outbound import Network


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """How the receiver answers."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class ReceiverNetwork(httpcore.AsyncNetworkBackend):
    """Names, connections and the receiver at their other end.

    `names`: what each host resolves to, in turn where it is a list of lists; a host that is an address is
    itself. `closed`: addresses that refuse a connection. `tls_hosts`: names that TLS was made for.
    `most_waiting`: requests that waited for their answer at a time.
    """

    def __init__(self, names: Mapping[str, Sequence[str]] | None = None) -> None:
        self.names: dict[str, Sequence[str]] = dict(names or {})
        self.closed: set[str] = set()
        self.connected: list[tuple[str, int]] = []
        self.tls_hosts: list[str | None] = []
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Reply] = lambda _request: Reply()
        self.sent_bytes = 0
        self.most_waiting = 0
        self._waiting = 0
        self._held: set[str] = set()
        self._changed = asyncio.Condition()

    def network(self) -> Network:
        """What the application sends over."""
        return Network(self.resolve, self, ssl.create_default_context())

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        if host in self.names:
            return self.names[host]
        if host.replace(".", "").isdigit() or ":" in host:
            return [host]
        raise OSError("no such host")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as the interface has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        if host in self.closed:
            raise httpcore.ConnectError("refused")
        return _Stream(self)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def hold(self, host: str) -> None:
        self._held.add(host)

    async def let_go(self) -> None:
        self._held.clear()
        await self._tell()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds, looked at whenever a request arrives or is let go."""
        async with self._changed:
            await self._changed.wait_for(holds)

    async def received(self, request: Request) -> Reply:
        self.requests.append(request)
        self._waiting += 1
        self.most_waiting = max(self.most_waiting, self._waiting)
        await self._tell()
        await self.until(lambda: request.host not in self._held)
        self._waiting -= 1
        return self.answer(request)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class _Stream(httpcore.AsyncNetworkStream):
    """A connection, read and answered as a server does."""

    def __init__(self, network: ReceiverNetwork) -> None:
        self._network = network
        self._server = h11.Connection(h11.SERVER)
        self._answer = b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        # To the server's side of the protocol, nothing means the end.
        if buffer:
            self._server.receive_data(buffer)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if not self._answer and self._server.our_state is h11.IDLE:
            self._answer = await self._answered()
        piece, self._answer = self._answer[:max_bytes], self._answer[max_bytes:]
        self._network.sent_bytes += len(piece)
        return piece

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        self._network.tls_hosts.append(server_hostname)
        return self

    async def aclose(self) -> None:
        return

    def get_extra_info(self, info: str) -> object:
        return None

    async def _answered(self) -> bytes:
        body = b""
        head: h11.Request | None = None
        while True:
            event = self._server.next_event()
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        assert head is not None
        headers = {name.decode(): value.decode() for name, value in head.headers}
        reply = await self._network.received(Request(headers["host"], head.target.decode(), headers, body))
        sent = [
            h11.Response(
                status_code=reply.status,
                headers=[*reply.headers.items(), ("content-length", str(len(reply.body)))]
                if reply.status != 204
                else list(reply.headers.items()),
            ),
            *([h11.Data(data=reply.body)] if reply.body else []),
            h11.EndOfMessage(),
        ]
        answer = b"".join(self._server.send(each) or b"" for each in sent)
        if self._server.our_state is h11.DONE:
            self._server.start_next_cycle()
        return answer
