"""Exports count who died of them: one that kills every process is given up.

Revision ID: 0004
"""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Count from now on."""
    op.add_column("exports", Column("attempts", Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    """As it was."""
    op.drop_column("exports", "attempts")
