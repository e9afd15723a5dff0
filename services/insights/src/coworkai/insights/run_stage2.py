"""Stage 2 of some workers, or the teams, on some primary dates: published Gold to finished briefs.

    workers in batches ─▶ Prepared ─▶ by facts, or by a model, several at a time ─▶ Made ─▶ rows, a run a day

Whole workers in batches, so that memory does not grow with their number. A worker that fails is left out of
its batch and told of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from itertools import chain

import polars as pl

from coworkai.common.control import Tenant
from coworkai.common.isolation import failure, isolate
from coworkai.common.outputs import Outputs, Run, WorkerFailure
from coworkai.common.tables import (
    GOLD_BRIEFS,
    GOLD_INSIGHTS,
    GOLD_TOKEN_CONTEXTS,
)
from coworkai.insights.context import Told, told
from coworkai.insights.fact_books import team_books, worker_books
from coworkai.insights.fact_rows import DEFAULT_RULES, days_of
from coworkai.insights.gold import PinnedGold
from coworkai.insights.insights import InsightRow
from coworkai.insights.llm import Failure, NotAdmitted
from coworkai.insights.making import (
    Made,
    Newest,
    Prepared,
    Terms,
    Work,
    finish,
    prepare_team,
    prepare_worker,
    written_by_facts,
)
from coworkai.insights.publish import (
    BriefKey,
    brief_rows,
    context_rows,
    insight_rows,
    insights_by_worker,
    published_insights,
    run_id,
)
from coworkai.insights.write import BUDGET
from coworkai.insights.writing import ModelBrief, Result, Writing

PASSING = frozenset({Failure.LIMITED.value, Failure.UNAVAILABLE.value})
"""Reasons to fall back that pass by themselves, as a spent budget does the next day."""
TEAMS = "(teams)"
"""Stands for a worker in the record of a failure that is the teams'."""
_OWNER = ("date", "user_id")
_INSIGHTS_BY = (*_OWNER, "kind", "rank")

Insights = dict[str, dict[date, list[Told]]]
"""By worker and day."""


@dataclass(frozen=True)
class Inputs:
    """What the briefs of a tenant's primary dates are made from: Gold, what is published, and the terms.

    `unsettled` days have artefacts that may be missing.
    """

    tenant: Tenant
    gold: PinnedGold
    primaries: frozenset[date]
    newest: Mapping[BriefKey, Newest]
    unsettled: frozenset[date]
    terms: Terms

    def start_of(self, primary: date) -> date:
        """First day of the window of a primary date."""
        return primary - timedelta(days=self.terms.policy.brief_days - 1)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of a worker on a primary date: its brief by facts, or the work on one that waits for a model.

    `prepared` without its work, whose book would be kept with it; `insights` of that work."""

    user_id: str
    prepared: Prepared
    insights: Sequence[InsightRow] | None = None
    result: Made | Work | WorkerFailure | None = None


@dataclass
class Batch:
    """What came of some workers, or the teams, on some primary dates.

    `known`: (date, user_id) that have a brief. `relooks`: dates, and when to look at them again.
    """

    primaries: Sequence[date]
    workers: Sequence[str] = ()
    made: list[Made] = field(default_factory=list)
    known: set[tuple[date, str]] = field(default_factory=set)
    failures: dict[date, list[WorkerFailure]] = field(default_factory=lambda: defaultdict(list))
    relooks: set[tuple[date, datetime]] = field(default_factory=set)

    def note(self, primary: date, user_id: str, prepared: Prepared) -> None:
        if prepared.is_known:
            self.known.add((primary, user_id))
        if prepared.relook_at is not None:
            self.relooks.add((primary, prepared.relook_at))

    def add(self, primary: date, result: Made | WorkerFailure) -> None:
        if isinstance(result, Made):
            self.made.append(result)
        else:
            self.failures[primary].append(result)

    def news(self, newest: Mapping[BriefKey, Newest]) -> list[Made]:
        """What is not published yet."""
        return [one for one in self.made if newest.get(one.key) != Newest(one.brief.brief_id, one.version)]

    def republished(self, newest: Mapping[BriefKey, Newest]) -> list[Made]:
        """What is published, and made again for its artefacts."""
        return [one for one in self.made if newest.get(one.key) == Newest(one.brief.brief_id, one.version)]


# ------------------------------------------------------------------------------------------------- briefs
def worker_batch(
    inputs: Inputs,
    outputs: Outputs,
    workers: Sequence[str],
    primaries: Sequence[date],
    writing: Writing,
    *,
    retry_s: float,
) -> Batch:
    """Briefs of the workers on the primary dates, which ascend; `retry_s`: when a model that let nobody in is
    asked again.

    Raises StorageUnavailable, and SettingsError for a model that is not fully named.
    """
    batch = Batch(primaries, workers)
    asked: list[Work] = []
    before = days_of(inputs.start_of(primaries[0]), primaries[-1] - timedelta(days=1))
    insights = published_insights(outputs, before, workers)
    for primary in primaries:
        results, failures = isolate(partial(_outcomes, inputs, insights, primary), workers)
        batch.failures[primary] += failures
        for outcome in chain.from_iterable(results):
            batch.note(primary, outcome.user_id, outcome.prepared)
            if isinstance(outcome.result, Work):
                asked.append(outcome.result)
            elif outcome.result is not None:
                batch.add(primary, outcome.result)
            if primary != primaries[-1]:
                _tell(insights, primary, outcome)
    if asked:
        results_of = writing.write(inputs.tenant.tenant_id, inputs.terms.policy, asked)
        for work, result in zip(asked, results_of, strict=True):
            _by_model(batch, inputs, work, result, retry_s)
    return batch


def _tell(insights: Insights, primary: date, outcome: _Outcome) -> None:
    """Have the days that follow see the insights of a day as they will be published."""
    if outcome.insights is not None:
        insights.setdefault(outcome.user_id, {})[primary] = told(outcome.insights)
    elif not outcome.prepared.is_known:
        insights.get(outcome.user_id, {}).pop(primary, None)


def _outcomes(inputs: Inputs, insights: Insights, primary: date, workers: Sequence[str]) -> list[_Outcome]:
    start, again = inputs.start_of(primary), primary in inputs.unsettled
    frames = inputs.gold.worker_frames(
        primary,
        start,
        inputs.tenant.time_zone,
        baseline_days=DEFAULT_RULES.baselines.baseline_days,
        slices=DEFAULT_RULES.slices,
        workers=workers,
    )
    return [
        _outcome(inputs, prepare_worker(book, newest, inputs.terms, earlier, again=again), book.subject)
        for book in worker_books(frames, primary, start)
        for newest in [inputs.newest.get((primary, "worker", book.subject))]
        for earlier in [insights.get(book.subject, {})]
    ]


def _outcome(inputs: Inputs, prepared: Prepared, user_id: str) -> _Outcome:
    """A brief by facts is finished at once, while its book is at hand."""
    work = prepared.work
    if work is None:
        return _Outcome(user_id, prepared)
    result = work if work.waits_for_model else _by_facts(inputs, work)
    return _Outcome(user_id, replace(prepared, work=None), work.insights, result)


def team_batch(inputs: Inputs, primaries: Sequence[date]) -> Batch:
    """Briefs of the teams that anything may be told of. Raises StorageUnavailable."""
    batch = Batch(primaries)
    for primary in primaries:
        results, failures = isolate(partial(_prepared_teams, inputs, primary), [TEAMS])
        batch.failures[primary] += failures
        for prepared in chain.from_iterable(results):
            if prepared.work is not None:
                batch.add(primary, _by_facts(inputs, prepared.work))
    return batch


def _prepared_teams(inputs: Inputs, primary: date, _teams: Sequence[str]) -> list[Prepared]:
    start = inputs.start_of(primary)
    frames = inputs.gold.team_frames(primary, start, inputs.tenant.time_zone)
    return [
        prepare_team(book, newest, again=primary in inputs.unsettled)
        for book in team_books(frames, primary, start, inputs.tenant.min_group)
        for newest in [inputs.newest.get((primary, "team", book.subject))]
    ]


def _by_facts(inputs: Inputs, work: Work) -> Made | WorkerFailure:
    try:
        return finish(work, written_by_facts(work), inputs.terms, identifier=work.brief_id)
    except Exception as error:
        return failure(work.book.subject, error)


def _by_model(batch: Batch, inputs: Inputs, work: Work, result: Result, retry_s: float) -> None:
    """A model's brief; where no call was let through, the one that facts alone make until the next look."""
    primary, now = work.book.primary, inputs.terms.now
    if isinstance(result, ModelBrief):
        reason = result.written.grounding.fallback_reason
        passes = reason in PASSING or reason == BUDGET
        identifier = work.plain_id if passes else work.brief_id
        if passes:
            batch.relooks.add(
                (primary, _tomorrow(now) if reason == BUDGET else now + timedelta(seconds=retry_s))
            )
        if identifier != work.newest_id:
            batch.made.append(
                finish(
                    work,
                    result.written,
                    inputs.terms,
                    identifier=identifier,
                    provider_tokens=result.provider_tokens,
                )
            )
    elif isinstance(result, NotAdmitted):
        batch.relooks.add((primary, now + timedelta(seconds=retry_s)))
        if work.plain_id != work.newest_id:
            batch.add(primary, _by_facts(inputs, replace(work, brief_id=work.plain_id)))
    else:
        batch.failures[primary].append(failure(work.book.subject, result))


def _tomorrow(now: datetime) -> datetime:
    return datetime.combine(now.date() + timedelta(days=1), time_of_day.min, UTC)


# ------------------------------------------------------------------------------------------------- rows
def write_batch(outputs: Outputs, inputs: Inputs, batch: Batch) -> list[Run]:
    """Add the batch's new briefs and contexts, and put its insights in the place of those there were; the run
    of each day that changed. Raises as `Outputs.replace`."""
    news = batch.news(inputs.newest)
    before = insights_by_worker(outputs, batch.primaries)
    leaving, gone = _that_leave(before, batch, news)
    days = sorted({one.brief.primary_date for one in news} | gone)
    if not days:
        return []
    run_ids = {
        day: run_id(inputs.tenant.tenant_id, day, [one for one in news if one.brief.primary_date == day])
        for day in days
    }
    fresh = insight_rows(news, run_ids).sort(*_INSIGHTS_BY)
    contexts = context_rows(news, run_ids)
    outputs.append(GOLD_BRIEFS, brief_rows(news, run_ids))
    outputs.append(GOLD_TOKEN_CONTEXTS, contexts)
    stays = before.join(leaving, on=_OWNER, how="anti")
    if stays.height == before.height:
        outputs.append(GOLD_INSIGHTS, fresh)
    else:
        kept = outputs.read(GOLD_INSIGHTS, days).join(leaving, on=_OWNER, how="anti")
        outputs.replace(GOLD_INSIGHTS, pl.concat([kept, fresh]).sort(*_INSIGHTS_BY), days)
    return [
        Run(
            run_ids[day],
            (day,),
            {
                GOLD_BRIEFS.id: sum(one.brief.primary_date == day for one in news),
                GOLD_INSIGHTS.id: fresh.filter(pl.col("date") == day).height
                + int(stays.filter(pl.col("date") == day)["insights"].sum()),
                GOLD_TOKEN_CONTEXTS.id: contexts.filter(pl.col("date") == day).height,
            },
        )
        for day in days
    ]


def _that_leave(before: pl.DataFrame, batch: Batch, news: Sequence[Made]) -> tuple[pl.DataFrame, set[date]]:
    """date and user_id of those whose insights do not stay, and the days that lose some for good."""
    changed = {(day, subject) for day, kind, subject in (one.key for one in news) if kind == "worker"}
    failed = {(day, each.user_id) for day, failures in batch.failures.items() for each in failures}
    theirs = set(batch.workers)
    owners = set(before.select(_OWNER).iter_rows())
    lost = {
        owner for owner in owners if owner[1] in theirs and owner not in batch.known and owner not in failed
    }
    leaving = pl.DataFrame(sorted(changed | lost), schema=before.select(_OWNER).schema, orient="row")
    return leaving, {day for day, _ in lost}
