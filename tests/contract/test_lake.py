"""What the lake promises on every kind of store."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from tests.contract.conftest import Target
from tests.factories import TENANT, at, bronze

from coworkai.common import lake
from coworkai.common.errors import LeaseLost
from coworkai.common.events import Source
from coworkai.common.lake import TOUCHED
from coworkai.common.tables import BRONZE_ACTIVITIES, BRONZE_BY_SOURCE, GOLD_WORKBLOCKS, Table

FIRST, SECOND = date(2024, 1, 1), date(2024, 1, 2)


def blocks(day: date, *users: str) -> pl.DataFrame:
    rows = [
        {"tenant_id": TENANT, "date": day, "user_id": user, "workblock_id": f"wb:{user}"} for user in users
    ]
    return pl.DataFrame(rows, schema=GOLD_WORKBLOCKS.schema)


def commit_activity(table: DeltaTable, *users: str, day: date = FIRST) -> None:
    frame = bronze(
        Source.ACTIVITIES,
        *({"user_id": user, "started_at": at("09:00", day), "ended_at": at("09:30", day)} for user in users),
    )
    write_deltalake(
        table,
        frame.to_arrow().cast(BRONZE_ACTIVITIES.arrow_schema),
        mode="append",
        commit_properties=CommitProperties(
            max_commit_retries=0, custom_metadata={TOUCHED: json.dumps({TENANT: [day.isoformat()]})}
        ),
    )


def users_of(table: DeltaTable) -> list[str]:
    return sorted(lake.scan(table, BRONZE_ACTIVITIES).collect()["user_id"].to_list())


def test_a_table_is_created_empty_when_it_is_opened_for_the_first_time(target: Target) -> None:
    assert not target.lake.exists(BRONZE_ACTIVITIES)
    table = target.lake.open(BRONZE_ACTIVITIES)
    assert table.version() == 0
    assert target.lake.exists(BRONZE_ACTIVITIES)
    assert lake.scan(table, BRONZE_ACTIVITIES).collect().schema == BRONZE_ACTIVITIES.schema


@pytest.mark.parametrize("name", ["my data", "Müller & Söhne", "100%", "a#b?c"])
def test_a_lake_may_be_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    target = Target(str(tmp_path / name / "lake"), {})
    table = target.lake.open(BRONZE_ACTIVITIES)
    for user in ("ana", "bo"):
        commit_activity(table, user)
    assert users_of(target.lake.open(BRONZE_ACTIVITIES)) == ["ana", "bo"]
    assert all(Path(file).is_file() for file in table.file_uris())
    assert lake.changes(table, BRONZE_ACTIVITIES, None).touched == {TENANT: {FIRST}}
    lake.compact(table, BRONZE_ACTIVITIES, from_files=2)
    assert users_of(target.lake.open(BRONZE_ACTIVITIES)) == ["ana", "bo"]
    target.artifacts.put("a/b c.md", b"x")
    assert (tmp_path / name / "lake" / "a" / "b c.md").read_bytes() == b"x"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_tables_stay_readable_for_bigquery_and_old_spark(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    commit_activity(table, "alice")
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert not protocol.reader_features
    assert not protocol.writer_features


@pytest.mark.parametrize("table", BRONZE_BY_SOURCE.values(), ids=lambda table: table.name)
def test_creators_at_once_get_the_same_table_at_its_first_version(target: Target, table: Table) -> None:
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(lambda _: target.lake.open(table), range(8)))
    assert len({opened.metadata().id for opened in tables}) == 1
    assert {opened.version() for opened in tables} == {0}


def test_what_is_appended_is_read_back_as_declared(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    commit_activity(table, "alice", "bob")
    frame = lake.scan(target.lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES).collect()
    assert frame.schema == BRONZE_ACTIVITIES.schema
    assert frame["started_at"].to_list() == [at("09:00")] * 2


def test_of_two_writers_at_one_version_only_the_first_commits(target: Target) -> None:
    target.lake.open(BRONZE_ACTIVITIES)
    one, other = target.lake.open(BRONZE_ACTIVITIES), target.lake.open(BRONZE_ACTIVITIES)
    commit_activity(one, "alice")
    with pytest.raises(CommitFailedError):
        commit_activity(other, "bob")
    other.update_incremental()
    commit_activity(other, "bob")
    assert users_of(target.lake.open(BRONZE_ACTIVITIES)) == ["alice", "bob"]


def test_overwriting_a_day_leaves_the_other_days_alone(target: Target) -> None:
    both = blocks(FIRST, "alice", "bob").extend(blocks(SECOND, "carol"))
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    lake.replace_partitions(table, GOLD_WORKBLOCKS, both, [FIRST, SECOND], fence=1)
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    version = lake.replace_partitions(table, GOLD_WORKBLOCKS, blocks(FIRST, "dave"), [FIRST], fence=2)
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    assert table.version() == version
    rows = lake.scan(table, GOLD_WORKBLOCKS).select("date", "user_id").collect().rows()
    assert sorted(rows) == [(FIRST, "dave"), (SECOND, "carol")]


def test_a_day_can_be_overwritten_with_nothing(target: Target) -> None:
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    lake.replace_partitions(table, GOLD_WORKBLOCKS, blocks(FIRST, "alice"), [FIRST], fence=1)
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    lake.replace_partitions(table, GOLD_WORKBLOCKS, GOLD_WORKBLOCKS.empty(), [FIRST], fence=2)
    assert lake.scan(target.lake.open(GOLD_WORKBLOCKS, TENANT), GOLD_WORKBLOCKS).collect().is_empty()


def test_overwriting_on_a_stale_table_loses(target: Target) -> None:
    target.lake.open(GOLD_WORKBLOCKS, TENANT)
    slow, quick = target.lake.open(GOLD_WORKBLOCKS, TENANT), target.lake.open(GOLD_WORKBLOCKS, TENANT)
    lake.replace_partitions(quick, GOLD_WORKBLOCKS, blocks(FIRST, "alice"), [FIRST], fence=2)
    with pytest.raises(LeaseLost):
        lake.replace_partitions(slow, GOLD_WORKBLOCKS, blocks(FIRST, "bob"), [FIRST], fence=1)
    rows = lake.scan(target.lake.open(GOLD_WORKBLOCKS, TENANT), GOLD_WORKBLOCKS).collect()
    assert rows["user_id"].to_list() == ["alice"]


def test_an_earlier_version_can_be_read_and_restored(target: Target) -> None:
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    before = lake.replace_partitions(table, GOLD_WORKBLOCKS, blocks(FIRST, "alice"), [FIRST], fence=1)
    table = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    lake.replace_partitions(table, GOLD_WORKBLOCKS, blocks(FIRST, "bob"), [FIRST], fence=2)
    old = target.lake.open(GOLD_WORKBLOCKS, TENANT, version=before)
    assert lake.scan(old, GOLD_WORKBLOCKS).collect()["user_id"].to_list() == ["alice"]
    lake.restore(target.lake.open(GOLD_WORKBLOCKS, TENANT), GOLD_WORKBLOCKS, before, fence=3)
    now = target.lake.open(GOLD_WORKBLOCKS, TENANT)
    assert lake.scan(now, GOLD_WORKBLOCKS).collect()["user_id"].to_list() == ["alice"]


def test_the_log_tells_which_days_of_which_tenant_got_rows(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    commit_activity(table, "alice")
    seen = lake.changes(table, BRONZE_ACTIVITIES, None).version
    commit_activity(table, "bob", day=SECOND)
    found = lake.changes(table, BRONZE_ACTIVITIES, seen)
    assert found.touched == {TENANT: frozenset({SECOND})}
    assert lake.changes(table, BRONZE_ACTIVITIES, found.version).touched == {}


def test_compaction_makes_one_file_of_many_and_keeps_every_row(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    users = [f"user-{number}" for number in range(lake.COMPACT_FROM_FILES)]
    for user in users:
        commit_activity(table, user)
    assert lake.stats(table, BRONZE_ACTIVITIES).files == len(users)
    assert lake.compact(table, BRONZE_ACTIVITIES) == len(users) - 1
    table = target.lake.open(BRONZE_ACTIVITIES)
    assert lake.stats(table, BRONZE_ACTIVITIES).files == 1
    assert users_of(table) == users


def test_appends_that_come_during_a_compaction_stay(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    for number in range(lake.COMPACT_FROM_FILES):
        commit_activity(table, f"user-{number}")
    compactor = target.lake.open(BRONZE_ACTIVITIES)
    commit_activity(table, "latecomer")
    lake.compact(compactor, BRONZE_ACTIVITIES)
    users = users_of(target.lake.open(BRONZE_ACTIVITIES))
    assert len(users) == lake.COMPACT_FROM_FILES + 1
    assert "latecomer" in users


def test_a_reader_of_the_version_before_compaction_reads_on_after_vacuum(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    for number in range(lake.COMPACT_FROM_FILES):
        commit_activity(table, f"user-{number}")
    reader = target.lake.open(BRONZE_ACTIVITIES)
    lake.compact(table, BRONZE_ACTIVITIES)
    lake.vacuum(table, BRONZE_ACTIVITIES, retention=timedelta(0), keep_versions=[reader.version()])
    assert len(users_of(reader)) == lake.COMPACT_FROM_FILES


def test_vacuum_removes_what_no_kept_version_needs(target: Target) -> None:
    table = target.lake.open(BRONZE_ACTIVITIES)
    for number in range(lake.COMPACT_FROM_FILES):
        commit_activity(table, f"user-{number}")
    lake.compact(table, BRONZE_ACTIVITIES)
    removed = lake.vacuum(table, BRONZE_ACTIVITIES, retention=timedelta(0))
    assert removed == lake.COMPACT_FROM_FILES
    assert len(users_of(target.lake.open(BRONZE_ACTIVITIES))) == lake.COMPACT_FROM_FILES
