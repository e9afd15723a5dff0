"""`bronze-committed`: a hint to the runner that there is something new to look at.

Commits that come while a hint is on its way are told of in the next one. A hint that cannot be sent is
dropped: the runner looks at the logs by itself, a little later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from coworkai.common import observability
from coworkai.common.errors import CoworkError
from coworkai.ingest.bronze import Appended

TOPIC = "bronze-committed"
CLOSE_TIMEOUT_S = 2.0

log = observability.get_logger(__name__)


class Publishes(Protocol):
    """The part of `bus.Publisher` that hints need."""

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str] | None = None) -> str: ...


class Hint(msgspec.Struct):
    """Body of the message: latest version by table id, event dates by tenant."""

    tables: dict[str, int]
    touched: dict[str, list[str]]


@dataclass(slots=True)
class Hints:
    """Collects what commits touched and publishes it. `note` may be called from any thread once started."""

    publisher: Publishes
    _tables: dict[str, int] = field(default_factory=dict)
    _touched: dict[str, set[str]] = field(default_factory=dict)
    _attributes: dict[str, str] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    _sending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take the running loop as the one that publishes."""
        self._loop = asyncio.get_running_loop()

    def note(self, table_id: str, appended: Appended) -> None:
        """Called after a commit, from its thread."""
        assert self._loop is not None
        carrier: dict[str, str] = {}
        observability.inject(carrier)
        self._loop.call_soon_threadsafe(self._add, table_id, appended, carrier)

    async def aclose(self) -> None:
        """Send what is left, unless the bus takes too long."""
        if self._sending is not None:
            _, late = await asyncio.wait({self._sending}, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()

    def _add(self, table_id: str, appended: Appended, carrier: dict[str, str]) -> None:
        assert appended.version is not None
        self._tables[table_id] = appended.version
        for tenant_id, days in appended.touched.items():
            self._touched.setdefault(tenant_id, set()).update(day.isoformat() for day in days)
        self._attributes = carrier
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="hints")

    async def _send(self) -> None:
        try:
            while self._tables:
                hint = Hint(self._tables, {name: sorted(days) for name, days in self._touched.items()})
                self._tables, self._touched = {}, {}
                try:
                    await self.publisher.publish(TOPIC, msgspec.json.encode(hint), self._attributes)
                except CoworkError as error:
                    log.warning("hint not sent", error=error)
        finally:
            self._sending = None
