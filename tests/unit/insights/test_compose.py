"""The deterministic writer: what it leads with, what it leaves out, and that it never repeats or invents."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.insights.books import (
    BLOCK,
    PRIMARY,
    TEAM,
    USER,
    at,
    baseline,
    block,
    book_of,
    chat_only_day,
    empty_day,
    every_book,
    fact,
    fact_of,
    goal,
    kpi,
    manifests_only_day,
    many_scripts_day,
    message,
    rich_day,
    span,
    target,
    team_week,
    usage,
)

from coworkai.insights.brief import Draft, Statement, StatementKind
from coworkai.insights.clean import plain_output
from coworkai.insights.compose import NothingToState, compose, compose_team
from coworkai.insights.facts import Fact, FactBook, FactKind, Status, by_id, group_fact_id
from coworkai.insights.grounding import violations
from coworkai.insights.insights import insights_of
from coworkai.insights.phrases import sentence_for
from coworkai.insights.render import PLACE, render

YESTERDAY = PRIMARY - timedelta(days=1)
FRIDAY = PRIMARY - timedelta(days=4)
DAY = f"{USER}:{PRIMARY}"


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
    assert text == "“Calls” ended at 1, short of its target of 10, with 5 h 33 min of active work."


def test_a_day_without_telemetry_says_so_and_what_there_is_instead() -> None:
    for book, rest in (
        (empty_day(), "."),
        (chat_only_day(), "; you sent 2 messages in 1 conversation."),
        (manifests_only_day(), "; you declared 2 goals."),
    ):
        text = render(composed(book).headline, book)
        nothing = " and no manifest arrived" if book["day:" + DAY]["has_manifests"] is False else ""
        assert text == f"No activity was recorded{nothing} on Tue 27 Oct{rest}"
    assert section(empty_day(), "data_quality") == []


def test_a_day_that_could_not_be_computed_claims_nothing_of_what_arrived() -> None:
    book = book_of([fact(FactKind.DAY, is_incomplete=True)])
    assert texts(composed(book), book) == ["The record of Tue 27 Oct could not be worked out in full."]


# ------------------------------------------------------------------------------------------------- sections
def test_a_goal_that_was_open_on_an_earlier_day_says_on_which() -> None:
    facts = [
        kpi("active_s", 3_600.0),
        goal(1, "Close the books", Status.OPEN),
        goal(1, "close THE books", Status.OPEN, on=YESTERDAY),
    ]
    (step,) = section(book_of(facts), "next_steps")
    assert "“Close the books”" in step
    assert "open on Mon 26 Oct too" in step
    done = [facts[0], goal(1, "Close the books", Status.DONE), facts[2]]
    (moved,) = section(book_of(done), "momentum")
    assert moved.startswith("“Close the books” is done; it was ")
    assert "on Mon 26 Oct" in moved


def test_a_goal_that_was_done_in_between_is_not_carried_over() -> None:
    facts = [
        kpi("active_s", 3_600.0),
        goal(1, "Answer tickets", Status.OPEN),
        goal(1, "Answer tickets", Status.DONE, on=YESTERDAY),
        goal(1, "Answer tickets", Status.OPEN, on=FRIDAY),
    ]
    (step,) = section(book_of(facts), "next_steps")
    assert "Fri 23 Oct" not in step


def test_a_target_that_was_missed_before_asks_for_another_target_or_more_time() -> None:
    missed = target(1, "Calls", 10.0, 4.0)
    before = fact(
        FactKind.TARGET,
        1,
        on=YESTERDAY,
        name="calls",
        target=9.0,
        actual=2.0,
        attainment=0.2,
        status="missed",
    )
    facts = [span(FactKind.FOCUS, 1, "13:00", "18:00", app="code"), kpi("goals_declared", 1.0)]
    facts += [kpi("goals_done", 1.0), missed]
    once, twice = (section(book_of(each), "next_steps") for each in (facts, [*facts, before]))
    assert [text.split("“")[1] for text in once] == ["Calls”, which came to 4 of 10."]
    assert twice == [
        "Plan more time for “Calls” or a lower target: it came to 4 of 10, short as on Mon 26 Oct."
    ]


def test_unreported_goals_ask_for_the_end_of_day_manifest_and_nothing_else_does() -> None:
    assert section(manifests_only_day(), "next_steps") == [
        "Send the end-of-day manifest with what became of “Prepare the workshop” and “Call the supplier”,"
        " and a figure for “Calls”.",
    ]
    assert section(manifests_only_day(), "data_quality") == []


def test_more_goals_than_a_sentence_names_are_said_to_be_more() -> None:
    facts = [goal(n, f"Goal {n}", Status.OPEN) for n in range(1, 7)]
    (step,) = section(book_of([kpi("active_s", 3_600.0), *facts]), "next_steps")
    assert step == "Begin with these of your open goals: “Goal 1”, “Goal 2”, “Goal 3” and “Goal 4”."
    facts = [goal(n, f"Goal {n}", Status.DONE) for n in range(1, 7)]
    (moved,) = section(book_of([kpi("active_s", 3_600.0), *facts]), "momentum")
    assert moved == "Among what you finished: “Goal 1”, “Goal 2”, “Goal 3” and “Goal 4”."


def test_all_blockers_of_a_day_are_told() -> None:
    chats = [message(n, f"13:0{n}", f"step {n} is stuck", is_blocker=True) for n in (1, 2)]
    said = section(book_of([kpi("active_s", 3_600.0), *chats]), "blockers")
    assert [text.split("“")[1] for text in said] == ["step 1 is stuck”", "step 2 is stuck”"]


def test_less_focused_work_than_usual_asks_for_the_usual_also_where_it_is_the_headline() -> None:
    book = book_of([kpi("focus_s", 3_600.0), baseline("focus_s", 3_600.0, 9_000.0, -4.0)])
    assert "1 h 30 min below your usual" in render(composed(book).headline, book)
    (step,) = section(book, "next_steps")
    assert "your usual 2 h 30 min of focused work" in step


def test_a_blocker_is_quoted_with_its_time() -> None:
    (said,) = section(chat_only_day(), "blockers")
    assert "09:09" in said
    assert said.endswith("“it doesn't work, the import is stuck again”")


def test_what_blocks_for_the_third_day_asks_for_help() -> None:
    days = [PRIMARY, YESTERDAY, FRIDAY]
    chats = [message(n, "13:05", "the import is stuck", is_blocker=True, on=on) for n, on in enumerate(days)]
    active = kpi("active_s", 3_600.0)
    (said,) = section(book_of([active, *chats]), "blockers")
    assert "on Mon 26 Oct" in said
    assert section(book_of([active, *chats[:2]]), "next_steps") == []
    (step,) = section(book_of([active, *chats]), "next_steps")
    assert "ChatGPT" in step


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
    assert gap == "The block of work that ended at 01:30 began before midnight."


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


def test_an_ordinary_day_is_given_no_advice() -> None:
    apps = [usage("app", 1, "code", 9_000.0, 12_000.0), usage("app", 2, "chrome", 3_000.0, 12_000.0)]
    ordinary = [kpi("active_s", 12_000.0), kpi("context_switches_per_hour", 20.0), *apps]
    assert composed(book_of(ordinary)).insights == ()


def test_more_focused_work_has_moved_and_less_of_it_is_advised_on() -> None:
    before = [kpi("active_s", 20_000.0), kpi("focus_s", 7_200.0, YESTERDAY)]
    before.append(span_on(YESTERDAY, "13:40", "14:50"))
    more, less = (book_of([kpi("focus_s", seconds), *before]) for seconds in (12_000.0, 3_600.0))
    assert composed(more).insights == ()
    assert section(more, "momentum") == ["Focused work came to 3 h 20 min, after 2 h on Mon 26 Oct."]
    (pair,) = composed(less).insights
    assert render(pair.recommendation, less) == (
        "Keep a stretch free of meetings, like the 1 h 10 min from 09:40 on Mon 26 Oct."
    )


def span_on(day: date, start: str, end: str) -> Fact:
    started_at, ended_at = at(start, day), at(end, day)
    duration_s = (ended_at - started_at).total_seconds()
    return fact(FactKind.FOCUS, 1, on=day, duration_s=duration_s, started_at=started_at, ended_at=ended_at)


def test_much_time_for_messages_is_advised_on_once_in_five_working_days() -> None:
    monday = date(2026, 10, 26)
    for first in (monday, monday + timedelta(days=3)):
        days = [day for day in (first + timedelta(days=n) for n in range(7)) if day.weekday() < 5]
        assert sum(len(composed(_messages_on(day)).insights) for day in days) == 1


def _messages_on(day: date) -> FactBook:
    facts = [_kpi_on(day, "active_s", MUCH["active_s"])]
    facts += [_usage_on(day, rank, name) for rank, name in enumerate(("code", "slack"), start=1)]
    return replace(book_of(facts), primary=day, start=day - timedelta(days=6))


# -------------------------------------------------------------------------------------------------- always
@pytest.mark.parametrize("name", every_book())
def test_a_brief_is_grounded_and_says_nothing_twice(name: str) -> None:
    book = every_book()[name]
    draft = compose_team(book) if name == "team_week" else composed(book)
    assert_never_repeats(draft, book)
    assert_grounded(draft, book)


@pytest.mark.parametrize("day", [date(2026, 10, 26) + timedelta(days=n) for n in range(5)])
def test_whatever_turn_the_wording_is_at_the_brief_is_grounded(day: date) -> None:
    book = book_of_much(day)
    draft = composed(book)
    assert_grounded(draft, book)
    assert_never_repeats(draft, book)
    assert len(draft.next_steps) == 4
    assert len(draft.momentum) == 4
    assert len(draft.blockers) == 2


def book_of_much(day: date) -> FactBook:
    """A day with everything that several wordings are for, after a week with half of it."""
    before, earlier = day - timedelta(days=1), day - timedelta(days=2)
    facts = [_kpi_on(day, name, value) for name, value in MUCH.items()]
    facts += [_kpi_on(before, name, value * 1.6) for name, value in MUCH.items() if name == "focus_s"]
    facts += [_usage_on(day, rank, name) for rank, name in enumerate(("code", "slack"), start=1)]
    facts += [span_on(on, "13:40", "14:50") for on in (day, before)]
    facts += [
        message(n, "13:05", f"step {n} is stuck", is_blocker=True, on=on)
        for on in (day, before, earlier)
        for n in ((1, 2) if on == day else (1,))
    ]
    for n, status in enumerate((Status.OPEN, Status.DONE), start=1):
        facts += [goal(n, f"Goal {n}", status, on=day), goal(n, f"Goal {n}", Status.OPEN, on=before)]
    facts += [goal(3, "Goal 3", Status.OPEN, on=day), goal(4, "Goal 4", Status.DONE, on=day)]
    for on in (day, before):
        facts += [_target_on(on, 1, "Calls", 3.0), _target_on(on, 2, "Pages", 12.0)]
    facts.append(_target_on(day, 3, "Reviews", 4.0))
    times = {"first_at": at("08:00", day), "last_at": at("19:00", day)}
    facts.append(fact_of(FactKind.DAY, {"has_telemetry": True, **times}, on=day))
    return replace(book_of(facts), primary=day, start=day - timedelta(days=6))


MUCH = {
    "active_s": 20_000.0,
    "after_hours_s": 5_400.0,
    "focus_blocks": 2.0,
    "focus_s": 6_000.0,
    "goals_declared": 4.0,
    "goals_done": 2.0,
}


def _kpi_on(day: date, measure: str, value: float) -> Fact:
    return fact(FactKind.KPI, measure, on=day, value=value)


def _usage_on(day: date, rank: int, name: str) -> Fact:
    share = 5_000.0 / MUCH["active_s"]
    return fact(
        FactKind.USAGE, "app", rank, on=day, name=name, duration_s=5_000.0, day_share=share, rank=rank
    )


def _target_on(day: date, n: int, name: str, actual: float) -> Fact:
    status = Status.MET if actual >= 10 else Status.MISSED
    values = {"target": 10.0, "actual": actual, "attainment": actual / 10}
    return fact_of(FactKind.TARGET, {"name": name, "status": status.value, **values}, n, on=day)


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
    return one.with_values(**dict.fromkeys(nulls))


def test_the_same_facts_give_the_same_words() -> None:
    assert composed(rich_day()) == composed(rich_day())


def test_no_two_working_days_in_a_row_are_worded_alike() -> None:
    steps = []
    for day in (1, 2, 5, 6, 7, 8, 9, 12, 13):
        on = date(2026, 10, day)
        facts = [kpi("active_s", 3_600.0, on), goal(1, "Close the books", Status.OPEN, on=on)]
        book = replace(book_of(facts), primary=on, start=on)
        steps += section(book, "next_steps")
    assert all(one != other for one, other in pairwise(steps))


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
    assert written[0] == "41 h 10 min of active time from 6 people, with 11 of 18 goals done."
    assert "Focused work came to 11 h 30 min, after 10 h on Mon 26 Oct." in written
    assert all(USER not in text for text in written)
    assert {book[claim.fact_id].kind for one in statements(draft) for claim in one.claims} == {FactKind.GROUP}


def test_a_week_of_a_team_is_told_on_the_first_day_after_it() -> None:
    def told(*days: date) -> bool:
        weeks = [cell("week", date(2026, 10, 19), name, 90_000.0) for name in ("active_s", "focus_s")]
        book = book_of([*weeks, *(cell("day", day, "active_s", 9_000.0) for day in days)], subject=TEAM)
        return any(text.startswith("The week from Mon 19 Oct") for text in texts(compose_team(book), book))

    assert told(PRIMARY, FRIDAY)
    assert not told(PRIMARY, YESTERDAY)


def cell(period: str, day: date, measure: str, value: float, contributors: int = 6) -> Fact:
    identifier = group_fact_id("team", TEAM, period, day, measure)
    return fact(
        FactKind.GROUP,
        measure,
        on=day,
        subject=TEAM,
        identifier=identifier,
        value=value,
        contributors=contributors,
    )


def test_active_time_of_a_team_is_set_against_the_day_before_only_of_as_many_people() -> None:
    def headline(before: int) -> str:
        earlier = cell("day", YESTERDAY, "active_s", 80_000.0, before)
        book = book_of([cell("day", PRIMARY, "active_s", 90_000.0), earlier], subject=TEAM)
        return render(compose_team(book).headline, book)

    assert headline(6) == "6 people were active for 25 h, after 22 h 13 min on Mon 26 Oct."
    assert headline(5) == "25 h of active time from 6 people."


def test_only_what_rose_is_advised_on_to_a_team() -> None:
    def advised(now: float, before: float) -> int:
        cells = [("active_s", 90_000.0, 90_000.0), ("after_hours_s", now, before)]
        facts = [cell("day", PRIMARY, name, value) for name, value, _ in cells]
        facts += [cell("day", YESTERDAY, name, value) for name, _, value in cells]
        return len(compose_team(book_of(facts, subject=TEAM)).insights)

    assert advised(9_000.0, 6_000.0) == 1
    assert advised(9_000.0, 8_500.0) == 0
    assert advised(6_000.0, 9_000.0) == 0


def test_a_team_that_nothing_but_gaps_is_known_of_has_no_brief() -> None:
    with pytest.raises(NothingToState):
        compose_team(book_of([cell("day", PRIMARY, "withheld", 23.0)], subject=TEAM))


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
