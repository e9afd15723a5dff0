"""`coworkai up`: what a user sees, and that nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
from tests.e2e.platform import COMMAND, SERVICES, alive, up, wait_until
from tests.factories import TENANT, activity, batch

from coworkai.common.control import Control, Lane, Stage
from coworkai.common.lake import Lake
from coworkai.common.published import read_published
from coworkai.common.tables import GOLD_WORKBLOCKS, OPS_RUNS
from coworkai.local.platform import MODULES, lease_holder


def tenant(verb: str, tenant_id: str, data: Path) -> str:
    """What `coworkai tenant set` or `coworkai key create` prints."""
    command = ["key", "create"] if verb == "create" else ["tenant", "set"]
    return subprocess.run(
        [COMMAND, *command, tenant_id, "--data", data], capture_output=True, text=True, check=True
    ).stdout


def send_an_activity(ingest_url: str, key: str, *, hours_ago: int = 1) -> None:
    ended_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    started_at = ended_at - timedelta(minutes=20)
    body = batch([activity(started_at, ended_at)], sent_at=datetime.now(UTC))
    answer = httpx.post(
        f"{ingest_url}/v1/telemetry/activities",
        content=body,
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
    )
    assert answer.status_code < 300, answer.text


def has_workblocks(lake: Lake, count: int) -> bool:
    """Whether so many are published."""
    return (
        lake.exists(OPS_RUNS, TENANT)
        and read_published(lake, GOLD_WORKBLOCKS, TENANT, Stage.STAGE1).collect().height == count
    )


def refused_with_a_remedy(taken: Path) -> None:
    """A second platform on the folder of one that runs."""
    second = subprocess.run(
        [COMMAND, "up", "--data", taken, "--port", "0"], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert "--data" in second.stderr
    assert "Traceback" not in second.stderr


def test_every_service_says_it_is_ready_and_ctrl_c_stops_them_all_with_exit_code_0(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        assert running.urls.keys() == SERVICES
        for url in running.urls.values():
            assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
            assert "python_info" in httpx.get(f"{url}/metrics").text
        refused_with_a_remedy(tmp_path)
        running.process.send_signal(signal.SIGINT)
        assert "Stopped" in running.rest()
        assert running.process.returncode == 0
        assert not any(child.is_running() for child in running.children)
    logs = {path.stem for path in (tmp_path / "logs").iterdir()}
    assert logs == SERVICES
    assert all("ERROR" not in path.read_text() for path in (tmp_path / "logs").iterdir())


def test_a_service_that_is_killed_comes_back_and_data_flows(tmp_path: Path) -> None:
    tenant("set", "acme", tmp_path)
    key = tenant("create", "acme", tmp_path).split()[-1]
    lake = Lake(str(tmp_path / "lake"))
    names = ["runner", "ingest", "bus"]
    with up(tmp_path) as running:
        for number, name in enumerate(names):
            running.child(MODULES[name]).kill()
            is_back = partial(running.says, rf"{name} +ready at {running.urls[name]}")
            if name == "ingest":
                wait_until(is_back)
            # Far enough from the one before to be a workblock of its own.
            send_an_activity(running.urls["ingest"], key, hours_ago=1 + 2 * number)
            wait_until(partial(has_workblocks, lake, number + 1), timeout_s=60)
            wait_until(is_back)
        running.process.send_signal(signal.SIGINT)
        running.rest()
    assert running.process.returncode == 0
    assert [line for line in running.lines if "stopped with" in line] == [
        f"{name} stopped with signal SIGKILL; starting it again in 0.25 s" for name in names
    ]
    assert not any(child.is_running() for child in running.children)


def test_the_leases_of_a_process_that_is_gone_keep_nobody_waiting(tmp_path: Path) -> None:
    tenant("set", "acme", tmp_path)
    key = tenant("create", "acme", tmp_path).split()[-1]
    control = Control(f"sqlite:///{tmp_path / 'control.db'}")
    assert control.lease("acme", lease_holder(tmp_path, "insights"), 3_600, Lane.INSIGHTS) is not None
    with up(tmp_path) as running:
        mine = control.lease("acme", "test", 3_600, Lane.INSIGHTS)
        assert mine is not None
        control.release(mine)
        assert control.lease("acme", lease_holder(tmp_path, "runner"), 3_600) is not None
        running.child(MODULES["runner"]).kill()
        send_an_activity(running.urls["ingest"], key)
        wait_until(lambda: has_workblocks(Lake(str(tmp_path / "lake")), 1), timeout_s=60)
    control.close()


def test_a_service_that_keeps_dying_stops_everything_with_what_it_said_last(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        (tmp_path / "master.key").write_text("this is no key")
        running.child("coworkai.ingest").kill()
        output = running.rest()
    assert output.count("starting it again") == 4
    assert "it has died 5 times in a row" in output
    assert "ingest.log" in output
    assert running.process.returncode == 1
    assert not any(child.is_running() for child in running.children)


def test_no_service_outlives_a_killed_platform(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
        wait_until(lambda: not any(alive(child) for child in running.children))
