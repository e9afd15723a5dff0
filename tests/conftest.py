"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A shared machine's hiccups are no failures: pytest's own timeout is the limit of a test.
settings.register_profile("coworkai", deadline=None, max_examples=60)
settings.load_profile("coworkai")
