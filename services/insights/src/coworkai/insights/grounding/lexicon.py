"""The gate's words, read once from the TOML files beside this module: what each phrase says of the facts.

    "after hours time"  ─▶  Entry(measures={"after_hours_s"})        measures.toml
    "fewer"             ─▶  Entry(direction=-1)                      wording.toml
    "because"           ─▶  Entry(refused=Rule.CAUSE)
    "across"            ─▶  Entry()                                  vocabulary.toml
    anything else       ─▶  None: a word the gate does not understand

The lists grow by adding words; there is no wording in code.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from itertools import product
from types import MappingProxyType
from typing import Any

from coworkai.common.measures import CATALOGUE

_NONE: frozenset[str] = frozenset()


class Rule(StrEnum):
    """Why a statement may not be published."""

    TEMPLATE = "template"
    """Places and claims do not match one to one, or the template is no plain prose."""
    CITATION = "citation"
    """A claim cites what is not there, was not offered, or has no value."""
    NUMBER = "number"
    """A number in the writer's own words."""
    UNIT = "unit"
    """A unit beside a value that brings its own, or one of the writer's."""
    MEASURE = "measure"
    """A value said to be of another measure, or a measure without a fact for it."""
    PAIRING = "pairing"
    """A value said of another app, goal, span or role than its own."""
    DAY = "day"
    """Another day, or part of one, than the facts'."""
    NAME = "name"
    """A name that no cited fact has."""
    STATUS = "status"
    """A status other than the cited fact's, or of nothing cited."""
    DIRECTION = "direction"
    """More or less, against the sign of the cited difference, or against nothing cited."""
    SUPERLATIVE = "superlative"
    """The most or the first of what it is not."""
    CAUSE = "cause"
    CHARACTER = "character"
    EMOTION = "emotion"
    HEALTH = "health"
    PERSON = "person"
    """Anyone but the worker."""
    MARKUP = "markup"
    """Links, addresses, images, HTML, markdown, code, or what cannot be seen."""
    SUPPORT = "support"
    """A part of a sentence that rests on no fact."""
    VOCABULARY = "vocabulary"
    """A word that the gate does not understand."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a phrase says. `measures`, `statuses`, `flags` and `roles` are selectors."""

    measures: frozenset[str] = _NONE
    statuses: frozenset[str] = _NONE
    flags: frozenset[str] = _NONE
    roles: frozenset[str] = _NONE
    direction: int | None = None
    turns: int | None = None
    """The direction that a word gives to what is usual, where that follows."""
    usual: bool = False
    superlative: str | None = None
    rank: int | None = None
    negation: bool = False
    absence: bool = False
    wanted: bool = False
    wanted_in_advice: bool = False
    number: float | None = None
    unit: str | None = None
    day: str | None = None
    part_of_day: str | None = None
    joint: bool = False
    of_group: bool = False
    of_record: bool = False
    of_plans: bool = False
    refused: Rule | None = None

    is_plain: bool = False
    """Nothing but a word that is known."""

    def __or__(self, other: Entry) -> Entry:
        """What two sections say of one phrase."""
        merged = {
            item.name: getattr(self, item.name) | getattr(other, item.name)
            if isinstance(getattr(self, item.name), frozenset | bool)
            else getattr(self, item.name)
            if getattr(self, item.name) is not None
            else getattr(other, item.name)
            for item in fields(self)
        }
        return Entry(**merged)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`phrases` are the lengths of the phrases that begin with a word, the longest first, and `entries` what
    each says; `wholes` by part, `related` and `sets` by name; `numbers` are the number words; `beside` are
    patterns of what stands before and after names, by what they are names of."""

    phrases: Mapping[str, tuple[int, ...]]
    entries: Mapping[tuple[str, ...], Entry]
    wholes: Mapping[str, frozenset[str]]
    related: Mapping[str, frozenset[str]]
    sets: Mapping[str, frozenset[str]]
    numbers: frozenset[str]
    beside: Mapping[str, Mapping[str, Sequence[str]]]

    def longest(self, words: list[str], at: int) -> tuple[int, Entry | None]:
        """How many of the words from `at` on make a phrase, and its entry; (1, None) for an unknown word."""
        for length in self.phrases.get(words[at], ()):
            entry = self.entries.get(tuple(words[at : at + length]))
            if entry is not None and at + length <= len(words):
                return length, entry
        return 1, None


_JOINTS = frozenset(
    {
        "and",
        "but",
        "while",
        "with",
        "whereas",
        "against",
        "versus",
        "vs",
        "compared",
        "instead",
        "plus",
        "then",
    }
    | {"though", "although", "where", "which", "however", "who"}
)
"""Words that begin a new part of a sentence."""

_MEASURED = frozenset({"met", "exceeded", "missed"})
"""Statuses that are of more or less: "behind", "below target"."""


@cache
def lexicon() -> Lexicon:
    entries: dict[tuple[str, ...], Entry] = {}

    def say(phrases: Iterable[str], entry: Entry) -> None:
        for spelt in (one for phrase in phrases for one in _alternatives(phrase)):
            words = tuple(_words(spelt))
            known = entries.get(words)
            entries[words] = entry if known is None else known | entry

    measures, wording, plain = _read("measures"), _read("wording"), _read("vocabulary")
    for selector, phrases in measures["phrases"].items():
        say(phrases, Entry(measures=frozenset({selector})))
    for measure in CATALOGUE.values():
        say([measure.title.lower()], Entry(measures=frozenset({measure.name})))
    for section, entry in _sections(wording):
        say(section, entry)
    say(_JOINTS, Entry(joint=True))
    for words, entry in entries.items():
        if entry.statuses & _MEASURED and entry.direction is None and entry.turns is None and len(words) > 1:
            last = entries.get(words[-1:], Entry())
            entries[words] = replace(entry, direction=last.direction, turns=last.turns)
    plain_entries = (Entry(), Entry(joint=True))
    known = {words[0] for words in entries if len(words) == 1}
    say(set(_plain_words(plain)), Entry())
    say(set(plain["planning"].split()) - known - set(_plain_words(plain)), Entry(of_plans=True))
    for words, entry in entries.items():
        if entry in plain_entries:
            entries[words] = replace(entry, is_plain=True)
    by_first: dict[str, set[int]] = {}
    for words in entries:
        by_first.setdefault(words[0], set()).add(len(words))
    wholes = _wholes(measures["wholes"])
    return Lexicon(
        MappingProxyType(
            {first: tuple(sorted(lengths, reverse=True)) for first, lengths in by_first.items()}
        ),
        MappingProxyType(entries),
        MappingProxyType(wholes),
        MappingProxyType(_related(measures["related"], wholes)),
        MappingProxyType(
            {name: frozenset(words) for name, words in (measures["sets"] | wording["sets"]).items()}
        ),
        frozenset(words[0] for words, entry in entries.items() if entry.number is not None),
        MappingProxyType(wording["beside"]),
    )


def _sections(wording: Mapping[str, Any]) -> Iterator[tuple[list[str], Entry]]:
    signs = {"up": 1, "down": -1, "same": 0}
    named: dict[str, Callable[[str], Entry]] = {
        "direction": lambda name: Entry(direction=signs[name]),
        "direction_before_usual": lambda name: Entry(turns=signs[name]),
        "usual": lambda name: Entry(usual=name == "words"),
        "status": lambda name: Entry(statuses=frozenset({name})),
        "absence": lambda name: Entry(absence=True),
        "flags": lambda name: Entry(flags=frozenset({name})),
        "superlative": lambda name: Entry(superlative=name),
        "negation": _NEGATIONS.__getitem__,
        "role": lambda name: Entry(roles=frozenset({name})),
        "day": lambda name: Entry(day=name),
        "part_of_day": lambda name: Entry(part_of_day=name),
        "unit": lambda name: Entry(unit=name),
        "unit_inside": lambda name: Entry(),
        "plain": lambda name: Entry(),
        "number": lambda name: Entry(number=float(name)),
        "rank": lambda name: Entry(rank=int(name)),
        "person": lambda name: Entry(of_group=name == "group", of_record=name == "record"),
    }
    for section, entry in named.items():
        for name, phrases in wording[section].items():
            yield phrases, entry(name)
    for name, section in wording["refused"].items():
        for phrases in section.values():
            yield [form for phrase in phrases for form in _forms(phrase)], Entry(refused=Rule(name))


_NEGATIONS = {
    "words": Entry(negation=True),
    "wanted": Entry(wanted=True),
    "wanted_in_advice": Entry(wanted_in_advice=True),
}


def _wholes(given: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """What each selector is a part of: as given, and what the catalogue divides by."""
    found: dict[str, set[str]] = {part: {whole} for part, whole in given.items()}
    for measure in CATALOGUE.values():
        if measure.denominator is not None:
            found.setdefault(measure.name, set()).add(measure.denominator)
    return {part: frozenset(wholes) for part, wholes in found.items()}


def _related(
    given: Mapping[str, list[str]], wholes: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """What each selector has to do with: as given, its whole, and what is divided."""
    found: dict[str, set[str]] = {name: set(others) for name, others in given.items()}
    for part, whole in wholes.items():
        found.setdefault(part, set()).update(whole)
    for measure in CATALOGUE.values():
        if measure.numerator is not None:
            found.setdefault(measure.name, set()).add(measure.numerator)
    return {name: frozenset(others) for name, others in found.items()}


def _forms(phrase: str) -> Iterator[str]:
    """A refused word with the endings that make another of it."""
    yield phrase
    if " " not in phrase and len(phrase) > 4:
        yield from (f"{phrase}ly", f"{phrase}ness", f"{phrase}s")
        if phrase.endswith("y"):
            yield f"{phrase[:-1]}ily"


_DOUBLES = re.compile(r"(?:^|[^aeiou])[aeiou][bdglmnprt]$")
"""Verbs that may double their last letter: flag, flagged."""


def _plain_words(plain: Mapping[str, str]) -> Iterator[str]:
    for name in ("words", "irregular"):
        yield from plain[name].split()
    for noun in plain["nouns"].split():
        yield from (noun, _plural(noun))
    for verb in plain["verbs"].split():
        yield from (verb, _plural(verb))
        stem = verb.removesuffix("e")
        if _DOUBLES.search(verb):
            yield from (f"{verb}{verb[-1]}ing", f"{verb}{verb[-1]}ed")
        if verb.endswith("y") and verb[-2] not in "aeo":
            yield from (f"{verb}ing", f"{verb[:-1]}ied")
        else:
            yield from (f"{stem}ing", f"{stem}ed")
        if verb.endswith("ise"):
            yield from (f"{verb[:-2]}z{ending}" for ending in ("e", "ed", "es", "ing"))


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh", "z")) else f"{word}s"


def _alternatives(phrase: str) -> Iterator[str]:
    """ "on|off the|your list": each choice of words, an empty one left out."""
    if "|" not in phrase:
        yield phrase
        return
    for words in product(*(word.split("|") for word in phrase.split())):
        yield " ".join(word.replace("_", " ") for word in words if word)


def _words(phrase: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", phrase.lower())


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files(__package__) / f"{name}.toml").read_text(encoding="utf-8"))
