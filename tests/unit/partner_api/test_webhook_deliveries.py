"""Deliveries in the control store, on SQLite here and on PostgreSQL under the mark `integration`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from tests.unit.partner_api.conftest import NOW, TENANT

from coworkai.common.control import Control, Database
from coworkai.common.control.access_log import AccessLog
from coworkai.common.control.audit_log import AuditLog
from coworkai.partner_api.guard import Caller
from coworkai.partner_api.principal import Principal, PrincipalKind, Reach, Scope
from coworkai.partner_api.secrets import Purpose, Secrets
from coworkai.partner_api.webhooks.deliveries import Claimed, Deliveries, DeliveryState, Outcome, Wanted
from coworkai.partner_api.webhooks.endpoints import Changes, Endpoints, EndpointState
from coworkai.partner_api.webhooks.event_types import DayReady, EventType
from coworkai.partner_api.webhooks.events import Events, Occurrence
from coworkai.partner_api.webhooks.outbound import Fault, Received
from coworkai.partner_api.webhooks.schedule import MAX_ATTEMPTS

URL = "https://hooks.example.com/"
GOOD, BAD = Received(204), Received(fault=Fault.TIMEOUT)
AT_ONCE = 4


class Store:
    """The store of one process; any number may share a URL. `now` is its clock."""

    def __init__(self, database: Database) -> None:
        self.now = NOW
        self.database = database
        secrets = Secrets(bytes(32))
        self.audit = AuditLog(database, secrets.key(Purpose.AUDIT_LOG), lambda: self.now)
        self.events = Events(database, lambda: self.now)
        self.endpoints = Endpoints(database, secrets, self.audit, lambda: self.now)
        self.deliveries = Deliveries(
            database, self.events, secrets, self.audit, lambda: self.now, chance=lambda: 0.0
        )
        self._log = AccessLog(database, bytes(32))

    def caller(self, operation_id: str = "operation") -> Caller:
        who = Principal(PrincipalKind.API_KEY, "key_1", "a", TENANT, Reach.INDIVIDUAL, frozenset(Scope))
        return Caller(who, "req_1", operation_id, self._log)

    def endpoint(self, operation_id: str = "one") -> str:
        made, _ = self.endpoints.create(self.caller(operation_id), URL, [EventType.DAY_READY], "")
        return made.endpoint_id

    def emit(self, *keys: int) -> int:
        data = DayReady(date=NOW.date(), status="succeeded", run_id="run", data_version=1)
        occurrences = [Occurrence(EventType.DAY_READY, str(key), self.now, data) for key in keys]
        with self.database.write() as connection:
            return self.events.emit(connection, TENANT, occurrences)

    def claim(self, slots: int = 100, per_endpoint: int = 100) -> list[Claimed]:
        return self.deliveries.claim(slots, per_endpoint, {})

    def finish(self, one: Claimed, received: Received) -> Outcome:
        return self.deliveries.finish(one, received, self.now, 0.1)

    def states(self) -> Counter[DeliveryState]:
        page = self.deliveries.page(self.caller(), Wanted(), before=None, limit=1000)
        return Counter(each.state for each in page)


def at_once(work: Callable[[int], object]) -> list[object]:
    """What the work gives in several threads that begin together."""
    barrier = Barrier(AT_ONCE)

    def begin(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(begin, range(AT_ONCE)))


class DeliveriesContract:
    """What every control store promises; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        database = Database(url)
        database.migrate()
        Control(database).put_tenant(TENANT)
        yield Store(database)
        database.close()

    def test_several_processes_at_once_never_claim_the_same_delivery(self, store: Store) -> None:
        store.endpoint("one")
        store.endpoint("two")
        store.emit(*range(50))
        claimed = [
            one.delivery_id
            for each in at_once(lambda _: [one for _ in range(10) for one in store.claim(5)])
            for one in each  # type: ignore[attr-defined]
        ]
        claimed += [one.delivery_id for one in store.claim()]
        assert len(claimed) == len(set(claimed)) == 100

    def test_an_occurrence_that_several_processes_notice_is_one_event(self, store: Store) -> None:
        store.endpoint()
        assert sum(at_once(lambda _: store.emit(1, 2, 3))) == 3  # type: ignore[arg-type]
        assert store.states() == {DeliveryState.PENDING: 3}

    def test_what_a_dead_process_had_claimed_is_claimed_again_and_its_end_counts_no_more(
        self, store: Store
    ) -> None:
        store.endpoint()
        store.emit(1)
        (first,) = store.claim()
        store.now += timedelta(seconds=59)
        assert store.claim() == []
        store.now += timedelta(seconds=1)
        (second,) = store.claim()
        assert (second.delivery_id, second.event_id, second.attempt) == (first.delivery_id, first.event_id, 2)
        assert store.finish(first, GOOD) is Outcome.LOST
        assert store.states() == {DeliveryState.PENDING: 1}
        assert store.finish(second, GOOD) is Outcome.DELIVERED
        _, log = store.deliveries.get(store.caller(), first.delivery_id)
        assert [attempt.attempt for attempt in log] == [2]

    def test_what_is_given_back_can_be_claimed_at_once(self, store: Store) -> None:
        store.endpoint()
        store.emit(1)
        (first,) = store.claim()
        store.deliveries.release(first)
        (again,) = store.claim()
        assert again.delivery_id == first.delivery_id

    def test_no_endpoint_has_more_under_way_than_its_share(self, store: Store) -> None:
        busy, free = store.endpoint("busy"), store.endpoint("free")
        store.emit(*range(10))
        claimed = store.deliveries.claim(100, 4, {busy: 3})
        assert Counter(one.endpoint_id for one in claimed) == {busy: 1, free: 4}
        assert store.deliveries.claim(3, 4, {busy: 4, free: 4}) == []

    def test_what_failed_waits_and_the_row_of_failures_is_counted_from_the_first(self, store: Store) -> None:
        endpoint_id = store.endpoint()
        store.emit(1)
        (one,) = store.claim()
        assert store.finish(one, BAD) is Outcome.RETRY
        assert store.claim() == []
        store.now += timedelta(seconds=5)
        (again,) = store.claim()
        store.finish(again, BAD)
        assert store.endpoints.get(store.caller(), endpoint_id).failing_since == NOW
        _, log = store.deliveries.get(store.caller(), one.delivery_id)
        assert [(each.attempt, each.error, each.duration_ms) for each in log] == [
            (1, "timeout", 100),
            (2, "timeout", 100),
        ]

    def test_an_endpoint_is_disabled_once_however_many_attempts_find_it_failing(self, store: Store) -> None:
        endpoint_id = store.endpoint()
        store.emit(*range(AT_ONCE))
        for _ in range(MAX_ATTEMPTS - 1):
            for one in store.claim():
                store.finish(one, BAD)
            store.now += timedelta(days=2)
        claimed = store.claim()
        store.emit(AT_ONCE)
        at_once(lambda number: store.finish(claimed[number], BAD))
        assert store.endpoints.get(store.caller(), endpoint_id).state is EndpointState.DISABLED
        assert [event.action for event in store.audit.page(TENANT)][:2] == [
            "webhook_endpoint.disabled",
            "webhook_endpoint.created",
        ]
        assert DeliveryState.PENDING not in store.states()

    def test_changes_and_attempts_at_the_same_time_all_come_to_an_end(self, store: Store) -> None:
        endpoint_id = store.endpoint()
        store.emit(*range(40))
        claimed = store.claim()

        def work(number: int) -> object:
            if number == 0:
                for state in [EndpointState.DISABLED, EndpointState.ENABLED] * 5:
                    store.endpoints.change(store.caller(), endpoint_id, Changes(state=state))
                return None
            mine = claimed[number - 1 :: AT_ONCE - 1]
            return [store.finish(one, BAD if number == 1 else GOOD) for one in mine]

        outcomes = {outcome for each in at_once(work) if each for outcome in each}  # type: ignore[attr-defined]
        assert outcomes <= {Outcome.LOST, Outcome.DELIVERED, Outcome.RETRY}
        assert sum(store.states().values()) == 40


class TestSqlite(DeliveriesContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'control.db'}"
