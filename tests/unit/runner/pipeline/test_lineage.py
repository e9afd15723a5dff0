"""From a workblock or slice back to the events, files and versions it came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import DAY, NEXT, Place, listed, typed, worked

from coworkai.common.control import Stage
from coworkai.common.errors import NotFound
from coworkai.common.events import Source
from coworkai.common.fact_ids import FactKind
from coworkai.common.lake import compact, tidy_log, vacuum
from coworkai.common.outputs import Outputs
from coworkai.common.tables import (
    BRONZE_ACTIVITIES,
    BRONZE_CHAT,
    BRONZE_KEYSTROKES,
    BRONZE_MANIFESTS,
    GOLD_SLICES,
    GOLD_WORKBLOCKS,
    Layer,
    of_layer,
)
from coworkai.insights.fact_books import FactRules, team_books, worker_books
from coworkai.insights.facts import Fact
from coworkai.insights.gold import PinnedGold
from coworkai.runner.lineage import Lineage, lineage


def traced(place: Place, identifier: str) -> Lineage:
    return lineage(place.lake, TENANT, identifier, place.rules)


def block_of(place: Place, user: str) -> str:
    found: str = place.read(GOLD_WORKBLOCKS).filter(pl.col("user_id") == user)["workblock_id"][0]
    return found


def test_a_workblock_leads_to_its_events_their_files_and_versions(place: Place) -> None:
    activities = place.commit(
        Source.ACTIVITIES, worked("ana", "09:00", "09:30"), worked("bo", "09:00", "09:30")
    )
    keystrokes = place.commit(Source.KEYSTROKES, typed("ana", "09:10"), typed("bo", "09:10"))
    place.process()
    found = traced(place, block_of(place, "ana"))
    assert found.events.select("table", "event_id").rows() == [
        (BRONZE_ACTIVITIES.id, activities["event_id"][0]),
        (BRONZE_KEYSTROKES.id, keystrokes["event_id"][0]),
    ]
    assert found.origin.pieces["event_id"].to_list() == [activities["event_id"][0]]
    assert found.origin.keystrokes.select("event_id", "phase").rows() == [(keystrokes["event_id"][0], 1)]
    assert found.events["version"].to_list() == [1, 1]
    assert all(Path(file.removeprefix("file://")).is_file() for file in found.events["file"])
    gold, silver = found.steps
    assert gold.run_id == found.row["run_id"]
    assert silver.input_versions[BRONZE_ACTIVITIES.id] == 1


def test_a_slice_leads_to_its_own_context_only(place: Place) -> None:
    first = place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))
    second = place.commit(Source.ACTIVITIES, worked("ana", "09:30", "10:00", app="code.exe"))
    place.process()
    block = block_of(place, "ana")
    by_app = {
        row["app"]: traced(place, f"{block}/{row['sequence']}")
        for row in place.read(GOLD_SLICES).iter_rows(named=True)
    }
    assert by_app["chrome"].origin.pieces["event_id"].to_list() == first["event_id"].to_list()
    assert by_app["code"].origin.pieces["event_id"].to_list() == second["event_id"].to_list()


def test_lineage_holds_after_compaction_and_later_data(place: Place) -> None:
    events = [place.commit(Source.ACTIVITIES, worked("ana", f"09:{n}0", f"09:{n}9")) for n in range(3)]
    place.process()
    block = block_of(place, "ana")
    compact(place.lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES, from_files=2)
    place.commit(Source.ACTIVITIES, worked("bo", "15:00", "15:30"))
    place.process()
    found = traced(place, block)
    assert sorted(found.events["event_id"]) == sorted(frame["event_id"][0] for frame in events)


def forget_silver_logs(place: Place) -> None:
    """Clean them up to the newest versions, as maintenance does in time."""
    for table in of_layer(Layer.SILVER):
        silver = place.lake.open(table, TENANT)
        tidy_log(silver, table)
        log = Path(place.lake.uri(table, TENANT)) / "_delta_log"
        for gone in range(silver.version()):
            (log / f"{gone:020}.json").unlink()


def rewrite_silver(place: Place) -> None:
    """Put its rows into other files, and remove those that they were in."""
    outputs = Outputs.open(place.lake, TENANT, Stage.SILVER, 10**6)
    for table in of_layer(Layer.SILVER):
        rows = outputs.read(table, [DAY])
        if not rows.is_empty():
            outputs.replace(table, rows, [DAY])
    outputs.publish_again(place.clock())
    for table in of_layer(Layer.SILVER):
        vacuum(place.lake.open(table, TENANT), table, retention=timedelta(0))


@pytest.mark.parametrize("forget", [forget_silver_logs, rewrite_silver])
def test_lineage_holds_when_the_versions_that_the_runs_had_read_are_gone(
    place: Place, forget: Callable[[Place], None]
) -> None:
    events = [place.commit(Source.ACTIVITIES, worked("ana", f"09:{n}0", f"09:{n}9")) for n in range(3)]
    place.process()
    before = traced(place, block_of(place, "ana"))
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30", day=NEXT))
    place.process()
    bronze = place.lake.open(BRONZE_ACTIVITIES)
    compact(bronze, BRONZE_ACTIVITIES, from_files=2)
    assert vacuum(bronze, BRONZE_ACTIVITIES, retention=timedelta(0))
    forget(place)
    found = traced(place, block_of(place, "ana"))
    assert found.origin.recount == before.origin.recount
    assert found.steps == before.steps
    assert sorted(found.events["event_id"]) == sorted(frame["event_id"][0] for frame in events)
    assert set(found.events["version"]) == {bronze.version()}
    assert all(Path(file.removeprefix("file://")).is_file() for file in found.events["file"])


NOBODYS = (
    "",
    "nobody",
    "wb:nobody:0:00",
    "wb:nobody:0:00/1",
    "wb:nobody:0:00/x",
    "slice:wb:nobody:0:00#1",
    f"kpi:nobody:{DAY}:active_s",
    f"kpi:ana:{DAY}:happiness",
    f"kpi:ana:{DAY + timedelta(days=3)}:active_s",
    f"baseline:ana:{DAY}:happiness",
    f"goal:ana:{DAY}:1",
    f"focus:ana:{DAY}:1",
    f"pause:ana:{DAY}:1",
    f"usage:ana:{DAY}:app:9",
    f"usage:ana:{DAY}:mood:1",
    f"chat:ana:{DAY}:00000000-0000-4000-8000-000000000000",
    f"chats:ana:{DAY}",
    f"theme:ana:{DAY}:1",
    f"day:nobody:{DAY}",
    f"group:team:None:day:{DAY}:active_s",
    f"group:team:None:day:{DAY}:withheld",
    f"group:planet:None:day:{DAY}:active_s",
)


def test_an_id_that_is_not_published_is_not_found(place: Place) -> None:
    place.commit(Source.ACTIVITIES, worked("ana", "09:00", "09:30"))
    place.process()
    for identifier in NOBODYS:
        with pytest.raises(NotFound):
            traced(place, identifier)


# ------------------------------------------------------------------------------------------ every fact
def said(number: int, clock: str, text: str, day: date = DAY) -> dict[str, object]:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "user_id": "ana",
        "occurred_at": at(clock, day),
        "conversation_id": "c",
        "assistant": "ChatGPT",
        "role": "user",
        "text": text,
        "text_length": len(text),
    }


def two_rich_days(place: Place) -> None:
    """Ana and four others of her team, with something of every kind on DAY; the others are quieter."""
    site = {"url": "https://docs.python.org/3/", "title": "Docs"}
    place.commit(
        Source.JOBS,
        *(listed(user, "Sales", DAY - timedelta(days=9), "s") for user in ("ana", "b", "c", "d", "e")),
    )
    place.commit(
        Source.ACTIVITIES,
        worked("ana", "09:00", "09:50", app="code.exe"),
        worked("ana", "09:50", "10:10") | site,
        worked("ana", "10:10", "10:15", app="slack.exe"),
        worked("ana", "10:11", "10:12", app="slack.exe"),
        worked("ana", "09:20", "09:40"),
        worked("ana", "13:00", "14:10", app="code.exe"),
        *(worked(user, "09:00", "10:00", app="code.exe") for user in ("b", "c", "d", "e")),
        worked("ana", "08:00", "08:45", NEXT, app="code.exe"),
    )
    place.commit(
        Source.KEYSTROKES,
        typed("ana", "09:10", app="code.exe"),
        typed("ana", "11:00", app="notepad.exe"),
        typed("ana", "13:05", app="code.exe"),
        typed("b", "09:05", app="code.exe"),
    )
    place.commit(
        Source.MANIFESTS,
        {
            "user_id": "ana",
            "kind": "SOD",
            "occurred_at": at("08:55", DAY),
            "goals": ["ship it", "rest"],
            "focus_areas": ["billing"],
            "kpis": [{"name": "Calls", "target": 4.0, "actual": None, "unit": "calls"}],
        },
        {
            "user_id": "ana",
            "kind": "EOD",
            "occurred_at": at("17:00", DAY),
            "goals": ["ship it"],
            "kpis": [{"name": "calls", "target": None, "actual": 5.0, "unit": None}],
        },
    )
    place.commit(
        Source.CHAT,
        said(1, "09:15", "the billing export fails"),
        said(2, "09:20", "test the billing export"),
        said(3, "09:25", "plan my day"),
    )
    place.commit(
        Source.DEVICE_POSTURE,
        {"user_id": "ana", "occurred_at": at("13:45", DAY), "idle_s": 600.0, "locked": False},
    )


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where `two_rich_days` are computed; to be read only."""
    place = Place(tmp_path_factory.mktemp("rich"))
    two_rich_days(place)
    place.process()
    yield place
    place.close()


def facts_of(place: Place, *, window: int = 6) -> list[Fact]:
    """Facts of Ana on DAY, and of her team."""
    gold = PinnedGold.pin(place.lake, place.store, TENANT)
    start = DAY - timedelta(days=window)
    frames = gold.worker_frames(DAY, start, "UTC", baseline_days=28)
    book = next(worker_books(frames, DAY, start, FactRules(slices=100)))
    (team,) = team_books(gold.team_frames(DAY, start, "UTC"), DAY, start, 5)
    return [*book.facts.values(), *team.facts.values()]


def test_every_fact_opens_is_recounted_to_what_it_says_and_leads_to_events(rich: Place) -> None:
    facts = facts_of(rich)
    assert {fact.kind for fact in facts} == set(FactKind)
    for fact in {(fact.kind, fact.measure): fact for fact in facts}.values():
        found = traced(rich, fact.fact_id)
        assert (found.fact_id, found.origin.source) == (fact.fact_id, fact.table)
        assert found.origin.formula, fact.fact_id
        for name, value in found.origin.recount.items():
            wanted = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
            for told in (
                fact.fields[name].value if name in fact.fields else value,
                found.row.get(name, value),
            ):
                assert told == wanted, (fact.fact_id, name)
        # A group's measure leads to its contributors' measures, which have events.
        assert found.events.is_empty() == (fact.kind is FactKind.GROUP), fact.fact_id
        assert found.origin.facts or fact.kind is not FactKind.GROUP or fact.measure == "withheld"


RECOUNTED = {
    "usage:ana:{DAY}:app:1": {"rank", "duration_s", "day_share"},
    "chats:ana:{DAY}": {"messages", "conversations", "blockers", "first_at", "last_at"},
    "chat:ana:{DAY}:00000000-0000-4000-8000-000000000001": {"status"},
    "goal:ana:{DAY}:1": {"status"},
    "target:ana:{DAY}:1": {"attainment"},
    "focus:ana:{DAY}:1": {"started_at", "ended_at", "duration_s"},
    "pause:ana:{DAY}:1": {"started_at", "ended_at", "duration_s"},
    "day:ana:{DAY}": {"raw_s", "kept_s", "overlapped_s", "keystroke_minutes", "first_at", "last_at"},
}


def test_what_a_brief_may_cite_of_a_fact_is_recounted(rich: Place) -> None:
    by_id = {fact.fact_id: fact for fact in facts_of(rich)}
    for identifier, names in RECOUNTED.items():
        fact = by_id[identifier.format(DAY=DAY)]
        recount = traced(rich, fact.fact_id).origin.recount
        assert names <= recount.keys(), identifier
        for name in names:
            assert recount[name] == fact[name], (identifier, name)


def test_a_share_of_the_day_is_made_of_the_days_active_time(rich: Place) -> None:
    usage = traced(rich, f"usage:ana:{DAY}:app:1")
    (active,) = usage.origin.facts
    seconds = usage.origin.recount["duration_s"]
    assert isinstance(seconds, float)
    assert usage.row["day_share"] == seconds / float(str(traced(rich, active).row["value"]))


def test_declared_facts_lead_to_the_manifests_of_their_pair(rich: Place) -> None:
    goal = traced(rich, f"goal:ana:{DAY}:2")
    assert (goal.row["name"], goal.row["is_done"]) == ("rest", False)
    assert goal.events["table"].to_list() == [BRONZE_MANIFESTS.id, BRONZE_MANIFESTS.id]
    target = traced(rich, f"target:ana:{DAY}:1")
    assert (target.row["actual"], target.row["attainment"]) == (5.0, 1.25)
    assert traced(rich, f"area:ana:{DAY}:1").row["name"] == "billing"


def test_a_theme_leads_to_the_messages_that_share_it(rich: Place) -> None:
    theme = traced(rich, f"theme:ana:{DAY}:1")
    assert (theme.row["name"], theme.origin.recount) == ("billing export", {"messages": 2})
    assert theme.events.select("table", "event_id").rows() == [
        (BRONZE_CHAT.id, f"00000000-0000-4000-8000-{n:012d}") for n in (1, 2)
    ]


def test_a_days_raw_seconds_include_activities_that_others_hid_entirely(rich: Place) -> None:
    day = traced(rich, f"day:ana:{DAY}")
    activities = day.events.filter(pl.col("table") == BRONZE_ACTIVITIES.id)
    assert activities.height == 6
    assert day.origin.recount["raw_s"] == day.row["raw_s"] == (50 + 20 + 5 + 1 + 20 + 70) * 60
    assert day.origin.recount["overlapped_s"] == day.row["overlapped_s"] == (20 + 1) * 60


def test_a_day_of_which_nothing_arrived_of_a_known_worker_opens_without_a_row(rich: Place) -> None:
    day = traced(rich, f"day:b:{NEXT}")
    assert day.events.is_empty()
    assert day.origin.recount == {}


def test_a_focus_block_is_cut_where_the_worker_was_away(rich: Place) -> None:
    blocks = [traced(rich, f"focus:ana:{DAY}:{n}") for n in (1, 2)]
    assert [one.row["ended_at"] for one in blocks] == [at("10:10", DAY), at("13:35", DAY)]
    assert traced(rich, f"kpi:ana:{DAY}:focus_blocks").origin.facts[:2] == tuple(
        one.fact_id for one in blocks
    )


def test_a_groups_measure_leads_to_its_contributors(rich: Place) -> None:
    group = traced(rich, f"group:team:Sales:day:{DAY}:active_s")
    assert group.origin.facts == tuple(f"kpi:{user}:{DAY}:active_s" for user in ("ana", "b", "c", "d", "e"))
    assert group.origin.recount == {"value": group.row["value"], "contributors": 5}


def test_a_slice_has_one_name_however_it_is_asked_for(rich: Place) -> None:
    block = block_of(rich, "ana")
    assert (
        traced(rich, f"{block}/1").fact_id == traced(rich, f"slice:{block}#1").fact_id == f"slice:{block}#1"
    )
