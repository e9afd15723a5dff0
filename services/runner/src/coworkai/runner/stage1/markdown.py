"""Telemetry as text of a markdown document: nothing in it can be read as markup (docs/domain.md section 4).

Titles, addresses, typed text and declarations come from outside. They are shown, and never form a table cell
border, a link, HTML, emphasis, code, an entity, another line, or characters that cannot be seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

_INVISIBLE = r"[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Co}\x{2800}]"
_BLANKS = r"[\s\p{Cc}]+"
_MARKUP = r"([\\`*\[\]<|~$])"
_UNDERSCORE_AT_EDGE = r"\b_|_\b"
_ENTITY = r"&(#?[0-9A-Za-z]+;)"
_WWW = r"(?i)\b(www)\."
_SECOND_US = 1_000_000
_TENTH_OF_A_MINUTE_US = 6 * _SECOND_US
NO_VALUE = "–"


def plain_line(text: pl.Expr, max_chars: int) -> pl.Expr:
    """One line of visible text of at most `max_chars` characters, cut with `…`; not yet escaped."""
    line = text.str.replace_all(_INVISIBLE, "").str.replace_all(_BLANKS, " ").str.strip_chars(" ")
    cut = pl.concat_str(line.str.head(max_chars - 1), pl.lit("…"))
    return pl.when(line.str.len_chars() > max_chars).then(cut).otherwise(line)


def escaped(text: pl.Expr, max_chars: int = 100) -> pl.Expr:
    """Text from outside as markdown text of one line, fit for a table cell; null stays null."""
    marked = plain_line(text, max_chars).str.replace_all(_MARKUP, r"\${1}")
    underscores = pl.when(marked.str.contains(_UNDERSCORE_AT_EDGE)).then(
        marked.str.replace_all("_", r"\_", literal=True)
    )
    return (
        underscores.otherwise(marked)
        .str.replace_all(_ENTITY, r"\&${1}")
        .str.replace_all("://", r":\//", literal=True)
        .str.replace_all(_WWW, r"${1}\.")
    )


def code_lines(text: pl.Expr) -> pl.Expr:
    """Text from outside as an indented code block: its lines stay, nothing in it is markup or can end it."""
    visible = text.str.replace_all(r"\r\n?|[\x{0B}\x{0C}\x{85}\x{2028}\x{2029}]", "\n").str.replace_all(
        _INVISIBLE, ""
    )
    return pl.concat_str(
        pl.lit("    "), visible.str.replace_all(r"[\p{Cc}--[\n\t]]", " ").str.replace_all("\n", "\n    ")
    )


def table_row(*cells: pl.Expr) -> pl.Expr:
    """A row of a markdown table; null cells are empty. Cells are text that is already markdown."""
    filled = [cell.fill_null("") for cell in cells]
    return pl.concat_str(pl.lit("| "), pl.concat_str(filled, separator=" | "), pl.lit(" |"))


def decimal(value: pl.Expr, digits: int) -> pl.Expr:
    """`value` rounded to `digits` decimals, written out in full."""
    scaled = (value.abs() * 10**digits).round(mode="half_away_from_zero").cast(pl.Int64)
    fraction = (scaled % 10**digits).cast(pl.String).str.zfill(digits)
    whole = (scaled // 10**digits).cast(pl.String)
    sign = pl.when((value < 0) & (scaled > 0)).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.concat_str(sign, whole, pl.lit("."), fraction) if digits else pl.concat_str(sign, whole)


def minutes(seconds: pl.Expr) -> pl.Expr:
    """Seconds as minutes in whole tenths, rounded down; what is more than nothing is at least 0.1."""
    us = (seconds * _SECOND_US).round().cast(pl.Int64)
    tenths = pl.when(us > 0).then((us // _TENTH_OF_A_MINUTE_US).clip(1)).otherwise(0)
    known = pl.concat_str((tenths // 10).cast(pl.String), pl.lit("."), (tenths % 10).cast(pl.String))
    return pl.when(us.is_not_null()).then(known)


def counted(count: pl.Expr, noun: str) -> pl.Expr:
    """`1 slice`, `2 slices`."""
    return pl.concat_str(
        count.cast(pl.String), pl.when(count == 1).then(pl.lit(f" {noun}")).otherwise(pl.lit(f" {noun}s"))
    )


def local_clock(frame: pl.DataFrame, zone: str, clocks: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """`frame` with `HH:MM:SS` columns of UTC times, in the zone that column `zone` names, rows in order.

    A loop over zones, not rows: the engine converts a whole column to one zone.
    """
    if frame.is_empty():
        return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in clocks)
    parts = [
        part.with_columns(
            time.dt.convert_time_zone(str(name)).dt.strftime("%H:%M:%S").alias(column)
            for column, time in clocks.items()
        )
        for (name,), part in frame.with_row_index("_row").partition_by(zone, as_dict=True).items()
    ]
    return pl.concat(parts).sort("_row").drop("_row")


def last_second(end: pl.Expr) -> pl.Expr:
    """The last instant of a half-open interval, so that an end reads inclusive of its last second."""
    return end - pl.duration(microseconds=1)
