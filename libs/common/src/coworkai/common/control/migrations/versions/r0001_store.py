"""The store as it was before its migrations were kept.

A store of that time is taken as it is: what is missing of it is created.

Revision ID: 0001
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Text,
    inspect,
    text,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what is missing, and go on with leases of before there were lanes: all of them the runner's."""
    op.create_table(
        "tenants",
        Column("tenant_id", String(63), primary_key=True),
        Column("active", Boolean, nullable=False),
        Column("identity", String(16), nullable=False),
        Column("capture_keystrokes", String(16), nullable=False),
        Column("capture_clipboard", String(16), nullable=False),
        Column("time_zone", String(64), nullable=False),
        Column("min_group", Integer, nullable=False),
        Column("key_salt", LargeBinary, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "ingest_keys",
        Column("key_id", String(16), primary_key=True),
        Column("tenant_id", String(63), ForeignKey("tenants.tenant_id"), nullable=False),
        Column("secret_digest", LargeBinary, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("revoked_at", BigInteger),
        if_not_exists=True,
    )
    op.create_index("ix_ingest_keys_tenant_id", "ingest_keys", ["tenant_id"], if_not_exists=True)
    op.create_table(
        "log_cursors",
        Column("table_id", String(128), primary_key=True),
        Column("version", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "dirty_days",
        Column("tenant_id", String(63), primary_key=True),
        Column("stage", String(16), primary_key=True),
        Column("date", Date, primary_key=True),
        Column("mark", BigInteger, nullable=False),
        Column("done", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("not_before", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "planned_days",
        Column("tenant_id", String(63), primary_key=True),
        Column("stage", String(16), primary_key=True),
        Column("date", Date, primary_key=True),
        Column("due_at", BigInteger, primary_key=True),
        if_not_exists=True,
    )
    op.create_table(
        "lane_leases",
        Column("tenant_id", String(63), primary_key=True),
        Column("lane", String(16), primary_key=True),
        Column("holder", String(256), nullable=False),
        Column("fence", BigInteger, nullable=False),
        Column("expires_at", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "insight_policies",
        Column("tenant_id", String(63), ForeignKey("tenants.tenant_id"), primary_key=True),
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
        if_not_exists=True,
    )
    op.create_table(
        "llm_spend",
        Column("tenant_id", String(63), primary_key=True),
        Column("date", Date, primary_key=True),
        Column("tokens", BigInteger, nullable=False),
        Column("cost_microusd", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "unpublished_llm_calls",
        Column("call_id", String(32), primary_key=True),
        Column("tenant_id", String(63), nullable=False),
        Column("row", Text, nullable=False),
        Column("open_until", BigInteger, nullable=False),
        if_not_exists=True,
    )
    op.create_index(
        "ix_unpublished_llm_calls_tenant_id", "unpublished_llm_calls", ["tenant_id"], if_not_exists=True
    )
    op.create_table(
        "accepted_collectors",
        Column("tenant_id", String(63), ForeignKey("tenants.tenant_id"), primary_key=True),
        Column("source", String(32), primary_key=True),
        Column("collector", String(4096), primary_key=True),
        Column("until", BigInteger, nullable=False),
        if_not_exists=True,
    )
    if inspect(op.get_bind()).has_table("leases"):
        # Fences order what has been published.
        op.execute(
            text(
                "INSERT INTO lane_leases (tenant_id, lane, holder, fence, expires_at)"
                " SELECT tenant_id, 'runner', holder, fence, expires_at FROM leases WHERE true"
                " ON CONFLICT DO NOTHING"
            )
        )
        op.drop_table("leases")


def downgrade() -> None:
    """Leave the tables: a release of before the migrations goes on with them."""
