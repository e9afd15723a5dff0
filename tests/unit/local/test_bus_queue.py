"""The bus's queue: order, retries, dead letters, and nothing in clear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coworkai.common.errors import NotFound, SettingsError, StorageUnavailable
from coworkai.local.bus.queue import Backlog, Message, Queue, Subscription

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TOPIC, OTHER_TOPIC = "projects/p/topics/t", "projects/p/topics/u"
SUB, SECOND = "projects/p/subscriptions/s", "projects/p/subscriptions/s2"
KEY = bytes(32)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path / "bus.db", KEY)
    for topic in (TOPIC, OTHER_TOPIC):
        queue.create_topic(topic)
    queue.put_subscription(Subscription(SUB, TOPIC, "http://a"))
    return queue


def message(number: int, data: bytes = b"x") -> Message:
    return Message(str(number), NOW, data, {"n": str(number)})


def due(queue: Queue, now: datetime = NOW, besides: frozenset[int] = frozenset()) -> list[str]:
    return [delivery.message.message_id for delivery in queue.due(SUB, now, 10, besides)[0]]


def test_messages_come_in_the_order_they_were_published_with_all_they_had(queue: Queue) -> None:
    queue.publish(TOPIC, [message(1, b"\x00\xff"), message(2)])
    first, second = queue.due(SUB, NOW, 10, frozenset())[0]
    assert first.message == message(1, b"\x00\xff")
    assert (second.message.message_id, second.attempts) == ("2", 0)


def test_every_subscription_of_the_topic_gets_the_message_and_no_other(queue: Queue) -> None:
    queue.put_subscription(Subscription(SECOND, TOPIC, "http://b"))
    queue.publish(TOPIC, [message(1)])
    queue.publish(OTHER_TOPIC, [message(2)])
    assert queue.backlog() == {SUB: Backlog(1, 0), SECOND: Backlog(1, 0)}


def test_a_claimed_delivery_is_not_given_out_twice(queue: Queue) -> None:
    queue.publish(TOPIC, [message(1), message(2)])
    claimed = frozenset({queue.due(SUB, NOW, 1, frozenset())[0][0].id})
    assert due(queue, besides=claimed) == ["2"]


def test_a_retry_waits_until_it_is_due_and_says_when(queue: Queue) -> None:
    queue.publish(TOPIC, [message(1)])
    delivery = queue.due(SUB, NOW, 1, frozenset())[0][0]
    later = NOW + timedelta(seconds=5)
    queue.retry(delivery.id, later, 503)
    assert queue.due(SUB, NOW, 1, frozenset()) == ([], later)
    (again,) = queue.due(SUB, later, 1, frozenset())[0]
    assert (again.message.message_id, again.attempts) == ("1", 1)


def test_a_dead_letter_is_not_delivered_until_it_is_replayed(queue: Queue) -> None:
    queue.publish(TOPIC, [message(1)])
    delivery = queue.due(SUB, NOW, 1, frozenset())[0][0]
    queue.bury(delivery.id, None)
    assert due(queue) == []
    (letter,) = queue.dead_letters()
    assert (letter.message_id, letter.attempts, letter.last_status) == ("1", 1, None)
    assert queue.replay(letter.id) == 1
    assert queue.due(SUB, NOW, 1, frozenset())[0][0].attempts == 0
    with pytest.raises(NotFound):
        queue.replay(letter.id)


def test_an_acknowledged_delivery_is_gone(queue: Queue) -> None:
    queue.publish(TOPIC, [message(1)])
    queue.acknowledge(queue.due(SUB, NOW, 1, frozenset())[0][0].id)
    assert queue.backlog() == {SUB: Backlog(0, 0)}


def test_a_failed_transaction_leaves_nothing_behind(queue: Queue) -> None:
    def fail() -> None:
        raise StorageUnavailable("full")

    with pytest.raises(StorageUnavailable):
        queue.transaction([lambda: queue.publish(TOPIC, [message(1)]), fail])
    assert due(queue) == []


def test_the_file_holds_neither_data_nor_attributes_in_clear(queue: Queue, tmp_path: Path) -> None:
    sent = Message("1", NOW, b"alice@example.com", {"device_id": "marias-laptop"})
    queue.publish(TOPIC, [sent])
    queue.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"alice@example" not in stored
    assert b"marias" not in stored
    assert Queue(tmp_path / "bus.db", KEY).due(SUB, NOW, 1, frozenset())[0][0].message == sent


def test_another_master_key_is_told_at_once(queue: Queue, tmp_path: Path) -> None:
    queue.publish(TOPIC, [message(1)])
    queue.close()
    with pytest.raises(SettingsError, match="another master key"):
        Queue(tmp_path / "bus.db", b"\x01" * 32).verify_key()
