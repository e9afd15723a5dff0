"""A POST under one Idempotency-Key happens once: later attempts get the first one's answer.

    no row            ─▶ claim ─▶ handle ─▶ keep the answer ─▶ send it          kept for a day
    answered          ─▶ the kept answer again; 422 when the request is another one
    claimed           ─▶ 409, the first attempt is still under way
    claim has run out ─▶ its process died: claim again, handle again under the same operation id

Invariants: an answer is kept before it is sent; all attempts under a key have one operation id, and routes
derive the ids of what they make from it, so that what a dead attempt made is found, not made twice. Nothing
is kept of a request that was refused (4xx) or is a query: it did nothing. What is kept is sealed, and given
to a caller of the same scopes only.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, select, update

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.schema import idempotency_keys as table
from coworkai.partner_api.guard import Exchange
from coworkai.partner_api.principal import Principal
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Purpose, Secrets

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
InStore = Callable[[Callable[[], Any]], Awaitable[Any]]

CLAIM = timedelta(seconds=60)
"""Longer than any POST takes; then its process is taken for dead."""
MAX_KEY_CHARS = 255
REPLAYED = (b"idempotent-replayed", b"true")
RETRY_AFTER_S = "1"


@dataclass(frozen=True, slots=True)
class Request:
    """What tells one request under a key from another."""

    principal: Principal
    key: str
    method: str
    path: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to handle a request, until `until`; its first attempt began at `created_at`."""

    request: Request
    operation_id: str
    created_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that a request got before."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class IdempotencyKeys:
    """The kept answers in the store, which forgets them by itself (`Control.purge`).

    Safe to share between threads; methods raise StorageUnavailable.
    """

    def __init__(
        self, database: Database, secrets: Secrets, kept_for: timedelta, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._kept_for = kept_for
        self._clock = clock

    def request(self, principal: Principal, key: str, scope: Scope, body: bytes) -> Request:
        """The request as it is compared. Raises Refused (422) for a key that is none."""
        # As the draft writes it, a quoted string; as most send it, without quotes.
        key = key[1:-1] if len(key) > 2 and key[0] == key[-1] == '"' else key
        if not 1 <= len(key) <= MAX_KEY_CHARS or not all("!" <= char <= "~" for char in key):
            raise Refused(
                Code.INVALID_IDEMPOTENCY_KEY,
                f"the Idempotency-Key is not 1 to {MAX_KEY_CHARS} visible ASCII characters",
                remedy="a new UUID for each operation serves well",
            )
        method, path = scope["method"], scope["path"]
        scopes = " ".join(sorted(principal.scopes))
        parts = (method.encode(), path.encode(), scope["query_string"], body, scopes.encode())
        return Request(principal, key, method, path[:2_048], self._secrets.mac(Purpose.IDEMPOTENCY, *parts))

    def begin(self, request: Request) -> Claim | Kept:
        """Claim the request, or the answer that it got before.

        Raises Refused: 422 when the key belongs to another request, 409 while that is under way.
        """
        now = self._clock()
        until = now + CLAIM
        first = {
            "tenant_id": request.principal.tenant_id,
            "principal_id": request.principal.principal_id,
            "key": request.key,
            "method": request.method,
            "path": request.path,
            "request_digest": request.digest,
            "status": None,
            "headers": None,
            "body": None,
            "created_at": now,
            "expires_at": until,
        }
        is_mine = _is(request)
        with self._database.write() as connection:
            connection.execute(delete(table).where(is_mine, table.c.created_at <= now - self._kept_for))
            made = connection.execute(
                self._database.insert(table)
                .values(first)
                .on_conflict_do_nothing()
                .returning(table.c.created_at)
            ).first()
            if made is not None:
                return Claim(request, self._operation_id(request, now), now, until)
            row = connection.execute(select(table).where(is_mine).with_for_update()).one_or_none()
            if row is None:
                # It was refused at this moment, and is free again.
                raise _in_flight()
            if row.request_digest != request.digest:
                raise Refused(
                    Code.IDEMPOTENCY_MISMATCH,
                    "another request was made under this Idempotency-Key",
                    remedy="use a new key for each operation",
                )
            if row.status is not None:
                return self._opened(request, row.status, row.headers, row.body)
            if row.expires_at > now:
                raise _in_flight()
            connection.execute(update(table).where(is_mine).values(expires_at=until))
            return Claim(request, self._operation_id(request, row.created_at), row.created_at, until)

    def keep(self, claim: Claim, answer: Kept) -> None:
        """Keep the answer for later attempts. Does nothing when the claim was lost."""
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
        body = self._secrets.seal(Purpose.IDEMPOTENCY, answer.body, _place(claim.request))
        with self._database.write() as connection:
            connection.execute(
                update(table)
                .where(_is(claim.request), table.c.status.is_(None), table.c.expires_at == claim.until)
                .values(
                    status=answer.status,
                    headers=headers,
                    body=body,
                    expires_at=claim.created_at + self._kept_for,
                )
            )

    def forget(self, claim: Claim) -> None:
        """The request did nothing: its key is free again."""
        with self._database.write() as connection:
            connection.execute(
                delete(table).where(
                    _is(claim.request), table.c.status.is_(None), table.c.expires_at == claim.until
                )
            )

    def release(self, claim: Claim) -> None:
        """The request failed on our side: the next attempt takes it up, as the same operation."""
        with self._database.write() as connection:
            connection.execute(
                update(table)
                .where(_is(claim.request), table.c.status.is_(None), table.c.expires_at == claim.until)
                .values(expires_at=self._clock())
            )

    def _opened(self, request: Request, status: int, headers: list[list[str]], body: bytes) -> Kept:
        return Kept(
            status,
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            self._secrets.open(Purpose.IDEMPOTENCY, body, _place(request)),
        )

    def _operation_id(self, request: Request, created_at: datetime) -> str:
        place = f"{_place(request)}@{created_at.isoformat()}"
        return self._secrets.mac(Purpose.IDEMPOTENCY, b"operation", place.encode())[:12].hex()


class Idempotency:
    """Answers POST requests that carry an Idempotency-Key."""

    def __init__(self, keys: IdempotencyKeys, in_store: InStore) -> None:
        self._keys = keys
        self._in_store = in_store

    async def handle(
        self,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        exchange: Exchange,
        key: str,
        body: bytes,
    ) -> None:
        """Handle the request with `app`, or answer as before. Raises as `IdempotencyKeys.begin`."""
        assert exchange.principal is not None
        request = self._keys.request(exchange.principal, key, scope, body)
        claim = await self._in_store(lambda: self._keys.begin(request))
        if isinstance(claim, Kept):
            await _send(claim, send, replayed=True)
            return
        exchange.operation_id = claim.operation_id
        collected = _Collected()
        try:
            await app(scope, receive, collected)
        except BaseException:
            await self._in_store(lambda: self._keys.release(claim))
            # The framework has answered before it raised.
            if collected.is_complete:
                await _send(collected.answer(), send)
            raise
        answer = collected.answer()
        if answer.status >= 500:
            await self._in_store(lambda: self._keys.release(claim))
        elif answer.status >= 400 or exchange.is_query:
            await self._in_store(lambda: self._keys.forget(claim))
        else:
            await self._in_store(lambda: self._keys.keep(claim, answer))
        await _send(answer, send)


class _Collected:
    """An answer, held back until it is whole."""

    def __init__(self) -> None:
        self._start: Message = {}
        self._body: list[bytes] = []
        self.is_complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._body.append(message.get("body", b""))
            self.is_complete = not message.get("more_body", False)

    def answer(self) -> Kept:
        return Kept(self._start["status"], list(self._start.get("headers", ())), b"".join(self._body))


async def _send(answer: Kept, send: Send, *, replayed: bool = False) -> None:
    headers = [*answer.headers, REPLAYED] if replayed else answer.headers
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _in_flight() -> Refused:
    return Refused(
        Code.IDEMPOTENCY_IN_FLIGHT,
        "the first request under this Idempotency-Key has no answer yet",
        remedy="try again, under the same key",
        headers={"retry-after": RETRY_AFTER_S},
    )


def _is(request: Request) -> Any:
    return and_(
        table.c.tenant_id == request.principal.tenant_id,
        table.c.principal_id == request.principal.principal_id,
        table.c.key == request.key,
    )


def _place(request: Request) -> str:
    return json.dumps([request.principal.tenant_id, request.principal.principal_id, request.key])
