"""The push route: a raw ASGI endpoint beside FastAPI, for speed.

204 acknowledges; a push is answered so only after its outcome is durable. 503 (storage or control store down,
too much in flight, breaker open) and anything unexpected make Pub/Sub deliver again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from coworkai.common import bus, observability
from coworkai.common.bus import BadEnvelope, PushAuth, decode_push
from coworkai.common.clock import Clock
from coworkai.common.errors import CoworkError, Overloaded, Terminal, Transient
from coworkai.common.events import Source
from coworkai.common.outcome import Reason
from coworkai.common.service import problem
from coworkai.ingest.decode import Delivery, Rejected
from coworkai.ingest.pipeline import Delivered, Pipeline

PREFIX = "/push/"
ENVELOPE_ROOM = 2
"""Base64 and the envelope make a body at most this many times its message."""
OUTCOME_HEADER = b"x-coworkai-outcome"
"""Header of an acknowledgement: `received=20, accepted=19, duplicate=1, quarantined=0`."""
EMPTY = [(b"content-length", b"0")]
UNWRAPPED_ID = bus.UNWRAPPED_ID.encode()
SOURCES = {source.value: source for source in Source}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = observability.get_logger(__name__)


class BodyTooLarge(Terminal):
    """The request is larger than any message."""

    code = "body_too_large"
    status = 413


class BodyEncoded(Terminal):
    """The body is compressed, which Pub/Sub never does."""

    code = "body_encoded"
    status = 415


def check_encoding(headers: Mapping[bytes, bytes]) -> None:
    """Raises BodyEncoded."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in {b"", b"identity"}:
        raise BodyEncoded("the body is compressed", remedy="send it without Content-Encoding")


@dataclass(slots=True)
class InFlight:
    """Bytes of the requests being worked on, bounded."""

    limit: int
    held: int = 0

    def take(self, size: int, own: int) -> None:
        """Hold `size` bytes for a request that holds `own` already.

        Raises Overloaded when there is no room beside the others; one request alone always has room.
        """
        others = self.held - own
        if others and self.held + size > self.limit:
            raise Overloaded("too much is in flight")
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


async def read_body(receive: Receive, in_flight: InFlight, limit: int) -> bytes:
    """The body of a request; its bytes are held in `in_flight`, to be given back by the caller.

    Raises Overloaded, BodyTooLarge, or Transient when the sender went away; nothing is held then.
    """
    chunks: list[bytes] = []
    size = 0
    is_last = False
    try:
        while not is_last:
            chunk, is_last = _chunk(await receive())
            in_flight.take(len(chunk), size)
            size += len(chunk)
            chunks.append(chunk)
            _check_size(size, limit)
    except BaseException:
        in_flight.give_back(size)
        raise
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _chunk(event: MutableMapping[str, Any]) -> tuple[bytes, bool]:
    """A piece of the body, and whether it is the last."""
    if event["type"] == "http.disconnect":
        raise Transient("the sender went away")
    return event.get("body", b""), not event.get("more_body", False)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise BodyTooLarge(
            f"the request is larger than {limit} bytes", remedy="send fewer records in a batch"
        )


class Push:
    """`POST /push/{source}`, wrapped or unwrapped; `auth` is None where pushes carry no token."""

    def __init__(
        self,
        pipeline: Pipeline,
        auth: PushAuth | None,
        in_flight: InFlight,
        clock: Clock,
        max_message_bytes: int,
    ) -> None:
        self._pipeline = pipeline
        self._auth = auth
        self._in_flight = in_flight
        self._clock = clock
        self._max_body_bytes = ENVELOPE_ROOM * max_message_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] != "POST":
                await _answer(send, 405, EMPTY)
                return
            delivered = await self._take(scope, receive)
        except CoworkError as error:
            await problem(error)(scope, receive, send)
        except Exception as error:
            log.error("push failed", error=error)  # noqa: TRY400 - logs the type and the place
            await _answer(send, 500, EMPTY)
        else:
            await _acknowledge(send, delivered)

    async def _take(self, scope: Scope, receive: Receive) -> Delivered:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._auth is not None:
            await self._auth.verify(headers.get(b"authorization", b"").decode("latin-1"))
        check_encoding(headers)
        body = await read_body(receive, self._in_flight, self._max_body_bytes)
        size = len(body)
        source = SOURCES.get(scope["path"][len(PREFIX) :])
        try:
            try:
                delivery = _enveloped(source, body, headers)
            except BadEnvelope:
                refused = self._unenveloped(source, body)
                return await self._pipeline.refuse(refused, Rejected(Reason.BAD_ENVELOPE))
            # The message is a copy; its envelope's memory serves the next one while this waits for a commit.
            del body
            return await self._pipeline.deliver(delivery)
        finally:
            self._in_flight.give_back(size)

    def _unenveloped(self, source: Source | None, body: bytes) -> Delivery:
        # Nothing says which message it was: the same bytes count as the same one.
        return Delivery(
            topic=_topic(source),
            source=source,
            data=body,
            attributes={},
            message_id=f"body-{sha256(body).hexdigest()[:32]}",
            published_at=self._clock(),
        )


def _enveloped(source: Source | None, body: bytes, headers: Mapping[bytes, bytes]) -> Delivery:
    """The delivery that a push is. Raises BadEnvelope."""
    # A wrapped push says nothing in its headers, so the many that come with it are not read.
    metadata: dict[str, str] = {}
    if UNWRAPPED_ID in headers:
        metadata = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
    message = decode_push(body, metadata)
    return Delivery(
        topic=_topic(source),
        source=source,
        data=message.data,
        attributes=message.attributes,
        message_id=message.message_id,
        published_at=message.published_at,
        is_first_attempt=message.delivery_attempt <= 1,
    )


def _topic(source: Source | None) -> str:
    return "unknown" if source is None else source.topic


async def _acknowledge(send: Send, delivered: Delivered) -> None:
    # Without a body the answer is one write to the socket instead of two.
    counts = b"received=%d, accepted=%d, duplicate=%d, quarantined=%d" % (
        delivered.received,
        delivered.accepted,
        delivered.duplicate,
        delivered.quarantined,
    )
    await _answer(send, 204, [(OUTCOME_HEADER, counts)])


async def _answer(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
