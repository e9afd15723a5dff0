"""True and false statements over seeded fact books, for measuring the grounding gate.

    books(seed, days)                       a worker's fact book for each of some days
    true_statements(book, phrasings, …)     what each phrasing says of it
    falsehoods(book, phrasings, …)          the same with the least change that makes it false, by kind

Phrasings are data (`grounding_phrasings/dev.toml`, `reported.toml`): the gate is tuned on the first with one
seed, and measured on the second with another.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from coworkai.common.measures import CATALOGUE
from coworkai.insights.brief import Claim, Statement, StatementKind
from coworkai.insights.facts import (
    FIELDS,
    Fact,
    FactBook,
    FactKind,
    Field,
    FieldUnit,
    Scalar,
    Status,
    by_id,
    fact_id,
    form_of,
)
from coworkai.insights.render import claim_text
from coworkai.local.sample.words import FOCUS_AREAS, GOALS, KPIS, PROMPTS

FOLDER = Path(__file__).parent / "grounding_phrasings"
FIRST_DAY = date(2026, 10, 1)
USER = "user_676c15e9a60db45679b111ce"
ZONE = "America/New_York"
_APPS = ("code", "chrome", "thunderbird", "slack", "terminal", "libreoffice calc", "dbeaver")
_DOMAINS = ("github.com", "docs.python.org", "wiki.northwind.example", "stackoverflow.com")
_WORDS = ("routing", "billing", "import", "dashboard", "invoice", "pagination")
_USUAL = {
    "active_s": (18_000, 32_000),
    "active_net_s": (17_000, 30_000),
    "after_hours_s": (300, 5_000),
    "backspace_rate": (0.03, 0.15),
    "context_switches": (90, 320),
    "context_switches_per_hour": (12, 45),
    "focus_blocks": (2, 6),
    "focus_ratio": (0.15, 0.6),
    "focus_s": (4_000, 14_000),
    "fragmentation": (0.8, 0.99),
    "idle_s": (200, 2_500),
    "keys": (4_000, 20_000),
    "longest_block_s": (7_000, 15_000),
    "median_dwell_s": (20, 90),
    "shortcut_share": (0.02, 0.12),
    "tool_entropy": (1.1, 2.4),
    "typing_density": (8, 30),
    "workblocks": (2, 5),
}
_WHOLE = {"context_switches", "focus_blocks", "keys", "workblocks"}


# ------------------------------------------------------------------------------------------------ books
def books(seed: int, days: int = 30) -> Iterator[FactBook]:
    """One worker's books of consecutive days; numbers as a sample organisation has them."""
    random = Random(seed)
    for number in range(days):
        yield _book(random, FIRST_DAY + timedelta(days=number), number)


def _book(random: Random, day: date, number: int) -> FactBook:
    facts = [*_day_facts(random, day, number), *_measures(random, day - timedelta(days=1), with_usual=False)]
    return FactBook("acme", USER, ZONE, day, day - timedelta(days=6), by_id(facts))


def _fact(
    kind: FactKind, day: date, *rest: str | int, identifier: str | None = None, **values: Scalar
) -> Fact:
    return _fact_of(kind, day, values, *rest, identifier=identifier)


def _fact_of(
    kind: FactKind,
    day: date,
    values: Mapping[str, Scalar],
    *rest: str | int,
    identifier: str | None = None,
) -> Fact:
    """A fact with all fields of its kind, those that are not given null."""
    units = FIELDS[kind]
    measure = str(rest[0]) if kind in {FactKind.KPI, FactKind.BASELINE} else kind.value
    own = FieldUnit(CATALOGUE[measure].unit.value) if measure in CATALOGUE else FieldUnit.COUNT
    given: Mapping[str, Scalar] = {"date": day, **values}
    return Fact(
        identifier or fact_id(kind, USER, day, *rest),
        kind,
        USER,
        day,
        measure,
        form_of(kind, own, ("user_id", "date")),
        tuple(given.get(name) for name in units),
        f"gold/{kind.value}",
        3,
        (USER, day.isoformat()),
    )


def _measures(random: Random, day: date, *, with_usual: bool) -> Iterator[Fact]:
    for measure, (low, high) in _USUAL.items():
        is_whole = measure in _WHOLE or high > 100

        value = _drawn(random, low, high, is_whole=is_whole)
        yield _fact(FactKind.KPI, day, measure, value=value)
        if with_usual:
            yield _baseline(random, day, measure, value, _drawn(random, low, high, is_whole=is_whole))


def _drawn(random: Random, low: float, high: float, *, is_whole: bool) -> float:
    return float(random.randint(int(low), int(high))) if is_whole else round(random.uniform(low, high), 4)


def _baseline(random: Random, day: date, measure: str, value: float, median: float) -> Fact:
    difference = round(value - median, 9)
    direction = Status.ABOVE if difference > 0 else Status.BELOW if difference < 0 else Status.SAME
    return _fact(
        FactKind.BASELINE,
        day,
        measure,
        median=median,
        difference=difference,
        change=difference / median,
        z=round(difference / median * random.uniform(1.5, 4), 2),
        days=random.randint(9, 19),
        direction=direction.value,
    )


def _day_facts(random: Random, day: date, number: int) -> Iterator[Fact]:
    yield from _measures(random, day, with_usual=True)
    yield from _spans(random, day)
    active = random.randint(20_000, 30_000)
    seconds = sorted(random.sample(range(900, 16_000), 4), reverse=True)
    for rank, (name, spent) in enumerate(zip(random.sample(_APPS, 4), seconds, strict=True), start=1):
        yield _fact(
            FactKind.USAGE, day, "app", rank, name=name, duration_s=spent, day_share=spent / active, rank=rank
        )
    for rank, (name, spent) in enumerate(
        zip(random.sample(_DOMAINS, 2), (2_700, 1_100), strict=True), start=1
    ):
        yield _fact(
            FactKind.USAGE,
            day,
            "domain",
            rank,
            name=name,
            duration_s=spent,
            day_share=spent / active,
            rank=rank,
        )
    goals = random.sample(GOALS, 4)
    done = random.randint(1, 3)
    for n, name in enumerate(goals, start=1):
        yield _fact(
            FactKind.GOAL, day, n, name=name, status=(Status.DONE if n <= done else Status.OPEN).value
        )
    yield _fact(FactKind.KPI, day, "goals_declared", value=float(len(goals)))
    yield _fact(FactKind.KPI, day, "goals_done", value=float(done))
    yield from _targets(random, day)
    yield _fact(FactKind.AREA, day, 1, name=random.choice(FOCUS_AREAS).capitalize())
    yield from _chat(random, day)
    yield _audit(random, day, number)


def _audit(random: Random, day: date, number: int) -> Fact:
    """What arrived: every fifth day no telemetry, every third no end-of-day manifest."""
    raw, minutes = random.randint(24_000, 31_000), random.randint(90, 240)
    has_telemetry = number % 5 != 0
    arrived: dict[str, Scalar] = {
        "raw_s": raw,
        "kept_s": raw - 1_080,
        "overlapped_s": random.randint(300, 1_900),
        "synthetic_s": 120,
        "noise_s": random.randint(60, 290),
        "noise_blocks": 1,
        "keystroke_minutes": minutes,
        "direct": minutes - random.randint(2, 9),
        "nearest": 1,
        "gap": 1,
        "orphan": 0,
    }
    flags: dict[str, Scalar] = {
        "has_telemetry": has_telemetry,
        "has_manifests": True,
        "has_chat": True,
        "is_sod_missing": False,
        "is_eod_missing": number % 3 == 0,
        "is_incomplete": False,
    }
    return _fact_of(FactKind.DAY, day, flags | (arrived if has_telemetry else {}))


def _spans(random: Random, day: date) -> Iterator[Fact]:
    start = datetime(day.year, day.month, day.day, 12, random.randint(0, 59), tzinfo=UTC)
    for number in range(3):
        length = timedelta(minutes=random.randint(70, 120) + 7 * number)
        identifier = f"wb:4Ms60eGxco:V{day:%y%m%d}{number}:{number:02}"
        yield _fact_of(FactKind.BLOCK, day, _span(start, length), identifier=identifier)
        if number < 2:
            focus = timedelta(minutes=random.randint(26, 60) + number)
            app: Mapping[str, Scalar] = {"app": random.choice(("code", "dbeaver"))}
            span = _span(start + timedelta(minutes=5), focus)
            yield _fact_of(FactKind.FOCUS, day, {**app, **span}, number + 1)
            pause = timedelta(minutes=random.randint(61, 80) + number)
            yield _fact_of(FactKind.PAUSE, day, _span(start + length, pause), number + 1)
            start += length + pause


def _span(start: datetime, length: timedelta) -> dict[str, Scalar]:
    return {"started_at": start, "ended_at": start + length, "duration_s": length.total_seconds()}


def _targets(random: Random, day: date) -> Iterator[Fact]:
    for n, (name, unit, low, high) in enumerate(random.sample(KPIS, 3), start=1):
        target = float(random.randint(low + 2, high))
        actual = {1: target + random.randint(0, 2), 2: target - random.randint(1, 2), 3: None}[n]
        status = {1: Status.MET, 2: Status.MISSED, 3: Status.UNREPORTED}[n]
        attainment = None if actual is None else actual / target
        yield _fact(
            FactKind.TARGET,
            day,
            n,
            name=name,
            target=target,
            actual=actual,
            unit=unit,
            attainment=attainment,
            status=status.value,
        )


def _chat(random: Random, day: date) -> Iterator[Fact]:
    moment = datetime(day.year, day.month, day.day, 14, random.randint(0, 59), tzinfo=UTC)
    texts = random.sample([text for text in PROMPTS if "{" not in text], 3)
    for n, text in enumerate(texts):
        status = Status.BLOCKER.value if n == 1 else None
        at = moment + timedelta(minutes=17 * n)
        yield _fact(
            FactKind.CHAT, day, f"0000{n}", assistant="ChatGPT", occurred_at=at, text=text, status=status
        )
    messages = random.randint(6, 15)
    yield _fact(
        FactKind.CHATS,
        day,
        messages=messages,
        conversations=random.randint(2, 5),
        blockers=1,
        first_at=moment,
    )
    names = random.sample(_WORDS, 2)
    yield _fact(FactKind.THEME, day, 1, name=names[0], messages=random.randint(4, 5))
    yield _fact(FactKind.THEME, day, 2, name=names[1], messages=random.randint(2, 3))


# ------------------------------------------------------------------------------------------------ phrasings
@dataclass(frozen=True, slots=True)
class Phrasings:
    statements: Sequence[Mapping[str, str]]
    clauses: Mapping[str, Sequence[str]]
    apps: Mapping[str, Sequence[str]]
    units: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """A statement that is true (`kind` "true") or false in the way that `kind` names."""

    kind: str
    statement: Statement
    offered: frozenset[str]


def has_phrasings(name: str) -> bool:
    """Whether there is a file of the name with statements in it."""
    path = FOLDER / f"{name}.toml"
    return path.exists() and bool(tomllib.loads(path.read_text(encoding="utf-8")).get("statement"))


def phrasings(name: str) -> Phrasings:
    data: dict[str, Any] = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return Phrasings(data["statement"], data["clauses"], data["apps"], data["units"])


_ROLE = re.compile(r"\{([^{}]+)\}")
_STATUS = re.compile(r"<([^;<>]*);([^<>]*)>")
_DIRECTION = re.compile(r"\[(\w+): ([^|\]]*)\|([^\]]*)\]")


class _Absent(Exception):
    """The book has nothing for a role."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A phrasing filled from a book; `claims` in the order of their places, `roles` beside them."""

    text: str
    claims: tuple[Claim, ...]
    kind: StatementKind

    def statement(self) -> Statement:
        return Statement(text_template=self.text, claims=self.claims, kind=self.kind)


def draw(
    phrasing: Mapping[str, str], book: FactBook, *, flip_status: bool = False, flip_direction: bool = False
) -> Drawn | None:
    """The phrasing over the book; None where the book has nothing for one of its places."""
    if phrasing.get("when") == "top_majority" and not _share(book) > 0.5:
        return None
    claims: list[Claim] = []
    try:
        text = _DIRECTION.sub(lambda m: _directed(m, book, flip=flip_direction), phrasing["text"])
        text = _STATUS.sub(lambda m: m[2 if flip_status else 1], text)
        text = text.replace("[day]", f"{book.primary:%A}")
        text = text.replace("[prevday]", f"{book.primary - timedelta(days=1):%A}")

        def place(match: re.Match[str]) -> str:
            claims.append(_claim(match[1], book))
            return f"{{{len(claims) - 1}}}"

        text = _ROLE.sub(place, text)
    except _Absent:
        return None
    return Drawn(text[:1].upper() + text[1:], tuple(claims), StatementKind(phrasing["kind"]))


def _share(book: FactBook) -> float:
    value = book.of(FactKind.USAGE, book.primary)[0]["day_share"]
    return float(value) if isinstance(value, int | float) else 0.0


def _directed(match: re.Match[str], book: FactBook, *, flip: bool) -> str:
    fact = book.baseline(match[1])
    difference = fact["difference"] if fact is not None else None
    if not isinstance(difference, int | float) or difference == 0:
        raise _Absent
    return match[2 if (difference > 0) != flip else 3]


def _claim(role: str, book: FactBook) -> Claim:
    fact, field = _resolve(role.split("."), book)
    if fact is None or fact[field] is None:
        raise _Absent
    return Claim(fact_id=fact.fact_id, field=field)


def _resolve(role: Sequence[str], book: FactBook) -> tuple[Fact | None, str]:
    day = book.primary
    match role:
        case ["kpi", measure]:
            return book.kpi(measure), "value"
        case ["prev", "kpi", measure]:
            return book.kpi(measure, day - timedelta(days=1)), "value"
        case ["base", measure, field]:
            return book.baseline(measure), field
        case [("app" | "domain") as kind, rank, field]:
            return book.get(fact_id(FactKind.USAGE, USER, day, kind, rank)), field
        case [("goal" | "target") as kind, status, n, field]:
            return _nth([f for f in book.of(FactKind(kind), day) if f["status"] == status], n), field
        case ["blocker", n, field]:
            return _nth([f for f in book.of(FactKind.CHAT, day) if f["status"] == "blocker"], n), field
        case [("wb" | "focus" | "pause") as kind, which, field]:
            return _span_fact(book.of(FactKind(kind), day), which), field
        case ["theme" | "area", n, field]:
            return _nth(book.of(FactKind(role[0]), day), n), field
        case ["chats", field]:
            return _nth(book.of(FactKind.CHATS, day), "1"), field
        case ["day", flag, field]:
            fact = _nth(book.of(FactKind.DAY, day), "1")
            wanted = not flag.startswith("!")
            return (fact if fact is not None and fact[flag.lstrip("!")] is wanted else None), field
        case ["day", field]:
            return _nth(book.of(FactKind.DAY, day), "1"), field
        case _:
            raise ValueError(".".join(role))


def _nth(facts: Sequence[Fact], n: str) -> Fact | None:
    return facts[int(n) - 1] if len(facts) >= int(n) else None


def _span_fact(facts: Sequence[Fact], which: str) -> Fact | None:
    if not facts:
        return None
    by_length = sorted(facts, key=lambda fact: float(str(fact["duration_s"])))
    by_start = sorted(facts, key=lambda fact: str(fact["started_at"]))
    return {"longest": by_length[-1], "shortest": by_length[0], "first": by_start[0], "last": by_start[-1]}[
        which
    ]


def true_statements(book: FactBook, words: Phrasings) -> Iterator[Case]:
    for phrasing in words.statements:
        drawn = draw(phrasing, book)
        if drawn is not None:
            yield Case("true", drawn.statement(), frozenset(book.facts))


# ------------------------------------------------------------------------------------------------ falsehoods
def falsehoods(book: FactBook, words: Phrasings, random: Random, per_kind: int = 2) -> Iterator[Case]:
    """Some of every kind, each from a true statement of the book by the least change."""
    for kind, change in _CHANGES.items():
        found = 0
        for phrasing in random.sample(list(words.statements), len(words.statements)):
            drawn = draw(phrasing, book)
            if drawn is None or found == per_kind:
                continue
            case = change(_Change(kind, phrasing, drawn, book, words, random))
            if case is not None:
                found += 1
                yield case


def single_faults(
    phrasing: Mapping[str, str], book: FactBook, words: Phrasings, random: Random
) -> Iterator[Case]:
    """One of every kind from a phrasing; of statuses and directions, each that it says turned by itself."""
    drawn = draw(phrasing, book)
    if drawn is None:
        return
    for kind, change in _CHANGES.items():
        if change not in {_flipped, _turned}:
            case = change(_Change(kind, phrasing, drawn, book, words, random))
            if case is not None:
                yield case
    text = phrasing["text"]
    for kind, pattern, turned in (
        ("flipped status", _STATUS, r"\2"),
        ("turned direction", _DIRECTION, r"[\1: \3|\2]"),
    ):
        for match in pattern.finditer(text):
            said = text[: match.start()] + match.expand(turned) + text[match.end() :]
            false = draw({**phrasing, "text": said}, book)
            if false is not None:
                yield Case(kind, false.statement(), frozenset(book.facts))


@dataclass(frozen=True, slots=True)
class _Change:
    kind: str
    phrasing: Mapping[str, str]
    drawn: Drawn
    book: FactBook
    words: Phrasings
    random: Random

    def case(
        self, text: str, claims: Sequence[Claim] | None = None, offered: frozenset[str] | None = None
    ) -> Case | None:
        """The changed statement, its places numbered anew; None where nothing is cited any more."""
        cited = list(self.drawn.claims if claims is None else claims)
        kept = [int(n) for n in re.findall(r"\{(\d+)\}", text)]
        order = {old: new for new, old in enumerate(kept)}
        text = re.sub(r"\{(\d+)\}", lambda m: f"{{{order[int(m[1])]}}}", text)
        if not kept or len(text) > 400:
            return None
        statement = Statement(
            text_template=text, claims=tuple(cited[old] for old in kept), kind=self.drawn.kind
        )
        return Case(self.kind, statement, frozenset(self.book.facts) if offered is None else offered)

    def places(self, *units: FieldUnit) -> list[int]:
        return [n for n in range(len(self.drawn.claims)) if not units or self.field(n).unit in units]

    def fact(self, n: int) -> Fact:
        return self.book[self.drawn.claims[n].fact_id]

    def field(self, n: int) -> Field:
        return self.fact(n).fields[self.drawn.claims[n].field]

    def text_of(self, n: int) -> str:
        return claim_text(self.drawn.claims[n], self.book)

    def some(self, places: Sequence[int]) -> int | None:
        return self.random.choice(places) if places else None


_QUANTITIES = (
    FieldUnit.SECONDS, FieldUnit.COUNT, FieldUnit.SHARE, FieldUnit.PER_HOUR, FieldUnit.PER_MINUTE,
    FieldUnit.NUMBER, FieldUnit.ATTAINMENT,
)  # fmt: skip


def _wrong_number(change: _Change) -> Case | None:
    """A value written out by the writer, and wrong."""
    n = change.some(change.places(*_QUANTITIES))
    if n is None:
        return None
    said = change.text_of(n)
    digits = re.search(r"\d+", said)
    if digits is None:
        return None
    wrong = f"{said[: digits.start()]}{int(digits[0]) + change.random.randint(1, 3)}{said[digits.end() :]}"
    written = change.drawn.text.replace(f"{{{n}}}", wrong)
    return change.case(written) or change.case(f"{change.drawn.text[:-1]} ({wrong}).")


def _other_measure(change: _Change) -> Case | None:
    """A claim on another measure of the same unit, said to be this one."""
    places = [n for n in change.places() if change.fact(n).kind is FactKind.KPI]
    n = change.some(places)
    if n is None:
        return None
    own = change.fact(n)
    others = [
        fact
        for fact in change.book.of(FactKind.KPI, change.book.primary)
        if fact.unit("value") is own.unit("value") and fact.measure != own.measure
    ]
    others = [fact for fact in others if {fact.measure, own.measure} != {"active_s", "active_net_s"}]
    if not others:
        return None
    claims = list(change.drawn.claims)
    claims[n] = Claim(fact_id=change.random.choice(others).fact_id, field="value")
    return change.case(change.drawn.text, claims)


def _swapped(change: _Change) -> Case | None:
    """Two values of one unit in each other's places."""
    pairs = [
        (a, b)
        for a in change.places()
        for b in change.places()
        if a < b
        and change.field(a).unit is change.field(b).unit
        and change.field(a).unit not in {FieldUnit.DATE, FieldUnit.TEXT}
        and change.text_of(a) != change.text_of(b)
    ]
    if not pairs:
        return None
    a, b = change.random.choice(pairs)
    if change.field(a).unit is FieldUnit.NAME and len(change.places()) == 2:
        return None
    if _means_the_same(change, a, b):
        return None
    claims = list(change.drawn.claims)
    claims[a], claims[b] = claims[b], claims[a]
    return change.case(change.drawn.text, claims)


def _means_the_same(change: _Change, a: int, b: int) -> bool:
    """Whether swapping two names leaves everything that is said of them true."""
    if change.field(a).unit is not FieldUnit.NAME:
        return False
    mine = {change.fact(n).fact_id for n in change.places() if change.field(n).unit is not FieldUnit.NAME}
    first, second = change.fact(a), change.fact(b)
    if first.kind is second.kind and "status" in first and first["status"] == second["status"]:
        return not mine & {first.fact_id, second.fact_id}
    return not mine & {change.fact(a).fact_id, change.fact(b).fact_id} and "<" not in change.phrasing["text"]


def _of_another(change: _Change) -> Case | None:
    """The value of one app, goal or span with the name of another."""
    places = [
        n
        for n in change.places(FieldUnit.SECONDS, FieldUnit.SHARE, FieldUnit.COUNT, FieldUnit.NUMBER)
        if change.fact(n).kind in {FactKind.USAGE, FactKind.TARGET, FactKind.THEME}
    ]
    n = change.some(places)
    if n is None:
        return None
    own, field = change.fact(n), change.drawn.claims[n].field
    has_name = any(
        other != n
        and change.fact(other).fact_id == own.fact_id
        and change.field(other).unit is FieldUnit.NAME
        for other in change.places()
    )
    others = [
        fact
        for fact in change.book.of(own.kind, own.date)
        if fact.fact_id != own.fact_id
        and fact[field] is not None
        and fact.fact_id.rsplit(":", 2)[1] == own.fact_id.rsplit(":", 2)[1]
        and fact[field] != own[field]
    ]
    if not others or not has_name:
        return None
    claims = list(change.drawn.claims)
    claims[n] = Claim(fact_id=change.random.choice(others).fact_id, field=field)
    return change.case(change.drawn.text, claims)


def _wrong_unit(change: _Change) -> Case | None:
    """A unit after a value that is of another."""
    n = change.some([n for n in change.places() if change.field(n).unit.value in change.words.units])
    if n is None:
        return None
    template = change.random.choice(change.words.units[change.field(n).unit.value])
    return change.case(change.drawn.text.replace(f"{{{n}}}", template.replace("{place}", f"{{{n}}}")))


def _wrong_day(change: _Change) -> Case | None:
    """Another weekday in the text, or yesterday's value as the day's."""
    day = f"{change.book.primary:%A}"
    wrong = f"{change.book.primary + timedelta(days=change.random.randint(2, 5)):%A}"
    if day in change.drawn.text:
        return change.case(change.drawn.text.replace(day, wrong))
    places = [
        n
        for n in change.places()
        if change.fact(n).kind is FactKind.KPI and change.fact(n).date == change.book.primary
    ]
    n = change.some(places)
    if n is not None and change.random.random() < 0.5:
        before = change.book.kpi(change.fact(n).measure, change.book.primary - timedelta(days=1))
        if before is not None and before["value"] != change.fact(n)["value"]:
            claims = list(change.drawn.claims)
            claims[n] = Claim(fact_id=before.fact_id, field="value")
            return change.case(change.drawn.text, claims)
    if change.drawn.kind in {StatementKind.NEXT_STEP, StatementKind.RECOMMENDATION}:
        return None
    return change.case(f"{change.drawn.text[:-1]} on {wrong}.")


def _foreign_app(change: _Change) -> Case | None:
    """An app that was not used, or that nothing cited is of."""
    app = change.random.choice(change.words.apps["foreign"])
    names = [
        n for n in change.places(FieldUnit.NAME) if change.fact(n).kind in {FactKind.USAGE, FactKind.FOCUS}
    ]
    n = change.some(names)
    if n is not None:
        return change.case(change.drawn.text.replace(f"{{{n}}}", app))
    template = change.random.choice(change.words.apps["templates"])
    said = change.drawn.text[:-1]
    return change.case(template.replace("{text}", said).replace("{app}", app) + ".")


def _flipped(change: _Change) -> Case | None:
    match = _STATUS.search(change.phrasing["text"])
    if match is None or match[1] == match[2]:
        return None
    drawn = draw(change.phrasing, change.book, flip_status=True)
    return change.case(drawn.text, drawn.claims) if drawn is not None else None


def _turned(change: _Change) -> Case | None:
    if _DIRECTION.search(change.phrasing["text"]) is None:
        return None
    drawn = draw(change.phrasing, change.book, flip_direction=True)
    return change.case(drawn.text, drawn.claims) if drawn is not None else None


def _ghost(change: _Change) -> Case | None:
    """A fact that is not there, was not offered, or has no such field; a place without a claim."""
    claims = list(change.drawn.claims)
    n = change.random.randrange(len(claims))
    match change.random.randrange(4):
        case 0:
            claims[n] = Claim(fact_id=f"{claims[n].fact_id}9", field=claims[n].field)
        case 1:
            claims[n] = Claim(fact_id=claims[n].fact_id, field="total")
        case 2:
            return change.case(change.drawn.text, offered=frozenset(change.book.facts) - {claims[n].fact_id})
        case _:
            statement = Statement(
                text_template=f"{change.drawn.text[:-1]}, {{{len(claims)}}}.",
                claims=tuple(claims),
                kind=change.drawn.kind,
            )
            return Case(change.kind, statement, frozenset(change.book.facts))
    return change.case(change.drawn.text, claims)


def _missing(change: _Change) -> Case | None:
    """Something said of a measure without a citation."""
    said = {change.fact(n).measure for n in change.places()}
    measure = change.random.choice([name for name in _USUAL if name not in said and not _akin(name, said)])
    title = CATALOGUE[measure].title.lower()
    if change.drawn.kind in {StatementKind.NEXT_STEP, StatementKind.RECOMMENDATION}:
        return None
    return change.case(f"{change.drawn.text[:-1]}, with {title} higher than usual.")


def _akin(name: str, said: set[str]) -> bool:
    return any(name.split("_", maxsplit=1)[0] == other.split("_")[0] for other in said)


def _clause(name: str) -> Callable[[_Change], Case | None]:
    def change(change: _Change) -> Case | None:
        clause = change.random.choice(change.words.clauses[name])
        return change.case(f"{change.drawn.text[:-1]}{clause}.")

    return change


_CHANGES: Mapping[str, Callable[[_Change], Case | None]] = {
    "wrong number": _wrong_number,
    "another measure": _other_measure,
    "swapped values": _swapped,
    "another's value": _of_another,
    "wrong unit": _wrong_unit,
    "wrong day": _wrong_day,
    "foreign app": _foreign_app,
    "flipped status": _flipped,
    "turned direction": _turned,
    "ghost citation": _ghost,
    "missing citation": _missing,
    "cause": _clause("cause"),
    "character": _clause("character"),
    "emotion": _clause("emotion"),
    "health": _clause("health"),
    "other people": _clause("others"),
}
