"""What can be said of a fact: the deterministic writer's words, as data and small functions.

A phrase is part of a sentence with open places, `{}`, and a claim for each of them. Phrases join; a statement
numbers their places. Wording is chosen among equals by the worker and the day, so the same facts always read
the same and the next day does not.

Nothing here says why something happened, or what a person is like. Directions ("above", "below") are claims,
not words of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zlib import crc32

from coworkai.common.fact_ids import fact_name
from coworkai.common.measures import CATALOGUE
from coworkai.insights.brief import CLAIMS_MAX, TEMPLATE_MAX_CHARS, Claim, Statement, StatementKind
from coworkai.insights.clean import clean
from coworkai.insights.facts import Fact, FactBook, FactKind, FieldUnit
from coworkai.insights.render import NAME_MAX_CHARS, value_text

Cited = tuple[Fact, str]
"""A fact and the field of it that is stated."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words with open places `{}`, lower-case at the start where they begin with a word."""

    words: str
    cited: tuple[Cited, ...] = ()

    def __add__(self, other: Phrase) -> Phrase:
        return Phrase(self.words + other.words, self.cited + other.cited)

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(Claim(fact_id=fact.fact_id, field=field) for fact, field in self.cited)


def phrase(words: str, *cited: Cited) -> Phrase:
    return Phrase(words, cited)


def statement(kind: StatementKind, said: Phrase) -> Statement:
    """The phrase as a sentence: numbered places, a capital at the start, and a full stop at the end, but not
    after quoted text, which ends as it was typed."""
    first, *rest = said.words.split("{}")
    template = first[:1].upper() + first[1:]
    template += "".join(f"{{{number}}}{words}" for number, words in enumerate(rest))
    is_quoted = said.words.endswith("{}") and _is_text(*said.cited[-1])
    return Statement(text_template=template if is_quoted else f"{template}.", claims=said.claims, kind=kind)


def _is_text(fact: Fact, field: str) -> bool:
    return fact.unit(field) is FieldUnit.TEXT


def listed(phrases: Sequence[Phrase]) -> Phrase:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = phrases
    if not others:
        return last
    joined = others[0]
    for other in others[1:]:
        joined += Phrase(", ") + other
    return joined + Phrase(" and ") + last


def fits(said: Phrase) -> bool:
    """Whether a statement can hold it, and everything it cites has a value."""
    if not all(known(*cited) for cited in said.cited):
        return False
    return len(said.cited) <= CLAIMS_MAX and len(said.words) + 3 * len(said.cited) < TEMPLATE_MAX_CHARS


def pick(options: Sequence[str], fact: Fact, place: int = 0) -> str:
    """One of several ways to say the same of a fact: the next one on the next working day.

    Where a day says it of several facts, `place` numbers them.
    """
    return options[turn(fact.subject, options[0], fact.date, len(options), place)]


def turn(subject: str, what: str, day: date, turns: int, place: int = 0) -> int:
    """Which of so many turns it is: the next one on the next working day, begun apart by each subject."""
    week, weekday = divmod(day.toordinal() - 1, 7)
    return (crc32(f"{subject} {what}".encode()) + 5 * week + weekday + place) % turns


def known(fact: Fact | None, *fields: str) -> bool:
    """Whether all the fields have a value that can be written out."""
    if fact is None:
        return False
    for field in fields:
        value = fact[field]
        if value is None or (isinstance(value, str) and not clean(value, NAME_MAX_CHARS)):
            return False
    return True


def number(fact: Fact | None, field: str) -> float:
    """A numeric value; 0 where there is none."""
    value = fact[field] if fact is not None else None
    return float(value) if isinstance(value, int | float) else 0.0


def shown(book: FactBook, fact: Fact, field: str) -> str:
    """The value as it reads."""
    return value_text(fact[field], fact.unit(field), book.zone, book.primary)


# ------------------------------------------------------------------------------------------------ measures
_VALUES: Mapping[str, tuple[str, ...]] = {
    "active_s": ("you were active for {}", "active time came to {}"),
    "active_net_s": ("active time net of idle came to {}",),
    "after_hours_s": ("{} of the work was outside your schedule",),
    "backspace_rate": ("the backspace rate was {}",),
    "backspaces": ("backspaces came to {}",),
    "context_switches": ("you changed window or page {} times",),
    "context_switches_per_hour": ("changes of window or page came to {}",),
    "copy_paste_per_hour": ("copying and pasting came to {}",),
    "copy_pastes": ("you copied or pasted {} times",),
    "focus_blocks": ("you had {} stretches of focused work",),
    "focus_ratio": ("the share of focused work was {}",),
    "focus_s": ("focused work came to {}", "you had {} of focused work"),
    "fragmentation": ("the day's fragmentation was {}",),
    "goals_declared": ("you declared {} goals",),
    "goals_done": ("you reported {} goals done",),
    "idle_s": ("idle time came to {}",),
    "keys": ("you pressed {} keys",),
    "kpi_attainment": ("average attainment of the targets is {}",),
    "longest_block_s": ("your longest block of work lasted {}",),
    "median_dwell_s": ("the median stay was {}",),
    "shortcut_share": ("the share of shortcuts was {}",),
    "shortcuts": ("you used {} shortcuts",),
    "tool_entropy": ("the spread over apps was {}",),
    "typing_density": ("you typed {}",),
    "workblocks": ("the day had {} blocks of work",),
}
"""A measure's value; every measure of the catalogue is here."""


def value_of(fact: Fact) -> Phrase:
    """The value of a `kpi` fact of the primary day."""
    return phrase(pick(_VALUES[fact.measure], fact), (fact, "value"))


def against_usual(book: FactBook, value: Fact, baseline: Fact) -> Phrase | None:
    """The value and how far it is from the worker's usual; None where the two read the same."""
    if shown(book, value, "value") == shown(book, baseline, "median") or not known(baseline, "direction"):
        return None
    said = value_of(value)
    if number(baseline, "median") == 0:
        return said + phrase(", which is {} your usual", (baseline, "direction"))
    if value.unit("value") is FieldUnit.SECONDS and abs(number(baseline, "difference")) >= 60:
        return said + phrase(", {} {} your usual", (baseline, "difference"), (baseline, "direction"))
    return said + phrase(", {} your usual {}", (baseline, "direction"), (baseline, "median"))


def _title(measure: str) -> str:
    title = CATALOGUE[measure].title if measure in CATALOGUE else measure.replace("_", " ")
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


# --------------------------------------------------------------------------------------- any fact, one by one
def described(fact: Fact, book: FactBook) -> Phrase | None:
    """A plain clause for a fact of any kind; None where it has nothing to say.

    A fact of another day than the primary one says which day.
    """
    said = _described(fact)
    if (
        said is None
        or fact.date == book.primary
        or any(_tells_day(fact, field) for fact, field in said.cited)
    ):
        return said
    if fact.kind is FactKind.GROUP and fact_name(fact.fact_id).rest[1] == "week":
        return said + phrase(" in the week from {}", (fact, "date"))
    return said + phrase(" on {}", (fact, "date"))


def _tells_day(fact: Fact, field: str) -> bool:
    return fact.unit(field) in {FieldUnit.INSTANT, FieldUnit.DATE}


def _described(fact: Fact) -> Phrase | None:
    for words, fields in _DESCRIPTIONS.get(fact.kind, ()):
        if known(fact, *fields):
            return phrase(words, *((fact, field) for field in fields))
    match fact.kind:
        case FactKind.KPI if known(fact, "value"):
            if fact.measure == "longest_block_s":
                return phrase("a block of work lasted {}", (fact, "value"))
            return value_of(fact)
        case FactKind.GROUP if known(fact, "value"):
            return team_value(fact)
        case FactKind.BASELINE if known(fact, "median", "days"):
            words = f"your usual for {_title(fact.measure)} is {{}}, over {{}}"
            return phrase(words, (fact, "median"), (fact, "days"))
        case FactKind.DAY:
            return _day(fact)
        case _:
            return None


_DESCRIPTIONS: Mapping[FactKind, Sequence[tuple[str, tuple[str, ...]]]] = {
    FactKind.BLOCK: (("a block of work ran from {} to {}", ("started_at", "ended_at")),),
    FactKind.SLICE: (("you were in {} from {} to {}", ("app", "started_at", "ended_at")),),
    FactKind.USAGE: (("you spent {} in {}", ("duration_s", "name")),),
    FactKind.FOCUS: (
        ("a stretch of focused work ran from {} to {} in {}", ("started_at", "ended_at", "app")),
        ("a stretch of focused work ran from {} to {}", ("started_at", "ended_at")),
    ),
    FactKind.PAUSE: (("there was a pause from {} to {}", ("started_at", "ended_at")),),
    FactKind.GOAL: (("{} is {}", ("name", "status")),),
    FactKind.TARGET: (
        ("{} came to {} against a target of {}", ("name", "actual", "target")),
        ("{} came to {}", ("name", "actual")),
        ("{} has a target of {}", ("name", "target")),
        ("you declared {}", ("name",)),
    ),
    FactKind.AREA: (("{} is a focus area you declared", ("name",)),),
    FactKind.CHAT: (("at {} you wrote to {}: {}", ("occurred_at", "assistant", "text")),),
    FactKind.CHATS: (("you sent {} messages in {} conversations", ("messages", "conversations")),),
    FactKind.THEME: (("{} came up in {} messages", ("name", "messages")),),
}
"""Clauses by kind; the first one whose fields all have a value is said."""


def _day(fact: Fact) -> Phrase | None:
    if fact["has_telemetry"] is False:
        return phrase("no activity was recorded on {}", (fact, "date"))
    if known(fact, "first_at", "last_at"):
        return phrase("recorded work ran from {} to {}", (fact, "first_at"), (fact, "last_at"))
    return phrase("{} of activity was recorded", (fact, "kept_s")) if known(fact, "kept_s") else None


# --------------------------------------------------------------------------------------------------- teams
WITHHELD = "withheld"
"""In the place of a measure in a group fact: how many of the group's measures are not told."""
_TEAM_VALUES: Mapping[str, str] = {
    "active_s": "the team was active for {} in all",
    "focus_s": "focused work came to {} in all",
    "focus_ratio": "the share of focused work was {}",
    "focus_blocks": "the team had {} stretches of focused work",
    "context_switches_per_hour": "changes of window or page came to {}",
    "after_hours_s": "{} of the work was outside people's schedules",
    "goals_declared": "the team declared {} goals",
    "goals_done": "the team reported {} goals done",
    "kpi_attainment": "average attainment of the targets is {}",
}


def team_value(fact: Fact) -> Phrase:
    """The value of a `group` fact."""
    if fact.measure == WITHHELD:
        words = "{} figures with too few people behind them are not shown"
        if number(fact, "value") == 1:
            words = "{} figure with too few people behind it is not shown"
        return phrase(words, (fact, "value"))
    return phrase(_TEAM_VALUES.get(fact.measure, f"{_title(fact.measure)} was {{}}"), (fact, "value"))


# --------------------------------------------------------------------------------------------- any facts
def sentence_for(fact_ids: Iterable[str], kind: StatementKind, book: FactBook) -> Statement | None:
    """The deterministic sentence for these facts, in their order; None where none of them says anything.

    It replaces a model's refused statement: next steps and recommendations stay prescriptive, everything else
    states the facts. Facts beyond what one statement can hold are left out.
    """
    said: Phrase | None = None
    for fact_id in dict.fromkeys(fact_ids):
        fact = book.get(fact_id)
        part = None if fact is None else described(fact, book)
        if part is None:
            continue
        longer = part if said is None else said + Phrase(". ") + _capital(part)
        if not fits(longer):
            break
        said = longer
    if said is None:
        return None
    if kind in {StatementKind.NEXT_STEP, StatementKind.RECOMMENDATION}:
        said = _prescribed(said, book)
    return statement(kind, said)


def _capital(said: Phrase) -> Phrase:
    return Phrase(said.words[:1].upper() + said.words[1:], said.cited)


def _prescribed(said: Phrase, book: FactBook) -> Phrase:
    fact = said.cited[0][0]
    if fact.date != book.primary:
        return Phrase("keep this in view: ") + said
    match fact.kind:
        case FactKind.GOAL if fact["status"] == "open":
            return phrase("take up {} next: it is still {}", (fact, "name"), (fact, "status"))
        case FactKind.TARGET if fact["status"] == "missed" and known(fact, "name", "actual", "target"):
            words = "plan what remains of {}: it stands at {} of {}"
            return phrase(words, (fact, "name"), (fact, "actual"), (fact, "target"))
        case FactKind.FOCUS if known(fact, "started_at"):
            return phrase("keep the time from {} free for focused work", (fact, "started_at"))
        case _:
            return Phrase("keep this in view: ") + said
