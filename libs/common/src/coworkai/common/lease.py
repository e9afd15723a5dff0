"""A tenant's lease, kept alive by a heartbeat while a run computes.

Invariant: once this runner cannot be sure to hold the lease, `check` raises, and stays so. It is the cheap
first line; what makes a late writer lose is its commit, which conflicts with the newer holder's.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from coworkai.common.control import Control, Lease
from coworkai.common.errors import LeaseLost, StorageUnavailable

HEARTBEATS_PER_TTL = 3


class HeldLease:
    """Context manager around a lease: renews it in the background and gives it back at the end."""

    def __init__(self, control: Control, lease: Lease, ttl_s: float) -> None:
        self.lease = lease
        self._control = control
        self._ttl_s = ttl_s
        self._stop = threading.Event()
        self._lost = False
        # A paused process does not notice: what counts is when the last renewal was asked for.
        self._safe_until = time.monotonic() + ttl_s
        self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    @property
    def fence(self) -> int:
        return self.lease.fence

    def check(self) -> None:
        """Raises LeaseLost when another runner may have taken over."""
        if self._lost or time.monotonic() >= self._safe_until:
            self._lost = True
            raise LeaseLost("the tenant's lease ran out")

    def confirm(self) -> None:
        """Renew now. Raises LeaseLost when another runner has taken over, StorageUnavailable."""
        asked = time.monotonic()
        try:
            self._control.renew(self.lease, self._ttl_s)
        except LeaseLost:
            self._lost = True
            raise
        self._safe_until = asked + self._ttl_s

    def __enter__(self) -> HeldLease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._control.release(self.lease)
        except StorageUnavailable:
            # It runs out by itself; an error that is on its way matters more.
            if error is None:
                raise

    def _beat(self) -> None:
        while not self._stop.wait(self._ttl_s / HEARTBEATS_PER_TTL):
            asked = time.monotonic()
            if self._lost or asked >= self._safe_until:
                return
            try:
                self._control.renew(self.lease, self._ttl_s)
            except LeaseLost:
                self._lost = True
                return
            except StorageUnavailable:
                continue
            self._safe_until = asked + self._ttl_s
