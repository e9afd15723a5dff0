"""Published Gold: what stage 1 has made visible, and the artefacts of the runs that made it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import DAY, NEXT, Place, failing_for, two_days, typed, worked

from coworkai.common.artifacts import ArtifactPaths
from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.outputs import TABLES
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_WORKBLOCKS
from coworkai.insights.fact_books import FactRules, worker_books
from coworkai.insights.fact_rows import CHAT, GoldFrames
from coworkai.insights.facts import FactKind
from coworkai.insights.gold import PinnedGold

START = DAY - timedelta(days=5)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def pinned(place: Place) -> PinnedGold:
    return PinnedGold.pin(place.lake, place.store, TENANT)


def window(place: Place) -> GoldFrames:
    return pinned(place).worker_frames(NEXT, START, "UTC", baseline_days=28)


def test_every_table_is_read_at_the_version_that_was_published(place: Place) -> None:
    two_days(place)
    place.process()
    gold = pinned(place)
    place.commit(Source.ACTIVITIES, worked("ana", "15:00", "16:00"))
    place.process()
    assert gold.versions.keys() == {table.id for table in TABLES[Stage.STAGE1]}
    assert gold.read(GOLD_WORKBLOCKS, [DAY]).height < pinned(place).read(GOLD_WORKBLOCKS, [DAY]).height
    assert gold.versions[GOLD_KPI_DAILY.id] < pinned(place).versions[GOLD_KPI_DAILY.id]


def test_artefacts_are_those_of_the_days_run_and_missing_ones_are_told(place: Place) -> None:
    two_days(place)
    place.process()
    gold = pinned(place)
    assert gold.chat(DAY)["text"].to_list() == ["plan my day"]
    assert gold.manifests(DAY)["goals"].to_list() == [["ship it"]]
    place.store.delete([ArtifactPaths(TENANT).chat_history_table(DAY, gold.run_ids[DAY])])
    frames = window(place)
    assert pinned(place).chat(DAY).is_empty()
    assert frames.missing[DAY] == {CHAT}
    assert NEXT not in frames.missing
    assert START in frames.missing


def test_a_day_with_nothing_but_chat_has_its_messages(place: Place) -> None:
    place.commit(
        Source.CHAT,
        {
            "user_id": "ana",
            "occurred_at": at("09:15", NEXT),
            "conversation_id": "c",
            "assistant": "ChatGPT",
            "role": "user",
            "text": "it fails",
            "text_length": 8,
        },
    )
    place.process()
    (book,) = worker_books(window(place), NEXT, START)
    assert [fact["status"] for fact in book.of(FactKind.CHAT)] == ["blocker"]
    (day,) = book.of(FactKind.DAY)
    assert (day["has_telemetry"], day["has_manifests"], day["has_chat"]) == (False, False, True)


def test_focus_facts_are_as_many_as_the_measure_says(place: Place) -> None:
    place.commit(
        Source.ACTIVITIES,
        worked("ana", "09:00", "09:40", NEXT, app="code.exe"),
        worked("ana", "10:00", "10:50", NEXT, app="winword.exe"),
    )
    place.process()
    (book,) = worker_books(window(place), NEXT, START)
    blocks = book.of(FactKind.FOCUS, NEXT)
    count, seconds = book.kpi("focus_blocks"), book.kpi("focus_s")
    assert count is not None
    assert seconds is not None
    assert len(blocks) == count["value"] == 2
    assert sum(float(str(fact["duration_s"])) for fact in blocks) == seconds["value"]


@pytest.mark.parametrize("stage", ["silver", "stage1"])
def test_a_worker_whose_day_failed_is_not_told_that_nothing_arrived(place: Place, stage: str) -> None:
    two_days(place)
    place.dispatcher.mark()
    place.pipeline(rules=failing_for("ana", place.rules, stage)).run(TENANT)
    frames = pinned(place).worker_frames(DAY, START, "UTC", baseline_days=28)
    books = {book.subject: book for book in worker_books(frames, DAY, START)}
    (day,) = books["ana"].of(FactKind.DAY, DAY)
    assert (day["is_incomplete"], day["has_telemetry"]) == (True, None)
    (other,) = books["bo"].of(FactKind.DAY, DAY)
    assert (other["is_incomplete"], other["has_telemetry"]) == (False, True)


def test_rows_of_some_workers_only(place: Place) -> None:
    two_days(place)
    place.commit(Source.KEYSTROKES, typed("bo", "09:06"))
    place.process()
    frames = pinned(place).worker_frames(DAY, START, "UTC", baseline_days=28, workers=["bo"])
    assert [book.subject for book in worker_books(frames, DAY, START)] == ["bo"]


def test_of_slices_the_longest_alone_are_read_and_make_the_same_facts(place: Place) -> None:
    place.commit(
        Source.ACTIVITIES,
        worked("ana", "09:00", "09:40", NEXT, app="code.exe"),
        worked("ana", "09:40", "09:50", NEXT, app="winword.exe"),
        worked("ana", "09:50", "10:30", NEXT, app="excel.exe"),
        worked("bo", "09:00", "09:10", NEXT, app="code.exe"),
    )
    place.process()
    few = pinned(place).worker_frames(NEXT, START, "UTC", baseline_days=28, slices=1)
    assert few.atomic_slices["duration_s"].sort().to_list() == [600, 2_400, 2_400]
    rules = FactRules(slices=1)
    assert list(worker_books(few, NEXT, START, rules)) == list(
        worker_books(window(place), NEXT, START, rules)
    )


def test_before_anything_is_published_there_is_nothing(place: Place) -> None:
    assert list(worker_books(window(place), NEXT, START)) == []
