"""Records whose tenant withholds them: identity and date are stored, nobody is named."""

from __future__ import annotations

from pathlib import Path

from tests.factories import at
from tests.unit.runner.pipeline.lakes import DAY, Place, days_of

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.tables import GOLD_ACCOUNTING


def test_a_day_with_withheld_keystrokes_beside_activities_is_computed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    worked = {"started_at": at("09:00", DAY), "ended_at": at("09:30", DAY), "exec": "chrome.exe"}
    withheld = {"event_date": DAY, "user_id": None, "device_id": None, "minute": None, "capture": "off"}
    place.commit(Source.ACTIVITIES, {"user_id": "ana", **worked})
    place.commit(Source.KEYSTROKES, withheld)
    assert days_of(place.process(), Stage.STAGE1) == [DAY]
    assert place.read(GOLD_ACCOUNTING).select("user_id", "kept_s", "keystroke_minutes").rows() == [
        ("ana", 1800.0, 0)
    ]
    assert place.dirty() == []
    place.close()
