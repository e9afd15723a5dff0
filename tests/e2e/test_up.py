"""`coworkai up`: what a user sees, and that nothing outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from tests.e2e.platform import COMMAND
from tests.factories import TENANT, activity, batch

from coworkai.common.control import Control, Lane, Stage
from coworkai.common.lake import Lake
from coworkai.common.published import read_published
from coworkai.common.tables import GOLD_WORKBLOCKS, OPS_RUNS
from coworkai.local.platform import MODULES, lease_holder

SERVICES = {"bus", "ingest", "runner", "insights", "partner-api"}


def tenant(verb: str, tenant_id: str, data: Path) -> str:
    """What `coworkai tenant set` or `coworkai key create` prints."""
    command = ["key", "create"] if verb == "create" else ["tenant", "set"]
    return subprocess.run(
        [COMMAND, *command, tenant_id, "--data", data], capture_output=True, text=True, check=True
    ).stdout


def send_an_activity(ingest_url: str, key: str) -> None:
    ended_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    started_at = ended_at - timedelta(minutes=20)
    body = batch([activity(started_at, ended_at)], sent_at=datetime.now(UTC))
    answer = httpx.post(
        f"{ingest_url}/v1/telemetry/activities",
        content=body,
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
    )
    assert answer.status_code < 300, answer.text


def published_workblocks(lake: Lake) -> int:
    if not lake.exists(OPS_RUNS, TENANT):
        return 0
    return read_published(lake, GOLD_WORKBLOCKS, TENANT, Stage.STAGE1).collect().height


class Up:
    """A running `coworkai up`; `urls` by service once it is ready."""

    def __init__(self, data: Path) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "up", "--data", data, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("CoworkAI is up"):
                break
        else:
            raise AssertionError("\n".join(self.lines))
        ready = [re.fullmatch(r"(\S+)\s+ready at (\S+)", line) for line in self.lines]
        self.urls = {match[1]: match[2] for match in ready if match}
        self.children = psutil.Process(self.process.pid).children()

        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines += (line.rstrip() for line in self.process.stdout)

    def says(self, pattern: str) -> bool:
        """Whether a line since it was up is this."""
        after = self.lines[len(SERVICES) :]
        return any(re.fullmatch(pattern, line) for line in after)

    def rest(self) -> str:
        """All that it prints, once it has ended."""
        self.process.wait(timeout=60)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return "\n".join(self.lines)

    def child(self, module: str) -> psutil.Process:
        (found,) = [child for child in self.children if module in child.cmdline()]
        return found


@contextmanager
def up(data: Path) -> Iterator[Up]:
    running = Up(data)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.rest()


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {timeout_s} s"
        time.sleep(0.05)


def test_every_service_says_it_is_ready_and_ctrl_c_stops_them_all_with_exit_code_0(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        assert running.urls.keys() == SERVICES
        for url in running.urls.values():
            assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
            assert "python_info" in httpx.get(f"{url}/metrics").text
        running.process.send_signal(signal.SIGINT)
        assert "Stopped" in running.rest()
        assert running.process.returncode == 0
        assert not any(child.is_running() for child in running.children)
    logs = {path.stem for path in (tmp_path / "logs").iterdir()}
    assert logs == SERVICES
    assert all("ERROR" not in path.read_text() for path in (tmp_path / "logs").iterdir())


@pytest.mark.parametrize("name", ["runner", "ingest", "bus"])
def test_a_service_that_is_killed_comes_back_and_data_flows(tmp_path: Path, name: str) -> None:
    tenant("set", "acme", tmp_path)
    key = tenant("create", "acme", tmp_path).split()[-1]
    lake = Lake(str(tmp_path / "lake"))
    with up(tmp_path) as running:
        running.child(MODULES[name]).kill()
        if name == "ingest":
            wait_until(lambda: running.says(rf"{name} +ready at {running.urls[name]}"))
        send_an_activity(running.urls["ingest"], key)
        wait_until(lambda: published_workblocks(lake) == 1, timeout_s=60)
        wait_until(lambda: running.says(rf"{name} +ready at {running.urls[name]}"))
        running.process.send_signal(signal.SIGINT)
        running.rest()
    assert running.process.returncode == 0
    [line] = [line for line in running.lines if "stopped with" in line]
    assert line == f"{name} stopped with signal SIGKILL; starting it again in 0.25 s"
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
        wait_until(lambda: published_workblocks(Lake(str(tmp_path / "lake"))) == 1, timeout_s=60)
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


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_second_platform_on_the_same_folder_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with up(tmp_path):
        second = subprocess.run(
            [COMMAND, "up", "--data", tmp_path, "--port", "0"], capture_output=True, text=True, check=False
        )
    assert second.returncode == 1
    assert "already runs" in second.stderr
    assert "--data" in second.stderr
    assert "Traceback" not in second.stderr
