"""Reading pushes, verifying their tokens, publishing: without a network."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from coworkai.common.bus import (
    KEYS_MIN_AGE,
    MAX_DATA_BYTES,
    BadEnvelope,
    MessageTooLarge,
    OutgoingMessage,
    Publisher,
    PushAuth,
    decode_push,
)
from coworkai.common.errors import NotFound, Terminal, Transient, Unauthenticated

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ISSUER = "https://accounts.google.com"
AUDIENCE = "https://ingest.example/push"
ACCOUNT = "push@acme.iam.gserviceaccount.com"
SECRET = "alice@example.com"


def envelope(**message: object) -> bytes:
    return json.dumps(
        {
            "message": {"messageId": "7", "publishTime": "2026-03-02T09:00:00.123456789Z", **message},
            "subscription": "projects/p/subscriptions/s",
            "deliveryAttempt": 3,
        }
    ).encode()


# ------------------------------------------------------------------------------------------ decode_push


@given(data=st.binary(max_size=200), attributes=st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_a_wrapped_push_gives_back_what_was_published(data: bytes, attributes: dict[str, str]) -> None:
    message = decode_push(envelope(data=base64.b64encode(data).decode(), attributes=attributes), {})
    assert (message.data, message.attributes) == (data, attributes)


def test_a_push_tells_id_publish_time_attempt_and_subscription() -> None:
    message = decode_push(envelope(data=""), {})
    assert message.message_id == "7"
    assert message.published_at == datetime(2026, 3, 2, 9, 0, 0, 123457, tzinfo=UTC)
    assert message.delivery_attempt == 3
    assert message.subscription == "projects/p/subscriptions/s"


def test_the_older_names_of_id_and_publish_time_are_read_too() -> None:
    body = {"message": {"message_id": "8", "publish_time": "2026-03-02T10:00:00+01:00"}}
    message = decode_push(json.dumps(body).encode(), {})
    assert (message.message_id, message.published_at, message.delivery_attempt) == ("8", NOW, 1)


def test_an_unwrapped_push_has_its_attributes_in_headers() -> None:
    headers = {
        "host": "ingest.example",
        "authorization": "Bearer secret",
        "content-type": "application/octet-stream",
        "x-goog-pubsub-message-id": "9",
        "x-goog-pubsub-publish-time": "2026-03-02T09:00:00Z",
        "x-goog-pubsub-subscription-name": "projects/p/subscriptions/s",
        "tenant_id": "acme",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    message = decode_push(b"raw \xff", headers)
    assert (message.data, message.message_id, message.published_at) == (b"raw \xff", "9", NOW)
    assert message.attributes == {"tenant_id": "acme", "traceparent": headers["traceparent"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"message":{}}',
        b"\xff\xfe",
        b'{"message":' * 2_000,
        envelope(data=f"{SECRET}!"),
        envelope(data=5),
        envelope(attributes={"n": 1}),
        envelope(messageId=""),
        envelope(publishTime=None),
        envelope(publishTime="2026-03-02T09:00:00"),
        envelope(publishTime="yesterday"),
    ],
)
def test_what_is_no_envelope_is_terminal_and_its_content_stays_out_of_the_error(body: bytes) -> None:
    with pytest.raises(BadEnvelope) as raised:
        decode_push(body, {})
    assert SECRET not in str(raised.value)


def test_an_unwrapped_push_without_publish_time_is_no_envelope() -> None:
    with pytest.raises(BadEnvelope):
        decode_push(b"x", {"x-goog-pubsub-message-id": "9"})


# ------------------------------------------------------------------------------------------ PushAuth


class Issuer:
    """Signs tokens and serves the keys that verify them."""

    def __init__(self) -> None:
        self.keys = {"key-1": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.fetches = 0
        self.is_down = False

    def token(self, key_id: str = "key-1", /, **claims: object) -> str:
        standard = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "email": ACCOUNT,
            "email_verified": True,
            "iat": int(NOW.timestamp()),
            "exp": int((NOW + timedelta(hours=1)).timestamp()),
        }
        token = jwt.encode(standard | claims, self.keys[key_id], algorithm="RS256", headers={"kid": key_id})
        return f"Bearer {token}"

    def answer(self, _request: httpx.Request) -> httpx.Response:
        self.fetches += 1
        if self.is_down:
            return httpx.Response(503)
        keys = [
            json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": key_id, "alg": "RS256", "use": "sig"}
            for key_id, key in self.keys.items()
        ]
        return httpx.Response(200, json={"keys": keys})


ISSUER_KEYS = Issuer()


@pytest.fixture
def issuer() -> Issuer:
    fresh = Issuer.__new__(Issuer)
    fresh.keys, fresh.fetches, fresh.is_down = dict(ISSUER_KEYS.keys), 0, False
    return fresh


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def verifying(issuer: Issuer, use: Callable[[PushAuth, Clock], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = Clock()
        client = httpx.AsyncClient(transport=httpx.MockTransport(issuer.answer))
        auth = PushAuth(AUDIENCE, ACCOUNT, "https://issuer.example/certs", ISSUER, clock, client)
        try:
            await use(auth, clock)
        finally:
            await auth.aclose()

    asyncio.run(run())


def test_a_genuine_token_passes_and_the_keys_are_fetched_once(issuer: Issuer) -> None:
    async def use(auth: PushAuth, _clock: Clock) -> None:
        await auth.verify(issuer.token())
        await auth.verify(issuer.token(sub="another token"))
        await auth.verify(issuer.token(iss="accounts.google.com"))

    verifying(issuer, use)
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"iss": "https://evil.example"},
        {"email": "mallory@acme.iam.gserviceaccount.com"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"exp": int(NOW.timestamp())},
        {"iat": int((NOW + timedelta(minutes=1)).timestamp())},
    ],
)
def test_a_token_for_or_from_somebody_else_is_refused(claims: dict[str, object], issuer: Issuer) -> None:
    async def use(auth: PushAuth, _clock: Clock) -> None:
        with pytest.raises(Unauthenticated):
            await auth.verify(issuer.token("key-1", **claims))

    verifying(issuer, use)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer é"])
def test_what_is_no_bearer_token_is_refused(header: str | None, issuer: Issuer) -> None:
    async def use(auth: PushAuth, _clock: Clock) -> None:
        with pytest.raises(Unauthenticated):
            await auth.verify(header)

    verifying(issuer, use)


def test_a_token_signed_by_a_shared_secret_is_refused(issuer: Issuer) -> None:
    token = jwt.encode(
        {"aud": AUDIENCE, "iss": ISSUER}, "s" * 32, algorithm="HS256", headers={"kid": "key-1"}
    )

    async def use(auth: PushAuth, _clock: Clock) -> None:
        with pytest.raises(Unauthenticated):
            await auth.verify(f"Bearer {token}")

    verifying(issuer, use)


def test_a_forged_signature_is_refused(issuer: Issuer) -> None:
    forger = Issuer()

    async def use(auth: PushAuth, _clock: Clock) -> None:
        with pytest.raises(Unauthenticated):
            await auth.verify(forger.token())

    verifying(issuer, use)


def test_a_remembered_token_is_refused_once_it_has_expired(issuer: Issuer) -> None:
    token = issuer.token()

    async def use(auth: PushAuth, clock: Clock) -> None:
        await auth.verify(token)
        clock.now = NOW + timedelta(minutes=59)
        await auth.verify(token)
        clock.now = NOW + timedelta(hours=1)
        with pytest.raises(Unauthenticated):
            await auth.verify(token)

    verifying(issuer, use)


def test_a_new_key_of_the_issuer_is_found_and_forged_key_ids_do_not_flood_it(issuer: Issuer) -> None:
    async def use(auth: PushAuth, clock: Clock) -> None:
        await auth.verify(issuer.token())
        issuer.keys["key-2"] = Issuer().keys["key-1"]
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await auth.verify(issuer.token("key-2"))
        clock.now += KEYS_MIN_AGE + timedelta(seconds=1)
        await auth.verify(issuer.token("key-2"))

    verifying(issuer, use)
    assert issuer.fetches == 2


def test_keys_that_cannot_be_fetched_are_transient(issuer: Issuer) -> None:
    issuer.is_down = True

    async def use(auth: PushAuth, _clock: Clock) -> None:
        with pytest.raises(Transient):
            await auth.verify(issuer.token())
        issuer.is_down = False
        await auth.verify(issuer.token())

    verifying(issuer, use)


# ------------------------------------------------------------------------------------------ Publisher


def publishing(answer: Callable[[httpx.Request], httpx.Response], *messages: OutgoingMessage) -> list[str]:
    async def run() -> list[str]:
        publisher = Publisher(
            "https://bus.example", "acme", retry_for_s=0.2, transport=httpx.MockTransport(answer)
        )
        try:
            return await publisher.publish_many("telemetry-chat", messages)
        finally:
            await publisher.aclose()

    return asyncio.run(run())


def accept(request: httpx.Request) -> httpx.Response:
    messages = json.loads(request.content)["messages"]
    return httpx.Response(200, json={"messageIds": [message["attributes"]["n"] for message in messages]})


def test_messages_are_split_into_requests_within_the_limits_and_keep_their_order() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return accept(request)

    messages = [OutgoingMessage(b"x" * (MAX_DATA_BYTES // 3), {"n": str(n)}) for n in range(5)]
    messages += [OutgoingMessage(b"x", {"n": str(n)}) for n in range(5, 2_500)]
    assert publishing(answer, *messages) == [str(n) for n in range(2_500)]
    assert [len(json.loads(request.content)["messages"]) for request in requests] == [2, 2, 1_000, 1_000, 496]
    assert {request.url.path for request in requests} == {"/v1/projects/acme/topics/telemetry-chat:publish"}


def test_a_failure_that_passes_is_retried() -> None:
    answers = [httpx.Response(503), httpx.Response(429)]

    def answer(request: httpx.Request) -> httpx.Response:
        return answers.pop() if answers else accept(request)

    assert publishing(answer, OutgoingMessage(b"x", {"n": "1"})) == ["1"]


def test_a_bus_that_stays_away_is_transient() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(Transient):
        publishing(answer, OutgoingMessage(b"x"))


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (400, Terminal), (403, Terminal)])
def test_a_refusal_is_terminal_and_not_repeated(status: int, error: type[Exception]) -> None:
    calls = 0

    def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        return httpx.Response(status, text=SECRET)

    with pytest.raises(error) as raised:
        publishing(answer, OutgoingMessage(SECRET.encode()))
    assert calls == 1
    assert SECRET not in str(raised.value)


def test_a_message_larger_than_pubsub_takes_is_refused_before_it_is_sent() -> None:
    with pytest.raises(MessageTooLarge):
        publishing(accept, OutgoingMessage(bytes(MAX_DATA_BYTES + 1)))


def test_nothing_to_publish_makes_no_request() -> None:
    assert publishing(lambda _request: httpx.Response(500)) == []
