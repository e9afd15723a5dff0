"""What the writer's own words may hold: known words, no markup, no number, unit, day or name of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from coworkai.insights.brief import StatementKind
from coworkai.insights.clean import plain_output
from coworkai.insights.facts import FactKind, FieldUnit
from coworkai.insights.grounding.lexicon import Entry, Rule, lexicon
from coworkai.insights.grounding.reading import Item, Reading, local_date, local_hour, name_of

_SIGNS = frozenset(".,;:()!?…—–-+/&")
_CAPITAL = frozenset({"i", "kpi", "kpis", "eod", "sod", "id", "ai", "url", "urls", "ok", "vs"})
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PARTS_OF_DAY = {"morning": (4, 13), "afternoon": (12, 18), "evening": (17, 28)}
_PRONOUN_BEFORE = frozenset(
    {
        "the",
        "this",
        "that",
        "each",
        "every",
        "which",
        "another",
        "next",
        "longest",
        "last",
        "first",
        "any",
        "other",
    }
)
_UNITLESS = frozenset({FieldUnit.COUNT, FieldUnit.NUMBER, FieldUnit.DAYS})
_ONE_DAY_BACK = timedelta(days=1)
_FRONTED_MAX = 4
"""Items of "On Monday," before what it is said of."""
_PARTS_FROM_DAY_MAX = 1
_COMPARING = frozenset({"than", "from", "compared", "against", "to", "unlike", "versus", "vs"})


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a rule found, and where."""

    rule: Rule
    item: Item
    detail: str


# ------------------------------------------------------------------------------------------------ words
def words(reading: Reading) -> Iterator[Found]:
    """Refused words, words that are not known, signs that are no prose, and markup."""
    of_group = all(fact.kind is FactKind.GROUP for fact in reading.cited)
    of_record = reading.statement.kind is StatementKind.DATA_QUALITY
    typed = {word for fact in reading.cited for word in _unit_words(fact.get("unit"))}
    for item in reading.items:
        entry = item.entry
        if entry is not None and entry.refused is not None:
            allowed = (of_group and entry.of_group) or (of_record and entry.of_record)
            if not (entry.refused is Rule.PERSON and allowed):
                yield Found(entry.refused, item, "wording that is refused")
        elif entry is not None and entry.of_plans and not reading.is_plan:
            yield Found(Rule.VOCABULARY, item, "a word of advice where facts are stated")
        elif entry is None and item.is_word and item.text not in typed:
            rule = Rule.NAME if item.raw[:1].isupper() and not item.opens else Rule.VOCABULARY
            yield Found(rule, item, "a word that is not known")
        elif not item.is_word and not item.is_digits and item.place is None and item.text not in _SIGNS:
            yield Found(Rule.UNIT if item.text == "%" else Rule.MARKUP, item, "a sign that is not prose")
        elif item.is_word and _is_capital_inside(item):
            yield Found(Rule.NAME, item, "a name that no cited fact has")
    yield from _markup(reading)


def _markup(reading: Reading) -> Iterator[Found]:
    template = reading.statement.text_template
    for item in reversed([item for item in reading.items if item.place is not None]):
        template = f"{template[: item.start]}x{template[item.end :]}"
    if not plain_output(" ".join(template.split())) and reading.items:
        yield Found(Rule.MARKUP, reading.items[0], "markup, a link or an address")


def _unit_words(unit: object) -> list[str]:
    value = getattr(unit, "value", None)
    return value.casefold().split() if isinstance(value, str) else []


def _is_capital_inside(item: Item) -> bool:
    """A capital where no sentence begins, or a word in capitals anywhere."""
    if len(item.raw) > 2 and item.raw.isupper() and item.text not in _CAPITAL:
        return True
    if item.opens or not any(word[:1].isupper() for word in item.raw.split()[:1]):
        return False
    entry = item.entry
    is_day = entry is not None and entry.day in _WEEKDAYS
    return not is_day and item.text not in _CAPITAL and not item.text.startswith(("kpi", "eod", "sod"))


# ------------------------------------------------------------------------------------------ numbers, units
def numbers(reading: Reading) -> Iterator[Found]:
    """Digits and number words that are not what a claim reads as."""
    for item in reading.items:
        if item.is_digits:
            yield Found(Rule.NUMBER, item, "a number in own words")
        elif item.entry is not None and item.entry.number is not None and not _is_no_count(item, reading):
            yield Found(Rule.NUMBER, item, "a number word")


def _is_no_count(item: Item, reading: Reading) -> bool:
    """The pronoun one, one of what is planned, and what has a rank."""
    before = reading.word_before(item)
    if item.entry is not None and item.entry.number == _names_cited(reading) and _is_of_items(item, reading):
        return True
    if item.text == "one":
        return reading.is_plan or (before is not None and before.text.split()[-1] in _PRONOUN_BEFORE)
    if item.text == "single":
        return reading.is_plan
    return item.entry is not None and item.entry.rank is not None


def _names_cited(reading: Reading) -> int:
    """How many goals and targets the text names."""
    named = (item.place for item in reading.places if item.place is not None and item.place.is_name)
    return len({place.fact.fact_id for place in named if place.fact.kind in {FactKind.GOAL, FactKind.TARGET}})


def _is_of_items(item: Item, reading: Reading) -> bool:
    """ "One thing still open: {0}", "Two goals are done: {0} and {1}": counted by their names."""
    after = reading.word_after(item)
    return after is not None and after.text in lexicon().sets["items"]


def units(reading: Reading) -> Iterator[Found]:
    """Unit words: every value brings its own. Advice may speak of lengths of time that no value stands by."""
    for item in reading.items:
        entry = item.entry
        if _is_foreign_unit(item, reading):
            yield Found(Rule.UNIT, item, "a unit that is not the value's own")
            continue
        if entry is None or entry.unit is None or entry.measures:
            continue
        beside = _is_beside_value(item, reading)
        if item.text == "second" and not beside:
            continue
        is_rate = entry.unit == "rate" and item.text not in {"days", "weeks"}
        if beside or (not is_rate and (entry.unit == "share" or not reading.is_plan)):
            yield Found(Rule.UNIT, item, "a unit that is not the value's own")


def _is_foreign_unit(item: Item, reading: Reading) -> bool:
    """ "{0} messages" of a duration, "{0} hours of focus time": a value that is written out with its unit."""
    first = item.text.split()[0]
    if first not in lexicon().sets["counted"] or not _is_beside_value(item, reading):
        return False
    place = next(one.place for one in reversed(reading.items[: item.at]) if one.place is not None)
    names_it = item.entry is not None and item.entry.measures & place.selectors
    return place.unit not in _UNITLESS and not (names_it and lexicon().entries[(first,)].unit is None)


def _is_beside_value(item: Item, reading: Reading) -> bool:
    """ "{0} minutes", "{0} in minutes", "{0} of an hour"."""
    before = reading.word_before(item)
    if before is not None and before.text in lexicon().sets["before_unit"]:
        before = reading.word_before(before)
    return before is not None and before.place is not None and before.place.is_number


# ------------------------------------------------------------------------------------------------ days
def days(reading: Reading) -> Iterator[Found]:
    """Days named must be days of cited facts, and a fact of another day than the brief's must say so."""
    told: list[tuple[Item, set[date]]] = []
    dates = {fact.date for fact in reading.cited}
    primary = reading.book.primary
    for item in reading.items:
        entry = item.entry
        if entry is None:
            continue
        if entry.day is not None:
            meant = _meant(entry, reading, dates)
            if meant is None:
                if not reading.is_plan or entry.day == "none":
                    yield Found(Rule.DAY, item, "a day that is not the facts'")
                continue
            if not meant & dates:
                yield Found(Rule.DAY, item, "a day that no cited fact is of")
            told.append((item, meant))
        elif entry.part_of_day is not None and not reading.is_plan and not _is_in(entry, reading):
            yield Found(Rule.DAY, item, "a part of the day that no cited time is in")
    yield from _governed(reading, told)
    for item in reading.places:
        place = item.place
        if place is None or place.fact.date == primary or _is_told(item, reading, told):
            continue
        if place.fact.kind is FactKind.GROUP and place.fact.fact_id.split(":")[3] == "week":
            if not any(
                one.text in {"week", "weeks", "the week", "this week", "over the week"}
                for one in reading.items
            ):
                yield Found(Rule.DAY, item, "a week's value without the week")
        elif not _dated(place.fact.date, reading):
            yield Found(Rule.DAY, item, "a value of another day without its day")


def _is_told(item: Item, reading: Reading, told: Sequence[tuple[Item, set[date]]]) -> bool:
    """Whether the day of a value is named in its part, or beside it in one that has no other value."""
    return any(
        item.place is not None
        and item.place.fact.date in meant
        and (
            item.part == one.part
            or (
                abs(item.part - one.part) <= _PARTS_FROM_DAY_MAX
                and all(other.place is None or other.place.is_name for other in reading.part_of(one))
            )
        )
        for one, meant in told
    )


def _meant(entry: Entry, reading: Reading, dates: set[date]) -> set[date] | None:
    """The days that a phrase means; None for days that cannot be of facts."""
    primary = reading.book.primary
    match entry.day:
        case "today":
            return {primary}
        case "yesterday":
            return {primary - _ONE_DAY_BACK}
        case "window":
            return {day for day in dates if day <= primary}
        case "tomorrow" | "none":
            return None
        case name:
            return {day for day in dates | {primary} if _WEEKDAYS[day.weekday()] == name}


def _governed(reading: Reading, told: list[tuple[Item, set[date]]]) -> Iterator[Found]:
    """Values that a day stands beside, or before in a part of its own, must be of that day."""
    for item, meant in told:
        if item.entry is not None and item.entry.day == "window":
            continue
        value = _governs(item, reading)
        if value is not None and value.place is not None and value.place.fact.date not in meant:
            yield Found(Rule.DAY, item, "a value of another day")


def _governs(day: Item, reading: Reading) -> Item | None:
    """The value that a day is said of: "{0} on Monday", "Monday brought {0}", "On Monday, {0}"."""
    compares = False
    for item in [other for _, other in zip(range(5), reading.before(day), strict=False)]:
        if item.place is not None:
            return None if compares else item
        compares = compares or item.text in _COMPARING
    if compares:
        return None
    for item in reading.after(day):
        if item.place is not None:
            return item
    following = reading.parts.get(day.part + 1, [])
    if len(reading.part_of(day)) > _FRONTED_MAX:
        return None
    return next(
        (item for item in following if item.place is not None and item.sentence == day.sentence), None
    )


def _dated(day: date, reading: Reading) -> bool:
    """Whether a cited date or time in the text tells the day."""
    for item in reading.places:
        if item.place is None:
            continue
        value = item.place.value
        if isinstance(value, datetime):
            if local_date(value, reading.book.zone) == day:
                return True
        elif value == day:
            return True
    return False


def _is_in(entry: Entry, reading: Reading) -> bool:
    first, last = _PARTS_OF_DAY[entry.part_of_day or "morning"]
    for item in reading.places:
        value = item.place.value if item.place is not None else None
        if isinstance(value, datetime):
            hour = local_hour(value, reading.book.zone)
            if first <= hour < last or first <= hour + 24 < last:
                return True
    return False


# ------------------------------------------------------------------------------------------------ names
def names(reading: Reading) -> Iterator[Found]:
    """Names of the book in the writer's own words that no cited fact has."""
    own = {name for fact in reading.cited if (name := name_of(fact))}
    text = " ".join(item.text if item.place is None else "\0" for item in reading.items)
    text = f" {text} "
    for fact in reading.book.facts.values():
        if fact.kind not in _NAMED or (name := name_of(fact)) is None or name in own:
            continue
        if f" {name} " in text and (" " in name or (fact.kind is FactKind.USAGE and not reading.is_plan)):
            yield Found(Rule.NAME, reading.items[0], "a name of a fact that is not cited")
            return


_NAMED = frozenset({FactKind.USAGE, FactKind.GOAL, FactKind.TARGET, FactKind.AREA, FactKind.THEME})
