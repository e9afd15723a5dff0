"""What sliding windows of calls held: how full the fullest was, and how empty the emptiest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Call:
    """A call that started at an instant, and what it took."""

    tenant_id: str
    at_s: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Extremes:
    """Requests and tokens of the fullest and of the emptiest window."""

    most_requests: int
    most_tokens: int
    fewest_requests: int
    fewest_tokens: int


def extremes(calls: Sequence[Call], window_s: float, start_s: float, end_s: float) -> Extremes:
    """Over all windows of that length: the fullest wherever they are, the emptiest inside start and end.

    The fullest ones are closed and end at a call; the emptiest are open and begin at a call, or at the start.
    """
    ordered = sorted(calls, key=lambda call: call.at_s)
    most = [[call for call in ordered if last.at_s - window_s <= call.at_s <= last.at_s] for last in ordered]
    begins = [
        at_s for at_s in (start_s, *(call.at_s for call in ordered)) if start_s <= at_s <= end_s - window_s
    ]
    fewest = [[call for call in ordered if begin_s < call.at_s < begin_s + window_s] for begin_s in begins]
    return Extremes(
        max(map(len, most)),
        max(sum(call.tokens for call in held) for held in most),
        min(map(len, fewest)),
        min(sum(call.tokens for call in held) for held in fewest),
    )
