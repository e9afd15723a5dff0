"""Injections in telemetry against a model that obeys them: how many of each category are contained."""

from __future__ import annotations

from collections import Counter

from tests.redteam.containment import attacked, broken, injections

from benchmarks.result import Result


def run() -> list[Result]:
    every = injections()
    total = Counter(one.category for one in every)
    contained = Counter(one.category for one in every if not broken(attacked(one)))
    name = "red team"
    return [
        Result(name, f"contained, {category}", contained[category], f"of {count}", at_least=count)
        for category, count in total.items()
    ] + [Result(name, "contained", sum(contained.values()), f"of {len(every)}", at_least=len(every))]
