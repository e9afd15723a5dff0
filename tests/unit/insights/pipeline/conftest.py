from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.insights.pipeline.desks import Desk
from tests.unit.runner.pipeline.lakes import Place


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    place = Place(tmp_path)
    yield Desk(place)
    place.close()
