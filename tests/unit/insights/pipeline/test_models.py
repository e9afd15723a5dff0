"""When a model is asked, and what becomes of its brief."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.factories import TENANT, at
from tests.unit.insights.pipeline.desks import Desk, declared
from tests.unit.runner.pipeline.lakes import DAY, Place, worked

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.insight_policy import InsightPolicy, Writer
from coworkai.common.tables import GOLD_BRIEFS, GOLD_TOKEN_CONTEXTS
from coworkai.insights.assemble import sections_of
from coworkai.insights.brief import Grounding, Origin
from coworkai.insights.llm import NotAdmitted
from coworkai.insights.making import Work
from coworkai.insights.write import BUDGET, Written
from coworkai.insights.writing import ModelBrief, Result

POLICY = InsightPolicy(Writer.OPENAI, model="small", base_url="http://127.0.0.1:9/v1")


def by_model(work: Work) -> ModelBrief:
    sections = sections_of(work.draft, work.book, Origin.ACCEPTED)
    return ModelBrief(Written(sections, Grounding(accepted=3), "openai", "small", "v1", 900, 200), 777)


def fallen_back(reason: str) -> Callable[[Work], ModelBrief]:
    def write(work: Work) -> ModelBrief:
        sections = sections_of(work.draft, work.book)
        return ModelBrief(
            Written(sections, Grounding(fallback_reason=reason), "deterministic", "small", "v1"), None
        )

    return write


def broken(work: Work) -> Result:
    try:
        return by_model(replace(work, draft=None))  # type: ignore[arg-type]
    except AttributeError as error:
        return error


@dataclass
class ScriptedModel:
    """Answers each work with what `write` makes of it, and remembers whom it was asked for."""

    write_one: Callable[[Work], Result] = by_model
    asked: list[str] = field(default_factory=list)

    def write(self, tenant_id: str, policy: InsightPolicy, works: Sequence[Work]) -> list[Result]:
        assert (tenant_id, policy) == (TENANT, POLICY)
        self.asked += [work.book.subject for work in works]
        return [self.write_one(work) for work in works]


def writers(desk: Desk) -> list[tuple[str, int, str]]:
    """Subject, version and writer of DAY's briefs."""
    rows = desk.read(GOLD_BRIEFS).filter(date=DAY).sort("subject_id", "version")
    return list(rows.select("subject_id", "version", "writer").iter_rows())


@pytest.fixture(scope="module")
def today_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("today"))
    place.control.put_insight_policy(TENANT, POLICY)
    place.clock.now = at("12:00", DAY)
    place.commit(Source.ACTIVITIES, *(worked(user, "09:00", "11:00") for user in ("ana", "bo")))
    place.commit(Source.MANIFESTS, declared("bo", "EOD", "11:30", DAY, "ship it"))
    place.process()
    place.close()
    return place


@pytest.fixture
def today(today_once: Place, tmp_path: Path) -> Iterator[Desk]:
    """DAY at noon: both have worked, and bo has said that the day is over."""
    place = today_once.copy(tmp_path)
    yield Desk(place)
    place.close()


def run(desk: Desk, model: ScriptedModel) -> None:
    desk.place.control.mark_due(Stage.STAGE2)
    desk.pipeline(writing=model).run(TENANT)


def test_a_model_writes_when_the_end_of_the_day_is_declared_and_facts_until_then(today: Desk) -> None:
    model = ScriptedModel()
    run(today, model)
    assert model.asked == ["bo"]
    assert writers(today) == [("ana", 1, "deterministic"), ("bo", 1, "openai")]
    contexts = today.read(GOLD_TOKEN_CONTEXTS).filter(user_id="bo")
    assert contexts["provider_tokens"].to_list() == [777]


def test_a_model_writes_when_the_day_is_over_where_the_worker_is(today: Desk) -> None:
    model = ScriptedModel()
    run(today, model)
    midnight = at("00:00", DAY + timedelta(days=1))
    assert today.place.control.planned(Stage.STAGE2, TENANT) == [(DAY, midnight)]
    today.place.clock.advance(timedelta(hours=11, minutes=59))
    run(today, model)
    assert model.asked == ["bo"]
    today.place.clock.advance(timedelta(minutes=1))
    run(today, model)
    assert model.asked == ["bo", "ana"]
    assert writers(today) == [("ana", 1, "deterministic"), ("ana", 2, "openai"), ("bo", 1, "openai")]


def test_a_model_is_not_asked_again_for_the_same_facts(today: Desk) -> None:
    model = ScriptedModel()
    run(today, model)
    today.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY])
    run(today, model)
    assert model.asked == ["bo"]


def test_who_was_not_let_in_has_a_brief_by_facts_and_a_model_is_asked_again_later(today: Desk) -> None:
    model = ScriptedModel(lambda _work: NotAdmitted("no room"))
    run(today, model)
    assert writers(today) == [("ana", 1, "deterministic"), ("bo", 1, "deterministic")]
    assert today.dirty() == []
    run(today, model)
    assert model.asked == ["bo"]
    today.place.clock.advance(timedelta(seconds=121))
    run(today, model)
    assert model.asked == ["bo", "bo"]
    assert writers(today)[1:] == [("bo", 1, "deterministic")]
    model.write_one = by_model
    today.place.clock.advance(timedelta(seconds=121))
    run(today, model)
    assert writers(today)[1:] == [("bo", 1, "deterministic"), ("bo", 2, "openai")]


@pytest.mark.parametrize(
    ("reason", "again_after"), [("unavailable", timedelta(seconds=121)), (BUDGET, timedelta(hours=12))]
)
def test_a_fallback_that_passes_says_why_and_is_tried_again(
    today: Desk, reason: str, again_after: timedelta
) -> None:
    model = ScriptedModel(fallen_back(reason))
    run(today, model)
    assert today.brief("bo").grounding.fallback_reason == reason
    today.place.clock.advance(again_after)
    model.write_one = by_model
    run(today, model)
    assert "openai" in [writer for subject, _, writer in writers(today) if subject == "bo"]


def test_a_fallback_that_does_not_pass_is_not_tried_again_for_the_same_facts(today: Desk) -> None:
    model = ScriptedModel(fallen_back("refused"))
    run(today, model)
    assert today.brief("bo").grounding.fallback_reason == "refused"
    today.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY])
    run(today, model)
    assert model.asked == ["bo"]


def test_a_failure_of_ours_is_recorded_and_the_others_are_published(today: Desk) -> None:
    run(today, ScriptedModel(broken))
    assert writers(today) == [("ana", 1, "deterministic")]
    assert set(today.place.failures()["user_id"]) == {"bo"}
    assert DAY in today.dirty()


def test_somebody_who_asks_gets_a_models_brief_before_the_day_is_over(today: Desk) -> None:
    model = ScriptedModel()
    today.pipeline(writing=model).write(TENANT, "ana", DAY)
    assert model.asked == ["ana"]
    run(today, model)
    assert ("ana", 1, "openai") in writers(today), "what facts make does not take its place"
    assert model.asked == ["ana", "bo"]
