"""The consolidated context: what a writer may read of a worker's window, newest day first, within a budget.

    day ─▶ arrived ▸ manifest ▸ measures ▸ workblocks ▸ usage ▸ workblock insights ▸ chat insights ▸ chat
     │       each: included │ truncated │ skipped: the budget is spent │ missing: there is none
     └─▶ the day before, and so on to the start of the window

Domain, section 5. Made of the facts of a book, the insights drawn from them, and those of the earlier days
as they were published, nothing else, so the same of these have the same context. Text that came with
telemetry is cleaned, cut and escaped as everywhere in a brief.

Invariant: the tokens of the components add up to those of the whole, and never to more than the budget.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from coworkai.insights.clean import clean
from coworkai.insights.facts import Fact, FactBook, FactKind, FieldUnit, Form
from coworkai.insights.insights import InsightKind, InsightRow
from coworkai.insights.markdown import escaped
from coworkai.insights.render import writers
from coworkai.insights.tokens import Tokenizer

MESSAGE_MAX_CHARS = 600
_SUBJECT_MAX_CHARS = 120
_ID_BYTES = 16
_FORMS_KEPT, _WRITERS_KEPT = 256, 256
_SILENT_AT_NOTHING = frozenset({FieldUnit.SECONDS, FieldUnit.COUNT, FieldUnit.FLAG})
"""Units of which a line does not say zero or no, but for what arrived."""
_Writers = Mapping[FieldUnit, Callable[[Any], str]]


class ComponentName(StrEnum):
    HEADING = "heading"
    ARRIVED = "arrived"
    MANIFEST = "manifest"
    MEASURES = "measures"
    WORKBLOCKS = "workblocks"
    USAGE = "usage"
    WORKBLOCK_INSIGHTS = "workblock_insights"
    CHAT_INSIGHTS = "chat_insights"
    CHAT = "chat"


class ComponentStatus(StrEnum):
    INCLUDED = "included"
    TRUNCATED = "truncated"
    """Its first lines only: the budget was spent with them."""
    SKIPPED = "skipped"
    """Left out: the budget was spent before it."""
    MISSING = "missing"
    """There is nothing of it that day."""


class Component(msgspec.Struct, frozen=True, gc=False):
    """An entry of the component log: what became of a part of a day, its tokens in the context, and why."""

    date: date
    name: ComponentName = msgspec.field(name="component")
    status: ComponentStatus
    tokens: int
    reason: str


@dataclass(frozen=True, slots=True)
class Context:
    """A consolidated context. `tokens` by `tokenizer`, at most `budget`; `context_id`: the text's digest."""

    context_id: str
    markdown: str
    budget: int
    tokens: int
    tokenizer: str
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """An insight of a day, written out as that day's own brief has it."""

    kind: InsightKind
    text: str


def told(insights: Iterable[InsightRow]) -> list[Told]:
    """Insights of a day, written out."""
    return [Told(row.kind, row.text) for row in insights]


class _Part(msgspec.Struct, frozen=True, gc=False):
    """A component before it is decided on: its lines, or why there are none."""

    on: date
    name: ComponentName
    heading: str
    lines: Sequence[str]
    why_missing: str = ""

    def text(self, lines: int) -> str:
        return "\n".join([*([self.heading] if self.heading else []), *self.lines[:lines], ""])


Earlier = Mapping[date, Sequence[Told]]
"""Insights of the days before the primary one, by day; none of a day that has none."""


def consolidate(
    book: FactBook,
    insights: Sequence[InsightRow],
    budget: int,
    tokenizer: Tokenizer,
    earlier: Earlier = MappingProxyType({}),
) -> Context:
    """The context of the book's window. `insights` are the primary day's. Raises as `render`."""
    texts: list[str] = []
    components: list[Component] = []
    left, is_spent = budget, False
    for part in _parts(book, {**earlier, book.primary: told(insights)}):
        status, reason = ComponentStatus.MISSING, part.why_missing
        text, tokens = "", 0
        if part.lines:
            taken = 0
            if not is_spent:
                taken, text, tokens = _fitting(part, left, tokenizer)
            is_spent = taken < len(part.lines)
            status, reason = _decided(part, taken)
        left -= tokens
        texts.append(text)
        components.append(Component(part.on, part.name, status, tokens, reason))
    markdown = "".join(texts)
    digest = hashlib.blake2b(markdown.encode(), digest_size=_ID_BYTES).hexdigest()
    return Context(digest, markdown, budget, budget - left, tokenizer.name, tuple(components))


def _fitting(part: _Part, left: int, tokenizer: Tokenizer) -> tuple[int, str, int]:
    """How many of the part's lines fit into so many tokens, their text, and its tokens."""
    text = part.text(len(part.lines))
    tokens = tokenizer.count(text)
    if tokens <= left:
        return len(part.lines), text, tokens
    taken = bisect_right(range(1, len(part.lines)), left, key=lambda lines: tokenizer.count(part.text(lines)))
    text = part.text(taken) if taken else ""
    return taken, text, tokenizer.count(text) if text else 0


def _decided(part: _Part, taken: int) -> tuple[ComponentStatus, str]:
    if taken == len(part.lines):
        return ComponentStatus.INCLUDED, "fits"
    if taken:
        return ComponentStatus.TRUNCATED, f"budget: {taken} of {len(part.lines)} lines fit"
    return ComponentStatus.SKIPPED, "budget spent"


# --------------------------------------------------------------------------------------------- components
def _parts(book: FactBook, insights: Earlier) -> Iterator[_Part]:
    subject = escaped(clean(book.subject, _SUBJECT_MAX_CHARS))
    title = f"# {book.start.isoformat()} to {book.primary.isoformat()}: {subject}"
    yield _Part(book.primary, ComponentName.HEADING, "", [title, f"Times are {book.zone}."])
    for n in range((book.primary - book.start).days + 1):
        on = book.primary - timedelta(days=n)
        yield from _day(book, on, insights.get(on, ()))


_KINDS: Mapping[ComponentName, tuple[FactKind, ...]] = {
    ComponentName.MANIFEST: (FactKind.GOAL, FactKind.TARGET, FactKind.AREA),
    ComponentName.MEASURES: (FactKind.KPI,),
    ComponentName.WORKBLOCKS: (FactKind.BLOCK, FactKind.PAUSE, FactKind.FOCUS, FactKind.SLICE),
    ComponentName.USAGE: (FactKind.USAGE,),
    ComponentName.CHAT: (FactKind.CHATS, FactKind.THEME, FactKind.CHAT),
}
_FLAG_OF = {
    ComponentName.MANIFEST: "has_manifests",
    ComponentName.MEASURES: "has_telemetry",
    ComponentName.WORKBLOCKS: "has_telemetry",
    ComponentName.USAGE: "has_telemetry",
    ComponentName.CHAT: "has_chat",
}
_EARLIER = {
    ComponentName.MANIFEST: "none declared",
    ComponentName.MEASURES: "no measure with a value",
    ComponentName.WORKBLOCKS: "no workblock",
    ComponentName.USAGE: "told of the primary day only",
    ComponentName.CHAT: "no message that names a blocker",
}


def _day(book: FactBook, on: date, insights: Sequence[Told]) -> Iterator[_Part]:
    facts = book.on(on)
    arrived = facts.get(FactKind.DAY, ())
    heading = f"## {on.isoformat()}"
    write = _writers(book.zone, on)
    lines = _lines(write, arrived) or ["- nothing is known of this day"]
    yield _Part(on, ComponentName.ARRIVED, heading, lines)
    day = arrived[0] if arrived else None
    is_primary = on == book.primary
    usual = {fact.measure: fact for fact in facts.get(FactKind.BASELINE, ())}
    for name, kinds in _KINDS.items():
        if name is ComponentName.CHAT:
            yield from _insights(on, insights, is_primary=is_primary)
        if name is ComponentName.MEASURES:
            found = [_measure(write, fact, usual.get(fact.measure)) for fact in facts.get(FactKind.KPI, ())]
        else:
            found = [line for kind in kinds if kind in facts for line in _lines(write, facts[kind])]
        why = _why_missing(day, name, is_primary=is_primary)
        yield _Part(on, name, f"### {name.capitalize()}", found, why)


def _insights(on: date, insights: Sequence[Told], *, is_primary: bool) -> Iterator[_Part]:
    names = {
        InsightKind.WORKBLOCK: ComponentName.WORKBLOCK_INSIGHTS,
        InsightKind.CHAT: ComponentName.CHAT_INSIGHTS,
    }
    why = "nothing to report" if is_primary else "none published"
    for kind, name in names.items():
        lines = [f"- {escaped(one.text)}" for one in insights if one.kind is kind]
        yield _Part(on, name, f"### {kind.capitalize()} insights", lines, why)


def _why_missing(day: Fact | None, name: ComponentName, *, is_primary: bool) -> str:
    if day is None:
        return "nothing is known of this day"
    if day["is_incomplete"]:
        return "the day could not be computed"
    if day[_FLAG_OF[name]] is None:
        return "not published"
    if day[_FLAG_OF[name]] is False:
        return "none arrived"
    return "nothing that is told" if is_primary else _EARLIER[name]


# --------------------------------------------------------------------------------------------- lines
@lru_cache(maxsize=_WRITERS_KEPT)
def _writers(zone: str, on: date) -> _Writers:
    """How a day's values are written out. Raises as `value_text`."""
    words = writers(zone, on)
    # A status is a word of ours, as are numbers and times.
    return {
        **words,
        FieldUnit.NAME: lambda value: escaped(words[FieldUnit.NAME](value)),
        FieldUnit.TEXT: lambda value: escaped(clean(value, MESSAGE_MAX_CHARS)),
    }


@lru_cache(maxsize=_FORMS_KEPT)
def _labels(form: Form) -> Sequence[tuple[str, FieldUnit, bool]]:
    """What a line calls the fields, nothing for the date; their units; whether nothing of them is told."""
    return [
        (
            "" if name == "date" else name.removesuffix("_s"),
            unit,
            name.startswith("has_") or unit not in _SILENT_AT_NOTHING,
        )
        for name, unit in form.units.items()
    ]


def _lines(write: _Writers, facts: Iterable[Fact]) -> list[str]:
    """A line a fact; none of one that has no value."""
    lines: list[str] = []
    for fact in facts:
        said = [
            f"{label} {text}"
            for (label, unit, tells_nothing), value in zip(_labels(fact.form), fact.values, strict=True)
            if label and (value or (tells_nothing and value is not None)) and (text := write[unit](value))
        ]
        if said:
            lines.append(f"- {fact.kind}: {', '.join(said)}")
    return lines


def _measure(write: _Writers, fact: Fact, baseline: Fact | None) -> str:
    """A measure and how it compares with the worker's own past, where there is enough of it."""
    value, written = fact["value"], write[fact.unit("value")]
    said = "without a value" if value is None else written(value)
    if baseline is None or (median := baseline["median"]) is None:
        return f"- {fact.measure} {said}"
    return f"- {fact.measure} {said} (usually {written(median)} over {baseline['days']} days)"
