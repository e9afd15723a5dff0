"""Directions, what is usual, and superlatives, against the facts that they are said of.

"{0} of focus, {1} more than usual"     the sign of the cited difference is up
"the longest block took {0}"            no block of the day is longer
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from coworkai.insights.facts import Fact, FactBook, FactKind, FieldUnit
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Place, Reading
from coworkai.insights.grounding.states import is_comparison
from coworkai.insights.grounding.wording import Found


# ------------------------------------------------------------------------------------- usual, directions
def usual(reading: Reading) -> Iterator[Found]:
    """What is usual is known from a cited baseline only."""
    if any(fact.kind is FactKind.BASELINE for fact in reading.cited):
        return
    cited = frozenset().union(*(item.place.selectors for item in reading.places if item.place is not None))
    for item in reading.items:
        if item.entry is not None and item.entry.usual and not item.entry.measures & cited:
            yield Found(Rule.DIRECTION, item, "what is usual, without a baseline")


def directions(reading: Reading) -> Iterator[Found]:
    """More and less agree with the sign of what is cited."""
    for item in reading.items:
        entry = item.entry
        if (
            entry is None
            or entry.direction is None
            or _is_fallen_within(item, reading)
            or (entry.statuses and not is_comparison(item, reading))
            or entry.refused
        ):
            continue
        sign = -entry.direction if _is_reversed(item, reading) and entry.direction else entry.direction
        difference = _difference(item, reading)
        if difference is None:
            if not reading.advises(item) and not (entry.measures or entry.superlative):
                yield Found(Rule.DIRECTION, item, "a comparison with nothing that is cited")
        elif _is_of_another(item, reading):
            yield Found(Rule.MEASURE, item, "a direction said of another measure")
        elif _sign(difference) != sign:
            yield Found(Rule.DIRECTION, item, "a direction that the cited difference does not have")


def _is_fallen_within(item: Item, reading: Reading) -> bool:
    """ "Fell outside your schedule" is a place in time, not a change."""
    after = reading.word_after(item)
    return (
        item.text in {"fell", "fall", "falls"}
        and after is not None
        and (after.text.split()[0] in lexicon().sets["within"])
    )


def _is_of_another(item: Item, reading: Reading) -> bool:
    """Whether a direction's part names a measure that no cited baseline is of, and no value."""
    part = reading.part_of(item)
    if any(other.place is not None for other in part):
        return False
    common = lexicon().sets["common"]
    entries = [other.entry for other in part if other.entry is not None and other.text not in common]
    named = [entry.measures for entry in entries if entry.measures]
    compared = frozenset().union(
        *(
            one.place.selectors
            for one in reading.places
            if one.place and one.place.fact.kind is FactKind.BASELINE
        )
    )
    return bool(named) and bool(compared) and not any(measures & compared for measures in named)


def _is_reversed(item: Item, reading: Reading) -> bool:
    before = reading.word_before(item)
    return before is not None and before.entry is not None and before.entry.negation


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _difference(item: Item, reading: Reading) -> float | None:
    """What a direction is about: the nearest cited baseline, else two values of one kind, else a target."""
    sentence = [one for one in reading.places if one.sentence == item.sentence]
    baselines = [
        one for one in sentence if one.place is not None and one.place.fact.kind is FactKind.BASELINE
    ]
    near = [one for one in baselines if one.part == item.part] or baselines
    if not near:
        near = [
            one
            for one in reading.places
            if one.place is not None and one.place.fact.kind is FactKind.BASELINE
        ]
    if near:
        nearest = min(near, key=lambda one: (abs(one.at - item.at), one.at))
        value = nearest.place.fact["difference"] if nearest.place is not None else None
        return float(value) if isinstance(value, int | float) else None
    return _between_values(item, reading, sentence)


def _between_values(item: Item, reading: Reading, sentence: Sequence[Item]) -> float | None:
    """ "more in {0} ({1}) than in {2} ({3})", "rose from {0} to {1}"."""
    numbers = [one for one in sentence if one.place is not None and one.place.is_number]
    for first in numbers:
        for second in numbers:
            if first.at < second.at and _comparable(first.place, second.place):
                if first.place is None or second.place is None:
                    continue
                moved = any(
                    one.text == "from" for one in reading.items[: first.at] if one.sentence == first.sentence
                )
                change = second.place.number - first.place.number
                if first.place.fact.date > second.place.fact.date or (
                    not moved and first.place.fact.date == second.place.fact.date
                ):
                    change = -change
                return change
    return None


def _comparable(first: Place | None, second: Place | None) -> bool:
    return (
        first is not None
        and second is not None
        and first.unit is second.unit
        and first.field == second.field
        and first.fact.kind is second.fact.kind
        and (first.fact.measure == second.fact.measure or first.fact.kind is FactKind.USAGE)
    )


# ------------------------------------------------------------------------------------------ superlatives
_SIZES = {
    FactKind.USAGE: "duration_s",
    FactKind.BLOCK: "duration_s",
    FactKind.FOCUS: "duration_s",
    FactKind.PAUSE: "duration_s",
    FactKind.SLICE: "duration_s",
    FactKind.THEME: "messages",
    FactKind.KPI: "value",
    FactKind.BASELINE: "z",
}


def superlatives(reading: Reading) -> Iterator[Found]:
    """The longest, the most, the first: true within the book."""
    for item in reading.items:
        entry = item.entry
        if entry is None or entry.refused is not None or _is_in_turn(item, reading):
            continue
        if entry.rank is not None and item.text != "second":
            target = _ranked(item, reading)
            if target is None or target.fact["rank"] != entry.rank:
                yield Found(Rule.SUPERLATIVE, item, "a rank that the cited fact does not have")
        if entry.superlative is None and not (entry.measures and item.text.startswith("longest ")):
            continue
        name = entry.superlative or "max"
        target = _target(item, reading)
        if target is None:
            if not reading.advises(item) and not _is_definition(item, reading):
                yield Found(Rule.SUPERLATIVE, item, "a superlative of nothing that is cited")
        elif not _holds(name, target, reading.book) and not _are_first(target, reading):
            yield Found(Rule.SUPERLATIVE, item, "a superlative that does not hold")


def _is_in_turn(item: Item, reading: Reading) -> bool:
    """ "Mute {0} first", "First, return to {0}": what advice begins with."""
    after = reading.word_after(item)
    return (
        reading.advises(item)
        and item.text == "first"
        and (after is None or not after.is_word or (after.entry is not None and after.entry.joint))
    )


def _is_definition(item: Item, reading: Reading) -> bool:
    """ "Longest block" is the name of a measure; first and last say little without a time."""
    if any(fact.measure == "longest_block_s" for fact in reading.cited):
        return True
    return any(fact.kind in {FactKind.DAY, FactKind.CHATS} for fact in reading.cited) and item.text in {
        "first",
        "last",
    }


def _ranked(item: Item, reading: Reading) -> Place | None:
    near = [one for one in reading.places if one.place is not None and one.place.fact.kind is FactKind.USAGE]
    return min(near, key=lambda one: abs(one.at - item.at)).place if near else None


def _target(item: Item, reading: Reading) -> Place | None:
    """The value or name that a superlative is said of; a day's measure only where the week is spoken of."""
    if any(other.place and other.place.fact.measure == "longest_block_s" for other in reading.part_of(item)):
        return None
    spans_days = any(one.entry is not None and one.entry.day == "window" for one in reading.items)
    sizes = set(_SIZES) if spans_days else set(_SIZES) - {FactKind.KPI}
    near = [
        one
        for one in reading.places
        if one.place is not None and one.place.fact.kind in sizes and one.sentence == item.sentence
    ]
    if reading.is_of_last_named(item):
        own = [
            one for one in reading.places if one.at < item.at and one.place and one.place.fact.kind in sizes
        ]
        return own[-1].place if own else None
    own = [one for one in near if one.part == item.part]
    after = [one for one in near if one.part > item.part]
    before = [one for one in near if one.part < item.part]
    chosen = own or after[:1] or before[-1:]
    if not chosen:
        return None
    measured = item.entry.measures if item.entry is not None else frozenset()
    fitting = [
        one for one in chosen if one.place is not None and (not measured or measured & one.place.selectors)
    ]
    best = min(fitting or chosen, key=lambda one: (abs(one.at - item.at), one.at))
    if best.place is not None and best.place.fact.measure == "longest_block_s":
        return None
    return best.place


def _are_first(place: Place, reading: Reading) -> bool:
    """Whether several of a ranking that are named together are its first: "{0} and {1} are your top apps"."""
    if place.fact.kind is not FactKind.USAGE:
        return False
    places = [one.place for one in reading.places if one.place is not None]
    named = {
        one.fact.fact_id: one.fact["rank"]
        for one in places
        if one.is_name and one.fact.kind is FactKind.USAGE and _of_one_sort(one.fact, place.fact)
    }
    return len(named) > 1 and set(named.values()) == set(range(1, len(named) + 1))


def _holds(name: str, place: Place, book: FactBook) -> bool:
    fact = place.fact
    if name == "majority":
        return _is_majority(fact, book)
    if fact.kind is FactKind.KPI:
        others = [
            one for one in book.facts.values() if one.kind is FactKind.KPI and one.measure == fact.measure
        ]
    else:
        others = [one for one in book.of(fact.kind, fact.date) if _of_one_sort(one, fact)]
    if name in {"first", "last"} and "started_at" in fact:
        times = [value for one in others if isinstance(value := one["started_at"], datetime)]
        own = fact["started_at"]
        return isinstance(own, datetime) and own == (min(times) if name == "first" else max(times))
    size = _SIZES[fact.kind]
    sizes = [abs(value) for one in others if isinstance(value := one[size], int | float)]
    value = fact[size]
    if not sizes or not isinstance(value, int | float):
        return False
    return abs(value) >= max(sizes) if name in {"max", "first"} else abs(value) <= min(sizes)


def _of_one_sort(one: Fact, other: Fact) -> bool:
    """Usage of apps is set against apps, of domains against domains."""
    return one.kind is not FactKind.USAGE or one.fact_id.rsplit(":", 2)[1] == other.fact_id.rsplit(":", 2)[1]


def _is_majority(fact: Fact, book: FactBook) -> bool:
    if fact.kind is FactKind.USAGE:
        share = fact["day_share"]
        return isinstance(share, int | float) and share > 0.5
    active = book.kpi("active_s", fact.date)
    seconds = fact.get("value") or fact.get("duration_s")
    if active is None or seconds is None or seconds.unit not in {FieldUnit.SECONDS, FieldUnit.SHARE}:
        return False
    whole = active["value"] if seconds.unit is FieldUnit.SECONDS else 1.0
    return (
        isinstance(whole, int | float)
        and isinstance(seconds.value, int | float)
        and seconds.value > whole / 2
    )
