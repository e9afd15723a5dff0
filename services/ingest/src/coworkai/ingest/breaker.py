"""A breaker per tenant, source and collector version: a bad deploy must not drain a topic into quarantine.

It looks at first attempts only, so that what is delivered again does not count again.

    closed ──share of quarantined records > `share` over the window──▶ open
    open ──one message in `probe_every_s` is let through (half-open)──▶ closed if the message is mostly good
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from coworkai.common.errors import Overloaded
from coworkai.common.events import Source

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """Opens when more than `share` of at least `min_records` recent records were quarantined.

    The window is the last `window_messages` first attempts.
    """

    share: float = 0.5
    min_records: int = 500
    window_messages: int = 100
    probe_every_s: float = 30.0


class Flow(msgspec.Struct, frozen=True, gc=False):
    """What a breaker watches."""

    tenant_id: str
    source: Source
    collector: str


@dataclass(slots=True)
class _State:
    recent: deque[tuple[int, int]]
    received: int = 0
    quarantined: int = 0
    is_open: bool = False
    next_probe: float = 0.0

    def add(self, received: int, quarantined: int) -> None:
        if len(self.recent) == self.recent.maxlen:
            old_received, old_quarantined = self.recent[0]
            self.received -= old_received
            self.quarantined -= old_quarantined
        self.recent.append((received, quarantined))
        self.received += received
        self.quarantined += quarantined

    def reset(self) -> None:
        self.recent.clear()
        self.received = self.quarantined = 0
        self.is_open = False


@dataclass(slots=True)
class Breaker:
    """Breakers of all flows; `monotonic` is the clock of the half-open probes."""

    rules: BreakerRules
    monotonic: Callable[[], float]
    _states: OrderedDict[Flow, _State] = field(default_factory=OrderedDict)

    def admit(self, flow: Flow) -> None:
        """Let a message of the flow through. Raises Overloaded while the breaker is open."""
        state = self._states.get(flow)
        if state is None or not state.is_open:
            return
        now = self.monotonic()
        if now < state.next_probe:
            raise Overloaded(
                "too much of this collector's telemetry is being quarantined",
                remedy="look at `quarantine list`; `quarantine accept` lets it through",
            )
        state.next_probe = now + self.rules.probe_every_s

    def record(self, flow: Flow, received: int, quarantined: int) -> bool:
        """Take a first attempt's outcome into account; whether the breaker opened just now."""
        state = self._state(flow)
        if state.is_open:
            if quarantined <= self.rules.share * received:
                state.reset()
            return False
        state.add(received, quarantined)
        if state.received < self.rules.min_records or state.quarantined <= self.rules.share * state.received:
            return False
        state.is_open = True
        state.next_probe = self.monotonic() + self.rules.probe_every_s
        return True

    def accept(self, flow: Flow) -> None:
        """Override: close the breaker and start counting again."""
        if flow in self._states:
            self._states[flow].reset()

    def is_open(self, flow: Flow) -> bool:
        state = self._states.get(flow)
        return state is not None and state.is_open

    def _state(self, flow: Flow) -> _State:
        state = self._states.get(flow)
        if state is None:
            state = self._states[flow] = _State(deque(maxlen=self.rules.window_messages))
            if len(self._states) > MAX_KEYS:
                self._states.popitem(last=False)
        self._states.move_to_end(flow)
        return state
