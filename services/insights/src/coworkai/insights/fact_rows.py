"""Which rows of published Gold become facts: chosen and numbered for all workers at once.

Every frame has user_id, date, what tells the row from the others of its kind and day, and a column for every
field of its kind that a row can have; sorted by worker, then the newest day, then as they are told. Numbers
and order depend on the rows alone, not on the order they come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from coworkai.common.baselines import DEFAULT_RULES as BASELINES
from coworkai.common.baselines import BaselineRules, baselines_on
from coworkai.common.chat_words import (
    THEME_MIN_MESSAGES,
    THEMES_MAX,
    ChatWords,
    chat_words,
    is_blocker,
    themes,
)
from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_ACCOUNTING
from coworkai.insights.facts import FIELDS, FactKind, Status

MANIFESTS, JOBS, CHAT = "manifests", "jobs", "chat_history"
ARTIFACTS = (MANIFESTS, JOBS, CHAT)
"""Files that stage 1 leaves for a day beside its tables."""
HEADLINE_MEASURES = (
    "active_s",
    "after_hours_s",
    "context_switches_per_hour",
    "focus_blocks",
    "focus_s",
    "goals_declared",
    "goals_done",
    "kpi_attainment",
    "longest_block_s",
)
"""Measures that earlier days of the window are told of."""
_SLICE_COLUMNS = (
    "user_id",
    "date",
    "workblock_id",
    "sequence",
    "started_at",
    "ended_at",
    "duration_s",
    "app",
    "url",
    "title",
    "keystroke_minutes",
)
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
    themes: int = THEMES_MAX
    theme_min_messages: int = THEME_MIN_MESSAGES
    baselines: BaselineRules = BASELINES


DEFAULT_RULES = FactRules()


@dataclass(frozen=True)
class GoldFrames:
    """What is published of a window of days.

    Frames have the columns of their tables, or those that facts are made of. `workblocks`, `focus_blocks`,
    `day_accounting`, `manifests` and `chat` hold the window, `atomic_slices` (the longest at least) and
    `usage_statistics` its primary day, `kpi_daily` also the days that baselines are taken from. For teams
    `kpi_daily`, `kpi_group_rollups` and `jobs` hold whole weeks from the one that the window starts in.
    `missing` are the artefacts of a day that are not there, `incomplete` (date, user_id) the worker-days that
    could not be computed. `versions` are by table id; `run_ids` name a day's artefacts.
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


def fact_rows(
    frames: GoldFrames,
    primary: date,
    start: date,
    rules: FactRules = DEFAULT_RULES,
    words: ChatWords | None = None,
) -> dict[FactKind, pl.DataFrame]:
    """Rows of workers' facts by kind, of the window `[start, primary]`.

    Of the primary day: its measures and how they compare with the worker's own past, workblocks, pauses,
    focus blocks, longest slices, top usage, manifests, own messages and their themes, what arrived. Of
    earlier days: the headline measures, the longest workblock and focus block, goals and targets, messages
    that name a blocker, what arrived.
    """
    words = words or chat_words()
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
    manifests = frames.manifests.filter(window)
    slices = frames.atomic_slices.filter(today)
    usage = frames.usage_statistics.filter(today, pl.col("rank") <= rules.usage)
    themed = themes(chat.filter(today), words, min_messages=rules.theme_min_messages, top=rules.themes)
    return {
        FactKind.DAY: _ordered(_days(frames, chat, primary, start)),
        FactKind.KPI: _ordered(kpis.filter(told, pl.col("value").is_not_null()), "measure"),
        FactKind.BASELINE: _ordered(_compared(kpis, primary, rules.baselines), "measure"),
        FactKind.BLOCK: _ordered(_primary_or_longest(blocks, primary), "n"),
        FactKind.PAUSE: _ordered(_pauses(blocks.filter(today)), "n"),
        FactKind.FOCUS: _ordered(_primary_or_longest(focus, primary), "n"),
        FactKind.SLICE: _ordered(_longest_slices(slices, rules.slices), "place"),
        FactKind.USAGE: _ordered(usage, "kind", "rank"),
        FactKind.GOAL: _ordered(_goals(manifests, rules.declared), "n"),
        FactKind.TARGET: _ordered(_targets(manifests, rules.declared), "n"),
        FactKind.AREA: _ordered(_listed(manifests.filter(today), "focus_areas", rules.declared), "n"),
        FactKind.CHATS: _ordered(_chats(chat)),
        FactKind.CHAT: _ordered(_messages(chat, primary, rules), "occurred_at", "event_id"),
        FactKind.THEME: _ordered(themed, "n"),
    }


def zones(jobs: pl.DataFrame, start: date, primary: date) -> dict[str, list[str]]:
    """Time zones that the organisation tells of workers in the window, the newest first."""
    told = jobs.filter(pl.col("date").is_between(start, primary)).drop_nulls(["user_id", "time_zone"])
    newest = told.sort("date", descending=True).unique(
        ["user_id", "time_zone"], keep="first", maintain_order=True
    )
    return dict(newest.group_by("user_id").agg("time_zone").iter_rows())


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


def longest_slices(slices: pl.LazyFrame, limit: int) -> pl.LazyFrame:
    """The columns that facts are made of, of every worker's longest slices and of those that last as long as
    the shortest of them."""
    shortest = pl.col("duration_s").top_k(limit).min().over("user_id")
    return slices.select(_SLICE_COLUMNS).filter(pl.col("duration_s") >= shortest)


def _longest_slices(slices: pl.DataFrame, limit: int) -> pl.DataFrame:
    # Few remain to be sorted.
    return (
        longest_slices(slices.lazy(), limit)
        .collect()
        .sort("user_id", "duration_s", "workblock_id", "sequence", descending=[False, True, False, False])
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


def _compared(kpis: pl.DataFrame, primary: date, rules: BaselineRules) -> pl.DataFrame:
    """Values of the primary day against the worker's own past, headline measures also where it is short."""
    has_past = pl.col("median_28d").is_not_null()
    difference, median = pl.col("difference"), pl.col("median")
    return (
        baselines_on(kpis, primary, rules)
        .filter(pl.col("value").is_not_null(), has_past | pl.col("measure").is_in(HEADLINE_MEASURES))
        .select(
            "user_id",
            "date",
            "measure",
            median="median_28d",
            difference=(pl.col("value") - pl.col("median_28d")).round(_DIGITS),
            z="mad_z",
            days="baseline_days",
        )
        .with_columns(
            change=pl.when(median > 0).then(difference / median),
            direction=pl.when(difference > 0)
            .then(pl.lit(Status.ABOVE.value))
            .when(difference < 0)
            .then(pl.lit(Status.BELOW.value))
            .when(difference == 0)
            .then(pl.lit(Status.SAME.value)),
        )
    )


def _listed(manifests: pl.DataFrame, column: str, limit: int, *beside: str) -> pl.DataFrame:
    """user_id, date, n, name: the first entries of a list column, one row each."""
    return (
        manifests.select("user_id", "date", *beside, name=pl.col(column).list.head(limit))
        .with_columns(n=pl.int_ranges(1, pl.col("name").list.len() + 1))
        .explode("name", "n", empty_as_null=False, keep_nulls=False)
    )


def _goals(manifests: pl.DataFrame, limit: int) -> pl.DataFrame:
    done = pl.col("goals_done").list.contains(pl.col("name"))
    return _listed(manifests, "goals", limit, "goals_done", "is_eod_missing").with_columns(
        status=pl.when("is_eod_missing")
        .then(pl.lit(Status.UNREPORTED.value))
        .when(done)
        .then(pl.lit(Status.DONE.value))
        .otherwise(pl.lit(Status.OPEN.value))
    )


def _targets(manifests: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Met from an attainment of 1 on (domain, section 4); null where there is nothing to compare with."""
    return (
        _listed(manifests, "kpis", limit)
        .rename({"name": "kpi"})
        .unnest("kpi")
        .with_columns(
            status=pl.when(pl.col("actual").is_null())
            .then(pl.lit(Status.UNREPORTED.value))
            .when(pl.col("attainment") >= 1)
            .then(pl.lit(Status.MET.value))
            .when(pl.col("attainment") < 1)
            .then(pl.lit(Status.MISSED.value))
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
        "user_id",
        "date",
        "event_id",
        "assistant",
        "occurred_at",
        "text",
        status=pl.when("is_blocker").then(pl.lit(Status.BLOCKER.value)),
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
