"""The identities that are in a Bronze table, with a digest of their content, by event date.

24 bytes an identity: two 64-bit halves and the digest, in numpy runs sorted by the first half. A new run is
merged with its neighbours while they are no larger than twice its size, so there are few runs, and an
identity is moved a logarithmic number of times. Dates are loaded when first asked for, and those used longest
ago are dropped.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.uint64]
Digests = npt.NDArray[np.int64]
LARGEST_RUN = 1 << 20
"""Runs of this size are not merged further: merging needs room for both copies."""


class Verdict(IntEnum):
    """What a table says of a record; REFUSED where it took it in no way at all."""

    FRESH = 0
    DUPLICATE = 1
    CONFLICT = 2
    REFUSED = 3


Verdicts = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Identities:
    """Identities of one date: mixed halves of tenant and event id, and content digests, row by row."""

    high: Halves
    low: Halves
    digest: Digests

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Identities:
        return Identities(self.high[rows], self.low[rows], self.digest[rows])

    @property
    def nbytes(self) -> int:
        return self.high.nbytes + self.low.nbytes + self.digest.nbytes


@dataclass(slots=True)
class _Day:
    """The identities of one date as sorted runs, large ones first."""

    runs: list[Identities] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    def add(self, identities: Identities) -> None:
        run = _sorted(identities)
        while (
            self.runs and len(self.runs[-1]) <= 2 * len(run) and len(self.runs[-1]) + len(run) <= LARGEST_RUN
        ):
            run = _merged(self.runs.pop(), run)
        self.runs.append(run)

    def look_up(self, asked: Identities) -> Verdicts:
        verdicts = np.zeros(len(asked), dtype=np.int8)
        for run in self.runs:
            _look_up(run, asked, verdicts)
        return verdicts


def _sorted(identities: Identities) -> Identities:
    return identities.take(np.argsort(identities.high))


def _merged(older: Identities, newer: Identities) -> Identities:
    high = np.concatenate((older.high, newer.high))
    order = np.argsort(high, kind="stable").astype(np.uint32)
    return Identities(
        high[order],
        np.concatenate((older.low, newer.low))[order],
        np.concatenate((older.digest, newer.digest))[order],
    )


def _look_up(run: Identities, asked: Identities, verdicts: Verdicts) -> None:
    at = np.searchsorted(run.high, asked.high)
    rows = np.arange(len(asked))
    # Equal first halves are next to each other; they are few, so this ends after a step or two.
    while len(rows):
        inside = at < len(run)
        rows, at = rows[inside], at[inside]
        near = run.high[at] == asked.high[rows]
        rows, at = rows[near], at[near]
        hit = run.low[at] == asked.low[rows]
        same = run.digest[at[hit]] == asked.digest[rows[hit]]
        verdicts[rows[hit]] = np.where(same, Verdict.DUPLICATE, Verdict.CONFLICT)
        rows, at = rows[~hit], at[~hit] + 1


class SeenIndex:
    """Identities of a Bronze table by date. Not safe to share between threads.

    `load` reads a date's identities from the table; `max_ids` bounds what is kept of dates not in use.
    """

    def __init__(self, load: Callable[[int], Iterable[Identities]], max_ids: int) -> None:
        self._load = load
        self._max_ids = max_ids
        self._days: OrderedDict[int, _Day] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._days.values()))

    @property
    def nbytes(self) -> int:
        return sum(run.nbytes for day in self._days.values() for run in day.runs)

    def holds(self, day: int) -> bool:
        """Whether the date is loaded."""
        return day in self._days

    def look_up(self, day: int, asked: Identities) -> Verdicts:
        """A Verdict for each identity, against the table as the index knows it. Raises what `load` raises."""
        return self._day(day).look_up(asked)

    def add(self, day: int, identities: Identities) -> None:
        """Remember what the table now holds; nothing to do for a date that is not loaded."""
        if day in self._days and len(identities):
            self._days[day].add(identities)

    def evict(self, in_use: Iterable[int] = ()) -> None:
        """Drop the dates used longest ago until at most `max_ids` are left, but none in use."""
        busy = set(in_use)
        for day in list(self._days):
            if len(self) <= self._max_ids:
                return
            if day not in busy:
                del self._days[day]

    def forget(self, day: int | None = None) -> None:
        """Drop a date, or all, to be loaded again when asked for."""
        if day is None:
            self._days.clear()
        else:
            self._days.pop(day, None)

    def _day(self, day: int) -> _Day:
        if day not in self._days:
            loaded = _Day()
            for identities in self._load(day):
                loaded.add(identities)
            self._days[day] = loaded
        self._days.move_to_end(day)
        return self._days[day]


def repeated(identities: Identities) -> Verdicts:
    """For each identity, FRESH when it is the first of its kind among these, else how it compares to that."""
    verdicts = np.zeros(len(identities), dtype=np.int8)
    # Nearly always all differ in their first half already, and values alone are sorted in no time.
    sorted_high = np.sort(identities.high)
    if not (sorted_high[1:] == sorted_high[:-1]).any():
        return verdicts
    order = np.lexsort((identities.low, identities.high))
    high, low = identities.high[order], identities.low[order]
    again = np.concatenate(([False], (high[1:] == high[:-1]) & (low[1:] == low[:-1])))
    if again.any():
        first = np.maximum.accumulate(np.where(again, 0, np.arange(len(order))))
        same = identities.digest[order] == identities.digest[order[first]]
        verdicts[order[again]] = np.where(same[again], Verdict.DUPLICATE, Verdict.CONFLICT)
    return verdicts


class Mixer:
    """Makes 128-bit identities of tenants and ids: one to one inside a tenant, evenly spread.

    The tenant's part is keyed with a secret of this process, so nobody can make an id that passes for
    another tenant's.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._tenants: dict[str, tuple[int, int]] = {}

    def mix(
        self,
        tenants: Sequence[str],
        tenant_of: npt.NDArray[np.int32],
        ids: npt.NDArray[np.uint64],
        digest: Digests,
    ) -> Identities:
        """Identities row by row: `tenants[tenant_of[i]]`, the id's two halves `ids[i]`, and its digest."""
        keys = np.array([self._key(tenant) for tenant in tenants], dtype=np.uint64).reshape(-1, 2)[tenant_of]
        low = ids[:, 1] ^ keys[:, 1]
        high = ids[:, 0] ^ keys[:, 0] ^ _scramble(low)
        return Identities(high, low ^ _scramble(high), digest)

    def _key(self, tenant: str) -> tuple[int, int]:
        key = self._tenants.get(tenant)
        if key is None:
            digest = hashlib.blake2b(tenant.encode(), key=self._secret, digest_size=16).digest()
            key = (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little"))
            self._tenants[tenant] = key
        return key


def _scramble(halves: Halves) -> Halves:
    """The finaliser of splitmix64."""
    halves = halves + np.uint64(0x9E3779B97F4A7C15)
    halves = (halves ^ (halves >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    halves = (halves ^ (halves >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return halves ^ (halves >> np.uint64(31))
