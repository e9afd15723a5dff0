"""What goes wrong on the way: retried batches, a device that was offline, new fields, and broken records.

Each fault knows what must become of it, so the sample can say which outcomes to expect.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from coworkai.common.events import Source
from coworkai.common.outcome import Reason
from coworkai.local.sample.day import SECOND_US, Record, event_id
from coworkai.local.sample.words import Planter

DAY_US = 86_400 * SECOND_US


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one source that a device sends together, some of them `broken` (`bytes`: beyond repair).

    `sent_us` is the device's clock, `published_us` the true time, both microseconds since 1970.
    """

    source: Source
    device_id: str
    sent_us: int
    published_us: int
    records: tuple[Record, ...]
    broken: tuple[Record | bytes, ...] = ()

    @property
    def lines(self) -> tuple[Record | bytes, ...]:
        """All records in the order they are sent, the broken ones in the middle, after the first good one."""
        middle = (len(self.records) + 1) // 2
        return (*self.records[:middle], *self.broken, *self.records[middle:])

    def delayed(self, delay_us: int) -> Batch:
        return replace(self, sent_us=self.sent_us + delay_us, published_us=self.published_us + delay_us)


def retried(random: Random, batches: Sequence[Batch], share: float) -> list[Batch]:
    """A few batches once more, sent when no acknowledgement came. At least one, whatever the share."""
    count = max(1, round(len(batches) * share))
    return [batch.delayed(random.randrange(30, 900) * SECOND_US) for batch in random.sample(batches, count)]


def offline(batches: Iterable[Batch], days: int) -> list[Batch]:
    """The same batches, sent when the device was back on the network."""
    return [batch.delayed(days * DAY_US) for batch in batches]


def upgraded(batch: Batch, planter: Planter) -> Batch:
    """As a newer collector sends it, with fields that the contract does not know."""
    fields: Record = {"monitor": 2.0, "window_owner": planter.email()}
    records = tuple(record | fields for record in batch.records)
    return replace(batch, records=records)


Break = Callable[[Record, Planter], Record | bytes]


def spoilt(random: Random, planter: Planter, batches: Sequence[Batch]) -> tuple[list[Batch], Counter[Reason]]:
    """The batches with a broken copy of one of their records each, for every kind of bad record.

    Returns all batches, in order, and how many records must be quarantined for which reason.
    """
    spoilt_batches = list(batches)
    reasons: Counter[Reason] = Counter()
    by_source: dict[Source, list[int]] = {}
    for index, batch in enumerate(batches):
        by_source.setdefault(batch.source, []).append(index)
    for source, reason, damage in (kind for kind in KINDS if kind[0] in by_source):
        index = random.choice(by_source[source])
        model = batches[index].records[0]
        if reason is not Reason.ID_CONFLICT:
            model = model | {"event_id": event_id(random)}
        broken = (*spoilt_batches[index].broken, damage(model, planter))
        spoilt_batches[index] = replace(spoilt_batches[index], broken=broken)
        reasons[reason] += 1
    return spoilt_batches, reasons


def _without(name: str) -> Break:
    return lambda record, planter: {key: value for key, value in record.items() if key != name}


def _with(**values: str | float | None) -> Break:
    return lambda record, planter: record | values


def _moved(**by: timedelta) -> Break:
    """Named times moved, against the record's first time."""

    def move(record: Record, planter: Planter) -> Record:
        first = next(value for value in record.values() if isinstance(value, datetime))
        return record | {name: first + delta for name, delta in by.items()}

    return move


def _at(moment: datetime, *names: str) -> Break:
    return lambda record, planter: record | dict.fromkeys(names, moment)


def _cut_short(record: Record, planter: Planter) -> bytes:
    line = msgspec.json.encode(record | {"title": f"note for {planter.email()}"})
    return line[:-9]


def _bad_utf8(record: Record, planter: Planter) -> bytes:
    title = f"caf\N{LATIN SMALL LETTER E WITH ACUTE} {planter.email()}"
    return msgspec.json.encode(record | {"title": title}).replace(b"caf\xc3\xa9", b"caf\xe9")


def _other_content(record: Record, planter: Planter) -> Record:
    return record | {"title": f"edited by {planter.email()}"}


_END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
KINDS: tuple[tuple[Source, Reason, Break], ...] = (
    (Source.ACTIVITIES, Reason.MISSING_EVENT_ID, _without("event_id")),
    (Source.ACTIVITIES, Reason.BAD_EVENT_ID, _with(event_id="record-17")),
    (Source.ACTIVITIES, Reason.CONTRACT_VIOLATION, _with(user_id=42.0)),
    (Source.ACTIVITIES, Reason.CONTRACT_VIOLATION, _without("exec")),
    (Source.ACTIVITIES, Reason.CONTRACT_VIOLATION, _with(start="yesterday at nine")),
    (Source.ACTIVITIES, Reason.START_MISSING, _with(start=None)),
    (Source.ACTIVITIES, Reason.START_AFTER_END, _moved(end=timedelta(minutes=-4))),
    (Source.ACTIVITIES, Reason.TOO_LONG, _moved(end=timedelta(hours=30))),
    (Source.ACTIVITIES, Reason.IN_THE_FUTURE, _moved(start=timedelta(days=40), end=timedelta(days=41))),
    (Source.ACTIVITIES, Reason.IN_THE_FUTURE, _at(_END_OF_TIME, "start", "end")),
    (Source.ACTIVITIES, Reason.TOO_OLD, _at(datetime(1, 1, 1, tzinfo=UTC), "start", "end")),
    (Source.ACTIVITIES, Reason.ID_CONFLICT, _other_content),
    (Source.ACTIVITIES, Reason.UNREADABLE, _cut_short),
    (Source.ACTIVITIES, Reason.UNREADABLE, _bad_utf8),
    (Source.KEYSTROKES, Reason.START_MISSING, _with(minute=None)),
    (Source.KEYSTROKES, Reason.CONTRACT_VIOLATION, _without("text")),
    (Source.KEYSTROKES, Reason.TOO_OLD, _moved(minute=timedelta(days=-900))),
    (Source.KEYSTROKES, Reason.ID_CONFLICT, _other_content),
    (Source.KEYSTROKES, Reason.UNREADABLE, _bad_utf8),
    (Source.CLIPBOARD, Reason.CONTRACT_VIOLATION, _with(action="PEEK")),
    (Source.CHAT, Reason.CONTRACT_VIOLATION, _without("role")),
    (Source.MANIFESTS, Reason.CONTRACT_VIOLATION, _with(kind="MID")),
    (Source.DEVICE_POSTURE, Reason.CONTRACT_VIOLATION, _with(cpu_pct=400.0)),
    (Source.DEVICE_POSTURE, Reason.CONTRACT_VIOLATION, _with(idle_s=-5.0)),
)  # fmt: skip
"""Every kind of bad record that a file can carry, and the reason it must get."""
