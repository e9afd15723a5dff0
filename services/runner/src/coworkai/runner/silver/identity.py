"""One row a record: an id that came again under another date is found here (docs/domain.md section 2).

Bronze holds an identity once within an `event_date`. A collector whose clock jumped, or that repeats a
record with another time, brings it a second time under another one; the first publication is the record.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_PRECEDENCE = ("event_id", "published_at", "event_date", "content_digest", "message_id", "device_id")


@dataclass(frozen=True, slots=True)
class Identified:
    """`kept`: one row for every event_id. `left_out`: later rows of an id under another event_date."""

    kept: pl.DataFrame
    left_out: pl.DataFrame


def first_of_each(rows: pl.DataFrame) -> Identified:
    """Keep the earliest published row of every event_id, then the one of the smallest event_date.

    `rows`: one tenant's rows of a Bronze table. The same identity twice within an event_date is one
    delivery read twice: it is dropped and not counted.
    """
    if rows["event_id"].n_unique() == rows.height:
        return Identified(rows, rows.clear())
    again = rows["event_id"].is_duplicated()
    by_date = (
        rows.filter(again)
        .sort(_PRECEDENCE, nulls_last=False)
        .unique(["event_id", "event_date"], keep="first", maintain_order=True)
    )
    first = by_date.select(pl.col("event_id").is_first_distinct()).to_series()
    return Identified(pl.concat([rows.filter(~again), by_date.filter(first)]), by_date.filter(~first))
