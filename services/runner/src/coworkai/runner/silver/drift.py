"""Schema drift: which unknown fields records had (docs/domain.md sections 2 and 3)."""

from __future__ import annotations

import msgspec
import polars as pl

# Keys stay, everything else of the JSON becomes nothing: rows of one shape have one skeleton.
_KEY_OR_VALUE = r'("(?:[^"\\]|\\.)*"\s*:)|"(?:[^"\\]|\\.)*"|[^\s"{}\[\]:,]+'


def drift_fields(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """`keys` and drift_fields (list of name and count, by name): how many rows had which unknown field.

    `rows`: `keys` and extra, a JSON object of unknown fields or null. Only top-level fields count. One row
    of every shape is parsed, not every row.
    """
    shapes = (
        rows.drop_nulls("extra")
        .with_columns(shape=pl.col("extra").str.replace_all(_KEY_OR_VALUE, "$1"))
        .group_by(*keys, "shape")
        .agg(pl.len().cast(pl.Int64).alias("count"), pl.col("extra").min())
    )
    distinct = shapes.group_by("shape").agg(pl.col("extra").min())
    fields = distinct.select(
        "shape", name=pl.Series([_fields(extra) for extra in distinct["extra"]], dtype=pl.List(pl.String))
    ).explode("name", empty_as_null=True, keep_nulls=False)
    return (
        shapes.join(fields.drop_nulls("name"), on="shape", nulls_equal=True)
        .group_by(*keys, "name")
        .agg(pl.col("count").sum())
        .sort("name")
        .group_by(keys, maintain_order=True)
        .agg(drift_fields=pl.struct("name", "count"))
    )


def _fields(extra: str) -> list[str]:
    return list(msgspec.json.decode(extra, type=dict[str, msgspec.Raw]))
