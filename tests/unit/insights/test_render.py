"""Statements written out: units, rounding, quotation, agreement, and what cannot be stated."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.insights.books import (
    PRIMARY,
    USER,
    book_of,
    fact,
    goal,
    kpi,
    many_scripts_day,
    rich_day,
    usage,
)

from coworkai.insights.brief import Claim, Statement, StatementKind
from coworkai.insights.clean import is_clean
from coworkai.insights.facts import FactBook, FactKind, FieldUnit, Scalar, Status
from coworkai.insights.render import (
    NAME_MAX_CHARS,
    BadTemplate,
    NoValue,
    UnknownFact,
    UnknownField,
    render,
    value_text,
)

ZONE = "America/New_York"


def written(value: Scalar, unit: FieldUnit) -> str:
    return value_text(value, unit, ZONE, PRIMARY)


def said(template: str, *claims: tuple[str, str], book: FactBook | None = None) -> str:
    statement = Statement(
        text_template=template,
        claims=tuple(Claim(fact_id=fact_id, field=field) for fact_id, field in claims),
        kind=StatementKind.INSIGHT,
    )
    return render(statement, book or rich_day())


def kpi_id(measure: str) -> str:
    return f"kpi:{USER}:2026-10-27:{measure}"


def goal_id(n: int) -> str:
    return f"goal:{USER}:2026-10-27:{n}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 min"),
        (0.4, "under 1 s"),
        (45.9, "45 s"),
        (59.999, "59 s"),
        (60.0, "1 min"),
        (3_599.0, "59 min"),
        (3_600.0, "1 h"),
        (11_520.0, "3 h 12 min"),
        (148_200.0, "41 h 10 min"),
        (-2_400.0, "40 min"),
    ],
)
def test_durations_fall_to_the_whole_minute(seconds: float, text: str) -> None:
    assert written(seconds, FieldUnit.SECONDS) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.349, FieldUnit.SHARE, "34 %"),
        (0.29, FieldUnit.SHARE, "29 %"),
        (0.004, FieldUnit.SHARE, "under 1 %"),
        (0.0, FieldUnit.SHARE, "0 %"),
        (0.9999, FieldUnit.ATTAINMENT, "99 %"),
        (1.25, FieldUnit.ATTAINMENT, "125 %"),
        (25.69, FieldUnit.PER_HOUR, "25 an hour"),
        (6.29, FieldUnit.PER_HOUR, "6.2 an hour"),
        (0.05, FieldUnit.PER_MINUTE, "under 0.1 a minute"),
        (8_000.0, FieldUnit.COUNT, "8,000"),
        (2.5, FieldUnit.COUNT, "2.5"),
        (1, FieldUnit.DAYS, "1 day"),
        (19, FieldUnit.DAYS, "19 days"),
        (1.748, FieldUnit.BITS, "1.7 bits"),
        (0.987, FieldUnit.INDEX, "0.98"),
        (1_250.5, FieldUnit.NUMBER, "1,250.5"),
        (0.1, FieldUnit.NUMBER, "0.1"),
        (-3.0, FieldUnit.NUMBER, "-3"),
        (1e21, FieldUnit.NUMBER, "1e+21"),
        (True, FieldUnit.FLAG, "yes"),
        (False, FieldUnit.FLAG, "no"),
        (Status.BELOW.value, FieldUnit.STATUS, "below"),
        (date(2026, 10, 27), FieldUnit.DATE, "Tue 27 Oct"),
    ],
)
def test_a_value_is_written_in_its_unit(value: Scalar, unit: FieldUnit, text: str) -> None:
    assert written(value, unit) == text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 10, 27, 18, 5, 59, tzinfo=UTC), "14:05"),
        (datetime(2026, 10, 26, 18, 5, tzinfo=UTC), "14:05 on Mon 26 Oct"),
        (datetime(2026, 10, 28, 4, 0, tzinfo=UTC), "midnight"),
        (datetime(2026, 10, 27, 4, 0, tzinfo=UTC), "00:00"),
        (datetime(2026, 10, 28, 4, 1, tzinfo=UTC), "00:01 on Wed 28 Oct"),
    ],
)
def test_an_instant_is_in_the_workers_zone_and_says_another_day(instant: datetime, text: str) -> None:
    assert written(instant, FieldUnit.INSTANT) == text


def test_the_hour_that_summer_time_repeats_reads_as_the_clock_did() -> None:
    zone, sunday = "Europe/Rome", date(2026, 10, 25)
    for hour in (0, 1):
        instant = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
        assert value_text(instant, FieldUnit.INSTANT, zone, sunday) == "02:30"


@given(st.lists(st.floats(60, 40_000), min_size=2, max_size=6))
def test_written_parts_never_exceed_their_written_whole(parts: list[float]) -> None:
    def minutes(text: str) -> int:
        words = text.split()
        pairs = dict(zip(words[1::2], words[::2], strict=True))
        return 60 * int(pairs.get("h", 0)) + int(pairs.get("min", 0))

    whole = written(sum(parts), FieldUnit.SECONDS)
    assert sum(minutes(written(part, FieldUnit.SECONDS)) for part in parts) <= minutes(whole)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda shares: sum(shares) > 0))
def test_written_shares_never_exceed_one_hundred(shares: list[float]) -> None:
    total = sum(shares)
    texts = [written(share / total, FieldUnit.SHARE) for share in shares]
    assert sum(0 if text.startswith("under") else int(text.split()[0]) for text in texts) <= 100


def test_places_are_filled_in_the_order_of_the_claims() -> None:
    text = said(
        "{1} of focused work, {0} in all.",
        (kpi_id("active_s"), "value"),
        (kpi_id("focus_s"), "value"),
    )
    assert text == "2 h 12 min of focused work, 7 h 5 min in all."


def test_a_counted_noun_agrees_with_its_number() -> None:
    book = book_of([kpi("workblocks", 1.0), kpi("focus_blocks", 3.0), kpi("goals_done", 1.0)])
    assert said("{0} blocks of work.", (kpi_id("workblocks"), "value"), book=book) == "1 block of work."
    assert said("{0} focus block.", (kpi_id("focus_blocks"), "value"), book=book) == "3 focus blocks."
    assert said("{0} open goals.", (kpi_id("goals_done"), "value"), book=book) == "1 open goal."
    assert said("{0} in blocks.", (kpi_id("goals_done"), "value"), book=book) == "1 in blocks."


def test_typed_text_is_quoted_and_cannot_end_its_quotation() -> None:
    book = book_of([goal(1, 'Say "yes”, then “no"', Status.OPEN)])
    assert said("{0} is open.", (goal_id(1), "name"), book=book) == "“Say ’yes’, then ’no’” is open."


def test_an_app_is_quoted_only_where_it_is_more_than_one_plain_word() -> None:
    book = book_of([usage("app", 1, "code", 60.0, 60.0), usage("app", 2, "fired, because lazy", 60.0, 60.0)])
    ids = (f"usage:{USER}:2026-10-27:app:1", f"usage:{USER}:2026-10-27:app:2")
    text = said("{0} and {1}.", (ids[0], "name"), (ids[1], "name"), book=book)
    assert text == "code and “fired, because lazy”."


def test_text_of_a_fact_is_never_read_as_a_place() -> None:
    book = book_of([goal(1, "{1} {0} {", Status.OPEN), goal(2, "second", Status.OPEN)])
    text = said("{0} and {1}.", (goal_id(1), "name"), (goal_id(2), "name"), book=book)
    assert text == "“{1} {0} {” and “second”."


def test_a_goal_of_fifty_thousand_characters_is_cut_and_many_scripts_stay_readable() -> None:
    book = many_scripts_day()
    long = said("{0}", (goal_id(3), "name"), book=book)
    assert len(long) == NAME_MAX_CHARS + 2
    assert long.endswith("…”")
    assert said("{0}", (goal_id(1), "name"), book=book) == "“לסיים את הדוח”"
    assert said("{0}", (goal_id(2), "name"), book=book) == "“🚀 ship v2 👩‍💻”"
    page = said("{0}", ("slice:wb:4Ms60eGxco:VZFpXIe:00#1", "page"), book=book)
    assert page == "“خطة المشروع .txt”"
    assert all(is_clean(said("{0}", (goal_id(n), "name"), book=book)) for n in range(1, 6))


def test_what_cannot_be_stated_raises_and_tells_no_content() -> None:
    book = book_of([kpi("active_s", None), goal(1, "\u200b\u202e", Status.OPEN)])
    cases: list[tuple[type[Exception], str, tuple[tuple[str, str], ...]]] = [
        (UnknownFact, "{0}", (("kpi:secret:2026-10-27:active_s", "value"),)),
        (UnknownField, "{0}", ((kpi_id("active_s"), "secret"),)),
        (NoValue, "{0}", ((kpi_id("active_s"), "value"),)),
        (NoValue, "{0}", ((goal_id(1), "name"),)),
        (BadTemplate, "secret {1}", ((goal_id(1), "status"),)),
        (BadTemplate, "secret {x}", ((goal_id(1), "status"),)),
        (BadTemplate, "secret {", ((goal_id(1), "status"),)),
    ]
    for error, template, claims in cases:
        with pytest.raises(error) as raised:
            said(template, *claims, book=book)
        assert "secret" not in str(raised.value)


def test_a_number_that_is_none_is_not_written() -> None:
    book = book_of([fact(FactKind.TARGET, 1, name="Ratio", target=float("nan"))])
    with pytest.raises(NoValue):
        said("{0}", (f"target:{USER}:2026-10-27:1", "target"), book=book)
