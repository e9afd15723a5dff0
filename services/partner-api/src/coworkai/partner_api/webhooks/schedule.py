"""When a delivery that failed is tried again, and when nobody tries any more.

attempt  1 ─5 s─ 2 ─5 min─ 3 ─30 min─ 4 ─2 h─ 5 ─6 h─ 6 ─24 h─ 7 ─40 h─ 8        three days in all
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=24),
    timedelta(hours=40),
)
"""Before the second attempt, before the third, …"""
MAX_ATTEMPTS = len(PAUSES) + 1
JITTER = 0.2
"""A pause is up to this share longer, so that what failed together does not come back together."""
LONGEST_RETRY_AFTER = timedelta(days=1)
DISABLED_AFTER = timedelta(days=5)
"""An endpoint that has taken nothing for so long is disabled when the next event is given up."""


def next_attempt(
    attempt: int, failed_at: datetime, retry_after: timedelta | None, chance: float
) -> datetime | None:
    """When to try again after attempt number `attempt`; None when it was the last.

    `retry_after`: how long the receiver asked to be left alone. `chance` in [0, 1) spreads.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    pause = PAUSES[attempt - 1] * (1 + JITTER * chance)
    return failed_at + max(pause, min(retry_after or timedelta(), LONGEST_RETRY_AFTER))


def retry_after_of(header: str | None, now: datetime) -> timedelta | None:
    """What a `Retry-After` asks for, seconds or an HTTP date; None where there is none that can be read."""
    if header is None:
        return None
    if header.isascii() and header.isdigit():
        return timedelta(seconds=int(header[:9]))
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(aware - now, timedelta())
