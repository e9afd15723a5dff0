"""Hints never lose a row that matches, and leave out what certainly cannot."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.partner_api.sharing.predicates import (
    Bounds,
    NoPredicate,
    Outcome,
    Scalar,
    of_json,
    of_sql,
    timestamp,
)

TYPES = {"day": "date", "n": "long", "x": "double", "name": "string", "at": "timestamp", "flag": "bool"}
Row = Mapping[str, Scalar | None]
DAY = date(2026, 11, 1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

VALUES: Mapping[str, st.SearchStrategy[Scalar]] = {
    "date": st.integers(0, 4).map(lambda n: DAY + timedelta(days=n)),
    "long": st.integers(-3, 3),
    "double": st.sampled_from([-1.5, 0.0, 2.25, 7.0]),
    "string": st.sampled_from(["", "a", "ab", "b", "é"]),
    "timestamp": st.integers(0, 3000).map(lambda n: NOON + timedelta(microseconds=n)),
    "bool": st.booleans(),
}
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | VALUES[kind] for name, kind in TYPES.items()}), max_size=6
)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equal": operator.eq,
    "lessThan": operator.lt,
    "lessThanOrEqual": operator.le,
    "greaterThan": operator.gt,
    "greaterThanOrEqual": operator.ge,
}
CASTS: Mapping[str, Callable[[str], Scalar]] = {
    "date": date.fromisoformat,
    "long": int,
    "double": float,
    "string": str,
    "timestamp": timestamp,
    "bool": lambda text: text == "true",
}


def text_of(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@st.composite
def comparisons(draw: st.DrawFn) -> Mapping[str, object]:
    column = draw(st.sampled_from(sorted(TYPES)))
    named = {"op": "column", "name": column, "valueType": TYPES[column]}
    if draw(st.booleans()):
        return {"op": "isNull", "children": [named]}
    literal = {
        "op": "literal",
        "value": text_of(draw(VALUES[TYPES[column]])),
        "valueType": TYPES[column],
    }
    operation = draw(
        st.sampled_from(["equal", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual"])
    )
    children = [named, literal] if draw(st.booleans()) else [literal, named]
    return {"op": operation, "children": children}


TREES = st.recursive(
    comparisons(),
    lambda inner: (
        st.builds(lambda child: {"op": "not", "children": [child]}, inner)
        | st.builds(
            lambda op, children: {"op": op, "children": children},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        )
    ),
    max_leaves=6,
)


def bounds(rows: Sequence[Row], *, known: bool) -> Mapping[str, Bounds]:
    """What a log tells of a file with these rows: timestamps are cut to milliseconds."""
    told: dict[str, Bounds] = {}
    for column in TYPES if known else ():
        values = sorted(value for row in rows if (value := row[column]) is not None)
        low, high = (values[0], values[-1]) if values else (None, None)
        told[column] = Bounds(_cut(low), _cut(high), len(rows) - len(values), len(rows))
    return told


def _cut(value: Scalar | None) -> Scalar | None:
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value


def truth(node: Mapping[str, object], row: Row) -> bool | None:
    """The predicate for one row, as SQL has it."""
    children = node["children"]
    assert isinstance(children, list)
    if node["op"] == "not":
        inner = truth(children[0], row)
        return None if inner is None else not inner
    if node["op"] in {"and", "or"}:
        found = [truth(child, row) for child in children]
        deciding = node["op"] == "or"
        if deciding in found:
            return deciding
        return None if None in found else not deciding
    left, right = (_value(child, row) for child in [*children, *children][:2])
    if node["op"] == "isNull":
        return left is None
    if left is None or right is None:
        return None
    return OPERATORS[str(node["op"])](left, right)


def _value(node: Mapping[str, str], row: Row) -> Scalar | None:
    if node["op"] == "column":
        return row[node["name"]]
    return CASTS[node["valueType"]](node["value"])


@given(TREES, ROWS, st.booleans())
def test_what_is_true_false_or_null_for_some_row_is_never_ruled_out(
    tree: Mapping[str, object], rows: Sequence[Row], known: bool
) -> None:
    outcome = of_json(json.dumps(tree))(bounds(rows, known=known))
    found = {truth(tree, row) for row in rows}
    assert outcome.true or True not in found
    assert outcome.false or False not in found
    assert outcome.null or None not in found


@pytest.mark.parametrize(
    ("hint", "possible"),
    [
        ("day = '2026-11-02'", True),
        ("day = '2026-11-09'", False),
        ("day < '2026-11-02'", False),
        ("day <= '2026-11-02'", True),
        ("'2026-11-02' >= day", True),
        ("'2026-11-02' > day", False),
        ("`day` <> '2026-11-02'", False),
        ("DAY IS NULL", False),
        ("day is not null", True),
        ("n > 4", False),
        ("n >= -1", True),
        ("name = 'it''s'", False),
        ("flag = true", True),
    ],
)
def test_a_simple_sql_comparison_leaves_out_a_file(hint: str, possible: bool) -> None:
    file = {
        "day": Bounds(date(2026, 11, 2), date(2026, 11, 2), 0, 10),
        "n": Bounds(0, 4, 0, 10),
        "name": Bounds("a", "b", 0, 10),
        "flag": Bounds(False, True, 0, 10),
    }
    assert of_sql(hint, TYPES)(file).true is possible


def test_a_partition_that_matches_matches_with_every_row() -> None:
    file = {"day": Bounds(DAY, DAY, 0, 10)}
    assert of_sql("day = '2026-11-01'", TYPES)(file).certain
    assert not of_sql("day = '2026-11-01'", TYPES)({}).certain


def test_nan_may_hide_above_every_number() -> None:
    assert of_sql("x > 100", TYPES)({"x": Bounds(0.0, 1.0, 0, 2)}).true
    assert of_sql("x < 100", TYPES)({"x": Bounds(math.nan, math.nan, 0, 2)}) == Outcome(True, True, True)


def test_a_comparison_with_another_type_rules_nothing_out() -> None:
    literal = {"op": "literal", "value": "7", "valueType": "string"}
    node = {"op": "equal", "children": [{"op": "column", "name": "n", "valueType": "long"}, literal]}
    assert of_json(json.dumps(node))({"n": Bounds(0, 1, 0, 2)}).true


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "[]",
        "{}",
        '{"op":"between","children":[]}',
        '{"op":"and","children":[]}',
        '{"op":"not","children":[]}',
        '{"op":"equal","children":[{"op":"column","name":"n"}]}',
        '{"op":"equal","children":[{"op":"column","name":"n"},{"op":"column","name":"n"}]}',
        '{"op":"equal","children":[{"op":"column","name":"n"},'
        '{"op":"literal","value":"x","valueType":"int"}]}',
        '{"op":"equal","children":[{"op":"column","name":"x"},'
        '{"op":"literal","value":"nan","valueType":"double"}]}',
        '{"op":"equal","children":[{"op":"column","name":"x"},'
        '{"op":"literal","value":"1","valueType":"decimal"}]}',
        '{"op":"not","children":[' * 200 + "]}" * 200,
        "[" * 100_000,
    ],
)
def test_what_is_no_predicate_is_told_apart(text: str) -> None:
    with pytest.raises(NoPredicate):
        of_json(text)


@pytest.mark.parametrize(
    "text",
    ["", "n", "n = ", "n = 1 OR 1 = 1", "n LIKE 'a%'", "unknown = 1", "n = 'x'", "n = 1; DROP TABLE t"],
)
def test_sql_beyond_simple_comparisons_is_left_alone(text: str) -> None:
    with pytest.raises(NoPredicate):
        of_sql(text, TYPES)


@given(st.text())
def test_no_text_breaks_the_sql_reader(text: str) -> None:
    try:
        of_sql(text, TYPES)
    except NoPredicate:
        return


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01T12:00:00Z", NOON),
        ("2026-11-01T13:00:00+01:00", NOON),
        ("2026-11-1 12:00:00", NOON),
        ("2026-11-01 12:00:00.000", NOON),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
    ],
)
def test_timestamps_are_read_as_clients_write_them(text: str, moment: datetime) -> None:
    assert timestamp(text) == moment


@pytest.mark.parametrize("text", ["", "now", "2026", "2026-13-01", "2026-11-01T25:00:00", "0000-01-01"])
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        timestamp(text)
