"""Names compared as people compare them: Unicode canonical caseless matching, blanks around ignored."""

from __future__ import annotations

import unicodedata

import polars as pl


def casefold(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.strip()).casefold())


def with_folded(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """`frame` with `folded`, the case-folded `column`; done once for every distinct value."""
    distinct = frame[column].drop_nulls().unique()
    folded = pl.Series([casefold(text) for text in distinct], dtype=pl.String)
    return frame.with_columns(
        folded=pl.col(column).replace_strict(distinct, folded, default=None, return_dtype=pl.String)
    )
