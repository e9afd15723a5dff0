"""Team books: nothing of fewer people than the smallest group, neither told nor to be had by subtraction."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.unit.insights.gold_rows import DAY, START, TENANT, gold, jobs, kpi, kpis

from coworkai.common.fact_ids import fact_name
from coworkai.common.tables import SILVER_ORG_MEMBERS
from coworkai.insights.fact_books import GoldFrames, team_books
from coworkai.insights.facts import FactBook, FactKind
from coworkai.insights.team_cells import team_cells, week_of
from coworkai.runner.stage1.kpis import group_rollups

K = 5
MONDAY = week_of(START)


def organisation(teams: dict[str, tuple[str | None, list[str]]], days: list[date]) -> pl.DataFrame:
    """The organisation on each of the days: department and members by team."""
    return jobs(
        *(
            {
                "user_id": user,
                "team": team,
                "department": department,
                "date": day,
                "valid_from": date(2020, 1, 1),
            }
            for day in days
            for team, (department, users) in teams.items()
            for user in users
        )
    )


def team_gold(teams: dict[str, tuple[str | None, list[str]]], *values: dict[str, Any]) -> GoldFrames:
    """Gold in which these values were rolled up over these teams."""
    measured = kpis(*values)
    days = [MONDAY + timedelta(days=n) for n in range((DAY - MONDAY).days + 1)]
    told = organisation(teams, days)
    history = told.unique(["user_id", "team"]).with_columns(date=pl.col("valid_from"))
    return gold(
        kpi_daily=measured,
        jobs=told,
        kpi_group_rollups=group_rollups(
            measured, history.match_to_schema(SILVER_ORG_MEMBERS.schema)
        ).with_columns(run_id=pl.lit("r")),
    )


def people(name: str, count: int) -> list[str]:
    return [f"{name}{n}" for n in range(count)]


def active(users: list[str], day: date = DAY, value: float = 3_600.0) -> list[dict[str, Any]]:
    return [kpi("active_s", value, day, user) for user in users]


def told(frames: GoldFrames) -> dict[str, FactBook]:
    return {book.subject: book for book in team_books(frames, DAY, START, K)}


def told_on(book: FactBook, period: str, on: date) -> list[str]:
    """Measures of a period, those counted as withheld aside."""
    names = [fact_name(fact.fact_id) for fact in book.facts.values()]
    return [
        name.rest[2]
        for name in names
        if (name.rest[1], name.on) == (period, on) and name.rest[2] != "withheld"
    ]


def test_a_team_of_five_is_told_and_one_of_four_is_not() -> None:
    five, four, six = people("a", 5), people("b", 4), people("c", 6)
    frames = team_gold(
        {"Five": ("X", five), "Four": ("Y", four), "Six": ("Y", six)},
        *active(five),
        *active(four),
        *active(six),
    )
    books = told(frames)
    # Y less Six would be Four, so Six is withheld with it.
    assert told_on(books["Five"], "day", DAY) == ["active_s"]
    for name in ("Four", "Six"):
        assert [(fact.measure, fact["value"]) for fact in books[name].facts.values()] == [("withheld", 1)]


def test_a_fact_has_the_groups_value_and_how_many_it_is_of() -> None:
    five = people("a", 5)
    (fact,) = told(team_gold({"Five": ("X", five)}, *active(five)))["Five"].of(FactKind.GROUP)
    assert fact.fact_id == f"group:team:Five:day:{DAY}:active_s"
    assert (fact["value"], fact["contributors"]) == (18_000.0, 5)
    assert fact.key["group_id"] == "Five"


def test_workers_without_a_team_are_among_those_left() -> None:
    """The tenant less the team would be the one worker without a team."""
    five = people("a", 5)
    assert (
        told_on(told(team_gold({"Five": (None, five)}, *active([*five, "alone"])))["Five"], "day", DAY) == []
    )


def test_no_person_goal_or_chat_is_in_a_team_book() -> None:
    five = people("a", 5)
    (book,) = told(team_gold({"Five": ("X", five)}, *active(five))).values()
    assert {fact.kind for fact in book.facts.values()} == {FactKind.GROUP}
    assert not any(user in str(fact) for user in five for fact in book.facts.values())


def test_a_week_is_told_when_it_has_closed() -> None:
    five = people("a", 5)
    days = [MONDAY, DAY]
    book = told(team_gold({"Five": ("X", five)}, *(row for day in days for row in active(five, day))))["Five"]
    assert told_on(book, "week", MONDAY) == ["active_s"]
    assert told_on(book, "week", week_of(DAY)) == []


def test_a_week_whose_other_days_would_tell_a_withheld_one_is_withheld() -> None:
    """On Saturday one of five worked: the week less the other days would be what he did."""
    five = people("a", 5)
    saturday = MONDAY + timedelta(days=5)
    frames = team_gold({"Five": ("X", five)}, *active(five, MONDAY), *active(five[:1], saturday))
    cells = team_cells(frames.kpi_group_rollups, frames.kpi_daily, frames.jobs, K)
    assert not cells.filter(period="week", measure="active_s")["is_told"].item()
    assert cells.filter(period="day", measure="active_s", date=MONDAY)["is_told"].item()


def test_a_large_tenant_is_told_the_same_measure_by_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    teams: dict[str, tuple[str | None, list[str]]] = {
        "A": ("X", people("a", 9)),
        "B": ("X", people("b", 5)),
        "C": ("X", people("c", 3)),
        "D": (None, people("d", 6)),
    }
    measured = [
        kpi(measure, 60.0, day, user)
        for _, users in teams.values()
        for user in users
        for day in (MONDAY, DAY)
        for measure in ("active_s", "focus_s", "goals_done")
        if (measure, day, user) != ("focus_s", DAY, "b0")
    ]
    frames = team_gold(teams, *measured)
    whole = team_cells(frames.kpi_group_rollups, frames.kpi_daily, frames.jobs, K)
    monkeypatch.setattr("coworkai.insights.team_cells._ROWS_AT_ONCE", 1)
    parts = team_cells(frames.kpi_group_rollups, frames.kpi_daily, frames.jobs, K)
    assert set(whole["is_told"]) == {True, False}
    assert whole["measure"].n_unique() == 3
    assert_frame_equal(whole, parts, check_row_order=False)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["X", "Y"]), st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=6
    )
)
def test_nobody_few_can_be_had_by_subtraction(shape: list[tuple[str, int, int]]) -> None:
    """Per department and for the tenant: whoever is in no told team is nobody, or K or more."""
    teams: dict[str, tuple[str | None, list[str]]] = {
        f"T{n}": (department, people(f"t{n}-", size)) for n, (department, size, _) in enumerate(shape)
    }
    absent = {f"t{n}-{one}" for n, (_, _, away) in enumerate(shape) for one in range(away)}
    working = {name: [user for user in users if user not in absent] for name, (_, users) in teams.items()}
    frames = team_gold(teams, *(row for users in working.values() for row in active(users)))
    cells = team_cells(frames.kpi_group_rollups, frames.kpi_daily, frames.jobs, K)
    shown = set(cells.filter(period="day", measure="active_s", is_told=True)["group_id"])
    for parent in ("X", "Y", TENANT):
        of_parent = [name for name, (department, _) in teams.items() if parent in {department, TENANT}]
        left = [user for name in of_parent if name not in shown for user in working[name]]
        anything = any(name in shown for name in of_parent)
        assert not left or len(left) >= K or not anything
    assert all(len(working[name]) >= K for name in shown)
