"""Running the `coworkai` command as a user does, and reading its summary."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

COMMAND = Path(sys.executable).with_name("coworkai")


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
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def process(records: Path, data: Path, *options: str) -> Summary:
    output = coworkai("process", records, "--data", data, "--tenant", "sample", "--json", *options)
    return msgspec.json.decode(output.splitlines()[-1], type=Summary)
