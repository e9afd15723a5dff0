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
    chat:<user>:<date>:<event id>       assistant, occurred_at, text, status     one of their own messages
    chats:<user>:<date>                 messages, conversations          all of them
    theme:<user>:<date>:<n>             name, messages                   a word that several of them share
    day:<user>:<date>                   has_telemetry, raw_s, kept_s, …  what arrived, and what is missing
    group:<level>:<group>:<period>:<date>:<measure>    value, contributors    a measure of a team

`FIELDS` lists all fields with their units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import cache, cached_property
from types import MappingProxyType

import msgspec

from coworkai.common.fact_ids import FactKind, fact_id, group_fact_id, kind_of, slice_fact_id

__all__ = [
    "FIELDS",
    "Fact",
    "FactBook",
    "FactKind",
    "Field",
    "FieldUnit",
    "Form",
    "Scalar",
    "Status",
    "by_id",
    "fact_id",
    "form_of",
    "group_fact_id",
    "kind_of",
    "slice_fact_id",
]


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


class Status(StrEnum):
    """The closed list of status words."""

    DONE = "done"
    OPEN = "open"
    MET = "met"
    MISSED = "missed"
    UNREPORTED = "unreported"
    BLOCKER = "blocker"
    ABOVE = "above"
    BELOW = "below"
    SAME = "same"


_MEASURED = None
"""The unit of the measure that the fact is about."""
_S, _COUNT, _FLAG, _INSTANT = FieldUnit.SECONDS, FieldUnit.COUNT, FieldUnit.FLAG, FieldUnit.INSTANT
_SPAN = {"started_at": _INSTANT, "ended_at": _INSTANT, "duration_s": _S}
_ON = {"date": FieldUnit.DATE}

FIELDS: Mapping[FactKind, Mapping[str, FieldUnit | None]] = MappingProxyType(
    {
        FactKind.KPI: {"value": _MEASURED, **_ON},
        FactKind.BASELINE: {
            "median": _MEASURED,
            "difference": _MEASURED,
            "change": FieldUnit.SHARE,
            "z": FieldUnit.Z,
            "days": FieldUnit.DAYS,
            "direction": FieldUnit.STATUS,
            **_ON,
        },
        FactKind.BLOCK: {
            **_SPAN,
            "active_s": _S,
            "idle_s": _S,
            "slices": _COUNT,
            "apps": _COUNT,
            "keystroke_minutes": _COUNT,
            "is_continuation": _FLAG,
            **_ON,
        },
        FactKind.SLICE: {
            "app": FieldUnit.NAME,
            "page": FieldUnit.NAME,
            **_SPAN,
            "keystroke_minutes": _COUNT,
            **_ON,
        },
        FactKind.USAGE: {
            "name": FieldUnit.NAME,
            "duration_s": _S,
            "day_share": FieldUnit.SHARE,
            "rank": _COUNT,
            **_ON,
        },
        FactKind.FOCUS: {**_SPAN, "app": FieldUnit.NAME, **_ON},
        FactKind.PAUSE: {**_SPAN, **_ON},
        FactKind.GOAL: {"name": FieldUnit.NAME, "status": FieldUnit.STATUS, **_ON},
        FactKind.TARGET: {
            "name": FieldUnit.NAME,
            "target": FieldUnit.NUMBER,
            "actual": FieldUnit.NUMBER,
            "unit": FieldUnit.NAME,
            "attainment": FieldUnit.ATTAINMENT,
            "status": FieldUnit.STATUS,
            **_ON,
        },
        FactKind.AREA: {"name": FieldUnit.NAME, **_ON},
        FactKind.CHAT: {
            "assistant": FieldUnit.NAME,
            "occurred_at": _INSTANT,
            "text": FieldUnit.TEXT,
            "status": FieldUnit.STATUS,
            **_ON,
        },
        FactKind.CHATS: {
            "messages": _COUNT,
            "conversations": _COUNT,
            "blockers": _COUNT,
            "first_at": _INSTANT,
            "last_at": _INSTANT,
            **_ON,
        },
        FactKind.THEME: {"name": FieldUnit.NAME, "messages": _COUNT, **_ON},
        FactKind.DAY: {
            "has_telemetry": _FLAG,
            "has_manifests": _FLAG,
            "has_chat": _FLAG,
            "is_sod_missing": _FLAG,
            "is_eod_missing": _FLAG,
            "is_incomplete": _FLAG,
            "raw_s": _S,
            "kept_s": _S,
            "overlapped_s": _S,
            "synthetic_s": _S,
            "noise_s": _S,
            "noise_blocks": _COUNT,
            "keystroke_minutes": _COUNT,
            "direct": _COUNT,
            "nearest": _COUNT,
            "gap": _COUNT,
            "orphan": _COUNT,
            "first_at": _INSTANT,
            "last_at": _INSTANT,
            **_ON,
        },
        FactKind.GROUP: {"value": _MEASURED, "contributors": _COUNT, **_ON},
    }
)
"""Fields of every kind of fact, in order; all are there, null where they have no meaning that day.

- `difference` is signed, value less median; `change` is difference over median, null where the median is 0;
  `direction` says above, below or same.
- A goal is done or open, unreported where there is no end-of-day manifest. A target is met from an attainment
  of 1 on and else missed, unreported without an actual, and null where there is nothing to set it against.
- `page` is a slice's URL, or its title where there is none. `status` of a message is blocker or null.
- `first_at` and `last_at` are the start of the first and the end of the last workblock, and of the chat the
  first and last message; `is_incomplete` says that the day could not be computed for the worker, and then
  nothing is said of what arrived. A flag is null where the artefact that tells is not there.
"""


class Field(msgspec.Struct, frozen=True, gc=False):
    """One value of a fact; None where it has no meaning that day, never a zero, a blank or a NaN."""

    value: Scalar
    unit: FieldUnit


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What facts that are alike have in common: the fields in order, with their units and places, and the
    names of their rows' key columns. There is one of a kind: see `form_of`."""

    units: Mapping[str, FieldUnit]
    unit_names: Mapping[str, str]
    places: Mapping[str, int]
    key_names: tuple[str, ...]


@cache
def form_of(kind: FactKind, measured_in: FieldUnit, key_names: tuple[str, ...]) -> Form:
    """The form of facts of a kind, about what is measured in a unit."""
    units = {name: unit or measured_in for name, unit in FIELDS[kind].items()}
    names = {name: unit.value for name, unit in units.items()}
    return Form(units, names, {name: place for place, name in enumerate(units)}, key_names)


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One Gold row (or row of a stage 1 artefact).

    `subject` is the worker's or group's id, `measure` the catalogue's name of what is measured or the kind,
    `table` and `version` where the row is (`gold/kpi_daily`, 12; an artefact is named by its path and has no
    version). `values` are those of the fields, `key_values` of the row's key columns, as `form` names them.
    """

    fact_id: str
    kind: FactKind
    subject: str
    date: date
    measure: str
    form: Form
    values: tuple[Scalar, ...]
    table: str
    version: int | None
    key_values: tuple[str | int, ...]

    def __getitem__(self, name: str) -> Scalar:
        """Value of a field. Raises KeyError."""
        return self.values[self.form.places[name]]

    def __contains__(self, name: object) -> bool:
        """Whether facts of this kind have the field."""
        return name in self.form.places

    def unit(self, name: str) -> FieldUnit:
        """Unit of a field. Raises KeyError."""
        return self.form.units[name]

    def get(self, name: str) -> Field | None:
        """A field, where facts of this kind have it."""
        place = self.form.places.get(name)
        return None if place is None else Field(self.values[place], self.form.units[name])

    @property
    def fields(self) -> Mapping[str, Field]:
        """All fields, in order."""
        return dict(zip(self.form.units, map(Field, self.values, self.form.units.values()), strict=True))

    @property
    def key(self) -> Mapping[str, str | int]:
        """The row's key columns."""
        return dict(zip(self.form.key_names, self.key_values, strict=True))

    def with_values(self, **values: Scalar) -> Fact:
        """The fact with other values of some fields. Raises KeyError."""
        changed = list(self.values)
        for name, value in values.items():
            changed[self.form.places[name]] = value
        return msgspec.structs.replace(self, values=tuple(changed))


_NO_FACTS: Mapping[FactKind, Sequence[Fact]] = MappingProxyType({})


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

    @cached_property
    def _by_kind(self) -> Mapping[FactKind, Sequence[Fact]]:
        found: dict[FactKind, list[Fact]] = defaultdict(list)
        for fact in self.facts.values():
            found[fact.kind].append(fact)
        return found

    @cached_property
    def _by_day(self) -> Mapping[date, Mapping[FactKind, Sequence[Fact]]]:
        found: dict[date, dict[FactKind, list[Fact]]] = defaultdict(lambda: defaultdict(list))
        for fact in self.facts.values():
            found[fact.date][fact.kind].append(fact)
        return found

    def on(self, day: date) -> Mapping[FactKind, Sequence[Fact]]:
        """Facts of a day by kind, in order."""
        return self._by_day.get(day, _NO_FACTS)

    def of(self, kind: FactKind, on: date | None = None) -> Sequence[Fact]:
        """Facts of a kind, of one day where given, in order."""
        return (self._by_kind if on is None else self.on(on)).get(kind, ())

    def kpi(self, measure: str, on: date | None = None) -> Fact | None:
        """The measure of a day (the primary one by default) where it has a value."""
        fact = self.facts.get(fact_id(FactKind.KPI, self.subject, on or self.primary, measure))
        return None if fact is None or fact["value"] is None else fact

    def baseline(self, measure: str, on: date | None = None) -> Fact | None:
        """The measure against the worker's own past, where there is enough of it."""
        fact = self.facts.get(fact_id(FactKind.BASELINE, self.subject, on or self.primary, measure))
        return None if fact is None or fact["median"] is None else fact


def by_id(facts: Iterable[Fact]) -> dict[str, Fact]:
    return {fact.fact_id: fact for fact in facts}
