"""Clipboard events, app-normalised (docs/domain.md sections 1 and 3)."""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import SILVER_CLIPBOARD
from coworkai.runner.silver.shape import shaped


def clipboard_events(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `silver/clipboard_events`, in order of tenant, worker, time and event_id.

    `rows`: bronze/clipboard of distinct event_id with a time, and date and app.
    """
    return shaped(rows, SILVER_CLIPBOARD).sort("tenant_id", "user_id", "occurred_at", "event_id")
