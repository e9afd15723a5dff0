"""Briefs as markdown: sections that have something, numbered evidence, and text that is only ever text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.unit.insights.books import book_of, empty_day, every_book, goal, kpi, rich_day
from tests.unit.insights.test_assemble import written

from coworkai.insights.brief import Brief
from coworkai.insights.clean import clean
from coworkai.insights.facts import Status
from coworkai.insights.markdown import brief_markdown, code, document, escaped

PARSER = MarkdownIt("commonmark", {"linkify": False}).enable(["table", "strikethrough"])
_CONTAINERS = ("bullet_list", "em", "heading", "list_item", "paragraph", "strong")
HARMLESS = {
    *(f"{name}_{end}" for name in _CONTAINERS for end in ("open", "close")),
    *("code_inline", "hardbreak", "hr", "inline", "softbreak", "text", "text_special"),
}
"""What a brief is made of; anything else came from outside."""
HOSTILE = [
    "![x](https://evil.example/p.png)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "https://evil.example/?q=1",
    "www.evil.example",
    "mail me@evil.example",
    "**bold** _it_ __u__ ~~s~~ `code`",
    "| a | b |\n|---|---|",
    "# heading\n\n- list\n\n> quote",
    "1. one",
    "+ plus",
    "&lt;b&gt; &#x3c;i&#62;",
    "$$x$$ $y$",
    "[1]: https://evil.example",
    "trailing\\",
    "``` fence",
    "[^1] footnote",
    "==mark== ^sup^",
]


def tokens(text: str) -> list[Token]:
    found = []
    for token in PARSER.parse(text):
        found.append(token)
        found.extend(token.children or ())
    return found


def shown(text: str) -> str:
    """What a reader sees of markdown that has no structure of its own."""
    return "".join(
        "\n" if token.type in {"softbreak", "hardbreak"} else token.content
        for token in tokens(text)
        if token.type in {"text", "code_inline", "softbreak", "hardbreak", "text_special"}
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_forms_nothing(text: str) -> None:
    line = clean(text, 200)
    for place in (escaped(line), f"- {escaped(line)}", f"**{escaped(line)}**"):
        assert {token.type for token in tokens(place)} <= HARMLESS
        assert shown(place) == line


@settings(max_examples=300)
@given(st.text(max_size=60).map(lambda text: clean(text, 60)).filter(bool))
def test_any_line_reads_as_itself(text: str) -> None:
    assert shown(f"- {escaped(text)}") == text


@settings(max_examples=200)
@given(
    st.text("`ab ", min_size=1, max_size=12).filter(lambda text: bool(text.strip()) and text == text.strip())
)
def test_an_id_is_a_code_span_whatever_backticks_it_has(text: str) -> None:
    spans = [token.content for token in tokens(code(text)) if token.type == "code_inline"]
    assert spans == [text]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_goal_changes_nothing_but_its_own_quotation(text: str) -> None:
    book = book_of([kpi("active_s", 3_600.0), goal(1, text, Status.OPEN), goal(2, text, Status.OPEN)])
    page = brief_markdown(written(book))
    assert {token.type for token in tokens(page)} <= HARMLESS
    plain = brief_markdown(
        written(book_of([kpi("active_s", 3_600.0), goal(1, "a", Status.OPEN), goal(2, "a", Status.OPEN)]))
    )
    assert [line[:2] for line in page.splitlines()] == [line[:2] for line in plain.splitlines()]


@pytest.mark.parametrize("name", every_book())
def test_every_cited_fact_is_in_the_evidence_once(name: str) -> None:
    brief = written(every_book()[name], "team" if name == "team_week" else "worker")
    page = brief_markdown(brief)
    for number, evidence in enumerate(brief.evidence, start=1):
        assert page.count(f"[{number}] {code(evidence.fact_id)}") == 1
    assert page.endswith(f"brief {brief.brief_id}.\n")


def test_a_section_without_statements_is_left_out() -> None:
    page = brief_markdown(written(empty_day()))
    assert "## In the way" not in page
    assert "## Next" not in page
    assert "## About the data" not in page
    assert "## Evidence" in page


def test_the_page_names_the_day_and_how_it_was_written() -> None:
    page = brief_markdown(written(rich_day()))
    assert page.startswith("# Brief for Tuesday, 27 October 2026\n")
    assert "Written by the deterministic writer from facts of 2026-10-21 to 2026-10-27" in page


def test_a_models_brief_tells_what_became_of_its_statements() -> None:
    brief = written(rich_day())
    changed = Brief.model_validate(
        brief.model_dump()
        | {
            "grounding": {"accepted": 7, "repaired": 2, "replaced": 1, "fallback_reason": None},
            "provenance": brief.provenance.model_dump()
            | {
                "writer": "gemini",
                "model": "gemini-2.5-flash",
                "prompt_version": "3",
                "input_tokens": 5120,
                "output_tokens": 640,
            },
        }
    )
    page = brief_markdown(changed)
    assert "Written by gemini-2.5-flash" in page
    assert "prompt 3; 5,120 tokens in, 640 out; 7 statements as drafted; 2 repaired, 1 replaced" in page


def test_a_page_without_a_line_says_what_it_is_told_to() -> None:
    assert document("Title", [("Empty", [])], nothing="Nothing.") == "# Title\n\nNothing.\n"
