"""Names of facts: made, read, and refused."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.common.fact_ids import (
    REST,
    FactKind,
    FactName,
    fact_id,
    fact_name,
    group_fact_id,
    kind_of,
    slice_fact_id,
)

DAY = date(2026, 10, 27)


@given(st.text(min_size=1), st.dates(), st.text(min_size=1))
def test_an_id_is_read_as_it_was_made(subject: str, on: date, measure: str) -> None:
    identifier = fact_id(FactKind.KPI, subject, on, measure)
    assert fact_name(identifier) == FactName(FactKind.KPI, subject, on, (measure,))
    assert identifier.isascii()


@given(st.text(min_size=1), st.dates())
def test_a_groups_id_is_read_as_it_was_made(group: str, on: date) -> None:
    identifier = group_fact_id("team", group, "week", on, "focus_s")
    assert fact_name(identifier) == FactName(FactKind.GROUP, group, on, ("team", "week", "focus_s"))


def test_blocks_and_slices_go_by_their_own_ids() -> None:
    assert fact_name("wb:ana:1:00") == FactName(FactKind.BLOCK, "wb:ana:1:00", None)
    assert fact_name(slice_fact_id("wb:ana:1:00", 3)) == FactName(FactKind.SLICE, "wb:ana:1:00", None, ("3",))
    assert fact_name("slice:wb:ana:1:00#3").number == 3


@pytest.mark.parametrize("kind", REST)
def test_every_kind_has_as_many_parts_as_it_says(kind: FactKind) -> None:
    rest = ["1" for _ in REST[kind]]
    assert fact_name(fact_id(kind, "ana", DAY, *rest)).rest == tuple(rest)
    with pytest.raises(ValueError, match="parts"):
        fact_name(fact_id(kind, "ana", DAY, *rest, "more"))


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        "ana",
        "nothing:ana:2026-10-27",
        "kpi:ana",
        "kpi:ana:someday:focus_s",
        "slice:wb:ana:1:00",
        "slice:wb#x",
        "goal:ana:2026-10-27:one",
        "goal:ana:2026-10-27:-1",
        "usage:ana:2026-10-27:app:x",
        "group:team:x",
    ],
)
def test_what_no_fact_can_be_called_is_refused(identifier: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fact_name(identifier)


def test_the_kind_is_the_first_part() -> None:
    assert kind_of("wb:ana:1:00") is FactKind.BLOCK
    assert kind_of("kpi") is FactKind.KPI
    assert kind_of("https://example.com") is None


def test_a_date_that_is_none_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match="'someday' is no date"):
        fact_name("kpi:ana:someday:focus_s")
