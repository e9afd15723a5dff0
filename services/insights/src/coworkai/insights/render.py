"""Statements written out: the only place where a fact's value becomes words (domain, section 5).

    "{0} of focus work, from {1} in {2}."  ─▶  "52 min of focus work, from 10:05 in code."

Rounding loses, it never adds: durations fall to the whole minute (to the second below one), shares and
attainment to the whole per cent, rates and medians to a tenth or less. As the floor of a sum is never less
than the sum of the floors, parts that are written in a whole's unit never exceed it, a target that was
missed never reads 100 %, and no digit appears that was not measured. What is above nothing never reads as
nothing: "under 1 s", "under 1 %".

Differences are written without their sign; more, less, longer, fewer are words of the sentence, and the
grounding gate holds them to the sign.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from coworkai.common.errors import Terminal
from coworkai.insights.brief import Claim, Statement
from coworkai.insights.clean import clean
from coworkai.insights.facts import Fact, FactBook, FactKind, Field, FieldUnit, Scalar

NAME_MAX_CHARS = 120
TEXT_MAX_CHARS = 200
PLACE = re.compile(r"\{(\d{1,2})\}")
_HUGE = 1e15
"""From here on a declared number has more digits than a float keeps."""
_LAST_BITS = 5e-7
_BRACE = re.compile(r"[{}]")

_TYPED_KINDS = frozenset({FactKind.GOAL, FactKind.TARGET, FactKind.AREA, FactKind.THEME, FactKind.SLICE})
_TYPED_FIELDS = frozenset({"name", "page"})
"""What a person or a web page worded. It is quoted whatever it says."""
_PLAIN_NAME = re.compile(r"[\w.+#@/:-]{1,64}")
_TOKEN = re.compile(r"<([a-z]{2,20}):[0-9A-Za-z]{8,64}>")
"""Personal data that became a token: its kind is enough to read."""
_QUOTES = re.compile('["“”„‟«»‹›＂]')

_SINGULAR: Mapping[str, str] = {
    "activities": "activity",
    "apps": "app",
    "blocks": "block",
    "changes": "change",
    "conversations": "conversation",
    "copies": "copy",
    "days": "day",
    "goals": "goal",
    "keys": "key",
    "messages": "message",
    "minutes": "minute",
    "people": "person",
    "prompts": "prompt",
    "shortcuts": "shortcut",
    "stretches": "stretch",
    "switches": "switch",
    "times": "time",
    "workblocks": "workblock",
}
"""Nouns that are counted in briefs."""
_PLURAL = {singular: plural for plural, singular in _SINGULAR.items()}
_COUNTED = re.compile(r"( (?:(?:active|app|chat|context|focus|key|open|working) )?)([a-z]+)\b")


class Unrenderable(Terminal):
    """A statement that cannot be written out. Messages never hold what it says or cites."""

    code = "unrenderable"


class UnknownFact(Unrenderable):
    """A claim cites a fact that is not in the book."""

    code = "unknown_fact"


class UnknownField(Unrenderable):
    """A claim names a field that its fact does not have."""

    code = "unknown_field"


class NoValue(Unrenderable):
    """A claim's field is null, or text without a visible character: there is nothing to state."""

    code = "no_value"


class BadTemplate(Unrenderable):
    """A place without a claim, or braces that are no place."""

    code = "bad_template"


def render(statement: Statement, book: FactBook) -> str:
    """The statement with its places filled from the book: one line of plain text.

    Counted nouns agree with their number ("1 goal"). Text that a person typed stands in quotation marks.
    Raises UnknownFact, UnknownField, NoValue, BadTemplate.
    """
    template = statement.text_template
    if _BRACE.search(PLACE.sub("", template)):
        raise BadTemplate("a template has braces that are no place")
    parts: list[str] = []
    end = 0
    for place in PLACE.finditer(template):
        position = int(place.group(1))
        if position >= len(statement.claims):
            raise BadTemplate("a place has no claim")
        claim = statement.claims[position]
        parts += template[end : place.start()], claim_text(claim, book)
        end = place.end()
        field = field_of(claim, book)
        if field.unit is FieldUnit.COUNT and isinstance(field.value, int | float):
            noun, length = _agreeing(template[end:], field.value)
            parts.append(noun)
            end += length
    return "".join([*parts, template[end:]])


def claim_text(claim: Claim, book: FactBook) -> str:
    """What stands at a claim's place. Raises UnknownFact, UnknownField, NoValue."""
    field = field_of(claim, book)
    text = value_text(field.value, field.unit, book.zone, book.primary)
    return _quoted(text) if _needs_quotes(book[claim.fact_id], claim, text) else text


def field_of(claim: Claim, book: FactBook) -> Field:
    """Raises UnknownFact, UnknownField."""
    fact = book.get(claim.fact_id)
    if fact is None:
        raise UnknownFact("a claim cites a fact that is not in the book")
    field = fact.get(claim.field)
    if field is None:
        raise UnknownField("a claim names a field that its fact does not have")
    return field


def value_text(value: Scalar, unit: FieldUnit, zone: str, primary: date) -> str:
    """A value in words, without quotation marks. Raises NoValue.

    Durations "3 h 12 min", "45 s"; instants in `zone` "14:05", "14:05 on Mon 26 Oct" on another day than
    `primary`, "midnight" at its end; dates "Tue 27 Oct"; shares and attainment "34 %"; rates "12 an hour";
    counts and declared numbers "1,250.5". Names and text are cleaned and cut at a word.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise NoValue("a claim's field has no value")
    return writers(zone, primary)[unit](value)


@lru_cache(maxsize=256)
def writers(zone: str, primary: date) -> Mapping[FieldUnit, Callable[[Any], str]]:
    """How a value of each unit is written out, as `value_text` says; not for one that is missing."""
    local = ZoneInfo(zone)
    return _NUMBERS | {
        FieldUnit.FLAG: lambda value: "yes" if value else "no",
        FieldUnit.INSTANT: lambda value: _instant(value.astimezone(local), primary),
        FieldUnit.DATE: _day,
        FieldUnit.NAME: lambda value: _text(value, NAME_MAX_CHARS),
        FieldUnit.STATUS: lambda value: _text(value, NAME_MAX_CHARS),
        FieldUnit.TEXT: lambda value: _text(value, TEXT_MAX_CHARS),
    }


def _duration(value: float) -> str:
    seconds = abs(value)
    whole = _whole(seconds)
    if whole < 60:
        return f"{whole} s" if whole else "under 1 s" if seconds else "0 min"
    hours, minutes = divmod(whole // 60, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _percent(value: float) -> str:
    share = abs(value)
    if share >= _HUGE:
        return f"{Decimal(share) * 100:.3g} %"
    whole = _whole(share * 100)
    return "under 1 %" if whole == 0 < share else f"{whole:,} %"


def _rate(value: float, per: str) -> str:
    rate = abs(value)
    if 0 < rate < 0.1:
        return f"under 0.1 {per}"
    return f"{_floored(rate, 0 if rate >= 10 else 1)} {per}"


def _counted(value: float, noun: str) -> str:
    number = _floored(value, 1)
    return f"{number} {noun}" if number == "1" else f"{number} {noun}s"


def _floored(value: float, digits: int) -> str:
    """Towards zero to `digits` decimals at most, without trailing zeros."""
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= _HUGE:
        return f"{value:g}"
    scale = 10**digits
    whole, rest = divmod(_whole(abs(value) * scale), scale)
    sign = "-" if value < 0 < whole + rest else ""
    return f"{sign}{whole:,}" if not rest else f"{sign}{whole:,}.{rest:0{digits}}".rstrip("0")


def _declared(value: float) -> str:
    """A number as it was declared."""
    if abs(value) >= _HUGE:
        return f"{value:g}"
    whole = math.trunc(value)
    return f"{whole:,}" if whole == value else f"{Decimal(repr(value)):,f}"


_NUMBERS: dict[FieldUnit, Callable[[Any], str]] = {
    FieldUnit.NUMBER: _declared,
    FieldUnit.SECONDS: _duration,
    FieldUnit.SHARE: _percent,
    FieldUnit.ATTAINMENT: _percent,
    FieldUnit.PER_HOUR: lambda value: _rate(value, "an hour"),
    FieldUnit.PER_MINUTE: lambda value: _rate(value, "a minute"),
    FieldUnit.COUNT: lambda value: f"{abs(value):,}" if isinstance(value, int) else _floored(abs(value), 1),
    FieldUnit.DAYS: lambda value: _counted(value, "day"),
    FieldUnit.BITS: lambda value: _counted(value, "bit"),
    FieldUnit.INDEX: lambda value: _floored(value, 2),
    FieldUnit.Z: lambda value: _floored(value, 1),
}
"""How a number of a unit is written."""


def _whole(value: float) -> int:
    """Whole part of a number from 0, without the last bits that arithmetic leaves: 0.29 x 100 is 29."""
    return int(value + _LAST_BITS)


def _instant(local: datetime, primary: date) -> str:
    on, clock = local.date(), f"{local.hour:02}:{local.minute:02}"
    if on == primary:
        return clock
    if on == primary + timedelta(days=1) and clock == "00:00":
        return "midnight"
    return f"{clock} on {_day(on)}"


@lru_cache(maxsize=1024)
def _day(value: date) -> str:
    return f"{value:%a} {value.day} {value:%b}"


def _text(value: str, max_chars: int) -> str:
    if "<" in value:
        value = _TOKEN.sub(r"<\1>", value)
    text = clean(value, max_chars)
    if not text:
        raise NoValue("a claim's text has no visible character")
    return text


def _needs_quotes(fact: Fact, claim: Claim, text: str) -> bool:
    """Typed text always; apps, domains and addresses where they are more than one plain word."""
    unit = fact.unit(claim.field)
    if unit is FieldUnit.TEXT or (fact.kind in _TYPED_KINDS and claim.field in _TYPED_FIELDS):
        return True
    return unit is FieldUnit.NAME and not _PLAIN_NAME.fullmatch(text)


def _quoted(text: str) -> str:
    return f"“{_QUOTES.sub('’', text)}”"


def _agreeing(rest: str, count: float) -> tuple[str, int]:
    """The counted noun after a number in the right number, and how much of the template it takes."""
    noun = _COUNTED.match(rest)
    if noun is None:
        return "", 0
    between, word = noun.groups()
    forms = _SINGULAR if count == 1 else _PLURAL
    return between + forms.get(word, word), noun.end()
