"""What the command line says to somebody who uses it wrongly: what is wrong, and what to do."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.unit.local.commands import RUNNER, fails, run

from coworkai.local.cli import app
from coworkai.local.platform import lock_folder


def misused(*arguments: str | Path) -> str:
    """What is printed of wrong usage, without the frame around it."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.replace("│", "").split())


def test_no_data_folder_is_asked_for_where_nothing_is_kept_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COWORKAI_CONTROL_URL", f"sqlite:///{tmp_path}/control.db")
    monkeypatch.setenv("COWORKAI_LAKE_URI", f"{tmp_path}/lake")
    assert fails("tenant", "list").message == "no data folder data"
    monkeypatch.setenv("COWORKAI_MASTER_KEY", base64.b64encode(bytes(32)).decode())
    run("tenant", "set", "acme")
    run("keys", "create", "acme")
    assert "intact" in run("audit-log", "verify", "--tenant", "acme")
    assert not Path("data").exists()


def test_a_demo_under_a_running_platform_is_not_replaced(tmp_path: Path) -> None:
    data = tmp_path / "demo-data"
    (data / "lake").mkdir(parents=True)
    (data / ".coworkai-demo").touch()
    with lock_folder(data):
        error = fails("demo", "--data", data)
    assert "already runs" in error.message
    assert error.remedy == "stop it, or give another folder with --data"
    assert (data / "lake").is_dir()


@pytest.mark.parametrize("wrong", ["2026-13-05", "yesterday", "05.11.2026"])
@pytest.mark.parametrize(
    "command",
    [
        ("brief", "--tenant", "acme", "--user", "ana", "--date"),
        ("rebuild", "--tenant", "acme", "--to", "2026-03-06", "--from"),
        ("demo", "--start"),
    ],
    ids=" ".join,
)
def test_a_date_that_is_none_is_answered_with_the_form_of_one(command: tuple[str, ...], wrong: str) -> None:
    assert f"Invalid value for '{command[-1]}': '{wrong}' is no date; give YYYY-MM-DD" in misused(
        *command, wrong
    )


def test_all_scopes_and_some_of_them_contradict_each_other(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    both = ("--all-scopes", "--scope", "briefs:read")
    assert "give one of them" in misused("keys", "create", "acme", *both, "--data", tmp_path)
    assert json.loads(run("keys", "list", "--data", tmp_path, "--json")) == []


def test_a_key_says_what_it_is_limited_to_and_until_when(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    limited = ("--reach", "individual", "--worker", "ana", "--expires-in-days", "7", "--name", "[/] of ana")
    made = RUNNER.invoke(app, ["keys", "create", "acme", *limited, "--data", str(tmp_path)])
    assert made.stderr.startswith("[/] of ana: reach individual, 1 worker; all that read; until 20")
    # Its other words may be on other lines, as wide as the terminal is.
    assert "[/]" in run("keys", "list", "--data", tmp_path)


def test_a_profile_that_is_there_is_kept_and_no_key_is_made(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    (tmp_path / "acme.share").write_text("mine")
    error = fails("keys", "create", "acme", "--profile", tmp_path / "acme.share", "--data", tmp_path)
    assert error.remedy == "remove it, or name another with --profile"
    assert (tmp_path / "acme.share").read_text() == "mine"
    assert json.loads(run("keys", "list", "--data", tmp_path, "--json")) == []


def test_a_collectors_key_that_is_not_known_is_answered_with_where_keys_are(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    error = fails("key", "revoke", "cwi_0123456789abcdef", "--data", tmp_path)
    assert error.message == "no such live key"
    assert error.remedy == f"coworkai key list --data {tmp_path} shows them"
    error = fails("key", "revoke", "cwk_live_0123456789ab", "--data", tmp_path)
    assert error.remedy == f"it is one of the partner API: coworkai keys revoke --data {tmp_path}"


def test_collectors_keys_are_listed_by_what_revokes_them(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    run("tenant", "set", "globex", "--data", tmp_path)
    key = run("key", "create", "acme", "--data", tmp_path).strip()
    (listed,) = json.loads(run("key", "list", "--data", tmp_path, "--json"))
    assert (listed["key"], listed["tenant_id"], listed["revoked_at"]) == (key[:20], "acme", None)
    assert key[:20] in run("key", "list", "acme", "--data", tmp_path)
    assert json.loads(run("key", "list", "globex", "--data", tmp_path, "--json")) == []
    run("key", "revoke", listed["key"], "--data", tmp_path)
    (listed,) = json.loads(run("key", "list", "--data", tmp_path, "--json"))
    assert listed["revoked_at"] is not None
    assert key not in run("key", "list", "--data", tmp_path)


@pytest.mark.parametrize("listed", ["key", "keys"])
def test_the_keys_of_no_tenant_are_not_an_empty_list(listed: str, tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    assert fails(listed, "list", "globex", "--data", tmp_path).message == "no tenant globex"
