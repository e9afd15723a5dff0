"""Bronze as a run sees it: every table at the version it had when the run began."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl
from deltalake import DeltaTable

from coworkai.common.lake import Lake, reading, scan
from coworkai.common.tables import (
    BRONZE_BY_SOURCE,
    BRONZE_JOBS,
    BRONZE_RECEIPTS,
    BRONZE_REPEATS,
    Table,
)

BEFORE = timedelta(days=2)
AFTER = timedelta(days=1)
"""Local date L lies in event dates [L - 2, L + 1]: zones reach from -12 to +14 h, activities last 24 h."""
DATED = tuple(table for table in BRONZE_BY_SOURCE.values() if table is not BRONZE_JOBS)
"""Tables of which a local day needs its own dates only; of jobs it needs all."""
INPUTS = (*BRONZE_BY_SOURCE.values(), BRONZE_RECEIPTS, BRONZE_REPEATS)


@dataclass(frozen=True)
class PinnedBronze:
    """A tenant's view of Bronze at fixed versions. Every read raises StorageUnavailable."""

    tenant_id: str
    deltas: Mapping[str, DeltaTable]

    @classmethod
    def pin(cls, lake: Lake, tenant_id: str, versions: Mapping[str, int] | None = None) -> PinnedBronze:
        """Bronze as it is now, or at `versions` by table id (a table that is not named: as it is now)."""
        at = versions or {}
        return cls(tenant_id, {table.id: lake.open(table, version=at.get(table.id)) for table in INPUTS})

    @property
    def versions(self) -> dict[str, int]:
        return {table_id: delta.version() for table_id, delta in self.deltas.items()}

    def jobs(self) -> pl.DataFrame:
        """All rows of all organisation snapshots."""
        return self._read(BRONZE_JOBS, self._scan(BRONZE_JOBS))

    def workers(self, days: Collection[date]) -> list[tuple[str, int]]:
        """Workers with rows in the event dates of local dates `days`, and how many; by worker."""
        dates = event_dates(days)
        # A record that is withheld, and a receipt of an unreadable one, name nobody.
        rows = [*(self._scan(table, dates) for table in DATED), self._receipts(dates)]
        counts = [frame.drop_nulls("user_id").group_by("user_id").len() for frame in rows]
        with reading(BRONZE_RECEIPTS):
            totals = pl.concat(counts).group_by("user_id").sum().collect(engine="streaming")
        return list(totals.sort("user_id").iter_rows())

    def window(self, days: Collection[date], workers: Collection[str]) -> dict[str, pl.DataFrame]:
        """Frames by table id of the workers' rows in the event dates of local dates `days`, without jobs."""
        dates = event_dates(days)
        theirs = pl.col("user_id").is_in(sorted(workers))
        frames = {
            table.id: self._read(table, self._scan(table, dates).filter(theirs))
            for table in (*DATED, BRONZE_REPEATS)
        }
        return frames | {
            BRONZE_RECEIPTS.id: self._read(BRONZE_RECEIPTS, self._receipts(dates).filter(theirs))
        }

    def unattributed(self, days: Collection[date]) -> pl.DataFrame:
        """Receipts of nobody in particular in the event dates of local dates `days`."""
        nobody = pl.col("user_id").is_null()
        return self._read(BRONZE_RECEIPTS, self._receipts(event_dates(days)).filter(nobody))

    def _scan(self, table: Table, dates: Collection[date] | None = None) -> pl.LazyFrame:
        return scan(self.deltas[table.id], table, dates).filter(pl.col("tenant_id") == self.tenant_id)

    def _receipts(self, dates: Collection[date]) -> pl.LazyFrame:
        # Filed by publication: never more than a day before the record's own time, any number of days after.
        first = min(dates, default=date.max) - timedelta(days=1)
        return self._scan(BRONZE_RECEIPTS).filter(
            pl.col("event_date") >= first,
            pl.coalesce("record_date", "event_date").is_in(sorted(dates)),
        )

    @staticmethod
    def _read(table: Table, frame: pl.LazyFrame) -> pl.DataFrame:
        with reading(table):
            return frame.collect()


def event_dates(days: Collection[date]) -> list[date]:
    """Event dates whose rows can reach the local dates `days`."""
    reach = range(-BEFORE.days, AFTER.days + 1)
    return sorted({day + timedelta(days=n) for day in days for n in reach})
