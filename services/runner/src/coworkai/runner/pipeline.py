"""From Bronze to Silver to Gold: the runner's control flow, one line a hop.

    lease the tenant ─▶ pin marks, then versions ─▶ read ─▶ rules ─▶ verify ─▶ write ─▶ publish ─▶ clear marks

Invariants:
- marks are pinned before the versions and the policy they stand for, so what is behind a cleared mark was
  read;
- stage 1 and the lattice are marked before the publication that gives them work, so a crash in between
  repeats work and forgets none. Stage 2 looks whenever it likes, as its lane is another: it is marked after
  the publication, which it is sure to see then, and by the clearing of the marks of days that were found
  published already;
- a day is written only when its run id, a digest of its input, is not the published one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from importlib.metadata import version as distribution_version
from itertools import groupby

import polars as pl

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control, DirtyDay, Lane, Stage, Tenant
from coworkai.common.errors import AccountingError, LeaseLost, NotFound, Transient
from coworkai.common.isolation import log_failures
from coworkai.common.lake import Lake
from coworkai.common.lease import HeldLease
from coworkai.common.observability import get_logger
from coworkai.common.outputs import ComputedDay, Facts, Outputs, Run
from coworkai.common.published import published
from coworkai.common.tables import OPS_RUNS, SILVER_ORG_MEMBERS
from coworkai.runner import run_lattice, run_silver, run_stage1
from coworkai.runner.artifacts import batch_artifacts, day_artifacts, put_all
from coworkai.runner.bronze import AFTER, BEFORE, PinnedBronze
from coworkai.runner.lattice.blocks import SafetyRules
from coworkai.runner.run_stage1 import PinnedSilver
from coworkai.runner.stages import RULES_VERSION, TenantRules

log = get_logger(__name__)

CODE_VERSION = distribution_version("coworkai-runner")
STAGES = tuple(stage for stage in Stage if stage.lane is Lane.RUNNER)
"""What the runner computes; other lanes have their own services."""
DAYS_PER_COMMIT = 7
CONFLICTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Publication:
    """What became visible: stage, tenant, days, their runs and the vector of output versions."""

    stage: Stage
    tenant_id: str
    run_ids: Mapping[date, str]
    versions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage's run came to. `failed_days` lack workers, or were not published at all."""

    publications: Sequence[Publication] = ()
    failed_days: frozenset[date] = frozenset()

    @property
    def days(self) -> set[date]:
        """Days that were published."""
        return {day for publication in self.publications for day in publication.run_ids}


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """`bronze_days`: how many days of Bronze are kept; a published day whose Bronze is gone is left alone.

    `settle_s`: pause before looking whether more came while a run computed. `lattice_settle_s`: how long
    after its end a period's aggregates are published.
    """

    lease_ttl_s: float = 60
    batch_rows: int = 250_000
    bronze_days: int = 400
    settle_s: float = 0
    lattice_settle_s: float = 86_400


@dataclass(frozen=True)
class Pipeline:
    """Computes tenants. `holder` names this runner in leases; `announce` is told of every publication.

    `rules_of` gives the rules of a tenant. Safe to share between threads.
    """

    lake: Lake
    control: Control
    store: ArtifactStore
    holder: str
    rules_of: Callable[[Tenant], TenantRules]
    announce: Callable[[Publication], None]
    config: PipelineConfig = PipelineConfig()
    clock: Clock = utc_now

    # -------------------------------------------------------------------------------------- dirty days
    def run(self, tenant_id: str) -> list[Publication]:
        """Compute everything of the tenant that is dirty and not waiting, until nothing is.

        Returns at once when another runner holds the tenant: that one looks again after it has let go. Raises
        NotFound, StorageUnavailable, and LeaseLost when others kept being faster.
        """
        self._tenant(tenant_id)
        publications: list[Publication] = []
        conflicts = 0
        while self.control.dirty(STAGES, tenant_id, ready_only=True):
            lease = self.control.lease(tenant_id, self.holder, self.config.lease_ttl_s)
            if lease is None:
                break
            try:
                with HeldLease(self.control, lease, self.config.lease_ttl_s) as held:
                    publications += self._dirty_silver(held, tenant_id)
                    publications += self._dirty_stage1(held, tenant_id)
                    publications += self._dirty_lattice(held, tenant_id)
            except LeaseLost:
                conflicts += 1
                log.warning("run discarded", tenant=tenant_id, conflicts=conflicts)
                if conflicts == CONFLICTS_MAX:
                    raise
            # What came meanwhile often comes with more.
            time.sleep(self.config.settle_s)
        return publications

    def _tenant(self, tenant_id: str) -> Tenant:
        """The tenant as it is now; to be read after the marks, which may stand for a change of its policy."""
        tenant = self.control.tenant(tenant_id)
        if tenant is None:
            raise NotFound("no such tenant")
        return tenant

    def _dirty_silver(self, held: HeldLease, tenant_id: str) -> Sequence[Publication]:
        pinned = self.control.dirty(Stage.SILVER, tenant_id, ready_only=True)
        if not pinned:
            return ()
        tenant = self._tenant(tenant_id)
        with self._waiting_after_failure(held, pinned):
            bronze = PinnedBronze.pin(self.lake, tenant.tenant_id)
            outcome = self.silver(
                held,
                tenant,
                bronze,
                days_near(day.date for day in pinned),
                before_publication=partial(self.control.mark_dirty, tenant.tenant_id, Stage.STAGE1),
            )
        is_failed = {day: not outcome.failed_days.isdisjoint(days_near([day.date])) for day in pinned}
        self.control.finish_stage(
            held.lease,
            [day for day in pinned if not is_failed[day]],
            failed=[day for day in pinned if is_failed[day]],
        )
        return outcome.publications

    def _dirty_stage1(self, held: HeldLease, tenant_id: str) -> Sequence[Publication]:
        pinned = self.control.dirty(Stage.STAGE1, tenant_id, ready_only=True)
        if not pinned:
            return ()
        tenant = self._tenant(tenant_id)
        with self._waiting_after_failure(held, pinned):
            silver = self.pin_silver(tenant.tenant_id)
            outcome = self.stage1(
                held,
                tenant,
                silver,
                [day.date for day in pinned],
                before_publication=partial(self.plan_lattice, tenant, silver.org_members),
                after_publication=partial(self.control.mark_dirty, tenant.tenant_id, Stage.STAGE2),
            )
        self.control.finish_stage(
            held.lease,
            [day for day in pinned if day.date not in outcome.failed_days],
            failed=[day for day in pinned if day.date in outcome.failed_days],
            next_stage=Stage.STAGE2,
            # A run that died after it had published left these to be found unchanged.
            next_dates=[day.date for day in pinned if day.date not in outcome.days],
        )
        return outcome.publications

    def plan_lattice(self, tenant: Tenant, org_members: pl.DataFrame, days: Collection[date]) -> None:
        """Have the aggregates of the days looked at when their periods are settled."""
        run_lattice.plan(
            self.control,
            tenant.tenant_id,
            days,
            run_lattice.zones_of(tenant, org_members),
            settle=timedelta(seconds=self.config.lattice_settle_s),
            now=self.clock(),
        )

    def _dirty_lattice(self, held: HeldLease, tenant_id: str) -> Sequence[Publication]:
        pinned = self.control.dirty(Stage.LATTICE, tenant_id, ready_only=True)
        if not pinned:
            return ()
        tenant = self._tenant(tenant_id)
        with self._waiting_after_failure(held, pinned):
            outcome = self.lattice(held, tenant, [day.date for day in pinned])
        self.control.finish_stage(held.lease, pinned)
        return outcome.publications

    @contextmanager
    def _waiting_after_failure(self, held: HeldLease, pinned: Collection[DirtyDay]) -> Iterator[None]:
        """A run that fails for good makes its days wait, so that it does not spin; others are tried again."""
        try:
            yield
        except Transient:
            raise
        except Exception as error:
            log.error("run failed", error=error, tenant=held.lease.tenant_id)  # noqa: TRY400
            self.control.finish_stage(held.lease, [], failed=pinned)
            raise

    def pin_silver(self, tenant_id: str) -> PinnedSilver:
        """Silver as it is published now."""
        runs = self.lake.open(OPS_RUNS, tenant_id)
        return PinnedSilver.pin(self.lake, tenant_id, published(runs, Stage.SILVER))

    # -------------------------------------------------------------------------------------- silver
    def silver(
        self,
        held: HeldLease,
        tenant: Tenant,
        bronze: PinnedBronze,
        days: Collection[date],
        *,
        before_publication: Callable[[Collection[date]], None] = lambda _days: None,
        as_of: str | None = None,
    ) -> Outcome:
        """Compute Silver of the local dates, and of those that a changed organisation reopens; publish news.

        `before_publication` is told of the days that stage 1 is to compute. Raises LeaseLost, and nothing of
        the last commits is visible, when another runner was faster.
        """
        rules, started_at = self.rules_of(tenant), self.clock()
        outputs = Outputs.open(self.lake, tenant.tenant_id, Stage.SILVER, held.fence)
        org = run_silver.compute_org(bronze, outputs.read(SILVER_ORG_MEMBERS), rules)
        reopened = run_silver.reopened(outputs, org)
        progress = _Progress()
        for group in _groups(self._computable(outputs, {*days, *reopened})):
            computed = progress.of(
                group,
                partial(
                    run_silver.compute_day,
                    bronze,
                    org.members,
                    rules=rules,
                    batch_rows=self.config.batch_rows,
                ),
            )
            news = [day for day in computed if outputs.is_new(day.day, day.run.run_id, has_rows=day.has_rows)]
            held.check()
            runs = run_silver.write_days(outputs, news)
            changed = {*reopened.intersection(group), *(day.day for day in news)}
            before_publication(changed)
            self._publish(progress, outputs, runs, self._facts(bronze.versions, started_at, as_of))
        # Last: until it is published, a run that starts over finds the organisation changed, and reopens.
        runs = run_silver.write_org(outputs, org)
        self._publish(progress, outputs, runs, self._facts(bronze.versions, started_at, as_of))
        return progress.outcome()

    def _computable(self, outputs: Outputs, days: Collection[date]) -> list[date]:
        """Days in order, without the published ones whose Bronze is gone by now."""
        kept_from = self.clock().date() - timedelta(days=self.config.bronze_days) + BEFORE
        return sorted(day for day in days if day >= kept_from or day not in outputs.before.run_ids)

    # -------------------------------------------------------------------------------------- stage 1
    def stage1(
        self,
        held: HeldLease,
        tenant: Tenant,
        silver: PinnedSilver,
        days: Collection[date],
        *,
        before_publication: Callable[[Collection[date]], None] = lambda _days: None,
        after_publication: Callable[[Collection[date]], None] = lambda _days: None,
        as_of: str | None = None,
    ) -> Outcome:
        """Compute Gold and artefacts of the local dates, week by week; publish news.

        `before_publication` is told of the days whose aggregates change, `after_publication` of those that
        stage 2 is to compute. Raises as `silver`.
        """
        rules, started_at = self.rules_of(tenant), self.clock()
        outputs = Outputs.open(self.lake, tenant.tenant_id, Stage.STAGE1, held.fence)
        names = run_stage1.day_run_ids(silver, days, rules)
        progress = _Progress()
        for week, group in groupby(sorted(days), run_stage1.week_of):
            week_days = list(group)
            news = [day for day in week_days if outputs.is_new(day, names[day], has_rows=silver.has(day))]
            computed = progress.of(
                news,
                partial(
                    run_stage1.compute_day, silver, names, rules=rules, batch_rows=self.config.batch_rows
                ),
            )
            held.check()
            if computed:
                gold, runs = run_stage1.write_days(outputs, computed)
                runs.append(run_stage1.roll_up_week(outputs, silver, week, rules))
                run_ids = {day.day: day.run.run_id for day in computed}
                put_all(self.store, batch_artifacts(silver, gold, run_ids, rules))
                held.check()
                before_publication(run_ids)
                self._publish(
                    progress,
                    outputs,
                    runs,
                    self._facts(silver.versions, started_at, as_of),
                    after_publication,
                )
            self._put_day_artifacts(held, silver, [day for day in week_days if silver.has(day)], rules)
        return progress.outcome()

    def _put_day_artifacts(
        self, held: HeldLease, silver: PinnedSilver, days: Sequence[date], rules: TenantRules
    ) -> None:
        """Write what has one place a day; a runner that lost meanwhile asks for it to be written again."""
        try:
            held.confirm()
            put_all(self.store, day_artifacts(silver, days, rules))
            held.confirm()
        except LeaseLost:
            self.control.mark_dirty(silver.tenant_id, Stage.STAGE1, days)
            raise

    # -------------------------------------------------------------------------------------- lattice
    def lattice(self, held: HeldLease, tenant: Tenant, days: Collection[date]) -> Outcome:
        """Publish aggregates of the weeks of the local dates, as far as they are settled; plan the others.

        Raises as `silver`.
        """
        started_at = self.clock()
        kpis = run_lattice.PinnedKpis.pin(self.lake, tenant.tenant_id)
        zones = run_lattice.zones_of(tenant, kpis.org_members)
        settle = timedelta(seconds=self.config.lattice_settle_s)
        outputs = Outputs.open(self.lake, tenant.tenant_id, Stage.LATTICE, held.fence)
        progress = _Progress()
        for week, group in groupby(sorted(days), run_stage1.week_of):
            settled = [day for day in week if run_lattice.settled_at(day, zones, settle) <= started_at]
            if early := set(group).difference(settled):
                self.plan_lattice(tenant, kpis.org_members, early)
            if settled:
                rules = SafetyRules(tenant.min_group)
                runs = run_lattice.publish_week(outputs, kpis, settled, rules, started_at)
                held.check()
                facts = Facts(
                    kpis.versions, CODE_VERSION, run_lattice.RULES_VERSION, started_at, self.clock()
                )
                self._publish(progress, outputs, runs, facts)
        return progress.outcome()

    # -------------------------------------------------------------------------------------- publication
    def _facts(self, inputs: Mapping[str, int], started_at: datetime, as_of: str | None) -> Facts:
        return Facts(inputs, CODE_VERSION, RULES_VERSION, started_at, self.clock(), as_of)

    def _publish(
        self,
        progress: _Progress,
        outputs: Outputs,
        runs: Sequence[Run],
        facts: Facts,
        then: Callable[[Collection[date]], None] = lambda _days: None,
    ) -> None:
        if not runs:
            return
        outputs.publish(runs, facts)
        days = {run.days[0]: run.run_id for run in runs if len(run.days) == 1}
        then(days)
        publication = Publication(outputs.stage, outputs.tenant_id, days, outputs.versions)
        log.info(
            "published",
            tenant=outputs.tenant_id,
            stage=outputs.stage.value,
            days=len(days),
            failures=sum(len(run.failures) for run in runs),
            fence=outputs.fence,
        )
        progress.publications.append(publication)
        self.announce(publication)


def days_near(event_dates: Iterable[date]) -> set[date]:
    """Local dates whose event dates [date - 2, date + 1] hold one of these."""
    reach = range(-AFTER.days, BEFORE.days + 1)
    return {day + timedelta(days=n) for day in event_dates for n in reach}


def _groups(days: Sequence[date]) -> Iterator[Sequence[date]]:
    for start in range(0, len(days), DAYS_PER_COMMIT):
        yield days[start : start + DAYS_PER_COMMIT]


class _Progress:
    """Publications so far, and the days that failed."""

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self._failed: set[date] = set()

    def of(self, days: Iterable[date], compute: Callable[[date], ComputedDay]) -> list[ComputedDay]:
        """Computed days; one whose accounting identity does not hold fails alone and publishes nothing."""
        computed: list[ComputedDay] = []
        for day in days:
            try:
                result = compute(day)
            except AccountingError as error:
                log.error("day failed", error=error, date=day.isoformat())  # noqa: TRY400
                self._failed.add(day)
                continue
            computed.append(result)
            if result.run.failures:
                self._failed.add(day)
                log_failures(log, day, result.run.failures)
        return computed

    def outcome(self) -> Outcome:
        return Outcome(self.publications, frozenset(self._failed))
