"""What every service does alike: start, health, errors over HTTP, stop.

Imported by the services only: FastAPI and uvicorn come with their dependencies, not with this library's.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TypeVar

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from coworkai.common import observability
from coworkai.common.connection import Connection
from coworkai.common.errors import CoworkError, Transient
from coworkai.common.observability import get_logger
from coworkai.common.settings import CommonSettings, load

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1
GC_ALLOCATIONS = 50_000

log = get_logger(__name__)

Ready = Callable[[], Awaitable[None] | None]
S = TypeVar("S", bound=CommonSettings)


class Problem(msgspec.Struct, omit_defaults=True):
    """An error over HTTP (RFC 9457). `code` is stable; `detail` and `remedy` are for people."""

    title: str
    status: int
    code: str
    detail: str | None = None
    remedy: str | None = None


def problem(error: CoworkError) -> Response:
    """The answer to a request that failed with `error`; transient ones ask to come back."""
    body = Problem(error.code.replace("_", " "), error.status, error.code, error.message, error.remedy)
    headers = {"retry-after": str(RETRY_AFTER_S)} if isinstance(error, Transient) else None
    return Response(msgspec.json.encode(body), error.status, headers, PROBLEM_JSON)


def add_problems(app: FastAPI) -> None:
    """Answer every error as problem+json; unexpected ones without any detail, which is in the log."""

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, CoworkError)
        return problem(error)

    async def of_framework(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = Problem(str(error.detail), error.status_code, "http_error")
        return Response(
            msgspec.json.encode(body), error.status_code, dict(error.headers or {}), media_type=PROBLEM_JSON
        )

    async def invalid(_request: Request, error: Exception) -> Response:
        # The framework's own answer repeats the input, which may be telemetry.
        assert isinstance(error, RequestValidationError)
        detail = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        body = Problem("invalid request", 422, "invalid", detail)
        return Response(msgspec.json.encode(body), 422, media_type=PROBLEM_JSON)

    async def unexpected(_request: Request, _error: Exception) -> Response:
        body = Problem("internal", 500, "internal")
        return Response(msgspec.json.encode(body), 500, media_type=PROBLEM_JSON)

    app.add_exception_handler(CoworkError, ours)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, unexpected)


def add_health(app: FastAPI, ready: Ready) -> None:
    """Add `/healthz` (the process answers), `/readyz` (it can do its work) and `/metrics`.

    `ready` returns when it can, and raises a CoworkError saying why it cannot.
    """

    async def healthz(_request: Request) -> Response:
        return _status("ok")

    async def readyz(_request: Request) -> Response:
        answer = ready()
        if inspect.isawaitable(answer):
            await answer
        return _status("ready")

    async def metrics(_request: Request) -> Response:
        text, content_type = observability.prometheus_text()
        return Response(text, media_type=content_type)

    app.add_route("/healthz", healthz, methods=["GET"], include_in_schema=False)
    app.add_route("/readyz", readyz, methods=["GET"], include_in_schema=False)
    app.add_route("/metrics", metrics, methods=["GET"], include_in_schema=False)


def _status(status: str) -> Response:
    return Response(msgspec.json.encode({"status": status}), media_type="application/json")


def run(app: ASGIApp, settings: CommonSettings, protocol: type[asyncio.Protocol] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight and the app's shutdown.

    `protocol` handles connections, where that of all services does not do. Returns after a clean stop. Raises
    SystemExit when the app does not start.
    """
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # The fast one, or no start at all: by itself uvicorn takes a slower one where it is missing.
        loop="uvloop",
        http=protocol or Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # The client's address is used nowhere, so it need not be looked for behind proxies.
        proxy_headers=False,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
    )
    if settings.lifeline_fd is not None:
        threading.Thread(target=_stop_without_parent, args=(settings.lifeline_fd,), daemon=True).start()
    # What is loaded stays, and requests make many objects but few cycles: look for those rarely.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)
    gc.enable()
    sockets = None if settings.listen_fd is None else [socket.socket(fileno=settings.listen_fd)]
    # uvicorn raises the signal again once it has stopped; it must not kill what comes after.
    handlers = {sign: signal.signal(sign, _stopped) for sign in (signal.SIGTERM, signal.SIGINT)}
    try:
        uvicorn.Server(config).run(sockets=sockets)
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler)


def _stop_without_parent(lifeline_fd: int) -> None:
    # Nothing is ever written: the read returns when the parent is gone, however it went.
    os.read(lifeline_fd, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _stopped(_signal: int, _frame: FrameType | None) -> None:
    return


def main(
    service: str,
    settings_type: type[S],
    create_app: Callable[[S], ASGIApp],
    protocol: Callable[[S], type[asyncio.Protocol]] | None = None,
) -> int:
    """The whole life of a service process; its exit code. A bad setting is one clear line on stderr."""
    try:
        settings = load(settings_type)
    except CoworkError as error:
        sys.stderr.write(
            f"{service}: {error.message}" + (f" ({error.remedy})" if error.remedy else "") + "\n"
        )
        return 2
    observability.setup(service, settings)
    try:
        run(create_app(settings), settings, None if protocol is None else protocol(settings))
    except CoworkError as error:
        log.critical("service stopped", error=error)
        return 1
    except Exception as error:
        log.critical("service failed", error=error)
        return 1
    else:
        return 0
    finally:
        observability.shutdown()
