"""The numbers of Silver's rules (docs/domain.md section 3). Every one is a named setting with its default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SilverRules:
    """Numbers the Silver tables depend on."""

    late_after_s: int = 86_400
    """A record published later than this after its own time is late."""
