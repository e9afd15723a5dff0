"""The files of shared tables, from their Delta logs: at a published version, and what came and went between.

Invariants: only versions that were published are told of, and everything between two of them as one step, so
nobody sees half a publication; a file is offered only while it is there.

    commits        41   42   43   44   45   46
    published           42        44        46      44 was compaction: the same rows in fewer files
    changes of          42                  46      adds and removes of commits 45 and 46, together
"""

from __future__ import annotations

import json
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar
from urllib.parse import unquote

import msgspec
import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, Schema

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.errors import NotFound, StorageUnavailable
from coworkai.common.lake import Lake, reading, table_properties
from coworkai.common.tables import (
    GOLD_BRIEFS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    OPS_RUNS,
    SILVER_ORG_MEMBERS,
    Table,
)
from coworkai.partner_api.delta_log import Action, Added, Removed, commit
from coworkai.partner_api.gold import Snapshot, VersionExpired
from coworkai.partner_api.metrics import SMALLEST_GROUP, few_behind_each
from coworkai.partner_api.sharing.catalogue import table_id
from coworkai.partner_api.sharing.predicates import Bounds, Scalar
from coworkai.partner_api.sharing.protocol import Change, ChangeKind, Publication, Shape, SharedFile

K = TypeVar("K")
V = TypeVar("V")

KEPT_FILES = 20_000
"""Descriptions of files that are kept in memory, over all tables."""
KEPT_WORKERS = 500_000
"""Workers of files that are kept in memory, each as often as there are files with rows of theirs."""
FILES_A_LOOK = 32
"""Files of rollups whose few are looked for together."""
KEPT_COMMITS = 2_000
KEPT_PUBLICATIONS = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VALUE_TYPES: Mapping[object, str] = {
    pl.String: "string",
    pl.Int32: "int",
    pl.Int64: "long",
    pl.Float64: "double",
    pl.Boolean: "bool",
    pl.Date: "date",
    pl.Datetime: "timestamp",
}


@dataclass(frozen=True, slots=True)
class TableAt:
    """A table at a version, its files in order of their paths."""

    version: int
    shape: Shape
    files: tuple[SharedFile, ...]


class _Stats(msgspec.Struct, frozen=True, rename="camel"):
    num_records: int | None = None


class SharedTables:
    """Reads tables for sharing. Every method blocks; call them in a thread.

    Every method raises StorageUnavailable when the store does not answer.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._tables: _Recent[tuple[str, str, int], TableAt] = _Recent(
            KEPT_FILES, lambda table: len(table.files) + 1
        )
        self._commits: _Recent[tuple[str, str, int], tuple[Action, ...]] = _Recent(KEPT_COMMITS)
        self._published: _Recent[tuple[str, int], Mapping[str, tuple[Publication, ...]]] = _Recent(
            KEPT_PUBLICATIONS
        )
        self._workers: _Recent[tuple[str, str, str], frozenset[str]] = _Recent(
            KEPT_WORKERS, lambda workers: len(workers) + 1
        )

    def publications(self, snapshot: Snapshot, table: Table) -> Sequence[Publication]:
        """Every version of the table that was published up to the snapshot, oldest first."""
        key = snapshot.tenant_id, snapshot.data_version
        by_table = self._published.get(key)
        if by_table is None:
            columns = ("finished_at", "output_versions")
            runs = snapshot.collect(OPS_RUNS, snapshot.scan(OPS_RUNS).select(columns))
            by_table = self._published.put(key, _publications(runs))
        newest = snapshot.versions.get(table.id, 0)
        return [one for one in by_table.get(table.id, ()) if one.version <= newest]

    def at(self, snapshot: Snapshot, table: Table, version: int) -> TableAt:
        """The table at a version that was published, or at 0, where it has no files.

        Raises VersionExpired when files of it, or its log, have been cleaned up.
        """
        newest = snapshot.versions.get(table.id, 0)
        if version == 0 and newest == 0:
            return TableAt(0, _declared(snapshot.tenant_id, table), ())
        key = snapshot.tenant_id, table.id, version
        described = self._tables.get(key)
        if described is None:
            delta = snapshot.delta(table) if version == newest else _open(snapshot, table, version)
            described = self._tables.put(key, _described(delta, table, version))
        if version != newest:
            self._check_there(snapshot, table, [file.path for file in described.files])
        return described

    def changes(self, snapshot: Snapshot, table: Table, first: int, last: int) -> list[Change]:
        """What came and went with the versions published from `first` to `last`, both included, in order.

        Raises VersionExpired when files or log entries of them have been cleaned up.
        """
        changes: list[Change] = []
        before = 0
        for publication in self.publications(snapshot, table):
            if first <= publication.version <= last:
                commits = range(before + 1, publication.version + 1)
                actions = (self._commit(snapshot, table, version) for version in commits)
                changes += _net(actions, publication, before)
            before = publication.version
        self._check_there(snapshot, table, [change.file.path for change in changes])
        return changes

    def workers(
        self, snapshot: Snapshot, table: Table, files: Mapping[str, tuple[SharedFile, int]]
    ) -> set[str]:
        """Workers whose rows are in these files, and the few who are behind rows of groups; empty for a table
        that has neither. By path: the file, and a published version of the table that has it.

        Files never change, so each is looked into once. Raises VersionExpired when what an earlier version
        was made of has been cleaned up.
        """
        column = _worker_column(table)
        if column is None:
            return set()
        tenant_id = snapshot.tenant_id
        found = {path: self._workers.get((tenant_id, table.id, path)) for path in files}
        if unknown := [path for path, workers in found.items() if workers is None]:
            with reading(table):
                read = _workers_of(snapshot.lake, table, tenant_id, unknown, column)
            if table is GOLD_KPI_GROUPS:
                self._add_few(snapshot, {path: files[path] for path in unknown}, read)
            for path in unknown:
                found[path] = self._workers.put((tenant_id, table.id, path), frozenset(read[path]))
        return set().union(*(workers for workers in found.values() if workers is not None))

    def _add_few(
        self,
        snapshot: Snapshot,
        files: Mapping[str, tuple[SharedFile, int]],
        workers: Mapping[str, set[str]],
    ) -> None:
        """Add who is behind rollups of few, by the workers' days and groups that the files were made of."""
        newest = snapshot.versions[GOLD_KPI_GROUPS.id]
        live = {file.path for file in self.at(snapshot, GOLD_KPI_GROUPS, newest).files}
        by_version: dict[int, list[SharedFile]] = {}
        for path, (file, version) in files.items():
            by_version.setdefault(newest if path in live else version, []).append(file)
        for version, theirs in by_version.items():
            then = snapshot if version == newest else self._made_of(snapshot, version)
            for first in range(0, len(theirs), FILES_A_LOOK):
                with reading(GOLD_KPI_GROUPS):
                    rollups = _rollups_of_few(snapshot, theirs[first : first + FILES_A_LOOK])
                for path, worker in few_behind_each(then, rollups, "path").iter_rows():
                    workers[path].add(sys.intern(worker))

    def _made_of(self, snapshot: Snapshot, version: int) -> Snapshot:
        """What this version of the rollups was made of: tables as they were published together with it."""
        rollups = self.publications(snapshot, GOLD_KPI_GROUPS)
        moment = next(one.published_ms for one in rollups if one.version == version)
        versions: dict[str, int] = {}
        for table in (GOLD_KPI_DAILY, SILVER_ORG_MEMBERS):
            for one in self.publications(snapshot, table):
                if one.published_ms <= moment:
                    versions[table.id] = one.version
        return Snapshot(
            snapshot.lake, snapshot.store, snapshot.tenant_id, snapshot.data_version, {}, versions
        )

    def _commit(self, snapshot: Snapshot, table: Table, version: int) -> tuple[Action, ...]:
        key = snapshot.tenant_id, table.id, version
        actions = self._commits.get(key)
        if actions is None:
            try:
                actions = self._commits.put(key, commit(self._store, table, snapshot.tenant_id, version))
            except NotFound:
                raise _expired(table, version) from None
        return actions

    def _check_there(self, snapshot: Snapshot, table: Table, paths: Sequence[str]) -> None:
        """Raises VersionExpired unless all files are there; those of the newest version are."""
        newest = snapshot.versions.get(table.id, 0)
        live = {file.path for file in self.at(snapshot, table, newest).files}
        old = [path for path in paths if path not in live]
        if not old:
            return
        folder = table.path(snapshot.tenant_id)
        there = set(self._store.list(folder))
        if not all(f"{folder}/{path}" in there for path in old):
            raise VersionExpired(
                f"files of earlier versions of {table.id} have been cleaned up",
                remedy="read the newest version, and changes from there on",
            )


def value_types(table: Table) -> Mapping[str, str]:
    """The protocol's value types of the columns that can be compared, by column."""
    return {
        column.name: _VALUE_TYPES[column.dtype.base_type()]
        for column in table.columns
        if column.dtype.base_type() in _VALUE_TYPES
    }


def days(files: Iterable[SharedFile]) -> tuple[date, date] | None:
    """First and last date that the files are of; None where they are not by date."""
    dates = sorted({value for file in files if (value := file.partition.get("date"))})
    return (date.fromisoformat(dates[0]), date.fromisoformat(dates[-1])) if dates else None


# --------------------------------------------------------------------------------------------- publications
def _publications(runs: pl.DataFrame) -> dict[str, tuple[Publication, ...]]:
    """From `finished_at` and `output_versions` of runs: by table id, each version from its first publication.

    Clocks of runners differ a little; a version is never published before the one that it follows.
    """
    versions = (
        runs.explode("output_versions")
        .unnest("output_versions")
        .drop_nulls()
        .group_by("table", "version")
        .agg(pl.col("finished_at").min().dt.epoch("ms"))
        .filter(pl.col("version") > 0)
        .sort("table", "version")
        .with_columns(pl.col("finished_at").cum_max().over("table"))
    )
    by_table: dict[str, list[Publication]] = {}
    for table, version, published_ms in versions.select("table", "version", "finished_at").iter_rows():
        by_table.setdefault(table, []).append(Publication(version, published_ms))
    return {table: tuple(found) for table, found in by_table.items()}


def _open(snapshot: Snapshot, table: Table, version: int) -> DeltaTable:
    """The table at an earlier version. Raises VersionExpired when its log has been cleaned up."""
    try:
        return snapshot.lake.open(table, snapshot.tenant_id, version=version)
    except StorageUnavailable:
        if snapshot.lake.open(table, snapshot.tenant_id).version() >= version:
            raise _expired(table, version) from None
        raise


def _expired(table: Table, version: int) -> VersionExpired:
    return VersionExpired(
        f"version {version} of {table.id} has been cleaned up",
        remedy="read the newest version, and changes from there on",
    )


# --------------------------------------------------------------------------------------------- descriptions
def _declared(tenant_id: str, table: Table) -> Shape:
    """The table as it will be when something of it is published."""
    return Shape(
        table_id(tenant_id, table),
        table.name,
        table.description,
        _schema_json(Schema.from_arrow(table.arrow_schema), table),
        table.partition_by,
        {name: value for name, value in table_properties(table).items() if value is not None},
        created_ms=None,
        size_bytes=0,
        files=0,
    )


def _described(delta: DeltaTable, table: Table, version: int) -> TableAt:
    with reading(table):
        adds = pa.table(delta.get_add_actions(flatten=False)).to_pylist()
    files = tuple(sorted((_described_file(add) for add in adds), key=lambda file: file.path))
    metadata, protocol = delta.metadata(), delta.protocol()
    shape = Shape(
        str(metadata.id),
        table.name,
        table.description,
        _schema_json(delta.schema(), table),
        tuple(metadata.partition_columns),
        dict(metadata.configuration),
        metadata.created_time,
        sum(file.size_bytes for file in files),
        len(files),
        protocol.min_reader_version,
        protocol.min_writer_version,
    )
    return TableAt(version, shape, files)


def _schema_json(schema: Schema, table: Table) -> str:
    """The schema with what each column means as its comment."""
    meanings = {column.name: column.description for column in table.columns}
    document = json.loads(schema.to_json())
    for field in document["fields"]:
        if field["name"] in meanings:
            field["metadata"]["comment"] = meanings[field["name"]]
    return json.dumps(document, separators=(",", ":"))


def _described_file(add: Mapping[str, object]) -> SharedFile:
    """From a row of deltalake's add actions."""
    rows = _integer(add["num_records"])
    low, high, nulls = (_columns(add.get(name)) for name in ("min", "max", "null_count"))
    partition = _columns(add.get("partition"))
    bounds = {
        name.lower(): Bounds(_scalar(low.get(name)), _scalar(high.get(name)), _integer(nulls.get(name)), rows)
        for name in low.keys() | high.keys() | nulls.keys()
    }
    for name, value in partition.items():
        known = _scalar(value)
        bounds[name.lower()] = Bounds(known, known, 0 if known is not None else rows, rows)
    stats = {
        "numRecords": rows,
        "minValues": _told(low),
        "maxValues": _told(high),
        "nullCount": {name: count for name, count in nulls.items() if count is not None},
    }
    return SharedFile(
        path=unquote(str(add["path"])),
        size_bytes=_integer(add["size_bytes"]) or 0,
        modified_ms=_integer(add["modification_time"]) or 0,
        partition={name: None if value is None else _text(value) for name, value in partition.items()},
        rows=rows,
        stats=None if rows is None else msgspec.json.encode(stats).decode(),
        bounds=bounds,
    )


def _columns(struct: object) -> Mapping[str, object]:
    return struct if isinstance(struct, Mapping) else {}


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _scalar(value: object) -> Scalar | None:
    return value if isinstance(value, bool | int | float | str | date) else None


def _told(values: Mapping[str, object]) -> dict[str, object]:
    """Statistics as the Delta log has them: instants in milliseconds."""
    return {
        name: _instant(value, "T", "milliseconds") + "Z" if isinstance(value, datetime) else value
        for name, value in values.items()
        if _scalar(value) is not None
    }


def _text(value: object) -> str:
    """A partition value as the Delta log has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return _instant(value, " ", "auto") if isinstance(value, datetime) else str(value)


def _instant(moment: datetime, separator: str, precision: str) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(separator, precision)


# --------------------------------------------------------------------------------------------- changes
def _net(commits: Iterable[Sequence[Action]], publication: Publication, before: int) -> list[Change]:
    """What the commits of one publication changed in all: what one of them added and another removed again
    was never seen. Rewriting rows into other files changes nothing."""
    came: dict[str, Added] = {}
    went: dict[str, Removed] = {}
    for action in (action for actions in commits for action in actions):
        if (gone := action.remove) is not None and gone.data_change:
            if came.pop(gone.path, None) is None:
                went[gone.path] = gone
        elif (new := action.add) is not None and new.data_change and went.pop(new.path, None) is None:
            came[new.path] = new
    removed = [(ChangeKind.REMOVE, _removed_file(went[path]), before) for path in sorted(went)]
    added = [(ChangeKind.ADD, _added_file(came[path]), publication.version) for path in sorted(came)]
    return [
        Change(kind, file, publication.version, publication.published_ms, seen_at)
        for kind, file, seen_at in removed + added
    ]


def _added_file(add: Added) -> SharedFile:
    rows = None if add.stats is None else msgspec.json.decode(add.stats, type=_Stats).num_records
    return SharedFile(
        unquote(add.path), add.size, add.modification_time, add.partition_values, rows, add.stats, {}
    )


def _removed_file(gone: Removed) -> SharedFile:
    return SharedFile(
        unquote(gone.path), gone.size, gone.deletion_timestamp, gone.partition_values, None, None, {}
    )


# --------------------------------------------------------------------------------------------- workers
def _worker_column(table: Table) -> pl.Expr | None:
    """The worker that a row is of, null for a group's; None for a table without rows of single workers."""
    if "user_id" in table.schema:
        return pl.col("user_id")
    if table is GOLD_KPI_GROUPS:
        return pl.when(pl.col("level") == "worker").then("group_id")
    if table is GOLD_BRIEFS:
        return pl.when(pl.col("subject_kind") == "worker").then("subject_id")
    return None


def _workers_of(
    lake: Lake, table: Table, tenant_id: str, paths: Sequence[str], column: pl.Expr
) -> dict[str, set[str]]:
    by_uri = {f"{lake.uri(table, tenant_id)}/{path}": path for path in paths}
    pairs = _rows_of(lake, by_uri).select("file", worker=column).drop_nulls().unique().collect()
    workers: dict[str, set[str]] = {path: set() for path in paths}
    for uri, worker in pairs.iter_rows():
        workers[by_uri[uri]].add(sys.intern(worker))
    return workers


def _rollups_of_few(snapshot: Snapshot, files: Sequence[SharedFile]) -> pl.DataFrame:
    """Rows of groups that few are behind, with the path of their file and its date."""
    folder = snapshot.lake.uri(GOLD_KPI_GROUPS, snapshot.tenant_id)
    of_file = pl.LazyFrame(
        [(f"{folder}/{file.path}", file.path, file.partition["date"]) for file in files],
        schema={"file": pl.String, "path": pl.String, "date": pl.String},
        orient="row",
    ).with_columns(pl.col("date").str.to_date())
    return (
        _rows_of(snapshot.lake, of_file.collect()["file"].to_list())
        .filter(pl.col("contributors") < SMALLEST_GROUP)
        .select("file", "period", "level", "group_id", "measure", "contributors")
        .join(of_file, on="file")
        .drop("file")
        .collect()
    )


def _rows_of(lake: Lake, uris: Iterable[str]) -> pl.LazyFrame:
    """Rows of the files, with the column `file`: where they are from."""
    return pl.scan_parquet(
        list(uris),
        glob=False,
        hive_partitioning=False,
        include_file_paths="file",
        storage_options=dict(lake.storage_options) or None,
        missing_columns="insert",
        extra_columns="ignore",
    )


def milliseconds(moment: datetime) -> int:
    """Unix milliseconds, rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class _Recent(Generic[K, V]):
    """The values used last, up to `most` in all by their weight. Safe to share between threads."""

    def __init__(self, most: int, weight: Callable[[V], int] = lambda _value: 1) -> None:
        self._most = most
        self._weight = weight
        self._held = 0
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._held += self._weight(value)
            while self._held > self._most and len(self._values) > 1:
                self._held -= self._weight(self._values.popitem(last=False)[1])
        return value
