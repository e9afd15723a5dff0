"""The numbers of Stage 1's rules (docs/domain.md section 4). Every one is a named setting with its
default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage1Rules:
    """Numbers that workblocks, slices and usage depend on."""

    nearest_max_s: int = 300
    """A keystroke minute is matched to an activity that is effectively no further away than this."""
    cross_app_penalty_s: int = 180
    """How much further away an activity of another app counts."""
    synthetic_break_s: int = 300
    """Keystroke minutes further apart than this are not of one synthetic activity."""
    workblock_break_s: int = 3_600
    """A pause longer than this ends a workblock."""
    workblock_min_s: int = 300
    """A shorter workblock is noise, unless midnight cut it."""
    slice_break_s: int = 1
    """Neighbours of one context further apart than this are two slices."""
    usage_top: int = 10
    """How many apps, domains and URLs a worker's day lists."""
    idle_min_s: float = 180.0
    """A reading with less time since the last input than this is no evidence of idleness."""

    def __post_init__(self) -> None:
        if self.nearest_max_s - self.cross_app_penalty_s < 60:
            raise ValueError(
                "nearest_max_s must exceed cross_app_penalty_s by a minute: "
                "else a synthetic activity could overlap a real one"
            )


DEFAULT_RULES = Stage1Rules()
