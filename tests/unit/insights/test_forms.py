"""What the prompt tells its writer to say passes the gate, and turned round it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import islice

import pytest
from benchmarks.grounding import DAYS, REPORTED_SEED
from benchmarks.grounding_cases import books, draw
from tests.unit.insights.forms import Form, read

from coworkai.common.measures import CATALOGUE
from coworkai.insights.brief import Statement, StatementKind
from coworkai.insights.facts import FactBook
from coworkai.insights.grounding import violations
from coworkai.insights.grounding.lexicon import lexicon
from coworkai.insights.phrases import number
from coworkai.insights.prompts.fill import saying

SAYING = read(saying())
SPELT = {"typing_density", "backspace_rate", "shortcut_share", "fragmentation", "tool_entropy"}
"""Measures of the books that are called by their own name."""
GROUPS = {**SAYING.groups, "other": [*SAYING.groups["other"], *sorted(SPELT)]}

# What a line's fields are of, as in the phrasings' format (benchmarks/grounding_cases.py): where the line is
# true, and where it is not.
TRUE: Mapping[str, Sequence[str]] = {
    "goal done": ["goal.done.1"],
    "goal open": ["goal.open.1"],
    "target met": ["target.met.1"],
    "target missed": ["target.missed.1"],
    "target unreported": ["target.unreported.1"],
    "target met or missed": ["target.met.1", "target.missed.1"],
    "area": ["area.1"],
    "usage": ["app.1", "domain.1"],
    "focus": ["focus.longest", "focus.first"],
    "wb": ["wb.longest", "wb.first", "wb.last"],
    "pause": ["pause.longest"],
    "chat": ["blocker.1"],
    "chat, blocker": ["blocker.1"],
    "chats": ["chats"],
    "theme": ["theme.1"],
    "day without telemetry": ["day.!has_telemetry"],
    "day without a manifest": ["day.is_eod_missing"],
    "day": ["day"],
    "advice on a goal": ["goal.open.1"],
    "on a target": ["target.missed.1", "target.unreported.1"],
    "on an area": ["area.1"],
    "on a blocker": ["blocker.1"],
    "on a theme": ["theme.1"],
    "on usage": ["app.2", "domain.1"],
    "on focus": ["focus.longest"],
}
FALSE: Mapping[str, Sequence[str]] = {
    "goal done": ["goal.open.1"],
    "goal open": ["goal.done.1"],
    "target met": ["target.missed.1", "target.unreported.1"],
    "target missed": ["target.met.1", "target.unreported.1"],
    "target unreported": ["target.met.1", "target.missed.1"],
    "day without telemetry": ["day.has_telemetry"],
    "day without a manifest": ["day.!is_eod_missing"],
}


@cache
def sample() -> Sequence[FactBook]:
    return tuple(books(REPORTED_SEED, DAYS))


def cited(text: str, prefix: str) -> str:
    """`{name}` as `{goal.done.1.name}`."""
    return text.replace("{", "{" + prefix + ".")


def is_fitting(form: Form, prefix: str) -> bool:
    """A longest block is the longest one's, a top app an app's."""
    words = form.text.split()
    if form.of == "usage":
        return not {"app", "site"} & set(words) or ("app" in words) == prefix.startswith("app")
    if prefix.startswith("target.unreported") and "{actual}" in form.text:
        return False
    named = {"longest", "first", "last"} & set(words)
    return not named or prefix.rpartition(".")[2] in named


def by_kind() -> Iterator[tuple[str, str, str]]:
    for line, prefixes in TRUE.items():
        for form in SAYING.forms[line]:
            for prefix in prefixes:
                if is_fitting(form, prefix):
                    yield line, kind_of(line), cited(form.text, prefix)


def kind_of(line: str) -> str:
    if line.startswith(("advice", "on ")):
        return StatementKind.NEXT_STEP.value
    return (StatementKind.DATA_QUALITY if line.startswith("day") else StatementKind.INSIGHT).value


def of_measures() -> Iterator[tuple[str, str, str]]:
    for group, measures in GROUPS.items():
        for measure in measures:
            for noun in SAYING.called.get(measure, [measure.replace("_", " ")]):
                for text in _of_measure(group, noun):
                    yield group, StatementKind.INSIGHT.value, _measured(text, measure)
    for form in SAYING.forms["one measure"]:
        yield form.of, StatementKind.INSIGHT.value, cited(form.text, "kpi")


def _of_measure(group: str, noun: str) -> Iterator[str]:
    heads = [form.text.replace("M", noun) for form in SAYING.forms[group]]
    yield from heads
    for at, form in enumerate(SAYING.forms["after a value"]):
        yield heads[at % len(heads)] + form.text
    for line in ("alone", "two days"):
        yield from (form.text.replace("M", noun) for form in SAYING.forms[line])


def _measured(text: str, measure: str) -> str:
    """The form with the measure's facts; of two values the one beside "the day before" is that day's."""
    text = text.replace("{value} the day before", f"{{prev.kpi.{measure}}} the day before")
    text = text.replace("{value}", f"{{kpi.{measure}}}")
    for field in ("median", "difference", "change"):
        text = text.replace(f"{{{field}}}", f"{{base.{measure}.{field}}}")
    return text


STATED = [*by_kind(), *of_measures()]
_TURN = re.compile(r"<([^;]*);([^>]*)>")
_MEASURE = re.compile(r"\{(?:prev\.)?kpi\.(\w+)\}|\{base\.(\w+)\.")


def statements(kind: str, text: str, *, turned: bool = False) -> Iterator[tuple[Statement, FactBook]]:
    """The form over all books, with the words of up or down that are true of each, or else the others."""
    for book in sample():
        change = change_of(text, book) if _TURN.search(text) else 1
        if change == 0:
            continue
        said = _TURN.sub(r"\1" if (change > 0) != turned else r"\2", text)
        one = draw({"kind": kind, "text": f"{said}."}, book)
        if one is not None:
            yield one.statement(), book


def change_of(text: str, book: FactBook) -> float:
    """How a measure moved: since the day before where that is spoken of, else against its usual."""
    found = _MEASURE.search(text)
    assert found is not None
    measure = found[1] or found[2]
    if "{prev." in text:
        before = book.kpi(measure, book.primary - timedelta(days=1))
        return number(book.kpi(measure), "value") - number(before, "value")
    return number(book.baseline(measure), "difference")


@pytest.mark.parametrize(("of", "kind", "text"), STATED, ids=str)
def test_what_the_prompt_tells_to_say_may_be_published(of: str, kind: str, text: str) -> None:
    said = list(statements(kind, text))
    assert said, of
    for statement, book in said:
        found = violations(statement, book, book.facts)
        assert found == [], [(one.rule.value, statement.text_template[one.start : one.end]) for one in found]


ADVICE = [form for line in SAYING.forms if line.startswith(("advice", "on ")) for form in SAYING.forms[line]]
AROUND = SAYING.forms["before and after"]


@pytest.mark.parametrize("form", ADVICE, ids=lambda form: form.text)
def test_advice_may_be_given_in_every_tone_and_for_any_time(form: Form) -> None:
    prefix = TRUE[form.of][0]
    for word in AROUND:
        own = word.text.replace("{name}", "{goal.open.2.name}")
        before = own in {"you could", "try to"}
        said = f"{own} {cited(form.text, prefix)}" if before else f"{cited(form.text, prefix)} {own}"
        for statement, book in islice(statements(StatementKind.NEXT_STEP.value, said), 3):
            assert violations(statement, book, book.facts) == [], statement.text_template


def untrue() -> Iterator[tuple[str, str]]:
    for line, prefixes in FALSE.items():
        for form in SAYING.forms[line]:
            for prefix in prefixes:
                yield kind_of(line), cited(form.text, prefix)


@pytest.mark.parametrize(("kind", "text"), [*untrue()])
def test_a_status_of_another_fact_is_refused(kind: str, text: str) -> None:
    for statement, book in statements(kind, text):
        assert violations(statement, book, book.facts), statement.text_template


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for _, kind, text in STATED if _TURN.search(text)])
def test_a_direction_turned_round_is_refused(kind: str, text: str) -> None:
    for statement, book in statements(kind, text, turned=True):
        assert violations(statement, book, book.facts), statement.text_template


def test_every_line_with_forms_is_tried() -> None:
    tried = {*TRUE, *GROUPS, "one measure", "two days", "after a value", "alone", "before and after"}
    assert {line for line, forms in SAYING.forms.items() if forms} <= tried


def test_measures_are_called_as_the_gate_knows_them() -> None:
    for measure in SAYING.called.keys() | SPELT:
        assert measure in CATALOGUE
        for noun in SAYING.called.get(measure, [measure.replace("_", " ")]):
            words = noun.removeprefix("the ").removeprefix("your ").split()
            assert any(
                measure in entry.measures
                for start in range(len(words))
                if (entry := lexicon().entries.get(tuple(words[start:]))) is not None
            ), noun
