"""The embedded bus as a real process: what it promises beyond the contract of any Pub/Sub."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import httpx
import jwt
import pytest
from tests.doubles.buses import embedded_bus
from tests.doubles.push_target import PushTarget

from coworkai.common.bus import OutgoingMessage, Publisher, PushAuth, PushMessage
from coworkai.common.errors import Terminal, Unauthenticated
from coworkai.local.bus.settings import LOCAL_ISSUER
from coworkai.local.dead_letters import list_dead_letters, replay_dead_letters
from coworkai.local.topology import PushIdentity, create_topic, put_subscription

PROJECT, TOPIC = "local", "telemetry-activities"
IDENTITY = PushIdentity("coworkai-test", "push@test.iam.gserviceaccount.com")
QUICK = {"bus_retry_min_s": "0.02", "bus_retry_max_s": "0.1"}
SECRET = b"alice@example.com typed hunter2"


def wire(bus_url: str, target_url: str, identity: PushIdentity | None = None) -> None:
    with httpx.Client(base_url=bus_url) as client:
        create_topic(client, PROJECT, TOPIC)
        put_subscription(client, PROJECT, "sub", topic=TOPIC, endpoint=target_url, identity=identity)


def publish(bus_url: str, *messages: OutgoingMessage) -> list[str]:
    async def run() -> list[str]:
        publisher = Publisher(bus_url, PROJECT, retry_for_s=5)
        try:
            return await publisher.publish_many(TOPIC, messages)
        finally:
            await publisher.aclose()

    return asyncio.run(run())


def status(bus_url: str) -> dict[str, int]:
    counts: dict[str, int] = httpx.get(f"{bus_url}/status").json()
    return {name: counts[name] for name in ("queued", "in_flight", "dead")}


def ids(target: PushTarget) -> set[str]:
    return {message.message_id for message in target.received}


def files_holding(folder: Path, text: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_what_was_published_survives_kill_9_and_arrives_after_the_restart(tmp_path: Path) -> None:
    with PushTarget(lambda _message: 503) as target:
        with embedded_bus(tmp_path, QUICK) as (url, process_id):
            wire(url, target.url)
            sent = publish(url, *(OutgoingMessage(SECRET, {"n": str(n)}) for n in range(40)))
            target.wait_for_count(1)
            os.kill(process_id, signal.SIGKILL)
        target.answer = lambda _message: 204
        target.received.clear()
        with embedded_bus(tmp_path, QUICK) as (url, _process_id):
            target.wait_for(lambda _received: ids(target) == set(sent))
    assert Counter(message.attributes["n"] for message in target.received).keys() == {
        str(n) for n in range(40)
    }


def test_an_acknowledged_message_does_not_come_again_after_a_restart(tmp_path: Path) -> None:
    with PushTarget() as target:
        with embedded_bus(tmp_path, QUICK) as (url, _process_id):
            wire(url, target.url)
            (first,) = publish(url, OutgoingMessage(b"first"))
            target.wait_for_count(1)
        with embedded_bus(tmp_path, QUICK) as (url, _process_id):
            (second,) = publish(url, OutgoingMessage(b"second"))
            target.wait_for_count(2)
    assert [message.message_id for message in target.received] == [first, second]


def test_no_byte_of_a_waiting_message_is_in_the_data_folder_in_clear(tmp_path: Path) -> None:
    with PushTarget(lambda _message: 503) as target, embedded_bus(tmp_path, QUICK) as (url, process_id):
        wire(url, target.url)
        publish(url, OutgoingMessage(SECRET, {"device_id": "marias-laptop"}))
        target.wait_for_count(2)
        os.kill(process_id, signal.SIGKILL)
    assert (tmp_path / "bus.db").stat().st_size > 0
    assert files_holding(tmp_path, b"hunter2") == []
    assert files_holding(tmp_path, b"marias-laptop") == []


def test_each_failure_doubles_the_wait_up_to_the_longest_and_the_attempt_is_counted(tmp_path: Path) -> None:
    def accept_the_fifth(message: PushMessage) -> int:
        return 204 if message.delivery_attempt == 5 else 503

    with PushTarget(accept_the_fifth) as target, embedded_bus(tmp_path, QUICK) as (url, _process_id):
        wire(url, target.url)
        publish(url, OutgoingMessage(b"x"))
        target.wait_for_count(5)
    assert [message.delivery_attempt for message in target.received] == [1, 2, 3, 4, 5]
    waits = [after - before for before, after in zip(target.times, target.times[1:], strict=False)]
    # The back-off is at least half of 20, 40, 80 and then 100 ms.
    assert all(wait >= least for wait, least in zip(waits, (0.01, 0.02, 0.04, 0.05), strict=True))


def test_a_message_that_never_succeeds_becomes_a_dead_letter_and_can_be_replayed(tmp_path: Path) -> None:
    poison = b"poison"

    def refuse_poison(message: PushMessage) -> int:
        return 500 if message.data == poison else 204

    settings = QUICK | {"bus_max_attempts": "3"}
    with PushTarget(refuse_poison) as target, embedded_bus(tmp_path, settings) as (url, _process_id):
        wire(url, target.url)
        dead_id, fine_id = publish(url, OutgoingMessage(poison), OutgoingMessage(b"fine"))
        target.wait_for(lambda received: sum(m.data == poison for m in received) == 3)
        target.wait_for(lambda _received: fine_id in ids(target))
        wait_until_drained(url)
        assert status(url) == {"queued": 0, "in_flight": 0, "dead": 1}

        (letter,) = list_dead_letters(tmp_path)
        assert (letter.message_id, letter.attempts, letter.last_status) == (dead_id, 3, 500)
        target.answer = lambda _message: 204
        target.received.clear()
        assert replay_dead_letters(tmp_path, letter.id) == 1
        target.wait_for_count(1)
        wait_until_drained(url)
        assert status(url) == {"queued": 0, "in_flight": 0, "dead": 0}
    assert target.received[0].data == poison


def test_pushes_carry_a_token_that_verifies_against_the_published_keys(tmp_path: Path) -> None:
    with PushTarget() as target, embedded_bus(tmp_path) as (url, _process_id):
        wire(url, target.url, IDENTITY)
        publish(url, OutgoingMessage(b"x"))
        target.wait_for_count(1)
        authorization = target.headers[0]["authorization"]
        token = authorization.removeprefix("Bearer ")
        key = jwt.PyJWKClient(f"{url}/oauth2/v3/certs").get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key, algorithms=["RS256"], audience=IDENTITY.audience, issuer=LOCAL_ISSUER)
        assert claims["email"] == IDENTITY.service_account
        assert claims["email_verified"] is True

        async def verify(auth: PushAuth) -> None:
            try:
                await auth.verify(authorization)
            finally:
                await auth.aclose()

        keys = f"{url}/oauth2/v3/certs"
        asyncio.run(verify(PushAuth(IDENTITY.audience, IDENTITY.service_account, keys, LOCAL_ISSUER)))
        with pytest.raises(Unauthenticated):
            asyncio.run(verify(PushAuth("another-audience", IDENTITY.service_account, keys, LOCAL_ISSUER)))


def test_no_more_pushes_are_in_flight_than_allowed(tmp_path: Path) -> None:
    with PushTarget() as target, embedded_bus(tmp_path, {"bus_max_in_flight": "3"}) as (url, _process_id):
        wire(url, target.url)
        publish(url, *(OutgoingMessage(b"x") for _ in range(100)))
        target.wait_for_count(100)
    assert target.most_in_flight <= 3


def test_the_publish_time_can_be_set_and_its_attribute_is_taken_off(tmp_path: Path) -> None:
    with PushTarget() as target, embedded_bus(tmp_path) as (url, _process_id):
        wire(url, target.url)
        publish(url, OutgoingMessage(b"x", {"coworkai-published-at": "2026-03-02T09:00:00.25Z", "a": "b"}))
        target.wait_for_count(1)
    message = target.received[0]
    assert message.published_at.isoformat() == "2026-03-02T09:00:00.250000+00:00"
    assert message.attributes == {"a": "b"}


def test_a_body_that_is_no_publish_request_is_refused_without_being_repeated(tmp_path: Path) -> None:
    with embedded_bus(tmp_path) as (url, _process_id), httpx.Client(base_url=url) as client:
        create_topic(client, PROJECT, TOPIC)
        path = f"/v1/projects/{PROJECT}/topics/{TOPIC}:publish"
        for body in (b"{", b'{"messages":[{"data":"not base64!"}]}', b'{"messages":[{}]}', b"\xff"):
            answer = client.post(path, content=body)
            assert answer.status_code == 400
            assert "not base64" not in answer.text
        with pytest.raises(Terminal):
            publish(url, OutgoingMessage(b"x", {"coworkai-published-at": "yesterday"}))


def test_a_queue_sealed_under_another_master_key_stops_the_bus_with_a_reason(tmp_path: Path) -> None:
    with PushTarget(lambda _message: 503) as target, embedded_bus(tmp_path, QUICK) as (url, _process_id):
        wire(url, target.url)
        publish(url, OutgoingMessage(b"x"))
        target.wait_for_count(1)
    (tmp_path / "master.key").unlink()
    with pytest.raises(AssertionError, match="ended with"), embedded_bus(tmp_path):
        pass
    assert "sealed under another master key" in (tmp_path / "bus.log").read_text()


def wait_until_drained(bus_url: str) -> None:
    """The acknowledgement is written after the push is answered."""
    for _ in range(1_000):
        counts = status(bus_url)
        if counts["queued"] == 0 and counts["in_flight"] == 0:
            return
    raise AssertionError(f"still {counts}")


def test_a_bus_that_awaits_endpoints_pushes_to_no_address_of_an_earlier_life(tmp_path: Path) -> None:
    with PushTarget(lambda _message: 503) as before:
        with embedded_bus(tmp_path, QUICK) as (url, _process_id):
            wire(url, before.url)
            publish(url, OutgoingMessage(b"x"))
            before.wait_for_count(1)
        before.received.clear()
        awaiting = QUICK | {"bus_await_endpoints": "true"}
        with PushTarget() as now, embedded_bus(tmp_path, awaiting) as (url, _process_id):
            assert status(url) == {"queued": 1, "in_flight": 0, "dead": 0}
            wire(url, now.url)
            now.wait_for_count(1)
        assert before.received == []
