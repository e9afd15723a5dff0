"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A shared machine's hiccups are no failures: pytest's own timeout is the limit of a test.
settings.register_profile("coworkai", deadline=None, max_examples=60)
# What is landed is judged by the same examples each time; at a desk they are drawn anew.
settings.register_profile("ci", settings.get_profile("coworkai"), derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "coworkai")
