"""From any fact back to what was collected: its Gold row, how it is computed, its Silver rows, Bronze events,
files and versions.

    kpi:ana:2026-10-27:focus_s ─▶ gold/kpi_daily row ─▶ runs and versions ─▶ Silver rows ─▶ Bronze event ids
                                  formula, recount

What a fact is recounted to comes from Silver by the rules and not from the stored row, so that the two can
be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

import polars as pl

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.baselines import DEFAULT_RULES as BASELINES
from coworkai.common.baselines import baselines_on
from coworkai.common.chat_words import chat_words, is_blocker, themes
from coworkai.common.control import Stage
from coworkai.common.errors import NotFound, StorageUnavailable
from coworkai.common.fact_ids import WITHHELD, FactKind, FactName, fact_id, fact_name, slice_fact_id
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.measures import CATALOGUE, Measure
from coworkai.common.published import published
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_FOCUS_BLOCKS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_SLICES,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    SILVER_CHAT,
    SILVER_DEVICE_POSTURE,
    SILVER_KEYSTROKES,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    SILVER_TIMELINE,
    TIMESTAMP,
    Table,
)
from coworkai.runner.run_stage1 import week_of
from coworkai.runner.stage1.org_context import with_org
from coworkai.runner.stage1.usage import domain_of
from coworkai.runner.stages import TenantRules
from coworkai.runner.worker_day import RunStep, WorkerDay, run_step, silver_read_by

SLICE_SEPARATOR = "/"
"""A slice may also be named `<workblock_id>/<sequence>`."""
_DIGITS = 9
"""Decimal places of a difference, as in a brief."""
_NO_PIECES = pl.DataFrame(
    schema={"event_id": pl.String, "started_at": TIMESTAMP, "ended_at": TIMESTAMP, "app": pl.String}
)
_NO_KEYSTROKES = pl.DataFrame(
    schema={
        "event_id": pl.String,
        "phase": pl.Int8,
        "cross_app": pl.Boolean,
        "ambiguous": pl.Boolean,
        "minute": TIMESTAMP,
        "app": pl.String,
    }
)
_NO_EVENTS = pl.DataFrame(schema={"table": pl.String, "event_id": pl.String})
_SILVER_OF: Mapping[str, tuple[Table, ...]] = MappingProxyType(
    {
        GOLD_WORKBLOCKS.id: (SILVER_TIMELINE, SILVER_KEYSTROKES),
        GOLD_SLICES.id: (SILVER_TIMELINE, SILVER_KEYSTROKES),
        **{
            table.id: (table,)
            for table in (
                SILVER_KEYSTROKES,
                SILVER_MANIFEST_PAIRS,
                SILVER_DEVICE_POSTURE,
                SILVER_ORG_MEMBERS,
            )
        },
    }
)
"""Silver tables behind a measure's sources."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a fact is and what it was made of.

    `source`: the table of `row`, or the artefact's path. `recount`: columns of the row, computed again from
    Silver. `pieces`: its rows of `silver/activity_timeline`; `keystrokes`: its keystroke minutes with the
    phase that matched them (1 to 4); `others`: its rows of other Silver tables, by table id, without their
    text. `facts`: ids of the facts that it is made of. `formula` says how.
    """

    source: str
    row: Mapping[str, object]
    recount: Mapping[str, object] = field(default_factory=dict)
    pieces: pl.DataFrame = field(default_factory=lambda: _NO_PIECES)
    keystrokes: pl.DataFrame = field(default_factory=lambda: _NO_KEYSTROKES)
    others: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    formula: str | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a fact comes from.

    `events`: the Bronze rows of its Silver rows: table, event_id, event_date, file and the version of the
    table that the Silver run read, the one of now where that is gone. A group has none: its facts lead on.
    """

    fact_id: str
    origin: Origin
    steps: tuple[RunStep, ...]
    events: pl.DataFrame

    @property
    def row(self) -> Mapping[str, object]:
        return self.origin.row


def as_json(traced: Lineage) -> dict[str, object]:
    """The lineage as an object for machines; the API's and the command line's."""
    origin = traced.origin
    return {
        "fact_id": traced.fact_id,
        "source": origin.source,
        "row": origin.row,
        "formula": origin.formula,
        "recount": origin.recount,
        "facts": origin.facts,
        "runs": traced.steps,
        "pieces": origin.pieces.to_dicts(),
        "keystroke_minutes": origin.keystrokes.to_dicts(),
        "silver": {table_id: frame.to_dicts() for table_id, frame in origin.others.items()},
        "events": traced.events.to_dicts(),
    }


def lineage(lake: Lake, tenant_id: str, identifier: str, rules: TenantRules) -> Lineage:
    """Trace a fact of what is published; `rules` are the tenant's.

    Raises NotFound when there is none, StorageUnavailable.
    """
    name = _name(identifier)
    gold = _PublishedGold(lake, tenant_id)
    if name.kind is FactKind.GROUP:
        return _group(gold, name, identifier, rules)
    if name.kind in {FactKind.BLOCK, FactKind.SLICE}:
        row = _block_row(gold, name)
        user_id, on = str(row["user_id"]), row["date"]
    else:
        user_id, on = name.subject, name.on
    assert isinstance(on, date)
    day = WorkerDay.open(lake, tenant_id, user_id, on, rules)
    origin = _ORIGINS[name.kind](gold, day, name)
    if origin.row.get("run_id", day.steps[0].run_id) != day.steps[0].run_id:
        raise StorageUnavailable("the day has been computed anew meanwhile; ask again")
    events = day.events(origin.pieces, origin.keystrokes, origin.others)
    canonical = slice_fact_id(name.subject, name.number) if name.kind is FactKind.SLICE else identifier
    return Lineage(canonical, origin, day.steps, events)


def _name(identifier: str) -> FactName:
    block, separator, sequence = identifier.partition(SLICE_SEPARATOR)
    is_slice = identifier.startswith(f"{FactKind.BLOCK}:") and separator
    try:
        return fact_name(f"{FactKind.SLICE}:{block}#{sequence}" if is_slice else identifier)
    except ValueError as error:
        kinds = ", ".join(f"{kind}:…" for kind in FactKind)
        raise NotFound(
            f"no id of a fact: {error}",
            remedy=f"copy one from a brief's evidence, or from Gold: {kinds}, wb:…/3 (a slice)",
        ) from None


# ------------------------------------------------------------------------------------------ published rows
class _PublishedGold:
    """Rows of a tenant's Gold as it is published now. Reads raise StorageUnavailable."""

    def __init__(self, lake: Lake, tenant_id: str) -> None:
        self.lake, self.tenant_id = lake, tenant_id
        self._published = published(lake.open(OPS_RUNS, tenant_id), Stage.STAGE1)

    def rows(self, table: Table, *where: pl.Expr, days: list[date] | None = None) -> pl.DataFrame:
        version = self._published.version(table)
        with reading(table):
            opened = self.lake.open(table, self.tenant_id, version=version)
            return scan(opened, table, days).filter(*where).collect()

    def of_day(self, table: Table, day: WorkerDay, *where: pl.Expr) -> pl.DataFrame:
        """The worker's rows of the day."""
        return self.rows(table, pl.col("user_id") == day.user_id, *where, days=[day.day])


def _only(rows: pl.DataFrame, what: str) -> Mapping[str, object]:
    if rows.is_empty():
        raise NotFound(
            f"no {what} of this id is published",
            remedy="it is another tenant's, mistyped, or was replaced when its day was computed anew",
        )
    return rows.row(0, named=True)


def _nth(rows: pl.DataFrame, n: int, what: str) -> Mapping[str, object]:
    """The n-th row from 1. Raises NotFound."""
    return _only(rows.slice(n - 1, 1) if n > 0 else rows.clear(), what)


def _recounted(rows: pl.DataFrame) -> Mapping[str, object]:
    """Numbers and instants of the row that the rules make of Silver; none where they make no such row."""
    counted = pl.selectors.numeric() | pl.selectors.datetime()
    return rows.select(counted).row(0, named=True) if rows.height == 1 else {}


def _block_row(gold: _PublishedGold, name: FactName) -> Mapping[str, object]:
    wanted = pl.col("workblock_id") == name.subject
    if name.kind is FactKind.SLICE:
        return _only(gold.rows(GOLD_SLICES, wanted, pl.col("sequence") == name.number), "slice")
    return _only(gold.rows(GOLD_WORKBLOCKS, wanted), "workblock")


# ------------------------------------------------------------------------------------------ blocks and slices
def _block(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    row, theirs = _block_row(gold, name), pl.col("workblock_id") == name.subject
    computed = day.gold[GOLD_WORKBLOCKS.id].filter(theirs)
    return Origin(
        GOLD_WORKBLOCKS.id,
        row,
        _recounted(computed),
        day.pieces_within(computed),
        day.keystrokes(theirs),
        formula="from the first to the last activity of a stretch of work without a long pause",
    )


def _slice(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    row = _block_row(gold, name)
    wanted = (pl.col("workblock_id") == name.subject, pl.col("sequence") == name.number)
    computed = day.gold[GOLD_SLICES.id].filter(*wanted)
    context = ("app", "url") if row["url"] is not None else ("app", "url", "title")
    in_context = [pl.col(column).eq_missing(pl.lit(row[column], pl.String)) for column in context]
    pieces = _NO_PIECES if row["is_synthetic"] else day.pieces_within(computed, *in_context)
    return Origin(
        GOLD_SLICES.id,
        row,
        _recounted(computed),
        pieces,
        day.keystrokes(*wanted),
        facts=(name.subject,),
        formula="activities of one context in the workblock, cut at every minute and joined again while none "
        "holds keystrokes; duration_s is their evidence, not the span",
    )


def _usage(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    wanted = (pl.col("kind") == name.rest[0], pl.col("rank") == name.number)
    row = _only(gold.of_day(GOLD_USAGE, day, *wanted), "usage row")
    of_name = {
        "app": pl.col("app"),
        "domain": domain_of(pl.col("url")),
        "url": pl.col("url"),
    }[name.rest[0]] == pl.lit(row["name"], pl.String)
    synthetic = pl.col("phase") > 2, pl.col("workblock_id").is_not_null()
    return Origin(
        GOLD_USAGE.id,
        row,
        _recounted(day.gold[GOLD_USAGE.id].filter(*wanted)),
        day.kept_pieces(of_name),
        day.keystrokes(of_name, *synthetic),
        facts=(fact_id(FactKind.KPI, day.user_id, day.day, "active_s"),),
        formula="seconds of evidence in the day's workblocks under this name, those that overlap once; "
        "day_share = duration_s / `active_s`",
    )


def _focus(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    stored = gold.of_day(GOLD_FOCUS_BLOCKS, day).sort("started_at")
    row = _nth(stored, name.number, "focus block")
    span = stored.slice(name.number - 1, 1)
    computed = day.gold[GOLD_FOCUS_BLOCKS.id].filter(
        pl.col("started_at") == pl.lit(row["started_at"], TIMESTAMP)
    )
    return Origin(
        GOLD_FOCUS_BLOCKS.id,
        row,
        _recounted(computed),
        day.pieces_within(span),
        day.keystrokes(
            pl.col("minute").is_between(
                pl.lit(row["started_at"], TIMESTAMP).dt.truncate("1m"),
                pl.lit(row["ended_at"], TIMESTAMP),
                closed="left",
            )
        ),
        {SILVER_DEVICE_POSTURE.id: day.shown(SILVER_DEVICE_POSTURE)},
        formula=CATALOGUE["focus_blocks"].formula,
    )


def _pause(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    """Between the n-th workblock of the day and the next; what is in both shows where it begins and ends."""
    blocks = gold.of_day(GOLD_WORKBLOCKS, day).sort("started_at", "workblock_id")
    sides = blocks.slice(name.number - 1, 2) if name.number > 0 else blocks.clear()
    if sides.height < 2:
        raise NotFound("no pause of this id is published")
    ids = sides["workblock_id"].to_list()
    computed = day.gold[GOLD_WORKBLOCKS.id].filter(pl.col("workblock_id").is_in(ids)).sort("started_at")

    def span(rows: pl.DataFrame) -> dict[str, object]:
        begins, ends = rows["ended_at"][0], rows["started_at"][1]
        return {"started_at": begins, "ended_at": ends, "duration_s": (ends - begins).total_seconds()}

    return Origin(
        GOLD_WORKBLOCKS.id,
        {"user_id": day.user_id, "date": day.day, **span(sides), "run_id": sides["run_id"][0]},
        span(computed) if computed.height == 2 else {},
        day.pieces_within(sides),
        day.keystrokes(pl.col("workblock_id").is_in(ids)),
        facts=tuple(ids),
        formula="from the end of a workblock to the start of the next of the day",
    )


# ------------------------------------------------------------------------------------------ measures
def _kpi(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    measure = _measure(name.rest[0])
    this = pl.col("measure") == measure.name
    row = _only(gold.of_day(GOLD_KPI_DAILY, day, this), "measure")
    tables = {table.id: table for source in measure.sources for table in _SILVER_OF.get(source, ())}
    # Keystroke minutes of noise count as keys, and not in workblocks.
    everything = SILVER_KEYSTROKES.id in measure.sources
    in_blocks = () if everything else (pl.col("workblock_id").is_not_null(),)
    return Origin(
        GOLD_KPI_DAILY.id,
        row,
        _recounted(day.gold[GOLD_KPI_DAILY.id].filter(this)),
        day.kept_pieces() if SILVER_TIMELINE.id in tables else _NO_PIECES,
        day.keystrokes(*in_blocks) if SILVER_KEYSTROKES.id in tables else _NO_KEYSTROKES,
        {
            table_id: day.shown(table)
            for table_id, table in tables.items()
            if table not in {SILVER_TIMELINE, SILVER_KEYSTROKES}
        },
        _parts(day, measure),
        measure.formula,
    )


def _measure(name: str) -> Measure:
    if name not in CATALOGUE:
        raise NotFound("no measure of this name", remedy="see docs/kpis.md")
    return CATALOGUE[name]


def _parts(day: WorkerDay, measure: Measure) -> tuple[str, ...]:
    """Facts that the measure adds up or divides."""
    if measure.numerator is not None and measure.denominator is not None:
        return tuple(
            fact_id(FactKind.KPI, day.user_id, day.day, part)
            for part in (measure.numerator, measure.denominator)
        )
    if measure.name in {"focus_blocks", "focus_s"}:
        count = day.gold[GOLD_FOCUS_BLOCKS.id].height
        return tuple(fact_id(FactKind.FOCUS, day.user_id, day.day, n) for n in range(1, count + 1))
    if measure.sources[0] == GOLD_WORKBLOCKS.id:
        return tuple(day.gold[GOLD_WORKBLOCKS.id].sort("started_at")["workblock_id"])
    kind, column = {
        "goals_declared": (FactKind.GOAL, "goals"),
        "goals_done": (FactKind.GOAL, "goals"),
        "kpi_attainment": (FactKind.TARGET, "kpis"),
    }.get(measure.name, (None, ""))
    if kind is None:
        return ()
    declared: int = day.silver[SILVER_MANIFEST_PAIRS.id].select(pl.col(column).list.len().sum()).item()
    return tuple(fact_id(kind, day.user_id, day.day, n) for n in range(1, declared + 1))


def _baseline(gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    """The day's measure, and the measures of the days before that it is set against."""
    value = _kpi(gold, day, name)
    measure = name.rest[0]
    days = [day.day - timedelta(days=n) for n in range(BASELINES.baseline_days + 1)]
    theirs = (pl.col("user_id") == day.user_id, pl.col("measure") == measure)
    rows = gold.rows(GOLD_KPI_DAILY, *theirs, days=days)
    past = rows.filter(pl.col("date") < day.day, pl.col("value").is_not_null()).sort("date")
    compared = baselines_on(rows, day.day).row(0, named=True)
    return Origin(
        GOLD_KPI_DAILY.id,
        value.row,
        {**value.recount, **_against(compared)},
        value.pieces,
        value.keystrokes,
        value.others,
        tuple(fact_id(FactKind.KPI, day.user_id, on, measure) for on in (day.day, *past["date"])),
        f"value against the median of the {BASELINES.baseline_days} days before; "
        "difference = value - median; z = 0.6745 x difference / MAD, "
        f"with {BASELINES.baseline_min_days} days or more",
    )


def _against(compared: Mapping[str, Any]) -> dict[str, object]:
    """What a brief cites of a comparison, by the names that it has there; no comparison without a median."""
    value, median, days = compared["value"], compared["median_28d"], compared["baseline_days"]
    if value is None or median is None:
        return {"days": days}
    difference = round(value - median, _DIGITS)
    direction = "above" if difference > 0 else "below" if difference < 0 else "same"
    return {
        "median": median,
        "difference": difference,
        "change": difference / median if median > 0 else None,
        "direction": direction,
        "z": compared["mad_z"],
        "days": days,
    }


# ------------------------------------------------------------------------------------------ declared and said
_DECLARED: Mapping[FactKind, str] = MappingProxyType(
    {
        FactKind.GOAL: "declared in the day's manifests; done where the end of the day names it",
        FactKind.TARGET: "declared in the manifests; attainment = actual / target, met from 1 on",
        FactKind.AREA: "declared in the day's manifests, in this order",
    }
)


def _declared(_gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    pair = _only(day.silver[SILVER_MANIFEST_PAIRS.id], "manifest")
    column = {FactKind.GOAL: "goals", FactKind.TARGET: "kpis", FactKind.AREA: "focus_areas"}[name.kind]
    entries = pair[column]
    assert isinstance(entries, list)
    if not 0 < name.number <= len(entries):
        raise NotFound(f"no {name.kind} of this id was declared")
    entry = entries[name.number - 1]
    values: Mapping[str, object] = entry if isinstance(entry, dict) else {"name": entry}
    recount: dict[str, object] = {}
    if name.kind is FactKind.GOAL:
        done = pair["goals_done"]
        assert isinstance(done, list)
        values = {**values, "is_done": None if pair["is_eod_missing"] else entry in done}
        recount["status"] = "unreported" if pair["is_eod_missing"] else "done" if entry in done else "open"
    elif name.kind is FactKind.TARGET and entry["attainment"] is not None:
        recount["attainment"] = entry["actual"] / entry["target"]
    return Origin(
        _artifact(day, "manifests"),
        {"user_id": day.user_id, "date": day.day, **values},
        recount,
        others={SILVER_MANIFEST_PAIRS.id: day.shown(SILVER_MANIFEST_PAIRS)},
        formula=_DECLARED[name.kind],
    )


def _chat(_gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    this = pl.col("event_id") == name.rest[0]
    said = day.silver[SILVER_CHAT.id].filter(this)
    row = _only(said.drop("run_id"), "message")
    names_blocker: bool = said.select(is_blocker(pl.col("text"), chat_words())).item()
    return Origin(
        _artifact(day, "chat_history"),
        row,
        {"status": "blocker" if names_blocker else None},
        others={SILVER_CHAT.id: day.shown(SILVER_CHAT, this)},
        formula="one of the worker's own messages, as it was kept; a blocker where a phrase for one is in it",
    )


def _chats(_gold: _PublishedGold, day: WorkerDay, _name: FactName) -> Origin:
    said = day.silver[SILVER_CHAT.id]
    if said.is_empty():
        raise NotFound("no message of that day is published")
    counted = said.select(
        messages=pl.len().cast(pl.Int64),
        conversations=pl.struct("assistant", "conversation_id").n_unique().cast(pl.Int64),
        blockers=is_blocker(pl.col("text"), chat_words()).sum().cast(pl.Int64),
        first_at=pl.col("occurred_at").min(),
        last_at=pl.col("occurred_at").max(),
    ).row(0, named=True)
    return Origin(
        _artifact(day, "chat_history"),
        {"user_id": day.user_id, "date": day.day},
        counted,
        others={SILVER_CHAT.id: day.shown(SILVER_CHAT)},
        facts=tuple(fact_id(FactKind.CHAT, day.user_id, day.day, one) for one in said["event_id"]),
        formula="the worker's own messages of the day, their conversations, and those that tell of a blocker",
    )


def _theme(_gold: _PublishedGold, day: WorkerDay, name: FactName) -> Origin:
    found = themes(day.silver[SILVER_CHAT.id], chat_words(), top=max(name.number, 1))
    row = _nth(found.sort("n"), name.number, "theme")
    event_ids = row["event_ids"]
    assert isinstance(event_ids, list)
    said = day.shown(SILVER_CHAT, pl.col("event_id").is_in(event_ids))
    return Origin(
        _artifact(day, "chat_history"),
        {key: row[key] for key in ("user_id", "date", "n", "name")},
        {"messages": said.height},
        others={SILVER_CHAT.id: said},
        facts=tuple(fact_id(FactKind.CHAT, day.user_id, day.day, one) for one in event_ids),
        formula="messages of the day that have the word or the pair of words in them",
    )


def _artifact(day: WorkerDay, name: str) -> str:
    paths, batch = ArtifactPaths(day.tenant_id), day.steps[0].run_id
    if name == "chat_history":
        return paths.chat_history_table(day.day, batch)
    return paths.stage1_table(day.day, batch, name)


# ------------------------------------------------------------------------------------------ a day
def _day(gold: _PublishedGold, day: WorkerDay, _name: FactName) -> Origin:
    """Everything that arrived: raw, kept and overlapped seconds are counted again from Bronze and Silver."""
    stored = gold.of_day(GOLD_ACCOUNTING, day)
    if stored.is_empty() and not day.is_known():
        raise NotFound("no such worker on that day")
    row = {"user_id": day.user_id, "date": day.day} if stored.is_empty() else stored.row(0, named=True)
    timeline = day.silver[SILVER_TIMELINE.id]
    activities = day.activities()
    length = pl.col("ended_at") - pl.col("started_at")
    raw_us: int = activities.select(pl.col("raw_us").sum()).item()
    kept_us: int = timeline.select(length.dt.total_microseconds().sum()).item()
    counted = {
        "raw_s": raw_us / _SECOND_US,
        "kept_s": kept_us / _SECOND_US,
        "overlapped_s": (raw_us - kept_us) / _SECOND_US,
        **_recounted(
            day.gold[GOLD_WORKBLOCKS.id].select(
                pl.min("started_at").alias("first_at"), pl.max("ended_at").alias("last_at")
            )
        ),
    }
    hidden = activities.join(timeline, on="event_id", how="anti").select("event_id")
    return Origin(
        GOLD_ACCOUNTING.id,
        row,
        {} if stored.is_empty() else {**_recounted(day.gold[GOLD_ACCOUNTING.id]), **counted},
        pl.concat([day.pieces(), hidden], how="diagonal"),
        day.keystrokes(),
        {
            SILVER_MANIFEST_PAIRS.id: day.shown(SILVER_MANIFEST_PAIRS),
            SILVER_CHAT.id: day.shown(SILVER_CHAT),
        },
        formula="raw = kept + overlapped; keystroke minutes = direct + nearest + gap + orphan",
    )


_SECOND_US = 1_000_000
_ORIGINS: Mapping[FactKind, Callable[[_PublishedGold, WorkerDay, FactName], Origin]] = MappingProxyType(
    {
        FactKind.KPI: _kpi,
        FactKind.BASELINE: _baseline,
        FactKind.BLOCK: _block,
        FactKind.SLICE: _slice,
        FactKind.USAGE: _usage,
        FactKind.FOCUS: _focus,
        FactKind.PAUSE: _pause,
        FactKind.GOAL: _declared,
        FactKind.TARGET: _declared,
        FactKind.AREA: _declared,
        FactKind.CHAT: _chat,
        FactKind.CHATS: _chats,
        FactKind.THEME: _theme,
        FactKind.DAY: _day,
    }
)


# ------------------------------------------------------------------------------------------ groups
def _group(gold: _PublishedGold, name: FactName, identifier: str, rules: TenantRules) -> Lineage:
    """A group's measure: the contributors' own measures, rolled up again."""
    level, period, measure = name.rest
    assert name.on is not None
    cell = (
        pl.col("level") == level,
        pl.col("group_id") == name.subject,
        pl.col("period") == period,
    )
    if measure == WITHHELD:
        rows = gold.rows(GOLD_KPI_GROUPS, *cell, pl.col("value").is_not_null(), days=[name.on])
        if rows.is_empty():
            raise NotFound("no measure of this group and period is published")
        row: Mapping[str, object] = {
            "group_id": name.subject,
            "period": period,
            "date": name.on,
            "contributors": dict(rows.sort("measure").select("measure", "contributors").iter_rows()),
        }
        step = run_step(gold.lake, gold.tenant_id, Stage.STAGE1, rows["run_id"][0], name.on)
        formula = "measures of fewer contributors than the tenant's smallest group, or that would tell them"
        return Lineage(identifier, Origin(GOLD_KPI_GROUPS.id, row, formula=formula), (step,), _NO_EVENTS)
    wanted = (*cell, pl.col("measure") == _measure(measure).name)
    row = _only(gold.rows(GOLD_KPI_GROUPS, *wanted, days=[name.on]), "group measure")
    step = run_step(gold.lake, gold.tenant_id, Stage.STAGE1, row["run_id"], name.on)
    members = silver_read_by(gold.lake, gold.tenant_id, step).org_members
    kpis = gold.rows(GOLD_KPI_DAILY, days=list(week_of(name.on)))
    days = [name.on] if period == "day" else list(week_of(name.on))
    theirs = kpis.filter(
        pl.col("measure") == measure, pl.col("value").is_not_null(), pl.col("date").is_in(days)
    )
    placed = with_org(theirs, members, rules.tenant_zone).with_columns(
        tenant=pl.col("tenant_id"), worker=pl.col("user_id")
    )
    inside = placed.filter(pl.col(level) == name.subject).sort("date", "user_id")
    again = rules.rollups(kpis, members).filter(*wanted, pl.col("date") == name.on)
    facts = tuple(
        fact_id(FactKind.KPI, user_id, on, measure)
        for user_id, on in inside.select("user_id", "date").iter_rows()
    )
    formula = f"{_measure(measure).aggregation} of the contributors' days"
    origin = Origin(GOLD_KPI_GROUPS.id, row, _recounted(again), facts=facts, formula=formula)
    return Lineage(identifier, origin, (step,), _NO_EVENTS)
