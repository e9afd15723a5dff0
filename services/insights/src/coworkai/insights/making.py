"""From the facts of a subject to its finished brief, without I/O.

    FactBook ─▶ is a brief wanted? ─▶ insights ─▶ deterministic draft ─▶ context ─▶ Work ─▶ (writer) ─▶ Made

Invariant: a brief's id is known before it is written, from the facts and from what writes it. A subject whose
newest brief has that id makes no work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from coworkai.common.insight_policy import InsightPolicy, Writer
from coworkai.insights.assemble import assemble, brief_id, sections_of
from coworkai.insights.brief import Brief, Draft, Grounding, Provenance
from coworkai.insights.compose import NothingToState, compose, compose_team
from coworkai.insights.context import Context, Earlier, consolidate
from coworkai.insights.facts import FactBook, FactKind, fact_id
from coworkai.insights.insights import InsightKind, InsightRow, insights_markdown, insights_of
from coworkai.insights.markdown import brief_markdown
from coworkai.insights.tokens import Tokenizer
from coworkai.insights.write import Written

RULES_VERSION = "3"
"""Raised whenever insights, context or the deterministic writer make something else of the same facts."""

SubjectKind = Literal["worker", "team"]


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest published brief of a subject and primary date."""

    brief_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What briefs are written under.

    `is_asked_for`: somebody wants this brief now, whether or not there is anything of the day, or it is over.
    """

    policy: InsightPolicy
    prompt_version: str
    gold_versions: Mapping[str, int]
    tokenizer: Tokenizer
    now: datetime
    is_asked_for: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """A brief to be written, or, where `is_published`, one whose artefacts are.

    Where `is_for_model`, `plain_id` names the brief that facts alone make instead; `newest_id` is of the one
    that is published.
    """

    book: FactBook = field(repr=False)
    kind: SubjectKind
    insights: Sequence[InsightRow] = field(repr=False)
    draft: Draft = field(repr=False)
    context: Context | None = field(repr=False)
    brief_id: str
    version: int
    is_for_model: bool = False
    plain_id: str = ""
    newest_id: str = ""

    @property
    def waits_for_model(self) -> bool:
        return self.is_for_model and not self.is_published

    @property
    def is_published(self) -> bool:
        return self.brief_id == self.newest_id


@dataclass(frozen=True, slots=True)
class Made:
    """A finished brief and what goes with it. The book is no part of it: it is much the largest."""

    brief: Brief = field(repr=False)
    version: int
    content: str = field(repr=False)
    """The brief as JSON."""
    markdown: str = field(repr=False)
    insights: Sequence[InsightRow] = field(repr=False)
    insight_documents: Mapping[str, str] = field(repr=False)
    """Markdown of the insights by kind; none of a team."""
    context: Context | None = field(repr=False)
    provider_tokens: int | None = None

    @property
    def key(self) -> tuple[date, str, str]:
        return self.brief.primary_date, self.brief.subject.kind, self.brief.subject.id


# ------------------------------------------------------------------------------------------------- when
def has_anything(book: FactBook) -> bool:
    """Whether anything arrived on the book's primary day."""
    day = book.get(fact_id(FactKind.DAY, book.subject, book.primary))
    return day is not None and any(day[flag] for flag in ("has_telemetry", "has_manifests", "has_chat"))


def model_due_at(book: FactBook) -> datetime | None:
    """When a model may write of the primary day: None for at once, as its end-of-day manifest is there; else
    when the day is over where the worker is."""
    day = book.get(fact_id(FactKind.DAY, book.subject, book.primary))
    if day is not None and day["is_eod_missing"] is False:
        return None
    midnight = datetime.combine(book.primary + timedelta(days=1), time.min, ZoneInfo(book.zone))
    return midnight.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be done about a subject: `work` where its brief is not the newest, `relook_at` where a model
    may write of it later. Where it is not `is_known` there is no brief of it."""

    work: Work | None = None
    relook_at: datetime | None = None
    is_known: bool = True


NOTHING = Prepared(is_known=False)


# ------------------------------------------------------------------------------------------------- what
def prepare_worker(
    book: FactBook, newest: Newest | None, terms: Terms, earlier: Earlier, *, again: bool = False
) -> Prepared:
    """The work on a worker's brief. `earlier`: insights of the days before, for its context. `again`: also
    where it is published already, for its artefacts.

    Raises as `render`.
    """
    if not (has_anything(book) or newest is not None or terms.is_asked_for):
        return NOTHING
    plain, modelled = _ids(book, terms)
    due_at = None if modelled is None or terms.is_asked_for else model_due_at(book)
    is_due = modelled is not None and (due_at is None or due_at <= terms.now)
    relook_at = due_at if modelled is not None and not is_due else None
    published = newest.brief_id if newest is not None else ""
    wanted = modelled if modelled is not None and (is_due or published == modelled) else plain
    if published == wanted and not again:
        return Prepared(None, relook_at)
    rows = insights_of(book)
    try:
        draft = compose(book, rows)
    except NothingToState:
        return NOTHING
    work = Work(
        book,
        "worker",
        rows,
        draft,
        consolidate(book, rows, terms.policy.context_tokens, terms.tokenizer, earlier),
        wanted,
        _version(newest, wanted),
        is_for_model=wanted == modelled,
        plain_id=plain,
        newest_id=published,
    )
    return Prepared(work, relook_at)


def prepare_team(book: FactBook, newest: Newest | None, *, again: bool = False) -> Prepared:
    """The work on a team's brief, which is always written by facts alone. Raises as `render`."""
    if newest is None and all(fact.date != book.primary for fact in book.facts.values()):
        return NOTHING
    wanted = _plain_id(book)
    published = newest.brief_id if newest is not None else ""
    if published == wanted and not again:
        return Prepared()
    try:
        draft = compose_team(book)
    except NothingToState:
        return NOTHING
    version = _version(newest, wanted)
    return Prepared(Work(book, "team", (), draft, None, wanted, version, newest_id=published))


def _version(newest: Newest | None, wanted: str) -> int:
    if newest is None:
        return 1
    return newest.version if newest.brief_id == wanted else newest.version + 1


def written_by_facts(work: Work) -> Written:
    """The deterministic brief. Raises as `render`."""
    return Written(sections_of(work.draft, work.book), Grounding())


def finish(
    work: Work, written: Written, terms: Terms, *, identifier: str, provider_tokens: int | None = None
) -> Made:
    """The finished brief under its id. Raises as `assemble`."""
    provenance = Provenance(
        writer=written.writer,
        model=written.model,
        prompt_version=written.prompt_version,
        input_tokens=written.input_tokens,
        output_tokens=written.output_tokens,
        rules_version=RULES_VERSION,
        context_id=work.context.context_id if work.context is not None else None,
        context_start=work.book.start,
        context_end=work.book.primary,
        gold_versions=dict(sorted(terms.gold_versions.items())),
    )
    brief = assemble(
        work.book,
        written.sections,
        identifier=identifier,
        subject_kind=work.kind,
        grounding=written.grounding,
        provenance=provenance,
    )
    kinds = InsightKind if work.kind == "worker" else ()
    return Made(
        brief,
        work.version,
        brief.model_dump_json(),
        brief_markdown(brief),
        work.insights,
        {kind.value: insights_markdown(work.book, work.insights, kind) for kind in kinds},
        work.context,
        provider_tokens,
    )


def _ids(book: FactBook, terms: Terms) -> tuple[str, str | None]:
    """The id of the brief that facts alone make, and of a model's where the tenant has one."""
    policy = terms.policy
    if policy.writer is Writer.DETERMINISTIC:
        return _plain_id(book), None
    modelled = brief_id(
        book,
        _offered(book),
        writer=policy.writer.value,
        model=policy.model or policy.endpoint,
        prompt_version=terms.prompt_version,
        rules_version=RULES_VERSION,
    )
    return _plain_id(book), modelled


def _plain_id(book: FactBook) -> str:
    return brief_id(
        book,
        _offered(book),
        writer=Writer.DETERMINISTIC.value,
        model=None,
        prompt_version=None,
        rules_version=RULES_VERSION,
    )


def _offered(book: FactBook) -> Collection[str]:
    # All of them: the context, the insights and what a brief falls back to are made of any.
    return book.facts.keys()
