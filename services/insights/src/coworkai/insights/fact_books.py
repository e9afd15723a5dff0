"""Fact books from published Gold: everything that may be stated about a worker or a team, and nothing else.

    Gold of the window ─▶ fact_rows: choose and number, all workers at once ─▶ one pass a worker ─▶ FactBook

Pure. A value that is null is left out or stays null: nothing becomes a zero here. Text without a visible
character and numbers that are not finite have no value either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.fact_ids import WITHHELD, fact_part
from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_FOCUS_BLOCKS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_SLICES,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
)
from coworkai.insights.clean import clean
from coworkai.insights.fact_rows import (
    CHAT,
    DEFAULT_RULES,
    HEADLINE_MEASURES,
    MANIFESTS,
    FactRules,
    GoldFrames,
    days_of,
    fact_rows,
    zones,
)
from coworkai.insights.facts import (
    FIELDS,
    Fact,
    FactBook,
    FactKind,
    FieldUnit,
    Form,
    by_id,
    form_of,
    group_fact_id,
    slice_fact_id,
)
from coworkai.insights.team_cells import team_cells, week_of

__all__ = [
    "DEFAULT_RULES",
    "WITHHELD",
    "FactRules",
    "GoldFrames",
    "days_of",
    "team_books",
    "worker_books",
]

_WORDED = frozenset({FieldUnit.NAME, FieldUnit.TEXT})
"""Units of text that came with telemetry."""
_READABLE = r"^[^\x1b\x{9b}]*[!-~]"
"""A visible character, before which no terminal sequence can have begun."""
_MEASURE_UNITS = {name: FieldUnit(measure.unit.value) for name, measure in CATALOGUE.items()}


class _Source(NamedTuple):
    """A table and its version, or an artefact by its path."""

    table: str
    version: int | None


@dataclass(frozen=True, slots=True)
class _Making:
    """How a fact of a kind is named: the columns that follow in its id, and those of its row's key.

    `source` is a table's id, or the name of an artefact.
    """

    source: str
    rest: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


_MAKING: Mapping[FactKind, _Making] = MappingProxyType(
    {
        FactKind.DAY: _Making(GOLD_ACCOUNTING.id),
        FactKind.KPI: _Making(GOLD_KPI_DAILY.id, ("measure",), ("measure",)),
        FactKind.BASELINE: _Making(GOLD_KPI_DAILY.id, ("measure",), ("measure",)),
        FactKind.BLOCK: _Making(GOLD_WORKBLOCKS.id, (), ("workblock_id",)),
        FactKind.PAUSE: _Making(GOLD_WORKBLOCKS.id, ("n",), ("workblock_id",)),
        FactKind.FOCUS: _Making(GOLD_FOCUS_BLOCKS.id, ("n",), ("n",)),
        FactKind.SLICE: _Making(GOLD_SLICES.id, (), ("workblock_id", "sequence")),
        FactKind.USAGE: _Making(GOLD_USAGE.id, ("kind", "rank"), ("kind", "rank")),
        FactKind.GOAL: _Making(MANIFESTS, ("n",), ("n",)),
        FactKind.TARGET: _Making(MANIFESTS, ("n",), ("n",)),
        FactKind.AREA: _Making(MANIFESTS, ("n",), ("n",)),
        FactKind.CHATS: _Making(CHAT),
        FactKind.CHAT: _Making(CHAT, ("event_id",), ("event_id",)),
        FactKind.THEME: _Making(CHAT, ("n",), ("n",)),
    }
)
"""Workers' facts, in the order of their book."""


# ------------------------------------------------------------------------------------------ workers
def worker_books(
    frames: GoldFrames, primary: date, start: date, rules: FactRules = DEFAULT_RULES
) -> Iterator[FactBook]:
    """A book for every worker with anything in the window `[start, primary]`, by worker.

    What is offered, `fact_rows` says. The primary day comes first in every kind, then the newest.
    """
    rows = fact_rows(frames, primary, start, rules)
    workers = pl.concat(frame.select("user_id") for frame in rows.values()).unique().sort("user_id")
    told = zones(frames.jobs, start, primary)
    makers = [_Maker(kind, rows[kind], frames) for kind in _MAKING]
    for user_id in workers["user_id"]:
        facts: dict[str, Fact] = {}
        for maker in makers:
            maker.add(user_id, facts)
        zone = next((one for one in told.get(user_id, ()) if _is_zone(one)), frames.tenant_zone)
        yield FactBook(frames.tenant_id, user_id, zone, primary, start, facts)


class _Day(NamedTuple):
    """What all facts of a kind and day have in common."""

    iso: str
    source: _Source


class _Maker:
    """Facts of one kind, from rows that are sorted by worker; asked worker by worker, in that order."""

    def __init__(self, kind: FactKind, rows: pl.DataFrame, frames: GoldFrames) -> None:
        making = _MAKING[kind]
        naming = list(dict.fromkeys(["user_id", "date", *making.key, *making.rest]))
        rows = rows.select(*naming, *_stated(rows, kind))
        place = {name: n for n, name in enumerate(naming)}
        self._kind, self._prefix, self._key = kind, kind.value, making.key
        self._is_block, self._is_slice = kind is FactKind.BLOCK, kind is FactKind.SLICE
        self._rest = [place[name] for name in making.rest]
        self._measure = place.get("measure")
        self._key_values, self._values = slice(2, 2 + len(making.key)), slice(len(naming), None)
        self._forms: dict[str, Form] = {}
        self._days = {on: _day(making.source, on, frames) for on in rows["date"].unique()}
        self._workers = groupby(rows.iter_rows(), key=itemgetter(0))
        self._next = next(self._workers, None)

    def add(self, user_id: str, facts: dict[str, Fact]) -> None:
        """Add the worker's facts of this kind."""
        if self._next is None or self._next[0] != user_id:
            return
        before = f"{self._prefix}:{fact_part(user_id)}:"
        kind, days, key_values, values = self._kind, self._days, self._key_values, self._values
        for row in self._next[1]:
            on = row[1]
            iso, (table, version) = days[on]
            measure = self._prefix if self._measure is None else row[self._measure]
            form = self._forms.get(measure) or self._form(measure)
            key = row[key_values]
            name = self._id(before, iso, row, key)
            facts[name] = Fact(
                name, kind, user_id, on, measure, form, row[values], table, version, (user_id, iso, *key)
            )
        self._next = next(self._workers, None)

    def _form(self, measure: str) -> Form:
        form = self._forms[measure] = _form(self._kind, measure, "user_id", "date", *self._key)
        return form

    def _id(self, before: str, iso: str, row: tuple[Any, ...], key: tuple[Any, ...]) -> str:
        if self._is_block:
            return str(key[0])
        if self._is_slice:
            return slice_fact_id(*key)
        name = before + iso
        for place in self._rest:
            name += f":{fact_part(str(row[place]))}"
        return name


def _form(kind: FactKind, measure: str, *key_names: str) -> Form:
    return form_of(kind, _MEASURE_UNITS.get(measure, FieldUnit.COUNT), key_names)


def _stated(rows: pl.DataFrame, kind: FactKind) -> Iterator[pl.Expr]:
    """The columns of the fields; null where text is unreadable or a number is not finite."""
    for name in FIELDS[kind]:
        value = pl.col(name)
        if FIELDS[kind][name] in _WORDED:
            value = pl.when(~value.is_in(_unreadable(rows[name]))).then(value)
        elif rows.schema[name].is_float():
            value = pl.when(value.is_finite()).then(value)
        yield value.alias(f"field {name}")


def _unreadable(texts: pl.Series) -> list[str]:
    """Those of the texts that have no visible character."""
    doubtful = texts.filter(~texts.str.contains(_READABLE).fill_null(value=True)).unique()
    return [text for text in doubtful if not clean(text, 1)]


def _day(source: str, on: date, frames: GoldFrames) -> _Day:
    paths = ArtifactPaths(frames.tenant_id)
    if source == MANIFESTS:
        found = _Source(paths.stage1_table(on, frames.run_ids[on], source), None)
    elif source == CHAT:
        found = _Source(paths.chat_history_table(on, frames.run_ids[on]), None)
    else:
        found = _Source(source, frames.versions.get(source))
    return _Day(on.isoformat(), found)


@cache
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


# ------------------------------------------------------------------------------------------ teams
def team_books(
    frames: GoldFrames,
    primary: date,
    start: date,
    min_group: int,
    rules: FactRules = DEFAULT_RULES,
) -> Iterator[FactBook]:
    """A book for every team that anything may be told of in the window, by team.

    Group facts only: the measures of the primary day, the headline measures of earlier days, and those of
    the weeks that have closed by the primary day, from the one that the window starts in. What
    `team_cells` withholds is counted by period in a group fact of the measure WITHHELD.
    """
    first_week = week_of(start)
    cells = team_cells(frames.kpi_group_rollups, frames.kpi_daily, frames.jobs, min_group)
    is_week = pl.col("period") == "week"
    closed = pl.col("date").is_between(first_week, primary - timedelta(days=6))
    headline = pl.col("measure").is_in(HEADLINE_MEASURES)
    in_window = pl.col("date").is_between(start, primary) & (headline | (pl.col("date") == primary))
    told = cells.filter((is_week & closed) | (~is_week & in_window)).sort(
        "group_id", "period", "date", "measure", descending=[False, False, True, False]
    )
    source = _Source(GOLD_KPI_GROUPS.id, frames.versions.get(GOLD_KPI_GROUPS.id))
    columns = ("group_id", "period", "date", "measure", "value", "contributors", "is_told")
    for team, of_team in groupby(told.select(columns).iter_rows(named=True), key=itemgetter("group_id")):
        facts: list[Fact] = []
        for (period, on), cells_of in groupby(of_team, key=itemgetter("period", "date")):
            rows = list(cells_of)
            withheld = sum(not row["is_told"] for row in rows)
            untold = {"measure": WITHHELD, "date": on, "value": withheld}
            for row in [*(row for row in rows if row["is_told"]), *([untold] if withheld else ())]:
                measure = row["measure"]
                name = group_fact_id("team", team, period, on, measure)
                key = {"period": period, "level": "team", "group_id": team, "date": on.isoformat()}
                facts.append(_group_fact(name, row, source, key))
        if facts:
            yield FactBook(frames.tenant_id, team, frames.tenant_zone, primary, start, by_id(facts))


def _group_fact(name: str, row: Mapping[str, Any], source: _Source, key: Mapping[str, str | int]) -> Fact:
    measure: str = row["measure"]
    form = _form(FactKind.GROUP, measure, *key, "measure")
    return Fact(
        name,
        FactKind.GROUP,
        str(key["group_id"]),
        row["date"],
        measure,
        form,
        tuple(row.get(name) for name in form.units),
        source.table,
        source.version,
        (*key.values(), measure),
    )
