"""Pub/Sub at the edges: publish over its REST API, read a push, verify the token a push carries.

The same code speaks to Google, to Google's emulator and to the embedded bus; they differ in the base URL and
in who signs the tokens. Message bodies are telemetry: no error or log line of this module holds any.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

import httpx
import jwt
import msgspec
import tenacity

from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import NotFound, SettingsError, Terminal, Transient, Unauthenticated
from coworkai.common.settings import CommonSettings

PUBLISH_SCOPE = "https://www.googleapis.com/auth/pubsub"
MAX_MESSAGES_PER_REQUEST = 1_000
MAX_DATA_BYTES = 10_000_000
"""Pub/Sub's limit of a message's data, and of all data and attributes of a request."""


class BadEnvelope(Terminal):
    """The body is no push of Pub/Sub."""

    code = "bad_envelope"


class MessageTooLarge(Terminal):
    """The message is larger than Pub/Sub takes."""

    code = "message_too_large"
    status = 413


# --------------------------------------------------------------------------------------------- receiving


@dataclass(frozen=True, slots=True)
class PushMessage:
    """One message of a push. `published_at` is its first publish time; `delivery_attempt` counts from 1."""

    data: bytes
    attributes: Mapping[str, str]
    message_id: str
    published_at: datetime
    delivery_attempt: int
    subscription: str


class _Message(msgspec.Struct, gc=False):
    data: bytes = b""
    attributes: dict[str, str] = {}
    messageId: str = ""
    message_id: str = ""
    publishTime: datetime | None = None
    publish_time: datetime | None = None


class _Envelope(msgspec.Struct, gc=False):
    message: _Message
    subscription: str = ""
    deliveryAttempt: int | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_time = msgspec.json.Decoder(datetime).decode

UNWRAPPED_ID = "x-goog-pubsub-message-id"
"""The header that a push without an envelope is known by."""
_TRANSPORT_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "from",
        "host",
        "keep-alive",
        "pragma",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
        "x-cloud-trace-context",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
    }
)


def decode_push(body: bytes, headers: Mapping[str, str]) -> PushMessage:
    """The message of a push, wrapped (JSON envelope) or unwrapped with metadata (`x-goog-pubsub-*` headers).

    Header names are lower case. Unwrapped, the attributes are the headers that HTTP itself does not use.
    Raises BadEnvelope when the body is no envelope, its data is no base64, or id or publish time is missing.
    """
    if UNWRAPPED_ID in headers:
        return _unwrapped(body, headers)
    try:
        envelope = _decode_envelope(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadEnvelope("the body is no push envelope") from None
    message = envelope.message
    published_at = message.publishTime or message.publish_time
    message_id = message.messageId or message.message_id
    if published_at is None or published_at.tzinfo is None or not message_id:
        raise BadEnvelope("the envelope lacks a message id or a publish time")
    return PushMessage(
        data=message.data,
        attributes=message.attributes,
        message_id=message_id,
        published_at=published_at.astimezone(UTC),
        delivery_attempt=envelope.deliveryAttempt or 1,
        subscription=envelope.subscription,
    )


def _unwrapped(body: bytes, headers: Mapping[str, str]) -> PushMessage:
    try:
        published_at = _decode_time(msgspec.json.encode(headers.get("x-goog-pubsub-publish-time", "")))
        attempt = int(headers.get("x-goog-pubsub-delivery-attempt", "1"))
    except (msgspec.DecodeError, ValueError):
        raise BadEnvelope("the push headers lack a publish time") from None
    if published_at.tzinfo is None:
        raise BadEnvelope("the publish time has no offset")
    return PushMessage(
        data=body,
        attributes={
            name: value
            for name, value in headers.items()
            if name not in _TRANSPORT_HEADERS and not name.startswith("x-goog-")
        },
        message_id=headers[UNWRAPPED_ID],
        published_at=published_at.astimezone(UTC),
        delivery_attempt=attempt,
        subscription=headers.get("x-goog-pubsub-subscription-name", ""),
    )


# --------------------------------------------------------------------------------------------- authenticity

CACHED_TOKENS = 1_024
KEYS_MAX_AGE = timedelta(hours=1)
KEYS_MIN_AGE = timedelta(seconds=10)
"""An unknown key id makes the keys be fetched again, but a flood of forged ones does not flood the issuer."""
CLOCK_LEEWAY = timedelta(seconds=10)


@dataclass
class PushAuth:
    """Verifies that a push was signed for us: signature, audience, issuer, service account, expiry.

    A token is verified once and remembered until it expires (Pub/Sub reuses one for up to an hour).
    """

    audience: str
    service_account: str
    jwks_url: str
    issuer: str
    clock: Clock = utc_now
    client: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(timeout=5))
    _verified: OrderedDict[bytes, datetime] = field(default_factory=OrderedDict, repr=False)
    _keys: jwt.PyJWKSet | None = field(default=None, repr=False)
    _fetched_at: datetime | None = field(default=None, repr=False)
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @classmethod
    def from_settings(cls, settings: CommonSettings) -> Self | None:
        """None where pushes carry no token (local mode without `push_auth`)."""
        if not settings.push_auth:
            return None
        if settings.push_audience is None or settings.push_service_account is None:
            raise SettingsError("push_auth needs push_audience and push_service_account")
        return cls(
            settings.push_audience,
            settings.push_service_account,
            settings.push_jwks_url,
            settings.push_issuer,
        )

    async def verify(self, authorization: str | None) -> None:
        """Accept the `Authorization` header of a push.

        Raises Unauthenticated for a missing, forged, expired or foreign token, and Transient when the
        issuer's keys cannot be fetched.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("the push carries no bearer token")
        digest = hashlib.sha256(token.encode()).digest()
        now = self.clock()
        if (expires_at := self._verified.get(digest)) is not None and now < expires_at:
            return
        expires_at = await self._verify(token, now)
        self._verified[digest] = expires_at
        self._verified.move_to_end(digest)
        while len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)

    async def aclose(self) -> None:
        await self.client.aclose()

    async def _verify(self, token: str, now: datetime) -> datetime:
        try:
            key = await self._key(jwt.get_unverified_header(token).get("kid"), now)
            # Expiry is checked below, against this object's clock.
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self.audience,
                options={
                    "require": ["exp", "iat", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
            issued_at = datetime.fromtimestamp(int(claims["iat"]), UTC)
        except (jwt.PyJWTError, ValueError, OverflowError):
            raise Unauthenticated("the push token does not verify") from None
        # Google signs with either form of its issuer.
        if str(claims["iss"]).removeprefix("https://") != self.issuer.removeprefix("https://"):
            raise Unauthenticated("the push token is of another issuer")
        if claims.get("email") != self.service_account or claims.get("email_verified") is not True:
            raise Unauthenticated("the push token is of another service account")
        if now >= expires_at or issued_at > now + CLOCK_LEEWAY:
            raise Unauthenticated("the push token is outside its validity")
        return expires_at

    async def _key(self, key_id: str | None, now: datetime) -> jwt.PyJWK:
        async with self._fetching:
            age = None if self._fetched_at is None else now - self._fetched_at
            keys = self._keys
            known = keys is not None and any(key.key_id == key_id for key in keys.keys)
            if keys is None or age is None or age > KEYS_MAX_AGE or (not known and age > KEYS_MIN_AGE):
                keys = await self._fetch_keys()
                self._keys, self._fetched_at = keys, now
        for key in keys.keys:
            if key.key_id == key_id:
                return key
        raise Unauthenticated("the push token is signed by an unknown key")

    async def _fetch_keys(self) -> jwt.PyJWKSet:
        try:
            response = await self.client.get(self.jwks_url)
            response.raise_for_status()
            return jwt.PyJWKSet.from_dict(response.json())
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            raise Transient(f"the issuer's keys cannot be fetched ({type(error).__name__})") from None


# --------------------------------------------------------------------------------------------- publishing


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)


class _PublishResponse(msgspec.Struct):
    messageIds: list[str]


TokenSource = Callable[[], str]


def google_access_token() -> TokenSource:
    """Access tokens of the environment's Google credentials, refreshed when they run out.

    Raises SettingsError when there are none; the returned function raises Transient when none is given out.
    """
    # A quarter of a second to import, for those who publish to Google.
    import google.auth
    import google.auth.exceptions
    import google.auth.transport.requests

    try:
        credentials, _project = google.auth.default(scopes=[PUBLISH_SCOPE])
    except google.auth.exceptions.DefaultCredentialsError:
        raise SettingsError(
            "no Google credentials", remedy="run on Google Cloud, or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from None
    request = google.auth.transport.requests.Request()

    def token() -> str:
        if not credentials.valid:
            try:
                credentials.refresh(request)  # type: ignore[no-untyped-call]
            except google.auth.exceptions.GoogleAuthError as error:
                raise Transient(f"no access token ({type(error).__name__})") from None
        return str(credentials.token)

    return token


class Publisher:
    """Publishes to topics of one project. Safe to share between tasks of one event loop.

    A transient failure is retried with exponential back-off and jitter for `retry_for_s`, so a message may be
    published twice: readers tell by content, never by message id.
    """

    def __init__(
        self,
        bus_url: str,
        project: str,
        *,
        access_token: TokenSource | None = None,
        timeout_s: float = 10,
        retry_for_s: float = 30,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._project = project
        self._access_token = access_token
        self._retry_for_s = retry_for_s
        self._client = httpx.AsyncClient(base_url=bus_url, timeout=timeout_s, transport=transport)

    @classmethod
    def from_settings(cls, settings: CommonSettings) -> Self:
        """Publisher for the bus of the settings, with Google's credentials where it is Google's."""
        is_google = httpx.URL(settings.bus_url).host.endswith(".googleapis.com")
        return cls(
            settings.bus_url,
            settings.project,
            access_token=google_access_token() if is_google else None,
        )

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        """Publish one message; returns its id.

        Raises NotFound (no such topic), MessageTooLarge, Terminal (refused) or Transient (bus not reachable).
        """
        (message_id,) = await self.publish_many(topic, [OutgoingMessage(data, attributes or {})])
        return message_id

    async def publish_many(self, topic: str, messages: Sequence[OutgoingMessage]) -> list[str]:
        """Publish in order, in as few requests as Pub/Sub's limits allow; returns their ids in order.

        Raises as `publish`. When it raises, earlier messages may have been published.
        """
        message_ids: list[str] = []
        for body, count in _requests(messages):
            answered = await self._send(topic, body)
            if len(answered) != count:
                raise Transient(f"the bus acknowledged {len(answered)} of {count} messages")
            message_ids += answered
        return message_ids

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send(self, topic: str, body: bytes) -> list[str]:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Transient),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
            stop=tenacity.stop_after_delay(self._retry_for_s),
            reraise=True,
        )
        return await retrying(self._send_once, topic, body)

    async def _send_once(self, topic: str, body: bytes) -> list[str]:
        headers = {"content-type": "application/json"}
        if self._access_token is not None:
            headers["authorization"] = f"Bearer {await asyncio.to_thread(self._access_token)}"
        try:
            response = await self._client.post(
                f"/v1/projects/{self._project}/topics/{topic}:publish", content=body, headers=headers
            )
        except httpx.HTTPError as error:
            raise Transient(f"the bus does not answer ({type(error).__name__})") from None
        status = response.status_code
        if status in {408, 429} or status >= 500:
            raise Transient(f"the bus answered {status}")
        if status == 404:
            raise NotFound(f"no topic {topic}", remedy="create the topic, or check bus_url and project")
        if status >= 400:
            raise Terminal(f"the bus refused a message for {topic} with {status}")
        try:
            return msgspec.json.decode(response.content, type=_PublishResponse).messageIds
        except msgspec.DecodeError:
            raise Transient("the bus answered something else than message ids") from None


def _requests(messages: Sequence[OutgoingMessage]) -> list[tuple[bytes, int]]:
    """Bodies of publish requests within Pub/Sub's limits, each with its number of messages."""
    out: list[tuple[bytes, int]] = []
    pending: list[bytes] = []
    size = 0
    for message in messages:
        if len(message.data) > MAX_DATA_BYTES:
            raise MessageTooLarge(
                f"{len(message.data)} bytes of data; Pub/Sub takes {MAX_DATA_BYTES}",
                remedy="put fewer records into a message",
            )
        encoded = msgspec.json.encode(
            {"data": base64.b64encode(message.data).decode(), "attributes": dict(message.attributes)}
        )
        length = len(message.data) + sum(len(k) + len(v) for k, v in message.attributes.items())
        if pending and (len(pending) == MAX_MESSAGES_PER_REQUEST or size + length > MAX_DATA_BYTES):
            out.append((b'{"messages":[' + b",".join(pending) + b"]}", len(pending)))
            pending, size = [], 0
        pending.append(encoded)
        size += length
    if pending:
        out.append((b'{"messages":[' + b",".join(pending) + b"]}", len(pending)))
    return out
