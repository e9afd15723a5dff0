"""Text that came with telemetry may be anything, also nothing: the day is told all the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.insights.gold_rows import (
    DAY,
    START,
    accounting,
    at,
    block,
    blocks,
    chat,
    declared,
    focus,
    gold,
    kpi,
    kpis,
    message,
    pairs,
    slices,
    usage,
)

from coworkai.insights.assemble import assemble, sections_of
from coworkai.insights.brief import Brief, Grounding, Provenance
from coworkai.insights.clean import clean
from coworkai.insights.compose import compose
from coworkai.insights.context import consolidate
from coworkai.insights.fact_books import GoldFrames, worker_books
from coworkai.insights.facts import FactBook, FieldUnit
from coworkai.insights.insights import InsightKind, insights_markdown, insights_of
from coworkai.insights.markdown import brief_markdown
from coworkai.insights.tokens import offline_tokenizer

TOKENIZER = offline_tokenizer()
NOTHING = ["", " ", "\t\n", "\u200b\u200d\ufeff", "\u202e\u2066", "\x00\x07", "\x1b[31m", "\u3164", "\ufe0f"]
HOSTILE = [
    *NOTHING,
    "x" * 50_000,
    "wörd " * 10_000,
    "a\u0301" * 3_000,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 500,
    "**bold** [link](http://x.y) `code` | # - 1. ![i](j)",
    "<script>alert(1)</script><b>&lt;",
    "{0} {} {9} %s",
    "slack\u202egro.live",
    "<email:0123456789abcdef>",
    '“quoted” "too"',
    "None",
    "none",
]


def only(frames: GoldFrames) -> FactBook:
    (book,) = worker_books(frames, DAY, START)
    return book


def told(book: FactBook) -> tuple[Brief, str]:
    """The brief and its context; everything that is written of a worker's day on the way."""
    found = insights_of(book)
    for one in InsightKind:
        insights_markdown(book, found, one)
    context = consolidate(book, found, 24_000, TOKENIZER)
    brief = assemble(
        book,
        sections_of(compose(book, found), book),
        identifier="0" * 32,
        subject_kind="worker",
        grounding=Grounding(),
        provenance=Provenance(
            writer="deterministic",
            rules_version="1",
            context_start=book.start,
            context_end=book.primary,
            gold_versions={},
        ),
    )
    return brief, context.markdown


def texts(brief: Brief) -> list[str]:
    return [one.text for one in brief.statements()]


@pytest.mark.parametrize("nothing", NOTHING)
def test_text_without_a_visible_character_is_no_value(nothing: str) -> None:
    book = only(
        gold(
            manifests=pairs(
                {
                    "goals": [nothing],
                    "focus_areas": [nothing],
                    "kpis": [declared(nothing, 1.0, 2.0, 2.0, nothing)],
                }
            ),
            chat=chat(message(1, "09:00", nothing, assistant=nothing)),
            usage_statistics=usage({"kind": "app", "rank": 1, "name": nothing, "duration_s": 9.0}),
        )
    )
    words = [
        field.value
        for fact in book.facts.values()
        for field in fact.fields.values()
        if field.unit in {FieldUnit.NAME, FieldUnit.TEXT}
    ]
    assert words
    assert set(words) == {None}


def test_a_declared_kpi_with_an_empty_unit_has_its_place_in_the_brief_and_the_context() -> None:
    book = only(gold(manifests=pairs({"kpis": [declared("neg", -5.0, None, None, "")]})))
    brief, context = told(book)
    assert "- target: name neg, target -5, status unreported" in context
    assert "Report a figure for “neg”, whose target is -5." in texts(brief)


def test_a_goal_that_cannot_be_read_is_named_nowhere_and_the_others_are() -> None:
    book = only(
        gold(
            manifests=pairs(
                {"goals": ["\u200b", "None", "ship"], "goals_done": ["None"]},
                {"goals": ["\u200b", "ship"], "goals_done": [], "date": DAY.replace(day=DAY.day - 1)},
            )
        )
    )
    written = " ".join(texts(told(book)[0]))
    assert "“ship”" in written
    assert "“None”" in written
    assert "still open on" not in written
    assert "“”" not in written


def test_messages_alone_make_a_brief() -> None:
    book = only(gold(chat=chat(message(1, "09:00", "the import is stuck"), message(2, "09:05", "\u200b"))))
    brief, context = told(book)
    nothing = "No activity was recorded and no manifest arrived on Wed 10 Jan; "
    assert brief.headline.text.startswith(f"{nothing}you sent 2 messages in ")
    assert any("“the import is stuck”" in one.text for one in brief.blockers)
    assert not brief.momentum or "“”" not in " ".join(texts(brief))
    assert "the import is stuck" in context


def test_manifests_alone_make_a_brief() -> None:
    book = only(gold(manifests=pairs({"goals": ["ship", "<b>rest</b>"], "goals_done": ["ship"]})))
    brief, _ = told(book)
    assert "No activity was recorded on Wed 10 Jan" in brief.headline.text
    assert any("“<b>rest</b>”" in one.text for one in brief.next_steps)
    assert "<b>" not in brief_markdown(brief)


words = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, -5.0, -1e300, 1.7e308, 5e-324, float("inf"), float("nan"), 2.0**53]),
    st.floats(),
)


@st.composite
def hostile_days(draw: st.DrawFn) -> GoldFrames:
    def text() -> str:
        return draw(words)

    def amount() -> float:
        return draw(numbers)

    goals = draw(st.lists(words, max_size=3))
    kpi_rows: list[dict[str, Any]] = [
        declared(text(), amount(), draw(st.none() | numbers), draw(st.none() | numbers), text())
        for _ in range(draw(st.integers(0, 2)))
    ]
    manifest = {
        "goals": goals,
        "goals_done": goals[:1],
        "is_eod_missing": draw(st.booleans()),
        "focus_areas": draw(st.lists(words, max_size=2)),
        "kpis": kpi_rows,
    }
    given: dict[str, Any] = {
        "manifests": pairs(manifest, {**manifest, "goals_done": [], "date": START}),
        "chat": chat(
            message(1, "09:00", text(), assistant=text()),
            message(2, "09:05", "it is stuck " + text(), assistant=text()),
        ),
    }
    if draw(st.booleans()):
        given |= {
            "day_accounting": accounting({"raw_s": 60.0, "kept_s": 60.0}),
            "usage_statistics": usage(
                *(
                    {"kind": "app", "rank": n, "name": text(), "duration_s": amount(), "day_share": amount()}
                    for n in (1, 2)
                ),
            ),
            "workblocks": blocks(block(0, "09:00", "10:30")),
            "focus_blocks": focus(
                {"started_at": at("09:00"), "ended_at": at("10:00"), "duration_s": 3_600.0, "app": text()}
            ),
            "atomic_slices": slices(
                {
                    "sequence": 1,
                    "started_at": at("09:00"),
                    "ended_at": at("10:00"),
                    "duration_s": 3_600.0,
                    "app": text(),
                    "title": text(),
                }
            ),
            "kpi_daily": kpis(kpi("active_s", amount()), kpi("focus_s", amount())),
        }
    return gold(**given)


@settings(max_examples=40, deadline=None)
@given(hostile_days())
def test_whatever_a_day_says_it_has_a_brief_that_says_nothing_unreadable(frames: GoldFrames) -> None:
    book = only(frames)
    brief, context = told(book)
    page = [line.strip() for line in brief_markdown(brief).splitlines()]
    for line in [*texts(brief), *context.splitlines(), *page]:
        assert line == clean(line, max(len(line), 1))
        assert "“”" not in line
