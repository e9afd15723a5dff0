"""What all operations have in common: attempts, idempotency, ETags, pages, problems.

    operation ─▶ + Idempotency-Key, If-None-Match ─▶ attempts, as Retry-After says ─▶ 304: the kept answer
                                                                                └──▶ answer, or ApiError

Only what cannot be done twice by mistake is sent again: reads, and POSTs, which all have an Idempotency-Key.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

T = TypeVar("T")
Value = str | int | bool | dt.date | Sequence[str] | None
"""Of a query parameter; None leaves it out."""
BulkFormat = Literal["ndjson", "csv", "arrow", "parquet"]
MAX_KEPT_BYTES = 1 << 20
_RETRIED = frozenset({409, 429, 503})
"""With `Retry-After`; a 409 has it while an earlier attempt under the same Idempotency-Key goes on."""


class ApiError(Exception):
    """A request was refused. `code` is stable and for programs; `request_id` is what support asks for."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem = _problem(response)
        self.code: str = self.problem.get("code", "")
        self.detail: str = self.problem.get("detail") or self.problem.get("title") or response.reason_phrase
        self.remedy: str | None = self.problem.get("remedy")
        self.request_id = response.headers.get("x-request-id", "")
        wrong = [f"{one['field']}: {one['message']}" for one in self.problem.get("errors", [])]
        parts = [f"{self.status} {self.code}: {self.detail}", *wrong, self.remedy, self.request_id]
        super().__init__("; ".join(part for part in parts if part))


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how long, to try. A longer `Retry-After` than `longest_wait_s` is not waited for."""

    attempts: int = 5
    first_wait_s: float = 0.25
    longest_wait_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows of a list, and what goes with them.

    `data_version` is good for `as_of_version` and `since_version`; `changed_dates`, with `since_version`
    only, are the dates to replace.
    """

    data: list[T]
    next_cursor: str | None
    data_version: int | None
    changed_dates: list[dt.date] | None


@dataclass(frozen=True, slots=True)
class Bulk:
    """A whole range in one answer, in a format that data frames read."""

    content: bytes
    data_version: int
    changed_dates: list[dt.date] | None


class _Envelope(msgspec.Struct, Generic[T]):
    data: list[T]
    next_cursor: str | None = None
    changed_dates: list[dt.date] | None = None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list: iterate over it for its rows, or over `pages()`. Nothing is asked for before."""

    transport: Transport
    path: str
    row: type[T]
    query: Mapping[str, Value]

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.data

    def pages(self) -> Iterator[Page[T]]:
        """Page by page, all of one data version. Raises ApiError."""
        query = dict(self.query)
        while True:
            page = self.transport.page("GET", self.path, self.row, query=query)
            yield page
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def first_page(self) -> Page[T]:
        """The first page only. Raises ApiError."""
        return next(self.pages())


@dataclass(frozen=True, slots=True)
class TablePages(Pages[T]):
    """A list that comes as a table too."""

    def read(self, form: BulkFormat, fields: Sequence[str] | None = None) -> Bulk:
        """The whole range in one answer, of these columns. Raises ApiError (413 when it is too much)."""
        rest = {name: value for name, value in self.query.items() if name not in {"limit", "cursor"}}
        chosen = None if fields is None else ",".join(fields)
        response = self.transport.send("GET", self.path, query={**rest, "format": form, "fields": chosen})
        changed = response.headers.get("x-changed-dates")
        return Bulk(
            response.content,
            int(response.headers["x-data-version"]),
            None if changed is None else [dt.date.fromisoformat(one) for one in changed.split(",") if one],
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    etag: str
    response: httpx.Response


@dataclass
class Transport:
    """Sends requests of one principal; may be shared by threads.

    The newest `kept_answers` answers of at most 1 MiB are kept in memory with their ETags: while one is
    current, asking for it again costs no quota.
    """

    http: httpx.Client
    retries: Retries = field(default_factory=Retries)
    kept_answers: int = 128
    _kept: OrderedDict[tuple[str, str], _Kept] = field(default_factory=OrderedDict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Value] | None = None,
        body: object = None,
        accept: str = "application/json",
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """The answer to a request. Raises ApiError for a refusal, httpx.TransportError when there is none."""
        headers = {"accept": accept}
        if method == "POST":
            headers["idempotency-key"] = idempotency_key or str(uuid.uuid4())
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers["content-type"] = "application/json"
        given = httpx.QueryParams(tuple(_parameters(query or {})))
        request = self.http.build_request(method, path, params=given, headers=headers, content=content)
        kept = self._take(request)
        if kept is not None:
            request.headers["if-none-match"] = kept.etag
        response = self._attempts(request)
        if response.status_code == httpx.codes.NOT_MODIFIED and kept is not None:
            return kept.response
        _warn(request, response)
        if not response.is_success:
            raise ApiError(response)
        self._keep(request, response)
        return response

    def fetch(self, method: str, path: str, kind: type[T], **arguments: Any) -> T:
        """The answer as an object of this type; `arguments` as `send` has them. Raises ApiError."""
        return msgspec.json.decode(self.send(method, path, **arguments).content, type=kind)

    def page(self, method: str, path: str, row: type[T], **arguments: Any) -> Page[T]:
        """The answer as a page of such rows; `arguments` as `send` has them. Raises ApiError."""
        response = self.send(method, path, **arguments)
        # A subscript that is only known when it runs is no type to a checker.
        envelope: _Envelope[T] = msgspec.json.decode(response.content, type=_Envelope[row])  # type: ignore[valid-type]
        version = response.headers.get("x-data-version")
        return Page(
            envelope.data,
            envelope.next_cursor,
            None if version is None else int(version),
            envelope.changed_dates,
        )

    def _attempts(self, request: httpx.Request) -> httpx.Response:
        may_repeat = request.method in {"GET", "POST"}
        attempt = 0
        while True:
            attempt += 1
            is_last = attempt >= self.retries.attempts or not may_repeat
            try:
                response = self.http.send(request)
            except httpx.TransportError:
                if is_last:
                    raise
                self.retries.sleep(self._wait_s(attempt))
                continue
            asked_s = _retry_after_s(response)
            if is_last or asked_s is None or asked_s > self.retries.longest_wait_s:
                return response
            self.retries.sleep(max(asked_s, self._wait_s(attempt)))

    def _wait_s(self, attempt: int) -> float:
        """Twice as long each time, and never the same for two clients."""
        longest = min(self.retries.first_wait_s * 2.0 ** (attempt - 1), self.retries.longest_wait_s)
        return longest * random.uniform(0.5, 1.0)

    def _take(self, request: httpx.Request) -> _Kept | None:
        if request.method != "GET":
            return None
        with self._lock:
            return self._kept.get(_key(request))

    def _keep(self, request: httpx.Request, response: httpx.Response) -> None:
        etag = response.headers.get("etag")
        if request.method != "GET" or etag is None or len(response.content) > MAX_KEPT_BYTES:
            return
        with self._lock:
            self._kept[_key(request)] = _Kept(etag, response)
            self._kept.move_to_end(_key(request))
            while len(self._kept) > self.kept_answers:
                self._kept.popitem(last=False)


def _warn(request: httpx.Request, response: httpx.Response) -> None:
    """Say that the operation is going away, where its answer does (RFC 9745, RFC 8594)."""
    if "deprecation" in response.headers:
        sunset = response.headers.get("sunset", "a day that is not told")
        where = response.headers.get("link", "")
        told = f"{request.method} {request.url.path} is deprecated and stops to work on {sunset} {where}"
        warnings.warn(told.rstrip(), DeprecationWarning, stacklevel=4)


def segment(value: str | dt.date) -> str:
    """A value as one segment of a path."""
    return quote(str(value), safe="")


def _key(request: httpx.Request) -> tuple[str, str]:
    return str(request.url), request.headers["accept"]


def _parameters(query: Mapping[str, Value]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None:
            continue
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        found += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in several]
    return found


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds to wait before the same request may succeed; None when it is not to be sent again."""
    told: str = response.headers.get("retry-after", "")
    return float(told) if response.status_code in _RETRIED and told.isdecimal() else None


def _problem(response: httpx.Response) -> dict[str, Any]:
    """The body of a refusal; empty when something between here and the API refused."""
    try:
        told = msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return {}
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return told
    # The token endpoint has words of its own (RFC 6749).
    return {"code": told["error"], "detail": told.get("error_description")} if "error" in told else {}
