"""Device readings with their evidence of idleness (docs/domain.md sections 1 and 4, "idle time")."""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import SILVER_DEVICE_POSTURE
from coworkai.runner.silver.shape import shaped


def device_posture(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `silver/device_posture`, in order of tenant, worker, time and event_id.

    `rows`: bronze/device_posture of distinct event_id with a time, and date. A reading says that its device
    saw no input in `[occurred_at - idle_s, occurred_at]`, and whether it was locked; `idle_s` is never null
    or negative, `locked` never null.
    """
    evidence = rows.with_columns(
        pl.col("idle_s").fill_nan(None).fill_null(0.0).clip(lower_bound=0.0),
        pl.col("locked").fill_null(value=False),
    )
    return shaped(evidence, SILVER_DEVICE_POSTURE).sort("tenant_id", "user_id", "occurred_at", "event_id")
