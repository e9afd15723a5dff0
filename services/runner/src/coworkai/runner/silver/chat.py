"""Chat messages: the worker's own words only (docs/domain.md sections 1 and 3)."""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import SILVER_CHAT
from coworkai.runner.silver.shape import shaped

OWN_ROLE = "user"


def chat_messages(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `silver/chat_messages`, in order of tenant, worker, time and event_id.

    `rows`: bronze/chat of distinct event_id with a time, and date. What assistants and others said is left
    out.
    """
    own = rows.filter(pl.col("role") == OWN_ROLE)
    return shaped(own, SILVER_CHAT).sort("tenant_id", "user_id", "occurred_at", "event_id")
