"""What the prompt tells its writer to say passes the gate, also joined; with one thing changed it does not.

A sample is tried here; the benchmark tries more (benchmarks/grounding.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from benchmarks.grounding import DAYS, FORMS_SEED, of_forms
from benchmarks.grounding_cases import books, draw
from benchmarks.grounding_forms import (
    AROUND,
    GROUPS,
    SAYING,
    SPELT,
    TRUE,
    advice,
    has_turn,
    nouns_of,
    stated,
    statement,
    untrue,
)

from coworkai.common.measures import CATALOGUE
from coworkai.insights.brief import Statement, StatementKind
from coworkai.insights.facts import FactBook
from coworkai.insights.grounding import violations
from coworkai.insights.grounding.lexicon import lexicon

BOOKS = 2
JOINS = 120


@cache
def sample() -> Sequence[FactBook]:
    """The first has neither telemetry nor a manifest."""
    return tuple(books(FORMS_SEED, DAYS))[:BOOKS]


def refused(said: Iterator[tuple[Statement | None, FactBook]]) -> dict[str, bool]:
    """By the text of each statement whether it is refused in any book."""
    found: dict[str, bool] = {}
    for one, book in said:
        if one is not None:
            is_refused = bool(violations(one, book, book.facts))
            found[one.text_template] = is_refused or found.get(one.text_template, False)
    return found


def over_books(
    said: Iterator[tuple[str, str]], *, turned: bool = False
) -> Iterator[tuple[Statement | None, FactBook]]:
    for line, text in said:
        for book in sample():
            yield statement(line, text, book, turned=turned), book


def test_what_the_prompt_tells_to_say_may_be_published() -> None:
    found = refused(over_books(stated()))
    assert len(found) > 300
    assert [text for text, is_refused in found.items() if is_refused] == []


def test_every_form_is_of_something_that_the_books_have() -> None:
    for line, text in stated():
        assert any(statement(line, text, book) for book in books(FORMS_SEED, DAYS)), (line, text)


def test_a_status_of_another_fact_is_refused() -> None:
    found = refused(over_books(untrue()))
    assert len(found) > 40
    assert [text for text, is_refused in found.items() if not is_refused] == []


def test_a_direction_turned_round_is_refused() -> None:
    found = refused(over_books(((line, text) for line, text in stated() if has_turn(text)), turned=True))
    assert len(found) > 100
    assert [text for text, is_refused in found.items() if not is_refused] == []


def test_advice_may_be_given_in_every_tone_and_for_any_time() -> None:
    for one in advice():
        for word in AROUND:
            own = word.text.replace("{name}", "{goal.open.2.name}")
            said = f"{own} {one.text}." if own in {"you could", "try to"} else f"{one.text} {own}."
            for book in sample():
                drawn = draw({"kind": StatementKind.NEXT_STEP.value, "text": said}, book)
                if drawn is not None:
                    assert violations(drawn.statement(), book, book.facts) == [], drawn.text


def test_joined_forms_may_be_published_and_with_one_fault_may_not() -> None:
    for case, book in of_forms(FORMS_SEED + 1, JOINS, days=BOOKS):
        found = violations(case.statement, book, case.offered)
        assert (case.kind == "true") == (not found), (case.kind, case.statement.text_template)


def test_every_line_with_forms_is_tried() -> None:
    tried = {*TRUE, *GROUPS, "one measure", "two days", "after a value", "alone", "before and after"}
    assert {line for line, forms in SAYING.forms.items() if forms} <= tried


def test_measures_are_called_as_the_gate_knows_them() -> None:
    for measure in {*SAYING.called, *SPELT}:
        assert measure in CATALOGUE
        for noun in nouns_of(measure):
            words = noun.removeprefix("the ").removeprefix("your ").split()
            assert any(
                measure in entry.measures
                for start in range(len(words))
                if (entry := lexicon().entries.get(tuple(words[start:]))) is not None
            ), noun
