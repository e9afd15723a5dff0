"""The relational store behind the control plane: SQLite on one machine, PostgreSQL in the cloud, by URL.

A store that does not answer raises StorageUnavailable. On SQLite a writing transaction takes the write lock
where it begins, so writers wait for their turn instead of failing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tenacity
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    event,
    inspect,
    literal,
    make_url,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from coworkai.common.control.schema import lane_leases, metadata
from coworkai.common.errors import SettingsError, StorageUnavailable

BUSY_TIMEOUT_S = 30
_SCHEMA_LOCK = 0x636F776F
_FORMER_LEASES = "leases"
"""Leases of before there were lanes: all of them the runner's."""


class Database:
    """The store at `url` (`sqlite:///path` or `postgresql://…`). Safe to share between threads.

    `insert` builds the dialect's INSERT, which knows ON CONFLICT. Raises SettingsError for a store of another
    kind.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self.insert = sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert

    def migrate(self) -> None:
        """Create what is missing; any number of services may do so at once."""
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            metadata.create_all(connection)
            if inspect(connection).has_table(_FORMER_LEASES):
                self._adopt_former_leases(connection)

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
    def write(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed at the end, and undone by an exception."""
        with self._connect(write=True) as connection:
            yield connection

    @contextmanager
    def _connect(self, *, write: bool) -> Iterator[Connection]:
        try:
            with (
                self._engine.connect().execution_options(coworkai_write=write) as connection,
                connection.begin(),
            ):
                yield connection
        except DBAPIError as error:
            raise StorageUnavailable(
                f"the control store did not answer ({type(error.orig).__name__})"
            ) from error

    def _adopt_former_leases(self, connection: Connection) -> None:
        """Go on with the fences there were, which order what has been published; then drop their table."""
        kept = [column for column in lane_leases.columns if column.name != "lane"]
        former = Table(_FORMER_LEASES, MetaData(), *(Column(each.name, each.type) for each in kept))
        names = ["tenant_id", "holder", "fence", "expires_at", "lane"]
        theirs = select(*(former.c[name] for name in names[:-1]), literal("runner"))
        connection.execute(
            self.insert(lane_leases).from_select(names, theirs.where(true())).on_conflict_do_nothing()
        )
        former.drop(connection)


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
    connection.execute("PRAGMA synchronous = NORMAL")
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
    # A writer takes the write lock first, where it waits its turn; taken later, it would fail at once.
    write = connection.get_execution_options().get("coworkai_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
