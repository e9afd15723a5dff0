"""No byte of what people typed or are called leaves ingest in clear: not in tables, logs of Delta or ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from tests import factories
from tests.doubles.ingest import Lab, with_ingest

from coworkai.common.errors import StorageUnavailable
from coworkai.common.events import JsonRecord, Source
from coworkai.common.observability import JsonFormatter
from coworkai.common.outcome import Reason

SECRETS = {
    "person": "marguerite.okonkwo@corp.example",
    "device": "MARGUERITES-LAPTOP",
    "email": "zebulon.quist@example.org",
    "phone": "+44 20 7946 0958",
    "card": "4539 1488 0343 6467",
    "iban": "DE75512108001245126199",
    "national": "078-05-1120",
    "address": "203.0.113.77",
    "key": "AKIAQWERTYUIOP123456",
    "password": "password=Tr0ub4dor",
    "query": "https://intra.example/s?q=severance-plan",
    "home": "/Users/okonkwom/notes.txt",
    "typed": "xylophonequartz",
    "forged": "<email:00112233445566778899aabb>",
}
NEEDLES = [
    *(value.encode() for value in SECRETS.values()),
    *(
        b"okonkwo",
        b"zebulon",
        b"7946 0958",
        b"0343 6467",
        b"Tr0ub4dor",
        b"severance",
        b"xylophone",
        b"LAPTOP",
    ),
]
FREE_TEXT = " ".join(value for name, value in SECRETS.items() if name not in {"typed", "person", "device"})


@contextmanager
def logged() -> Iterator[StringIO]:
    """Everything that any logger says, as a service would print it, at the lowest level."""
    lines = StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonFormatter("ingest", "local"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def spoilt(record: JsonRecord, **changes: object) -> Mapping[str, object]:
    fields = msgspec.to_builtins(record)
    assert isinstance(fields, dict)
    return fields | changes


def of_person(record: JsonRecord, **changes: object) -> Mapping[str, object]:
    return spoilt(record, user_id=SECRETS["person"], **changes)


def batch(*records: Mapping[str, object]) -> bytes:
    return factories.batch(records, device_id=SECRETS["device"])


def good(source: Source) -> Mapping[str, object]:
    text, typed = FREE_TEXT, f"{SECRETS['typed']} {FREE_TEXT}"
    match source:
        case Source.ACTIVITIES:
            seen = factories.activity("09:00", "09:30", app=SECRETS["home"])
            return of_person(seen, title=text, url=SECRETS["query"], os=text)
        case Source.KEYSTROKES:
            return of_person(factories.keystroke_minute("09:00", typed), title=text, mood=typed)
        case Source.CLIPBOARD:
            return of_person(factories.clipboard("09:00"), text=typed, note=typed)
        case Source.CHAT:
            return of_person(factories.chat_message("09:00", text), conversation_id=text, assistant=text)
        case Source.MANIFESTS:
            declared = factories.manifest("SOD", "09:00", [text])
            kpi = {"name": text, "unit": text, "owner": text}
            return of_person(declared, focus_areas=[text], reflection=text, kpis=[kpi])
        case _:
            reading = factories.posture("09:00")
            return of_person(reading, device_id=SECRETS["device"], agent_version=text, more=text)


def bad_inputs(activity: Mapping[str, object]) -> Iterator[tuple[Source | None, bytes, Reason]]:
    """Every kind of bad input, with content that must not be seen anywhere; `activity` is in Bronze."""
    text = json.dumps(FREE_TEXT)[1:-1].encode()
    yield None, batch(activity), Reason.UNKNOWN_SOURCE
    yield Source.CHAT, b"{broken " + text, Reason.UNREADABLE
    yield Source.CHAT, b"\xff\xfe" + text, Reason.UNREADABLE
    yield Source.CHAT, batch(activity).replace(b'"acme"', b'"nobody"'), Reason.UNKNOWN_TENANT
    yield Source.CHAT, batch(activity).replace(b'"test/1"', b"[]"), Reason.BAD_BATCH
    yield Source.ACTIVITIES, batch({**activity, "exec": {"a": FREE_TEXT}}), Reason.CONTRACT_VIOLATION
    yield Source.ACTIVITIES, batch({**activity, "event_id": FREE_TEXT}), Reason.BAD_EVENT_ID
    yield Source.ACTIVITIES, batch({**activity, "event_id": None}), Reason.MISSING_EVENT_ID
    yield Source.ACTIVITIES, batch({**activity, "start": None}), Reason.START_MISSING
    yield Source.ACTIVITIES, batch({**activity, "end": "2023-01-01T00:00:00Z"}), Reason.START_AFTER_END
    yield Source.ACTIVITIES, batch({**activity, "start": "1970-01-01T00:00:00Z"}), Reason.TOO_LONG
    yield Source.ACTIVITIES, batch({**activity, "title": "other " + FREE_TEXT}), Reason.ID_CONFLICT
    yield Source.ACTIVITIES, batch(activity).replace(b'"2024-01-01T09:30:00Z"', b"tru"), Reason.UNREADABLE
    yield Source.CHAT, batch({**good(Source.CHAT), "at": "1999-01-01T00:00:00Z"}), Reason.TOO_OLD
    yield Source.CHAT, batch({**good(Source.CHAT), "at": "2999-01-01T00:00:00Z"}), Reason.IN_THE_FUTURE
    yield Source.CHAT, text * 80_000, Reason.MESSAGE_TOO_LARGE


def found_in(folder: Path) -> list[tuple[str, bytes]]:
    return [
        (str(path.relative_to(folder)), needle)
        for path in folder.rglob("*")
        if path.is_file()
        for content in [path.read_bytes()]
        for needle in NEEDLES
        if needle in content or needle in str(path).encode()
    ]


def test_nothing_of_it_is_found_by_a_byte_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without compression and dictionaries, bytes are where a search finds them.
    monkeypatch.setattr("coworkai.ingest.bronze._COMPRESSION", "none")
    reasons: list[tuple[Reason, Reason]] = []

    async def scenario(lab: Lab) -> None:
        records = {source: good(source) for source in Source if source is not Source.JOBS}
        for source, record in records.items():
            assert (await lab.deliver(source, batch(record))).accepted == 1
        jobs = (
            "user_id,name,email,role,manager_id,valid_from,badge\n"
            f"{SECRETS['person']},Marguerite Okonkwo,{SECRETS['person']},{SECRETS['email']},"
            f"{SECRETS['person']},2024-01-01,{SECRETS['phone']}\n"
            f'{SECRETS["person"]},"{FREE_TEXT}\n'
        )
        attributes = {
            "tenant_id": "acme",
            "device_id": SECRETS["device"],
            "collector": SECRETS["email"],
            "sent_at": "2024-01-01T10:00:00Z",
            "note": SECRETS["phone"],
        }
        delivered = await lab.deliver(Source.JOBS, jobs.encode(), attributes=attributes)
        assert (delivered.accepted, delivered.quarantined) == (1, 1)
        for bad_source, data, reason in bad_inputs(records[Source.ACTIVITIES]):
            for attempt in (True, False):
                delivered = await lab.deliver(
                    bad_source, data, attributes=attributes, is_first_attempt=attempt
                )
                reasons.extend((got, reason) for _, got in delivered.refused)
        await storage_outage(lab)

    lake, away = tmp_path / "lake", tmp_path / "away"

    async def storage_outage(lab: Lab) -> None:
        swap(lake, away)
        with pytest.raises(StorageUnavailable) as failed:
            await lab.deliver(Source.CHAT, batch(good(Source.CHAT)))
        assert not any(needle.decode() in str(failed.value) for needle in NEEDLES)
        lake.unlink()
        away.rename(lake)

    with logged() as lines:
        with_ingest(tmp_path, scenario)
    assert [got for got, _ in reasons] == [expected for _, expected in reasons]
    assert len(reasons) == 2 * 16
    assert found_in(tmp_path) == []
    assert [needle for needle in NEEDLES if needle in lines.getvalue().encode()] == []
    assert lines.getvalue()


def swap(lake: Path, away: Path) -> None:
    lake.rename(away)
    lake.write_text("no folder")


def test_the_search_finds_what_is_in_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coworkai.ingest.bronze._COMPRESSION", "none")

    async def scenario(lab: Lab) -> None:
        await lab.deliver(
            Source.ACTIVITIES, batch(spoilt(factories.activity("09:00", "09:30"), title="xylophone"))
        )

    with_ingest(tmp_path, scenario)
    assert {needle for _, needle in found_in(tmp_path)} == {b"xylophone"}
