"""The deterministic writer: a complete brief from facts alone (domain, section 5).

    facts + insights ─▶ headline: what matters most ─▶ momentum, blockers, next steps, insights, data quality

Invariants:
- every number, name and status word is a claim; nothing is stated that no fact of the book says;
- a field of a fact is stated once a brief, and a topic that the headline took is not told again;
- a section without facts stays empty;
- advice is given where the day gives cause for it. What is much the same every day is advised on once a week.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from coworkai.common.errors import Terminal
from coworkai.common.fact_ids import fact_name
from coworkai.insights.brief import Draft, DraftInsight, Statement, StatementKind
from coworkai.insights.facts import Fact, FactBook, FactKind, Status
from coworkai.insights.insights import (
    CHANGES,
    DEFAULT_RULES,
    MESSAGING,
    InsightRow,
    blocked_before,
    blockers,
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
    turn,
)

LISTED_MAX = 4
"""Goals that one sentence names."""
OFTEN_DAYS = 2
"""Earlier days on which a blocker came up that asking again has not removed."""
SECTION_MAX = 4
INSIGHTS_MAX = 3
INSIGHT_MIN_SCORE = 1.0
"""Below it an insight is in the worker's list of insights only."""
HABITS = frozenset({"messaging"})
"""Topics that are much the same every day: each is told on one working day of five, and each worker's is
another."""
WORKING_DAYS = 5
LONG_PAST_SHARE = 0.5
"""Of the usual active time: with less of it, something may not have been recorded."""
DATA_QUALITY_MAX = 4
FEW_DONE = 2 / 3
"""Of a team's goals: with fewer done, the open ones are worth going through."""
TEAM_RISE = 0.25
"""From which a measure of a team is worth a line, against the day before."""
TEAM_AFTER_HOURS_MIN_S = 3_600.0
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
    if "focus" in page.topics:
        steps += _back_to_usual(book)
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
            topic = _TOPIC_OF.get(row.type.partition(".")[2], row.type)
            yield _Point(row.said, "focus_longest" if row.type == "focus" else topic)


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
    said, topics = phrase("no activity was recorded on {}", (day, "date")), {"gap.telemetry"}
    if day["is_incomplete"]:
        said = phrase("the record of {} could not be worked out in full", (day, "date"))
        topics = {"gap.incomplete"}
    elif day["has_manifests"] is False:
        said = phrase("no activity was recorded and no manifest arrived on {}", (day, "date"))
        topics.add("gap.manifests")
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
    return said, topics


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
        # Focused work and its longest stretch are one thing to lead with.
        if second.topic.partition("_")[0] != first.topic.partition("_")[0] and second.tail is not None:
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
        yield _Lead(1.5, "goals", lead, phrase(", with {} of {} goals done", *both))


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
    if shown(book, fact, "actual") == shown(book, fact, "target") or not known(fact, "attainment"):
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


def _open_since(book: FactBook, goal: Fact) -> Fact | None:
    """The same goal on the earliest day of the window from which on it was open whenever it was declared."""
    name = str(goal["name"]).casefold()
    before = [
        fact
        for fact in book.of(FactKind.GOAL)
        if fact.date < book.primary and str(fact["name"]).casefold() == name and known(fact, "name")
    ]
    since: Fact | None = None
    for fact in sorted(before, key=lambda fact: fact.date, reverse=True):
        if fact["status"] == Status.DONE:
            break
        since = fact if fact["status"] == Status.OPEN else since
    return since


def _missed_before(book: FactBook, target: Fact) -> Fact | None:
    """The newest earlier day on which the same target was missed, too."""
    name = str(target["name"]).casefold()
    missed = [
        fact
        for fact in book.of(FactKind.TARGET)
        if fact.date < book.primary
        and fact["status"] == Status.MISSED
        and known(fact, "name")
        and str(fact["name"]).casefold() == name
    ]
    return max(missed, key=lambda fact: fact.date, default=None)


# ------------------------------------------------------------------------------------------------- sections
def _momentum(book: FactBook, insights: Sequence[InsightRow]) -> Iterator[_Point]:
    done = _goals(book, Status.DONE)
    carried = [(goal, before) for goal in done if (before := _open_since(book, goal)) is not None]
    for place, (goal, before) in enumerate(carried[:2]):
        words = pick(
            ("{} is done; it was still open on {}", "{} is done; it was on the list on {} already"),
            goal,
            place,
        )
        yield _Point(phrase(words, (goal, "name"), (before, "date")), f"goal:{goal.fact_id}")
    named = {goal.fact_id for goal, _ in carried[:2]}
    rest = [goal for goal in done if goal.fact_id not in named]
    if len(rest) > LISTED_MAX:
        yield _Point(Phrase("among what you finished: ") + _names(rest[:LISTED_MAX]), "goals_done")
    elif rest:
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
    often = [
        fact
        for fact in blockers(book)
        if len({before.date for before in blocked_before(book, fact)}) >= OFTEN_DAYS
    ]
    for fact in often[-1:]:
        words = pick(
            (
                "look up what {} said before you ask it again",
                "ask for help with what you have asked {} before",
            ),
            fact,
        )
        yield _Point(phrase(words, (fact, "assistant")), "follow_up")


def _next_steps(book: FactBook) -> Iterator[_Point]:
    still_open = _goals(book, Status.OPEN)
    carried = [(goal, before) for goal in still_open if (before := _open_since(book, goal)) is not None]
    for place, (goal, before) in enumerate(carried[:2]):
        words = pick(
            (
                "agree a smaller first step for {}, which was open on {} too",
                "do {} first or set it aside: it was open on {} too",
                "give a fixed hour to {}, which was open on {} too",
            ),
            goal,
            place,
        )
        yield _Point(phrase(words, (goal, "name"), (before, "date")), f"goal:{goal.fact_id}")
    named = {goal.fact_id for goal, _ in carried[:2]}
    rest = [goal for goal in still_open if goal.fact_id not in named]
    if rest:
        yield _Point(_take_up(rest), "goals_open")
    for place, fact in enumerate(book.of(FactKind.TARGET, book.primary)):
        if fact["status"] == Status.MISSED and known(fact, "name", "actual", "target"):
            yield _Point(_after_a_miss(book, fact, place), f"target:{fact.fact_id}")
    yield from _unreported(book)


def _back_to_usual(book: FactBook) -> Iterator[_Point]:
    """What follows from less focused work than usual, where the headline told it."""
    usual = book.baseline("focus_s")
    if usual is not None and usual["direction"] == Status.BELOW and notability(usual):
        yield _Point(_usual_focus(usual), "focus_step")


def _usual_focus(usual: Fact) -> Phrase:
    words = pick(
        (
            "keep time free for your usual {} of focused work",
            "plan the next day for your usual {} of focused work",
        ),
        usual,
    )
    return phrase(words, (usual, "median"))


def _take_up(goals: Sequence[Fact]) -> Phrase:
    if len(goals) == 1:
        words = pick(
            ("start with {}, which is still open", "give the first free hour to {}, which is still open"),
            goals[0],
        )
        return phrase(words, (goals[0], "name"))
    if len(goals) > LISTED_MAX:
        return Phrase("begin with these of your open goals: ") + _names(goals[:LISTED_MAX])
    before, after = pick(
        (
            "choose where to start: | are still open",
            "still open: |",
            "pick one to start with: | are still open",
        ),
        goals[0],
    ).split("|")
    return Phrase(before) + _names(goals) + Phrase(after)


def _after_a_miss(book: FactBook, target: Fact, place: int) -> Phrase:
    cited = (target, "name"), (target, "actual"), (target, "target")
    before = _missed_before(book, target)
    if before is not None:
        words = "plan more time for {} or a lower target: it came to {} of {}, short as on {}"
        return phrase(words, *cited, (before, "date"))
    words = pick(
        (
            "plan what remains of {}, which came to {} of {}",
            "decide what to do about {}, which came to {} of {}",
        ),
        target,
        place,
    )
    return phrase(words, *cited)


def _unreported(book: FactBook) -> Iterator[_Point]:
    goals = _goals(book, Status.UNREPORTED)[:LISTED_MAX]
    targets = [
        fact
        for fact in book.of(FactKind.TARGET, book.primary)
        if fact["status"] == Status.UNREPORTED and known(fact, "name", "target")
    ]
    if goals:
        said = Phrase("send the end-of-day manifest with what became of ") + _names(goals)
        if targets:
            said += Phrase(", and a figure for ") + _names(targets[:LISTED_MAX])
        yield _Point(said, "gap.end_manifest")
        return
    for fact in targets:
        words = "report a figure for {}, whose target is {}"
        yield _Point(phrase(words, (fact, "name"), (fact, "target")), f"target:{fact.fact_id}")


# ------------------------------------------------------------------------------------------------- insights
def _insights(book: FactBook, insights: Sequence[InsightRow], page: _Page) -> tuple[DraftInsight, ...]:
    pairs: list[DraftInsight] = []
    for row in sorted(insights, key=lambda row: (-row.score, row.insight_id)):
        if row.statement.kind is not StatementKind.INSIGHT or len(pairs) == INSIGHTS_MAX:
            continue
        if row.score < INSIGHT_MIN_SCORE:
            break
        topic = _topic(row)
        if topic in page.topics or not page.is_new(row.said) or not _is_due(book, topic):
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


def _topic(row: InsightRow) -> str:
    return _TOPIC_OF.get(row.type.partition(".")[2], row.family)


def _is_due(book: FactBook, topic: str) -> bool:
    return topic not in HABITS or turn(book.subject, topic, book.primary, WORKING_DAYS) == 0


def _advice(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    """What to do about it, best first; nothing where nothing follows from it."""
    advice = _ADVICE.get(_topic(row))
    if advice is not None:
        yield from advice(book, row)


def _on_focus(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    """Less of it than usual, or than the day before."""
    usual = book.baseline(row.type.partition(".")[2])
    if usual is not None and usual.measure == "focus_s":
        yield _usual_focus(usual)
    compared = max((fact.date for fact, _ in row.said.cited if fact.date < book.primary), default=None)
    for before in book.of(FactKind.FOCUS, compared) if compared is not None else ():
        words = "keep a stretch free of meetings, like the {} from {}"
        yield phrase(words, (before, "duration_s"), (before, "started_at"))
    best = longest(book.of(FactKind.FOCUS, book.primary))
    if best is not None:
        yield phrase("keep the time from {} free of meetings", (best, "started_at"))


def _on_active(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    usual = book.baseline("active_s")
    if usual is None:
        return
    if usual["direction"] == Status.ABOVE:
        for day in book.of(FactKind.DAY, book.primary):
            yield phrase("see what can wait: the day ran from {} to {}", (day, "first_at"), (day, "last_at"))
    elif number(usual, "change") <= -LONG_PAST_SHARE:
        words = "see whether the collector ran all day: your usual active time is {}"
        yield phrase(words, (usual, "median"))


def _on_switching(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    usual = book.baseline("context_switches_per_hour")
    if usual is None or usual["direction"] != Status.ABOVE:
        return
    for fact in _apps(book)[1:]:
        if str(fact["name"]) in MESSAGING:
            words = pick(
                (
                    "open {} at set times only: it had {} of the day",
                    "give {} a few fixed slots: it took {}",
                ),
                fact,
            )
            yield phrase(words, (fact, "name"), (fact, "duration_s"))
    for fact in _apps(book)[1:]:
        words = "see what of {} can wait for one round: it took {}"
        yield phrase(words, (fact, "name"), (fact, "duration_s"))


def _apps(book: FactBook) -> list[Fact]:
    return [
        fact
        for fact in book.of(FactKind.USAGE, book.primary)
        if usage_kind(fact) == "app" and known(fact, "name", "duration_s")
    ]


def _on_after_hours(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    for day in book.of(FactKind.DAY, book.primary):
        words = pick(
            (
                "move one task to the next working day if working from {} to {} was not planned",
                "agree what can wait if work from {} to {} was not the plan",
                "set a time to stop for the next day: this one ran from {} to {}",
            ),
            day,
        )
        yield phrase(words, (day, "first_at"), (day, "last_at"))


def _on_copying(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    value = book.kpi("copy_pastes")
    if value is not None:
        words = "keep at hand the text that comes up often: there were {} copies and pastes"
        yield phrase(words, (value, "value"))


def _on_messaging(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    """Where the insight says how long, the advice says which app."""
    cited = {fact.fact_id for fact, _ in row.said.cited}
    for fact in _apps(book):
        if fact.fact_id in cited:
            words = pick(
                (
                    "read {} at set times and close it in between",
                    "do a piece of your own work before you open {}",
                    "while you focus, turn off the notifications of {}",
                    "go through {} in a few rounds a day",
                ),
                fact,
            )
            yield phrase(words, (fact, "name"))


def _on_theme(book: FactBook, row: InsightRow) -> Iterator[Phrase]:
    for chats in book.of(FactKind.CHATS, book.primary):
        if number(chats, "conversations") > 1:
            words = pick(
                (
                    "put the answers into one note: they are spread over {} conversations",
                    "ask in one place the next time: this was spread over {} conversations",
                ),
                chats,
            )
            yield phrase(words, (chats, "conversations"))


_ADVICE: Mapping[str, Callable[[FactBook, InsightRow], Iterator[Phrase]]] = {
    "focus": _on_focus,
    "active": _on_active,
    "switching": _on_switching,
    "after_hours": _on_after_hours,
    "copying": _on_copying,
    "messaging": _on_messaging,
    "theme": _on_theme,
}
"""By topic."""


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
        next_steps=_taken(page, StatementKind.NEXT_STEP, _team_next_steps(book, today), SECTION_MAX),
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
        told = (fact for measure, fact in today.items() if measure != WITHHELD)
        return next((said for fact in told if (said := described(fact, book))), None)
    said = phrase("{} of active time from {} people", (active, "value"), (active, "contributors"))
    done, declared = today.get("goals_done"), today.get("goals_declared")
    if done is not None and declared is not None:
        return said + phrase(", with {} of {} goals done", (done, "value"), (declared, "value"))
    before = _day_before(book, "active_s")
    is_of_as_many = before is not None and before["contributors"] == active["contributors"]
    if before is None or not is_of_as_many:
        return said
    words = "{} people were active for {}, after {} on {}"
    return phrase(words, (active, "contributors"), (active, "value"), (before, "value"), (before, "date"))


def _team_momentum(book: FactBook, today: Mapping[str, Fact]) -> Iterator[_Point]:
    focus = today.get("focus_s")
    if focus is not None and number(focus, "value"):
        said = phrase("focused work came to {}", (focus, "value"))
        yield _Point(said + _after_the_day_before(book, focus), "focus")
    attainment = today.get("kpi_attainment")
    if attainment is not None and number(attainment, "value") >= 1:
        words = "average attainment of the targets is {}, over {} people"
        yield _Point(phrase(words, (attainment, "value"), (attainment, "contributors")), "targets")
    week = _group(book, "week")
    if "active_s" in week and "focus_s" in week and _is_first_after(book, week["active_s"]):
        active, focus = week["active_s"], week["focus_s"]
        words = "the week from {} came to {} of active time, {} of it focused work"
        yield _Point(phrase(words, (active, "date"), (active, "value"), (focus, "value")), "week")


def _after_the_day_before(book: FactBook, today: Fact) -> Phrase:
    before = _day_before(book, today.measure)
    if before is None or shown(book, before, "value") == shown(book, today, "value"):
        return Phrase("")
    return phrase(", after {} on {}", (before, "value"), (before, "date"))


def _is_first_after(book: FactBook, week: Fact) -> bool:
    """Whether the primary day is the first with figures since the week ended."""
    ended = week.date + timedelta(days=7)
    days = (fact.date for fact in book.of(FactKind.GROUP) if fact_name(fact.fact_id).rest[1] == "day")
    return min((day for day in days if day >= ended), default=None) == book.primary


def _team_next_steps(book: FactBook, today: Mapping[str, Fact]) -> Iterator[_Point]:
    attainment = today.get("kpi_attainment")
    if attainment is not None and number(attainment, "value") < 1:
        words = "go through the targets together: average attainment is {}, over {} people"
        yield _Point(phrase(words, (attainment, "value"), (attainment, "contributors")), "targets")
    done, declared = today.get("goals_done"), today.get("goals_declared")
    if (
        done is not None
        and declared is not None
        and number(done, "value") < number(declared, "value") * FEW_DONE
    ):
        words = pick(
            (
                "see with the {} people who reported what the open goals need",
                "go through the open goals with the {} people who reported",
            ),
            done,
        )
        yield _Point(phrase(words, (done, "contributors")), "goals")


def _team_insights(book: FactBook, today: Mapping[str, Fact]) -> Iterator[tuple[Phrase, Phrase]]:
    """What rose since the day before by as much as is worth a talk."""
    switching, hours = today.get("context_switches_per_hour"), today.get("after_hours_s")
    if switching is not None and _rose(book, switching):
        said = phrase("changes of window or page came to {}", (switching, "value"))
        words = "agree on hours without messages and meetings for all {} people"
        yield said + _after_the_day_before(book, switching), phrase(words, (switching, "contributors"))
    if hours is not None and number(hours, "value") >= TEAM_AFTER_HOURS_MIN_S and _rose(book, hours):
        said = phrase("{} of the work was outside people's schedules", (hours, "value"))
        words = "see which deadlines of the {} people fall outside their schedules"
        yield said + _after_the_day_before(book, hours), phrase(words, (hours, "contributors"))


def _rose(book: FactBook, today: Fact) -> bool:
    before = _day_before(book, today.measure)
    return before is not None and number(today, "value") >= number(before, "value") * (1 + TEAM_RISE)


def _team_gaps(today: Mapping[str, Fact]) -> Iterator[_Point]:
    withheld = today.get(WITHHELD)
    if withheld is not None and number(withheld, "value"):
        yield _Point(team_value(withheld), WITHHELD)
