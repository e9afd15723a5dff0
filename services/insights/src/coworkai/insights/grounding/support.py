"""Every part of a sentence rests on a fact.

    "{0} of focus, as the plan was late."    the second part says something, and no fact is in it

A part without a value or name may open a sentence in a few words ("A quick look at Monday: …"), may hold what
other rules hold to the facts ("…, more than usual"), and may be empty of meaning ("…, so far"). Advice may go
on to say what else to do, but not what the worker did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Reading
from coworkai.insights.grounding.wording import Found

_REFERRING = frozenset({"it", "it's", "that", "this", "both", "these"})
"""What a sentence about the one before it begins with."""
_OPENING_WORDS_MAX = 4
_SUBJECT_WORDS_MAX = 0
_CLAUSE_WORDS_MAX = 1
"""Words that carry meaning and are not held to the facts, in an opening, in one with a subject, and in a
later part that has some that are held to them."""


def support(reading: Reading) -> Iterator[Found]:
    """Parts that say something without a fact."""
    for at, group in groupby(reading.items, key=lambda item: item.sentence):
        sentence = list(group)
        if all(item.place is None for item in sentence):
            said = [item for item in sentence if item.is_word]
            if at and said and said[0].text in _REFERRING and not _says_too_much(said, opens=False):
                continue
            yield Found(Rule.SUPPORT, sentence[0], "a sentence without a fact")
            continue
        aside = False
        for number, chunk in enumerate(chunk for chunk in _chunks(sentence) if chunk):
            if any(item.place is not None for item in chunk):
                aside = number > 0 and all(item.place is not None for item in chunk)
                continue
            if aside and _goes_on(chunk[0]):
                continue
            says = _advises_badly if reading.is_plan else _says_too_much
            if says(chunk, number == 0):
                yield Found(Rule.SUPPORT, chunk[0], "a part without a fact")


def _goes_on(item: Item) -> bool:
    """Whether a stretch after a value that stood aside goes on with what was said: "{0}, {1}, went to …"."""
    entry, sets = item.entry, lexicon().sets
    is_clause = item.text in sets["subordinating"] or item.text in sets["subjects"]
    return entry is not None and not entry.joint and not entry.refused and not is_clause


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
        and following.text in lexicon().sets["subjects"]
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


def _says_too_much(chunk: Sequence[Item], opens: bool) -> bool:
    sets = lexicon().sets
    said = [item for item in chunk if item.is_word and item.text not in sets["hollow"] and not _is_role(item)]
    if any(item.entry is not None and item.entry.flags for item in said):
        said = [item for item in said if item.entry is None or not item.entry.negation]
    checked = [item for item in said if _is_checked(item)]
    if opens:
        limit = _SUBJECT_WORDS_MAX if chunk[0].text in sets["subjects"] else _OPENING_WORDS_MAX
        return len(said) - len(checked) > limit
    if any(item.text == "they" for item in chunk):
        return True
    if chunk[0].text in sets["subjects"] and not any(_names_something(item) for item in checked):
        return True
    return len(said) - len(checked) > (_CLAUSE_WORDS_MAX if checked else 0)


def _advises_badly(chunk: Sequence[Item], opens: bool) -> bool:
    """Whether advice, once begun, goes on to say what is so."""
    first = chunk[0]
    if opens or any(item.entry is not None and item.entry.statuses for item in chunk):
        return False
    sets = lexicon().sets
    if first.text in sets["advice_clauses"]:
        return False
    return (
        first.text in sets["no_advice"]
        or first.text in sets["subjects"]
        or (
            first.entry is not None
            and first.entry.joint
            and len(chunk) > 1
            and chunk[1].text in sets["subjects"]
        )
    )


def _names_something(item: Item) -> bool:
    return item.entry is not None and bool(item.entry.measures or item.entry.statuses)


def _is_role(item: Item) -> bool:
    return item.entry is not None and bool(item.entry.roles & {"start", "end", "target"})


def _is_checked(item: Item) -> bool:
    """Whether another rule holds the phrase to the facts."""
    entry = item.entry
    if entry is None or entry.negation:
        return False
    if item.text not in lexicon().sets["common"] and (entry.measures or entry.flags):
        return True
    return entry.direction is not None or bool(
        entry.statuses or entry.superlative or entry.usual or entry.rank or entry.refused
    )
