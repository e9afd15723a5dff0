"""The wire contract of the seven telemetry sources (domain, section 1), declared once.

JSON Schemas in `docs/schemas` and the Bronze columns follow from these structs. A contract evolves by adding
optional fields only. Times are RFC 3339 with an offset. A field that a struct does not declare is kept in the
Bronze column `extra` and counted as schema drift, so `forbid_unknown_fields` is a detector, not a refusal.

The record's own time decides its `event_date`: `start`, `minute`, `at`, or `valid_from` (jobs).
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

MAX_RECORDS_PER_BATCH = 10_000
"""A desktop collector sends at most 500; importers and backfills may send more."""

Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
EventId = Annotated[
    str,
    # A pattern is matched in Python for every record; ingest checks a batch's ids at once instead.
    Meta(
        min_length=36,
        max_length=36,
        description="UUID made by the collector; the record's identity with the tenant",
        extra_json_schema={
            "pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
        },
    ),
]
Identifier = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[str, Meta(max_length=4096)]
Text = Annotated[str, Meta(max_length=1_048_576)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]


class Source(StrEnum):
    """A telemetry source; its Pub/Sub topic is `telemetry-<source>`."""

    ACTIVITIES = "activities"
    KEYSTROKES = "keystrokes"
    CLIPBOARD = "clipboard"
    CHAT = "chat"
    MANIFESTS = "manifests"
    JOBS = "jobs"
    DEVICE_POSTURE = "device-posture"

    @property
    def table(self) -> str:
        """Name of its Bronze table."""
        return self.value.replace("-", "_")

    @property
    def topic(self) -> str:
        return f"telemetry-{self.value}"


class Record(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, omit_defaults=True):
    event_id: EventId
    user_id: Annotated[Identifier, Meta(description="direct identifier; stored as a token")]


class Activity(Record, kw_only=True):
    """One window or tab in front."""

    start: Timestamp
    end: Timestamp
    exec: Annotated[Name, Meta(description="path, bundle or package name of the application")]
    title: Text | None = None
    url: Text | None = None
    os: Name | None = None


class KeystrokeMinute(Record, kw_only=True):
    """All keys typed into one app in one wall-clock minute."""

    minute: Timestamp
    exec: Name
    text: Annotated[Text, Meta(description="typed text with control tokens such as <Backspace>, <Ctrl + c>")]
    title: Text | None = None
    url: Text | None = None
    os: Name | None = None


class ClipboardEvent(Record, kw_only=True):
    at: Timestamp
    action: Literal["COPY", "CUT", "PASTE"]
    exec: Name
    content_type: Name | None = None
    text: Text | None = None


class ChatMessage(Record, kw_only=True):
    """A message of a conversation with an AI assistant or a workplace chat."""

    at: Timestamp
    conversation_id: Identifier
    assistant: Name
    role: Annotated[Name, Meta(description="`user` for the worker's own words; others lose their text")]
    text: Text


class ManifestKpi(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, omit_defaults=True):
    name: Annotated[Name, Meta(min_length=1)]
    target: float | None = None
    actual: float | None = None
    unit: Name | None = None


class Manifest(Record, kw_only=True):
    """A start-of-day or end-of-day declaration."""

    kind: Literal["SOD", "EOD"]
    at: Timestamp
    goals: list[Text] = msgspec.field(default_factory=list)
    focus_areas: list[Text] = msgspec.field(default_factory=list)
    kpis: list[ManifestKpi] = msgspec.field(default_factory=list)
    reflection: Text | None = None


class DevicePosture(Record, kw_only=True):
    """State of a device, with evidence of idleness."""

    at: Timestamp
    device_id: Identifier | None = None
    os: Name | None = None
    os_version: Name | None = None
    cpu_pct: Percent | None = None
    mem_pct: Percent | None = None
    battery_pct: Percent | None = None
    on_ac: bool | None = None
    idle_s: Seconds = 0.0
    locked: bool = False
    agent_version: Name | None = None


class JobsRow(Struct, forbid_unknown_fields=True, gc=False, kw_only=True, omit_defaults=True):
    """One row of an organisation snapshot (CSV with a header; `event_id` is a UUIDv5 made at ingest)."""

    user_id: Identifier
    valid_from: Annotated[date, Meta(description="UTC date of the whole snapshot")]
    name: Name | None = None
    email: Name | None = None
    role: Name | None = None
    team: Name | None = None
    department: Name | None = None
    manager_id: Name | None = None
    region: Name | None = None
    time_zone: Annotated[str, Meta(description="IANA name", max_length=64)] | None = None
    schedule_start: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    schedule_end: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None


class BatchHeader(Struct, gc=False, kw_only=True):
    """What every batch carries beside its records."""

    tenant_id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    device_id: Identifier
    collector: Annotated[Name, Meta(description="name and version of the collector, `desktop/4.2.0`")]
    sent_at: Timestamp


JsonRecord = Activity | KeystrokeMinute | ClipboardEvent | ChatMessage | Manifest | DevicePosture

RECORD_TYPES: dict[Source, type[Struct]] = {
    Source.ACTIVITIES: Activity,
    Source.KEYSTROKES: KeystrokeMinute,
    Source.CLIPBOARD: ClipboardEvent,
    Source.CHAT: ChatMessage,
    Source.MANIFESTS: Manifest,
    Source.DEVICE_POSTURE: DevicePosture,
    Source.JOBS: JobsRow,
}
