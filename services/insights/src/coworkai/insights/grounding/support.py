"""Every part of a sentence rests on a fact.

    "{0} of focus, as the plan was late."    the second part says something, and no fact is in it

A part without a value or name may open a sentence in a few words ("A quick look at Monday: …"), may hold what
other rules hold to the facts ("…, more than usual"), and may be empty of meaning ("…, so far"). Advice may go
on to say what else to do, but not what the worker did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from coworkai.insights.facts import FactKind
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Reading
from coworkai.insights.grounding.states import SUBJECTS
from coworkai.insights.grounding.wording import Found

_REFERRING = frozenset({"it", "it's", "that", "this", "both", "these"})
"""What a sentence about the one before it begins with."""
_RECORDS = frozenset({FactKind.CHAT, FactKind.CHATS, FactKind.DAY})
_DECLARED = frozenset({FactKind.AREA, FactKind.GOAL, FactKind.TARGET})
_OPENING_WORDS_MAX = 4
_SUBJECT_WORDS_MAX = 0
"""Words that carry meaning and are not held to the facts, in an opening, and in one with a subject."""


def support(reading: Reading) -> Iterator[Found]:
    """Parts that say something without a fact."""
    for at, group in groupby(reading.items, key=lambda item: item.sentence):
        sentence = list(group)
        if all(item.place is None for item in sentence):
            said = [item for item in sentence if item.is_word]
            if at and said and said[0].text in _REFERRING and not _says_too_much(said, False, reading):
                continue
            yield Found(Rule.SUPPORT, sentence[0], "a sentence without a fact")
            continue
        for number, chunk in enumerate(chunk for chunk in _chunks(sentence) if chunk):
            if any(item.place is not None for item in chunk):
                continue
            says = _advises_badly if reading.advises(chunk[0]) else _says_too_much
            if says(chunk, number == 0, reading):
                yield Found(Rule.SUPPORT, chunk[0], "a part without a fact")


def _chunks(sentence: Sequence[Item]) -> Iterator[list[Item]]:
    """Stretches between signs, cut before "and it …" and before "as …" where no value follows."""
    chunk: list[Item] = []
    for item, following in zip(sentence, [*sentence[1:], None], strict=True):
        is_sign = not item.is_word and item.place is None
        if is_sign or _begins_clause(item, following):
            yield from _cut(chunk)
            chunk = []
        if not is_sign:
            chunk.append(item)
    yield from _cut(chunk)


def _begins_clause(item: Item, following: Item | None) -> bool:
    return (
        item.entry is not None
        and item.entry.joint
        and following is not None
        and following.text.split()[0] in lexicon().sets["subjects"]
    )


def _cut(chunk: list[Item]) -> Iterator[list[Item]]:
    """The stretch, and apart from it what a subordinating word begins without a value."""
    subordinating = lexicon().sets["subordinating"]
    last_place = max((n for n, item in enumerate(chunk) if item.place is not None), default=len(chunk))
    at = next(
        (n for n, item in enumerate(chunk) if n > last_place and item.text in subordinating), len(chunk)
    )
    yield chunk[:at]
    yield chunk[at:]


def _says_too_much(chunk: Sequence[Item], opens: bool, reading: Reading) -> bool:
    sets = lexicon().sets
    said = [
        item
        for item in chunk
        if item.is_word and item.text not in sets["hollow"] and not _is_role(item) and not _is_time(item)
    ]
    if any(item.entry is not None and (item.entry.flags or item.entry.statuses) for item in said):
        said = [item for item in said if item.entry is None or not item.entry.negation]
    is_ranked = any(item.entry is not None and item.entry.superlative for item in said)
    checked = [
        item
        for item in said
        if _is_checked(item, reading) or (is_ranked and item.entry is not None and item.entry.measures)
    ]
    if opens:
        limit = _SUBJECT_WORDS_MAX if chunk[0].text in sets["subjects"] else _OPENING_WORDS_MAX
        return len(said) - len(checked) > limit
    subject = _subject(chunk)
    if subject == "they" or (subject is not None and not _names_something(subject, checked)):
        return True
    return len(said) > len(checked) or _compares_nothing(chunk)


def _advises_badly(chunk: Sequence[Item], opens: bool, reading: Reading) -> bool:
    """Whether advice, once begun, goes on to say what is so."""
    if opens:
        return False
    sets = lexicon().sets
    if _subject(chunk) is not None or chunk[0].text in sets["no_advice"] or _compares_nothing(chunk):
        return True
    if any(item.entry is not None and item.entry.statuses for item in chunk):
        return False
    return not all(_may_close(item, reading) for item in chunk)


def _subject(chunk: Sequence[Item]) -> str | None:
    """Who or what a stretch is about, where it begins with that."""
    opening = chunk[1] if len(chunk) > 1 and chunk[0].entry is not None and chunk[0].entry.joint else chunk[0]
    word = opening.text.split()[0]
    return word if word in lexicon().sets["subjects"] else None


def _compares_nothing(chunk: Sequence[Item]) -> bool:
    """More or less, and not than usual or the day before."""
    entries = [item.entry for item in chunk if item.entry is not None]
    return any(entry.direction is not None and not entry.statuses for entry in entries) and not any(
        entry.usual or entry.day is not None for entry in entries
    )


def _may_close(item: Item, reading: Reading) -> bool:
    """Whether advice may go on with it: what rules hold to the facts, a time, or a word without meaning."""
    sets = lexicon().sets
    return (
        item.text in sets["hollow"]
        or item.text in sets["closing"]
        or _is_time(item)
        or _is_checked(item, reading)
    )


def _names_something(subject: str, checked: Sequence[Item]) -> bool:
    """What was named last may be the longest; of other subjects a measure or a status is said."""
    return any(
        item.entry is not None
        and (item.entry.measures or item.entry.statuses or (item.entry.superlative and subject == "it"))
        for item in checked
    )


def _is_time(item: Item) -> bool:
    """A day, or a part of one by its name; "late" says more than when."""
    entry = item.entry
    return entry is not None and (
        entry.day is not None or (entry.part_of_day is not None and item.text != "late")
    )


def _is_role(item: Item) -> bool:
    return item.entry is not None and bool(item.entry.roles & {"start", "end", "target"})


def _is_checked(item: Item, reading: Reading) -> bool:
    """Whether another rule holds the phrase to the facts."""
    entry = item.entry
    if entry is None or entry.negation:
        return False
    sets = lexicon().sets
    if item.text not in sets["common"] and (entry.measures or entry.flags):
        return True
    if item.text in sets["declaring"] and any(fact.kind in _DECLARED for fact in reading.cited):
        return True
    if entry.statuses and any(
        fact.kind in SUBJECTS.get(status, _RECORDS) for fact in reading.cited for status in entry.statuses
    ):
        return True
    return entry.direction is not None or bool(
        entry.superlative or entry.usual or entry.rank or entry.refused
    )
