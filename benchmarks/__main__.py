"""Run every module of this package that has `run() -> list[Result]`, or those named, and print one table.

    python -m benchmarks [NAME …]

Writes the rows to `bench-results/latest.json`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import benchmarks
from benchmarks.result import Result

RESULTS = Path("bench-results/latest.json")
VERDICT = {True: "met", False: "MISSED", None: ""}


def main(names: list[str]) -> None:
    modules = [module.name for module in iter_modules(benchmarks.__path__) if module.name != "__main__"]
    if unknown := set(names) - set(modules):
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}")
    results: list[Result] = []
    for name in names or modules:
        run = getattr(import_module(f"benchmarks.{name}"), "run", None)
        if run is not None:
            results += run()
    print(table(results))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([result.row() for result in results], indent=1) + "\n")


def table(results: list[Result]) -> str:
    cells = [
        (r.benchmark, r.measure, f"{r.value:,.{_digits(r.value)}f}", r.unit, r.target, VERDICT[r.met])
        for r in results
    ]
    cells.insert(0, ("benchmark", "measure", "value", "unit", "target", ""))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column == 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _digits(value: float) -> int:
    return 0 if abs(value) >= 100 else 2


if __name__ == "__main__":
    main(sys.argv[1:])
