"""Silver of one tenant-day against Stage 1 of the same day, both from parquet to parquet.

100 workers with 2,000 activities and 480 keystroke minutes each, and what else their devices send.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import polars as pl

from benchmarks.measure import cpu, in_child
from benchmarks.result import Result
from coworkai.common.events import Source
from coworkai.common.tables import (
    BRONZE_BY_SOURCE,
    KEY_CLASSES,
    SILVER_DEVICE_POSTURE,
    SILVER_HEALTH,
    SILVER_KEYSTROKES,
    SILVER_TIMELINE,
    TIMESTAMP,
)
from coworkai.runner.silver.build import build_silver
from coworkai.runner.stage1.build import build_stage1
from coworkai.runner.stage1.idle import idle_intervals

WORKERS = 100
DAY = date(2026, 3, 10)
RECORDS = {
    Source.ACTIVITIES: 2000,
    Source.KEYSTROKES: 480,
    Source.CLIPBOARD: 20,
    Source.CHAT: 10,
    Source.MANIFESTS: 2,
    Source.DEVICE_POSTURE: 96,
}
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", None)
SPAN_US = 8 * 3600 * 1_000_000
EXECS = (
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    "/Applications/Visual Studio Code.app/Contents/MacOS/Electron",
    r"C:\Users\<user:0123456789abcdef01234567>\AppData\Local\slack\slack.exe",
    "com.google.android.gm",
    "Microsoft.WindowsTerminal_8wekyb3d8bbwe",
    *(f"/opt/acme/tool-{n}/tool-{n}" for n in range(35)),
)


def run() -> list[Result]:
    numbers = in_child("benchmarks.silver:tenant_day").numbers
    rows = WORKERS * sum(RECORDS.values())
    ratio = numbers["silver_s"] / numbers["stage1_s"]
    return [
        Result("silver", f"tenant-day of {rows:,} rows, against Stage 1", ratio, "x its CPU", at_most=2.5),
        Result("silver", "rows per CPU-second", rows / numbers["silver_s"], "rows/s"),
        Result("silver", "tenant-day whose rows come in any order", numbers["shuffled_s"], "CPU s"),
    ]


def tenant_day() -> dict[str, float]:
    """CPU seconds of Silver, of Stage 1 on its output, and of Silver of the same rows shuffled."""
    with tempfile.TemporaryDirectory() as folder:
        bronze, shuffled, silver, gold = (Path(folder, n) for n in ("bronze", "shuffled", "silver", "gold"))
        frames = bronze_day()
        _write(bronze, frames.items())
        mixed = ((name, frame.sample(fraction=1.0, shuffle=True, seed=1)) for name, frame in frames.items())
        _write(shuffled, mixed)
        warm = {name: frame.head(50) for name, frame in frames.items()}
        dict(_stage1(build_silver(warm, [DAY], "UTC")))
        return {
            "silver_s": _spent(bronze, silver, _silver),
            "stage1_s": _spent(silver, gold, _stage1),
            "shuffled_s": _spent(shuffled, silver, _silver),
        }


def bronze_day() -> dict[str, pl.DataFrame]:
    """Bronze frames by table name, each worker's rows together and in order of time."""
    rng = np.random.default_rng(7)
    frames = {BRONZE_BY_SOURCE[s].name: _records(s, count, rng) for s, count in RECORDS.items()}
    members = pl.DataFrame({"user_id": _users()}).with_row_index("row_number")
    jobs = members.with_columns(
        valid_from=pl.lit(DAY - timedelta(days=9)),
        snapshot_digest=pl.lit("file"),
        time_zone=pl.Series([ZONES[n % len(ZONES)] for n in range(WORKERS)]),
        schedule_start=pl.lit("09:00"),
        schedule_end=pl.lit("17:30"),
        event_date=pl.lit(DAY - timedelta(days=9)),
    )
    return frames | {"jobs": _declared(Source.JOBS, jobs, rng)}


def _users() -> list[str]:
    return [f"user_{n * 7919:024x}" for n in range(WORKERS)]


def _records(source: Source, count: int, rng: np.random.Generator) -> pl.DataFrame:
    total = WORKERS * count
    morning = int(datetime(DAY.year, DAY.month, DAY.day, 9, tzinfo=UTC).timestamp()) * 1_000_000
    start = morning + np.sort(rng.integers(0, SPAN_US, (WORKERS, count)), axis=1).ravel()
    if source is Source.KEYSTROKES:
        start = morning + np.tile(np.arange(count) * 60_000_000 % SPAN_US, WORKERS)
    started = pl.Series(start).cast(TIMESTAMP)
    number = np.arange(total)
    frame = pl.DataFrame({"user_id": np.repeat(_users(), count)}).with_columns(
        started_at=started,
        ended_at=pl.Series(start + rng.integers(1_000_000, 30_000_000, total)).cast(TIMESTAMP),
        occurred_at=started,
        minute=started,
        event_date=started.dt.date(),
        published_at=started + pl.duration(seconds=61),
        sent_at=started + pl.duration(seconds=60),
        exec=pl.Series(EXECS).gather(rng.integers(0, len(EXECS), total)),
        title=pl.Series([f"window {n}" for n in range(500)]).gather(number % 500),
        url=pl.Series([None, *(f"https://site-{n}.example/page" for n in range(199))]).gather(number % 200),
        os=pl.lit("windows"),
        role=pl.Series(["user", "assistant"]).gather(number % 2),
        kind=pl.Series(["SOD", "EOD"]).gather(number % 2),
        goals=pl.lit(["Ship the release", "Answer support"]),
        action=pl.lit("COPY"),
        capture=pl.lit("counts"),
        key_count=pl.lit(40),
        idle_s=pl.lit(12.0),
        locked=pl.lit(value=False),
        **{name: pl.lit(4) for name in KEY_CLASSES},
    )
    return _declared(source, frame, rng)


def _declared(source: Source, frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """All columns of the source's table; what the frame lacks is null."""
    table = BRONZE_BY_SOURCE[source]
    whole = frame.with_columns(
        tenant_id=pl.lit("acme"),
        event_id=pl.Series([str(UUID(bytes=rng.bytes(16))) for _ in range(frame.height)]),
        device_id=pl.col("user_id").str.replace("user_", "device_"),
        collector=pl.lit("desktop/4.2.0"),
        content_digest=pl.int_range(pl.len()),
    )
    return whole.select(
        (pl.col(name) if name in whole.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in table.schema.items()
    )


def _silver(bronze: dict[str, pl.DataFrame]) -> Iterable[tuple[str, pl.DataFrame]]:
    return ((name.split("/")[1], frame) for name, frame in build_silver(bronze, [DAY], "UTC").items())


def _stage1(silver: dict[str, pl.DataFrame]) -> Iterable[tuple[str, pl.DataFrame]]:
    by_name = {name.rsplit("/", maxsplit=1)[-1]: frame for name, frame in silver.items()}
    stage1 = build_stage1(
        by_name[SILVER_TIMELINE.name],
        by_name[SILVER_KEYSTROKES.name],
        idle_intervals(by_name[SILVER_DEVICE_POSTURE.name]),
        by_name[SILVER_HEALTH.name],
    )
    yield "workblocks", stage1.workblocks
    yield "atomic_slices", stage1.atomic_slices
    yield "usage_statistics", stage1.usage_statistics
    yield "day_accounting", stage1.day_accounting


def _spent(
    source: Path,
    target: Path,
    stage: Callable[[dict[str, pl.DataFrame]], Iterable[tuple[str, pl.DataFrame]]],
) -> float:
    """CPU seconds of reading parquet, computing and writing parquet; the least of three."""
    seconds = []
    for _ in range(3):
        with cpu() as spent:
            _write(target, stage({path.stem: pl.read_parquet(path) for path in source.glob("*.parquet")}))
        seconds.append(spent.seconds)
    return min(seconds)


def _write(folder: Path, frames: Iterable[tuple[str, pl.DataFrame]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, frame in frames:
        frame.write_parquet(folder / f"{name}.parquet")
