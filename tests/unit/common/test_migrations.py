"""Migrations of the control store, on SQLite here and on PostgreSQL under the mark `integration`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from coworkai.common.control import Capture, Control, Database, Lane, Stage, schema
from coworkai.common.control.database import revisions
from coworkai.common.errors import Terminal

TODAY = date(2025, 3, 10)
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
FIRST, LAST = revisions()[0][0], revisions()[-1][0]


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def before_migrations(database: Database) -> None:
    """Make the store as releases of before there were migrations did: the tables, and no revision."""
    database.migrate(FIRST)
    with database.write() as connection:
        connection.execute(text("DROP TABLE alembic_version"))


class MigrationContract:
    """What every control store promises; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        database = Database(url)
        yield database
        database.close()

    @pytest.mark.parametrize("start", ["nothing", "the first revision", "a store of before migrations"])
    def test_the_tables_are_what_the_migrations_come_to(self, database: Database, start: str) -> None:
        if start == "the first revision":
            database.migrate(FIRST)
        elif start == "a store of before migrations":
            before_migrations(database)
        database.migrate()
        assert database.revision() == LAST
        with database.read() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, schema.metadata) == []

    def test_a_table_that_no_migration_makes_is_found(self, database: Database) -> None:
        database.migrate()
        with database.write() as connection:
            connection.execute(text("ALTER TABLE exports DROP COLUMN error_code"))
        with database.read() as connection:
            context = MigrationContext.configure(connection)
            assert len(compare_metadata(context, schema.metadata)) == 1

    def test_down_and_up_again_keeps_what_the_older_tables_hold(self, database: Database) -> None:
        database.migrate()
        control = Control(database)
        tenant = control.put_tenant("acme", capture_keystrokes=Capture.TEXT)
        key = control.create_ingest_key("acme")
        control.mark_dirty("acme", Stage.SILVER, [TODAY])
        for revision, _ in reversed(revisions()):
            database.migrate(revision)
        assert (database.revision(), "credentials" in tables(database)) == (FIRST, False)
        database.migrate()
        assert (database.revision(), "credentials" in tables(database)) == (LAST, True)
        assert control.tenant("acme") == tenant
        assert control.ingest_key_tenant(key) == "acme"
        assert [day.date for day in control.dirty()] == [TODAY]

    def test_exports_under_way_have_made_no_attempt_when_attempts_begin_to_count(
        self, database: Database
    ) -> None:
        database.migrate("0003")
        columns = (
            "export_id, tenant_id, principal_id, request, format, state, files, data_version, created_at"
        )
        with database.write() as connection:
            values = "'exp_1', 'acme', 'key_1', '{}', 'csv', 'running', '[]', 1, 1"
            connection.execute(text(f"INSERT INTO exports ({columns}) VALUES ({values})"))
        for revision, attempts in ((LAST, 0), ("0003", None), (LAST, 0)):
            database.migrate(revision)
            with database.read() as connection:
                (row,) = connection.execute(text("SELECT * FROM exports")).mappings()
            assert (row["export_id"], row.get("attempts")) == ("exp_1", attempts)

    def test_a_store_of_before_migrations_is_taken_with_what_it_holds(self, database: Database) -> None:
        before_migrations(database)
        tenant = Control(database).put_tenant("acme")
        with database.write() as connection:
            connection.execute(text("DROP TABLE planned_days"))
        database.migrate()
        assert Control(database).tenant("acme") == tenant
        assert set(schema.metadata.tables) < tables(database)

    def test_leases_of_before_there_were_lanes_go_on_as_the_runners(self, database: Database) -> None:
        before_migrations(database)
        with database.write() as connection:
            connection.execute(
                text(
                    "CREATE TABLE leases (tenant_id VARCHAR(63) PRIMARY KEY, holder VARCHAR(256) NOT NULL,"
                    " fence BIGINT NOT NULL, expires_at BIGINT NOT NULL)"
                )
            )
            row = {"e": int((NOW + timedelta(seconds=5)).timestamp() * 1_000_000)}
            connection.execute(text("INSERT INTO leases VALUES ('acme', 'a', 7, :e)"), row)
        database.migrate()
        assert Control(database, lambda: NOW).lease("acme", "b", 30) is None
        lease = Control(database, lambda: NOW + timedelta(seconds=6)).lease("acme", "b", 30)
        assert lease is not None
        assert (lease.lane, lease.fence) == (Lane.RUNNER, 8)
        assert "leases" not in tables(database)

    @pytest.mark.parametrize("start", ["nothing", "a store of before migrations"])
    def test_any_number_of_services_may_migrate_at_once(
        self, database: Database, url: str, start: str
    ) -> None:
        if start != "nothing":
            before_migrations(database)
        services = [Database(url) for _ in range(4)]
        together = threading.Barrier(4)

        def begin(service: Database) -> str | None:
            together.wait()
            service.migrate()
            return service.revision()

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(begin, services)) == [LAST] * 4
        with database.read() as connection:
            assert connection.execute(select(schema.credentials)).all() == []
        for service in services:
            service.close()

    def test_a_store_that_a_newer_release_has_migrated_is_left_as_it_is(self, database: Database) -> None:
        database.migrate()
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        database.migrate()
        assert database.revision() == "9999"
        with pytest.raises(Terminal, match="no such revision"):
            database.migrate(FIRST)

    @pytest.mark.parametrize("revision", ["9999", "head", "base", "-1", "'; DROP TABLE tenants; --"])
    def test_a_revision_that_there_is_not_is_refused(self, database: Database, revision: str) -> None:
        database.migrate()
        with pytest.raises(Terminal, match="no such revision"):
            database.migrate(revision)
        assert database.revision() == LAST


class TestSqlite(MigrationContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/state/control.db"


def test_the_tables_are_of_the_last_revision() -> None:
    assert LAST == schema.REVISION
