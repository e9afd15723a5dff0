"""Health and errors over HTTP, the same for every service."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from coworkai.common.errors import CoworkError, NotFound, StorageUnavailable
from coworkai.common.service import add_health, add_problems

SECRET = "alice@example.com"


class Dependency:
    """What a service needs to be ready."""

    failure: CoworkError | None = None

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure


def get(path: str, dependency: Dependency | None = None) -> httpx.Response:
    """Answer of an app with these routes, without a socket."""
    dependency = dependency or Dependency()
    app = FastAPI()
    add_problems(app)
    add_health(app, dependency.check)

    @app.get("/missing")
    def missing() -> None:
        raise NotFound("no such day", remedy="ask for another")

    @app.get("/broken")
    def broken() -> None:
        raise ValueError(SECRET)

    @app.get("/typed")
    def typed(number: int) -> int:
        return number

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.get(path)

    return asyncio.run(run())


def test_a_service_is_alive_even_when_it_is_not_ready() -> None:
    dependency = Dependency()
    assert get("/readyz", dependency).json() == {"status": "ready"}
    dependency.failure = StorageUnavailable("the lake does not answer")
    answer = get("/readyz", dependency)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["detail"] == "the lake does not answer"
    assert get("/healthz", dependency).json() == {"status": "ok"}


def test_metrics_are_in_prometheus_text() -> None:
    answer = get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "python_info" in answer.text


def test_an_error_of_ours_is_a_problem_with_code_and_remedy() -> None:
    answer = get("/missing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "title": "not found",
        "status": 404,
        "code": "not_found",
        "detail": "no such day",
        "remedy": "ask for another",
    }


def test_an_unexpected_error_tells_nothing() -> None:
    answer = get("/broken")
    assert answer.status_code == 500
    assert answer.json() == {"title": "internal", "status": 500, "code": "internal"}


def test_an_invalid_request_is_answered_without_its_input() -> None:
    answer = get(f"/typed?number={SECRET}")
    assert answer.status_code == 422
    assert "number" in answer.json()["detail"]
    assert SECRET not in answer.text
