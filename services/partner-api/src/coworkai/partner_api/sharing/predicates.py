"""Which files a client's predicate can leave out. Hints only: a file is left out when no row of it can match,
and clients filter the rows themselves.

What a predicate can be for the rows of one file follows from the file's bounds, in three-valued logic:

    bounds of `duration_s` 10..20     duration_s > 25        never true: left out
                                      duration_s > 15        true for some, false for others
                                      not (duration_s > 25)  true for all
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import msgspec

Scalar = bool | int | float | str | date | datetime

MAX_DEPTH = 64
"""A predicate nested deeper than this is not evaluated."""


class NoPredicate(ValueError):
    """Not a predicate that can be evaluated; the hint is to be ignored."""


class Outcome(NamedTuple):
    """What a predicate can be for the rows of a file: true, false, null."""

    true: bool
    false: bool
    null: bool

    @property
    def certain(self) -> bool:
        """Every row matches."""
        return self.true and not self.false and not self.null


UNKNOWN = Outcome(true=True, false=True, null=True)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and greatest value of a column in a file, not null; None where they are not known.

    `nulls` and `rows` are counts, None where they are not known.
    """

    low: Scalar | None = None
    high: Scalar | None = None
    nulls: int | None = None
    rows: int | None = None


File = Mapping[str, Bounds]
"""Bounds by column; of a column that is not there nothing is known."""
Predicate = Callable[[File], Outcome]


class _Node(msgspec.Struct, forbid_unknown_fields=False):
    op: str
    children: list[_Node] = []
    name: str | None = None
    value: str | None = None
    valueType: str | None = None  # the protocol's name


def everything(_file: File) -> Outcome:
    """The predicate that every row matches."""
    return Outcome(true=True, false=False, null=False)


def all_of(predicates: Sequence[Predicate]) -> Predicate:
    """The conjunction; of none it is `everything`."""

    def conjunction(file: File) -> Outcome:
        outcomes = [predicate(file) for predicate in predicates]
        return Outcome(
            all(one.true for one in outcomes),
            any(one.false for one in outcomes),
            any(one.null for one in outcomes),
        )

    return conjunction if predicates else everything


def of_json(text: str) -> Predicate:
    """The predicate of a `jsonPredicateHints` document. Raises NoPredicate."""
    try:
        node = msgspec.json.decode(text, type=_Node)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NoPredicate(str(error)) from None
    return _compiled(node, MAX_DEPTH)


def of_sql(text: str, types: Mapping[str, str]) -> Predicate:
    """The predicate of one of `predicateHints`: a comparison of a column with a constant, or a null check.

    `types`: the protocol's value type by column. Raises NoPredicate for anything else.
    """
    if match := _SQL_NULL.fullmatch(text.strip()):
        check = _null_check(_column(match["column"], types))
        return _negated(check) if match["negated"] else check
    match = _SQL_COLUMN_FIRST.fullmatch(text.strip()) or _SQL_CONSTANT_FIRST.fullmatch(text.strip())
    if match is None:
        raise NoPredicate("not a simple comparison")
    column = _column(match["column"], types)
    constant = match["constant"]
    quoted = constant.startswith("'")
    value = _literal(constant[1:-1].replace("''", "'") if quoted else constant, types[column])
    operator = match["operator"]
    if match.re is _SQL_CONSTANT_FIRST:
        operator = _FLIPPED_SQL.get(operator, operator)
    if operator == "<>":
        return _negated(_comparison("equal", column, value))
    return _comparison(_SQL_OPERATORS[operator], column, value)


# --------------------------------------------------------------------------------------------- JSON
def _compiled(node: _Node, depth: int) -> Predicate:
    if depth == 0:
        raise NoPredicate("nested too deeply")
    if node.op in {"and", "or"}:
        if len(node.children) < 2:
            raise NoPredicate(f"`{node.op}` needs two children")
        children = [_compiled(child, depth - 1) for child in node.children]
        return all_of(children) if node.op == "and" else _negated(all_of([_negated(one) for one in children]))
    if node.op == "not":
        (child,) = _children(node, 1)
        return _negated(_compiled(child, depth - 1))
    if node.op == "isNull":
        (column,) = _children(node, 1)
        return _null_check(_name(column))
    if node.op not in _COMPARISONS:
        raise NoPredicate("unknown operation")
    left, right = _children(node, 2)
    if left.op == "literal":
        return _comparison(_FLIPPED.get(node.op, node.op), _name(right), _value(left))
    return _comparison(node.op, _name(left), _value(right))


def _children(node: _Node, count: int) -> list[_Node]:
    if len(node.children) != count:
        raise NoPredicate(f"`{node.op}` needs {count} children")
    return node.children


def _name(node: _Node) -> str:
    if node.op != "column" or node.name is None:
        raise NoPredicate("a column was expected")
    return node.name.lower()


def _value(node: _Node) -> Scalar:
    if node.op != "literal" or node.value is None or node.valueType is None:
        raise NoPredicate("a literal was expected")
    return _literal(node.value, node.valueType)


# --------------------------------------------------------------------------------------------- values
def timestamp(text: str) -> datetime:
    """The instant of ISO 8601 or `yyyy-m-d h:m:s[.f]`; UTC where it says no zone. Raises ValueError."""
    parts = re.fullmatch(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](.+))?", text.strip())
    if parts is None:
        raise ValueError("not a timestamp")
    year, month, day, clock = parts.groups()
    moment = datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{clock or '00:00:00'}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("neither true nor false")
    return text.lower() == "true"


def _number(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError("NaN compares with nothing here")
    return number


_CASTS: Mapping[str, Callable[[str], Scalar]] = {
    "bool": _boolean,
    "int": int,
    "long": int,
    "float": _number,
    "double": _number,
    "string": str,
    "date": date.fromisoformat,
    "timestamp": timestamp,
}


def _literal(text: str, value_type: str) -> Scalar:
    cast = _CASTS.get(value_type)
    if cast is None:
        raise NoPredicate("unknown value type")
    try:
        return cast(text)
    except (ValueError, OverflowError):
        raise NoPredicate("the literal is not of its type") from None


# --------------------------------------------------------------------------------------------- logic
def _negated(predicate: Predicate) -> Predicate:
    def negation(file: File) -> Outcome:
        true, false, null = predicate(file)
        return Outcome(false, true, null)

    return negation


def _null_check(column: str) -> Predicate:
    def is_null(file: File) -> Outcome:
        bounds = file.get(column)
        if bounds is None or bounds.nulls is None or bounds.rows is None:
            return Outcome(true=True, false=True, null=False)
        return Outcome(bounds.nulls > 0, bounds.nulls < bounds.rows, null=False)

    return is_null


def _comparison(operation: str, column: str, value: Scalar) -> Predicate:
    possible = _COMPARISONS[operation]

    def comparison(file: File) -> Outcome:
        bounds = file.get(column)
        if bounds is None:
            return UNKNOWN
        null = bounds.nulls != 0
        if bounds.nulls is not None and bounds.nulls == bounds.rows:
            return Outcome(true=False, false=False, null=True)
        if bounds.low is None or bounds.high is None or not _comparable(bounds.low, value):
            return UNKNOWN
        true, false = possible(bounds.low, _upper(bounds.high), value)
        return Outcome(true, false, null)

    return comparison


def _upper(high: Scalar) -> Scalar:
    """The greatest value that the file may hold: statistics know nothing of NaN, which engines put above all
    numbers, and cut timestamps to milliseconds."""
    if isinstance(high, float):
        return float("inf")
    if isinstance(high, datetime):
        return high + timedelta(milliseconds=1)
    return high


def _comparable(bound: Scalar, value: Scalar) -> bool:
    is_nan = isinstance(bound, float) and math.isnan(bound)
    return not is_nan and _kind(bound) is _kind(value)


def _kind(value: Scalar) -> type:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float
    return type(value)


_Possible = Callable[[Scalar, Scalar, Scalar], tuple[bool, bool]]
"""From least, greatest and compared value: can it be true, can it be false."""


def _equal(low: Scalar, high: Scalar, value: Scalar) -> tuple[bool, bool]:
    return low <= value <= high, not low == high == value  # type: ignore[operator]  # of one kind


def _less(low: Scalar, high: Scalar, value: Scalar) -> tuple[bool, bool]:
    return low < value, high >= value  # type: ignore[operator]  # of one kind


def _at_most(low: Scalar, high: Scalar, value: Scalar) -> tuple[bool, bool]:
    return low <= value, high > value  # type: ignore[operator]  # of one kind


def _greater(low: Scalar, high: Scalar, value: Scalar) -> tuple[bool, bool]:
    true, false = _at_most(low, high, value)
    return false, true


def _at_least(low: Scalar, high: Scalar, value: Scalar) -> tuple[bool, bool]:
    true, false = _less(low, high, value)
    return false, true


_COMPARISONS: Mapping[str, _Possible] = {
    "equal": _equal,
    "lessThan": _less,
    "lessThanOrEqual": _at_most,
    "greaterThan": _greater,
    "greaterThanOrEqual": _at_least,
}
_FLIPPED = {
    "lessThan": "greaterThan",
    "greaterThan": "lessThan",
    "lessThanOrEqual": "greaterThanOrEqual",
    "greaterThanOrEqual": "lessThanOrEqual",
}

# --------------------------------------------------------------------------------------------- SQL
_COLUMN = r"`?(?P<column>[A-Za-z_][A-Za-z0-9_]*)`?"
_CONSTANT = r"(?P<constant>'(?:[^']|'')*'|[-+]?[0-9][-+.0-9eE]*|true|false)"
_OPERATOR = r"(?P<operator><=|>=|<>|=|<|>)"
_SQL_COLUMN_FIRST = re.compile(rf"{_COLUMN}\s*{_OPERATOR}\s*{_CONSTANT}", re.IGNORECASE)
_SQL_CONSTANT_FIRST = re.compile(rf"{_CONSTANT}\s*{_OPERATOR}\s*{_COLUMN}", re.IGNORECASE)
_SQL_NULL = re.compile(rf"{_COLUMN}\s+is\s+(?P<negated>not\s+)?null", re.IGNORECASE)
_SQL_OPERATORS = {
    "=": "equal",
    "<": "lessThan",
    "<=": "lessThanOrEqual",
    ">": "greaterThan",
    ">=": "greaterThanOrEqual",
}
_FLIPPED_SQL = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _column(name: str, types: Mapping[str, str]) -> str:
    if name.lower() not in types:
        raise NoPredicate("unknown column")
    return name.lower()
