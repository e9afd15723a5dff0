"""What the API takes and answers. Made from the API document by `make client`: do not edit.

Fields that the API adds later are ignored, and values that it adds to enumerations are kept as they are.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

import msgspec

from coworkai_client.open_enum import OpenEnum


class AccessLogEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One read of the worker's rows. Entries are a chain: each holds the hash of the one before."""

    seq: int
    """position in the worker's chain, from 1"""
    read_at: dt.datetime
    principal_id: str
    principal_kind: PrincipalKind
    principal_name: str
    operation: str
    start_date: dt.date | None
    """first local date that was read"""
    end_date: dt.date | None
    """last one"""
    row_count: int
    """rows of the whole answer"""
    request_id: str
    previous_hash: str
    """hash of the entry before, hexadecimal"""
    hash: str
    """hash of this entry and the one before, hexadecimal"""


class AnomalyDetected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A day's telemetry has anomalies that it had not before: `GET /v1/telemetry-health/anomalies`."""

    date: dt.date
    """local date"""
    anomalies: int
    """how many the day has now"""
    run_id: str
    """run that published it"""
    data_version: int
    """`X-Data-Version` from which on it is read; good for `as_of_version`"""


class AnomalyDetectedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A day's telemetry has anomalies that it had not before: `GET /v1/telemetry-health/anomalies`."""

    type: Literal["anomaly.detected"]
    timestamp: dt.datetime
    """when it happened"""
    data: AnomalyDetected


class AtomicSlice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One context (app, and URL or title) inside a workblock."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    workblock_id: str
    """its workblock"""
    sequence: int
    """from 1, in order of start, end, context"""
    started_at: dt.datetime | None
    """start"""
    ended_at: dt.datetime | None
    """end, exclusive"""
    duration_s: float | None
    """sum of its evidence"""
    app: str | None
    """normalised application name"""
    url: str | None
    """address, userinfo, query values and PII tokenised"""
    title: str | None
    """window title, PII tokenised"""
    keystroke_minutes: int | None
    """keystroke minutes that belong to it"""
    key_count: int | None
    """keys of those minutes"""
    keystroke_log: str | None
    """typed text of those minutes, folded; null unless capture is `text`"""
    ambiguous: bool | None
    """its keystroke minute saw more than one context"""
    multitasking: bool | None
    """overlaps another synthetic activity"""
    is_synthetic: bool | None
    """made from keystrokes no activity explains"""
    is_gap: bool | None
    """synthetic, between two activities"""
    is_orphan: bool | None
    """synthetic, before, after or without activities"""
    cross_app: bool | None
    """holds keystrokes matched from another app"""
    idle_s: float | None
    """idle seconds inside its active time"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class Brief(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a brief, and the brief itself."""

    date: dt.date
    """worker's local date; partition"""
    subject_kind: str
    """worker or team"""
    subject_id: str
    """token of the worker, or name of the team"""
    brief_id: str | None
    """digest of the facts it could use and of what wrote it"""
    version: int
    """from 1, in the order of publication"""
    start_date: dt.date | None
    """first day of its window"""
    end_date: dt.date | None
    """last day of its window, the primary one"""
    writer: str | None
    """deterministic, gemini, endpoint or openai"""
    model: str | None
    """model; null for the deterministic writer"""
    prompt_version: str | None
    """version of the prompt; null for the deterministic writer"""
    schema_version: str | None
    """version of the brief's schema"""
    input_tokens: int | None
    """tokens sent to the model; 0 without one"""
    output_tokens: int | None
    """tokens the model returned; 0 without one"""
    context_id: str | None
    """consolidated context it was written from; null without one"""
    accepted: int | None
    """statements of the model taken as written"""
    repaired: int | None
    """statements of the model taken at the second attempt"""
    replaced: int | None
    """statements of the model replaced by deterministic ones"""
    fallback_reason: str | None
    """why it is deterministic though a model was asked; null otherwise"""
    fact_ids: list[str] | None
    """facts that its statements cite, in order"""
    gold_versions: list[BriefVersionGoldVersions] | None
    """versions of the Gold tables that it rests on"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""
    brief: dict[str, Any]
    """the brief, by the schema that `schema_version` names (docs/schemas/brief.json)"""


class BriefReady(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a brief is published: `GET /v1/briefs/{brief_id}`."""

    brief_id: str
    version: int
    """of this subject and date, from 1"""
    subject_kind: str
    date: dt.date
    """local date"""
    run_id: str
    """run that published it"""
    data_version: int
    """`X-Data-Version` from which on it is read; good for `as_of_version`"""


class BriefReadyEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a brief is published: `GET /v1/briefs/{brief_id}`."""

    type: Literal["brief.ready"]
    timestamp: dt.datetime
    """when it happened"""
    data: BriefReady


class BriefVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every version of every brief; the highest version of a subject and date is the current one."""

    date: dt.date
    """worker's local date; partition"""
    subject_kind: str
    """worker or team"""
    subject_id: str
    """token of the worker, or name of the team"""
    brief_id: str | None
    """digest of the facts it could use and of what wrote it"""
    version: int
    """from 1, in the order of publication"""
    start_date: dt.date | None
    """first day of its window"""
    end_date: dt.date | None
    """last day of its window, the primary one"""
    writer: str | None
    """deterministic, gemini, endpoint or openai"""
    model: str | None
    """model; null for the deterministic writer"""
    prompt_version: str | None
    """version of the prompt; null for the deterministic writer"""
    schema_version: str | None
    """version of the brief's schema"""
    input_tokens: int | None
    """tokens sent to the model; 0 without one"""
    output_tokens: int | None
    """tokens the model returned; 0 without one"""
    context_id: str | None
    """consolidated context it was written from; null without one"""
    accepted: int | None
    """statements of the model taken as written"""
    repaired: int | None
    """statements of the model taken at the second attempt"""
    replaced: int | None
    """statements of the model replaced by deterministic ones"""
    fallback_reason: str | None
    """why it is deterministic though a model was asked; null otherwise"""
    fact_ids: list[str] | None
    """facts that its statements cite, in order"""
    gold_versions: list[BriefVersionGoldVersions] | None
    """versions of the Gold tables that it rests on"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class BriefVersionGoldVersions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """BriefVersionGoldVersions"""

    table: str | None
    version: int | None


class Cell(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measure of a group in a period."""

    date: dt.date
    """first day of the period"""
    period: str
    """day, week (ISO, from Monday) or range"""
    level: str
    """worker, team, department or tenant"""
    group_id: str
    """name of the group, or the worker's id"""
    measure: str
    value: float | None
    """null where it is suppressed, or has no meaning"""
    unit: str
    contributors: int | None
    """workers with a value; null where suppressed"""
    suppressed: str | None
    """aggregate reach: primary or complementary where the value is not told"""
    days_covered: int
    """days whose values it holds"""
    published_at: dt.datetime | None
    """aggregate reach: when the value was published"""


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of a fact, in the place of its position."""

    fact_id: str
    field: str


class Context(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Consolidated contexts that briefs were written from: what fitted into the token budget, what did
    not.
    """

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    context_id: str
    """digest of the context's text"""
    start_date: dt.date | None
    """first day of its window"""
    end_date: dt.date | None
    """last day of its window, the primary one"""
    token_budget: int | None
    """tokens that it may have"""
    tokens: int | None
    """tokens of the whole text; never more than the budget"""
    tokenizer: str | None
    """what counted them"""
    provider_tokens: int | None
    """the same text by the model's provider; null where it was not asked"""
    components: list[ContextComponents] | None
    """each day's: included, truncated, skipped or missing, tokens, and why"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class ContextComponents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """ContextComponents"""

    date: dt.date | None
    component: str | None
    status: str | None
    tokens: int | None
    reason: str | None


class DailyKpi(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Measures of the KPI catalogue per worker and day."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    measure: str
    """name in the catalogue"""
    value: float | None
    """value; null where it has no meaning that day"""
    unit: str | None
    """unit in the catalogue"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class DayReady(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A day is published, or published anew after late data: `GET /v1/workblocks?start_date=…` and
    others.
    """

    date: dt.date
    """local date"""
    status: str
    """partial: some workers failed, and will follow"""
    run_id: str
    """run that published it"""
    data_version: int
    """`X-Data-Version` from which on it is read; good for `as_of_version`"""


class DayReadyEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A day is published, or published anew after late data: `GET /v1/workblocks?start_date=…` and
    others.
    """

    type: Literal["day.ready"]
    timestamp: dt.datetime
    """when it happened"""
    data: DayReady


class DeliveryState(OpenEnum):
    """DeliveryState"""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Dimension(OpenEnum):
    """What values are grouped by: one kind of group, and one period."""

    WORKER = "worker"
    TEAM = "team"
    DEPARTMENT = "department"
    DAY = "day"
    WEEK = "week"


class EndpointState(OpenEnum):
    """EndpointState"""

    ENABLED = "enabled"
    DISABLED = "disabled"


class EventType(OpenEnum):
    """What an endpoint can subscribe to, as it is written in `type`."""

    BRIEF_READY = "brief.ready"
    DAY_READY = "day.ready"
    ANOMALY_DETECTED = "anomaly.detected"
    EXPORT_READY = "export.ready"
    METRICS_PUBLISHED = "metrics.published"


class ExportFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of an export."""

    name: str
    rows: int
    bytes: int
    url: str | None
    """signed address; null until the export is ready"""
    url_expires_at: dt.datetime | None
    """when it stops to work; ask again for another"""


class ExportJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An export."""

    export_id: str
    state: ExportState
    resource: str
    format: str
    data_version: int
    """what it is of"""
    rows: int | None
    """null until it is ready"""
    bytes: int | None
    """null until it is ready"""
    files: list[ExportFile]
    """whole dates, in order; every date is in one file"""
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    expires_at: dt.datetime | None
    """when its files are removed"""
    error_code: str | None
    """code of a problem, where it failed"""


class ExportReady(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An export's files can be fetched: `GET /v1/exports/{export_id}`."""

    export_id: str
    data_version: int
    """`X-Data-Version` from which on it is read; good for `as_of_version`"""


class ExportReadyEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An export's files can be fetched: `GET /v1/exports/{export_id}`."""

    type: Literal["export.ready"]
    timestamp: dt.datetime
    """when it happened"""
    data: ExportReady


class ExportState(OpenEnum):
    """ExportState"""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    EXPIRED = "expired"


class Filters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Only these; of several, what all of them let through."""

    worker_id: list[str] | None = None
    """days of these workers; needs individual reach"""
    team: list[str] | None = None
    """days on which the worker was of one of these teams"""
    department: list[str] | None = None
    """likewise, of these departments"""


class FocusBlock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stretches of focused work: what the measures `focus_blocks` and `focus_s` count and sum."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    started_at: dt.datetime
    """start"""
    ended_at: dt.datetime | None
    """end, exclusive"""
    duration_s: float | None
    """evidence in apps and domains of focus categories; interruptions are not in it"""
    app: str | None
    """normalised name of the app with most of it; ties by name"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class HealthAnomaly(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Measures of a worker's telemetry that lie far from the same worker's own 28 days before."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    source: str
    """source"""
    measure: str
    """measure of the audit"""
    value: float | None
    """its value that day"""
    median_28d: float | None
    """median of the 28 days before"""
    mad_28d: float | None
    """median of their absolute deviations from it"""
    days_28d: int | None
    """days of the 28 that have a value"""
    mad_z: float | None
    """(value - median) over the scale of usual deviations; beyond 3.5"""


class Insight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is worth knowing of a worker's day: one statement each, with the facts that it rests on."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    insight_id: str
    """insight:<user>:<date>:<kind>:<type>; stable over runs"""
    kind: str | None
    """workblock or chat"""
    type: str | None
    """what it is about: focus, longest_block, change.<measure>, blocker.<n>, …"""
    rank: int | None
    """from 1 within the day and kind; highest score first"""
    text: str | None
    """the statement, written out"""
    text_template: str | None
    """the statement with {0}, {1}, … in the places of its claims"""
    claims: list[InsightClaims] | None
    """facts and fields that stand in those places, in order"""
    score: float | None
    """how much it matters that day; comparable within a worker's day only"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class InsightClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """InsightClaims"""

    fact_id: str | None
    field: str | None


class KpiRollup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Measures per worker, team, department and tenant, by day and week; not for aggregate readers."""

    date: dt.date
    """worker's local date; partition"""
    period: str
    """day or week (ISO, from Monday); `date` is its first day"""
    level: str
    """worker (weeks only), team, department or tenant"""
    group_id: str
    """name of the group, or the worker's token"""
    measure: str
    """name in the catalogue"""
    value: float | None
    """value by the catalogue's aggregation"""
    unit: str | None
    """unit in the catalogue"""
    contributors: int | None
    """workers with a value"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class Layer(OpenEnum):
    """Layer"""

    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    OPS = "ops"


class Lineage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where something comes from. Texts, titles and addresses are not in it: ask for the row itself."""

    id: str
    kind: str
    """fact, insight, brief, context or run"""
    source: str
    """table of the row, or path of the artefact"""
    row: dict[str, Any]
    """the row, without what people typed, said or saw"""
    formula: str | None
    """how it is computed"""
    recount: dict[str, Any]
    """columns of the row, computed again from Silver"""
    facts: list[str]
    """ids that it is made of, each with a lineage of its own"""
    runs: list[LineageRun]
    """runs that made it, the last one first"""
    pieces: list[dict[str, Any]]
    """its pieces of the activity timeline"""
    keystroke_minutes: list[dict[str, Any]]
    """its keystroke minutes, with the phase that matched them"""
    silver: dict[str, list[dict[str, Any]]]
    """its rows of other Silver tables"""
    events: list[LineageEvent]
    """the records that all of it was collected as"""


class LineageEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A collected record."""

    table: str
    event_id: str
    """the collector's id"""
    event_date: dt.date
    file: str
    """file that it is in, below the lake"""
    version: int
    """version of the table that was read; a later one where that is gone"""


class LineageRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run on the way, and the versions that it read."""

    stage: str
    run_id: str
    input_versions: dict[str, int]


class Me(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The credentials of this request, and what they may."""

    principal_id: str
    """id of the key or client, `worker:<id>` for a worker's token"""
    kind: PrincipalKind
    name: str
    tenant_id: str
    reach: Reach
    scopes: list[Scope]
    worker_ids: list[str] | None
    """workers that it is limited to; null: all of the tenant"""


class Metric(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A measure of the catalogue."""

    name: str
    title: str
    unit: str
    formula: str
    """of a worker's day"""
    null_when: str
    """days without a value"""
    aggregation: str
    """how days become groups and periods"""
    numerator: str | None
    """of a ratio, the measure above"""
    denominator: str | None
    """of a ratio, the measure below"""
    scale: float
    """of a ratio, what it is multiplied by"""
    sources: list[str]
    """tables that it is computed from"""


class MetricsPublished(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Aggregates of days of a week are published: `POST /v1/metrics/query`."""

    start_date: dt.date
    """first of the days"""
    end_date: dt.date
    """last of them"""
    run_id: str
    """run that published it"""


class MetricsPublishedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Aggregates of days of a week are published: `POST /v1/metrics/query`."""

    type: Literal["metrics.published"]
    timestamp: dt.datetime
    """when it happened"""
    data: MetricsPublished


class MetricsQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which measures, of whom, when.

    Aggregate reach: group by `day` or `week`, and by `team`, `department` or neither (the tenant);
    filter by
    what it is grouped by.
    """

    measures: list[
        Literal[
            "active_s",
            "idle_s",
            "active_net_s",
            "workblocks",
            "longest_block_s",
            "focus_blocks",
            "focus_s",
            "focus_ratio",
            "context_switches",
            "context_switches_per_hour",
            "median_dwell_s",
            "fragmentation",
            "tool_entropy",
            "after_hours_s",
            "keys",
            "typing_density",
            "backspaces",
            "backspace_rate",
            "shortcuts",
            "shortcut_share",
            "copy_pastes",
            "copy_paste_per_hour",
            "goals_declared",
            "goals_done",
            "kpi_attainment",
        ]
    ]
    """names in the catalogue, `GET /v1/metrics`"""
    group_by: list[Dimension] | None = None
    """a kind of group, a period, both or none: the tenant, the range"""
    start_date: dt.date
    """first local date"""
    end_date: dt.date
    """last local date, inclusive, at most 366 days; weeks that begin in between"""
    filters: Filters | None = None
    as_of_version: int | None = None
    """what was published at this `X-Data-Version`; needs individual reach"""


class NewExport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to export: a list, with the parameters that it has as a query."""

    resource: Literal[
        "workblocks",
        "atomic-slices",
        "usage",
        "focus-blocks",
        "kpis/daily",
        "kpis/rollups",
        "insights",
        "contexts",
        "briefs",
        "reports",
        "telemetry-health",
        "telemetry-health/anomalies",
        "runs",
    ]
    """a list below `/v1`"""
    format: Literal["parquet", "arrow", "csv", "ndjson"] = "parquet"
    worker_ids: list[str] | None = None
    """rows of these workers; all by default"""
    start_date: dt.date | None = None
    """first local date"""
    end_date: dt.date | None = None
    """last local date, inclusive"""
    filters: dict[str, list[str]] | None = None
    """further parameters of the list, by name"""
    fields: list[str] | None = None
    """columns; all by default"""
    as_of_version: int | None = None
    """data version; the newest by default"""
    since_version: int | None = None
    """only dates that were published anew after this data version"""


class NewWebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where events are to be sent to, and which."""

    url: str
    """where to: https, a public address, port 443 or 8443, no credentials in it"""
    event_types: list[EventType]
    """what is sent to it"""
    description: str = ""


class NewWorkerToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For whom, and for how long."""

    worker_id: str
    """worker, as `/v1/workers` lists them"""
    expires_in_s: int = 3600
    """seconds that it is good for"""


class Ping(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody tests the endpoint."""

    endpoint_id: str


class PingEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody tests the endpoint."""

    type: Literal["ping"]
    timestamp: dt.datetime
    """when it happened"""
    data: Ping


class PrincipalKind(OpenEnum):
    """PrincipalKind"""

    API_KEY = "api_key"
    OAUTH_CLIENT = "oauth_client"
    WORKER = "worker"


class PublishedTable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A published table."""

    table: str
    """layer/name"""
    description: str
    version: int
    """its Delta version"""
    rows: int
    size_bytes: int
    files: int
    first_date: dt.date | None
    """oldest date that has rows"""
    last_date: dt.date | None
    """newest date that has rows"""
    published_at: dt.datetime | None
    """when its stage published last: how fresh it is"""
    key: list[str]
    """columns that tell its rows apart"""
    partition_by: list[str]
    columns: list[TableColumn]


class Reach(OpenEnum):
    """How near to a person a caller may look: the published lattice only, or a person's rows too."""

    AGGREGATE = "aggregate"
    INDIVIDUAL = "individual"


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Workers' days, with the accounting identity that their reports begin from: raw = kept +
    overlapped. The report itself is `/v1/reports/{worker_id}/{date}`.
    """

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    raw_s: float | None
    """sum of the day's activity durations"""
    kept_s: float | None
    """seconds in the timeline = union of the raw intervals"""
    overlapped_s: float | None
    """sum of hidden stretches; raw = kept + overlapped"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every run of a stage; its last row is what makes outputs visible."""

    date: dt.date
    """UTC date the run finished; partition"""
    run_id: str
    """digest of stage, tenant, days, input rows and rules version"""
    stage: str | None
    """silver, stage1, lattice or stage2"""
    days: list[dt.date] | None
    """local dates computed"""
    input_versions: list[RunInputVersions] | None
    """Delta versions read"""
    output_versions: list[RunOutputVersions] | None
    """every output table's version after the run: the published vector"""
    code_version: str | None
    """version of the package"""
    rules_version: str | None
    """version of the rules"""
    fence: int | None
    """fence token of the lease"""
    counts: list[RunCounts] | None
    """rows in and out by table"""
    raw_us: int | None
    """accounting: raw microseconds; 0 for stages that add none up"""
    kept_us: int | None
    """accounting: kept"""
    overlapped_us: int | None
    """accounting: overlapped"""
    failures: int | None
    """workers that failed"""
    status: str | None
    """succeeded or partial"""
    started_at: dt.datetime | None
    """wall clock"""
    finished_at: dt.datetime
    """wall clock"""
    rebuild_as_of: str | None
    """version or time of an as-of rebuild; null otherwise"""


class RunCounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RunCounts"""

    name: str | None
    count: int | None


class RunInputVersions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RunInputVersions"""

    table: str | None
    version: int | None


class RunOutputVersions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RunOutputVersions"""

    table: str | None
    version: int | None


class Scope(OpenEnum):
    """What a caller may do, as it is written in keys, tokens and the API document."""

    WORKERS_READ = "workers:read"
    ACTIVITY_READ = "activity:read"
    KPIS_READ = "kpis:read"
    METRICS_READ = "metrics:read"
    INSIGHTS_READ = "insights:read"
    BRIEFS_READ = "briefs:read"
    REPORTS_READ = "reports:read"
    HEALTH_READ = "health:read"
    LINEAGE_READ = "lineage:read"
    OPS_READ = "ops:read"
    EXPORTS_WRITE = "exports:write"
    WEBHOOKS_WRITE = "webhooks:write"
    ACCESS_LOG_READ = "access_log:read"
    SHARING_READ = "sharing:read"
    WORKER_TOKENS_WRITE = "worker_tokens:write"


class SecretRotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the secrets before are to end."""

    overlap_s: int = 86400
    """seconds for which they sign as well, until you verify with the new one"""


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A statement of a brief, and the facts that it rests on, as they were when it was written."""

    position: int
    """from 1, in reading order"""
    section: str
    """part of the brief that it is in"""
    kind: str
    text: str
    text_template: str
    origin: str
    """deterministic, or of a model: accepted, repaired or replaced"""
    claims: list[Claim]
    """what stands in the places {0}, {1}, … of the template"""
    evidence: list[dict[str, Any]]
    """the facts: value, unit, table, version and key; `/v1/lineage/{fact_id}` leads further"""


class TableColumn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column."""

    name: str
    type: str
    """type in Arrow's words"""
    description: str


class TelemetryHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Audit of what was received, per worker, device, source and day."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    device_id: str
    """token of the device"""
    source: str
    """source"""
    records: int | None
    """accepted records"""
    duplicates: int | None
    """duplicate deliveries"""
    quarantined: int | None
    """quarantined records"""
    quarantined_by_reason: list[TelemetryHealthQuarantinedByReason] | None
    """the same by reason"""
    late_records: int | None
    """published more than 24 h after their time"""
    clock_skew_s: float | None
    """median of published_at - sent_at"""
    delay_s: float | None
    """median of published_at - the record's time"""
    evidence_minutes: int | None
    """minutes with evidence"""
    scheduled_minutes: int | None
    """minutes of the worker's schedule that day; null where unknown"""
    coverage: float | None
    """evidence minutes inside the schedule / scheduled minutes"""
    longest_gap_s: float | None
    """longest stretch without evidence between the first and the last"""
    raw_s: float | None
    """activities: sum of durations on the day"""
    kept_s: float | None
    """activities: seconds in the timeline"""
    overlapped_s: float | None
    """activities: sum of hidden stretches"""
    zero_length: int | None
    """activities without length"""
    drift_fields: list[TelemetryHealthDriftFields] | None
    """unknown fields and how many records had them"""
    is_missing: bool | None
    """the source sent nothing though the worker was active"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class TelemetryHealthDriftFields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TelemetryHealthDriftFields"""

    name: str | None
    count: int | None


class TelemetryHealthQuarantinedByReason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """TelemetryHealthQuarantinedByReason"""

    name: str | None
    count: int | None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Top 10 apps, domains and URLs of a worker's day."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    kind: str
    """app, domain or url"""
    rank: int
    """from 1; ties by name"""
    name: str | None
    """app, registrable domain or URL"""
    duration_s: float | None
    """seconds; overlapping synthetics count once"""
    day_share: float | None
    """of the day's active seconds"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class WebhookAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One time that it was sent."""

    attempt: int
    """from 1; one whose sender died is missing"""
    started_at: dt.datetime
    duration_ms: int
    status_code: int | None
    """of the answer; null where there was none"""
    error: str | None
    """why there was none: timeout, refused_address, unresolved, connection_failed, tls_failed,
    broken_answer or internal
    """


class WebhookDelivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event on its way to an endpoint."""

    delivery_id: str
    endpoint_id: str
    event_id: str
    """`webhook-id` that it is sent with, each time"""
    event_type: str
    occurred_at: dt.datetime
    redelivery: int
    """0, and one more each time that it was asked for again"""
    state: DeliveryState
    attempts: int
    """how often it was sent"""
    next_attempt_at: dt.datetime | None
    """when it is sent next, while it is pending"""
    created_at: dt.datetime
    finished_at: dt.datetime | None


class WebhookDeliveryLog(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery with its attempts, in order."""

    delivery_id: str
    endpoint_id: str
    event_id: str
    """`webhook-id` that it is sent with, each time"""
    event_type: str
    occurred_at: dt.datetime
    redelivery: int
    """0, and one more each time that it was asked for again"""
    state: DeliveryState
    attempts: int
    """how often it was sent"""
    next_attempt_at: dt.datetime | None
    """when it is sent next, while it is pending"""
    created_at: dt.datetime
    finished_at: dt.datetime | None
    log: list[WebhookAttempt]


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint."""

    endpoint_id: str
    url: str
    event_types: list[EventType]
    description: str
    state: EndpointState
    disabled_reason: str | None
    """requested, failing (nothing was taken for five days), or gone (it answered 410)"""
    failing_since: dt.datetime | None
    """since when it has taken nothing"""
    created_at: dt.datetime
    updated_at: dt.datetime
    secrets: list[WebhookSecret]
    """those that sign now, oldest first"""


class WebhookEndpointChanges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be changed; what is left out stays."""

    url: str | None = None
    event_types: list[EventType] | None = None
    description: str | None = None
    state: EndpointState | None = None
    """disabled: nothing is sent, what waits is cancelled; enabled: from now on"""


class WebhookEndpointWithSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint, and its new secret; it is shown this once."""

    endpoint_id: str
    url: str
    event_types: list[EventType]
    description: str
    state: EndpointState
    disabled_reason: str | None
    """requested, failing (nothing was taken for five days), or gone (it answered 410)"""
    failing_since: dt.datetime | None
    """since when it has taken nothing"""
    created_at: dt.datetime
    updated_at: dt.datetime
    secrets: list[WebhookSecret]
    """those that sign now, oldest first"""
    secret: str


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret that signs, without itself."""

    created_at: dt.datetime
    expires_at: dt.datetime | None
    """null for the newest"""


class Workblock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Stretches of work with no break over 60 minutes."""

    date: dt.date
    """worker's local date; partition"""
    worker_id: str
    """token of the worker (as sent for a tenant with identity `plain`)"""
    workblock_id: str
    """wb:<user>:<time>:<n>"""
    started_at: dt.datetime | None
    """start"""
    ended_at: dt.datetime | None
    """end, exclusive"""
    duration_s: float | None
    """ended_at - started_at"""
    active_s: float | None
    """union of its evidence"""
    idle_s: float | None
    """idle seconds inside its active time"""
    slice_count: int | None
    """atomic slices"""
    app_count: int | None
    """distinct apps"""
    keystroke_minutes: int | None
    """keystroke minutes matched to it"""
    is_continuation: bool | None
    """its first or last activity was cut by local midnight"""
    run_id: str
    """run that wrote the row; `ops/runs` has its inputs"""


class WorkblockReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The report of a worker's day."""

    worker_id: str
    date: dt.date
    run_id: str
    """run that wrote it"""
    markdown: str
    """the report"""


class Worker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker: a token, and what there is of them. Names are nowhere in the platform."""

    worker_id: str
    first_date: dt.date
    """first local date that anything is known of"""
    last_date: dt.date
    """last one"""
    days: int
    """dates that anything is known of"""


class WorkerToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A worker's own token; it is shown this once."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    """seconds that it is good for"""
    worker_id: str
    scopes: list[Scope]
