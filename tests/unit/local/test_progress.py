"""Waiting for a platform: late answers are waited for, dead services are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from coworkai.common.errors import Transient
from coworkai.local import progress
from coworkai.local.platform import ServiceDied
from coworkai.local.progress import Progress, Stalled, _wait

DONE, BUSY = Progress(messages=0, dead=0), Progress(messages=1, dead=0)


@dataclass
class Watched:
    """A platform whose services run, or end after so many looks."""

    looks: int = 1_000
    bus_url: str = "http://127.0.0.1:1"
    data_dir: Path = Path("data")

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise ServiceDied("runner ended", remedy="see its log")


def answers(*given: Progress | Transient) -> Callable[[httpx.Client], Progress]:
    """What the looks find, in turn, the last for ever."""
    left: Iterator[Progress | Transient] = iter([*given, *[given[-1]] * 1_000])

    def look(_bus: httpx.Client) -> Progress:
        found = next(left)
        if isinstance(found, Transient):
            raise found
        return found

    return look


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_S", 0.0)


def test_an_answer_that_comes_late_is_asked_for_again() -> None:
    late = Transient("the bus does not tell its status")
    assert _wait(Watched(), answers(late, BUSY, late, DONE), lambda _now: None) == DONE


@pytest.mark.parametrize("last", [BUSY, Transient("no answer")])
def test_what_does_not_move_for_minutes_is_given_up(
    last: Progress | Transient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "STALLED_AFTER_S", -1.0)
    with pytest.raises(Stalled if isinstance(last, Progress) else Transient):
        _wait(Watched(), answers(last), lambda _now: None)


def test_a_service_that_ends_is_not_waited_for() -> None:
    with pytest.raises(ServiceDied):
        _wait(Watched(looks=3), answers(BUSY), lambda _now: None)
