"""Blocks: the smallest sums that are ever published (domain, section 7).

A block is some workers' values of one measure on one day, added up; the blocks of a day and measure share no
worker. Every cell that is published is made of whole blocks and of nothing else, so whatever can be derived
from any cells, of any groups, levels, days and weeks, at any time, can be derived from blocks.

    tenant ├───────────────── Engineering ──────────────────┼──── Sales ────┤
    units  ├── Platform 9 ──┼──── Data 6 ────┼── QA 3 ──────┼── Accounts 7 ─┤
    blocks ├── Platform 9 ──┼──────── Data and QA 9 ────────┼── Accounts 7 ─┤

The invariant that makes it safe, whatever is added and subtracted: **of a version of a block that is
published, at least `min_group` workers have a value there that no version of any block was published with
before** (of that day and measure). Blocks of one time share no worker; so in any combination of what was ever
published, the newest version that takes part brings the values of `min_group` workers that nothing else can
cancel. A new block is all new; one is published again only when that many workers' values changed.

Nor may one worker nearly be the sum: by the p % rule, what is left of a block without its two largest
contributors exceeds p % of the largest, so that the second cannot estimate the first any closer; the same
holds of the changes from every version before. A sum of zero of values that cannot be negative would tell
everybody's value, and falls under the rule, too. What holds for blocks holds for their unions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from coworkai.common.tables import OPS_LATTICE_CONTRIBUTIONS, TIMESTAMP

CELL = ("date", "measure")
_UNIT = (*CELL, "department", "team")
_BLOCK = (*CELL, "block")
_STATE = [name for name in OPS_LATTICE_CONTRIBUTIONS.schema if name not in {"tenant_id", "run_id"}]


@dataclass(frozen=True, slots=True)
class SafetyRules:
    """`min_group`: least contributors. `dominance`: p of the p % rule, as a share."""

    min_group: int
    dominance: float = 0.1


def newest(contributions: pl.DataFrame) -> pl.DataFrame:
    """Rows of the newest version of every block."""
    return contributions.filter(pl.col("version") == pl.col("version").max().over(_BLOCK))


def publishable(
    values: pl.DataFrame, published: pl.DataFrame, rules: SafetyRules, at: datetime
) -> pl.DataFrame:
    """Blocks, and new versions of blocks, that may be published now.

    `values`: date, measure, user_id, team, department, value: one row a worker, day and measure, as they are
    now. `published`: the same columns with block, version, published_at: every version of every block of
    these days. Returns rows like `published` to be added to it. A worker's day stays in the block where it
    was first published, whatever the organisation says later; who came too late for a block of their own
    joins that of their team when it is published again.
    """
    placed = _placed(values, newest(published))
    is_pending = pl.col("block").is_null()
    stamp = pl.lit(at, TIMESTAMP)
    again = _again(placed.filter(~is_pending), published, rules)
    first = _first(placed.filter(is_pending), published, rules)
    return pl.concat(part.with_columns(published_at=stamp).select(_STATE) for part in (again, first))


def _placed(values: pl.DataFrame, newest_rows: pl.DataFrame) -> pl.DataFrame:
    """`values` with the block each belongs to, null where there is none, and the team it was published in."""
    theirs = newest_rows.select(*CELL, "user_id", "block", was_team="team", was_department="department")
    units = newest_rows.select(*_UNIT, unit_block="block").unique()
    is_known = pl.col("block").is_not_null()
    return (
        values.join(theirs, on=[*CELL, "user_id"], how="left")
        .with_columns(
            pl.when(is_known).then(f"was_{name}").otherwise(name).alias(name)
            for name in ("team", "department")
        )
        .join(units, on=_UNIT, how="left", nulls_equal=True)
        .with_columns(block=pl.coalesce("block", "unit_block"))
        .drop("was_team", "was_department", "unit_block")
    )


def _again(placed: pl.DataFrame, published: pl.DataFrame, rules: SafetyRules) -> pl.DataFrame:
    """New versions of blocks with enough new values."""
    known = published.select(*CELL, "user_id", "value").unique()
    fresh = (
        placed.join(known, on=[*CELL, "user_id", "value"], how="anti")
        .group_by(_BLOCK)
        .len("fresh")
        .filter(pl.col("fresh") >= rules.min_group)
    )
    whole = placed.group_by(_BLOCK).agg(_sums_of(pl.col("value"))).filter(_is_safe(rules))
    of_change = (
        _changes(placed.join(fresh, on=_BLOCK, how="semi"), published)
        .group_by(*_BLOCK, "version")
        .agg(_sums_of(pl.col("change")))
    )
    evenly = of_change.group_by(_BLOCK).agg(_is_even(rules).all().alias("evenly")).filter("evenly")
    versions = published.group_by(_BLOCK).agg((pl.col("version").max() + 1).alias("version"))
    return (
        placed.join(fresh, on=_BLOCK, how="semi")
        .join(whole, on=_BLOCK, how="semi")
        .join(evenly, on=_BLOCK, how="semi")
        .join(versions, on=_BLOCK)
    )


def _changes(placed: pl.DataFrame, published: pl.DataFrame) -> pl.DataFrame:
    """What each version of the blocks in `placed` differs by: date, measure, block, version, change."""
    theirs = published.join(placed.select(_BLOCK).unique(), on=_BLOCK, how="semi")
    now = (
        theirs.select(*_BLOCK, "version").unique().join(placed.select(*_BLOCK, "user_id", "value"), on=_BLOCK)
    )
    then = theirs.select(*_BLOCK, "version", "user_id", before="value")
    return (
        now.join(then, on=[*_BLOCK, "version", "user_id"], how="full", coalesce=True)
        .select(*_BLOCK, "version", change=pl.col("value").fill_null(0) - pl.col("before").fill_null(0))
        .filter(pl.col("change") != 0)
    )


def _first(pending: pl.DataFrame, published: pl.DataFrame, rules: SafetyRules) -> pl.DataFrame:
    """First versions of blocks of teams that have none."""
    units = (
        pending.group_by(_UNIT)
        .agg(_sums_of(pl.col("value")))
        .sort(_UNIT)
        .with_columns(block=pl.int_range(pl.len(), dtype=pl.Int32).over(CELL))
    )
    merged = merge(units, rules).filter("is_safe").select(*CELL, "department", "team", "merged")
    last = published.group_by(CELL).agg(pl.col("block").max().alias("last"))
    return (
        pending.drop("block")
        .join(merged, on=_UNIT, nulls_equal=True)
        .join(last, on=CELL, how="left")
        .with_columns(block=pl.col("merged") + pl.col("last").fill_null(-1) + 1, version=pl.lit(1, pl.Int32))
    )


# ------------------------------------------------------------------------------------------------- merging
def merge(items: pl.DataFrame, rules: SafetyRules) -> pl.DataFrame:
    """Units or blocks put together until each is safe to tell.

    `items`: date, measure, department, block, and their sums (`people`, `total`, `first`, `second`). What is
    unsafe goes together within its department, and takes the smallest safe ones with it until it is safe;
    what is unsafe of a whole department does the same with those of the tenant. Adds `merged`, the smallest
    number of those that went together, and `is_safe`, false where nothing was left to take.
    """
    within = _absorbed(items, (*CELL, "department"), rules)
    whole = _absorbed(_sums(within, (*CELL, "merged")).rename({"merged": "block"}), CELL, rules)
    safe = _sums(whole, (*CELL, "merged")).select(*CELL, "merged", is_safe=_is_safe(rules))
    return (
        within.join(whole.select(*CELL, merged="block", into="merged"), on=[*CELL, "merged"])
        .with_columns(merged="into")
        .drop("into")
        .join(safe, on=[*CELL, "merged"])
    )


def _absorbed(items: pl.DataFrame, parent: Sequence[str], rules: SafetyRules) -> pl.DataFrame:
    """`items` with `merged`: what is unsafe is one, with the smallest others of its parent that it needs."""
    items = items.with_columns(in_rest=~_is_safe(rules))
    while not (taken := _to_take(items, parent, rules)).is_empty():
        items = (
            items.join(taken, on=_BLOCK, how="left")
            .with_columns(in_rest=pl.col("in_rest") | pl.col("taken").is_not_null())
            .drop("taken")
        )
    rest = pl.col("block").filter("in_rest").min().over(parent)
    return items.with_columns(merged=pl.when("in_rest").then(rest).otherwise("block")).drop("in_rest")


def _to_take(items: pl.DataFrame, parent: Sequence[str], rules: SafetyRules) -> pl.DataFrame:
    """The smallest safe item of every parent whose rest is still unsafe: date, measure, block, taken."""
    unsafe = _sums(items.filter("in_rest"), parent).filter(~_is_safe(rules))
    return (
        items.filter(~pl.col("in_rest"))
        .join(unsafe, on=parent, how="semi", nulls_equal=True)
        .sort("people", "block")
        .unique(parent, keep="first", maintain_order=True)
        .select(*_BLOCK, taken=pl.lit(value=True))
    )


def sums_of_blocks(rows: pl.DataFrame) -> pl.DataFrame:
    """Items for `merge` of blocks that are published; those of several departments have none."""
    department = pl.col("department")
    return (
        rows.group_by(_BLOCK)
        .agg(
            pl.when(department.n_unique() == 1).then(department.first()).alias("department"),
            *_sums_of(pl.col("value")),
        )
        .sort(_BLOCK)
    )


def is_safe_cell(value: pl.Expr, rules: SafetyRules) -> pl.Expr:
    """Whether the values of a group, one a worker, may be told as a sum."""
    people, total, first, second = _sums_of(value)
    return (people >= rules.min_group) & (total - first - second > rules.dominance * first)


def _sums_of(value: pl.Expr) -> list[pl.Expr]:
    """Of values, one a worker: how many, the sum of their sizes, and the two largest."""
    size = value.abs()
    return [
        pl.len().cast(pl.Int64).alias("people"),
        size.sum().alias("total"),
        size.max().alias("first"),
        size.top_k(2).get(1, null_on_oob=True).fill_null(0).alias("second"),
    ]


def _sums(items: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The sums of items that share no worker, put together."""
    largest = pl.col("first").append(pl.col("second"))
    return items.group_by(by).agg(
        pl.col("people").sum(),
        pl.col("total").sum(),
        largest.max().alias("first"),
        largest.top_k(2).get(1, null_on_oob=True).alias("second"),
    )


def _is_safe(rules: SafetyRules) -> pl.Expr:
    return (pl.col("people") >= rules.min_group) & _is_even(rules)


def _is_even(rules: SafetyRules) -> pl.Expr:
    """The p % rule."""
    rest = pl.col("total") - pl.col("first") - pl.col("second")
    return rest > rules.dominance * pl.col("first")
