"""The write path: a brief's statements, by a model where there is one, by facts alone in any case.

    model: draft ─▶ each statement through the gate ─▶ one repair ─▶ replace ─▶ fill ─▶ Sections
             └─ no usable draft ─▶ the deterministic one, with the reason

Invariants:
- what a model writes is a statement of the draft's schema in one of its sections, or nothing: subject, dates,
  evidence and schema are never its own;
- every statement of a model passed the gate, or the deterministic sentence for its facts stands in its place;
- at most two calls are made for a brief: a draft, and either the draft again or a repair;
- there is a headline, and what the data lacks is said, whatever the model left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Literal, Protocol

from coworkai.common.observability import meter
from coworkai.insights.assemble import Sections, sections_of, stated
from coworkai.insights.brief import Draft, Grounding, Origin, Stated, StatedInsight, Statement
from coworkai.insights.brief import StatementKind as Kind
from coworkai.insights.facts import Fact, FactBook, FactKind, Status
from coworkai.insights.grounding import violations
from coworkai.insights.llm import (
    A,
    Again,
    BudgetSpent,
    Completion,
    Malformed,
    Model,
    ModelError,
    NotAdmitted,
    Prompt,
    Usage,
)
from coworkai.insights.phrases import sentence_for
from coworkai.insights.prompts.fill import (
    OfferedIds,
    brief_prompt,
    prompts_version,
    redraft_prompt,
    repair_prompt,
)

SECTION_MAX, DATA_QUALITY_MAX = 4, 6
BUDGET, NOT_ADMITTED = "budget", "not_admitted"
"""Reasons to fall back that are ours; the others are those of `llm.Failure`."""

Cited = tuple[str, str]
"""A fact's id and a field of it."""

_PRESCRIPTIVE = frozenset({Kind.NEXT_STEP, Kind.RECOMMENDATION})
_UNFINISHED = frozenset({Status.OPEN, Status.MISSED, Status.UNREPORTED, Status.BLOCKER})

_statements = meter().create_counter(
    "brief_statements", description="statements that models drafted, by what became of them"
)
_fallbacks = meter().create_counter(
    "brief_fallbacks", description="briefs that are deterministic though a model was asked, by reason"
)


class Metered(Protocol):
    """What stands between the write path and a model: budget, rate limit, audit."""

    async def __call__(
        self, model: Model, prompt: Prompt[A], do: Callable[[Again], Awaitable[Completion[A]]], /
    ) -> Completion[A]:
        """Makes the call by `do`, or does not. Raises what that raises, NotAdmitted and BudgetSpent."""
        ...


async def unmetered(
    _model: Model, _prompt: Prompt[A], do: Callable[[Again], Awaitable[Completion[A]]], /
) -> Completion[A]:
    """A call without limits."""
    return await do(_at_once)


async def _at_once() -> None:
    return


@dataclass(frozen=True, slots=True)
class Written:
    """The statements of a brief and how they came to be.

    `writer` is deterministic where no draft of a model was of use. `model` and `prompt_version` are of the
    model that was asked, even so; tokens and attempts are of all its calls.
    """

    sections: Sections
    grounding: Grounding
    writer: Literal["deterministic", "gemini", "endpoint", "openai"] = "deterministic"
    model: str | None = None
    prompt_version: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    attempts: int = 0


async def write_brief(
    book: FactBook,
    deterministic: Draft,
    offered: Sequence[str],
    *,
    context: str = "",
    model: Model | None = None,
    call: Metered = unmetered,
    may_wait: bool = True,
) -> Written:
    """The statements of the book's brief.

    `deterministic` is the brief that facts alone make, `offered` the facts that a model may cite
    (`offer.py`), `context` the consolidated context's markdown. Raises NotAdmitted where our own limits leave
    no room for the first call, and nothing was spent; without `may_wait` that is a reason to fall back, too.
    """
    alone = sections_of(deterministic, book)
    if model is None:
        return Written(alone, Grounding())
    calls = _Calls(model, call)
    try:
        draft, may_repair = await _draft(calls, brief_prompt(book, offered, context))
    except ModelError as error:
        return _fallen_back(alone, calls, error.failure.value)
    except BudgetSpent:
        return _fallen_back(alone, calls, BUDGET)
    except NotAdmitted:
        if may_wait:
            raise
        return _fallen_back(alone, calls, NOT_ADMITTED)
    page = _Page(book, offered)
    drafted = _placed(draft, page.ids)
    settled, refused = _gated(page, drafted)
    repairs = await _repairs(calls, page, refused, drafted) if refused and may_repair else {}
    settled |= _repaired(page, repairs)
    if 0 not in settled:
        settled[0] = page.kept(alone.headline.model_copy(update={"origin": Origin.REPLACED}))
    replacing = {number: drafted[number] for number in refused if number not in settled}
    sections = _arranged(page, draft, settled, replacing, alone)
    return calls.written(sections, _counted(sections, len(drafted)), model.provider.value)


# ------------------------------------------------------------------------------------------------- calls


@dataclass
class _Calls:
    """The calls for one brief and what they came to."""

    model: Model
    call: Metered
    usages: list[Usage] = field(default_factory=list)

    async def answer(self, prompt: Prompt[A]) -> A:
        """Raises ModelError, NotAdmitted, BudgetSpent."""

        async def do(again: Again) -> Completion[A]:
            return await self.model.draft(prompt, again)

        try:
            completion = await self.call(self.model, prompt, do)
        except ModelError as error:
            self.usages.append(error.usage)
            raise
        self.usages.append(completion.usage)
        return completion.answer

    def written(
        self,
        sections: Sections,
        grounding: Grounding,
        writer: Literal["deterministic", "gemini", "endpoint", "openai"],
    ) -> Written:
        return Written(
            sections,
            grounding,
            writer,
            self.model.name,
            prompts_version(),
            sum(usage.input_tokens or 0 for usage in self.usages),
            sum(usage.output_tokens or 0 for usage in self.usages),
            sum(usage.attempts for usage in self.usages),
        )


def _fallen_back(alone: Sections, calls: _Calls, reason: str) -> Written:
    _fallbacks.add(1, {"reason": reason})
    return calls.written(alone, Grounding(fallback_reason=reason), "deterministic")


async def _draft(calls: _Calls, prompt: Prompt[Draft]) -> tuple[Draft, bool]:
    """A draft, and whether the one repair is still to be had: a malformed answer is asked for again."""
    try:
        return await calls.answer(prompt), True
    except Malformed as malformed:
        try:
            return await calls.answer(redraft_prompt(prompt, malformed.problems)), False
        except (NotAdmitted, BudgetSpent):
            # The first call was made: waiting would pay for it again.
            raise malformed from None


async def _repairs(
    calls: _Calls, page: _Page, refused: Mapping[int, Sequence[str]], drafted: Sequence[Statement]
) -> dict[int, Statement]:
    """The model's other attempts by number; none where it brings none, for replacements are at hand."""
    listed = [(number, drafted[number], rules) for number, rules in refused.items()]
    try:
        answer = await calls.answer(repair_prompt(page.book, page.offered, listed))
    except (ModelError, NotAdmitted, BudgetSpent):
        return {}
    return {
        repair.number: page.ids.restored(repair.statement).model_copy(
            update={"kind": drafted[repair.number].kind}
        )
        for repair in answer.repairs
        if repair.number in refused
    }


# ------------------------------------------------------------------------------------------- statements


@dataclass
class _Page:
    """The brief as far as it is written: what may come next, and what has been said."""

    book: FactBook
    offered: Sequence[str]
    texts: set[str] = field(default_factory=set)
    fields: set[Cited] = field(default_factory=set)
    said: set[tuple[Kind, frozenset[Cited]]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ids = OfferedIds(self.book, self.offered)

    def refusals(self, statement: Statement) -> list[str]:
        """What forbids a statement, in words for the model; nothing of one that may be published."""
        template = statement.text_template
        return [
            f"{found.rule.value}: {found.detail}, at “{template[found.start : found.end]}”"
            for found in violations(statement, self.book, self.offered)
        ]

    def take(self, statement: Statement, origin: Origin) -> Stated | None:
        """The statement written out; None where the brief says it already."""
        one = stated(statement, self.book, origin)
        fields = _fields(one)
        is_said = bool(fields) and (one.kind, frozenset(fields)) in self.said
        return None if is_said or one.text.casefold() in self.texts else self.kept(one)

    def kept(self, one: Stated) -> Stated:
        fields = _fields(one)
        self.texts.add(one.text.casefold())
        self.fields |= fields
        self.said.add((one.kind, frozenset(fields)))
        return one

    def is_news(self, one: Stated) -> bool:
        """Whether it says what the brief does not say yet; advice may come back to what was said."""
        fields = _fields(one)
        is_stated = bool(fields) and self.fields.issuperset(fields) and one.kind not in _PRESCRIPTIVE
        return not is_stated and one.text.casefold() not in self.texts

    def news(self, statements: Iterable[Stated]) -> list[Stated]:
        """Those of the deterministic brief's statements that are news."""
        return [self.kept(one) for one in statements if self.is_news(one)]

    def replacement(self, refused: Statement) -> Stated | None:
        """The deterministic sentence for a refused statement's facts, those that belong in its section; None
        where there are none, or it would be no news."""
        cited = (self.book[claim.fact_id] for claim in refused.claims if claim.fact_id in self.offered)
        fitting = [fact.fact_id for fact in cited if _belongs(fact, refused.kind)]
        sentence = sentence_for(fitting, refused.kind, self.book)
        if sentence is None or not _fields(sentence):
            return None
        one = stated(sentence, self.book, Origin.REPLACED)
        return self.kept(one) if self.is_news(one) else None


def _belongs(fact: Fact, kind: Kind) -> bool:
    """Whether a plain sentence on the fact has its place among statements of the kind."""
    status = fact.get("status")
    is_unfinished = status is not None and status.value in _UNFINISHED
    match kind:
        case Kind.BLOCKER:
            return is_unfinished
        case Kind.NEXT_STEP | Kind.RECOMMENDATION:
            return is_unfinished or fact.kind is FactKind.FOCUS
        case Kind.DATA_QUALITY:
            return fact.kind is FactKind.DAY
        case _:
            return True


def _placed(draft: Draft, ids: OfferedIds) -> list[Statement]:
    """A draft's statements in reading order, of the kind of their section whatever they say they are."""

    def each() -> Iterator[tuple[Statement, Kind]]:
        yield draft.headline, Kind.HEADLINE
        yield from ((one, Kind.MOMENTUM) for one in draft.momentum)
        yield from ((one, Kind.BLOCKER) for one in draft.blockers)
        yield from ((one, Kind.NEXT_STEP) for one in draft.next_steps)
        for pair in draft.insights:
            yield pair.insight, Kind.INSIGHT
            yield pair.recommendation, Kind.RECOMMENDATION
        yield from ((one, Kind.DATA_QUALITY) for one in draft.data_quality)

    return [ids.restored(one).model_copy(update={"kind": kind}) for one, kind in each()]


def _gated(page: _Page, drafted: Sequence[Statement]) -> tuple[dict[int, Stated], dict[int, list[str]]]:
    """By number: the accepted statements, and what is wrong with the refused; repeats are in neither."""
    settled: dict[int, Stated] = {}
    refused: dict[int, list[str]] = {}
    for number, statement in enumerate(drafted):
        if rules := page.refusals(statement):
            refused[number] = rules
        elif (one := page.take(statement, Origin.ACCEPTED)) is not None:
            settled[number] = one
    return settled, refused


def _repaired(page: _Page, repairs: Mapping[int, Statement]) -> dict[int, Stated]:
    """By number: the repairs that passed the gate, and are not said already."""
    passed = {
        number: page.take(one, Origin.REPAIRED)
        for number, one in sorted(repairs.items())
        if not page.refusals(one)
    }
    return {number: one for number, one in passed.items() if one is not None}


def _arranged(
    page: _Page,
    draft: Draft,
    settled: Mapping[int, Stated],
    replacing: Mapping[int, Statement],
    alone: Sections,
) -> Sections:
    """The settled statements in the sections that they were drafted for, and sentences for what was refused.

    A section with nothing of the model's begins with the deterministic brief's statements, for so poor a
    model is no guide to what matters; its notes on the data are there in any case.
    """
    numbers = count(1)

    def placed(number: int) -> Stated | None:
        if number in settled:
            return settled[number]
        return page.replacement(replacing[number]) if number in replacing else None

    def section(
        drafted: Sequence[Statement], spare: Sequence[Stated], room: int = SECTION_MAX
    ) -> tuple[Stated, ...]:
        own = list(islice(numbers, len(drafted)))
        first = [] if any(number in settled for number in own) else page.news(spare)
        return tuple([*first, *(one for number in own if (one := placed(number)))][:room])

    def pairs() -> tuple[StatedInsight, ...]:
        own = [(next(numbers), next(numbers)) for _ in draft.insights]
        kept: list[StatedInsight] = []
        for insight, recommendation in own:
            if insight not in settled and recommendation not in settled:
                continue
            said, advice = placed(insight), placed(recommendation)
            if said is not None and advice is not None:
                kept.append(StatedInsight(insight=said, recommendation=advice))
        spare = (pair for pair in alone.insights if page.is_news(pair.insight))
        return tuple(kept or spare)

    momentum = section(draft.momentum, alone.momentum)
    blockers = section(draft.blockers, alone.blockers)
    next_steps = section(draft.next_steps, alone.next_steps)
    insights = pairs()
    notes = page.news(alone.data_quality)
    own = section(draft.data_quality, (), DATA_QUALITY_MAX - len(notes))
    return Sections(
        headline=settled[0],
        momentum=momentum,
        blockers=blockers,
        next_steps=next_steps,
        insights=insights,
        data_quality=(*own, *notes),
    )


def _counted(sections: Sections, drafted: int) -> Grounding:
    origins = [one.origin for one in _statements_of(sections)]
    accepted, repaired = origins.count(Origin.ACCEPTED), origins.count(Origin.REPAIRED)
    replaced = drafted - accepted - repaired
    for outcome, number in (("accepted", accepted), ("repaired", repaired), ("replaced", replaced)):
        _statements.add(number, {"outcome": outcome})
    return Grounding(accepted=accepted, repaired=repaired, replaced=replaced)


def _statements_of(sections: Sections) -> list[Stated]:
    pairs = [one for pair in sections.insights for one in (pair.insight, pair.recommendation)]
    return [
        sections.headline,
        *sections.momentum,
        *sections.blockers,
        *sections.next_steps,
        *pairs,
        *sections.data_quality,
    ]


def _fields(statement: Statement) -> set[Cited]:
    """What a statement states; a date says of which day something is, and is no news."""
    return {(claim.fact_id, claim.field) for claim in statement.claims if claim.field != "date"}
