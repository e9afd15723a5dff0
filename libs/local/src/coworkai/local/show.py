"""What the terminal shows of a run: the table of results, and one worker's day as a timeline.

    09:00 ▃▃▃▇▇▃▃▃▃▃▃▃▇▇▇▇▃▃▃··········▃▃▃▃▃▃▃▇▇▃▃▃▃▃▃▃▃▃▇▇▃▃▃▃▃▃▃▃▃▃

A cell is a minute in the colour of the app with most of it, tall when something was typed. Without colours a
cell is the app's letter, a capital when something was typed.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = ("bright_blue", "green", "yellow", "magenta", "cyan", "red", "bright_green", "bright_magenta")
OTHER = "other"
OTHER_COLOUR = "grey62"
TYPED, SEEN, NOTHING = "▇", "▃", "·"
FOLD_HOURS = 2
"""More empty hours than this are shown as one line."""


@dataclass(frozen=True, slots=True)
class _App:
    """How an app is drawn; `letter` is its lower-case sign where there are no colours."""

    name: str
    colour: str
    letter: str
    seconds: float


def day_timeline(
    console: Console, blocks: pl.DataFrame, slices: pl.DataFrame, title: str, *, time_zone: str = "UTC"
) -> None:
    """Draws one worker's local day in at most 80 columns.

    blocks: started_at, ended_at, active_s, slice_count, keystroke_minutes of `gold/workblocks`; slices:
    started_at, ended_at, app, duration_s, keystroke_minutes of `gold/atomic_slices`. Hours are those of
    `time_zone`: an hour that clocks repeat has two lines, one they skip has none.
    """
    ascii_only = console.options.ascii_only
    plain = ascii_only or console.no_color or console.color_system is None
    apps = _legend(slices)
    console.print(Text(_printable(title, ascii_only=ascii_only), style="bold"))
    if slices.is_empty():
        console.print(Text("nothing recorded", style="dim"))
        return
    by_name = {app.name: app for app in apps}
    hours = _hours(slices, time_zone)
    empty = "." if ascii_only else NOTHING
    console.print(Text("      " + "".join(f"{minute:<10}" for minute in range(0, 60, 10)), style="dim"))
    previous: datetime | None = None
    for hour in hours.iter_slices(1):
        start, label, cells, typed = hour.row(0)
        for line in _empty_hours(previous, start, time_zone):
            console.print(Text(line, style="dim"))
        row = Text(f"{label} ")
        for app_name, has_keys in zip(cells, typed, strict=True):
            row.append(*_cell(by_name, app_name, has_keys=has_keys, plain=plain, empty=empty))
        console.print(row, no_wrap=True, overflow="crop")
        previous = start
    _print_legend(console, apps, plain=plain)
    console.print()
    console.print(_blocks_table(blocks, time_zone))


def _legend(slices: pl.DataFrame) -> list[_App]:
    """The apps that get a colour, by time, and one entry for the others."""
    times = (
        slices.group_by("app")
        .agg(pl.col("duration_s").sum())
        .sort(["duration_s", "app"], descending=[True, False])
    )
    apps: list[_App] = []
    for (name, seconds), colour in zip(times.iter_rows(), COLOURS, strict=False):
        taken = {app.letter for app in apps}
        letters = [c for c in (name or "").lower() + string.ascii_lowercase if c in string.ascii_lowercase]
        apps.append(_App(name, colour, next(c for c in letters if c not in taken), seconds))
    rest = times.slice(len(COLOURS))
    if not rest.is_empty():
        apps.append(_App(OTHER, OTHER_COLOUR, "?", sum(rest["duration_s"].to_list())))
    return apps


def _hours(slices: pl.DataFrame, time_zone: str) -> pl.DataFrame:
    """One row an hour that has evidence: start (UTC), label, 60 app names (null: nothing), 60 typed flags."""
    minute, second = timedelta(minutes=1), timedelta(seconds=1)
    cells = (
        slices.lazy()
        .select(
            "app",
            "started_at",
            "ended_at",
            (pl.col("keystroke_minutes") > 0).alias("typed"),
            pl.datetime_ranges(
                pl.col("started_at").dt.truncate("1m"), pl.col("ended_at") - timedelta(microseconds=1), "1m"
            ).alias("cell"),
        )
        .explode("cell")
        .drop_nulls("cell")
        .with_columns(
            shared_s=(
                pl.min_horizontal("ended_at", pl.col("cell") + minute)
                - pl.max_horizontal("started_at", "cell")
            )
            / second
        )
        .group_by("cell", "app")
        .agg(pl.col("shared_s").sum(), pl.col("typed").any())
        .sort("cell", "shared_s", "app")
        .group_by("cell", maintain_order=True)
        .agg(pl.col("app").last(), pl.col("typed").any())
        .with_columns(local=pl.col("cell").dt.convert_time_zone(time_zone))
        .with_columns(
            index=pl.col("local").dt.minute(),
            hour=pl.col("cell") - pl.duration(minutes=pl.col("local").dt.minute()),
        )
    )
    sixty = pl.DataFrame({"index": pl.Series(range(60), dtype=pl.Int8)}).lazy()
    grid = cells.select("hour").unique().join(sixty, how="cross")
    return (
        grid.join(cells, on=["hour", "index"], how="left")
        .sort("hour", "index")
        .group_by("hour", maintain_order=True)
        .agg("app", pl.col("typed").fill_null(value=False))
        .select(
            "hour",
            pl.col("hour").dt.convert_time_zone(time_zone).dt.strftime("%H:%M").alias("label"),
            "app",
            "typed",
        )
        .collect()
    )


def _cell(
    apps: Mapping[str, _App], name: str | None, *, has_keys: bool, plain: bool, empty: str
) -> tuple[str, str]:
    """Character and style of a minute."""
    if name is None:
        return empty, "dim"
    app = apps.get(name) or apps[OTHER]
    if plain:
        return (app.letter.upper() if has_keys else app.letter), ""
    return (TYPED if has_keys else SEEN), app.colour


def _empty_hours(previous: datetime | None, start: datetime, time_zone: str) -> Sequence[str]:
    """Labels of the hours without evidence before `start`; one mark for many."""
    if previous is None:
        return ()
    missing = [
        previous + timedelta(hours=n) for n in range(1, round((start - previous) / timedelta(hours=1)))
    ]
    if len(missing) > FOLD_HOURS:
        return ("  :",)
    labels = pl.Series(missing, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(time_zone)
    return labels.dt.strftime("%H:%M").to_list()


def _print_legend(console: Console, apps: Sequence[_App], *, plain: bool) -> None:
    signs = [
        Text.assemble(
            (app.letter, "") if plain else (TYPED, app.colour),
            f" {_printable(app.name, ascii_only=console.options.ascii_only)} {_length(app.seconds)}",
        )
        for app in apps
    ]
    signs.append(Text("CAPITAL: typed" if plain else f"{TYPED} typed, {SEEN} not", style="dim"))
    console.print()
    console.print(Columns(signs, padding=(0, 3)))


def _printable(text: str, *, ascii_only: bool) -> str:
    return text.encode("ascii", "replace").decode() if ascii_only else text


def _blocks_table(blocks: pl.DataFrame, time_zone: str) -> Table:
    table = Table("block", "from", "to", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("active", "slices", "keystroke min"):
        table.add_column(heading, justify="right")
    ordered = blocks.sort("started_at").with_columns(
        pl.col("started_at", "ended_at").dt.convert_time_zone(time_zone)
    )
    for number, row in enumerate(ordered.iter_rows(named=True), start=1):
        table.add_row(
            str(number),
            f"{row['started_at']:%H:%M:%S}",
            # Ends are exclusive: the last second that the block has something of.
            f"{row['ended_at'] - timedelta(microseconds=1):%H:%M:%S}",
            _length(row["active_s"]),
            str(row["slice_count"]),
            str(row["keystroke_minutes"]),
        )
    return table


def _length(seconds: float) -> str:
    """`2 h 05 min`, `7.5 min`; minutes are floored."""
    if seconds < 3600:
        return f"{int(seconds / 6) / 10:g} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def summary_table(console: Console, summary: Mapping[str, object]) -> None:
    """Prints the summary of `coworkai process` (the object that `--json` writes) with its sums."""
    records, seconds, keys = (_numbers(summary, name) for name in ("records", "seconds", "keystroke_minutes"))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row(
        "records received", _count(records["received"]), _sum(records, "accepted", "duplicate", "quarantined")
    )
    for reason, count in sorted(_numbers(summary, "quarantine_reasons").items()):
        table.add_row("", _count(count), f"quarantined: {reason}")
    table.add_row("hours raw", _hours_of(seconds["raw"]), _sum(seconds, "kept", "overlapped", hours=True))
    table.add_row(
        "keystroke minutes", _count(keys["received"]), _sum(keys, "direct", "nearest", "gap", "orphan")
    )
    for name in ("workers", "days", "workblocks", "slices", "insights", "briefs"):
        table.add_row(name, _count(_number(summary, name)), "")
    table.add_row("elapsed", f"{_number(summary, 'elapsed_s'):.1f} s", "")
    console.print(table)


def _numbers(summary: Mapping[str, object], name: str) -> dict[str, float]:
    part = summary[name]
    if not isinstance(part, Mapping):
        raise TypeError(f"{name} of the summary is no object")
    return {str(key): float(value) for key, value in part.items()}


def _number(summary: Mapping[str, object], name: str) -> float:
    value = summary[name]
    if not isinstance(value, int | float):
        raise TypeError(f"{name} of the summary is no number")
    return value


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _hours_of(seconds: float) -> str:
    return f"{seconds / 3600:,.2f}"


def _sum(parts: Mapping[str, float], *names: str, hours: bool = False) -> str:
    show = _hours_of if hours else _count
    return "= " + " + ".join(f"{show(parts[name])} {name}" for name in names)
