"""Pushes over HTTP, on connections that are kept."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from coworkai.common.errors import Terminal, Transient

KEPT_S = 2.0
"""An idle connection is given up before the service closes it (uvicorn: after 5 s)."""


def parse_endpoint(url: str) -> URL:
    """Where to push. Raises Terminal for what is no http:// or https:// address."""
    try:
        endpoint = URL(url)
    except ValueError:
        raise Terminal("the push endpoint is no address") from None
    if endpoint.scheme not in {"http", "https"} or not endpoint.host:
        raise Terminal("the embedded bus pushes to http:// and https:// addresses only")
    return endpoint


class PushClient:
    """Posts to any number of endpoints at once; `timeout_s` covers a push. Made in a running loop."""

    def __init__(self, timeout_s: float) -> None:
        # How many pushes are in flight is the subscriptions' to limit.
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=KEPT_S),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=timeout_s),
        )

    async def post(self, endpoint: URL, headers: Mapping[str, str], body: bytes) -> int:
        """Status of the answer. Raises Transient when there is none in time."""
        try:
            async with self._session.post(
                endpoint, headers=headers, data=body, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status
        except (ClientError, OSError, TimeoutError) as error:
            raise Transient(f"no answer to a push ({type(error).__name__})") from None

    async def aclose(self) -> None:
        await self._session.close()
