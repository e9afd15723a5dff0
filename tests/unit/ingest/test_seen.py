"""The index of seen identities against a plain dictionary, its memory, loading and eviction."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.common.errors import StorageUnavailable
from coworkai.ingest.seen import Identities, Mixer, SeenIndex, Verdict, repeated

Triple = tuple[int, int, int]


def identities(triples: Iterable[Triple]) -> Identities:
    rows = list(triples)
    return Identities(
        np.array([high for high, _, _ in rows], dtype=np.uint64),
        np.array([low for _, low, _ in rows], dtype=np.uint64),
        np.array([digest for _, _, digest in rows], dtype=np.int64),
    )


# Few halves, so that many identities share their first half.
triples = st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(0, 1))


@given(st.lists(st.lists(triples, max_size=20), max_size=12))
def test_the_index_says_what_a_dictionary_says(groups: list[list[Triple]]) -> None:
    index = SeenIndex(lambda _day: (), max_ids=10_000)
    known: dict[tuple[int, int], int] = {}
    for group in groups:
        asked = identities(group)
        expected = [
            Verdict.FRESH
            if (high, low) not in known
            else Verdict.DUPLICATE
            if known[high, low] == digest
            else Verdict.CONFLICT
            for high, low, digest in group
        ]
        found = index.look_up(1, asked)
        assert found.tolist() == expected
        first = np.flatnonzero((found == Verdict.FRESH) & (repeated(asked) == Verdict.FRESH))
        index.add(1, asked.take(first))
        for position in first:
            high, low, digest = group[position]
            known[high, low] = digest
    assert len(index) == len(known)


@given(st.lists(triples, max_size=30))
def test_repeats_are_judged_by_the_first_of_their_kind(group: list[Triple]) -> None:
    first: dict[tuple[int, int], int] = {}
    expected = []
    for high, low, digest in group:
        if (high, low) not in first:
            first[high, low] = digest
            expected.append(Verdict.FRESH)
        else:
            expected.append(Verdict.DUPLICATE if first[high, low] == digest else Verdict.CONFLICT)
    assert repeated(identities(group)).tolist() == expected


def test_an_identity_costs_24_bytes_however_it_came() -> None:
    index = SeenIndex(lambda _day: (), max_ids=1_000_000)
    index.look_up(1, identities([]))
    for start in range(0, 50_000, 500):
        index.add(1, identities((n * 7919, n, n) for n in range(start, start + 500)))
    assert len(index) == 50_000
    assert index.nbytes == 24 * 50_000


def test_a_date_is_loaded_once_and_only_when_asked_for() -> None:
    loads: list[int] = []

    def load(day: int) -> Iterable[Identities]:
        loads.append(day)
        return [identities([(day, day, 1)])]

    index = SeenIndex(load, max_ids=100)
    index.add(5, identities([(9, 9, 9)]))
    assert not index.holds(5)
    for _ in range(3):
        assert index.look_up(5, identities([(5, 5, 1), (9, 9, 9)])).tolist() == [1, 0]
    assert loads == [5]


def test_dates_used_longest_ago_are_dropped_but_none_in_use() -> None:
    index = SeenIndex(lambda day: [identities((day, n, n) for n in range(10))], max_ids=20)
    for day in (1, 2, 3, 1):
        index.look_up(day, identities([]))
    index.evict(in_use=[2])
    assert [index.holds(day) for day in (1, 2, 3)] == [True, True, False]
    index.evict(in_use=[1, 2])
    assert len(index) == 20


def test_a_load_that_fails_leaves_nothing_half_loaded() -> None:
    def load(_day: int) -> Iterable[Identities]:
        yield identities([(1, 1, 1)])
        raise StorageUnavailable("down")

    index = SeenIndex(load, max_ids=100)
    with pytest.raises(StorageUnavailable):
        index.look_up(1, identities([(1, 1, 1)]))
    assert not index.holds(1)


def test_identities_of_tenants_do_not_meet() -> None:
    ids = np.array([[1, 2], [1, 2], [1, 3]], dtype=np.uint64)
    mixed = Mixer().mix(["a", "b"], np.array([0, 1, 0], dtype=np.int32), ids, np.zeros(3, dtype=np.int64))
    assert len({(int(high), int(low)) for high, low in zip(mixed.high, mixed.low, strict=True)}) == 3


def test_mixing_is_one_to_one_and_spreads_ids_that_share_their_first_half() -> None:
    count = 20_000
    ids = np.stack((np.zeros(count, dtype=np.uint64), np.arange(count, dtype=np.uint64)), axis=1)
    mixed = Mixer().mix(["a"], np.zeros(count, dtype=np.int32), ids, np.zeros(count, dtype=np.int64))
    assert len(np.unique(mixed.high)) == count
