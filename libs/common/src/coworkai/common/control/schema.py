"""Every table of the control store. Times are integer microseconds since 1970 in both databases.

A change here goes with a migration; a test holds the two together on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect

REVISION = "0004"
"""The migration that these tables are the outcome of."""
KEY_ID_CHARS = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """An aware UTC time as integer microseconds, the same in both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData()
tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("active", Boolean, nullable=False),
    Column("identity", String(16), nullable=False),
    Column("capture_keystrokes", String(16), nullable=False),
    Column("capture_clipboard", String(16), nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("min_group", Integer, nullable=False),
    Column("key_salt", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)
ingest_keys = Table(
    "ingest_keys",
    metadata,
    Column("key_id", String(KEY_ID_CHARS), primary_key=True),
    Column("tenant_id", ForeignKey(tenants.c.tenant_id), nullable=False, index=True),
    Column("secret_digest", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)
log_cursors = Table(
    "log_cursors",
    metadata,
    Column("table_id", String(128), primary_key=True),
    Column("version", BigInteger, nullable=False),
)
dirty_days = Table(
    "dirty_days",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("mark", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
)
planned_days = Table(
    "planned_days",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("due_at", Instant, primary_key=True),
)
lane_leases = Table(
    "lane_leases",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("lane", String(16), primary_key=True),
    Column("holder", String(256), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
insight_policies = Table(
    "insight_policies",
    metadata,
    Column("tenant_id", ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("writer", String(16), nullable=False),
    Column("model", String(256)),
    Column("base_url", String(2048)),
    Column("endpoint", String(256)),
    Column("project", String(256)),
    Column("location", String(64)),
    Column("brief_days", Integer, nullable=False),
    Column("context_tokens", Integer, nullable=False),
    Column("requests_per_minute", Integer, nullable=False),
    Column("tokens_per_minute", BigInteger, nullable=False),
    Column("daily_budget_tokens", BigInteger, nullable=False),
    Column("daily_budget_usd", Float, nullable=False),
)
llm_spend = Table(
    "llm_spend",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Column("cost_microusd", BigInteger, nullable=False),
)
unpublished_llm_calls = Table(
    "unpublished_llm_calls",
    metadata,
    Column("call_id", String(32), primary_key=True),
    Column("tenant_id", String(63), nullable=False, index=True),
    Column("row", Text, nullable=False),
    Column("open_until", Instant, nullable=False),
)
accepted_collectors = Table(
    "accepted_collectors",
    metadata,
    Column("tenant_id", ForeignKey(tenants.c.tenant_id), primary_key=True),
    Column("source", String(32), primary_key=True),
    Column("collector", String(4096), primary_key=True),
    Column("until", Instant, nullable=False),
)

# ---------------------------------------------------------------------------------------- the partner API
credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", String(64), primary_key=True),
    Column("tenant_id", ForeignKey(tenants.c.tenant_id), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(256), nullable=False),
    Column("secret_hmac", LargeBinary, nullable=False),
    Column("reach", String(16), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("worker_ids", JSON(none_as_null=True)),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("replaces", String(64)),
    Column("last_used_at", Instant),
)
"""API keys (`api_key`), OAuth clients (`oauth_client`) and what a worker's token stands on (`worker`).

`worker_ids` null: all workers of the tenant.
"""
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("principal_id", String(256), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("method", String(16), nullable=False),
    Column("path", String(2048), nullable=False),
    Column("request_digest", LargeBinary, nullable=False),
    Column("status", Integer),
    Column("headers", JSON(none_as_null=True)),
    Column("body", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False, index=True),
)
"""Answers to POST requests by the caller's key; without a status the first request is still in flight."""
webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("tenant_id", ForeignKey(tenants.c.tenant_id), nullable=False, index=True),
    Column("url", String(2048), nullable=False),
    Column("event_types", JSON, nullable=False),
    Column("description", String(1024), nullable=False),
    Column("sealed_secrets", JSON, nullable=False),
    Column("state", String(16), nullable=False),
    Column("disabled_reason", String(256)),
    Column("failing_since", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
"""`sealed_secrets`: objects of sealed, made_by (what operation), created_at and expires_at (newest: null)."""
webhook_events = Table(
    "webhook_events",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("tenant_id", String(63), nullable=False),
    Column("type", String(64), nullable=False),
    Column("occurred_at", Instant, nullable=False, index=True),
    Column("payload", Text, nullable=False),
    Column("dedupe_key", String(512), nullable=False),
    UniqueConstraint("tenant_id", "dedupe_key", name="webhook_events_dedupe"),
)
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("delivery_id", String(64), primary_key=True),
    Column("endpoint_id", ForeignKey(webhook_endpoints.c.endpoint_id, ondelete="CASCADE"), nullable=False),
    Column("event_id", ForeignKey(webhook_events.c.event_id), nullable=False, index=True),
    Column("redelivery", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("claimed_until", Instant),
    Column("claim_token", String(64)),
    Column("created_at", Instant, nullable=False),
    Column("finished_at", Instant, index=True),
    UniqueConstraint("endpoint_id", "event_id", "redelivery", name="webhook_deliveries_once"),
    Index("ix_webhook_deliveries_due", "endpoint_id", "state", "next_attempt_at"),
    Index("ix_webhook_deliveries_listed", "endpoint_id", "created_at", "delivery_id"),
)
"""`redelivery`: 0, and one more each time that somebody asks for the event again."""
webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("delivery_id", ForeignKey(webhook_deliveries.c.delivery_id, ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status_code", Integer),
    Column("error", String(256)),
)
exports = Table(
    "exports",
    metadata,
    Column("export_id", String(64), primary_key=True),
    Column("tenant_id", String(63), nullable=False),
    Column("principal_id", String(256), nullable=False),
    Column("request", JSON, nullable=False),
    Column("format", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("rows", BigInteger),
    Column("bytes", BigInteger),
    Column("files", JSON, nullable=False),
    Column("data_version", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("expires_at", Instant),
    Column("error_code", String(64)),
    Column("claimed_until", Instant),
    Column("claim_token", String(64)),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Index("ix_exports_listed", "tenant_id", "created_at"),
    Index("ix_exports_state", "state", "created_at"),
)
access_log = Table(
    "access_log",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("worker_id", String(256), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("read_at", Instant, nullable=False),
    Column("principal_id", String(256), nullable=False),
    Column("principal_kind", String(16), nullable=False),
    Column("principal_name", String(256), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("start_date", Date),
    Column("end_date", Date),
    Column("row_count", BigInteger, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""Who read a worker's rows: one chain a worker, from 1. Rows are added only."""
access_log_heads = Table(
    "access_log_heads",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("worker_id", String(256), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
"""The last row of each chain, sealed with a key that the store does not have; worker '' counts the chains."""
audit_log = Table(
    "audit_log",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("happened_at", Instant, nullable=False),
    Column("actor", String(256), nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", String(512), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("request_id", String(64)),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
"""What administrators and credentials changed: one chain a tenant, from 1. Rows are added only."""
audit_log_heads = Table(
    "audit_log_heads",
    metadata,
    Column("tenant_id", String(63), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
