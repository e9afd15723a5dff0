"""The grounding gate: the share of seeded falsehoods that it refuses, of true statements that pass, its cost.

The figures are of phrasings and a seed that the gate was not tuned on; without any, they are of those that
it was tuned on, say so, and have no target. Precision is the share of true statements that pass. The prompt's
forms, joined as it allows (grounding_forms.py), are measured beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

from benchmarks.grounding_cases import (
    Case,
    books,
    draw,
    falsehoods,
    has_phrasings,
    phrasings,
    single_faults,
    true_statements,
)
from benchmarks.grounding_forms import joined
from benchmarks.measure import cpu
from benchmarks.result import Result
from coworkai.insights.brief import TEMPLATE_MAX_CHARS
from coworkai.insights.facts import FactBook
from coworkai.insights.grounding import violations

DEV_SEED = 20261001
REPORTED_SEED = 77_003
DAYS = 30
REPEATS = 3
FORMS_SEED = 41_011
JOINS = 600
BOOKS_A_JOIN = 3


def run() -> list[Result]:
    is_reported = has_phrasings("reported")
    cases = list(labelled("reported" if is_reported else "dev", REPORTED_SEED))
    refused = Counter(case.kind for case, book in cases if violations(case.statement, book, case.offered))
    total = Counter(case.kind for case, _ in cases)
    truths = total.pop("true")
    wrongly = refused.pop("true", 0)
    name = "grounding" if is_reported else "grounding, in words it was tuned on"
    share = 99 if is_reported else None
    return [
        Result(name, "falsehoods", sum(total.values()), "statements", at_least=300),
        Result(name, "true statements", truths, "statements", at_least=600),
        Result(name, "recall", 100 * sum(refused.values()) / sum(total.values()), "%", at_least=share),
        Result(name, "precision on true statements", 100 * (1 - wrongly / truths), "%", at_least=share),
        *(Result(name, f"recall, {kind}", 100 * refused[kind] / count, "%") for kind, count in total.items()),
        Result(name, "a statement", _cost_ms(cases), "CPU ms", at_most=0.3),
        *_of_forms(),
    ]


def labelled(words: str, seed: int, days: int = DAYS) -> Iterator[tuple[Case, FactBook]]:
    """True statements and falsehoods of a set of phrasings, with their books; the same for the same seed."""
    said, random = phrasings(words), Random(seed)
    for book in books(seed, days):
        for case in (*true_statements(book, said), *falsehoods(book, said, random)):
            yield case, book


def of_forms(seed: int, count: int, days: int) -> Iterator[tuple[Case, FactBook]]:
    """Joined forms of the prompt over some of the books, each with its single faults."""
    random, words = Random(seed), phrasings("dev")
    held = list(books(seed, days))
    for phrasing in joined(Random(seed), count):
        for book in random.sample(held, min(BOOKS_A_JOIN, days)):
            drawn = draw(phrasing, book)
            if drawn is not None and len(drawn.text) <= TEMPLATE_MAX_CHARS:
                yield Case("true", drawn.statement(), frozenset(book.facts)), book
                yield from ((case, book) for case in single_faults(phrasing, book, words, random))


def _of_forms() -> list[Result]:
    passed, total = Counter[bool](), Counter[bool]()
    for case, book in of_forms(FORMS_SEED, JOINS, DAYS):
        is_true = case.kind == "true"
        total[is_true] += 1
        passed[is_true] += not violations(case.statement, book, case.offered)
    name = "grounding, joined forms of the prompt"
    return [
        Result(name, "statements", total.total(), "statements"),
        Result(name, "recall", 100 * (1 - passed[False] / total[False]), "%", at_least=99),
        Result(name, "precision on true statements", 100 * passed[True] / total[True], "%", at_least=99),
    ]


def _cost_ms(cases: list[tuple[Case, FactBook]]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        with cpu() as spent:
            for case, book in cases:
                violations(case.statement, book, case.offered)
        best = min(best, spent.seconds)
    return best / len(cases) * 1e3
