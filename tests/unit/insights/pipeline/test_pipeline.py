"""Briefs from published Gold, by facts alone."""

from __future__ import annotations

from datetime import timedelta

from tests.factories import TENANT
from tests.unit.insights.pipeline.desks import Desk
from tests.unit.runner.pipeline.lakes import DAY, worked

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.insight_policy import InsightPolicy
from coworkai.common.tables import GOLD_BRIEFS, GOLD_INSIGHTS, GOLD_TOKEN_CONTEXTS
from coworkai.insights.markdown import escaped


def test_every_worker_of_a_day_gets_a_brief_that_names_its_evidence(written: Desk) -> None:
    days = [DAY - timedelta(days=n) for n in range(3)]
    assert written.versions() == {(day, user): [1] for day in days for user in ("ana", "bo")}
    brief = written.brief("ana")
    assert "ship the report" in str([one.text for one in brief.statements()])
    assert {claim.fact_id for one in brief.statements() for claim in one.claims} == {
        one.fact_id for one in brief.evidence
    }
    assert written.read(GOLD_INSIGHTS).height > 0
    assert written.read(GOLD_TOKEN_CONTEXTS).height == 6
    assert written.dirty() == []


def test_what_is_told_twice_is_written_once(week: Desk) -> None:
    assert len(week.write()) == 1
    before, artifacts = week.tables(), week.artifacts()
    week.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY])
    assert week.pipeline().run(TENANT) == []
    assert week.write() == []
    assert all(frame.equals(before[name]) for name, frame in week.tables().items())
    assert week.artifacts() == artifacts


def test_a_day_that_changes_gets_a_new_version_and_keeps_the_old_one(written: Desk) -> None:
    old = written.brief("bo")
    written.place.commit(Source.ACTIVITIES, worked("bo", "13:00", "15:00"))
    written.write()
    assert written.versions()[DAY, "bo"] == [1, 2]
    assert written.versions()[DAY, "ana"] == [1]
    assert written.brief("bo").brief_id != old.brief_id
    kept = written.read(GOLD_BRIEFS).filter(subject_id="bo", date=DAY, version=1)
    assert kept["brief_id"].to_list() == [old.brief_id]


def test_a_context_has_the_insights_of_earlier_days_whether_days_come_at_once_or_one_by_one(
    week: Desk,
) -> None:
    days = [DAY - timedelta(days=n) for n in (2, 1, 0)]
    for day in days:
        week.write_one("ana", day)
    week.pipeline().run(TENANT)
    for user in ("ana", "bo"):
        (components,) = week.read(GOLD_TOKEN_CONTEXTS).filter(date=DAY, user_id=user)["components"]
        told_of = {
            (entry["date"], entry["component"]) for entry in components if entry["status"] == "included"
        }
        assert {(day, "workblock_insights") for day in days} <= told_of
        assert (DAY, "chat_insights") in told_of
        told = week.read(GOLD_INSIGHTS).filter(user_id=user, date=days[0])["text"]
        (markdown,) = [
            text.decode()
            for path, text in week.artifacts().items()
            if f"context_consolidated/user_{user}/primary_date={DAY}/" in path and path.endswith(".md")
        ]
        assert all(f"- {escaped(text)}\n" in markdown for text in told)


def test_artefacts_that_are_written_again_have_the_context_of_their_brief(written: Desk) -> None:
    before = written.artifacts()
    for path in before:
        written.place.store.delete([path])
    written.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY - timedelta(days=n) for n in range(3)])
    assert written.pipeline().run(TENANT) == []
    assert written.artifacts() == before


def test_a_late_change_reaches_the_briefs_of_the_following_window(written: Desk) -> None:
    written.place.commit(Source.ACTIVITIES, worked("bo", "13:00", "15:00", DAY - timedelta(days=2)))
    written.write()
    for n in range(3):
        assert written.versions()[DAY - timedelta(days=n), "bo"] == [1, 2]
        assert written.versions()[DAY - timedelta(days=n), "ana"] == [1]


def test_a_late_change_reaches_the_briefs_whose_baselines_it_moves_and_no_others(desk: Desk) -> None:
    desk.place.control.put_insight_policy(TENANT, InsightPolicy(brief_days=2))
    for n in range(3, 10):
        day = DAY - timedelta(days=3 * n)
        desk.place.commit(
            Source.ACTIVITIES, *(worked(user, "09:00", f"10:{50 - 5 * n:02}", day) for user in ("ana", "bo"))
        )
    later = [DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)]
    desk.place.commit(
        Source.ACTIVITIES, *(worked(user, "09:00", "11:00", day) for day in later for user in ("ana", "bo"))
    )
    desk.write()
    assert desk.brief("bo").provenance.context_start == DAY - timedelta(days=1)
    first = DAY - timedelta(days=27)
    desk.place.commit(Source.ACTIVITIES, worked("bo", "13:00", "15:00", first))
    desk.write()
    versions = desk.versions()
    assert [versions[day, "bo"] for day in later] == [[1, 2], [1, 2], [1]]
    assert [versions[day, "ana"] for day in later] == [[1], [1], [1]]
    assert versions[first, "bo"] == [1, 2]
    assert desk.dirty() == []
