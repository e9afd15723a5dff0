"""When a service that died is started again."""

from __future__ import annotations

from coworkai.local.platform import MAX_QUICK_DEATHS, QUICK_DEATH_S, Restarts


def test_the_wait_doubles_with_every_quick_death_and_then_there_is_no_more() -> None:
    restarts = Restarts()
    waits = [restarts.after(lived_s=1) for _ in range(MAX_QUICK_DEATHS)]
    assert waits == [0.25, 0.5, 1.0, 2.0, None]


def test_a_service_that_lived_long_begins_anew() -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.after(lived_s=1)
    assert restarts.after(lived_s=QUICK_DEATH_S) == 0.25
    assert restarts.after(lived_s=1) == 0.5


def test_a_service_that_dies_once_an_hour_is_always_started_again() -> None:
    restarts = Restarts()
    assert {restarts.after(lived_s=3_600) for _ in range(100)} == {0.25}
