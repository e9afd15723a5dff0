"""The gate: what may be published, and by which rule what may not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random

import pytest
from benchmarks.grounding_cases import books as sample_books
from benchmarks.grounding_cases import falsehoods, phrasings, true_statements
from tests.unit.insights import books

from coworkai.insights.brief import Claim, Statement, StatementKind
from coworkai.insights.compose import compose, compose_team
from coworkai.insights.facts import FactBook, FactKind
from coworkai.insights.grounding import Rule, violations
from coworkai.insights.insights import insights_of
from coworkai.insights.offer import statements_of
from coworkai.insights.phrases import sentence_for

BOOK = books.rich_day()
KIND = StatementKind
DAY = f"{books.USER}:{books.PRIMARY}"


def fact(short: str) -> str:
    """`"kpi focus_s"`, `"usage app:1"`: the id of a fact of the rich day; a whole id stays as it is."""
    kind, _, rest = short.partition(" ")
    if kind.count(":") > 1:
        return kind
    return f"{kind}:{DAY}:{rest}" if rest else f"{kind}:{DAY}"


def said(template: str, *claims: str, kind: StatementKind = KIND.INSIGHT) -> Statement:
    """A statement; a claim is `"kpi focus_s.value"`."""
    cited = (claim.rsplit(".", 1) for claim in claims)
    return Statement(
        text_template=template,
        claims=tuple(Claim(fact_id=fact(short), field=field) for short, field in cited),
        kind=kind,
    )


def rules(statement: Statement, book: FactBook = BOOK) -> set[Rule]:
    return {found.rule for found in violations(statement, book, book.facts)}


FOCUS, MEDIAN, MORE = "kpi focus_s.value", "baseline focus_s.median", "baseline focus_s.difference"
YESTERDAY = f"kpi:{books.USER}:2026-10-26:focus_s.value"
CODE, CODE_S = "usage app:1.name", "usage app:1.duration_s"
CHROME, CHROME_S = "usage app:2.name", "usage app:2.duration_s"
DONE, OPEN = "goal 1.name", "goal 2.name"
MET, MISSED = "target 1", "target 2"


# ------------------------------------------------------------------------------------------------ true
@pytest.mark.parametrize(
    "statement",
    [
        said("{0} of focus time, {1} more than usual.", FOCUS, MORE),
        said("Focus: {0}, against a usual {1}.", FOCUS, MEDIAN),
        said("On Tuesday you had {0} of focused work.", FOCUS),
        said("{0} took {1} and {2} took {3}.", CODE, CODE_S, CHROME, CHROME_S),
        said("{0} and {1} took {2} and {3}.", CODE, CHROME, CODE_S, CHROME_S),
        said("Code led the day with {0}.", CODE_S),
        said("You were active for {0}.", "kpi active_s.value"),
        said("{0} is done and {1} is still open.", DONE, OPEN),
        said("{0} was not reported done.", OPEN),
        said("{0} reached its target: {1} of {2}.", f"{MET}.name", f"{MET}.actual", f"{MET}.target"),
        said("{0} fell short at {1}.", f"{MISSED}.name", f"{MISSED}.attainment"),
        said("{0} of {1} goals are done.", "kpi goals_done.value", "kpi goals_declared.value"),
        said("{0} of the work was outside your schedule.", "kpi after_hours_s.value"),
        said("Plan a longer block for {0} tomorrow morning.", OPEN, kind=KIND.NEXT_STEP),
        said("Mute {0} during focus blocks first.", CHROME, kind=KIND.NEXT_STEP),
        said("{0} of active time, {1}, went to {2}.", "usage app:1.day_share", CODE_S, CODE),
    ],
    ids=lambda statement: statement.text_template,
)
def test_what_the_facts_say_may_be_published(statement: Statement) -> None:
    assert rules(statement) == set()


# ------------------------------------------------------------------------------------------------ false
@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        (Rule.CITATION, said("{0} of focus time.", "kpi nothing.value")),
        (Rule.CITATION, said("{0} of focus time.", "kpi focus_s.total")),
        (Rule.CITATION, said("Calls came to {0}.", "target 3.actual")),
        (Rule.TEMPLATE, said("{0} of focus time, {1}.", FOCUS)),
        (Rule.TEMPLATE, said("Focus time.", FOCUS)),
        (Rule.NUMBER, said("You had 5 h of focus, {0} in all.", FOCUS)),
        (Rule.NUMBER, said("You had {0} of focus in four blocks.", FOCUS)),
        (Rule.NUMBER, said("Focus was {0}, half of the day.", FOCUS)),
        (Rule.NUMBER, said("Focus was {0}, ٣ times.", FOCUS)),
        (Rule.UNIT, said("You had {0} minutes of focus.", FOCUS)),
        (Rule.UNIT, said("You had {0} % of focus.", FOCUS)),
        (Rule.MEASURE, said("{0} of focus and {1} of active time.", "kpi active_s.value", FOCUS)),
        (Rule.MEASURE, said("You had {0} of idle time.", FOCUS)),
        (Rule.MEASURE, said("{0} of focus, with frequent context switches.", FOCUS)),
        (Rule.PAIRING, said("{0} took {1} and {2} took {3}.", CODE, CHROME_S, CHROME, CODE_S)),
        (Rule.PAIRING, said("{0} of focus in {1}.", FOCUS, CHROME)),
        (Rule.PAIRING, said("Focus: {0}, against a usual {1}.", MEDIAN, FOCUS)),
        (Rule.PAIRING, said("A focus block from {0} to {1}.", "focus 1.ended_at", "focus 1.started_at")),
        (Rule.PAIRING, said("A focus block from {0} to {1}.", "focus 1.started_at", "focus 2.ended_at")),
        (Rule.PAIRING, said("{0}: {1} of {2}.", f"{MET}.name", f"{MISSED}.actual", f"{MET}.target")),
        (Rule.DAY, said("On Monday you had {0} of focus.", FOCUS)),
        (Rule.DAY, said("You had {0} of focus last week.", FOCUS)),
        (Rule.DAY, said("The longest focus block began at {0} in the evening.", "focus 1.started_at")),
        (Rule.NAME, said("You spent {0} in Figma.", CODE_S)),
        (Rule.NAME, said("You had {0} of focus, then chrome.", FOCUS)),
        (Rule.STATUS, said("{0} is open.", DONE)),
        (Rule.STATUS, said("{0} is not done.", DONE)),
        (Rule.STATUS, said("{0} is done, and so far {1} is done.", DONE, OPEN)),
        (
            Rule.STATUS,
            said(
                "{0} exceeded its target: {1} of {2}.", *(f"{MET}.{f}" for f in ("name", "actual", "target"))
            ),
        ),
        (Rule.STATUS, said("No end-of-day manifest arrived on {0}.", "day.date")),
        (Rule.DIRECTION, said("{0} of focus time, {1} less than usual.", FOCUS, MORE)),
        (Rule.DIRECTION, said("{0} of focus time, more than usual.", FOCUS)),
        (Rule.DIRECTION, said("Focus time fell from {0} the day before to {1}.", YESTERDAY, FOCUS)),
        (Rule.SUPPORT, said("You had {0} of focus, {1}, and you did nothing else.", FOCUS, MORE)),
        (Rule.SUPERLATIVE, said("{0} was your top app with {1}.", CHROME, CHROME_S)),
        (Rule.SUPERLATIVE, said("Your longest focus block took {0}.", "focus 2.duration_s")),
        (Rule.CAUSE, said("You had {0} of focus because it was quiet.", FOCUS)),
        (Rule.CHARACTER, said("A lazy day of {0} of focus.", FOCUS)),
        (Rule.EMOTION, said("You had {0} of focus and felt stressed.", FOCUS)),
        (Rule.HEALTH, said("You had {0} of focus, near burnout.", FOCUS)),
        (Rule.PERSON, said("You had {0} of focus, unlike your colleagues.", FOCUS)),
        (Rule.MARKUP, said("You had {0} of focus, see www.example.org.", FOCUS)),
        (Rule.MARKUP, said("You had **{0}** of focus.", FOCUS)),
        (Rule.MARKUP, said("You had {0} of fo\u200bcus.", FOCUS)),
        (Rule.VOCABULARY, said("You had {0} of fοcus.", FOCUS)),
        (Rule.SUPPORT, said("You had {0} of focus. You did nothing else.", FOCUS)),
        (Rule.SUPPORT, said("You had {0} of focus, as the plan was late.", FOCUS)),
    ],
    ids=lambda one: one.value if isinstance(one, Rule) else one.text_template,
)
def test_what_the_facts_do_not_say_is_refused_by_its_rule(rule: Rule, statement: Statement) -> None:
    assert rule in rules(statement)


def test_a_fact_that_was_not_offered_may_not_be_stated() -> None:
    statement = said("You had {0} of focus.", FOCUS)
    assert violations(statement, BOOK, BOOK.facts) == []
    assert {found.rule for found in violations(statement, BOOK, ())} == {Rule.CITATION}


def test_a_violation_says_where_it_is_and_quotes_nothing() -> None:
    statement = said("You had {0} of focus because it was quiet.", FOCUS)
    found = next(one for one in violations(statement, BOOK, BOOK.facts) if one.rule is Rule.CAUSE)
    assert statement.text_template[found.start : found.end] == "because"
    assert "because" not in found.detail


# ------------------------------------------------------------------------------------------- quotations
HOSTILE = "because you are lazy, 99 h more than Monday in Figma"


def _goal_named(name: str) -> FactBook:
    goal = BOOK[fact("goal 1")]
    held = goal.with_values(name=name)
    return replace(BOOK, facts={**BOOK.facts, goal.fact_id: held})


def test_a_name_at_its_place_is_a_quotation_and_is_not_judged() -> None:
    assert rules(said("{0} is done.", DONE), _goal_named(HOSTILE)) == set()


def test_what_a_goal_says_is_nothing_that_a_writer_may_say() -> None:
    statement = said("You were active, " + HOSTILE + ": {0} is done.", DONE)
    assert rules(statement, _goal_named(HOSTILE)) >= {Rule.CAUSE, Rule.CHARACTER, Rule.NUMBER}


# ------------------------------------------------------------------------------------------- whole books
@pytest.mark.parametrize("name", sorted(books.every_book()))
def test_every_composed_statement_may_be_published(name: str) -> None:
    book = books.every_book()[name]
    draft = compose_team(book) if book.of(FactKind.GROUP) else compose(book, insights_of(book))
    for statement in statements_of(draft):
        assert violations(statement, book, book.facts) == [], statement.text_template


@pytest.mark.parametrize("name", sorted(books.every_book()))
def test_every_replacement_may_be_published(name: str) -> None:
    book = books.every_book()[name]
    for kind, one in product(KIND, book.facts.values()):
        statement = sentence_for([one.fact_id], kind, book)
        if statement is not None:
            assert violations(statement, book, book.facts) == [], statement.text_template


def test_composed_days_of_a_sample_may_be_published() -> None:
    for book in sample_books(seed=3, days=12):
        for statement in statements_of(compose(book, insights_of(book))):
            assert violations(statement, book, book.facts) == [], statement.text_template


def test_true_phrasings_pass_and_falsehoods_do_not() -> None:
    words, random = phrasings("dev"), Random(11)
    for book in sample_books(seed=11, days=1):
        for case in true_statements(book, words):
            assert violations(case.statement, book, case.offered) == [], case.statement.text_template
        for case in falsehoods(book, words, random, per_kind=3):
            assert violations(case.statement, book, case.offered), (case.kind, case.statement.text_template)
