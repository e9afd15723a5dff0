"""Ids that came again under another date, however far apart (docs/domain.md section 2)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import DAY, NEXT, Place, same, two_days, typed, worked

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.lake import Lake, append, scan
from coworkai.common.tables import (
    BRONZE_REPEATS,
    GOLD_ACCOUNTING,
    GOLD_WORKBLOCKS,
    OPS_RUNS,
    SILVER_HEALTH,
)
from coworkai.runner.rebuild import rebuild
from coworkai.runner.repeats import LEASE, Repeats

FAR = DAY - timedelta(days=30)
ID = "00000000-0000-0000-0000-0000000000aa"


def repeats(place: Place, ids_at_once: int = 1_000, holder: str = "looker") -> Repeats:
    return Repeats(place.lake, place.control, holder, ids_at_once=ids_at_once)


def settle(place: Place) -> None:
    """As the runner does: compute, look for repeated ids, compute what they change."""
    place.process()
    repeats(place).find()
    place.process()


def sent(day: date, published: datetime, user: str = "ana", **fields: object) -> dict[str, object]:
    return worked(user, "09:00", "09:30", day) | {"event_id": ID, "published_at": published} | fields


def raw_seconds(place: Place) -> dict[date, float]:
    return dict(place.read(GOLD_ACCOUNTING).select("date", "raw_s").iter_rows())


def health(place: Place, day: date) -> tuple[int, int]:
    """Records and duplicates of activities."""
    rows = place.read(SILVER_HEALTH).filter(pl.col("date") == day, pl.col("source") == "activities")
    return sum(rows["records"]), sum(rows["duplicates"])


@pytest.mark.parametrize("first_to_arrive", ["published first", "published last"])
def test_an_id_sent_again_a_month_away_counts_once_whichever_arrives_first(
    place: Place, first_to_arrive: str
) -> None:
    original, again = sent(DAY, at("10:00", DAY)), sent(FAR, at("10:00", NEXT))
    order = [original, again] if first_to_arrive == "published first" else [again, original]
    for row in order:
        place.commit(Source.ACTIVITIES, row)
        settle(place)
    assert raw_seconds(place) == {DAY: 1800.0}
    assert place.read(GOLD_WORKBLOCKS)["date"].to_list() == [DAY]
    assert health(place, DAY) == (1, 0)
    assert health(place, FAR) == (0, 1)
    assert place.dirty() == []


def test_published_together_the_smaller_date_stays(place: Place) -> None:
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", NEXT)), sent(FAR, at("10:00", NEXT)))
    settle(place)
    assert raw_seconds(place) == {FAR: 1800.0}


def test_who_sent_an_id_first_keeps_it_whoever_sends_it_again(place: Place) -> None:
    place.commit(
        Source.ACTIVITIES,
        sent(DAY, at("10:00", DAY), user="ana"),
        sent(NEXT, at("10:00", NEXT), user="bo"),
        sent(FAR, at("11:00", NEXT), user="cy"),
    )
    settle(place)
    assert place.read(GOLD_WORKBLOCKS)["user_id"].to_list() == ["ana"]


def test_the_same_id_of_another_tenant_or_another_source_is_another_record(place: Place) -> None:
    place.control.put_tenant("globex")
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", DAY)))
    place.commit(Source.ACTIVITIES, sent(FAR, at("10:00", FAR)) | {"tenant_id": "globex"})
    place.commit(Source.KEYSTROKES, typed("ana", "09:10", FAR) | {"event_id": ID})
    assert repeats(place).find() == 0
    settle(place)
    assert raw_seconds(place)[DAY] == 1800.0


def test_a_look_with_nothing_new_reads_nothing_and_lists_nothing_twice(place: Place) -> None:
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", DAY)), sent(FAR, at("10:00", NEXT)))
    assert repeats(place).find() == 1
    assert repeats(place).find() == 0
    version = place.lake.open(BRONZE_REPEATS).version()
    place.commit(Source.ACTIVITIES, worked("ana", "15:00", "15:30", FAR))
    assert repeats(place).find() == 0
    assert place.lake.open(BRONZE_REPEATS).version() == version


def test_a_rebuild_as_of_a_version_before_the_repetition_is_byte_identical(
    place: Place, tmp_path: Path
) -> None:
    two_days(place)
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", NEXT)))
    settle(place)
    tables, artifacts = place.tables(), place.artifacts()
    version = place.lake.open(OPS_RUNS, TENANT).version()

    place.commit(Source.ACTIVITIES, sent(FAR, at("10:00", FAR)))
    settle(place)
    assert not same(place.tables(), tables)
    now, now_artifacts = place.tables(), place.artifacts()
    newest = place.lake.open(OPS_RUNS, TENANT).version()

    for as_of, expected, files in ((version, tables, artifacts), (newest, now, now_artifacts)):
        beside = str(tmp_path / f"beside-{as_of}")
        rebuild(place.pipeline(), TENANT, FAR, NEXT, as_of=as_of, beside=beside)
        there = Place(tmp_path / f"reader-{as_of}")
        there.lake, there.store = Lake(beside), ArtifactStore(beside)
        assert same(there.tables(), expected)
        assert there.artifacts() == files
        there.close()


def test_every_run_records_the_version_of_the_list_that_it_read(place: Place) -> None:
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", DAY)), sent(FAR, at("10:00", NEXT)))
    settle(place)
    silver = place.runs().filter(pl.col("stage") == Stage.SILVER.value)["input_versions"].to_list()
    read = [
        {entry["table"]: entry["version"] for entry in versions}[BRONZE_REPEATS.id] for versions in silver
    ]
    assert read == sorted(read)
    assert read[-1] == place.lake.open(BRONZE_REPEATS).version()


def awkward_records() -> list[Mapping[str, object]]:
    """Ids that came up to four times, near and far, by two workers, some published at one instant."""
    choose = random.Random(5)
    rows: list[Mapping[str, object]] = []
    taken: set[tuple[int, date]] = set()
    for number in range(24):
        for _ in range(choose.choice([1, 1, 2, 3, 4])):
            day = DAY + timedelta(days=choose.choice([-30, 0, 0, 1]))
            if (number, day) in taken:
                continue
            taken.add((number, day))
            user = choose.choice(["ana", "ana", "ana", "bo"])
            hour = f"{8 + number % 12:02d}"
            rows.append(
                worked(user, f"{hour}:00", f"{hour}:{10 + number}", day)
                | {"event_id": f"id-{number}", "published_at": at(f"{choose.randrange(3):02d}:00", NEXT)}
            )
    return rows


def lengths_of_the_first(rows: Sequence[Mapping[str, object]]) -> list[float]:
    """Seconds of the record of every id that was published first, of the smaller date where several were."""
    frame = pl.DataFrame(rows).sort("published_at", "started_at").unique("event_id", keep="first")
    return (frame["ended_at"] - frame["started_at"]).dt.total_seconds().to_list()


def arrive(place: Place, batches: Sequence[Sequence[Mapping[str, object]]], *, look_between: bool) -> None:
    for rows in batches:
        place.commit(Source.ACTIVITIES, *rows)
        place.process()
        if look_between:
            repeats(place, ids_at_once=7).find()
    settle(place)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where the awkward records came at once; to be read only."""
    place = Place(tmp_path_factory.mktemp("at-once"))
    arrive(place, [awkward_records()], look_between=False)
    assert place.lake.open(BRONZE_REPEATS).version() > 0
    yield place
    place.close()


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.integration), 1])
def test_any_order_and_grouping_of_arrival_gives_equal_rows_and_files(
    at_once: Place, tmp_path: Path, seed: int
) -> None:
    rows = awkward_records()

    choose = random.Random(seed)
    choose.shuffle(rows)
    cuts = sorted(choose.sample(range(1, len(rows)), 2))
    batches = [rows[a:b] for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    shuffled = Place(tmp_path)
    arrive(shuffled, batches, look_between=bool(seed % 2))
    assert same(shuffled.tables(), at_once.tables())
    assert shuffled.artifacts() == at_once.artifacts()
    assert shuffled.read(GOLD_ACCOUNTING)["raw_s"].sum() == sum(lengths_of_the_first(rows))
    shuffled.close()


def test_one_looks_at_a_time(place: Place) -> None:
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", DAY)), sent(FAR, at("10:00", NEXT)))
    lease = place.control.lease(LEASE, "another", 60)
    assert lease is not None
    assert repeats(place).find() == 0
    place.control.release(lease)
    assert repeats(place).find() == 1


def test_a_look_that_was_overtaken_lists_nothing_and_is_done_again(place: Place) -> None:
    place.commit(Source.ACTIVITIES, sent(DAY, at("10:00", DAY)), sent(FAR, at("10:00", NEXT)))
    overtaken = repeats(place)
    stale = place.lake.open(BRONZE_REPEATS)

    class Overtaken(Lake):
        """The list as it was before somebody else wrote to it."""

        def open(self, table, tenant_id=None, *, version=None):  # type: ignore[no-untyped-def]
            return stale if table is BRONZE_REPEATS else super().open(table, tenant_id, version=version)

    row = {"tenant_id": "globex", "event_date": DAY, "source": "chat", "event_id": "x", "user_id": None}
    append(
        place.lake.open(BRONZE_REPEATS),
        BRONZE_REPEATS,
        pl.DataFrame([row], schema=BRONZE_REPEATS.schema),
        fence=9,
        touched={},
    )
    assert Repeats(Overtaken(place.lake.root), place.control, "stale").find() == 0
    assert scan(place.lake.open(BRONZE_REPEATS), BRONZE_REPEATS).collect().height == 1
    assert overtaken.find() == 1
