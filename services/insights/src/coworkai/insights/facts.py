"""Facts: typed values of Gold rows, the only thing that a writer, model or not, may state.

    gold/kpi_daily row ─▶ kpi:user_1f…:2026-10-27:focus_s ─▶ claim {fact_id, field} ─▶ "3 h 12 min"

Domain, section 5. A fact is one row; its fields are the row's values, each with a unit. Ids are stable: the
same row has the same id in every run, so a brief's evidence can be opened later.

    kpi:<user>:<date>:<measure>         value                            a measure of the day
    baseline:<user>:<date>:<measure>    median, difference, z, days      against the worker's own past
    wb:<user>:<time>:<n>                started_at, ended_at, …          a workblock, under its own id
    slice:<workblock id>#<sequence>     app, page, started_at, …         an atomic slice
    usage:<user>:<date>:<kind>:<rank>   name, duration_s, day_share      an app, domain or URL of the day
    focus:<user>:<date>:<n>             started_at, ended_at, duration_s, app    a focus block
    pause:<user>:<date>:<n>             started_at, ended_at, duration_s         between two workblocks
    goal:<user>:<date>:<n>              name, status                     a declared goal
    target:<user>:<date>:<n>            name, target, actual, attainment, status    a declared KPI
    area:<user>:<date>:<n>              name                             a declared focus area
    chat:<user>:<date>:<n>              assistant, occurred_at, text, status     one of their own messages
    chats:<user>:<date>                 messages, conversations          all of them
    theme:<user>:<date>:<n>             name, messages                   a word that several of them share
    day:<user>:<date>                   has_telemetry, raw_s, kept_s, …  what arrived, and what is missing
    group:<level>:<group>:<period>:<date>:<measure>    value, contributors    a measure of a team
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from urllib.parse import quote, unquote


class FactKind(StrEnum):
    KPI = "kpi"
    BASELINE = "baseline"
    BLOCK = "wb"
    SLICE = "slice"
    USAGE = "usage"
    FOCUS = "focus"
    PAUSE = "pause"
    GOAL = "goal"
    TARGET = "target"
    AREA = "area"
    CHAT = "chat"
    CHATS = "chats"
    THEME = "theme"
    DAY = "day"
    GROUP = "group"


class FieldUnit(StrEnum):
    """What a field's value is, and so how it is written out. The first eight are the catalogue's."""

    SECONDS = "s"
    COUNT = "count"
    SHARE = "share"
    PER_HOUR = "per_hour"
    PER_MINUTE = "per_minute"
    BITS = "bits"
    INDEX = "index"
    ATTAINMENT = "attainment"
    NUMBER = "number"
    """As declared by the worker, with a unit of its own in the field `unit`."""
    Z = "z"
    """Robust standard deviations."""
    DAYS = "days"
    INSTANT = "instant"
    DATE = "date"
    NAME = "name"
    """An app, domain, URL, goal, KPI, team or word: text that came with telemetry."""
    TEXT = "text"
    """Longer text that came with telemetry."""
    STATUS = "status"
    """A word of a closed list: done, open, met, missed, unreported, blocker, …"""
    FLAG = "flag"


Scalar = float | int | str | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a fact; None where it has no meaning that day, never a zero."""

    value: Scalar
    unit: FieldUnit


@dataclass(frozen=True, slots=True)
class Fact:
    """One Gold row (or row of a stage 1 artefact).

    `subject` is the worker's or group's id, `measure` the catalogue's name of what is measured or the kind,
    `table` and `version` where the row is (`gold/kpi_daily`, 12; an artefact is named by its path and has no
    version), `key` the row's key columns.
    """

    fact_id: str
    kind: FactKind
    subject: str
    date: date
    measure: str
    fields: Mapping[str, Field]
    table: str
    version: int | None
    key: Mapping[str, str | int]

    def __getitem__(self, name: str) -> Scalar:
        """Value of a field. Raises KeyError."""
        return self.fields[name].value


@dataclass(frozen=True)
class FactBook:
    """The facts of one subject over a window of days, in a fixed order; what may be stated about it.

    `zone` is the IANA zone that times are written in. `primary` is the day that a brief is about, `start` the
    first day of the window, which ends with `primary`.
    """

    tenant_id: str
    subject: str
    zone: str
    primary: date
    start: date
    facts: Mapping[str, Fact]

    def __contains__(self, fact_id: object) -> bool:
        return fact_id in self.facts

    def __getitem__(self, fact_id: str) -> Fact:
        return self.facts[fact_id]

    def get(self, fact_id: str) -> Fact | None:
        return self.facts.get(fact_id)

    def of(self, kind: FactKind, on: date | None = None) -> list[Fact]:
        """Facts of a kind, of one day where given, in order."""
        return [fact for fact in self.facts.values() if fact.kind is kind and (on is None or fact.date == on)]

    def kpi(self, measure: str, on: date | None = None) -> Fact | None:
        """The measure of a day (the primary one by default) where it has a value."""
        fact = self.facts.get(fact_id(FactKind.KPI, self.subject, on or self.primary, measure))
        return None if fact is None or fact["value"] is None else fact

    def baseline(self, measure: str, on: date | None = None) -> Fact | None:
        """The measure against the worker's own past, where there is enough of it."""
        fact = self.facts.get(fact_id(FactKind.BASELINE, self.subject, on or self.primary, measure))
        return None if fact is None or fact["median"] is None else fact


def fact_id(kind: FactKind, subject: str, on: date, *rest: str | int) -> str:
    """`kind:subject:date:rest…`; a colon or percent sign inside a part is percent-encoded."""
    return ":".join([kind.value, _part(subject), on.isoformat(), *(_part(str(part)) for part in rest)])


def slice_fact_id(workblock_id: str, sequence: int) -> str:
    return f"{FactKind.SLICE.value}:{workblock_id}#{sequence}"


def kind_of(identifier: str) -> FactKind | None:
    """The kind that an id says it is of; None for no kind of ours."""
    prefix = identifier.partition(":")[0]
    return FactKind(prefix) if prefix in set(FactKind) else None


def by_id(facts: Iterable[Fact]) -> dict[str, Fact]:
    return {fact.fact_id: fact for fact in facts}


def parts_of(identifier: str) -> Iterator[str]:
    """The decoded parts of an id after its kind."""
    for part in identifier.split(":")[1:]:
        yield unquote(part)


def _part(text: str) -> str:
    return quote(text, safe=" @/<>#+()[]{}!$&'*,;=?|~^`\"\\")
