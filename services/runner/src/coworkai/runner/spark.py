"""The same rules on Spark: Spark reads, shuffles and writes, the functions that run locally compute.

A row of Silver or Gold depends only on rows of the same worker, so workers are dealt into buckets and each
bucket is one call of the pure stage function. Spark's grouped Arrow functions take one table and give one, so
every table of a bucket travels as one row that carries an Arrow IPC stream, in and out:

    activities ─▶ bucket ─▶ pack ─┐                                     ┌─▶ unpack ─▶ activity_timeline
    keystrokes ─▶ bucket ─▶ pack ─┼─▶ union ─▶ bucket ─▶ stage ─▶ staged┼─▶ unpack ─▶ keystroke_minutes
    …          ─▶ bucket ─▶ pack ─┘            function                 └─▶ facts of the bucket

The packed results are staged as parquet before they are unpacked, so that a stage is computed once, however
many tables it writes: an engine that cannot persist, such as Sail, would compute it once a table.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce

import msgspec
import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from coworkai.common.isolation import isolate
from coworkai.common.outputs import Accounted, Frames, WorkerFailure
from coworkai.common.tables import Table
from coworkai.runner.batches import of_workers, together
from coworkai.runner.digests import DayDigests, Sums

StageFunction = Callable[[Frames], Frames]
"""Frames by table id of whole workers in, frames by table id out, columns as declared but run_id."""
Account = Callable[[Frames], Accounted]
"""Checks the accounting identities of a day's frames; raises AccountingError."""

PACKED = "bucket int, table_id string, payload binary"
_PACKED_ARROW = pa.schema([("bucket", pa.int32()), ("table_id", pa.string()), ("payload", pa.binary())])
_FACTS = "facts"


class Facts(msgspec.Struct, frozen=True):
    """What a bucket tells the driver beside its rows: digests and identity by day, rows in, failures."""

    digests: dict[date, dict[str, Sums]]
    accounted: dict[date, Accounted]
    rows_in: dict[str, int]
    failures: list[WorkerFailure]


@dataclass(frozen=True, slots=True)
class Computed:
    """A stage as staged: lazy frames by table, columns as declared but run_id; facts by bucket."""

    frames: Mapping[Table, DataFrame]
    facts: Sequence[Facts]


def run_stage(
    spark: SparkSession,
    inputs: Mapping[Table, DataFrame],
    outputs: Sequence[Table],
    stage: StageFunction,
    account: Account,
    *,
    staging: str,
    buckets: int,
) -> Computed:
    """Compute `outputs` of all workers of `inputs`, in as many buckets of whole workers.

    `staging` is a folder in the engine's file system for the packed results; the caller removes it once the
    frames have been written. Raises what Spark makes of an AccountingError in a bucket.
    """
    bucket = F.pmod(F.hash("tenant_id", "user_id"), F.lit(buckets))
    packed = [
        rows.withColumn("bucket", bucket).groupBy("bucket").applyInArrow(_pack(table.id), PACKED)
        for table, rows in inputs.items()
    ]
    compute = _compute(stage, account, tuple(inputs), tuple(outputs))
    computed = reduce(DataFrame.unionByName, packed).groupBy("bucket").applyInArrow(compute, PACKED)
    computed.write.mode("overwrite").parquet(staging)
    staged = spark.read.schema(PACKED).parquet(staging)
    facts = staged.filter(F.col("table_id") == _FACTS).toArrow()["payload"].to_pylist()
    frames = {
        table: staged.filter(F.col("table_id") == table.id).mapInArrow(_unpack, spark_schema(table, "run_id"))
        for table in outputs
    }
    return Computed(frames, [msgspec.json.decode(payload, type=Facts) for payload in facts])


def spark_schema(table: Table, *without: str) -> StructType:
    """The table's columns as Spark types; every column may be null, as in Delta."""
    fields = [field for field in table.arrow_schema if field.name not in without]
    return from_arrow_schema(pa.schema(fields))


def _pack(table_id: str) -> Callable[[pa.Table], pa.Table]:
    """One bucket of one table as one row."""

    def pack(rows: pa.Table) -> pa.Table:
        bucket = rows.column("bucket")[0].as_py()
        return _packed(bucket, {table_id: _to_ipc(rows.drop_columns(["bucket"]))})

    return pack


def _compute(
    stage: StageFunction, account: Account, inputs: Sequence[Table], outputs: Sequence[Table]
) -> Callable[[pa.Table], pa.Table]:
    """The pure stage function on one bucket; a table without rows in it arrives empty."""

    def compute(packed: pa.Table) -> pa.Table:
        frames = {table.id: table.empty() for table in inputs}
        streams = dict(
            zip(packed.column("table_id").to_pylist(), packed.column("payload").to_pylist(), strict=True)
        )
        for table in inputs:
            if table.id in streams:
                # Spark's column order and time unit are its own; the rules get what the table declares.
                rows = pl.DataFrame(pa.ipc.open_stream(streams[table.id]).read_all())
                frames[table.id] = rows.select(pl.col(c).cast(t) for c, t in table.schema.items())
        results, failures = _isolated(stage, frames)
        computed = together(results, outputs)
        facts = _facts(frames, computed, account, failures)
        payloads = {table.id: _to_ipc(_arrow_of(table, computed[table.id])) for table in outputs}
        return _packed(packed.column("bucket")[0].as_py(), payloads | {_FACTS: msgspec.json.encode(facts)})

    return compute


def _isolated(stage: StageFunction, frames: Frames) -> tuple[list[Frames], list[WorkerFailure]]:
    """Results by failing workers set aside; rows of nobody in particular are a call of their own."""
    workers = sorted({user for frame in frames.values() for user in frame["user_id"].drop_nulls().unique()})
    results, failures = isolate(lambda some: stage(of_workers(frames, some)), workers)
    nobodys = {table_id: frame.filter(pl.col("user_id").is_null()) for table_id, frame in frames.items()}
    if any(not frame.is_empty() for frame in nobodys.values()):
        results.append(stage(nobodys))
    return results, failures


def _facts(frames: Frames, computed: Frames, account: Account, failures: list[WorkerFailure]) -> Facts:
    digests = DayDigests()
    for table_id, frame in computed.items():
        digests.add(table_id, frame)
    days = {day for frame in computed.values() for day in frame["date"].unique()}
    return Facts(
        {day: dict(digests.of(day)) for day in days},
        {
            day: account({name: frame.filter(pl.col("date") == day) for name, frame in computed.items()})
            for day in days
        },
        {table_id: frame.height for table_id, frame in frames.items()},
        failures,
    )


def _unpack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for payload in batch.column("payload").to_pylist():
            yield from pa.ipc.open_stream(payload)


def _arrow_of(table: Table, frame: pl.DataFrame) -> pa.Table:
    fields = [field for field in table.arrow_schema if field.name != "run_id"]
    return frame.to_arrow().cast(pa.schema(fields))


def _to_ipc(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _packed(bucket: int, payloads: Mapping[str, bytes]) -> pa.Table:
    columns = {
        "bucket": [bucket] * len(payloads),
        "table_id": list(payloads),
        "payload": list(payloads.values()),
    }
    return pa.table(columns, schema=_PACKED_ARROW)
