"""The rules of the timeline and of Stage 1, slow and obvious: one worker, Python loops, no arrays.

What the engine computes on sorted lanes is computed here by looking at every instant, pair or minute in turn.
All times are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


# ------------------------------------------------------------------------------------------ Stage 1
WORKBLOCK_BREAK = timedelta(minutes=60)
WORKBLOCK_MIN = timedelta(minutes=5)
SYNTHETIC_BREAK = timedelta(minutes=5)
NEAREST_MAX = timedelta(seconds=300)
CROSS_APP_PENALTY = timedelta(seconds=180)
SLICE_BREAK = timedelta(seconds=1)


@dataclass(frozen=True)
class Keystrokes:
    event_id: str
    minute: datetime
    app: str
    url: str | None = None
    title: str | None = None
    key_count: int | None = 1


@dataclass(frozen=True, eq=False)
class Block:
    """An activity of a day as Stage 1 sees it, real (`phase` 0) or synthetic (`phase` 3 or 4)."""

    started_at: datetime
    ended_at: datetime
    app: str
    url: str | None
    title: str | None
    phase: int = 0
    cut_start: bool = False
    cut_end: bool = False

    @property
    def context(self) -> tuple[str, str, str]:
        return (self.app, self.url or "", "" if self.url else self.title or "")

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.started_at < end and self.ended_at > start


@dataclass(frozen=True, eq=False)
class Match:
    keystrokes: Keystrokes
    activity: Block
    phase: int
    cross_app: bool


@dataclass(frozen=True)
class Slice:
    block: int
    """Order of the workblock in the day, noise included."""
    sequence: int
    started_at: datetime
    ended_at: datetime
    evidence: timedelta
    app: str
    url: str | None
    title: str | None
    event_ids: tuple[str, ...]
    ambiguous: bool
    multitasking: bool
    phase: int
    cross_app: bool
    idle: timedelta


@dataclass(frozen=True)
class Workblock:
    number: int | None
    """Order among those kept; None for noise."""
    started_at: datetime
    ended_at: datetime
    active: timedelta
    idle: timedelta
    is_continuation: bool


@dataclass
class Day:
    matches: list[Match]
    workblocks: list[Workblock]
    slices: list[Slice]
    usage: dict[str, dict[str, timedelta]]
    synthetic: timedelta
    noise: timedelta


Interval = tuple[datetime, datetime]
Part = tuple[datetime, datetime, Block, list[Match]]
"""Start and end of a minute's part of an activity, and the matches that it holds."""


def length_of_union(intervals: Iterable[Interval]) -> timedelta:
    """Add up stretches between neighbouring ends that any of the intervals covers."""
    given = list(intervals)
    points = sorted({point for interval in given for point in interval})
    return sum(
        (b - a for a, b in pairwise(points) if any(start <= a and b <= end for start, end in given)), NO_TIME
    )


def cut_to(intervals: Iterable[Interval], start: datetime, end: datetime) -> list[Interval]:
    return [(max(a, start), min(b, end)) for a, b in intervals if a < end and b > start]


def stage1_day(
    pieces: Sequence[Piece], keystrokes: Sequence[Keystrokes], idle: Sequence[Interval] = ()
) -> Day:
    """Stage 1 of one worker's local date."""
    real = sorted(
        (
            Block(
                p.started_at,
                p.ended_at,
                p.activity.app,
                p.activity.url or None,
                p.activity.title or None,
                0,
                p.cut_start,
                p.cut_end,
            )
            for p in pieces
        ),
        key=lambda a: a.started_at,
    )
    matches = match(real, keystrokes)
    synthetic = list({id(m.activity): m.activity for m in matches if m.phase > 2}.values())
    activities = sorted([*real, *synthetic], key=lambda a: (a.started_at, a.ended_at, a.app))
    groups = group_into_blocks(activities)
    workblocks: list[Workblock] = []
    slices: list[Slice] = []
    kept: list[Block] = []
    noise: list[Block] = []
    for order, group in enumerate(groups):
        workblock = make_workblock(group, sum(w.number is not None for w in workblocks), idle)
        workblocks.append(workblock)
        if workblock.number is None:
            noise += group
        else:
            kept += group
            slices += slice_block(order, group, activities, matches, idle)
    return Day(
        matches,
        workblocks,
        slices,
        usage(kept),
        length_of_union((a.started_at, a.ended_at) for a in synthetic),
        length_of_union((a.started_at, a.ended_at) for a in noise),
    )


def match(real: Sequence[Block], keystrokes: Sequence[Keystrokes]) -> list[Match]:
    """Try every activity for every minute, phase by phase."""
    matches: list[Match] = []
    left: list[Keystrokes] = []
    for k in sorted(keystrokes, key=lambda k: (k.minute, k.event_id)):
        end = k.minute + MINUTE
        direct = [a for a in real if a.app == k.app and a.overlaps(k.minute, end)]
        if direct:
            best = min(
                direct,
                key=lambda a: (
                    not a.started_at <= k.minute < a.ended_at,
                    -(min(a.ended_at, end) - max(a.started_at, k.minute)),
                    a.started_at,
                ),
            )
            matches.append(Match(k, best, 1, cross_app=False))
            continue
        near = [(effective_distance(a, k), a.app != k.app, a.started_at, n) for n, a in enumerate(real)]
        if near and min(near)[0] <= NEAREST_MAX:
            nearest = real[min(near)[3]]
            matches.append(Match(k, nearest, 2, cross_app=nearest.app != k.app))
        else:
            left.append(k)
    return matches + synthesise(real, left)


def effective_distance(activity: Block, k: Keystrokes) -> timedelta:
    distance = max(NO_TIME, activity.started_at - k.minute, k.minute - activity.ended_at)
    return distance + (CROSS_APP_PENALTY if activity.app != k.app else NO_TIME)


def synthesise(real: Sequence[Block], left: Sequence[Keystrokes]) -> list[Match]:
    """Walk the minutes of one app in order, beginning anew after a long gap or a real activity."""
    groups: list[list[Keystrokes]] = []
    for k in sorted(left, key=lambda k: (k.app, k.minute, k.event_id)):
        last = groups[-1][-1] if groups else None
        together = (
            last is not None
            and last.app == k.app
            and k.minute - last.minute <= SYNTHETIC_BREAK
            and not any(a.overlaps(last.minute, k.minute + MINUTE) for a in real)
        )
        if together:
            groups[-1].append(k)
        else:
            groups.append([k])
    matches = []
    for group in groups:
        first, last = group[0], group[-1]
        between = any(a.ended_at <= first.minute for a in real) and any(
            a.started_at > first.minute for a in real
        )
        phase = 3 if between else 4
        activity = Block(
            first.minute,
            last.minute + MINUTE,
            first.app,
            next((k.url for k in group if k.url), None),
            next((k.title for k in group if k.title), None),
            phase,
        )
        matches += [Match(k, activity, phase, cross_app=False) for k in group]
    return matches


def group_into_blocks(activities: Sequence[Block]) -> list[list[Block]]:
    groups: list[list[Block]] = []
    for activity in activities:
        if groups and activity.started_at - max(a.ended_at for a in groups[-1]) <= WORKBLOCK_BREAK:
            groups[-1].append(activity)
        else:
            groups.append([activity])
    return groups


def make_workblock(group: Sequence[Block], kept_before: int, idle: Sequence[Interval]) -> Workblock:
    start, end = group[0].started_at, max(a.ended_at for a in group)
    is_continuation = group[0].cut_start or any(a.cut_end for a in group if a.ended_at == end)
    evidence = [(a.started_at, a.ended_at) for a in group]
    return Workblock(
        kept_before if is_continuation or end - start >= WORKBLOCK_MIN else None,
        start,
        end,
        length_of_union(evidence),
        length_of_union(part for interval in evidence for part in cut_to(idle, *interval)),
        is_continuation,
    )


def minutes_of(activity: Block) -> list[Interval]:
    """The activity cut at every minute of the clock."""
    parts = []
    start = activity.started_at
    while start < activity.ended_at:
        end = min(start.replace(second=0, microsecond=0) + MINUTE, activity.ended_at)
        parts.append((start, end))
        start = end
    return parts


def slice_block(
    order: int,
    group: Sequence[Block],
    activities: Sequence[Block],
    matches: Sequence[Match],
    idle: Sequence[Interval],
) -> list[Slice]:
    """Cut at every minute, give every keystroke minute its part, merge neighbours."""
    parts: list[Part] = []
    for activity in group:
        mine: list[Part] = [(start, end, activity, []) for start, end in minutes_of(activity)]
        for m in matches:
            if m.activity is activity:
                minute = m.keystrokes.minute
                holds = [part for part in mine if part[0] < minute + MINUTE and part[1] > minute]
                nearest = holds[0] if holds else mine[0] if minute < activity.started_at else mine[-1]
                nearest[3].append(m)
        parts += mine
    parts.sort(key=lambda part: (part[0], part[1], part[2].app))

    def multitasks(part: Part) -> bool:
        return part[2].phase > 0 and any(
            a is not part[2] and a.phase > 0 and a.overlaps(part[0], part[1]) for a in activities
        )

    runs: list[list[Part]] = []
    for part in parts:
        last = runs[-1][-1] if runs else None
        mergeable = (
            last is not None
            and last[2].context == part[2].context
            and (last[2].phase > 0) == (part[2].phase > 0)
            and part[0] - last[1] <= SLICE_BREAK
            and not (last[3] or part[3] or multitasks(last) or multitasks(part))
        )
        if mergeable:
            runs[-1].append(part)
        else:
            runs.append([part])
    slices = []
    for number, run in enumerate(runs, start=1):
        activity, held = run[0][2], [m for part in run for m in part[3]]
        slices.append(
            Slice(
                order,
                number,
                run[0][0],
                run[-1][1],
                sum((end - start for start, end, _, _ in run), NO_TIME),
                activity.app,
                activity.url,
                activity.title,
                tuple(sorted(m.keystrokes.event_id for m in held)),
                any(contexts_seen(activities, m.keystrokes.minute) > 1 for m in held),
                multitasks(run[0]),
                activity.phase,
                any(m.cross_app for m in held),
                sum((b - a for start, end, _, _ in run for a, b in cut_to(idle, start, end)), NO_TIME),
            )
        )
    return slices


def contexts_seen(activities: Sequence[Block], minute: datetime) -> int:
    return len({a.context for a in activities if a.overlaps(minute, minute + MINUTE)})


def usage(kept: Sequence[Block]) -> dict[str, dict[str, timedelta]]:
    """Seconds by kind (`app`, `url`) and name, the union of what each name covers."""
    seconds: dict[str, dict[str, timedelta]] = {}
    for kind in ("app", "url"):
        by_name: dict[str, list[Interval]] = {}
        for a in kept:
            name = a.app if kind == "app" else a.url
            if name is not None:
                by_name.setdefault(name, []).append((a.started_at, a.ended_at))
        seconds[kind] = {name: length_of_union(intervals) for name, intervals in by_name.items()}
    return seconds
