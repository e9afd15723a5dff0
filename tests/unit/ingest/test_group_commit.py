"""Group commit: who shares a commit, who gets which answer, and how it closes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from coworkai.common.errors import Overloaded, StorageUnavailable
from coworkai.ingest.group_commit import GroupCommit, Grouping


def test_what_arrives_together_is_committed_together_and_answered_apart() -> None:
    groups: list[list[int]] = []

    def commit(items: Sequence[int]) -> list[str]:
        groups.append(list(items))
        return [f"got {item}" for item in items]

    async def scenario() -> list[str]:
        group = GroupCommit("test", commit, lambda _item: 1, Grouping(linger_s=0.01))
        answers = await asyncio.gather(*(group.submit(item) for item in range(5)))
        await group.aclose()
        return answers

    assert asyncio.run(scenario()) == [f"got {item}" for item in range(5)]
    assert groups == [[0, 1, 2, 3, 4]]


def test_a_full_group_does_not_wait() -> None:
    groups: list[int] = []

    def commit(items: Sequence[int]) -> list[None]:
        groups.append(sum(items))
        return [None] * len(items)

    async def scenario() -> None:
        group = GroupCommit("test", commit, lambda item: item, Grouping(linger_s=3_600, max_rows=10))
        await asyncio.gather(*(group.submit(5) for _ in range(4)))
        await group.aclose()

    asyncio.run(scenario())
    assert groups == [10, 10]


def test_a_failing_commit_fails_its_group_and_not_the_next() -> None:
    failures = [StorageUnavailable("down")]

    def commit(items: Sequence[int]) -> list[int]:
        if failures:
            raise failures.pop()
        return list(items)

    async def scenario() -> None:
        group = GroupCommit("test", commit, lambda _item: 1, Grouping(linger_s=0))
        with pytest.raises(StorageUnavailable):
            await group.submit(1)
        assert await group.submit(2) == 2
        await group.aclose()

    asyncio.run(scenario())


def test_closing_commits_what_is_waiting_and_takes_nothing_more() -> None:
    taken: list[int] = []
    release = threading.Event()

    def commit(items: Sequence[int]) -> list[None]:
        release.wait(10)
        taken.extend(items)
        return [None] * len(items)

    async def scenario() -> None:
        group = GroupCommit("test", commit, lambda _item: 1, Grouping(linger_s=0, max_rows=1))
        waiting = [asyncio.create_task(group.submit(item)) for item in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(group.aclose())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await group.submit(9)
        release.set()
        await closing
        assert [task.done() for task in waiting] == [True, True, True]

    asyncio.run(scenario())
    assert taken == [0, 1, 2]


def test_a_sender_that_gives_up_does_not_disturb_the_others() -> None:
    async def scenario() -> int:
        group: GroupCommit[int, int] = GroupCommit("test", list, lambda _item: 1, Grouping(linger_s=0.01))
        impatient = asyncio.create_task(group.submit(1))
        patient = asyncio.create_task(group.submit(2))
        await asyncio.sleep(0)
        impatient.cancel()
        answer = await patient
        await group.aclose()
        return answer

    assert asyncio.run(scenario()) == 2
