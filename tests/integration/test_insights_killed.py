"""An insights process killed in the middle of a batch of briefs: none is lost, none doubled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.insights_once import write
from tests.unit.insights.pipeline.desks import Desk, a_week
from tests.unit.runner.pipeline.lakes import DAY, Place, listed, same, worked

from coworkai.common.events import Source
from coworkai.common.tables import STAGE2_TABLES
from coworkai.runner.pipeline import PipelineConfig

LEASE_TTL_S = 2.0
"""A loaded machine does not lose it; the lease of a process that died is waited for so long."""
DEADLINE_S = 120
EVENT = "00000000-0000-0000-0000-0000000000aa"
WORKERS = tuple(f"worker{n}" for n in range(7))
POINTS = [
    *((point, n) for point in ("before-commit", "after-commit") for n in (1, 2, 3, 4, 5, 9)),
    ("after-artefact", 1),
    ("after-artefact", 20),
    ("after-artefact", 60),
    ("before-complete", 1),
    ("before-complete", 2),
    ("before-clearing", 1),
    ("after-clearing", 1),
]


def insights_process(place: Place, *point: object) -> int:
    """Exit code of a process that writes what is dirty until it dies at the point."""
    command = [
        sys.executable,
        "-m",
        "tests.integration.insights_once",
        *map(str, (place.folder, LEASE_TTL_S, *point)),
    ]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    return subprocess.run(command, env=environment, timeout=DEADLINE_S, check=False).returncode


def gold(folder: Path) -> Place:
    """A place whose Gold is published and whose briefs are not."""
    place = Place(folder, config=PipelineConfig(bronze_days=100_000), in_real_time=True)
    snapshot = [listed(user, "platform", DAY - timedelta(days=30), "s") for user in WORKERS]
    place.commit(Source.JOBS, *snapshot)
    a_week(place, WORKERS)
    place.process()
    return place


def copy_of(place: Place, folder: Path) -> Place:
    place.close()
    shutil.copytree(place.folder, folder)
    return Place(folder, config=place.config, in_real_time=True)


def survives(tmp_path: Path, points: Sequence[tuple[str, int]]) -> None:
    first = gold(tmp_path / "killed")
    undisturbed = copy_of(first, tmp_path / "undisturbed")
    killed = Place(first.folder, config=first.config, in_real_time=True)
    for point in points:
        assert insights_process(killed, *point) == -signal.SIGKILL, f"it did not come to {point}"
    for place in (killed, undisturbed):
        write(place, LEASE_TTL_S)
        # A day changes, and what was written of it gets another version.
        place.commit(Source.ACTIVITIES, {**worked(WORKERS[1], "13:00", "15:00"), "event_id": EVENT})
        place.process()
        write(place, LEASE_TTL_S)
        assert place.control.dirty() == []

    one, other = Desk(killed), Desk(undisturbed)
    assert one.versions() == other.versions()
    assert one.versions()[DAY, WORKERS[1]] == [1, 2]
    assert same(one.tables(), other.tables())
    assert one.artifacts() == other.artifacts()
    assert one.published().run_ids == other.published().run_ids
    for table in STAGE2_TABLES:
        assert one.read(table).select("date", *table.key).is_duplicated().sum() == 0
    killed.close()
    undisturbed.close()


def test_an_insights_process_killed_at_five_points_loses_and_doubles_no_brief(tmp_path: Path) -> None:
    survives(
        tmp_path,
        [
            ("before-commit", 1),
            ("after-commit", 4),
            ("after-artefact", 3),
            ("before-complete", 1),
            ("before-clearing", 1),
        ],
    )


@pytest.mark.chaos
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point[0]}-{point[1]}")
def test_a_kill_at_any_point_loses_and_doubles_no_brief(tmp_path: Path, point: tuple[str, int]) -> None:
    survives(tmp_path, [point])
