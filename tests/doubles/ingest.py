"""The ingest service without HTTP, on a folder, with a clock that stands still and a bus that listens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

import polars as pl

from coworkai.common.control import Control
from coworkai.common.events import Source
from coworkai.common.lake import scan
from coworkai.common.tables import BRONZE_BY_SOURCE, BRONZE_QUARANTINE, BRONZE_RECEIPTS, Table
from coworkai.ingest.app import Ingest
from coworkai.ingest.decode import Delivery
from coworkai.ingest.pipeline import Delivered
from coworkai.ingest.settings import IngestSettings

PUBLISHED_AT = datetime(2024, 1, 1, 23, 0, 1, tzinfo=UTC)
T = TypeVar("T")
_messages = count(1)


@dataclass
class Heard:
    """A bus that keeps what is published."""

    messages: list[tuple[str, bytes]] = field(default_factory=list)

    async def publish(self, topic: str, data: bytes, attributes: Mapping[str, str] | None = None) -> str:
        self.messages.append((topic, data))
        return str(len(self.messages))


@dataclass
class Lab:
    """A running ingest service and what a test does with it."""

    ingest: Ingest
    control: Control
    bus: Heard

    async def deliver(
        self,
        source: Source | None,
        data: bytes,
        *,
        attributes: Mapping[str, str] | None = None,
        message_id: str | None = None,
        published_at: datetime = PUBLISHED_AT,
        is_first_attempt: bool = True,
    ) -> Delivered:
        return await self.ingest.pipeline.deliver(
            Delivery(
                topic="unknown" if source is None else source.topic,
                source=source,
                data=data,
                attributes=attributes or {},
                message_id=message_id or f"message-{next(_messages)}",
                published_at=published_at,
                is_first_attempt=is_first_attempt,
            )
        )

    def rows(self, table: Table | Source) -> pl.DataFrame:
        spec = BRONZE_BY_SOURCE[table] if isinstance(table, Source) else table
        return scan(self.ingest.lake.open(spec), spec).collect()

    def quarantine(self) -> pl.DataFrame:
        return self.rows(BRONZE_QUARANTINE)

    def receipts(self) -> pl.DataFrame:
        return self.rows(BRONZE_RECEIPTS)


def with_ingest(folder: Path, scenario: Callable[[Lab], Awaitable[T]], **settings: object) -> T:
    """What `scenario` returns of a service with its data in `folder` and one tenant, `acme`."""

    async def run() -> T:
        chosen = IngestSettings.model_validate(
            {"data_dir": folder, "commit_linger_s": 0, "tenant_ttl_s": 0, **settings}
        )
        control = Control(chosen.control_url)
        control.migrate()
        if control.tenant("acme") is None:
            control.put_tenant("acme")
        bus = Heard()
        ingest = Ingest(chosen, bus, control, lambda: PUBLISHED_AT)
        await ingest.start()
        try:
            return await scenario(Lab(ingest, control, bus))
        finally:
            await ingest.aclose()
            control.close()

    return asyncio.run(run())
