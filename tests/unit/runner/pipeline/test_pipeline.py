"""From Bronze to published Gold, with the real rules on tiny Bronze."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_SLICES, GOLD_WORKBLOCKS, SILVER_TIMELINE
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import Place, days_of

DAY = date(2024, 1, 8)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def worked(user: str, start: str, end: str, day: date = DAY, **columns: object) -> dict[str, object]:
    return {
        "user_id": user,
        "started_at": at(start, day),
        "ended_at": at(end, day),
        "exec": "chrome.exe",
        **columns,
    }


def typed(user: str, minute: str, day: date = DAY, **columns: object) -> dict[str, object]:
    return {
        "user_id": user,
        "minute": at(minute, day),
        "exec": "chrome.exe",
        "capture": "counts",
        "key_count": 9,
        **columns,
    }


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
    assert place.control.dirty() == []
