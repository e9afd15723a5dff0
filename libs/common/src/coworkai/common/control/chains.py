"""Append-only chains of rows: each row holds the hash of the one before, and a sealed head holds the last.

    row 1 ──hash──▶ row 2 ──hash──▶ row 3 ◀── head (seq 3, its hash, seal)

A row's hash is SHA-256 over the hash before it (32 zero bytes before the first), its key and seq as a compact
JSON array, and its fields as another, so anybody who has the rows can check them. The head's seal is an HMAC
under a key that the store does not have: rows changed, removed, moved, added or cut off at the end do not
verify, even if whoever did it wrote all hashes anew. What cannot be told is a whole chain, with its head and
what counts it, put back to what it was earlier.

Invariants: whoever appends locks the head first, so that several processes may append to one chain at once; a
head that was not sealed by us is never sealed again, so that going on with a chain hides nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Table, func, select

from coworkai.common.control.database import Database

Key = tuple[str, ...]
"""Of a chain: the values of its head's primary key, in its order."""
NO_HASH = bytes(32)
_ROWS_AT_ONCE = 2_000
_HEADS_AT_ONCE = 500


class Fault(StrEnum):
    """What is wrong with a chain; only the first fault of one is told, as what follows it proves nothing."""

    CHANGED = "changed"
    MISSING = "missing"
    MOVED = "moved"
    CUT = "cut"
    ADDED = "added"
    UNSEALED = "unsealed"


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain does not verify.

    `fault`: the row was changed; is missing; does not follow the one before; rows after `seq` were cut off;
    rows were added after it; or the head is missing or was not sealed by us (`seq` is 0).
    """

    key: Key
    seq: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class _End:
    """Where a head is: `digest` is of the last row there is, `is_ours` whether we had sealed it."""

    seq: int
    digest: bytes
    is_ours: bool


class Chains:
    """The chains in `rows` with their `heads`.

    Both begin with the key of the chain; a row has seq, `fields`, previous_hash and hash besides.
    """

    def __init__(
        self, database: Database, seal_key: bytes, rows: Table, heads: Table, fields: Sequence[str]
    ) -> None:
        self._seal_key = seal_key
        self._rows = rows
        self._heads = heads
        self._fields = tuple(fields)
        self._names = tuple(column.name for column in heads.primary_key)
        key, mark = self._names, database.mark
        # Written out, as this is on the way of every read: SQLAlchemy's statements cost five times as much.
        self._head_marks = f"({', '.join([mark] * (len(key) + 3))})"
        self._move = (
            f"INSERT INTO {heads.name} ({', '.join(key)}, seq, hash, seal) VALUES {{}}"  # noqa: S608
            f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET seq = {heads.name}.seq + excluded.seq"
            f" RETURNING {', '.join(key)}, seq, hash, seal"
        )
        self._seal_heads = (
            f"UPDATE {heads.name} SET hash = {mark}, seal = {mark}"  # noqa: S608
            f" WHERE {' AND '.join(f'{name} = {mark}' for name in key)}"
        )
        columns = (*key, "seq", *self._fields, "previous_hash", "hash")
        self._add = (
            f"INSERT INTO {rows.name} ({', '.join(columns)})"  # noqa: S608
            f" VALUES ({', '.join([mark] * len(columns))})"
        )
        self._binders = [database.binder(rows.c[name]) for name in self._fields]

    def append(self, connection: Connection, added: Mapping[Key, Sequence[Mapping[str, Any]]]) -> list[Key]:
        """Add rows, given by their fields, at the ends of their chains; the keys of chains that are new."""
        ends = self._move_heads(connection, {key: len(rows) for key, rows in added.items()})
        # A read of many workers is one row in many chains.
        bodies: dict[int, tuple[bytes, tuple[Any, ...]]] = {}
        written, sealed = [], []
        for key, end in ends.items():
            digest = end.digest
            for seq, row in enumerate(added[key], start=end.seq - len(added[key]) + 1):
                body = bodies.get(id(row))
                if body is None:
                    body = bodies[id(row)] = self._encoded(row), self._bound(row)
                previous = digest
                digest = _hash(previous, key, seq, body[0])
                written.append((*key, seq, *body[1], previous, digest))
            sealed.append(self._sealed(key, end, digest))
        connection.exec_driver_sql(self._add, written)
        connection.exec_driver_sql(self._seal_heads, sealed)
        return [key for key, end in ends.items() if end.seq == len(added[key])]

    def count(self, connection: Connection, added: Mapping[Key, int]) -> None:
        """Raise heads that have no rows and only count."""
        ends = self._move_heads(connection, added)
        sealed = [self._sealed(key, end, NO_HASH) for key, end in ends.items()]
        connection.exec_driver_sql(self._seal_heads, sealed)

    def counted(self, connection: Connection, key: Key) -> int | None:
        """What a head that only counts has come to, 0 without one; None when its seal is not ours."""
        head = connection.execute(select(self._heads).where(*self._of(self._heads, key))).one_or_none()
        if head is None:
            return 0
        return head.seq if self._is_sealed(key, head.seq, head.hash, head.seal) else None

    def verify(self, connection: Connection, key: Key) -> tuple[int, Broken | None]:
        """How many rows the chain has by its head, and the first fault. Rows may be added meanwhile.

        What holds a chain's last row is its head: without both, there is no such chain.
        """
        # In this order: of an honest chain the head, read later, is at the last row or after it.
        last = connection.scalar(select(func.max(self._rows.c.seq)).where(*self._of(self._rows, key))) or 0
        head = connection.execute(select(self._heads).where(*self._of(self._heads, key))).one_or_none()
        if head is None:
            return 0, Broken(key, 0, Fault.UNSEALED) if last else None
        if not self._is_sealed(key, head.seq, head.hash, head.seal):
            return head.seq, Broken(key, 0, Fault.UNSEALED)
        seq, digest = 0, NO_HASH
        for row in self._up_to(connection, key, head.seq):
            if row.seq != seq + 1:
                return head.seq, Broken(key, seq + 1, Fault.MISSING)
            if row.previous_hash != digest:
                return head.seq, Broken(key, row.seq, Fault.MOVED)
            seq, digest = row.seq, _hash(digest, key, row.seq, self._encoded(row._mapping))
            if row.hash != digest:
                return head.seq, Broken(key, seq, Fault.CHANGED)
        if seq != head.seq or digest != head.hash:
            return head.seq, Broken(key, seq, Fault.CUT)
        return head.seq, Broken(key, head.seq, Fault.ADDED) if last > head.seq else None

    def _up_to(self, connection: Connection, key: Key, last: int) -> Iterator[Row[Any]]:
        seq = 0
        statement = select(self._rows).where(*self._of(self._rows, key), self._rows.c.seq <= last)
        statement = statement.order_by(self._rows.c.seq).limit(_ROWS_AT_ONCE)
        while rows := connection.execute(statement.where(self._rows.c.seq > seq)).all():
            yield from rows
            seq = rows[-1].seq

    def _move_heads(self, connection: Connection, counts: Mapping[Key, int]) -> dict[Key, _End]:
        """Lock the heads and move them on; where each is then, and the hash of its last row so far."""
        # In one order everywhere, so that two who lock several heads never wait for each other.
        moved = [(*key, counts[key], NO_HASH, b"") for key in sorted(counts)]
        ends = {}
        for start in range(0, len(moved), _HEADS_AT_ONCE):
            heads = moved[start : start + _HEADS_AT_ONCE]
            statement = self._move.format(", ".join([self._head_marks] * len(heads)))
            values = tuple(itertools.chain.from_iterable(heads))
            for *names, seq, digest, seal in connection.exec_driver_sql(statement, values):
                key = tuple(names)
                before = seq - counts[key]
                ends[key] = _End(seq, digest, before == 0 or self._is_sealed(key, before, digest, seal))
        return ends

    def _encoded(self, row: Mapping[Any, Any]) -> bytes:
        return msgspec.json.encode([row[name] for name in self._fields], order="sorted")

    def _bound(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(bind(row[name]) for name, bind in zip(self._fields, self._binders, strict=True))

    def _sealed(self, key: Key, end: _End, digest: bytes) -> tuple[object, ...]:
        return (digest, self._seal(key, end.seq, digest) if end.is_ours else b"", *key)

    def _is_sealed(self, key: Key, seq: int, digest: bytes, seal: bytes) -> bool:
        return hmac.compare_digest(seal, self._seal(key, seq, digest))

    def _seal(self, key: Key, seq: int, digest: bytes) -> bytes:
        sealed = msgspec.json.encode([str(self._heads.name), *key, seq, digest])
        return hmac.digest(self._seal_key, sealed, "sha256")

    def _of(self, table: Table, key: Key) -> list[ColumnElement[bool]]:
        return [table.c[name] == value for name, value in zip(self._names, key, strict=True)]


def _hash(previous: bytes, key: Key, seq: int, encoded: bytes) -> bytes:
    return hashlib.sha256(previous + msgspec.json.encode((*key, seq)) + encoded).digest()
