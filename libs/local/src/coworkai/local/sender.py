"""Record files to messages on the bus, as collectors send them.

    DIR/jobs.csv            one message, the whole file; further snapshots are jobs-<anything>.csv, by name
    DIR/activities.ndjson   one record a line, batches of up to 500 consecutive lines of one device
    DIR/keystrokes.ndjson … clipboard, chat, manifests, device-posture: the same

A line may carry the envelope's values in `_device_id`, `_sent_at` and `_published_at`; they are taken off it.
Everything else of a line is sent byte for byte, UTF-8 or not; a byte-order mark before the first is no part
of it. A line that would break the JSON of its batch is sent as a message of its own, as it is, so that ingest
judges it and nothing else suffers.

No line may make a message larger than the bus takes. Pub/Sub takes 10 MB; the embedded bus takes more, for
ingest to quarantine what Pub/Sub would have refused.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import msgspec

from coworkai.common.bus import MAX_DATA_BYTES, OutgoingMessage, Publisher
from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import NotFound, Terminal
from coworkai.common.events import Source
from coworkai.local.bus.app import PUBLISH_TIME_ATTRIBUTE

COLLECTOR = "coworkai-send/1"
DEFAULT_DEVICE = "local"
MAX_BATCH_RECORDS = 500
MAX_BATCH_BYTES = 4_000_000
MESSAGES_PER_REQUEST = 25
MAX_EMBEDDED_BYTES = 14_900_000
"""Data that a push of the embedded bus to ingest has room for: in base64, with its envelope, 20 MB."""

_RECORD_NAMES = {f"{source}.ndjson": source for source in Source if source is not Source.JOBS}
RECORD_FILE_NAMES = ", ".join([*sorted(_RECORD_NAMES), "jobs.csv"])

_Fields = dict[str, msgspec.Raw]
_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_anything = msgspec.json.Decoder().decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a device says of a batch. `published_at` is RFC 3339 as given, None for now."""

    device_id: str
    sent_at: str
    published_at: str | None


class RecordFile(NamedTuple):
    source: Source
    path: Path


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message, its topic's source, how many records and how many bytes of the file it stands for."""

    source: Source
    message: OutgoingMessage
    records: int
    file_bytes: int


@dataclass
class Sent:
    """What was published."""

    messages: int = 0
    records: dict[str, int] = field(default_factory=dict)


def record_files(folder: Path) -> list[RecordFile]:
    """The record files of a folder, the organisation first.

    Raises NotFound when there is none.
    """
    snapshots = [folder / "jobs.csv", *sorted(folder.glob("jobs-*.csv"))]
    found = [
        *(RecordFile(Source.JOBS, path) for path in snapshots if path.is_file()),
        *(
            RecordFile(source, folder / name)
            for name, source in _RECORD_NAMES.items()
            if (folder / name).is_file()
        ),
    ]
    if not found:
        raise NotFound(f"no record files in {folder}", remedy=f"put any of {RECORD_FILE_NAMES} there")
    return found


def unknown_files(folder: Path) -> list[Path]:
    """Files that look like record files but have no name of one, so that they are not read; by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in {".ndjson", ".csv"}
        and not path.name.startswith(".")
        and path.is_file()
        and path.name not in _RECORD_NAMES
        and not fnmatchcase(path.name, "jobs-*.csv")
        and path.name != "jobs.csv"
    )


async def send(
    publisher: Publisher,
    files: Iterable[RecordFile],
    tenant_id: str,
    on_progress: Callable[[Outgoing], None] = lambda _outgoing: None,
    clock: Clock = utc_now,
    *,
    max_bytes: int = MAX_DATA_BYTES,
) -> Sent:
    """Publish every record of the files. Raises as `Publisher.publish`, and as `messages`."""
    sent = Sent()
    for source, path in files:
        pending: list[Outgoing] = []
        for outgoing in messages(source, path, tenant_id, clock, max_bytes):
            pending.append(outgoing)
            if len(pending) == MESSAGES_PER_REQUEST:
                await _publish(publisher, source, pending, sent, on_progress)
                pending = []
        await _publish(publisher, source, pending, sent, on_progress)
    return sent


async def _publish(
    publisher: Publisher,
    source: Source,
    pending: list[Outgoing],
    sent: Sent,
    on_progress: Callable[[Outgoing], None],
) -> None:
    await publisher.publish_many(source.topic, [outgoing.message for outgoing in pending])
    for outgoing in pending:
        sent.messages += 1
        sent.records[source.value] = sent.records.get(source.value, 0) + outgoing.records
        on_progress(outgoing)


def check_sizes(files: Iterable[RecordFile], max_bytes: int = MAX_DATA_BYTES) -> None:
    """Raises Terminal for the first line larger than `max_bytes`, so that nothing is sent by halves."""
    for source, path in files:
        if source is Source.JOBS:
            _check_size(path.stat().st_size, path, 1, max_bytes)
            continue
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                _check_size(len(line.rstrip(b"\r\n")), path, number, max_bytes)


def messages(
    source: Source,
    path: Path,
    tenant_id: str,
    clock: Clock = utc_now,
    max_bytes: int = MAX_DATA_BYTES,
) -> Iterator[Outgoing]:
    """Messages of a record file, in its order. Raises Terminal for a line that makes one too large."""
    now = clock().isoformat().replace("+00:00", "Z")
    if source is Source.JOBS:
        yield _jobs_message(path, tenant_id, now, max_bytes)
    else:
        yield from _batches(source, path, tenant_id, now, max_bytes)


def _jobs_message(path: Path, tenant_id: str, now: str, max_bytes: int) -> Outgoing:
    content = path.read_bytes()
    _check_size(len(content), path, 1, max_bytes)
    rows = max(content.count(b"\n") - 1, 0)
    envelope = Envelope(DEFAULT_DEVICE, now, None)
    message = OutgoingMessage(content, _attributes(tenant_id, envelope))
    return Outgoing(Source.JOBS, message, rows, len(content))


def _batches(source: Source, path: Path, tenant_id: str, now: str, max_bytes: int) -> Iterator[Outgoing]:
    held: list[bytes] = []
    held_bytes = 0
    first_line = 1
    of: Envelope | None = None

    def batch() -> Iterator[Outgoing]:
        if of is not None and held:
            message = _batch_message(tenant_id, of, held)
            _check_size(len(message.data), path, first_line, max_bytes)
            yield Outgoing(source, message, len(held), held_bytes)

    with path.open("rb") as file:
        for number, ended_line in enumerate(file, start=1):
            line = ended_line.rstrip(b"\r\n")
            if number == 1:
                line = line.removeprefix(BOM_UTF8)
            if not line.strip():
                continue
            _check_size(len(line), path, number, max_bytes)
            split = _split(line, now)
            if split is None:
                attributes = _attributes(tenant_id, Envelope(DEFAULT_DEVICE, now, None))
                yield Outgoing(source, OutgoingMessage(line, attributes), 1, len(ended_line))
                continue
            envelope, record = split
            if held and (
                envelope != of or len(held) == MAX_BATCH_RECORDS or held_bytes + len(record) > MAX_BATCH_BYTES
            ):
                yield from batch()
                held, held_bytes = [], 0
            if not held:
                first_line = number
            of = envelope
            held.append(record)
            held_bytes += len(ended_line)
    yield from batch()


def _split(line: bytes, now: str) -> tuple[Envelope, bytes] | None:
    """Envelope and record of a line; None for one that cannot be part of a batch."""
    try:
        fields = _decode_fields(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return (Envelope(DEFAULT_DEVICE, now, None), line) if _is_json(line) else None
    own = {name: _text(fields.pop(name, None)) for name in ("_device_id", "_sent_at", "_published_at")}
    envelope = Envelope(own["_device_id"] or DEFAULT_DEVICE, own["_sent_at"] or now, own["_published_at"])
    if not any(own.values()):
        return envelope, line
    return envelope, _encode(fields)


def _is_json(line: bytes) -> bool:
    try:
        _decode_anything(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _text(value: msgspec.Raw | None) -> str | None:
    if value is None:
        return None
    try:
        return _decode_text(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _batch_message(tenant_id: str, envelope: Envelope, records: list[bytes]) -> OutgoingMessage:
    header = _encode(
        {
            "tenant_id": tenant_id,
            "device_id": envelope.device_id,
            "collector": COLLECTOR,
            "sent_at": envelope.sent_at,
        }
    )
    body = header[:-1] + b',"records":[' + b",".join(records) + b"]}"
    return OutgoingMessage(body, _attributes(tenant_id, envelope))


def _attributes(tenant_id: str, envelope: Envelope) -> dict[str, str]:
    attributes = {
        "tenant_id": tenant_id,
        "device_id": envelope.device_id,
        "collector": COLLECTOR,
        "sent_at": envelope.sent_at,
    }
    if envelope.published_at is not None and _is_instant(envelope.published_at):
        attributes[PUBLISH_TIME_ATTRIBUTE] = envelope.published_at
    return attributes


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_size(size: int, path: Path, line: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise Terminal(
            f"{path.name}, line {line}: {size} bytes; the bus takes {max_bytes}",
            remedy="split it, or leave it out",
        )
