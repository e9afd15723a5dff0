"""Frames that Stage 1 takes, made from a few literals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import polars as pl
from tests.doubles.reference_rules import Activity, Keystrokes, Zones
from tests.unit.runner.strategies import TENANT, TypingWorker, activity_frame, bounds_of

from coworkai.common.tables import SILVER_HEALTH, SILVER_KEYSTROKES
from coworkai.runner.silver.local_days import local_dates
from coworkai.runner.silver.timeline import Timeline, build_timeline
from coworkai.runner.stage1.build import Stage1, build_stage1
from coworkai.runner.stage1.idle import IDLE

DAY = "2024-03-11"


def at(clock: str) -> datetime:
    """A time of DAY in UTC, or of another day when given with its date."""
    return datetime.fromisoformat(clock if "-" in clock else f"{DAY} {clock}").replace(tzinfo=UTC)


def activity(app: str, start: str, end: str, url: str | None = None, title: str | None = None) -> Activity:
    return Activity(f"{app}-{start}", at(start), at(end), app, url, title)


def keys(
    app: str,
    minute: str,
    event_id: str = "",
    *,
    url: str | None = None,
    title: str | None = None,
    count: int | None = 1,
) -> Keystrokes:
    return Keystrokes(event_id or f"{app}-{minute}", at(minute), app, url, title, count)


def keystroke_frame(
    crew: Mapping[str, Iterable[Keystrokes]], bounds: pl.DataFrame, texts: Mapping[str, str] | None = None
) -> pl.DataFrame:
    rows = [
        {
            "tenant_id": TENANT,
            "user_id": user,
            "event_id": k.event_id,
            "minute": k.minute,
            "app": k.app,
            "url": k.url,
            "title": k.title,
            "text": (texts or {}).get(k.event_id),
            "key_count": k.key_count,
        }
        for user, mine in crew.items()
        for k in mine
    ]
    frame = pl.DataFrame(rows, schema={n: t for n, t in SILVER_KEYSTROKES.schema.items() if n != "date"})
    return local_dates(frame, "minute", bounds)


def health_frame(timeline: Timeline) -> pl.DataFrame:
    """The activities' rows of the health audit."""
    return timeline.audit.select(
        "tenant_id",
        "date",
        "user_id",
        "device_id",
        source=pl.lit("activities"),
        raw_s=pl.col("raw_us") / 1e6,
        kept_s=pl.col("kept_us") / 1e6,
        overlapped_s=pl.col("overlapped_us") / 1e6,
    ).select(pl.col(name).cast(SILVER_HEALTH.schema[name]) for name in HEALTH_COLUMNS)


HEALTH_COLUMNS = (
    "tenant_id",
    "date",
    "user_id",
    "device_id",
    "source",
    "raw_s",
    "kept_s",
    "overlapped_s",
)


def idle_frame(crew: Mapping[str, Iterable[tuple[datetime, datetime]]], bounds: pl.DataFrame) -> pl.DataFrame:
    rows = [(TENANT, user, start, end) for user, mine in crew.items() for start, end in mine]
    schema = pl.Schema([(name, dtype) for name, dtype in IDLE.items() if name != "date"])
    return local_dates(pl.DataFrame(rows, schema=schema, orient="row"), "started_at", bounds).select(
        list(IDLE)
    )


def stage1_of(
    activities: Sequence[Activity] = (),
    keystrokes: Sequence[Keystrokes] = (),
    *,
    idle: Sequence[tuple[datetime, datetime]] = (),
    texts: Mapping[str, str] | None = None,
    zones: Zones | None = None,
) -> Stage1:
    """Stage 1 of one worker, `ann`."""
    bounds = bounds_of({"ann": zones or Zones()})
    timeline = build_timeline(activity_frame({"ann": activities}), bounds)
    return build_stage1(
        timeline.pieces,
        keystroke_frame({"ann": keystrokes}, bounds, texts),
        idle_frame({"ann": idle}, bounds),
        health_frame(timeline),
    )


@dataclass(frozen=True)
class Silver:
    """Frames that Stage 1 takes."""

    timeline: pl.DataFrame
    keystrokes: pl.DataFrame
    idle: pl.DataFrame
    health: pl.DataFrame

    @classmethod
    def of(cls, crew: Mapping[str, TypingWorker]) -> Silver:
        bounds = bounds_of({})
        timeline = build_timeline(activity_frame({u: w.activities for u, w in crew.items()}), bounds)
        return cls(
            timeline.pieces,
            keystroke_frame({u: w.keystrokes for u, w in crew.items()}, bounds),
            idle_frame({u: cut_at_midnights(w.idle) for u, w in crew.items()}, bounds),
            health_frame(timeline),
        )

    def build(self) -> Stage1:
        return build_stage1(self.timeline, self.keystrokes, self.idle, self.health)


def cut_at_midnights(intervals: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The intervals, in UTC, cut where the date changes."""
    parts = []
    for start, end in intervals:
        begin = start
        while (midnight := datetime.combine(begin.date() + timedelta(days=1), time(), UTC)) < end:
            parts.append((begin, midnight))
            begin = midnight
        parts.append((begin, end))
    return parts
