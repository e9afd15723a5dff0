"""One worker's failure, artefacts that are missing, and processes that lose the tenant."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import polars as pl
import pytest
from tests.factories import TENANT
from tests.unit.insights.pipeline.desks import Desk, a_week
from tests.unit.runner.pipeline.lakes import DAY, worked

from coworkai.common.control import Lane, Stage
from coworkai.common.errors import LeaseLost, NotFound, Overloaded
from coworkai.common.events import Source
from coworkai.common.lease import HeldLease
from coworkai.common.outputs import Outputs
from coworkai.common.tables import GOLD_BRIEFS, GOLD_INSIGHTS
from coworkai.insights import run_stage2
from coworkai.insights.fact_books import worker_books
from coworkai.insights.fact_rows import GoldFrames
from coworkai.insights.facts import FactBook
from coworkai.runner.rebuild import rebuild

STRANGER = GOLD_BRIEFS.empty().clear(1).with_columns(tenant_id=pl.lit("x"), date=pl.lit(DAY))


class Poisoned(Exception):
    """What a rule raises on a row it was never written for."""


@pytest.fixture
def poisoned_for_bo(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Facts of bo cannot be made."""
    poison(monkeypatch)
    return monkeypatch


def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    def books(frames: GoldFrames, primary: date, start: date) -> Iterator[FactBook]:
        for book in worker_books(frames, primary, start):
            if book.subject == "bo":
                raise Poisoned
            yield book

    monkeypatch.setattr(run_stage2, "worker_books", books)


def test_a_worker_that_fails_is_recorded_and_logged_and_everybody_else_has_a_brief(
    week: Desk, poisoned_for_bo: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    week.write()
    assert {subject for _, subject in week.versions()} == {"ana"}
    failures = week.place.failures()
    assert set(failures["user_id"]) == {"bo"}
    assert set(failures["stage"]) == {"stage2"}
    assert set(failures["error_type"]) == {"Poisoned"}
    days = [DAY - timedelta(days=n) for n in range(3)]
    logged = [vars(each)["fields"] for each in caplog.records if each.getMessage() == "workers failed"]
    assert {(each["date"], each["workers"], each["error_type"]) for each in logged} == {
        (day.isoformat(), 1, "Poisoned") for day in days
    }
    assert week.published().partial == set(days)
    assert week.dirty() == sorted(days)
    assert week.dirty(ready_only=True) == []


def test_a_worker_that_failed_gets_its_brief_when_it_is_tried_again(
    week: Desk, poisoned_for_bo: pytest.MonkeyPatch
) -> None:
    week.write()
    week.place.clock.advance(timedelta(minutes=2))
    week.pipeline().run(TENANT)
    assert week.place.failures().height == 3, "a failure that goes on is recorded once"
    poisoned_for_bo.undo()
    week.place.clock.advance(timedelta(minutes=5))
    week.pipeline().run(TENANT)
    assert week.versions()[DAY, "bo"] == [1]
    assert week.versions()[DAY, "ana"] == [1]
    assert week.published().partial == frozenset()
    assert week.dirty() == []


def test_insights_of_a_worker_that_fails_stay(written: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = written.read(GOLD_INSIGHTS).filter(user_id="bo")
    written.place.commit(Source.ACTIVITIES, *(worked(user, "13:00", "15:00") for user in ("ana", "bo")))
    poison(monkeypatch)
    written.write()
    assert written.versions()[DAY, "ana"] == [1, 2]
    assert written.read(GOLD_INSIGHTS).filter(user_id="bo").equals(before)


def test_artefacts_that_a_dead_process_left_out_are_written_by_the_next(written: Desk) -> None:
    artifacts = written.artifacts()
    # As a process leaves it that dies between publication and artefacts.
    written.place.store.delete([path for path in artifacts if "/complete/" in path or path.endswith(".md")])
    written.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY - timedelta(days=n) for n in range(3)])
    assert written.pipeline().run(TENANT) == []
    assert written.artifacts() == artifacts


def test_a_process_that_lost_the_tenant_publishes_nothing_and_its_rows_are_undone(week: Desk) -> None:
    control, lake = week.place.control, week.place.lake
    late = control.lease(TENANT, "late", 60, Lane.INSIGHTS)
    assert late is not None
    paused = Outputs.open(lake, TENANT, Stage.STAGE2, late.fence)
    paused.append(GOLD_BRIEFS, STRANGER)
    week.place.clock.advance(timedelta(seconds=61))
    week.pipeline("quick").run(TENANT)
    assert week.versions()[DAY, "ana"] == [1]
    assert "x" not in week.read(GOLD_BRIEFS)["tenant_id"]
    with pytest.raises(LeaseLost):
        paused.append(GOLD_BRIEFS, STRANGER)
    with pytest.raises(LeaseLost), HeldLease(control, late, 60) as held:
        held.confirm()


def test_the_runner_and_insights_do_not_wait_for_each_other(desk: Desk) -> None:
    a_week(desk.place)
    assert desk.place.control.lease(TENANT, "busy", 60, Lane.INSIGHTS) is not None
    assert desk.place.process()
    assert desk.pipeline().run(TENANT) == []
    desk.place.clock.advance(timedelta(seconds=61))
    assert desk.place.control.lease(TENANT, "busy", 60, Lane.RUNNER) is not None
    assert desk.pipeline().run(TENANT)


def test_gold_that_is_published_while_an_earlier_mark_is_cleared_is_not_forgotten(written: Desk) -> None:
    pinned = written.place.control.dirty(Stage.STAGE2)
    assert pinned == []
    written.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY])
    pinned = written.place.control.dirty(Stage.STAGE2)
    lease = written.place.control.lease(TENANT, "insights", 60, Lane.INSIGHTS)
    assert lease is not None
    written.place.commit(Source.ACTIVITIES, worked("bo", "13:00", "15:00"))
    written.place.process()
    # Who pinned before the publication clears its marks only now.
    written.place.control.finish_stage(lease, pinned)
    assert DAY in written.dirty()


def test_a_rebuild_that_changes_gold_leads_to_a_new_version(written: Desk) -> None:
    written.place.commit(Source.ACTIVITIES, worked("bo", "13:00", "15:00"))
    rebuild(written.place.pipeline(), TENANT, DAY, DAY)
    assert DAY in written.dirty()
    written.pipeline().run(TENANT)
    assert written.versions()[DAY, "bo"] == [1, 2]


def test_one_brief_is_written_at_once_where_somebody_asks_for_it(week: Desk) -> None:
    day_off = DAY + timedelta(days=1)
    assert len(week.write_one("ana", day_off)) == 1
    assert len(week.write_one("ana", day_off)) == 0
    assert week.versions() == {(day_off, "ana"): [1]}
    week.pipeline().run(TENANT)
    assert week.versions()[DAY, "bo"] == [1]
    assert week.versions()[day_off, "ana"] == [1]


def test_nobody_asks_for_the_brief_of_somebody_unknown_or_while_others_write(week: Desk) -> None:
    with pytest.raises(NotFound):
        week.write_one("nobody")
    with pytest.raises(NotFound):
        week.pipeline().write("no-tenant", "ana", DAY)
    assert week.place.control.lease(TENANT, "busy", 60, Lane.INSIGHTS) is not None
    with pytest.raises(Overloaded):
        week.write_one("ana")
