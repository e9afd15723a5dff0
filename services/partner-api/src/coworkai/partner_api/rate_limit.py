"""Quotas of requests, and their headers (draft-ietf-httpapi-ratelimit-headers-11).

A quota is per principal and window of a minute, counted in this process: with n instances a principal has at
most n times as many. `RateLimit-Policy` says what it is, `RateLimit` what is left and in how many seconds it
is full again.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from coworkai.partner_api.problems import Code, Refused

WINDOW_S = 60
MAX_PRINCIPALS = 50_000
"""Principals whose windows are remembered; the oldest windows are forgotten first."""


@dataclass(slots=True)
class Window:
    """What a principal has used since `began` (monotonic seconds)."""

    began: float
    used: int = 0


class RateLimit:
    """`limit` requests a minute and principal. One event loop."""

    def __init__(self, limit: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._monotonic = monotonic
        self._windows: OrderedDict[tuple[str, ...], Window] = OrderedDict()
        self._policy = b'"requests";q=%d;w=%d' % (limit, WINDOW_S)

    def window(self, *principal: str) -> Window:
        """The principal's window of now; by tenant and id, as two tenants' workers may be called alike."""
        now = self._monotonic()
        window = self._windows.get(principal)
        if window is None or now - window.began >= WINDOW_S:
            window = self._windows[principal] = Window(now)
            self._windows.move_to_end(principal)
            if len(self._windows) > MAX_PRINCIPALS:
                self._windows.popitem(last=False)
        return window

    def take(self, window: Window) -> None:
        """Count a request. Raises Refused (429) when the quota is used up."""
        if window.used >= self._limit:
            reset_s = self._reset_s(window)
            raise Refused(
                Code.RATE_LIMITED,
                f"the quota of {self._limit} requests a minute is used up",
                remedy=f"wait {reset_s} s; conditional requests that are answered 304 cost nothing",
                headers={"retry-after": str(reset_s)},
            )
        window.used += 1

    @staticmethod
    def give_back(window: Window) -> None:
        """The request cost nothing after all."""
        window.used -= 1

    def headers(self, window: Window) -> list[tuple[bytes, bytes]]:
        """What the caller is told of the quota."""
        return [
            (b"ratelimit-policy", self._policy),
            (b"ratelimit", b'"requests";r=%d;t=%d' % (self._limit - window.used, self._reset_s(window))),
        ]

    def _reset_s(self, window: Window) -> int:
        return max(1, math.ceil(window.began + WINDOW_S - self._monotonic()))
