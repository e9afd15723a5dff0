"""The deterministic writer: what it leads with, what it leaves out, and that it never repeats or invents."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.insights.books import (
    BLOCK,
    PRIMARY,
    USER,
    at,
    baseline,
    block,
    book_of,
    chat_only_day,
    empty_day,
    every_book,
    fact,
    goal,
    kpi,
    manifests_only_day,
    many_scripts_day,
    rich_day,
    span,
    target,
    team_week,
)

from coworkai.insights.brief import Draft, Statement, StatementKind
from coworkai.insights.clean import plain_output
from coworkai.insights.compose import NothingToState, compose, compose_team
from coworkai.insights.facts import Fact, FactBook, FactKind, Field, Status, by_id
from coworkai.insights.grounding import violations
from coworkai.insights.insights import insights_of
from coworkai.insights.phrases import sentence_for
from coworkai.insights.render import PLACE, render

YESTERDAY = PRIMARY - timedelta(days=1)


def composed(book: FactBook) -> Draft:
    return compose(book, insights_of(book))


def statements(draft: Draft) -> list[Statement]:
    pairs = [one for pair in draft.insights for one in (pair.insight, pair.recommendation)]
    return [
        draft.headline,
        *draft.momentum,
        *draft.blockers,
        *draft.next_steps,
        *pairs,
        *draft.data_quality,
    ]


def texts(draft: Draft, book: FactBook) -> list[str]:
    return [render(one, book) for one in statements(draft)]


def headline(*facts: Fact) -> str:
    book = book_of(facts)
    return render(composed(book).headline, book)


def section(book: FactBook, name: str) -> list[str]:
    return [render(one, book) for one in getattr(composed(book), name)]


# ------------------------------------------------------------------------------------------------ headline
def test_the_headline_is_the_largest_change_against_the_workers_usual() -> None:
    book = rich_day()
    assert render(composed(book).headline, book) == (
        "Focused work came to 2 h 12 min, 51 min above your usual, with 1 of 3 goals done."
    )


def test_goals_that_are_all_done_lead_before_a_usual_day() -> None:
    assert (
        headline(
            kpi("goals_declared", 3.0),
            kpi("goals_done", 3.0),
            kpi("active_s", 25_200.0),
            baseline("active_s", 25_200.0, 25_000.0, 0.1),
        )
        == "All 3 goals are done, with 7 h of active work."
    )


def test_two_goals_that_are_done_are_named() -> None:
    assert (
        headline(
            kpi("goals_declared", 2.0),
            kpi("goals_done", 2.0),
            goal(1, "Ship it", Status.DONE),
            goal(2, "Test it", Status.DONE),
        )
        == "“Ship it” and “Test it” are done."
    )


def test_a_long_stretch_of_focus_leads_where_nothing_was_declared() -> None:
    text = headline(kpi("active_s", 20_000.0), span(FactKind.FOCUS, 1, "13:00", "15:30", app="code"))
    assert "2 h 30 min" in text
    assert "09:00" in text
    assert "code" in text
    assert text.endswith("5 h 33 min of active work.")


def test_a_missed_target_leads_with_both_numbers() -> None:
    text = headline(kpi("active_s", 20_000.0), target(1, "Calls", 10.0, 1.0))
    assert text == "“Calls” came to 1 against a target of 10, with 5 h 33 min of active work."


def test_a_day_without_telemetry_says_so_and_what_there_is_instead() -> None:
    for book, rest in (
        (empty_day(), "."),
        (chat_only_day(), "; you sent 2 messages in 1 conversation."),
        (manifests_only_day(), "; you declared 2 goals."),
    ):
        assert render(composed(book).headline, book) == f"No activity was recorded on Tue 27 Oct{rest}"


def test_a_day_that_could_not_be_computed_claims_nothing_of_what_arrived() -> None:
    book = book_of([fact(FactKind.DAY, is_incomplete=True)])
    assert texts(composed(book), book) == ["The record of Tue 27 Oct could not be worked out in full."]


# ------------------------------------------------------------------------------------------------- sections
def test_a_goal_that_was_open_on_earlier_days_says_since_when() -> None:
    facts = [
        kpi("active_s", 3_600.0),
        goal(1, "Close the books", Status.OPEN),
        goal(1, "close THE books", Status.OPEN, on=YESTERDAY),
    ]
    (step,) = section(book_of(facts), "next_steps")
    assert step.startswith("“Close the books” has been open since Mon 26 Oct: ")
    done = [facts[0], goal(1, "Close the books", Status.DONE), facts[2]]
    (moved,) = section(book_of(done), "momentum")
    assert "since Mon 26 Oct" in moved


def test_unreported_goals_ask_for_the_end_of_day_manifest() -> None:
    assert section(manifests_only_day(), "next_steps") == [
        "Send the end-of-day manifest: “Prepare the workshop” and “Call the supplier” are unreported.",
        "Report a figure for “Calls”, whose target is 5.",
    ]


def test_a_blocker_is_quoted_and_followed_up_by_its_time() -> None:
    book = chat_only_day()
    assert "“it doesn't work, the import is stuck again”" in section(book, "blockers")[0]
    assert "09:09" in section(book, "next_steps")[0]


def test_missing_manifests_are_told_as_gaps_and_only_where_it_is_known() -> None:
    known = book_of([kpi("active_s", 60.0), fact(FactKind.DAY, has_telemetry=True, is_sod_missing=True)])
    assert section(known, "data_quality") == ["No start-of-day manifest arrived for Tue 27 Oct."]
    unknown = book_of([kpi("active_s", 60.0), fact(FactKind.DAY, has_telemetry=True)])
    assert section(unknown, "data_quality") == []


def test_a_block_that_runs_past_midnight_is_told() -> None:
    started_at, midnight = at("22:00"), at("04:00", PRIMARY + timedelta(days=1))
    late = fact(
        FactKind.BLOCK, identifier=BLOCK, started_at=started_at, ended_at=midnight, is_continuation=True
    )
    (gap,) = section(book_of([kpi("active_s", 21_600.0), late]), "data_quality")
    assert gap == "The block of work from 18:00 runs on past midnight."
    early = block(BLOCK, "04:00", "05:30", 5_400.0, is_continuation=True)
    (gap,) = section(book_of([kpi("active_s", 5_400.0), early]), "data_quality")
    assert gap == "The block of work that ended at 01:30 began the day before."


def test_sections_without_facts_stay_empty() -> None:
    draft = composed(book_of([kpi("active_s", 3_600.0)]))
    assert statements(draft) == [draft.headline]


def test_every_insight_has_advice_that_states_something_else() -> None:
    book = rich_day()
    draft = composed(book)
    assert len(draft.insights) == 1
    for pair in draft.insights:
        assert pair.recommendation.kind is StatementKind.RECOMMENDATION
        assert not set(pair.insight.claims) & set(pair.recommendation.claims)


# -------------------------------------------------------------------------------------------------- always
@pytest.mark.parametrize("name", every_book())
def test_a_brief_is_grounded_and_says_nothing_twice(name: str) -> None:
    book = every_book()[name]
    draft = compose_team(book) if name == "team_week" else composed(book)
    assert_never_repeats(draft, book)
    assert_grounded(draft, book)


def assert_grounded(draft: Draft, book: FactBook) -> None:
    for one in statements(draft):
        assert violations(one, book, book.facts) == []


def assert_never_repeats(draft: Draft, book: FactBook) -> None:
    claims = [
        (claim.fact_id, claim.field)
        for one in statements(draft)
        for claim in one.claims
        if claim.field != "date"
    ]
    assert len(claims) == len(set(claims))
    written = texts(draft, book)
    assert len(written) == len(set(written))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_missing_the_brief_is_right_or_there_is_none(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([rich_day(), many_scripts_day(), chat_only_day()]))
    kept = data.draw(st.lists(st.sampled_from(list(source.facts.values())), unique_by=lambda f: f.fact_id))
    book = replace(source, facts=by_id(_with_nulls(data, one) for one in kept))
    try:
        draft = composed(book)
    except NothingToState:
        return
    assert_never_repeats(draft, book)
    assert_grounded(draft, book)
    for one in statements(draft):
        assert plain_output(PLACE.sub("1", one.text_template))
        assert "None" not in render(one, book)
        assert len(set(PLACE.findall(one.text_template))) == len(one.claims)


def _with_nulls(data: st.DataObject, one: Fact) -> Fact:
    may_be_null = sorted(set(one.fields) - {"date"})
    nulls = data.draw(st.sets(st.sampled_from(may_be_null), max_size=2))
    fields = {name: Field(None, f.unit) if name in nulls else f for name, f in one.fields.items()}
    return structs.replace(one, fields=fields)


def test_the_same_facts_give_the_same_words() -> None:
    assert composed(rich_day()) == composed(rich_day())


def test_wording_varies_from_day_to_day() -> None:
    openings = set()
    for day in range(1, 15):
        on = date(2026, 10, day)
        facts = [kpi("active_s", 3_600.0, on), goal(1, "Close the books", Status.OPEN, on=on)]
        book = replace(book_of(facts), primary=on, start=on)
        (step,) = section(book, "next_steps")
        openings.add(step.split("“")[0])
    assert len(openings) > 1


def test_a_book_without_a_value_has_no_brief() -> None:
    with pytest.raises(NothingToState):
        composed(book_of([kpi("active_s", None)]))
    with pytest.raises(NothingToState):
        compose_team(book_of([]))


# --------------------------------------------------------------------------------------------------- teams
def test_a_team_brief_has_group_facts_only() -> None:
    book = team_week()
    draft = compose_team(book)
    written = texts(draft, book)
    assert written[0] == "41 h 10 min of active time from 6 people."
    assert "Focused work came to 11 h 30 min, after 10 h on Mon 26 Oct." in written
    assert "The week from Mon 19 Oct came to 204 h of active time, 52 h of it focused work." in written
    assert all(USER not in text for text in written)
    assert {book[claim.fact_id].kind for one in statements(draft) for claim in one.claims} == {FactKind.GROUP}


def test_what_a_team_is_not_told_is_said() -> None:
    book = team_week()
    (gap,) = [render(one, book) for one in compose_team(book).data_quality]
    assert gap == "1 figure with too few people behind it is not shown."


# ------------------------------------------------------------------------------------- replacement sentences
@pytest.mark.parametrize("kind", StatementKind)
def test_every_fact_that_says_anything_has_a_sentence_of_every_kind(kind: StatementKind) -> None:
    for book in every_book().values():
        for one in book.facts.values():
            sentence = sentence_for([one.fact_id], kind, book)
            if sentence is None:
                assert one.kind in {FactKind.BASELINE, FactKind.KPI, FactKind.DAY}
                continue
            assert sentence.kind is kind
            assert {claim.fact_id for claim in sentence.claims} == {one.fact_id}
            assert violations(sentence, book, book.facts) == []


def test_a_replacement_states_the_facts_in_their_order_and_skips_what_is_not_there() -> None:
    book = rich_day()
    ids = [
        f"goal:{USER}:2026-10-27:2",
        "kpi:nobody:2026-10-27:focus_s",
        f"usage:{USER}:2026-10-27:app:1",
        f"goal:{USER}:2026-10-27:2",
    ]
    sentence = sentence_for(ids, StatementKind.INSIGHT, book)
    assert sentence is not None
    text = render(sentence, book)
    assert text == "“Review the runner's retries” is open. You spent 5 h 7 min in code."
    assert sentence_for(["kpi:nobody:2026-10-27:focus_s"], StatementKind.INSIGHT, book) is None


def test_a_replacement_of_many_facts_stays_within_one_statement() -> None:
    book = rich_day()
    for kind in StatementKind:
        sentence = sentence_for(book.facts, kind, book)
        assert sentence is not None
        assert len(sentence.claims) <= 12


def test_a_fact_of_another_day_says_which_day() -> None:
    book = rich_day()
    sentence = sentence_for([f"kpi:{USER}:2026-10-26:focus_s"], StatementKind.INSIGHT, book)
    assert sentence is not None
    assert render(sentence, book).endswith(" on Mon 26 Oct.")
