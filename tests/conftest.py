"""Settings of all tests."""

from __future__ import annotations

import gc
import os

from hypothesis import settings

from coworkai.common.service import GC_ALLOCATIONS

# As a service does: what is imported and collected stays, so garbage is looked for rarely and not among it.
gc.set_threshold(GC_ALLOCATIONS, 20, 20)

# A shared machine's hiccups are no failures: pytest's own timeout is the limit of a test.
settings.register_profile("coworkai", deadline=None, max_examples=60)
# What is landed is judged by the same examples each time; at a desk they are drawn anew.
settings.register_profile("ci", settings.get_profile("coworkai"), derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "coworkai")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
