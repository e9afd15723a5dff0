"""Fact books from published Gold: everything that may be stated about a worker or a team, and nothing else.

    Gold of the window ─▶ choose and number rows, all workers at once ─▶ one pass a worker ─▶ FactBook

Pure. Ids and numbers depend on the rows alone, not on their order. A value that is null stays out or null:
nothing becomes a zero here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.baselines import DEFAULT_RULES as BASELINES
from coworkai.common.baselines import BaselineRules, baselines_on
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
from coworkai.insights.chat_words import ChatWords, chat_words, is_blocker, themes
from coworkai.insights.facts import (
    FIELDS,
    Fact,
    FactBook,
    FactKind,
    Field,
    FieldUnit,
    Scalar,
    Status,
    by_id,
    fact_id,
    group_fact_id,
    slice_fact_id,
)
from coworkai.insights.team_cells import team_cells, week_of

MANIFESTS, JOBS, CHAT = "manifests", "jobs", "chat_history"
ARTIFACTS = (MANIFESTS, JOBS, CHAT)
"""Files that stage 1 leaves for a day beside its tables."""
WITHHELD = "withheld"
"""In the place of a measure in a group fact: how many measures of the group's period are not told."""
HEADLINE_MEASURES = (
    "active_s",
    "active_net_s",
    "after_hours_s",
    "context_switches_per_hour",
    "focus_blocks",
    "focus_ratio",
    "focus_s",
    "goals_declared",
    "goals_done",
    "kpi_attainment",
    "longest_block_s",
    "workblocks",
)
"""Measures that earlier days of the window are told of."""
_DIGITS = 9
"""Decimals kept of a difference, as of a measure."""


@dataclass(frozen=True, slots=True)
class FactRules:
    """How much is offered. Every number is a named setting with its default."""

    slices: int = 10
    """Longest slices of the primary day."""
    usage: int = 5
    """Apps, domains and URLs of the primary day, of each as many."""
    declared: int = 20
    """Goals, targets and focus areas of a day, of each as many."""
    messages: int = 40
    """Messages of the primary day: those that name a blocker first, then the newest."""
    earlier_messages: int = 5
    """Messages of an earlier day: only those that name a blocker, the newest."""
    themes: int = 5
    theme_min_messages: int = 2
    baselines: BaselineRules = BASELINES


DEFAULT_RULES = FactRules()


@dataclass(frozen=True)
class GoldFrames:
    """What is published of a window of days.

    Frames have the columns of their tables. `workblocks`, `focus_blocks`, `day_accounting`, `manifests` and
    `chat` hold the window, `atomic_slices` and `usage_statistics` its primary day, `kpi_daily` also the days
    that baselines are taken from, `kpi_group_rollups` and `jobs` whole weeks from the one that the window
    starts in. `missing` are the artefacts of a day that are not there, `incomplete` (date, user_id) the
    worker-days that could not be computed. `versions` are by table id; `run_ids` name a day's artefacts.
    """

    tenant_id: str
    tenant_zone: str
    versions: Mapping[str, int]
    run_ids: Mapping[date, str]
    workblocks: pl.DataFrame
    atomic_slices: pl.DataFrame
    usage_statistics: pl.DataFrame
    kpi_daily: pl.DataFrame
    focus_blocks: pl.DataFrame
    day_accounting: pl.DataFrame
    kpi_group_rollups: pl.DataFrame
    manifests: pl.DataFrame
    chat: pl.DataFrame
    jobs: pl.DataFrame
    missing: Mapping[date, frozenset[str]]
    incomplete: pl.DataFrame


def days_of(start: date, primary: date) -> list[date]:
    """The days of a window, in order."""
    return [start + timedelta(days=n) for n in range((primary - start).days + 1)]


# ------------------------------------------------------------------------------------------ workers
def worker_books(
    frames: GoldFrames, primary: date, start: date, rules: FactRules = DEFAULT_RULES
) -> Iterator[FactBook]:
    """A book for every worker with anything in the window `[start, primary]`, by worker.

    Of the primary day: its measures and how they compare with the worker's own past, workblocks, pauses,
    focus blocks, longest slices, top usage, manifests, own messages and their themes, what arrived. Of
    earlier days: the headline measures, the longest workblock and focus block, manifests, messages that name
    a blocker, what arrived. The primary day comes first in every kind, then the newest.
    """
    chosen = _chosen(frames, primary, start, rules, chat_words())
    workers = (
        pl.concat(frame.select("user_id") for frame in chosen.values())
        .drop_nulls()
        .unique()
        .sort("user_id")["user_id"]
    )
    rows = {name: _Rows(frame) for name, frame in chosen.items()}
    sources = _Sources(frames)
    for user_id in workers:
        days = _WorkerDays(user_id, {name: cursor.of(user_id) for name, cursor in rows.items()}, sources)
        yield FactBook(
            frames.tenant_id,
            user_id,
            days.zone() or frames.tenant_zone,
            primary,
            start,
            by_id(days.facts()),
        )


class _Rows:
    """Rows of a frame that is sorted by worker, taken worker by worker in that order."""

    def __init__(self, frame: pl.DataFrame) -> None:
        names = frame.columns
        place = names.index("user_id")
        self._names = names
        self._groups = groupby(frame.iter_rows(), key=itemgetter(place))
        self._next = next(self._groups, None)

    def of(self, user_id: str) -> list[dict[str, Any]]:
        if self._next is None or self._next[0] != user_id:
            return []
        found = [dict(zip(self._names, row, strict=True)) for row in self._next[1]]
        self._next = next(self._groups, None)
        return found


class _Source(NamedTuple):
    """A table and its version, or an artefact by its path."""

    table: str
    version: int | None


class _Sources:
    """Where facts of a kind and day are from."""

    def __init__(self, frames: GoldFrames) -> None:
        self.versions = frames.versions
        self._paths = ArtifactPaths(frames.tenant_id)
        self._run_ids = frames.run_ids
        self.manifests = cache(self._manifests)
        self.chat = cache(self._chat)

    def _manifests(self, on: date) -> _Source:
        return _Source(self._paths.stage1_table(on, self._run_ids[on], MANIFESTS), None)

    def _chat(self, on: date) -> _Source:
        return _Source(self._paths.chat_history_table(on, self._run_ids[on]), None)


# ------------------------------------------------------------------------------------------ choosing rows
def _chosen(
    frames: GoldFrames, primary: date, start: date, rules: FactRules, words: ChatWords
) -> dict[str, pl.DataFrame]:
    """Rows that facts are made of, by kind: sorted by worker, then the newest day, then as they are told."""
    window = pl.col("date").is_between(start, primary)
    today = pl.col("date") == primary
    blocks = _numbered(
        frames.workblocks.filter(window).rename({"slice_count": "slices", "app_count": "apps"}),
        ["started_at", "workblock_id"],
    )
    focus = _numbered(frames.focus_blocks.filter(window), ["started_at"])
    chat = frames.chat.filter(window).with_columns(is_blocker=is_blocker(pl.col("text"), words))
    kpis = frames.kpi_daily.filter(pl.col("measure").is_in(list(CATALOGUE)))
    told = today | (pl.col("date").is_between(start, primary) & pl.col("measure").is_in(HEADLINE_MEASURES))
    return {
        FactKind.DAY: _ordered(_days(frames, chat, primary, start)),
        FactKind.KPI: _ordered(kpis.filter(told, pl.col("value").is_not_null()), "measure"),
        FactKind.BASELINE: _ordered(
            baselines_on(kpis, primary, rules.baselines).filter(
                pl.col("value").is_not_null(),
                pl.col("median_28d").is_not_null() | pl.col("measure").is_in(HEADLINE_MEASURES),
            ),
            "measure",
        ),
        FactKind.BLOCK: _ordered(_primary_or_longest(blocks, primary), "n"),
        FactKind.PAUSE: _ordered(_pauses(blocks.filter(today)), "n"),
        FactKind.FOCUS: _ordered(_primary_or_longest(focus, primary), "n"),
        FactKind.SLICE: _ordered(_longest_slices(frames.atomic_slices.filter(today), rules.slices), "place"),
        FactKind.USAGE: _ordered(
            frames.usage_statistics.filter(today, pl.col("rank") <= rules.usage), "kind", "rank"
        ),
        FactKind.GOAL: _ordered(
            frames.manifests.filter(window).with_columns(
                pl.col("goals", "kpis", "focus_areas").list.head(rules.declared)
            )
        ),
        FactKind.CHATS: _ordered(_chats(chat)),
        FactKind.CHAT: _ordered(_messages(chat, primary, rules), "occurred_at", "event_id"),
        FactKind.THEME: _ordered(
            themes(chat.filter(today), words, min_messages=rules.theme_min_messages, top=rules.themes),
            "n",
        ),
        "zone": _ordered(
            frames.jobs.filter(window).drop_nulls("time_zone").select("user_id", "date", "time_zone")
        ),
    }


def _ordered(frame: pl.DataFrame, *then: str) -> pl.DataFrame:
    return frame.drop_nulls("user_id").sort(
        "user_id", "date", *then, descending=[False, True, *([False] * len(then))]
    )


def _numbered(frame: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """With `n`, the place in the worker's day from 1."""
    return frame.sort("user_id", "date", *order).with_columns(
        n=pl.int_range(1, pl.len() + 1).over("user_id", "date")
    )


def _primary_or_longest(spans: pl.DataFrame, primary: date) -> pl.DataFrame:
    longest = (
        spans.filter(pl.col("date") < primary)
        .sort("duration_s", "n", descending=[True, False])
        .unique(["user_id", "date"], keep="first", maintain_order=True)
    )
    return pl.concat([spans.filter(pl.col("date") == primary), longest])


def _pauses(blocks: pl.DataFrame) -> pl.DataFrame:
    """user_id, date, n, started_at, ended_at, workblock_id of the block before: what lies between two."""
    day = ("user_id", "date")
    return (
        blocks.select(
            *day,
            "n",
            "workblock_id",
            started_at="ended_at",
            ended_at=pl.col("started_at").shift(-1).over(day),
        )
        .filter(pl.col("ended_at") > pl.col("started_at"))
        .with_columns(
            duration_s=(pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds() / 1_000_000
        )
    )


def _longest_slices(slices: pl.DataFrame, limit: int) -> pl.DataFrame:
    return (
        slices.sort(
            "user_id", "duration_s", "workblock_id", "sequence", descending=[False, True, False, False]
        )
        .with_columns(place=pl.int_range(1, pl.len() + 1).over("user_id"))
        .filter(pl.col("place") <= limit)
        .select(
            "user_id",
            "date",
            "place",
            "workblock_id",
            "sequence",
            "started_at",
            "ended_at",
            "duration_s",
            "app",
            "keystroke_minutes",
            page=pl.coalesce("url", "title"),
        )
    )


def _messages(chat: pl.DataFrame, primary: date, rules: FactRules) -> pl.DataFrame:
    is_primary = pl.col("date") == primary
    ranked = (
        chat.filter(is_primary | pl.col("is_blocker"))
        .sort("is_blocker", "occurred_at", "event_id", descending=True)
        .with_columns(place=pl.int_range(1, pl.len() + 1).over("user_id", "date"))
    )
    limit = pl.when(is_primary).then(rules.messages).otherwise(rules.earlier_messages)
    return ranked.filter(pl.col("place") <= limit).select(
        "user_id", "date", "event_id", "assistant", "occurred_at", "text", "is_blocker"
    )


def _chats(chat: pl.DataFrame) -> pl.DataFrame:
    return chat.group_by("user_id", "date").agg(
        messages=pl.len().cast(pl.Int64),
        conversations=pl.struct("assistant", "conversation_id").n_unique().cast(pl.Int64),
        blockers=pl.col("is_blocker").sum().cast(pl.Int64),
        first_at=pl.col("occurred_at").min(),
        last_at=pl.col("occurred_at").max(),
    )


def _days(frames: GoldFrames, chat: pl.DataFrame, primary: date, start: date) -> pl.DataFrame:
    """Of every worker in the window, the primary day and the earlier ones that something is known of."""
    day = ["user_id", "date"]
    in_window = pl.col("date").is_between(start, primary)
    seen = [
        frame.filter(in_window).select(day).unique()
        for frame in (
            frames.day_accounting,
            frames.workblocks,
            frames.kpi_daily,
            frames.manifests,
            chat,
            frames.incomplete,
        )
    ]
    known = pl.concat(seen).unique().drop_nulls("user_id")
    every = pl.concat([known, known.select("user_id").unique().with_columns(date=pl.lit(primary))]).unique()
    published = pl.col("date").is_in(list(frames.run_ids))

    def has_artifact(name: str) -> pl.Expr:
        lost = [on for on, names in frames.missing.items() if name in names]
        return published & ~pl.col("date").is_in(lost)

    blocks = frames.workblocks.group_by(day).agg(
        first_at=pl.col("started_at").min(), last_at=pl.col("ended_at").max()
    )
    said = chat.select(day).unique().with_columns(has_chat=pl.lit(value=True))
    declared = frames.manifests.select(
        *day, "is_sod_missing", "is_eod_missing", has_manifests=pl.lit(value=True)
    )
    failed = frames.incomplete.select(day).unique().with_columns(is_incomplete=pl.lit(value=True))
    accounts = frames.day_accounting.select(
        *day,
        *(name for name in FIELDS[FactKind.DAY] if name in GOLD_ACCOUNTING.schema and name not in day),
        has_telemetry=pl.lit(value=True),
    )
    told = every
    for part in (accounts, blocks, said, declared, failed):
        told = told.join(part, on=day, how="left")
    complete = pl.col("is_incomplete").is_null()
    return told.with_columns(
        pl.col("is_incomplete").fill_null(value=False),
        has_telemetry=pl.when(published & complete).then(pl.col("has_telemetry").fill_null(value=False)),
        has_chat=pl.when(has_artifact(CHAT) & complete).then(pl.col("has_chat").fill_null(value=False)),
        has_manifests=pl.when(has_artifact(MANIFESTS) & complete).then(
            pl.col("has_manifests").fill_null(value=False)
        ),
    )


# ------------------------------------------------------------------------------------------ making facts
_UNITS: Mapping[FactKind, tuple[tuple[str, FieldUnit | None], ...]] = {
    kind: tuple(fields.items()) for kind, fields in FIELDS.items()
}
_OF_MEASURES = frozenset({FactKind.KPI, FactKind.BASELINE})
_MEASURE_UNITS = {name: FieldUnit(measure.unit.value) for name, measure in CATALOGUE.items()}


@dataclass(frozen=True, slots=True)
class _WorkerDays:
    """The chosen rows of one worker, by kind, made into facts."""

    user_id: str
    rows: Mapping[str, list[dict[str, Any]]]
    sources: _Sources

    def zone(self) -> str | None:
        """The zone that the organisation told last, where it is one."""
        return next((row["time_zone"] for row in self.rows["zone"] if _is_zone(row["time_zone"])), None)

    def facts(self) -> Iterator[Fact]:
        return chain(
            self._days(),
            self._kpis(),
            self._baselines(),
            self._blocks(),
            self._pauses(),
            self._focus(),
            self._slices(),
            self._usage(),
            self._manifests(),
            self._chat(),
        )

    def _fact(
        self,
        kind: FactKind,
        row: Mapping[str, Any],
        source: _Source,
        *rest: str | int,
        identifier: str | None = None,
        **key: str | int,
    ) -> Fact:
        """The fact of a row; `rest` follows in its id, a measure's name first."""
        on = row["date"]
        name = identifier or fact_id(kind, self.user_id, on, *rest)
        measure = str(rest[0]) if kind in _OF_MEASURES else kind.value
        keys = {"user_id": self.user_id, **key}
        return _fact(name, kind, row, source, subject=self.user_id, measure=measure, key=keys)

    def _of_table(self, table_id: str) -> _Source:
        return _Source(table_id, self.sources.versions.get(table_id))

    def _days(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_ACCOUNTING.id)
        for row in self.rows[FactKind.DAY]:
            yield self._fact(FactKind.DAY, row, source)

    def _kpis(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_KPI_DAILY.id)
        for row in self.rows[FactKind.KPI]:
            yield self._fact(FactKind.KPI, row, source, row["measure"], measure=row["measure"])

    def _baselines(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_KPI_DAILY.id)
        for row in self.rows[FactKind.BASELINE]:
            past = compared(row["value"], row["median_28d"], row["mad_z"], row["baseline_days"])
            values = {"date": row["date"], **past}
            yield self._fact(FactKind.BASELINE, values, source, row["measure"], measure=row["measure"])

    def _blocks(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_WORKBLOCKS.id)
        for row in self.rows[FactKind.BLOCK]:
            block = row["workblock_id"]
            yield self._fact(FactKind.BLOCK, row, source, identifier=block, workblock_id=block)

    def _pauses(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_WORKBLOCKS.id)
        for row in self.rows[FactKind.PAUSE]:
            yield self._fact(FactKind.PAUSE, row, source, row["n"], workblock_id=row["workblock_id"])

    def _focus(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_FOCUS_BLOCKS.id)
        for row in self.rows[FactKind.FOCUS]:
            yield self._fact(FactKind.FOCUS, row, source, row["n"], started_at=row["started_at"].isoformat())

    def _slices(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_SLICES.id)
        for row in self.rows[FactKind.SLICE]:
            block, sequence = row["workblock_id"], row["sequence"]
            name = slice_fact_id(block, sequence)
            yield self._fact(
                FactKind.SLICE, row, source, identifier=name, workblock_id=block, sequence=sequence
            )

    def _usage(self) -> Iterator[Fact]:
        source = self._of_table(GOLD_USAGE.id)
        for row in self.rows[FactKind.USAGE]:
            key = {"kind": row["kind"], "rank": row["rank"]}
            yield self._fact(FactKind.USAGE, row, source, *key.values(), **key)

    def _manifests(self) -> Iterator[Fact]:
        pairs = self.rows[FactKind.GOAL]
        for pair in pairs:
            done = set(pair["goals_done"] or ())
            for n, name in enumerate(pair["goals"] or (), start=1):
                status = Status.DONE if name in done else Status.OPEN
                told = Status.UNREPORTED if pair["is_eod_missing"] else status
                yield self._declared(FactKind.GOAL, pair, n, name=name, status=told.value)
        for pair in pairs:
            for n, kpi in enumerate(pair["kpis"] or (), start=1):
                met = target_status(kpi["actual"], kpi["attainment"])
                yield self._declared(
                    FactKind.TARGET, pair, n, **kpi, status=None if met is None else met.value
                )
        for pair in pairs:
            for n, name in enumerate(pair["focus_areas"] or (), start=1):
                yield self._declared(FactKind.AREA, pair, n, name=name)

    def _declared(self, kind: FactKind, pair: Mapping[str, Any], n: int, **values: Scalar) -> Fact:
        source = self.sources.manifests(pair["date"])
        return self._fact(kind, {"date": pair["date"], **values}, source, n, n=n)

    def _chat(self) -> Iterator[Fact]:
        for row in self.rows[FactKind.CHATS]:
            yield self._fact(FactKind.CHATS, row, self.sources.chat(row["date"]))
        for row in self.rows[FactKind.CHAT]:
            source = self.sources.chat(row["date"])
            yield self._fact(FactKind.CHAT, row, source, row["event_id"], event_id=row["event_id"])
        for row in self.rows[FactKind.THEME]:
            yield self._fact(FactKind.THEME, row, self.sources.chat(row["date"]), row["n"], n=row["n"])


def _fact(
    name: str,
    kind: FactKind,
    row: Mapping[str, Any],
    source: _Source,
    *,
    subject: str,
    measure: str,
    key: Mapping[str, str | int],
) -> Fact:
    own = _MEASURE_UNITS.get(measure, FieldUnit.COUNT)
    on: date = row["date"]
    return Fact(
        name,
        kind,
        subject,
        on,
        measure,
        {field: Field(row.get(field), unit or own) for field, unit in _UNITS[kind]},
        source.table,
        source.version,
        {"date": on.isoformat(), **key},
    )


def compared(value: float, median: float | None, z: float | None, days: int) -> dict[str, Scalar]:
    """Fields of a baseline fact; only `days` where there is too little past for a median."""
    if median is None:
        return {"days": days}
    difference = round(value - median, _DIGITS)
    direction = Status.SAME if difference == 0 else Status.ABOVE if difference > 0 else Status.BELOW
    return {
        "median": median,
        "difference": difference,
        "change": difference / median if median > 0 else None,
        "z": z,
        "days": days,
        "direction": direction.value,
    }


def target_status(actual: float | None, attainment: float | None) -> Status | None:
    """Met from an attainment of 1 on (domain, section 4); None where there is nothing to compare with."""
    if actual is None:
        return Status.UNREPORTED
    if attainment is None:
        return None
    return Status.MET if attainment >= 1 else Status.MISSED


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
                key = {"period": period, "level": "team", "group_id": team, "measure": measure}
                facts.append(_fact(name, FactKind.GROUP, row, source, subject=team, measure=measure, key=key))
        if facts:
            yield FactBook(frames.tenant_id, team, frames.tenant_zone, primary, start, by_id(facts))
