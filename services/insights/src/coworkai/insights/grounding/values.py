"""What values are said of: the name, the span, the role and the whole that they belong to.

    "{0} in {1}, {2} in {3}"     {1} must be the name of {0}'s own fact, and {3} of {2}'s
    "from {0} to {1}"            the start and the end of one span

Nearness decides: the name that stands closest in the same part of the sentence, else the last one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise, takewhile

from coworkai.insights.facts import FactKind, FieldUnit
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.measured import MEASURED, wholes_of
from coworkai.insights.grounding.order import in_order, part_and_whole
from coworkai.insights.grounding.reading import Item, Place, Reading, name_of
from coworkai.insights.grounding.wording import Found

_SPANS = frozenset({FactKind.BLOCK, FactKind.FOCUS, FactKind.PAUSE, FactKind.SLICE})
_TOOLS = frozenset({FactKind.USAGE, FactKind.FOCUS, FactKind.SLICE})
_COMPATIBLE: Mapping[FactKind, frozenset[FactKind]] = {
    FactKind.USAGE: _TOOLS,
    FactKind.FOCUS: _TOOLS,
    FactKind.SLICE: _TOOLS,
    FactKind.GOAL: frozenset({FactKind.GOAL}),
    FactKind.TARGET: frozenset({FactKind.TARGET}),
    FactKind.THEME: frozenset({FactKind.THEME}),
    FactKind.CHAT: frozenset({FactKind.CHAT}),
    FactKind.AREA: frozenset({FactKind.AREA}),
}
"""The kinds of fact whose name a value of a kind may be said of."""
_OF_NAMES = frozenset({"goals_declared", "goals_done", "kpi_attainment", "chats.messages", "chats.blockers"})
"""Counts that may stand with the names of what they count."""
_ATTACHED_WITHIN = 4
_STARTS = frozenset({"started_at", "first_at"})
_ENDS = frozenset({"ended_at", "last_at"})


# ------------------------------------------------------------------------------------------------ roles
def roles(reading: Reading) -> Iterator[Found]:
    """A median is said to be usual and a value is not; a difference is more or less; a start is from."""
    for item in reading.places:
        if item.place is not None and (detail := _role_broken(item, item.place, reading)) is not None:
            yield Found(Rule.PAIRING, item, detail)


def _role_broken(item: Item, place: Place, reading: Reading) -> str | None:
    match place.fact.kind, place.field:
        case FactKind.BASELINE, "median":
            is_usual = _is_usual(item, reading) and not _is_difference(item, reading)
            return None if is_usual else "the usual value, said to be another"
        case FactKind.BASELINE, ("difference" | "change"):
            is_difference = _is_difference(item, reading) and not _usual_before(item, reading)
            return None if is_difference else "a difference, said to be a value"
        case ((FactKind.KPI | FactKind.GROUP), "value"):
            is_other = (
                _usual_before(item, reading)
                or _usual_after(item, reading)
                or _moves_by(item, reading)
                or _stands_for_usual(item, place, reading)
            )
            return "a value, said to be the usual one or a difference" if is_other else None
        case FactKind.TARGET, "target":
            return None if _is_target(item, reading) else "a target, said to be reached"
        case FactKind.TARGET, "actual":
            return "an actual value, said to be the target" if _target_before(item, reading) else None
        case _, field if field in _STARTS | _ENDS:
            other = "end" if field in _STARTS else "start"
            return "a start or an end, said to be the other" if _role_before(item, reading) == other else None
        case _:
            return None


def _usual_before(item: Item, reading: Reading) -> bool:
    for other in reading.before(item):
        if other.entry is not None and other.entry.usual:
            return not _has_measure(other, item)
        if other.text not in lexicon().sets["before_usual"] and not (
            other.entry is not None and other.entry.measures
        ):
            return False
    return False


def _usual_after(item: Item, reading: Reading) -> bool:
    for other in reading.after(item):
        if other.entry is not None and other.entry.usual:
            return not _has_measure(other, item)
        if other.text not in lexicon().sets["after_usual"] and not (
            other.entry is not None and other.entry.measures
        ):
            return False
    return False


def _has_measure(mention: Item, item: Item) -> bool:
    """ "Median dwell" names a measure, it does not say that a value is usual."""
    return bool(mention.entry and item.place and mention.entry.measures & item.place.selectors)


def _is_usual(item: Item, reading: Reading) -> bool:
    """Whether a value is said to be usual: in its part, or compared with in a sentence about the usual."""
    if any(other.entry is not None and other.entry.usual for other in reading.part_of(item)):
        return True
    if _is_left_behind(item, reading):
        return True
    before = [other for other in reading.sentence_of(item) if other.at < item.at]
    if _is_compared(item, reading):
        return any(other.entry is not None and other.entry.usual for other in before)
    earlier = [other for other in before if other.part == item.part - 1]
    return any(other.entry is not None and other.entry.usual for other in earlier) and not any(
        other.place is not None and other.place.is_number for other in earlier
    )


def _is_left_behind(item: Item, reading: Reading) -> bool:
    """ "{0}, up from {1}": what a value of the same measure has moved from."""
    before = reading.word_before(item)
    turn = reading.word_before(before) if before is not None and before.text == "from" else None
    return (
        turn is not None
        and turn.entry is not None
        and bool(turn.entry.direction)
        and any(
            other.at < item.at and _is_value_of(item.place, other.place)
            for other in reading.sentence_of(item)
        )
    )


def _is_value_of(usual: Place | None, other: Place | None) -> bool:
    return (
        usual is not None
        and other is not None
        and other.fact.kind is FactKind.KPI
        and other.fact.measure == usual.fact.measure
    )


def _is_compared(item: Item, reading: Reading) -> bool:
    """ "…, compared with {0}", "… against {0}"."""
    return any(
        other.text in lexicon().sets["comparing"] for other in reading.part_of(item)[:2] if other.at < item.at
    ) or (
        (before := reading.word_before(reading.part_of(item)[0])) is not None
        and before.text in lexicon().sets["comparing"]
    )


def _stands_for_usual(item: Item, place: Place, reading: Reading) -> bool:
    """Whether a value is what another's usual is compared with."""
    return _is_compared(item, reading) and any(
        other.place is not None
        and other.place.fact.kind is FactKind.BASELINE
        and other.place.field == "median"
        and other.place.fact.measure == place.fact.measure
        and other.part != item.part
        for other in reading.sentence_of(item)
    )


def _is_direction(item: Item) -> bool:
    if item.place is not None:
        return item.place.fact.kind is FactKind.BASELINE and item.place.field == "direction"
    return item.entry is not None and item.entry.direction is not None


def _is_difference(item: Item, reading: Reading) -> bool:
    """ "{0} more", "up {0}", "by {0}", "a difference of {0}"."""
    for distance, other in enumerate(reading.after(item)):
        if _is_direction(other):
            return True
        if (other.place is not None and not other.place.is_name) or distance > 5:
            break
    before = [other for _, other in zip(range(3), reading.before(item), strict=False)]
    if any(other.entry is not None and "difference" in other.entry.roles for other in before[:2]):
        return True
    return bool(before) and (
        _is_direction(before[0])
        or (
            len(before) > 1
            and before[0].text in {"of", "to", "a", "another", "about", "around"}
            and _is_direction(before[1])
            and before[0].text != "to"
        )
    )


def _moves_by(item: Item, reading: Reading) -> bool:
    """ "{0} more than usual", "up by {0}": said of a value, not of a difference."""
    after = reading.word_after(item)
    if after is not None and after.part == item.part and _is_direction(after) and after.entry is not None:
        following = reading.word_after(after)
        if after.entry.direction and following is not None and following.text in {"than", "on"}:
            return True
    before = reading.word_before(item)
    return (
        before is not None
        and before.text == "by"
        and any(_is_direction(other) for other in reading.before(item))
    )


def _role_words(items: Iterable[Item], role: str, reach: int) -> bool:
    """Whether a word of the role is within reach, before the next value."""
    for distance, other in enumerate(items):
        if distance >= reach or (other.place is not None and not other.place.is_name):
            return False
        if other.entry is not None and role in other.entry.roles:
            return True
    return False


def _is_target(item: Item, reading: Reading) -> bool:
    before = reading.word_before(item)
    heading = reading.word_before(before) if before is not None and before.text == ":" else None
    if heading is not None and heading.entry is not None and "target" in heading.entry.roles:
        return True
    if reading.advises(item):
        return before is None or before.text not in {"from", "reached", "at"}
    after = takewhile(lambda other: other.text not in {"to", "up to"}, reading.after(item))
    return _role_words(reading.before(item), "target", 5) or _role_words(after, "target", 4)


def _target_before(item: Item, reading: Reading) -> bool:
    before = reading.word_before(item)
    while before is not None and before.text in {"the", "a", "of", "was", "is", "your"}:
        if before.text == "of" and (one := reading.word_before(before)) is not None and one.place is not None:
            return True
        before = reading.word_before(before)
    return (
        before is not None
        and before.entry is not None
        and before.text != "of"
        and "target" in before.entry.roles
    )


def _role_before(item: Item, reading: Reading) -> str | None:
    for distance, other in enumerate(_back(item, reading)):
        if other.place is not None or distance > 3:
            return None
        if other.entry is not None and other.entry.roles & {"start", "end"}:
            return "start" if "start" in other.entry.roles else "end"
    return None


def _back(item: Item, reading: Reading) -> Iterator[Item]:
    return (other for other in reversed(reading.items[: item.at]) if other.part == item.part)


# ------------------------------------------------------------------------------------------------ pairs
def pairs(reading: Reading) -> Iterator[Found]:
    """A value is said of its own fact's name."""
    names = [item for item in reading.places if item.place is not None and item.place.is_name]
    if not names:
        return
    values = [
        item
        for item in reading.places
        if item.place is not None and not item.place.is_name and item.place.unit is not FieldUnit.DATE
    ]
    ordered = dict(in_order(reading, values, names))
    for item in values:
        place = item.place
        if place is None or place.field == "unit":
            continue
        name = ordered.get(item.at) or _named(item, place, reading, names, values)
        if name is not None and not _same(place, name):
            yield Found(Rule.PAIRING, item, "a value said of another name than its own")


def _named(
    item: Item, place: Place, reading: Reading, names: Sequence[Item], values: Sequence[Item]
) -> Item | None:
    """The name that a value is said of: one of its own sort, else one of another that it is joined to."""
    allowed = _COMPATIBLE.get(place.fact.kind, frozenset())
    fitting = [name for name in names if name.place is not None and name.place.fact.kind in allowed]
    following = _following_name(item, reading)
    if place.fact.kind in _SPANS:
        fitting = [name for name in fitting if name.part == item.part or _is_of_kind(name, place)]
    if reading.advises(item) and place.fact.kind in _SPANS and place.unit is FieldUnit.INSTANT:
        own = [name for name in fitting if name.part == item.part]
        return _nearest_name(item, reading, own) if own else None
    if following is not None and following not in fitting and not _may_stand_with(place, following):
        return following
    owner = _owner(item, reading, fitting)
    if owner is not None:
        return owner
    foreign = _attached(item, reading, [name for name in names if name not in fitting], values)
    return None if foreign is None or _may_stand_with(place, foreign) else foreign


def _is_of_kind(name: Item, place: Place) -> bool:
    return name.place is not None and name.place.fact.kind is place.fact.kind


def _following_name(item: Item, reading: Reading) -> Item | None:
    """The name in "{0} in {1}"."""
    after = reading.word_after(item)
    if after is None or after.text not in lexicon().sets["prepositions"]:
        return None
    name = reading.word_after(after)
    return name if name is not None and name.place is not None and name.place.is_name else None


def _same(place: Place, name: Item) -> bool:
    other = name.place
    if other is None:
        return False
    if other.fact.fact_id == place.fact.fact_id:
        return True
    own = name_of(place.fact)
    return (
        place.fact.kind in _TOOLS
        and other.fact.kind in _TOOLS
        and place.fact.kind is not other.fact.kind
        and own is not None
        and own == name_of(other.fact)
        and place.fact.date == other.fact.date
    )


def _may_stand_with(place: Place, name: Item) -> bool:
    return bool(place.selectors & _OF_NAMES) and name.place is not None and name.place.fact.kind not in _TOOLS


def _owner(item: Item, reading: Reading, names: Sequence[Item]) -> Item | None:
    """The name that a value is said of: in its part, else the last one before, else the next one
    before a semicolon."""
    own = [name for name in names if name.part == item.part]
    if own:
        return _nearest_name(item, reading, own)
    if reading.is_of_last_named(item):
        names = [name for name in names if name.at < item.at]
        return names[-1] if names else None
    segment = [name for name in names if reading.segments[name.at] == reading.segments[item.at]]
    before = [name for name in segment or names if name.at < item.at]
    return next(iter(before[-1:] or segment[:1]), None)


def _nearest_name(item: Item, reading: Reading, names: Sequence[Item]) -> Item:
    """ "{0} in {1}": what follows a preposition is the owner; else the nearest name is."""
    for name in names:
        if name.at > item.at:
            between = reading.items[item.at + 1 : name.at]
            if any(one.text in lexicon().sets["prepositions"] for one in between) and not any(
                one.place for one in between if one.place and one.place.is_name
            ):
                return name
            break
    return min(names, key=lambda name: (abs(name.at - item.at), name.at))


def _attached(item: Item, reading: Reading, names: Sequence[Item], values: Sequence[Item]) -> Item | None:
    """A name in the same part that the value is joined to by a preposition or a verb, and that no other value
    of its own stands with."""
    for name in names:
        if name.part != item.part or name.place is None:
            continue
        if any(
            value is not item
            and value.part == item.part
            and value.place is not None
            and _same(value.place, name)
            for value in values
        ):
            continue
        first, second = sorted((item, name), key=lambda one: one.at)
        between = reading.items[first.at + 1 : second.at]
        if any(one.place is not None for one in between):
            continue
        if name.at > item.at:
            if any(one.text in lexicon().sets["prepositions"] for one in between):
                return name
        elif len(between) <= _ATTACHED_WITHIN and not any(
            one.entry and one.entry.statuses for one in between
        ):
            return name
    return None


# ------------------------------------------------------------------------------------------------ spans
def spans(reading: Reading) -> Iterator[Found]:
    """Times and lengths of a block, focus block or pause are of one and the same, unless another is begun."""
    for _, group in groupby(reading.places, key=lambda item: item.sentence):
        last: Item | None = None
        for item in group:
            if item.place is None or item.place.fact.kind not in _SPANS or item.place.is_name:
                continue
            if (
                last is not None
                and last.place is not None
                and last.place.fact.kind is item.place.fact.kind
                and last.place.fact.fact_id != item.place.fact.fact_id
                and not _begins_another(item, last, reading)
                and not _is_whole_day(last.place, item.place, reading)
            ):
                yield Found(Rule.PAIRING, item, "times and lengths of two different spans")
            last = item
    yield from _from_to(reading)


def _is_whole_day(first: Place, second: Place, reading: Reading) -> bool:
    """The start of the first workblock and the end of the last: "your day ran from {0} to {1}"."""
    if (first.field, second.field) != ("started_at", "ended_at") or first.fact.kind is not FactKind.BLOCK:
        return False
    blocks = reading.book.of(FactKind.BLOCK, first.fact.date)
    starts = [start for block in blocks if isinstance(start := block["started_at"], datetime)]
    ends = [end for block in blocks if isinstance(end := block["ended_at"], datetime)]
    return first.value == min(starts) and second.value == max(ends) and second.fact.kind is FactKind.BLOCK


def _begins_another(item: Item, last: Item, reading: Reading) -> bool:
    for other in [*reading.items[last.at + 1 : item.at], *reading.after(item)]:
        if other.entry is not None and (
            other.entry.superlative is not None
            or other.entry.rank is not None
            or other.text in {"another", "one", "other", "second", "next"}
        ):
            return True
    return item.place is not None and item.place.field == "started_at" and item.part != last.part


def _from_to(reading: Reading) -> Iterator[Found]:
    """ "from {0} to {1}", "between {0} and {1}": the start and the end of one span, in this order."""
    for first, second in pairwise(reading.places):
        if first.place is None or second.place is None:
            continue
        if first.place.unit is not FieldUnit.INSTANT or second.place.unit is not FieldUnit.INSTANT:
            continue
        between = [item.text for item in reading.items[first.at + 1 : second.at]]
        before = reading.word_before(first)
        ranged = between in (["to"], ["until"], ["till"], ["–"], ["-"], ["—"], ["through"], ["up to"]) or (
            between == ["and"] and before is not None and before.text == "between"
        )
        if (
            ranged
            and not (
                first.place.field in _STARTS
                and second.place.field in _ENDS
                and first.place.fact.fact_id == second.place.fact.fact_id
            )
            and not _is_gap(first.place, second.place)
            and not _is_whole_day(first.place, second.place, reading)
        ):
            yield Found(Rule.PAIRING, second, "no span from the one time to the other")


def _is_gap(first: Place, second: Place) -> bool:
    """The first and last of a day; not one span, but the day's."""
    return (
        first.fact.kind is second.fact.kind
        and first.field in _STARTS
        and second.field in _ENDS
        and first.fact.kind in {FactKind.DAY, FactKind.CHATS}
    )


# ------------------------------------------------------------------------------------------------ twice
def twice(reading: Reading) -> Iterator[Found]:
    """One value is not two: a statement that has it in two places says two things of it."""
    seen: set[tuple[str, str]] = set()
    for item in reading.places:
        if item.place is None or not item.place.is_number:
            continue
        value = (item.place.fact.fact_id, item.place.field)
        if value in seen:
            yield Found(Rule.PAIRING, item, "a value in two places")
        seen.add(value)


# ------------------------------------------------------------------------------------------------ wholes
def wholes(reading: Reading) -> Iterator[Found]:
    """ "{0} of {1}": a part of what it is part of, and not more than that."""
    for part, whole in part_and_whole(reading):
        if part.place is None or whole.place is None:
            continue
        if not _is_part(part.place, whole.place):
            yield Found(Rule.PAIRING, part, "a part of what it is not part of")
        elif (
            part.place.fact.kind is not FactKind.TARGET
            and part.place.unit is whole.place.unit
            and part.place.number > whole.place.number
        ):
            yield Found(Rule.PAIRING, part, "a part that is more than its whole")


def _is_part(part: Place, whole: Place) -> bool:
    """Counts and seconds of one sort have a known whole; what a target has reached is of its target."""
    if part.fact.fact_id == whole.fact.fact_id:
        if part.fact.kind is FactKind.TARGET:
            return (part.field, whole.field) == ("actual", "target")
        if part.field == whole.field:
            return False
    if whole.field == "target":
        return False
    owns = wholes_of(part)
    if owns and part.unit is whole.unit:
        return bool(owns & whole.selectors)
    return (
        part.fact.kind is not whole.fact.kind or part.unit is not whole.unit or part.fact.kind not in MEASURED
    )
