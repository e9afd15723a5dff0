"""Time validity, decided once, at ingest, against the message's first publish time (domain, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec

from coworkai.common.events import Activity, JobsRow, Source
from coworkai.common.outcome import Reason
from coworkai.ingest.decode import OWN_TIME, Batch, Reject

LONGEST_ACTIVITY = timedelta(hours=24)
FUTURE_TOLERANCE = timedelta(hours=24)
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class TimeRules(msgspec.Struct, frozen=True, gc=False):
    """Own times allowed for a message: not before `earliest`, not after `latest`."""

    earliest: datetime
    latest: datetime

    @classmethod
    def of(cls, published_at: datetime, retention: timedelta) -> TimeRules:
        try:
            earliest = published_at - retention
        except OverflowError:
            # A retention longer than the calendar keeps everything.
            earliest = _BEGINNING
        return cls(earliest, published_at + FUTURE_TOLERANCE)


def check_times(batch: Batch, rules: TimeRules) -> Batch:
    """The batch without the records whose times are not valid; those are among its rejects."""
    check = _check_of(batch.source, rules)
    verdicts = list(map(check, batch.records))
    if not any(verdicts):
        return batch
    rejects = list(batch.rejects)
    kept: list[int] = []
    for position, reason in enumerate(verdicts):
        if reason is None:
            kept.append(position)
        else:
            record, place = batch.records[position], batch.index[position]
            user_id: str = getattr(record, "user_id")  # noqa: B009 - the structs share no typed base
            rejects.append(Reject(place, reason, batch.raw(place), user_id, own_day(batch.source, record)))
    return msgspec.structs.replace(
        batch,
        records=[batch.records[position] for position in kept],
        index=[batch.index[position] for position in kept],
        drift={new: batch.drift[old] for new, old in enumerate(kept) if old in batch.drift},
        rejects=sorted(rejects, key=lambda reject: reject.index),
    )


def own_day(source: Source, record: msgspec.Struct) -> date | None:
    """UTC date of the record's own time; None where the calendar has none."""
    own: date | datetime = getattr(record, OWN_TIME[source])
    if not isinstance(own, datetime):
        return own
    try:
        return own.astimezone(UTC).date()
    except OverflowError:
        return None


def _check_of(source: Source, rules: TimeRules) -> Callable[[Any], Reason | None]:
    earliest, latest = rules.earliest, rules.latest
    field = OWN_TIME[source]

    def of_activity(activity: Activity) -> Reason | None:
        start, end = activity.start, activity.end
        if earliest <= start <= end and start <= latest and end - start <= LONGEST_ACTIVITY:
            return None
        if start > end:
            return Reason.START_AFTER_END
        if end - start > LONGEST_ACTIVITY:
            return Reason.TOO_LONG
        return Reason.IN_THE_FUTURE if start > latest else Reason.TOO_OLD

    def of_moment(record: msgspec.Struct) -> Reason | None:
        moment: datetime = getattr(record, field)
        if earliest <= moment <= latest:
            return None
        return Reason.IN_THE_FUTURE if moment > latest else Reason.TOO_OLD

    def of_snapshot(row: JobsRow) -> Reason | None:
        midnight = datetime.combine(row.valid_from, time(tzinfo=UTC))
        if midnight > latest:
            return Reason.IN_THE_FUTURE
        return Reason.TOO_OLD if midnight < earliest else None

    if source is Source.ACTIVITIES:
        return of_activity
    return of_snapshot if source is Source.JOBS else of_moment
