"""What is told of groups, what is not, and why."""

from __future__ import annotations

import polars as pl
import pytest
from tests.unit.runner.kpis.frames import TENANT, org
from tests.unit.runner.lattice.organisations import MONDAY, Publications, day, kpi_daily, team, worked

from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_LATTICE
from coworkai.runner.lattice.blocks import SafetyRules
from coworkai.runner.lattice.cells import SUMMED
from coworkai.runner.stage1.kpis import group_rollups

PLATFORM, DATA, QA, ACCOUNTS = (
    team("platform", 9),
    team("data", 6),
    team("qa", 3),
    team("accounts", 7, "sales"),
)
ALL = [*PLATFORM, *DATA, *QA, *ACCOUNTS]


def test_a_small_team_takes_the_smallest_of_its_department_with_it() -> None:
    week = Publications(ALL)
    week.publish(worked(ALL))
    assert week.told() == {"platform", "ops", "accounts", "sales", TENANT}
    assert week.cell("qa") == (None, None, "primary")
    assert week.cell("data") == (None, None, "complementary")
    assert week.cell("ops")[1] == 18
    assert week.cell(TENANT)[1] == 25


def test_a_small_department_takes_the_smallest_team_of_the_tenant_with_it() -> None:
    legal = team("legal", 2, "law")
    week = Publications([*ALL, *legal])
    week.publish(worked([*ALL, *legal]))
    assert week.told() == {"platform", "ops", TENANT}
    assert week.cell("law") == (None, None, "primary")
    assert week.cell("sales")[2] == week.cell("accounts")[2] == "complementary"
    assert week.cell(TENANT)[1] == 27


def test_a_team_of_two_departments_is_told_when_each_part_of_it_could_be() -> None:
    both = [*team("data", 6), *({**one, "user_id": f"x{one['user_id']}"} for one in team("data", 6, "sales"))]
    week = Publications(both)
    week.publish(worked(both))
    assert week.told() == {"data", "ops", "sales", TENANT}
    assert week.cell("data")[1] == 12


def test_whoever_is_of_no_team_counts_for_the_tenant_and_is_not_told_by_what_is_left_of_it() -> None:
    loose = team("loose", 2, None)
    members = [*PLATFORM, *DATA, *({**one, "team": None} for one in loose)]
    week = Publications(members)
    week.publish(worked(members))
    assert week.told() == {"platform", TENANT}
    assert week.cell(TENANT)[1] == 17


def test_a_tenant_of_four_is_told_nothing() -> None:
    few = team("few", 4)
    week = Publications(few)
    week.publish(worked(few))
    assert week.told() == set()
    assert set(week.lattice["suppressed"]) == {"primary"}


@pytest.mark.parametrize(
    ("values", "is_told"),
    [
        ([100.0, 50.0, 4.0, 4.0, 4.0], True),
        ([100.0, 50.0, 3.0, 3.0, 3.0], False),
        ([100.0, 0.0, 0.0, 0.0, 0.0], False),
        ([0.0, 0.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_nobody_is_nearly_all_of_a_sum_and_no_sum_tells_everybodys_zero(
    values: list[float], *, is_told: bool
) -> None:
    """The p % rule at 10 %: without the two largest, more than a tenth of the largest is left."""
    members = team("five", 5)
    week = Publications(members)
    week.publish({(f"five{n}", day(0)): {"after_hours_s": value} for n, value in enumerate(values)})
    assert (week.told("after_hours_s") == {"five", "ops", TENANT}) == is_told
    assert week.told("after_hours_s") == set() or is_told


def test_a_week_covers_the_days_that_are_told_and_says_how_many() -> None:
    week = Publications(PLATFORM)
    week.publish(worked(PLATFORM, range(5)) | worked(PLATFORM[:2], [5]))
    assert week.told(number=5) == set()
    one = week.lattice.filter(period="week", group_id="platform", measure="active_s").row(0, named=True)
    days = week.lattice.filter(period="day", group_id="platform", measure="active_s")
    assert (one["days_covered"], one["contributors"]) == (5, 9)
    assert one["value"] == pytest.approx(days["value"].sum())
    assert one["date"] == MONDAY


def test_a_week_is_there_once_all_of_its_days_are() -> None:
    week = Publications(PLATFORM)
    assert week.publish(worked(PLATFORM, range(5)), days=6).filter(period="week").is_empty()
    assert not week.publish(worked(PLATFORM, range(5))).filter(period="week").is_empty()


def test_a_group_of_which_nobody_worked_looks_as_one_of_too_few() -> None:
    members = [*PLATFORM, *DATA, *QA]
    someone, nobody = Publications(members), Publications(members)
    someone.publish(worked([*PLATFORM, *DATA, QA[0]]))
    nobody.publish(worked([*PLATFORM, *DATA]))
    assert someone.cell("qa") == nobody.cell("qa") == (None, None, "primary")
    groups = {"platform", "data", "qa", "ops", TENANT}
    assert set(nobody.lattice["group_id"]) == groups
    assert nobody.lattice.filter(period="day").height == 7 * len(groups) * len(CATALOGUE)


def measured_everywhere() -> dict[str, float]:
    """A value of every measure that adds up, as a worker who did a bit of everything has."""
    values = {name: 100.0 + 10 * n for n, name in enumerate(SUMMED)}
    return values | {"active_s": 20_000.0, "idle_s": 500.0, "focus_s": 9_000.0, "fragmentation": 0.5}


def test_what_is_told_is_what_the_rollups_have() -> None:
    """Where everybody has every value, so that a ratio leaves nobody out."""
    daily = worked(ALL, range(5), **measured_everywhere())
    for values in daily.values():
        values["active_net_s"] = (values["active_s"] or 0) - (values["idle_s"] or 0)
        for one in CATALOGUE.values():
            if one.numerator is not None and one.denominator is not None:
                values[one.name] = (values[one.numerator] or 0) / (values[one.denominator] or 1) * one.scale
    week = Publications(ALL)
    week.publish(daily)
    told = week.lattice.filter(pl.col("suppressed").is_null())
    rolled = group_rollups(kpi_daily(daily), org(*ALL)).filter(pl.col("level") != "worker")
    key = ["date", *GOLD_KPI_LATTICE.key]
    both = told.join(rolled, on=key, suffix="_rolled")
    assert both.height == told.height
    assert set(both["measure"]) == set(CATALOGUE)
    assert both["contributors"].to_list() == both["contributors_rolled"].to_list()
    assert both["unit"].to_list() == both["unit_rolled"].to_list()
    of_rollups = both["value_rolled"].to_list()
    assert both["value"].to_list() == [pytest.approx(value, rel=1e-5) for value in of_rollups]


def test_a_weighted_mean_is_not_told_where_somebody_active_has_no_value() -> None:
    daily = worked(PLATFORM, active_s=100.0, fragmentation=0.5)
    del daily["platform0", day(0)]["fragmentation"]
    week = Publications(PLATFORM)
    week.publish(daily)
    assert week.told() == {"platform", "ops", TENANT}
    assert week.cell("platform", measure="fragmentation") == (None, None, "complementary")


# --------------------------------------------------------------------------------------- publishing again
def test_four_late_workers_leave_the_published_value_and_a_fifth_brings_all_of_them() -> None:
    week = Publications(PLATFORM)
    values = worked(PLATFORM)
    week.publish(values)
    before = week.lattice
    for late in range(4):
        values[f"platform{late}", day(0)] = {"active_s": 500.0 + late}
        assert week.publish(values).equals(before)
    values["platform4", day(0)] = {"active_s": 504.0}
    week.publish(values)
    assert week.cell("platform")[0] == pytest.approx(
        sum(v["active_s"] or 0 for v in values.values()), abs=1e-6
    )


def test_a_large_change_among_small_ones_waits_for_company() -> None:
    week = Publications(PLATFORM)
    values = worked(PLATFORM)
    week.publish(values)
    before = week.lattice
    for n in range(5):
        was = values[f"platform{n}", day(0)]["active_s"] or 0
        values[f"platform{n}", day(0)] = {"active_s": was + (400 if n == 0 else 0.001)}
    assert week.publish(values).equals(before)


def test_a_reason_does_not_change_with_the_data_of_somebody_late() -> None:
    members = [*PLATFORM, *team("data", 5)]
    values = worked(members)
    late = values.pop(("data4", day(0)))
    week = Publications(members)
    week.publish(values)
    assert week.cell("data") == (None, None, "primary")
    week.publish(values | {("data4", day(0)): late})
    assert week.cell("data") == (None, None, "primary")


def test_a_raised_group_size_takes_back_what_is_too_small_now_and_what_would_tell_it() -> None:
    members = [*PLATFORM, *DATA, *ACCOUNTS]
    week = Publications(members)
    week.publish(worked(members))
    assert week.told() == {"platform", "data", "ops", "accounts", "sales", TENANT}
    week.publish(worked(members), rules=SafetyRules(7))
    assert week.told() == {"ops", "accounts", "sales", TENANT}


def test_teams_that_come_late_count_when_they_are_enough_together() -> None:
    members = [*PLATFORM, *DATA, *QA]
    week = Publications(members)
    week.publish(worked(PLATFORM))
    week.publish(worked([*PLATFORM, *QA]))
    assert week.cell("ops")[1] == 9
    week.publish(worked(members))
    assert week.told() == {"platform", "ops", TENANT}
    assert week.cell("ops")[1] == 18
