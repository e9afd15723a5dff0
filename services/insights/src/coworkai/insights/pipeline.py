"""From published Gold to briefs: the control flow of Stage 2, one line a hop.

    lease the tenant ─▶ pin marks, then versions ─▶ facts ─▶ insights ─▶ context ─▶ brief ─▶ publish
                                                     ─▶ artefacts ─▶ plan re-looks ─▶ clear marks

Invariants:
- marks are pinned before the versions they stand for, so the rows of a cleared mark were read;
- a brief is written only where its id, a digest of its facts and of what writes it, is not the newest one:
  what is done twice is found done;
- a batch becomes visible by its rows in `ops/runs`. Its artefacts are written afterwards, and a run that
  finds those of the one before incomplete writes them again;
- a re-look is planned before the mark is cleared that would have led to it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib.metadata import version as distribution_version
from itertools import chain

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control, DirtyDay, Lane, Stage, Tenant
from coworkai.common.errors import LeaseLost, NotFound, Overloaded, Terminal, Transient
from coworkai.common.insight_policy import InsightPolicy, Writer
from coworkai.common.isolation import log_failures
from coworkai.common.lake import Lake
from coworkai.common.lease import HeldLease
from coworkai.common.observability import get_logger, meter, tracer
from coworkai.common.outputs import Facts, Outputs, Run, WorkerFailure
from coworkai.common.tables import GOLD_BRIEFS
from coworkai.insights.audit import publish_calls
from coworkai.insights.fact_rows import DEFAULT_RULES
from coworkai.insights.gold import PinnedGold
from coworkai.insights.making import RULES_VERSION, Made, Terms
from coworkai.insights.prompts.fill import prompts_version
from coworkai.insights.publish import (
    StoredBrief,
    complete_run,
    forget_complete,
    newest_briefs,
    put_all,
    put_complete,
    run_id,
    stored_brief,
)
from coworkai.insights.run_stage2 import Batch, Inputs, team_batch, worker_batch, write_batch
from coworkai.insights.tokens import offline_tokenizer
from coworkai.insights.writing import Writing

log = get_logger(__name__)

_briefs = meter().create_counter(
    "coworkai.insights.briefs", description="briefs published, by writer and outcome"
)

CODE_VERSION = distribution_version("coworkai-insights")
DAYS_AT_ONCE = 7
CONFLICTS_MAX = 5
WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Publication:
    """What became visible: a tenant's days, their runs, the vector of output versions and the new briefs."""

    tenant_id: str
    run_ids: Mapping[date, str]
    versions: Mapping[str, int]
    brief_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """`batch_workers`: workers at once, `model_batch` where a model writes. `retry_s`: pause before a model
    is asked again that could not be; `settle_s` before looking whether more came while a run computed."""

    lease_ttl_s: float = 60
    batch_workers: int = 400
    model_batch: int = 16
    retry_s: float = 120
    settle_s: float = 0


@dataclass
class _Progress:
    """What a run has come to so far."""

    publications: list[Publication] = field(default_factory=list)
    failures: dict[date, list[WorkerFailure]] = field(default_factory=dict)
    relooks: set[tuple[date, datetime]] = field(default_factory=set)

    def add(self, batch: Batch) -> None:
        self.relooks |= batch.relooks
        for day, failures in batch.failures.items():
            self.failures.setdefault(day, []).extend(failures)
            if failures:
                log_failures(log, day, failures)

    @property
    def failed_days(self) -> set[date]:
        return {day for day, failures in self.failures.items() if failures}


@dataclass(frozen=True)
class Pipeline:
    """Writes the briefs of tenants. `holder` names this process in leases. Safe to share between threads."""

    lake: Lake
    control: Control
    store: ArtifactStore
    holder: str
    writing: Writing
    config: PipelineConfig = PipelineConfig()
    clock: Clock = utc_now

    # ------------------------------------------------------------------------------------------ dirty days
    def run(self, tenant_id: str) -> list[Publication]:
        """Write everything of the tenant that is dirty and not waiting, until nothing is.

        Returns at once when another process holds the tenant: that one looks again after it has let go.
        Raises NotFound, StorageUnavailable, and LeaseLost when others kept being faster.
        """
        tenant = self._tenant(tenant_id)
        publications: list[Publication] = []
        conflicts = 0
        while self.control.dirty(Stage.STAGE2, tenant_id, ready_only=True):
            try:
                with self._held(tenant_id) as held:
                    if held is None:
                        break
                    publications += self._dirty(held, tenant)
            except LeaseLost:
                conflicts += 1
                log.warning("run discarded", tenant=tenant_id, conflicts=conflicts)
                if conflicts == CONFLICTS_MAX:
                    raise
            # What came meanwhile often comes with more.
            time.sleep(self.config.settle_s)
        return publications

    def _dirty(self, held: HeldLease, tenant: Tenant) -> Sequence[Publication]:
        pinned = self.control.dirty(Stage.STAGE2, tenant.tenant_id, ready_only=True)
        if not pinned:
            return ()
        with self._waiting_after_failure(held, pinned):
            policy = self.control.insight_policy(tenant.tenant_id)
            gold = PinnedGold.pin(self.lake, self.store, tenant.tenant_id)
            outputs = Outputs.open(self.lake, tenant.tenant_id, Stage.STAGE2, held.fence)
            reach = {day.date: reopened(day.date, outputs.days(GOLD_BRIEFS), policy) for day in pinned}
            inputs = self._inputs(tenant, policy, gold, outputs, {*chain.from_iterable(reach.values())})
            progress = self._write_days(held, outputs, inputs, sorted(inputs.primaries))
        for day, due_at in sorted(progress.relooks):
            self.control.plan(tenant.tenant_id, Stage.STAGE2, [day], due_at)
        is_failed = {day: not progress.failed_days.isdisjoint(reach[day.date]) for day in pinned}
        self.control.finish_stage(
            held.lease,
            [day for day in pinned if not is_failed[day]],
            failed=[day for day in pinned if is_failed[day]],
        )
        return progress.publications

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

    # ------------------------------------------------------------------------------------------ one brief
    def write(self, tenant_id: str, user_id: str, day: date) -> list[Publication]:
        """Write the worker's brief of the day now, whether or not anything of the day is new; nothing where
        it is the newest already.

        Raises NotFound (no such tenant, or nothing is known of the worker), Overloaded (another process
        writes for the tenant), Terminal (it failed), StorageUnavailable, LeaseLost.
        """
        tenant = self._tenant(tenant_id)
        with self._held(tenant_id) as held:
            if held is None:
                raise Overloaded("briefs of the tenant are being written", remedy="try again in a moment")
            policy = self.control.insight_policy(tenant_id)
            gold = PinnedGold.pin(self.lake, self.store, tenant_id)
            outputs = Outputs.open(self.lake, tenant_id, Stage.STAGE2, held.fence)
            inputs = self._inputs(tenant, policy, gold, outputs, {day}, is_asked_for=True)
            batch = worker_batch(inputs, outputs, [user_id], [day], self.writing, retry_s=self.config.retry_s)
            if failures := batch.failures[day]:
                raise Terminal(f"the brief failed with {failures[0].error_type} in {failures[0].location}")
            if (day, user_id) not in batch.known:
                raise NotFound("nothing is known of the worker in the days before")
            progress = _Progress()
            self._publish(held, outputs, inputs, batch, progress)
            if day not in inputs.unsettled:
                self._settle(inputs, outputs, progress, [day])
            for again, due_at in sorted(batch.relooks):
                self.control.plan(tenant_id, Stage.STAGE2, [again], due_at)
        return progress.publications

    # ------------------------------------------------------------------------------------------ batches
    def _write_days(
        self, held: HeldLease, outputs: Outputs, inputs: Inputs, primaries: Sequence[date]
    ) -> _Progress:
        progress = _Progress()
        for start in range(0, len(primaries), DAYS_AT_ONCE):
            group = primaries[start : start + DAYS_AT_ONCE]
            for workers in self._batches(inputs, group):
                with tracer().start_as_current_span("insights batch"):
                    batch = worker_batch(
                        inputs, outputs, workers, group, self.writing, retry_s=self.config.retry_s
                    )
                    self._publish(held, outputs, inputs, batch, progress)
                    # Not beside the next one.
                    del batch
            self._publish(held, outputs, inputs, team_batch(inputs, group), progress)
            self._publish_failures(held, outputs, inputs, progress, group)
            self._settle(inputs, outputs, progress, group)
        return progress

    def _batches(self, inputs: Inputs, primaries: Sequence[date]) -> Iterator[Sequence[str]]:
        days = {
            primary - timedelta(days=n)
            for primary in primaries
            for n in range(inputs.terms.policy.brief_days)
        }
        with_briefs = {subject for day, kind, subject in inputs.newest if kind == WORKER and day in primaries}
        workers = sorted({*inputs.gold.workers(sorted(days)), *with_briefs})
        has_model = inputs.terms.policy.writer is not Writer.DETERMINISTIC
        size = self.config.model_batch if has_model else self.config.batch_workers
        for start in range(0, len(workers), size):
            yield workers[start : start + size]

    def _publish(
        self, held: HeldLease, outputs: Outputs, inputs: Inputs, batch: Batch, progress: _Progress
    ) -> None:
        """Write the batch's rows, make them visible, then write its artefacts and the record of its calls."""
        progress.add(batch)
        held.check()
        started_at = self.clock()
        runs = write_batch(outputs, inputs, batch)
        held.check()
        news = batch.news(inputs.newest)
        if runs:
            facts = self._facts(inputs, started_at)
            progress.publications.append(self._make_visible(outputs, runs, facts, news))
        republished = [
            (one, stored_brief(outputs, one.key, one.version)) for one in batch.republished(inputs.newest)
        ]
        self._put_artifacts(held, [*((one, None) for one in news), *republished], batch.primaries)
        publish_calls(self.lake, self.control, outputs.tenant_id, outputs.fence)

    def _facts(self, inputs: Inputs, started_at: datetime) -> Facts:
        return Facts(inputs.gold.versions, CODE_VERSION, RULES_VERSION, started_at, self.clock())

    def _make_visible(
        self, outputs: Outputs, runs: Sequence[Run], facts: Facts, briefs: Sequence[Made] = ()
    ) -> Publication:
        outputs.publish(runs, facts)
        run_ids = {run.days[0]: run.run_id for run in runs}
        publication = Publication(
            outputs.tenant_id, run_ids, outputs.versions, [one.brief.brief_id for one in briefs]
        )
        for one in briefs:
            outcome = one.brief.grounding.fallback_reason or "written"
            _briefs.add(1, {"writer": one.brief.provenance.writer, "outcome": outcome})
        log.info(
            "published",
            tenant=outputs.tenant_id,
            stage=outputs.stage.value,
            days=len(run_ids),
            briefs=len(briefs),
            failures=sum(len(run.failures) for run in runs),
            fence=outputs.fence,
        )
        return publication

    def _put_artifacts(
        self,
        held: HeldLease,
        made: Sequence[tuple[Made, StoredBrief | None]],
        days: Collection[date],
    ) -> None:
        """A process that lost the tenant meanwhile asks for them to be written again."""
        if not made:
            return
        tenant_id = held.lease.tenant_id
        try:
            held.confirm()
            put_all(self.store, made)
            held.confirm()
        except LeaseLost:
            forget_complete(self.store, tenant_id, days)
            self.control.mark_dirty(tenant_id, Stage.STAGE2, days)
            raise

    def _publish_failures(
        self,
        held: HeldLease,
        outputs: Outputs,
        inputs: Inputs,
        progress: _Progress,
        days: Sequence[date],
    ) -> None:
        """Record the workers that failed, once, and that there are none any more."""
        partial = outputs.before.partial
        tenant_id, started_at = outputs.tenant_id, self.clock()
        runs = [
            Run(run_id(tenant_id, day, (), failures), (day,), {}, failures=tuple(failures))
            for day in days
            for failures in [progress.failures.get(day, [])]
            if bool(failures) != (day in partial) or (failures and self._is_published(progress, day))
        ]
        if runs:
            held.check()
            facts = self._facts(inputs, started_at)
            progress.publications.append(self._make_visible(outputs, runs, facts))

    @staticmethod
    def _is_published(progress: _Progress, day: date) -> bool:
        return any(day in publication.run_ids for publication in progress.publications)

    def _settle(self, inputs: Inputs, outputs: Outputs, progress: _Progress, days: Sequence[date]) -> None:
        """Record of the days which run's artefacts are there, now that all of them are."""
        for day in days:
            published = [one.run_ids[day] for one in progress.publications if day in one.run_ids]
            newest = published[-1] if published else outputs.before.run_ids.get(day)
            if newest is not None and (published or day in inputs.unsettled):
                put_complete(self.store, outputs.tenant_id, day, newest)

    # ------------------------------------------------------------------------------------------ plumbing
    def _inputs(
        self,
        tenant: Tenant,
        policy: InsightPolicy,
        gold: PinnedGold,
        outputs: Outputs,
        primaries: Collection[date],
        *,
        is_asked_for: bool = False,
    ) -> Inputs:
        unsettled = {
            day
            for day in primaries
            if (run := outputs.before.run_ids.get(day)) is not None
            and complete_run(self.store, tenant.tenant_id, day) != run
        }
        terms = Terms(
            policy,
            prompts_version(),
            gold.versions,
            offline_tokenizer(),
            self.clock(),
            is_asked_for=is_asked_for,
        )
        newest = newest_briefs(outputs, primaries)
        return Inputs(tenant, gold, frozenset(primaries), newest, frozenset(unsettled), terms)

    def _tenant(self, tenant_id: str) -> Tenant:
        tenant = self.control.tenant(tenant_id)
        if tenant is None:
            raise NotFound("no such tenant")
        return tenant

    @contextmanager
    def _held(self, tenant_id: str) -> Iterator[HeldLease | None]:
        """The tenant's lease while it is held; None where another process has it."""
        lease = self.control.lease(tenant_id, self.holder, self.config.lease_ttl_s, Lane.INSIGHTS)
        if lease is None:
            yield None
            return
        with HeldLease(self.control, lease, self.config.lease_ttl_s) as held:
            yield held


def reopened(day: date, with_briefs: Collection[date], policy: InsightPolicy) -> set[date]:
    """Primary dates whose briefs a change of the day reaches: the day, and those with briefs whose window or
    whose baselines read it."""
    reach = max(policy.brief_days - 1, DEFAULT_RULES.baselines.baseline_days)
    following = {day + timedelta(days=n) for n in range(1, reach + 1)}
    return {day, *following.intersection(with_briefs)}
