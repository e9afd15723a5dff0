"""Lists and parts: "{0} and {1} took {2} and {3}", "{0} of {1}"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from coworkai.insights.facts import FactKind
from coworkai.insights.grounding.lexicon import lexicon
from coworkai.insights.grounding.reading import Item, Reading

_WORDS_BETWEEN_MAX = 3
_COMPARED = frozenset({FactKind.KPI, FactKind.BASELINE})


def in_order(reading: Reading, values: Sequence[Item], others: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Pairs of "focus and active time came to {0} and {1}": a run of each, equally long, in one sentence."""
    for sentence in {item.sentence for item in values}:
        runs = [run for run in _runs(reading, [*values, *others], values) if run[0].sentence == sentence]
        for first, second in pairwise(runs):
            if 1 < len(first) == len(second) and (first[0] in values) != (second[0] in values):
                numbers, names = (first, second) if first[0] in values else (second, first)
                if (
                    _are_of_one_measure(numbers)
                    or len({one.place and one.place.fact.kind for one in numbers}) > 1
                ):
                    continue
                for value, other in zip(numbers, names, strict=True):
                    yield value.at, other


def _are_of_one_measure(values: Sequence[Item]) -> bool:
    """ "{0}, {1} more than usual": a value and what is usual of it are no list."""
    measures = [
        item.place.fact.measure for item in values if item.place and item.place.fact.kind in _COMPARED
    ]
    return len(set(measures)) < len(measures)


def _runs(reading: Reading, items: Iterable[Item], values: Sequence[Item]) -> list[list[Item]]:
    """Items with nothing but commas and "and" between them, of one sort."""
    runs: list[list[Item]] = []
    for item in sorted(items, key=lambda one: one.at):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and (last in values) == (item in values)
            and item.at - last.at > 1
            and all(
                between.text in lexicon().sets["links"] for between in reading.items[last.at + 1 : item.at]
            )
        ):
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def part_and_whole(reading: Reading) -> Iterator[tuple[Item, Item]]:
    """Numbers of "{0} of {1}", "{0} done out of the {1}" and "Of {1}, {0}": the part, then its whole."""
    numbers = [item for item in reading.places if item.place is not None and item.place.is_number]
    for first, second in pairwise(numbers):
        between = reading.items[first.at + 1 : second.at]
        if any(item.place is not None for item in between):
            continue
        if _ends_in_of(between):
            yield first, second
        opening = _before_determiners(reading.word_before(first), reading)
        if opening is not None and opening.text in {"of", "out of"} and opening.opens:
            yield second, first


def _ends_in_of(between: Sequence[Item]) -> bool:
    words = [item.text for item in between]
    while words and words[-1] in {"the", "your", "all"}:
        words.pop()
    if not words or words.pop() not in {"of", "out of", "of which"}:
        return False
    return len(words) <= _WORDS_BETWEEN_MAX and not set(words) & {
        "and",
        ",",
        ";",
        "from",
        "median",
        "share",
        "target",
    }


def _before_determiners(item: Item | None, reading: Reading) -> Item | None:
    while item is not None and item.text in {"the", "your"}:
        item = reading.word_before(item)
    return item
