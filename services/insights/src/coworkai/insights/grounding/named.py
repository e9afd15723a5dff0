"""What a name is said to be: a goal is done, a target met, an app open, a word mentioned.

    "You finished {0}"        {0} must be a goal's name
    "{0} and {1} took …"      both must be apps' or sites'

The words that stand right beside a name tell what it is of; those beside a list tell it of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from coworkai.insights.facts import FactKind
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Reading
from coworkai.insights.grounding.wording import Found

_WORDS_BESIDE_MAX = 6
_LINKS = frozenset({",", "and", "&", "both", "all"})
_BREAKS = frozenset(".!?;:")
_COUNTED = frozenset(
    {
        FactKind.KPI,
        FactKind.CHATS,
        FactKind.THEME,
        FactKind.CHAT,
        FactKind.PAUSE,
        FactKind.BLOCK,
        FactKind.FOCUS,
    }
)
_SORTS: Mapping[FactKind, str] = {
    FactKind.GOAL: "goal",
    FactKind.TARGET: "target",
    FactKind.AREA: "area",
    FactKind.THEME: "theme",
    FactKind.USAGE: "tool",
    FactKind.FOCUS: "tool",
    FactKind.SLICE: "tool",
}


def kinds(reading: Reading) -> Iterator[Found]:
    """A name in a place for another sort of thing, or a value in one for another kind of fact's."""
    names = [item for item in reading.places if _sort(item) is not None]
    own = {item.at: _told(item, reading, "name") for item in names}
    for number, item in enumerate(names):
        told = own[item.at] or _told_of_list(number, names, own, reading)
        if told and _sort(item) not in told:
            yield Found(Rule.PAIRING, item, "a name said to be of another sort of thing")
    for item in reading.places:
        place = item.place
        if place is None or place.fact.kind not in _COUNTED or place.is_name:
            continue
        told = _told(item, reading, "value")
        if told and place.fact.kind.value not in told:
            yield Found(Rule.PAIRING, item, "a value said of another kind of fact")


def _sort(item: Item) -> str | None:
    place = item.place
    if place is None or not place.is_name:
        return None
    if place.fact.kind is FactKind.CHAT:
        return "assistant" if place.field == "assistant" else None
    return _SORTS.get(place.fact.kind)


def _told(item: Item, reading: Reading, of: str) -> frozenset[str]:
    """The sorts that the words right before or after a name, or a value, are said of."""
    before, after = _patterns(of)
    found = before.search(_beside(reversed(reading.items[: item.at]), back=True))
    found = found or after.match(_beside(iter(reading.items[item.at + 1 :]), back=False))
    return frozenset(found.lastgroup.split("_or_")) if found is not None and found.lastgroup else frozenset()


def _beside(items: Iterator[Item], *, back: bool) -> str:
    words: list[str] = []
    for item in items:
        if len(words) == _WORDS_BESIDE_MAX or (not item.is_word and item.place is None):
            break
        if item.place is not None and item.place.is_name:
            break
        words.append(item.text if item.place is None else "#")
    return " ".join(reversed(words) if back else words)


def _told_of_list(
    number: int, names: Sequence[Item], own: Mapping[int, frozenset[str]], reading: Reading
) -> frozenset[str]:
    """What is told of the list that a name is in: beside its first name, or beside its last."""
    for step in (-1, 1):
        at = number
        while 0 <= at + step < len(names) and _are_linked(names[at], names[at + step], reading):
            at += step
            if own[names[at].at]:
                return own[names[at].at]
    return frozenset()


def _are_linked(one: Item, other: Item, reading: Reading) -> bool:
    first, second = sorted((one.at, other.at))
    return second - first > 1 and all(item.text in _LINKS for item in reading.items[first + 1 : second])


@cache
def _patterns(of: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What stands before a name or value, and what after it, each with its sorts as the name of a group."""
    sides = lexicon().beside
    before, after = (
        "|".join(f"(?P<{sorts}>{'|'.join(phrases)})" for sorts, phrases in sides[f"{side}_{of}"].items())
        for side in ("before", "after")
    )
    between = "|".join(sorted(lexicon().sets["auxiliary"]))
    return re.compile(rf"(?:^| )(?:{before})$"), re.compile(rf"(?:(?:{between}) )*(?:{after})(?: |$)")
