"""A runner killed between the commits of the lattice: readers see it once, and never two that differ by one.

What was written and not published does not count as published: the next run is held against what readers have
seen, and against nothing else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import Place
from tests.unit.runner.pipeline.test_lattice import WORKERS, arrive, filled

from coworkai.common.control import Stage
from coworkai.common.lake import scan
from coworkai.common.tables import GOLD_KPI_LATTICE, OPS_LATTICE_CONTRIBUTIONS, OPS_RUNS
from coworkai.runner.pipeline import PipelineConfig

pytestmark = pytest.mark.integration

LEASE_TTL_S = 2
DEADLINE_S = 120
PUBLISHED = f"after-{OPS_RUNS.id}"
"""Only after this point readers see anything."""
POINTS = [f"after-{table.id}" for table in (OPS_LATTICE_CONTRIBUTIONS, GOLD_KPI_LATTICE, OPS_RUNS)]


def runner_process(place: Place, *point: str) -> int:
    """Exit code of a process that computes what is dirty, or dies at the point."""
    command = [sys.executable, "-m", "tests.integration.runner_once", str(place.folder), "runner"]
    environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
    return subprocess.run(
        [*command, str(LEASE_TTL_S), *point], env=environment, timeout=DEADLINE_S, check=False
    ).returncode


@dataclass(frozen=True)
class Lattice:
    """What readers see, and what every block that was ever published was made of."""

    told: pl.DataFrame
    made_of: pl.DataFrame

    @classmethod
    def of(cls, place: Place) -> Lattice:
        table = OPS_LATTICE_CONTRIBUTIONS
        version = place.published(Stage.LATTICE).version(table)
        contributions = scan(place.lake.open(table, TENANT, version=version), table).collect()
        return cls(
            place.read(GOLD_KPI_LATTICE).drop("run_id", "published_at"),
            contributions.drop("run_id", "published_at").sort(pl.all()),
        )

    def is_same(self, other: Lattice) -> bool:
        return self.told.equals(other.told) and self.made_of.equals(other.made_of)


@dataclass(frozen=True)
class Undisturbed:
    """A place whose lattice is due, and what becomes of it when nothing is killed.

    `alone`: published as it is; `together`: with one more worker's data, which came first.
    """

    due: Place
    before: Lattice
    alone: Lattice
    together: Lattice

    @classmethod
    def of(cls, due: Place, folder: Path) -> Undisturbed:
        due.dispatcher.mark()
        due.close()
        before, alone, together = (due.copy(folder / name) for name in ("before", "alone", "together"))
        one_more(together)
        for place in (alone, together):
            place.process()
        lattices = [Lattice.of(place) for place in (before, alone, together)]
        for place in (before, alone, together):
            place.close()
        assert not any(lattices[1].is_same(other) for other in (lattices[0], lattices[2]))
        return cls(due, *lattices)


def one_more(place: Place) -> None:
    arrive(place, WORKERS[-1:], "17:00")
    place.dispatcher.mark()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Six workers' day is there, and nothing of it is published."""
    config = PipelineConfig(lease_ttl_s=60, bronze_days=100_000)
    due = filled(Place(tmp_path_factory.mktemp("due"), config=config, in_real_time=True))
    return Undisturbed.of(due, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def second(first: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The day was published, and data of five of the six came late."""
    due = first.due.copy(tmp_path_factory.mktemp("late"))
    due.process()
    arrive(due, WORKERS[:5], "13:00")
    return Undisturbed.of(due, tmp_path_factory.mktemp("second"))


def survives(undisturbed: Undisturbed, folder: Path, point: str) -> None:
    """Kill the run that publishes; before the next one comes, a single worker's data do."""
    place = undisturbed.due.copy(folder)
    assert runner_process(place, point) == -signal.SIGKILL, f"it did not come to {point}"
    is_published = point == PUBLISHED
    assert Lattice.of(place).is_same(undisturbed.alone if is_published else undisturbed.before)
    one_more(place)
    assert runner_process(place) == 0
    # Held against what is published, a single worker's data change nothing.
    assert Lattice.of(place).is_same(undisturbed.alone if is_published else undisturbed.together)
    place.close()


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_killed_as_it_publishes_the_lattice_first_publishes_it_once(
    first: Undisturbed, tmp_path: Path, point: str
) -> None:
    survives(first, tmp_path / "killed", point)


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_killed_as_it_publishes_the_lattice_again_lets_no_single_worker_through(
    second: Undisturbed, tmp_path: Path, point: str
) -> None:
    survives(second, tmp_path / "killed", point)
