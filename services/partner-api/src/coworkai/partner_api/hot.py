"""Days of Gold in memory, ready to be answered from: sorted columns, and where each worker's rows begin.

    (tenant, list, date, files of that date) ─▶ Day: rows sorted by worker and key
                                                     worker ─▶ (offset, length), and their JSON once read

Invariant: a day is named by the files that it was read from, and files never change. So there is nothing to
invalidate: a day that is published anew is another day here, days that did not change serve every snapshot
that has them, and the ones that nobody asks for are dropped.
"""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from sys import intern

import msgspec
import polars as pl

from coworkai.partner_api.gold import Partition, Snapshot
from coworkai.partner_api.resources import RESOURCES, WORKER, Resource

ROWS_A_READ = 200_000
"""Days are read together up to about so many rows."""
TEXT_BYTES = 25
"""What a row's packed text takes, about."""
WORKER_BYTES = 200
"""What a worker takes in a day's index, about."""
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Day:
    """Rows of a date as they are shown, in order, and where each worker's are; those of none come first."""

    rows: pl.DataFrame
    workers: Mapping[str | None, tuple[int, int]]
    size_bytes: int
    _texts: dict[str, bytes] = field(default_factory=dict, repr=False)

    def text(self, worker_id: str) -> tuple[bytes, int]:
        """A worker's rows as the inside of a JSON array, and how many: made when first read, kept packed."""
        span = self.workers.get(worker_id)
        if span is None:
            return b"", 0
        packed = self._texts.get(worker_id)
        if packed is not None:
            return zlib.decompress(packed), span[1]
        text = _encoder.encode(self.rows.slice(*span).to_dicts())[1:-1]
        self._texts[worker_id] = zlib.compress(text, 1)
        return text, span[1]

    def of(self, worker_ids: Sequence[str] | None) -> pl.DataFrame:
        """The rows of these workers, sorted; all of them for None."""
        if worker_ids is None:
            return self.rows
        spans = [span for one in worker_ids if (span := self.workers.get(one)) is not None]
        if len(spans) == 1:
            return self.rows.slice(*spans[0])
        return pl.concat([self.rows.clear(), *(self.rows.slice(*span) for span in spans)])


Key = tuple[str, str, date, frozenset[str]]


class HotDays:
    """Days of all tenants up to `max_bytes`, the longest unread dropped first. Safe between threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._days: OrderedDict[Key, Day] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()
        self._reading: dict[tuple[str, str], threading.Lock] = {}

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def rows(self) -> int:
        """Rows held, over all days."""
        with self._lock:
            return sum(day.rows.height for day in self._days.values())

    def get(self, snapshot: Snapshot, resource: Resource, day: date, partition: Partition) -> Day | None:
        """The day, if it is in memory."""
        key = snapshot.tenant_id, resource.path, day, partition.files
        with self._lock:
            found = self._days.get(key)
            if found is not None:
                self._days.move_to_end(key)
            return found

    def load(self, snapshot: Snapshot, resource: Resource, days: Collection[date]) -> dict[date, Day]:
        """The days that have rows, in order, read where they are not in memory. In a thread.

        Raises VersionExpired, StorageUnavailable.
        """
        partitions = resource.partitions(snapshot)
        wanted = [day for day in sorted(days) if day in partitions]
        with self._lock:
            reading = self._reading.setdefault((snapshot.tenant_id, resource.path), threading.Lock())
        with reading:
            found = {day: self.get(snapshot, resource, day, partitions[day]) for day in wanted}
            missing = [day for day, held in found.items() if held is None]
            for chunk in chunks(missing, partitions, ROWS_A_READ):
                for day, read in _read(snapshot, resource, chunk):
                    found[day] = read
                    self._keep((snapshot.tenant_id, resource.path, day, partitions[day].files), read)
        return {day: held for day, held in found.items() if held is not None}

    def follow(self, before: Snapshot | None, new: Snapshot) -> None:
        """Read what `new` has in the place of days of `before` that are in memory, and after the last one.

        Raises as `load`.
        """
        if before is None:
            return
        for resource in RESOURCES.values():
            if not before.known_partitions(resource.table) or not new.known_partitions(resource.table):
                continue
            old, now = resource.partitions(before), resource.partitions(new)
            if old == now:
                continue
            held = {day for day, one in old.items() if self.get(before, resource, day, one) is not None}
            newest = max(old)
            after = {day for day in now if day > newest and newest in held}
            self.load(new, resource, held | after)

    def _keep(self, key: Key, day: Day) -> None:
        with self._lock:
            self._days[key] = day
            self._size_bytes += day.size_bytes
            while self._size_bytes > self._max_bytes and len(self._days) > 1:
                _, dropped = self._days.popitem(last=False)
                self._size_bytes -= dropped.size_bytes


def _read(snapshot: Snapshot, resource: Resource, days: Sequence[date]) -> Iterator[tuple[date, Day]]:
    rows = _rows(snapshot, resource, days).sort(resource.order)
    by_date = rows.partition_by("date", as_dict=True, maintain_order=True)
    for day in days:
        yield day, _day(by_date.get((day,), rows.clear()))


def _rows(snapshot: Snapshot, resource: Resource, days: Sequence[date]) -> pl.DataFrame:
    table, derived = resource.table, resource.derived
    if derived is None:
        return snapshot.collect(table, resource.shown(snapshot.scan(table, days)))
    before = timedelta(days=derived.days_before)
    needed = [on for on in snapshot.partitions(table) if days[0] - before <= on <= days[-1]]
    rows = derived.compute(snapshot.collect(table, snapshot.scan(table, needed)), days)
    return resource.shown(rows.lazy()).collect()


def _day(rows: pl.DataFrame) -> Day:
    lengths = rows.select(pl.col(WORKER).rle()).unnest(WORKER)
    workers: dict[str | None, tuple[int, int]] = {}
    offset = 0
    for length, worker in lengths.iter_rows():
        workers[None if worker is None else intern(worker)] = (offset, length)
        offset += length
    columns = rows.drop(WORKER)
    size_bytes = int(columns.estimated_size()) + TEXT_BYTES * columns.height + WORKER_BYTES * len(workers)
    return Day(columns, workers, size_bytes)


def chunks(days: Sequence[date], partitions: Mapping[date, Partition], max_rows: int) -> Iterator[list[date]]:
    """The days in their order, together up to so many rows of their partitions."""
    chunk: list[date] = []
    rows = 0
    for day in days:
        if chunk and rows + partitions[day].rows > max_rows:
            yield chunk
            chunk, rows = [], 0
        chunk.append(day)
        rows += partitions[day].rows
    if chunk:
        yield chunk
