"""What pushes a subscription's messages: that it ends when it is told to."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from coworkai.local.bus.push_client import PushClient
from coworkai.local.bus.pusher import Pusher
from coworkai.local.bus.queue import Commits, Queue, Subscription
from coworkai.local.bus.settings import BusSettings
from coworkai.local.bus.tokens import TokenSigner

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_a_pusher_that_is_woken_and_stopped_at_once_stops(tmp_path: Path) -> None:
    settings = BusSettings(data_dir=tmp_path)
    queue = Queue(tmp_path / "bus.db", bytes(32))
    # It begins paused for a minute: nothing but being woken or stopped ends its wait.
    moments = iter([NOW + timedelta(minutes=1)])

    async def scenario() -> None:
        commits, client = Commits(queue), PushClient(1)
        pusher = Pusher(
            Subscription("projects/p/subscriptions/s", "projects/p/topics/t", "http://127.0.0.1:1/"),
            queue=queue,
            commits=commits,
            tokens=TokenSigner(tmp_path / "key.pem"),
            client=client,
            settings=settings,
            clock=lambda: next(moments, NOW),
        )
        while not pusher._wake._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0)
        pusher.wake()
        stopped, _ = await asyncio.wait([asyncio.ensure_future(pusher.stop())], timeout=5)
        assert stopped
        await client.aclose()

    asyncio.run(scenario())
