"""`python -m tests.integration.runner_once FOLDER NAME LEASE_TTL_S`: a runner's process in small.

It waits for the tenant's lease, computes what is dirty, and exits.
"""

import sys
import time
from pathlib import Path

from tests.factories import TENANT
from tests.unit.runner.pipeline.lakes import Place

from coworkai.runner.pipeline import PipelineConfig

folder, name, lease_ttl_s = sys.argv[1:]
place = Place(
    Path(folder),
    config=PipelineConfig(lease_ttl_s=float(lease_ttl_s), bronze_days=100_000),
    in_real_time=True,
)
while place.dirty(ready_only=True):
    place.pipeline(name).run(TENANT)
    time.sleep(0.05)
place.close()
