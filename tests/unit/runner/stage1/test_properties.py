"""Properties of Stage 1 on random days, and equality with the slow reference (docs/domain.md, section 4)."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta
from random import Random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.doubles import reference_rules
from tests.doubles.reference_rules import Day, Zones
from tests.unit.runner.stage1.frames import Silver, cut_at_midnights
from tests.unit.runner.strategies import TypingWorker, typing_crews

from coworkai.runner.stage1.build import Stage1

Crew = dict[str, TypingWorker]


def reference_days(crew: Crew) -> dict[tuple[str, date], Day]:
    days = {}
    for user, worker in sorted(crew.items()):
        pieces = reference_rules.timeline(worker.activities, Zones()).pieces
        dates = {p.date for p in pieces} | {k.minute.date() for k in worker.keystrokes}
        idle = cut_at_midnights(worker.idle)
        for day in sorted(dates):
            days[user, day] = reference_rules.stage1_day(
                [p for p in pieces if p.date == day],
                [k for k in worker.keystrokes if k.minute.date() == day],
                [stretch for stretch in idle if stretch[0].date() == day],
            )
    return days


def seconds(length: timedelta) -> float:
    return length / timedelta(microseconds=1) / 1e6


def frames(built: Stage1) -> dict[str, pl.DataFrame]:
    return {field.name: getattr(built, field.name) for field in fields(built)}


@given(typing_crews())
def test_workblocks_slices_matches_and_usage_equal_the_reference(crew: Crew) -> None:
    built = Silver.of(crew).build()
    blocks, slices, matches, usage = [], [], [], []
    for (user, day), expected in reference_days(crew).items():
        blocks += [
            (
                user,
                day,
                f"{block.number:02d}",
                block.started_at,
                block.ended_at,
                seconds(block.active),
                seconds(block.idle),
                block.is_continuation,
            )
            for block in expected.workblocks
            if block.number is not None
        ]
        for s in expected.slices:
            number = expected.workblocks[s.block].number
            slices.append(
                (
                    user,
                    day,
                    f"{number:02d}",
                    s.sequence,
                    s.started_at,
                    s.ended_at,
                    seconds(s.evidence),
                    s.app,
                    s.url,
                    s.title,
                    len(s.event_ids),
                    s.ambiguous,
                    s.multitasking,
                    s.phase > 0,
                    s.phase == 3,
                    s.phase == 4,
                    s.cross_app,
                    seconds(s.idle),
                )
            )
        holder = {e: (s.block, s.sequence) for s in expected.slices for e in s.event_ids}
        for m in sorted(expected.matches, key=lambda m: (m.keystrokes.minute, m.keystrokes.event_id)):
            block_number, sequence = holder.get(m.keystrokes.event_id, (None, None))
            kept = None if block_number is None else f"{expected.workblocks[block_number].number:02d}"
            matches.append((user, day, m.keystrokes.event_id, m.phase, m.cross_app, kept, sequence))
        for kind in ("app", "url"):
            listed = sorted(expected.usage[kind].items(), key=lambda item: (-item[1], item[0]))
            usage += [
                (user, day, kind, rank, name, seconds(length))
                for rank, (name, length) in enumerate(listed, start=1)
            ]
    order = pl.col("workblock_id").str.slice(-2)
    assert (
        built.workblocks.select(
            "user_id", "date", order, "started_at", "ended_at", "active_s", "idle_s", "is_continuation"
        ).rows()
        == blocks
    )
    columns = "sequence started_at ended_at duration_s app url title keystroke_minutes ambiguous multitasking"
    flags = "is_synthetic is_gap is_orphan cross_app idle_s"
    assert (
        built.atomic_slices.select("user_id", "date", order, *columns.split(), *flags.split()).rows()
        == slices
    )
    assert (
        built.matches.select("user_id", "date", "event_id", "phase", "cross_app", order, "sequence").rows()
        == matches
    )
    assert (
        built.usage_statistics.filter(pl.col("kind") != "domain")
        .select("user_id", "date", "kind", "rank", "name", "duration_s")
        .rows()
        == usage
    )


@given(typing_crews())
def test_the_days_accounting_adds_up_to_the_reference(crew: Crew) -> None:
    built = Silver.of(crew).build()
    days = reference_days(crew)
    for row in built.day_accounting.iter_rows(named=True):
        day = days.get((row["user_id"], row["date"]), Day([], [], [], {}, timedelta(), timedelta()))
        found = [m.phase for m in day.matches]
        noise = sum(w.number is None for w in day.workblocks)
        held = sum(len(s.event_ids) for s in day.slices)
        assert [row[name] for name in ("direct", "nearest", "gap", "orphan")] == [
            found.count(p) for p in (1, 2, 3, 4)
        ]
        assert row["keystroke_minutes"] == len(found)
        assert row["cross_app"] == sum(m.cross_app for m in day.matches)
        assert (row["synthetic_s"], row["noise_s"]) == (seconds(day.synthetic), seconds(day.noise))
        assert (row["noise_blocks"], row["noise_keystroke_minutes"]) == (noise, len(found) - held)


@given(typing_crews())
def test_every_keystroke_minute_is_matched_once(crew: Crew) -> None:
    silver = Silver.of(crew)
    matches = silver.build().matches
    assert sorted(matches.select("user_id", "event_id").rows()) == sorted(
        silver.keystrokes.select("user_id", "event_id").rows()
    )
    assert matches["phase"].is_between(1, 4).all()


@given(typing_crews())
def test_slices_tile_the_activities_of_their_workblock(crew: Crew) -> None:
    """What slices sum up to is the evidence of real activities and, of those that multitask, each its own."""
    built = Silver.of(crew).build()
    single = built.atomic_slices.filter(~pl.col("multitasking"))
    summed = single.group_by("workblock_id").agg(pl.col("duration_s").sum())
    together = (
        built.atomic_slices.filter("multitasking")
        .unique(["workblock_id", "started_at"])
        .group_by("workblock_id")
        .agg(pl.col("duration_s").sum().alias("shared_s"))
    )
    joined = built.workblocks.join(summed, on="workblock_id", how="left").join(
        together, on="workblock_id", how="left"
    )
    found = joined.select(pl.sum_horizontal(pl.col("duration_s_right", "shared_s").fill_null(0.0)).round(6))
    assert found.to_series().to_list() == built.workblocks["active_s"].to_list()
    inside = built.atomic_slices.join(built.workblocks, on="workblock_id", suffix="_block")
    assert inside.filter(
        (pl.col("started_at") < pl.col("started_at_block")) | (pl.col("ended_at") > pl.col("ended_at_block"))
    ).is_empty()
    assert built.workblocks.filter(pl.col("active_s") > pl.col("duration_s")).is_empty()


@given(typing_crews(), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_rows_changes_nothing(crew: Crew, random: Random) -> None:
    silver = Silver.of(crew)

    def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
        order = list(range(frame.height))
        random.shuffle(order)
        return frame[order]

    mixed = Silver(*(shuffled(getattr(silver, field.name)) for field in fields(silver)))
    for name, frame in frames(silver.build()).items():
        assert_frame_equal(frame, frames(mixed.build())[name])


@given(typing_crews())
@settings(max_examples=25)
def test_workers_one_by_one_give_what_they_give_together(crew: Crew) -> None:
    together = frames(Silver.of(crew).build())
    alone = [frames(Silver.of({user: crew[user]}).build()) for user in sorted(crew)]
    for name, frame in together.items():
        assert_frame_equal(frame, pl.concat(part[name] for part in alone))


@given(typing_crews())
@settings(max_examples=25)
def test_days_one_by_one_give_what_they_give_together(crew: Crew) -> None:
    silver = Silver.of(crew)
    together = frames(silver.build())
    dates = sorted({d for field in fields(silver) for d in getattr(silver, field.name)["date"]})
    alone = [
        frames(Silver(*(getattr(silver, field.name).filter(date=day) for field in fields(silver))).build())
        for day in dates
    ]
    for name, frame in together.items():
        if alone:
            parts = pl.concat(part[name] for part in alone)
            keys = ["user_id", "date"]
            assert_frame_equal(frame, parts.sort(keys, maintain_order=True))
