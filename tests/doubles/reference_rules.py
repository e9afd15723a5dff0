"""The rules of the timeline and of Stage 1, slow and obvious: one worker, Python loops, no arrays.

What the engine computes on sorted lanes is computed here by looking at every instant, pair or minute in turn.
All times are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
NO_TIME = timedelta(0)


@dataclass(frozen=True)
class Activity:
    event_id: str
    started_at: datetime
    ended_at: datetime
    app: str
    url: str | None = None
    title: str | None = None
    device_id: str = "device"

    @property
    def context(self) -> tuple[str, str, str]:
        """App, and URL, or title where there is no URL."""
        return (self.app, self.url or "", "" if self.url else self.title or "")


@dataclass(frozen=True)
class Piece:
    activity: Activity
    started_at: datetime
    ended_at: datetime
    date: date
    cut_start: bool = False
    cut_end: bool = False


@dataclass
class DayAudit:
    raw: timedelta = NO_TIME
    kept: timedelta = NO_TIME
    overlapped: timedelta = NO_TIME
    zero_length: int = 0


@dataclass
class Timeline:
    pieces: list[Piece] = field(default_factory=list)
    audit: dict[tuple[date, str], DayAudit] = field(default_factory=dict)


@dataclass(frozen=True)
class Zones:
    """`changes`: (valid_from, zone name) in order; `default` is valid before the first."""

    default: str = "UTC"
    changes: tuple[tuple[datetime, str], ...] = ()

    def date_at(self, instant: datetime) -> date:
        zone = self.default
        for valid_from, name in self.changes:
            if valid_from <= instant:
                zone = name
        return instant.astimezone(ZoneInfo(zone)).date()

    def date_changes(self, start: datetime, end: datetime) -> list[datetime]:
        """Quarter hours inside (start, end) where the local date is not what it was just before."""
        quarter = start.replace(minute=0, second=0, microsecond=0)
        changes = []
        while (quarter := quarter + QUARTER) < end:
            if quarter > start and self.date_at(quarter) != self.date_at(quarter - MICROSECOND):
                changes.append(quarter)
        return changes


def timeline(activities: Iterable[Activity], zones: Zones | None = None) -> Timeline:
    """Ask of every stretch between two neighbouring starts or ends who is in front of whom."""
    zones = zones or Zones()
    result = Timeline()
    given = sorted(activities, key=lambda a: (a.started_at, -a.ended_at.timestamp(), a.event_id))
    for activity in given:
        day = result.audit.setdefault((zones.date_at(activity.started_at), activity.device_id), DayAudit())
        day.zero_length += activity.started_at == activity.ended_at
    lasting = [a for a in given if a.ended_at > a.started_at]
    cuts = {cut for a in lasting for cut in zones.date_changes(a.started_at, a.ended_at)}
    points = sorted({p for a in lasting for p in (a.started_at, a.ended_at)} | cuts)
    for start, end in pairwise(points):
        stack = [a for a in lasting if a.started_at <= start and end <= a.ended_at]
        if not stack:
            continue
        local_date = zones.date_at(start)
        for activity in stack:
            day = result.audit.setdefault((local_date, activity.device_id), DayAudit())
            day.raw += end - start
            if activity is stack[-1]:
                day.kept += end - start
            else:
                day.overlapped += end - start
        piece = Piece(
            stack[-1],
            start,
            end,
            local_date,
            cut_start=start in cuts and stack[-1].started_at < start,
            cut_end=end in cuts and stack[-1].ended_at > end,
        )
        last = result.pieces[-1] if result.pieces else None
        if last and last.activity is piece.activity and last.ended_at == start and start not in cuts:
            result.pieces[-1] = replace(last, ended_at=end, cut_end=piece.cut_end)
        else:
            result.pieces.append(piece)
    return result
