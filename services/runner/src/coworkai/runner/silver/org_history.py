"""The organisation as it changed: SCD type 2 from whole snapshots (docs/domain.md section 3).

    snapshots   1 Jan        5 Jan        9 Jan       12 Jan
    ana         sales        sales        support     support      -> [1 Jan, 9 Jan) sales, [9 Jan, …) support
    bo          sales        -            sales       sales        -> [1 Jan, 5 Jan) sales, [9 Jan, …) sales

History is computed from all snapshots every time, so one that arrives late lands in its place. Of several
snapshots of one date the last published is the one; the others leave no trace.
"""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import SILVER_ORG_MEMBERS, TIMESTAMP
from coworkai.runner.silver.shape import sorted_by_key

ATTRIBUTES = (
    "name",
    "email",
    "role",
    "team",
    "department",
    "manager_id",
    "region",
    "time_zone",
    "schedule_start",
    "schedule_end",
)
_FILE = ["tenant_id", "snapshot_digest"]


def snapshots(jobs: pl.DataFrame) -> pl.DataFrame:
    """The snapshots that count, in order: tenant_id, snapshot_digest, valid_from, ordinal (from 0),
    valid_to (date of the next one; null for the last).

    A file's date is the latest `valid_from` of its rows, should they differ.
    """
    return (
        jobs.group_by(_FILE)
        .agg(pl.col("valid_from").max(), pl.col("published_at").min())
        .sort("tenant_id", "valid_from", "published_at", "snapshot_digest", nulls_last=False)
        .unique(["tenant_id", "valid_from"], keep="last", maintain_order=True)
        .select(
            *_FILE,
            "valid_from",
            ordinal=pl.int_range(pl.len()).over("tenant_id"),
            valid_to=pl.col("valid_from").shift(-1).over("tenant_id"),
        )
    )


def org_members(jobs: pl.DataFrame) -> pl.DataFrame:
    """The rows of `silver/org_members`, in order of tenant, date and worker; `date` is valid_from.

    `jobs`: all rows of bronze/jobs of distinct event_id. A worker twice in one file counts as the last row.
    A new row begins when an attribute changes or the worker was missing in between; a worker who is missing
    from a snapshot is closed at its date.
    """
    changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(1)) for name in ATTRIBUTES)
    listed = (
        jobs.drop("valid_from")
        .join(snapshots(jobs), on=_FILE, nulls_equal=True)
        .sort("tenant_id", "user_id", "ordinal", "row_number", nulls_last=False)
        .unique(["tenant_id", "user_id", "ordinal"], keep="last", maintain_order=True)
    )
    versions = (
        listed.with_columns(
            version=(
                pl.col("tenant_id").ne_missing(pl.col("tenant_id").shift(1))
                | pl.col("user_id").ne_missing(pl.col("user_id").shift(1))
                | (pl.col("ordinal") != pl.col("ordinal").shift(1) + 1)
                | changed
            )
            .fill_null(value=True)
            .cum_sum()
        )
        .group_by("tenant_id", "user_id", "version", maintain_order=True)
        .agg(pl.col(*ATTRIBUTES, "valid_from").first(), pl.col("valid_to").last())
        .with_columns(date="valid_from", is_current=pl.col("valid_to").is_null())
    )
    return sorted_by_key(versions, SILVER_ORG_MEMBERS)


def worker_zones(members: pl.DataFrame) -> pl.DataFrame:
    """When which zone is valid, for `local_days.day_bounds`: user_id, valid_from (UTC midnight of the
    snapshot), time_zone (null where the tenant's is valid: none is known, or the worker is not listed).
    """
    opened = members.select("user_id", "valid_from", "time_zone")
    closed = (
        members.drop_nulls("valid_to")
        .select("user_id", valid_from="valid_to")
        .join(opened, on=["user_id", "valid_from"], how="anti")
        .with_columns(time_zone=pl.lit(None, pl.String))
    )
    return (
        pl.concat([opened, closed])
        .with_columns(pl.col("valid_from").cast(TIMESTAMP))
        .sort("user_id", "valid_from")
    )


def on_day(days: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """`days` (tenant_id, date, user_id, ...; distinct) with time_zone, schedule_start and schedule_end of
    the row valid on `date`, null where there is none. Order of rows is not kept.
    """
    columns = ("time_zone", "schedule_start", "schedule_end")
    found = days.sort("date").join_asof(
        members.select("tenant_id", "user_id", "valid_from", "valid_to", *columns).sort("valid_from"),
        left_on="date",
        right_on="valid_from",
        by=["tenant_id", "user_id"],
        strategy="backward",
        check_sortedness=False,
    )
    is_valid = pl.col("valid_from").is_not_null() & (
        pl.col("valid_to").is_null() | (pl.col("date") < pl.col("valid_to"))
    )
    return found.with_columns(pl.when(is_valid).then(name).alias(name) for name in columns).drop(
        "valid_from", "valid_to"
    )
