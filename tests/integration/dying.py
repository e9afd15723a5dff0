"""Processes that kill themselves at a point of their work, as a machine that fails does."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Dying:
    """Kills the process when it has come to a point often enough."""

    def __init__(self, point: str, times: int) -> None:
        self._point = point
        self._left = itertools.count(times - 1, -1)

    def at(self, point: str) -> None:
        if point == self._point and next(self._left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, work: Callable[P, T], name: str = "commit") -> Callable[P, T]:
        """The work, with the points `before-` and `after-` its name."""

        def dying(*args: P.args, **kwargs: P.kwargs) -> T:
            self.at(f"before-{name}")
            done = work(*args, **kwargs)
            self.at(f"after-{name}")
            return done

        return dying
