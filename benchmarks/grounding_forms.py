"""The sentences that the prompt tells its writer (`prompts/brief_v2.md`, saying), by themselves and joined.

    - goal done: `{name} is/was done`   ─▶  Form("goal done", "{name} is done"), Form(…, "{name} was done")
    clauses()                           ─▶  "<{goal.done.1.name} is done;{goal.done.1.name} remains open>", …
    joined(random, count)               ─▶  phrasings of two or three of them, as grounding_phrasings has

In a form `a/b` and `(a b|c)` are choices, `[a]` may be left out, and `M` is what a measure is called.
Pairs of words of up and down stay together, as `<more;less>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import product
from random import Random

from benchmarks.grounding_cases import draw
from coworkai.insights.brief import Statement, StatementKind
from coworkai.insights.facts import FactBook
from coworkai.insights.phrases import number
from coworkai.insights.prompts.fill import saying

_BULLET = re.compile(r"^- ([^`:{]+?)(?:: |(?= `))(.*)$")
_QUOTED = re.compile(r"`([^`]+)`")
_NAMED = re.compile(r"([a-z_]+): ([^;`]+)")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)|(?<![\w{}])([\w'-]+(?:/[\w'-]+)+)(?![\w{}])")
_OPTION = re.compile(r"\[([^\[\]]*)\]")
_TURN = re.compile(r"<([^;]*);([^>]*)>")
_MEASURE = re.compile(r"\{(?:prev\.)?kpi\.(\w+)\}|\{base\.(\w+)\.")
UP_DOWN = frozenset({"more/less", "above/below", "up/down", "higher/lower", "rose/fell"})


# ------------------------------------------------------------------------------------------------ forms
@dataclass(frozen=True, slots=True)
class Form:
    """One reading of a form; `of` is what its line says that it is for."""

    of: str
    text: str


@dataclass(frozen=True, slots=True)
class Saying:
    """The forms by line, and what measures are called by measure."""

    forms: Mapping[str, Sequence[Form]]
    called: Mapping[str, Sequence[str]]
    groups: Mapping[str, Sequence[str]]


def read(section: str) -> Saying:
    forms: dict[str, list[Form]] = {}
    called: dict[str, Sequence[str]] = {}
    groups: dict[str, Sequence[str]] = {}
    for line in section.splitlines():
        bullet = _BULLET.match(line)
        if bullet is None:
            continue
        label, body = bullet.groups()
        forms[label] = [Form(label, text) for form in _QUOTED.findall(body) for text in readings(form)]
        named = {name: nouns.strip().split("/") for name, nouns in _NAMED.findall(_QUOTED.sub("", body))}
        called |= named
        groups[label] = tuple(named)
    return Saying(forms, called, groups)


def readings(form: str) -> Iterator[str]:
    """Every choice of a form, with and without what may be left out."""
    form = re.sub("|".join(UP_DOWN), lambda pair: f"<{pair[0].replace('/', ';')}>", form)
    yield from dict.fromkeys(" ".join(text.split()) for text in _chosen(form))


def _chosen(form: str) -> Iterator[str]:
    option = _OPTION.search(form)
    if option is not None:
        for text in ("", option[1]):
            yield from _chosen(form[: option.start()] + text + form[option.end() :])
        return
    parts: list[Sequence[str]] = []
    end = 0
    for choice in _CHOICE.finditer(form):
        parts.append((form[end : choice.start()],))
        parts.append(choice[1].split("|") if choice[1] is not None else choice[2].split("/"))
        end = choice.end()
    parts.append((form[end:],))
    yield from ("".join(one) for one in product(*parts))


SAYING = read(saying())
SPELT = ("backspace_rate", "fragmentation", "shortcut_share", "tool_entropy", "typing_density")
"""Measures of the books that are called by their own name."""
GROUPS = {**SAYING.groups, "other": [*SAYING.groups["other"], *SPELT]}

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
_UNTRUE_OF = {
    "goal done": ["goal open"],
    "goal open": ["goal done"],
    "target met": ["target missed", "target unreported"],
    "target missed": ["target met", "target unreported"],
    "target unreported": ["target met", "target missed"],
}
"""What is not true of what a line is true of."""


def cited(text: str, prefix: str) -> str:
    """`{name}` as `{goal.done.1.name}`."""
    return text.replace("{", "{" + prefix + ".")


def is_fitting(form: Form, prefix: str) -> bool:
    """A longest block is the longest one's, a top app an app's, and what is unreported has no value."""
    words = form.text.split()
    if form.of == "usage":
        return not {"app", "site"} & set(words) or ("app" in words) == prefix.startswith("app")
    if prefix.startswith("target.unreported") and ("{actual}" in form.text or "bring" in words):
        return False
    named = {"longest", "first", "last"} & set(words)
    return not named or prefix.rpartition(".")[2] in named


def of_measure(group: str, noun: str) -> Iterator[str]:
    """What may be said of a measure by its noun, without its facts."""
    heads = [form.text.replace("M", noun) for form in SAYING.forms[group]]
    yield from heads
    for at, form in enumerate(SAYING.forms["after a value"]):
        yield heads[at % len(heads)] + form.text
    for line in ("alone", "two days"):
        yield from (form.text.replace("M", noun) for form in SAYING.forms[line])


def nouns_of(measure: str) -> Sequence[str]:
    return SAYING.called.get(measure, [measure.replace("_", " ")])


def measured(text: str, measure: str) -> str:
    """The form with the measure's facts; of two values the one beside "the day before" is that day's."""
    text = text.replace("{value} the day before", f"{{prev.kpi.{measure}}} the day before")
    text = text.replace("{value}", f"{{kpi.{measure}}}")
    for field in ("median", "difference", "change"):
        text = text.replace(f"{{{field}}}", f"{{base.{measure}.{field}}}")
    return text


# ------------------------------------------------------------------------------------------------ by itself
AROUND = SAYING.forms["before and after"]


def kind_of(line: str) -> str:
    if line.startswith(("advice", "on ")):
        return StatementKind.NEXT_STEP.value
    return (StatementKind.DATA_QUALITY if line.startswith("day") else StatementKind.INSIGHT).value


def stated() -> Iterator[tuple[str, str]]:
    """Every form with its facts, after the line that it is of; `<more;less>` as the measure moved."""
    for line, prefixes in TRUE.items():
        for form in SAYING.forms[line]:
            yield from ((line, cited(form.text, one)) for one in prefixes if is_fitting(form, one))
    for group, measures in GROUPS.items():
        for measure in measures:
            for noun in nouns_of(measure):
                yield from ((group, measured(text, measure)) for text in of_measure(group, noun))
    yield from ((form.of, cited(form.text, "kpi")) for form in SAYING.forms["one measure"])


def untrue() -> Iterator[tuple[str, str]]:
    """Every form of a status, of facts that have another."""
    for line, prefixes in FALSE.items():
        for form in SAYING.forms[line]:
            yield from ((line, cited(form.text, one)) for one in prefixes)


def statement(line: str, text: str, book: FactBook, *, turned: bool = False) -> Statement | None:
    """The form of the book, with the words of up or down that are true of it, or else the others."""
    change = _change_of(text, book) if _TURN.search(text) else 1
    if change == 0:
        return None
    said = _TURN.sub(r"\1" if (change > 0) != turned else r"\2", text)
    drawn = draw({"kind": kind_of(line), "text": f"{said}."}, book)
    return None if drawn is None else drawn.statement()


def has_turn(text: str) -> bool:
    return _TURN.search(text) is not None


def _change_of(text: str, book: FactBook) -> float:
    """How a measure moved: since the day before where that is spoken of, else against its usual."""
    found = _MEASURE.search(text)
    if found is None:
        raise ValueError(text)
    measure = found[1] or found[2]
    if "{prev." in text:
        before = book.kpi(measure, book.primary - timedelta(days=1))
        return number(book.kpi(measure), "value") - number(before, "value")
    return number(book.baseline(measure), "difference")


# ------------------------------------------------------------------------------------------------ clauses
@dataclass(frozen=True, slots=True)
class Clause:
    """A form with its facts: `facts` by which two clauses are of the same, `line` as the prompt has it."""

    line: str
    text: str
    facts: frozenset[str]


_STATED = (
    *_UNTRUE_OF, "target met or missed", "area", "usage", "focus", "wb", "pause", "chat, blocker", "chats",
    "theme", "day",
)  # fmt: skip
_ADVICE = tuple(line for line in SAYING.forms if line.startswith(("advice", "on ")))
_FACT = re.compile(r"\{((?:prev\.|base\.)?[a-z]+(?:\.[\w!]+)?)")
_AKIN = {"active_net_s": "active_s", "context_switches_per_hour": "context_switches", "longest_block_s": "wb",
         "workblocks": "wb", "focus_blocks": "focus"}  # fmt: skip


@cache
def clauses() -> Sequence[Clause]:
    """Every form that says something of a day, true of its facts; a status with what it is not."""
    found = [
        _clause(line, said)
        for line in _STATED
        for prefix in TRUE[line]
        for form in SAYING.forms[line]
        if is_fitting(form, prefix)
        for said in [_with_untrue(line, form, prefix)]
    ]
    for group, measures in GROUPS.items():
        for measure in measures:
            for noun in nouns_of(measure):
                found += [
                    _clause(group, _TURN.sub(rf"[{measure}: \1|\2]", measured(text, measure)))
                    for text in of_measure(group, noun)
                    if "the day before" not in text or "<" not in text
                ]
    return [
        *found,
        *(_clause("one measure", cited(form.text, "kpi")) for form in SAYING.forms["one measure"]),
    ]


@cache
def advice() -> Sequence[Clause]:
    return [
        _clause(line, cited(form.text, prefix))
        for line in _ADVICE
        for prefix in TRUE[line]
        for form in SAYING.forms[line]
        if is_fitting(form, prefix) and ("report" in form.text) == (prefix == "target.unreported.1")
    ]


def _clause(line: str, text: str) -> Clause:
    facts = set()
    for fact in _FACT.findall(text):
        *_, name = fact.split(".") if fact.startswith(("kpi", "prev", "base")) else [fact]
        name = ".".join(name.split(".")[:2]) if name.startswith(("goal", "target")) else name.split(".")[0]
        facts.add(_AKIN.get(name, name))
    return Clause(line, text, frozenset(facts))


def _with_untrue(line: str, form: Form, prefix: str) -> str:
    true = cited(form.text, prefix)
    others = [
        other
        for against in _UNTRUE_OF.get(line, ())
        for other in SAYING.forms[against]
        if is_fitting(other, prefix)
    ]
    if not others:
        return true
    return f"<{true};{cited(others[len(form.text) % len(others)].text, prefix)}>"


# ------------------------------------------------------------------------------------------------ joins
_Join = Callable[[Random], str]


def joined(random: Random, count: int) -> Iterator[Mapping[str, str]]:
    """Phrasings of two or three forms, joined in the ways that the prompt allows; the same for a seed."""
    for at in range(count):
        is_advice = at % 4 == 3
        said = random.choice(_ADVISED if is_advice else _SAID)(random)
        said = ". ".join(_capital(sentence) for sentence in said.split(". "))
        kinds = (
            (StatementKind.NEXT_STEP, StatementKind.RECOMMENDATION)
            if is_advice
            else (StatementKind.HEADLINE, StatementKind.MOMENTUM, StatementKind.INSIGHT)
        )
        yield {"kind": random.choice(kinds).value, "text": f"{said}."}


def _capital(text: str) -> str:
    return text if text.startswith(("{", "[")) else text[:1].upper() + text[1:]


def _some(random: Random, *taken: Clause, among: Sequence[Clause] | None = None) -> Clause:
    """A clause that is of nothing that others are of; lines are as likely as each other."""
    facts = frozenset().union(*(clause.facts for clause in taken))
    free = [one for one in (clauses() if among is None else among) if not one.facts & facts]
    line = random.choice(sorted({one.line for one in free}))
    return random.choice([one for one in free if one.line == line])


def _two(random: Random) -> str:
    first = _some(random)
    second = _some(random, first)
    join = random.choice((" and ", ", and ", ", but ", ", while ", "; ", ". ", " while "))
    return first.text + join + second.text


def _three(random: Random) -> str:
    first = _some(random)
    second = _some(random, first)
    third = _some(random, first, second)
    joins = random.choice(
        ((", while ", "; "), ("; ", ", and "), (", ", " and "), (" and ", ". "), (", ", ", and "))
    )
    return first.text + joins[0] + second.text + joins[1] + third.text


def _at_a_time(random: Random) -> str:
    said = _two(random) if random.random() < 0.5 else _some(random).text
    if "day before" in said or ". " in said:
        return said
    word = random.choice(("on [day], ", "today ", "today, "))
    free = random.choice(("", "", "so far, ", "in total, ")) if not word.endswith(", ") else ""
    return word + free + said


def _at_its_end(random: Random) -> str:
    lines = {
        "goal done",
        "goal open",
        "target met",
        "target missed",
        "usage",
        "theme",
        "chats",
        "time",
        "count",
    }
    among = [one for one in clauses() if one.line in lines and "day before" not in one.text]
    first = _some(random, among=among)
    ends = random.choice((" on [day]", " today", " so far"))
    text = first.text
    if text.startswith("<"):
        text = text.replace(";", f"{ends};").replace(">", f"{ends}>")
    elif "[" in text or "," in text:
        return text
    else:
        text += ends
    return text + random.choice((", and ", "; ", ". ")) + _some(random, first).text


_LISTED = {
    "is": "are", "was": "were", "has": "have", "remains": "remain", "misses": "miss",
}  # fmt: skip


def _listed(random: Random) -> str:
    """A list of goals: what is said of it is true of each."""
    line = random.choice(("goal done", "goal open"))
    prefix = TRUE[line][0][:-1]
    length = random.choice((2, 2, 3))
    names = [f"{{{prefix}{n}.name}}" for n in range(1, length + 1)]
    names_text = ", ".join(names[:-1]) + " and " + names[-1]

    def said(of: str) -> str:
        form = random.choice([one.text for one in SAYING.forms[of] if "its" not in one.text])
        text = " ".join(_LISTED.get(word, word) for word in form.split()).replace("{name}", "{}")
        if random.random() < 0.4:
            word = "both" if length == 2 else "all"
            text = re.sub(r"^\{\} (are|were|have)\b", rf"{{}} \1 {word}", text)
        return text.replace("{}", names_text)

    text = f"<{said(line)};{said(_UNTRUE_OF[line][0])}>"
    if random.random() < 0.6:
        return text
    second = _some(random, Clause(line, "", frozenset({prefix[:-1]})))
    return text + random.choice((", and ", "; ", ", while ", ", but ")) + second.text


def _with(random: Random) -> str:
    group = random.choice(("time", "count", "other"))
    measure = random.choice(list(GROUPS[group]))
    noun = random.choice(nouns_of(measure)).removeprefix("the ").removeprefix("your ")
    if measure == "after_hours_s":
        noun = "work outside your schedule"
    value = f"{{kpi.{measure}}}"
    said = {
        "time": (f"{value} of {noun}", f"{noun} at {value}", f"{noun} reaching {value}"),
        "count": (f"{value} {noun}",),
        "other": (f"{noun} at {value}",) if noun != "median stay" else (f"a median stay of {value}",),
    }
    part = _clause("with", random.choice(said[group]))
    return f"{_some(random, part).text}, with {part.text}"


def _bracketed(random: Random) -> str:
    line = random.choice(("target met", "target missed", "usage", "wb", "focus"))
    if line.startswith("target"):
        prefix = TRUE[line][0]
        forms = [one for one in SAYING.forms[line] if "{target}" not in one.text]
        said = _with_untrue(line, random.choice(forms), prefix)
        tail = random.choice(("({actual} of {target})", "(target: {target})", "({attainment})"))
        text = f"{said} {cited(tail, prefix)}"
    elif line == "usage":
        text = cited(
            "{name} took {duration_s} ({day_share} of the day)", random.choice(("app.1", "app.3", "domain.1"))
        )
    else:
        which = {"wb": ("longest", "workblock"), "focus": ("longest", "focus block")}[line]
        text = f"your {which[0]} {which[1]} ran from {{started_at}} to {{ended_at}} ({{duration_s}})"
        text = cited(text, f"{line}.{which[0]}")
    first = _clause(line, text)
    return (
        text
        if random.random() < 0.3
        else text + random.choice((", and ", "; ", ", while ")) + _some(random, first).text
    )


def _after_a_colon(random: Random) -> str:
    if random.random() < 0.5:
        group = random.choice(("time", "count", "other"))
        measure = random.choice(list(GROUPS[group]))
        noun = random.choice(nouns_of(measure))
        tail = random.choice(["", *(one.text for one in SAYING.forms["after a value"])])
        tail = _TURN.sub(rf"[{measure}: \1|\2]", measured(tail, measure))
        first = _clause(group, f"{noun}: {{kpi.{measure}}}{tail}")
    else:
        line = random.choice(list(_UNTRUE_OF))
        prefix = TRUE[line][0]
        tail = " ({actual} of {target})" if line in {"target met", "target missed"} else ""
        first = _clause(line, cited(random.choice(("{name}: {status}", "{name} is {status}")) + tail, prefix))
    return first.text if random.random() < 0.3 else f"{first.text}; {_some(random, first).text}"


def _value_first(random: Random) -> str:
    if random.random() < 0.5:
        group = random.choice(("time", "count", "other"))
        measure = random.choice(list(GROUPS[group]))
        noun = random.choice(nouns_of(measure))
        verb = "were" if noun.endswith(("switches", "blocks", "workblocks")) else "was"
        tail = random.choice(
            (
                f"<above;below> your usual {{base.{measure}.median}}",
                f"{{base.{measure}.difference}} <higher;lower> than usual",
            )
        )
        first = _clause(
            group, f"at {{kpi.{measure}}}, {noun} {verb} " + _TURN.sub(rf"[{measure}: \1|\2]", tail)
        )
    else:
        line = random.choice(("target met", "target missed"))
        prefix = TRUE[line][0]
        forms = [one for one in SAYING.forms[line] if "{target}" not in one.text]
        front = random.choice(("{attainment} of its target", "{actual} of {target}"))
        said = _with_untrue(line, random.choice(forms), prefix)
        first = _clause(line, f"at {cited(front, prefix)}, {said}")
    return (
        first.text
        if random.random() < 0.4
        else first.text + random.choice(("; ", ", and ")) + _some(random, first).text
    )


def _relative(random: Random) -> str:
    """`which` and `it` for what was named last."""
    first, said = random.choice(
        (
            ("your top app was {app.1.name}", "took {app.1.duration_s}"),
            ("your top site was {domain.1.name}", "was open for {domain.1.duration_s}"),
            (
                "you sent {chats.messages} messages and {theme.1.name} came up",
                "came up in {theme.1.messages} messages",
            ),
            (
                "a focus block ran from {focus.longest.started_at} to {focus.longest.ended_at}",
                "was your longest",
            ),
            ("a focus block began at {focus.longest.started_at}", "lasted {focus.longest.duration_s}"),
            (
                "you <met the target;did not reach the target> for {target.met.1.name}",
                "is at {target.met.1.actual} of {target.met.1.target}",
            ),
            ("{area.1.name} is a focus area", "you declared"),
        )
    )
    if said == "you declared":
        text = f"{first} {said}"
    elif first.startswith("you sent"):
        text = f"{{theme.1.name}} {said}"
    else:
        text = first + random.choice((", which ", "; it ", ", and it ", ". It ")) + said
    one = _clause("relative", text)
    return text if random.random() < 0.4 else text + random.choice(("; ", ", and ")) + _some(random, one).text


def _shared_subject(random: Random) -> str:
    """`you` said once for two verbs."""
    among = [one for one in clauses() if re.match(r"<?you ", one.text)]
    first = _some(random, among=among)
    second = _some(random, first, among=among)
    text = re.sub(r"(^|<|;)you ", r"\1", second.text)
    return first.text + random.choice((" and ", " but ", ", and ")) + text


def _usages(random: Random) -> str:
    names = random.sample(("app.1", "app.2", "app.3", "app.4"), random.choice((2, 3)))
    parts = [cited("{duration_s} in {name}", name) for name in names]
    text = f"you spent {', '.join(parts[:-1])} and {parts[-1]}"
    return text if random.random() < 0.5 else f"{text}; {_some(random, _clause('usage', text)).text}"


def _advice(random: Random, *taken: Clause) -> tuple[Clause, str]:
    one = _some(random, *taken, among=advice())
    text = one.text
    tone = random.choice(("", "", "", "you could ", "try to "))
    when = random.choice(
        ("", "", " first", " next", " tomorrow", " in the morning", " before {goal.open.2.name}")
    )
    if "during focus blocks" in text or "target of" in text or "{text}" in text or "free for" in text:
        when = random.choice(("", " tomorrow")) if not tone else ""
    if when.startswith(" before") and (
        one.line == "on an area" or any("goal" in clause.facts for clause in taken)
    ):
        when = ""
    return one, tone + text + when


def _advised(random: Random) -> str:
    return _advice(random)[1]


def _advised_twice(random: Random) -> str:
    first, text = _advice(random)
    _, other = _advice(random, first, _clause("", "{goal.open.2.name}") if "goal.open.2" in text else first)
    other = other.removeprefix("you could ").removeprefix("try to ")
    return text + random.choice((" and ", ", then ", "; ", ", and ")) + other


def _advised_and_said(random: Random) -> str:
    first, text = _advice(random)
    used = _clause("", text)
    kept = [one for one in clauses() if not one.facts & used.facts]
    return f"{text}; {_some(random, first, among=kept).text}"


def _advised_with_status(random: Random) -> str:
    """`it` and `which` for what the advice is on."""
    line, of = random.choice(
        (
            ("advice on a goal", "goal open"), ("on a target", "target missed"),
            ("on a target", "target unreported"), ("on usage", "usage"), ("on a theme", "theme"),
        )
    )  # fmt: skip
    prefix = {"usage": "app.2"}.get(of, TRUE[of][0])
    among = [
        one.text
        for one in advice()
        if one.line == line
        and cited("{name}", prefix) in one.text
        and not ("{target." in one.text.replace("name}", "") and "of" in one.text)
    ]

    def said(of: str) -> str:
        forms = [
            one.text for one in SAYING.forms[of] if one.text.startswith("{name} ") and is_fitting(one, prefix)
        ]
        forms = [one for one in forms if "{target}" not in one]
        return cited(random.choice(forms).removeprefix("{name} "), prefix)

    its = said(of)
    if of in _UNTRUE_OF:
        its = f"<{its};{said(_UNTRUE_OF[of][0])}>"
    join = random.choice(("; it ", ", which ", ". It "))
    return random.choice(among) + join + its


_SAID: Sequence[_Join] = (
    _two, _two, _two, _three, _three, _at_a_time, _at_its_end, _listed, _listed, _with, _bracketed,
    _after_a_colon, _value_first, _relative, _shared_subject, _usages,
)  # fmt: skip
_ADVISED: Sequence[_Join] = (
    _advised, _advised_twice, _advised_and_said, _advised_and_said, _advised_with_status,
)  # fmt: skip
