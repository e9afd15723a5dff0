"""The partner API, put together: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import CoworkError
from coworkai.common.service import add_health
from coworkai.common.settings import Mode
from coworkai.partner_api.edge import Edge
from coworkai.partner_api.guard import check_routes, exchange_of
from coworkai.partner_api.problems import (
    KINDS,
    MAX_FIELD_ERRORS,
    Code,
    FieldError,
    Refused,
    answer,
    code_of_status,
)
from coworkai.partner_api.routes import (
    access_log,
    briefs,
    exports,
    insights,
    lineage,
    lists,
    me,
    metrics,
    oauth,
    openapi,
    problems,
    push,
    reports,
    tables,
    webhook_deliveries,
    webhook_endpoints,
    workblocks,
    worker_tokens,
    workers,
)
from coworkai.partner_api.routes.webhook_events import add_webhooks
from coworkai.partner_api.services import Services
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.sharing import routes as sharing
from coworkai.partner_api.webhooks.outbound import Network

ROUTERS = (
    lists.router,
    access_log.router,
    briefs.router,
    exports.router,
    insights.router,
    lineage.router,
    me.router,
    metrics.router,
    oauth.router,
    openapi.router,
    problems.router,
    push.router,
    reports.router,
    tables.router,
    webhook_deliveries.router,
    webhook_endpoints.router,
    workblocks.router,
    worker_tokens.router,
    workers.router,
    sharing.router,
)


def create_app(settings: PartnerApiSettings, clock: Clock = utc_now, network: Network | None = None) -> Edge:
    """The service's ASGI application: the edge, and behind it `app.api` with `app.api.state.services`.

    Webhooks go over `network`, the real one when None.
    """

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        services = api.state.services = Services(settings, clock, network)
        services.start()
        yield
        await services.aclose()

    api = FastAPI(
        title="CoworkAI partner API",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    for router in ROUTERS:
        # As they are: the framework's own inclusion makes every request look through them twice.
        api.router.routes.extend(router.routes)
    add_webhooks(api)
    add_health(api, ready=lambda: asyncio.to_thread(api.state.services.ready))
    if settings.mode is Mode.CLOUD:
        # What this service counts is for its operators, who have it by OTLP, and not for its callers.
        api.router.routes[:] = [each for each in api.router.routes if getattr(each, "path", "") != "/metrics"]
    _add_problems(api)
    check_routes(api)
    return Edge(api, settings)


def _add_problems(api: FastAPI) -> None:
    """Answer every error as a problem, without anything of the request in it but names."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, CoworkError)
        return _response(error, request)

    async def of_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = code_of_status(error.status_code)
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if code is Code.METHOD_NOT_ALLOWED:
            headers["allow"] = ", ".join(_methods(request))
        return _response(Refused(code, KINDS[code].title.lower(), headers=headers), request)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [
            FieldError(".".join(str(part)[:64] for part in _place(each)), each["msg"])
            for each in error.errors()[:MAX_FIELD_ERRORS]
        ]
        in_body = any(each["loc"][0] == "body" for each in error.errors())
        code = Code.INVALID_BODY if in_body else Code.INVALID_PARAMETER
        remedy = (
            None if not in_body or _is_said_to_be_json(request) else "send Content-Type: application/json"
        )
        return _response(Refused(code, KINDS[code].title.lower(), errors=found, remedy=remedy), request)

    async def unexpected(request: Request, _error: Exception) -> Response:
        # The edge logs it: the framework raises it on.
        return _response(Refused(Code.INTERNAL, "internal"), request)

    api.add_exception_handler(CoworkError, ours)
    api.add_exception_handler(HTTPException, of_framework)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(Exception, unexpected)


def _is_said_to_be_json(request: Request) -> bool:
    media_type, _, _ = request.headers.get("content-type", "").partition(";")
    return media_type.strip().lower().endswith(("/json", "+json"))


def _place(error: Mapping[str, Any]) -> Sequence[object]:
    """Where in the request it is: names and positions. What is no JSON has no places."""
    place: Sequence[object] = error["loc"]
    return place[:1] if error["type"] == "json_invalid" else place


def _methods(request: Request) -> list[str]:
    """Methods of all routes of the path: the framework names those of the first one only."""
    routes = (each for each in request.app.router.routes if isinstance(each, Route))
    found = [each.methods or () for each in routes if each.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for methods in found for method in methods})


def _response(error: CoworkError, request: Request) -> Response:
    whole = answer(error, exchange_of(request.scope).request_id, request.url.path)
    return Response(whole.body, whole.status, dict(whole.headers))
