"""`python -m tests.integration.runner_once FOLDER NAME LEASE_TTL_S [POINT]`: a runner's process in small.

It waits for the tenant's lease, computes what is dirty, and exits; or kills itself at a POINT, which is
`before-` or `after-` and a table that the lattice is committed to, `ops/runs` among them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
from tests.factories import TENANT
from tests.integration.dying import Dying
from tests.unit.runner.pipeline.lakes import Place

from coworkai.common import outputs
from coworkai.common.control import Stage
from coworkai.common.lake import append, replace_partitions
from coworkai.common.tables import LATTICE_TABLES, OPS_RUNS, Table
from coworkai.runner.pipeline import PipelineConfig


def is_of_lattice(table: Table, frame: pl.DataFrame) -> bool:
    return table in LATTICE_TABLES or (table is OPS_RUNS and Stage.LATTICE.value in frame["stage"])


def dying_commit(commit: Any, dying: Dying) -> Any:
    def committed(delta: Any, table: Table, frame: pl.DataFrame, *args: Any, **kwargs: Any) -> Any:
        counted = dying.around(commit, table.id) if is_of_lattice(table, frame) else commit
        return counted(delta, table, frame, *args, **kwargs)

    return committed


def main(folder: str, name: str, lease_ttl_s: str, point: str = "") -> None:
    dying = Dying(point, 1)
    vars(outputs).update({each.__name__: dying_commit(each, dying) for each in (append, replace_partitions)})
    place = Place(
        Path(folder),
        config=PipelineConfig(lease_ttl_s=float(lease_ttl_s), bronze_days=100_000),
        in_real_time=True,
    )
    while place.dirty(ready_only=True):
        place.pipeline(name).run(TENANT)
        time.sleep(0.05)
    place.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
