"""The terminal views fit 80 columns, with and without colours, and say what the frames hold."""

from __future__ import annotations

import io
import re
from datetime import date, datetime, timedelta

import polars as pl
import pytest
from rich.console import Console
from tests.factories import at

from coworkai.common.tables import GOLD_SLICES, GOLD_WORKBLOCKS
from coworkai.local.show import day_timeline, summary_table

SUMMARY: dict[str, object] = {
    "records": {"received": 93231, "accepted": 91000, "duplicate": 2205, "quarantined": 26},
    "quarantine_reasons": {"unreadable": 3},
    "seconds": {"raw": 7200.0, "kept": 5400.0, "overlapped": 1800.0},
    "keystroke_minutes": {"received": 100, "direct": 70, "nearest": 20, "gap": 6, "orphan": 4},
    "workblocks": 3,
    "slices": 40,
    "days": 1,
    "workers": 2,
    "insights": 7,
    "briefs": 5,
    "elapsed_s": 1.25,
}


def console(encoding: str = "utf-8", *, colours: bool = False) -> tuple[Console, io.BytesIO]:
    written = io.BytesIO()
    text = io.TextIOWrapper(written, encoding=encoding, write_through=True)
    return Console(file=text, width=80, force_terminal=colours, no_color=not colours), written


def slices(*rows: tuple[datetime, datetime, str, int]) -> pl.DataFrame:
    frame = pl.DataFrame(
        rows, schema=["started_at", "ended_at", "app", "keystroke_minutes"], orient="row"
    ).with_columns(duration_s=(pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds() / 1e6)
    return frame.cast(pl.Schema({name: GOLD_SLICES.schema[name] for name in frame.columns}))


def blocks(start: datetime, end: datetime) -> pl.DataFrame:
    row = {"started_at": start, "ended_at": end, "active_s": 3723.0, "slice_count": 9, "keystroke_minutes": 2}
    return pl.DataFrame([row], schema={name: GOLD_WORKBLOCKS.schema[name] for name in row})


DAY = slices(
    (at("09:00"), at("09:30"), "chrome", 0),
    (at("09:10"), at("09:11"), "chrome", 1),
    (at("09:30"), at("10:05"), "code", 0),
)


def drawn(
    frame: pl.DataFrame, zone: str = "UTC", encoding: str = "utf-8", *, colours: bool = False
) -> list[str]:
    target, written = console(encoding, colours=colours)
    day_timeline(target, blocks(at("09:00"), at("10:05")), frame, "ana, Monday", time_zone=zone)
    return written.getvalue().decode(encoding).splitlines()


def test_without_colours_a_minute_is_a_letter_and_a_capital_when_typed() -> None:
    lines = drawn(DAY)
    assert lines[2] == "09:00 " + "h" * 10 + "H" + "h" * 19 + "c" * 30
    assert "c code 35 min" in lines[5]
    assert "h chrome 31 min" in lines[5]


def test_minutes_without_evidence_are_dots_in_their_place() -> None:
    ten = next(line for line in drawn(DAY) if line.startswith("10:00"))
    assert ten[6:].count("·") == 55
    assert set(ten[6:11]) != {"·"}


def test_with_colours_every_app_has_its_own() -> None:
    nine = next(line for line in drawn(DAY, colours=True) if line.startswith("09:00"))
    assert re.findall(r"\x1b\[(\d+)m▇", nine) == ["32"]
    assert set(re.findall(r"\x1b\[(\d+)m▃", nine)) == {"32", "94"}


def test_a_terminal_of_ascii_gets_ascii() -> None:
    lines = drawn(slices((at("09:00"), at("09:10"), "\u5fae\u4fe1", 0)), encoding="ascii")
    assert any(line.startswith("09:00 ") and "." in line for line in lines)


@pytest.mark.parametrize("colours", [False, True])
def test_nothing_is_wider_than_eighty_columns(*, colours: bool) -> None:
    names = [f"application number {number}" for number in range(12)]
    starts = [at("09:00") + timedelta(minutes=10 * number) for number in range(12)]
    frame = slices(
        *((start, start + timedelta(minutes=9), name, 0) for start, name in zip(starts, names, strict=True))
    )
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in drawn(frame, colours=colours)]
    assert max(len(line) for line in lines) <= 80
    assert any("other" in line for line in lines)


def test_hours_are_those_of_the_zone_also_at_half_hours() -> None:
    lines = drawn(slices((at("09:00"), at("09:10"), "code", 0)), zone="Asia/Kolkata")
    half_past_two = next(line for line in lines if line.startswith("14:00"))
    assert half_past_two[6:].index("c") == 30


def test_the_hour_that_clocks_repeat_has_two_lines() -> None:
    day = date(2026, 11, 1)
    frame = slices((at("05:30", day), at("06:30", day), "code", 0))
    labels = [line[:5] for line in drawn(frame, zone="America/New_York") if line[2:3] == ":"]
    assert labels[:2] == ["01:00", "01:00"]


def test_long_silences_are_one_line_and_short_ones_are_shown() -> None:
    starts = [at("06:00"), at("08:00"), at("15:00")]
    frame = slices(*((start, start + timedelta(minutes=10), "code", 0) for start in starts))
    labels = [line.strip()[:5] for line in drawn(frame)]
    assert [label for label in labels if ":" in label[:3]][:5] == ["06:00", "07:00", "08:00", ":", "15:00"]


def test_a_day_without_slices_says_so() -> None:
    assert "nothing recorded" in "\n".join(drawn(DAY.clear()))


def test_the_summary_shows_each_sum_with_its_parts() -> None:
    target, written = console()
    summary_table(target, SUMMARY)
    text = written.getvalue().decode()
    assert "= 91,000 accepted + 2,205 duplicate + 26 quarantined" in text
    assert "= 1.50 kept + 0.50 overlapped" in text
    assert "= 70 direct + 20 nearest + 6 gap + 4 orphan" in text
    assert "quarantined: unreadable" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("end", "shown"), [(timedelta(milliseconds=804), "12:17:35"), (timedelta(0), "12:17:34")]
)
def test_a_block_ends_in_the_last_second_that_it_has_something_of(end: timedelta, shown: str) -> None:
    target, written = console()
    june = date(2026, 6, 1)
    ended_at = at("16:17", june) + timedelta(seconds=35) + end
    day_timeline(target, blocks(at("16:00", june), ended_at), DAY, "ana", time_zone="America/New_York")
    assert f"12:00:00  {shown}" in written.getvalue().decode()
