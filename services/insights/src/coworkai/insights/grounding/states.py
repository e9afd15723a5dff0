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
        if _is_verb(item, reading) or (entry.direction is not None and not has_target(reading)):
            continue
        if _is_of_tool(item, reading) or _is_of_day(item, reading):
            continue
        facts = _said_of(item, reading)
        if facts:
            negated = is_negated(item, reading)
            if not all(_agrees(item, fact, negated=negated) for fact in facts):
                yield Found(Rule.STATUS, item, "a status that the cited fact does not have")
        elif not _is_of_counts(reading) and not reading.is_plan and item.text in lexicon().sets["strong"]:
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


def _is_of_day(item: Item, reading: Reading) -> bool:
    """ "The day closed with {0} still open": said of the day itself."""
    before = reading.word_before(item)
    while before is not None and before.text in _AUXILIARIES:
        before = reading.word_before(before)
    if before is None or before.part != item.part or before.text not in lexicon().sets["day_subjects"]:
        return False
    return not any(other.place is not None for other in reading.before(item))


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
    said = [table[word] for word in item.entry.statuses if word in table]
    allowed = set.intersection(*said) if negated and said else set().union(*said)
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


def has_target(reading: Reading) -> bool:
    return any(fact.kind is FactKind.TARGET for fact in reading.cited)
