"""Tables that several lanes write: rows of another lane are kept beside, who lost its own lane loses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from coworkai.common.control import Stage
from coworkai.common.errors import LeaseLost
from coworkai.common.lake import Lake, compact, scan
from coworkai.common.outputs import Facts, Outputs, Run, WorkerFailure
from coworkai.common.published import published
from coworkai.common.tables import GOLD_BRIEFS, GOLD_WORKBLOCKS, OPS_FAILURES, OPS_RUNS

TENANT = "acme"
DAY = date(2024, 1, 8)
NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)
FACTS = Facts({}, "1", "1", NOW, NOW)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def run(name: str) -> Run:
    return Run(name, (DAY,), {}, failures=(WorkerFailure("ana", "Error", "here:1"),))


def names(lake: Lake) -> list[str]:
    return sorted(scan(lake.open(OPS_RUNS, TENANT), OPS_RUNS).collect()["run_id"])


def test_lanes_that_publish_in_turns_keep_each_others_rows(lake: Lake) -> None:
    runner = Outputs.open(lake, TENANT, Stage.STAGE1, 1)
    insights = Outputs.open(lake, TENANT, Stage.STAGE2, 1)
    for turn in range(3):
        facts = replace(FACTS, finished_at=NOW + timedelta(seconds=turn))
        runner.publish([run(f"runner{turn}")], facts)
        insights.publish([run(f"insights{turn}")], facts)
    assert names(lake) == [f"{lane}{turn}" for lane in ("insights", "runner") for turn in range(3)]
    failures = scan(lake.open(OPS_FAILURES, TENANT), OPS_FAILURES).collect()
    assert sorted(failures["stage"]) == ["stage1"] * 3 + ["stage2"] * 3
    runs = lake.open(OPS_RUNS, TENANT)
    assert published(runs, Stage.STAGE1).run_ids == {DAY: "runner2"}
    assert published(runs, Stage.STAGE2).run_ids == {DAY: "insights2"}
    assert published(runs, Stage.STAGE1).versions.keys().isdisjoint(published(runs, Stage.STAGE2).versions)


@pytest.mark.parametrize("stage", [Stage.STAGE1, Stage.STAGE2])
@pytest.mark.parametrize("has_published", [False, True])
def test_who_lost_its_lane_publishes_nothing_however_often_the_other_lane_did(
    lake: Lake, stage: Stage, *, has_published: bool
) -> None:
    other = Stage.STAGE2 if stage is Stage.STAGE1 else Stage.STAGE1
    late = Outputs.open(lake, TENANT, stage, 1)
    if has_published:
        late.publish([run("early")], FACTS)
    beside = Outputs.open(lake, TENANT, other, 1)
    beside.publish([run("beside")], FACTS)
    Outputs.open(lake, TENANT, stage, 2).publish([run("new")], FACTS)
    beside.publish([run("beside again")], FACTS)
    before = names(lake)
    with pytest.raises(LeaseLost):
        late.publish([run("late")], FACTS)
    assert names(lake) == before
    assert published(lake.open(OPS_RUNS, TENANT), stage).run_ids == {DAY: "new"}


def test_compaction_keeps_the_rows_that_another_lane_adds_meanwhile(lake: Lake) -> None:
    runner = Outputs.open(lake, TENANT, Stage.STAGE1, 1)
    for turn in range(3):
        runner.publish([run(f"runner{turn}")], FACTS)
    held = lake.open(OPS_RUNS, TENANT)
    Outputs.open(lake, TENANT, Stage.STAGE2, 1).publish([run("insights")], FACTS)
    assert compact(held, OPS_RUNS, fence=2, shared=True, from_files=2) > 0
    assert names(lake) == ["insights", "runner0", "runner1", "runner2"]


def test_rows_that_are_added_while_a_lane_compacts_stay(lake: Lake) -> None:
    runner = Outputs.open(lake, TENANT, Stage.STAGE1, 1)
    for turn in range(3):
        runner.publish([run(f"runner{turn}")], FACTS)
    insights = Outputs.open(lake, TENANT, Stage.STAGE2, 1)
    compact(lake.open(OPS_RUNS, TENANT), OPS_RUNS, fence=2, shared=True, from_files=2)
    insights.publish([run("insights")], FACTS)
    assert names(lake) == ["insights", "runner0", "runner1", "runner2"]


def test_stages_have_tables_of_their_own(lake: Lake) -> None:
    one, two = Outputs.open(lake, TENANT, Stage.STAGE1, 1), Outputs.open(lake, TENANT, Stage.STAGE2, 1)
    assert GOLD_WORKBLOCKS.id in one.deltas
    assert GOLD_BRIEFS.id in two.deltas
    assert one.deltas.keys().isdisjoint(two.deltas)
