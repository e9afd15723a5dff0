"""The command line: what it says, and how it fails."""

from __future__ import annotations

import base64
import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from polars.exceptions import PanicException
from sqlalchemy import text
from tests.factories import TENANT, at
from tests.unit.local.commands import RUNNER, fails, run
from tests.unit.runner.pipeline.lakes import DAY, Place, worked

from coworkai.common.control import Control, Database, Lane, Stage
from coworkai.common.events import Source
from coworkai.local import inventory
from coworkai.local.cli import app, main
from coworkai.local.commands.options import result_console, settings_of


def commands() -> list[list[str]]:
    import typer

    found = []
    root = typer.main.get_command(app)
    for name, command in sorted(root.commands.items()):  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [[name]] if inner is None else [[name, each] for each in sorted(inner)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_commands_help_teaches_with_an_example_of_itself(command: list[str]) -> None:
    text = " ".join(run(*command, "--help").split())
    assert f"Example: coworkai {' '.join(command)}" in text


def test_a_log_that_was_tampered_with_does_not_verify_and_says_where(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    run("keys", "create", "acme", "--name", "dashboard", "--data", tmp_path)
    (event,) = json.loads(run("audit-log", "list", "--tenant", "acme", "--data", tmp_path, "--json"))
    assert (event["seq"], event["action"]) == (1, "credential.created")
    assert "credential.created" in run("audit-log", "list", "--tenant", "acme", "--data", tmp_path)
    assert run("audit-log", "verify", "--tenant", "acme", "--data", tmp_path) == "intact: 1 event\n"
    verify = ["access-log", "verify", "--tenant", "acme", "--data", str(tmp_path)]
    assert run(*verify) == "intact: 0 reads of 0 workers\n"
    database = Database(f"sqlite:///{tmp_path}/control.db")
    with database.write() as connection:
        connection.execute(text("UPDATE audit_log SET actor = 'somebody else'"))
        values = "VALUES ('acme', 'ana', 3, x'00', x'00')"
        connection.execute(text(f"INSERT INTO access_log_heads {values}"))
    database.close()
    found = RUNNER.invoke(app, verify)
    assert found.exit_code == 1
    assert found.stderr.startswith("error: 2 faults in the log of acme\n")
    found = RUNNER.invoke(app, [*verify, "--json"])
    assert found.exit_code == 1
    assert found.stderr.startswith("error: 2 faults in the log of acme\n")
    assert json.loads(found.stdout) == {
        "intact": False,
        "entries": 3,
        "broken": [
            {"worker_id": None, "seq": 0, "fault": "changed"},
            {"worker_id": "ana", "seq": 0, "fault": "unsealed"},
        ],
    }
    found = RUNNER.invoke(app, ["audit-log", "verify", "--tenant", "acme", "--data", str(tmp_path), "--json"])
    assert found.exit_code == 1
    assert json.loads(found.stdout)["broken"] == [{"worker_id": None, "seq": 1, "fault": "changed"}]
    assert "no tenant" in fails("access-log", "verify", "--tenant", "globex", "--data", tmp_path).message


def test_the_control_stores_schema_goes_down_and_up_and_its_history_says_where_it_is(tmp_path: Path) -> None:
    assert "at revision" in run("control", "migrate", "--data", tmp_path)
    newest = json.loads(run("control", "history", "--data", tmp_path, "--json"))
    assert newest["current"] == newest["revisions"][-1]["revision"]
    assert "at revision 0001" in run("control", "migrate", "--to", "0001", "--data", tmp_path)
    older = run("control", "history", "--data", tmp_path)
    assert [line.split()[1] for line in older.splitlines() if line.startswith(" *")] == ["0001"]
    assert "no such revision" in fails("control", "migrate", "--to", "9", "--data", tmp_path).message


def test_a_tenant_is_created_with_the_careful_defaults_and_changed_one_setting_at_a_time(
    tmp_path: Path,
) -> None:
    made = json.loads(run("tenant", "set", "acme", "--data", tmp_path, "--json"))
    assert made == {
        "tenant_id": "acme",
        "active": True,
        "identity": "token",
        "capture_keystrokes": "counts",
        "capture_clipboard": "counts",
        "time_zone": "UTC",
        "min_group": 5,
    }
    run("tenant", "set", "acme", "--data", tmp_path, "--capture-keystrokes", "text", "--min-group", "8")
    run("tenant", "set", "acme", "--data", tmp_path, "--inactive")
    (listed,) = json.loads(run("tenant", "list", "--data", tmp_path, "--json"))
    assert listed == made | {"capture_keystrokes": "text", "min_group": 8, "active": False}


def test_a_tenants_writer_is_shown_changed_one_setting_at_a_time_and_refused_where_it_lacks_something(
    tmp_path: Path,
) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    first = json.loads(run("tenant", "writer", "acme", "--data", tmp_path, "--json"))
    assert (first["writer"], first["brief_days"]) == ("deterministic", 7)
    server = ("--model", "small", "--base-url", "http://127.0.0.1:8000/v1")
    run("tenant", "writer", "acme", "--data", tmp_path, "--writer", "openai", *server)
    run("tenant", "writer", "acme", "--data", tmp_path, "--brief-days", "5")
    kept = json.loads(run("tenant", "writer", "acme", "--data", tmp_path, "--json"))
    assert (kept["writer"], kept["model"], kept["brief_days"]) == ("openai", "small", 5)
    assert "needs" in fails("tenant", "writer", "acme", "--data", tmp_path, "--writer", "gemini").message
    assert fails("tenant", "writer", "nobody", "--data", tmp_path).code == "not_found"


def test_another_writer_keeps_nothing_that_named_the_model_before(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    writer = ("tenant", "writer", "acme", "--data", tmp_path)
    run(*writer, "--writer", "openai", "--model", "small", "--base-url", "http://127.0.0.1:1/v1")
    run(*writer, "--writer", "openai", "--brief-days", "5")
    google = ("--model", "gemini-2.5-flash", "--project", "acme-prod")
    kept = json.loads(run(*writer, "--writer", "gemini", *google, "--json"))
    assert "base_url" not in kept
    assert (kept["writer"], kept["model"], kept["brief_days"]) == ("gemini", "gemini-2.5-flash", 5)
    assert "model" in fails(*writer, "--writer", "openai", "--base-url", "http://127.0.0.1:1/v1").message


def test_plain_identities_cannot_be_set_in_cloud_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "MODE": "cloud",
        "PROJECT": "acme-prod",
        "LAKE_URI": str(tmp_path / "lake"),
        "CONTROL_URL": f"sqlite:///{tmp_path}/control.db",
        "MASTER_KEY": base64.b64encode(bytes(32)).decode(),
        "PUSH_AUDIENCE": "https://ingest.example",
        "PUSH_SERVICE_ACCOUNT": "push@acme-prod.iam.gserviceaccount.com",
    }.items():
        monkeypatch.setenv(f"COWORKAI_{name}", value)
    error = fails("tenant", "set", "acme", "--data", tmp_path, "--identity", "plain")
    assert "cloud mode" in error.message
    assert error.remedy is not None
    run("tenant", "set", "acme", "--data", tmp_path, "--identity", "token")


def test_an_ingest_key_is_made_and_revoked(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    key = run("key", "create", "acme", "--data", tmp_path).strip()
    assert key.startswith("cwi_")
    assert run("key", "revoke", key[:20], "--data", tmp_path).strip() == "revoked"
    assert fails("key", "revoke", key, "--data", tmp_path).code == "not_found"


def test_a_partners_key_is_made_listed_rotated_and_revoked(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    made = json.loads(run("keys", "create", "acme", "--name", "bi", "--data", tmp_path, "--json"))
    assert made["key"].startswith(made["prefix"])
    assert (made["reach"], made["state"], made["worker_ids"]) == ("aggregate", "live", None)
    assert all(scope.endswith(":read") for scope in made["scopes"])

    next_one = run("keys", "rotate", made["prefix"], "--overlap-hours", "0", "--data", tmp_path).strip()
    assert next_one.startswith("cwk_live_")
    assert next_one != made["key"]
    assert "revoked" in run("keys", "revoke", next_one, "--data", tmp_path)
    listed = json.loads(run("keys", "list", "acme", "--data", tmp_path, "--json"))
    assert [(each["state"], each["replaces"]) for each in listed] == [
        ("expired", None),
        ("revoked", made["id"]),
    ]
    assert made["key"] not in run("keys", "list", "--data", tmp_path)


def test_a_key_can_be_limited_to_workers_under_the_names_they_were_sent_with(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    limited = ("--reach", "individual", "--worker", "ana", "--client", "--expires-in-days", "7")
    made = json.loads(run("keys", "create", "acme", *limited, "--data", tmp_path, "--json"))
    token = json.loads(run("keys", "worker-token", "acme", "ana", "--data", tmp_path, "--json"))
    assert made["worker_ids"] == [token["worker_id"]]
    assert (made["kind"], token["expires_in"]) == ("oauth_client", 3600)
    same = run("keys", "worker-token", "acme", token["worker_id"], "--data", tmp_path, "--json")
    assert json.loads(same)["worker_id"] == token["worker_id"]
    assert "revoked" in run("keys", "revoke", token["id"], "--data", tmp_path)
    listed = json.loads(run("keys", "list", "acme", "--data", tmp_path, "--json"))
    assert [each["state"] for each in listed] == ["live", "revoked", "live"]


def test_a_key_comes_with_a_delta_sharing_profile_that_only_its_owner_may_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    file = tmp_path / "acme.share"
    made = json.loads(run("keys", "create", "acme", "--profile", file, "--data", tmp_path, "--json"))
    assert json.loads(file.read_text()) == {
        "shareCredentialsVersion": 1,
        "endpoint": "http://127.0.0.1:8084/delta-sharing",
        "bearerToken": made["key"],
    }
    assert file.stat().st_mode & 0o777 == 0o600
    error = fails("keys", "create", "acme", "--profile", file, "--data", tmp_path)
    assert "is there already" in error.message
    for useless in (("--scope", "kpis:read"), ("--worker", "ana")):
        other = tmp_path / "other.share"
        fails("keys", "create", "acme", *useless, "--profile", other, "--data", tmp_path)
        assert not other.exists()
    monkeypatch.setenv("COWORKAI_PUBLIC_URL", "https://api.example.com/coworkai")
    client = ("--client", "--profile", tmp_path / "client.share", "--data", tmp_path, "--json")
    made = json.loads(run("keys", "create", "acme", *client))
    told = json.loads((tmp_path / "client.share").read_text())
    assert told["tokenEndpoint"] == "https://api.example.com/coworkai/oauth/token"
    assert (told["clientId"], told["clientSecret"]) == (made["id"], made["client_secret"])


def test_an_empty_lake_has_no_tables(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    assert json.loads(run("tables", "--data", tmp_path, "--json")) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("tables",),
        ("tenant", "list"),
        ("dead-letters", "list"),
    ],
)
def test_a_data_folder_that_does_not_exist_is_an_error_with_a_remedy(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    error = fails(*arguments, "--data", tmp_path / "nowhere")
    assert "nowhere" in error.message
    assert error.remedy is not None


def test_a_failure_is_its_message_and_remedy_without_a_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["coworkai", "process", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: no record files in")
    assert "activities.ndjson" in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [("COMMIT_LINGER_S", "abc"), ("SWEEP_EVERY_S", "-1"), ("BUS_MAX_IN_FLIGHT", "0"), ("PORT", "http")],
)
@pytest.mark.parametrize("command", ["process", "demo", "up"])
def test_a_setting_that_a_service_would_not_take_is_refused_before_anything_starts(
    command: str, variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"COWORKAI_{variable}", value)
    monkeypatch.chdir(tmp_path)
    records, data = tmp_path / "records", tmp_path / "data"
    records.mkdir()
    (records / "chat.ndjson").write_text("{}\n")
    folder = [records] if command == "process" else []
    error = fails(command, *folder, "--data", data)
    assert error.message.startswith(f"COWORKAI_{variable}: ")
    assert error.remedy is not None
    assert not (data / "logs").exists()


DAYS = ("--from", "2026-03-02", "--to", "2026-03-03")
FAILING: dict[str, tuple[str, ...]] = {
    "process": ("empty",),
    "send": ("empty", "--tenant", "acme"),
    "tables": ("--data", "nowhere"),
    "maintain": ("--data", "nowhere"),
    "rebuild": ("--tenant", "acme", *DAYS, "--data", "nowhere"),
    "lineage": ("wb:a:b:00", "--tenant", "acme", "--data", "nowhere"),
    "brief": ("--tenant", "acme", "--user", "ana", "--date", "2026-03-02", "--data", "nowhere"),
    "import activitywatch": ("export", "--out", "export/x"),
    "import rescuetime": ("export", "--out", "export/x"),
    "quarantine list": ("--data", "nowhere"),
    "quarantine replay": ("--data", "nowhere"),
    "control history": ("--data", "nowhere"),
    "tenant list": ("--data", "nowhere"),
    "tenant set": ("acme", "--time-zone", "Atlantis", "--data", "empty"),
    "tenant writer": ("acme", "--data", "empty"),
    "key create": ("acme", "--data", "empty"),
    "keys create": ("acme", "--data", "empty"),
    "keys list": ("--data", "nowhere"),
    "keys revoke": ("key_none", "--data", "empty"),
    "keys rotate": ("key_none", "--data", "empty"),
    "keys worker-token": ("acme", "ana", "--data", "empty"),
    "dead-letters list": ("--data", "nowhere"),
    "dead-letters replay": ("--data", "nowhere"),
}
"""Commands that have --json, with what they fail on."""


def with_json() -> list[str]:
    names = [" ".join(command) for command in commands()]
    return [name for name in names if "--json" in run(*name.split(), "--help")]


def ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str, str]:
    """Exit code, stdout and stderr of the command line."""
    monkeypatch.setattr("sys.argv", ["coworkai", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    printed = capsys.readouterr()
    return exited.value.code, printed.out, printed.err


def test_with_json_a_command_fails_with_one_object_on_stdout_and_the_same_lines_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert FAILING.keys() <= set(with_json())
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("export").touch()
    for name, arguments in FAILING.items():
        in_text = ended(monkeypatch, capsys, *name.split(), *arguments)
        code, out, err = ended(monkeypatch, capsys, *name.split(), *arguments, "--json")
        assert code == in_text[0] == 1, name
        error = json.loads(out)["error"]
        assert error.keys() == {"code", "message", "remedy"}, name
        assert err == in_text[2], name
        assert f"error: {error['message']}" in in_text[2], name
        assert error["remedy"] in in_text[2], name


def test_with_json_wrong_usage_of_any_command_is_an_object_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [*with_json(), "demo", "tenant", ""]:
        code, out, err = ended(monkeypatch, capsys, *name.split(), "--json", "--no-such-option")
        assert code == 2, name
        error = json.loads(out)["error"]
        assert err == f"error: {error['message']}\n       {error['remedy']}\n", name
        assert error["code"] == "usage", name
        assert error["remedy"].endswith("--help"), name


@pytest.mark.parametrize("group", [(), ("tenant",)], ids=["coworkai", "tenant"])
def test_help_instead_of_a_command_says_on_stderr_what_is_missing(
    group: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ended(monkeypatch, capsys, *group)
    assert code == 2
    assert "Usage: " in out
    command = " ".join(("coworkai", *group, "COMMAND"))
    assert err == f"error: no command given\n       give one of those above: {command}\n"


@pytest.mark.parametrize("json_option", [(), ("--json",)], ids=["text", "json"])
def test_a_fault_of_ours_is_its_type_and_place_after_the_stack_trace(
    json_option: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def faulty(*_arguments: object) -> None:
        raise PanicException("a value that is somebody's")

    monkeypatch.setattr(inventory, "inventory", faulty)
    code, out, err = ended(monkeypatch, capsys, "tables", "--data", str(tmp_path), *json_option)
    trace, _, told = err.partition("error: ")
    assert code == 1
    assert trace.startswith("Traceback")
    assert re.match(r"PanicException in coworkai\.local\.commands\.lake:\d+\n {7}\S", told)
    if json_option:
        error = json.loads(out)["error"]
        assert (error["code"], told) == ("internal", f"{error['message']}\n       {error['remedy']}\n")
    else:
        assert out == ""


def test_with_json_what_succeeds_exits_with_0_and_help_is_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ended(monkeypatch, capsys, "tenant", "set", "acme", "--data", str(tmp_path), "--json")
    assert made[0] == 0
    assert json.loads(made[1])["tenant_id"] == "acme"
    helped = ended(monkeypatch, capsys, "tenant", "set", "--json", "--help")
    assert helped[0] == 0
    assert '{"error": {"code", "message", "remedy"}}' in " ".join(helped[1].replace("│", "").split())


def test_a_demo_never_replaces_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert "something else" in fails("demo", "--data", tmp_path).message
    assert (tmp_path / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("where", ["afile", "afile/x", "/proc/none"])
@pytest.mark.parametrize(
    "command",
    [
        ("process", "records", "--data"),
        ("demo", "--data"),
        ("up", "--data"),
        ("tenant", "set", "acme", "--data"),
        ("import", "activitywatch", "afile", "--out"),
        ("import", "rescuetime", "afile", "--out"),
    ],
    ids=" ".join,
)
def test_a_folder_that_cannot_be_made_is_an_error_with_a_remedy(
    command: tuple[str, ...], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("afile").touch()
    Path("records").mkdir()
    error = fails(*command, where)
    assert error.message.startswith(f"{where} cannot be made a folder")
    assert error.remedy is not None
    assert command[-1] in error.remedy


def test_a_path_that_the_system_refuses_is_an_error_without_a_stack_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "export.json").write_text("[]")
    (tmp_path / "out" / ".activities.ndjson.part").mkdir(parents=True)
    arguments = ["import", "activitywatch", str(tmp_path / "export.json"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", ["coworkai", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_store_that_does_not_answer_comes_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "control.db").mkdir()
    code, _, err = ended(monkeypatch, capsys, "tenant", "list", "--data", str(tmp_path))
    assert code == 1
    assert re.fullmatch(
        r"error: the control store did not answer \(\w+\)\n"
        r" {7}try again; if it stays so, see the logs in the data folder\n",
        err,
    )


def test_results_that_go_to_no_terminal_are_not_cut_at_its_width() -> None:
    assert result_console({}, is_terminal=False).width == 200
    assert result_console({"COLUMNS": "100"}, is_terminal=False).width != 200


@pytest.mark.parametrize("command", [("process",), ("send", "--tenant", "acme")], ids=" ".join)
def test_a_record_file_with_an_unknown_name_is_named_on_stderr(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "keystroke.ndjson").write_text("{}")
    monkeypatch.setattr("sys.argv", ["coworkai", *command, str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.startswith("warning: not read: keystroke.ndjson; ")


def test_a_rebuild_of_days_without_telemetry_says_so(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    days = ("--from", "2026-03-02", "--to", "2026-03-03")
    printed = run("rebuild", "--tenant", "acme", *days, "--data", tmp_path)
    assert printed.startswith("No data: acme has no telemetry from 2026-03-02 to 2026-03-03.")


def test_a_tenant_that_does_not_exist_fails_with_the_command_that_makes_it(tmp_path: Path) -> None:
    day = ("--date", "2026-03-02")
    data = tmp_path / "my data"
    data.mkdir()
    for command in (
        ("tables",),
        ("lineage", "wb:x:0:00"),
        ("brief", "--user", "ana", *day),
        ("brief", "--team", "Sales", *day),
        ("rebuild", *DAYS),
    ):
        error = fails(*command, "--tenant", "nope", "--data", data)
        assert (error.code, error.message) == ("not_found", "no tenant nope")
        assert f"coworkai tenant set nope --data '{data}'" in str(error.remedy)
    for named in (
        ("tenant", "writer", "nope"),
        ("key", "create", "nope"),
        ("quarantine", "accept", "nope", "activities", "desktop/4.2.0"),
    ):
        error = fails(*named, "--data", data)
        assert (error.code, error.message) == ("not_found", "no tenant nope")
        assert f"coworkai tenant set nope --data '{data}'" in str(error.remedy)


def test_a_brief_is_of_a_worker_or_of_a_team(tmp_path: Path) -> None:
    command = ["brief", "--tenant", "acme", "--date", "2026-03-02", "--data", str(tmp_path)]
    for chosen in ([], ["--user", "ana", "--team", "Sales"]):
        assert RUNNER.invoke(app, [*command, *chosen]).exit_code == 2


def test_a_brief_of_a_day_that_is_still_being_computed_says_so(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    asked = ("brief", "--tenant", "acme", "--date", "2026-03-02", "--data", tmp_path)
    for whose in (("--user", "ana"), ("--team", "Sales")):
        assert fails(*asked, *whose).message == "acme has no data yet"
    control = Control(settings_of(tmp_path).control_url)
    control.mark_dirty("acme", Stage.SILVER, [date(2026, 3, 2)])
    control.close()
    for whose in (("--user", "ana"), ("--team", "Sales")):
        error = fails(*asked, *whose)
        assert error.message == "2026-03-02 is accepted, not processed yet: silver to be computed"
        assert f"coworkai up --data {tmp_path}" in str(error.remedy)


def test_a_brief_of_a_day_that_was_accepted_and_that_no_runner_has_looked_at_says_so(tmp_path: Path) -> None:
    place = Place(tmp_path)
    asked = ("brief", "--tenant", TENANT, "--user", "ana", "--data", tmp_path, "--date")
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "10:00"))
    place.commit(Source.CHAT, {"user_id": "ana", "occurred_at": at("09:15", DAY), "text": "x"})
    error = fails(*asked, f"{DAY}")
    looked = "came since the runner last looked"
    assert error.message == f"{DAY} is accepted, not processed yet: activities, chat {looked}"
    assert fails(*asked, f"{DAY + timedelta(days=9)}").message == f"{TENANT} has no data yet"
    place.close()


def test_a_brief_of_a_day_whose_computing_failed_says_so_and_is_of_the_others_where_it_has_data(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    asked = ("brief", "--tenant", TENANT, "--user", "nobody", "--data", tmp_path, "--date")

    def finish(lane: Lane, *, failed: bool) -> None:
        lease = place.control.lease(TENANT, "runner", 60, lane)
        assert lease is not None
        days = [day for day in place.control.dirty() if day.stage.lane is lane]
        place.control.finish_stage(lease, [] if failed else days, failed=days if failed else [])
        place.control.release(lease)

    place.control.mark_dirty(TENANT, Stage.STAGE1, [DAY])
    finish(Lane.RUNNER, failed=True)
    error = fails(*asked, f"{DAY}")
    assert error.message == f"{DAY} is accepted, not processed yet: computing it failed 1 time"
    assert "ops/failures" in str(error.remedy)
    place.clock.advance(timedelta(minutes=2))
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "10:00"))
    place.process()
    finish(Lane.INSIGHTS, failed=False)
    place.control.mark_dirty(TENANT, Stage.STAGE1, [DAY])
    finish(Lane.RUNNER, failed=True)
    assert fails(*asked, f"{DAY}").remedy == "check --user and --date"
    place.close()


def test_a_range_or_limit_that_is_none_is_named(tmp_path: Path) -> None:
    run("tenant", "set", "acme", "--data", tmp_path)
    rebuild = ("rebuild", "--tenant", "acme", "--data", tmp_path)
    assert "is empty" in fails(*rebuild, "--from", "2026-03-03", "--to", "2026-03-02").message
    assert "at most 3660" in fails(*rebuild, "--from", "2000-03-03", "--to", "2026-03-02").message
    writer = ("tenant", "writer", "acme", "--data", tmp_path)
    assert fails(*writer, "--tokens-per-minute", "0").remedy == "give --tokens-per-minute 1 or more"


def test_a_writer_that_lacks_something_is_told_the_whole_command(tmp_path: Path) -> None:
    data = tmp_path / "my data"
    run("tenant", "set", "acme", "--data", data)
    writer = ("tenant", "writer", "acme", "--data", data, "--writer", "openai")
    command = f"coworkai tenant writer acme --data '{data}' --writer openai"
    assert fails(*writer).remedy == f"{command} --model MODEL --base-url BASE_URL"
    assert fails(*writer, "--model", "my model").remedy == f"{command} --model 'my model' --base-url BASE_URL"
    run(*writer, "--model", "small", "--base-url", "http://127.0.0.1:1/v1")
    error = fails("tenant", "writer", "acme", "--data", data, "--model", "")
    assert error.message == "writer openai needs model"
    assert error.remedy == f"{command} --model MODEL --base-url http://127.0.0.1:1/v1"
