"""HTTP of the embedded bus: Pub/Sub's REST surface that CoworkAI uses, key set, status, health.

    PUT  /v1/projects/{p}/topics/{t}                        create a topic
    PUT  /v1/projects/{p}/subscriptions/{s}                 create a push subscription
    POST /v1/projects/{p}/subscriptions/{s}:modifyPushConfig
    POST /v1/projects/{p}/topics/{t}:publish
    GET  /oauth2/v3/certs                                   keys that sign the pushes' tokens
    GET  /status                                            queued, in flight and dead, by subscription
    POST /quiesce                                           push no more; answers when nothing is in flight

Only on this bus, a publisher may set a message's publish time with the attribute `coworkai-published-at`,
which is taken off: importers and samples replay telemetry of earlier days.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec
from fastapi import FastAPI, Request, Response

from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import CoworkError, NotFound, Terminal
from coworkai.common.observability import meter
from coworkai.common.service import add_health, add_problems
from coworkai.local.bus.push_client import PushClient, parse_endpoint
from coworkai.local.bus.pusher import Pusher
from coworkai.local.bus.queue import Commits, Message, Queue, Subscription
from coworkai.local.bus.settings import BusSettings
from coworkai.local.bus.tokens import TokenSigner

PUBLISH_TIME_ATTRIBUTE = "coworkai-published-at"
MAX_REQUEST_BYTES = 64_000_000
"""More than Pub/Sub's 10 MB of data: ingest, not the bus, says that a message is too large."""

_published = meter().create_counter("bus_published", description="messages published by topic")


class _PubsubMessage(msgspec.Struct, gc=False):
    data: bytes = b""
    attributes: dict[str, str] = {}


class _PublishRequest(msgspec.Struct):
    messages: list[_PubsubMessage]


class _OidcToken(msgspec.Struct, rename="camel"):
    service_account_email: str
    audience: str


class _PushConfig(msgspec.Struct, rename="camel"):
    push_endpoint: str
    oidc_token: _OidcToken | None = None


class _SubscriptionRequest(msgspec.Struct, rename="camel"):
    topic: str
    push_config: _PushConfig


class _ModifyRequest(msgspec.Struct, rename="camel"):
    push_config: _PushConfig


_decode_publish = msgspec.json.Decoder(_PublishRequest).decode
_decode_subscription = msgspec.json.Decoder(_SubscriptionRequest).decode
_decode_modify = msgspec.json.Decoder(_ModifyRequest).decode
_decode_time = msgspec.json.Decoder(datetime).decode


class AlreadyExists(Terminal):
    code = "already_exists"
    status = 409


@dataclass
class Bus:
    """The running bus. Made by `running`, which also stops it."""

    settings: BusSettings
    queue: Queue
    commits: Commits
    tokens: TokenSigner
    client: PushClient
    clock: Clock
    pushers: dict[str, Pusher] = field(default_factory=dict)
    _last_id: int = 0

    def subscribe(self, subscription: Subscription) -> None:
        """Deliver to the subscription from now on, to its present endpoint."""
        pusher = self.pushers.get(subscription.name)
        if pusher is not None:
            pusher.point_to(subscription)
            return
        self.pushers[subscription.name] = Pusher(
            subscription,
            queue=self.queue,
            commits=self.commits,
            tokens=self.tokens,
            client=self.client,
            settings=self.settings,
            clock=self.clock,
        )

    async def quiesce(self) -> None:
        """Push no more, and return when the pushes in flight are answered; publishing goes on."""
        await asyncio.gather(*(pusher.stop() for pusher in self.pushers.values()))

    async def publish(self, topic: str, requested: list[_PubsubMessage]) -> list[str]:
        """Ids of the messages, once they are durable. Raises NotFound, or Terminal for a bad message."""
        messages = [self._message(message) for message in requested]

        def write() -> bool:
            if not self.queue.has_topic(topic):
                return False
            self.queue.publish(topic, messages)
            return True

        if not await self.commits.do(write):
            raise NotFound(f"no topic {topic}")
        for pusher in self.pushers.values():
            if pusher.subscription.topic == topic:
                pusher.wake()
        _published.add(len(messages), {"topic": topic.rpartition("/")[2]})
        return [message.message_id for message in messages]

    def _message(self, requested: _PubsubMessage) -> Message:
        if not requested.data and not requested.attributes:
            raise Terminal("a message needs data or attributes")
        attributes = dict(requested.attributes)
        published_at = self.clock()
        if (given := attributes.pop(PUBLISH_TIME_ATTRIBUTE, None)) is not None:
            try:
                published_at = _decode_time(msgspec.json.encode(given))
            except msgspec.DecodeError:
                raise Terminal(f"{PUBLISH_TIME_ATTRIBUTE} is no RFC 3339 time") from None
            if published_at.tzinfo is None:
                raise Terminal(f"{PUBLISH_TIME_ATTRIBUTE} has no offset")
        # Unique in this folder's life: the clock in microseconds, never standing still.
        self._last_id = max(self._last_id + 1, time.time_ns() // 1_000)
        return Message(str(self._last_id), published_at.astimezone(UTC), requested.data, attributes)


@asynccontextmanager
async def running(settings: BusSettings, clock: Clock = utc_now) -> AsyncIterator[Bus]:
    """The bus over `<data_dir>/bus.db`, delivering; stops with what is in flight answered."""
    queue = Queue(settings.data_dir / "bus.db", settings.master_key_bytes())
    commits = Commits(queue)
    client = PushClient(settings.bus_push_timeout_s)
    signer = TokenSigner(settings.data_dir / "bus-signing-key.pem")
    bus = Bus(settings, queue, commits, signer, client, clock)
    try:
        await commits.do(queue.verify_key)
        if not settings.bus_await_endpoints:
            for subscription in await commits.do(queue.subscriptions):
                bus.subscribe(subscription)
        yield bus
    finally:
        await bus.quiesce()
        await client.aclose()
        await commits.aclose()
        queue.close()


def create_app(settings: BusSettings) -> FastAPI:
    """The bus's ASGI application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running(settings) as bus:
            app.state.bus = bus
            yield

    app = FastAPI(title="CoworkAI embedded bus", docs_url=None, redoc_url=None, lifespan=lifespan)
    add_problems(app)
    add_health(app, ready=lambda: None)
    app.add_exception_handler(CoworkError, _google_error)
    topic, subscription = (
        "/v1/projects/{project}/topics/{topic}",
        "/v1/projects/{project}/subscriptions/{name}",
    )
    app.add_route(f"{topic}:publish", _publish, methods=["POST"])
    app.add_route(topic, _create_topic, methods=["PUT"])
    app.add_route(f"{subscription}:modifyPushConfig", _modify_push_config, methods=["POST"])
    app.add_route(subscription, _create_subscription, methods=["PUT"])
    app.add_route("/oauth2/v3/certs", _certs, methods=["GET"])
    app.add_route("/status", _status, methods=["GET"])
    app.add_route("/quiesce", _quiesce, methods=["POST"])
    return app


async def _publish(request: Request) -> Response:
    bus = _bus(request)
    body = await _body(request)
    try:
        messages = _decode_publish(body).messages
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Terminal("the body is no publish request") from None
    message_ids = await bus.publish(_topic_name(request), messages)
    return _json({"messageIds": message_ids})


async def _create_topic(request: Request) -> Response:
    bus, name = _bus(request), _topic_name(request)
    if not await bus.commits.do(lambda: bus.queue.create_topic(name)):
        raise AlreadyExists(f"{name} exists")
    return _json({"name": name})


async def _create_subscription(request: Request) -> Response:
    bus = _bus(request)
    try:
        wanted = _decode_subscription(await _body(request))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Terminal("the body is no push subscription") from None
    name = _subscription_name(request)
    if name in bus.pushers:
        raise AlreadyExists(f"{name} exists")
    subscription = _with_push_config(Subscription(name, wanted.topic, ""), wanted.push_config)

    def write() -> bool:
        if not bus.queue.has_topic(subscription.topic):
            return False
        bus.queue.put_subscription(subscription)
        return True

    if not await bus.commits.do(write):
        raise NotFound(f"no topic {subscription.topic}")
    bus.subscribe(subscription)
    return _json({"name": name})


async def _modify_push_config(request: Request) -> Response:
    bus, name = _bus(request), _subscription_name(request)
    try:
        wanted = _decode_modify(await _body(request))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Terminal("the body is no push configuration") from None
    if name not in bus.pushers:
        raise NotFound(f"no subscription {name}")
    subscription = _with_push_config(bus.pushers[name].subscription, wanted.push_config)
    await bus.commits.do(lambda: bus.queue.put_subscription(subscription))
    bus.subscribe(subscription)
    return _json({})


async def _certs(request: Request) -> Response:
    return _json(_bus(request).tokens.key_set())


async def _status(request: Request) -> Response:
    bus = _bus(request)
    backlog = await bus.commits.do(bus.queue.backlog)
    by_subscription = {
        name.rpartition("/")[2]: {
            "queued": max(counts.open - _in_flight(bus, name), 0),
            "in_flight": _in_flight(bus, name),
            "dead": counts.dead,
        }
        for name, counts in backlog.items()
    }
    totals = {
        kind: sum(counts[kind] for counts in by_subscription.values())
        for kind in ("queued", "in_flight", "dead")
    }
    return _json(totals | {"subscriptions": by_subscription})


async def _quiesce(request: Request) -> Response:
    await _bus(request).quiesce()
    return _json({})


async def _google_error(_request: Request, error: Exception) -> Response:
    """Errors in the shape of Google's APIs."""
    assert isinstance(error, CoworkError)
    body = {"error": {"code": error.status, "message": error.message, "status": error.code.upper()}}
    return Response(msgspec.json.encode(body), error.status, media_type="application/json")


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_REQUEST_BYTES:
            raise Terminal("the request is larger than the bus takes")
        chunks.append(chunk)
    return b"".join(chunks)


def _bus(request: Request) -> Bus:
    bus = request.app.state.bus
    assert isinstance(bus, Bus)
    return bus


def _in_flight(bus: Bus, name: str) -> int:
    return bus.pushers[name].in_flight if name in bus.pushers else 0


def _topic_name(request: Request) -> str:
    return f"projects/{request.path_params['project']}/topics/{request.path_params['topic']}"


def _subscription_name(request: Request) -> str:
    return f"projects/{request.path_params['project']}/subscriptions/{request.path_params['name']}"


def _with_push_config(subscription: Subscription, config: _PushConfig) -> Subscription:
    parse_endpoint(config.push_endpoint)
    token = config.oidc_token
    return replace(
        subscription,
        endpoint=config.push_endpoint,
        audience=token.audience if token else None,
        service_account=token.service_account_email if token else None,
    )


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
