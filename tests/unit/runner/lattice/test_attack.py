"""Nobody is isolated by what the lattice tells; and weaker rules are found out by the same attack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.runner.kpis.frames import TENANT
from tests.unit.runner.lattice.attack import (
    Answer,
    answers_of,
    isolated_by_elimination,
    isolated_by_pairs_and_triples,
)
from tests.unit.runner.lattice.organisations import Publications, day, kpi_daily, team, worked

from coworkai.runner.lattice.blocks import SafetyRules

Values = dict[tuple[str, date], dict[str, float | None]]
Member = Mapping[str, object]


def attack(answers: Sequence[Answer], min_group: int) -> None:
    assert isolated_by_pairs_and_triples(answers, min_group) == []
    assert isolated_by_elimination(answers, min_group) is None


def moved_to(one: Member, other: Member) -> Member:
    return {**one, "team": other["team"], "department": other["department"]}


def late(values: Values, users: Iterable[str], number: int = 0, by: float = 7.0) -> Values:
    """The values after late data of these workers' day."""
    changed: Values = {
        (user, day(number)): {m: (v or 0) + by + n for m, v in values[user, day(number)].items()}
        for n, user in enumerate(users)
    }
    return values | changed


UNDOMINATED = -1e9
"""A share that any group is safe with, so that the other rules have to hold without the p % rule."""


# ------------------------------------------------------------------------------------------- by example
PLATFORM, DATA, QA = team("platform", 9), team("data", 6), team("qa", 3)
ACCOUNTS, LEGAL = team("accounts", 7, "sales"), team("legal", 2, "law")
EVERYBODY = [*PLATFORM, *DATA, *QA, *ACCOUNTS, *LEGAL]


def story(week: Publications) -> list[Answer]:
    """A week with a quiet Saturday, then late data of one, of a team and one, of few teams; and a move."""
    values: Values = worked(EVERYBODY, range(5), active_s=100.0, keys=50.0)
    values |= worked([*PLATFORM[:2], *ACCOUNTS[:3]], [5], active_s=80.0, keys=5.0)
    week.publish(values, days=5)
    week.publish(values)
    week.publish(late(values, ["data0"]))
    values = late(values, [*(f"platform{n}" for n in range(5)), "data1"])
    week.publish(values)
    values = late(values, [f"accounts{n}" for n in range(6)], number=2)
    movers = {"platform8", "qa1"}
    moved = [moved_to(one, DATA[0]) if one["user_id"] in movers else one for one in EVERYBODY]
    week.publish(values, members=moved)
    week.publish(late(values, [*(f"data{n}" for n in range(4)), "qa0", "legal0"]), members=moved)
    return answers_of(week.seen, TENANT)


def test_no_pair_or_triple_of_answers_and_no_system_of_them_isolates_fewer_than_five() -> None:
    answers = story(Publications(EVERYBODY))
    assert len(answers) > 60
    attack(answers, 5)


@pytest.mark.parametrize("dominance", [0.1, UNDOMINATED])
def test_values_that_come_back_to_what_they_were_isolate_nobody(dominance: float) -> None:
    """Six have changed since the last time, but since the first time only one."""
    values: Values = worked(PLATFORM)
    week = Publications(PLATFORM, SafetyRules(5, dominance))
    week.publish(values)
    week.publish(late(values, [f"platform{n}" for n in range(5)]))
    week.publish(late(values, ["platform8"]))
    attack(answers_of(week.seen, TENANT), 5)


# --------------------------------------------------------------------------------------- organisations
@st.composite
def histories(draw: st.DrawFn) -> tuple[list[list[Member]], list[Values]]:
    """Members and values at every time that they are looked at: late data, removals and moves in between."""
    sizes = draw(
        st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["x", "y", None])), min_size=1, max_size=4)
    )
    members: list[Member] = [one for n, (size, of) in enumerate(sizes) for one in team("abcd"[n], size, of)]
    members += team("loose", draw(st.integers(0, 3)), None)
    keys = [(str(one["user_id"]), day(number)) for number in range(2) for one in members]
    random = draw(st.randoms(use_true_random=False))
    values: Values = {}
    organisations, times = [], []
    for _ in range(draw(st.integers(2, 4))):
        touched = draw(st.sampled_from([0.1, 0.3, 0.8])) if values else 0.8
        # Amounts few enough that a value comes back to what it was, which is nothing new.
        values |= {
            key: {"active_s": random.choice([60.0, 90.0, 120.0])} for key in keys if random.random() < touched
        }
        for key in random.sample(sorted(values), min(len(values), 2)):
            del values[key]
        mover, to = random.choice(members)["user_id"], random.choice(members)
        members = [moved_to(one, to) if one["user_id"] == mover else one for one in members]
        organisations.append(members)
        times.append(dict(values))
    return organisations, times


@settings(max_examples=40, deadline=None)
@given(histories(), st.sampled_from([0.1, UNDOMINATED]))
def test_no_history_of_any_organisation_isolates_anybody(
    history: tuple[list[list[Member]], list[Values]], dominance: float
) -> None:
    organisations, times = history
    week = Publications(organisations[0], SafetyRules(3, dominance))
    for members, values in zip(organisations, times, strict=True):
        week.publish(values, members=members)
    attack(answers_of(week.seen, TENANT), 3)


# ----------------------------------------------------------------------------------- what the attack finds
def groups(values: Values, members: Sequence[Member]) -> dict[str, frozenset[tuple[str, date, float]]]:
    """Everything that could be told of each group and day."""
    found: dict[str, set[tuple[str, date, float]]] = {}
    of = {str(one["user_id"]): one for one in members}
    for (user, on), measures in values.items():
        for group in (of[user]["team"], of[user]["department"], TENANT):
            if measures["active_s"] is not None:
                found.setdefault(f"{group} {on}", set()).add((user, on, measures["active_s"]))
    return {name: frozenset(unknowns) for name, unknowns in found.items()}


def told(cells: Mapping[str, frozenset[tuple[str, date, float]]]) -> list[Answer]:
    return [Answer(name, "active_s", unknowns) for name, unknowns in cells.items()]


def isolates(answers: Sequence[Answer], min_group: int = 5) -> bool:
    by_few = bool(isolated_by_pairs_and_triples(answers, min_group))
    assert not by_few or isolated_by_elimination(answers, min_group) is not None
    return by_few or isolated_by_elimination(answers, min_group) is not None


def test_the_attack_finds_cells_that_are_only_suppressed_themselves() -> None:
    cells = groups(worked([*PLATFORM, *DATA, *QA]), [*PLATFORM, *DATA, *QA])
    large = {name: unknowns for name, unknowns in cells.items() if len(unknowns) >= 5}
    assert len(large) == 4
    assert isolates(told(large))


def test_the_attack_finds_a_lattice_that_forgets_what_it_has_published() -> None:
    values = worked(EVERYBODY)
    once, again = Publications(EVERYBODY), Publications(EVERYBODY)
    once.publish(values)
    again.publish(late(values, ["data0"]))
    assert not isolates(answers_of(once.seen, TENANT))
    assert not isolates(answers_of(again.seen, TENANT))
    assert isolates(answers_of([*once.seen, *again.seen], TENANT))


def test_the_attack_finds_cells_that_are_each_republished_when_enough_of_their_own_changed() -> None:
    """Five of one team and one of another: the team and the tenant may change, and their changes differ."""
    members = [*PLATFORM, *DATA]
    values = worked(members)
    before = groups(values, members)
    now = groups(late(values, [*(f"platform{n}" for n in range(5)), "data1"]), members)
    new = {name: cell for name, cell in now.items() if len(cell - before[name]) >= 5}
    assert {name.split()[0] for name in new} == {"platform", "ops", TENANT}
    renamed = {f"{name} again": cell for name, cell in new.items()}
    assert isolates(told(before | renamed))


def test_the_attack_finds_a_week_that_tells_its_quiet_day() -> None:
    values = worked(PLATFORM, range(5)) | worked(PLATFORM[:2], [5])
    days = {name: cell for name, cell in groups(values, PLATFORM).items() if name.startswith("platform")}
    week = frozenset().union(*days.values())
    large = {name: cell for name, cell in days.items() if len(cell) >= 5}
    assert isolated_by_pairs_and_triples(told(large | {"week": week}), 5) == []
    assert isolates(told(large | {"week": week}))


def test_the_attack_finds_a_worker_whose_day_is_counted_in_another_team_later() -> None:
    members = [*PLATFORM, *DATA]
    values = worked(members)
    moved = [moved_to(one, DATA[0]) if one["user_id"] == "platform8" else one for one in members]
    again = {f"{name} again": cell for name, cell in groups(values, moved).items()}
    assert isolates(told(groups(values, members) | again))


@pytest.mark.parametrize("weaker", [2, 3])
def test_the_attack_finds_too_small_a_group(weaker: int) -> None:
    assert isolates(story(Publications(EVERYBODY, SafetyRules(weaker))))


def test_the_attack_reads_what_is_told_and_not_what_is_not() -> None:
    week = Publications(team("tiny", 4))
    week.publish(worked(week.members))
    assert answers_of(week.seen, TENANT) == []
    assert week.lattice["value"].is_null().all()
    assert kpi_daily(worked(week.members)).filter(pl.col("value") > 0).height == 4
