"""The forms that an answer can have, and which one a client wants."""

from __future__ import annotations

import io
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import polars as pl
from polars import selectors as cs

from coworkai.partner_api.problems import Code, FieldError, Refused


class Format(StrEnum):
    """Values of `format=`. JSON comes in pages; the others have the whole range in one answer."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"
    MARKDOWN = "markdown"

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self]

    @property
    def extension(self) -> str:
        return "md" if self is Format.MARKDOWN else self.value


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.MARKDOWN: "text/markdown; charset=utf-8",
}
TABULAR = (Format.JSON, Format.NDJSON, Format.CSV, Format.ARROW, Format.PARQUET)
"""Forms of a list, the one that is given where nothing is asked for first."""
DOCUMENT = (Format.JSON, Format.MARKDOWN)
_BY_MEDIA_TYPE = {
    **{media_type.partition(";")[0]: form for form, media_type in MEDIA_TYPES.items()},
    "application/ndjson": Format.NDJSON,
    "application/jsonl": Format.NDJSON,
    "application/problem+json": Format.JSON,
}
_ROW_GROUP = 128 * 1024


class _Wanted(NamedTuple):
    quality: float
    media_type: str


def chosen(asked: str | None, accept: str | None, offered: Sequence[Format]) -> Format:
    """The format that `format=` asks for, else the `Accept` header, of those that are offered.

    Raises Refused: INVALID_PARAMETER for a format that is none, NOT_ACCEPTABLE when none is accepted.
    """
    if asked is not None:
        if asked not in offered:
            raise Refused(
                Code.INVALID_PARAMETER,
                "no such format",
                errors=[FieldError("query.format", f"one of {', '.join(offered)}")],
            )
        return Format(asked)
    if not accept:
        return offered[0]
    wanted = sorted(map(_wanted, accept.split(",")), key=lambda one: -one.quality)
    for quality, media_type in wanted:
        if quality <= 0:
            continue
        if media_type == "*/*":
            return offered[0]
        if media_type.endswith("/*"):
            kind = media_type[:-1]
            found = next((one for one in offered if one.media_type.startswith(kind)), None)
        else:
            found = _BY_MEDIA_TYPE.get(media_type)
        if found is not None and found in offered:
            return found
    raise Refused(
        Code.NOT_ACCEPTABLE,
        "the answer does not exist in a format that is accepted",
        remedy=f"accept one of {', '.join(one.media_type.partition(';')[0] for one in offered)}",
    )


def _wanted(entry: str) -> _Wanted:
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    quality = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return _Wanted(float(quality), media_type)
    except ValueError:
        return _Wanted(0, media_type)


def encode(rows: pl.DataFrame, form: Format) -> bytes:
    """The rows in a tabular format; JSON is an array of objects.

    Times are RFC 3339 in UTC, dates ISO 8601. Nested values are JSON texts in CSV, which has none.
    """
    if form is Format.JSON:
        return msgspec.json.encode(rows.to_dicts())
    out = io.BytesIO()
    if form is Format.NDJSON:
        if any(dtype.is_nested() for dtype in rows.dtypes):
            return msgspec.json.Encoder().encode_lines(rows.to_dicts())
        _with_texts_of_times(rows).write_ndjson(out)
    elif form is Format.CSV:
        _flat(rows).write_csv(out, line_terminator="\r\n")
    elif form is Format.ARROW:
        # Readers of before string views take these.
        rows.write_ipc_stream(out, compat_level=pl.CompatLevel.oldest())
    else:
        rows.write_parquet(out, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP)
    return out.getvalue()


def _flat(rows: pl.DataFrame) -> pl.DataFrame:
    nested = {
        name: [None if one is None else msgspec.json.encode(one).decode() for one in rows[name].to_list()]
        for name, dtype in rows.schema.items()
        if dtype.is_nested()
    }
    texts = [pl.Series(name, values, pl.String) for name, values in nested.items()]
    return _with_texts_of_times(rows.with_columns(texts))


def _with_texts_of_times(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"))
