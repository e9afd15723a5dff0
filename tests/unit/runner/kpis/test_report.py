"""The workblock report: readable, the same bytes every time, and safe with whatever is in a title."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.unit.runner.kpis.example_day import GOLDEN, example_inputs, example_report, shuffled
from tests.unit.runner.kpis.frames import (
    DAY,
    accounting,
    block,
    blocks,
    health,
    org,
    pair,
    slice_,
    slices,
    usage,
)

from coworkai.common.tables import GOLD_KPI_DAILY
from coworkai.runner.stage1.markdown import code_lines, decimal, escaped, minutes, table_row
from coworkai.runner.stage1.report import ReportInputs, reports


def report_of(tenant_zone: str = "UTC", **frames: pl.DataFrame) -> str:
    """The report of the only worker-day."""
    given = {
        "workblocks": blocks(),
        "atomic_slices": slices(),
        "usage_statistics": usage(),
        "day_accounting": accounting({}),
        "kpi_daily": GOLD_KPI_DAILY.empty(),
        "manifest_pairs": pair(),
        "telemetry_health": health(),
        "org_members": org(),
    } | frames
    ((_, _, markdown),) = reports(ReportInputs(**given), tenant_zone=tenant_zone)
    return markdown


def value_of(expr: pl.Expr) -> Any:
    return pl.select(expr).item()


def tokens_of(markdown: str) -> list[Token]:
    """Block and inline tokens as a reader's markdown sees them, tables and links in text included."""
    parsed = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown)
    return [t for block_token in parsed for t in (block_token, *(block_token.children or ()))]


def test_the_example_day_is_the_golden_report() -> None:
    assert example_report().markdown == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_rows_changes_no_byte(seed: int) -> None:
    assert list(reports(shuffled(example_inputs(), seed))) == [example_report()]


def test_every_worker_day_has_its_own_report_by_date_and_worker() -> None:
    later = DAY + timedelta(days=1)
    counted = accounting(
        {"user_id": "bob", "keystroke_minutes": 7, "direct": 7},
        {"user_id": "ann", "date": later},
        {"user_id": "ann"},
    )
    declared = pair({"user_id": "zoe"})
    given = ReportInputs(
        blocks(), slices(), usage(), counted, GOLD_KPI_DAILY.empty(), declared, health(), org()
    )
    got = list(reports(given))
    assert [(r.user_id, r.date) for r in got] == [("ann", DAY), ("bob", DAY), ("zoe", DAY), ("ann", later)]
    assert ["| **All, each matched once** | 7 |" in r.markdown for r in got] == [False, True, False, False]


def test_without_worker_days_there_are_no_reports() -> None:
    nothing = ReportInputs(
        blocks(), slices(), usage(), accounting(), GOLD_KPI_DAILY.empty(), pair(), health(), org()
    )
    assert list(reports(nothing)) == []


def test_an_empty_day_says_what_is_missing() -> None:
    markdown = report_of()
    for line in (
        "The organisation data has no row for this worker that is valid on this day.",
        "No start-of-day or end-of-day manifest.",
        "No activity long enough to be a workblock.",
        "Nothing was used.",
        "No keystroke minute arrived.",
        "- No manifest was declared.",
    ):
        assert line in markdown.splitlines()
    assert "None" not in markdown


def test_the_worked_reading_case_has_its_five_slices() -> None:
    page = {"url": "https://medium.com/article"}
    keyed = page | {"keystroke_minutes": 1, "key_count": 1}
    cut = slices(
        slice_("chrome", "14:00", "14:01", **page),
        slice_("chrome", "14:01", "14:02", **keyed),
        slice_("chrome", "14:02", "14:20", **page),
        slice_("chrome", "14:20", "14:21", **keyed),
        slice_("chrome", "14:21", "14:35", **page),
    )
    markdown = report_of(
        atomic_slices=cut, workblocks=blocks(block("14:00", "14:35", workblock_id="wb:a:0:00"))
    )
    shown = [line.split(" | ")[1:4] for line in markdown.splitlines() if " chrome " in line]
    assert shown == [
        ["14:00:00", "14:00:59", "1.0"],
        ["14:01:00", "14:01:59", "1.0"],
        ["14:02:00", "14:19:59", "18.0"],
        ["14:20:00", "14:20:59", "1.0"],
        ["14:21:00", "14:34:59", "14.0"],
    ]


def test_times_are_in_the_workers_zone_else_in_the_tenants() -> None:
    day = {
        "atomic_slices": slices(slice_("code", "22:00", "23:00")),
        "workblocks": blocks(block("22:00", "23:00")),
    }
    assert "17:00:00–17:59:59" in report_of("America/New_York", **day)
    assert "23:00:00–23:59:59" in report_of(
        "America/New_York", org_members=org({"time_zone": "Europe/Rome"}), **day
    )
    unknown = report_of("America/New_York", org_members=org({"time_zone": "Mars/Olympus"}), **day)
    assert "17:00:00–17:59:59" in unknown
    assert "names a time zone that does not exist" in unknown


def test_typed_text_has_a_column_only_where_it_was_captured() -> None:
    found = blocks(block("09:00", "09:30"))
    keyed = {"keystroke_minutes": 1, "key_count": 5}
    counts = slices(slice_("code", "09:00", "09:01", **keyed), slice_("code", "09:01", "09:30"))
    assert "Typed" not in report_of(atomic_slices=counts, workblocks=found)
    text = slices(
        slice_("code", "09:00", "09:01", keystroke_log="Hi<Backspace>{2}|x", **keyed),
        slice_("code", "09:01", "09:30"),
    )
    lines = report_of(atomic_slices=text, workblocks=found).splitlines()
    assert r"| 1 | 09:00:00 | 09:00:59 | 1.0 | code |  | 5 |  | Hi\<Backspace>{2}\|x |" in lines
    assert "| 2 | 09:01:00 | 09:29:59 | 29.0 | code |  |  |  |  |" in lines


def test_keys_that_were_not_kept_are_not_zero() -> None:
    off = slices(slice_("code", "09:00", "09:30", keystroke_minutes=1, key_count=None))
    assert "| not kept |" in report_of(atomic_slices=off, workblocks=blocks(block("09:00", "09:30")))


def test_a_missing_end_of_day_leaves_goals_unknown() -> None:
    markdown = report_of(manifest_pairs=pair({"goals": ["ship"], "is_eod_missing": True}))
    assert "| ship | not known |" in markdown
    assert "- The end-of-day manifest is missing." in markdown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0.0"), (0.000001, "0.1"), (2, "0.1"), (11.999, "0.1"), (12, "0.2"), (59.9, "0.9"), (60, "1.0")],
)
def test_minutes_are_rounded_down_to_tenths_and_at_least_one_tenth(seconds: float, shown: str) -> None:
    assert value_of(minutes(pl.lit(seconds, pl.Float64))) == shown


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [(0.05, 1, "0.1"), (-1.25, 1, "-1.3"), (-0.01, 1, "0.0"), (1234567.5, 0, "1234568"), (2, 2, "2.00")],
)
def test_decimals_are_written_in_full(value: float, digits: int, shown: str) -> None:
    assert value_of(decimal(pl.lit(value, pl.Float64), digits)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("[x](http://e.vil)", r"\[x\](http:\//e.vil)"),
        ("<img src=x>", r"\<img src=x>"),
        ("&lt;b&gt; AT&T", r"\&lt;b\&gt; AT&T"),
        ("one\r\ntwo\tthree\u2028four\x00", "one two three four"),
        ("gpj.\u202eexe\u200b\ufeff\u2066\u00ad", "gpj.exe"),
        ("a_b __init__", r"a\_b \_\_init\_\_"),
        ("snake_case_name", "snake_case_name"),
        ("WWW.e.vil", r"WWW\.e.vil"),
        (r"\| tricky", r"\\\| tricky"),
        ("*a* ~~b~~ $c$", r"\*a\* \~\~b\~\~ \$c\$"),
        ("x" * 101, "x" * 99 + "…"),
        ("", ""),
        (None, None),
    ],
)
def test_text_from_outside_is_shown_and_never_markup(text: str | None, shown: str | None) -> None:
    assert value_of(escaped(pl.lit(text, pl.String))) == shown


hostile = st.text(
    alphabet=st.one_of(st.sampled_from("|`*_[]()<>!~\\&;#-+=:/.\n\r\t \u202e\u200b$\"'aw1"), st.characters())
)


@settings(max_examples=300, deadline=None)
@given(hostile, hostile)
def test_no_text_breaks_out_of_its_cell(one: str, two: str) -> None:
    row = value_of(table_row(pl.lit("1"), escaped(pl.lit(one)), escaped(pl.lit(two))))
    found = tokens_of(f"| # | a | b |\n| --- | --- | --- |\n{row}\n")
    kinds = [token.type for token in found]
    assert kinds.count("tr_open") == 2
    assert kinds.count("td_open") == 3
    structure = ("table_", "thead_", "tbody_", "tr_", "th_", "td_")
    assert {kind for kind in kinds if not kind.startswith(structure)} <= {"inline", "text", "text_special"}
    visible = "".join(token.content for token in found if token.type == "text")
    assert all(ord(char) >= 32 and char not in "\u202e\u200b" for char in visible)


@settings(max_examples=200, deadline=None)
@given(hostile)
def test_no_text_breaks_out_of_its_code_block(text: str) -> None:
    block_text = value_of(code_lines(pl.lit("x" + text)))
    kinds = [token.type for token in tokens_of(f"Said:\n\n{block_text}\n\nEnd.\n")]
    assert [k for k in kinds if k not in {"inline", "text"}] == [
        "paragraph_open",
        "paragraph_close",
        "code_block",
        "paragraph_open",
        "paragraph_close",
    ]


def test_the_example_date_is_a_change_of_clocks() -> None:
    assert example_report().date == date(2024, 3, 31)
    assert "The clock was changed on this day" in example_report().markdown
