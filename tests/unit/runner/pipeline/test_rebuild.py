"""Computing days again, as Bronze is and as it was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import DAY, NEXT, Place, listed, same, two_days, worked

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.errors import NotFound, Overloaded, Terminal
from coworkai.common.events import Source
from coworkai.common.lake import Lake
from coworkai.common.tables import GOLD_WORKBLOCKS, OPS_RUNS
from coworkai.runner.rebuild import rebuild


def test_a_rebuild_as_of_a_version_after_new_data_came_is_byte_identical(
    place: Place, tmp_path: Path
) -> None:
    two_days(place)
    place.commit(Source.JOBS, listed("ana", "sales", DAY - timedelta(days=7), "first"))
    place.process()
    tables, artifacts = place.tables(), place.artifacts()
    version = place.lake.open(OPS_RUNS, TENANT).version()

    place.commit(Source.ACTIVITIES, worked("bo", "11:00", "11:20"), worked("ana", "08:00", "08:30", NEXT))
    place.commit(Source.JOBS, listed("ana", "support", DAY, "second"))
    place.process()
    assert not same(place.tables(), tables)

    beside = str(tmp_path / "beside")
    rebuilt = rebuild(place.pipeline(), TENANT, DAY, NEXT, as_of=version, beside=beside)
    assert not rebuilt.failed_days
    place.lake, place.store = Lake(beside), ArtifactStore(beside)
    assert same(place.tables(), tables)
    assert place.artifacts() == artifacts


def test_a_rebuild_as_of_a_time_reads_bronze_as_it_was_then(computed: Place) -> None:
    tables = computed.tables()
    then = computed.lake.open(OPS_RUNS, TENANT).history(1)[0]["timestamp"]
    computed.commit(Source.ACTIVITIES, worked("bo", "11:00", "11:20"))
    computed.process()
    moment = computed.clock.now.fromtimestamp(then / 1000, computed.clock.now.tzinfo)
    rebuild(computed.pipeline(), TENANT, DAY, NEXT, as_of=moment)
    assert same(computed.tables(), tables)
    assert moment.isoformat() in computed.runs()["rebuild_as_of"].to_list()


def test_a_rebuild_beside_touches_nothing_that_is_published(computed: Place, tmp_path: Path) -> None:
    tables, runs = computed.tables(), computed.runs()
    told = len(computed.told)
    rebuild(computed.pipeline(), TENANT, DAY, DAY, beside=str(tmp_path / "beside"))
    assert same(computed.tables(), tables)
    assert computed.runs().equals(runs)
    assert len(computed.told) == told
    assert computed.dirty() == []


def test_a_rebuild_in_place_of_what_is_unchanged_publishes_nothing(computed: Place) -> None:
    assert rebuild(computed.pipeline(), TENANT, DAY, NEXT).publications == []


def test_a_rebuild_waits_for_no_runner(place: Place) -> None:
    place.control.lease(TENANT, "other", 60)
    with pytest.raises(Overloaded):
        rebuild(place.pipeline(), TENANT, DAY, DAY)


def test_a_version_that_never_was_is_not_found(computed: Place) -> None:
    with pytest.raises(NotFound, match="has no version 99"):
        rebuild(computed.pipeline(), TENANT, DAY, DAY, as_of=99)


def test_a_range_that_ends_before_it_begins_is_refused(place: Place) -> None:
    with pytest.raises(Terminal, match="range"):
        rebuild(place.pipeline(), TENANT, NEXT, DAY)


def test_rebuilt_days_are_found_by_their_runs(place: Place) -> None:
    two_days(place)
    rebuild(place.pipeline(), TENANT, DAY, NEXT)
    assert set(place.published(Stage.STAGE1).run_ids) == {DAY, NEXT}
    assert place.read(GOLD_WORKBLOCKS).height == 4


def test_a_rebuild_that_dies_between_publishing_and_reopening_has_its_briefs_looked_at_later(
    computed: Place,
) -> None:
    rebuild(computed.pipeline(), TENANT, DAY, NEXT)
    planned = computed.control.planned(Stage.STAGE2, TENANT)
    assert [day for day, _ in planned] == [DAY, NEXT]
    assert all(due_at > computed.clock.now for _, due_at in planned)
