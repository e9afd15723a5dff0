"""Stage 2 of some workers, or the teams, on some primary dates: published Gold to finished briefs.

    workers in batches ─▶ Prepared ─▶ by facts, or by a model, several at a time ─▶ Made ─▶ rows, a run a day

Whole workers in batches, so that memory does not grow with their number. A worker that fails is left out of
its batch and told of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial

import polars as pl

from coworkai.common.control import Tenant
from coworkai.common.isolation import failure, isolate
from coworkai.common.outputs import Outputs, Run, WorkerFailure
from coworkai.common.tables import (
    GOLD_BRIEFS,
    GOLD_INSIGHTS,
    GOLD_KPI_DAILY,
    GOLD_TOKEN_CONTEXTS,
    SILVER_ORG_MEMBERS,
)
from coworkai.insights.context import Told, told
from coworkai.insights.fact_books import team_books, worker_books
from coworkai.insights.fact_rows import DEFAULT_RULES, days_of
from coworkai.insights.gold import PinnedGold
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
    published_insights,
    run_id,
)
from coworkai.insights.team_cells import week_of
from coworkai.insights.write import BUDGET
from coworkai.insights.writing import ModelBrief, Result, Writing

PASSING = frozenset({Failure.LIMITED.value, Failure.UNAVAILABLE.value})
"""Reasons to fall back that pass by themselves, as a spent budget does the next day."""
TEAMS = "(teams)"
"""Stands for a worker in the record of a failure that is the teams'."""


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
    works: list[Work] = []
    before = days_of(inputs.start_of(primaries[0]), primaries[-1] - timedelta(days=1))
    insights = published_insights(outputs, before, workers)
    for primary in primaries:
        results, failures = isolate(partial(_prepared, inputs, insights, primary), workers)
        batch.failures[primary] += failures
        for user_id, prepared in (each for result in results for each in result):
            batch.note(primary, user_id, prepared)
            if prepared.work is not None:
                works.append(prepared.work)
            if primary != primaries[-1]:
                _tell(insights, primary, user_id, prepared)
    asked = [work for work in works if work.is_for_model and not work.is_published]
    _by_facts(batch, inputs, (work for work in works if work.is_published or not work.is_for_model))
    if asked:
        results_of = writing.write(inputs.tenant.tenant_id, inputs.terms.policy, asked)
        for work, result in zip(asked, results_of, strict=True):
            _by_model(batch, inputs, work, result, retry_s)
    return batch


def _tell(insights: Insights, primary: date, user_id: str, prepared: Prepared) -> None:
    """Have the days that follow see the insights of a day as they will be published."""
    if prepared.work is not None:
        insights.setdefault(user_id, {})[primary] = told(prepared.work.insights)
    elif not prepared.is_known:
        insights.get(user_id, {}).pop(primary, None)


def _prepared(
    inputs: Inputs, insights: Insights, primary: date, workers: Sequence[str]
) -> list[tuple[str, Prepared]]:
    start, again = inputs.start_of(primary), primary in inputs.unsettled
    frames = inputs.gold.frames(
        primary,
        start,
        inputs.tenant.time_zone,
        baseline_days=DEFAULT_RULES.baselines.baseline_days,
        workers=workers,
    )
    return [
        (book.subject, prepare_worker(book, newest, inputs.terms, earlier, again=again))
        for book in worker_books(frames, primary, start)
        for newest in [inputs.newest.get((primary, "worker", book.subject))]
        for earlier in [insights.get(book.subject, {})]
    ]


def team_batch(inputs: Inputs, primaries: Sequence[date]) -> Batch:
    """Briefs of the teams that anything may be told of. Raises StorageUnavailable."""
    batch = Batch(primaries)
    works: list[Work] = []
    for primary in primaries:
        results, failures = isolate(partial(_prepared_teams, inputs, primary), [TEAMS])
        batch.failures[primary] += failures
        works += [prepared.work for result in results for prepared in result if prepared.work is not None]
    _by_facts(batch, inputs, works)
    return batch


def _prepared_teams(inputs: Inputs, primary: date, _teams: Sequence[str]) -> list[Prepared]:
    gold, start = inputs.gold, inputs.start_of(primary)
    weeks = days_of(week_of(start), primary)
    # Of the workers only what says how many they are.
    frames = replace(
        gold.frames(primary, start, inputs.tenant.time_zone, baseline_days=0, workers=()),
        kpi_daily=gold.read(GOLD_KPI_DAILY, weeks),
        jobs=pl.concat([SILVER_ORG_MEMBERS.empty(), *(gold.jobs(day) for day in weeks)]),
    )
    return [
        prepare_team(book, newest, again=primary in inputs.unsettled)
        for book in team_books(frames, primary, start, inputs.tenant.min_group)
        for newest in [inputs.newest.get((primary, "team", book.subject))]
    ]


def _by_facts(batch: Batch, inputs: Inputs, works: Iterable[Work]) -> None:
    for work in works:
        try:
            made = finish(work, written_by_facts(work), inputs.terms, identifier=work.brief_id)
        except Exception as error:
            batch.failures[work.book.primary].append(failure(work.book.subject, error))
        else:
            batch.made.append(made)


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
            _by_facts(batch, inputs, [replace(work, brief_id=work.plain_id)])
    else:
        batch.failures[primary].append(failure(work.book.subject, result))


def _tomorrow(now: datetime) -> datetime:
    return datetime.combine(now.date() + timedelta(days=1), time_of_day.min, UTC)


# ------------------------------------------------------------------------------------------------- rows
def write_batch(outputs: Outputs, inputs: Inputs, batch: Batch) -> list[Run]:
    """Add the batch's new briefs and contexts, and put its insights in the place of those there were; the run
    of each day that changed. Raises as `Outputs.replace`."""
    news = batch.news(inputs.newest)
    before = outputs.read(GOLD_INSIGHTS, batch.primaries)
    stays, gone = _that_stay(before, batch, news)
    days = sorted({one.brief.primary_date for one in news} | gone)
    if not days:
        return []
    run_ids = {
        day: run_id(inputs.tenant.tenant_id, day, [one for one in news if one.brief.primary_date == day])
        for day in days
    }
    fresh = insight_rows(news, run_ids)
    contexts = context_rows(news, run_ids)
    outputs.append(GOLD_BRIEFS, brief_rows(news, run_ids))
    outputs.append(GOLD_TOKEN_CONTEXTS, contexts)
    insights = pl.concat([stays.filter(pl.col("date").is_in(days)), fresh])
    outputs.replace(GOLD_INSIGHTS, insights.sort("date", "user_id", "kind", "rank"), days)
    return [
        Run(
            run_ids[day],
            (day,),
            {
                GOLD_BRIEFS.id: sum(one.brief.primary_date == day for one in news),
                GOLD_INSIGHTS.id: insights.filter(pl.col("date") == day).height,
                GOLD_TOKEN_CONTEXTS.id: contexts.filter(pl.col("date") == day).height,
            },
        )
        for day in days
    ]


def _that_stay(before: pl.DataFrame, batch: Batch, news: Sequence[Made]) -> tuple[pl.DataFrame, set[date]]:
    """Insights of workers whose brief is as it was, and the days that lose some for good."""
    changed = {(day, subject) for day, kind, subject in (one.key for one in news) if kind == "worker"}
    failed = {(day, each.user_id) for day, failures in batch.failures.items() for each in failures}
    theirs = set(batch.workers)
    owners = set(before.select("date", "user_id").unique().iter_rows())
    lost = {
        owner for owner in owners if owner[1] in theirs and owner not in batch.known and owner not in failed
    }
    schema = {"date": pl.Date, "user_id": pl.String}
    leaving = pl.DataFrame(sorted(changed | lost), schema=schema, orient="row")
    return before.join(leaving, on=["date", "user_id"], how="anti"), {day for day, _ in lost}
