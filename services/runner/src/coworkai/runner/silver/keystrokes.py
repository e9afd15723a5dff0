"""Keystroke minutes, cleaned: one row a record (docs/domain.md section 3, "Keystrokes, cleaned")."""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import SILVER_KEYSTROKES
from coworkai.runner.silver.shape import shaped


def keystroke_minutes(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `silver/keystroke_minutes`, in order of tenant, worker, minute and event_id.

    `rows`: bronze/keystrokes of distinct event_id with a minute, and date and app. `minute` is floored;
    text and key counts pass as they are, and several records of one minute stay several.
    """
    return shaped(rows.with_columns(pl.col("minute").dt.truncate("1m")), SILVER_KEYSTROKES).sort(
        "tenant_id", "user_id", "minute", "event_id"
    )
