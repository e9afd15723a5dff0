"""What is worth knowing of a worker's day, ranked (domain, section 5).

    facts of the day ─▶ focus, longest block, changes against their usual, after hours, messages, data gaps
    own messages     ─▶ blockers, themes, momentum

Measures are facts of workload and tools, and a person is compared with their own past only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

import polars as pl

from coworkai.common.fact_ids import fact_part
from coworkai.common.tables import GOLD_INSIGHTS
from coworkai.insights.brief import Statement, StatementKind
from coworkai.insights.facts import Fact, FactBook, FactKind, FieldUnit, Status
from coworkai.insights.markdown import document
from coworkai.insights.phrases import (
    Phrase,
    against_usual,
    fits,
    known,
    number,
    phrase,
    pick,
    shown,
    statement,
)
from coworkai.insights.render import render


class InsightKind(StrEnum):
    WORKBLOCK = "workblock"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class InsightRules:
    """Numbers of the insights. Every one is a named setting with its default."""

    notable_z: float = 2.0
    """Robust standard deviations from the worker's usual from which a change is worth a line."""
    notable_change: float = 0.5
    """Share of the usual from which it is where the past days were all alike, so that there is no z."""
    material_change: float = 0.25
    """Share of the usual below which no change is worth a line, whatever its z."""
    material_duration_change: float = 0.1
    """The same for durations."""
    material_s: float = 900.0
    """And in seconds."""
    course_change: float = 0.3
    """Share of the day before from which a change is worth a line while no usual is known."""
    after_hours_min_s: float = 3_600.0
    long_block_min_s: float = 3_600.0
    synthetic_min_s: float = 300.0
    noise_min_s: float = 600.0
    overlapped_min_s: float = 1_800.0
    main_app_min_s: float = 1_800.0
    main_app_max_share: float = 0.95
    """Above it there is no split of the day to tell of."""
    messaging_min_s: float = 2_700.0
    messaging_min_share: float = 0.15
    themes_max: int = 3
    theme_min_messages: int = 3
    theme_word_min_messages: int = 4
    """The same for a theme of a single word."""
    blockers_max: int = 3


DEFAULT_RULES = InsightRules()


@dataclass(frozen=True, slots=True)
class InsightRow:
    """One insight. `type` is what it is about, with a suffix after a dot where there are several of its sort;
    `score` how much it matters, comparable within a worker's day."""

    insight_id: str
    kind: InsightKind
    type: str
    said: Phrase
    statement: Statement
    text: str
    """The statement written out."""
    score: float

    @property
    def family(self) -> str:
        """The type without its suffix."""
        return self.type.partition(".")[0]


MESSAGING = frozenset(
    {"discord", "mail", "olk", "outlook", "signal", "slack", "teams", "telegram", "thunderbird", "whatsapp"}
)
"""Apps that are for messages."""
CHANGES: Mapping[str, tuple[str, ...]] = {
    "focus": ("focus_s", "focus_ratio", "focus_blocks"),
    "active": ("active_s",),
    "switching": ("context_switches_per_hour",),
    "after_hours": ("after_hours_s",),
    "longest_block": ("longest_block_s",),
    "copying": ("copy_paste_per_hour",),
}
"""Measures whose change is worth a line, by topic: of a topic only the one that moved most is told."""
_ONLY_ABOVE = frozenset({"after_hours_s", "copy_paste_per_hour"})
"""Less of these is nothing to act on."""
_LOW_WEIGHT = {"longest_block_s": 0.15, "copy_paste_per_hour": 0.6}


def insights_of(book: FactBook, rules: InsightRules = DEFAULT_RULES) -> list[InsightRow]:
    """Insights of the primary day, workblock before chat, highest score first; ids are stable over runs.

    Raises as `render`.
    """
    found = [
        *_focus(book),
        *_longest_block(book, rules),
        *_changes(book, rules),
        *_after_hours(book, rules),
        *_apps(book, rules),
        *_gaps(book, rules),
        *_blockers(book, rules),
        *_themes(book, rules),
        *_chat_momentum(book),
    ]
    rows = [
        InsightRow(
            insight_id=_insight_id(book, one),
            kind=one.kind,
            type=one.type,
            said=one.said,
            statement=states,
            text=render(states, book),
            score=one.score,
        )
        for one in found
        if fits(one.said)
        for states in [statement(one.states, one.said)]
    ]
    return sorted(rows, key=lambda row: (row.kind is InsightKind.CHAT, -row.score, row.type))


class DayInsights(NamedTuple):
    """A worker's insights of a day, best first, and the run that publishes them."""

    tenant_id: str
    user_id: str
    date: date
    rows: Iterable[InsightRow]
    run_id: str


def insight_frame(given: Iterable[DayInsights]) -> pl.DataFrame:
    """Rows of `gold/insights`."""
    return pl.DataFrame([record for one in given for record in _records(one)], schema=GOLD_INSIGHTS.schema)


def _records(given: DayInsights) -> Iterator[dict[str, object]]:
    ranks = dict.fromkeys(InsightKind, 0)
    for row in given.rows:
        ranks[row.kind] += 1
        yield {
            "tenant_id": given.tenant_id,
            "date": given.date,
            "user_id": given.user_id,
            "insight_id": row.insight_id,
            "kind": row.kind.value,
            "type": row.type,
            "rank": ranks[row.kind],
            "text": row.text,
            "text_template": row.statement.text_template,
            "claims": [{"fact_id": c.fact_id, "field": c.field} for c in row.statement.claims],
            "score": row.score,
            "run_id": given.run_id,
        }


def insights_markdown(book: FactBook, rows: Iterable[InsightRow], kind: InsightKind) -> str:
    """The artefact of one kind: a line an insight, best first, and their evidence."""
    said = [(row.text, row.statement.claims) for row in rows if row.kind is kind]
    title = f"{kind.value.capitalize()} insights {book.primary.isoformat()}: {book.subject}"
    return document(title, [("", said)], nothing="Nothing to report.")


@dataclass(frozen=True, slots=True)
class _Found:
    type: str
    said: Phrase
    score: float
    kind: InsightKind = InsightKind.WORKBLOCK
    states: StatementKind = StatementKind.INSIGHT


def _insight_id(book: FactBook, found: _Found) -> str:
    day = book.primary.isoformat()
    return f"insight:{fact_part(book.subject)}:{day}:{found.kind.value}:{fact_part(found.type)}"


def longest(facts: Iterable[Fact]) -> Fact | None:
    """The first of those with the longest duration."""
    return max(facts, key=lambda fact: number(fact, "duration_s"), default=None)


def earlier_days(book: FactBook, measure: str) -> list[Fact]:
    """The measure on the days of the window before the primary one, in order; days of none left out."""
    return sorted(
        (
            fact
            for fact in book.of(FactKind.KPI)
            if fact.measure == measure and fact.date < book.primary and number(fact, "value") > 0
        ),
        key=lambda fact: fact.date,
    )


# ----------------------------------------------------------------------------------------------- workblock
def _focus(book: FactBook) -> Iterator[_Found]:
    best = longest(book.of(FactKind.FOCUS, book.primary))
    if best is None:
        return
    said = focus_phrase(best)
    blocks = book.kpi("focus_blocks")
    if blocks is not None and number(blocks, "value") > 1:
        said = _longest_of(blocks, best)
    yield _Found("focus", said, 2 + min(number(best, "duration_s") / 3_600, 3), states=StatementKind.MOMENTUM)


def focus_phrase(best: Fact) -> Phrase:
    """The longest stretch of focused work."""
    words = pick(
        (
            "your longest stretch of focused work ran {} from {}",
            "the longest stretch of focused work lasted {}, from {}",
            "{} of unbroken focused work from {}",
        ),
        best,
    )
    return phrase(words, (best, "duration_s"), (best, "started_at")) + _in_app(best)


def _longest_of(blocks: Fact, best: Fact) -> Phrase:
    before, after = pick(
        (
            "{} stretches of focused work; |the longest ran {} from {}",
            "the longest of your |{} stretches of focused work ran {} from {}",
            "{} stretches of focused work, |the longest of them {} from {}",
        ),
        best,
    ).split("|")
    cited = (blocks, "value"), (best, "duration_s"), (best, "started_at")
    return phrase(before + after, *cited) + _in_app(best)


def _in_app(focus: Fact) -> Phrase:
    return phrase(" in {}", (focus, "app")) if known(focus, "app") else Phrase("")


def _longest_block(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    block = longest(book.of(FactKind.BLOCK, book.primary))
    if block is None or number(block, "duration_s") < rules.long_block_min_s:
        return
    words = pick(
        (
            "your longest block of work lasted {} and ended at {}",
            "the longest block of work ran {}, until {}",
        ),
        block,
    )
    yield _Found("longest_block", phrase(words, (block, "duration_s"), (block, "ended_at")), 0.7)


def _changes(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    for topic, measures in CHANGES.items():
        changed = [found for measure in measures if (found := _change(book, measure, rules)) is not None]
        if changed:
            yield max(changed, key=lambda found: found.score)
        elif topic == "focus" and (found := _trend(book, rules) or _since(book, rules)) is not None:
            yield found


def _change(book: FactBook, measure: str, rules: InsightRules) -> _Found | None:
    value, usual = book.kpi(measure), book.baseline(measure)
    if value is None or usual is None or (measure in _ONLY_ABOVE and usual["direction"] != "above"):
        return None
    if measure == "after_hours_s" and number(value, "value") < rules.after_hours_min_s:
        return None
    score = notability(usual, rules) * _LOW_WEIGHT.get(measure, 1.0)
    said = against_usual(book, value, usual) if score else None
    if said is None:
        return None
    is_gain = measure in CHANGES["focus"] and usual["direction"] == Status.ABOVE
    return _Found(f"change.{measure}", said, score, states=_told_as(is_gain=is_gain))


def _told_as(*, is_gain: bool) -> StatementKind:
    """More focused work has moved, and needs no advice."""
    return StatementKind.MOMENTUM if is_gain else StatementKind.INSIGHT


def notability(baseline: Fact, rules: InsightRules = DEFAULT_RULES) -> float:
    """How far the day is from the worker's usual, 0 where it is not worth a line."""
    is_duration = baseline.unit("difference") is FieldUnit.SECONDS
    if is_duration and abs(number(baseline, "difference")) < rules.material_s:
        return 0.0
    material = rules.material_duration_change if is_duration else rules.material_change
    if number(baseline, "median") and abs(number(baseline, "change")) < material:
        return 0.0
    z = baseline["z"]
    if isinstance(z, int | float):
        return min(abs(z), 6.0) if abs(z) >= rules.notable_z else 0.0
    return rules.notable_z if abs(number(baseline, "change")) >= rules.notable_change else 0.0


def _since(book: FactBook, rules: InsightRules) -> _Found | None:
    """Focused work against the last day, where there is no usual yet."""
    value, earlier = book.kpi("focus_s"), earlier_days(book, "focus_s")
    if value is None or not earlier or book.baseline("focus_s") is not None:
        return None
    before = earlier[-1]
    now, then = number(value, "value"), number(before, "value")
    if not now or abs(now - then) < max(rules.course_change * then, rules.material_s):
        return None
    words = "focused work came to {}, after {} on {}"
    said = phrase(words, (value, "value"), (before, "value"), (before, "date"))
    return _Found("since.focus_s", said, 1.2, states=_told_as(is_gain=now > then))


def _trend(book: FactBook, rules: InsightRules) -> _Found | None:
    """Focused work that rose or fell on each of the last three days with a record."""
    value = book.kpi("focus_s")
    earlier = earlier_days(book, "focus_s")[-2:]
    if value is None or len(earlier) < 2:
        return None
    days = [*earlier, value]
    before, last, now = (number(fact, "value") for fact in days)
    if not (0 < before < last < now or before > last > now > 0):
        return None
    if abs(now - before) < max(rules.material_s * 2, rules.material_duration_change * 2 * before):
        return None
    if len({shown(book, fact, "value") for fact in days}) < len(days):
        return None
    cited = [(value, "value"), *((fact, name) for fact in reversed(earlier) for name in ("value", "date"))]
    words = "focused work came to {}, after {} on {} and {} on {}"
    return _Found("trend.focus_s", phrase(words, *cited), 1.6, states=_told_as(is_gain=now > last))


def _after_hours(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    """More of it than on any day before of the window, where there is no usual yet."""
    value, usual = book.kpi("after_hours_s"), book.baseline("after_hours_s")
    seconds = number(value, "value")
    if value is None or seconds < rules.after_hours_min_s or usual is not None:
        return
    if any(
        seconds < number(before, "value") + rules.material_s for before in earlier_days(book, value.measure)
    ):
        return
    said = phrase("{} of the work was outside your schedule", (value, "value"))
    yield _Found("after_hours", said, min(seconds / 3_600, 4))


def _apps(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    apps = [fact for fact in book.of(FactKind.USAGE, book.primary) if usage_kind(fact) == "app"]
    for fact in apps:
        share, seconds = number(fact, "day_share"), number(fact, "duration_s")
        if fact["rank"] == 1:
            if len(apps) == 1 or seconds < rules.main_app_min_s or share > rules.main_app_max_share:
                continue
            words = "{} of your active time was in {}"
            said = phrase(words, (fact, "day_share"), (fact, "name"))
            yield _Found("main_app", said, 0.4 + share)
        elif (
            str(fact["name"]) in MESSAGING
            and seconds >= rules.messaging_min_s
            and share >= rules.messaging_min_share
        ):
            words = pick(
                ("messages took {}, {} of active time", "messages had {} of the day, {} of active time"), fact
            )
            said = phrase(words, (fact, "duration_s"), (fact, "day_share"))
            yield _Found(f"messaging.{fact['rank']}", said, 0.9 + 2 * share)


def blockers(book: FactBook) -> list[Fact]:
    """Own messages of the primary day that name a blocker, oldest first, each wording where it was last."""
    latest: dict[str, Fact] = {}
    for fact in book.of(FactKind.CHAT, book.primary):
        if fact["status"] == Status.BLOCKER and known(fact, "text", "assistant", "occurred_at"):
            wording = str(fact["text"]).casefold()
            latest[wording] = max(fact, latest.get(wording, fact), key=_moment)
    return sorted(latest.values(), key=_moment)


def _moment(message: Fact) -> tuple[str, str]:
    occurred_at = message["occurred_at"]
    return (occurred_at.isoformat() if isinstance(occurred_at, datetime) else "", message.fact_id)


def usage_kind(fact: Fact) -> str:
    """app, domain or url."""
    return fact.fact_id.split(":")[3]


# ------------------------------------------------------------------------------------------ data gaps
def _gaps(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    for day in book.of(FactKind.DAY, book.primary):
        for name, said, score in _day_gaps(day, rules):
            yield _Found(f"gap.{name}", said, score, states=StatementKind.DATA_QUALITY)
    yield from _cut_by_midnight(book)
    usual = next(
        (fact for fact in book.of(FactKind.BASELINE, book.primary) if fact.measure == "active_s"), None
    )
    if usual is not None and usual["median"] is None and number(usual, "days") == 1:
        # Said once: the days after it are told against the day before.
        words = "your usual active time is not known yet: {} of history so far"
        yield _Found("gap.history", phrase(words, (usual, "days")), 0.3, states=StatementKind.DATA_QUALITY)


def _day_gaps(day: Fact, rules: InsightRules) -> Iterator[tuple[str, Phrase, float]]:
    if day["is_incomplete"]:
        yield "incomplete", phrase("the record of {} could not be worked out in full", (day, "date")), 9.0
    elif day["has_telemetry"] is False:
        yield "telemetry", phrase("no activity was recorded on {}", (day, "date")), 9.0
    missing = [half for half, flag in (("start", "is_sod_missing"), ("end", "is_eod_missing")) if day[flag]]
    if len(missing) == 2 or day["has_manifests"] is False:
        yield "manifests", phrase("no manifest arrived for {}", (day, "date")), 2.5
    elif missing:
        words = f"no {missing[0]}-of-day manifest arrived for {{}}"
        yield f"{missing[0]}_manifest", phrase(words, (day, "date")), 2.5
    if number(day, "synthetic_s") >= rules.synthetic_min_s:
        words = "{} of the day is known from keystrokes alone"
        yield "synthetic", phrase(words, (day, "synthetic_s")), 0.7
    if number(day, "noise_s") >= rules.noise_min_s and known(day, "noise_blocks"):
        words = "{} stretches of work, {} in all, were too short to count"
        if number(day, "noise_blocks") == 1:
            words = "{} stretch of work, {} long, was too short to count"
        yield "noise", phrase(words, (day, "noise_blocks"), (day, "noise_s")), 0.5
    if number(day, "overlapped_s") >= rules.overlapped_min_s:
        words = "windows were open on top of each other for {}, which counts once"
        yield "overlapped", phrase(words, (day, "overlapped_s")), 0.4


def _cut_by_midnight(book: FactBook) -> Iterator[_Found]:
    for block in book.of(FactKind.BLOCK, book.primary):
        if not block["is_continuation"] or not known(block, "started_at", "ended_at"):
            continue
        said = phrase("the block of work that ended at {} began before midnight", (block, "ended_at"))
        name = "began_before"
        if shown(book, block, "ended_at") == "midnight":
            name, said = (
                "runs_on",
                phrase("the block of work from {} runs on past midnight", (block, "started_at")),
            )
        yield _Found(f"gap.{name}", said, 0.6, states=StatementKind.DATA_QUALITY)


# ---------------------------------------------------------------------------------------------------- chat
_BLOCKED = (
    "at {} you asked {}: {}",
    "{}, to {}: {}",
    "your message of {} to {}: {}",
)
"""A message that names a blocker; under the heading that says so."""


def blocked_before(book: FactBook, blocker: Fact) -> list[Fact]:
    """Messages of earlier days that name the blocker in the same words, the newest last."""
    wording = str(blocker["text"]).casefold()
    earlier = [
        fact
        for fact in book.of(FactKind.CHAT)
        if fact.date < book.primary
        and fact["status"] == Status.BLOCKER
        and known(fact, "text")
        and str(fact["text"]).casefold() == wording
    ]
    return sorted(earlier, key=_moment)


def _blockers(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    for place, fact in enumerate(blockers(book)[-rules.blockers_max :], start=1):
        before = blocked_before(book, fact)
        if not before:
            cited = (fact, "occurred_at"), (fact, "assistant"), (fact, "text")
            said = phrase(pick(_BLOCKED, fact, place), *cited)
        else:
            cited = (fact, "occurred_at"), (before[-1], "date"), (fact, "text")
            words = pick(("at {}, as on {}: {}", "at {}, and on {} as well: {}"), fact, place)
            said = phrase(words, *cited)
        yield _Found(
            f"blocker.{place}", said, 4.0 - place / 10, InsightKind.CHAT, states=StatementKind.BLOCKER
        )


def _themes(book: FactBook, rules: InsightRules) -> Iterator[_Found]:
    chats = next(iter(book.of(FactKind.CHATS, book.primary)), None)
    themes = [
        fact
        for fact in book.of(FactKind.THEME, book.primary)
        if known(fact, "name", "messages") and number(fact, "messages") >= _theme_min_messages(fact, rules)
    ]
    for place, fact in enumerate(themes[: rules.themes_max], start=1):
        said = phrase("{} came up in {} messages", (fact, "name"), (fact, "messages"))
        total = number(chats, "messages") if place == 1 else 0
        if chats is not None and total > number(fact, "messages"):
            words = "{} came up in {} of your {} messages"
            said = phrase(words, (fact, "name"), (fact, "messages"), (chats, "messages"))
        score = 0.4 + min(number(fact, "messages") / 4, 2.0) - place / 10
        yield _Found(f"theme.{place}", said, score, InsightKind.CHAT)


def _theme_min_messages(theme: Fact, rules: InsightRules) -> int:
    return rules.theme_min_messages if " " in str(theme["name"]) else rules.theme_word_min_messages


def _chat_momentum(book: FactBook) -> Iterator[_Found]:
    for chats in book.of(FactKind.CHATS, book.primary):
        if not known(chats, "conversations", "first_at", "last_at") or number(chats, "messages") < 2:
            continue
        words = pick(
            (
                "your messages run from {} to {}, in {} conversations",
                "between {} and {} you kept {} conversations going",
            ),
            chats,
        )
        said = phrase(words, (chats, "first_at"), (chats, "last_at"), (chats, "conversations"))
        yield _Found("momentum", said, 0.9, InsightKind.CHAT, states=StatementKind.MOMENTUM)
