"""Digests of rows, the same whatever their order, chunks, batches or process.

A run's id is the digest of what it was computed from, so the same input has the same id wherever and whenever
it is computed, and a day whose id has not changed need not be written again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

_SEEDS = (0x636F, 0x776F)
_LOW = 0xFFFF_FFFF
_WRAP = 1 << 64

Sums = tuple[int, ...]


class DayDigests:
    """Adds up rows by date. Every row counts, twice if it is there twice; their order does not."""

    def __init__(self) -> None:
        self._sums: dict[date, dict[str, Sums]] = defaultdict(dict)

    def add(self, name: str, frame: pl.DataFrame, by: str = "date") -> None:
        """Add the rows of a table to the digests of their dates."""
        if frame.is_empty():
            return
        columns = frame.drop(by)
        # Halves of 32 bits add up without wrapping around.
        halves: dict[str, pl.Series] = {}
        for n, seed in enumerate(_SEEDS):
            hashes = columns.hash_rows(seed)
            halves |= {f"low{n}": hashes & _LOW, f"high{n}": hashes // (_LOW + 1)}
        totals = pl.DataFrame({"day": frame[by], **halves}).group_by("day").agg(pl.all().sum(), pl.len())
        for day, *sums in totals.iter_rows():
            self.merge(day, {name: tuple(sums)})

    def merge(self, day: date, rows: Mapping[str, Sums]) -> None:
        """Add what `of` told of other rows of the day."""
        for name, sums in rows.items():
            before = self._sums[day].get(name, (0,) * len(sums))
            self._sums[day][name] = tuple((a + b) % _WRAP for a, b in zip(before, sums, strict=True))

    def of(self, day: date) -> Mapping[str, Sums]:
        """Sums of the day by table; empty for a day without rows."""
        return self._sums.get(day, {})


def run_id(
    stage: str, tenant_id: str, days: Iterable[date], rows: Mapping[str, Sums], rules_version: str
) -> str:
    """16 hex digits that name a run by its stage, tenant, days, input rows and rules."""
    parts = [stage, tenant_id, *(day.isoformat() for day in days), rules_version]
    parts += [f"{name}:{','.join(map(str, sums))}" for name, sums in sorted(rows.items())]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
