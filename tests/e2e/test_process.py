"""`coworkai process` as its help describes it, on folders small enough to check by hand."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from tests.e2e.platform import COMMAND, coworkai

pytestmark = pytest.mark.timeout(300)

DAY = (datetime.now(UTC) - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)


def at(hour: int, minute: int) -> str:
    return (DAY + timedelta(hours=hour, minutes=minute)).isoformat()


def record(number: int, **fields: object) -> dict[str, object]:
    return {"event_id": str(UUID(int=number)), "user_id": "ana", **fields}


def write(folder: Path, name: str, *lines: dict[str, object] | str) -> None:
    folder.mkdir(exist_ok=True)
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    (folder / name).write_text(text, encoding="utf-8")


def worked_case(folder: Path) -> None:
    """The worked case of the four matching phases, with a duplicate and two broken records around it."""
    chrome = {"exec": "C:/Program Files/Google/Chrome/Application/chrome.exe", "title": "News"}
    write(
        folder,
        "activities.ndjson",
        record(1, start=at(9, 0), end=at(9, 30), **chrome),
        record(2, start=at(11, 0), end=at(11, 30), exec="/usr/bin/code", title="main.py"),
        record(1, start=at(9, 0), end=at(9, 30), **chrome),
        record(3, start=at(12, 0), end=at(11, 0), exec="code"),
        '{"event_id":',
    )
    typed = {"text": "Hello<Backspace>p alice@example.com"}
    write(
        folder,
        "keystrokes.ndjson",
        record(4, minute=at(9, 15), exec="chrome.exe", **typed),
        record(5, minute=at(9, 35), exec="chrome.exe", **typed),
        record(6, minute=at(10, 0), exec="slack", **typed),
        record(7, minute=at(7, 0), exec="notepad.exe", **typed),
    )


def workblocks(data: Path) -> pl.DataFrame:
    return pl.read_delta(str(data / "lake/tenants/acme/gold/workblocks")).sort("workblock_id")


def summary_of(output: str) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert summary.pop("elapsed_s") > 0
    return summary


def test_every_record_second_and_keystroke_minute_of_the_worked_case_is_accounted_for(tmp_path: Path) -> None:
    records, data = tmp_path / "records", tmp_path / "data"
    worked_case(records)
    arguments: list[str | Path] = [
        "process",
        records,
        "--data",
        data,
        "--tenant",
        "acme",
        "--identity",
        "plain",
        "--json",
    ]
    first = summary_of(coworkai(*arguments))
    assert first == {
        "records": {"received": 9, "accepted": 6, "duplicate": 1, "quarantined": 2},
        "quarantine_reasons": {"start_after_end": 1, "unreadable": 1},
        "seconds": {"raw": 3600.0, "kept": 3600.0, "overlapped": 0.0},
        "keystroke_minutes": {"received": 4, "direct": 1, "nearest": 1, "gap": 1, "orphan": 1},
        "workblocks": first["workblocks"],
        "slices": first["slices"],
        "days": 1,
        "workers": 1,
        "insights": first["insights"],
        "briefs": 1,
    }

    listed = json.loads(coworkai("quarantine", "list", "--data", data, "--json"))
    assert {row["reason"] for row in listed} == {"start_after_end", "unreadable"}
    (late,) = (row for row in listed if row["reason"] == "start_after_end")
    opened = coworkai("quarantine", "show", late["quarantine_id"], "--open", "--data", data)
    assert json.loads(opened)["event_id"] == str(UUID(int=3))

    blocks = workblocks(data)
    assert set(blocks["user_id"]) == {"ana"}
    traced = json.loads(
        coworkai("lineage", blocks["workblock_id"][-1], "--tenant", "acme", "--data", data, "--json")
    )
    assert {event["event_id"] for event in traced["events"]} <= {str(UUID(int=n)) for n in range(1, 8)}
    assert traced["events"]

    again = summary_of(coworkai(*arguments))
    assert again["records"] == {"received": 18, "accepted": 6, "duplicate": 8, "quarantined": 4}
    for what in ("seconds", "keystroke_minutes", "workblocks", "slices", "days", "workers", "briefs"):
        assert again[what] == first[what]
    # Receipts of the duplicates are input too, so the run has another name.
    assert workblocks(data).drop("run_id").equals(blocks.drop("run_id"))


def test_without_a_data_folder_nothing_is_left_and_what_became_of_the_records_is_a_table(
    tmp_path: Path,
) -> None:
    records = tmp_path / "records"
    # One is larger than a message may be; its neighbours go on.
    write(
        records,
        "activities.ndjson",
        record(1, start=at(9, 0), end=at(9, 30), exec="code", title="main.py"),
        record(2, start=at(10, 0), end=at(10, 30), exec="code", title="x" * 10_000_000),
        record(3, start=at(11, 0), end=at(11, 30), exec="code", title="test.py"),
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [COMMAND, "process", records],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(scratch), "COLUMNS": "100"},
    )
    assert done.returncode == 0, done.stderr
    table = " ".join(done.stdout.split())
    assert "records received 3 = 2 accepted + 0 duplicate + 1 quarantined" in table
    assert "1 quarantined: message_too_large" in table
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records", "scratch"]


def test_settings_of_the_environment_are_used_but_for_those_that_would_put_data_elsewhere(
    tmp_path: Path,
) -> None:
    worked_case(tmp_path / "records")
    elsewhere = tmp_path / "elsewhere"
    done = subprocess.run(
        [COMMAND, "process", tmp_path / "records", "--data", tmp_path / "data", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            "COWORKAI_BRONZE_DAYS": "1",
            "COWORKAI_LOG_LEVEL": "WARNING",
            "COWORKAI_LAKE_URI": str(elsewhere / "lake"),
            "COWORKAI_CONTROL_URL": f"sqlite:///{elsewhere / 'control.db'}",
            "COWORKAI_BREAKER_SHARE": "0.1",
            "COWORKAI_PORT": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    names = "COWORKAI_BREAKER_SHARE, COWORKAI_CONTROL_URL, COWORKAI_LAKE_URI, COWORKAI_PORT"
    assert f"warning: set, and not used by this command: {names}\n" in done.stderr
    assert json.loads(done.stdout)["quarantine_reasons"]["too_old"] > 0
    assert (tmp_path / "data" / "lake").is_dir()
    assert not elsewhere.exists()
    assert '"INFO"' not in (tmp_path / "data" / "logs" / "ingest.log").read_text()
