"""From Bronze to published Gold, with the real rules on tiny Bronze."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import (
    DAY,
    NEXT,
    Place,
    days_of,
    failing_for,
    listed,
    same,
    two_days,
    typed,
    with_stages,
    worked,
)

from coworkai.common.control import Lane, Stage, Tenant
from coworkai.common.errors import NotFound
from coworkai.common.events import Source
from coworkai.common.lake import expire, replace_partitions
from coworkai.common.outputs import Frames
from coworkai.common.tables import (
    BRONZE_BY_SOURCE,
    GOLD_ACCOUNTING,
    GOLD_WORKBLOCKS,
    SILVER_HEALTH,
    SILVER_TIMELINE,
)
from coworkai.runner.pipeline import Pipeline, PipelineConfig
from coworkai.runner.stages import TenantRules, silver_stage


def test_a_committed_activity_becomes_a_published_workblock(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))
    place.commit(Source.KEYSTROKES, typed("ana", "09:10"))
    publications = place.process()
    assert days_of(publications, Stage.SILVER) == [DAY]
    assert days_of(publications, Stage.STAGE1) == [DAY]
    [block] = place.read(GOLD_WORKBLOCKS).rows(named=True)
    assert (block["started_at"], block["active_s"], block["keystroke_minutes"]) == (
        at("09:00", DAY),
        1800.0,
        1,
    )
    assert place.read(GOLD_ACCOUNTING).select("raw_s", "kept_s", "direct").row(0) == (1800.0, 1800.0, 1)
    assert place.dirty() == []


def test_the_same_day_processed_twice_is_byte_identical(computed: Place, tmp_path: Path) -> None:
    again = computed.elsewhere(tmp_path / "again")
    again.process()
    assert same(again.tables(), computed.tables())
    assert again.artifacts() == computed.artifacts()
    assert len(computed.artifacts()) > 10
    again.close()


def test_what_is_unchanged_is_not_written_again(computed: Place) -> None:
    before = computed.runs().height
    computed.control.mark_dirty(TENANT, Stage.SILVER, [DAY])
    computed.control.mark_dirty(TENANT, Stage.STAGE1, [DAY])
    assert computed.process() == []
    assert computed.runs().height == before
    assert computed.dirty() == []


def test_late_data_reopens_the_days_it_touches_and_no_others(computed: Place, tmp_path: Path) -> None:
    before = computed.published(Stage.STAGE1).run_ids
    computed.commit(Source.ACTIVITIES, worked("bo", "11:00", "11:20"))
    assert days_of(computed.process(), Stage.STAGE1) == [DAY]
    after = computed.published(Stage.STAGE1).run_ids
    assert after[NEXT] == before[NEXT]
    assert after[DAY] != before[DAY]
    scratch = computed.elsewhere(tmp_path / "scratch")
    scratch.process()
    assert same(computed.tables(), scratch.tables())
    assert computed.artifacts() == scratch.artifacts()
    scratch.close()


def test_a_late_snapshot_reopens_the_days_from_its_date(place: Place, tmp_path: Path) -> None:
    two_days(place)
    place.commit(Source.JOBS, listed("ana", "sales", DAY - timedelta(days=7), "first"))
    place.process()
    place.commit(Source.JOBS, listed("ana", "support", NEXT, "second"))
    published = place.process()
    assert days_of(published, Stage.STAGE1) == [NEXT]
    scratch = place.elsewhere(tmp_path / "scratch")
    scratch.process()
    assert same(place.tables(), scratch.tables())
    assert place.artifacts() == scratch.artifacts()
    scratch.close()


def test_a_new_time_zone_moves_what_was_worked_to_other_days(place: Place, tmp_path: Path) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "22:00", "23:00"))
    place.process()
    assert place.read(GOLD_WORKBLOCKS)["date"].to_list() == [DAY]
    place.commit(Source.JOBS, listed("ana", "sales", DAY - timedelta(days=7), "f", time_zone="Asia/Tokyo"))
    place.process()
    assert place.read(GOLD_WORKBLOCKS)["date"].to_list() == [NEXT]
    scratch = place.elsewhere(tmp_path / "scratch")
    scratch.process()
    assert same(place.tables(), scratch.tables())
    scratch.close()


def of_the_tenant(place: Place) -> Pipeline:
    """A pipeline with the rules of the tenant as the control store has it."""
    return replace(place.pipeline(), rules_of=lambda tenant: TenantRules.of_zone(tenant.time_zone))


def test_another_time_zone_of_the_tenant_moves_the_days_of_those_without_one(
    place: Place, tmp_path: Path
) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "22:00", "23:00"), worked("bo", "22:00", "23:00"))
    place.commit(Source.JOBS, listed("bo", "sales", DAY - timedelta(days=7), "f", time_zone="Europe/Berlin"))
    place.dispatcher.mark()
    of_the_tenant(place).run(TENANT)
    place.control.put_tenant(TENANT, time_zone="Asia/Tokyo")
    of_the_tenant(place).run(TENANT)
    blocks = place.read(GOLD_WORKBLOCKS).sort("user_id").select("user_id", "date").rows()
    assert blocks == [("ana", NEXT), ("bo", DAY)]
    assert place.control.dirty([Stage.SILVER, Stage.STAGE1]) == []
    scratch = place.elsewhere(tmp_path / "scratch")
    scratch.control.put_tenant(TENANT, time_zone="Asia/Tokyo")
    scratch.dispatcher.mark()
    of_the_tenant(scratch).run(TENANT)
    assert same(place.tables(), scratch.tables())
    assert place.artifacts() == scratch.artifacts()
    scratch.close()


def test_a_time_zone_set_while_a_run_computes_is_not_forgotten(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "22:00", "23:00"))
    place.dispatcher.mark()

    def rules_of(tenant: Tenant) -> TenantRules:
        def meanwhile(bronze: Frames, days: Sequence[date], zone: str) -> Frames:
            place.control.put_tenant(TENANT, time_zone="Asia/Tokyo")
            return silver_stage(bronze, days, zone)

        return replace(TenantRules.of_zone(tenant.time_zone), silver=meanwhile)

    replace(place.pipeline(), rules_of=rules_of).run(TENANT)
    assert place.read(GOLD_WORKBLOCKS)["date"].to_list() == [NEXT]


def test_commits_arriving_while_a_run_computes_are_computed_before_it_lets_go(
    place: Place, tmp_path: Path
) -> None:
    two_days(place)
    arrived: list[pl.DataFrame] = []

    def slow(bronze: Frames, days: Sequence[date], zone: str) -> Frames:
        if not arrived:
            arrived.append(place.commit(Source.ACTIVITIES, worked("cy", "15:00", "15:30", NEXT)))
            place.dispatcher.mark()
        return silver_stage(bronze, days, zone)

    place.dispatcher.mark()
    place.pipeline(rules=with_stages(place.rules, silver=slow)).run(TENANT)
    assert "cy" in place.read(GOLD_WORKBLOCKS)["user_id"].to_list()
    assert place.dirty() == []
    scratch = place.elsewhere(tmp_path / "scratch")
    scratch.process()
    assert same(place.tables(), scratch.tables())
    scratch.close()


@pytest.mark.parametrize("stage", ["silver", "stage1"])
def test_one_workers_failure_is_recorded_and_logged_and_stops_nobody_else(
    place: Place, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    two_days(place)
    place.dispatcher.mark()
    place.pipeline(rules=failing_for("bo", place.rules, stage)).run(TENANT)
    assert set(place.read(GOLD_WORKBLOCKS)["user_id"]) == {"ana"}
    failures = place.failures().select("date", "user_id", "stage", "error_type").unique().sort("date").rows()
    assert failures == [(DAY, "bo", stage, "Poisoned")]
    logged = [vars(each)["fields"] for each in caplog.records if each.getMessage() == "workers failed"]
    assert [(each["date"], each["workers"], each["error_type"]) for each in logged] == [
        (DAY.isoformat(), 1, "Poisoned")
    ]
    assert set(place.failures()["location"]) == {logged[0]["location"]}
    dirty = place.control.dirty(Stage(stage))
    assert dirty
    assert {day.attempts for day in dirty} == {1}
    assert place.dirty(ready_only=True) == []


def test_a_worker_that_failed_is_computed_when_the_wait_is_over(place: Place, tmp_path: Path) -> None:
    two_days(place)
    place.dispatcher.mark()
    place.pipeline(rules=failing_for("bo", place.rules, "stage1")).run(TENANT)
    place.clock.advance(timedelta(minutes=2))
    place.pipeline().run(TENANT)
    assert set(place.read(GOLD_WORKBLOCKS)["user_id"]) == {"ana", "bo"}
    assert place.dirty() == []
    scratch = place.elsewhere(tmp_path / "scratch")
    scratch.process()
    assert same(place.tables(), scratch.tables())
    scratch.close()


def test_a_broken_accounting_identity_publishes_nothing_of_the_day(place: Place) -> None:
    two_days(place)
    place.dispatcher.mark()

    def cooked(bronze: Frames, days: Sequence[date], zone: str) -> Frames:
        frames = dict(silver_stage(bronze, days, zone))
        if DAY in days:
            frames[SILVER_HEALTH.id] = frames[SILVER_HEALTH.id].with_columns(raw_s=pl.col("raw_s") + 1e-6)
        return frames

    place.pipeline(rules=with_stages(place.rules, silver=cooked)).run(TENANT)
    assert set(place.read(SILVER_TIMELINE)["date"]) == {NEXT}
    assert DAY in [day.date for day in place.control.dirty(Stage.SILVER)]


def test_small_batches_of_whole_workers_give_the_same_rows(computed: Place, tmp_path: Path) -> None:
    small = computed.elsewhere(tmp_path / "small")
    small.config = PipelineConfig(batch_rows=1)
    small.process()
    assert same(small.tables(), computed.tables())
    assert small.artifacts() == computed.artifacts()
    small.close()


def test_what_a_run_left_unpublished_is_undone_by_the_next(computed: Place) -> None:
    seen = computed.tables()
    dropped = computed.lake.open(GOLD_WORKBLOCKS, TENANT)
    replace_partitions(dropped, GOLD_WORKBLOCKS, GOLD_WORKBLOCKS.empty(), [DAY], fence=99)
    assert same(computed.tables(), seen)
    computed.commit(Source.ACTIVITIES, worked("ana", "15:00", "15:30", NEXT))
    computed.process()
    assert DAY in computed.read(GOLD_WORKBLOCKS)["date"].to_list()


def test_days_whose_bronze_has_expired_are_left_as_they_are(computed: Place) -> None:
    seen = computed.tables()
    for table in BRONZE_BY_SOURCE.values():
        expire(computed.lake.open(table), table, before=date(2025, 1, 1), column="event_date")
    computed.clock.advance(timedelta(days=500))
    computed.control.mark_dirty(TENANT, Stage.SILVER, [DAY])
    computed.process()
    assert same(computed.tables(), seen)


def test_an_unknown_tenant_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound, match="no such tenant"):
        place.pipeline().run("nobody")


def test_stage_2_is_asked_for_every_day_that_is_published_and_again_after_a_run_that_died(
    computed: Place,
) -> None:
    assert [day.date for day in computed.control.dirty(Stage.STAGE2)] == [DAY, NEXT]
    lease = computed.control.lease(TENANT, "insights", 60, Lane.INSIGHTS)
    assert lease is not None
    computed.control.finish_stage(lease, computed.control.dirty(Stage.STAGE2))
    # As a runner leaves it that dies between a publication and the clearing of its marks.
    computed.control.mark_dirty(TENANT, Stage.STAGE1, [DAY])
    assert computed.process() == []
    assert [day.date for day in computed.control.dirty(Stage.STAGE2)] == [DAY]
