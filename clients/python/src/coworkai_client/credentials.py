"""How a request says who sends it: an API key or any bearer token, or an OAuth client's own tokens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import httpx

from coworkai_client.transport import ApiError

RENEW_BEFORE_S = 30.0


class ApiKey(httpx.Auth):
    """An API key, or a token that somebody else renews."""

    def __init__(self, key: str) -> None:
        self._value = f"Bearer {key}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = self._value
        yield request


class ClientCredentials(httpx.Auth):
    """An OAuth client: gets an access token when it has none, and another before it expires.

    Requests raise ApiError when it is refused one.
    """

    def __init__(
        self, base_url: str, client_id: str, client_secret: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._token_url = httpx.URL(base_url).join("/oauth/token")
        self._form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": client_secret,
        }
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = float("-inf")

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        with self._lock:
            if self._clock() >= self._renew_at:
                yield from self._renew()
            token = self._token
        request.headers["authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            # The server's signing key may have changed before the token's time.
            with self._lock:
                if self._token == token:
                    yield from self._renew()
                token = self._token
            request.headers["authorization"] = f"Bearer {token}"
            yield request

    def _renew(self) -> Generator[httpx.Request, httpx.Response, None]:
        response = yield httpx.Request("POST", self._token_url, data=self._form)
        response.read()
        if not response.is_success:
            raise ApiError(response)
        told: dict[str, Any] = response.json()
        self._token = told["access_token"]
        self._renew_at = self._clock() + told["expires_in"] - RENEW_BEFORE_S
