"""Random worker days for Hypothesis, and the frames that the rules take, from the reference's own types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import strategies as st
from tests.doubles.reference_rules import Activity, Keystrokes, Zones

from coworkai.common.tables import TIMESTAMP
from coworkai.runner.silver.local_days import day_bounds

TENANT = "acme"
NOON = datetime(2024, 3, 9, 12, tzinfo=UTC)
"""Of a Saturday before New York's daylight saving begins."""
ZONE_NAMES = ("UTC", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12")

ACTIVITIES = pl.Schema(
    [
        ("tenant_id", pl.String),
        ("user_id", pl.String),
        ("event_id", pl.String),
        ("started_at", TIMESTAMP),
        ("ended_at", TIMESTAMP),
        ("app", pl.String),
        ("url", pl.String),
        ("title", pl.String),
        ("os", pl.String),
        ("device_id", pl.String),
    ]
)


@dataclass(frozen=True)
class Worker:
    activities: tuple[Activity, ...]
    zones: Zones


def offsets() -> st.SearchStrategy[timedelta]:
    """Times that often coincide: whole hours, ten minutes, minutes, seconds, and odd microseconds."""
    return st.one_of(
        st.integers(0, 20).map(lambda n: timedelta(hours=n)),
        st.integers(0, 40).map(lambda n: timedelta(minutes=10 * n)),
        st.integers(0, 40).map(lambda n: timedelta(minutes=n)),
        st.integers(0, 200).map(lambda n: timedelta(seconds=n)),
        st.integers(0, 40_000_000_000).map(lambda n: timedelta(microseconds=n)),
    )


@st.composite
def activities(draw: st.DrawFn, number: int) -> Activity:
    start = NOON + draw(offsets())
    url = draw(st.sampled_from([None, "", "https://a.example/x", "https://b.example/y"]))
    return Activity(
        event_id=f"{draw(st.integers(0, 99)):02d}-{number:03d}",
        started_at=start,
        ended_at=start + draw(offsets()),
        app=draw(st.sampled_from(["chrome", "code"])),
        url=url,
        title=draw(st.sampled_from([None, "", "inbox", "notes"])),
        device_id=draw(st.sampled_from(["laptop", "desktop"])),
    )


@st.composite
def zone_histories(draw: st.DrawFn) -> Zones:
    changes = draw(
        st.dictionaries(st.integers(-5, 30), st.sampled_from(ZONE_NAMES), max_size=2).map(
            lambda d: tuple((NOON + timedelta(hours=hour), d[hour]) for hour in sorted(d))
        )
    )
    return Zones("UTC", changes)


@st.composite
def workers(draw: st.DrawFn, max_activities: int = 7) -> Worker:
    count = draw(st.integers(0, max_activities))
    return Worker(tuple(draw(activities(number)) for number in range(count)), draw(zone_histories()))


def crews() -> st.SearchStrategy[dict[str, Worker]]:
    return st.dictionaries(st.sampled_from(["ann", "bob", "cyd"]), workers(), min_size=1, max_size=3)


def activity_frame(crew: Mapping[str, Iterable[Activity]], tenant: str = TENANT) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (tenant, user, a.event_id, a.started_at, a.ended_at, a.app, a.url, a.title, "linux", a.device_id)
            for user, mine in crew.items()
            for a in mine
        ],
        schema=ACTIVITIES,
        orient="row",
    )


def bounds_of(zones: Mapping[str, Zones], *, default_zone: str = "UTC") -> pl.DataFrame:
    rows = [(user, instant, name) for user, history in zones.items() for instant, name in history.changes]
    frame = pl.DataFrame(
        rows,
        schema={"user_id": pl.String, "valid_from": TIMESTAMP, "time_zone": pl.String},
        orient="row",
    )
    return day_bounds(frame, NOON - timedelta(days=2), NOON + timedelta(days=4), default_zone=default_zone)


@st.composite
def keystroke_minutes(draw: st.DrawFn, number: int) -> Keystrokes:
    offset = draw(st.one_of(st.integers(0, 60), st.integers(0, 700)))
    return Keystrokes(
        event_id=f"{draw(st.integers(0, 99)):02d}-{number:03d}",
        minute=NOON + timedelta(minutes=offset),
        app=draw(st.sampled_from(["chrome", "code", "slack"])),
        url=draw(st.sampled_from([None, "", "https://a.example/x"])),
        title=draw(st.sampled_from([None, "", "inbox"])),
        key_count=draw(st.sampled_from([None, 0, 7])),
    )


@st.composite
def idle_stretches(draw: st.DrawFn) -> tuple[tuple[datetime, datetime], ...]:
    """Disjoint, in order."""
    points = sorted(draw(st.sets(st.integers(0, 40_000), max_size=8)))
    times = [NOON + timedelta(seconds=point) for point in points]
    return tuple(zip(times[::2], times[1::2], strict=False))


@dataclass(frozen=True)
class TypingWorker:
    """A worker of one zone, with what Stage 1 takes."""

    activities: tuple[Activity, ...]
    keystrokes: tuple[Keystrokes, ...]
    idle: tuple[tuple[datetime, datetime], ...]


@st.composite
def typing_workers(draw: st.DrawFn) -> TypingWorker:
    return TypingWorker(
        tuple(draw(activities(n)) for n in range(draw(st.integers(0, 6)))),
        tuple(draw(keystroke_minutes(n)) for n in range(draw(st.integers(0, 8)))),
        draw(idle_stretches()),
    )


def typing_crews() -> st.SearchStrategy[dict[str, TypingWorker]]:
    return st.dictionaries(st.sampled_from(["ann", "bob", "cyd"]), typing_workers(), min_size=1, max_size=3)
