"""Appending once: against other writers, ambiguous errors, maintenance underneath, a store that is down."""

from __future__ import annotations

import json
import random
import shutil
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake.exceptions import CommitFailedError

from coworkai.common.errors import StorageUnavailable
from coworkai.common.lake import Lake, partitions, scan, tidy_log
from coworkai.common.tables import BRONZE_ACTIVITIES, BRONZE_RECEIPTS
from coworkai.ingest.app import BRONZE_IDENTITY
from coworkai.ingest.bronze import AppendOnce, Refused, write_rows
from coworkai.ingest.seen import Verdict
from coworkai.ingest.tokenise import Rows

DAY = date(2024, 1, 1)
FRESH, DUPLICATE, CONFLICT = Verdict.FRESH, Verdict.DUPLICATE, Verdict.CONFLICT
write: Callable[..., None] = write_rows


def rows(*numbers: int, day: date = DAY, tenant: str = "acme", digest: int = 0) -> Rows:
    """One activity per number; the number is its event id."""
    columns: dict[str, pa.Array] = {
        field.name: pa.nulls(len(numbers), field.type) for field in BRONZE_ACTIVITIES.arrow_schema
    }
    columns["tenant_id"] = pa.array([tenant] * len(numbers))
    columns["event_id"] = pa.array([str(uuid.UUID(int=number)) for number in numbers])
    columns["event_date"] = pa.array([day] * len(numbers), pa.date32())
    columns["content_digest"] = pa.array([digest] * len(numbers), pa.int64())
    count = len(numbers)
    return Rows(
        pa.table(columns, schema=BRONZE_ACTIVITIES.arrow_schema),
        [tenant],
        np.zeros(count, dtype=np.int32),
        np.full(count, (day - date(1970, 1, 1)).days, dtype=np.int32),
        np.array([[0, number] for number in numbers], dtype=np.uint64).reshape(-1, 2),
        np.full(count, digest, dtype=np.int64),
    )


def writer(lake: Lake, write: Callable[..., None] = write, max_ids: int = 1_000_000) -> AppendOnce:
    return AppendOnce(
        lake, BRONZE_ACTIVITIES, BRONZE_IDENTITY, max_ids=max_ids, write=write, pause=lambda _seconds: None
    )


def stored(lake: Lake) -> list[int]:
    frame = scan(lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES).collect()
    return sorted(uuid.UUID(value).int for value in frame["event_id"])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_record_is_stored_once_and_other_content_is_a_conflict(lake: Lake) -> None:
    one = writer(lake)
    assert one.append(rows(1, 2, 2)).verdicts.tolist() == [FRESH, FRESH, DUPLICATE]
    assert one.append(rows(2, 3)).verdicts.tolist() == [DUPLICATE, FRESH]
    assert one.append(rows(3, digest=7)).verdicts.tolist() == [CONFLICT]
    assert one.append(rows(3, day=DAY + timedelta(days=1))).verdicts.tolist() == [FRESH]
    assert one.append(rows(3, tenant="globex", digest=7)).verdicts.tolist() == [FRESH]
    assert stored(lake) == [1, 2, 3, 3, 3]


def test_nothing_fresh_makes_no_commit(lake: Lake) -> None:
    one = writer(lake)
    first = one.append(rows(1))
    again = one.append(rows(1))
    assert (first.version, again.version) == (1, None)
    assert lake.open(BRONZE_ACTIVITIES).version() == 1


def test_a_commit_says_which_batch_it_is_and_whom_it_touches(lake: Lake) -> None:
    appended = writer(lake).append(rows(1, 2), traceparent="00-abc-def-01")
    assert appended.touched == {"acme": [DAY]}
    (commit, *_) = lake.open(BRONZE_ACTIVITIES).history(1)
    assert len(commit["coworkai.batch"]) == 32
    assert commit["coworkai.counts"] == "2"
    assert json.loads(commit["coworkai.touched"]) == {"acme": ["2024-01-01"]}
    assert commit["coworkai.traceparent"] == "00-abc-def-01"


def test_another_writers_records_are_seen_before_ours_are_committed(lake: Lake) -> None:
    one, two = writer(lake), writer(lake)
    one.append(rows(1))
    two.append(rows(2))
    for _ in range(3):
        assert one.append(rows(2, 3)).verdicts[0] == DUPLICATE
        assert two.append(rows(1, 3)).verdicts.tolist() == [DUPLICATE, DUPLICATE]
    assert stored(lake) == [1, 2, 3]


def test_writers_in_turns_store_every_record_once(lake: Lake) -> None:
    random.seed(7)
    writers = [writer(lake) for _ in range(3)]
    fresh = 0
    for _ in range(40):
        numbers = random.sample(range(120), 10)
        fresh += int((random.choice(writers).append(rows(*numbers)).verdicts == FRESH).sum())
    kept = stored(lake)
    assert len(kept) == len(set(kept)) == fresh


class Failing:
    """Fails as told, before or after the write takes effect; then writes."""

    def __init__(self, *failures: tuple[str, type[Exception]]) -> None:
        self.failures = list(failures)

    def __call__(self, *args: object, **options: object) -> None:
        when, error = self.failures.pop(0) if self.failures else ("", OSError)
        if when == "before":
            raise error("content of a row")
        write(*args, **options)
        if when == "after":
            raise error("content of a row")


@pytest.mark.parametrize("error", [OSError, CommitFailedError, RuntimeError])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_ambiguous_error_is_resolved_by_the_log(lake: Lake, when: str, error: type[Exception]) -> None:
    one = writer(lake, Failing(("", error), (when, error)))
    one.append(rows(1))
    assert one.append(rows(1, 2)).verdicts.tolist() == [DUPLICATE, FRESH]
    assert one.append(rows(2, 3)).verdicts.tolist() == [DUPLICATE, FRESH]
    assert stored(lake) == [1, 2, 3]


def test_rows_that_are_refused_again_and_again_are_refused_without_their_content(lake: Lake) -> None:
    one = writer(lake, Failing(*[("before", ValueError)] * 3))
    with pytest.raises(Refused) as refused:
        one.append(rows(1))
    assert "content" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert one.append(rows(1)).verdicts.tolist() == [FRESH]


def test_a_store_that_takes_no_writes_is_unavailable_not_a_refusal(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = writer(lake, Failing(("", OSError), *[("before", OSError)] * 3))
    one.append(rows(1))
    probe = Path(lake.root) / "_probe"
    probe.write_text("in the way: no object can be put below")
    with pytest.raises(StorageUnavailable):
        one.append(rows(2))
    probe.unlink()
    assert one.append(rows(1, 2)).verdicts.tolist() == [DUPLICATE, FRESH]


def test_a_store_that_is_gone_is_unavailable_and_comes_back(lake: Lake) -> None:
    one = writer(lake)
    one.append(rows(1))
    away = Path(lake.root).with_name("away")
    Path(lake.root).rename(away)
    Path(lake.root).write_text("not a folder")
    with pytest.raises(StorageUnavailable):
        one.append(rows(2))
    Path(lake.root).unlink()
    away.rename(lake.root)
    assert one.append(rows(1, 2)).verdicts.tolist() == [DUPLICATE, FRESH]
    assert stored(lake) == [1, 2]


def test_compaction_and_vacuum_underneath_change_nothing(lake: Lake) -> None:
    one, two = writer(lake), writer(lake)
    for number in range(4):
        one.append(rows(number))
    two.append(rows(0))
    table = lake.open(BRONZE_ACTIVITIES)
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert two.append(rows(3, 4)).verdicts.tolist() == [DUPLICATE, FRESH]
    assert one.append(rows(4, 5)).verdicts.tolist() == [DUPLICATE, FRESH]
    three = writer(lake)
    assert three.append(rows(*range(7))).verdicts.tolist() == [DUPLICATE] * 6 + [FRESH]
    assert stored(lake) == list(range(7))


def test_files_vacuumed_before_a_date_is_loaded_are_looked_for_at_the_newer_version(lake: Lake) -> None:
    one, two = writer(lake), writer(lake)
    for number in range(4):
        one.append(rows(number))
    later = DAY + timedelta(days=1)
    two.append(rows(9, day=later))
    table = lake.open(BRONZE_ACTIVITIES)
    table.optimize.compact()
    table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert two.append(rows(3, 4)).verdicts.tolist() == [DUPLICATE, FRESH]


def test_a_log_cleaned_up_past_the_held_version_makes_dates_load_again(lake: Lake) -> None:
    one, two = writer(lake), writer(lake)
    one.append(rows(1))
    two.append(rows(2))
    for number in range(3, 8):
        one.append(rows(number))
    table = lake.open(BRONZE_ACTIVITIES)
    table.create_checkpoint()
    *older, _last = sorted((Path(lake.uri(BRONZE_ACTIVITIES)) / "_delta_log").glob("*.json"))
    for entry in older:
        entry.unlink()
    assert two.append(rows(1, 5, 8)).verdicts.tolist() == [DUPLICATE, DUPLICATE, FRESH]
    assert one.append(rows(8, 9)).verdicts.tolist() == [DUPLICATE, FRESH]
    assert stored(lake) == list(range(1, 10))


def test_checkpoints_are_written_and_a_failing_one_is_not_a_failing_commit(
    lake: Lake, tmp_path: Path
) -> None:
    one = writer(lake)
    log = Path(lake.uri(BRONZE_ACTIVITIES)) / "_delta_log"
    for number in range(9):
        one.append(rows(number))
    (log / f"{10:020d}.checkpoint.parquet").mkdir()
    assert one.append(rows(100)).verdicts.tolist() == [FRESH]
    shutil.rmtree(log / f"{10:020d}.checkpoint.parquet")
    for number in range(10, 20):
        one.append(rows(number))
    assert (log / f"{20:020d}.checkpoint.parquet").is_file()
    tidy_log(lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES)
    assert one.append(rows(19, 20)).verdicts.tolist() == [DUPLICATE, FRESH]


def test_rows_of_two_dates_are_in_their_partitions_in_one_commit(lake: Lake) -> None:
    today, later = rows(1, 2), rows(3, day=DAY + timedelta(days=1))
    both = Rows(
        pa.concat_tables([today.table, later.table]),
        today.tenants,
        np.zeros(3, dtype=np.int32),
        np.concatenate([today.day, later.day]),
        np.concatenate([today.ids, later.ids]),
        np.zeros(3, dtype=np.int64),
    )
    appended = writer(lake).append(both)
    assert (appended.version, appended.touched) == (1, {"acme": [DAY, DAY + timedelta(days=1)]})
    by_date = partitions(lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES)
    assert {day: part.rows for day, part in by_date.items()} == {DAY: 2, DAY + timedelta(days=1): 1}


def test_a_table_with_rules_that_an_append_does_not_apply_takes_no_rows(lake: Lake) -> None:
    one = writer(lake)
    one.append(rows(1))
    lake.open(BRONZE_ACTIVITIES).alter.add_constraint({"known": "tenant_id = 'globex' OR event_id <> ''"})
    with pytest.raises(Refused):
        one.append(rows(2))
    assert stored(lake) == [1]


def test_a_table_that_lacks_a_column_takes_no_rows(lake: Lake) -> None:
    older = replace(BRONZE_ACTIVITIES, columns=BRONZE_ACTIVITIES.columns[:-1])
    lake.open(older)
    with pytest.raises(Refused):
        writer(lake).append(rows(1))


def test_files_keep_no_statistics_of_persons_and_free_text(lake: Lake) -> None:
    writer(lake).append(rows(1))
    (file,) = Path(lake.uri(BRONZE_ACTIVITIES)).glob("event_date=*/*.parquet")
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    kept = {column.path_in_schema for column in columns if column.is_stats_set}
    assert kept == set(BRONZE_ACTIVITIES.stats_columns) - {"event_date"}


def test_dates_that_do_not_fit_in_memory_are_loaded_again(lake: Lake) -> None:
    one = writer(lake, max_ids=5)
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day in days:
        one.append(rows(*range(5), day=day))
    assert one.seen_ids <= 5
    for day in days:
        assert one.append(rows(*range(5), day=day)).verdicts.tolist() == [DUPLICATE] * 5
    assert one.seen_bytes == 24 * one.seen_ids


def test_a_table_without_identities_takes_every_row(lake: Lake) -> None:
    table = BRONZE_RECEIPTS
    one = AppendOnce(lake, table, None, max_ids=10, pause=lambda _seconds: None)
    columns = {field.name: pa.nulls(2, field.type) for field in table.arrow_schema}
    columns["event_date"] = pa.array([DAY, DAY], pa.date32())
    given = Rows(
        pa.table(columns, schema=table.arrow_schema),
        [""],
        np.zeros(2, dtype=np.int32),
        np.zeros(2, dtype=np.int32),
        np.zeros((2, 2), dtype=np.uint64),
        np.zeros(2, dtype=np.int64),
    )
    for _ in range(2):
        assert one.append(given).touched == {}
    assert sum(part.rows for part in partitions(lake.open(table), table).values()) == 4


def test_protocol_stays_readable_for_everybody(lake: Lake) -> None:
    writer(lake).append(rows(1))
    protocol = lake.open(BRONZE_ACTIVITIES).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
