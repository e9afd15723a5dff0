"""Tables of the partner API: credentials, idempotency, webhooks, exports, access log and audit log.

Revision ID: 0002
"""

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "credentials",
        Column("credential_id", String(64), primary_key=True),
        Column("tenant_id", String(63), ForeignKey("tenants.tenant_id"), nullable=False),
        Column("kind", String(16), nullable=False),
        Column("name", String(256), nullable=False),
        Column("secret_hmac", LargeBinary, nullable=False),
        Column("reach", String(16), nullable=False),
        Column("scopes", JSON, nullable=False),
        Column("worker_ids", JSON(none_as_null=True)),
        Column("created_at", BigInteger, nullable=False),
        Column("created_by", String(256), nullable=False),
        Column("expires_at", BigInteger),
        Column("revoked_at", BigInteger),
        Column("replaces", String(64)),
        Column("last_used_at", BigInteger),
    )
    op.create_index("ix_credentials_tenant_id", "credentials", ["tenant_id"])
    op.create_table(
        "idempotency_keys",
        Column("tenant_id", String(63), primary_key=True),
        Column("principal_id", String(256), primary_key=True),
        Column("key", String(255), primary_key=True),
        Column("method", String(16), nullable=False),
        Column("path", String(2048), nullable=False),
        Column("request_digest", LargeBinary, nullable=False),
        Column("status", Integer),
        Column("headers", JSON(none_as_null=True)),
        Column("body", LargeBinary),
        Column("created_at", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
    )
    op.create_index("ix_idempotency_keys_expires_at", "idempotency_keys", ["expires_at"])
    op.create_table(
        "webhook_endpoints",
        Column("endpoint_id", String(64), primary_key=True),
        Column("tenant_id", String(63), ForeignKey("tenants.tenant_id"), nullable=False),
        Column("url", String(2048), nullable=False),
        Column("event_types", JSON, nullable=False),
        Column("description", String(1024), nullable=False),
        Column("sealed_secrets", JSON, nullable=False),
        Column("state", String(16), nullable=False),
        Column("disabled_reason", String(256)),
        Column("failing_since", BigInteger),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
    )
    op.create_index("ix_webhook_endpoints_tenant_id", "webhook_endpoints", ["tenant_id"])
    op.create_table(
        "webhook_events",
        Column("event_id", String(64), primary_key=True),
        Column("tenant_id", String(63), nullable=False),
        Column("type", String(64), nullable=False),
        Column("occurred_at", BigInteger, nullable=False),
        Column("payload", Text, nullable=False),
        Column("dedupe_key", String(512), nullable=False),
        UniqueConstraint("tenant_id", "dedupe_key", name="webhook_events_dedupe"),
    )
    op.create_index("ix_webhook_events_occurred_at", "webhook_events", ["occurred_at"])
    op.create_table(
        "webhook_deliveries",
        Column("delivery_id", String(64), primary_key=True),
        Column(
            "endpoint_id",
            String(64),
            ForeignKey("webhook_endpoints.endpoint_id", ondelete="CASCADE"),
            nullable=False,
        ),
        Column("event_id", String(64), ForeignKey("webhook_events.event_id"), nullable=False),
        Column("redelivery", Integer, nullable=False),
        Column("state", String(16), nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("next_attempt_at", BigInteger),
        Column("claimed_until", BigInteger),
        Column("claim_token", String(64)),
        Column("created_at", BigInteger, nullable=False),
        Column("finished_at", BigInteger),
        UniqueConstraint("endpoint_id", "event_id", "redelivery", name="webhook_deliveries_once"),
    )
    op.create_index("ix_webhook_deliveries_event_id", "webhook_deliveries", ["event_id"])
    op.create_index("ix_webhook_deliveries_finished_at", "webhook_deliveries", ["finished_at"])
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["state", "next_attempt_at"])
    op.create_table(
        "webhook_attempts",
        Column(
            "delivery_id",
            String(64),
            ForeignKey("webhook_deliveries.delivery_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        Column("attempt", Integer, primary_key=True),
        Column("started_at", BigInteger, nullable=False),
        Column("duration_ms", Integer, nullable=False),
        Column("status_code", Integer),
        Column("error", String(256)),
    )
    op.create_table(
        "exports",
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
        Column("created_at", BigInteger, nullable=False),
        Column("started_at", BigInteger),
        Column("finished_at", BigInteger),
        Column("expires_at", BigInteger),
        Column("error_code", String(64)),
        Column("claimed_until", BigInteger),
        Column("claim_token", String(64)),
    )
    op.create_index("ix_exports_listed", "exports", ["tenant_id", "created_at"])
    op.create_index("ix_exports_state", "exports", ["state", "created_at"])
    op.create_table(
        "access_log",
        Column("tenant_id", String(63), primary_key=True),
        Column("worker_id", String(256), primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("read_at", BigInteger, nullable=False),
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
    op.create_table(
        "access_log_heads",
        Column("tenant_id", String(63), primary_key=True),
        Column("worker_id", String(256), primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("seal", LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_log",
        Column("tenant_id", String(63), primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
        Column("happened_at", BigInteger, nullable=False),
        Column("actor", String(256), nullable=False),
        Column("action", String(64), nullable=False),
        Column("target", String(512), nullable=False),
        Column("detail", JSON, nullable=False),
        Column("request_id", String(64)),
        Column("previous_hash", LargeBinary, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_log_heads",
        Column("tenant_id", String(63), primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
        Column("seal", LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop them with all they hold, the logs too."""
    for table in (
        "audit_log_heads",
        "audit_log",
        "access_log_heads",
        "access_log",
        "exports",
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_events",
        "webhook_endpoints",
        "idempotency_keys",
        "credentials",
    ):
        op.drop_table(table)
