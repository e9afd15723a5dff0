"""Two runner processes on one tenant, one paused past its lease and resumed: what is published is right."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import DAY, NEXT, Place, listed, same, typed, worked

from coworkai.common.events import Source
from coworkai.common.tables import (
    GOLD_KPI_GROUPS,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    SILVER_HEALTH,
    SILVER_TIMELINE,
    Table,
)
from coworkai.runner.pipeline import PipelineConfig

LEASE_TTL_S = 1.5
DEADLINE_S = 60


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.001)


@contextmanager
def runner_process(place: Place, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes what is dirty of the tenant, and exits."""
    command = [
        sys.executable,
        "-m",
        "tests.integration.runner_once",
        str(place.folder),
        name,
        str(LEASE_TTL_S),
    ]
    with subprocess.Popen(command, env={**os.environ, "POLARS_MAX_THREADS": "1"}) as process:
        try:
            yield process
        finally:
            process.kill()


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    status = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return status == "T"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, config=PipelineConfig(bronze_days=100_000), in_real_time=True)
    place.commit(
        Source.ACTIVITIES,
        worked("ana", "09:00", "09:30"),
        worked("bo", "09:00", "09:30"),
        worked("ana", "09:00", "09:30", NEXT),
    )
    place.commit(Source.KEYSTROKES, typed("ana", "09:10"))
    place.dispatcher.mark()
    yield place
    place.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads process states from /proc")
@pytest.mark.parametrize(
    ("table", "version"),
    [
        pytest.param(SILVER_TIMELINE, 0, marks=pytest.mark.integration),
        (SILVER_TIMELINE, 1),
        pytest.param(SILVER_HEALTH, 1, marks=pytest.mark.integration),
        pytest.param(OPS_RUNS, 1, marks=pytest.mark.integration),
        pytest.param(GOLD_WORKBLOCKS, 0, marks=pytest.mark.integration),
        pytest.param(GOLD_WORKBLOCKS, 1, marks=pytest.mark.integration),
        (GOLD_KPI_GROUPS, 1),
        pytest.param(OPS_RUNS, 2, marks=pytest.mark.integration),
    ],
    ids=lambda value: value.id if isinstance(value, Table) else f"v{value}",
)
def test_a_runner_paused_past_its_lease_leaves_gold_as_from_scratch(
    place: Place, tmp_path: Path, table: Table, version: int
) -> None:
    commit = Path(place.lake.uri(table, TENANT)) / "_delta_log" / f"{version:020d}.json"
    with runner_process(place, "slow") as slow:
        wait_until(commit.exists, f"{table.id} to be at version {version}")
        slow.send_signal(signal.SIGSTOP)
        wait_until(lambda: is_stopped(slow), "the slow runner to pause")
        place.commit(Source.ACTIVITIES, worked("bo", "11:00", "11:20"), worked("cy", "09:00", "09:30", NEXT))
        place.commit(Source.JOBS, listed("ana", "sales", DAY - timedelta(days=7), "snapshot"))
        place.dispatcher.mark()
        with runner_process(place, "quick") as quick:
            assert quick.wait(DEADLINE_S) == 0
        slow.send_signal(signal.SIGCONT)
        assert slow.wait(DEADLINE_S) == 0
    place.process()

    assert place.dirty() == []
    scratch = place.elsewhere(tmp_path / "scratch")
    scratch.process()
    assert same(place.tables(), scratch.tables())
    assert place.artifacts() == scratch.artifacts()
    scratch.close()
