"""A tenant's working day at the size the targets name, deterministic by seed: as Silver's inputs and as its
tables.

Workers sit in three zones and switch windows every 14 seconds or so, staying in an app more often than not;
one activity in twenty stays open behind the next ones. Keystrokes go to the window in front, now and then to
the app before it, or to one that left no activity. Records arrive in the order their collectors sent them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from coworkai.common.tables import SILVER_DEVICE_POSTURE, SILVER_HEALTH, SILVER_KEYSTROKES, TIMESTAMP
from coworkai.runner.lanes import MINUTE_US, SECOND_US
from coworkai.runner.silver.local_days import day_bounds, local_dates
from coworkai.runner.silver.timeline import build_timeline
from coworkai.runner.stage1.idle import idle_intervals

ACTIVITIES_PER_WORKER = 2_000
MINUTES_PER_WORKER = 480
ROWS_PER_WORKER = ACTIVITIES_PER_WORKER + MINUTES_PER_WORKER
TENANT = "acme"
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata")
MORNING = datetime(2024, 3, 12, 8, tzinfo=UTC)
BROWSERS = 3
ROW_GROUP = 20_000


def activities(workers: int, seed: int = 7) -> pl.DataFrame:
    """Activities with app names normalised, in order of arrival: uploads of 100, workers interleaved."""
    random = np.random.default_rng(seed)
    shape = (workers, ACTIVITIES_PER_WORKER)
    length = np.clip(random.lognormal(2.2, 1.0, shape), 1, 600) * SECOND_US
    length = (length * (8 * 3600 * SECOND_US / length.sum(axis=1, keepdims=True))).astype(np.int64) + 1
    start = _epoch_us(MORNING) + np.cumsum(length, axis=1) - length
    overlapped = random.random(shape) < 0.05
    paused = random.random(shape) < 0.2
    end = start + np.where(overlapped, length * 4, np.where(paused, length * 2 // 3, length))

    stays = random.random(shape) < 0.6
    app = _held(random.zipf(1.4, shape) % 30, stays)
    window = app * 40 + random.integers(0, 40, shape)
    page = random.integers(0, 400, shape)
    upload = np.argsort(
        (np.arange(ACTIVITIES_PER_WORKER) // 100)[np.newaxis, :] * workers
        + np.arange(workers)[:, np.newaxis],
        axis=None,
        kind="stable",
    )
    frame = pl.DataFrame(
        {
            "tenant_id": pl.repeat(TENANT, start.size, eager=True),
            "user_id": _names("user_", np.repeat(np.arange(workers), ACTIVITIES_PER_WORKER)),
            "event_id": _uuids(random, start.size),
            "started_at": pl.Series(start.ravel()).cast(TIMESTAMP),
            "ended_at": pl.Series(end.ravel()).cast(TIMESTAMP),
            "app": _words("app-{}", app.ravel(), 30),
            "url": pl.select(
                pl.when(pl.Series(app.ravel() < BROWSERS)).then(
                    _words("https://www.site{}.example.com/page", page.ravel(), 400)
                )
            ).to_series(),
            "title": _words("Window {} of the application", window.ravel(), 1_200),
            "os": pl.repeat("windows", start.size, eager=True),
            "device_id": _names("device_", np.repeat(np.arange(workers), ACTIVITIES_PER_WORKER)),
        }
    )
    return frame[upload]


def bounds(workers: int) -> pl.DataFrame:
    """Local days of the workers, in three zones."""
    zones = pl.DataFrame(
        {
            "user_id": _names("user_", np.arange(workers)),
            "valid_from": pl.repeat(None, workers, dtype=TIMESTAMP, eager=True),
            "time_zone": [ZONES[worker % len(ZONES)] for worker in range(workers)],
        }
    )
    return day_bounds(zones, MORNING, MORNING)


def write_silver(folder: str, workers: int, seed: int = 7) -> dict[str, float]:
    """Write `activities`, `timeline`, `keystrokes`, `posture` and `health` of the day to parquet files."""
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    raw = activities(workers, seed)
    local_days = bounds(workers)
    timeline = build_timeline(raw, local_days)
    silver = {
        "activities": raw,
        "timeline": timeline.pieces,
        "keystrokes": _keystrokes(raw, workers, local_days, seed),
        "idle": idle_intervals(_posture(workers, local_days, seed)),
        "health": _health(timeline.audit),
    }
    for name, frame in silver.items():
        frame.write_parquet(root / f"{name}.parquet", row_group_size=ROW_GROUP)
    return {name: float(frame.height) for name, frame in silver.items()}


def _keystrokes(raw: pl.DataFrame, workers: int, local_days: pl.DataFrame, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed + 1)
    total = workers * MINUTES_PER_WORKER
    minute = np.tile(np.arange(MINUTES_PER_WORKER), workers) * MINUTE_US + _epoch_us(MORNING)
    typed = pl.DataFrame(
        {
            "tenant_id": pl.repeat(TENANT, total, eager=True),
            "user_id": _names("user_", np.repeat(np.arange(workers), MINUTES_PER_WORKER)),
            "event_id": _uuids(random, total),
            "minute": pl.Series(minute).cast(TIMESTAMP),
            "device_id": _names("device_", np.repeat(np.arange(workers), MINUTES_PER_WORKER)),
            "capture": pl.repeat("counts", total, eager=True),
            "key_count": pl.Series(random.integers(1, 300, total), dtype=pl.Int32),
            "typed_at": pl.Series(minute + random.integers(0, MINUTE_US, total)).cast(TIMESTAMP),
        }
    )
    in_front = raw.select("user_id", "started_at", "app", "url", "title", "os").sort("user_id", "started_at")
    rows = typed.join_asof(
        in_front,
        left_on="typed_at",
        right_on="started_at",
        by="user_id",
        strategy="nearest",
        check_sortedness=False,
    ).with_columns(
        app=pl.when(pl.Series(random.random(total) < 0.05)).then(pl.lit("messenger")).otherwise("app")
    )
    missing = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in SILVER_KEYSTROKES.schema.items()
        if name not in rows.columns and name not in {"date", "run_id"}
    ]
    dated = local_dates(rows.with_columns(missing), "minute", local_days)
    return dated.select(name for name in SILVER_KEYSTROKES.schema if name != "run_id")


def _posture(workers: int, local_days: pl.DataFrame, seed: int) -> pl.DataFrame:
    """A reading every five minutes, one in twelve of them idle."""
    random = np.random.default_rng(seed + 2)
    per_worker = 96
    at = np.tile(np.arange(1, per_worker + 1), workers) * (5 * MINUTE_US) + _epoch_us(MORNING)
    total = len(at)
    rows = pl.DataFrame(
        {
            "tenant_id": pl.repeat(TENANT, total, eager=True),
            "user_id": _names("user_", np.repeat(np.arange(workers), per_worker)),
            "device_id": _names("device_", np.repeat(np.arange(workers), per_worker)),
            "occurred_at": pl.Series(at).cast(TIMESTAMP),
            "idle_s": np.where(random.random(total) < 1 / 12, random.uniform(180, 300, total), 0.0),
            "locked": random.random(total) < 0.01,
        }
    )
    dated = local_dates(rows, "occurred_at", local_days)
    return dated.select(name for name in SILVER_DEVICE_POSTURE.schema if name in dated.columns)


def _health(audit: pl.DataFrame) -> pl.DataFrame:
    rows = audit.select(
        "tenant_id",
        "date",
        "user_id",
        "device_id",
        source=pl.lit("activities"),
        raw_s=pl.col("raw_us") / SECOND_US,
        kept_s=pl.col("kept_us") / SECOND_US,
        overlapped_s=pl.col("overlapped_us") / SECOND_US,
    )
    return rows.select(pl.col(name).cast(SILVER_HEALTH.schema[name]) for name in rows.columns)


def _held(values: np.ndarray, stays: np.ndarray) -> np.ndarray:
    """Each value, or the last one before it along the row where it stays."""
    column = np.where(stays, 0, np.arange(values.shape[1])[np.newaxis, :])
    return np.take_along_axis(values, np.maximum.accumulate(column, axis=1), axis=1)


def _epoch_us(instant: datetime) -> int:
    return int(instant.timestamp()) * SECOND_US


def _names(prefix: str, numbers: np.ndarray) -> pl.Series:
    """Tokens of workers or devices, in the order of their numbers."""
    names = pl.Series([f"{prefix}{number:024x}" for number in range(int(numbers.max(initial=-1)) + 1)])
    return names.cast(pl.String).gather(numbers)


def _words(pattern: str, codes: np.ndarray, total: int) -> pl.Series:
    return pl.Series([pattern.format(code) for code in range(total)]).gather(codes)


def _uuids(random: np.random.Generator, total: int) -> pl.Series:
    digits = pl.Series([random.bytes(16 * total).hex()]).str.extract_all(".{32}").explode()
    return digits.str.replace("(.{8})(.{4})(.{4})(.{4})(.{12})", "$1-$2-$3-$4-$5")
