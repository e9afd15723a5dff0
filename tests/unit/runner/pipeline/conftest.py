from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.runner.pipeline.lakes import Place, two_days


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


@pytest.fixture(scope="session")
def computed_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("computed"))
    two_days(place)
    place.process()
    place.close()
    return place


@pytest.fixture
def computed(computed_once: Place, tmp_path: Path) -> Iterator[Place]:
    """A place where `two_days` are computed."""
    place = computed_once.copy(tmp_path)
    yield place
    place.close()
