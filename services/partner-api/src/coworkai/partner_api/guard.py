"""The one gate: what an operation needs, declared once with its route, and nothing else that decides.

    caller: Annotated[Caller, guarded(Access(Scope.ACTIVITY, workers=True))]

Invariants: no path answers without a principal unless `is_open` names it; no route behind the gate exists
without an Access (`check_routes`, at start); a tenant is the principal's and never taken from the request; a
worker outside the principal's rows is not found, as one of another tenant is.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from coworkai.common.control.access_log import AccessLog
from coworkai.partner_api.principal import Principal, PrincipalKind, Reach, Scope
from coworkai.partner_api.problems import Code, FieldError, Refused, not_found

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/metrics", "/oauth/token", "/openapi.json"})
OPEN_PREFIXES = ("/.well-known/", "/problems", "/docs", "/push/", "/tasks/", "/files/")
"""`/push/` and `/tasks/` verify the bus's own tokens; below `/files/` is what a signed URL opens."""


def is_open(path: str) -> bool:
    """Whether the path is answered without credentials. Every other path needs them, known or not."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


@dataclass(frozen=True, slots=True)
class Retirement:
    """An operation that is going away: since when it is deprecated, when it stops, and where to read on."""

    deprecated_at: datetime
    sunset_at: datetime
    link: str

    def headers(self) -> list[tuple[bytes, bytes]]:
        """`Deprecation` (RFC 9745), `Sunset` (RFC 8594) and where they are explained."""
        return [
            (b"deprecation", b"@%d" % int(self.deprecated_at.timestamp())),
            (b"sunset", format_datetime(self.sunset_at, usegmt=True).encode()),
            (b"link", f'<{self.link}>; rel="deprecation"; type="text/html"'.encode()),
        ]


@dataclass(frozen=True, slots=True)
class Access:
    """What an operation needs of its caller.

    `reach` is the least that may call it, `workers` whether a worker's own token may, `limited` whether
    credentials limited to some workers may. An `extensible` operation is of an open protocol: query
    parameters that it does not know are left alone. `is_query`: it changes nothing, even by POST, so that no
    answer to it is kept under an Idempotency-Key, and every read is one in the access log.
    """

    scope: Scope | None
    reach: Reach = Reach.INDIVIDUAL
    workers: bool = False
    limited: bool = True
    retirement: Retirement | None = None
    extensible: bool = False
    is_query: bool = False

    def described(self) -> dict[str, object]:
        """The extension `x-coworkai-access` of the API document."""
        return {
            "scope": None if self.scope is None else self.scope.value,
            "reach": self.reach.value,
            "workers": self.workers,
            "limited": self.limited,
        }


def authorise(principal: Principal, access: Access) -> None:
    """Raises Refused (403) unless the principal may do what needs `access`."""
    if principal.kind is PrincipalKind.WORKER and not access.workers:
        raise Refused(Code.NOT_FOR_WORKER_TOKENS, "a worker's token cannot be used for this")
    if not principal.reach.covers(access.reach):
        raise Refused(
            Code.INDIVIDUAL_REACH_REQUIRED,
            "these credentials have aggregate reach",
            remedy="query /v1/metrics/query, or use credentials of individual reach",
        )
    if access.scope is not None and access.scope not in principal.scopes:
        scope = access.scope.value
        raise Refused(
            Code.MISSING_SCOPE,
            f"these credentials lack the scope {scope}",
            remedy=f"use credentials with the scope {scope}",
            headers={
                "www-authenticate": f'Bearer realm="coworkai", error="insufficient_scope", scope="{scope}"'
            },
        )
    if principal.worker_ids is not None and principal.kind is not PrincipalKind.WORKER and not access.limited:
        raise Refused(Code.NOT_FOR_LIMITED_KEYS, "these credentials are limited to some workers")


@dataclass(slots=True)
class Exchange:
    """One request and its answer, from the edge to the route.

    `source` is the network that it comes from, `headers` are added to the answer. `is_query`: its operation
    changes nothing.
    """

    request_id: str
    source: str
    headers: list[tuple[bytes, bytes]]
    principal: Principal | None = None
    operation_id: str | None = None
    is_query: bool = False


def exchange_of(scope: Mapping[str, Any]) -> Exchange:
    """The exchange of a request's ASGI scope."""
    exchange: Exchange = scope["state"]["exchange"]
    return exchange


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal of one request, with what a route needs to keep to its rows.

    `operation_id` is the same whenever a request is tried again under one Idempotency-Key, and new otherwise:
    ids of what a POST makes derive from it, so that an attempt that died half-way makes nothing twice.
    """

    principal: Principal
    request_id: str
    operation_id: str
    access_log: AccessLog

    @property
    def tenant_id(self) -> str:
        return self.principal.tenant_id

    def may_read(self, worker_id: str | None) -> None:
        """Raises Refused (404) for a worker outside the principal's rows, and for rows of several workers."""
        mine = self.principal.worker_ids
        if mine is not None and worker_id not in mine:
            raise not_found()

    def limited_to(self, worker_ids: Sequence[str] | None) -> list[str] | None:
        """The workers that a query must be filtered by; None for the whole tenant, empty for nobody."""
        mine = self.principal.worker_ids
        if mine is None:
            return None if worker_ids is None else sorted(set(worker_ids))
        return sorted(mine if worker_ids is None else mine.intersection(worker_ids))

    async def record(
        self, operation: str, worker_ids: Collection[str], start: date | None, end: date | None, rows: int
    ) -> None:
        """Write the read down in each worker's access log; to be awaited before the rows leave.

        A worker's own reads are nobody else's and are not written down. Raises StorageUnavailable.
        """
        if worker_ids and self.principal.kind is not PrincipalKind.WORKER:
            await self.access_log.record(
                self.principal,
                operation=operation,
                worker_ids=worker_ids,
                start_date=start,
                end_date=end,
                row_count=rows,
                request_id=self.request_id,
            )


def caller_of(scope: Mapping[str, Any], access: Access, access_log: AccessLog) -> Caller:
    """The caller of a request that needs `access`; for routes outside FastAPI. Raises Refused."""
    exchange = exchange_of(scope)
    if exchange.principal is None:
        raise Refused(Code.MISSING_CREDENTIALS, "no credentials")
    if access.retirement is not None:
        exchange.headers += access.retirement.headers()
    authorise(exchange.principal, access)
    exchange.is_query = access.is_query
    operation_id = exchange.operation_id or secrets.token_hex(12)
    return Caller(exchange.principal, exchange.request_id, operation_id, access_log)


class Guard:
    """A dependency that lets a request pass to its route, or raises Refused."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __call__(self, request: Request) -> Caller:
        caller = caller_of(request.scope, self.access, request.app.state.services.access_log)
        if not self.access.extensible:
            _check_parameters(request)
        return caller


def guarded(access: Access) -> Any:
    """The dependency that a route declares its Access with; it gives the Caller."""
    return Depends(Guard(access))


def access_of(route: RouteContext) -> Access | None:
    """What the route has declared; None for one that has no guard.

    `fastapi.routing.iter_route_contexts(app.routes)` gives the routes of an application.
    """
    if not isinstance(route.original_route, APIRoute):
        return None
    found = [each.call.access for each in _dependants(route.dependant) if isinstance(each.call, Guard)]
    return found[0] if found else None


def check_routes(app: FastAPI) -> None:
    """Raises TypeError for a route behind the gate without Access, or deprecated without a retirement."""
    for route in iter_route_contexts(app.routes):
        if is_open(route.path or ""):
            continue
        access = access_of(route)
        if access is None:
            raise TypeError(f"{route.path} has no guard")
        if bool(route.deprecated) != (access.retirement is not None):
            raise TypeError(f"{route.path} is deprecated without a retirement, or the other way round")


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _dependants(each)


_known_parameters: dict[int, frozenset[str]] = {}


def _check_parameters(request: Request) -> None:
    """Raises Refused for query parameters that the route does not declare, and for one that is given twice.

    The framework would read one of the two, and others, in front of us, the other one.
    """
    if not request.scope["query_string"]:
        return
    route: APIRoute = request.scope["route"]
    known = _known_parameters.get(id(route))
    if known is None:
        known = _known_parameters[id(route)] = frozenset(
            field.alias for each in _dependants(route.dependant) for field in each.query_params
        )
    unknown = sorted(request.query_params.keys() - known)
    if unknown:
        raise Refused(
            Code.UNKNOWN_PARAMETER,
            "the query has parameters that this does not know",
            remedy=f"known here: {', '.join(sorted(known)) or 'none'}",
            errors=[FieldError(f"query.{name[:64]}", "unknown parameter") for name in unknown],
        )
    given = Counter(name for name, _ in request.query_params.multi_items())
    repeated = sorted(name for name, times in given.items() if times > 1)
    if repeated:
        raise Refused(
            Code.INVALID_PARAMETER,
            "a parameter is not valid",
            errors=[FieldError(f"query.{name}", "given more than once") for name in repeated],
        )
