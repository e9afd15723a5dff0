"""Queries of lists, and the cursors that lead from page to page.

    ?worker_id=a&start_date=2026-10-01&limit=50 ─▶ Query ─▶ rows, and where the next page begins
                                                     cursor = data version, date, offset + MAC of these and
                                                              of tenant, rows and query

A cursor names a data version, so pages fit together whatever is published meanwhile; it is good for the query
and the rows of the caller that it was made for, and for nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec

from coworkai.partner_api.formats import TABULAR, Format, chosen
from coworkai.partner_api.problems import MAX_FIELD_ERRORS, Code, FieldError, Refused
from coworkai.partner_api.resources import Resource
from coworkai.partner_api.secrets import Purpose, Secrets

T = TypeVar("T")

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_RANGE_DAYS = 366
MAX_VERSION = 999_999_999_999_999
"""Of 15 digits, as a query has it at most."""
MAX_FIELDS = 300
"""Parameters of one query."""
_MAC_BYTES = 16
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a list, checked. `identity` is a digest of all but `limit` and `cursor`."""

    worker_ids: tuple[str, ...] | None
    filters: tuple[tuple[str, tuple[str, ...]], ...]
    start: date | None
    end: date | None
    fields: tuple[str, ...] | None
    limit: int
    cursor: str | None
    as_of: int | None
    since: int | None
    all_versions: bool
    form: Format
    identity: bytes
    digest: bytes


class Span(NamedTuple):
    """Dates, both inclusive."""

    start: date
    end: date


class Position(NamedTuple):
    """Where a page begins: so many rows of the date, and all earlier dates, were on pages before."""

    day: date
    offset: int


class _Refusals:
    """What is wrong with a query, gathered so that all of it is told at once."""

    def __init__(self) -> None:
        self.errors: dict[Code, list[FieldError]] = {}

    def add(self, code: Code, name: str, message: str) -> None:
        self.extend(code, [FieldError(f"query.{name[:64]}", message)])

    def extend(self, code: Code, errors: Sequence[FieldError]) -> None:
        if errors:
            self.errors.setdefault(code, []).extend(errors)

    def check(self) -> None:
        """Raises Refused by the first code there is something under."""
        for code, errors in self.errors.items():
            raise Refused(code, "the query is not valid", errors=[*errors, *self._others(code)])

    def _others(self, code: Code) -> list[FieldError]:
        return [error for other, errors in self.errors.items() if other is not code for error in errors]


def parameters(query_string: bytes) -> dict[str, list[str]]:
    """Query parameters by name. Raises Refused for what is no UTF-8, or too much of it."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Refused(Code.BAD_REQUEST, "the query string cannot be read") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def parse(resource: Resource, given: Mapping[str, Sequence[str]], accept: str | None) -> Query:
    """The query of a list, by its parameters. Raises Refused (422, 406)."""
    wrong = _Refusals()
    known = {"worker_id"} if resource.has_workers else set()
    known |= {
        "start_date",
        "end_date",
        "fields",
        "limit",
        "cursor",
        "as_of_version",
        "since_version",
        "format",
    }
    known |= {one.name for one in resource.filters}
    if resource.superseded_by is not None:
        known.add("all_versions")
    for name in sorted(given.keys() - known):
        wrong.add(Code.UNKNOWN_PARAMETER, name, f"unknown; known are {', '.join(sorted(known))}")

    def one(name: str, read: Callable[[str], T]) -> T | None:
        values = given.get(name)
        if values is None:
            return None
        if len(values) > 1:
            wrong.add(Code.INVALID_PARAMETER, name, "given more than once")
        try:
            return read(values[0])
        except ValueError as error:
            wrong.add(Code.INVALID_PARAMETER, name, str(error))
            return None

    start, end = one("start_date", _date), one("end_date", _date)
    if start is not None and end is not None and not 0 <= (end - start).days < MAX_RANGE_DAYS:
        message = (
            "lies before start_date" if end < start else f"more than {MAX_RANGE_DAYS} days from start_date"
        )
        wrong.add(Code.INVALID_RANGE, "end_date", message)
    filters = tuple(
        (each.name, _texts(each.name, given[each.name], each.values, wrong))
        for each in resource.filters
        if each.name in given
    )
    workers = _texts("worker_id", given["worker_id"], None, wrong) if "worker_id" in given else None
    fields = one("fields", lambda text: tuple(dict.fromkeys(text.split(","))))
    wrong.extend(Code.UNKNOWN_FIELD, _unknown(fields or (), resource.columns))
    form = Format.JSON
    try:
        form = chosen(one("format", str), accept, TABULAR)
    except Refused as refused:
        if refused.kind is not Code.INVALID_PARAMETER:
            raise
        wrong.extend(refused.kind, refused.errors)
    limit, cursor = one("limit", _limit), one("cursor", str)
    wrong.extend(Code.INVALID_PARAMETER, _pages_of(form, given))
    as_of, since = one("as_of_version", _number), one("since_version", _number)
    all_versions = one("all_versions", _flag) or False
    wrong.check()
    whole = (resource.path, workers, filters, start, end, fields, as_of, since, all_versions, form.value)
    identity = hashlib.blake2b(repr(whole).encode(), digest_size=16).digest()
    digest = hashlib.blake2b(repr((limit, cursor)).encode(), key=identity, digest_size=16).digest()
    return Query(
        worker_ids=workers,
        filters=filters,
        start=start,
        end=end,
        fields=fields,
        limit=limit or DEFAULT_LIMIT,
        cursor=cursor,
        as_of=as_of,
        since=since,
        all_versions=all_versions,
        form=form,
        identity=identity,
        digest=digest,
    )


def chosen_fields(text: str, known: Collection[str]) -> tuple[str, ...]:
    """The columns that `fields=` names, in its order. Raises Refused (UNKNOWN_FIELD)."""
    fields = tuple(dict.fromkeys(text.split(",")))
    if unknown := _unknown(fields, known):
        raise Refused(Code.UNKNOWN_FIELD, "the query is not valid", errors=unknown)
    return fields


def check_pages(form: Format, given: Collection[str]) -> None:
    """Raises Refused (INVALID_PARAMETER) for parameters of pages with a form that has none."""
    if wrong := _pages_of(form, given):
        raise Refused(Code.INVALID_PARAMETER, "the query is not valid", errors=wrong)


def _unknown(fields: Collection[str], known: Collection[str]) -> list[FieldError]:
    return [
        FieldError("query.fields", f"{name[:64]!r}: fields are {', '.join(known)}")
        for name in sorted(set(fields) - set(known))[:MAX_FIELD_ERRORS]
    ]


def _pages_of(form: Format, given: Collection[str]) -> list[FieldError]:
    if form is Format.JSON:
        return []
    message = f"{form.value} has the whole range in one answer"
    return [FieldError(f"query.{name}", message) for name in ("limit", "cursor") if name in given]


def span_of(query: Query, first: date, last: date) -> Span:
    """The dates that a query is about, of a table that has rows from `first` to `last`.

    What is left open ends with the table's newest date, and is no longer than a range may be.
    """
    if query.start is not None:
        end = query.end or max(query.start, min(last, _shifted(query.start, MAX_RANGE_DAYS - 1)))
        return Span(query.start, end)
    end = query.end or last
    longest = _shifted(end, 1 - MAX_RANGE_DAYS)
    return Span(longest if query.end is not None else max(first, longest), end)


def _shifted(day: date, days: int) -> date:
    """So many days later, within the calendar."""
    return date.fromordinal(min(max(day.toordinal() + days, date.min.toordinal()), date.max.toordinal()))


class Cursors:
    """Makes and reads cursors. Each is bound to what it is of: tenant, rows, query."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def make(self, bound: Sequence[str], query: Query, data_version: int, next_page: Position) -> str:
        """The cursor of the page of a list that begins there. `bound`: tenant and rows of the caller."""
        content = msgspec.msgpack.encode((data_version, next_page.day.toordinal(), next_page.offset))
        return self._signed(content, (*bound, query.identity.hex()))

    def read(self, cursor: str, bound: Sequence[str], query: Query) -> tuple[int, Position]:
        """Data version and position of a list's cursor. Raises Refused (INVALID_CURSOR)."""
        content = self._content(cursor, (*bound, query.identity.hex()))
        data_version, ordinal, offset = msgspec.msgpack.decode(content, type=tuple[int, int, int])
        return data_version, Position(date.fromordinal(ordinal), offset)

    def make_after(self, number: int, last: str, bound: Sequence[str]) -> str:
        """The cursor of what comes after `last`, at a version or before a position `number`."""
        return self._signed(msgspec.msgpack.encode((number, last)), bound)

    def read_after(self, cursor: str, bound: Sequence[str]) -> tuple[int, str]:
        """Number and last of such a cursor. Raises Refused (INVALID_CURSOR)."""
        return msgspec.msgpack.decode(self._content(cursor, bound), type=tuple[int, str])

    def _signed(self, content: bytes, bound: Sequence[str]) -> str:
        return _text(content + self._mac(content, bound))

    def _content(self, cursor: str, bound: Sequence[str]) -> bytes:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        content, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if _text(raw) != cursor or not hmac.compare_digest(mac, self._mac(content, bound)):
            raise Refused(
                Code.INVALID_CURSOR,
                "the cursor does not belong to this query",
                remedy="repeat the query as it was with next_cursor as it came, or start without a cursor",
            )
        return content

    def _mac(self, content: bytes, bound: Sequence[str]) -> bytes:
        return self._secrets.mac(Purpose.CURSORS, content, *(part.encode() for part in bound))[:_MAC_BYTES]


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _texts(
    name: str, values: Sequence[str], allowed: Sequence[str] | None, wrong: _Refusals
) -> tuple[str, ...]:
    for value in values:
        if not value:
            wrong.add(Code.INVALID_PARAMETER, name, "empty")
        elif allowed is not None and value not in allowed:
            wrong.add(Code.INVALID_PARAMETER, name, f"one of {', '.join(allowed)}")
    return tuple(sorted(set(values)))


def _date(text: str) -> date:
    if _DATE.fullmatch(text) is None:
        raise ValueError("a date is written YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("no day of the calendar") from None


def _limit(text: str) -> int:
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError(f"a number from 1 to {MAX_LIMIT}")
    return int(text)


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("a data version is a number from 0, as in X-Data-Version")
    return int(text)


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("true or false")
    return text == "true"
