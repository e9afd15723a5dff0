"""Unknown fields of records (docs/domain.md sections 2 and 3)."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from coworkai.runner.silver.drift import drift_fields


def drift(*extras: str | None) -> dict[str, int]:
    rows = pl.DataFrame(
        {"day": [1] * len(extras), "extra": extras}, schema={"day": pl.Int64, "extra": pl.String}
    )
    found = drift_fields(rows, ["day"])
    return {f["name"]: f["count"] for f in found["drift_fields"].explode().drop_nulls().to_list()}


def test_fields_are_counted_by_name_whatever_their_values() -> None:
    assert drift('{"a":1,"b":"x"}', '{"a":"y, \\"b\\": 2"}', None, '{"a":null}') == {"a": 3, "b": 1}


def test_only_fields_of_the_record_itself_count() -> None:
    assert drift('{"a":{"b":1,"c":[{"d":2}]}}', '{"a":{"b":"}"}}') == {"a": 2}


def test_names_may_hold_any_character() -> None:
    assert drift('{"a b\\"{:":1}', '{"":[1,2]}', '{"é":true}') == {'a b"{:': 1, "": 1, "é": 1}


def test_no_unknown_field_is_no_drift() -> None:
    assert drift(None, "{}") == {}


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)  # JSON has neither
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=3), values, max_size=3), max_size=5))
def test_the_count_is_that_of_parsing_every_row(records: list[dict[str, Any]]) -> None:
    expected = Counter(name for record in records for name in record)
    assert drift(*(json.dumps(record) for record in records)) == expected
