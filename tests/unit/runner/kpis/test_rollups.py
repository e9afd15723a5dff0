"""Groups, weeks and a worker's own past."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from tests.unit.runner.kpis.frames import org, rows

from coworkai.common.baselines import BaselineRules, baselines, baselines_on
from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_KPI_GROUPS
from coworkai.runner.stage1.kpis import group_rollups

MONDAY, TUESDAY, SUNDAY = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 7)


def daily(*values: tuple[str, date, dict[str, float | None]]) -> pl.DataFrame:
    return rows(
        GOLD_KPI_DAILY,
        *(
            {
                "user_id": user,
                "date": day,
                "measure": name,
                "value": value,
                "unit": CATALOGUE[name].unit.value,
            }
            for user, day, measures in values
            for name, value in measures.items()
        ),
    )


def cell(
    frame: pl.DataFrame, period: str, level: str, group_id: str, measure: str, day: date = MONDAY
) -> tuple[float | None, int]:
    one = frame.filter(period=period, level=level, group_id=group_id, measure=measure, date=day)
    value, contributors = one.select("value", "contributors").row(0)
    assert one.height == 1
    return value, contributors


TEAMS = org(
    {"user_id": "ann", "team": "red", "department": "sales"},
    {"user_id": "bob", "team": "red", "department": "sales"},
    {"user_id": "cid", "team": "blue", "department": "sales"},
)


def test_the_frame_is_the_table_and_the_lattice_is_complete() -> None:
    got = group_rollups(daily(("ann", TUESDAY, {"active_s": 60.0})), TEAMS)
    assert got.schema == {k: v for k, v in GOLD_KPI_GROUPS.schema.items() if k != "run_id"}
    assert got.select("period", "level").unique().sort("period", "level").rows() == [
        ("day", "department"),
        ("day", "team"),
        ("day", "tenant"),
        ("week", "department"),
        ("week", "team"),
        ("week", "tenant"),
        ("week", "worker"),
    ]
    assert got.height == 7 * len(CATALOGUE)
    assert set(got.filter(period="week")["date"]) == {MONDAY}


def test_times_and_counts_are_summed_and_days_without_a_value_are_left_out() -> None:
    got = group_rollups(
        daily(
            ("ann", MONDAY, {"active_s": 3600.0, "keys": 10.0}),
            ("bob", MONDAY, {"active_s": 1800.5, "keys": None}),
            ("cid", SUNDAY, {"active_s": 60.0, "keys": None}),
        ),
        TEAMS,
    )
    assert cell(got, "day", "team", "red", "active_s") == (5400.5, 2)
    assert cell(got, "day", "team", "red", "keys") == (10, 1)
    assert cell(got, "day", "team", "blue", "keys", SUNDAY) == (None, 0)
    assert cell(got, "week", "department", "sales", "active_s") == (5460.5, 3)
    assert cell(got, "week", "tenant", "acme", "active_s") == (5460.5, 3)


def test_ratios_are_made_of_sums_of_the_days_that_have_one() -> None:
    got = group_rollups(
        daily(
            ("ann", MONDAY, {"keys": 600.0, "active_s": 3600.0, "typing_density": 10.0}),
            ("bob", MONDAY, {"keys": 60.0, "active_s": 60.0, "typing_density": 60.0}),
            ("cid", MONDAY, {"keys": None, "active_s": 9999.0, "typing_density": None}),
        ),
        TEAMS,
    )
    value, contributors = cell(got, "day", "tenant", "acme", "typing_density")
    assert value == pytest.approx(660 / 3660 * 60)
    assert contributors == 2


def test_dwell_fragmentation_and_entropy_are_weighted_by_active_time() -> None:
    got = group_rollups(
        daily(
            ("ann", MONDAY, {"active_s": 3000.0, "fragmentation": 0.2}),
            ("bob", MONDAY, {"active_s": 1000.0, "fragmentation": 0.6}),
            ("cid", MONDAY, {"active_s": 5000.0, "fragmentation": None}),
        ),
        TEAMS,
    )
    value, contributors = cell(got, "day", "tenant", "acme", "fragmentation")
    assert value == pytest.approx(0.3)
    assert contributors == 2


def test_longest_block_and_attainment_are_means_of_worker_days() -> None:
    got = group_rollups(
        daily(
            ("ann", MONDAY, {"longest_block_s": 100.0, "kpi_attainment": 1.0}),
            ("ann", TUESDAY, {"longest_block_s": 200.0, "kpi_attainment": None}),
            ("bob", MONDAY, {"longest_block_s": 600.0, "kpi_attainment": 0.5}),
        ),
        TEAMS,
    )
    assert cell(got, "week", "team", "red", "longest_block_s") == (300, 2)
    assert cell(got, "week", "worker", "ann", "longest_block_s") == (150, 1)
    assert cell(got, "week", "team", "red", "kpi_attainment") == (0.75, 2)


def test_a_day_counts_for_the_team_of_that_day() -> None:
    moved = org(
        {"user_id": "ann", "team": "red", "valid_to": TUESDAY},
        {"user_id": "ann", "team": "blue", "valid_from": TUESDAY},
    )
    days = daily(("ann", MONDAY, {"active_s": 1.0}), ("ann", TUESDAY, {"active_s": 2.0}))
    got = group_rollups(days, moved)
    assert cell(got, "week", "team", "red", "active_s") == (1, 1)
    assert cell(got, "week", "team", "blue", "active_s") == (2, 1)
    assert cell(got, "week", "worker", "ann", "active_s") == (3, 1)


def test_workers_without_a_team_count_for_the_tenant_alone() -> None:
    got = group_rollups(daily(("zoe", MONDAY, {"active_s": 1.0})), TEAMS)
    assert cell(got, "day", "tenant", "acme", "active_s") == (1, 1)
    assert got.filter(pl.col("level").is_in(["team", "department"])).is_empty()


def test_the_order_of_rows_changes_nothing() -> None:
    measures: list[dict[str, float | None]] = [
        {"active_s": 0.1 * n, "tool_entropy": 1 / (n + 3)} for n in range(8)
    ]
    days = daily(*((user, MONDAY, values) for user, values in zip("abcdefgh", measures, strict=True)))
    assert group_rollups(days, TEAMS).equals(group_rollups(days.reverse(), TEAMS.reverse()))


class TestBaselines:
    rules = BaselineRules(baseline_min_days=5)

    @staticmethod
    def history(*values: float | None, user: str = "ann", first: date = MONDAY) -> pl.DataFrame:
        return daily(
            *((user, first + timedelta(days=n), {"active_s": value}) for n, value in enumerate(values))
        )

    @staticmethod
    def last(frame: pl.DataFrame) -> tuple[float | None, float | None, int]:
        row = frame.sort("date").row(-1, named=True)
        return row["median_28d"], row["mad_z"], row["baseline_days"]

    def test_the_value_is_set_against_the_median_and_mad_of_the_days_before(self) -> None:
        median, z, days = self.last(baselines(self.history(1, 2, 3, 4, 100, 7), self.rules))
        assert (median, days) == (3, 5)
        assert z == pytest.approx(0.6745 * 4 / 1)  # |1-3|,|2-3|,0,|4-3|,|100-3| → MAD 1

    def test_fewer_days_before_than_the_rules_ask_are_no_baseline(self) -> None:
        assert self.last(baselines(self.history(1, 2, 3, None, 4, 7), self.rules)) == (None, None, 4)

    def test_days_older_than_28_are_not_in_it(self) -> None:
        rules = BaselineRules(baseline_min_days=1)
        days = pl.concat([self.history(50), self.history(7, first=MONDAY + timedelta(days=28))])
        assert self.last(baselines(days, rules)) == (50, None, 1)
        later = pl.concat([self.history(50), self.history(7, first=MONDAY + timedelta(days=29))])
        assert self.last(baselines(later, rules)) == (None, None, 0)

    def test_a_past_without_spread_says_only_whether_the_value_is_the_same(self) -> None:
        assert self.last(baselines(self.history(5, 5, 5, 5, 5, 5), self.rules)) == (5, 0, 5)
        assert self.last(baselines(self.history(5, 5, 5, 5, 5, 6), self.rules)) == (5, None, 5)

    def test_other_people_have_no_part_in_it(self) -> None:
        alone = baselines(self.history(1, 2, 3, 4, 5, 6))
        among = baselines(
            pl.concat([self.history(1, 2, 3, 4, 5, 6), self.history(900, 900, 1, 1, 900, 1, user="bob")])
        )
        assert among.filter(user_id="ann").equals(alone)

    def test_a_later_day_changes_no_earlier_row(self) -> None:
        before = baselines(self.history(1, 2, 3, 4, 5, 6))
        after = baselines(self.history(1, 2, 3, 4, 5, 6, 500))
        assert after.filter(pl.col("date") < after["date"].max()).equals(before)

    def test_of_one_day_they_are_the_same_as_among_all_days(self) -> None:
        days = pl.concat([self.history(1, 2, None, 4, 100, 7), self.history(5, 5, 5, 5, 5, 5, user="bo")])
        every = baselines(days, self.rules)
        for day in every["date"].unique():
            assert baselines_on(days, day, self.rules).equals(every.filter(pl.col("date") == day))
