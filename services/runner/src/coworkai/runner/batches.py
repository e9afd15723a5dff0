"""Whole workers in batches, so that memory does not grow with the number of workers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import polars as pl

from coworkai.common.outputs import Frames
from coworkai.common.tables import Table


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
