"""Status words and flags, against the facts that they are said of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from coworkai.insights.facts import Fact, FactKind, FieldUnit, Status
from coworkai.insights.grounding.lexicon import Rule, lexicon
from coworkai.insights.grounding.reading import Item, Reading
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
_AUXILIARIES = frozenset({"was", "is", "had", "has", "been", "got", "then", "were", "be"})
_VERBS = frozenset({*_AUXILIARIES, "are", "have", "did", "stands", "came to", "remain"})
_LINKS = frozenset({",", "and", "both", "also"})
_STATED = frozenset({FactKind.GOAL, FactKind.TARGET})
_COUNTED = {"goals_done", "goals_declared"}
SUBJECTS = {
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
    """A status word is said of what has the status, negated of what has the other one, and of every goal and
    target something is."""
    told = {
        item.place.fact.fact_id
        for item in reading.places
        if item.place is not None and not item.place.is_name
    }
    for item in reading.items:
        entry = item.entry
        if item.place is not None:
            yield from _placed(item, reading)
        if entry is None or not entry.statuses or entry.refused is not None:
            continue
        advises = reading.advises(item)
        if _is_wanted(item, reading) or (
            advises and (item.text in lexicon().sets["asked"] or item.text.startswith("to "))
        ):
            continue
        if "blocker" in entry.statuses:
            yield from _blocker(item, reading)
            continue
        if _is_verb(item, reading) or is_comparison(item, reading):
            continue
        if _is_of_tool(item, reading) or _is_of_day(item, reading) or _is_of_record(item, reading):
            continue
        facts = _said_of(item, reading)
        told |= {fact.fact_id for fact in facts}
        if facts:
            negated = is_negated(item, reading)
            if not all(_agrees(item, fact, negated=negated) for fact in facts):
                yield Found(Rule.STATUS, item, "a status that the cited fact does not have")
        elif not _is_of_counts(reading) and not advises and item.text in lexicon().sets["strong"]:
            yield Found(Rule.STATUS, item, "a status of nothing that is cited")
    yield from _unstated(reading, told)


def _unstated(reading: Reading, told: set[str]) -> Iterator[Found]:
    """A goal or target is named for what it is known to be: a status, a value, or declared; and in words that
    say no other state of it, as what is not understood could."""
    for item in reading.places:
        place = item.place
        if place is None or not place.is_name or place.fact.kind not in _STATED or reading.advises(item):
            continue
        unknown = next((other for other in reading.part_of(item) if _may_be_status(other)), None)
        if unknown is not None:
            yield Found(Rule.STATUS, unknown, "what is said of a goal or target in other words than a status")
        elif place.fact.fact_id not in told and not any(
            other.text in lexicon().sets["declaring"] for other in reading.sentence_of(item)
        ):
            yield Found(Rule.STATUS, item, "a goal or target of which nothing known is said")


def _may_be_status(item: Item) -> bool:
    """Whether it is a word that no rule looks at, and none of those that stand with statuses."""
    sets = lexicon().sets
    return (
        item.entry is not None
        and item.entry.is_plain
        and not (
            item.text in sets["hollow"]
            or item.text in sets["auxiliary"]
            or item.text in sets["beside_status"]
        )
    )


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


def _is_of_day(item: Item, reading: Reading) -> bool:
    """ "The day closed with {0} still open": said of the day itself."""
    before = reading.word_before(item)
    while before is not None and before.text in _AUXILIARIES:
        before = reading.word_before(before)
    if before is None or before.part != item.part or before.text not in lexicon().sets["day_subjects"]:
        return False
    return not any(other.place is not None for other in reading.before(item))


def _is_of_record(item: Item, reading: Reading) -> bool:
    """ "The end-of-day manifest is missing": said of what arrives, and held to the day's flags."""
    if item.entry is None or not item.entry.absence:
        return False
    before = next((one for one in reading.before(item) if one.place or (one.entry and one.entry.flags)), None)
    return before is not None and before.place is None


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
    kinds = set().union(*(SUBJECTS.get(status, set()) for status in entry.statuses)) if entry else set()
    if FactKind.TARGET in {fact.kind for fact in reading.cited} and FactKind.GOAL not in {
        f.kind for f in reading.cited
    }:
        kinds = {FactKind.TARGET}
    stated = [one for one in reading.places if one.place is not None and one.place.fact.kind in kinds]
    own = [one for one in stated if one.part == item.part]
    if own:
        before = [one for one in own if one.at < item.at]
        joined = _bare_before(before[0] if before else own[0], reading, stated, item)
        listed = [] if before else _listed_after(own[-1], reading)
        return _facts([*joined, *own, *listed])
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
    """ "{0} and {1} are done": names in parts of their own, joined by commas and "and".

    Not those that a status before them is said of: "You finished {0} and {1}, and {2} is open".
    """
    if status.at < first.at:
        return []
    found: list[Item] = []
    own_clause: list[Item] | None = None
    last = first
    for one in reversed([other for other in stated if other.at < first.at and _is_name_in(other, first)]):
        between = [other.text for other in reading.items[one.at + 1 : last.at]]
        if not between or not set(between) <= _LINKS:
            break
        if own_clause is None and between == [",", "and"]:
            own_clause = list(found)
        if _has_status_in_part(one, reading):
            return own_clause or []
        found.append(one)
        last = one
    return found


def _is_name_in(item: Item, other: Item) -> bool:
    return item.place is not None and item.place.is_name and item.sentence == other.sentence


def _listed_after(last: Item, reading: Reading) -> list[Item]:
    """ "You finished {0}, {1} and {2}": names that the list goes on with, but for those of a clause that
    follows it: "You finished {0}, and {1} and {2} are open"."""
    found: list[Item] = []
    clause = 0
    if last.place is None or not last.place.is_name:
        return found
    for item in reading.items[last.at + 1 :]:
        if item.place is not None and item.place.is_name and item.place.fact.kind is last.place.fact.kind:
            if [other.text for other in reading.items[item.at - 2 : item.at]] == [",", "and"]:
                clause = len(found)
            found.append(item)
        elif item.text not in _LINKS:
            is_told = item.text in _VERBS or (item.entry is not None and bool(item.entry.statuses))
            is_own = bool(found) and item.at == found[-1].at + 1
            return found[: clause or -1] if is_told and is_own else found
    return found


def _has_status_in_part(item: Item, reading: Reading) -> bool:
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
    known = fact.get("status")
    status = known.value if known is not None else None
    if not isinstance(status, str) or item.entry is None:
        return False
    is_goal = fact.kind is FactKind.GOAL
    table = (_GOAL_NOT if negated else _GOAL) if is_goal else (_TARGET_NOT if negated else _TARGET)
    said = [table[word] for word in item.entry.statuses if word in table]
    allowed = set.intersection(*said) if negated and said else set().union(*said)
    if is_goal and negated and item.text in lexicon().sets["reports"]:
        allowed |= {Status.UNREPORTED.value}
    if status == Status.MET and not is_goal:
        attainment = fact["attainment"]
        exceeded = isinstance(attainment, int | float) and attainment > 1
        return bool(allowed & {"met", "exceeded" if exceeded else "met_exactly"})
    return status in allowed


def _is_wanted(item: Item, reading: Reading) -> bool:
    return any(
        other.entry is not None
        and (other.entry.wanted or (reading.advises(item) and other.entry.wanted_in_advice))
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
    if chats or counts or not reading.advises(item):
        yield Found(Rule.STATUS, item, "a blocker where none is cited, or none where one is")


def is_negated(item: Item, reading: Reading) -> bool:
    """Whether a word of the same part before it, back to the last value, takes it back; two do not.

    "An actual value has yet to be submitted" is taken back by what follows.
    """
    negations: list[str] = []
    for other in reading.before(item):
        if other.place is not None and other.place.is_number:
            break
        if other.entry is not None and other.entry.negation and not other.entry.statuses:
            negations.append(other.text)
    if "neither" in negations:
        negations = [text for text in negations if text != "nor"]
    if item.entry is not None and item.entry.statuses == {"reported"}:
        following = takewhile(lambda other: other.place is None, reading.after(item))
        negations += [one.text for one in following if one.entry is not None and one.entry.negation]
    return len(negations) % 2 == 1


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
            if flag == "has_telemetry" and not absent and len(days) < len(reading.cited):
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


def is_comparison(item: Item, reading: Reading) -> bool:
    """Whether a word of up or down compares with what is usual or was before, and not with a target."""
    entry = item.entry
    if entry is None or entry.direction is None:
        return False
    if not any(fact.kind is FactKind.TARGET for fact in reading.cited):
        return True
    return any(
        (other.entry is not None and other.entry.usual)
        or (other.place is not None and other.place.fact.kind is FactKind.BASELINE)
        for other in reading.part_of(item)
    )
