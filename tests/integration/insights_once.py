"""`python -m tests.integration.insights_once FOLDER LEASE_TTL_S POINT N`: an insights process in small.

It waits for the tenant's lease, writes what is dirty, and kills itself at the N-th time that it comes to a
POINT: before-commit, after-commit, after-artefact, before-complete, before-clearing or
after-clearing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.factories import TENANT
from tests.integration.dying import Dying
from tests.unit.insights.pipeline.desks import Desk
from tests.unit.runner.pipeline.lakes import Place

from coworkai.common import outputs
from coworkai.common.artifacts import ArtifactStore
from coworkai.common.control import Control, Stage
from coworkai.common.lake import append, replace_partitions
from coworkai.insights.pipeline import PipelineConfig

BATCH_WORKERS = 3


def dying_store(root: str, dying: Dying) -> ArtifactStore:
    class DyingStore(ArtifactStore):
        def put(self, path: str, content: bytes) -> None:
            if "/complete/" in path:
                dying.at("before-complete")
            super().put(path, content)
            dying.at("after-artefact")

    return DyingStore(root)


def dying_control(place: Place, dying: Dying) -> Control:
    class DyingControl(Control):
        def finish_stage(self, *args: object, **kwargs: object) -> None:
            dying.at("before-clearing")
            super().finish_stage(*args, **kwargs)  # type: ignore[arg-type]
            dying.at("after-clearing")

    return DyingControl(f"sqlite:///{place.folder}/control.db", place.now)


def write(place: Place, lease_ttl_s: float, **other: object) -> None:
    """Write what is dirty, in this process; `other` parts of the pipeline than its own."""
    desk = Desk(place, PipelineConfig(lease_ttl_s=lease_ttl_s, batch_workers=BATCH_WORKERS))
    pipeline = desk.pipeline("insights", **other)
    while place.control.dirty(Stage.STAGE2, ready_only=True):
        pipeline.run(TENANT)
        time.sleep(0.05)


def main(folder: str, lease_ttl_s: str, point: str, times: str) -> None:
    dying = Dying(point, int(times))
    vars(outputs).update({commit.__name__: dying.around(commit) for commit in (append, replace_partitions)})
    place = Place(Path(folder), in_real_time=True)
    control = dying_control(place, dying)
    write(place, float(lease_ttl_s), control=control, store=dying_store(place.lake.root, dying))
    control.close()
    place.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
