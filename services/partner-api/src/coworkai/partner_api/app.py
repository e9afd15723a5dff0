"""The partner API. It answers its health checks; it subscribes to nothing."""

from __future__ import annotations

from fastapi import FastAPI

from coworkai.common.service import add_health, add_problems
from coworkai.common.settings import CommonSettings


def create_app(_settings: CommonSettings) -> FastAPI:
    """The service's ASGI application."""
    app = FastAPI(title="CoworkAI partner API", docs_url=None, redoc_url=None)
    add_problems(app)
    add_health(app, ready=lambda: None)
    return app
