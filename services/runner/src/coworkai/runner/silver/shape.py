"""Frames as the tables declare them; `run_id` is added where a run is known."""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import Table


def shaped(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The declared columns of `table` without `run_id`, in order and of the declared types; rows as they
    are.
    """
    return frame.select(
        pl.col(column.name).cast(column.dtype) for column in table.columns if column.name != "run_id"
    )


def sorted_by_key(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """`shaped`, its rows in order of tenant, date and the table's key."""
    return shaped(frame, table).sort("tenant_id", "date", *table.key, nulls_last=False)
