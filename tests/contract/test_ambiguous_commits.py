"""Two writers on a `gs://` that answers 503 before and after writes: nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import numpy as np
import pytest
from tests.doubles import gcs
from tests.factories import DAY, TENANT, at, bronze, event_id

from coworkai.common.errors import StorageUnavailable
from coworkai.common.events import Source
from coworkai.common.lake import Lake, scan
from coworkai.common.tables import BRONZE_ACTIVITIES
from coworkai.ingest.bronze import AppendOnce, IdentityColumns, halves
from coworkai.ingest.seen import Verdict
from coworkai.ingest.tokenise import Rows

BATCH_ROWS = 10
COMMITS = 50
TRIES = 20
DAYS_SINCE_1970 = (DAY - date(1970, 1, 1)).days
IDENTITY = IdentityColumns(id="event_id", digest="content_digest", tenant="tenant_id")


@pytest.fixture
def lake() -> Iterator[Lake]:
    with gcs.running(gcs.Faults(before=0.04, after=0.1, seed=11)) as url:
        yield Lake("gs://lake/ambiguous", gcs.storage_options(url))


def batch(number: int) -> Rows:
    """Records `number * BATCH_ROWS` and on; the same for every writer that is given `number`."""
    numbers = range(number * BATCH_ROWS, (number + 1) * BATCH_ROWS)
    identities = [event_id(n + 1) for n in numbers]
    frame = bronze(
        Source.ACTIVITIES,
        *(
            {"event_id": identity, "started_at": at("09:00"), "ended_at": at("09:01"), "content_digest": n}
            for n, identity in zip(numbers, identities, strict=True)
        ),
    )
    return Rows(
        table=frame.to_arrow().cast(BRONZE_ACTIVITIES.arrow_schema),
        tenants=[TENANT],
        item=np.zeros(BATCH_ROWS, dtype=np.int32),
        day=np.full(BATCH_ROWS, DAYS_SINCE_1970, dtype=np.int32),
        ids=halves("".join(identities).replace("-", "")),
        digest=np.array(numbers, dtype=np.int64),
    )


def append_all(lake: Lake, numbers: Sequence[int]) -> Counter[Verdict]:
    """Verdicts of one writer's batches, each tried again while the store does not answer, as Pub/Sub does."""
    writer = AppendOnce(lake, BRONZE_ACTIVITIES, IDENTITY, max_ids=100_000, pause=lambda _seconds: None)
    verdicts: Counter[Verdict] = Counter()
    for number in numbers:
        for attempt in range(TRIES):
            try:
                appended = writer.append(batch(number))
            except StorageUnavailable:
                assert attempt < TRIES - 1
            else:
                verdicts.update(Verdict(verdict) for verdict in appended.verdicts.tolist())
                break
    return verdicts


def test_of_two_writers_with_ambiguous_commits_every_record_is_there_once(lake: Lake) -> None:
    mine = range(COMMITS)
    yours = range(COMMITS // 2, COMMITS + COMMITS // 2)
    lake.open(BRONZE_ACTIVITIES)
    with ThreadPoolExecutor(2) as pool:
        verdicts = sum(pool.map(lambda numbers: append_all(lake, numbers), (mine, yours)), Counter())
    stored = scan(lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES).collect()["event_id"]
    distinct = len(set(mine) | set(yours)) * BATCH_ROWS
    assert stored.n_unique() == distinct
    assert len(stored) == distinct
    assert verdicts.total() == 2 * COMMITS * BATCH_ROWS
    assert verdicts[Verdict.CONFLICT] == 0
    # A retry after an unanswered append finds its own rows: a duplicate more, never a row more.
    assert verdicts[Verdict.FRESH] <= distinct
    assert verdicts[Verdict.DUPLICATE] >= verdicts.total() - distinct
