"""Measure a function in a process of its own: processor time of all its threads, and the peak of resident
memory.

A module gives `in_child("benchmarks.stage1:stage1", rows=200_000)` the name of one of its functions; the
function does its set-up, puts what is to be measured inside `with cpu() as spent`, and returns numbers by
name.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measurement:
    """`numbers` are what the function returned; `peak_mb` is the resident peak of its whole process, in 10^6
    bytes."""

    numbers: dict[str, float]
    peak_mb: float


@dataclass(slots=True)
class Spent:
    """Processor seconds, user and system, of all threads."""

    seconds: float = 0.0


@contextmanager
def cpu() -> Iterator[Spent]:
    """Processor time spent inside the block, known when it ends."""
    spent = Spent()
    before = _cpu_seconds()
    yield spent
    spent.seconds = _cpu_seconds() - before


def in_child(function: str, **arguments: object) -> Measurement:
    """Call `module:function` with JSON arguments in a fresh interpreter; CalledProcessError when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", function, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return Measurement(answer["numbers"], answer["peak_mb"])


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mb() -> float:
    """The process's own high-water mark: getrusage's also remembers the process that it was forked from."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    peak_kb = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak_kb) * 1024 / 1e6


def _main() -> None:
    module, name = sys.argv[1].split(":")
    numbers = getattr(import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps({"numbers": numbers, "peak_mb": _peak_mb()}))


if __name__ == "__main__":
    _main()
