"""The deterministic writer: a complete brief from facts alone (domain, section 5).

    facts + insights ─▶ headline: what matters most ─▶ momentum, blockers, next steps, insights, data quality

Invariants:
- every number, name and status word is a claim; nothing is stated that no fact of the book says;
- a field of a fact is stated once a brief, and a topic that the headline took is not told again;
- a section without facts stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coworkai.common.errors import Terminal
from coworkai.common.fact_ids import fact_name
from coworkai.insights.brief import Draft, DraftInsight, Statement, StatementKind
from coworkai.insights.facts import Fact, FactBook, FactKind, Status
from coworkai.insights.insights import (
    CHANGES,
    DEFAULT_RULES,
    MESSAGING,
    InsightRow,
    blockers,
    earlier_days,
    focus_phrase,
    longest,
    notability,
    usage_kind,
)
from coworkai.insights.phrases import (
    WITHHELD,
    Phrase,
    against_usual,
    described,
    fits,
    known,
    listed,
    number,
    phrase,
    pick,
    shown,
    statement,
    team_value,
)

LISTED_MAX = 3
"""Goals that one sentence names."""
SECTION_MAX = 4
INSIGHTS_MAX = 3
INSIGHT_MIN_SCORE = 1.0
"""Below it an insight is told only where there is no other."""
DATA_QUALITY_MAX = 4
_HEADLINE_NAME_MAX_CHARS = 60
_TOPIC_OF = {measure: topic for topic, measures in CHANGES.items() for measure in measures}


class NothingToState(Terminal):
    """The book has no fact with a value: there is no brief to write."""

    code = "nothing_to_state"


def compose(book: FactBook, insights: Sequence[InsightRow]) -> Draft:
    """A worker's brief; the same book gives the same words. Raises NothingToState."""
    page = _Page()
    headline = _headline(book, page)
    blocked = _rows(insights, StatementKind.BLOCKER)
    steps = [*_follow_ups(book), *_next_steps(book)]
    gaps = _rows(insights, StatementKind.DATA_QUALITY)
    return Draft(
        headline=headline,
        momentum=_taken(page, StatementKind.MOMENTUM, _momentum(book, insights), SECTION_MAX),
        blockers=_taken(page, StatementKind.BLOCKER, blocked, SECTION_MAX),
        next_steps=_taken(page, StatementKind.NEXT_STEP, steps, SECTION_MAX),
        data_quality=_taken(page, StatementKind.DATA_QUALITY, gaps, DATA_QUALITY_MAX),
        insights=_insights(book, insights, page),
    )


@dataclass(frozen=True, slots=True)
class _Point:
    """Something to say, and what it is about."""

    said: Phrase
    topic: str


@dataclass
class _Page:
    """What has been stated so far. Dates may be stated again: they say of which day something is."""

    fields: set[tuple[str, str]] = field(default_factory=set)
    topics: set[str] = field(default_factory=set)

    def is_new(self, said: Phrase) -> bool:
        return not any(name != "date" and (fact.fact_id, name) in self.fields for fact, name in said.cited)

    def take(self, said: Phrase, topic: str | None = None) -> bool:
        """Reserve it. False where it, or its topic, was stated already or no statement can hold it."""
        if not fits(said) or not said.cited or not self.is_new(said) or topic in self.topics:
            return False
        self.fields.update((fact.fact_id, name) for fact, name in said.cited)
        if topic is not None:
            self.topics.add(topic)
        return True


def _taken(
    page: _Page, kind: StatementKind, points: Iterable[_Point], max_statements: int
) -> tuple[Statement, ...]:
    taken: list[Statement] = []
    for point in points:
        if len(taken) < max_statements and page.take(point.said, point.topic):
            taken.append(statement(kind, point.said))
    return tuple(taken)


def _rows(insights: Sequence[InsightRow], kind: StatementKind) -> Iterator[_Point]:
    for row in insights:
        if row.statement.kind is kind:
            yield _Point(row.said, "focus_longest" if row.type == "focus" else row.type)


# ------------------------------------------------------------------------------------------------ headline
@dataclass(frozen=True, slots=True)
class _Lead:
    """A candidate of the headline: as its beginning, and as what follows another's beginning."""

    score: float
    topic: str
    lead: Phrase | None
    tail: Phrase | None


def _headline(book: FactBook, page: _Page) -> Statement:
    day = next(iter(book.of(FactKind.DAY, book.primary)), None)
    said, topics = _of_the_day(book)
    if day is not None and (day["is_incomplete"] or day["has_telemetry"] is False):
        said, topics = _without_telemetry(book, day)
    if said is None:
        said = next((said for fact in book.facts.values() if (said := described(fact, book))), None)
    if said is None:
        raise NothingToState("no fact of the book has a value")
    page.take(said)
    page.topics.update(topics)
    return statement(StatementKind.HEADLINE, said)


def _without_telemetry(book: FactBook, day: Fact) -> tuple[Phrase, set[str]]:
    said = phrase("no activity was recorded on {}", (day, "date"))
    topic = "gap.telemetry"
    if day["is_incomplete"]:
        said = phrase("the record of {} could not be worked out in full", (day, "date"))
        topic = "gap.incomplete"
    chats = next(iter(book.of(FactKind.CHATS, book.primary)), None)
    goals = book.kpi("goals_declared")
    done = book.kpi("goals_done")
    if goals is not None and done is not None and number(goals, "value"):
        said += phrase("; {} of {} goals are reported done", (done, "value"), (goals, "value"))
    elif chats is not None and known(chats, "messages", "conversations"):
        words = "; you sent {} messages in {} conversations"
        said += phrase(words, (chats, "messages"), (chats, "conversations"))
    elif goals is not None and number(goals, "value"):
        said += phrase("; you declared {} goals", (goals, "value"))
    return said, {topic}


def _of_the_day(book: FactBook) -> tuple[Phrase | None, set[str]]:
    """The strongest beginning, and the strongest of another topic to follow it."""
    leads = sorted(
        [*_goal_leads(book), *_target_leads(book), *_change_leads(book), *_focus_leads(book), *_plain(book)],
        key=lambda lead: (-lead.score, lead.topic),
    )
    first = next((lead for lead in leads if lead.lead is not None and fits(lead.lead)), None)
    if first is None or first.lead is None:
        return None, set()
    names_goals = any(fact.kind is FactKind.GOAL for fact, _ in first.lead.cited)
    for second in leads:
        if names_goals and second.score > _PLAIN_SCORE:
            continue
        if second.topic != first.topic and second.tail is not None:
            said = first.lead + second.tail
            if fits(said):
                return said, {first.topic, second.topic}
    return first.lead, {first.topic}


def _goal_leads(book: FactBook) -> Iterator[_Lead]:
    declared, done = book.kpi("goals_declared"), book.kpi("goals_done")
    if declared is None or done is None or not number(declared, "value"):
        return
    finished = _goals(book, Status.DONE)
    count, total = number(done, "value"), number(declared, "value")
    both = (done, "value"), (declared, "value")
    if count == total and len(finished) == total and _are_short(book, finished) and total <= 2:
        lead = _names(finished) + Phrase(" is done" if total == 1 else " are done")
        yield _Lead(3.0, "goals", lead, phrase(", with {} of {} goals done", *both))
    elif count == total:
        yield _Lead(
            3.0,
            "goals",
            phrase("all {} goals are done", (done, "value")),
            phrase(", with all {} goals done", (done, "value")),
        )
    elif count:
        lead = phrase(f"{{}} of {{}} goals {'is' if count == 1 else 'are'} done", *both)
        yield _Lead(2.2 + count / total / 2, "goals", lead, phrase(", with {} of {} goals done", *both))
    else:
        lead = phrase("{} of {} goals are done", *both)
        yield _Lead(2.6, "goals", lead, phrase(", with {} of {} goals done", *both))


def _target_leads(book: FactBook) -> Iterator[_Lead]:
    for fact in book.of(FactKind.TARGET, book.primary):
        if fact["status"] not in {Status.MET, Status.MISSED} or not known(fact, "name", "actual", "target"):
            continue
        said = _target(book, fact)
        score = 1.6 + min(abs(number(fact, "attainment") - 1), 1)
        yield _Lead(score, f"target:{fact.fact_id}", said, Phrase("; ") + said)


def _target(book: FactBook, fact: Fact) -> Phrase:
    """What became of a target that was met or missed."""
    cited = (fact, "name"), (fact, "actual"), (fact, "target")
    if fact["status"] == Status.MISSED:
        words = pick(
            ("{} came to {} against a target of {}", "{} ended at {}, short of its target of {}"), fact
        )
        return phrase(words, *cited)
    if shown(book, fact, "actual") == shown(book, fact, "target"):
        return phrase("{} met its target of {}", (fact, "name"), (fact, "target"))
    words = pick(("{} reached {} against a target of {}", "{} came to {}, above its target of {}"), fact)
    return phrase(words, *cited)


_LEAD_WEIGHTS = {"focus": 0.9, "active": 0.8, "switching": 0.6, "after_hours": 0.6}
"""How much a change of a topic counts for the headline."""


def _change_leads(book: FactBook) -> Iterator[_Lead]:
    for topic, weight in _LEAD_WEIGHTS.items():
        for measure in CHANGES[topic]:
            value, usual = book.kpi(measure), book.baseline(measure)
            if value is None or usual is None or not notability(usual):
                continue
            if topic == "after_hours" and number(value, "value") < DEFAULT_RULES.after_hours_min_s:
                continue
            said = against_usual(book, value, usual)
            if said is not None:
                yield _Lead(weight * notability(usual), topic, said, Phrase("; ") + said)


def _focus_leads(book: FactBook) -> Iterator[_Lead]:
    best = longest(book.of(FactKind.FOCUS, book.primary))
    if best is not None:
        score = min(1 + number(best, "duration_s") / 4_500, 2.6)
        said = focus_phrase(best)
        yield _Lead(score, "focus_longest", said, Phrase("; ") + said)


_PLAIN_SCORE = 0.5


def _plain(book: FactBook) -> Iterator[_Lead]:
    active = book.kpi("active_s")
    if active is None or number(active, "value") < 60:
        return
    day = next(iter(book.of(FactKind.DAY, book.primary)), None)
    cited = (active, "value")
    lead = phrase("{} of active work", cited)
    if day is not None and known(day, "first_at", "last_at"):
        lead = phrase("{} of active work between {} and {}", cited, (day, "first_at"), (day, "last_at"))
    yield _Lead(_PLAIN_SCORE, "active", lead, phrase(", with {} of active work", cited))


# ---------------------------------------------------------------------------------------------------- goals
def _goals(book: FactBook, status: Status) -> list[Fact]:
    return [
        fact
        for fact in book.of(FactKind.GOAL, book.primary)
        if fact["status"] == status and known(fact, "name")
    ]


def _names(facts: Sequence[Fact]) -> Phrase:
    return listed([phrase("{}", (fact, "name")) for fact in facts])


def _are_short(book: FactBook, facts: Sequence[Fact]) -> bool:
    return all(len(shown(book, fact, "name")) <= _HEADLINE_NAME_MAX_CHARS for fact in facts)


def _open_before(book: FactBook, goal: Fact) -> Fact | None:
    """The same goal where it was declared and left open on the earliest day of the window that tells."""
    name = str(goal["name"]).casefold()
    return next(
        (
            fact
            for fact in sorted(book.of(FactKind.GOAL), key=lambda fact: fact.date)
            if fact.date < book.primary
            and fact["status"] == Status.OPEN
            and known(fact, "name")
            and str(fact["name"]).casefold() == name
        ),
        None,
    )


# ------------------------------------------------------------------------------------------------- sections
def _momentum(book: FactBook, insights: Sequence[InsightRow]) -> Iterator[_Point]:
    done = _goals(book, Status.DONE)
    carried = [(goal, before) for goal in done if (before := _open_before(book, goal)) is not None]
    for goal, before in carried[:2]:
        words = pick(
            ("{} is done; it was still open on {}", "{} is done, having been on the list since {}"), goal
        )
        yield _Point(phrase(words, (goal, "name"), (before, "date")), f"goal:{goal.fact_id}")
    named = {goal.fact_id for goal, _ in carried[:2]}
    rest = [goal for goal in done if goal.fact_id not in named][:LISTED_MAX]
    if rest:
        words = pick(("you finished ", "done: ", "off the list: "), rest[0])
        yield _Point(Phrase(words) + _names(rest), "goals_done")
    for fact in book.of(FactKind.TARGET, book.primary):
        if fact["status"] == Status.MET and known(fact, "name", "target", "actual"):
            yield _Point(_target(book, fact), f"target:{fact.fact_id}")
    has_work = book.kpi("active_s") is not None
    yield from (
        point
        for point in _rows(insights, StatementKind.MOMENTUM)
        if point.topic != "momentum" or not has_work
    )


def _follow_ups(book: FactBook) -> Iterator[_Point]:
    for fact in blockers(book)[-1:]:
        words = pick(
            (
                "if what you asked at {} is still unanswered, ask for help",
                "settle the question of {} first, or ask for help",
                "check whether the question of {} has an answer by now",
            ),
            fact,
        )
        yield _Point(phrase(words, (fact, "occurred_at")), "follow_up")


def _next_steps(book: FactBook) -> Iterator[_Point]:
    still_open = _goals(book, Status.OPEN)
    carried = [(goal, before) for goal in still_open if (before := _open_before(book, goal)) is not None]
    for goal, before in carried[:2]:
        words = pick(
            (
                "{} has been open since {}: agree a smaller first step for it",
                "{} has been open since {}: do it first, or set it aside",
            ),
            goal,
        )
        yield _Point(phrase(words, (goal, "name"), (before, "date")), f"goal:{goal.fact_id}")
    named = {goal.fact_id for goal, _ in carried[:2]}
    rest = [goal for goal in still_open if goal.fact_id not in named]
    if rest:
        yield _Point(_take_up(rest[:LISTED_MAX]), "goals_open")
    for fact in book.of(FactKind.TARGET, book.primary):
        if fact["status"] == Status.MISSED and known(fact, "name", "actual", "target"):
            words = pick(
                ("plan the rest of {}: {} of {} so far", "{} stands at {} of {}: plan the rest"), fact
            )
            cited = (fact, "name"), (fact, "actual"), (fact, "target")
            yield _Point(phrase(words, *cited), f"target:{fact.fact_id}")
    yield from _unreported(book)


def _take_up(goals: Sequence[Fact]) -> Phrase:
    if len(goals) == 1:
        words = pick(
            ("start with {}, which is still open", "{} is still open: give it the first free hour"), goals[0]
        )
        return phrase(words, (goals[0], "name"))
    before, after = pick(
        ("take up next what is still open: |", "choose where to start: | are still open"), goals[0]
    ).split("|")
    return Phrase(before) + _names(goals) + Phrase(after)


def _unreported(book: FactBook) -> Iterator[_Point]:
    unreported = _goals(book, Status.UNREPORTED)[:LISTED_MAX]
    if unreported:
        words = "send the end-of-day manifest: "
        after = " is unreported" if len(unreported) == 1 else " are unreported"
        yield _Point(Phrase(words) + _names(unreported) + Phrase(after), "goals_unreported")
    for fact in book.of(FactKind.TARGET, book.primary):
        if fact["status"] == Status.UNREPORTED and known(fact, "name", "target"):
            words = "report a figure for {}, whose target is {}"
            yield _Point(phrase(words, (fact, "name"), (fact, "target")), f"target:{fact.fact_id}")


# ------------------------------------------------------------------------------------------------- insights
def _insights(book: FactBook, insights: Sequence[InsightRow], page: _Page) -> tuple[DraftInsight, ...]:
    pairs: list[DraftInsight] = []
    for row in sorted(insights, key=lambda row: (-row.score, row.insight_id)):
        if row.statement.kind is not StatementKind.INSIGHT or len(pairs) == INSIGHTS_MAX:
            continue
        if pairs and row.score < INSIGHT_MIN_SCORE:
            break
        topic = _TOPIC_OF.get(row.type.partition(".")[2], row.family)
        if topic in page.topics or not page.is_new(row.said):
            continue
        stated = {(fact.fact_id, name) for fact, name in row.said.cited}
        for advice in _advice(book, row):
            fresh = all((fact.fact_id, name) not in stated for fact, name in advice.cited)
            if fresh and page.is_new(advice) and fits(advice):
                page.take(row.said, topic)
                page.take(advice)
                recommendation = statement(StatementKind.RECOMMENDATION, advice)
                pairs.append(DraftInsight(insight=row.statement, recommendation=recommendation))
                break
    return tuple(pairs)


def _advice(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    """What to do about it, best first."""
    measure = row.type.partition(".")[2]
    topic = _TOPIC_OF.get(measure, row.family)
    yield from _ADVICE.get(topic, _no_advice)(book, measure)


def _no_advice(_book: FactBook, _measure: str) -> Iterator[Phrase]:
    return iter(())


def _direction(book: FactBook, measure: str) -> str | None:
    usual = book.baseline(measure)
    return None if usual is None else str(usual["direction"])


def _is_lower(book: FactBook, measure: str) -> bool:
    """Than the worker's usual, or than the last day where there is no usual yet."""
    direction = _direction(book, measure)
    if direction is not None:
        return direction == Status.BELOW
    earlier = earlier_days(book, measure)
    return bool(earlier) and number(book.kpi(measure), "value") < number(earlier[-1], "value")


def _on_focus(book: FactBook, measure: str) -> Iterator[Phrase]:
    usual = book.baseline(measure)
    if usual is not None and usual["direction"] == "below":
        words = pick(
            (
                "plan the next day for your usual {} of focused work",
                "keep time free for your usual {} of focused work",
            ),
            usual,
        )
        yield phrase(words, (usual, "median"))
    for fact in sorted(book.of(FactKind.FOCUS, book.primary), key=lambda fact: -number(fact, "duration_s")):
        yield phrase("keep the time from {} free for focused work again", (fact, "started_at"))
    if usual is not None:
        yield phrase("plan at least your usual {} of focused work for the next day", (usual, "median"))
    block = longest(book.of(FactKind.BLOCK, book.primary))
    if block is not None:
        yield phrase("keep the time from {} undisturbed", (block, "started_at"))


def _on_active(book: FactBook, measure: str) -> Iterator[Phrase]:
    usual = book.baseline(measure)
    if usual is not None and usual["direction"] == "above":
        yield phrase("see what can wait: your usual active time is {}", (usual, "median"))
    elif usual is not None:
        words = "if you worked longer, check the collector; your usual active time is {}"
        yield phrase(words, (usual, "median"))
    block = longest(book.of(FactKind.BLOCK, book.primary))
    if block is not None:
        words = "plan the next day around a block like the one that began at {}"
        yield phrase(words, (block, "started_at"))


def _on_switching(book: FactBook, measure: str) -> Iterator[Phrase]:
    blocks = book.kpi("workblocks")
    if _is_lower(book, measure or "context_switches_per_hour") and blocks is not None:
        words = "arrange the next day the same way: this one had {} blocks of work"
        yield phrase(words, (blocks, "value"))
    apps = [
        fact
        for fact in book.of(FactKind.USAGE, book.primary)
        if usage_kind(fact) == "app" and known(fact, "name", "duration_s")
    ]
    for fact in apps:
        if str(fact["name"]) in MESSAGING:
            words = pick(
                ("open {} at set times only: it had {} of the day", "give {} a few fixed slots; it took {}"),
                fact,
            )
            yield phrase(words, (fact, "name"), (fact, "duration_s"))
    for fact in apps[1:]:
        words = "see what of {}, which took {}, can be done in one go"
        yield phrase(words, (fact, "name"), (fact, "duration_s"))


def _on_after_hours(book: FactBook, measure: str) -> Iterator[Phrase]:
    usual = book.baseline("after_hours_s")
    for day in book.of(FactKind.DAY, book.primary):
        if known(day, "first_at", "last_at"):
            words = pick(
                (
                    "work ran from {} to {}: pick one task that can wait for the next working day",
                    "set a time to stop for the next day; this one ran from {} to {}",
                    "if this was not planned, move one task to the next day: work ran from {} to {}",
                ),
                day,
            )
            yield phrase(words, (day, "first_at"), (day, "last_at"))
    if usual is not None and number(usual, "median") > 0:
        words = "see what can wait: usually {} of the work is outside your schedule"
        yield phrase(words, (usual, "median"))


def _on_longest_block(book: FactBook, measure: str) -> Iterator[Phrase]:
    block = longest(book.of(FactKind.BLOCK, book.primary))
    if block is None:
        return
    if measure and _direction(book, measure) == "below":
        words = "if you need a longer run, keep the hours from {} clear of meetings"
        yield phrase(words, (block, "started_at"))
        return
    words = pick(
        (
            "give the task that needs the longest run the same slot, from about {}",
            "use the hours from {} for work that needs a long run",
        ),
        block,
    )
    yield phrase(words, (block, "started_at"))


def _on_main_app(book: FactBook, _measure: str) -> Iterator[Phrase]:
    open_goal = next(iter(_goals(book, Status.OPEN)), None)
    for block in [
        longest(book.of(FactKind.FOCUS, book.primary)),
        longest(book.of(FactKind.BLOCK, book.primary)),
    ]:
        if block is None:
            continue
        words = pick(
            (
                "start the next day's main task at about {} again",
                "put the next piece of that work at {}, where this day's longest run began",
            ),
            block,
        )
        yield phrase(words, (block, "started_at"))
    if open_goal is not None:
        yield phrase("put part of that time into {}", (open_goal, "name"))
    apps = [fact for fact in book.of(FactKind.USAGE, book.primary) if usage_kind(fact) == "app"]
    for fact in apps[1:2]:
        words = "do what is left in {} in one go: it had {}"
        yield phrase(words, (fact, "name"), (fact, "duration_s"))


def _on_copying(book: FactBook, measure: str) -> Iterator[Phrase]:
    value = book.kpi("copy_pastes")
    if value is not None:
        words = "if the same text came up often, keep it at hand: {} copies and pastes in all"
        yield phrase(words, (value, "value"))


def _on_messaging(book: FactBook, _measure: str) -> Iterator[Phrase]:
    for fact in sorted(book.of(FactKind.FOCUS, book.primary), key=lambda fact: -number(fact, "duration_s")):
        words = pick(
            (
                "read messages at set times, and keep the hours from {} free of them",
                "answer messages in a few rounds, none of them at about {}",
                "turn notifications off at about {}, when focused work began",
                "let messages wait while you focus: this day that began at {}",
            ),
            fact,
        )
        yield phrase(words, (fact, "started_at"))
    for fact in book.of(FactKind.DAY, book.primary):
        if known(fact, "first_at"):
            words = pick(
                (
                    "read messages at set times; the day's work began at {}",
                    "begin with your own work and read messages after it; this day began at {}",
                ),
                fact,
            )
            yield phrase(words, (fact, "first_at"))


def _on_theme(book: FactBook, _measure: str) -> Iterator[Phrase]:
    for chats in book.of(FactKind.CHATS, book.primary):
        if number(chats, "conversations") > 1:
            words = "put the answers into one note: they are spread over {} conversations"
            yield phrase(words, (chats, "conversations"))
        elif known(chats, "last_at"):
            words = pick(
                (
                    "note the answers while they are fresh; the last question was at {}",
                    "write down what you have learned; you last asked at {}",
                ),
                chats,
            )
            yield phrase(words, (chats, "last_at"))


_ADVICE: Mapping[str, Callable[[FactBook, str], Iterator[Phrase]]] = {
    "focus": _on_focus,
    "active": _on_active,
    "switching": _on_switching,
    "after_hours": _on_after_hours,
    "longest_block": _on_longest_block,
    "main_app": _on_main_app,
    "copying": _on_copying,
    "messaging": _on_messaging,
    "theme": _on_theme,
}


# ---------------------------------------------------------------------------------------------------- teams
def compose_team(book: FactBook) -> Draft:
    """A team's brief from its group facts; no person, goal or message. Raises NothingToState."""
    page = _Page()
    today = _group(book, "day")
    said = _team_headline(book, today)
    if said is None:
        raise NothingToState("no fact of the team has a value")
    page.take(said)
    pairs: list[DraftInsight] = []
    for insight, advice in _team_insights(book, today):
        if page.take(insight) and page.take(advice):
            pairs.append(
                DraftInsight(
                    insight=statement(StatementKind.INSIGHT, insight),
                    recommendation=statement(StatementKind.RECOMMENDATION, advice),
                )
            )
    return Draft(
        headline=statement(StatementKind.HEADLINE, said),
        momentum=_taken(page, StatementKind.MOMENTUM, _team_momentum(book, today), SECTION_MAX),
        next_steps=_taken(page, StatementKind.NEXT_STEP, _team_next_steps(today), SECTION_MAX),
        insights=tuple(pairs[:INSIGHTS_MAX]),
        data_quality=_taken(page, StatementKind.DATA_QUALITY, _team_gaps(today), DATA_QUALITY_MAX),
    )


def _group(book: FactBook, period: str) -> dict[str, Fact]:
    """Group facts by measure: of the primary day, or of the newest week of the window."""
    found: dict[str, Fact] = {}
    for fact in sorted(book.of(FactKind.GROUP), key=lambda fact: fact.date):
        is_of_period = fact_name(fact.fact_id).rest[1] == period
        if is_of_period and known(fact, "value") and (period == "week" or fact.date == book.primary):
            found[fact.measure] = fact
    return found


def _day_before(book: FactBook, measure: str) -> Fact | None:
    earlier = [
        fact
        for fact in book.of(FactKind.GROUP)
        if fact.measure == measure
        and fact.date < book.primary
        and fact_name(fact.fact_id).rest[1] == "day"
        and known(fact, "value")
    ]
    return max(earlier, key=lambda fact: fact.date, default=None)


def _team_headline(book: FactBook, today: Mapping[str, Fact]) -> Phrase | None:
    active = today.get("active_s")
    if active is None:
        return next((said for fact in today.values() if (said := described(fact, book))), None)
    said = phrase("{} of active time from {} people", (active, "value"), (active, "contributors"))
    done, declared = today.get("goals_done"), today.get("goals_declared")
    share = today.get("focus_ratio")
    if done is not None and declared is not None:
        said += phrase(", with {} of {} goals done", (done, "value"), (declared, "value"))
    elif share is not None and number(share, "value"):
        said += phrase(", {} of it focused work", (share, "value"))
    return said


def _team_momentum(book: FactBook, today: Mapping[str, Fact]) -> Iterator[_Point]:
    blocks, focus = today.get("focus_blocks"), today.get("focus_s")
    if focus is not None and number(focus, "value"):
        said = phrase("focused work came to {}", (focus, "value"))
        if (before := _day_before(book, "focus_s")) is not None:
            said += phrase(", after {} on {}", (before, "value"), (before, "date"))
        if blocks is not None and number(blocks, "value"):
            said += phrase("; the day had {} stretches of focused work", (blocks, "value"))
        yield _Point(said, "focus")
    attainment = today.get("kpi_attainment")
    if attainment is not None and number(attainment, "value") >= 1:
        words = "average attainment of the targets is {}, over {} people"
        yield _Point(phrase(words, (attainment, "value"), (attainment, "contributors")), "targets")
    week = _group(book, "week")
    if "active_s" in week and "focus_s" in week:
        active, focus = week["active_s"], week["focus_s"]
        words = "the week from {} came to {} of active time, {} of it focused work"
        yield _Point(phrase(words, (active, "date"), (active, "value"), (focus, "value")), "week")


def _team_next_steps(today: Mapping[str, Fact]) -> Iterator[_Point]:
    attainment = today.get("kpi_attainment")
    if attainment is not None and number(attainment, "value") < 1:
        words = "go through the targets together: average attainment is {}, over {} people"
        yield _Point(phrase(words, (attainment, "value"), (attainment, "contributors")), "targets")
    done, declared = today.get("goals_done"), today.get("goals_declared")
    if done is not None and declared is not None and number(done, "value") < number(declared, "value"):
        words = "ask which of the goals that are not done need help; {} people reported"
        yield _Point(phrase(words, (done, "contributors")), "goals")


def _team_insights(book: FactBook, today: Mapping[str, Fact]) -> Iterator[tuple[Phrase, Phrase]]:
    switching, hours = today.get("context_switches_per_hour"), today.get("after_hours_s")
    if switching is not None:
        said = phrase("changes of window or page came to {}", (switching, "value"))
        before = _day_before(book, "context_switches_per_hour")
        if before is not None and shown(book, before, "value") != shown(book, switching, "value"):
            said += phrase(", after {} on {}", (before, "value"), (before, "date"))
        words = "agree on hours without messages and meetings for all {} people"
        if before is None or number(switching, "value") > number(before, "value"):
            yield said, phrase(words, (switching, "contributors"))
    if hours is not None and number(hours, "value") >= 3_600:
        said = phrase("{} of the work was outside people's schedules", (hours, "value"))
        before = _day_before(book, "after_hours_s")
        if before is not None and shown(book, before, "value") != shown(book, hours, "value"):
            said += phrase(", after {} on {}", (before, "value"), (before, "date"))
        words = "see which deadlines fall outside schedules; the figure counts {} people"
        yield said, phrase(words, (hours, "contributors"))


def _team_gaps(today: Mapping[str, Fact]) -> Iterator[_Point]:
    withheld = today.get(WITHHELD)
    if withheld is not None and number(withheld, "value"):
        yield _Point(team_value(withheld), WITHHELD)
