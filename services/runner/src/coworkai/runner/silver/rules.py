"""The numbers of Silver's rules (docs/domain.md section 3). Every one is a named setting with its default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SilverRules:
    """Numbers the Silver tables depend on."""

    late_after_s: int = 86_400
    """A record published later than this after its own time is late."""


@dataclass(frozen=True, slots=True)
class AnomalyRules:
    """Numbers of the flags that are computed when the audit is read."""

    baseline_days: int = 28
    """Calendar days before the day that its baseline is taken from."""
    min_days: int = 7
    """Fewer days than this with a row in the baseline flag nothing."""
    threshold: float = 3.5
    """A deviation beyond this many scaled MADs is an anomaly."""
    relative_floor: float = 0.05
    """The scale is at least this share of the median, so that a very regular worker is not flagged for
    trifles.
    """
