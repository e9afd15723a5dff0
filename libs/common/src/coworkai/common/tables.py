"""Every Delta table, declared once: columns, types, keys, partitions, layer and path.

Rules (architecture, "Delta rules"): protocol reader 1 / writer 2; timestamps are UTC microseconds; column
names are `[a-z0-9_]+` and no reserved word of BigQuery or Spark; tables evolve by adding columns at the end.
Bronze is one set of tables for all tenants; Silver, Gold and ops are one set per tenant. Columns with free
text or a person's identifier are left out of Delta's min/max statistics.

Durations named `*_s` are seconds as float64 computed from integer microseconds, so exact to the microsecond.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import quote

import polars as pl
import pyarrow as pa
from polars.datatypes import DataTypeClass

from coworkai.common.events import Source

PolarsType = pl.DataType | type[pl.DataType] | DataTypeClass

TIMESTAMP = pl.Datetime("us", "UTC")
TEXTS = pl.List(pl.String)
KPIS = pl.List(pl.Struct({"name": pl.String, "target": pl.Float64, "actual": pl.Float64, "unit": pl.String}))
PAIRED_KPIS = pl.List(
    pl.Struct(
        {
            "name": pl.String,
            "target": pl.Float64,
            "actual": pl.Float64,
            "unit": pl.String,
            "attainment": pl.Float64,
        }
    )
)
REVISIONS = pl.List(pl.Struct({"event_id": pl.String, "kind": pl.String, "occurred_at": TIMESTAMP}))
COUNTS = pl.List(pl.Struct({"name": pl.String, "count": pl.Int64}))
VERSIONS = pl.List(pl.Struct({"table": pl.String, "version": pl.Int64}))


class Layer(StrEnum):
    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    OPS = "ops"


@dataclass(frozen=True, slots=True)
class Column:
    """`personal` marks free text and person identifiers: no statistics are kept of them."""

    name: str
    dtype: PolarsType
    description: str
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A Delta table. `key` identifies a row inside the table (with tenant_id where it is shared)."""

    layer: Layer
    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ("date",)

    @property
    def id(self) -> str:
        """`layer/name`, the name people use."""
        return f"{self.layer.value}/{self.name}"

    @property
    def schema(self) -> pl.Schema:
        return pl.Schema({column.name: column.dtype for column in self.columns})

    @property
    def arrow_schema(self) -> pa.Schema:
        """Arrow schema with plain `string`/`list`, as Delta protocol 1/2 stores it."""
        return pa.schema([pa.field(column.name, _arrow(column.dtype)) for column in self.columns])

    @property
    def stats_columns(self) -> tuple[str, ...]:
        """Columns that min/max statistics may be kept of."""
        return tuple(c.name for c in self.columns if not c.personal and not c.dtype.is_nested())

    def path(self, tenant_id: str | None = None) -> str:
        """Path below the lake root; Silver, Gold and ops need the tenant.

        Raises ValueError when a tenant is missing, or given for a Bronze table.
        """
        if (self.layer is Layer.BRONZE) != (tenant_id is None):
            raise ValueError(f"{self.id}: Bronze is shared, the other layers belong to a tenant")
        return self.id if tenant_id is None else f"tenants/{quote(tenant_id, safe='')}/{self.id}"

    def empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.schema)


def _arrow(dtype: PolarsType) -> pa.DataType:
    if isinstance(dtype, pl.List):
        return pa.list_(_arrow(dtype.inner))
    if isinstance(dtype, pl.Struct):
        return pa.struct([pa.field(f.name, _arrow(f.dtype)) for f in dtype.fields])
    if isinstance(dtype, pl.Datetime):
        return pa.timestamp("us", "UTC")
    return _ARROW[dtype.base_type()]


_ARROW: dict[DataTypeClass | type[pl.DataType], pa.DataType] = {
    pl.String: pa.string(),
    pl.Int64: pa.int64(),
    pl.Int32: pa.int32(),
    pl.Float64: pa.float64(),
    pl.Boolean: pa.bool_(),
    pl.Date: pa.date32(),
    pl.Binary: pa.binary(),
}


def _c(name: str, dtype: PolarsType, description: str) -> Column:
    return Column(name, dtype, description)


def _p(name: str, dtype: PolarsType, description: str) -> Column:
    return Column(name, dtype, description, personal=True)


# --------------------------------------------------------------------------------------------- Bronze
_TENANT = _c("tenant_id", pl.String, "tenant")
_USER = _p("user_id", pl.String, "token of the worker (as sent for a tenant with identity `plain`)")
_EVENT = _c("event_id", pl.String, "collector's UUID, lower case")
_EXEC = _p("exec", pl.String, "path, bundle or package of the application, PII tokenised")
_TITLE = _p("title", pl.String, "window title, PII tokenised")
_URL = _p("url", pl.String, "address, userinfo, query values and PII tokenised")
_OS = _c("os", pl.String, "operating system as sent")

_BRONZE_HEAD = (
    _TENANT,
    _EVENT,
    _c("event_date", pl.Date, "UTC date of the record's own time; partition"),
    _USER,
    _p("device_id", pl.String, "token of the device"),
    _c("collector", pl.String, "collector and version as sent"),
    _c("sent_at", TIMESTAMP, "device clock when the batch was sent"),
    _c("published_at", TIMESTAMP, "first publish time of the message"),
    _c("message_id", pl.String, "message that brought the record"),
    _c("content_digest", pl.Int64, "keyed digest of the record as sent; tells a duplicate from a conflict"),
)
_BRONZE_TAIL = (
    _p("extra", pl.String, "JSON object of fields the contract does not know, PII tokenised; null when none"),
)
KEY_CLASSES: dict[str, str] = {
    "keys_printable": "typed characters",
    "keys_control": "control tokens that are none of the classes below",
    "keys_shortcut": "modifier chords that are none of the classes below",
    "keys_copy": "copy and cut chords",
    "keys_paste": "paste chords",
    "keys_undo": "undo and redo chords",
    "keys_backspace": "backspace and delete",
    "keys_enter": "enter",
    "keys_tab": "tab",
}
_KEY_COUNTS = (
    _c("key_count", pl.Int32, "keys of all classes; null under capture `off`"),
    *(_c(name, pl.Int32, text) for name, text in KEY_CLASSES.items()),
)


def _bronze(source: Source, description: str, *columns: Column) -> Table:
    return Table(
        Layer.BRONZE,
        source.table,
        description,
        (*_BRONZE_HEAD, *columns, *_BRONZE_TAIL),
        key=("tenant_id", "event_id"),
        partition_by=("event_date",),
    )


BRONZE_ACTIVITIES = _bronze(
    Source.ACTIVITIES,
    "One window or tab in front, as it arrived.",
    _c("started_at", TIMESTAMP, "start"),
    _c("ended_at", TIMESTAMP, "end, exclusive"),
    _EXEC,
    _TITLE,
    _URL,
    _OS,
)
BRONZE_KEYSTROKES = _bronze(
    Source.KEYSTROKES,
    "All keys of one app in one minute, under the tenant's capture policy.",
    _c("minute", TIMESTAMP, "minute as sent"),
    _EXEC,
    _TITLE,
    _URL,
    _OS,
    _c("capture", pl.String, "policy applied: text, counts or off"),
    _p("text", pl.String, "typed text with control tokens, PII tokenised; only under capture `text`"),
    *_KEY_COUNTS,
)
BRONZE_CLIPBOARD = _bronze(
    Source.CLIPBOARD,
    "Copy, cut and paste events, under the tenant's capture policy.",
    _c("occurred_at", TIMESTAMP, "time of the event"),
    _c("action", pl.String, "COPY, CUT or PASTE; null under capture `off`"),
    _EXEC,
    _c("content_type", pl.String, "media type as sent"),
    _c("capture", pl.String, "policy applied: text, counts or off"),
    _p("text", pl.String, "content, PII tokenised; only under capture `text`"),
    _c("text_length", pl.Int32, "characters of the content; null under capture `off`"),
)
BRONZE_CHAT = _bronze(
    Source.CHAT,
    "Chat messages; only the worker's own words keep their text.",
    _c("occurred_at", TIMESTAMP, "time of the message"),
    _p("conversation_id", pl.String, "conversation as sent"),
    _c("assistant", pl.String, "assistant or chat system"),
    _c("role", pl.String, "who spoke"),
    _p("text", pl.String, "the message, PII tokenised; null unless role is `user`"),
    _c("text_length", pl.Int32, "characters of the message as sent"),
)
BRONZE_MANIFESTS = _bronze(
    Source.MANIFESTS,
    "Start- and end-of-day declarations.",
    _c("kind", pl.String, "SOD or EOD"),
    _c("occurred_at", TIMESTAMP, "time of the declaration"),
    _p("goals", TEXTS, "goals, PII tokenised"),
    _p("focus_areas", TEXTS, "focus areas, PII tokenised"),
    _p("kpis", KPIS, "declared KPIs; names PII tokenised"),
    _p("reflection", pl.String, "free text, PII tokenised"),
)
BRONZE_JOBS = _bronze(
    Source.JOBS,
    "Rows of organisation snapshots.",
    _c("valid_from", pl.Date, "UTC date of the whole snapshot"),
    _c("snapshot_digest", pl.String, "keyed digest of the file; one snapshot"),
    _c("row_number", pl.Int32, "row of the file, from 1"),
    _p("name", pl.String, "token"),
    _p("email", pl.String, "token"),
    _c("role", pl.String, "role"),
    _c("team", pl.String, "team"),
    _c("department", pl.String, "department"),
    _p("manager_id", pl.String, "token of the manager's user_id"),
    _c("region", pl.String, "region"),
    _c("time_zone", pl.String, "IANA zone"),
    _c("schedule_start", pl.String, "HH:MM, local"),
    _c("schedule_end", pl.String, "HH:MM, local"),
)
_POSTURE = (
    _c("occurred_at", TIMESTAMP, "time of the reading"),
    _OS,
    _c("os_version", pl.String, "operating system version"),
    _c("cpu_pct", pl.Float64, "CPU load, percent"),
    _c("mem_pct", pl.Float64, "memory in use, percent"),
    _c("battery_pct", pl.Float64, "battery charge, percent"),
    _c("on_ac", pl.Boolean, "on mains power"),
    _c("idle_s", pl.Float64, "seconds since the last input"),
    _c("locked", pl.Boolean, "screen locked"),
    _c("agent_version", pl.String, "agent version"),
)
BRONZE_DEVICE_POSTURE = _bronze(Source.DEVICE_POSTURE, "Device state with evidence of idleness.", *_POSTURE)
BRONZE_QUARANTINE = Table(
    Layer.BRONZE,
    "quarantine",
    "What could not be taken, sealed for 14 days; never in clear.",
    (
        _c("quarantine_id", pl.String, "digest of tenant, topic, reason and content"),
        _c("event_date", pl.Date, "UTC date of the first publication; partition"),
        _c("tenant_id", pl.String, "tenant; null where unknown"),
        _c("source", pl.String, "source; null where unknown"),
        _c("reason", pl.String, "closed list of reasons"),
        _c("record_index", pl.Int32, "record of the batch, from 0; null for a whole message"),
        _c("length", pl.Int64, "bytes of the original"),
        _c("content_digest", pl.Int64, "keyed digest of the original"),
        _c("message_id", pl.String, "message that brought it"),
        _c("published_at", TIMESTAMP, "first publish time of the message"),
        _p("attributes", pl.String, "JSON object of the transport attributes that carry no content"),
        _p("user_id", pl.String, "token of the worker; null where unreadable"),
        _p("device_id", pl.String, "token of the device; null where unreadable"),
        _c("key_id", pl.String, "key that seals it: tenant:<id> or platform"),
        _p("sealed", pl.Binary, "nonce and AES-256-GCM ciphertext of the original message or record"),
        _c("expires_at", TIMESTAMP, "removed by maintenance after this: so long after it was refused"),
    ),
    key=("quarantine_id",),
    partition_by=("event_date",),
)
BRONZE_RECEIPTS = Table(
    Layer.BRONZE,
    "receipts",
    "Counts of duplicates and quarantined records by delivery; accepted is the rows of Bronze.",
    (
        _TENANT,
        _c("event_date", pl.Date, "UTC date of the first publication; partition"),
        _c("delivery_id", pl.String, "one delivery attempt"),
        _c("message_id", pl.String, "message"),
        _c("source", pl.String, "source; null where unknown"),
        _p("user_id", pl.String, "token of the worker; null where unreadable"),
        _p("device_id", pl.String, "token of the device; null where unreadable"),
        _c("record_date", pl.Date, "UTC date of the records' own time; null where unreadable"),
        _c("outcome", pl.String, "duplicate or quarantined"),
        _c("reason", pl.String, "reason of a quarantine"),
        _c("records", pl.Int64, "how many"),
        _c("published_at", TIMESTAMP, "first publish time of the message"),
    ),
    key=("delivery_id", "user_id", "record_date", "outcome", "reason"),
    partition_by=("event_date",),
)
BRONZE_REPEATS = Table(
    Layer.BRONZE,
    "repeated_ids",
    "Records whose id came first under another date: Silver counts them and leaves them out.",
    (
        _TENANT,
        _c("event_date", pl.Date, "event_date of the record that is left out; partition"),
        _c("source", pl.String, "its source"),
        _EVENT,
        _p("user_id", pl.String, "its worker; null where withheld"),
    ),
    key=("tenant_id", "event_date", "source", "event_id"),
    partition_by=("event_date",),
)

# --------------------------------------------------------------------------------------------- Silver
_DATE = _c("date", pl.Date, "worker's local date; partition")
_RUN = _c("run_id", pl.String, "run that wrote the row; `ops/runs` has its inputs")
_APP = _c("app", pl.String, "normalised application name")
_DEVICE = _p("device_id", pl.String, "token of the device")


def _tenant_table(
    layer: Layer, name: str, description: str, key: tuple[str, ...], *columns: Column, run: bool = True
) -> Table:
    return Table(layer, name, description, (_TENANT, _DATE, *columns, *((_RUN,) if run else ())), key=key)


SILVER_TIMELINE = _tenant_table(
    Layer.SILVER,
    "activity_timeline",
    "Disjoint pieces of activities: what was in front, covering exactly the union of the evidence.",
    ("user_id", "started_at"),
    _USER,
    _EVENT,
    _c("started_at", TIMESTAMP, "start of the piece"),
    _c("ended_at", TIMESTAMP, "end of the piece, exclusive"),
    _APP,
    _URL,
    _TITLE,
    _OS,
    _DEVICE,
    _c("cut_start", pl.Boolean, "the piece begins at a local midnight that cut its activity"),
    _c("cut_end", pl.Boolean, "the piece ends at a local midnight that cut its activity"),
)
SILVER_KEYSTROKES = _tenant_table(
    Layer.SILVER,
    "keystroke_minutes",
    "Keystroke minutes, one row a record, app-normalised, with key counts by class.",
    ("user_id", "event_id"),
    _USER,
    _EVENT,
    _c("minute", TIMESTAMP, "start of the minute"),
    _APP,
    _URL,
    _TITLE,
    _OS,
    _DEVICE,
    _c("capture", pl.String, "policy applied at ingest"),
    _p("text", pl.String, "typed text with control tokens, PII tokenised; only under capture `text`"),
    *_KEY_COUNTS,
)
SILVER_CLIPBOARD = _tenant_table(
    Layer.SILVER,
    "clipboard_events",
    "Clipboard events.",
    ("user_id", "event_id"),
    _USER,
    _EVENT,
    _c("occurred_at", TIMESTAMP, "time of the event"),
    _c("action", pl.String, "COPY, CUT or PASTE"),
    _APP,
    _c("content_type", pl.String, "media type"),
    _p("text", pl.String, "content, PII tokenised; only under capture `text`"),
    _c("text_length", pl.Int32, "characters of the content"),
    _DEVICE,
)
SILVER_CHAT = _tenant_table(
    Layer.SILVER,
    "chat_messages",
    "The worker's own chat messages.",
    ("user_id", "event_id"),
    _USER,
    _EVENT,
    _c("occurred_at", TIMESTAMP, "time of the message"),
    _p("conversation_id", pl.String, "conversation"),
    _c("assistant", pl.String, "assistant or chat system"),
    _p("text", pl.String, "the message, PII tokenised"),
    _c("text_length", pl.Int32, "characters as sent"),
)
SILVER_MANIFEST_PAIRS = _tenant_table(
    Layer.SILVER,
    "manifest_pairs",
    "Last start-of-day and last end-of-day of a worker's local day.",
    ("user_id",),
    _USER,
    _c("sod_event_id", pl.String, "last SOD; null when missing"),
    _c("eod_event_id", pl.String, "last EOD; null when missing"),
    _c("sod_at", TIMESTAMP, "time of the SOD"),
    _c("eod_at", TIMESTAMP, "time of the EOD"),
    _c("is_sod_missing", pl.Boolean, "no SOD that day"),
    _c("is_eod_missing", pl.Boolean, "no EOD that day"),
    _p("goals", TEXTS, "goals of the SOD, of the EOD where there is no SOD"),
    _p("goals_done", TEXTS, "declared goals that the EOD names, case-folded"),
    _p("focus_areas", TEXTS, "set of both halves, sorted"),
    _p("kpis", PAIRED_KPIS, "joined by case-folded name; attainment = actual / target"),
    _p("reflection", pl.String, "the EOD's"),
    _c("revisions", REVISIONS, "earlier manifests of the day, in order"),
)
SILVER_ORG_MEMBERS = _tenant_table(
    Layer.SILVER,
    "org_members",
    "Organisation history, SCD type 2; `date` is valid_from.",
    ("user_id", "valid_from"),
    _USER,
    _p("name", pl.String, "token"),
    _p("email", pl.String, "token"),
    _c("role", pl.String, "role"),
    _c("team", pl.String, "team"),
    _c("department", pl.String, "department"),
    _p("manager_id", pl.String, "token of the manager's user_id"),
    _c("region", pl.String, "region"),
    _c("time_zone", pl.String, "IANA zone"),
    _c("schedule_start", pl.String, "HH:MM, local"),
    _c("schedule_end", pl.String, "HH:MM, local"),
    _c("valid_from", pl.Date, "first day of validity"),
    _c("valid_to", pl.Date, "day after the last; null while current"),
    _c("is_current", pl.Boolean, "still valid"),
)
SILVER_DEVICE_POSTURE = _tenant_table(
    Layer.SILVER,
    "device_posture",
    "Device readings; idle is [occurred_at - idle_s, occurred_at], or from a locked reading to the next.",
    ("user_id", "event_id"),
    _USER,
    _EVENT,
    _DEVICE,
    *_POSTURE,
)
SILVER_HEALTH = _tenant_table(
    Layer.SILVER,
    "telemetry_health",
    "Audit of what was received, per worker, device, source and day.",
    ("user_id", "device_id", "source"),
    _USER,
    _DEVICE,
    _c("source", pl.String, "source"),
    _c("records", pl.Int64, "accepted records"),
    _c("duplicates", pl.Int64, "duplicate deliveries"),
    _c("quarantined", pl.Int64, "quarantined records"),
    _c("quarantined_by_reason", COUNTS, "the same by reason"),
    _c("late_records", pl.Int64, "published more than 24 h after their time"),
    _c("clock_skew_s", pl.Float64, "median of published_at - sent_at"),
    _c("delay_s", pl.Float64, "median of published_at - the record's time"),
    _c("evidence_minutes", pl.Int64, "minutes with evidence"),
    _c("scheduled_minutes", pl.Int64, "minutes of the worker's schedule that day; null where unknown"),
    _c("coverage", pl.Float64, "evidence minutes inside the schedule / scheduled minutes"),
    _c("longest_gap_s", pl.Float64, "longest stretch without evidence between the first and the last"),
    _c("raw_s", pl.Float64, "activities: sum of durations on the day"),
    _c("kept_s", pl.Float64, "activities: seconds in the timeline"),
    _c("overlapped_s", pl.Float64, "activities: sum of hidden stretches"),
    _c("zero_length", pl.Int64, "activities without length"),
    _c("drift_fields", COUNTS, "unknown fields and how many records had them"),
    _c("is_missing", pl.Boolean, "the source sent nothing though the worker was active"),
)

# --------------------------------------------------------------------------------------------- Gold
_IDLE = _c("idle_s", pl.Float64, "idle seconds inside its active time")
GOLD_WORKBLOCKS = _tenant_table(
    Layer.GOLD,
    "workblocks",
    "Stretches of work with no break over 60 minutes.",
    ("workblock_id",),
    _USER,
    _c("workblock_id", pl.String, "wb:<user>:<time>:<n>"),
    _c("started_at", TIMESTAMP, "start"),
    _c("ended_at", TIMESTAMP, "end, exclusive"),
    _c("duration_s", pl.Float64, "ended_at - started_at"),
    _c("active_s", pl.Float64, "union of its evidence"),
    _IDLE,
    _c("slice_count", pl.Int32, "atomic slices"),
    _c("app_count", pl.Int32, "distinct apps"),
    _c("keystroke_minutes", pl.Int32, "keystroke minutes matched to it"),
    _c("is_continuation", pl.Boolean, "its first or last activity was cut by local midnight"),
)
GOLD_SLICES = _tenant_table(
    Layer.GOLD,
    "atomic_slices",
    "One context (app, and URL or title) inside a workblock.",
    ("workblock_id", "sequence"),
    _USER,
    _c("workblock_id", pl.String, "its workblock"),
    _c("sequence", pl.Int32, "from 1, in order of start, end, context"),
    _c("started_at", TIMESTAMP, "start"),
    _c("ended_at", TIMESTAMP, "end, exclusive"),
    _c("duration_s", pl.Float64, "sum of its evidence"),
    _APP,
    _URL,
    _TITLE,
    _c("keystroke_minutes", pl.Int32, "keystroke minutes that belong to it"),
    _c("key_count", pl.Int32, "keys of those minutes"),
    _p("keystroke_log", pl.String, "typed text of those minutes, folded; null unless capture is `text`"),
    _c("ambiguous", pl.Boolean, "its keystroke minute saw more than one context"),
    _c("multitasking", pl.Boolean, "overlaps another synthetic activity"),
    _c("is_synthetic", pl.Boolean, "made from keystrokes no activity explains"),
    _c("is_gap", pl.Boolean, "synthetic, between two activities"),
    _c("is_orphan", pl.Boolean, "synthetic, before, after or without activities"),
    _c("cross_app", pl.Boolean, "holds keystrokes matched from another app"),
    _IDLE,
)
GOLD_USAGE = _tenant_table(
    Layer.GOLD,
    "usage_statistics",
    "Top 10 apps, domains and URLs of a worker's day.",
    ("user_id", "kind", "rank"),
    _USER,
    _c("kind", pl.String, "app, domain or url"),
    _c("rank", pl.Int32, "from 1; ties by name"),
    _p("name", pl.String, "app, registrable domain or URL"),
    _c("duration_s", pl.Float64, "seconds; overlapping synthetics count once"),
    _c("day_share", pl.Float64, "of the day's active seconds"),
)
GOLD_KPI_DAILY = _tenant_table(
    Layer.GOLD,
    "kpi_daily",
    "Measures of the KPI catalogue per worker and day.",
    ("user_id", "measure"),
    _USER,
    _c("measure", pl.String, "name in the catalogue"),
    _c("value", pl.Float64, "value; null where it has no meaning that day"),
    _c("unit", pl.String, "unit in the catalogue"),
)
GOLD_FOCUS_BLOCKS = _tenant_table(
    Layer.GOLD,
    "focus_blocks",
    "Stretches of focused work: what the measures `focus_blocks` and `focus_s` count and sum.",
    ("user_id", "started_at"),
    _USER,
    _c("started_at", TIMESTAMP, "start"),
    _c("ended_at", TIMESTAMP, "end, exclusive"),
    _c(
        "duration_s",
        pl.Float64,
        "evidence in apps and domains of focus categories; interruptions are not in it",
    ),
    _c("app", pl.String, "normalised name of the app with most of it; ties by name"),
)
GOLD_KPI_GROUPS = _tenant_table(
    Layer.GOLD,
    "kpi_group_rollups",
    "Measures per worker, team, department and tenant, by day and week; not for aggregate readers.",
    ("period", "level", "group_id", "measure"),
    _c("period", pl.String, "day or week (ISO, from Monday); `date` is its first day"),
    _c("level", pl.String, "worker (weeks only), team, department or tenant"),
    _p("group_id", pl.String, "name of the group, or the worker's token"),
    _c("measure", pl.String, "name in the catalogue"),
    _c("value", pl.Float64, "value by the catalogue's aggregation"),
    _c("unit", pl.String, "unit in the catalogue"),
    _c("contributors", pl.Int32, "workers with a value"),
)
GOLD_KPI_LATTICE = _tenant_table(
    Layer.GOLD,
    "kpi_lattice",
    "What aggregate readers see: measures of teams, departments and the tenant by day and week, published "
    "when the period is over; cells that would tell of few people are suppressed (docs/privacy.md).",
    ("period", "level", "group_id", "measure"),
    _c("period", pl.String, "day or week (ISO, from Monday); `date` is its first day"),
    _c("level", pl.String, "team, department or tenant"),
    _c("group_id", pl.String, "name of the group"),
    _c("measure", pl.String, "name in the catalogue"),
    _c("value", pl.Float64, "value as it was published; null where suppressed"),
    _c("unit", pl.String, "unit in the catalogue"),
    _c("contributors", pl.Int32, "workers with a value; null where suppressed"),
    _c("suppressed", pl.String, "primary or complementary; null where the value is told"),
    _c("days_covered", pl.Int32, "days whose values it holds: a week has those only that are told"),
    _c("published_at", TIMESTAMP, "when its newest value was published; null where suppressed"),
)
GOLD_ACCOUNTING = _tenant_table(
    Layer.GOLD,
    "day_accounting",
    "The accounting identities of a worker's day; a run that breaks one publishes nothing.",
    ("user_id",),
    _USER,
    _c("raw_s", pl.Float64, "sum of the day's activity durations"),
    _c("kept_s", pl.Float64, "seconds in the timeline = union of the raw intervals"),
    _c("overlapped_s", pl.Float64, "sum of hidden stretches; raw = kept + overlapped"),
    _c("keystroke_minutes", pl.Int64, "keystroke minutes received = direct + nearest + gap + orphan"),
    _c("direct", pl.Int64, "phase 1"),
    _c("nearest", pl.Int64, "phase 2"),
    _c("gap", pl.Int64, "phase 3"),
    _c("orphan", pl.Int64, "phase 4"),
    _c("cross_app", pl.Int64, "of phase 2, to another app"),
    _c("synthetic_s", pl.Float64, "seconds of synthetic activities, their union"),
    _c("noise_s", pl.Float64, "seconds of evidence in blocks dropped as noise, their union"),
    _c("noise_blocks", pl.Int64, "blocks dropped as noise"),
    _c("noise_keystroke_minutes", pl.Int64, "keystroke minutes in blocks dropped as noise"),
)
CLAIMS = pl.List(pl.Struct({"fact_id": pl.String, "field": pl.String}))
GOLD_INSIGHTS = _tenant_table(
    Layer.GOLD,
    "insights",
    "What is worth knowing of a worker's day: one statement each, with the facts that it rests on.",
    ("user_id", "insight_id"),
    _USER,
    _p("insight_id", pl.String, "insight:<user>:<date>:<kind>:<type>; stable over runs"),
    _c("kind", pl.String, "workblock or chat"),
    _c("type", pl.String, "what it is about: focus, longest_block, change.<measure>, blocker.<n>, …"),
    _c("rank", pl.Int32, "from 1 within the day and kind; highest score first"),
    _p("text", pl.String, "the statement, written out"),
    _p("text_template", pl.String, "the statement with {0}, {1}, … in the places of its claims"),
    _p("claims", CLAIMS, "facts and fields that stand in those places, in order"),
    _c("score", pl.Float64, "how much it matters that day; comparable within a worker's day only"),
)
COMPONENTS = pl.List(
    pl.Struct(
        {
            "date": pl.Date,
            "component": pl.String,
            "status": pl.String,
            "tokens": pl.Int64,
            "reason": pl.String,
        }
    )
)
GOLD_TOKEN_CONTEXTS = _tenant_table(
    Layer.GOLD,
    "token_contexts",
    "Consolidated contexts that briefs were written from: what fitted into the token budget, what did not.",
    ("user_id", "context_id"),
    _USER,
    _c("context_id", pl.String, "digest of the context's text"),
    _c("start_date", pl.Date, "first day of its window"),
    _c("end_date", pl.Date, "last day of its window, the primary one"),
    _c("token_budget", pl.Int64, "tokens that it may have"),
    _c("tokens", pl.Int64, "tokens of the whole text; never more than the budget"),
    _c("tokenizer", pl.String, "what counted them"),
    _c("provider_tokens", pl.Int64, "the same text by the model's provider; null where it was not asked"),
    _c("components", COMPONENTS, "each day's: included, truncated, skipped or missing, tokens, and why"),
)
GOLD_BRIEFS = _tenant_table(
    Layer.GOLD,
    "briefs",
    "Every version of every brief; the highest version of a subject and date is the current one.",
    ("subject_kind", "subject_id", "version"),
    _c("subject_kind", pl.String, "worker or team"),
    _p("subject_id", pl.String, "token of the worker, or name of the team"),
    _c("brief_id", pl.String, "digest of the facts it could use and of what wrote it"),
    _c("version", pl.Int32, "from 1, in the order of publication"),
    _c("start_date", pl.Date, "first day of its window"),
    _c("end_date", pl.Date, "last day of its window, the primary one"),
    _c("writer", pl.String, "deterministic, gemini, endpoint or openai"),
    _c("model", pl.String, "model; null for the deterministic writer"),
    _c("prompt_version", pl.String, "version of the prompt; null for the deterministic writer"),
    _c("schema_version", pl.String, "version of the brief's schema"),
    _c("input_tokens", pl.Int64, "tokens sent to the model; 0 without one"),
    _c("output_tokens", pl.Int64, "tokens the model returned; 0 without one"),
    _c("context_id", pl.String, "consolidated context it was written from; null without one"),
    _c("accepted", pl.Int32, "statements of the model taken as written"),
    _c("repaired", pl.Int32, "statements of the model taken at the second attempt"),
    _c("replaced", pl.Int32, "statements of the model replaced by deterministic ones"),
    _c("fallback_reason", pl.String, "why it is deterministic though a model was asked; null otherwise"),
    _p("brief_json", pl.String, "the brief, by `docs/schemas/brief.json`"),
    _p("markdown", pl.String, "the brief for people"),
    _p("fact_ids", TEXTS, "facts that its statements cite, in order"),
    _c("gold_versions", VERSIONS, "versions of the Gold tables that it rests on"),
)
OPS_RUNS = Table(
    Layer.OPS,
    "runs",
    "Every run of a stage; its last row is what makes outputs visible.",
    (
        _TENANT,
        _c("date", pl.Date, "UTC date the run finished; partition"),
        _c("run_id", pl.String, "digest of stage, tenant, days, input rows and rules version"),
        _c("stage", pl.String, "silver, stage1, lattice or stage2"),
        _c("days", pl.List(pl.Date), "local dates computed"),
        _c("input_versions", VERSIONS, "Delta versions read"),
        _c("output_versions", VERSIONS, "every output table's version after the run: the published vector"),
        _c("code_version", pl.String, "version of the package"),
        _c("rules_version", pl.String, "version of the rules"),
        _c("fence", pl.Int64, "fence token of the lease"),
        _c("counts", COUNTS, "rows in and out by table"),
        _c("raw_us", pl.Int64, "accounting: raw microseconds; 0 for stages that add none up"),
        _c("kept_us", pl.Int64, "accounting: kept"),
        _c("overlapped_us", pl.Int64, "accounting: overlapped"),
        _c("failures", pl.Int64, "workers that failed"),
        _c("status", pl.String, "succeeded or partial"),
        _c("started_at", TIMESTAMP, "wall clock"),
        _c("finished_at", TIMESTAMP, "wall clock"),
        _c("rebuild_as_of", pl.String, "version or time of an as-of rebuild; null otherwise"),
    ),
    key=("run_id", "finished_at"),
)
OPS_FAILURES = Table(
    Layer.OPS,
    "failures",
    "Workers whose day could not be computed; the day stays dirty.",
    (
        _TENANT,
        _DATE,
        _USER,
        _c("stage", pl.String, "silver, stage1, lattice or stage2"),
        _c("run_id", pl.String, "run"),
        _c("error_type", pl.String, "exception class"),
        _c("location", pl.String, "module and line that raised, no values"),
        _c("failed_at", TIMESTAMP, "wall clock"),
    ),
    key=("run_id", "date", "user_id", "stage"),
)
OPS_LATTICE_CONTRIBUTIONS = _tenant_table(
    Layer.OPS,
    "lattice_contributions",
    "What the published lattice was added up from, every version of it: not for aggregate readers.",
    ("measure", "block", "version", "user_id"),
    _c("measure", pl.String, "name in the catalogue; measures weighted by active time as value x active_s"),
    _c("block", pl.Int32, "smallest sum that is published of the day and measure, from 0"),
    _c("version", pl.Int32, "publication of the block, from 1"),
    _USER,
    _p("team", pl.String, "the worker's team when the day was first published"),
    _p("department", pl.String, "likewise"),
    _p("value", pl.Float64, "what the worker contributed"),
    _c("published_at", TIMESTAMP, "when the version was published"),
)
OPS_SUPPRESSIONS = _tenant_table(
    Layer.OPS,
    "suppressions",
    "Cells of the lattice that were suppressed, when they first were, and why; no values.",
    ("period", "level", "group_id", "measure", "suppressed_at"),
    _c("period", pl.String, "day or week; `date` is its first day"),
    _c("level", pl.String, "team, department or tenant"),
    _c("group_id", pl.String, "name of the group"),
    _c("measure", pl.String, "name in the catalogue"),
    _c("reason", pl.String, "primary or complementary"),
    _c("suppressed_at", TIMESTAMP, "wall clock"),
)
OPS_LLM_CALLS = Table(
    Layer.OPS,
    "llm_calls",
    "Every call of a model: what for, how it ended, what it took; never its text. A crash may leave a row "
    "twice: take one of each key.",
    (
        _TENANT,
        _c("date", pl.Date, "UTC date of the call; partition"),
        _c("call_id", pl.String, "random"),
        _c("called_at", TIMESTAMP, "wall clock, before budget and limits"),
        _c("purpose", pl.String, "brief, repair, or count: tokens of a context were counted, at no cost"),
        _c("provider", pl.String, "gemini, endpoint or openai"),
        _c("model", pl.String, "model that was asked"),
        _c("prompt_version", pl.String, "version of the prompt; null where nothing was prompted"),
        _c("brief_id", pl.String, "brief that it was for; null where there was none"),
        _c("input_tokens", pl.Int64, "by the provider, over all attempts; null where it did not say"),
        _c("output_tokens", pl.Int64, "likewise, thinking included"),
        _c(
            "cached_tokens",
            pl.Int64,
            "of the input, read from the provider's cache; null where it did not say",
        ),
        _c("attempts", pl.Int32, "requests made; 0 where budget or limits stopped the call"),
        _c("waited_s", pl.Float64, "seconds until the limits let it through"),
        _c("latency_s", pl.Float64, "seconds of the call, with its attempts and the pauses between"),
        _c(
            "outcome",
            pl.String,
            "answered; limited, unavailable, rejected, refused, truncated, malformed: no answer; "
            "not_admitted, budget: stopped before it cost; cancelled; lost: the process ended; failed",
        ),
        _c("error_type", pl.String, "exception class; null where it was answered"),
        _c("cost_usd", pl.Float64, "estimate from list prices; null where tokens or price are not known"),
        _c("trace_id", pl.String, "trace, 32 hex digits; null without one"),
    ),
    key=("call_id",),
)

BRONZE_BY_SOURCE: Mapping[Source, Table] = MappingProxyType(
    {
        Source.ACTIVITIES: BRONZE_ACTIVITIES,
        Source.KEYSTROKES: BRONZE_KEYSTROKES,
        Source.CLIPBOARD: BRONZE_CLIPBOARD,
        Source.CHAT: BRONZE_CHAT,
        Source.MANIFESTS: BRONZE_MANIFESTS,
        Source.JOBS: BRONZE_JOBS,
        Source.DEVICE_POSTURE: BRONZE_DEVICE_POSTURE,
    }
)
TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.id: table
        for table in (
            *BRONZE_BY_SOURCE.values(),
            BRONZE_QUARANTINE,
            BRONZE_RECEIPTS,
            BRONZE_REPEATS,
            SILVER_TIMELINE,
            SILVER_KEYSTROKES,
            SILVER_CLIPBOARD,
            SILVER_CHAT,
            SILVER_MANIFEST_PAIRS,
            SILVER_ORG_MEMBERS,
            SILVER_DEVICE_POSTURE,
            SILVER_HEALTH,
            GOLD_WORKBLOCKS,
            GOLD_SLICES,
            GOLD_USAGE,
            GOLD_KPI_DAILY,
            GOLD_FOCUS_BLOCKS,
            GOLD_KPI_GROUPS,
            GOLD_KPI_LATTICE,
            GOLD_ACCOUNTING,
            GOLD_INSIGHTS,
            GOLD_TOKEN_CONTEXTS,
            GOLD_BRIEFS,
            OPS_RUNS,
            OPS_FAILURES,
            OPS_LATTICE_CONTRIBUTIONS,
            OPS_SUPPRESSIONS,
            OPS_LLM_CALLS,
        )
    }
)


STAGE2_TABLES = (GOLD_INSIGHTS, GOLD_TOKEN_CONTEXTS, GOLD_BRIEFS)
"""Gold of the insights service."""
LATTICE_TABLES = (GOLD_KPI_LATTICE, OPS_LATTICE_CONTRIBUTIONS, OPS_SUPPRESSIONS)
"""What is published of groups, and the record of it; stage 1 writes the rest of Gold."""


def of_layer(layer: Layer) -> tuple[Table, ...]:
    return tuple(table for table in TABLES.values() if table.layer is layer)


def markdown(tables: Iterable[Table]) -> str:
    """The table reference in `docs/schemas/tables.md`."""
    lines = ["# Tables", "", "Generated from `coworkai.common.tables`.", ""]
    for table in tables:
        lines += [
            f"## {table.id}",
            "",
            f"{table.description} Key: {', '.join(f'`{k}`' for k in table.key)}; "
            f"partitioned by {', '.join(f'`{k}`' for k in table.partition_by)}.",
            "",
            "| column | type | meaning |",
            "| --- | --- | --- |",
            *(f"| `{c.name}` | {_arrow(c.dtype)} | {c.description} |" for c in table.columns),
            "",
        ]
    return "\n".join(lines)
