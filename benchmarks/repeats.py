"""Looking for ids that came under several dates, and the digests that name a run.

A look reads the ids of all of Bronze: here 200 days of 10,000 records each, of which one day got news.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import numpy as np
import polars as pl
from deltalake import DeltaTable, write_deltalake

from benchmarks.measure import cpu, in_child
from benchmarks.result import Result
from benchmarks.silver import DAY, bronze_day
from coworkai.common.control import Control
from coworkai.common.lake import Lake
from coworkai.common.tables import BRONZE_ACTIVITIES, TIMESTAMP
from coworkai.runner.digests import DayDigests
from coworkai.runner.repeats import Repeats, repeated
from coworkai.runner.silver.build import build_silver

DAYS, PER_DAY = 200, 10_000
REPEATS = 5


def run() -> list[Result]:
    look = in_child("benchmarks.repeats:look")
    digests = in_child("benchmarks.repeats:digests").numbers
    return [
        Result("repeats", "a look, per million ids in Bronze", look.numbers["per_million_s"], "CPU s"),
        Result("repeats", "the first look at all of it", look.numbers["first_per_million_s"], "CPU s"),
        Result("digests", "of a Silver tenant-day, per row", digests["row_us"], "CPU µs"),
    ]


def look() -> dict[str, float]:
    """Child: CPU seconds of the first look and of one after news of the last day, per million ids."""
    rng = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as folder:
        lake, control = Lake(f"{folder}/lake"), Control(f"sqlite:///{folder}/control.db")
        control.migrate()
        days = [DAY + timedelta(days=n) for n in range(DAYS)]
        for start in range(0, DAYS, 20):
            _commit(lake, _records(days[start : start + 20], rng))
        with cpu() as first:
            Repeats(lake, control, "benchmark").find()
        delta = lake.open(BRONZE_ACTIVITIES)
        least = min(_look_s(delta, days[-1:]) for _ in range(REPEATS))
        control.close()
    millions = DAYS * PER_DAY / 1e6
    return {"per_million_s": least / millions, "first_per_million_s": first.seconds / millions}


def digests() -> dict[str, float]:
    """Child: CPU microseconds a row of the digests of a day's Silver; the least of several."""
    frames = build_silver(bronze_day(), [DAY], "UTC")
    seconds = []
    for _ in range(REPEATS):
        with cpu() as spent:
            for table_id, frame in frames.items():
                DayDigests().add(table_id, frame)
        seconds.append(spent.seconds)
    return {"row_us": min(seconds) * 1e6 / sum(frame.height for frame in frames.values())}


def _look_s(delta: DeltaTable, days: Collection[date]) -> float:
    with cpu() as spent:
        repeated(delta, BRONZE_ACTIVITIES, days, 4_000_000)
    return spent.seconds


def _commit(lake: Lake, frame: pl.DataFrame) -> None:
    arrow = frame.to_arrow().cast(BRONZE_ACTIVITIES.arrow_schema)
    write_deltalake(lake.open(BRONZE_ACTIVITIES), arrow, mode="append")


def _records(days: Collection[date], rng: np.random.Generator) -> pl.DataFrame:
    total = len(days) * PER_DAY
    moment = pl.Series([datetime(day.year, day.month, day.day, 9, tzinfo=UTC) for day in days])
    when = moment.cast(TIMESTAMP).gather(np.repeat(np.arange(len(days)), PER_DAY))
    given = pl.DataFrame(
        {
            "event_id": [str(UUID(bytes=rng.bytes(16))) for _ in range(total)],
            "started_at": when,
            "published_at": when,
            "event_date": when.dt.date(),
            "content_digest": np.arange(total),
        }
    ).with_columns(tenant_id=pl.lit("acme"), user_id=pl.lit("user"), title=pl.lit("a window"))
    return given.select(
        (pl.col(name) if name in given.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in BRONZE_ACTIVITIES.schema.items()
    )
