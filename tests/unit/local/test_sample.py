"""The sample organisation is believable, the same every time, and is what its facts say."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.doubles.oracle import expected

from coworkai.common.events import RECORD_TYPES, Source
from coworkai.common.outcome import Reason
from coworkai.local.sample import SampleFacts, default_start, write_organisation
from coworkai.local.sample.words import TYPED, Planter

TODAY = date(2026, 11, 23)
NDJSON = [source for source in Source if source is not Source.JOBS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sample")


@pytest.fixture(scope="module")
def facts(folder: Path) -> SampleFacts:
    return write_organisation(folder, workers=8, days=10, today=TODAY)


def lines(folder: Path, source: Source) -> list[bytes]:
    return (folder / f"{source}.ndjson").read_bytes().splitlines()


def readable(folder: Path, source: Source) -> list[dict[str, str]]:
    """The records that are JSON, broken or not."""
    found = []
    for line in lines(folder, source):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_organisation(tmp_path / name, workers=4, days=2, today=TODAY)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_seed_gives_another_organisation(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_organisation(tmp_path / str(seed), seed=seed, workers=4, days=1, today=TODAY)
    assert (tmp_path / "1" / "jobs.csv").read_bytes() != (tmp_path / "2" / "jobs.csv").read_bytes()


def test_the_facts_count_every_line_of_the_files(folder: Path, facts: SampleFacts) -> None:
    for source in NDJSON:
        assert len(lines(folder, source)) == facts.records[source]
    rows = 0
    for path in folder.glob("jobs*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as text:
            rows += len(list(csv.DictReader(text)))
    assert rows == facts.records[Source.JOBS]
    assert facts.received == sum(facts.records.values())
    assert facts.accepted == facts.received - facts.duplicates - sum(facts.quarantined.values())


def test_what_is_neither_broken_nor_repeated_keeps_the_contract(folder: Path, facts: SampleFacts) -> None:
    """Every line either is a record of its source or is one of those counted as broken."""
    drift, broken = {"monitor", "window_owner"}, 0
    for source in NDJSON:
        for line in lines(folder, source):
            try:
                fields = msgspec.json.decode(line)
                record = {k: v for k, v in fields.items() if not k.startswith("_") and k not in drift}
                msgspec.convert(record, RECORD_TYPES[source])
            except (msgspec.MsgspecError, UnicodeDecodeError):
                broken += 1
    by_shape = (Reason.UNREADABLE, Reason.MISSING_EVENT_ID, Reason.BAD_EVENT_ID, Reason.START_MISSING)
    jobs_rows = 2
    assert broken == sum(facts.quarantined[r] for r in (*by_shape, Reason.CONTRACT_VIOLATION)) - jobs_rows


def test_repeated_identities_are_the_duplicates_and_conflicts_of_the_facts(
    folder: Path, facts: SampleFacts
) -> None:
    repeated = 0
    for source in NDJSON:
        counts = Counter(record.get("event_id") for record in readable(folder, source))
        repeated += sum(count - 1 for identity, count in counts.items() if identity is not None)
    assert repeated == facts.duplicates + facts.quarantined[Reason.ID_CONFLICT]


def test_a_conflicting_record_comes_after_the_one_it_contradicts(folder: Path, facts: SampleFacts) -> None:
    first: dict[str, str] = {}
    later = 0
    for record in readable(folder, Source.ACTIVITIES):
        title = first.setdefault(record.get("event_id", ""), record.get("title", ""))
        if title != record.get("title", "") and record.get("event_id"):
            assert record["title"].startswith("edited by")
            later += 1
    assert later == 1


def test_every_reason_that_a_file_can_carry_occurs(facts: SampleFacts) -> None:
    of_the_transport = {
        Reason.BAD_ENVELOPE,
        Reason.UNKNOWN_SOURCE,
        Reason.UNKNOWN_TENANT,
        Reason.MESSAGE_TOO_LARGE,
        Reason.TOO_MANY_RECORDS,
        Reason.BAD_BATCH,
        Reason.STORAGE_REJECTED,
    }
    assert set(facts.quarantined) == set(Reason) - of_the_transport


def test_lines_are_in_order_of_publication_and_batches_hang_together(folder: Path) -> None:
    for source in NDJSON:
        envelopes = [
            (record["_published_at"], record["_device_id"], record["_sent_at"])
            for record in readable(folder, source)
        ]
        assert [published for published, _, _ in envelopes] == sorted(
            published for published, _, _ in envelopes
        )
        changes = sum(one != other for one, other in pairwise(envelopes))
        assert changes + 1 == len(set(envelopes))


def test_one_device_was_offline_and_one_has_a_wrong_clock(folder: Path) -> None:
    delays, errors = [], []
    for record in readable(folder, Source.DEVICE_POSTURE):
        at, sent, published = (datetime.fromisoformat(record[k]) for k in ("at", "_sent_at", "_published_at"))
        delays.append(published - at)
        errors.append(sent - published)
    assert any(delay > timedelta(days=2) for delay in delays)
    assert any(error > timedelta(minutes=40) for error in errors)


def test_somebody_works_through_the_change_of_clocks(folder: Path, facts: SampleFacts) -> None:
    assert facts.change_day == date(2026, 11, 1)
    zone = ZoneInfo("America/New_York")
    hours: Counter[int] = Counter()
    for record in readable(folder, Source.ACTIVITIES):
        if isinstance(record.get("start"), str) and record["start"].startswith("2026-11-01T0"):
            hours[datetime.fromisoformat(record["start"]).astimezone(zone).hour] += 1
    assert hours[1] > 0
    assert hours[2] > 0


@pytest.mark.parametrize("today", [date(2026, 1, 5), date(2026, 3, 30), date(2026, 4, 6), TODAY])
@pytest.mark.parametrize("days", [1, 5, 10, 15])
def test_the_default_period_ends_before_today_and_is_young_enough_for_bronze(today: date, days: int) -> None:
    start = default_start(today, days)
    assert start.weekday() == 0
    assert start + timedelta(days=days // 5 * 7) <= today + timedelta(days=1)
    assert today - start < timedelta(days=330)


def test_typed_words_stand_nowhere_but_in_what_was_typed_or_copied(folder: Path) -> None:
    for source in NDJSON:
        for record in readable(folder, source):
            if source in {Source.KEYSTROKES, Source.CLIPBOARD}:
                record.pop("text", None)
            text = json.dumps(record).lower()
            assert not [word for word in TYPED if word in text]


def test_every_worker_and_every_planted_value_is_in_the_files(folder: Path, facts: SampleFacts) -> None:
    everything = b"".join(path.read_bytes() for path in folder.iterdir()).replace(b"\\\\", b"\\")
    missing = {value for value in facts.planted if value.encode() not in everything}
    # Cards are planted without spaces too, which no file has; and not every word gets typed.
    assert all(value.isdigit() or value in TYPED for value in missing)
    assert facts.workers == 8


def test_the_organisation_changes_once_in_the_middle(folder: Path, facts: SampleFacts) -> None:
    teams = []
    for path in sorted(folder.glob("jobs*.csv"), key=lambda path: len(path.name)):
        with path.open(encoding="utf-8-sig", newline="") as text:
            teams.append({row["user_id"]: row["team"] for row in csv.DictReader(text)})
    before, after = teams
    changed = [user for user, team in before.items() if after[user] != team]
    assert len(changed) == 1


def test_cards_pass_luhn_and_ibans_their_check() -> None:
    planter = Planter(Random(3))
    for _ in range(50):
        digits = [int(c) for c in planter.card().replace(" ", "")]
        doubled = [d if i % 2 else d * 2 - 9 * (d > 4) for i, d in enumerate(digits)]
        assert sum(doubled) % 10 == 0
        iban = planter.iban()
        assert int(iban[4:] + "1314" + iban[2:4]) % 97 == 1


def test_days_have_overlaps_and_the_oracle_sees_them(folder: Path) -> None:
    found = expected(folder, now=datetime(2026, 11, 23, tzinfo=UTC))
    assert found.workers == 8
    assert 0 < found.overlapped_us < found.raw_us / 5
    per_day_h = found.kept_us / 3.6e9 / 8 / 10
    assert 5 < per_day_h < 9
