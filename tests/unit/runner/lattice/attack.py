"""What somebody with every published answer could work out: the attack on the lattice.

An answer is a sum of workers' values, and the attacker is taken to know exactly whose: the teams, who was
there on which day, whose data came late. A value that has changed is another unknown. Whatever they can work
out by adding and subtracting is a combination of answers; it isolates somebody when the values left in it are
of fewer workers than the smallest group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from coworkai.common.measures import CATALOGUE, Aggregation
from coworkai.runner.lattice.blocks import newest
from coworkai.runner.lattice.cells import TERMS

Unknown = tuple[str, date, float]
"""A worker, a day, and the value that the worker had when it was published."""
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """A sum that is told, of one measure."""

    name: str
    measure: str
    unknowns: frozenset[Unknown]


def answers_of(seen: Iterable[tuple[pl.DataFrame, pl.DataFrame]], tenant_id: str) -> list[Answer]:
    """Every sum that lattices tell, from each with the contributions behind it; equal ones once.

    A ratio or mean is taken to tell both of its sums. Asserts that the contributions are what is told: that
    they add up to the values, and are as many as the contributors.
    """
    found: dict[tuple[str, frozenset[Unknown]], Answer] = {}
    for lattice, contributions in seen:
        for answer in _answers(lattice, contributions, tenant_id):
            found.setdefault((answer.measure, answer.unknowns), answer)
    return list(found.values())


def _answers(lattice: pl.DataFrame, contributions: pl.DataFrame, tenant_id: str) -> Iterator[Answer]:
    sums: dict[tuple[str, str, date, str], dict[str, float]] = {}
    rows = newest(contributions).select("measure", "date", "user_id", "team", "department", "value")
    for measure, on, user, team, department, value in rows.iter_rows():
        for level, group in (("team", team), ("department", department), ("tenant", tenant_id)):
            sums.setdefault((level, group, on, measure), {})[user] = value
    told = lattice.filter(pl.col("suppressed").is_null())
    days: dict[tuple[str, str, str], set[date]] = {}
    for level, group, measure, on in (
        told.filter(period="day").select("level", "group_id", "measure", "date").iter_rows()
    ):
        days.setdefault((level, group, measure), set()).add(on)
    for period, level, group, measure, on, value, contributors, covered in told.select(
        "period", "level", "group_id", "measure", "date", "value", "contributors", "days_covered"
    ).iter_rows():
        of_week = sorted(each for each in days[level, group, measure] if (each - on).days in range(7))
        covers = [on] if period == "day" else of_week
        assert covered == len(covers)
        terms = TERMS[measure]
        parts = {
            name: frozenset(
                (user, each, its) for each in covers for user, its in sums[level, group, each, name].items()
            )
            for name in (terms.numerator, terms.minus, terms.denominator)
            if name is not None
        }
        assert contributors == len({user for user, _, _ in parts[terms.numerator]})
        assert value == pytest.approx(_value(measure, parts), rel=1e-5, abs=1e-3)
        for name, unknowns in parts.items():
            yield Answer(f"{period} {on} {level} {group} {measure}", name, unknowns)


def _value(measure: str, parts: Mapping[str, frozenset[Unknown]]) -> float:
    terms, of = TERMS[measure], CATALOGUE[measure]
    total = {name: sum(value for _, _, value in unknowns) for name, unknowns in parts.items()}
    total[""] = 0.0
    above = total[terms.numerator] - total[terms.minus or ""]
    if of.aggregation is Aggregation.MEAN:
        return above / len(parts[terms.numerator])
    return above / (total[terms.denominator] if terms.denominator else 1) * of.scale


def isolated_by_pairs_and_triples(answers: Sequence[Answer], min_group: int) -> list[str]:
    """Every way of adding and subtracting two or three answers, or one alone, that isolates somebody."""
    return [
        finding for of_one_measure in _by_measure(answers) for finding in _combined(of_one_measure, min_group)
    ]


def _combined(answers: Sequence[Answer], min_group: int) -> Iterator[str]:
    matrix, people = _system(answers)
    of_person = np.zeros((matrix.shape[1], len(set().union(*people))), np.float32)
    numbers = {person: n for n, person in enumerate(sorted(set().union(*people)))}
    for column, theirs in enumerate(people):
        of_person[column, [numbers[person] for person in theirs]] = 1
    for size in (1, 2, 3):
        chosen = np.array(list(combinations(range(len(answers)), size)), np.intp).reshape(-1, size)
        for signs in product((1, -1), repeat=size - 1):
            for part in np.array_split(chosen, 1 + len(chosen) // 20_000):
                left = matrix[part[:, 0]].astype(np.int8)
                for place, sign in enumerate(signs, start=1):
                    left = left + sign * matrix[part[:, place]].astype(np.int8)
                count = ((left != 0).astype(np.float32) @ of_person > 0).sum(axis=1)
                for row in np.flatnonzero((count > 0) & (count < min_group)):
                    yield " ± ".join(answers[n].name for n in part[row])


def isolated_by_elimination(answers: Sequence[Answer], min_group: int) -> frozenset[str] | None:
    """Workers, fewer than `min_group`, that some combination of any number of answers is a value of.

    Exact: a combination has only values of some workers when leaving their unknowns out of the equations
    leaves fewer independent ones.
    """
    for of_one_measure in _by_measure(answers):
        matrix, people = _system(of_one_measure)
        rank = np.linalg.matrix_rank(matrix)
        few = sorted(set().union(*(theirs for theirs in people if len(theirs) < min_group)))
        for some in combinations(few, min(min_group - 1, len(few))):
            theirs = set(some)
            others = [n for n, of_column in enumerate(people) if not of_column <= theirs]
            if few and np.linalg.matrix_rank(matrix[:, others]) < rank:
                return frozenset(some)
    return None


def _by_measure(answers: Sequence[Answer]) -> Iterator[list[Answer]]:
    for measure in sorted({answer.measure for answer in answers}):
        yield [answer for answer in answers if answer.measure == measure]


def _system(answers: Sequence[Answer]) -> tuple[Matrix, list[frozenset[str]]]:
    """Answers by unknowns; unknowns that are in the same answers are one column, of all their workers."""
    together: dict[tuple[bool, ...], set[str]] = {}
    for unknown in set().union(*(answer.unknowns for answer in answers)):
        column = tuple(unknown in answer.unknowns for answer in answers)
        together.setdefault(column, set()).add(unknown[0])
    columns = sorted(together)
    return np.array(columns, np.float64).T, [frozenset(together[column]) for column in columns]
