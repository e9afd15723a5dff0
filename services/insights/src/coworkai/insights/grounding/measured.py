"""What values are said to be.

    "{0} of focus, {1} context switches"     {0} must be of focus_s

A value is what the nearest phrase of its part of the sentence names: the one it is joined to, else one that
no other value has, else the last one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from coworkai.insights.facts import FactKind, FieldUnit
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.order import in_order, part_and_whole
from coworkai.insights.grounding.reading import Item, Place, Reading
from coworkai.insights.grounding.wording import Found

MEASURED = frozenset(
    {FactKind.KPI, FactKind.BASELINE, FactKind.GROUP, FactKind.DAY, FactKind.CHATS, FactKind.THEME}
)
"""Kinds whose values say nothing without a word for what they measure."""
_Said = dict[int, frozenset[str]]
"""What each value is said to be, as selectors, by the value's index."""


def measures(reading: Reading) -> Iterator[Found]:
    """Every value must be what the words beside it measure, and what is spoken of must be cited."""
    cited = frozenset().union(*(item.place.selectors for item in reading.places if item.place is not None))
    cited |= {selector for fact in reading.cited for selector in (fact.kind.value, fact.measure)}
    cited |= _related(cited)
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
        named = said.get(item.at)
        if named is None:
            if place.fact.kind in MEASURED:
                yield Found(Rule.MEASURE, item, "a value without a word for what it measures")
        elif not named & place.selectors:
            yield Found(Rule.MEASURE, item, "a value said of another measure")


def comparisons(reading: Reading) -> Iterator[Found]:
    """What is usual is compared with a value of its own measure."""
    for item in reading.places:
        if item.place is None or item.place.fact.kind is not FactKind.BASELINE:
            continue
        if any(
            other.entry is not None and other.entry.measures and not _is_common(other)
            for other in reading.part_of(item)
        ):
            continue
        values = [
            other
            for other in reading.sentence_of(item)
            if other.place is not None and other.place.fact.kind is FactKind.KPI
        ]
        before = [other for other in values if other.at < item.at]
        compared = next(iter(before[-1:] or values[:1]), None)
        if compared is not None and not _is_of_measure(compared, item):
            yield Found(Rule.MEASURE, item, "what is usual of another measure")


def _related(selectors: Iterable[str]) -> frozenset[str]:
    """What may be spoken of where these are cited: what a ratio is of, the whole of a part."""
    related = lexicon().related
    return frozenset().union(*(related.get(selector, frozenset()) for selector in selectors))


def _is_common(item: Item) -> bool:
    """Everyday words that also name something measured."""
    return item.text in lexicon().sets["common"]


def _is_measured(place: Place) -> bool:
    if place.is_name or place.unit in {FieldUnit.DATE, FieldUnit.INSTANT} or place.field == "unit":
        return False
    if place.unit is FieldUnit.STATUS:
        return place.fact.kind is FactKind.BASELINE
    return place.is_number


def _assigned(reading: Reading) -> _Said:
    values = [item for item in reading.places if item.place is not None and _is_measured(item.place)]
    mentions = [item for item in reading.items if item.entry is not None and item.entry.measures]
    chosen: dict[int, Item] = dict(in_order(reading, values, mentions))
    for item in values:
        if item.at not in chosen:
            joined = _joined(item, reading, mentions)
            if joined is not None and not _is_common(joined):
                chosen[item.at] = joined
    for item in values:
        if item.at not in chosen:
            mention = _joined(item, reading, mentions)
            if mention is None or _is_of_catalogue(item):
                mention = _free(item, mentions, chosen.values()) or mention
            mention = mention or _near(item, mentions)
            if mention is not None:
                chosen[item.at] = mention
    said = {item.at: _selectors(item, chosen, mentions, reading) for item in values if item.at in chosen}
    _share_wholes(reading, said)
    return said


def _joined(item: Item, reading: Reading, mentions: Sequence[Item]) -> Item | None:
    """What follows directly: "{0} of focus time", "{0} context switches"."""
    after = reading.word_after(item)
    if after is not None and after.text in {"of", "in"}:
        after = reading.word_after(after)
        while after is not None and after.text in lexicon().sets["determiners"]:
            after = reading.word_after(after)
    return after if after is not None and after in mentions and _may_name(after, item) else None


def _may_name(mention: Item, item: Item) -> bool:
    """An everyday word names a value only where it fits."""
    return not _is_common(mention) or _fits(mention, item)


def _fits(mention: Item, item: Item) -> bool:
    return bool(mention.entry and item.place and mention.entry.measures & item.place.selectors)


def _free(item: Item, mentions: Sequence[Item], taken: Iterable[Item]) -> Item | None:
    """The nearest phrase of the part that is not an everyday word and that no other value has."""
    claimed = {mention.at for mention in taken}
    return _nearest(
        item, [m for m in mentions if m.part == item.part and m.at not in claimed and not _is_common(m)]
    )


def _near(item: Item, mentions: Sequence[Item]) -> Item | None:
    """The nearest phrase of the part, or, for what must be named, the last one before or the next one."""
    fitting = [mention for mention in mentions if _may_name(mention, item)]
    own = _nearest(item, [mention for mention in fitting if mention.part == item.part])
    if own is not None or item.place is None or item.place.fact.kind not in MEASURED:
        return own
    sentence = [mention for mention in fitting if mention.sentence == item.sentence]
    before = [mention for mention in sentence if mention.at < item.at]
    earlier = [mention for mention in fitting if mention.at < item.at]
    return next(iter(before[-1:] or sentence[:1] or earlier[-1:]), None)


def _nearest(item: Item, mentions: Iterable[Item]) -> Item | None:
    return min(mentions, key=lambda mention: (abs(mention.at - item.at), mention.at), default=None)


def _is_of_catalogue(item: Item) -> bool:
    return item.place is not None and item.place.fact.kind in {
        FactKind.KPI,
        FactKind.BASELINE,
        FactKind.GROUP,
    }


def _selectors(
    item: Item, chosen: Mapping[int, Item], mentions: Sequence[Item], reading: Reading
) -> frozenset[str]:
    """What a phrase says of a value.

    Where it names the value's whole, as in "{0} of the work was outside your schedule", what the sentence
    says of the part counts, if no other value is said to be it.
    """
    entry = chosen[item.at].entry
    named = entry.measures if entry is not None else frozenset()
    if item.place is None or named & item.place.selectors or not named & wholes_of(item.place):
        return named
    others = {
        mention.at
        for at, mention in chosen.items()
        if at != item.at and not _is_usual_of(reading.items[at], item)
    }
    own = [
        mention for mention in mentions if _is_told_with(mention, item, reading) and mention.at not in others
    ]
    return item.place.selectors if any(_fits(mention, item) for mention in own) else named


def _is_told_with(mention: Item, item: Item, reading: Reading) -> bool:
    """Whether a phrase is of the value's part, or of one beside it that has no value of another."""
    if mention.part == item.part:
        return True
    return (
        mention.sentence == item.sentence
        and abs(mention.part - item.part) == 1
        and all(other.place is None or _is_of_measure(other, item) for other in reading.part_of(mention))
    )


def _is_usual_of(one: Item, other: Item) -> bool:
    """A value and what is usual of it share a phrase."""
    if one.place is None or other.place is None:
        return False
    return (
        one.place.fact.measure == other.place.fact.measure
        and one.place.fact.kind is not other.place.fact.kind
    )


def _is_of_measure(one: Item, other: Item) -> bool:
    return bool(one.place and other.place and one.place.fact.measure == other.place.fact.measure)


def wholes_of(place: Place) -> frozenset[str]:
    """The selectors of what a value is a part of."""
    wholes = lexicon().wholes
    return frozenset().union(*(wholes.get(selector, frozenset()) for selector in place.selectors))


def _share_wholes(reading: Reading, said: _Said) -> None:
    """In "{0} of {1} goals done" one noun stands for the part and the whole."""
    wholes = lexicon().wholes
    for part, whole in part_and_whole(reading):
        named = said.get(whole.at)
        if part.place is None or whole.place is None or named is None:
            continue
        for selector in part.place.selectors & named:
            if wholes.get(selector, frozenset()) & whole.place.selectors:
                said[part.at] = named
                said[whole.at] = named | whole.place.selectors
