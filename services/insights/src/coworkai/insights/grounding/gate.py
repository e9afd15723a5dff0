"""From a statement to what is wrong with it.

claims ─▶ template ─▶ rendered ─▶ reading ─▶ words, numbers, days ─▶ values ─▶ states
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from coworkai.insights.brief import Statement
from coworkai.insights.clean import is_clean
from coworkai.insights.facts import FactBook, FieldUnit
from coworkai.insights.grounding import comparisons, measured, named, states, support, values, wording
from coworkai.insights.grounding.lexicon import Rule
from coworkai.insights.grounding.reading import Reading, read
from coworkai.insights.render import PLACE, Unrenderable, render


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a statement breaks.

    `detail` names what kind of thing is wrong and never quotes; `start` and `end` are where in the template
    it is, for a writer that repairs it.
    """

    rule: Rule
    detail: str
    start: int
    end: int


_RULES: tuple[Callable[[Reading], Iterator[wording.Found]], ...] = (
    wording.words,
    support.support,
    wording.numbers,
    wording.units,
    wording.days,
    wording.names,
    measured.measures,
    measured.comparisons,
    named.kinds,
    values.roles,
    values.pairs,
    values.spans,
    values.twice,
    values.wholes,
    states.statuses,
    states.flags,
    comparisons.usual,
    comparisons.directions,
    comparisons.superlatives,
)


def violations(statement: Statement, book: FactBook, offered: Collection[str]) -> list[Violation]:
    """What forbids the statement; [] = it may be published.

    `offered` are the ids of the facts that the writer was given. Pure, and the same for equal arguments.
    """
    whole = len(statement.text_template)
    broken = [Violation(rule, detail, 0, whole) for rule, detail in _structure(statement, book, offered)]
    if broken:
        return broken
    reading = read(statement, book)
    return [
        Violation(found.rule, found.detail, found.item.start, found.item.end)
        for rule in _RULES
        for found in rule(reading)
    ]


def _structure(statement: Statement, book: FactBook, offered: Collection[str]) -> Iterator[tuple[Rule, str]]:
    places = [int(place) for place in PLACE.findall(statement.text_template)]
    if set(places) != set(range(len(statement.claims))):
        yield Rule.TEMPLATE, "places and claims do not match one to one"
    bare = PLACE.sub("", statement.text_template)
    if not is_clean(bare.strip() or "-") and not is_clean(" ".join(bare.split())):
        yield Rule.MARKUP, "characters that cannot be seen"
    for claim in statement.claims:
        fact = book.get(claim.fact_id)
        if fact is None:
            yield Rule.CITATION, "a fact that is not there"
        elif claim.fact_id not in offered:
            yield Rule.CITATION, "a fact that was not offered"
        elif claim.field not in fact:
            yield Rule.CITATION, "a field that its fact does not have"
        elif fact[claim.field] is None:
            yield Rule.CITATION, "a field without a value"
        elif fact.unit(claim.field) is FieldUnit.FLAG:
            yield Rule.TEMPLATE, "a flag cannot be written out"
    try:
        render(statement, book)
    except Unrenderable as error:
        yield Rule.TEMPLATE, error.code
