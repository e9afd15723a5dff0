"""What model calls of a run leave behind, and what stops them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT, at
from tests.unit.insights.pipeline.desks import Desk, declared
from tests.unit.runner.pipeline.lakes import DAY, Place, worked

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.insight_policy import InsightPolicy, Writer
from coworkai.common.lake import scan
from coworkai.common.tables import GOLD_BRIEFS, GOLD_TOKEN_CONTEXTS, OPS_LLM_CALLS
from coworkai.insights.llm import (
    A,
    Again,
    Completion,
    Model,
    ModelSettings,
    Prompt,
    Provider,
    Refused,
    Unavailable,
    Usage,
)
from coworkai.insights.metering import Meter
from coworkai.insights.settings import InsightsSettings
from coworkai.insights.writing import ModelWriting

POLICY = InsightPolicy(Writer.OPENAI, model="small", base_url="http://127.0.0.1:9/v1")


@dataclass
class Refusing:
    """A model that refuses every prompt, at a price."""

    name: str = "small"
    provider: Provider = Provider.OPENAI
    max_output_tokens: int = 100
    asked: int = 0
    counted: int | None = 777
    is_closed: bool = field(default=False)

    async def draft(self, prompt: Prompt[A], again: Again = ...) -> Completion[A]:  # type: ignore[assignment]
        self.asked += 1
        error = Refused("no")
        error.usage = Usage(1, 0.5, 40, 2)
        raise error

    async def count_tokens(self, text: str) -> int | None:
        if self.counted is None:
            raise Unavailable("down")
        return self.counted

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.fixture
def model() -> Refusing:
    return Refusing()


@pytest.fixture
def writing(ready: Desk, model: Refusing, tmp_path: Path) -> Iterator[ModelWriting]:
    def opened(_settings: ModelSettings) -> Model:
        return model

    settings = InsightsSettings(data_dir=tmp_path)
    writing = ModelWriting(settings, Meter.from_settings(settings, ready.place.control), opened)
    yield writing
    writing.close()
    assert model.is_closed or not model.asked


@pytest.fixture(scope="module")
def ready_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("ready"))
    place.control.put_insight_policy(TENANT, POLICY)
    place.clock.now = at("12:00", DAY)
    place.commit(Source.ACTIVITIES, *(worked(user, "09:00", "11:00") for user in ("ana", "bo")))
    place.commit(
        Source.MANIFESTS, *(declared(user, "EOD", "11:30", DAY, "ship it") for user in ("ana", "bo"))
    )
    place.process()
    place.close()
    return place


@pytest.fixture
def ready(ready_once: Place, tmp_path: Path) -> Iterator[Desk]:
    """Two workers who have said that DAY is over."""
    place = ready_once.copy(tmp_path)
    yield Desk(place)
    place.close()


def calls(desk: Desk) -> pl.DataFrame:
    return scan(desk.place.lake.open(OPS_LLM_CALLS, TENANT), OPS_LLM_CALLS).collect().sort("call_id")


def test_every_call_of_a_run_has_a_row_that_names_its_brief(ready: Desk, writing: ModelWriting) -> None:
    ready.pipeline(writing=writing).run(TENANT)
    rows = calls(ready)
    assert (
        rows.select("purpose", "model", "outcome", "input_tokens", "output_tokens", "attempts").rows()
        == [("brief", "small", "refused", 40, 2, 1)] * 2
    )
    briefs = ready.read(GOLD_BRIEFS)
    assert sorted(rows["brief_id"]) == sorted(briefs["brief_id"])
    assert set(briefs["fallback_reason"]) == {"refused"}
    assert ready.place.control.unpublished_calls(TENANT) == {}


@pytest.mark.parametrize(("counted", "outcome"), [(777, "answered"), (None, "unavailable")])
def test_the_count_of_a_context_by_its_provider_is_a_call_of_its_brief(
    ready: Desk, writing: ModelWriting, model: Refusing, counted: int | None, outcome: str
) -> None:
    model.provider, model.counted = Provider.GEMINI, counted
    ready.pipeline(writing=writing).run(TENANT)
    rows = calls(ready).filter(purpose="count")
    assert rows["outcome"].to_list() == [outcome] * 2
    assert sorted(rows["brief_id"]) == sorted(ready.read(GOLD_BRIEFS)["brief_id"])
    assert ready.read(GOLD_TOKEN_CONTEXTS)["provider_tokens"].to_list() == [counted] * 2


def test_a_repeated_run_makes_no_further_calls(ready: Desk, writing: ModelWriting, model: Refusing) -> None:
    ready.pipeline(writing=writing).run(TENANT)
    ready.place.control.mark_dirty(TENANT, Stage.STAGE2, [DAY])
    ready.pipeline(writing=writing).run(TENANT)
    assert model.asked == calls(ready).height == 2


def test_a_spent_budget_leaves_briefs_by_facts_that_say_so(
    ready: Desk, writing: ModelWriting, model: Refusing
) -> None:
    policy = InsightPolicy(
        Writer.OPENAI, model="small", base_url="http://127.0.0.1:9/v1", daily_budget_tokens=0
    )
    ready.place.control.put_insight_policy(TENANT, policy)
    ready.pipeline(writing=writing).run(TENANT)
    assert model.asked == 0
    assert set(ready.read(GOLD_BRIEFS)["fallback_reason"]) == {"budget"}
    assert set(calls(ready)["outcome"]) == {"budget"}
