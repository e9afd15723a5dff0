"""A small sample organisation through the real platform: its sums, and that none of its secrets is kept.

The whole data folder is searched under the default policy: lake, logs of tables and services, quarantine,
bus, control store; parquet files both as they are and decompressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.doubles.oracle import Expected, expected
from tests.e2e.platform import Summary, process

from coworkai.local.sample import SampleFacts, write_organisation

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Processed:
    facts: SampleFacts
    oracle: Expected
    summary: Summary
    data: Path


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Processed:
    records, data = tmp_path_factory.mktemp("records"), tmp_path_factory.mktemp("data")
    facts = write_organisation(records, workers=6, days=3)
    return Processed(facts, expected(records, now=datetime.now(UTC)), process(records, data), data)


def test_every_record_has_the_outcome_that_the_sample_knows(processed: Processed) -> None:
    facts, records = processed.facts, processed.summary.records
    assert processed.summary.quarantine_reasons == {str(k): n for k, n in facts.quarantined.items()}
    assert records == {
        "received": facts.received,
        "accepted": facts.accepted,
        "duplicate": facts.duplicates,
        "quarantined": sum(facts.quarantined.values()),
    }


def test_seconds_equal_the_union_of_the_intervals_to_the_microsecond(processed: Processed) -> None:
    oracle = processed.oracle
    assert processed.summary.microseconds == {
        "raw": oracle.raw_us,
        "kept": oracle.kept_us,
        "overlapped": oracle.overlapped_us,
    }


def test_every_keystroke_minute_is_matched_once(processed: Processed) -> None:
    minutes = processed.summary.keystroke_minutes
    assert minutes["received"] == processed.oracle.keystroke_minutes
    assert minutes["received"] == sum(minutes[phase] for phase in ("direct", "nearest", "gap", "orphan"))


def test_every_worker_is_there_under_a_token(processed: Processed) -> None:
    assert processed.summary.workers == processed.oracle.workers == processed.facts.workers
    reports = list(processed.data.rglob("workblock_report_*.md"))
    assert reports
    assert all(path.parent.name.startswith("user_user_") for path in reports)


def test_nothing_that_was_planted_is_found_in_the_data_folder(processed: Processed) -> None:
    planted = sorted(processed.facts.planted)
    files = [path for path in processed.data.rglob("*") if path.is_file()]
    assert len({path.suffix for path in files} & {".parquet", ".json", ".md", ".db", ".log"}) == 5
    leaks = {
        (path.relative_to(processed.data).as_posix(), value)
        for path in files
        for content in contents(path)
        for value in found(content, planted)
    }
    assert not leaks


def test_the_search_would_find_what_is_hidden_in_compressed_columns(tmp_path: Path) -> None:
    secret = "someone@client-mail.example"
    path = tmp_path / "a.parquet"
    rows = [{"goals": [f"write to {secret}"], "n": number} for number in range(100)]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
    assert any(secret in found(content, [secret]) for content in contents(path))


def contents(path: Path) -> Iterator[bytes]:
    """The file as it is, and for a parquet file its values."""
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield repr(pq.ParquetFile(path).read().to_pylist()).encode()


def found(content: bytes, values: list[str]) -> list[str]:
    """Which of the values are in the content, in one pass."""
    text = pl.Series([content.decode("latin-1")])
    return text.str.extract_many(values, overlapping=True).explode().drop_nulls().unique().to_list()
