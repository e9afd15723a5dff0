"""Manifests, paired (docs/domain.md section 3)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl
import pytest
from tests.factories import DAY, at, bronze

from coworkai.common.events import Source
from coworkai.runner.silver.build import build_silver
from coworkai.runner.silver.manifests import manifest_pairs


def pairs(*manifests: Mapping[str, Any], day: date = DAY) -> list[dict[str, Any]]:
    rows = bronze(Source.MANIFESTS, *manifests)
    return manifest_pairs(rows.with_columns(date=pl.lit(day))).to_dicts()


def sod(clock: str = "09:00", **fields: Any) -> dict[str, Any]:
    return {"kind": "SOD", "occurred_at": at(clock), **fields}


def eod(clock: str = "17:00", **fields: Any) -> dict[str, Any]:
    return {"kind": "EOD", "occurred_at": at(clock), **fields}


def kpi(name: str, target: float | None = None, actual: float | None = None, unit: str | None = None) -> Any:
    return {"name": name, "target": target, "actual": actual, "unit": unit}


def test_the_last_of_each_kind_makes_the_pair_and_earlier_ones_are_its_revisions() -> None:
    [pair] = pairs(
        sod("08:55", event_id="s1"),
        sod("09:10", event_id="s2"),
        eod("17:00", event_id="e1"),
        eod("17:30", event_id="e2"),
    )
    assert (pair["sod_event_id"], pair["eod_event_id"]) == ("s2", "e2")
    assert (pair["sod_at"], pair["eod_at"]) == (at("09:10"), at("17:30"))
    assert [r["event_id"] for r in pair["revisions"]] == ["s1", "e1"]
    assert pair["revisions"][0] == {"event_id": "s1", "kind": "SOD", "occurred_at": at("08:55")}


def test_of_two_at_the_same_time_the_later_published_is_the_half() -> None:
    [pair] = pairs(
        sod(event_id="a", published_at=at("09:02")),
        sod(event_id="b", published_at=at("09:01")),
    )
    assert pair["sod_event_id"] == "a"
    assert [r["event_id"] for r in pair["revisions"]] == ["b"]


def test_a_missing_half_is_flagged() -> None:
    [morning] = pairs(sod(goals=["Ship"]))
    assert (morning["is_sod_missing"], morning["is_eod_missing"]) == (False, True)
    assert (morning["goals"], morning["goals_done"], morning["eod_at"]) == (["Ship"], [], None)
    [evening] = pairs(eod(goals=["Ship"]))
    assert (evening["is_sod_missing"], evening["is_eod_missing"]) == (True, False)
    assert (evening["goals"], evening["goals_done"]) == (["Ship"], ["Ship"])


def test_a_goal_is_done_when_the_evening_names_it_in_any_case() -> None:
    decomposed = unicodedata.normalize("NFD", "CAFÉ ÖFFNEN")
    [pair] = pairs(
        sod(goals=["Straße sperren", "Café öffnen", "Call Bo", "call bo", "  "]),
        eod(goals=["STRASSE SPERREN ", decomposed, "something else"]),
    )
    assert pair["goals"] == ["Straße sperren", "Café öffnen", "Call Bo"]
    assert pair["goals_done"] == ["Straße sperren", "Café öffnen"]


def test_focus_areas_are_the_set_of_both_halves() -> None:
    [pair] = pairs(sod(focus_areas=["Sales", "Ops", "sales"]), eod(focus_areas=["OPS", "hiring", "Sales "]))
    assert pair["focus_areas"] == ["hiring", "Ops", "Sales"]


def test_kpis_join_by_name_in_any_case_with_their_attainment() -> None:
    [pair] = pairs(
        sod(kpis=[kpi("Calls", target=20, unit="n"), kpi("Demos", target=0), kpi("Mails", target=5)]),
        eod(kpis=[kpi("calls", actual=15), kpi("DEMOS", actual=3), kpi("Extra", target=2, actual=3)]),
    )
    assert pair["kpis"] == [
        {"name": "Calls", "target": 20.0, "actual": 15.0, "unit": "n", "attainment": 0.75},
        {"name": "Demos", "target": 0.0, "actual": 3.0, "unit": None, "attainment": None},
        {"name": "Mails", "target": 5.0, "actual": None, "unit": None, "attainment": None},
        {"name": "Extra", "target": 2.0, "actual": 3.0, "unit": None, "attainment": 1.5},
    ]


def test_a_kpi_twice_in_one_half_counts_as_its_last_entry() -> None:
    [pair] = pairs(eod(kpis=[kpi("Calls", 10, 1), kpi("CALLS", 10, 9)]))
    assert [(k["name"], k["actual"]) for k in pair["kpis"]] == [("CALLS", 9.0)]


def test_the_reflection_is_the_evenings() -> None:
    [pair] = pairs(sod(reflection="morning"), eod(reflection="evening"))
    assert pair["reflection"] == "evening"


def test_workers_and_days_do_not_mix() -> None:
    rows = [sod(user_id=user, goals=[user]) for user in ("ann", "bob")] + [eod(user_id="bob", goals=["BOB"])]
    ann, bob = pairs(*rows)
    assert (ann["user_id"], ann["goals"], ann["is_eod_missing"]) == ("ann", ["ann"], True)
    assert (bob["user_id"], bob["goals_done"], bob["is_eod_missing"]) == ("bob", ["bob"], False)


def test_no_manifests_make_no_pairs() -> None:
    assert pairs() == []


@pytest.mark.parametrize(("zone", "dates"), [("Asia/Tokyo", [2]), ("America/New_York", [1]), ("UTC", [1, 2])])
def test_a_pair_belongs_to_the_workers_local_day(zone: str, dates: list[int]) -> None:
    late = at("16:00"), at("03:00", date(2024, 1, 2))
    rows = bronze(
        Source.MANIFESTS,
        {"kind": "SOD", "occurred_at": late[0]},
        {"kind": "EOD", "occurred_at": late[1]},
    )
    silver = build_silver({"manifests": rows}, None, zone)["silver/manifest_pairs"]
    assert silver["date"].to_list() == [date(2024, 1, day) for day in dates]
