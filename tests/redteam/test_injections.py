"""No text of telemetry changes a brief outside its own quotation, even where the model obeys it."""

from __future__ import annotations

import pytest
from tests.redteam.containment import Injection, attacked, broken, injections

ALL = injections()


def test_the_set_covers_many_kinds_and_places() -> None:
    assert len(ALL) >= 60
    assert len({one.category for one in ALL}) >= 15
    assert {"title", "chat", "clipboard", "goal", "kpi"} <= {one.where for one in ALL}


@pytest.mark.parametrize("injection", ALL, ids=[f"{n}-{one.category}" for n, one in enumerate(ALL)])
def test_an_injection_changes_nothing_but_its_own_quotation(injection: Injection) -> None:
    assert broken(attacked(injection)) == []
