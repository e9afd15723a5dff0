"""The lake: where a declared table lives and how it is opened, read, replaced and maintained, on a local
folder, `gs://` or `s3://`.

Invariants:
- every table is created with protocol reader 1 / writer 2 and the properties below, whoever is first;
- a tenant's table is written from the version it was opened at: whoever was faster makes the commit fail, and
  nothing is retried on top of a version that was not read. Only rows that are added to a table of several
  lanes go beside those of other lanes; a commit of the same lane makes them fail too;
- what delta-rs says about a failed write can hold rows, so it is never chained to an error of ours.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from coworkai.common.control import Lane
from coworkai.common.errors import LeaseLost, StorageUnavailable
from coworkai.common.tables import Table

CHECKPOINT_INTERVAL = 10
SHARED_RETRIES = 100
"""How many commits of other lanes one that adds rows may find in its place."""
TOUCHED = "coworkai.touched"
"""Commit metadata of Bronze: JSON object of tenant to the event dates its rows fall on."""
COMPACT_FROM_FILES = 8
TARGET_FILE_BYTES = 128 * 1024 * 1024
_ADDS_NO_ROWS = frozenset(
    {
        "ADD COLUMN",
        "CREATE TABLE",
        "DELETE",
        "OPTIMIZE",
        "SET TBLPROPERTIES",
        "VACUUM END",
        "VACUUM START",
    }
)
_WRITER = WriterProperties(compression="ZSTD", compression_level=1)


def table_properties(table: Table) -> dict[str, str | None]:
    """Delta table properties: struct statistics for BigQuery and Spark, none of free text or persons."""
    return {
        "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
        "delta.checkpoint.writeStatsAsStruct": "true",
        "delta.dataSkippingStatsColumns": ",".join(table.stats_columns),
    }


@dataclass(frozen=True)
class Lake:
    """Root of a lake: a folder path, `file://`, `gs://bucket/prefix` or `s3://bucket/prefix`.

    `storage_options` go to the object store as they are (credentials, endpoint, timeouts).
    """

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def uri(self, table: Table, tenant_id: str | None = None) -> str:
        """Address of the table; `tenant_id` for every layer but Bronze."""
        return f"{self.root.rstrip('/')}/{table.path(tenant_id)}"

    @property
    def is_local(self) -> bool:
        return urlparse(self.root).scheme in {"", "file"}

    def existing(
        self, table: Table, tenant_id: str | None = None, *, version: int | None = None
    ) -> DeltaTable:
        """The table as it is now, or at `version`. Raises what delta-rs does, also where there is none."""
        kind = _FolderTable if self.is_local else DeltaTable
        options = dict(self.storage_options)
        return kind(self._address(table, tenant_id), version=version, storage_options=options)

    def _address(self, table: Table, tenant_id: str | None) -> str:
        """The table's address for delta-rs, which takes a folder's name for one that is escaped."""
        uri = self.uri(table, tenant_id)
        return _folder(uri).absolute().as_uri() if self.is_local else uri

    def open(self, table: Table, tenant_id: str | None = None, *, version: int | None = None) -> DeltaTable:
        """The table as it is now, or at `version`, created empty when it does not exist yet.

        Raises StorageUnavailable when the store does not answer, or has that version no more.
        """
        try:
            delta = self.existing(table, tenant_id, version=version)
        except TableNotFoundError:
            # A version that was cleaned out of the log is not found either: then the table is there.
            delta = self._create(table, tenant_id)
        except (DeltaError, OSError) as error:
            raise StorageUnavailable(f"{table.id} could not be opened ({type(error).__name__})") from error
        if version is not None and delta.version() != version:
            raise StorageUnavailable(f"the log of {table.id} does not reach back to version {version}")
        return delta

    def exists(self, table: Table, tenant_id: str | None = None) -> bool:
        try:
            return DeltaTable.is_deltatable(self._address(table, tenant_id), dict(self.storage_options))
        except (DeltaError, OSError) as error:
            raise StorageUnavailable(f"{table.id} could not be looked up ({type(error).__name__})") from error

    def _create(self, table: Table, tenant_id: str | None) -> DeltaTable:
        try:
            if self.is_local:
                _folder(self.uri(table, tenant_id)).mkdir(parents=True, exist_ok=True)
            # Without retries: a second creator's would become version 1 with another table id.
            with suppress(CommitFailedError):
                DeltaTable.create(
                    self._address(table, tenant_id),
                    schema=table.arrow_schema,
                    mode="ignore",
                    partition_by=list(table.partition_by),
                    name=table.id.replace("/", "_"),
                    description=table.description,
                    configuration=table_properties(table),
                    storage_options=dict(self.storage_options),
                    commit_properties=CommitProperties(max_commit_retries=0),
                )
            return self.existing(table, tenant_id)
        except (DeltaError, OSError) as error:
            raise StorageUnavailable(f"{table.id} could not be created ({type(error).__name__})") from error


class _FolderTable(DeltaTable):
    """A table in a folder. delta-rs tells where its files are with all but plain letters escaped, and nobody
    who reads a path undoes that."""

    def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:
        return [unquote(path) for path in super().file_uris(*args, **kwargs)]


def _folder(root: str) -> Path:
    """The folder of a local root, a path or `file://`."""
    url = urlparse(root)
    return Path(unquote(url.path) if url.scheme else root)


@dataclass(frozen=True, slots=True)
class TableStats:
    """Size of a table at a version, from its log alone."""

    rows: int
    files: int
    size_bytes: int
    version: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a log says happened up to `version`: the (tenant, date) that got rows."""

    version: int
    touched: Mapping[str, frozenset[date]]


# --------------------------------------------------------------------------------------------- reading
def scan(delta: DeltaTable, table: Table, dates: Collection[date] | None = None) -> pl.LazyFrame:
    """Rows of the table at the version it was opened at, of the given partitions only.

    Columns as declared, in order; one that the table does not have yet is null. Lazy: errors of the store
    come when it is collected, inside `reading`.
    """
    frame = pl.scan_delta(delta)
    if dates is not None:
        frame = frame.filter(pl.col(table.partition_by[0]).is_in(sorted(set(dates))))
    stored = {field.name for field in delta.schema().fields}
    return frame.select(
        pl.col(column.name) if column.name in stored else pl.lit(None, column.dtype).alias(column.name)
        for column in table.columns
    )


@contextmanager
def reading(table: Table) -> Iterator[None]:
    """Raises StorageUnavailable when files of the table cannot be read inside."""
    try:
        yield
    except (DeltaError, OSError, pl.exceptions.ComputeError) as error:
        raise StorageUnavailable(f"{table.id} could not be read ({type(error).__name__})") from None


def version_at(delta: DeltaTable, table: Table, moment: datetime) -> int:
    """The version that was current at `moment`; 0, the empty table, before its first rows.

    Raises StorageUnavailable when the log of that time has been cleaned up.
    """
    with reading(table):
        for commit in delta.history():
            if commit["timestamp"] <= moment.timestamp() * 1000:
                return int(commit["version"])
    if commit["version"] == 0:
        return 0
    raise StorageUnavailable(f"the log of {table.id} does not reach back to {moment.isoformat()}")


def partitions(delta: DeltaTable, table: Table) -> dict[date, TableStats]:
    """Rows, files and bytes of every partition that holds files, by date."""
    adds = pl.DataFrame(delta.get_add_actions(flatten=True))
    if adds.is_empty():
        return {}
    totals = (
        adds.group_by(pl.col(f"partition.{table.partition_by[0]}").alias("date"))
        .agg(pl.col("num_records").sum(), pl.len(), pl.col("size_bytes").sum())
        .sort("date")
    )
    return {
        day: TableStats(rows, files, size_bytes, delta.version())
        for day, rows, files, size_bytes in totals.iter_rows()
    }


def stats(delta: DeltaTable, table: Table) -> TableStats:
    """Rows, files and bytes of the whole table."""
    parts = partitions(delta, table).values()
    return TableStats(
        sum(part.rows for part in parts),
        sum(part.files for part in parts),
        sum(part.size_bytes for part in parts),
        delta.version(),
    )


def changes(delta: DeltaTable, table: Table, since: int | None) -> Changes:
    """Tenants and dates that got rows in the Bronze table after version `since`, by its commits' metadata.

    Every partition is looked through instead where the log does not tell: at first (`since` None), when it
    was cleaned up past `since`, or after a commit of somebody who left no metadata.
    """
    head = delta.version()
    if since == head:
        return Changes(head, {})
    with reading(table):
        commits = [] if since is None or since > head else delta.history(head - since)
        told = [TOUCHED in commit or commit["operation"] in _ADDS_NO_ROWS for commit in commits]
        if since is None or len(told) != head - since or not all(told):
            return Changes(head, _touched_by_rows(delta, table))
    touched: dict[str, set[date]] = {}
    for commit in commits:
        for tenant_id, days in json.loads(commit.get(TOUCHED, "{}")).items():
            touched.setdefault(tenant_id, set()).update(date.fromisoformat(day) for day in days)
    return Changes(head, {tenant_id: frozenset(days) for tenant_id, days in touched.items()})


def _touched_by_rows(delta: DeltaTable, table: Table) -> dict[str, frozenset[date]]:
    day = pl.col(table.partition_by[0])
    if "record_date" in table.schema:
        # Receipts are filed by publication; what they change is the day of the record.
        day = pl.coalesce("record_date", day)
    pairs = scan(delta, table).select("tenant_id", day=day).drop_nulls().unique()
    by_tenant = pairs.group_by("tenant_id").agg("day").collect(engine="streaming")
    return {tenant_id: frozenset(days) for tenant_id, days in by_tenant.iter_rows()}


# --------------------------------------------------------------------------------------------- writing
def replace_partitions(
    delta: DeltaTable,
    table: Table,
    frame: pl.DataFrame,
    dates: Collection[date],
    *,
    fence: int,
    lane: Lane = Lane.RUNNER,
) -> int:
    """Replace the partitions of `dates` with `frame`, in one commit; the new version.

    `delta` must have been opened before the rows were computed and not refreshed since. Raises LeaseLost when
    somebody else has committed since, StorageUnavailable when the store did not answer (the commit may have
    happened or not).
    """
    day = table.partition_by[0]
    if not frame.is_empty() and not set(frame[day].unique()) <= set(dates):
        raise ValueError(f"{table.id}: rows outside the replaced partitions")
    where = " OR ".join(f"{day} = '{value}'" for value in sorted(set(dates)))
    with _writing(table):
        write_deltalake(
            delta,
            frame.select(table.schema.names()).to_arrow().cast(table.arrow_schema),
            mode="overwrite",
            predicate=where,
            writer_properties=_WRITER,
            commit_properties=_fenced(fence, lane),
        )
    return delta.version()


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A parquet file of one partition that another engine wrote below the table; `path` is relative to it."""

    path: str
    day: date
    rows: int
    size_bytes: int
    modified_at: datetime


def replace_with_files(
    delta: DeltaTable,
    table: Table,
    files: Collection[WrittenFile],
    dates: Collection[date],
    *,
    fence: int,
    lane: Lane = Lane.RUNNER,
) -> int:
    """Replace the partitions of `dates` with files that are there already, in one commit; the new version.

    Raises as `replace_partitions`.
    """
    day = table.partition_by[0]
    if not {file.day for file in files} <= set(dates):
        raise ValueError(f"{table.id}: files outside the replaced partitions")
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            path=file.path,
            size=file.size_bytes,
            partition_values={day: file.day.isoformat()},
            modification_time=int(file.modified_at.timestamp() * 1000),
            data_change=True,
            stats=json.dumps({"numRecords": file.rows}),
        )
        for file in files
    ]
    with _writing(table):
        delta.create_write_transaction(
            actions,
            mode="overwrite",
            schema=table.arrow_schema,
            partition_by=list(table.partition_by),
            partition_filters=[(day, "in", sorted(value.isoformat() for value in set(dates)))],
            commit_properties=_fenced(fence, lane),
        )
        # Unlike other writes this one leaves the held table where it was: one commit behind its own.
        delta.load_as_version(delta.version() + 1)
    return delta.version()


def append(
    delta: DeltaTable,
    table: Table,
    frame: pl.DataFrame,
    *,
    fence: int,
    lane: Lane = Lane.RUNNER,
    shared: bool = False,
    touched: Mapping[str, Collection[date]] | None = None,
) -> int:
    """Append rows in one commit; the new version. Raises as `replace_partitions`.

    `shared`: other lanes write the table too; their commits since `delta` was opened are kept beside, only
    one of this lane raises LeaseLost. `touched`: in Bronze, the dates that got rows by tenant, for `changes`
    to tell of.
    """
    with _writing(table):
        write_deltalake(
            delta,
            frame.select(table.schema.names()).to_arrow().cast(table.arrow_schema),
            mode="append",
            writer_properties=_WRITER,
            commit_properties=_fenced(
                fence, lane, None if touched is None else touched_metadata(touched), shared=shared
            ),
        )
    return delta.version()


def restore(delta: DeltaTable, table: Table, version: int, *, fence: int, lane: Lane = Lane.RUNNER) -> int:
    """Undo what came after `version`, as a new commit; the new version. Raises as `replace_partitions`."""
    with _writing(table):
        delta.restore(version, commit_properties=_fenced(fence, lane))
    return delta.version()


def touched_metadata(touched: Mapping[str, Collection[date]]) -> dict[str, str]:
    """Commit metadata that tells `changes` which dates of which tenants got rows."""
    return {TOUCHED: json.dumps({tenant: sorted(map(str, touched[tenant])) for tenant in sorted(touched)})}


def _fenced(
    fence: int, lane: Lane, metadata: dict[str, str] | None = None, *, shared: bool = False
) -> CommitProperties:
    # Two commits with one app id conflict, however often the later one is tried.
    return CommitProperties(
        max_commit_retries=SHARED_RETRIES if shared else 0,
        app_transactions=[Transaction(lane.value, fence)],
        custom_metadata=metadata,
    )


@contextmanager
def _writing(table: Table) -> Iterator[None]:
    try:
        yield
    except CommitFailedError:
        raise LeaseLost(f"{table.id} was written by another runner") from None
    except (DeltaError, OSError) as error:
        raise StorageUnavailable(f"{table.id} could not be written ({type(error).__name__})") from None


# --------------------------------------------------------------------------------------------- maintenance
def compact(
    delta: DeltaTable,
    table: Table,
    *,
    fence: int | None = None,
    lane: Lane = Lane.RUNNER,
    shared: bool = False,
    from_files: int = COMPACT_FROM_FILES,
) -> int:
    """Merge the small files of partitions that have `from_files` or more; how many files fewer there are.

    With `fence` a commit of anybody else since `delta` was opened wins (LeaseLost), of this lane only when
    `shared`; without, appends that come meanwhile are kept beside.
    """
    day = table.partition_by[0]
    before = partitions(delta, table)
    crowded = [value for value, part in before.items() if part.files >= from_files]
    for value in crowded:
        with _writing(table):
            delta.optimize.compact(
                partition_filters=[(day, "=", value.isoformat())],
                target_size=TARGET_FILE_BYTES,
                writer_properties=_WRITER,
                commit_properties=None if fence is None else _fenced(fence, lane, shared=shared),
            )
    after = partitions(delta, table)
    return sum(before[value].files - after[value].files for value in crowded)


def expire(delta: DeltaTable, table: Table, *, before: date | datetime, column: str) -> int:
    """Delete rows whose `column` lies before; how many. A partition column costs no rewriting."""
    with _writing(table):
        metrics = delta.delete(f"{column} < '{before.isoformat()}'")
    return int(metrics["num_deleted_rows"] or 0)


def vacuum(
    delta: DeltaTable, table: Table, *, retention: timedelta, keep_versions: Collection[int] = ()
) -> int:
    """Remove files that no version of the last `retention`, and none of `keep_versions`, needs; how many."""
    with _writing(table):
        removed = delta.vacuum(
            retention_hours=int(retention / timedelta(hours=1)),
            dry_run=False,
            enforce_retention_duration=False,
            keep_versions=sorted(keep_versions) or None,
        )
    return len(removed)


def tidy_log(delta: DeltaTable, table: Table) -> None:
    """Write a checkpoint and remove log entries that are older than the table keeps them."""
    with _writing(table):
        delta.create_checkpoint()
        delta.cleanup_metadata()
