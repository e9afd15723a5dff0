"""Failed attempts with credentials, slowed by where they come from and by which key they try.

Only wrong secrets count at a key, and only they are slowed by it: nobody who guesses at one from elsewhere
keeps its owner out. Counted in this process; memory is bounded: the oldest windows are forgotten first.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from coworkai.partner_api.problems import Code, Refused

WINDOW_S = 60.0
PER_SOURCE = 30
PER_CREDENTIAL = 10
MAX_WINDOWS = 20_000


class Failures:
    """Counts of failed attempts in windows of a minute. One event loop."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._windows: OrderedDict[tuple[str, str], list[float]] = OrderedDict()

    def check(self, source: str) -> None:
        """Raises Refused (429) while attempts from the source have failed too often."""
        window = self._windows.get(("source", source))
        if window is not None and window[1] >= PER_SOURCE:
            self._slow(window)

    def count(self, source: str, credential_id: str | None) -> bool:
        """Count a failed attempt; whether it is the one that closes the door on the credential.

        Raises Refused (429) where that was closed before.
        """
        self._add(("source", source))
        if credential_id is None:
            return False
        window = self._add(("credential", credential_id))
        if window[1] > PER_CREDENTIAL:
            self._slow(window)
        return window[1] == PER_CREDENTIAL

    def _slow(self, window: list[float]) -> None:
        """Raises Refused (429) until the window is over."""
        wait_s = window[0] + WINDOW_S - self._monotonic()
        if wait_s > 0:
            raise Refused(
                Code.TOO_MANY_FAILURES,
                "too many attempts with wrong credentials",
                remedy="check the key, then try again",
                headers={"retry-after": str(math.ceil(wait_s))},
            )

    def _add(self, to: tuple[str, str]) -> list[float]:
        now = self._monotonic()
        window = self._windows.get(to)
        if window is None or now - window[0] >= WINDOW_S:
            window = self._windows[to] = [now, 0]
            self._windows.move_to_end(to)
            if len(self._windows) > MAX_WINDOWS:
                self._windows.popitem(last=False)
        window[1] += 1
        return window
