"""The result of a tenant's processing in numbers, from the lake alone; every sum adds up."""

from __future__ import annotations

import polars as pl

from coworkai.common.control import Stage
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.outcome import Outcome
from coworkai.common.published import read_published
from coworkai.common.tables import (
    BRONZE_BY_SOURCE,
    BRONZE_RECEIPTS,
    GOLD_ACCOUNTING,
    GOLD_BRIEFS,
    GOLD_INSIGHTS,
    GOLD_SLICES,
    GOLD_WORKBLOCKS,
    Table,
)

_SECONDS = {"raw": "raw_s", "kept": "kept_s", "overlapped": "overlapped_s"}
_PHASES = ("direct", "nearest", "gap", "orphan")
_US = 1_000_000
_BRIEF = ("date", "subject_kind", "subject_id")


def summarise(lake: Lake, tenant_id: str) -> dict[str, object]:
    """Counts of records by outcome, seconds, keystroke minutes, workblocks, slices, days, workers, insights
    and briefs (the newest version of each).

    Quarantined messages that name no tenant count as the tenant's. Raises StorageUnavailable.
    """
    accepted = sum(_accepted(lake, table, tenant_id) for table in BRONZE_BY_SOURCE.values())
    receipts = _receipts(lake, tenant_id)
    duplicate = receipts.get((Outcome.DUPLICATE.value, None), 0)
    reasons = {
        reason: records
        for (outcome, reason), records in sorted(receipts.items(), key=str)
        if outcome == Outcome.QUARANTINED.value and reason is not None
    }
    quarantined = sum(reasons.values())
    days = _gold(lake, GOLD_ACCOUNTING, tenant_id)
    with reading(GOLD_ACCOUNTING):
        totals = days.select(
            *(
                ((pl.col(column) * _US).round().cast(pl.Int64).sum() / _US).alias(name)
                for name, column in _SECONDS.items()
            ),
            pl.col("keystroke_minutes").sum().alias("keys_received"),
            *(pl.col(phase).sum() for phase in _PHASES),
            pl.col("date").n_unique().alias("days"),
            pl.col("user_id").n_unique().alias("workers"),
        ).collect()
    (total,) = totals.iter_rows(named=True)
    return {
        "records": {
            "received": accepted + duplicate + quarantined,
            "accepted": accepted,
            "duplicate": duplicate,
            "quarantined": quarantined,
        },
        "quarantine_reasons": reasons,
        "seconds": {name: total[name] for name in _SECONDS},
        "keystroke_minutes": {"received": total["keys_received"]} | {name: total[name] for name in _PHASES},
        "workblocks": _rows(lake, GOLD_WORKBLOCKS, tenant_id),
        "slices": _rows(lake, GOLD_SLICES, tenant_id),
        "days": total["days"],
        "workers": total["workers"],
        "insights": _stage2(lake, GOLD_INSIGHTS, tenant_id, pl.len()),
        "briefs": _stage2(lake, GOLD_BRIEFS, tenant_id, pl.struct(*_BRIEF).n_unique()),
    }


def _accepted(lake: Lake, table: Table, tenant_id: str) -> int:
    if not lake.exists(table):
        return 0
    with reading(table):
        rows: int = (
            scan(lake.open(table), table)
            .filter(pl.col("tenant_id") == tenant_id)
            .select(pl.len())
            .collect()
            .item()
        )
    return rows


def _receipts(lake: Lake, tenant_id: str) -> dict[tuple[str, str | None], int]:
    """Records by outcome and reason."""
    if not lake.exists(BRONZE_RECEIPTS):
        return {}
    with reading(BRONZE_RECEIPTS):
        counted = (
            scan(lake.open(BRONZE_RECEIPTS), BRONZE_RECEIPTS)
            .filter((pl.col("tenant_id") == tenant_id) | pl.col("tenant_id").is_null())
            .group_by("outcome", "reason")
            .agg(pl.col("records").sum())
            .collect()
        )
    return {(outcome, reason): records for outcome, reason, records in counted.iter_rows()}


def _gold(lake: Lake, table: Table, tenant_id: str) -> pl.LazyFrame:
    return read_published(lake, table, tenant_id, Stage.STAGE1)


def _stage2(lake: Lake, table: Table, tenant_id: str, count: pl.Expr) -> int:
    rows = read_published(lake, table, tenant_id, Stage.STAGE2)
    with reading(table):
        number: int = rows.select(count).collect().item()
    return number


def _rows(lake: Lake, table: Table, tenant_id: str) -> int:
    with reading(table):
        rows: int = _gold(lake, table, tenant_id).select(pl.len()).collect().item()
    return rows
