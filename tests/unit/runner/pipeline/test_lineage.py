"""From a workblock or slice back to the events, files and versions it came from."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import Place, typed, worked

from coworkai.common.errors import NotFound
from coworkai.common.events import Source
from coworkai.common.lake import compact
from coworkai.common.tables import BRONZE_ACTIVITIES, BRONZE_KEYSTROKES, GOLD_SLICES, GOLD_WORKBLOCKS
from coworkai.runner.lineage import lineage


def block_of(place: Place, user: str) -> str:
    found: str = place.read(GOLD_WORKBLOCKS).filter(pl.col("user_id") == user)["workblock_id"][0]
    return found


def test_a_workblock_leads_to_its_events_their_files_and_versions(place: Place) -> None:
    activities = place.commit(
        Source.ACTIVITIES, worked("ana", "09:00", "09:30"), worked("bo", "09:00", "09:30")
    )
    keystrokes = place.commit(Source.KEYSTROKES, typed("ana", "09:10"), typed("bo", "09:10"))
    place.process()
    found = lineage(place.lake, TENANT, block_of(place, "ana"))
    assert found.events.select("table", "event_id").rows() == [
        (BRONZE_ACTIVITIES.id, activities["event_id"][0]),
        (BRONZE_KEYSTROKES.id, keystrokes["event_id"][0]),
    ]
    assert found.pieces["event_id"].to_list() == [activities["event_id"][0]]
    assert found.keystrokes.select("event_id", "phase").rows() == [(keystrokes["event_id"][0], 1)]
    assert found.events["version"].to_list() == [1, 1]
    assert all(Path(file.removeprefix("file://")).is_file() for file in found.events["file"])
    gold, silver = found.steps
    assert gold.run_id == found.row["run_id"]
    assert silver.input_versions[BRONZE_ACTIVITIES.id] == 1


def test_a_slice_leads_to_its_own_context_only(place: Place) -> None:
    first = place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))
    second = place.commit(Source.ACTIVITIES, worked("ana", "09:30", "10:00", app="code.exe"))
    place.process()
    block = block_of(place, "ana")
    by_app = {
        row["app"]: lineage(place.lake, TENANT, f"{block}/{row['sequence']}")
        for row in place.read(GOLD_SLICES).iter_rows(named=True)
    }
    assert by_app["chrome"].pieces["event_id"].to_list() == first["event_id"].to_list()
    assert by_app["code"].pieces["event_id"].to_list() == second["event_id"].to_list()


def test_lineage_holds_after_compaction_and_later_data(place: Place) -> None:
    events = [place.commit(Source.ACTIVITIES, worked("ana", f"09:{n}0", f"09:{n}9")) for n in range(3)]
    place.process()
    block = block_of(place, "ana")
    compact(place.lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES, from_files=2)
    place.commit(Source.ACTIVITIES, worked("bo", "15:00", "15:30"))
    place.process()
    found = lineage(place.lake, TENANT, block)
    assert sorted(found.events["event_id"]) == sorted(frame["event_id"][0] for frame in events)


@pytest.mark.parametrize("identifier", ["wb:nobody:0:00", "wb:nobody:0:00/1", "wb:nobody:0:00/x", ""])
def test_an_id_that_is_not_published_is_not_found(place: Place, identifier: str) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))
    place.process()
    with pytest.raises(NotFound):
        lineage(place.lake, TENANT, identifier)
