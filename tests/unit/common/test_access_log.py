"""Access log and audit log, on SQLite here and on PostgreSQL under the mark `integration`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from coworkai.common.control import Database
from coworkai.common.control.access_log import AccessLog
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.control.chains import Broken, Fault
from coworkai.common.errors import Overloaded, StorageUnavailable, Terminal

KEY = b"k" * 32
NOW = datetime(2025, 3, 10, 12, 0, 0, 123_456, tzinfo=UTC)
D1, D2 = date(2025, 3, 3), date(2025, 3, 4)


class Kind(StrEnum):
    API_KEY = "api_key"


@dataclass(frozen=True)
class Caller:
    tenant_id: str = "acme"
    kind: StrEnum = Kind.API_KEY
    principal_id: str = "key_1"
    name: str = "Dashboard"


async def read(
    log: AccessLog, workers: Collection[str] = ("ana",), *, caller: Caller | None = None, rows: int = 20
) -> None:
    await log.record(
        caller or Caller(),
        operation="listWorkblocks",
        worker_ids=workers,
        start_date=D1,
        end_date=D2,
        row_count=rows,
        request_id=f"req_{rows}",
    )


class WatchedDatabase(Database):
    """Counts writing transactions, and refuses them while `is_down`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.writes = 0
        self.is_down = False

    @contextmanager
    def write(self, *, forced: bool = False) -> Iterator[Connection]:
        if self.is_down:
            raise StorageUnavailable("the control store did not answer")
        self.writes += 1
        with super().write(forced=forced) as connection:
            yield connection


class LogContract:
    """What the logs promise on every control store; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def database(self, url: str) -> Iterator[WatchedDatabase]:
        database = WatchedDatabase(url)
        database.migrate()
        yield database
        database.close()

    @pytest.fixture
    def log(self, database: WatchedDatabase) -> Iterator[AccessLog]:
        log = AccessLog(database, KEY, lambda: NOW)
        yield log
        asyncio.run(log.aclose())

    @pytest.fixture
    def three_reads(self, log: AccessLog) -> AccessLog:
        """Of ana, who was read three times, and of ben, once."""

        async def main() -> None:
            for rows in (1, 2, 3):
                await read(log, rows=rows)
            await read(log, ["ben"])

        asyncio.run(main())
        return log

    # -------------------------------------------------------------------------------------- recording
    def test_a_read_is_in_the_log_of_every_worker_it_shows(self, log: AccessLog) -> None:
        asyncio.run(read(log, ["ben", "ana", "ana"]))
        for worker in ("ana", "ben"):
            (entry,) = log.page("acme", worker)
            assert (entry.seq, entry.read_at, entry.principal_id) == (1, NOW, "key_1")
            assert (entry.principal_kind, entry.principal_name) == ("api_key", "Dashboard")
            assert (entry.operation, entry.start_date, entry.end_date) == ("listWorkblocks", D1, D2)
            assert (entry.row_count, entry.request_id) == (20, "req_20")
        assert log.page("acme", "eve") == []
        assert log.page("globex", "ana") == []

    def test_the_newest_reads_come_first_and_pages_stay_what_they_were(self, three_reads: AccessLog) -> None:
        first = three_reads.page("acme", "ana", limit=2)
        asyncio.run(read(three_reads, rows=4))
        assert [entry.row_count for entry in first] == [3, 2]
        assert [each.row_count for each in three_reads.page("acme", "ana", before=first[-1].seq)] == [1]

    def test_reads_are_found_by_when_they_were(self, database: Database) -> None:
        for hours in range(4):
            asyncio.run(read(AccessLog(database, KEY, lambda h=hours: NOW + timedelta(hours=h)), rows=hours))  # type: ignore[misc]
        log = AccessLog(database, KEY)
        found = log.page("acme", "ana", since=NOW + timedelta(hours=1), until=NOW + timedelta(hours=3))
        assert [entry.row_count for entry in found] == [2, 1]

    def test_many_reads_at_once_share_transactions(self, log: AccessLog, database: WatchedDatabase) -> None:
        async def main() -> None:
            await asyncio.gather(*(read(log, rows=n) for n in range(200)))

        before = database.writes
        asyncio.run(main())
        assert database.writes - before < 20
        assert log.verify("acme", "ana").entries == 200

    def test_one_read_of_many_workers_is_in_all_their_logs(self, log: AccessLog) -> None:
        asyncio.run(read(log, [f"w{n}" for n in range(600)]))
        found = log.verify_tenant("acme")
        assert (found.chains, found.entries, found.broken) == (600, 600, [])

    def test_nothing_returns_before_another_connection_sees_it(
        self, three_reads: AccessLog, database: Database
    ) -> None:
        async def main() -> None:
            with database.write() as held:
                held.execute(text("UPDATE access_log_heads SET seq = seq WHERE worker_id = 'ana'"))
                pending = asyncio.create_task(read(three_reads, rows=4))
                await asyncio.wait([pending], timeout=0.2)
                assert not pending.done()
            await pending

        asyncio.run(main())
        assert [entry.row_count for entry in three_reads.page("acme", "ana")] == [4, 3, 2, 1]

    def test_a_store_that_is_down_lets_nothing_leave_and_is_used_again_when_it_is_back(
        self, log: AccessLog, database: WatchedDatabase
    ) -> None:
        async def main() -> None:
            database.is_down = True
            failed = await asyncio.gather(*(read(log, rows=n) for n in range(5)), return_exceptions=True)
            assert [type(each) for each in failed] == [StorageUnavailable] * 5
            database.is_down = False
            await read(log, rows=7)

        asyncio.run(main())
        assert [entry.row_count for entry in log.page("acme", "ana")] == [7]

    def test_what_waits_is_bounded_in_rows_and_in_time(self, database: Database) -> None:
        log = AccessLog(database, KEY, max_waiting_rows=5, timeout_s=0.3)

        async def main() -> None:
            await read(log)
            with database.write() as held:
                held.execute(text("UPDATE access_log_heads SET seq = seq WHERE worker_id = 'ana'"))
                slow = asyncio.create_task(read(log, ["ana", "ben", "eve"]))
                await asyncio.wait([slow], timeout=0.05)
                with pytest.raises(Overloaded, match="too many"):
                    await read(log, ["ana", "ben", "eve"])
                with pytest.raises(Overloaded, match="too slow"):
                    await slow
            await log.aclose()

        asyncio.run(main())
        assert log.verify("acme", "ana").entries == 2

    def test_a_read_larger_than_the_bound_is_taken_when_nothing_waits(self, database: Database) -> None:
        log = AccessLog(database, KEY, max_waiting_rows=5)
        asyncio.run(read(log, [f"w{n}" for n in range(6)]))
        assert log.verify_tenant("acme").chains == 6

    @pytest.mark.parametrize("worker", ["", "a\0b", "x" * 257])
    def test_an_id_that_is_none_is_refused_alone(self, log: AccessLog, worker: str) -> None:
        async def main() -> None:
            outcomes = await asyncio.gather(
                read(log, rows=1), read(log, ["ana", worker]), read(log, rows=3), return_exceptions=True
            )
            assert [type(each) for each in outcomes] == [type(None), Terminal, type(None)]

        asyncio.run(main())
        assert [entry.row_count for entry in log.page("acme", "ana")] == [3, 1]

    def test_several_processes_may_append_to_the_same_chains(self, url: str, database: Database) -> None:
        workers = ["ana", "ben", "eve"]

        def process(number: int) -> None:
            own = Database(url)
            log = AccessLog(own, KEY)

            async def main() -> None:
                # In another order each time: what locks several heads must not wait in a circle.
                turned = workers[number % 3 :] + workers[: number % 3]
                await asyncio.gather(*(read(log, turned[: 1 + n % 3], rows=n) for n in range(24)))
                await log.aclose()

            asyncio.run(main())
            own.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(process, range(4)))
        found = AccessLog(database, KEY).verify_tenant("acme")
        assert (found.chains, found.entries, found.broken) == (3, 4 * 24 * 2, [])

    # -------------------------------------------------------------------------------------- verifying
    def test_anybody_can_check_the_rows_by_their_documented_form(self, three_reads: AccessLog) -> None:
        previous = bytes(32)
        for entry in reversed(three_reads.page("acme", "ana")):
            place = ["acme", "ana", entry.seq]
            fields = [
                entry.read_at.isoformat().replace("+00:00", "Z"),
                entry.principal_id,
                entry.principal_kind,
                entry.principal_name,
                entry.operation,
                "2025-03-03",
                "2025-03-04",
                entry.row_count,
                entry.request_id,
            ]
            written = "".join(json.dumps(each, separators=(",", ":")) for each in (place, fields))
            assert entry.previous_hash == previous
            assert entry.hash == hashlib.sha256(previous + written.encode()).digest()
            previous = entry.hash

    @pytest.mark.parametrize(
        ("tampering", "seq", "fault"),
        [
            ("UPDATE access_log SET row_count = 0 WHERE {ana} AND seq = 2", 2, Fault.CHANGED),
            ("UPDATE access_log SET principal_name = 'Other' WHERE {ana} AND seq = 1", 1, Fault.CHANGED),
            ("UPDATE access_log SET read_at = read_at + 1 WHERE {ana} AND seq = 3", 3, Fault.CHANGED),
            ("DELETE FROM access_log WHERE {ana} AND seq = 1", 1, Fault.MISSING),
            ("DELETE FROM access_log WHERE {ana} AND seq = 2", 2, Fault.MISSING),
            ("DELETE FROM access_log WHERE {ana} AND seq = 3", 2, Fault.CUT),
            ("DELETE FROM access_log WHERE {ana}", 0, Fault.CUT),
            (
                "UPDATE access_log SET seq = 9 WHERE {ana} AND seq = 1;"
                "UPDATE access_log SET seq = 1 WHERE {ana} AND seq = 2;"
                "UPDATE access_log SET seq = 2 WHERE {ana} AND seq = 9",
                1,
                Fault.MOVED,
            ),
            ("UPDATE access_log SET seq = 4 WHERE {ana} AND seq = 3", 2, Fault.CUT),
            (
                "INSERT INTO access_log SELECT tenant_id, worker_id, 4, read_at, principal_id,"
                " principal_kind, principal_name, operation, start_date, end_date, row_count, request_id,"
                " hash, hash FROM access_log WHERE {ana} AND seq = 3",
                3,
                Fault.ADDED,
            ),
            (
                "DELETE FROM access_log WHERE {ana} AND seq = 3;"
                "UPDATE access_log_heads SET seq = 2, hash = (SELECT hash FROM access_log"
                " WHERE {ana} AND seq = 2) WHERE {ana}",
                0,
                Fault.UNSEALED,
            ),
            ("DELETE FROM access_log_heads WHERE {ana}", 0, Fault.UNSEALED),
            (
                "UPDATE access_log_heads SET seal = (SELECT seal FROM access_log_heads"
                " WHERE worker_id = 'ben') WHERE {ana}",
                0,
                Fault.UNSEALED,
            ),
        ],
    )
    def test_whatever_is_done_to_a_chain_is_found_where_it_was_done(
        self, three_reads: AccessLog, database: Database, tampering: str, seq: int, fault: Fault
    ) -> None:
        assert three_reads.verify("acme", "ana").broken == []
        with database.write() as connection:
            for statement in tampering.split(";"):
                connection.execute(
                    text(statement.replace("{ana}", "tenant_id = 'acme' AND worker_id = 'ana'"))
                )
        broken = Broken(("acme", "ana"), seq, fault)
        assert three_reads.verify("acme", "ana").broken == [broken]
        assert three_reads.verify_tenant("acme").broken == [broken]
        assert three_reads.verify("acme", "ben").broken == []

    def test_an_id_that_the_store_cannot_hold_is_nobodys_and_no_outage(self, three_reads: AccessLog) -> None:
        with contextlib.suppress(Terminal):
            assert three_reads.page("acme", "an\0a") == []

    def test_a_chain_that_is_gone_whole_is_missed(self, three_reads: AccessLog, database: Database) -> None:
        with database.write() as connection:
            connection.execute(text("DELETE FROM access_log WHERE worker_id = 'ben'"))
            connection.execute(text("DELETE FROM access_log_heads WHERE worker_id = 'ben'"))
        missed = [Broken(("acme", ""), 1, Fault.MISSING)]
        assert three_reads.verify_tenant("acme").broken == missed
        asyncio.run(read(three_reads, ["ben"]))
        assert three_reads.verify_tenant("acme").broken == [Broken(("acme", ""), 2, Fault.MISSING)]

    def test_a_count_of_chains_that_was_changed_is_found(
        self, three_reads: AccessLog, database: Database
    ) -> None:
        with database.write() as connection:
            connection.execute(text("UPDATE access_log_heads SET seq = 1 WHERE worker_id = ''"))
        asyncio.run(read(three_reads, ["eve"]))
        assert three_reads.verify_tenant("acme").broken == [Broken(("acme", ""), 0, Fault.UNSEALED)]

    def test_a_count_of_chains_that_was_removed_is_missed_also_when_it_begins_anew(
        self, three_reads: AccessLog, database: Database
    ) -> None:
        with database.write() as connection:
            connection.execute(text("DELETE FROM access_log WHERE worker_id = 'ben'"))
            connection.execute(text("DELETE FROM access_log_heads WHERE worker_id IN ('ben', '')"))
        assert three_reads.verify_tenant("acme").broken == [Broken(("acme", ""), 0, Fault.CHANGED)]
        asyncio.run(read(three_reads, ["eve"]))
        assert three_reads.verify_tenant("acme").broken == [Broken(("acme", ""), 1, Fault.CHANGED)]

    def test_going_on_with_a_chain_hides_nothing(self, three_reads: AccessLog, database: Database) -> None:
        with database.write() as connection:
            connection.execute(text("DELETE FROM access_log WHERE worker_id = 'ana' AND seq = 3"))
            connection.execute(
                text(
                    "UPDATE access_log_heads SET seq = 2, hash = (SELECT hash FROM access_log"
                    " WHERE worker_id = 'ana' AND seq = 2) WHERE worker_id = 'ana'"
                )
            )
        for rows in (4, 5):
            asyncio.run(read(three_reads, rows=rows))
        assert [entry.row_count for entry in three_reads.page("acme", "ana")] == [5, 4, 2, 1]
        assert three_reads.verify("acme", "ana").broken == [Broken(("acme", "ana"), 0, Fault.UNSEALED)]

    def test_another_key_verifies_nothing(self, three_reads: AccessLog, database: Database) -> None:
        stranger = AccessLog(database, b"x" * 32)
        assert [each.fault for each in stranger.verify_tenant("acme").broken] == [Fault.UNSEALED] * 3
        assert three_reads.verify_tenant("acme").broken == []

    def test_verifying_beside_appends_finds_no_fault(self, three_reads: AccessLog) -> None:
        async def main() -> None:
            writing = asyncio.gather(*(read(three_reads, rows=n) for n in range(60)))
            while not writing.done():
                found = await asyncio.to_thread(three_reads.verify_tenant, "acme")
                assert found.broken == []
            await writing

        asyncio.run(main())

    # ------------------------------------------------------------------------------------------ audit
    def test_an_event_is_written_with_the_change_that_it_tells_or_not_at_all(
        self, database: Database
    ) -> None:
        log = AuditLog(database, KEY, lambda: NOW)
        detail = {"scopes": ["kpis:read"], "expires_at": None, "days": 3, "ratio": 0.1, "name": "Übersicht"}
        with pytest.raises(RuntimeError), database.write() as connection:
            log.append(connection, "acme", actor="cli", action="key.created", target="key_1", detail={})
            raise RuntimeError
        with database.write() as connection:
            log.append(
                connection,
                "acme",
                actor="cli",
                action="key.created",
                target="key_2",
                detail=detail,
                request_id="req_1",
            )
            log.append(connection, "acme", actor="cli", action="key.revoked", target="key_2", detail={})
            log.append(connection, "globex", actor="cli", action="key.created", target="key_3", detail={})
        last, first = log.page("acme")
        assert (first.seq, first.happened_at, first.target) == (1, NOW, "key_2")
        assert (first.detail, first.request_id, last.request_id) == (detail, "req_1", None)
        assert [event.seq for event in log.page("acme", before=2)] == [1]
        assert log.verify("acme") == (2, None)
        assert log.verify("globex") == (1, None)
        assert log.verify("nobody") == (0, None)

    def test_an_event_that_was_changed_or_cut_off_is_found(self, database: Database) -> None:
        log = AuditLog(database, KEY)
        with database.write() as connection:
            for target in ("key_1", "key_2"):
                log.append(connection, "acme", actor="cli", action="a", target=target, detail={"n": 1})
        with database.write() as connection:
            connection.execute(text("UPDATE audit_log SET detail = '{\"n\": 2}' WHERE seq = 1"))
        assert log.verify("acme") == (2, Broken(("acme",), 1, Fault.CHANGED))
        with database.write() as connection:
            connection.execute(text("UPDATE audit_log SET detail = '{\"n\": 1}' WHERE seq = 1"))
            connection.execute(text("DELETE FROM audit_log WHERE seq = 2"))
        assert log.verify("acme") == (2, Broken(("acme",), 1, Fault.CUT))


class TestSqlite(LogContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/control.db"
