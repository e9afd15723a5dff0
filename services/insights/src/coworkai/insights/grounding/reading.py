"""A statement as the gate reads it: its template cut into places, known phrases and unknown words.

    "{0} of focus time on Monday, more than usual."
     PLACE [of focus] … [monday] │ [more] [usual]        │ parts; a statement has sentences, sentences parts

Only the template is read. What stands at a place is the fact's own, and text that came with telemetry can
neither add a word to the reading nor hide one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from coworkai.insights.brief import Statement, StatementKind
from coworkai.insights.clean import clean
from coworkai.insights.facts import Fact, FactBook, FactKind, FieldUnit, Scalar
from coworkai.insights.grounding.lexicon import Entry, Lexicon, lexicon
from coworkai.insights.render import NAME_MAX_CHARS, NoValue, value_text

_TOKEN = re.compile(
    r"(?P<place>\{\d{1,2}\})|(?P<word>[^\W\d_]+(?:['’][^\W\d_]+)*)|(?P<number>\d+(?:[.,:]\d+)*)|(?P<other>\S)"
)
_SENTENCE_ENDS = frozenset(".!?")
_PART_ENDS = frozenset(",;:()—–…")
_QUIET = frozenset("-'’“”\"")
_NAMES = frozenset({FieldUnit.NAME, FieldUnit.TEXT})
_NUMBERS = frozenset(
    {
        FieldUnit.SECONDS,
        FieldUnit.COUNT,
        FieldUnit.SHARE,
        FieldUnit.PER_HOUR,
        FieldUnit.PER_MINUTE,
        FieldUnit.BITS,
        FieldUnit.INDEX,
        FieldUnit.ATTAINMENT,
        FieldUnit.NUMBER,
        FieldUnit.Z,
        FieldUnit.DAYS,
    }
)
_COUNTABLE = frozenset({FieldUnit.COUNT, FieldUnit.NUMBER, FieldUnit.DAYS})
_PLANS = frozenset({StatementKind.NEXT_STEP, StatementKind.RECOMMENDATION})
_TOOL_NAMES = {FactKind.USAGE: ("name",), FactKind.FOCUS: ("app",), FactKind.SLICE: ("app",)}
"""Fields that are apps and addresses. What is typed may be written out in quotation marks only."""
_PLAIN_NAME = re.compile(r"[\w.+#-]{1,40}(?: [\w.+#-]{1,20}){0,2}")
_TURNS = frozenset({"up", "down"})
_USUAL_WITHIN = 4
_PREPOSITIONS = frozenset({"in", "of", "for", "on", "at"})
_BEFORE_IT = frozenset({",", ":", "and", "but", "while"})
_QUOTES = frozenset('“"')
_NAMED_BY = {FactKind.FOCUS: "app", FactKind.SLICE: "app"}


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A value of a fact in the text: at a numbered place, or written out by the writer as the fact has it."""

    fact: Fact
    field: str
    unit: FieldUnit
    value: Scalar

    @property
    def is_name(self) -> bool:
        return self.unit in _NAMES and self.field != "unit"

    @property
    def is_number(self) -> bool:
        return self.unit in _NUMBERS

    @property
    def number(self) -> float:
        """The value of a number; 0 of anything else."""
        return float(self.value) if isinstance(self.value, int | float) else 0.0

    @property
    def selectors(self) -> frozenset[str]:
        kind = self.fact.kind.value
        if self.fact.kind in {FactKind.KPI, FactKind.BASELINE}:
            return frozenset({self.fact.measure})
        if self.fact.kind is FactKind.GROUP:
            own = "group.contributors" if self.field == "contributors" else self.fact.measure
            return frozenset({own})
        if self.fact.kind in {FactKind.DAY, FactKind.CHATS}:
            return frozenset({f"{kind}.{self.field}"})
        return frozenset({kind, f"{kind}.{self.field}"})


@dataclass(slots=True, eq=False)
class Item:
    """A place, a phrase, or a sign. `part` and `sentence` count from 0; `at` is its index in the reading."""

    at: int
    text: str
    raw: str
    start: int
    end: int
    part: int
    sentence: int
    entry: Entry | None = None
    place: Place | None = None
    is_word: bool = False
    is_digits: bool = False
    opens: bool = False
    """First word of a sentence, or after a colon."""


def _goes_on_telling(item: Item) -> bool:
    """Whether what follows ", and" tells on: "…, and {0} is open", but not "…, and then start with {0}"."""
    if item.text == "then":
        return False
    if item.place is not None or item.entry is None or item.entry.statuses:
        return True
    words = lexicon().sets
    return (
        item.text in words["auxiliary"] or item.text.split()[0] in words["telling"] or not item.entry.is_plain
    )


@dataclass(frozen=True)
class Reading:
    """A statement's items with what the rules ask of them most."""

    statement: Statement
    book: FactBook
    items: Sequence[Item]
    cited: Sequence[Fact] = field(default_factory=tuple)

    @cached_property
    def places(self) -> list[Item]:
        return [item for item in self.items if item.place is not None]

    @cached_property
    def is_plan(self) -> bool:
        return self.statement.kind in _PLANS

    @cached_property
    def segments(self) -> list[int]:
        """For each item, how many semicolons and sentences stand before it."""
        numbers, number = [], 0
        for item in self.items:
            numbers.append(number)
            number += item.text == ";" or item.text in _SENTENCE_ENDS
        return numbers

    @cached_property
    def _telling(self) -> frozenset[int]:
        """Items of advice that tell what is so: "…; it is still open", "…, which has no value yet"."""
        if not self.is_plan:
            return frozenset(range(len(self.items)))
        words = lexicon().sets
        found: set[int] = set()
        segment, tells = -1, False
        for item, following in zip(self.items, [*self.items[1:], None], strict=True):
            if self.segments[item.at] != segment:
                segment = self.segments[item.at]
                is_asked = following is not None and following.text in words["suggesting"]
                tells = item.place is not None or (item.text.split()[0] in words["telling"] and not is_asked)
            elif (item.text == "which" and self.items[item.at - 1].text not in _PREPOSITIONS) or (
                item.text == "it" and self.items[item.at - 1].text in _BEFORE_IT
            ):
                tells = True
            elif self.items[item.at - 1].text == "," and item.entry is not None and item.entry.joint:
                tells = tells and (following is None or _goes_on_telling(following))
            if tells:
                found.add(item.at)
        return frozenset(found)

    def advises(self, item: Item) -> bool:
        """Whether it belongs to what advice says to do, not to what it says is so."""
        return item.at not in self._telling

    def is_of_last_named(self, item: Item) -> bool:
        """Whether its part says more of what was named last: "…, which took {0}", "… and it was {0}"."""
        part = self.part_of(item)
        opening = part[1] if len(part) > 1 and part[0].text in _BEFORE_IT else part[0]
        return opening.text in {"it", "which"}

    @cached_property
    def parts(self) -> dict[int, list[Item]]:
        found: dict[int, list[Item]] = {}
        for item in self.items:
            found.setdefault(item.part, []).append(item)
        return found

    def part_of(self, item: Item) -> list[Item]:
        return self.parts[item.part]

    def sentence_of(self, item: Item) -> list[Item]:
        return [other for other in self.items if other.sentence == item.sentence]

    def before(self, item: Item) -> Iterator[Item]:
        """Items of the same part before it, the nearest first."""
        return (other for other in reversed(self.items[: item.at]) if other.part == item.part)

    def after(self, item: Item) -> Iterator[Item]:
        """Items of the same part after it, the nearest first."""
        return (other for other in self.items[item.at + 1 :] if other.part == item.part)

    def word_after(self, item: Item) -> Item | None:
        """What directly follows, whatever part it begins."""
        return self.items[item.at + 1] if item.at + 1 < len(self.items) else None

    def word_before(self, item: Item) -> Item | None:
        return self.items[item.at - 1] if item.at else None


def read(statement: Statement, book: FactBook) -> Reading:
    """The reading of a statement whose claims all have a value, and whose places all have a claim."""
    claimed = [_place(book[claim.fact_id], claim.field) for claim in statement.claims]
    facts = tuple(dict.fromkeys(claim.fact_id for claim in statement.claims))
    cited = [book[fact_id] for fact_id in facts]
    items = _tokens(statement.text_template, claimed, cited, book)
    for item in items:
        if item.entry is not None and (item.entry.turns is not None or item.text in _TURNS):
            item.entry = _turned(item, item.entry, items)
    return Reading(statement, book, items, tuple(cited))


def _turned(item: Item, entry: Entry, items: Sequence[Item]) -> Entry:
    """The entry of a word that is a direction in some places only: "behind your usual", "was up", "up by"."""
    following = items[item.at + 1 : item.at + 1 + _USUAL_WITHIN]
    if entry.turns is not None:
        usual = next(
            (one for one in following if one.place is not None or (one.entry and one.entry.usual)), None
        )
        is_turn = usual is not None and usual.place is None
        return replace(entry, direction=entry.turns) if is_turn else entry
    before = items[item.at - 1] if item.at else None
    sets = lexicon().sets
    is_turn = (
        before is None
        or (before.place is not None and not before.place.is_name)
        or before.text in sets["before_turn"]
        or bool(following and following[0].text in sets["after_turn"])
    )
    return entry if is_turn else replace(entry, direction=None)


def _place(fact: Fact, name: str) -> Place:
    return Place(fact, name, fact.unit(name), fact[name])


@dataclass(slots=True)
class _Token:
    text: str
    start: int
    end: int
    kind: str
    place: Place | None = None


def _tokens(template: str, claimed: Sequence[Place], cited: Sequence[Fact], book: FactBook) -> list[Item]:
    words = lexicon()
    found = [
        _Token(match[0], match.start(), match.end(), match.lastgroup or "")
        for match in _TOKEN.finditer(template)
    ]
    found = [token for index, token in enumerate(found) if not _is_quiet(template, found, index)]
    for token in found:
        if token.kind == "place":
            token.place = claimed[int(token.text[1:-1])]
        elif token.kind == "word":
            token.text = _folded(token.text)
    if any(_may_be_literal(token, words) for token in found):
        found = _with_literals(template, found, claimed, cited, book)
    return _items(template, found, words)


def _is_quiet(template: str, tokens: Sequence[_Token], index: int) -> bool:
    """Quotation marks, apostrophes, and hyphens inside a word."""
    token = tokens[index]
    if token.kind != "other" or token.text not in _QUIET:
        return False
    return token.text != "-" or not (
        template[max(0, token.start - 1) : token.start].isspace()
        and template[token.end : token.end + 1].isspace()
    )


def _folded(word: str) -> str:
    word = word.replace("’", "'").lower()
    stem = word.removesuffix("'s")
    return word if stem in {"it", "that", "there", "let", "people", "what"} else stem


def _may_be_literal(token: _Token, words: Lexicon) -> bool:
    return token.kind == "number" or (
        token.kind == "word" and (token.text not in words.phrases or token.text in words.numbers)
    )


# ------------------------------------------------------------------------------------ facts in own words
def _with_literals(
    template: str, tokens: list[_Token], claimed: Sequence[Place], cited: Sequence[Fact], book: FactBook
) -> list[_Token]:
    """Tokens with what the writer wrote out of the cited facts as places: a claimed value as it reads, a
    cited fact's name, day, or a small count as a word."""
    known = sorted(_written(claimed, cited, book), key=lambda one: -len(one[0]))
    folded = template.lower()
    result: list[_Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        match = next(
            (
                (text, place)
                for text, place in known
                if token.kind in {"word", "number"}
                and folded.startswith(text, token.start - (text[0] in _QUOTES))
                and not folded[token.start + len(text) : token.start + len(text) + 1].isalnum()
            ),
            None,
        )
        if match is None:
            result.append(token)
            index += 1
            continue
        end = token.start + len(match[0]) - (match[0][0] in _QUOTES)
        result.append(_Token(template[token.start : end], token.start, end, "place", match[1]))
        while index < len(tokens) and tokens[index].start < end:
            index += 1
    return result


def _written(claimed: Sequence[Place], cited: Sequence[Fact], book: FactBook) -> Iterator[tuple[str, Place]]:
    for place in claimed:
        if place.is_name:
            continue
        try:
            text = value_text(place.value, place.unit, book.zone, book.primary).lower()
        except NoValue:
            continue
        yield text, place
        if place.unit in _COUNTABLE and place.number in _COUNT_WORDS:
            yield _COUNT_WORDS[place.number], place
    for fact in cited:
        for name, own in fact.fields.items():
            if (
                own.unit is FieldUnit.NAME
                and isinstance(own.value, str)
                and name not in {"assistant", "unit"}
            ):
                text = clean(own.value, NAME_MAX_CHARS).lower()
                place = _place(fact, name)
                if name in _TOOL_NAMES.get(fact.kind, ()) and _PLAIN_NAME.fullmatch(text):
                    yield text, place
                elif text:
                    yield from ((f"“{text}”", place), (f'"{text}"', place))
        if "date" in fact:
            for text in _dates(fact.date):
                yield text, _place(fact, "date")


_COUNT_WORDS = {
    2.0: "two", 3.0: "three", 4.0: "four", 5.0: "five", 6.0: "six", 7.0: "seven", 8.0: "eight", 9.0: "nine",
    10.0: "ten", 11.0: "eleven", 12.0: "twelve"
}  # fmt: skip


def _dates(day: date) -> Iterator[str]:
    for month in (f"{day:%B}".lower(), f"{day:%b}".lower()):
        yield from (f"{day.day} {month}", f"{month} {day.day}")
        yield from (f"{day:%a} {day.day} {month}".lower(), f"{day:%A} {day.day} {month}".lower())
    yield day.isoformat()


# ------------------------------------------------------------------------------------------------ items
def _items(template: str, tokens: Sequence[_Token], words: Lexicon) -> list[Item]:
    items: list[Item] = []
    part = sentence = index = 0
    opens = True
    texts = [token.text if token.kind == "word" else "" for token in tokens]
    while index < len(tokens):
        token = tokens[index]
        length, entry = words.longest(texts, index) if token.kind == "word" else (1, None)
        if entry is not None and entry.joint:
            part += 1
        last = tokens[index + length - 1]
        items.append(
            Item(
                at=len(items),
                text=" ".join(texts[index : index + length]) if token.kind == "word" else token.text,
                raw=template[token.start : last.end],
                start=token.start,
                end=last.end,
                part=part,
                sentence=sentence,
                entry=entry,
                place=token.place,
                is_word=token.kind == "word",
                is_digits=token.kind == "number",
                opens=opens,
            )
        )
        opens = token.kind == "other" and token.text in {*_SENTENCE_ENDS, ":"}
        if token.kind == "other" and token.text in _SENTENCE_ENDS:
            sentence, part = sentence + 1, part + 1
        elif token.kind == "other" and (token.text in _PART_ENDS or token.text == "-"):
            part += 1
        index += length
    return items


def local_date(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()


def local_hour(moment: datetime, zone: str) -> float:
    local = moment.astimezone(ZoneInfo(zone))
    return local.hour + local.minute / 60


def name_of(fact: Fact) -> str | None:
    """What a fact is known by: an app, a goal, a word; None for facts without a name."""
    value = fact.get(_NAMED_BY.get(fact.kind, "name"))
    return value.value.casefold() if value is not None and isinstance(value.value, str) else None
