"""Failed attempts with credentials, slowed by where they come from and by which key they try.

A key that this process knows is recognised without any of this, so nobody who guesses at a key locks its
owner out while the owner uses it. Memory is bounded: the oldest windows are forgotten first.
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

    def check(self, source: str, credential_id: str | None) -> None:
        """Raises Refused (429) while the source, or attempts at this credential, have failed too often."""
        wait_s = max(
            self._wait_s(("source", source), PER_SOURCE),
            self._wait_s(("credential", credential_id or ""), PER_CREDENTIAL),
        )
        if wait_s > 0:
            raise Refused(
                Code.TOO_MANY_FAILURES,
                "too many attempts with wrong credentials",
                remedy="check the key, then try again",
                headers={"retry-after": str(math.ceil(wait_s))},
            )

    def count(self, source: str, credential_id: str | None) -> bool:
        """Count a failed attempt; whether it is the one that closes the door on the credential."""
        self._add(("source", source))
        return credential_id is not None and self._add(("credential", credential_id)) == PER_CREDENTIAL

    def _wait_s(self, of: tuple[str, str], limit: int) -> float:
        window = self._windows.get(of)
        if window is None or window[1] < limit:
            return 0
        return max(0.0, window[0] + WINDOW_S - self._monotonic())

    def _add(self, to: tuple[str, str]) -> float:
        now = self._monotonic()
        window = self._windows.get(to)
        if window is None or now - window[0] >= WINDOW_S:
            window = self._windows[to] = [now, 0]
            self._windows.move_to_end(to)
            if len(self._windows) > MAX_WINDOWS:
                self._windows.popitem(last=False)
        window[1] += 1
        return window[1]
