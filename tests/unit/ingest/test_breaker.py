"""The quarantine breaker."""

from __future__ import annotations

import pytest

from coworkai.common.errors import Overloaded
from coworkai.common.events import Source
from coworkai.ingest.breaker import Breaker, BreakerRules, Flow

FLOW = Flow("acme", Source.CHAT, "desktop/5.0")
RULES = BreakerRules(share=0.5, min_records=100, window_messages=10, probe_every_s=30)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(RULES, clock)
    assert breaker.record(FLOW, 100, 60)
    return breaker


def test_it_opens_above_the_share_and_not_at_it() -> None:
    breaker = Breaker(RULES, Clock())
    assert not breaker.record(FLOW, 100, 50)
    assert breaker.record(FLOW, 10, 10)
    with pytest.raises(Overloaded):
        breaker.admit(FLOW)


def test_a_few_bad_records_open_nothing() -> None:
    breaker = Breaker(RULES, Clock())
    assert not breaker.record(FLOW, 99, 99)
    breaker.admit(FLOW)


def test_old_messages_leave_the_window() -> None:
    breaker = Breaker(RULES, Clock())
    breaker.record(FLOW, 50, 50)
    for _ in range(10):
        breaker.record(FLOW, 50, 0)
    assert not breaker.record(FLOW, 200, 110)


def test_other_tenants_sources_and_versions_are_not_held_back() -> None:
    breaker = opened(Clock())
    for other in (
        Flow("globex", Source.CHAT, "desktop/5.0"),
        Flow("acme", Source.CLIPBOARD, "desktop/5.0"),
        Flow("acme", Source.CHAT, "desktop/5.1"),
    ):
        breaker.admit(other)


def test_half_open_it_admits_one_message_in_thirty_seconds() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 29.9
    with pytest.raises(Overloaded):
        breaker.admit(FLOW)
    clock.now = 30
    breaker.admit(FLOW)
    with pytest.raises(Overloaded):
        breaker.admit(FLOW)


def test_a_good_probe_closes_it_and_a_bad_one_does_not() -> None:
    clock = Clock()
    breaker = opened(clock)
    breaker.record(FLOW, 10, 9)
    assert breaker.is_open(FLOW)
    breaker.record(FLOW, 10, 1)
    assert not breaker.is_open(FLOW)
    breaker.admit(FLOW)


def test_an_operator_overrides_it() -> None:
    breaker = opened(Clock())
    breaker.accept(FLOW)
    breaker.admit(FLOW)
