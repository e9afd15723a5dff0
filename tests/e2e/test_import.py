"""A real export of a phone, imported and processed: not a microsecond is added or lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.doubles.oracle import expected
from tests.e2e.platform import coworkai, process

pytestmark = pytest.mark.timeout(300)
EXCERPT = Path(__file__).parents[1] / "data" / "activitywatch-android.json"


def recent(path: Path) -> Path:
    """The excerpt moved by whole days to yesterday, so that it is not older than what Bronze takes."""
    export = json.loads(EXCERPT.read_text(encoding="utf-8"))
    events = [event for bucket in export["buckets"].values() for event in bucket["events"]]
    newest = max(datetime.fromisoformat(event["timestamp"]) for event in events)
    shift = timedelta(days=(datetime.now(UTC) - newest).days)
    for event in events:
        event["timestamp"] = (datetime.fromisoformat(event["timestamp"]) + shift).isoformat()
    path.write_text(json.dumps(export), encoding="utf-8")
    return path


def test_kept_seconds_of_an_imported_phone_equal_the_union_of_its_intervals(tmp_path: Path) -> None:
    export, records, data = recent(tmp_path / "export.json"), tmp_path / "records", tmp_path / "data"
    coworkai("import", "activitywatch", export, "--out", records, "--user", "phone-owner")
    summary = process(records, data)
    oracle = expected(records, now=datetime.now(UTC))
    assert summary.records["accepted"] == summary.records["received"] == oracle.activities + 4
    assert summary.microseconds == {
        "raw": oracle.raw_us,
        "kept": oracle.kept_us,
        "overlapped": oracle.overlapped_us,
    }
    reports = list(data.rglob("workblock_report_*.md"))
    assert reports
    assert all("# " in path.read_text(encoding="utf-8") for path in reports)
