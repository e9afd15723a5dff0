"""What processing record files must come to, worked out from the files alone in the plainest way.

Nothing here is shared with the product: validity is checked by hand, and the union of intervals is taken by
sweeping over sorted ends. End-to-end tests compare the product's seconds with it to the microsecond.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

DAY = timedelta(days=1)
RETENTION = timedelta(days=400)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Expected:
    """Microseconds and minutes of all workers together, from the records that are valid and new."""

    activities: int
    raw_us: int
    kept_us: int
    keystroke_minutes: int
    workers: int

    @property
    def overlapped_us(self) -> int:
        return self.raw_us - self.kept_us


def expected(folder: Path, *, now: datetime) -> Expected:
    """`now` stands for the publication of records that do not carry their own."""
    intervals: dict[str, list[tuple[int, int]]] = {}
    activities = raw_us = 0
    for record in _distinct(folder / "activities.ndjson", now, "start", "end"):
        start, end = _microseconds(record["start"]), _microseconds(record["end"])
        intervals.setdefault(str(record["user_id"]), []).append((start, end))
        activities += 1
        raw_us += end - start
    minutes = list(_distinct(folder / "keystrokes.ndjson", now, "minute", "minute"))
    return Expected(
        activities=activities,
        raw_us=raw_us,
        kept_us=sum(union_us(spans) for spans in intervals.values()),
        keystroke_minutes=len(minutes),
        workers=len(set(intervals) | {str(record["user_id"]) for record in minutes}),
    )


def union_us(intervals: Iterable[tuple[int, int]]) -> int:
    """Length of the union of half-open intervals."""
    total, reached = 0, None
    for start, end in sorted(intervals):
        begin = start if reached is None else max(start, reached)
        if end > begin:
            total += end - begin
            reached = end
    return total


def _distinct(path: Path, now: datetime, start: str, end: str) -> Iterator[dict[str, object]]:
    """The valid records, the first of each identity."""
    if not path.is_file():
        return
    seen: set[str] = set()
    for line in path.read_bytes().splitlines():
        record = _parsed(line)
        if record is None or not _is_valid(record, now, start, end):
            continue
        identity = str(record["event_id"]).lower()
        if identity not in seen:
            seen.add(identity)
            yield record


def _parsed(line: bytes) -> dict[str, object] | None:
    try:
        record = json.loads(line.decode())
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_valid(record: dict[str, object], now: datetime, start: str, end: str) -> bool:
    texts = ("event_id", "user_id", "exec", start, end, *(("text",) if start == "minute" else ()))
    if not all(isinstance(record.get(name), str) for name in texts):
        return False
    try:
        UUID(str(record["event_id"]))
        begins, ends = (datetime.fromisoformat(str(record[name])) for name in (start, end))
    except ValueError:
        return False
    published = record.get("_published_at")
    published_at = datetime.fromisoformat(published) if isinstance(published, str) else now
    age = published_at - begins
    return begins <= ends and ends - begins <= DAY and -DAY <= age <= RETENTION


def _microseconds(time: object) -> int:
    return (datetime.fromisoformat(str(time)) - EPOCH) // timedelta(microseconds=1)
