"""Whole workers in batches, so that memory does not grow with the number of workers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl

from coworkai.common.tables import Table

Frames = Mapping[str, pl.DataFrame]
"""Frames by table id."""


def worker_batches(workers: Sequence[tuple[str, int]], max_rows: int) -> Iterator[list[str]]:
    """Workers (id, rows) in order, in batches of at most `max_rows` rows, or of one worker."""
    batch: list[str] = []
    total = 0
    for user_id, rows in workers:
        if batch and total + rows > max_rows:
            yield batch
            batch, total = [], 0
        batch.append(user_id)
        total += rows
    if batch:
        yield batch


def of_workers(frames: Frames, workers: Collection[str]) -> dict[str, pl.DataFrame]:
    """Rows of these workers only."""
    theirs = pl.col("user_id").is_in(sorted(workers))
    return {table_id: frame.filter(theirs) for table_id, frame in frames.items()}


def together(results: Sequence[Frames], tables: Sequence[Table]) -> dict[str, pl.DataFrame]:
    """Rows of all batches by table id; columns as declared, without run_id."""
    return {
        table.id: pl.concat([table.empty().drop("run_id"), *(result[table.id] for result in results)])
        for table in tables
    }


def with_run_ids(frame: pl.DataFrame, table: Table, run_ids: Mapping[object, str]) -> pl.DataFrame:
    """The table's columns, with the run id of every row's date."""
    if frame.is_empty():
        return table.empty()
    return frame.with_columns(run_id=pl.col("date").replace_strict(run_ids, return_dtype=pl.String)).select(
        table.schema.names()
    )
