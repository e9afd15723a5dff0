from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.insights.pipeline.desks import Desk, a_week
from tests.unit.runner.pipeline.lakes import Place


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    place = Place(tmp_path)
    yield Desk(place)
    place.close()


@pytest.fixture(scope="session")
def week_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("week"))
    a_week(place)
    place.process()
    place.close()
    return place


@pytest.fixture
def week(week_once: Place, tmp_path: Path) -> Iterator[Desk]:
    """Gold of `a_week`, and no briefs of it yet."""
    place = week_once.copy(tmp_path)
    yield Desk(place)
    place.close()


@pytest.fixture(scope="session")
def written_once(week_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = week_once.copy(tmp_path_factory.mktemp("written"))
    Desk(place).write()
    place.close()
    return place


@pytest.fixture
def written(written_once: Place, tmp_path: Path) -> Iterator[Desk]:
    """Gold of `a_week`, and its briefs."""
    place = written_once.copy(tmp_path)
    yield Desk(place)
    place.close()
