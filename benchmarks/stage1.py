"""Stage 1 and the timeline: rows per processor second, peak memory, and how both grow with the tenant.

Stage 1 reads Silver parquet, computes whole workers in batches of at most 250,000 rows, and writes Gold
parquet. aw-core's `flood` and `merge_events_by_keys` get the same activities as objects in memory, and do
less.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from benchmarks.measure import cpu, in_child
from benchmarks.result import Result
from benchmarks.workload import ROWS_PER_WORKER, bounds
from coworkai.runner.batches import worker_batches
from coworkai.runner.silver.timeline import build_timeline
from coworkai.runner.stage1.build import KEYSTROKE_COLUMNS, TIMELINE_COLUMNS, build_stage1

WORKERS = 100
TIMES = 10
BATCH_ROWS = 250_000
AW_WORKERS = 5
REPEATS = 9
OUTPUTS = ("workblocks", "atomic_slices", "usage_statistics", "day_accounting")


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        small, large = f"{folder}/small", f"{folder}/large"
        in_child("benchmarks.workload:write_silver", folder=small, workers=WORKERS)
        in_child("benchmarks.workload:write_silver", folder=large, workers=WORKERS * TIMES)
        once = in_child("benchmarks.stage1:stage1", folder=small)
        tenfold = in_child("benchmarks.stage1:growth", folder=large)
        timeline = in_child("benchmarks.stage1:timeline", folder=small)
        peer = in_child("benchmarks.stage1:aw_core", folder=small)
    rate = once.numbers["rows"] / once.numbers["cpu_s"]
    peer_rate = peer.numbers["rows"] / peer.numbers["cpu_s"]
    growth = tenfold.numbers["all_s"] / tenfold.numbers["tenth_s"]
    timeline_rate = timeline.numbers["rows"] / timeline.numbers["cpu_s"]
    with_files = timeline.numbers["rows"] / timeline.numbers["cpu_with_files_s"]
    name = "stage 1"
    return [
        Result(name, "files to files", rate, "rows/CPU s", at_least=1_000_000),
        Result(name, "peak memory", once.peak_mb, "MB", at_most=400),
        Result(name, "peak memory, ten times the rows", tenfold.peak_mb, "MB", at_most=400),
        Result(name, "CPU for ten times the rows", growth, "times", at_most=11),
        Result(name, "against aw-core flood + merge", rate / peer_rate, "times", at_least=15),
        Result("timeline", "frame to frame", timeline_rate, "rows/CPU s", at_least=900_000),
        Result("timeline", "files to files", with_files, "rows/CPU s"),
        Result("aw-core", "flood + merge_events_by_keys", peer_rate, "rows/CPU s"),
    ]


def stage1(folder: str) -> dict[str, float]:
    """Child: Stage 1 of the Silver files in `folder`, after one worker to warm up."""
    source, users = Path(folder), _workers(Path(folder))
    _stage1_of(source, users[:1])
    rows = 0

    def whole() -> None:
        nonlocal rows
        rows = _stage1_of(source, users)

    return {"cpu_s": _best_cpu_s(whole, REPEATS), "rows": float(rows)}


def growth(folder: str) -> dict[str, float]:
    """Child: Stage 1 of a tenth of the workers in `folder` ten times, and of all once, by turns."""
    source, users = Path(folder), _workers(Path(folder))
    tenth = users[: len(users) // TIMES]
    _stage1_of(source, users[:1])
    small_s = large_s = 0.0
    for _ in range(2):
        with cpu() as spent:
            for _ in range(TIMES):
                _stage1_of(source, tenth)
        small_s += spent.seconds
        with cpu() as spent:
            _stage1_of(source, users)
        large_s += spent.seconds
    return {"tenth_s": small_s / TIMES, "all_s": large_s}


def timeline(folder: str) -> dict[str, float]:
    """Child: the timeline of the activities in `folder`, in memory and between files."""
    source = Path(folder) / "activities.parquet"
    raw = pl.read_parquet(source)
    local_days = bounds(raw["user_id"].n_unique())
    alone = _best_cpu_s(lambda: build_timeline(raw, local_days), REPEATS)
    with_files = _best_cpu_s(
        lambda: build_timeline(pl.read_parquet(source), local_days).pieces.write_parquet(
            Path(folder) / "pieces.parquet", compression="snappy"
        ),
        REPEATS,
    )
    return {"cpu_s": alone, "cpu_with_files_s": with_files, "rows": float(raw.height)}


def aw_core(folder: str) -> dict[str, float]:
    """Child: aw-core's transforms on the activities of some workers, each worker's events in order."""
    from aw_core.models import Event
    from aw_transform import flood, merge_events_by_keys

    logging.getLogger("aw_transform").setLevel(logging.ERROR)
    raw = pl.read_parquet(Path(folder) / "activities.parquet").sort("user_id", "started_at")
    workers = raw.partition_by("user_id", maintain_order=True)[:AW_WORKERS]
    events = [
        [
            Event(timestamp=start, duration=end - start, data={"app": app, "title": title})
            for start, end, app, title in worker.select("started_at", "ended_at", "app", "title").rows()
        ]
        for worker in workers
    ]

    def transform() -> None:
        for mine in events:
            merge_events_by_keys(flood(mine), ["app", "title"])

    return {"cpu_s": _best_cpu_s(transform, 2), "rows": float(sum(map(len, events)))}


def _workers(source: Path) -> list[str]:
    return pl.scan_parquet(source / "health.parquet").collect()["user_id"].unique().sort().to_list()


def _stage1_of(source: Path, users: list[str]) -> int:
    """Whole workers in batches, from files to files; returns the input rows."""
    target = source / "gold"
    target.mkdir(exist_ok=True)
    batches = worker_batches([(user, ROWS_PER_WORKER) for user in users], BATCH_ROWS)
    return sum(_stage1_files(source, target, batch, number) for number, batch in enumerate(batches))


def _stage1_files(source: Path, target: Path, users: list[str], number: int) -> int:
    """One batch of workers, from files to files; returns its input rows."""
    theirs = pl.col("user_id").is_between(pl.lit(users[0]), pl.lit(users[-1]))

    def read(name: str, columns: tuple[str, ...] | None = None) -> pl.DataFrame:
        rows = pl.scan_parquet(source / f"{name}.parquet").filter(theirs)
        return (rows.select(columns) if columns else rows).collect()

    timeline_rows, keystrokes = read("timeline", TIMELINE_COLUMNS), read("keystrokes", KEYSTROKE_COLUMNS)
    built = build_stage1(timeline_rows, keystrokes, read("idle"), read("health"))
    for output in OUTPUTS:
        frame: pl.DataFrame = getattr(built, output)
        # As in the Delta tables: no minimum and maximum of titles and typed text in a file's footer.
        frame.write_parquet(target / f"{output}-{number}.parquet", compression="snappy", statistics=False)
    return timeline_rows.height + keystrokes.height


def _best_cpu_s(work: Callable[[], object], repeats: int) -> float:
    """The least of a few: what disturbs a measurement only ever adds to it."""
    seconds = []
    for _ in range(repeats):
        with cpu() as spent:
            work()
        seconds.append(spent.seconds)
    return min(seconds)
