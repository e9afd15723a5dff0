"""What each record is evidence of: a stretch of time on a worker's local days (docs/domain.md section 3).

activities    [started_at, ended_at)     cut at local midnights; none when it has no length
keystrokes    [minute, minute + 60 s)
the others    the instant of the record
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from coworkai.common.events import Source
from coworkai.runner.lanes import DAY_US, MINUTE_US, Ints, dates, group_codes, microseconds
from coworkai.runner.silver.local_days import DayLanes, day_bounds

OWN_TIME: Mapping[Source, str] = {
    Source.ACTIVITIES: "started_at",
    Source.KEYSTROKES: "minute",
    Source.CLIPBOARD: "occurred_at",
    Source.CHAT: "occurred_at",
    Source.MANIFESTS: "occurred_at",
    Source.DEVICE_POSTURE: "occurred_at",
}
"""The sources of a worker's telemetry, and the Bronze column of a record's own time."""

REACH_US = 2 * DAY_US
"""No instant of local date D is further than this from D 00:00 UTC."""

_SENDER = ("tenant_id", "user_id", "device_id")
_NOTHING: Ints = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Stretches of the records of one frame. `row` is the record's index, `owner` the code of its worker
    and device (see `locate`); times in microseconds, dates in days since the epoch.
    """

    row: Ints
    owner: Ints
    start: Ints
    end: Ints
    date: Ints

    def on(self, wanted: Ints | None) -> Evidence:
        """The stretches on `wanted` dates only; all of them when None."""
        if wanted is None:
            return self
        mask = np.isin(self.date, wanted)
        return self if mask.all() else Evidence(*(getattr(self, name)[mask] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Located:
    """Records of a source with their local date, and what they are evidence of.

    `rows`: the frame with `date`, the local date of the record's own time; the UTC date of a record whose
    time the capture policy withholds. `owner` and `own_us`: of each row, as in Evidence; microseconds, null
    when withheld.
    """

    source: Source
    rows: pl.DataFrame
    owner: Ints
    own_us: pl.Series
    evidence: Evidence
    is_withheld: bool = False


def interval(source: Source, rows: pl.DataFrame) -> tuple[Ints, Ints]:
    """Start and end of every record in microseconds since the epoch; equal where it is an instant."""
    start = microseconds(rows[OWN_TIME[source]])
    if source is Source.ACTIVITIES:
        return start, microseconds(rows["ended_at"])
    if source is Source.KEYSTROKES:
        start = start // MINUTE_US * MINUTE_US
        return start, start + MINUTE_US
    return start, start


def bounds_of(
    frames: Iterable[tuple[Source, pl.DataFrame]], zones: pl.DataFrame, tenant_zone: str
) -> pl.DataFrame:
    """`local_days.BOUNDS` good for every record of `frames`. Raises ValueError when `tenant_zone` is no
    zone.
    """
    spans = [interval(source, rows) for source, rows in frames if not rows.is_empty()]
    lo = min((int(start.min()) for start, _ in spans), default=0)
    hi = max((int(end.max()) for _, end in spans), default=0)
    return day_bounds(zones, _instant(lo), _instant(hi), default_zone=tenant_zone)


def locate(
    timed: Mapping[Source, pl.DataFrame], withheld: Mapping[Source, pl.DataFrame], bounds: pl.DataFrame
) -> tuple[list[Located], pl.DataFrame]:
    """Records and their evidence on local days; and tenant_id, user_id and device_id of owners by code.

    `timed`: rows with times that are not null. `withheld`: rows of which only event_date is known. Raises
    ValueError for times out of `bounds`.
    """
    if not timed and not withheld:
        return [], pl.DataFrame(schema=dict.fromkeys(_SENDER, pl.String))
    senders = group_codes([*timed.values(), *withheld.values()], _SENDER)
    worker, users = _worker_codes(senders.table)
    spans = [interval(source, rows) for source, rows in timed.items()]
    days = DayLanes.of(
        users,
        bounds,
        np.concatenate([_NOTHING, *(start for start, _ in spans)]),
        np.concatenate([_NOTHING, *(end for _, end in spans)]),
    )
    located = []
    for (source, rows), owner, (start, end) in zip(timed.items(), senders.codes, spans, strict=False):
        lane = days.lanes(worker[owner], start)
        parts = days.split(lane, days.lanes(worker[owner], end))
        evidence = Evidence(
            parts.source,
            owner[parts.source],
            days.instants(parts.start),
            days.instants(parts.end),
            days.date[parts.stretch],
        )
        dated = rows.with_columns(date=dates(days.date[days.find(lane)]))
        located.append(Located(source, dated, owner, pl.Series(start), evidence))
    nothing = Evidence(*[_NOTHING] * 5)
    for (source, rows), owner in zip(withheld.items(), senders.codes[len(timed) :], strict=True):
        unknown = pl.Series([None], dtype=pl.Int64).new_from_index(0, rows.height)
        located.append(Located(source, rows.with_columns(date="event_date"), owner, unknown, nothing, True))
    return located, senders.table


def _worker_codes(senders: pl.DataFrame) -> tuple[Ints, pl.Series]:
    """Code of the worker of every sender (rows sorted by user_id), and user_id by code."""
    changes = senders["user_id"].ne_missing(senders["user_id"].shift(1)).to_numpy(writable=True)
    changes[:1] = True
    return np.cumsum(changes) - 1, senders["user_id"].filter(pl.Series(changes))


def epoch_days(days: Collection[date]) -> Ints:
    return np.array([day.toordinal() for day in days], np.int64) - date(1970, 1, 1).toordinal()


def _instant(us: int) -> datetime:
    seconds, rest = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
