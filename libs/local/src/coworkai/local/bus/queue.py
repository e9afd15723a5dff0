"""The bus's memory: what has been published and not yet acknowledged, in one SQLite file.

Invariants: a publish is answered after its commit, so nothing acknowledged to a publisher is lost by a crash;
a delivery leaves the file only by an acknowledgement. Bodies and attributes are sealed with AES-256-GCM under
a key derived from the master key, bound to their message and subscription: the file holds no telemetry in
clear.

Operations of many callers share a transaction (`Commits`): one fsync serves all that arrived meanwhile.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coworkai.common.errors import NotFound, SettingsError, StorageUnavailable

NONCE_BYTES = 12
FETCH_BYTES = 32 * 1024 * 1024
"""Sealed bytes read ahead for one subscription at most (one delivery always fits)."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS subscriptions (
    name TEXT PRIMARY KEY,
    topic TEXT NOT NULL REFERENCES topics (name),
    endpoint TEXT NOT NULL,
    audience TEXT,
    service_account TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT NOT NULL,
    message_id TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_status INTEGER,
    is_dead INTEGER NOT NULL DEFAULT 0,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (subscription, is_dead, due_at, id);
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A push subscription. Names are full resource names; a token is sent where there is an audience."""

    name: str
    topic: str
    endpoint: str
    audience: str | None = None
    service_account: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    message_id: str
    published_at: datetime
    data: bytes
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to one subscription; `attempts` have failed so far."""

    id: int
    message: Message
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery given up, without its content. `last_status` is None where nothing answered."""

    id: int
    subscription: str
    message_id: str
    published_at: datetime
    attempts: int
    last_status: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Deliveries of a subscription that are waiting or in flight, and dead."""

    open: int
    dead: int


class _Content(msgspec.Struct, array_like=True, gc=False):
    data: bytes
    attributes: dict[str, str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Content).decode


class Queue:
    """The SQLite file. One thread at a time uses it; every write belongs to the caller's transaction."""

    def __init__(self, path: Path, master_key: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._aead = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"coworkai/embedded-bus").derive(master_key))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA busy_timeout = 10000")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def transaction(self, operations: Sequence[Callable[[], object]]) -> list[object]:
        """Run all operations and commit them together, or none.

        Raises StorageUnavailable when SQLite cannot write.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                results = [operation() for operation in operations]
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StorageUnavailable(f"the bus cannot write its queue ({type(error).__name__})") from None
        return results

    def verify_key(self) -> None:
        """Raises SettingsError when the file was sealed under another master key."""
        row = self._db.execute(
            "SELECT subscription, message_id, published_at, sealed FROM deliveries"
        ).fetchone()
        if row is not None:
            subscription, message_id, published_at, sealed = row
            self._open(subscription, message_id, _time(published_at), sealed)

    # topics and subscriptions

    def create_topic(self, name: str) -> bool:
        """False when it exists already."""
        return self._db.execute("INSERT OR IGNORE INTO topics VALUES (?)", (name,)).rowcount == 1

    def has_topic(self, name: str) -> bool:
        return self._db.execute("SELECT 1 FROM topics WHERE name = ?", (name,)).fetchone() is not None

    def put_subscription(self, subscription: Subscription) -> None:
        """Create it or point it elsewhere; its backlog stays."""
        self._db.execute(
            "INSERT INTO subscriptions VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "topic = excluded.topic, endpoint = excluded.endpoint, audience = excluded.audience, "
            "service_account = excluded.service_account",
            (
                subscription.name,
                subscription.topic,
                subscription.endpoint,
                subscription.audience,
                subscription.service_account,
            ),
        )

    def subscriptions(self) -> list[Subscription]:
        rows = self._db.execute(
            "SELECT name, topic, endpoint, audience, service_account FROM subscriptions ORDER BY name"
        )
        return [Subscription(*row) for row in rows]

    # messages

    def publish(self, topic: str, messages: Sequence[Message]) -> None:
        """Queue the messages for every subscription of the topic; without one they are dropped."""
        names = [
            name for (name,) in self._db.execute("SELECT name FROM subscriptions WHERE topic = ?", (topic,))
        ]
        self._db.executemany(
            "INSERT INTO deliveries (subscription, message_id, published_at, due_at, sealed) "
            "VALUES (?, ?, ?, 0, ?)",
            [
                (name, message.message_id, _micros(message.published_at), self._seal(name, message))
                for message in messages
                for name in names
            ],
        )

    def due(
        self, subscription: str, now: datetime, limit: int, besides: Collection[int]
    ) -> tuple[list[Delivery], datetime | None]:
        """Up to `limit` deliveries that are due and not among `besides`, oldest first.

        Where there is none: also when the next one is due, None when nothing waits.
        """
        found: list[Delivery] = []
        size = 0
        rows = self._db.execute(
            "SELECT id, message_id, published_at, attempts, due_at, sealed FROM deliveries "
            "WHERE subscription = ? AND is_dead = 0 ORDER BY due_at, id LIMIT ?",
            (subscription, limit + len(besides)),
        )
        with closing(rows):
            for delivery_id, message_id, published_at, attempts, due_at, sealed in rows:
                if delivery_id in besides:
                    continue
                if due_at > _micros(now):
                    return found, _time(due_at)
                size += len(sealed)
                if len(found) == limit or (found and size > FETCH_BYTES):
                    break
                message = self._open(subscription, message_id, _time(published_at), sealed)
                found.append(Delivery(delivery_id, message, attempts))
        return found, None

    def acknowledge(self, delivery_id: int) -> None:
        self._db.execute("DELETE FROM deliveries WHERE id = ?", (delivery_id,))

    def retry(self, delivery_id: int, due_at: datetime, status: int | None) -> None:
        self._db.execute(
            "UPDATE deliveries SET attempts = attempts + 1, due_at = ?, last_status = ? WHERE id = ?",
            (_micros(due_at), status, delivery_id),
        )

    def bury(self, delivery_id: int, status: int | None) -> None:
        """Make it a dead letter: sealed as it is, delivered no more until replayed."""
        self._db.execute(
            "UPDATE deliveries SET attempts = attempts + 1, is_dead = 1, last_status = ? WHERE id = ?",
            (status, delivery_id),
        )

    # what people ask

    def backlog(self) -> dict[str, Backlog]:
        """Backlog by subscription, those without one included."""
        counts = {subscription.name: Backlog(0, 0) for subscription in self.subscriptions()}
        rows = self._db.execute(
            "SELECT subscription, sum(1 - is_dead), sum(is_dead) FROM deliveries GROUP BY subscription"
        )
        return counts | {name: Backlog(waiting, dead) for name, waiting, dead in rows}

    def dead_letters(self) -> list[DeadLetter]:
        rows = self._db.execute(
            "SELECT id, subscription, message_id, published_at, attempts, last_status FROM deliveries "
            "WHERE is_dead = 1 ORDER BY id"
        )
        return [
            DeadLetter(row_id, subscription, message_id, _time(published_at), attempts, status)
            for row_id, subscription, message_id, published_at, attempts, status in rows
        ]

    def replay(self, delivery_id: int | None) -> int:
        """Deliver a dead letter, or all of them, again from the first attempt; returns how many.

        Raises NotFound when `delivery_id` is no dead letter.
        """
        update = "UPDATE deliveries SET is_dead = 0, attempts = 0, due_at = 0 WHERE is_dead = 1"
        if delivery_id is None:
            return self._db.execute(update).rowcount
        replayed = self._db.execute(f"{update} AND id = ?", (delivery_id,)).rowcount
        if replayed == 0:
            raise NotFound(f"no dead letter {delivery_id}", remedy="coworkai dead-letters list")
        return replayed

    # sealing

    def _seal(self, subscription: str, message: Message) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        clear = _encode(_Content(message.data, message.attributes))
        return nonce + self._aead.encrypt(nonce, clear, _bound_to(subscription, message.message_id))

    def _open(self, subscription: str, message_id: str, published_at: datetime, sealed: bytes) -> Message:
        try:
            clear = self._aead.decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(subscription, message_id)
            )
        except InvalidTag:
            raise SettingsError(
                "the bus's queue was sealed under another master key",
                remedy="start with the master key it was written with, or delete bus.db",
            ) from None
        content = _decode(clear)
        return Message(message_id, published_at, content.data, content.attributes)


class Commits:
    """Group commit: operations that arrive while one transaction is written share the next one."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bus-queue")
        self._waiting: list[tuple[Callable[[], object], asyncio.Future[Any]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def do(self, operation: Callable[[], T]) -> T:
        """Result of `operation` once it is durable. Raises what it raises, or StorageUnavailable.

        Operations that share a transaction share its failure.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((operation, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await done

    async def aclose(self) -> None:
        """Write what is waiting, then close."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            operations = [operation for operation, _done in batch]
            try:
                results = await loop.run_in_executor(self._thread, self._queue.transaction, operations)
            except Exception as error:
                for _operation, done in batch:
                    if not done.cancelled():
                        done.set_exception(error)
            else:
                for (_operation, done), result in zip(batch, results, strict=True):
                    if not done.cancelled():
                        done.set_result(result)
        self._writer = None


def _bound_to(subscription: str, message_id: str) -> bytes:
    return f"{subscription}\n{message_id}".encode()


def _micros(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND


def _time(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
