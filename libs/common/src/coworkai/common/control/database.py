"""The relational store behind the control plane: SQLite on one machine, PostgreSQL in the cloud, by URL.

A store that does not answer raises StorageUnavailable, a value that it cannot hold Terminal. On SQLite a
writing transaction takes the write lock where it begins, so writers wait for their turn instead of failing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tenacity
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError

from coworkai.common.control.schema import REVISION, metadata, tenants
from coworkai.common.errors import SettingsError, StorageUnavailable, Terminal

if TYPE_CHECKING:
    from alembic.config import Config

BUSY_TIMEOUT_S = 30
_MIGRATION_LOCK = 0x636F776F
_alembic_version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As Alembic makes it."""


class Database:
    """The store at `url` (`sqlite:///path` or `postgresql://…`). Safe to share between threads.

    `insert` builds the dialect's INSERT, which knows ON CONFLICT; `mark` is a parameter's place in SQL that
    is written out. Raises SettingsError for a store of another kind.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        is_sqlite = self._engine.dialect.name == "sqlite"
        self.insert = sqlite.insert if is_sqlite else postgresql.insert
        self.mark = "?" if is_sqlite else "%s"

    def migrate(self, revision: str | None = None) -> None:
        """Bring the store to this release's revision, or up or down to a given one.

        What tables hold stays, unless a step down drops them. Any number of services may do so at once. A
        store that a newer release has migrated is left as it is. Raises Terminal when a revision, wanted or
        found where one is wanted, is none that this release knows.
        """
        wanted = REVISION if revision is None else _known(revision)
        with self.read() as connection:
            if _is_there(_revision(connection), wanted, exactly=revision is not None):
                return
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            current = _revision(connection)
            if revision is not None and current is not None:
                _known(current)
            if _is_there(current, wanted, exactly=revision is not None):
                return
            if wanted == REVISION and not inspect(connection).has_table(tenants.name):
                # All at once, for Alembic takes half a second to import.
                metadata.create_all(connection)
                _alembic_version.create(connection)
                connection.execute(_alembic_version.insert().values(version_num=REVISION))
            else:
                _run_migrations(connection, current, wanted)

    def revision(self) -> str | None:
        """The revision the store is at; None for one of before there were migrations, and for a new one."""
        with self.read() as connection:
            return _revision(connection)

    def binder(self, column: Column[Any]) -> Callable[[Any], Any]:
        """What makes the driver's value of a value of the column, for SQL that is written out."""
        dialect = self._engine.dialect
        return column.type.dialect_impl(dialect).bind_processor(dialect) or (lambda value: value)

    def close(self) -> None:
        """Give its connections back."""
        self._engine.dispose()

    def ping(self) -> None:
        """Raises StorageUnavailable when the store does not answer."""
        with self.read() as connection:
            connection.execute(select(1))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a transaction that only reads."""
        with self._connect(write=False) as connection:
            yield connection

    @contextmanager
    def write(self, *, forced: bool = False) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end, and undone by an exception.

        A power cut may cost SQLite its last transactions, but none that was `forced` to the disk.
        """
        with self._connect(write=True, forced=forced) as connection:
            yield connection

    @contextmanager
    def _connect(self, *, write: bool, forced: bool = False) -> Iterator[Connection]:
        try:
            with (
                self._engine.connect().execution_options(
                    coworkai_write=write, coworkai_forced=forced
                ) as connection,
                connection.begin(),
            ):
                yield connection
        except DataError as error:
            # A null character, or text that is too long: it would fail again, however often it is tried.
            raise Terminal("the control store cannot hold a value of this") from error
        except DBAPIError as error:
            raise StorageUnavailable(
                f"the control store did not answer ({type(error.orig).__name__})"
            ) from error


def revisions() -> list[tuple[str, str]]:
    """Every revision there is and what it brings, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic_config()).walk_revisions()
    return [(each.revision, each.doc) for each in reversed(list(scripts))]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_alembic_version.name):
        return None
    return connection.scalar(select(_alembic_version.c.version_num))


def _is_there(current: str | None, wanted: str, *, exactly: bool) -> bool:
    return current == wanted if exactly else current is not None and current >= wanted


def _known(revision: str) -> str:
    if revision not in dict(revisions()):
        raise Terminal(
            "this release knows no such revision of the control store",
            remedy="`coworkai control history` lists those it knows",
        )
    return revision


def _run_migrations(connection: Connection, current: str | None, wanted: str) -> None:
    from alembic import command

    config = _alembic_config()
    config.attributes["connection"] = connection
    run = command.downgrade if current is not None and wanted < current else command.upgrade
    run(config, wanted)


def _alembic_config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "coworkai.common.control:migrations")
    return config


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except Exception as error:
        raise SettingsError("control_url is no database URL") from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"), hide_parameters=True, pool_pre_ping=True
        )
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise SettingsError("control_url must be sqlite:///path or postgresql://…")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Transactions begin where _begin_sqlite says, not at the driver's first write.
    connection.isolation_level = None
    _use_wal(connection)
    connection.execute("PRAGMA foreign_keys = ON")


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(sqlite3.OperationalError),
    stop=tenacity.stop_after_delay(BUSY_TIMEOUT_S),
    wait=tenacity.wait_random(0.005, 0.05),
    reraise=True,
)
def _use_wal(connection: sqlite3.Connection) -> None:
    # Of two that switch a new database at once one is refused at once, without the busy timeout.
    connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    synchronous = "FULL" if options.get("coworkai_forced") else "NORMAL"
    if connection.info.get("synchronous") != synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
        connection.info["synchronous"] = synchronous
    # A writer takes the write lock first, where it waits its turn; taken later, it would fail at once.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("coworkai_write") else "BEGIN")
