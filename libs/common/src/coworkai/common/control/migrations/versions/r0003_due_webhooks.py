"""Webhooks are found and listed by endpoint: a long queue of one is in nobody else's way.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_TABLE = "webhook_deliveries"


def upgrade() -> None:
    """Put the endpoint first in the indexes."""
    op.drop_index("ix_webhook_deliveries_due", _TABLE)
    op.create_index("ix_webhook_deliveries_due", _TABLE, ["endpoint_id", "state", "next_attempt_at"])
    op.create_index("ix_webhook_deliveries_listed", _TABLE, ["endpoint_id", "created_at", "delivery_id"])


def downgrade() -> None:
    """As it was."""
    op.drop_index("ix_webhook_deliveries_listed", _TABLE)
    op.drop_index("ix_webhook_deliveries_due", _TABLE)
    op.create_index("ix_webhook_deliveries_due", _TABLE, ["state", "next_attempt_at"])
