"""Appending to Bronze, each identity once, from any number of processes (architecture, "Exactly once").

Invariants:
- the index of seen identities stands at one version of the table, and one function brings it to another: it
  refreshes the held table and absorbs what was added, always both;
- a commit is the log's next entry after exactly that version, put only where there is none: if anybody was
  faster it fails. The entry before must still be there: a log that was cleaned up past it has room for an
  entry that nobody would read;
- any exception of a write is ambiguous. Whether it took effect is read from the log, by our batch id;
- identities are remembered, and outcomes given, only after the commit that holds the rows is durable.

An append needs no list of the table's files, so the entry is written here: delta-rs would go through all of
them after each commit, and more slowly with every commit since the table was opened.
"""

from __future__ import annotations

import io
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import obstore
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from obstore.exceptions import AlreadyExistsError, BaseError

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.errors import NotFound, StorageUnavailable, Terminal
from coworkai.common.lake import CHECKPOINT_INTERVAL, TOUCHED, Lake, reading, scan
from coworkai.common.observability import get_logger
from coworkai.common.tables import Table
from coworkai.ingest.seen import Identities, Mixer, SeenIndex, Verdict, Verdicts, repeated
from coworkai.ingest.tokenise import Rows

BATCH = "coworkai.batch"
COUNTS = "coworkai.counts"
TRACEPARENT = "coworkai.traceparent"
Touched = Mapping[str, Sequence[date]]
"""Event dates that got rows, by tenant."""
CONFLICT_TRIES = 100
FAILURE_TRIES = 3
LONGEST_PAUSE_S = 1.0
LOAD_ROWS = 250_000
"""Identities of a date that are loaded at once."""
WRITER_VERSION = 2
"""Of Delta's protocol: what an append has to respect is known up to here."""
_EPOCH = date(1970, 1, 1).toordinal()
# Rows are compressed lightly: they are written once by us and again, better, by compaction.
_COMPRESSION = "snappy"

log = get_logger(__name__)


class Refused(Terminal):
    """The store works, but the table does not take these rows."""

    code = "storage_rejected"
    status = 500


class TableFiles(ArtifactStore):
    """The files of the lake's tables."""

    def put_new(self, path: str, content: bytes) -> None:
        """Write an object that is not there yet. Raises FileExistsError when it is, StorageUnavailable."""
        try:
            obstore.put(self._store, path, content, mode="create", use_multipart=False)
        except (AlreadyExistsError, FileExistsError):
            raise FileExistsError(path) from None
        except (BaseError, OSError) as error:
            raise StorageUnavailable(f"{path} could not be put ({type(error).__name__})") from None


class Write(Protocol):
    """Puts files with the rows, and the entry `version` of the table's log that adds them.

    Raises FileExistsError when there is such an entry already. After any other error it may be there or not.
    """

    def __call__(
        self, files: TableFiles, rows: pa.Table, /, *, table: Table, version: int, info: Mapping[str, str]
    ) -> None: ...


def write_rows(
    files: TableFiles, rows: pa.Table, /, *, table: Table, version: int, info: Mapping[str, str]
) -> None:
    """The `Write` of the lake; `info` goes to the entry's commit metadata."""
    now_ms = time.time_ns() // 1_000_000
    commit_info = {
        "timestamp": now_ms,
        "operation": "WRITE",
        "operationParameters": {"mode": "Append", "partitionBy": json.dumps(table.partition_by)},
        "engineInfo": "coworkai-ingest",
        "isBlindAppend": True,
        **info,
    }
    actions = [{"commitInfo": commit_info}, *_put_rows(files, rows, table, now_ms)]
    entry = b"\n".join(msgspec.json.encode(action) for action in actions)
    files.put_new(_entry_path(table, version), entry)


def _put_rows(files: TableFiles, rows: pa.Table, table: Table, now_ms: int) -> Iterator[dict[str, object]]:
    """Put a file for each date; the actions that add them to the table."""
    (partition,) = table.partition_by
    rows = rows.select(table.arrow_schema.names).cast(table.arrow_schema)
    of_row, rows = rows[partition], rows.drop_columns([partition])
    for day in pc.unique(of_row).to_pylist():
        of_day = rows.filter(pc.equal(of_row, day))
        content = io.BytesIO()
        pq.write_table(
            of_day,
            content,
            compression=_COMPRESSION,
            write_statistics=[name for name in table.stats_columns if name != partition],
            store_schema=False,
        )
        path = f"{partition}={day.isoformat()}/part-00000-{uuid.uuid4()}-c000.{_COMPRESSION}.parquet"
        files.put(f"{table.path()}/{path}", content.getvalue())
        yield {
            "add": {
                "path": path,
                "partitionValues": {partition: day.isoformat()},
                "size": content.tell(),
                "modificationTime": now_ms,
                "dataChange": True,
                "stats": json.dumps({"numRecords": of_day.num_rows}),
            }
        }


def _entry_path(table: Table, version: int) -> str:
    return f"{table.path()}/_delta_log/{version:020d}.json"


@dataclass(frozen=True, slots=True)
class IdentityColumns:
    """Columns that say who a stored row is. Without `tenant`, ids are unique by themselves."""

    id: str
    digest: str
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """A verdict for each row, and the commit that holds the FRESH ones, if there are any."""

    verdicts: Verdicts
    version: int | None
    touched: Touched


@dataclass(frozen=True, slots=True)
class _Commit:
    """What a log entry says: whose batch it is, and the files that add rows, with their days."""

    batch: str | None
    added: Sequence[tuple[int, str]]


class AppendOnce:
    """One process's writer of one Bronze table. Not safe to share between threads."""

    def __init__(
        self,
        lake: Lake,
        table: Table,
        columns: IdentityColumns | None,
        *,
        max_ids: int,
        write: Write = write_rows,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lake = lake
        self._spec = table
        self._columns = columns
        self._files = TableFiles(lake.root, lake.storage_options)
        self._write = write
        self._pause = pause
        self._seen = SeenIndex(self._load, max_ids)
        self._mixer = Mixer()
        self._held: DeltaTable | None = None
        self._plain_at = -1
        self._at = -1

    @property
    def seen_ids(self) -> int:
        return len(self._seen)

    @property
    def seen_bytes(self) -> int:
        return self._seen.nbytes

    def append(self, rows: Rows, traceparent: str | None = None) -> Appended:
        """Append the rows that the table does not hold yet, in one commit.

        Raises StorageUnavailable when the store does not answer (rows may be durable or not; appending them
        again is safe), and Refused when it does and the table refuses the rows all the same.
        """
        batch_id = uuid.uuid4().hex
        failures = 0
        for attempt in range(CONFLICT_TRIES):
            verdicts = self._judge(rows)
            fresh = rows.take(verdicts == Verdict.FRESH)
            if not len(fresh):
                return Appended(verdicts, None, {})
            touched = _touched(fresh)
            try:
                self._commit(fresh, batch_id, touched, traceparent)
            except Exception as error:
                # It may have taken effect all the same: the log knows.
                if self._catch_up(batch_id):
                    return Appended(verdicts, self._at, touched)
                if not isinstance(error, FileExistsError):
                    failures += 1
                    log.warning("commit failed", table=self._spec.id, error_type=type(error).__name__)
                if failures == FAILURE_TRIES:
                    self._probe()
                    raise Refused(f"{self._spec.id} refused {len(fresh)} rows") from None
                self._pause(random.random() * min(0.02 * 2**attempt, LONGEST_PAUSE_S))
            else:
                self._remember(fresh)
                return Appended(verdicts, self._at, touched)
        raise StorageUnavailable(f"{self._spec.id} is written by too many at once")

    # ---------------------------------------------------------------------------------- judging
    def _judge(self, rows: Rows) -> Verdicts:
        """What the table, at the held version, and the rows before it say of each row."""
        if self._columns is None:
            return np.zeros(len(rows), dtype=np.int8)
        identities = self._identities(rows)
        verdicts = repeated(identities)
        days = np.unique(rows.day)
        for day in days:
            at = np.flatnonzero(rows.day == day)
            known = self._look_up(int(day), identities.take(at))
            verdicts[at] = np.where(known == Verdict.FRESH, verdicts[at], known)
        self._seen.evict(in_use=days.tolist())
        return verdicts

    def _identities(self, rows: Rows) -> Identities:
        return self._mixer.mix(rows.tenants, rows.item, rows.ids, rows.digest)

    def _look_up(self, day: int, asked: Identities) -> Verdicts:
        for _ in range(FAILURE_TRIES):
            try:
                return self._seen.look_up(day, asked)
            except StorageUnavailable:
                # A file of the held version may have been compacted and vacuumed away.
                self._catch_up(None)
        return self._seen.look_up(day, asked)

    def _load(self, day: int) -> Iterator[Identities]:
        columns = self._columns
        assert columns is not None
        names = [columns.id, columns.digest, *([columns.tenant] if columns.tenant else [])]
        with reading(self._spec):
            stored = scan(self._table, self._spec, [_date(day)]).select(names).collect()
        for some in stored.iter_slices(LOAD_ROWS):
            yield self._stored_identities(some)

    def _stored_identities(self, stored: pl.DataFrame) -> Identities:
        columns = self._columns
        assert columns is not None
        tenants, tenant_of = [""], np.zeros(len(stored), dtype=np.int32)
        if columns.tenant is not None:
            named = stored[columns.tenant]
            tenants = named.unique().to_list()
            places = pl.Series(range(len(tenants)), dtype=pl.Int32)
            tenant_of = named.replace_strict(tenants, places, return_dtype=pl.Int32).to_numpy()
        hexes = stored[columns.id].str.replace_all("-", "", literal=True).str.join("").item()
        digest = stored[columns.digest].to_numpy().astype(np.int64)
        return self._mixer.mix(tenants, tenant_of, halves(hexes), digest)

    # ---------------------------------------------------------------------------------- committing
    @property
    def _table(self) -> DeltaTable:
        """The held table at the version that the index stands at."""
        held = self._opened()
        if held.version() < self._at:
            held.load_as_version(self._at)
        return held

    def _opened(self) -> DeltaTable:
        """The held table at a version not after the index's: our own commits leave it where it is."""
        if self._held is None:
            self._held = self._reopened() if self._at >= 0 else self._lake.open(self._spec)
            self._at = self._held.version()
        return self._held

    def _reopened(self, version: int | None = None) -> DeltaTable:
        """The table opened anew. One that was there and is gone is not made again: its store is away."""
        try:
            return self._lake.existing(self._spec, version=version)
        except Exception as error:
            raise StorageUnavailable(
                f"{self._spec.id} could not be opened again ({type(error).__name__})"
            ) from None

    def _commit(self, fresh: Rows, batch_id: str, touched: Touched, traceparent: str | None) -> None:
        told = {
            BATCH: batch_id,
            COUNTS: str(len(fresh)),
            TOUCHED: json.dumps({tenant: [d.isoformat() for d in days] for tenant, days in touched.items()}),
        }
        if traceparent is not None:
            told[TRACEPARENT] = traceparent
        self._expect_plain(self._opened())
        self._expect_head()
        self._write(self._files, fresh.table, table=self._spec, version=self._at + 1, info=told)

    def _expect_plain(self, held: DeltaTable) -> None:
        """Raises ValueError when the table has rules that are not applied here, or not our columns."""
        if held.version() == self._plain_at:
            return
        schema, declared = held.schema(), Schema.from_arrow(self._spec.arrow_schema)
        theirs = {field.name: (field.type, field.nullable) for field in schema.fields}
        if (
            held.protocol().min_writer_version > WRITER_VERSION
            or schema.invariants
            or held.metadata().partition_columns != list(self._spec.partition_by)
            or any(theirs.get(field.name) != (field.type, field.nullable) for field in declared.fields)
        ):
            raise ValueError(f"{self._spec.id} is not as it was declared")
        self._plain_at = held.version()

    def _expect_head(self) -> None:
        """Raises FileExistsError when the log was cleaned up past our version: the next entry was, too."""
        if self._files.exists(_entry_path(self._spec, self._at)):
            return
        self._held = self._reopened()
        if self._held.version() != self._at:
            raise FileExistsError(f"{self._spec.id} has moved on")

    def _remember(self, fresh: Rows) -> None:
        self._at += 1
        if self._columns is not None:
            identities = self._identities(fresh)
            days = np.unique(fresh.day)
            for day in days:
                self._seen.add(int(day), identities.take(fresh.day == day))
            self._seen.evict(in_use=days.tolist())
        self._checkpoint()

    def _checkpoint(self) -> None:
        if self._at % CHECKPOINT_INTERVAL:
            return
        try:
            # Of the table opened anew: one that is only ever refreshed gets slower with every commit.
            self._held = self._reopened(self._at)
            self._held.create_checkpoint()
        except Exception as error:
            # Readers go on with the older one; the next is due soon.
            log.warning(
                "checkpoint failed", table=self._spec.id, version=self._at, error_type=type(error).__name__
            )

    def _catch_up(self, batch_id: str | None) -> bool:
        """Refresh the held table and absorb what others added; whether `batch_id` is among their commits.

        Raises StorageUnavailable when the store does not answer; table and index are dropped then, and opened
        and loaded again when they are needed.
        """
        found = False
        try:
            head = self._refresh()
            for version in range(self._at + 1, head + 1):
                commit = self._read_commit(version)
                if commit is None:
                    # The log was cleaned up past here: only the partitions know what was added.
                    self._seen.forget()
                    continue
                found = found or (batch_id is not None and commit.batch == batch_id)
                for day, path in commit.added:
                    self._absorb(day, path)
            self._at = head
        except BaseException:
            self._held = None
            self._seen.forget()
            raise
        return found

    def _refresh(self) -> int:
        """Bring the held table to the head of its log; the version of that."""
        held = self._opened()
        try:
            held.update_incremental()
        except Exception:
            held = self._held = self._reopened()
        return held.version()

    def _read_commit(self, version: int) -> _Commit | None:
        try:
            entry = self._files.get(_entry_path(self._spec, version))
        except NotFound:
            return None
        batch: str | None = None
        added: list[tuple[int, str]] = []
        for line in entry.splitlines():
            action = _ACTION.decode(line)
            if action.commitInfo is not None:
                batch = action.commitInfo.batch
            if action.add is not None and action.add.dataChange:
                day = action.add.partitionValues[self._spec.partition_by[0]]
                added.append((_day(date.fromisoformat(day)), action.add.path))
        return _Commit(batch, added)

    def _absorb(self, day: int, path: str) -> None:
        if self._columns is None or not self._seen.holds(day):
            return
        names = [self._columns.id, self._columns.digest, self._columns.tenant]
        try:
            content = self._files.get(f"{self._spec.path()}/{path}")
        except NotFound:
            # Compacted and vacuumed away already; its rows are in another file of the partition.
            self._seen.forget(day)
            return
        stored = pl.read_parquet(io.BytesIO(content), columns=[name for name in names if name is not None])
        self._seen.add(day, self._stored_identities(stored))

    def _probe(self) -> None:
        """Raises StorageUnavailable unless the store takes and gives up an object."""
        path = f"_probe/{uuid.uuid4().hex}"
        self._files.put(path, b"")
        self._files.delete([path])


# --------------------------------------------------------------------------------------------- the log
class _CommitInfo(msgspec.Struct):
    batch: str | None = msgspec.field(name=BATCH, default=None)


class _Add(msgspec.Struct):
    path: str
    dataChange: bool
    partitionValues: dict[str, str]


class _Action(msgspec.Struct):
    commitInfo: _CommitInfo | None = None
    add: _Add | None = None


_ACTION = msgspec.json.Decoder(_Action)


# --------------------------------------------------------------------------------------------- days and ids
def halves(hexes: str) -> npt.NDArray[np.uint64]:
    """The two 64-bit halves of each of the 32-digit ids that `hexes` is made of, as rows."""
    return np.frombuffer(bytes.fromhex(hexes), dtype=">u8").astype(np.uint64).reshape(-1, 2)


def _touched(rows: Rows) -> dict[str, list[date]]:
    """Dates by tenant, both sorted; what belongs to no tenant touches nobody."""
    touched: dict[str, list[date]] = {}
    for day in np.unique(rows.day).tolist():
        for tenant in {rows.tenants[item] for item in np.unique(rows.item[rows.day == day]).tolist()}:
            touched.setdefault(tenant, []).append(_date(day))
    return {tenant: touched[tenant] for tenant in sorted(touched) if tenant}


def _date(day: int) -> date:
    return date.fromordinal(_EPOCH + day)


def _day(value: date) -> int:
    return value.toordinal() - _EPOCH
