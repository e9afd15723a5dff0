"""Snapshots: what is published, and nothing else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from tests.unit.partner_api.gold_lake import GoldLake, day, kpis

from coworkai.common.control import Stage
from coworkai.common.errors import NotFound
from coworkai.common.lake import compact, vacuum
from coworkai.common.outputs import Outputs
from coworkai.common.tables import GOLD_BRIEFS, GOLD_KPI_DAILY, OPS_RUNS
from coworkai.partner_api.gold import FRESH_S, Gold, Snapshot, VersionExpired, VersionNotFound


class Seconds:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lake(tmp_path: Path) -> GoldLake:
    return GoldLake(tmp_path / "lake")


@asynccontextmanager
async def opened(
    lake: GoldLake,
    clock: Callable[[], float] | None = None,
    warm: Callable[[Snapshot | None, Snapshot], None] = lambda _before, _new: None,
) -> AsyncIterator[Gold]:
    gold = Gold(lake.lake, lake.store, clock=clock or Seconds(), warm=warm)
    try:
        yield gold
    finally:
        await gold.aclose()


def values(snapshot: Snapshot) -> list[float]:
    frame = snapshot.collect(GOLD_KPI_DAILY, snapshot.scan(GOLD_KPI_DAILY))
    return sorted(frame["value"].to_list())


async def seen(gold: Gold, data_version: int) -> None:
    """Wait until the newest snapshot, not asked for, is of that version."""
    while (snapshot := gold.newest("acme")) is None or snapshot.data_version < data_version:  # noqa: ASYNC110
        await asyncio.sleep(0)


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


def test_a_tenant_without_anything_published_is_at_data_version_0_and_has_no_rows(lake: GoldLake) -> None:
    async def scenario() -> None:
        async with opened(lake) as gold:
            snapshot = await gold.snapshot("nobody")
            assert (snapshot.data_version, snapshot.versions, snapshot.run_ids) == (0, {}, {})
            assert values(snapshot) == []
            with pytest.raises(NotFound):
                snapshot.delta(GOLD_KPI_DAILY)
        assert not (lake.root / "tenants").exists()

    run(scenario)


def test_the_data_version_is_that_of_the_runs_and_fixes_every_table(lake: GoldLake) -> None:
    version = lake.publish_kpis(day(0))

    async def scenario() -> None:
        async with opened(lake) as gold:
            snapshot = await gold.snapshot("acme")
            assert snapshot.data_version == version == snapshot.versions[OPS_RUNS.id]
            assert snapshot.delta(GOLD_KPI_DAILY).version() == snapshot.versions[GOLD_KPI_DAILY.id]
            assert snapshot.run_ids == {day(0): "run0-2026-10-26"}
            assert values(snapshot) == [0, 0, 1, 1, 2, 2]
            assert GOLD_BRIEFS.id not in snapshot.versions

    run(scenario)


def test_what_is_committed_but_not_published_is_not_seen(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))

    async def scenario() -> None:
        clock = Seconds()
        async with opened(lake, clock) as gold:
            outputs = Outputs.open(lake.lake, "acme", Stage.STAGE1, 99)
            outputs.replace(GOLD_KPI_DAILY, kpis(["ana"], day(0), 1, 50.0), [day(0)])
            clock.now += 2 * FRESH_S
            assert values(await gold.snapshot("acme")) == [0, 0, 1, 1, 2, 2]

    run(scenario)


def test_a_snapshot_stays_what_it_was_when_a_new_one_is_published(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))

    async def scenario() -> None:
        clock = Seconds()
        async with opened(lake, clock) as gold:
            old = await gold.snapshot("acme")
            assert values(old) == [0, 0, 1, 1, 2, 2]
            lake.publish_kpis(day(0), offset=10)
            assert await gold.snapshot("acme") is old
            clock.now += 2 * FRESH_S
            new = await gold.snapshot("acme")
            assert new.data_version > old.data_version
            assert values(new) == [10, 10, 11, 11, 12, 12]
            assert values(old) == [0, 0, 1, 1, 2, 2]

    run(scenario)


def test_tables_that_did_not_change_stay_open_and_the_others_are_open_before_anybody_reads(
    lake: GoldLake,
) -> None:
    lake.publish_kpis(day(0))
    warmed: list[tuple[int | None, int]] = []

    def warm(before: Snapshot | None, new: Snapshot) -> None:
        warmed.append((None if before is None else before.data_version, new.data_version))
        assert threading.current_thread() is not threading.main_thread()

    async def scenario() -> None:
        clock = Seconds()
        async with opened(lake, clock, warm) as gold:
            old = await gold.snapshot("acme")
            held = old.delta(GOLD_KPI_DAILY)
            lake.publish({}, stage=Stage.STAGE2)
            second = lake.publish({day(0): {}}, stage=Stage.STAGE2)
            clock.now += 2 * FRESH_S
            new = await gold.snapshot("acme")
            assert new.delta(GOLD_KPI_DAILY) is held
            assert warmed == [(None, old.data_version), (old.data_version, second)]

    run(scenario)


def test_an_earlier_data_version_is_read_as_it_was_published(lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    lake.publish_kpis(day(0), offset=10)

    async def scenario() -> None:
        async with opened(lake) as gold:
            earlier = await gold.snapshot("acme", as_of=first)
            assert values(earlier) == [0, 0, 1, 1, 2, 2]
            assert await gold.snapshot("acme", as_of=first) is earlier
            assert values(await gold.snapshot("acme", as_of=0)) == []

    run(scenario)


@pytest.mark.parametrize("as_of", [-1, 3, 10**9])
def test_a_data_version_that_never_was_is_not_found(lake: GoldLake, as_of: int) -> None:
    lake.publish_kpis(day(0))

    async def scenario() -> None:
        async with opened(lake) as gold:
            with pytest.raises(VersionNotFound):
                await gold.snapshot("acme", as_of=as_of)

    run(scenario)


def test_a_data_version_that_this_process_has_not_seen_yet_is_looked_for(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))

    async def scenario() -> None:
        async with opened(lake) as gold:
            await gold.snapshot("acme")
            newer = lake.publish_kpis(day(1))
            assert (await gold.snapshot("acme", as_of=newer)).data_version == newer

    run(scenario)


def test_a_version_committed_while_the_store_is_looked_at_is_looked_for_again(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    has_read, may_go_on = threading.Event(), threading.Event()

    def warm(before: Snapshot | None, _new: Snapshot) -> None:
        if before is not None:
            has_read.set()
            assert may_go_on.wait(30)

    async def scenario() -> None:
        async with opened(lake, warm=warm) as gold:
            await gold.snapshot("acme")
            lake.publish_kpis(day(1))
            gold.hint("acme")
            await asyncio.to_thread(has_read.wait, 30)
            newest = lake.publish_kpis(day(2))
            asked = [
                asyncio.create_task(gold.snapshot("acme", as_of=newest)),
                asyncio.create_task(gold.snapshot("acme", since=newest)),
            ]
            await asyncio.sleep(0)
            may_go_on.set()
            assert [(await one).data_version for one in asked] == [newest, newest]

    run(scenario)


def test_no_snapshot_is_of_before_the_version_that_changes_are_asked_since(lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))

    async def scenario() -> None:
        async with opened(lake) as gold:
            await gold.snapshot("acme")
            second = lake.publish_kpis(day(1))
            assert (await gold.snapshot("acme")).data_version == first
            assert (await gold.snapshot("acme", since=second)).data_version == second
            for as_of, since in ((first, second), (None, second + 1)):
                with pytest.raises(VersionNotFound):
                    await gold.snapshot("acme", as_of, since=since)

    run(scenario)


def test_a_version_whose_files_were_vacuumed_is_expired(lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    second = lake.publish_kpis(day(0), offset=10)
    head = lake.lake.open(GOLD_KPI_DAILY, "acme")
    assert vacuum(head, GOLD_KPI_DAILY, retention=timedelta(0)) > 0

    async def scenario() -> None:
        async with opened(lake) as gold:
            earlier = await gold.snapshot("acme", as_of=first)
            with pytest.raises(VersionExpired):
                values(earlier)
            assert values(await gold.snapshot("acme", as_of=second)) == [10, 10, 11, 11, 12, 12]

    run(scenario)


def test_a_version_whose_log_was_cleaned_up_is_expired(lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    lake.publish_kpis(day(0), offset=10)
    lake.forget_log(OPS_RUNS, first)

    async def scenario() -> None:
        async with opened(lake) as gold:
            with pytest.raises(VersionExpired):
                await gold.snapshot("acme", as_of=first)

    run(scenario)


def test_a_compaction_that_is_published_gives_the_same_rows_at_a_new_version(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    outputs = Outputs.open(lake.lake, "acme", Stage.STAGE1, 50)
    outputs.append(GOLD_KPI_DAILY, kpis(["cleo"], day(0)))
    outputs.publish_again(lake.published_at())

    async def scenario() -> None:
        clock = Seconds()
        async with opened(lake, clock) as gold:
            old = await gold.snapshot("acme")
            before = values(old)
            outputs = Outputs.open(lake.lake, "acme", Stage.STAGE1, 100)
            assert compact(outputs.deltas[GOLD_KPI_DAILY.id], GOLD_KPI_DAILY, fence=100, from_files=2)
            outputs.publish_again(lake.published_at())
            clock.now += 2 * FRESH_S
            new = await gold.snapshot("acme")
            assert new.versions[GOLD_KPI_DAILY.id] > old.versions[GOLD_KPI_DAILY.id]
            assert values(new) == values(old) == before

    run(scenario)


def test_an_active_tenant_is_looked_at_without_being_asked_for(
    lake: GoldLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coworkai.partner_api.gold.LOOK_EVERY_S", 0.001)
    lake.publish_kpis(day(0))

    async def scenario() -> None:
        async with opened(lake) as gold:
            await gold.snapshot("acme")
            newer = lake.publish_kpis(day(1))
            watching = asyncio.create_task(gold.watch())
            await seen(gold, newer)
            watching.cancel()

    run(scenario)


def test_a_hint_makes_a_tenant_that_is_read_be_looked_at(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))

    async def scenario() -> None:
        async with opened(lake) as gold:
            gold.hint("acme")
            assert gold.newest("acme") is None
            await gold.snapshot("acme")
            newer = lake.publish_kpis(day(1))
            gold.hint("acme")
            await seen(gold, newer)

    run(scenario)


def test_every_tenant_has_its_own_tables_and_data_version(lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    lake.publish_kpis(day(1))
    other = lake.publish({day(0): {GOLD_KPI_DAILY.id: kpis(["ana"], day(0), 1)}}, tenant_id="globex")

    async def scenario() -> None:
        async with opened(lake) as gold:
            snapshot = await gold.snapshot("globex")
            assert (snapshot.data_version, values(snapshot)) == (other, [0])
            assert len(values(await gold.snapshot("acme"))) == 12

    run(scenario)
