"""The write path with models that answer by heart: what they may do to a brief, and what they may not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from pydantic import BaseModel
from tests.unit.insights import books
from tests.unit.insights.written import assert_right, stated_in

from coworkai.insights.answers import Repair, Repairs
from coworkai.insights.assemble import sections_of
from coworkai.insights.brief import Claim, Draft, DraftInsight, Origin, Statement, StatementKind
from coworkai.insights.compose import compose, compose_team
from coworkai.insights.facts import FactBook, FactKind
from coworkai.insights.insights import insights_of
from coworkai.insights.llm import (
    A,
    Again,
    BudgetSpent,
    Completion,
    Limited,
    Malformed,
    Model,
    ModelError,
    NotAdmitted,
    Prompt,
    Provider,
    Purpose,
    Refused,
    Rejected,
    Truncated,
    Unavailable,
    Usage,
)
from coworkai.insights.offer import offered
from coworkai.insights.prompts.fill import OfferedIds, prompts_version
from coworkai.insights.write import Written, unmetered, write_brief

USAGE = Usage(attempts=1, latency_s=0.5, input_tokens=100, output_tokens=20)
BOOK = books.rich_day()
FOCUS = f"kpi:{books.USER}:{books.PRIMARY}:focus_s"
USUAL_FOCUS = f"baseline:{books.USER}:{books.PRIMARY}:focus_s"
ACTIVE = f"kpi:{books.USER}:{books.PRIMARY}:active_s"
DONE_GOAL = f"goal:{books.USER}:{books.PRIMARY}:1"


@dataclass
class ByHeart:
    """A model that gives its answers in turn and keeps what it was asked. An error is raised."""

    answers: list[BaseModel | Exception]
    name: str = "by-heart"
    provider: Provider = Provider.OPENAI
    max_output_tokens: int = 1_000
    asked: list[tuple[Purpose, str, str]] = field(default_factory=list)

    async def draft(self, prompt: Prompt[A], again: Again = lambda: asyncio.sleep(0)) -> Completion[A]:
        self.asked.append((prompt.purpose, prompt.system, prompt.user))
        answer = self.answers.pop(0)
        if isinstance(answer, ModelError):
            answer.usage = USAGE
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, prompt.answer)
        return Completion(answer, answer.model_dump_json(), "stop", self.name, USAGE)

    async def count_tokens(self, text: str) -> int | None:
        return None

    async def aclose(self) -> None:
        return


def deterministic_of(book: FactBook) -> Draft:
    return compose_team(book) if book.of(FactKind.GROUP) else compose(book, insights_of(book))


def written_by(
    model: ByHeart,
    book: FactBook = BOOK,
    *,
    call: Callable[..., Awaitable[Completion[BaseModel]]] | None = None,
    may_wait: bool = True,
) -> Written:
    """What comes of the model's answers, which is right whatever they are."""
    deterministic = deterministic_of(book)
    ids = offered(book, deterministic)
    written = asyncio.run(
        write_brief(
            book,
            deterministic,
            ids,
            context="notes",
            model=model,
            call=call or unmetered,  # type: ignore[arg-type]
            may_wait=may_wait,
        )
    )
    assert_right(written, book, deterministic, ids)
    return written


def said(template: str, *claims: tuple[str, str], kind: StatementKind = StatementKind.HEADLINE) -> Statement:
    return Statement(
        text_template=template,
        claims=tuple(Claim(fact_id=fact_id, field=name) for fact_id, name in claims),
        kind=kind,
    )


TRUE = said("You had {0} of focused work.", (FOCUS, "value"))
FALSE = said("You had {0} of focused work because you were motivated.", (FOCUS, "value"))
NUMBER_OF_ITS_OWN = said("You had 9 hours of focused work, {0} in all.", (FOCUS, "value"))
GHOST = said("You had {0} of focused work.", ("kpi:nobody:2026-10-27:focus_s", "value"))
TRUE_MOMENTUM = said("You were active for {0}.", (ACTIVE, "value"), kind=StatementKind.MOMENTUM)


def repairs(*pairs: tuple[int, Statement]) -> Repairs:
    return Repairs(repairs=tuple(Repair(number=number, statement=one) for number, one in pairs))


# ------------------------------------------------------------------------------------------------- drafts


@pytest.mark.parametrize("name", books.every_book())
def test_without_a_model_the_brief_is_the_deterministic_one(name: str) -> None:
    book = books.every_book()[name]
    deterministic = deterministic_of(book)
    ids = offered(book, deterministic)
    written = asyncio.run(write_brief(book, deterministic, ids))
    assert_right(written, book, deterministic, ids)
    assert {one.origin for one in stated_in(written)} == {Origin.DETERMINISTIC}
    assert (written.writer, written.model, written.prompt_version) == ("deterministic", None, None)


@pytest.mark.parametrize("name", books.every_book())
def test_what_a_model_says_truly_is_accepted(name: str) -> None:
    book = books.every_book()[name]
    deterministic = deterministic_of(book)
    ids = OfferedIds(book, offered(book, deterministic))
    answer = Draft(
        headline=ids.shortened(deterministic.headline),
        momentum=tuple(map(ids.shortened, deterministic.momentum)),
        blockers=tuple(map(ids.shortened, deterministic.blockers)),
        next_steps=tuple(map(ids.shortened, deterministic.next_steps)),
        insights=tuple(
            DraftInsight(
                insight=ids.shortened(pair.insight), recommendation=ids.shortened(pair.recommendation)
            )
            for pair in deterministic.insights
        ),
        data_quality=tuple(map(ids.shortened, deterministic.data_quality)),
    )
    model = ByHeart([answer])
    written = written_by(model, book)
    assert {one.origin for one in stated_in(written)} == {Origin.ACCEPTED}
    assert (written.grounding.repaired, written.grounding.replaced) == (0, 0)
    assert (written.writer, written.model) == ("openai", "by-heart")
    assert written.prompt_version == prompts_version()
    assert (written.input_tokens, written.output_tokens, written.attempts) == (100, 20, 1)


def test_what_is_refused_is_repaired_once() -> None:
    model = ByHeart([Draft(headline=TRUE, momentum=(FALSE,)), repairs((1, TRUE_MOMENTUM))])
    written = written_by(model)
    assert written.sections.momentum[0].text == "You were active for 7 h 5 min."
    assert written.sections.momentum[0].origin is Origin.REPAIRED
    assert (written.grounding.accepted, written.grounding.repaired, written.grounding.replaced) == (1, 1, 0)
    assert [purpose for purpose, _system, _user in model.asked] == [Purpose.BRIEF, Purpose.REPAIR]
    assert (written.input_tokens, written.attempts) == (200, 2)


def test_the_repair_is_told_what_was_refused_and_why() -> None:
    model = ByHeart([Draft(headline=TRUE, momentum=(FALSE,)), repairs((1, TRUE_MOMENTUM))])
    written_by(model)
    _purpose, _system, user = model.asked[1]
    assert "because you were motivated" in user
    assert '"number": 1' in user
    assert "cause" in user


@pytest.mark.parametrize(
    "wrong", [FALSE, NUMBER_OF_ITS_OWN, GHOST], ids=["cause and character", "a number of its own", "a ghost"]
)
def test_what_stays_refused_is_replaced_by_the_deterministic_sentence_for_its_facts(wrong: Statement) -> None:
    model = ByHeart([Draft(headline=TRUE_MOMENTUM, momentum=(wrong,)), repairs((1, wrong))])
    written = written_by(model)
    assert (written.grounding.accepted, written.grounding.replaced) == (1, 1)
    assert not any("motivated" in one.text or "9 hours" in one.text for one in stated_in(written))


def test_a_repair_for_a_number_that_was_not_refused_is_ignored() -> None:
    model = ByHeart(
        [
            Draft(headline=TRUE, momentum=(FALSE,)),
            repairs((0, said("You were active for {0}.", (ACTIVE, "value"))), (7, TRUE_MOMENTUM)),
        ]
    )
    written = written_by(model)
    assert written.sections.headline.text == "You had 2 h 12 min of focused work."
    assert written.grounding.repaired == 0


def test_a_refused_headline_becomes_that_of_the_deterministic_brief() -> None:
    model = ByHeart([Draft(headline=GHOST, momentum=(TRUE_MOMENTUM,)), repairs()])
    written = written_by(model)
    assert written.sections.headline.text_template == deterministic_of(BOOK).headline.text_template
    assert written.sections.headline.origin is Origin.REPLACED


def test_values_of_a_model_are_never_its_own() -> None:
    """It may cite the wrong fact for what it says, and that is refused; a number it cannot write at all."""
    swapped = said(
        "You had {0} of focused work, {1} {2} your usual.",
        (ACTIVE, "value"),
        (USUAL_FOCUS, "difference"),
        (USUAL_FOCUS, "direction"),
    )
    written = written_by(ByHeart([Draft(headline=swapped), repairs((0, swapped))]))
    assert written.grounding.accepted == 0
    assert written.sections.headline.origin is Origin.REPLACED


def test_a_statement_said_twice_is_in_the_brief_once() -> None:
    twice = said("You were active for {0}.", (ACTIVE, "value"), kind=StatementKind.MOMENTUM)
    again = said("Active time came to {0}.", (ACTIVE, "value"), kind=StatementKind.MOMENTUM)
    written = written_by(ByHeart([Draft(headline=TRUE, momentum=(twice, twice, again))]))
    assert [one.text for one in written.sections.momentum] == ["You were active for 7 h 5 min."]
    assert (written.grounding.accepted, written.grounding.replaced) == (2, 2)


def test_a_statement_is_of_its_section_whatever_kind_it_says_it_is() -> None:
    posing = said("You were active for {0}.", (ACTIVE, "value"), kind=StatementKind.RECOMMENDATION)
    written = written_by(ByHeart([Draft(headline=TRUE, momentum=(posing,))]))
    assert written.sections.momentum[0].kind is StatementKind.MOMENTUM


def test_a_pair_that_lost_its_recommendation_is_dropped_and_counted() -> None:
    pair = DraftInsight(
        insight=said("You were active for {0}.", (ACTIVE, "value"), kind=StatementKind.INSIGHT),
        recommendation=said("Rest more.", ("kpi:nobody:x", "value"), kind=StatementKind.RECOMMENDATION),
    )
    written = written_by(ByHeart([Draft(headline=TRUE, insights=(pair,)), repairs()]))
    assert (written.grounding.accepted, written.grounding.replaced) == (1, 2)
    assert {one.insight.origin for one in written.sections.insights} == {Origin.DETERMINISTIC}


def test_sections_that_a_model_leaves_out_are_those_of_the_deterministic_brief() -> None:
    written = written_by(ByHeart([Draft(headline=TRUE)]))
    deterministic = deterministic_of(BOOK)
    blockers = [one.text_template for one in written.sections.blockers]
    assert blockers == [one.text_template for one in deterministic.blockers]
    assert [one.origin for one in written.sections.blockers] == [Origin.DETERMINISTIC] * len(blockers)


@pytest.mark.parametrize("name", books.every_book())
def test_a_draft_of_which_nothing_is_left_loses_nothing_of_the_deterministic_brief(name: str) -> None:
    book = books.every_book()[name]
    deterministic = deterministic_of(book)
    refused = [
        said("You are lazy: {0}.", (claim.fact_id, claim.field), kind=StatementKind.MOMENTUM)
        for claim in deterministic.headline.claims
    ][:4]
    draft = Draft(
        headline=refused[0],
        momentum=tuple(refused),
        blockers=tuple(refused),
        next_steps=tuple(refused),
        data_quality=tuple(refused),
    )
    written = written_by(ByHeart([draft, repairs()]), book)
    texts = {one.text for one in stated_in(written)}
    alone = sections_of(deterministic, book)
    assert texts.issuperset(one.text for one in (*alone.momentum, *alone.blockers, *alone.next_steps))
    assert all("lazy" not in text for text in texts)


def test_a_fact_that_is_no_blocker_is_not_made_one() -> None:
    wrong = said("You are lazy: {0}.", (ACTIVE, "value"), kind=StatementKind.BLOCKER)
    written = written_by(ByHeart([Draft(headline=TRUE, blockers=(wrong,)), repairs()]))
    assert all(claim.fact_id != ACTIVE for one in written.sections.blockers for claim in one.claims)


def test_a_refused_statement_beside_an_accepted_one_becomes_the_sentence_for_its_facts() -> None:
    wrong = said("You are lazy: {0} of focus.", (FOCUS, "value"), kind=StatementKind.MOMENTUM)
    headline = said("You reported {0} done.", (DONE_GOAL, "name"))
    draft = Draft(headline=headline, momentum=(TRUE_MOMENTUM, wrong))
    written = written_by(ByHeart([draft, repairs()]))
    assert [one.origin for one in written.sections.momentum][1] is Origin.REPLACED
    assert "2 h 12 min" in written.sections.momentum[1].text


@pytest.mark.parametrize("name", books.every_book())
def test_what_the_data_lacks_is_said_though_a_model_keeps_quiet(name: str) -> None:
    book = books.every_book()[name]
    deterministic = deterministic_of(book)
    written = written_by(ByHeart([Draft(headline=deterministic.headline)]), book)
    fields = {claim for one in stated_in(written) for claim in one.claims}
    assert all(fields.issuperset(one.claims) for one in deterministic.data_quality)


def test_a_fact_that_was_not_offered_cannot_be_cited() -> None:
    deterministic = deterministic_of(BOOK)
    ids = [one for one in offered(BOOK, deterministic) if one != ACTIVE]
    model = ByHeart([Draft(headline=TRUE, momentum=(TRUE_MOMENTUM,)), repairs()])
    written = asyncio.run(write_brief(BOOK, deterministic, ids, model=model))
    assert written.grounding.accepted == 1
    assert all(claim.fact_id in ids for one in stated_in(written) for claim in one.claims)


# ----------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Limited("limited", retry_after_s=3600), "limited"),
        (Unavailable("gone"), "unavailable"),
        (Rejected("no such model"), "rejected"),
        (Refused("blocked"), "refused"),
        (Truncated("cut"), "truncated"),
        (BudgetSpent("spent"), "budget"),
    ],
    ids=["limited", "unavailable", "rejected", "refused", "truncated", "budget"],
)
def test_a_model_that_fails_leaves_the_deterministic_brief_and_a_reason(
    error: Exception, reason: str
) -> None:
    written = written_by(ByHeart([error]))
    assert written.grounding.fallback_reason == reason
    assert written.model == "by-heart"
    assert written.prompt_version == prompts_version()


def test_a_malformed_answer_is_asked_for_again_once() -> None:
    model = ByHeart([Malformed("prose", problems=("headline: missing",)), Draft(headline=TRUE)])
    written = written_by(model)
    assert written.sections.headline.origin is Origin.ACCEPTED
    assert "headline: missing" in model.asked[1][2]
    assert (written.input_tokens, written.attempts) == (200, 2)


def test_a_malformed_answer_twice_leaves_the_deterministic_brief() -> None:
    written = written_by(ByHeart([Malformed("prose"), Malformed("prose")]))
    assert written.grounding.fallback_reason == "malformed"
    assert written.input_tokens == 200


def test_there_are_never_more_than_two_calls() -> None:
    model = ByHeart([Malformed("prose"), Draft(headline=TRUE, momentum=(FALSE,))])
    written = written_by(model)
    assert len(model.asked) == 2
    assert (written.grounding.accepted, written.grounding.replaced) == (1, 1)


@pytest.mark.parametrize(
    "error",
    [Unavailable("gone"), Malformed("prose"), Refused("blocked"), NotAdmitted("full"), BudgetSpent("x")],
)
def test_a_repair_that_fails_leaves_what_was_accepted(error: Exception) -> None:
    written = written_by(ByHeart([Draft(headline=TRUE, momentum=(FALSE,)), error]))
    assert (written.grounding.accepted, written.grounding.replaced) == (1, 1)
    assert written.grounding.fallback_reason is None


def test_a_call_that_our_limits_leave_no_room_for_is_tried_again_later() -> None:
    with pytest.raises(NotAdmitted):
        written_by(ByHeart([NotAdmitted("full")]))


def test_a_call_that_may_wait_no_longer_leaves_the_deterministic_brief() -> None:
    written = written_by(ByHeart([NotAdmitted("full")]), may_wait=False)
    assert written.grounding.fallback_reason == "not_admitted"


def test_a_call_that_was_paid_for_is_not_made_again_for_want_of_room() -> None:
    written = written_by(ByHeart([Malformed("prose"), NotAdmitted("full")]))
    assert written.grounding.fallback_reason == "malformed"


def test_every_call_goes_through_the_meter() -> None:
    metered: list[tuple[str, Purpose]] = []

    async def call(
        model: Model, prompt: Prompt[A], do: Callable[[Again], Awaitable[Completion[A]]]
    ) -> object:
        metered.append((model.name, prompt.purpose))
        return await unmetered(model, prompt, do)

    model = ByHeart([Draft(headline=TRUE, momentum=(FALSE,)), repairs()])
    written_by(model, call=call)  # type: ignore[arg-type]
    assert metered == [("by-heart", Purpose.BRIEF), ("by-heart", Purpose.REPAIR)]


def test_a_bug_of_ours_is_not_taken_for_a_failure_of_the_model() -> None:
    with pytest.raises(ZeroDivisionError):
        written_by(ByHeart([ZeroDivisionError()]))
