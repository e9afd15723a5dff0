"""The frames and documents that Stage 1 leaves as artefacts."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from tests.unit.runner.kpis.frames import DAY, at, block, blocks, chat, org, pair, slice_, slices

from coworkai.common.tables import (
    GOLD_SLICES,
    GOLD_WORKBLOCKS,
    SILVER_CHAT,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
)
from coworkai.runner.stage1.artifact_frames import ArtifactInputs, artifact_frames, chat_histories

NEXT = DAY + timedelta(days=1)
TABLES = {
    "workblocks": GOLD_WORKBLOCKS,
    "atomic_slices": GOLD_SLICES,
    "manifests": SILVER_MANIFEST_PAIRS,
    "jobs": SILVER_ORG_MEMBERS,
    "chat_history": SILVER_CHAT,
}


def two_days() -> ArtifactInputs:
    return ArtifactInputs(
        workblocks=blocks(
            block("11:00", "12:00", user_id="ann"),
            block("09:00", "10:00", user_id="ann"),
            block("09:00", "10:00", user_id="bob", date=NEXT),
        ),
        atomic_slices=slices(
            slice_("code", "09:10", "10:00", sequence=2), slice_("code", "09:00", "09:10", sequence=1)
        ),
        manifest_pairs=pair({"user_id": "bob"}, {"user_id": "ann"}),
        org_members=org(
            {"user_id": "bob", "team": "red", "valid_to": NEXT},
            {"user_id": "bob", "team": "blue", "valid_from": NEXT},
            {"user_id": "ann", "team": "red"},
        ),
        chat_messages=chat({"occurred_at": at("09:01"), "text": "hi"}),
    )


def test_each_day_has_all_frames_with_the_columns_of_their_tables() -> None:
    later = date(2024, 1, 9)
    got = dict(artifact_frames(two_days(), [later, NEXT, DAY, DAY]))
    assert list(got) == [DAY, NEXT, later]
    for frames in got.values():
        jobs = frames["jobs"]
        assert jobs.columns == [
            c for c in SILVER_ORG_MEMBERS.schema if c not in {"valid_to", "is_current", "run_id"}
        ]
        assert {name: frame.schema for name, frame in frames.items() if name != "jobs"} == {
            name: table.schema for name, table in TABLES.items() if name != "jobs"
        }
    heights = {day: [frames[name].height for name in TABLES] for day, frames in got.items()}
    assert heights == {DAY: [2, 2, 2, 2, 1], NEXT: [1, 0, 0, 2, 0], later: [0, 0, 0, 2, 0]}


def test_rows_are_in_a_fixed_order_whatever_order_they_came_in() -> None:
    given = two_days()
    shuffled = ArtifactInputs(
        **{name: getattr(given, name).reverse() for name in ArtifactInputs.__dataclass_fields__}
    )
    for (_, one), (_, two) in zip(
        artifact_frames(given, [DAY, NEXT]), artifact_frames(shuffled, [DAY, NEXT]), strict=True
    ):
        assert all(one[name].equals(two[name]) for name in TABLES)
    frames = dict(artifact_frames(given, [DAY]))[DAY]
    assert frames["workblocks"]["started_at"].to_list() == [at("09:00"), at("11:00")]
    assert frames["atomic_slices"]["sequence"].to_list() == [1, 2]
    assert frames["manifests"]["user_id"].to_list() == ["ann", "bob"]


def test_jobs_are_the_rows_valid_on_the_day() -> None:
    got = dict(artifact_frames(two_days(), [DAY, NEXT]))
    teams = {day: got[day]["jobs"].select("user_id", "team").rows() for day in got}
    assert teams == {DAY: [("ann", "red"), ("bob", "red")], NEXT: [("ann", "red"), ("bob", "blue")]}


def test_a_later_snapshot_changes_nothing_of_a_day_before_it() -> None:
    given = two_days()
    before = org({"user_id": "bob", "team": "red"}, {"user_id": "ann", "team": "red"})
    unaware = ArtifactInputs(
        given.workblocks, given.atomic_slices, given.manifest_pairs, before, given.chat_messages
    )
    one, two = (dict(artifact_frames(inputs, [DAY]))[DAY]["jobs"] for inputs in (given, unaware))
    assert one.equals(two)


def test_chat_is_told_by_conversation_in_the_workers_zone() -> None:
    talk = chat(
        {"occurred_at": at("09:05"), "assistant": "copilot", "conversation_id": "a", "text": "second"},
        {
            "occurred_at": at("09:00"),
            "assistant": "copilot",
            "conversation_id": "a",
            "text": "one\n\n# two",
        },
        {"occurred_at": at("09:02"), "assistant": "sla|ck", "conversation_id": "b", "text": None},
    )
    ((user, day, markdown),) = chat_histories(talk, org({"time_zone": "Europe/Rome"}))
    assert (user, day) == ("alice", DAY)
    assert markdown == (
        "# Chat history 2024-01-01: alice\n\nThe worker's own messages: 3. Times are Europe/Rome.\n\n"
        "## Conversation 1, copilot\n\n"
        "**10:00:00**\n\n    one\n    \n    # two\n\n"
        "**10:05:00**\n\n    second\n\n"
        "## Conversation 2, sla\\|ck\n\n"
        "**10:02:00**\n\n(text not kept)\n"
    )


def test_each_worker_and_day_has_its_own_chat_history() -> None:
    said = [
        {"user_id": user, "date": day, "occurred_at": at("09:00", day), "text": f"{user} {day}"}
        for user in ("bob", "ann")
        for day in (NEXT, DAY)
    ]
    got = list(chat_histories(chat(*said), org()))
    assert [(h.user_id, h.date) for h in got] == [("ann", DAY), ("bob", DAY), ("ann", NEXT), ("bob", NEXT)]
    assert all(f"    {h.user_id} {h.date}\n" in h.markdown for h in got)
    assert all(h.markdown.count("## Conversation 1, unknown assistant") == 1 for h in got)
    assert list(chat_histories(chat(), org())) == []


def test_inputs_are_left_as_they_were() -> None:
    given = two_days()
    before = {name: getattr(given, name).clone() for name in ArtifactInputs.__dataclass_fields__}
    list(artifact_frames(given, [DAY]))
    list(chat_histories(given.chat_messages, given.org_members))
    after = {name: getattr(given, name) for name in before}
    assert all(isinstance(f, pl.DataFrame) and f.equals(after[name]) for name, f in before.items())
