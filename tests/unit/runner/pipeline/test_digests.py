"""Digests of rows: pinned values, and the arithmetic spelled out a second time, value by value."""

from __future__ import annotations

import hashlib
import math
import struct
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coworkai.common.tables import COUNTS, PAIRED_KPIS, SILVER_MANIFEST_PAIRS, TIMESTAMP, PolarsType
from coworkai.runner.digests import LONG, NULL, DayDigests, row_digests, run_id

DAY = date(2024, 1, 8)
SCHEMA: dict[str, PolarsType] = {
    "date": pl.Date,
    "id": pl.String,
    "app": pl.String,
    "at": TIMESTAMP,
    "small": pl.Int32,
    "large": pl.Int64,
    "ratio": pl.Float64,
    "flag": pl.Boolean,
    "sealed": pl.Binary,
    "goals": pl.List(pl.String),
    "counts": COUNTS,
}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{"date": DAY, **row} for row in rows], schema=SCHEMA)


EXAMPLE = frame(
    {
        "id": "00000000-0000-0000-0000-0000000000aa",
        "app": "chrome",
        "at": datetime(2024, 1, 8, 9, 0, 0, 1, UTC),
        "small": -1,
        "large": 2**62,
        "ratio": 0.1,
        "flag": True,
        "sealed": b"\x00\x01",
        "goals": ["Ship", "", None],
        "counts": [{"name": "a", "count": 1}, {"name": None, "count": None}],
    },
    {"id": "Größe ⌘", "app": "", "goals": [], "ratio": -0.0},
    {},
)


def test_the_digests_are_these_on_any_machine_with_any_version() -> None:
    assert [f"{value:016x}" for value in row_digests(EXAMPLE)] == [
        "9b1b7673ef14b8bc",
        "40c65e0a7ffe977f",
        "bc187a852c42780a",
    ]
    digests = DayDigests()
    digests.add("example", EXAMPLE)
    assert run_id("silver", "acme", [DAY], digests.of(DAY), "1") == "ce6b1a964e91cdbd"


# ------------------------------------------------------------------------------------- a second opinion
def mix(word: int) -> int:
    word = (word + 0x9E3779B97F4A7C15) % 2**64
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


def fold(length: int, words: list[int]) -> int:
    if len(words) > LONG:
        content = struct.pack(f"<{len(words)}Q", *words)
        return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    digest = mix(length)
    for word in words:
        digest = mix(digest ^ word)
    return digest


def digest_of(value: object) -> int:
    match value:
        case None:
            return int(NULL)
        case bool() | int():
            return int(value) % 2**64
        case float():
            return int(
                struct.unpack("<Q", struct.pack("<d", math.nan if math.isnan(value) else value + 0.0))[0]
            )
        case datetime():
            return digest_of((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
        case date():
            return digest_of((value - date(1970, 1, 1)).days)
        case str():
            return digest_of(value.encode())
        case bytes() if len(value) > LONG * 8:
            return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")
        case bytes():
            parts = [value[n : n + 8].ljust(8, b"\0") for n in range(0, len(value), 8)]
            return fold(len(value), [int.from_bytes(part, "little") for part in parts])
        case list():
            return fold(len(value), [digest_of(one) for one in value])
        case dict():
            digest = mix(len(value))
            for field in value.values():
                digest = mix(digest ^ digest_of(field))
            return digest
    raise AssertionError(value)


texts = st.one_of(
    st.none(), st.text(max_size=40), st.sampled_from(["", "a", "12345678", "x" * 1024, "y" * 1025])
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.one_of(texts, st.uuids().map(str)),
            "app": st.sampled_from(["chrome", "code", "", None]),
            "at": st.one_of(
                st.none(), st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
            ),
            "small": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
            "large": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            "ratio": st.one_of(st.none(), st.floats()),
            "flag": st.one_of(st.none(), st.booleans()),
            "sealed": st.one_of(st.none(), st.binary(max_size=20)),
            "goals": st.one_of(st.none(), st.lists(texts, max_size=4)),
            "counts": st.one_of(
                st.none(),
                st.lists(
                    st.fixed_dictionaries(
                        {"name": st.one_of(st.none(), st.text(max_size=9)), "count": st.integers(0, 2**40)}
                    ),
                    max_size=3,
                ),
            ),
        }
    ),
    max_size=20,
)


@given(rows)
@settings(max_examples=60, deadline=None)
def test_every_value_counts_as_the_rules_say(given_rows: list[dict[str, Any]]) -> None:
    made = frame(*given_rows)
    assert row_digests(made).tolist() == [digest_of(row) for row in made.to_dicts()]


@pytest.mark.parametrize(
    "texts_in_order",
    [["chrome", None, "", "code"] * 50, [None] * 40 + ["a"] * 60 + [""] * 50 + [None] * 3, ["one"] * 99],
    ids=["few", "in runs", "one"],
)
def test_texts_that_come_often_give_the_digests_that_any_give(texts_in_order: list[str | None]) -> None:
    column = pl.Series("app", texts_in_order)
    assert row_digests(column.to_frame()).tolist() == [digest_of({"app": one}) for one in column]


@given(rows, st.randoms())
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_chunks_nor_batches_matter(given_rows: list[dict[str, Any]], choose: Any) -> None:
    whole = DayDigests()
    made = frame(*given_rows)
    whole.add("t", made)
    order = list(range(made.height))
    choose.shuffle(order)
    cut = choose.randrange(made.height + 1)
    parts = DayDigests()
    shuffled = made[order]
    for part in (shuffled[:cut], shuffled[cut:]):
        other = DayDigests()
        other.add("t", part)
        parts.merge(DAY, other.of(DAY))
    assert parts.of(DAY) == whole.of(DAY)
    chunked = DayDigests()
    chunked.add("t", pl.concat([shuffled[:cut], shuffled[cut:]], rechunk=False))
    assert chunked.of(DAY) == whole.of(DAY)


def test_a_text_longer_than_the_words_that_are_mixed_counts_whole() -> None:
    long = "z" * 100_000
    first, second = (
        frame({"id": long + "a"}, {"id": long + "b"}),
        frame({"id": long + "a"}, {"id": long + "a"}),
    )
    assert len(set(row_digests(first).tolist())) == 2
    assert len(set(row_digests(second).tolist())) == 1


def test_nothing_and_empty_are_not_the_same() -> None:
    made = frame({}, {"id": ""}, {"goals": []}, {"goals": [""]}, {"goals": [None]}, {"ratio": 0.0})
    assert len(set(row_digests(made).tolist())) == 6


def test_every_column_type_of_the_tables_has_a_digest() -> None:
    empty = SILVER_MANIFEST_PAIRS.empty()
    assert row_digests(empty).tolist() == []
    kpi = {"name": "calls", "target": 1.0, "actual": None, "unit": None, "attainment": 0.5}
    made = pl.DataFrame({"kpis": [[kpi], None]}, schema={"kpis": PAIRED_KPIS})
    assert row_digests(made).tolist() == [digest_of(row) for row in made.to_dicts()]


def test_a_type_that_no_table_has_is_refused() -> None:
    with pytest.raises(TypeError, match="no digest of"):
        row_digests(pl.DataFrame({"t": [time(9)]}))
