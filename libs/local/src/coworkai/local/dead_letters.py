"""Dead letters of the embedded bus, from its file: works with the bus running or stopped.

A running bus finds replayed messages by itself within a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coworkai.common.errors import NotFound
from coworkai.common.settings import CommonSettings
from coworkai.local.bus.queue import DeadLetter, Queue


def list_dead_letters(data_dir: Path) -> list[DeadLetter]:
    """Deliveries that were given up, oldest first, without content. Raises NotFound without a bus file."""
    with _queue(data_dir) as queue:
        return queue.dead_letters()


def replay_dead_letters(data_dir: Path, delivery_id: int | None) -> int:
    """Deliver one dead letter, or all of them, again; returns how many. Raises NotFound."""
    with _queue(data_dir) as queue:
        (replayed,) = queue.transaction([lambda: queue.replay(delivery_id)])
        assert isinstance(replayed, int)
        return replayed


@contextmanager
def _queue(data_dir: Path) -> Iterator[Queue]:
    path = data_dir / "bus.db"
    if not path.exists():
        raise NotFound(
            f"no bus in {data_dir}", remedy="give the folder that `coworkai up` runs on with --data"
        )
    queue = Queue(path, CommonSettings(data_dir=data_dir).master_key_bytes())
    try:
        yield queue
    finally:
        queue.close()
