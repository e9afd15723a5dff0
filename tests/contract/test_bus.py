"""What our publisher and push decoder rely on, of the embedded bus and of Google's emulator alike."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.doubles.buses import EMULATOR_JAR, embedded_bus, emulator
from tests.doubles.push_target import PushTarget

from coworkai.common.bus import OutgoingMessage, Publisher, PushMessage
from coworkai.common.errors import NotFound
from coworkai.local.topology import create_topic, put_subscription

PROJECT = "contract"


@pytest.fixture(
    scope="module",
    params=[
        "embedded",
        pytest.param(
            "emulator",
            marks=[
                pytest.mark.integration,
                pytest.mark.skipif(not EMULATOR_JAR.exists(), reason="no Pub/Sub emulator on this machine"),
            ],
        ),
    ],
)
def bus_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "embedded":
            folder: Path = tmp_path_factory.mktemp("bus")
            yield stack.enter_context(embedded_bus(folder))[0]
        else:
            yield stack.enter_context(emulator())


@dataclass
class Wiring:
    """A topic of its own with one push subscription to `target`."""

    bus_url: str
    topic: str
    target: PushTarget

    def publish(self, *messages: OutgoingMessage) -> list[str]:
        return publish(self.bus_url, self.topic, *messages)


@pytest.fixture
def wiring(bus_url: str) -> Iterator[Wiring]:
    topic = f"topic-{uuid.uuid4().hex}"
    with PushTarget() as target, httpx.Client(base_url=bus_url) as client:
        create_topic(client, PROJECT, topic)
        put_subscription(client, PROJECT, f"sub-{topic}", topic=topic, endpoint=target.url)
        yield Wiring(bus_url, topic, target)
        # A message nobody will take must not be retried into the next test's port.
        target.answer = lambda _message: 204


def publish(bus_url: str, topic: str, *messages: OutgoingMessage) -> list[str]:
    async def run() -> list[str]:
        publisher = Publisher(bus_url, PROJECT, retry_for_s=5)
        try:
            return await publisher.publish_many(topic, messages)
        finally:
            await publisher.aclose()

    return asyncio.run(run())


def test_a_message_arrives_with_its_data_attributes_id_and_publish_time(wiring: Wiring) -> None:
    data = bytes(range(256))
    before = datetime.now(UTC)
    (message_id,) = wiring.publish(OutgoingMessage(data, {"tenant_id": "acme", "name": "Grüße 🚀"}))
    wiring.target.wait_for_count(1)
    message = wiring.target.received[0]
    assert message.data == data
    assert message.attributes == {"tenant_id": "acme", "name": "Grüße 🚀"}
    assert message.message_id == message_id
    assert message.subscription == f"projects/{PROJECT}/subscriptions/sub-{wiring.topic}"
    assert abs(message.published_at - before) < timedelta(minutes=1)


def test_messages_of_one_request_have_their_own_ids_and_all_arrive(wiring: Wiring) -> None:
    sent = [OutgoingMessage(f"message {n}".encode()) for n in range(50)]
    message_ids = wiring.publish(*sent)
    wiring.target.wait_for(lambda received: len({message.message_id for message in received}) == 50)
    by_id = {message.message_id: message.data for message in wiring.target.received}
    assert [by_id[message_id] for message_id in message_ids] == [message.data for message in sent]


def test_a_message_that_is_refused_comes_again_with_the_same_id_and_publish_time(wiring: Wiring) -> None:
    refused: set[str] = set()

    def refuse_once(message: PushMessage) -> int:
        if message.message_id in refused:
            return 204
        refused.add(message.message_id)
        return 503

    wiring.target.answer = refuse_once
    wiring.publish(OutgoingMessage(b"again"))
    wiring.target.wait_for_count(2)
    first, second = wiring.target.received[:2]
    assert (first.message_id, first.published_at, first.data) == (
        second.message_id,
        second.published_at,
        second.data,
    )


def test_a_message_with_attributes_only_arrives_with_empty_data(wiring: Wiring) -> None:
    wiring.publish(OutgoingMessage(b"", {"only": "attributes"}))
    wiring.target.wait_for_count(1)
    assert wiring.target.received[0].data == b""
    assert wiring.target.received[0].attributes == {"only": "attributes"}


def test_a_message_of_five_megabytes_arrives_whole(wiring: Wiring) -> None:
    data = b"0123456789" * 500_000
    wiring.publish(OutgoingMessage(data))
    wiring.target.wait_for_count(1)
    assert wiring.target.received[0].data == data


def test_publishing_to_a_topic_that_does_not_exist_is_not_found(bus_url: str) -> None:
    with pytest.raises(NotFound, match="no topic"):
        publish(bus_url, f"missing-{uuid.uuid4().hex}", OutgoingMessage(b"x"))


def test_a_message_of_a_topic_without_subscriptions_is_taken_and_dropped(bus_url: str) -> None:
    topic = f"topic-{uuid.uuid4().hex}"
    with httpx.Client(base_url=bus_url) as client:
        create_topic(client, PROJECT, topic)
    assert len(publish(bus_url, topic, OutgoingMessage(b"x"))) == 1


def test_a_subscription_can_be_pointed_elsewhere(wiring: Wiring) -> None:
    with PushTarget() as elsewhere, httpx.Client(base_url=wiring.bus_url) as client:
        put_subscription(client, PROJECT, f"sub-{wiring.topic}", topic=wiring.topic, endpoint=elsewhere.url)
        wiring.publish(OutgoingMessage(b"moved"))
        elsewhere.wait_for_count(1)
    assert wiring.target.received == []
