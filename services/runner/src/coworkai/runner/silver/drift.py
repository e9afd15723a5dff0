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
    values = rows.drop_nulls("extra").group_by(*keys, "extra").agg(count=pl.len().cast(pl.Int64))
    shapes = (
        values.select("extra")
        .unique()
        .with_columns(shape=pl.col("extra").str.replace_all(_KEY_OR_VALUE, "$1"))
    )
    samples = shapes.group_by("shape").agg(pl.col("extra").min())
    names = pl.Series("name", [_fields(extra) for extra in samples["extra"]], dtype=pl.List(pl.String))
    fields = shapes.join(samples.select("shape", names), on="shape").drop("shape")
    return (
        values.join(fields.explode("name", empty_as_null=True, keep_nulls=False), on="extra")
        .drop_nulls("name")
        .group_by(*keys, "name")
        .agg(pl.col("count").sum())
        .sort("name")
        .group_by(keys, maintain_order=True)
        .agg(drift_fields=pl.struct("name", "count"))
    )


def _fields(extra: str) -> list[str]:
    return list(msgspec.json.decode(extra, type=dict[str, msgspec.Raw]))
