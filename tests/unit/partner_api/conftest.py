"""The whole application in process: real keys, a real store and lake in a temporary folder, no socket.

def test_something(api: Api) -> None:
    answer = api.get("/v1/me", key=api.key(Scope.KPIS))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from coworkai.partner_api.app import create_app
from coworkai.partner_api.credentials import Grant
from coworkai.partner_api.edge import Edge
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.services import Services
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.webhooks.outbound import Network

T = TypeVar("T")
NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)
TENANT = "acme"
OTHER_TENANT = "globex"
BASE = "http://partner"


class Api:
    """A started application, and a client of it.

    `now` is its clock: move it to let time pass; webhooks go over `network`. Everything runs in one event
    loop, on the caller's thread.
    """

    def __init__(self, folder: Path, network: Network | None = None, **settings: object) -> None:
        self.now = NOW
        self.settings = PartnerApiSettings(
            data_dir=folder,
            public_url=BASE,
            **settings,  # type: ignore[arg-type]
        )
        self.app: Edge = create_app(self.settings, lambda: self.now, network)
        self._loop = asyncio.Runner()
        self._lifespan = self.app.api.router.lifespan_context(self.app.api)
        self.run(self._lifespan.__aenter__())
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url=BASE
        )
        for tenant in (TENANT, OTHER_TENANT):
            self.services.control.put_tenant(tenant)

    @property
    def services(self) -> Services:
        services: Services = self.app.api.state.services
        return services

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self._lifespan.__aexit__(None, None, None))
        self._loop.close()

    def run(self, work: Awaitable[T]) -> T:
        """The result of something asynchronous, in the application's event loop."""

        async def awaited() -> T:
            return await work

        return self._loop.run(awaited())

    def key(
        self,
        *scopes: Scope,
        tenant: str = TENANT,
        reach: Reach = Reach.INDIVIDUAL,
        workers: set[str] | None = None,
        name: str = "a partner",
    ) -> str:
        """A new API key; of every scope when none is named."""
        grant = Grant(frozenset(scopes or Scope), reach, None if workers is None else frozenset(workers))
        return self.services.credentials.create_key(tenant, name, grant, actor="test").secret

    def worker_token(self, worker_id: str, *, tenant: str = TENANT) -> str:
        """A worker's own token, as the command makes it."""
        services, lifetime = self.services, timedelta(hours=1)
        made = services.credentials.create_worker(
            tenant, worker_id, actor="test", expires_at=self.now + lifetime
        )
        return services.tokens.for_worker(worker_id, tenant, lifetime, made_by=made.credential_id).text

    def request(self, method: str, path: str, *, key: str | None = None, **arguments: Any) -> httpx.Response:
        """Answer to a request with the key; `arguments` as httpx has them."""
        headers: Mapping[str, str] = arguments.pop("headers", {})
        credentials = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.run(self.client.request(method, path, headers={**credentials, **headers}, **arguments))

    def get(self, path: str, *, key: str | None = None, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, key=key, **arguments)

    def post(self, path: str, *, key: str | None = None, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, key=key, **arguments)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Starts applications over one data folder, with the settings given; they end with the test."""
    started: list[Api] = []

    def make(network: Network | None = None, **settings: object) -> Api:
        started.append(Api(tmp_path, network, **settings))
        return started[-1]

    yield make
    for each in started:
        each.close()


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    """The application with the settings that it has by itself."""
    return start()
