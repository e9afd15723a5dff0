"""Insights of a day: what is notable, in which order, with ids that stay, as rows and as markdown."""

from __future__ import annotations

from datetime import timedelta

import pytest
from markdown_it import MarkdownIt
from tests.unit.insights.books import (
    PRIMARY,
    TENANT,
    USER,
    baseline,
    book_of,
    chat_only_day,
    empty_day,
    every_book,
    kpi,
    message,
    rich_day,
    usage,
)

from coworkai.common.tables import GOLD_INSIGHTS
from coworkai.insights.facts import Fact, FactBook
from coworkai.insights.grounding import violations
from coworkai.insights.insights import (
    DayInsights,
    InsightKind,
    InsightRow,
    insight_frame,
    insights_markdown,
    insights_of,
)
from coworkai.insights.render import render


def found(book: FactBook, of_type: str) -> InsightRow | None:
    return next((row for row in insights_of(book) if row.type == of_type), None)


def text(book: FactBook, of_type: str) -> str | None:
    row = found(book, of_type)
    return None if row is None else render(row.statement, book)


def test_workblock_insights_come_first_each_kind_by_score() -> None:
    rows = insights_of(rich_day())
    places = [(row.kind is InsightKind.CHAT, -row.score) for row in rows]
    assert places == sorted(places)
    assert {row.kind for row in rows} == set(InsightKind)


def test_a_change_far_from_usual_is_told_with_its_direction() -> None:
    assert text(rich_day(), "change.focus_s") == "Focused work came to 2 h 12 min, 51 min above your usual."


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ([kpi("active_s", 25_200.0), baseline("active_s", 25_200.0, 20_000.0, 1.9)], "an ordinary z"),
        ([kpi("active_s", 25_200.0), baseline("active_s", 25_200.0, 24_600.0, 5.0)], "ten minutes"),
        (
            [
                kpi("context_switches_per_hour", 20.0),
                baseline("context_switches_per_hour", 20.0, 19.0, 4.0),
            ],
            "five per cent",
        ),
        ([kpi("active_s", 25_200.0), baseline("active_s", 25_200.0, None, None)], "no history"),
    ],
)
def test_a_change_that_is_small_or_ordinary_is_not_told(facts: list[Fact], why: str) -> None:
    assert not [row for row in insights_of(book_of(facts)) if row.family == "change"], why


def test_past_days_that_were_all_alike_need_half_as_much_again() -> None:
    half_more = book_of([kpi("focus_s", 5_400.0), baseline("focus_s", 5_400.0, 3_600.0, None)])
    assert found(half_more, "change.focus_s") is not None
    little_more = book_of([kpi("focus_s", 4_600.0), baseline("focus_s", 4_600.0, 3_600.0, None)])
    assert found(little_more, "change.focus_s") is None


def test_a_usual_of_none_is_told_without_a_number() -> None:
    book = book_of([kpi("after_hours_s", 7_200.0), baseline("after_hours_s", 7_200.0, 0.0, 3.0)])
    assert text(book, "change.after_hours_s") == (
        "2 h of the work was outside your schedule, which is above your usual."
    )


def test_without_a_usual_the_day_before_stands_in() -> None:
    day_before = PRIMARY - timedelta(days=1)
    book = book_of([kpi("focus_s", 3_600.0), kpi("focus_s", 7_200.0, day_before)])
    assert text(book, "since.focus_s") == "Focused work came to 1 h, after 2 h on Mon 26 Oct."


def test_three_days_of_falling_focus_are_a_trend() -> None:
    book = book_of(
        [
            kpi("focus_s", 3_600.0),
            kpi("focus_s", 7_200.0, PRIMARY - timedelta(days=1)),
            kpi("focus_s", 9_000.0, PRIMARY - timedelta(days=4)),
        ]
    )
    assert text(book, "trend.focus_s") == (
        "Focused work came to 1 h, after 2 h on Mon 26 Oct and 2 h 30 min on Fri 23 Oct."
    )
    assert found(book, "since.focus_s") is None


def test_messages_that_took_much_of_the_day_are_told() -> None:
    book = book_of([usage("app", 1, "code", 8_000.0, 14_000.0), usage("app", 2, "slack", 2_800.0, 14_000.0)])
    assert text(book, "messaging.2") == "Messages had 46 min of the day, 20 % of active time."


@pytest.mark.parametrize(("seconds", "of"), [(2_600.0, 10_000.0), (2_800.0, 20_000.0)])
def test_messages_that_took_little_are_not_told(seconds: float, of: float) -> None:
    book = book_of([usage("app", 1, "code", 7_000.0, of), usage("app", 2, "slack", seconds, of)])
    assert found(book, "messaging.2") is None


def test_the_main_app_is_told_only_where_the_day_was_split() -> None:
    second = usage("app", 2, "chrome", 500.0, 10_000.0)
    assert found(book_of([usage("app", 1, "code", 9_000.0, 10_000.0), second]), "main_app") is not None
    for first in (usage("app", 1, "code", 9_600.0, 10_000.0), usage("app", 1, "code", 1_700.0, 3_000.0)):
        assert found(book_of([first, second]), "main_app") is None
    assert found(book_of([usage("app", 1, "code", 9_000.0, 10_000.0)]), "main_app") is None


def test_blockers_of_a_day_do_not_begin_alike() -> None:
    book = book_of([message(n, f"13:0{n}", f"step {n} is stuck", is_blocker=True) for n in range(1, 4)])
    said = [row.statement.text_template for row in insights_of(book) if row.family == "blocker"]
    assert len(set(said)) == len(said) == 3


def test_a_blocker_of_the_chat_is_quoted() -> None:
    said = text(chat_only_day(), "blocker.1")
    assert said is not None
    assert said.endswith("“it doesn't work, the import is stuck again”")


def test_a_blocker_that_was_put_twice_is_told_once() -> None:
    book = book_of(
        [
            message(1, "13:05", "the import is stuck", is_blocker=True),
            message(2, "13:45", "The import is STUCK", is_blocker=True),
            message(3, "13:20", "the export fails", is_blocker=True),
        ]
    )
    said = [render(row.statement, book) for row in insights_of(book) if row.family == "blocker"]
    assert [text.split("“")[1] for text in said] == ["the export fails”", "The import is STUCK”"]


def test_a_day_without_anything_has_its_gaps_only() -> None:
    assert [row.type for row in insights_of(empty_day())] == ["gap.telemetry", "gap.manifests"]


@pytest.mark.parametrize("name", every_book())
def test_every_insight_is_grounded(name: str) -> None:
    book = every_book()[name]
    for row in insights_of(book):
        assert violations(row.statement, book, book.facts) == []


def test_rows_have_the_columns_of_the_table_and_a_rank_within_their_kind() -> None:
    book = rich_day()
    frame = insight_frame([DayInsights(TENANT, USER, PRIMARY, insights_of(book), "run-1")])
    assert frame.schema == GOLD_INSIGHTS.schema
    assert frame["insight_id"].n_unique() == len(frame)
    assert frame["insight_id"][0] == f"insight:{USER}:2026-10-27:workblock:{frame['type'][0]}"
    for _, of_kind in frame.group_by("kind"):
        assert of_kind["rank"].to_list() == list(range(1, len(of_kind) + 1))
    assert frame["claims"][0][0] == {
        "fact_id": f"kpi:{USER}:2026-10-27:focus_blocks",
        "field": "value",
    }
    assert insight_frame([]).schema == GOLD_INSIGHTS.schema


def test_the_artefact_lists_statements_with_their_evidence() -> None:
    book = rich_day()
    page = insights_markdown(book, insights_of(book), InsightKind.CHAT)
    assert page.startswith(f"# Chat insights 2026-10-27: {USER}\n")
    assert "“billing export” came up in 3 messages. [2]" in page
    assert f"[2] `theme:{USER}:2026-10-27:1`" in page
    assert "focused work" not in page
    assert "<script" not in MarkdownIt().render(page)


def test_a_kind_without_insights_says_so() -> None:
    book = empty_day()
    page = insights_markdown(book, insights_of(book), InsightKind.CHAT)
    assert page == f"# Chat insights 2026-10-27: {USER}\n\nNothing to report.\n"
