"""`process` and a folder that is there already: its tenant's policy, and the platform that runs on it."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from coworkai.common.control import Capture, Identity
from coworkai.common.errors import SettingsError, Terminal
from coworkai.local.platform import Platform
from coworkai.local.process import TenantPolicy, Watcher, open_control, process, put_tenant


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
