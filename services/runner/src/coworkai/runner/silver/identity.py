"""One row a record: an id that came again under another date is left out (docs/domain.md section 2).

Bronze holds an identity once within an `event_date`. A collector whose clock jumped, or that repeats a
record with another time, brings it a second time under another one; the first publication is the record.
Among the dates of one call that is seen here; what came under dates further away is listed in
`bronze/repeated_ids`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

PRECEDENCE = ("published_at", "event_date", "content_digest", "message_id", "device_id")
"""Of the rows of an id the one that is smallest by these columns, in this order, is the record."""
_ID = ("user_id", "event_id")


@dataclass(frozen=True, slots=True)
class Identified:
    """`kept`: one row for every event_id. `left_out`: later rows of an id under another event_date."""

    kept: pl.DataFrame
    left_out: pl.DataFrame


def first_of_each(rows: pl.DataFrame, listed: pl.DataFrame | None = None) -> Identified:
    """Keep the first row of every worker's event_id by `PRECEDENCE`, and none that is `listed`.

    `rows`: one tenant's rows of a Bronze table. `listed`: event_id and event_date of those rows of it that
    bronze/repeated_ids leaves out. The same identity twice within an event_date is one delivery read twice:
    it is dropped and not counted. An id that two workers sent is for the list alone to judge, so that a
    worker's rows do not depend on whose are computed with them.
    """
    known = rows.clear()
    if listed is not None and not listed.is_empty():
        key = ["event_id", "event_date"]
        known = in_precedence(rows.join(listed, on=key, how="semi"), _ID)
        rows = rows.join(listed, on=key, how="anti")
    if rows["event_id"].n_unique() == rows.height:
        return Identified(rows, known)
    again = rows.select(pl.struct(*_ID).is_duplicated()).to_series()
    by_date = in_precedence(rows.filter(again), _ID)
    first = by_date.select(pl.struct(*_ID).is_first_distinct()).to_series()
    return Identified(
        pl.concat([rows.filter(~again), by_date.filter(first)]), pl.concat([known, by_date.filter(~first)])
    )


def in_precedence(rows: pl.DataFrame, identity: Sequence[str]) -> pl.DataFrame:
    """The rows of every `identity` together and in order, one an event_date."""
    return rows.sort(*identity, *PRECEDENCE, nulls_last=False).unique(
        [*identity, "event_date"], keep="first", maintain_order=True
    )
