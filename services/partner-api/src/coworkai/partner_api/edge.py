"""Where requests come in: id, limits, credentials, quota, idempotency, and every error as a problem.

    head ─▶ id ─▶ size of head ─▶ credentials ─▶ quota ─▶ body, whole and in time ─▶ Idempotency-Key ─▶ routes
                                                    └───────────── a list of a published table ─────────▶ read
                                                                              answer ◀─ headers ◀──────────┘

Pure ASGI; hot reads are found by their path and do not pass through the framework at all. Credentials come
before the body, so nobody unknown has one read. Invariants: every answer has an `X-Request-Id`; an answer
that breaks off is never ended as if it were whole.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import iter_route_contexts

from coworkai.common.errors import CoworkError
from coworkai.common.observability import get_logger, meter
from coworkai.partner_api.guard import Access, Exchange, caller_of, is_open
from coworkai.partner_api.principal import Principal
from coworkai.partner_api.problems import Answer, Code, Refused, answer
from coworkai.partner_api.rate_limit import RateLimit, Window
from coworkai.partner_api.reads import Answers, ReadRoute
from coworkai.partner_api.services import Services
from coworkai.partner_api.settings import PartnerApiSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = get_logger(__name__)
_refusals = meter().create_counter(
    "coworkai.partner_api.refusals", description="answers with a status of 400 or more, by status"
)

SECURITY_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
CLOSED_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""For everything that is no page: a page sends its own."""
PRIVATE = (b"cache-control", b"private, no-cache")


@dataclass(frozen=True, slots=True)
class DirectRead:
    """A read that is answered without the framework: what it needs of its caller, and what answers it."""

    access: Access
    answers: Answers


class ClientGone(Exception):
    """The client closed the connection; nobody is there to be answered."""


class Edge:
    """The outermost ASGI application, around `api`, whose state has the services once it has started."""

    def __init__(self, api: FastAPI, settings: PartnerApiSettings) -> None:
        self.api = api
        self._settings = settings
        self._direct = direct_reads(api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        headers = dict(scope["headers"])
        source = source_of(scope, self._settings.trusted_proxies)
        exchange = Exchange(f"req_{secrets.token_hex(12)}", source, [])
        scope.setdefault("state", {})["exchange"] = exchange
        has_body = b"content-length" in headers or b"transfer-encoding" in headers
        outgoing = _Outgoing(exchange, send, has_body=has_body)
        try:
            await self._handle(scope, headers, exchange, receive, outgoing)
        except ClientGone:
            return
        except CoworkError as error:
            if outgoing.has_started:
                log.error("answer broke off", error=error, request_id=exchange.request_id)  # noqa: TRY400
                raise
            if error.status >= 500:
                log.warning("request failed", error=error, request_id=exchange.request_id)
            await outgoing.answer(answer(error, exchange.request_id, scope["path"]))
        except Exception as error:
            log.exception("request failed", request_id=exchange.request_id)
            if outgoing.is_complete:
                return
            if outgoing.has_started:
                raise
            internal = Refused(Code.INTERNAL, type(error).__name__)
            await outgoing.answer(answer(internal, exchange.request_id, scope["path"]))

    async def _handle(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        exchange: Exchange,
        receive: Receive,
        outgoing: _Outgoing,
    ) -> None:
        _check_head(scope, self._settings.max_header_bytes)
        services: Services = self.api.state.services
        if not is_open(scope["path"]):
            principal = await services.authenticator.authenticate(
                headers.get(b"authorization"), exchange.source
            )
            exchange.principal = principal
            outgoing.count(services.rate_limit, principal)
        read = self._direct.get(scope["path"]) if scope["method"] == "GET" else None
        if read is not None and not outgoing.has_unread_body:
            scope["app"] = self.api
            caller = caller_of(scope, read.access, services.access_log)
            response = await read.answers(Request(scope, receive), caller)
            await response(scope, receive, outgoing)
            return
        body = b""
        if outgoing.has_unread_body:
            body = await self._body(headers, receive)
            receive = _again(body, receive)
            outgoing.has_unread_body = False
        if scope["method"] == "POST" and b"idempotency-key" in headers and exchange.principal is not None:
            key = headers[b"idempotency-key"].decode("latin-1")
            await services.idempotency.handle(
                self.api, scope, receive, outgoing, exchange=exchange, key=key, body=body
            )
        else:
            await self.api(scope, receive, outgoing)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        """The whole body. Raises Refused when it is compressed, too large, or too slow; or ClientGone."""
        limit = self._settings.max_body_bytes
        if headers.get(b"content-encoding", b"identity").strip().lower() not in {b"", b"identity"}:
            raise Refused(
                Code.UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed",
                remedy="send it without Content-Encoding",
            )
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                is_last = False
                while not is_last:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        raise ClientGone
                    chunks.append(event.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise _too_large(limit)
                    is_last = not event.get("more_body", False)
        except TimeoutError:
            raise Refused(
                Code.REQUEST_TIMEOUT,
                f"the body did not arrive within {self._settings.body_timeout_s:g} s",
            ) from None
        return b"".join(chunks)


class _Outgoing:
    """The way out: adds headers to the answer."""

    def __init__(self, exchange: Exchange, send: Send, *, has_body: bool) -> None:
        self._exchange = exchange
        self._send = send
        self._rate_limit: RateLimit | None = None
        self._window: Window | None = None
        self.has_unread_body = has_body
        self.has_started = False
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            message["headers"] = self._headers(message)
            if message["status"] >= 400:
                _refusals.add(1, {"status": message["status"]})
        await self._send(message)
        self.is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    def count(self, rate_limit: RateLimit, principal: Principal) -> None:
        """Count the request in the principal's quota, which the answer tells. Raises Refused (429)."""
        self._rate_limit = rate_limit
        self._window = rate_limit.window(principal.tenant_id, principal.principal_id)
        rate_limit.take(self._window)

    async def answer(self, whole: Answer) -> None:
        """Send a whole answer."""
        headers = [
            (name.encode(), value.encode("latin-1", "replace")) for name, value in whole.headers.items()
        ]
        headers.append((b"content-length", str(len(whole.body)).encode()))
        await self({"type": "http.response.start", "status": whole.status, "headers": headers})
        await self({"type": "http.response.body", "body": whole.body})

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        headers = [*message.get("headers", ()), *self._exchange.headers]
        names = {name for name, _ in headers}
        if CLOSED_POLICY[0] not in names:
            headers.append(CLOSED_POLICY)
        if PRIVATE[0] not in names:
            headers.append(PRIVATE)
        headers.append((b"x-request-id", self._exchange.request_id.encode()))
        headers += SECURITY_HEADERS
        if self.has_unread_body:
            # What is still to come of the body is not waited for.
            headers.append((b"connection", b"close"))
        if self._rate_limit is not None and self._window is not None:
            if message["status"] == 304:
                self._rate_limit.give_back(self._window)
            headers += self._rate_limit.headers(self._window)
        return headers


def direct_reads(api: FastAPI) -> Mapping[str, DirectRead]:
    """The application's reads that have a path without parameters, by path."""
    found = {}
    for route in iter_route_contexts(api.routes):
        if isinstance(route.original_route, ReadRoute) and route.path and "{" not in route.path:
            endpoint: Any = route.original_route.endpoint
            found[route.path] = DirectRead(endpoint.access, endpoint.answers)
    return found


def source_of(scope: Mapping[str, Any], trusted_proxies: int) -> str:
    """The address that a request comes from, as the outermost trusted proxy saw it; IPv6 by its /64."""
    client = scope.get("client")
    address = client[0] if client else ""
    if trusted_proxies:
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = b",".join(lines).decode("latin-1").split(",")
        if len(hops) >= trusted_proxies:
            address = hops[-trusted_proxies].strip() or address
    return _network(address)


def _network(address: str) -> str:
    """The address without a port; of IPv6 its /64."""
    if ":" not in address:
        return address[:64]
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:
        return address.partition(":")[0][:64]
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)


def _check_head(scope: Scope, limit: int) -> None:
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value) + 4
    if size > limit:
        raise Refused(Code.HEADERS_TOO_LARGE, f"the head of the request is larger than {limit} bytes")


def _too_large(limit: int) -> Refused:
    return Refused(Code.BODY_TOO_LARGE, f"the body is larger than {limit} bytes")


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, once; then whatever else comes."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
