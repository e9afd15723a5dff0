"""A tenant's dates on Spark: pinned Delta in, Silver or Gold out, by the rules that run locally.

    python -m coworkai.runner.spark_job silver --tenant acme --from 2026-03-01 --to 2026-03-31
    spark-submit … spark_job.py stage1 --tenant acme --from 2026-03-01 --to 2026-03-31

Spark reads the files of the pinned versions and writes parquet below the output tables. The driver commits
those files and publishes, under the tenant's lease and with its fence, as the runner does. So any Spark will
do, with or without Delta: Dataproc Serverless, Sail, plain Apache Spark. The runner's environment variables
name the lake and the control store, `SPARK_REMOTE` a Spark Connect server.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce
from uuid import uuid4

import polars as pl
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from coworkai.common.artifacts import ArtifactPaths, ArtifactStore
from coworkai.common.clock import utc_now
from coworkai.common.control import Control, Stage, Tenant
from coworkai.common.errors import CoworkError, LeaseLost, NotFound
from coworkai.common.lake import Lake, WrittenFile, partitions, reading
from coworkai.common.lease import HeldLease
from coworkai.common.outputs import Accounted, Facts, Outputs, Run
from coworkai.common.published import published
from coworkai.common.tables import (
    BRONZE_RECEIPTS,
    BRONZE_REPEATS,
    OPS_RUNS,
    SILVER_ORG_MEMBERS,
    Table,
)
from coworkai.common.wording import counted
from coworkai.runner import run_lattice, run_silver, run_stage1
from coworkai.runner.artifacts import batch_artifacts, day_artifacts, put_all
from coworkai.runner.bronze import DATED, PinnedBronze, event_dates
from coworkai.runner.digests import DayDigests, run_id
from coworkai.runner.pipeline import CODE_VERSION
from coworkai.runner.run_stage1 import PinnedSilver
from coworkai.runner.settings import RunnerSettings
from coworkai.runner.spark import Account, Computed, StageFunction, run_stage, spark_schema
from coworkai.runner.stages import TenantRules

BUCKETS = 64


# --------------------------------------------------------------------------------------------- the job
@dataclass(frozen=True)
class Job:
    """One tenant's local dates, on a Spark session."""

    spark: SparkSession
    lake: Lake
    store: ArtifactStore
    control: Control
    tenant: Tenant
    rules: TenantRules
    buckets: int = BUCKETS
    lattice_settle: timedelta = timedelta(days=1)

    def silver(self, held: HeldLease, bronze: PinnedBronze, days: Sequence[date]) -> list[Run]:
        """Silver of the local dates; their runs.

        Raises LeaseLost when another writer was faster, StorageUnavailable, and Spark's own errors, also for
        an accounting identity that does not hold.
        """
        started_at, dates = utc_now(), event_dates(days)
        outputs = Outputs.open(self.lake, self.tenant.tenant_id, Stage.SILVER, held.fence)
        org = run_silver.compute_org(bronze, outputs.read(SILVER_ORG_MEMBERS), self.rules)
        inputs = {
            table: self._theirs(bronze.deltas[table.id], table, dates) for table in (*DATED, BRONZE_REPEATS)
        }
        receipts = bronze.deltas[BRONZE_RECEIPTS.id]
        inputs[BRONZE_RECEIPTS] = self._theirs(
            receipts, BRONZE_RECEIPTS, partitions(receipts, BRONZE_RECEIPTS)
        ).filter(F.coalesce("record_date", "event_date").isin(dates))
        rules, members = self.rules, org.members
        with self._staged(
            inputs,
            run_silver.DAY_TABLES,
            lambda frames: rules.silver({**frames, SILVER_ORG_MEMBERS.id: members}, days, rules.tenant_zone),
            run_silver.account,
        ) as computed:
            digests = DayDigests()
            for facts in computed.facts:
                for day, rows in facts.digests.items():
                    digests.merge(day, rows)
            runs = _runs(
                computed,
                {
                    day: run_id(Stage.SILVER, self.tenant.tenant_id, [day], digests.of(day), rules.version)
                    for day in days
                },
            )
            self._write(outputs, computed, runs)
        org_runs = run_silver.write_org(outputs, org)
        self.control.mark_dirty(self.tenant.tenant_id, Stage.STAGE1, days)
        self._publish(held, outputs, [*runs, *org_runs], bronze.versions, started_at)
        return runs

    def stage1(self, held: HeldLease, silver: PinnedSilver, days: Sequence[date]) -> list[Run]:
        """Gold of the local dates, and their artefacts when it publishes; their runs. Raises as `silver`."""
        started_at, rules, members = utc_now(), self.rules, silver.org_members
        outputs = Outputs.open(self.lake, self.tenant.tenant_id, Stage.STAGE1, held.fence)
        inputs = {
            table: self._theirs(silver.deltas[table.id], table, days) for table in run_silver.DAY_TABLES
        }
        with self._staged(
            inputs,
            run_stage1.DAY_TABLES,
            lambda frames: rules.stage1(
                {**frames, SILVER_ORG_MEMBERS.id: members}, rules.tenant_zone, rules.focus
            ),
            lambda frames: run_stage1.account(frames).seconds,
        ) as computed:
            names = run_stage1.day_run_ids(silver, days, rules)
            runs = _runs(computed, names)
            self._write(outputs, computed, runs)
        weeks = sorted({run_stage1.week_of(day) for day in days})
        runs += [run_stage1.roll_up_week(outputs, silver, week, rules) for week in weeks]
        for day in days:
            gold = {table.id: outputs.read(table, [day]) for table in run_stage1.DAY_TABLES}
            put_all(self.store, batch_artifacts(silver, gold, {day: names[day]}, rules))
        run_lattice.plan(
            self.control,
            self.tenant.tenant_id,
            days,
            run_lattice.zones_of(self.tenant, silver.org_members),
            settle=self.lattice_settle,
            now=started_at,
        )
        self._publish(held, outputs, runs, silver.versions, started_at)
        self.control.mark_dirty(self.tenant.tenant_id, Stage.STAGE2, days)
        put_all(self.store, day_artifacts(silver, days, rules))
        return runs

    def _theirs(self, delta: DeltaTable, table: Table, dates: Collection[date]) -> DataFrame:
        """The tenant's rows in the partitions of the dates, at the pinned version."""
        # The partition's value is the log's to tell: engines differ in what they read from a path.
        day_column = table.partition_by[0]
        stored = spark_schema(table, day_column)
        parts = [
            self.spark.read.schema(stored).parquet(*files).withColumn(day_column, F.lit(day))
            for day in sorted(dates)
            if (files := delta.file_uris(file_pruning_predicate=[(day_column, "=", day.isoformat())]))
        ]
        if not parts:
            return self.spark.createDataFrame([], spark_schema(table))
        rows = reduce(DataFrame.unionByName, parts).filter(F.col("tenant_id") == self.tenant.tenant_id)
        # Receipts may be nobody's in particular; what else names nobody is withheld, or is no worker's day.
        return rows if table is BRONZE_RECEIPTS else rows.filter(F.col("user_id").isNotNull())

    @contextmanager
    def _staged(
        self,
        inputs: Mapping[Table, DataFrame],
        outputs: Sequence[Table],
        stage: StageFunction,
        account: Account,
    ) -> Iterator[Computed]:
        folder = f"{ArtifactPaths(self.tenant.tenant_id).root}/staging/{uuid4().hex}"
        staging = f"{self.lake.root.rstrip('/')}/{folder}"
        try:
            yield run_stage(
                self.spark, inputs, outputs, stage, account, staging=staging, buckets=self.buckets
            )
        finally:
            self.store.delete(self.store.list(folder))

    def _write(self, outputs: Outputs, computed: Computed, runs: Sequence[Run]) -> None:
        """Parquet below the tables by Spark, then the commit that puts it in the place of the days."""
        for table, rows in computed.frames.items():
            folder = uuid4().hex
            below = table.path(self.tenant.tenant_id)
            path = f"{self.lake.root.rstrip('/')}/{below}/{folder}"
            _with_run_ids(rows, runs).write.partitionBy("date").parquet(path)
            files = [
                self._written(path, table)
                for path in self.store.list(f"{below}/{folder}")
                if path.endswith(".parquet")
            ]
            outputs.replace_with_files(table, files, [run.days[0] for run in runs])

    def _written(self, path: str, table: Table) -> WrittenFile:
        file = pl.scan_parquet(
            f"{self.lake.root.rstrip('/')}/{path}",
            storage_options=dict(self.lake.storage_options) or None,
            hive_partitioning=False,
        )
        with reading(table):
            rows = file.select(pl.len()).collect().item()
        return WrittenFile(
            path.removeprefix(f"{table.path(self.tenant.tenant_id)}/"),
            date.fromisoformat(path.rsplit("/date=", 1)[1].split("/", 1)[0]),
            rows,
            self.store.size(path),
            utc_now(),
        )

    def _publish(
        self,
        held: HeldLease,
        outputs: Outputs,
        runs: Sequence[Run],
        inputs: Mapping[str, int],
        started_at: datetime,
    ) -> None:
        held.check()
        outputs.publish(runs, Facts(inputs, CODE_VERSION, self.rules.version, started_at, utc_now()))


def _runs(computed: Computed, names: Mapping[date, str]) -> list[Run]:
    """A row of `ops/runs` for every day, from what all buckets tell."""
    failures = tuple(failure for facts in computed.facts for failure in facts.failures)
    runs = []
    for day, name in sorted(names.items()):
        counts: Counter[str] = Counter()
        accounted = [facts.accounted[day] for facts in computed.facts if day in facts.accounted]
        for facts in computed.facts:
            counts.update({table_id: sums[-1] for table_id, sums in facts.digests.get(day, {}).items()})
        total = Accounted(
            sum(one.raw_us for one in accounted),
            sum(one.kept_us for one in accounted),
            sum(one.overlapped_us for one in accounted),
        )
        runs.append(Run(name, (day,), counts, total, failures))
    return runs


def _with_run_ids(rows: DataFrame, runs: Sequence[Run]) -> DataFrame:
    pairs = [F.lit(value) for run in runs for value in (run.days[0].isoformat(), run.run_id)]
    return rows.withColumn("run_id", F.create_map(*pairs)[F.col("date").cast("string")])


# --------------------------------------------------------------------------------------------- command
def configure(spark: SparkSession) -> None:
    """What the session must be set to: UTC, and timestamps as Delta stores them."""
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")


def run_job(job: Job, stage: Stage, days: Sequence[date], lease_ttl_s: float) -> list[Run]:
    """Compute a stage of the job's tenant under its lease. Raises as the stages, LeaseLost if it is taken."""
    tenant_id = job.tenant.tenant_id
    lease = job.control.lease(tenant_id, f"spark:{socket.gethostname()}:{os.getpid()}", lease_ttl_s)
    if lease is None:
        raise LeaseLost("another runner computes this tenant", remedy="try again when it has finished")
    with HeldLease(job.control, lease, lease_ttl_s) as held:
        if stage is Stage.SILVER:
            return job.silver(held, PinnedBronze.pin(job.lake, tenant_id), days)
        runs = published(job.lake.open(OPS_RUNS, tenant_id), Stage.SILVER)
        return job.stage1(held, PinnedSilver.pin(job.lake, tenant_id, runs), days)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("stage", choices=[Stage.SILVER.value, Stage.STAGE1.value])
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--from", dest="first", type=date.fromisoformat, required=True, metavar="DATE")
    parser.add_argument("--to", dest="last", type=date.fromisoformat, required=True, metavar="DATE")
    parser.add_argument(
        "--buckets", type=int, default=BUCKETS, help="calls of the rules, of whole workers each"
    )
    args = parser.parse_args(argv)
    if args.first > args.last:
        parser.error("--from is after --to")
    settings = RunnerSettings()
    control = Control(settings.control_url)
    spark = SparkSession.builder.appName(f"coworkai-{args.stage}").getOrCreate()
    configure(spark)
    try:
        tenant = control.tenant(args.tenant)
        if tenant is None:
            raise NotFound("no such tenant")
        job = Job(
            spark,
            Lake(settings.lake_uri, settings.storage_options),
            ArtifactStore.from_settings(settings),
            control,
            tenant,
            TenantRules.of_zone(tenant.time_zone),
            buckets=args.buckets,
            lattice_settle=timedelta(seconds=settings.lattice_settle_s),
        )
        days = [args.first + timedelta(days=n) for n in range((args.last - args.first).days + 1)]
        runs = run_job(job, Stage(args.stage), days, settings.lease_ttl_s)
    except CoworkError as error:
        sys.stderr.write(f"{error.message}{f': {error.remedy}' if error.remedy else ''}\n")
        return 1
    finally:
        spark.stop()
        control.close()
    rows = sum(sum(run.counts.values()) for run in runs)
    sys.stdout.write(f"{counted(len(runs), 'day')}, {counted(rows, 'row')}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
