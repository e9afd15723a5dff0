"""Group commit: what arrives within a moment is committed together, by one thread a table.

Invariants: one commit of a table at a time in this process; nobody is answered before the commit that holds
their rows is durable; what was taken in is committed before the close ends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from coworkai.common.errors import Overloaded

I = TypeVar("I")  # noqa: E741 - an item, as R is a result
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Grouping:
    """A group is closed `linger_s` after its first item came, or when it has `max_rows` rows."""

    linger_s: float = 0.1
    max_rows: int = 20_000


class GroupCommit(Generic[I, R]):
    """Collects items and gives each the result that `commit` has for it.

    `commit` runs in a thread of its own, one call at a time; what it raises, all items of the group get.
    `rows` says how large an item is.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[Sequence[I]], Sequence[R]],
        rows: Callable[[I], int],
        grouping: Grouping,
    ) -> None:
        self._name = name
        self._commit = commit
        self._rows = rows
        self._grouping = grouping
        self._waiting: deque[tuple[I, asyncio.Future[R]]] = deque()
        self._waiting_rows = 0
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"commit-{name}")

    async def submit(self, item: I) -> R:
        """The item's result, once its group is committed. Raises what the commit raises, or Overloaded."""
        if self._closing:
            raise Overloaded("the service is shutting down")
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"commit-{self._name}")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._waiting_rows += self._rows(item)
        self._arrived.set()
        if self._waiting_rows >= self._grouping.max_rows:
            self._full.set()
        return await future

    async def aclose(self) -> None:
        """Commit what is waiting and stop."""
        self._closing = True
        self._arrived.set()
        self._full.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if not self._waiting and self._closing:
                return
            await self._linger()
            group = self._take()
            try:
                results = await loop.run_in_executor(self._thread, self._commit, [item for item, _ in group])
            except Exception as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), result in zip(group, results, strict=True):
                    if not future.done():
                        future.set_result(result)

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(self._grouping.linger_s):
                await self._full.wait()
        except TimeoutError:
            return

    def _take(self) -> list[tuple[I, asyncio.Future[R]]]:
        group: list[tuple[I, asyncio.Future[R]]] = []
        taken = 0
        while self._waiting and taken < self._grouping.max_rows:
            entry = self._waiting.popleft()
            taken += self._rows(entry[0])
            group.append(entry)
        self._waiting_rows -= taken
        if not self._waiting and not self._closing:
            self._arrived.clear()
        if self._waiting_rows < self._grouping.max_rows and not self._closing:
            self._full.clear()
        return group
