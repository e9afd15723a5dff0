"""A group with poison in it: the poison is refused, everything else is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests import factories

from coworkai.common import pii
from coworkai.common.control import Capture, Identity, Tenant
from coworkai.common.events import Source
from coworkai.common.lake import Lake
from coworkai.common.tables import BRONZE_ACTIVITIES
from coworkai.ingest.app import BRONZE_IDENTITY
from coworkai.ingest.bronze import AppendOnce, write_rows
from coworkai.ingest.commit import ALL_FRESH, SourceCommit
from coworkai.ingest.decode import Delivery, decode_batch
from coworkai.ingest.seen import Verdict
from coworkai.ingest.tokenise import Pending, TenantContext

CONTEXT = TenantContext(
    Tenant("acme", True, Identity.TOKEN, Capture.COUNTS, Capture.COUNTS, "UTC", 5, b"salt"),
    pii.tenant_keys(b"m" * 32, "acme", b"salt"),
)
NOW = datetime(2024, 1, 1, 23, tzinfo=UTC)
write: Callable[..., None] = write_rows


def pending(*titles: str) -> Pending:
    data = factories.batch([factories.activity("09:00", "09:30", title=title) for title in titles])
    batch = decode_batch(Delivery("telemetry-activities", Source.ACTIVITIES, data, {}, "m", NOW))
    return Pending(batch, CONTEXT, "m", NOW)


def refuse_poison(files: object, rows: pa.Table, **options: Any) -> None:
    if pc.any(pc.equal(rows["title"], "poison")).as_py():
        raise ValueError("poison")
    write(files, rows, **options)


@pytest.mark.parametrize("poisoned", [0, 3, 6])
def test_poison_is_found_by_bisection_and_nothing_else_is_affected(tmp_path: Path, poisoned: int) -> None:
    titles = ["fine"] * 7
    titles[poisoned] = "poison"
    writer = AppendOnce(
        Lake(str(tmp_path)),
        BRONZE_ACTIVITIES,
        BRONZE_IDENTITY,
        max_ids=100,
        write=refuse_poison,
        pause=lambda _seconds: None,
    )
    told: list[str] = []
    commit = SourceCommit(Source.ACTIVITIES, writer, lambda table_id, _appended: told.append(table_id))
    bad, good = pending(*titles), pending("fine", "fine")
    first, second = commit([bad, good])
    assert first.tolist() == [Verdict.REFUSED if n == poisoned else Verdict.FRESH for n in range(7)]
    assert second is ALL_FRESH
    assert set(told) == {"bronze/activities"}
    first, second = commit([bad, good])
    assert first.tolist() == [Verdict.REFUSED if n == poisoned else Verdict.DUPLICATE for n in range(7)]
    assert second.tolist() == [Verdict.DUPLICATE] * 2
