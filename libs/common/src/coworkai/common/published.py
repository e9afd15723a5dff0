"""What a tenant's runs have published: the only versions a reader may use.

A stage writes several tables in several commits; its last commit, the rows in `ops/runs`, makes all of them
visible at once. Readers take the vector of output versions of the newest run of the stage and never the heads
of the tables, so nobody sees half a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
from deltalake import DeltaTable

from coworkai.common.control import Stage
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.tables import OPS_RUNS, Table

SUCCEEDED = "succeeded"
PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Published:
    """Versions by table id, and the newest run of every day; `partial` days lack workers that failed.

    `published_at`: when the newest run finished; None before the first.
    """

    versions: Mapping[str, int]
    run_ids: Mapping[date, str]
    partial: frozenset[date]
    published_at: datetime | None = None

    def version(self, table: Table) -> int:
        """Version of the table to read; 0, the empty table, before the stage's first run."""
        return self.versions.get(table.id, 0)


RUN_COLUMNS = ("stage", "fence", "finished_at", "run_id", "days", "output_versions", "status")
"""Columns of `ops/runs` that tell what is published."""


def published(runs: DeltaTable, stage: Stage) -> Published:
    """What the stage has published, from `ops/runs` at the version it is opened at."""
    with reading(OPS_RUNS):
        rows = scan(runs, OPS_RUNS).filter(pl.col("stage") == stage.value).select(RUN_COLUMNS).collect()
    return published_by(rows, stage)


def published_by(runs: pl.DataFrame, stage: Stage) -> Published:
    """What the stage has published, by these rows of `ops/runs`: `RUN_COLUMNS` of any stages."""
    rows = runs.filter(pl.col("stage") == stage.value).sort("fence", "finished_at")
    if rows.is_empty():
        return Published({}, {}, frozenset())
    vector = {entry["table"]: entry["version"] for entry in rows["output_versions"][-1]}
    newest = (
        rows.filter(pl.col("days").list.len() == 1)
        .select(pl.col("days").list.first().alias("day"), "run_id", "status")
        .unique("day", keep="last", maintain_order=True)
    )
    return Published(
        vector,
        dict(newest.select("day", "run_id").iter_rows()),
        frozenset(newest.filter(pl.col("status") == PARTIAL)["day"]),
        rows["finished_at"][-1],
    )


def read_published(lake: Lake, table: Table, tenant_id: str, stage: Stage) -> pl.LazyFrame:
    """Rows of the table that the stage has published, lazily. Raises StorageUnavailable."""
    versions = published(lake.open(OPS_RUNS, tenant_id), stage)
    return scan(lake.open(table, tenant_id, version=versions.version(table)), table)
