"""Ids that came again under another date, over all that Bronze keeps (docs/domain.md section 2).

    dates that got rows since the last look ─▶ their ids ─┐
                                        ids of all dates ─┴▶ under more than one ─▶ bronze/repeated_ids

Bronze sees a repeated id within its event date, a Silver run among the few dates of a local day. This finds
the others, for all tenants at once, and lists the records that are to be left out.

Invariants:
- of the records of an id the first by `PRECEDENCE` stays, whatever the order in which they arrived. So what
  is listed stays listed: a record that comes later can take the place of the one that stayed, no other;
- the list is a Bronze table. Runs pin its version and record it with the others', and its commits make the
  dates of what they list dirty, as any commit does;
- a cursor moves after the commit of what was found: a look that is cut short is done again, and finds the
  same;
- one looks at a time. Who lost the lease loses the commit.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import polars as pl
from deltalake import DeltaTable

from coworkai.common.control import Control
from coworkai.common.errors import LeaseLost
from coworkai.common.events import Source
from coworkai.common.lake import Lake, append, changes, partitions, reading, scan
from coworkai.common.lease import HeldLease
from coworkai.common.observability import get_logger
from coworkai.common.tables import BRONZE_BY_SOURCE, BRONZE_REPEATS, Table
from coworkai.runner.bronze import DATED
from coworkai.runner.silver.identity import PRECEDENCE, in_precedence

log = get_logger(__name__)

LEASE = "bronze/"
"""Name of the lease; no tenant's, as it has a slash."""
IDS_AT_ONCE = 4_000_000
"""New ids that are looked for at once, some 50 bytes each; more make several passes over the others."""
_IDENTITY = ("tenant_id", "event_id")
_KEY = ["tenant_id", "source", "event_id", "event_date"]


@dataclass(frozen=True)
class Repeats:
    """Keeps `bronze/repeated_ids`. `holder` names this process in the lease. Safe to share."""

    lake: Lake
    control: Control
    holder: str
    lease_ttl_s: float = 60
    ids_at_once: int = IDS_AT_ONCE

    def find(self) -> int:
        """List the records whose id was found under an earlier one's date since the last look; how many.

        Nothing to do while another one looks. Raises StorageUnavailable.
        """
        lease = self.control.lease(LEASE, self.holder, self.lease_ttl_s)
        if lease is None:
            return 0
        with HeldLease(self.control, lease, self.lease_ttl_s) as held:
            try:
                return sum(
                    self._find(held, source, table)
                    for source, table in BRONZE_BY_SOURCE.items()
                    if table in DATED
                )
            except LeaseLost as error:
                log.warning("look for repeated ids discarded", error=error)
                return 0

    def _find(self, held: HeldLease, source: Source, table: Table) -> int:
        cursor = f"{BRONZE_REPEATS.id}:{table.id}"
        seen, delta = self.control.cursor(cursor), self.lake.open(table)
        if seen == delta.version():
            return 0
        # Before anything is read: a commit of anybody else from here on makes ours fail.
        repeats = self.lake.open(BRONZE_REPEATS)
        touched = changes(delta, table, seen).touched
        dates = frozenset[date]().union(*touched.values())
        with reading(table):
            found = repeated(delta, table, dates, self.ids_at_once)
        news = self._unlisted(repeats, found.with_columns(source=pl.lit(source.value)))
        held.check()
        if not news.is_empty():
            by_tenant = dict(news.group_by("tenant_id").agg(pl.col("event_date").unique()).iter_rows())
            append(repeats, BRONZE_REPEATS, news, fence=held.fence, touched=by_tenant)
            log.info("ids found under several dates", table=table.id, records=news.height)
        self.control.advance(cursor, seen=seen, version=delta.version(), touched={})
        return news.height

    @staticmethod
    def _unlisted(repeats: DeltaTable, found: pl.DataFrame) -> pl.DataFrame:
        if found.is_empty():
            return found
        with reading(BRONZE_REPEATS):
            listed = scan(repeats, BRONZE_REPEATS, found["event_date"].unique()).select(_KEY).collect()
        return found.join(listed, on=_KEY, how="anti")


def repeated(delta: DeltaTable, table: Table, dates: Collection[date], ids_at_once: int) -> pl.DataFrame:
    """Records of the table that are not the first of their id, of all ids that `dates` hold.

    Columns tenant_id, event_id, event_date, user_id, sorted by them. Reads event_id of the whole table, and
    more of the dates only that hold a repeated id. Memory grows with `ids_at_once`, not with the table.
    """
    stored = partitions(delta, table)
    fresh = sorted(stored.keys() & set(dates))
    others = sorted(stored.keys() - set(dates))
    passes = -(-sum(stored[day].rows for day in fresh) // ids_at_once)
    found = [
        _repeated(delta, table, _suspects(delta, table, fresh, others, (turn, passes)))
        for turn in range(passes)
    ]
    columns = [*_IDENTITY, "event_date", "user_id"]
    return pl.concat([table.empty().select(columns), *(part.select(columns) for part in found)]).sort(columns)


def _suspects(
    delta: DeltaTable, table: Table, fresh: list[date], others: list[date], turn: tuple[int, int]
) -> pl.DataFrame:
    """Hashes of ids that came more than once, and the dates that hold them: `hash`, `event_date`.

    Two ids may share a hash, and two tenants an id: whoever reads the rows will see.
    """

    def ids(dates: list[date]) -> pl.LazyFrame:
        hashes = scan(delta, table, dates).select("event_date", hash=pl.col("event_id").hash())
        return hashes.filter(pl.col("hash") % turn[1] == turn[0]) if turn[1] > 1 else hashes

    mine = ids(fresh).collect(engine="streaming")
    theirs = ids(others).join(mine.lazy().select("hash"), on="hash", how="semi").collect(engine="streaming")
    again = pl.col("hash").is_duplicated() | pl.col("hash").is_in(theirs["hash"].unique().implode())
    return pl.concat([theirs, mine.filter(again)])


def _repeated(delta: DeltaTable, table: Table, suspects: pl.DataFrame) -> pl.DataFrame:
    """The records of suspected ids but the first of each."""
    if suspects.is_empty():
        return table.empty()
    rows = (
        scan(delta, table, suspects["event_date"].unique())
        .filter(pl.col("event_id").hash().is_in(suspects["hash"].unique().implode()))
        .select(*_IDENTITY, "user_id", *PRECEDENCE)
        .collect(engine="streaming")
    )
    ordered = in_precedence(rows, _IDENTITY)
    return ordered.filter(~pl.struct(*_IDENTITY).is_first_distinct())
