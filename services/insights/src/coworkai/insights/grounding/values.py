"""What values are said to be, and what they are said of.

    "{0} of focus in {1}, {2} in {3}"
      focus_s must be what {0} is; {1} must be the name of {0}'s own fact, and {3} of {2}'s.

Nearness decides: the phrase or name that stands closest in the same part of the sentence, else the last one
before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise

from coworkai.insights.facts import FactKind, FieldUnit
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Place, Reading, name_of
from coworkai.insights.grounding.wording import Found

_MEASURED = frozenset(
    {FactKind.KPI, FactKind.BASELINE, FactKind.GROUP, FactKind.DAY, FactKind.CHATS, FactKind.THEME}
)
"""Kinds whose values say nothing without a word for what they measure."""
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
_STARTS = frozenset({"started_at", "first_at"})
_ENDS = frozenset({"ended_at", "last_at"})


# ------------------------------------------------------------------------------------------------ measures
def measures(reading: Reading) -> Iterator[Found]:
    """Every value must be what the words beside it measure, and what is spoken of must be cited."""
    cited = frozenset().union(*(_fact_selectors(item) for item in reading.places))
    cited |= {selector for fact in reading.cited for selector in (fact.kind.value, fact.measure)}
    for item in reading.items:
        entry = item.entry
        if entry is None or not entry.measures or entry.refused is not None:
            continue
        if not reading.is_plan and not entry.measures & cited and not _is_common(item):
            yield Found(Rule.MEASURE, item, "a measure that no cited fact has")
    said = _assigned(reading)
    for item in reading.places:
        place = item.place
        if place is None or not _is_measured(place):
            continue
        mention = said.get(item.at)
        if mention is None or mention.entry is None:
            if place.fact.kind in _MEASURED:
                yield Found(Rule.MEASURE, item, "a value without a word for what it measures")
        elif not mention.entry.measures & place.selectors:
            yield Found(Rule.MEASURE, item, "a value said of another measure")


def _fact_selectors(item: Item) -> frozenset[str]:
    return frozenset() if item.place is None else item.place.selectors


def _is_common(item: Item) -> bool:
    """Everyday words that also name something measured."""
    return item.text in lexicon().sets["common"]


def _is_measured(place: Place) -> bool:
    if place.is_name or place.unit is FieldUnit.DATE or place.field == "unit":
        return False
    if place.unit is FieldUnit.INSTANT:
        return False
    if place.unit is FieldUnit.STATUS:
        return place.fact.kind is FactKind.BASELINE
    return place.is_number


def _assigned(reading: Reading) -> dict[int, Item]:
    """The phrase that each measured value is said to be, by the value's index.

    Runs of as many values as phrases pair in order; what is joined to a value claims it; other values take
    the nearest phrase of their part that is not claimed, else the nearest, else the last one before.
    """
    values = [item for item in reading.places if item.place is not None and _is_measured(item.place)]
    mentions = [item for item in reading.items if item.entry is not None and item.entry.measures]
    said: dict[int, Item] = dict(_in_order(reading, values, mentions))
    claimed: set[int] = {item.at for item in said.values()}
    for item in values:
        if item.at not in said and (mention := _joined(item, reading, mentions)) is not None:
            said[item.at] = mention
            claimed.add(mention.at)
    for item in values:
        if item.at in said:
            continue
        nearest = _nearest(item, [m for m in mentions if m.part == item.part and m.at not in claimed])
        nearest = nearest or _nearest(item, [m for m in mentions if m.part == item.part])
        mention = nearest or (
            _elsewhere(item, mentions) if item.place and item.place.fact.kind in _MEASURED else None
        )
        if mention is not None:
            said[item.at] = mention
    _share_wholes(reading, said)
    return said


def _joined(item: Item, reading: Reading, mentions: Sequence[Item]) -> Item | None:
    """ "{0} of focus time", "{0} context switches", "a focus ratio of {0}", "focus was {0}"."""
    after = reading.word_after(item)
    if after is not None and after.text in {"of", "in"}:
        following = reading.word_after(after)
        while following is not None and following.text in lexicon().sets["determiners"]:
            following = reading.word_after(following)
        after = following
    if after is None or after not in mentions:
        return None
    return _predicate(item, after, mentions) or after


def _predicate(item: Item, whole: Item, mentions: Sequence[Item]) -> Item | None:
    """ "{0} of the work was outside your schedule": what a part of a whole is said to be."""
    if item.place is None or whole.entry is None or whole.entry.measures & item.place.selectors:
        return None
    wholes = lexicon().wholes
    if not any(wholes.get(selector) in whole.entry.measures for selector in item.place.selectors):
        return None
    return next(
        (m for m in mentions if m.part == item.part and m.entry and m.entry.measures & item.place.selectors),
        None,
    )


def _nearest(item: Item, mentions: Iterable[Item]) -> Item | None:
    return min(mentions, key=lambda mention: (abs(mention.at - item.at), mention.at), default=None)


def _elsewhere(item: Item, mentions: Sequence[Item]) -> Item | None:
    before = [m for m in mentions if m.at < item.at and m.sentence == item.sentence]
    if before:
        return before[-1]
    after = [m for m in mentions if m.at > item.at and m.sentence == item.sentence]
    if after:
        return after[0]
    earlier = [m for m in mentions if m.at < item.at]
    return earlier[-1] if earlier else None


def _share_wholes(reading: Reading, said: dict[int, Item]) -> None:
    """In "{0} of {1} goals done" one noun stands for the part and the whole."""
    wholes = lexicon().wholes
    for part, whole in _part_and_whole(reading):
        mention = said.get(whole.at)
        if part.place is None or whole.place is None or mention is None or mention.entry is None:
            continue
        for selector in part.place.selectors:
            if wholes.get(selector) in whole.place.selectors and selector in mention.entry.measures:
                said[part.at] = mention
                said.pop(whole.at)
                said[whole.at] = _as_whole(mention, whole)


def _as_whole(mention: Item, whole: Item) -> Item:
    """The phrase with the whole's selectors added."""
    if mention.entry is None or whole.place is None:
        return mention
    return replace(
        mention, entry=replace(mention.entry, measures=mention.entry.measures | whole.place.selectors)
    )


def _in_order(reading: Reading, values: Sequence[Item], others: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Pairs of "focus and active time came to {0} and {1}": a run of each, equally long, in one sentence."""
    for sentence in {item.sentence for item in values}:
        runs = [
            run
            for run in _runs(reading, [*values, *others], values)
            if len(run) > 1 and run[0].sentence == sentence
        ]
        for first, second in pairwise(runs):
            if len(first) == len(second) and (first[0] in values) != (second[0] in values):
                numbers, names = (first, second) if first[0] in values else (second, first)
                for value, other in zip(numbers, names, strict=True):
                    yield value.at, other


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
            is_other = _usual_before(item, reading) or _usual_after(item, reading) or _moves_by(item, reading)
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
    if any(other.entry is not None and other.entry.usual for other in reading.part_of(item)):
        return True
    earlier = reading.parts.get(item.part - 1, [])
    return (
        bool(earlier)
        and any(
            other.entry is not None and other.entry.usual and other.sentence == item.sentence
            for other in earlier
        )
        and not any(other.place is not None and other.place.is_number for other in earlier)
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
    for distance, other in enumerate(items):
        if distance >= reach or other.place is not None:
            return False
        if other.entry is not None and role in other.entry.roles:
            return True
    return False


def _is_target(item: Item, reading: Reading) -> bool:
    return _role_words(reading.before(item), "target", 5) or _role_words(reading.after(item), "target", 5)


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
    ordered = dict(_in_order(reading, values, names))
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
    owner = _owner(item, reading, fitting)
    if owner is not None:
        return owner
    foreign = _attached(item, reading, [name for name in names if name not in fitting], values)
    return None if foreign is None or _may_stand_with(place, foreign) else foreign


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
    """The name that a value is said of: in its part, else the last one before, else the next one."""
    own = [name for name in names if name.part == item.part]
    if own:
        return _nearest_name(item, reading, own)
    sentence = [name for name in names if name.sentence == item.sentence]
    before = [name for name in sentence if name.at < item.at]
    if before:
        return before[-1]
    if sentence:
        return sentence[0]
    earlier = [name for name in names if name.at < item.at]
    return earlier[-1] if earlier else None


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
        elif len(between) <= 4:
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
            ):
                yield Found(Rule.PAIRING, item, "times and lengths of two different spans")
            last = item
    yield from _from_to(reading)


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
        ):
            yield Found(Rule.PAIRING, second, "no span from the one time to the other")


def _is_gap(first: Place, second: Place) -> bool:
    return (
        first.fact.kind is second.fact.kind
        and first.field in _STARTS
        and second.field in _ENDS
        and first.fact.kind in {FactKind.DAY, FactKind.CHATS}
    )


# ------------------------------------------------------------------------------------------------ wholes
def wholes(reading: Reading) -> Iterator[Found]:
    """ "{0} of {1}": a part of what it is part of, and not more than that."""
    for part, whole in _part_and_whole(reading):
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
    known = lexicon().wholes
    owns = {known[selector] for selector in part.selectors if selector in known}
    if owns and part.unit is whole.unit:
        return bool(owns & whole.selectors)
    return (
        part.fact.kind is not whole.fact.kind
        or part.unit is not whole.unit
        or part.fact.kind not in _MEASURED
    )


def _is_number(item: Item) -> bool:
    return item.place is not None and item.place.is_number


def _part_and_whole(reading: Reading) -> Iterator[tuple[Item, Item]]:
    for first, second in pairwise(reading.places):
        if not _is_number(first) or not _is_number(second):
            continue
        between = [item.text for item in reading.items[first.at + 1 : second.at]]
        if between in (
            ["of"],
            ["of", "the"],
            ["of", "your"],
            ["out of"],
            ["out", "of"],
            ["out of", "the"],
            ["of", "all"],
        ):
            yield first, second
        opening = _skipped_back(reading.word_before(first), reading)
        if opening is not None and opening.text == "of" and opening.opens:
            yield second, first


def _skipped_back(item: Item | None, reading: Reading) -> Item | None:
    while item is not None and item.text in {"the", "your"}:
        item = reading.word_before(item)
    return item
