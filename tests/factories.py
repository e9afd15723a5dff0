"""Small factories of wire records, batches and Bronze frames; what a test leaves out has a sensible value.

Event ids count up from 1 within a process; pass `event_id` where a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from itertools import count
from typing import TypeVar
from uuid import UUID

import msgspec
import polars as pl

from coworkai.common.events import (
    Activity,
    BatchHeader,
    ChatMessage,
    ClipboardEvent,
    DevicePosture,
    JsonRecord,
    KeystrokeMinute,
    Manifest,
    Record,
    Source,
)
from coworkai.common.tables import BRONZE_BY_SOURCE

DAY = date(2024, 1, 1)
TENANT = "acme"
USER = "alice"
DEVICE = "laptop-1"
_numbers = count(1)


def at(clock: str, day: date = DAY) -> datetime:
    """`"09:00"`, `"09:00:59"` or `"09:00:59.5"` of `day`, UTC."""
    return datetime.fromisoformat(f"{day.isoformat()}T{clock}+00:00")


def event_id(number: int | None = None) -> str:
    return str(UUID(int=next(_numbers) if number is None else number))


def activity(
    start: str | datetime, end: str | datetime, app: str = "chrome.exe", **fields: object
) -> Activity:
    """`app` in front from `start` to `end`."""
    return _record(Activity, fields, start=_instant(start), end=_instant(end), exec=app)


def keystroke_minute(
    minute: str | datetime, text: str, app: str = "chrome.exe", **fields: object
) -> KeystrokeMinute:
    return _record(KeystrokeMinute, fields, minute=_instant(minute), text=text, exec=app)


def clipboard(moment: str | datetime, action: str = "COPY", **fields: object) -> ClipboardEvent:
    return _record(ClipboardEvent, fields, at=_instant(moment), action=action, exec="chrome.exe")


def chat_message(moment: str | datetime, text: str, **fields: object) -> ChatMessage:
    return _record(
        ChatMessage,
        fields,
        at=_instant(moment),
        text=text,
        conversation_id="conv-1",
        assistant="ChatGPT",
        role="user",
    )


def manifest(kind: str, moment: str | datetime, goals: Iterable[str] = (), **fields: object) -> Manifest:
    return _record(Manifest, fields, kind=kind, at=_instant(moment), goals=list(goals))


def posture(moment: str | datetime, idle_s: float = 0.0, **fields: object) -> DevicePosture:
    return _record(DevicePosture, fields, at=_instant(moment), idle_s=idle_s, device_id=DEVICE)


def batch(
    records: Iterable[JsonRecord | Mapping[str, object]],
    *,
    tenant_id: str = TENANT,
    device_id: str = DEVICE,
    sent_at: datetime | None = None,
) -> bytes:
    """The JSON body that a collector publishes."""
    header = BatchHeader(
        tenant_id=tenant_id, device_id=device_id, collector="test/1", sent_at=sent_at or at("23:00")
    )
    return msgspec.json.encode(msgspec.structs.asdict(header) | {"records": list(records)})


def bronze(source: Source, *rows: Mapping[str, object]) -> pl.DataFrame:
    """A Bronze frame of `source`; a row gives the columns it is about, the rest are defaults or null.

    `event_date` is taken from the row's own time when it is not given.
    """
    table = BRONZE_BY_SOURCE[source]
    published_at = at("23:00")
    filled = []
    for row in rows:
        moment = next((v for k, v in row.items() if k in _OWN_TIME), published_at)
        filled.append(
            {
                "tenant_id": TENANT,
                "event_id": event_id(),
                "event_date": moment.date() if isinstance(moment, datetime) else moment,
                "user_id": USER,
                "device_id": DEVICE,
                "collector": "test/1",
                "sent_at": published_at,
                "published_at": published_at + timedelta(seconds=1),
                "message_id": "message-1",
                "content_digest": 0,
                **row,
            }
        )
    unknown = {name for row in rows for name in row} - set(table.schema)
    if unknown:
        raise ValueError(f"{table.id} has no {', '.join(sorted(unknown))}")
    return pl.DataFrame(filled, schema=table.schema)


_OWN_TIME = ("started_at", "minute", "occurred_at", "valid_from")
_Kind = TypeVar("_Kind", bound=Record)


def _record(kind: type[_Kind], given: Mapping[str, object], /, **defaults: object) -> _Kind:
    """Validated against the contract, so a factory cannot make a record that a collector may not send."""
    return msgspec.convert({"event_id": event_id(), "user_id": USER, **defaults, **given}, kind)


def _instant(moment: str | datetime) -> datetime:
    return at(moment) if isinstance(moment, str) else moment
