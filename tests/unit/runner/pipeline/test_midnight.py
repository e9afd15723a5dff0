"""A worker's day that yesterday reaches into, through the whole pipeline."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.factories import at
from tests.unit.runner.pipeline.lakes import DAY, Place, days_of

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_WORKBLOCKS

NEXT = DAY + timedelta(days=1)


def test_a_day_that_holds_only_the_tail_of_yesterdays_activity_is_computed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    late = {
        "user_id": "ana",
        "started_at": at("23:50", DAY),
        "ended_at": at("00:02", NEXT),
        "exec": "chrome.exe",
    }
    place.commit(Source.ACTIVITIES, late)
    assert days_of(place.process(), Stage.STAGE1) == [DAY, NEXT]
    assert place.read(GOLD_ACCOUNTING)["kept_s"].to_list() == [600.0, 120.0]
    assert place.read(GOLD_WORKBLOCKS).select("active_s", "is_continuation").rows() == [
        (600.0, True),
        (120.0, True),
    ]
    place.close()
