"""`process` and a folder that is there already: its tenant's policy, and the platform that runs on it."""

from __future__ import annotations

import fcntl
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coworkai.common.control import Capture, Identity
from coworkai.common.errors import SettingsError, Terminal
from coworkai.local.platform import Platform
from coworkai.local.process import TenantPolicy, Watcher, not_computed, open_control, process, put_tenant


def test_options_that_are_not_given_leave_the_policy_of_an_existing_tenant_alone(tmp_path: Path) -> None:
    control = open_control(tmp_path)
    before = control.put_tenant(
        "acme",
        identity=Identity.PLAIN,
        capture_keystrokes=Capture.TEXT,
        capture_clipboard=Capture.OFF,
        time_zone="Europe/Berlin",
        min_group=8,
        active=False,
    )
    put_tenant(control, TenantPolicy("acme"))
    assert control.tenant("acme") == before


def test_options_that_are_given_change_only_what_they_name(tmp_path: Path) -> None:
    control = open_control(tmp_path)
    control.put_tenant("acme", identity=Identity.PLAIN, time_zone="Europe/Berlin", min_group=8)
    put_tenant(control, TenantPolicy("acme", capture=Capture.TEXT))
    changed = control.tenant("acme")
    assert changed is not None
    assert (changed.capture_keystrokes, changed.capture_clipboard) == (Capture.TEXT, Capture.TEXT)
    assert (changed.identity, changed.time_zone, changed.min_group) == (Identity.PLAIN, "Europe/Berlin", 8)


def test_a_new_tenant_gets_the_careful_defaults(tmp_path: Path) -> None:
    control = open_control(tmp_path)
    put_tenant(control, TenantPolicy("acme"))
    made = control.tenant("acme")
    assert made is not None
    assert (made.identity, made.capture_keystrokes, made.time_zone) == (
        Identity.TOKEN,
        Capture.COUNTS,
        "UTC",
    )


def test_nothing_is_written_to_a_folder_that_a_platform_runs_on(tmp_path: Path) -> None:
    records, data = tmp_path / "records", tmp_path / "data"
    records.mkdir()
    data.mkdir()
    (records / "chat.ndjson").write_text("{}\n")
    with (data / ".lock").open("a") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        with pytest.raises(Terminal, match="already runs"):
            process(records, data, TenantPolicy("acme"), Watcher())
    assert [path.name for path in data.iterdir()] == [".lock"]


def test_a_master_key_that_is_none_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("not a key")
    with (
        pytest.raises(SettingsError, match=r"master\.key is not base64 of 32 bytes"),
        Platform(tmp_path, environment={}),
    ):
        raise AssertionError
    assert not (tmp_path / "logs").exists()


def test_days_that_could_not_be_computed_come_with_the_first_failure_and_the_command_that_shows_all(
    tmp_path: Path,
) -> None:
    data = tmp_path / "my data"
    log(data, "ingest", "09:00", "ERROR", error_type="NotOfADay", location="coworkai.ingest.app:1")
    log(data, "runner", "08:00", "ERROR", error_type="OfAnEarlierRun", location="coworkai.runner.app:1")
    log(data, "runner", "09:02", "ERROR", error_type="Later", location="coworkai.runner.app:2")
    log(data, "insights", "09:00", "WARNING", error_type="Harmless", location="coworkai.insights.app:3")
    frames = [
        "/home/ana/coworkai/libs/common/src/coworkai/common/isolation.py:36 isolate",
        "/home/ana/coworkai/services/insights/src/coworkai/insights/facts.py:12 books",
        "/home/ana/coworkai/.venv/lib/python3.11/site-packages/polars/frame.py:9 collect",
    ]
    log(data, "insights", "09:01", "ERROR", error={"type": "builtins.NameError", "frames": frames})
    with (data / "logs" / "runner.log").open("a") as file:
        file.write("plain text of a library\n")
    found = not_computed(12, data, datetime(2026, 11, 5, 9, tzinfo=UTC))
    assert found.message == "12 days could not be computed, first NameError in coworkai/insights/facts.py:12"
    logs = f"'{data}/logs/runner.log' '{data}/logs/insights.log'"
    assert str(found.remedy).startswith(f"all errors: grep '\"ERROR\"' {logs}")

    found = not_computed(1, data, datetime(2026, 11, 5, 9, 2, tzinfo=UTC))
    assert found.message == "1 day could not be computed, first Later in coworkai.runner.app:2"
    found = not_computed(1, data, datetime(2026, 11, 6, tzinfo=UTC))
    assert found.message == "1 day could not be computed"


def log(data: Path, service: str, time: str, severity: str, **fields: object) -> None:
    (data / "logs").mkdir(parents=True, exist_ok=True)
    entry = {"severity": severity, "message": "failed", "time": f"2026-11-05T{time}:00Z", **fields}
    with (data / "logs" / f"{service}.log").open("a") as file:
        file.write(json.dumps(entry) + "\n")
