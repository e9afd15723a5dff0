"""Manifests, paired: what a worker declared in the morning and in the evening (docs/domain.md section 3).

SOD 08:55 ── SOD 09:10 ─────────────── EOD 17:00 ── EOD 17:30
revision     half of the pair          revision     half of the pair
"""

from __future__ import annotations

import polars as pl

from coworkai.common.tables import PAIRED_KPIS, REVISIONS, SILVER_MANIFEST_PAIRS, TEXTS
from coworkai.runner.silver.casefold import with_folded
from coworkai.runner.silver.shape import sorted_by_key

_DAY = ["tenant_id", "date", "user_id"]


def manifest_pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of `silver/manifest_pairs`, one for every worker and day with a manifest, in order of its
    key.

    `rows`: bronze/manifests of distinct event_id with a time, and date. The last of a kind by time, then
    publication, then event_id is the half of the pair; the others are its revisions.

    - goals: the SOD's (the EOD's where there is no SOD), blanks and repetitions left out, in order
    - goals_done: those of them that the EOD names, case-folded
    - focus_areas: of both halves, one spelling each (the SOD's first), sorted
    - kpis: joined by case-folded name, the SOD's in order and then the EOD's own; target and unit are the
      SOD's, else the EOD's; actual is the EOD's, else the SOD's; attainment = actual / target, null unless
      finite. A name twice in one half counts as its last entry.
    """
    ordered = rows.sort(*_DAY, "occurred_at", "published_at", "event_id", nulls_last=False)
    halves = ordered.unique([*_DAY, "kind"], keep="last", maintain_order=True)
    sod, eod = (halves.filter(pl.col("kind") == kind) for kind in ("SOD", "EOD"))
    pairs = (
        halves.select(_DAY)
        .unique(maintain_order=True)
        .join(sod.select(*_DAY, sod_event_id="event_id", sod_at="occurred_at"), on=_DAY, how="left")
        .join(
            eod.select(*_DAY, "reflection", eod_event_id="event_id", eod_at="occurred_at"),
            on=_DAY,
            how="left",
        )
        .with_columns(
            is_sod_missing=pl.col("sod_event_id").is_null(), is_eod_missing=pl.col("eod_event_id").is_null()
        )
    )
    for part in (_goals(sod, eod), _focus_areas(sod, eod), _kpis(sod, eod), _revisions(ordered, halves)):
        pairs = pairs.join(part, on=_DAY, how="left")
    return sorted_by_key(
        pairs.with_columns(
            pl.col("goals", "goals_done", "focus_areas").fill_null(pl.lit([], TEXTS)),
            pl.col("kpis").fill_null(pl.lit([], PAIRED_KPIS)),
            pl.col("revisions").fill_null(pl.lit([], REVISIONS)),
        ),
        SILVER_MANIFEST_PAIRS,
    )


def _entries(half: pl.DataFrame, column: str) -> pl.DataFrame:
    """The texts of a list column, one row each: the day's columns, text, folded, place; blank ones left
    out.
    """
    texts = half.select(*_DAY, text=column).explode("text", empty_as_null=True, keep_nulls=False)
    texts = texts.with_columns(pl.col("text").str.strip_chars(), place=pl.int_range(pl.len()))
    return with_folded(texts.filter(pl.col("text") != ""), "text")


def _goals(sod: pl.DataFrame, eod: pl.DataFrame) -> pl.DataFrame:
    reported = _entries(eod, "goals")
    declared = pl.concat(
        [_entries(sod, "goals"), reported.join(sod.select(_DAY), on=_DAY, how="anti")]
    ).unique([*_DAY, "folded"], keep="first", maintain_order=True)
    done = reported.select(*_DAY, "folded", is_done=pl.lit(value=True)).unique()
    return (
        declared.join(done, on=[*_DAY, "folded"], how="left", maintain_order="left")
        .group_by(_DAY, maintain_order=True)
        .agg(goals="text", goals_done=pl.col("text").filter(pl.col("is_done").is_not_null()))
    )


def _focus_areas(sod: pl.DataFrame, eod: pl.DataFrame) -> pl.DataFrame:
    return (
        pl.concat([_entries(sod, "focus_areas"), _entries(eod, "focus_areas")])
        .unique([*_DAY, "folded"], keep="first", maintain_order=True)
        .sort("folded")
        .group_by(_DAY, maintain_order=True)
        .agg(focus_areas="text")
    )


def _kpi_entries(half: pl.DataFrame, offset: int) -> pl.DataFrame:
    """KPIs of one half: the day's columns, folded, name, target, actual, unit, place; the last of a name."""
    entries = (
        half.select(*_DAY, "kpis")
        .explode("kpis", empty_as_null=True, keep_nulls=False)
        .drop_nulls("kpis")
        .unnest("kpis")
        .with_columns(pl.col("name").str.strip_chars(), place=pl.int_range(pl.len()) + offset)
        .filter(pl.col("name") != "")
    )
    return with_folded(entries, "name").unique([*_DAY, "folded"], keep="last", maintain_order=True)


def _kpis(sod: pl.DataFrame, eod: pl.DataFrame) -> pl.DataFrame:
    keys = [*_DAY, "folded"]
    planned = _kpi_entries(sod, 0)
    reported = _kpi_entries(eod, 1 << 40)
    attainment = pl.col("actual") / pl.col("target")
    return (
        planned.join(reported, on=keys, how="full", coalesce=True, suffix="_eod")
        .select(
            *_DAY,
            name=pl.coalesce("name", "name_eod"),
            target=pl.coalesce("target", "target_eod"),
            actual=pl.coalesce("actual_eod", "actual"),
            unit=pl.coalesce("unit", "unit_eod"),
            place=pl.coalesce("place", "place_eod"),
        )
        .with_columns(attainment=pl.when(attainment.is_finite()).then(attainment))
        .sort("place")
        .group_by(_DAY, maintain_order=True)
        .agg(kpis=pl.struct("name", "target", "actual", "unit", "attainment"))
    )


def _revisions(ordered: pl.DataFrame, halves: pl.DataFrame) -> pl.DataFrame:
    return (
        ordered.join(halves.select("tenant_id", "event_id"), on=["tenant_id", "event_id"], how="anti")
        .sort("occurred_at", "published_at", "event_id", nulls_last=False)
        .group_by(_DAY, maintain_order=True)
        .agg(revisions=pl.struct("event_id", "kind", "occurred_at"))
    )
