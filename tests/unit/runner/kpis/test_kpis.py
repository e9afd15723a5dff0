"""Every measure of the catalogue with a case worked by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from tests.unit.runner.kpis.frames import (
    DAY,
    accounting,
    at,
    block,
    blocks,
    idle,
    keys,
    keystrokes,
    kpi_inputs,
    org,
    pair,
    slice_,
    slices,
)

from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_FOCUS_BLOCKS, GOLD_KPI_DAILY
from coworkai.runner.stage1.focus import default_focus_table
from coworkai.runner.stage1.kpis import measured_days


def measured(tenant_zone: str = "UTC", **frames: pl.DataFrame) -> dict[str, float | None]:
    """Measures of the only worker-day."""
    daily = measured_days(kpi_inputs(**frames), default_focus_table(), tenant_zone=tenant_zone).kpi_daily
    assert daily.select("tenant_id", "date", "user_id").n_unique() == 1
    return dict(daily.select("measure", "value").iter_rows())


def worked(*given: dict[str, Any], **frames: pl.DataFrame) -> dict[str, float | None]:
    """Measures of a day of these slices, in one workblock from the first to the last of them."""
    start, end = min(s["started_at"] for s in given), max(s["ended_at"] for s in given)
    active_s = sum(s["duration_s"] for s in given)
    whole = {"started_at": start, "ended_at": end, "duration_s": (end - start).total_seconds()}
    frames = {"workblocks": blocks(whole | {"active_s": active_s})} | frames
    return measured("UTC", atomic_slices=slices(*given), **frames)


def test_the_frame_is_the_table_and_holds_every_measure_of_the_catalogue_with_its_unit() -> None:
    daily = measured_days(kpi_inputs(day_accounting=accounting({})), default_focus_table()).kpi_daily
    assert daily.schema == {k: v for k, v in GOLD_KPI_DAILY.schema.items() if k != "run_id"}
    assert set(daily["measure"]) == set(CATALOGUE)
    assert all(CATALOGUE[name].unit == unit for name, unit in daily.select("measure", "unit").iter_rows())


def test_without_any_worker_day_there_is_no_row() -> None:
    daily = measured_days(kpi_inputs(), default_focus_table()).kpi_daily
    assert daily.is_empty()
    assert daily.schema == {k: v for k, v in GOLD_KPI_DAILY.schema.items() if k != "run_id"}


def test_active_idle_and_blocks_add_up_over_the_day() -> None:
    got = measured(
        workblocks=blocks(
            block("09:00", "11:00", active_s=5400.5, idle_s=600.25),
            block("13:00", "16:00", active_s=9000.25, idle_s=0.25),
        )
    )
    assert got["active_s"] == 14400.75
    assert got["idle_s"] == 600.5
    assert got["active_net_s"] == 13800.25
    assert got["workblocks"] == 2
    assert got["longest_block_s"] == 10800


def test_a_day_whose_only_block_was_noise_counts_zero_and_has_no_ratios() -> None:
    got = measured(day_accounting=accounting({"noise_s": 120.0, "noise_blocks": 1}))
    zero = ("active_s", "idle_s", "active_net_s", "workblocks", "focus_blocks", "focus_s", "context_switches")
    assert {name: got[name] for name in zero} == dict.fromkeys(zero, 0.0)
    assert {name for name, value in got.items() if value is not None} == set(zero)


def test_a_day_with_only_a_manifest_knows_nothing_of_activity() -> None:
    got = measured(manifest_pairs=pair({"goals": ["ship"], "goals_done": []}))
    assert {name: value for name, value in got.items() if value is not None} == {
        "goals_declared": 1,
        "goals_done": 0,
    }


class TestFocus:
    def test_exactly_25_minutes_in_focus_apps_is_a_focus_block(self) -> None:
        got = worked(slice_("code", "09:00", "09:15"), slice_("excel", "09:15", "09:25"))
        assert (got["focus_blocks"], got["focus_s"], got["focus_ratio"]) == (1, 1500, 1.0)

    def test_a_second_less_is_none(self) -> None:
        got = worked(slice_("code", "09:00", "09:24:59"))
        assert (got["focus_blocks"], got["focus_s"], got["focus_ratio"]) == (0, 0, 0.0)

    def test_an_interruption_of_60_seconds_does_not_end_it_and_does_not_count(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:15"),
            slice_("slack", "09:15", "09:16"),
            slice_("code", "09:16", "09:26"),
        )
        assert (got["focus_blocks"], got["focus_s"]) == (1, 1500)
        assert got["focus_ratio"] == pytest.approx(1500 / 1560)

    def test_an_interruption_of_61_seconds_ends_it(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:15"),
            slice_("slack", "09:15", "09:16:01"),
            slice_("code", "09:16:01", "09:31"),
        )
        assert got["focus_blocks"] == 0

    def test_a_gap_without_evidence_interrupts_too(self) -> None:
        got = worked(slice_("code", "09:00", "09:30"), slice_("code", "09:40", "10:10"))
        assert (got["focus_blocks"], got["focus_s"]) == (2, 3600)

    def test_idle_time_interrupts_and_does_not_count(self) -> None:
        day = slice_("code", "09:00", "10:00")
        assert worked(day, idle=idle(("09:20", "09:40")))["focus_blocks"] == 0
        got = worked(day, idle=idle(("09:00", "09:30")))
        assert (got["focus_blocks"], got["focus_s"]) == (1, 1800)

    def test_the_domain_of_a_page_decides_before_the_browser(self) -> None:
        focus = worked(slice_("chrome", "09:00", "09:30", url="https://gist.GitHub.com/a?q=1"))
        assert focus["focus_blocks"] == 1
        assert worked(slice_("chrome", "09:00", "09:30", url="https://example.com"))["focus_blocks"] == 0

    def test_the_longest_listed_domain_decides(self) -> None:
        docs = worked(slice_("chrome", "09:00", "09:30", url="docs.google.com/document"))
        mail = worked(slice_("code", "09:00", "09:30", url="https://mail.google.com/x"))
        assert (docs["focus_blocks"], mail["focus_blocks"]) == (1, 0)

    def test_minutes_in_two_apps_at_once_count_once(self) -> None:
        at_once = {"multitasking": True, "is_synthetic": True}
        got = worked(
            slice_("code", "09:00", "09:24"),
            slice_("code", "09:24", "09:25", **at_once),
            slice_("excel", "09:24", "09:25", **at_once),
            workblocks=blocks(block("09:00", "09:25")),
        )
        assert (got["focus_s"], got["focus_ratio"]) == (1500, 1.0)


def focus_blocks(*given: dict[str, Any], **frames: pl.DataFrame) -> list[tuple[Any, ...]]:
    found = measured_days(
        kpi_inputs(atomic_slices=slices(*given), workblocks=blocks(block("09:00", "12:00")), **frames),
        default_focus_table(),
    ).focus_blocks
    assert found.schema == {k: v for k, v in GOLD_FOCUS_BLOCKS.schema.items() if k != "run_id"}
    return found.select("started_at", "ended_at", "duration_s", "app").rows()


class TestFocusBlocks:
    def test_each_is_a_row_with_its_span_its_evidence_and_the_app_with_most_of_it(self) -> None:
        rows = focus_blocks(
            slice_("excel", "09:00", "09:10"),
            slice_("code", "09:10", "09:25"),
            slice_("slack", "09:25", "09:26"),
            slice_("code", "09:26", "09:31"),
            slice_("slack", "09:31", "09:40"),
            slice_("word", "10:00", "10:25"),
        )
        assert rows == [
            (at("09:00"), at("09:31"), 1800.0, "code"),
            (at("10:00"), at("10:25"), 1500.0, "word"),
        ]

    def test_idle_time_cuts_a_slice_into_two_of_them(self) -> None:
        rows = focus_blocks(slice_("code", "09:00", "10:30"), idle=idle(("09:30", "09:40")))
        assert rows == [
            (at("09:00"), at("09:30"), 1800.0, "code"),
            (at("09:40"), at("10:30"), 3000.0, "code"),
        ]

    def test_of_apps_with_as_much_the_first_by_name_names_it(self) -> None:
        rows = focus_blocks(slice_("word", "09:00", "09:20"), slice_("code", "09:20", "09:40"))
        assert rows == [(at("09:00"), at("09:40"), 2400.0, "code")]

    def test_a_day_without_any_has_no_row(self) -> None:
        assert focus_blocks(slice_("slack", "09:00", "10:00")) == []


class TestStays:
    def test_switches_dwell_and_fragmentation_of_three_stays(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:20", title="a.py"),
            slice_("chrome", "09:20", "09:30", url="https://x.com", title="X"),
            slice_("code", "09:30", "10:00", title="b.py"),
        )
        assert got["context_switches"] == 2
        assert got["context_switches_per_hour"] == 2
        assert got["median_dwell_s"] == 1200
        assert got["fragmentation"] == pytest.approx(1 - (1 / 9 + 1 / 36 + 1 / 4))

    def test_slices_cut_at_minutes_are_one_stay(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:01", title="a"),
            slice_("code", "09:01", "09:02", title="a", keystroke_minutes=1),
            slice_("code", "09:02", "09:30", title="a"),
        )
        assert (got["context_switches"], got["median_dwell_s"], got["fragmentation"]) == (0, 1800, 0)

    def test_a_visit_under_five_seconds_is_passed_over(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:10"),
            slice_("slack", "09:10", "09:10:04"),
            slice_("code", "09:10:04", "09:20"),
        )
        assert (got["context_switches"], got["median_dwell_s"]) == (0, 1196)

    def test_a_visit_of_five_seconds_counts(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:10"),
            slice_("slack", "09:10", "09:10:05"),
            slice_("code", "09:10:05", "09:20"),
        )
        assert got["context_switches"] == 2

    def test_another_title_on_the_same_page_is_the_same_context(self) -> None:
        page = {"url": "https://mail.google.com"}
        got = worked(
            slice_("chrome", "09:00", "09:10", title="(1) Inbox", **page),
            slice_("chrome", "09:10", "09:20", title="(2) Inbox", **page),
        )
        assert got["context_switches"] == 0

    def test_a_break_between_workblocks_is_no_switch(self) -> None:
        got = measured(
            workblocks=blocks(block("09:00", "09:30"), block("11:00", "11:30")),
            atomic_slices=slices(
                slice_("code", "09:00", "09:30"),
                slice_("slack", "11:00", "11:30", workblock_id="wb:a:0:01"),
            ),
        )
        assert got["context_switches"] == 0

    def test_apps_used_in_the_same_minutes_are_one_stay_of_the_clocks_length(self) -> None:
        at_once = {"multitasking": True, "is_synthetic": True}
        got = worked(
            slice_("slack", "09:00", "09:01", **at_once),
            slice_("word", "09:00", "09:01", **at_once),
            slice_("slack", "09:01", "09:02", **at_once),
            slice_("word", "09:01", "09:02", **at_once),
            workblocks=blocks(block("09:00", "09:02")),
        )
        assert (got["context_switches"], got["median_dwell_s"]) == (0, 120)

    def test_without_a_stay_of_five_seconds_dwell_and_fragmentation_have_no_value(self) -> None:
        got = worked(slice_("a", "09:00", "09:00:04"), slice_("b", "09:00:04", "09:00:08"))
        assert (got["context_switches"], got["median_dwell_s"], got["fragmentation"]) == (0, None, None)


class TestEntropy:
    def test_one_app_has_no_entropy(self) -> None:
        assert worked(slice_("code", "09:00", "10:00"))["tool_entropy"] == 0

    def test_half_a_quarter_and_a_quarter_are_one_and_a_half_bits(self) -> None:
        got = worked(
            slice_("code", "09:00", "09:30"),
            slice_("chrome", "09:30", "09:45"),
            slice_("slack", "09:45", "10:00"),
        )
        assert got["tool_entropy"] == pytest.approx(1.5)


class TestAfterHours:
    day = slice_("code", "07:00", "19:00")

    def test_time_before_and_after_the_schedule_counts(self) -> None:
        hours = org({"schedule_start": "09:00", "schedule_end": "17:30", "time_zone": "UTC"})
        assert worked(self.day, org_members=hours)["after_hours_s"] == 3.5 * 3600

    def test_without_a_schedule_it_has_no_value(self) -> None:
        assert worked(self.day, org_members=org({"team": "x"}))["after_hours_s"] is None

    def test_a_day_inside_the_schedule_has_zero(self) -> None:
        hours = org({"schedule_start": "07:00", "schedule_end": "19:00"})
        assert worked(self.day, org_members=hours)["after_hours_s"] == 0

    def test_idle_time_is_not_work_after_hours(self) -> None:
        hours = org({"schedule_start": "07:00", "schedule_end": "17:00"})
        got = worked(self.day, org_members=hours, idle=idle(("16:00", "18:30")))
        assert got["after_hours_s"] == 1800

    def test_a_schedule_across_midnight_reaches_into_both_ends_of_the_day(self) -> None:
        hours = org({"schedule_start": "22:00", "schedule_end": "06:00"})
        got = worked(slice_("code", "05:00", "07:00"), slice_("code", "21:00", "23:00"), org_members=hours)
        assert got["after_hours_s"] == 7200

    def test_equal_start_and_end_are_no_schedule(self) -> None:
        hours = org({"schedule_start": "08:00", "schedule_end": "08:00"})
        assert worked(self.day, org_members=hours)["after_hours_s"] is None

    def test_the_schedule_is_read_in_the_workers_zone(self) -> None:
        hours = org({"schedule_start": "09:00", "schedule_end": "17:00", "time_zone": "America/New_York"})
        got = worked(slice_("code", "13:00", "15:00"), org_members=hours)
        assert got["after_hours_s"] == 3600

    def test_the_tenants_zone_stands_in_for_a_missing_or_unknown_one(self) -> None:
        for zone in (None, "Mars/Olympus"):
            hours = org({"schedule_start": "09:00", "schedule_end": "17:00", "time_zone": zone})
            one = slice_("code", "13:00", "15:00")
            got = measured(
                "America/New_York",
                atomic_slices=slices(one),
                workblocks=blocks(block("13:00", "15:00")),
                org_members=hours,
            )
            assert got["after_hours_s"] == 3600

    def test_a_start_that_the_clock_skipped_is_an_hour_on(self) -> None:
        spring = date(2024, 3, 31)
        zone = {"schedule_start": "02:30", "schedule_end": "10:00", "time_zone": "Europe/Rome"}
        got = measured(
            atomic_slices=slices(slice_("code", "01:00", "02:00", date=spring), date=spring),
            workblocks=blocks(block("01:00", "02:00", date=spring), date=spring),
            org_members=org(zone),
        )
        assert got["after_hours_s"] == 1800

    def test_the_schedule_valid_that_day_counts(self) -> None:
        hours = org(
            {"schedule_start": "07:00", "schedule_end": "19:00", "valid_to": DAY},
            {"schedule_start": "08:00", "schedule_end": "19:00", "valid_from": DAY},
        )
        assert worked(self.day, org_members=hours)["after_hours_s"] == 3600
        left = org({"schedule_start": "07:00", "schedule_end": "19:00", "valid_to": DAY})
        assert worked(self.day, org_members=left)["after_hours_s"] is None


class TestKeys:
    hour = blocks(block("09:00", "10:00"))

    def test_density_rates_and_shares(self) -> None:
        got = measured(
            workblocks=self.hour,
            keystroke_minutes=keystrokes(
                keys("09:01", 100, keys_backspace=10, keys_copy=3, keys_paste=4, keys_undo=1),
                keys("09:02", 20, keys_shortcut=2),
            ),
        )
        assert got["keys"] == 120
        assert got["typing_density"] == 2
        assert got["backspaces"] == 10
        assert got["backspace_rate"] == pytest.approx(10 / 120)
        assert got["shortcuts"] == 10
        assert got["shortcut_share"] == pytest.approx(10 / 120)
        assert got["copy_pastes"] == 7
        assert got["copy_paste_per_hour"] == 7

    def test_no_keystroke_minutes_is_unknown_not_zero(self) -> None:
        got = measured(workblocks=self.hour)
        assert {got[n] for n in ("keys", "typing_density", "backspace_rate", "copy_paste_per_hour")} == {None}

    def test_a_minute_captured_under_off_makes_the_days_keys_unknown(self) -> None:
        got = measured(
            workblocks=self.hour,
            keystroke_minutes=keystrokes(keys("09:01", 100), keys("09:02", None, capture="off")),
        )
        assert {got[n] for n in ("keys", "typing_density", "shortcut_share")} == {None}

    def test_minutes_without_keys_have_no_rate(self) -> None:
        got = measured(workblocks=self.hour, keystroke_minutes=keystrokes(keys("09:01", 0)))
        assert (got["keys"], got["typing_density"], got["backspace_rate"]) == (0, 0, None)


class TestManifests:
    @staticmethod
    def kpi(name: str, attainment: float | None) -> dict[str, object]:
        return {"name": name, "target": None, "actual": None, "unit": None, "attainment": attainment}

    def test_goals_and_attainment(self) -> None:
        declared = {"goals": ["a", "b", "c"], "goals_done": ["a", "c"]}
        kpis = [self.kpi("calls", 1.5), self.kpi("mails", 0.5), self.kpi("visits", None)]
        got = measured(manifest_pairs=pair(declared | {"kpis": kpis}))
        assert (got["goals_declared"], got["goals_done"], got["kpi_attainment"]) == (3, 2, 1.0)

    def test_without_the_end_of_day_what_was_done_is_unknown(self) -> None:
        got = measured(manifest_pairs=pair({"goals": ["a"], "is_eod_missing": True}))
        assert (got["goals_declared"], got["goals_done"], got["kpi_attainment"]) == (1, None, None)
