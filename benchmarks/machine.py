"""How fast the machine is at the time, by a loop of plain Python: figures of other runs are set against it.

A shared machine may be half as fast as a minute before; the two rows say how far it went.
"""

from __future__ import annotations

from benchmarks.measure import cpu
from benchmarks.result import Result

WRITES = 300_000
TIMES = 40


def run() -> list[Result]:
    spent = sorted(_loop() for _ in range(TIMES))
    name, measure = "this machine", f"{WRITES:,} dictionary writes in plain Python"
    return [
        Result(name, measure, spent[0] * 1_000, "CPU ms"),
        Result(name, "… the slowest of forty", spent[-1] * 1_000, "CPU ms"),
    ]


def _loop() -> float:
    kept: dict[int, str] = {}
    with cpu() as spent:
        for number in range(WRITES):
            kept[number % 1_000] = str(number)
    return spent.seconds
