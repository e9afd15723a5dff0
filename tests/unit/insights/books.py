"""Hand-made fact books: a rich day, an empty one, chat only, manifests only, text in many scripts, a team.

    book = rich_day()
    book.kpi("focus_s")["value"] == 7_920.0

Numbers of a book agree with each other as those of a computed day do: blocks add up to active time, focus
blocks to focus time, and a difference is a value less its median.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta

from coworkai.common.measures import CATALOGUE
from coworkai.insights.facts import (
    FIELDS,
    Fact,
    FactBook,
    FactKind,
    FieldUnit,
    Scalar,
    Status,
    by_id,
    fact_id,
    form_of,
    group_fact_id,
    slice_fact_id,
)

TENANT = "acme"
USER = "user_676c15e9a60db45679b111ce"
ZONE = "America/New_York"
PRIMARY = date(2026, 10, 27)
"""A Tuesday."""
START = date(2026, 10, 21)
TEAM = "Platform"
BLOCK = "wb:4Ms60eGxco:VZFpXIe:00"
SECOND_BLOCK = "wb:4Ms60eGxco:VZGz1QM:01"
_MANIFESTS = "workblock_processing/date={day}/batch_65ed9e23a02e14df/manifests.parquet"
_CHAT = "chat_history/date={day}/batch_65ed9e23a02e14df/chat_history.parquet"
_TABLES: Mapping[FactKind, str] = {
    FactKind.KPI: "gold/kpi_daily",
    FactKind.BASELINE: "gold/kpi_daily",
    FactKind.BLOCK: "gold/workblocks",
    FactKind.SLICE: "gold/atomic_slices",
    FactKind.USAGE: "gold/usage_statistics",
    FactKind.FOCUS: "gold/focus_blocks",
    FactKind.PAUSE: "gold/workblocks",
    FactKind.GOAL: _MANIFESTS,
    FactKind.TARGET: _MANIFESTS,
    FactKind.AREA: _MANIFESTS,
    FactKind.CHAT: _CHAT,
    FactKind.CHATS: _CHAT,
    FactKind.THEME: _CHAT,
    FactKind.DAY: "gold/day_accounting",
    FactKind.GROUP: "gold/kpi_group_rollups",
}


def at(clock: str, day: date = PRIMARY) -> datetime:
    """`"14:05"` of the day, UTC."""
    return datetime.combine(day, time.fromisoformat(clock), UTC)


def fact(
    kind: FactKind,
    *rest: str | int,
    on: date = PRIMARY,
    subject: str = USER,
    identifier: str | None = None,
    **values: Scalar,
) -> Fact:
    """A fact of `fact_of`, its values given by name."""
    return fact_of(kind, values, *rest, on=on, subject=subject, identifier=identifier)


def fact_of(
    kind: FactKind,
    values: Mapping[str, Scalar],
    *rest: str | int,
    on: date = PRIMARY,
    subject: str = USER,
    identifier: str | None = None,
) -> Fact:
    """A fact with all fields of its kind, those that are not given null, and its date.

    A measure's unit is the one of the last part of its id in the catalogue. Raises KeyError for a field that
    the kind does not have.
    """
    units = FIELDS[kind]
    for name in values:
        units[name]
    measure = str(rest[0]) if kind in {FactKind.KPI, FactKind.BASELINE, FactKind.GROUP} else kind.value
    own = FieldUnit(CATALOGUE[measure].unit.value) if measure in CATALOGUE else FieldUnit.COUNT
    given: dict[str, Scalar] = {"date": on, **values}
    table = _TABLES[kind].format(day=on)
    return Fact(
        fact_id=identifier or fact_id(kind, subject, on, *rest),
        kind=kind,
        subject=subject,
        date=on,
        measure=measure,
        form=form_of(kind, own, ("user_id", "date")),
        values=tuple(given.get(name) for name in units),
        table=table,
        version=12 if table.startswith("gold/") else None,
        key_values=(subject, on.isoformat()),
    )


def kpi(measure: str, value: float | None, on: date = PRIMARY) -> Fact:
    return fact(FactKind.KPI, measure, on=on, value=value)


def baseline(measure: str, value: float, median: float | None, z: float | None, days: int = 19) -> Fact:
    """The measure against its past; without a median there is too little of it."""
    if median is None:
        return fact(FactKind.BASELINE, measure, days=days)
    difference = round(value - median, 9)
    direction = Status.SAME if difference == 0 else Status.ABOVE if difference > 0 else Status.BELOW
    return fact(
        FactKind.BASELINE,
        measure,
        median=median,
        difference=difference,
        change=difference / median if median else None,
        z=z,
        days=days,
        direction=direction.value,
    )


def block(identifier: str, start: str, end: str, active_s: float, **values: Scalar) -> Fact:
    duration_s = (at(end) - at(start)).total_seconds()
    given: dict[str, Scalar] = {
        "started_at": at(start),
        "ended_at": at(end),
        "duration_s": duration_s,
        "active_s": active_s,
        "idle_s": 0.0,
        "is_continuation": False,
    }
    return fact_of(FactKind.BLOCK, given | values, identifier=identifier)


def atomic_slice(block_id: str, sequence: int, start: str, end: str, app: str, page: str | None) -> Fact:
    return fact(
        FactKind.SLICE,
        identifier=slice_fact_id(block_id, sequence),
        app=app,
        page=page,
        started_at=at(start),
        ended_at=at(end),
        duration_s=(at(end) - at(start)).total_seconds(),
        keystroke_minutes=0,
    )


def usage(kind: str, rank: int, name: str, duration_s: float, active_s: float) -> Fact:
    share = duration_s / active_s
    return fact(FactKind.USAGE, kind, rank, name=name, duration_s=duration_s, day_share=share, rank=rank)


def span(kind: FactKind, n: int, start: str, end: str, **values: Scalar) -> Fact:
    """A focus block or a pause; its duration is the span's unless it is given."""
    given: dict[str, Scalar] = {
        "started_at": at(start),
        "ended_at": at(end),
        "duration_s": (at(end) - at(start)).total_seconds(),
    }
    return fact_of(kind, given | values, n)


def goal(n: int, name: str, status: Status, on: date = PRIMARY) -> Fact:
    return fact(FactKind.GOAL, n, on=on, name=name, status=status.value)


def target(
    n: int, name: str, target_value: float | None, actual: float | None, unit: str | None = None
) -> Fact:
    attainment = actual / target_value if target_value and actual is not None else None
    status: Status | None = Status.UNREPORTED
    if actual is not None:
        status = None if attainment is None else Status.MET if attainment >= 1 else Status.MISSED
    return fact(
        FactKind.TARGET,
        n,
        name=name,
        target=target_value,
        actual=actual,
        unit=unit,
        attainment=attainment,
        status=None if status is None else status.value,
    )


def message(
    number: int, clock: str, text: str | None, *, is_blocker: bool = False, on: date = PRIMARY
) -> Fact:
    return fact(
        FactKind.CHAT,
        f"00000000-0000-4000-8000-{number:012d}",
        on=on,
        assistant="ChatGPT",
        occurred_at=at(clock, on),
        text=text,
        status=Status.BLOCKER.value if is_blocker else None,
    )


def book_of(facts: Iterable[Fact], *, subject: str = USER, zone: str = ZONE, start: date = START) -> FactBook:
    return FactBook(TENANT, subject, zone, PRIMARY, start, by_id(facts))


# --------------------------------------------------------------------------------------------- the books
def rich_day() -> FactBook:
    """Two blocks, more focus than usual, goals done and open, targets met and missed, a blocker in chat."""
    return book_of(_rich_facts())


def _rich_facts() -> Iterator[Fact]:
    values = {
        "active_s": 25_500.0,
        "active_net_s": 24_900.0,
        "after_hours_s": 1_200.0,
        "backspace_rate": 0.08,
        "backspaces": 640.0,
        "context_switches": 182.0,
        "context_switches_per_hour": 25.694117647,
        "copy_paste_per_hour": 6.211764706,
        "copy_pastes": 44.0,
        "focus_blocks": 2.0,
        "focus_ratio": 0.310588235,
        "focus_s": 7_920.0,
        "fragmentation": 0.981,
        "goals_declared": 3.0,
        "goals_done": 1.0,
        "idle_s": 600.0,
        "keys": 8_000.0,
        "kpi_attainment": 0.85,
        "longest_block_s": 14_100.0,
        "median_dwell_s": 41.0,
        "shortcut_share": 0.05,
        "shortcuts": 400.0,
        "tool_entropy": 1.74,
        "typing_density": 18.823529412,
        "workblocks": 2.0,
    }
    for measure in sorted(values):
        yield kpi(measure, values[measure])
    for day, focus_s, active_s in (
        (date(2026, 10, 21), 4_500.0, 24_000.0),
        (date(2026, 10, 22), 5_400.0, 26_100.0),
        (date(2026, 10, 23), 0.0, 21_600.0),
        (date(2026, 10, 26), 6_120.0, 25_200.0),
    ):
        yield kpi("active_s", active_s, day)
        yield kpi("focus_s", focus_s, day)
    for measure, median, z in (
        ("active_s", 25_200.0, 0.1),
        ("context_switches_per_hour", 31.2, -1.4),
        ("focus_s", 4_860.0, 2.9),
        ("longest_block_s", 12_600.0, 0.8),
        ("workblocks", 2.0, 0.0),
    ):
        yield baseline(measure, values[measure], median, z)
    yield baseline("after_hours_s", values["after_hours_s"], None, None, days=4)
    yield block(BLOCK, "12:58", "16:15", 11_700.0, slices=172, apps=6, keystroke_minutes=77, idle_s=600.0)
    yield block(SECOND_BLOCK, "17:35", "21:30", 13_800.0, slices=195, apps=7, keystroke_minutes=105)
    yield atomic_slice(BLOCK, 88, "14:10", "14:31", "code", "runner.py - coworkai")
    yield atomic_slice(SECOND_BLOCK, 20, "18:02", "18:17", "chrome", "https://docs.python.org/3/library/")
    for rank, (name, duration_s) in enumerate(
        (("code", 18_420.0), ("chrome", 2_820.0), ("thunderbird", 2_304.0), ("slack", 1_530.0)), start=1
    ):
        yield usage("app", rank, name, duration_s, values["active_s"])
    yield usage("domain", 1, "python.org", 1_500.0, values["active_s"])
    yield usage("url", 1, "https://docs.python.org/3/library/", 1_200.0, values["active_s"])
    yield span(FactKind.FOCUS, 1, "13:40", "14:52", app="code")
    yield span(FactKind.FOCUS, 2, "18:00", "19:00", app="code")
    yield span(FactKind.PAUSE, 1, "16:15", "17:35")
    yield goal(1, "Ship the billing export", Status.DONE)
    yield goal(2, "Review the runner's retries", Status.OPEN)
    yield goal(3, "Answer the 3 open tickets", Status.OPEN)
    yield goal(1, "Write the design note", Status.DONE, on=date(2026, 10, 26))
    yield target(1, "Tickets closed", 4.0, 4.0, "tickets")
    yield target(2, "Pages written", 10.0, 7.0)
    yield target(3, "Calls", 5.0, None)
    yield fact(FactKind.AREA, 1, name="Billing")
    yield fact(FactKind.AREA, 2, name="Reliability")
    yield message(1, "13:05", "plan the billing export migration")
    yield message(2, "13:45", "the billing export fails with a timeout error", is_blocker=True)
    yield message(3, "18:20", "write a test for the billing export")
    yield fact(
        FactKind.CHATS,
        messages=3,
        conversations=2,
        blockers=1,
        first_at=at("13:05"),
        last_at=at("18:20"),
    )
    yield fact(FactKind.THEME, 1, name="billing export", messages=3)
    yield fact(
        FactKind.DAY,
        has_telemetry=True,
        has_manifests=True,
        has_chat=True,
        is_sod_missing=False,
        is_eod_missing=False,
        is_incomplete=False,
        raw_s=26_700.0,
        kept_s=25_620.0,
        overlapped_s=1_080.0,
        synthetic_s=120.0,
        noise_s=240.0,
        noise_blocks=1,
        keystroke_minutes=184,
        direct=176,
        nearest=6,
        gap=1,
        orphan=1,
        first_at=at("12:58"),
        last_at=at("21:30"),
    )


def empty_day() -> FactBook:
    """Nothing arrived on the primary day; the day before had an hour of work."""
    before = PRIMARY - timedelta(days=1)
    return book_of([kpi("active_s", 3_600.0, before), kpi("focus_s", 0.0, before), _bare_day()])


def chat_only_day() -> FactBook:
    """Two messages, and neither telemetry nor manifests."""
    return book_of(
        [
            message(1, "13:05", "how do I stop a stuck import"),
            message(2, "13:09", "it doesn't work, the import is stuck again", is_blocker=True),
            fact(
                FactKind.CHATS,
                messages=2,
                conversations=1,
                blockers=1,
                first_at=at("13:05"),
                last_at=at("13:09"),
            ),
            fact(FactKind.THEME, 1, name="import", messages=2),
            _bare_day(has_chat=True),
        ]
    )


def manifests_only_day() -> FactBook:
    """A start-of-day manifest, no end-of-day one, and no telemetry: all goals are unreported."""
    return book_of(
        [
            kpi("goals_declared", 2.0),
            goal(1, "Prepare the workshop", Status.UNREPORTED),
            goal(2, "Call the supplier", Status.UNREPORTED),
            target(1, "Calls", 5.0, None),
            fact(FactKind.AREA, 1, name="Workshops"),
            _bare_day(has_manifests=True, is_sod_missing=False, is_eod_missing=True),
        ]
    )


def many_scripts_day() -> FactBook:
    """Right-to-left text, emoji, combining marks, markup and a goal of 50,000 characters."""
    return book_of(
        [
            kpi("active_s", 3_600.0),
            kpi("workblocks", 1.0),
            kpi("goals_declared", 5.0),
            kpi("goals_done", 1.0),
            block(BLOCK, "13:00", "14:00", 3_600.0, slices=2, apps=2, keystroke_minutes=0),
            atomic_slice(BLOCK, 1, "13:00", "13:40", "word", "خطة المشروع ‮.txt‬"),  # noqa: PLE2502
            atomic_slice(BLOCK, 2, "13:40", "14:00", "chrome", "https://例え.jp/検索"),
            usage("app", 1, "word", 2_400.0, 3_600.0),
            usage("app", 2, "chrome", 1_200.0, 3_600.0),
            goal(1, "לסיים את הדוח", Status.DONE),
            goal(2, "🚀 ship v2 👩‍💻", Status.OPEN),
            goal(3, "x" * 50_000, Status.OPEN),
            goal(4, "**bold** [link](https://evil.example) <img src=x>", Status.OPEN),
            goal(5, "Z̗̄a͖l̳g̖o̞ e\u0301te\u0301", Status.OPEN),
            target(1, "Продажи 📈", 10.0, 11.0, "€"),
            message(1, "13:05", "لماذا لا يعمل الاستيراد؟ 😩"),
            fact(
                FactKind.CHATS,
                messages=1,
                conversations=1,
                blockers=0,
                first_at=at("13:05"),
                last_at=at("13:05"),
            ),
            _bare_day(
                has_telemetry=True,
                has_manifests=True,
                has_chat=True,
                is_sod_missing=False,
                is_eod_missing=False,
                raw_s=3_600.0,
                kept_s=3_600.0,
                overlapped_s=0.0,
                first_at=at("13:00"),
                last_at=at("14:00"),
            ),
        ]
    )


def team_week() -> FactBook:
    """A team of six over the primary day and the week before; one measure of the day is withheld."""
    monday = date(2026, 10, 19)
    cells = [
        ("day", PRIMARY, "active_s", 148_200.0, 6),
        ("day", PRIMARY, "focus_s", 41_400.0, 6),
        ("day", PRIMARY, "context_switches_per_hour", 27.4, 6),
        ("day", PRIMARY, "after_hours_s", 9_360.0, 6),
        ("day", PRIMARY, "goals_declared", 18.0, 6),
        ("day", PRIMARY, "goals_done", 11.0, 6),
        ("day", date(2026, 10, 26), "active_s", 151_800.0, 6),
        ("day", date(2026, 10, 26), "focus_s", 36_000.0, 6),
        ("day", date(2026, 10, 26), "after_hours_s", 5_400.0, 6),
        ("week", monday, "active_s", 734_400.0, 6),
        ("week", monday, "focus_s", 187_200.0, 6),
    ]
    facts = [
        fact(
            FactKind.GROUP,
            measure,
            on=on,
            subject=TEAM,
            identifier=group_fact_id("team", TEAM, period, on, measure),
            value=value,
            contributors=contributors,
        )
        for period, on, measure, value, contributors in cells
    ]
    withheld = fact(
        FactKind.GROUP,
        "withheld",
        subject=TEAM,
        identifier=group_fact_id("team", TEAM, "day", PRIMARY, "withheld"),
        value=1,
    )
    return book_of([*facts, withheld], subject=TEAM, zone="UTC")


def every_book() -> dict[str, FactBook]:
    return {
        "rich_day": rich_day(),
        "empty_day": empty_day(),
        "chat_only_day": chat_only_day(),
        "manifests_only_day": manifests_only_day(),
        "many_scripts_day": many_scripts_day(),
        "team_week": team_week(),
    }


def _bare_day(**values: Scalar) -> Fact:
    nothing: dict[str, Scalar] = {
        "has_telemetry": False,
        "has_manifests": False,
        "has_chat": False,
        "is_incomplete": False,
    }
    return fact_of(FactKind.DAY, nothing | values)
