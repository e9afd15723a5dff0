"""Who a worker was on a day: the organisation row valid that day, and the zone their clock showed."""

from __future__ import annotations

from functools import cache

import polars as pl

from coworkai.common.tables import SILVER_ORG_MEMBERS

KEYS = ("tenant_id", "date", "user_id")
ORG_COLUMNS = tuple(
    c.name for c in SILVER_ORG_MEMBERS.columns if c.name not in {*KEYS, "is_current", "run_id"}
)


@cache
def is_zone(name: str) -> bool:
    """Whether the time zone database of the engine knows `name`."""
    try:
        pl.Series([0], dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
    except pl.exceptions.ComputeError:
        return False
    return True


def with_org(days: pl.DataFrame, org_members: pl.DataFrame, tenant_zone: str) -> pl.DataFrame:
    """`days` (tenant_id, date, user_id, ...) with the columns of the organisation row valid on `date`.

    Adds role, team, department, region, schedule_start and schedule_end and the rest of `ORG_COLUMNS`, null
    where no row is valid, and `zone`: the row's time zone, else the tenant's where it is missing or unknown.
    Rows and their order stay.
    """
    members = org_members.select("tenant_id", "user_id", *ORG_COLUMNS).sort("valid_from")
    found = (
        days.with_row_index("_row")
        .sort("date")
        .join_asof(
            members,
            left_on="date",
            right_on="valid_from",
            by=["tenant_id", "user_id"],
            strategy="backward",
            check_sortedness=False,
        )
        .sort("_row")
        .drop("_row")
    )
    valid = (pl.col("valid_from") <= pl.col("date")) & (
        pl.col("valid_to").is_null() | (pl.col("date") < pl.col("valid_to"))
    )
    zones = found["time_zone"].unique().drop_nulls().to_list()
    known = [zone for zone in zones if is_zone(zone)]
    return found.with_columns(pl.when(valid).then(name).alias(name) for name in ORG_COLUMNS).with_columns(
        zone=pl.when(pl.col("time_zone").is_in(known)).then("time_zone").otherwise(pl.lit(tenant_zone))
    )
