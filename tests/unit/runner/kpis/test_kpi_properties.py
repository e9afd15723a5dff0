"""What holds for every day, whatever was done in it."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.runner.kpis.frames import DAY as DATE
from tests.unit.runner.kpis.frames import IDLE_COLUMNS, TENANT, at, blocks, kpi_inputs, org, slices

from coworkai.runner.stage1.focus import default_focus_table
from coworkai.runner.stage1.kpis import KpiInputs, measured_days

DAY_S = 86_400


@st.composite
def worker_days(draw: st.DrawFn) -> KpiInputs:
    """Disjoint slices of up to two workers, some joined over pauses, with idle stretches and a schedule."""
    rows: list[dict[str, Any]] = []
    cells: list[dict[str, Any]] = []
    away: list[tuple[Any, ...]] = []
    hours: list[dict[str, Any]] = []
    clock = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda t: f"{t[0]:02}:{t[1]:02}")
    for user in draw(st.sampled_from([["ann"], ["ann", "bob"]])):
        marks = sorted(draw(st.lists(st.integers(0, DAY_S), min_size=2, max_size=24, unique=True)))
        spans = list(zip(marks[::2], marks[1::2], strict=False))
        total = 0.0
        for since, until in spans:
            evidence = draw(st.sampled_from([1.0, 0.5])) * (until - since)
            total += evidence
            rows.append(
                {
                    "user_id": user,
                    "app": draw(st.sampled_from(["code", "slack", "chrome"])),
                    "url": draw(st.sampled_from([None, "https://github.com", "https://example.com"])),
                    "title": draw(st.sampled_from([None, "a", "b"])),
                    "workblock_id": f"wb:{user}:0:00",
                    "started_at": at("00:00") + timedelta(seconds=since),
                    "ended_at": at("00:00") + timedelta(seconds=until),
                    "duration_s": evidence,
                }
            )
        cells.append(
            {
                "user_id": user,
                "workblock_id": f"wb:{user}:0:00",
                "started_at": at("00:00") + timedelta(seconds=marks[0]),
                "ended_at": at("00:00") + timedelta(seconds=spans[-1][1]),
                "duration_s": float(spans[-1][1] - marks[0]),
                "active_s": total,
            }
        )
        gaps = sorted(draw(st.lists(st.integers(0, DAY_S), max_size=6, unique=True)))
        away += [
            (TENANT, DATE, user, at("00:00") + timedelta(seconds=a), at("00:00") + timedelta(seconds=b))
            for a, b in zip(gaps[::2], gaps[1::2], strict=False)
        ]
        zone = draw(st.sampled_from(["UTC", "Europe/Rome", "America/New_York"]))
        hours.append(
            {
                "user_id": user,
                "schedule_start": draw(clock),
                "schedule_end": draw(clock),
                "time_zone": zone,
            }
        )
    return kpi_inputs(
        workblocks=blocks(*cells),
        atomic_slices=slices(*rows),
        idle=pl.DataFrame(away, schema=IDLE_COLUMNS, orient="row"),
        org_members=org(*hours),
    )


def by_worker(inputs: KpiInputs) -> pl.DataFrame:
    daily = measured_days(inputs, default_focus_table()).kpi_daily
    return daily.pivot(on="measure", index=["tenant_id", "date", "user_id"], values="value")


@settings(max_examples=40, deadline=None)
@given(worker_days())
def test_measures_stay_in_their_bounds(inputs: KpiInputs) -> None:
    for day in by_worker(inputs).iter_rows(named=True):
        assert 0 <= day["focus_s"] <= day["active_s"] <= DAY_S
        if day["after_hours_s"] is not None:
            assert 0 <= day["after_hours_s"] <= day["active_s"]
        assert 0 <= day["focus_ratio"] <= 1
        assert day["focus_blocks"] * 1500 <= day["focus_s"]
        assert 0 <= day["tool_entropy"] <= 1.584962501
        if day["fragmentation"] is not None:
            assert 0 <= day["fragmentation"] < 1
            assert 5 <= day["median_dwell_s"] <= day["active_s"]
        assert day["context_switches"] >= 0


@settings(max_examples=25, deadline=None)
@given(worker_days())
def test_focus_blocks_are_as_many_and_as_long_as_the_measures_say_and_do_not_overlap(
    inputs: KpiInputs,
) -> None:
    measured = measured_days(inputs, default_focus_table())
    for day in by_worker(inputs).iter_rows(named=True):
        rows = measured.focus_blocks.filter(user_id=day["user_id"])
        assert rows.height == day["focus_blocks"]
        assert abs(rows["duration_s"].sum() - day["focus_s"]) < 1e-5
        spans = rows.select("started_at", "ended_at").rows()
        assert all(one[1] < other[0] for one, other in pairwise(spans))
        lengths = (rows["ended_at"] - rows["started_at"]).dt.total_microseconds() / 1e6
        assert (rows["duration_s"] <= lengths + 1e-6).all()


@settings(max_examples=15, deadline=None)
@given(worker_days(), st.randoms(use_true_random=False))
def test_shuffling_rows_changes_nothing_and_workers_do_not_touch_each_other(
    inputs: KpiInputs, random: Any
) -> None:
    together = measured_days(inputs, default_focus_table())

    def each(frame: pl.DataFrame, user: str | None) -> pl.DataFrame:
        part = frame if user is None else frame.filter(user_id=user)
        return part.sample(fraction=1, shuffle=True, seed=random.randrange(1000))

    names = KpiInputs.__dataclass_fields__
    for user in (None, *together.kpi_daily["user_id"].unique()):
        again = KpiInputs(**{name: each(getattr(inputs, name), user) for name in names})
        found = measured_days(again, default_focus_table())
        for one, other in (
            (found.kpi_daily, together.kpi_daily),
            (found.focus_blocks, together.focus_blocks),
        ):
            assert one.equals(other if user is None else other.filter(user_id=user))
