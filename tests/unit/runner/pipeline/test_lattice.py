"""The lattice as a stage: published when its periods are over, once, and never a half of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import DAY, FakeClock, Place, listed, worked

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.lake import append, replace_partitions, scan
from coworkai.common.tables import (
    GOLD_KPI_LATTICE,
    LATTICE_TABLES,
    OPS_LATTICE_CONTRIBUTIONS,
    OPS_RUNS,
    OPS_SUPPRESSIONS,
    Table,
)
from coworkai.runner.maintenance import Maintenance, MaintenancePolicy
from coworkai.runner.rebuild import rebuild
from coworkai.runner.run_lattice import settled_at

WORKERS = [f"w{n}" for n in range(6)]
SUNDAY = DAY + timedelta(days=6)


@pytest.fixture(scope="module")
def team_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = filled(Place(tmp_path_factory.mktemp("team")))
    place.process()
    place.close()
    return place


@pytest.fixture
def team(team_once: Place, tmp_path: Path) -> Iterator[Place]:
    """Six workers of a team worked on DAY, a Monday, and what they did is computed."""
    place = team_once.copy(tmp_path)
    yield place
    place.close()


def filled(place: Place, zone: str | None = None) -> Place:
    before = DAY - timedelta(days=7)
    place.commit(Source.JOBS, *(listed(one, "red", before, "first", zone) for one in WORKERS))
    arrive(place, WORKERS, "09:00")
    return place


def arrive(place: Place, workers: Sequence[str], start: str, day: date = DAY) -> None:
    """Telemetry of each worker on the day: more than half an hour, of everybody a little more."""
    hour = int(start[:2])
    place.commit(
        Source.ACTIVITIES,
        *(worked(one, start, f"{hour:02}:{35 + n}", day) for n, one in enumerate(workers)),
    )


def cells(place: Place, period: str = "day", day: date = DAY) -> dict[str, tuple[float | None, int | None]]:
    """Active time of groups, and contributors."""
    found = place.read(GOLD_KPI_LATTICE).filter(measure="active_s", period=period, date=day)
    return {group: (value, n) for group, value, n in found.select("group_id", "value", "contributors").rows()}


def rows(place: Place, table: Table) -> pl.DataFrame:
    """The table as it is, published or not."""
    return scan(place.lake.open(table, TENANT), table).collect()


def at(moment: datetime, place: Place) -> None:
    place.clock.now = moment


# ------------------------------------------------------------------------------------------- periods
def test_a_day_is_over_where_it_ends_last() -> None:
    day = date(2024, 3, 30)
    assert settled_at(day, ["UTC"], timedelta(0)) == datetime(2024, 3, 31, tzinfo=UTC)
    assert settled_at(day, ["UTC", "Europe/Berlin"], timedelta(0)) == datetime(2024, 3, 31, tzinfo=UTC)
    west = settled_at(day, ["Asia/Tokyo", "America/Los_Angeles"], timedelta(hours=24))
    assert west == datetime(2024, 4, 1, 7, tzinfo=UTC)


def test_days_that_are_over_are_published_with_what_they_are_made_of(team: Place) -> None:
    value, contributors = cells(team)["red"]
    assert (value, contributors) == (float(sum((35 + n) * 60 for n in range(6))), 6)
    assert cells(team, "week")["red"] == (value, contributors)
    assert cells(team)[TENANT] == (value, contributors)
    assert team.dirty() == []
    of_day = rows(team, OPS_LATTICE_CONTRIBUTIONS).filter(measure="active_s")
    assert of_day["user_id"].n_unique() == 6
    assert of_day["value"].sum() == value
    suppressed = rows(team, OPS_SUPPRESSIONS)
    told = team.read(GOLD_KPI_LATTICE).filter(pl.col("suppressed").is_null())
    assert suppressed.height + told.height == team.read(GOLD_KPI_LATTICE).height
    assert set(suppressed["reason"]) == {"primary"}


def test_a_day_is_published_when_it_is_over_in_the_last_zone_and_settled(tmp_path: Path) -> None:
    place = Place(tmp_path, FakeClock(datetime(2024, 1, 8, 18, tzinfo=UTC)))
    filled(place, "America/New_York")
    place.process()
    assert place.read(GOLD_KPI_LATTICE).is_empty()
    closes = datetime(2024, 1, 10, 5, tzinfo=UTC)
    assert place.control.planned(Stage.LATTICE, TENANT) == [
        (DAY, closes),
        (SUNDAY, closes + timedelta(days=6)),
    ]
    at(closes - timedelta(seconds=1), place)
    assert place.control.mark_due(Stage.LATTICE) == 0
    at(closes, place)
    assert place.control.mark_due(Stage.LATTICE) == 1
    place.process()
    assert cells(place)["red"][1] == 6
    assert cells(place, "week") == {}
    at(closes + timedelta(days=6), place)
    place.control.mark_due(Stage.LATTICE)
    place.process()
    assert cells(place, "week")["red"] == cells(place)["red"]
    assert set(place.read(GOLD_KPI_LATTICE)["date"]) == {DAY + timedelta(days=n) for n in range(7)}
    place.close()


def test_a_mark_that_comes_too_early_is_planned(tmp_path: Path) -> None:
    place = Place(tmp_path, FakeClock(datetime(2024, 1, 8, 18, tzinfo=UTC)))
    filled(place)
    place.control.mark_dirty(TENANT, Stage.LATTICE, [DAY])
    place.process()
    assert place.read(GOLD_KPI_LATTICE).is_empty()
    assert (DAY, datetime(2024, 1, 10, tzinfo=UTC)) in place.control.planned(Stage.LATTICE, TENANT)
    assert place.dirty() == []
    place.close()


# ------------------------------------------------------------------------------------------- late data
def test_late_data_of_one_changes_nothing_that_is_told_and_of_five_all_of_it(team: Place) -> None:
    before = team.read(GOLD_KPI_LATTICE)
    arrive(team, WORKERS[:1], "13:00")
    team.process()
    assert team.read(GOLD_KPI_LATTICE).equals(before)
    arrive(team, WORKERS[1:5], "13:00")
    team.process()
    late = [35, *(35 + n for n in range(4))]
    assert cells(team)["red"] == (60.0 * (sum(35 + n for n in range(6)) + sum(late)), 6)
    versions = rows(team, OPS_LATTICE_CONTRIBUTIONS).filter(measure="active_s").group_by("version").len()
    assert sorted(versions.rows()) == [(1, 6), (2, 6)]


def test_publishing_again_what_is_published_writes_nothing(team: Place) -> None:
    before = team.lake.open(OPS_RUNS, TENANT).version()
    team.control.mark_dirty(TENANT, Stage.LATTICE, [DAY, SUNDAY])
    assert team.process() == []
    assert team.lake.open(OPS_RUNS, TENANT).version() == before


def test_a_run_that_died_before_it_published_is_undone_and_made_again(team: Place) -> None:
    before = {table.id: rows(team, table) for table in LATTICE_TABLES}
    half = team.read(GOLD_KPI_LATTICE).with_columns(value=pl.lit(1.0))
    lattice = team.lake.open(GOLD_KPI_LATTICE, TENANT)
    replace_partitions(lattice, GOLD_KPI_LATTICE, half, half["date"].unique().to_list(), fence=10**6)
    memory = team.lake.open(OPS_LATTICE_CONTRIBUTIONS, TENANT)
    again = before[OPS_LATTICE_CONTRIBUTIONS.id].with_columns(version=pl.lit(2, pl.Int32))
    append(memory, OPS_LATTICE_CONTRIBUTIONS, again, fence=10**6)
    team.control.mark_dirty(TENANT, Stage.LATTICE, [DAY])
    team.process()
    assert all(rows(team, table).equals(before[table.id]) for table in LATTICE_TABLES)


# ------------------------------------------------------------------------------------------- beside it
def test_a_larger_smallest_group_is_in_force_at_once(team: Place) -> None:
    team.control.put_tenant(TENANT, min_group=7)
    assert {day.stage for day in team.dirty()} == {Stage.LATTICE}
    team.process()
    assert set(cells(team).values()) == {(None, None)}
    assert set(cells(team, "week").values()) == {(None, None)}


def test_a_rebuild_in_place_reopens_the_lattice_and_one_beside_does_not(team: Place, tmp_path: Path) -> None:
    pipeline = team.pipeline()
    rebuild(pipeline, TENANT, DAY, DAY, beside=str(tmp_path / "beside"))
    assert team.dirty() == []
    rebuild(pipeline, TENANT, DAY, DAY)
    assert {day.stage for day in team.dirty()} == {Stage.LATTICE}
    before = team.read(GOLD_KPI_LATTICE)
    assert team.process() == []
    assert team.read(GOLD_KPI_LATTICE).equals(before)


def test_maintenance_leaves_the_lattice_published_and_its_memory_whole(team: Place) -> None:
    arrive(team, WORKERS, "13:00")
    team.process()
    before = {table.id: rows(team, table).sort(pl.all()) for table in LATTICE_TABLES}
    policy = MaintenancePolicy(versions=timedelta(0), compact_from_files=2)
    Maintenance(team.lake, team.control, team.store, "keeper", policy, team.clock).run()
    published = team.published(Stage.LATTICE)
    for table in LATTICE_TABLES:
        read = team.lake.open(table, TENANT, version=published.version(table))
        assert set(read.file_uris()) == set(team.lake.open(table, TENANT).file_uris())
    assert all(rows(team, table).sort(pl.all()).equals(before[table.id]) for table in LATTICE_TABLES)
    team.control.mark_dirty(TENANT, Stage.LATTICE, [DAY])
    assert team.process() == []
