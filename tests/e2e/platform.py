"""Running the `coworkai` command as a user does, and reading its summary."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

COMMAND = Path(sys.executable).with_name("coworkai")
SERVICES = {"bus", "ingest", "runner", "insights", "partner-api"}


class Summary(msgspec.Struct):
    """What `coworkai process --json` prints last."""

    records: dict[str, int]
    quarantine_reasons: dict[str, int]
    seconds: dict[str, float]
    keystroke_minutes: dict[str, int]
    workblocks: int
    slices: int
    days: int
    workers: int
    insights: int
    briefs: int
    elapsed_s: float

    @property
    def microseconds(self) -> dict[str, int]:
        return {name: round(value * 1_000_000) for name, value in self.seconds.items()}


def coworkai(*arguments: str | Path) -> str:
    """Standard output of a command that succeeds."""
    done = subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n".join((f"{done}", done.stdout[-3000:], done.stderr[-3000:]))
    return done.stdout


def process(records: Path, data: Path, *options: str, tenant: str = "sample") -> Summary:
    output = coworkai("process", records, "--data", data, "--tenant", tenant, "--json", *options)
    return msgspec.json.decode(output.splitlines()[-1], type=Summary)


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
        """The process that runs a service now; `children` has those before it, too."""
        now = [each for each in psutil.Process(self.process.pid).children() if alive(each)]
        self.children += [each for each in now if each not in self.children]
        (found,) = [each for each in now if module in each.cmdline()]
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


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
