"""Names of facts: which row of Gold, or of a stage 1 artefact, an evidence id stands for.

Insights makes facts and their ids, the runner leads an id back to what was collected; both read it here.

    kpi:user_1f…:2026-10-27:focus_s          slice:wb:4Ms60eGxco:VZFpXIe:00#3
    └kind └subject └local date └rest         └kind └workblock            └sequence

Inside a part a colon or percent sign is percent-encoded, and so is what is not ASCII. Numbers count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import quote, unquote

WITHHELD = "withheld"
"""In the place of a measure in a group's fact: how many measures of the group's period are not told."""
_PLAIN = " @/<>#+()[]{}!$&'*,;=?|~^`\"\\"
_SEQUENCE = "#"


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


_KINDS: Mapping[str, FactKind] = MappingProxyType({kind.value: kind for kind in FactKind})
REST: Mapping[FactKind, tuple[str, ...]] = MappingProxyType(
    {
        FactKind.KPI: ("measure",),
        FactKind.BASELINE: ("measure",),
        FactKind.USAGE: ("kind", "rank"),
        FactKind.FOCUS: ("n",),
        FactKind.PAUSE: ("n",),
        FactKind.GOAL: ("n",),
        FactKind.TARGET: ("n",),
        FactKind.AREA: ("n",),
        FactKind.CHAT: ("event_id",),
        FactKind.CHATS: (),
        FactKind.THEME: ("n",),
        FactKind.DAY: (),
    }
)
"""What follows `kind:subject:date`. Blocks, slices and groups have forms of their own."""


@dataclass(frozen=True, slots=True)
class FactName:
    """An id taken apart. `subject` is a worker's or group's id, or the workblock's of a block or slice, whose
    `on` is None; `rest` what tells it from others of its kind and day, a group's level and period first."""

    kind: FactKind
    subject: str
    on: date | None
    rest: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """The number that the id ends with. Raises ValueError where it ends with none."""
        return int(self.rest[-1])


def fact_id(kind: FactKind, subject: str, on: date, *rest: str | int) -> str:
    """`kind:subject:date:rest…`."""
    return ":".join([kind, fact_part(subject), on.isoformat(), *(fact_part(str(part)) for part in rest)])


def slice_fact_id(workblock_id: str, sequence: int) -> str:
    return f"{FactKind.SLICE.value}:{workblock_id}{_SEQUENCE}{sequence}"


def group_fact_id(level: str, group: str, period: str, on: date, measure: str) -> str:
    """`period` is day or week, `on` its first day."""
    parts = [level, group, period, on.isoformat(), measure]
    return ":".join([FactKind.GROUP.value, *map(fact_part, parts)])


def kind_of(identifier: str) -> FactKind | None:
    """The kind that an id says it is of; None for no kind of ours."""
    return _KINDS.get(identifier.partition(":")[0])


@lru_cache(maxsize=4_096)
def fact_name(identifier: str) -> FactName:
    """The id taken apart. Raises ValueError for one that no fact can have."""
    kind = kind_of(identifier)
    if kind is None:
        raise ValueError("no kind of fact")
    if kind is FactKind.BLOCK:
        return FactName(kind, identifier, None)
    if kind is FactKind.SLICE:
        block, separator, sequence = identifier.partition(":")[2].rpartition(_SEQUENCE)
        if not separator or not _is_number(sequence):
            raise ValueError("a slice is named by its workblock and a number")
        return FactName(kind, block, None, (sequence,))
    parts = [unquote(part) for part in identifier.split(":")[1:]]
    if len(parts) != (5 if kind is FactKind.GROUP else 2 + len(REST[kind])):
        raise ValueError("parts are missing or too many")
    if kind is FactKind.GROUP:
        level, group, period, on, measure = parts
        return FactName(kind, group, _date(on), (level, period, measure))
    subject, on, *rest = parts
    if REST[kind][-1:] in {("n",), ("rank",)} and not _is_number(rest[-1]):
        raise ValueError("the last part is no number")
    return FactName(kind, subject, _date(on), tuple(rest))


def _date(on: str) -> date:
    try:
        return date.fromisoformat(on)
    except ValueError:
        raise ValueError(f"'{on}' is no date") from None


@lru_cache(maxsize=65_536)
def fact_part(text: str) -> str:
    """A part of an id as it is written."""
    return quote(text, safe=_PLAIN)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 9
