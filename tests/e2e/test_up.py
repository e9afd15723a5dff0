"""`coworkai up`: what a user sees, and that nothing outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from tests.e2e.platform import COMMAND

SERVICES = {"bus", "ingest", "runner", "insights", "partner-api"}


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

    def rest(self) -> str:
        """What it prints until it ends."""
        output, _ = self.process.communicate(timeout=60)
        return output

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
        running.process.communicate()


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


def test_a_service_that_dies_is_named_with_its_log_and_the_others_are_stopped(tmp_path: Path) -> None:
    with up(tmp_path) as running:
        running.child("coworkai.insights").kill()
        output = running.rest()
    assert "insights stopped with signal SIGKILL" in output
    assert "insights.log" in output
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
