"""Which facts of a book a writer may state: a bounded choice, the most telling first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coworkai.insights.brief import Draft, Statement
from coworkai.insights.facts import Fact, FactBook, FactKind

OFFERED_MAX = 240
SLICES_MAX = 12
EARLIER_KINDS = frozenset({FactKind.KPI, FactKind.GOAL, FactKind.TARGET, FactKind.DAY, FactKind.GROUP})
"""Of earlier days of the window; the rest of them says little and costs much."""


def offered(book: FactBook, deterministic: Draft) -> tuple[str, ...]:
    """Ids of the facts that a model is shown and may cite, at most `OFFERED_MAX`, each with a value.

    First what the deterministic brief states, then the primary day in the book's order with its longest
    slices, then earlier days, newest first.
    """
    cited = (claim.fact_id for one in statements_of(deterministic) for claim in one.claims)
    ids = dict.fromkeys([*cited, *(fact.fact_id for fact in _ranked(book))])
    return tuple(identifier for identifier in ids if _has_value(book[identifier]))[:OFFERED_MAX]


def statements_of(draft: Draft) -> Iterator[Statement]:
    """Every statement of a draft, in reading order."""
    yield draft.headline
    yield from draft.momentum
    yield from draft.blockers
    yield from draft.next_steps
    for pair in draft.insights:
        yield pair.insight
        yield pair.recommendation
    yield from draft.data_quality


def _ranked(book: FactBook) -> Iterator[Fact]:
    today = [fact for fact in book.facts.values() if fact.date == book.primary]
    yield from (fact for fact in today if fact.kind is not FactKind.SLICE)
    slices = (fact for fact in today if fact.kind is FactKind.SLICE)
    yield from sorted(slices, key=_duration_s, reverse=True)[:SLICES_MAX]
    yield from sorted(_earlier(book), key=lambda fact: fact.date, reverse=True)


def _earlier(book: FactBook) -> Iterable[Fact]:
    return (fact for fact in book.facts.values() if fact.date != book.primary and fact.kind in EARLIER_KINDS)


def _duration_s(fact: Fact) -> float:
    value = fact["duration_s"]
    return float(value) if isinstance(value, int | float) else 0.0


def _has_value(fact: Fact) -> bool:
    return any(
        value is not None for name, value in zip(fact.form.units, fact.values, strict=True) if name != "date"
    )
