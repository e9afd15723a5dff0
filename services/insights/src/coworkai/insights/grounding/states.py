"""Status words, flags, directions, what is usual, and superlatives, against the facts they are said of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from coworkai.insights.facts import Fact, FactBook, FactKind, FieldUnit, Status
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Place, Reading
from coworkai.insights.grounding.wording import Found

_GOAL = {"done": {"done"}, "open": {"open"}, "reported": {"done", "open"}, "unreported": {"unreported"}}
_GOAL_NOT = {
    "done": {"open"},
    "open": {"done"},
    "reported": {"unreported", "open"},
    "unreported": {"done", "open"},
}
_TARGET = {
    "met": {"met"},
    "exceeded": {"exceeded"},
    "missed": {"missed"},
    "unreported": {"unreported"},
    "reported": {"met", "missed"},
    "open": {"missed"},
    "done": {"met"},
}
_TARGET_NOT = {
    "met": {"missed"},
    "exceeded": {"met_exactly", "missed"},
    "missed": {"met"},
    "unreported": {"met", "missed"},
    "reported": {"unreported"},
    "open": {"met"},
    "done": {"missed"},
}
"""What a word says of a target, and what it says negated. A target met to the point is not exceeded."""
_COUNTED = {"goals_done", "goals_declared"}
_SUBJECTS = {
    "done": {FactKind.GOAL},
    "open": {FactKind.GOAL},
    "met": {FactKind.TARGET},
    "exceeded": {FactKind.TARGET},
    "missed": {FactKind.TARGET},
    "unreported": {FactKind.TARGET, FactKind.GOAL},
    "reported": {FactKind.TARGET, FactKind.GOAL},
}
"""The kinds of fact that a status is said of."""


# ------------------------------------------------------------------------------------------------ statuses
def statuses(reading: Reading) -> Iterator[Found]:
    """A status word is said of what has the status; negated, of what has the other one."""
    for item in reading.items:
        entry = item.entry
        if item.place is not None:
            yield from _placed(item, reading)
        if entry is None or not entry.statuses or entry.refused is not None:
            continue
        if _is_wanted(item, reading) or (reading.is_plan and item.text in lexicon().sets["asked"]):
            continue
        if "blocker" in entry.statuses:
            yield from _blocker(item, reading)
            continue
        if _is_verb(item, reading) or (entry.direction is not None and not _has_target(reading)):
            continue
        if _is_of_tool(item, reading):
            continue
        facts = _said_of(item, reading)
        if facts:
            negated = is_negated(item, reading)
            if not all(_agrees(item, fact, negated=negated) for fact in facts):
                yield Found(Rule.STATUS, item, "a status that the cited fact does not have")
        elif (
            not _is_of_counts(reading)
            and not reading.is_plan
            and item.text not in lexicon().sets["ambiguous"]
        ):
            yield Found(Rule.STATUS, item, "a status of nothing that is cited")


def unstated(reading: Reading) -> Iterator[Found]:
    """A goal or target is named for what it is known to be: a status, a value, or declared."""
    if reading.is_plan:
        return
    for item in reading.places:
        place = item.place
        if place is None or not place.is_name or place.fact.kind not in {FactKind.GOAL, FactKind.TARGET}:
            continue
        told = any(
            other.place is not None and not other.place.is_name and other.place.fact.kind is place.fact.kind
            for other in reading.places
        )
        words = [other for other in reading.sentence_of(item) if other.entry is not None]
        stated = any(
            (other.entry is not None and other.entry.statuses) or other.text in lexicon().sets["declaring"]
            for other in words
        )
        if not told and not stated:
            yield Found(Rule.STATUS, item, "a goal or target of which nothing known is said")


def _is_verb(item: Item, reading: Reading) -> bool:
    """ "Reached {0}" tells a value, and "no figure was reported" is told by its first words."""
    after = reading.word_after(item)
    if item.text in lexicon().sets["ambiguous"] and after is not None and after.place is not None:
        return after.place.is_number
    return (
        item.entry is not None
        and item.entry.statuses == {"reported"}
        and any(
            other.entry is not None and "unreported" in other.entry.statuses
            for other in reading.part_of(item)
        )
    )


def _is_of_tool(item: Item, reading: Reading) -> bool:
    """Windows are open and closed as well."""
    before = next((other for other in reading.before(item) if other.place is not None), None)
    return (
        item.text in lexicon().sets["ambiguous"]
        and before is not None
        and before.place is not None
        and before.place.is_name
        and before.place.fact.kind in {FactKind.USAGE, FactKind.FOCUS, FactKind.SLICE}
    )


def _placed(item: Item, reading: Reading) -> Iterator[Found]:
    """A status that stands at a place is not taken back by a word before it."""
    place = item.place
    if place is None or place.unit is not FieldUnit.STATUS or place.fact.kind is FactKind.BASELINE:
        return
    if is_negated(item, reading):
        yield Found(Rule.STATUS, item, "a status that is negated")


def _said_of(item: Item, reading: Reading) -> list[Fact]:
    """The goals or targets that a status word is said of: those of its part, and bare names joined to it."""
    entry = item.entry
    kinds = set().union(*(_SUBJECTS.get(status, set()) for status in entry.statuses)) if entry else set()
    if FactKind.TARGET in {fact.kind for fact in reading.cited} and FactKind.GOAL not in {
        f.kind for f in reading.cited
    }:
        kinds = {FactKind.TARGET}
    stated = [one for one in reading.places if one.place is not None and one.place.fact.kind in kinds]
    own = [one for one in stated if one.part == item.part]
    if own:
        before = [one for one in own if one.at < item.at]
        joined = _bare_before(before[0] if before else own[0], reading, stated, item)
        return _facts([*joined, *own])
    sentence = [one for one in stated if one.sentence == item.sentence]
    before = [one for one in sentence if one.at < item.at]
    after = [one for one in sentence if one.at > item.at]
    if before and _is_subject_before(item, reading):
        return _facts([before[-1]])
    if after:
        listed = [after[0]]
        listed += [one for one in after[1:] if not _status_between(after[0], one, reading)]
        return _facts(listed if not before else after[:1])
    return _facts(before[-1:]) or _facts(stated[-1:])


def _is_subject_before(item: Item, reading: Reading) -> bool:
    first = reading.part_of(item)[0]
    return first.text in {"which", "and", "but", ",", "(", "–", "—", "then", "though", "while"}


def _bare_before(first: Item, reading: Reading, stated: Sequence[Item], status: Item) -> list[Item]:
    """ "{0} and {1} are done": names in parts of their own, joined by commas and "and"."""
    found = []
    for one in reversed(
        [other for other in stated if other.at < first.at and other.sentence == first.sentence]
    ):
        if status.at < first.at or any(
            other.text not in {",", "and", "both"} and other.place is None
            for other in reading.items[one.at + 1 : first.at]
        ):
            break
        if any(other.text in {"and", ","} for other in reading.items[one.at + 1 : first.at]):
            if _status_between_start(one, reading):
                break
            found.append(one)
    return found


def _status_between_start(item: Item, reading: Reading) -> bool:
    """Whether the part of a name has a status word of its own."""
    return any(other.entry is not None and other.entry.statuses for other in reading.part_of(item))


def _status_between(first: Item, second: Item, reading: Reading) -> bool:
    return any(
        other.entry is not None and other.entry.statuses
        for other in reading.items[first.at + 1 : second.at + 4]
    ) or any(other.text == ";" for other in reading.items[first.at : second.at])


def _facts(items: Sequence[Item]) -> list[Fact]:
    return list({one.place.fact.fact_id: one.place.fact for one in items if one.place is not None}.values())


def _agrees(item: Item, fact: Fact, *, negated: bool) -> bool:
    known = fact.fields.get("status")
    status = known.value if known is not None else None
    if not isinstance(status, str) or item.entry is None:
        return False
    is_goal = fact.kind is FactKind.GOAL
    table = (_GOAL_NOT if negated else _GOAL) if is_goal else (_TARGET_NOT if negated else _TARGET)
    allowed = set().union(*(table.get(word, set()) for word in item.entry.statuses))
    if is_goal and negated and item.text in lexicon().sets["reports"]:
        allowed |= {Status.UNREPORTED.value}
    if status == Status.MET and not is_goal:
        attainment = fact.fields["attainment"].value
        exceeded = isinstance(attainment, int | float) and attainment > 1
        return bool(allowed & {"met", "exceeded" if exceeded else "met_exactly"})
    return status in allowed


def _is_wanted(item: Item, reading: Reading) -> bool:
    return any(
        other.entry is not None and (other.entry.wanted or (reading.is_plan and other.entry.wanted_in_advice))
        for other in reading.before(item)
    )


def _is_of_counts(reading: Reading) -> bool:
    return any(fact.measure in _COUNTED or fact.kind is FactKind.TARGET for fact in reading.cited)


def _blocker(item: Item, reading: Reading) -> Iterator[Found]:
    part = reading.part_of(item)
    solved = any(one.entry is not None and "done" in one.entry.statuses for one in part)
    negated = is_negated(item, reading) or solved
    chats = [fact for fact in reading.cited if fact.kind is FactKind.CHAT]
    counts = [fact["blockers"] for fact in reading.cited if fact.kind is FactKind.CHATS]
    if chats and not negated and any(fact["status"] == Status.BLOCKER for fact in chats):
        return
    if counts and all(isinstance(count, int | float) and (count == 0) == negated for count in counts):
        return
    if chats or counts or not reading.is_plan:
        yield Found(Rule.STATUS, item, "a blocker where none is cited, or none where one is")


def is_negated(item: Item, reading: Reading) -> bool:
    """Whether a word of the same part before it, back to the last value, takes it back; two do not."""
    negations = 0
    for other in reading.before(item):
        if other.place is not None and other.place.is_number:
            break
        if other.entry is not None and other.entry.negation and not other.entry.statuses:
            negations += 1
    return negations % 2 == 1


# ------------------------------------------------------------------------------------------------ flags
def flags(reading: Reading) -> Iterator[Found]:
    """What is said to have arrived or to be missing, against the day's flags."""
    days = [fact for fact in reading.cited if fact.kind is FactKind.DAY]
    for item in reading.items:
        if item.entry is None or not item.entry.flags or _is_some(item, reading):
            continue
        absent = item.text == "nothing" or _is_absent(item, reading)
        tells = any(one.place is not None for one in reading.part_of(item))
        if not (days or tells or reading.is_plan) and absent and item.text in lexicon().sets["arriving"]:
            yield Found(Rule.STATUS, item, "something missing, without the day's record")
        for flag in item.entry.flags:
            if flag == "has_chat" and any(
                fact.kind in {FactKind.CHAT, FactKind.CHATS} for fact in reading.cited
            ):
                continue
            for day in days:
                value = day[flag]
                if flag == "is_incomplete":
                    true = value is (not absent) if item.text == "incomplete" else value is absent
                else:
                    true = value is (absent if flag.startswith("is_") else not absent)
                if not true:
                    yield Found(Rule.STATUS, item, "a flag of the day that is otherwise")


def _is_some(item: Item, reading: Reading) -> bool:
    before = reading.word_before(item)
    return before is not None and before.text == "some"


def _is_absent(item: Item, reading: Reading) -> bool:
    """Whether the item's part says that it is not there."""
    words = 0
    heading = [other for other in reading.parts.get(item.part - 1, []) if other.is_word]
    if len(heading) == 1 and heading[0].entry is not None and heading[0].entry.absence:
        return True
    for other in reading.part_of(item):
        if other.entry is None or other is item:
            continue
        if other.entry.negation or other.entry.absence:
            words += 1
    return words % 2 == 1


# ------------------------------------------------------------------------------------- usual, directions
def usual(reading: Reading) -> Iterator[Found]:
    """What is usual is known from a cited baseline only."""
    if any(fact.kind is FactKind.BASELINE for fact in reading.cited):
        return
    cited = frozenset().union(*(item.place.selectors for item in reading.places if item.place is not None))
    for item in reading.items:
        if item.entry is not None and item.entry.usual and not item.entry.measures & cited:
            yield Found(Rule.DIRECTION, item, "what is usual, without a baseline")


def directions(reading: Reading) -> Iterator[Found]:
    """More and less agree with the sign of what is cited."""
    for item in reading.items:
        entry = item.entry
        if (
            entry is None
            or entry.direction is None
            or _is_fallen_within(item, reading)
            or (entry.statuses and _has_target(reading))
            or entry.refused
        ):
            continue
        sign = -entry.direction if _is_reversed(item, reading) and entry.direction else entry.direction
        difference = _difference(item, reading)
        if difference is None:
            if not reading.is_plan and not (entry.measures or entry.superlative):
                yield Found(Rule.DIRECTION, item, "a comparison with nothing that is cited")
        elif _is_of_another(item, reading):
            yield Found(Rule.MEASURE, item, "a direction said of another measure")
        elif _sign(difference) != sign:
            yield Found(Rule.DIRECTION, item, "a direction that the cited difference does not have")


def _is_fallen_within(item: Item, reading: Reading) -> bool:
    """ "Fell outside your schedule" is a place in time, not a change."""
    after = reading.word_after(item)
    return (
        item.text in {"fell", "fall", "falls"}
        and after is not None
        and (after.text.split()[0] in lexicon().sets["within"])
    )


def _is_of_another(item: Item, reading: Reading) -> bool:
    """Whether a direction's part names a measure that no cited baseline is of, and no value."""
    part = reading.part_of(item)
    if any(other.place is not None for other in part):
        return False
    common = lexicon().sets["common"]
    entries = [other.entry for other in part if other.entry is not None and other.text not in common]
    named = [entry.measures for entry in entries if entry.measures]
    compared = frozenset().union(
        *(
            one.place.selectors
            for one in reading.places
            if one.place and one.place.fact.kind is FactKind.BASELINE
        )
    )
    return bool(named) and bool(compared) and not any(measures & compared for measures in named)


def _has_target(reading: Reading) -> bool:
    return any(fact.kind is FactKind.TARGET for fact in reading.cited)


def _is_reversed(item: Item, reading: Reading) -> bool:
    before = reading.word_before(item)
    return before is not None and before.entry is not None and before.entry.negation


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _difference(item: Item, reading: Reading) -> float | None:
    """What a direction is about: the nearest cited baseline, else two values of one kind, else a target."""
    sentence = [one for one in reading.places if one.sentence == item.sentence]
    baselines = [
        one for one in sentence if one.place is not None and one.place.fact.kind is FactKind.BASELINE
    ]
    near = [one for one in baselines if one.part == item.part] or baselines
    if not near:
        near = [
            one
            for one in reading.places
            if one.place is not None and one.place.fact.kind is FactKind.BASELINE
        ]
    if near:
        nearest = min(near, key=lambda one: (abs(one.at - item.at), one.at))
        value = nearest.place.fact["difference"] if nearest.place is not None else None
        return float(value) if isinstance(value, int | float) else None
    return _between_values(item, reading, sentence)


def _between_values(item: Item, reading: Reading, sentence: Sequence[Item]) -> float | None:
    """ "more in {0} ({1}) than in {2} ({3})", "rose from {0} to {1}"."""
    numbers = [one for one in sentence if one.place is not None and one.place.is_number]
    for first in numbers:
        for second in numbers:
            if first.at < second.at and _comparable(first.place, second.place):
                if first.place is None or second.place is None:
                    continue
                moved = any(
                    one.text == "from" for one in reading.items[: first.at] if one.sentence == first.sentence
                )
                change = second.place.number - first.place.number
                if first.place.fact.date > second.place.fact.date or (
                    not moved and first.place.fact.date == second.place.fact.date
                ):
                    change = -change
                return change
    return None


def _comparable(first: Place | None, second: Place | None) -> bool:
    return (
        first is not None
        and second is not None
        and first.unit is second.unit
        and first.field == second.field
        and first.fact.kind is second.fact.kind
        and (first.fact.measure == second.fact.measure or first.fact.kind is FactKind.USAGE)
    )


# ------------------------------------------------------------------------------------------ superlatives
_SIZES = {
    FactKind.USAGE: "duration_s",
    FactKind.BLOCK: "duration_s",
    FactKind.FOCUS: "duration_s",
    FactKind.PAUSE: "duration_s",
    FactKind.SLICE: "duration_s",
    FactKind.THEME: "messages",
    FactKind.KPI: "value",
    FactKind.BASELINE: "z",
}


def superlatives(reading: Reading) -> Iterator[Found]:
    """The longest, the most, the first: true within the book."""
    for item in reading.items:
        entry = item.entry
        if entry is None or entry.refused is not None:
            continue
        if entry.rank is not None and item.text != "second":
            target = _ranked(item, reading)
            if target is None or target.fact["rank"] != entry.rank:
                yield Found(Rule.SUPERLATIVE, item, "a rank that the cited fact does not have")
        if entry.superlative is None and not (entry.measures and item.text.startswith("longest ")):
            continue
        name = entry.superlative or "max"
        target = _target(item, reading)
        if target is None:
            if not reading.is_plan and not _is_definition(item, reading):
                yield Found(Rule.SUPERLATIVE, item, "a superlative of nothing that is cited")
        elif not _holds(name, target, reading.book) and not _are_first(target, reading):
            yield Found(Rule.SUPERLATIVE, item, "a superlative that does not hold")


def _is_definition(item: Item, reading: Reading) -> bool:
    """ "Longest block" is the name of a measure; first and last say little without a time."""
    if any(fact.measure == "longest_block_s" for fact in reading.cited):
        return True
    return any(fact.kind in {FactKind.DAY, FactKind.CHATS} for fact in reading.cited) and item.text in {
        "first",
        "last",
    }


def _ranked(item: Item, reading: Reading) -> Place | None:
    near = [one for one in reading.places if one.place is not None and one.place.fact.kind is FactKind.USAGE]
    return min(near, key=lambda one: abs(one.at - item.at)).place if near else None


def _target(item: Item, reading: Reading) -> Place | None:
    """The value or name that a superlative is said of; a day's measure only where the week is spoken of."""
    spans_days = any(one.entry is not None and one.entry.day == "window" for one in reading.items)
    sizes = set(_SIZES) if spans_days else set(_SIZES) - {FactKind.KPI}
    near = [
        one
        for one in reading.places
        if one.place is not None and one.place.fact.kind in sizes and one.sentence == item.sentence
    ]
    own = [one for one in near if one.part == item.part]
    after = [one for one in near if one.part > item.part]
    before = [one for one in near if one.part < item.part]
    chosen = own or after[:1] or before[-1:]
    if not chosen:
        return None
    measured = item.entry.measures if item.entry is not None else frozenset()
    fitting = [
        one for one in chosen if one.place is not None and (not measured or measured & one.place.selectors)
    ]
    best = min(fitting or chosen, key=lambda one: (abs(one.at - item.at), one.at))
    if best.place is not None and best.place.fact.measure == "longest_block_s":
        return None
    return best.place


def _are_first(place: Place, reading: Reading) -> bool:
    """Whether several of a ranking that are named together are its first: "{0} and {1} are your top apps"."""
    if place.fact.kind is not FactKind.USAGE:
        return False
    places = [one.place for one in reading.places if one.place is not None]
    named = {
        one.fact.fact_id: one.fact["rank"]
        for one in places
        if one.is_name and one.fact.kind is FactKind.USAGE and _of_one_sort(one.fact, place.fact)
    }
    return len(named) > 1 and set(named.values()) == set(range(1, len(named) + 1))


def _holds(name: str, place: Place, book: FactBook) -> bool:
    fact = place.fact
    if name == "majority":
        return _is_majority(fact, book)
    if fact.kind is FactKind.KPI:
        others = [
            one for one in book.facts.values() if one.kind is FactKind.KPI and one.measure == fact.measure
        ]
    else:
        others = [one for one in book.of(fact.kind, fact.date) if _of_one_sort(one, fact)]
    if name in {"first", "last"} and "started_at" in fact.fields:
        times = [value for one in others if isinstance(value := one["started_at"], datetime)]
        own = fact["started_at"]
        return isinstance(own, datetime) and own == (min(times) if name == "first" else max(times))
    size = _SIZES[fact.kind]
    sizes = [abs(value) for one in others if isinstance(value := one[size], int | float)]
    value = fact[size]
    if not sizes or not isinstance(value, int | float):
        return False
    return abs(value) >= max(sizes) if name in {"max", "first"} else abs(value) <= min(sizes)


def _of_one_sort(one: Fact, other: Fact) -> bool:
    """Usage of apps is set against apps, of domains against domains."""
    return one.kind is not FactKind.USAGE or one.fact_id.rsplit(":", 2)[1] == other.fact_id.rsplit(":", 2)[1]


def _is_majority(fact: Fact, book: FactBook) -> bool:
    if fact.kind is FactKind.USAGE:
        share = fact["day_share"]
        return isinstance(share, int | float) and share > 0.5
    active = book.kpi("active_s", fact.date)
    seconds = fact.fields.get("value") or fact.fields.get("duration_s")
    if active is None or seconds is None or seconds.unit not in {FieldUnit.SECONDS, FieldUnit.SHARE}:
        return False
    whole = active["value"] if seconds.unit is FieldUnit.SECONDS else 1.0
    return (
        isinstance(whole, int | float)
        and isinstance(seconds.value, int | float)
        and seconds.value > whole / 2
    )
