"""Compaction, retention and vacuum, under readers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import write_deltalake
from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import DAY, NEXT, Place, listed, same, two_days, worked

from coworkai.common.control import Database, Lane, Stage
from coworkai.common.control.schema import idempotency_keys
from coworkai.common.events import Source
from coworkai.common.lake import scan, stats
from coworkai.common.tables import (
    BRONZE_ACTIVITIES,
    BRONZE_JOBS,
    BRONZE_QUARANTINE,
    BRONZE_REPEATS,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    TABLES,
    Layer,
)
from coworkai.runner.bronze import PinnedBronze
from coworkai.runner.maintenance import Maintenance, MaintenancePolicy
from coworkai.runner.repeats import Repeats

ALL_AT_ONCE = MaintenancePolicy(versions=timedelta(0), compact_from_files=2)


def maintenance(place: Place, policy: MaintenancePolicy = ALL_AT_ONCE) -> Maintenance:
    return Maintenance(place.lake, place.control, place.store, "keeper", policy, place.clock)


@pytest.fixture(scope="module")
def many_files_once(computed_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = computed_once.copy(tmp_path_factory.mktemp("many-files"))
    place.commit(Source.ACTIVITIES, worked("cy", "10:00", "10:30"))
    place.process()
    place.close()
    return place


@pytest.fixture
def many_files(many_files_once: Place, tmp_path: Path) -> Iterator[Place]:
    """More commits to one day than maintenance leaves as files."""
    place = many_files_once.copy(tmp_path)
    yield place
    place.close()


def test_compaction_changes_no_row_and_makes_nothing_dirty(many_files: Place) -> None:
    tables, artifacts = many_files.tables(), many_files.artifacts()
    reports = {one.table: one for one in maintenance(many_files).run()}
    assert reports[BRONZE_ACTIVITIES.id].files_merged > 0
    assert reports[OPS_RUNS.id].files_merged > 0
    assert same(many_files.tables(), tables)
    assert many_files.artifacts() == artifacts
    assert many_files.process() == []
    assert many_files.dirty() == []


def test_late_data_after_compaction_and_vacuum_is_computed_like_any_other(many_files: Place) -> None:
    maintenance(many_files).run()
    many_files.commit(Source.ACTIVITIES, worked("bo", "15:00", "15:30"))
    many_files.process()
    blocks = many_files.read(GOLD_WORKBLOCKS).filter(pl.col("user_id") == "bo")
    assert blocks.height == 2


def test_a_reader_that_began_before_compaction_and_vacuum_reads_on(many_files: Place) -> None:
    pinned = PinnedBronze.pin(many_files.lake, TENANT)
    expected = pinned.window([DAY], ["cy"])
    maintenance(many_files, MaintenancePolicy(compact_from_files=2)).run()
    assert same(pinned.window([DAY], ["cy"]), expected)


def test_what_is_published_survives_a_vacuum_that_keeps_no_old_version(many_files: Place) -> None:
    tables = many_files.tables()
    maintenance(many_files).run()
    maintenance(many_files).run()
    assert same(many_files.tables(), tables)


def test_every_table_keeps_protocol_1_2(many_files: Place) -> None:
    maintenance(many_files).run()
    for table in TABLES.values():
        delta = many_files.lake.open(table, None if table.layer is Layer.BRONZE else TENANT)
        protocol = delta.protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2), table.id


def test_bronze_is_kept_for_its_retention_and_snapshots_for_ever(place: Place) -> None:
    two_days(place)
    place.commit(Source.JOBS, listed("ana", "sales", date(2020, 1, 1), "first"))
    again = worked("ana", "09:00", "09:30") | {"event_id": "twice"}
    place.commit(Source.ACTIVITIES, again, worked("ana", "09:00", "09:30", NEXT) | {"event_id": "twice"})
    assert Repeats(place.lake, place.control, "keeper").find() == 1
    place.clock.advance(timedelta(days=500))
    maintenance(place).run()
    assert stats(place.lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES).rows == 0
    assert stats(place.lake.open(BRONZE_REPEATS), BRONZE_REPEATS).rows == 0
    assert stats(place.lake.open(BRONZE_JOBS), BRONZE_JOBS).rows == 1


def test_a_quarantined_original_is_removed_when_it_expires(place: Place) -> None:
    kept, gone = place.clock.now + timedelta(days=1), place.clock.now - timedelta(seconds=1)
    quarantined(place, kept)
    quarantined(place, gone)
    maintenance(place).run()
    left = scan(place.lake.open(BRONZE_QUARANTINE), BRONZE_QUARANTINE).collect()
    assert left["expires_at"].to_list() == [kept]


def test_batches_that_were_computed_anew_are_removed_after_a_while(computed: Place) -> None:
    before = computed.published(Stage.STAGE1).run_ids[DAY]
    computed.commit(Source.ACTIVITIES, worked("bo", "15:00", "15:30"))
    computed.process()
    folders = [path for path in computed.store.list(f"tenants/{TENANT}") if before in path]
    assert folders
    maintenance(computed, MaintenancePolicy()).run()
    assert [path for path in computed.store.list(f"tenants/{TENANT}") if before in path] == folders
    computed.clock.advance(timedelta(days=8))
    artifacts = computed.artifacts()
    maintenance(computed, MaintenancePolicy()).run()
    assert [path for path in computed.store.list(f"tenants/{TENANT}") if before in path] == []
    assert computed.artifacts() == artifacts


def test_a_tenant_that_is_being_computed_is_left_alone(many_files: Place) -> None:
    for lane in Lane:
        many_files.control.lease(TENANT, "runner", 60, lane)
    assert {one.tenant_id for one in maintenance(many_files).run()} == {None}


def quarantined(place: Place, expires_at: object) -> None:
    row = {"quarantine_id": "q", "event_date": DAY, "tenant_id": TENANT, "expires_at": expires_at}
    frame = pl.DataFrame([row]).match_to_schema(
        BRONZE_QUARANTINE.schema, missing_columns="insert", integer_cast="upcast", extra_columns="raise"
    )
    write_deltalake(
        place.lake.open(BRONZE_QUARANTINE),
        frame.to_arrow().cast(BRONZE_QUARANTINE.arrow_schema),
        mode="append",
    )


def test_the_control_store_forgets_what_is_past_its_time(place: Place) -> None:
    database = Database(f"sqlite:///{place.folder}/control.db")
    with database.write() as connection:
        connection.execute(
            idempotency_keys.insert().values(
                tenant_id=TENANT,
                principal_id="key_1",
                key="k",
                method="POST",
                path="/v1/exports",
                request_digest=b"d",
                created_at=place.clock() - timedelta(days=3),
                expires_at=place.clock() - timedelta(days=2),
            )
        )
    database.close()
    expired = [{one.table: one.rows_expired for one in maintenance(place).run()} for _ in range(2)]
    assert [each["control/idempotency_keys"] for each in expired] == [1, 0]
