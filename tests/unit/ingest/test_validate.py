"""Time validity at ingest, on both sides of every limit."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests import factories
from tests.doubles.ingest import PUBLISHED_AT

from coworkai.common.events import JsonRecord, Source
from coworkai.common.outcome import Reason
from coworkai.ingest.decode import Batch, Delivery, decode_batch
from coworkai.ingest.validate import TimeRules, check_times

DAY = timedelta(hours=24)
US = timedelta(microseconds=1)
RETENTION = timedelta(days=400)
RULES = TimeRules.of(PUBLISHED_AT, RETENTION)


def checked(record: JsonRecord, source: Source = Source.ACTIVITIES, rules: TimeRules = RULES) -> Batch:
    data = factories.batch([record])
    return check_times(decode_batch(Delivery(source.topic, source, data, {}, "m", PUBLISHED_AT)), rules)


@pytest.mark.parametrize(
    ("start", "length", "reason"),
    [
        (PUBLISHED_AT, timedelta(0), None),
        (PUBLISHED_AT, -US, Reason.START_AFTER_END),
        (PUBLISHED_AT - DAY, DAY, None),
        (PUBLISHED_AT - DAY, DAY + US, Reason.TOO_LONG),
        (PUBLISHED_AT + DAY, timedelta(0), None),
        (PUBLISHED_AT + DAY + US, timedelta(0), Reason.IN_THE_FUTURE),
        (PUBLISHED_AT - RETENTION, timedelta(0), None),
        (PUBLISHED_AT - RETENTION - US, timedelta(seconds=1), Reason.TOO_OLD),
    ],
)
def test_an_activity_is_taken_up_to_the_limit_and_not_beyond(
    start: object, length: timedelta, reason: Reason | None
) -> None:
    from datetime import datetime

    assert isinstance(start, datetime)
    batch = checked(factories.activity(start, start + length))
    assert [reject.reason for reject in batch.rejects] == ([] if reason is None else [reason])
    assert len(batch.records) == (reason is None)


def test_moments_have_the_same_limits() -> None:
    for moment, reason in (
        (PUBLISHED_AT + DAY, None),
        (PUBLISHED_AT + DAY + US, Reason.IN_THE_FUTURE),
        (PUBLISHED_AT - RETENTION - US, Reason.TOO_OLD),
    ):
        batch = checked(factories.posture(moment), Source.DEVICE_POSTURE)
        assert [reject.reason for reject in batch.rejects] == ([] if reason is None else [reason])


def test_a_retention_longer_than_the_calendar_keeps_everything() -> None:
    rules = TimeRules.of(PUBLISHED_AT, timedelta(days=10_000_000))
    long_ago = factories.activity("09:00", "09:30")
    assert not checked(long_ago, rules=rules).rejects


def test_what_is_left_keeps_its_place_and_its_drift() -> None:
    good, late = factories.activity("09:00", "09:30"), factories.activity("09:30", "09:00")
    data = factories.batch([late, good]).replace(b'"exec"', b'"mood":1,"exec"')
    batch = check_times(decode_batch(Delivery("t", Source.ACTIVITIES, data, {}, "m", PUBLISHED_AT)), RULES)
    assert batch.index == [1]
    assert batch.drift == {0: {"mood": 1}}
    (reject,) = batch.rejects
    assert (reject.index, reject.user_id, reject.day) == (0, "alice", factories.DAY)
    assert b'"mood":1' in reject.raw
