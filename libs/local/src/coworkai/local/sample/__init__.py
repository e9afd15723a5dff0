"""A believable organisation and its telemetry, the same for the same seed: what `coworkai demo` runs on.

roster -> shifts -> a day's records -> batches as devices send them -> faults -> record files
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from coworkai.common.events import Source
from coworkai.common.outcome import Reason
from coworkai.local.sample import faults, words
from coworkai.local.sample.day import MINUTE_US, SECOND_US, Sent, Shift, WorkDay, instant
from coworkai.local.sample.faults import Batch
from coworkai.local.sample.people import SITES, TEAMS, Worker, jobs_csv, roster
from coworkai.local.sample.words import Planter

RETRIED_SHARE = 0.03
OFFLINE_DAYS = 3
CLOCK_ERROR_US = 43 * MINUTE_US
NIGHT_SHIFT_STARTS = time(22, 0)
BROKEN_JOBS_ROWS = (
    ("", "Visitor", "", "Guest", "", "", "", "", "", "", ""),
    ("temp.worker-0001", "Temp", "", "Guest", "", "", "", "", "UTC", "25:00", "26:00"),
)
"""No user_id; a schedule that is no time. A snapshot's date follows."""


@dataclass(frozen=True)
class SampleFacts:
    """What is in the record files, and what must become of it under the default policy.

    `planted`: every identifier, piece of personal data and typed word in the files; none of them may be
    found in a lake. `received`, `duplicates` and `quarantined` count records when every line is delivered
    once, rows of jobs.csv included; a line that is no JSON counts as one record. `change_day` is the Sunday
    of a daylight-saving change that somebody works through, null when the period has none. `featured` is a
    worker (collector's id) and local date worth looking at: late, so that it has a past to be compared with.
    """

    workers: int
    teams: int
    first_day: date
    last_day: date
    change_day: date | None
    received: int
    duplicates: int
    quarantined: Mapping[Reason, int]
    records: Mapping[Source, int]
    planted: frozenset[str]
    featured: tuple[str, date]

    @property
    def accepted(self) -> int:
        return self.received - self.duplicates - sum(self.quarantined.values())


def write_organisation(
    out: Path,
    *,
    seed: int = 7,
    workers: int = 25,
    days: int = 10,
    start: date | None = None,
    today: date | None = None,
) -> SampleFacts:
    """Writes the six `<source>.ndjson` files, `jobs.csv` and a later `jobs-<date>.csv` into `out`.

    `days` working days (Monday to Friday) from `start`, by default around the last daylight-saving change
    that leaves the whole period before `today` (the current date), with a night shift through it. A line is
    one record with the envelope keys `_device_id`, `_sent_at` and `_published_at`; lines that share them are
    one batch, and lines are in order of publication. The same arguments give the same bytes.

    Raises ValueError for fewer workers than teams, or no day.
    """
    if workers < len(TEAMS) or days < 1:
        raise ValueError(f"the sample needs {len(TEAMS)} workers and a day at least")
    random = Random(seed)
    planter = Planter(random)
    people = roster(random, workers)
    first_day = start or default_start(today or datetime.now(UTC).date(), days)
    working_days = _working_days(first_day, days)
    change = _change_in(first_day - timedelta(days=1), working_days[-1] + timedelta(days=2))

    batches: list[Batch] = []
    for shift in _shifts(people, working_days, change):
        sent = WorkDay(random, planter, shift).records()
        batches += _batches(random, shift, sent)
    featured = people[len(TEAMS) % workers]
    batches, duplicates, quarantined = _with_faults(random, planter, people, batches)

    quarantined[Reason.CONTRACT_VIOLATION] += len(BROKEN_JOBS_ROWS)
    out.mkdir(parents=True, exist_ok=True)
    counts = _write(out, batches) | {Source.JOBS: _write_jobs(out, people, working_days)}
    return SampleFacts(
        workers=workers,
        teams=len({worker.team for worker in people}),
        first_day=first_day,
        last_day=working_days[-1],
        change_day=None if change is None else change[0],
        received=sum(counts.values()),
        duplicates=duplicates,
        quarantined=dict(quarantined),
        records=counts,
        planted=frozenset(planter.planted | _identifiers(people) | set(words.TYPED) | set(words.REPLIED)),
        featured=(featured.user_id, working_days[max(0, days - 2)]),
    )


def default_start(today: date, days: int = 10) -> date:
    """The Monday from which `days` working days surround the last change of clocks, all before today."""
    weeks_before = -(-days // 5) // 2
    newest = today - timedelta(days=7 * (-(-days // 5) - weeks_before))
    past_year = (newest - timedelta(days=back) for back in range(366))
    change = next(day for day in past_year if any(_changes(site.zone, day) for site in SITES))
    return change + timedelta(days=1 - 7 * weeks_before)


def _changes(zone: ZoneInfo, day: date) -> bool:
    """Whether the clocks change on `day` in `zone`."""
    noon = datetime.combine(day, time(12), tzinfo=zone)
    return noon.utcoffset() != (noon - timedelta(days=1)).utcoffset()


def _change_in(first: date, last: date) -> tuple[date, ZoneInfo] | None:
    """The last change of clocks from `first` to `last`, and the zone it is in."""
    days = (last - timedelta(days=back) for back in range((last - first).days + 1))
    return next(((day, site.zone) for day in days for site in SITES if _changes(site.zone, day)), None)


def _working_days(first: date, count: int) -> list[date]:
    days = (first + timedelta(days=number) for number in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def _shifts(
    people: Sequence[Worker], days: Sequence[date], change: tuple[date, ZoneInfo] | None
) -> list[Shift]:
    """Everybody's shifts in order of time; one person works the night of the change, for a day off."""
    night_worker = None
    if change is not None:
        in_zone = [worker for worker in people if worker.site.zone == change[1]]
        night_worker = next((w for w in in_zone if w.team == TEAMS[2]), in_zone[0] if in_zone else None)
    wrong_clock = people[-1]
    shifts = []
    for worker in people:
        error_us = CLOCK_ERROR_US if worker is wrong_clock else 0
        for number, day in enumerate(days):
            if worker is night_worker and number == len(days) - 1 and len(days) > 1:
                continue
            opens = time.fromisoformat(worker.site.schedule_start)
            at = datetime.combine(day, opens, tzinfo=worker.site.zone).astimezone(UTC)
            shifts.append(
                Shift(worker, at + timedelta(minutes=(len(worker.name) * 7 + number * 13) % 37), error_us)
            )
        if worker is night_worker and change is not None:
            eve = datetime.combine(change[0] - timedelta(days=1), NIGHT_SHIFT_STARTS, tzinfo=change[1])
            shifts.append(Shift(worker, eve.astimezone(UTC), error_us))
    return sorted(shifts, key=lambda shift: (shift.starts_at, shift.worker.user_id))


def _batches(random: Random, shift: Shift, sent: Iterable[Sent]) -> list[Batch]:
    """What the device uploads: after four hours, and when the day's last record is complete."""
    records = list(sent)
    middle_us = shift.base_us + 240 * MINUTE_US
    end_us = max(record.ready_us for record in records) + 5 * MINUTE_US
    uploads: dict[tuple[int, Source], list[Sent]] = {}
    for record in records:
        upload_us = middle_us if record.ready_us <= middle_us else end_us
        uploads.setdefault((upload_us, record.source), []).append(record)
    batches = []
    for (upload_us, source), part in uploads.items():
        latency_us = random.randrange(200_000, 4 * SECOND_US)
        part.sort(key=lambda record: record.ready_us)
        batches.append(
            Batch(
                source,
                shift.worker.device_id,
                upload_us,
                upload_us - shift.clock_error_us + latency_us,
                tuple(record.record for record in part),
            )
        )
    return batches


def _with_faults(
    random: Random, planter: Planter, people: Sequence[Worker], batches: list[Batch]
) -> tuple[list[Batch], int, Counter[Reason]]:
    """The batches with everything that goes wrong; how many duplicates and quarantined records that makes."""
    newer_collector = people[0].device_id
    batches = [
        faults.upgraded(batch, planter)
        if batch.device_id == newer_collector and batch.source is Source.ACTIVITIES
        else batch
        for batch in batches
    ]
    was_offline = people[len(people) // 2].device_id
    day_of_absence = min(_utc_date(batch) for batch in batches if batch.device_id == was_offline)
    late = [b for b in batches if b.device_id == was_offline and _utc_date(b) == day_of_absence]
    on_time = [b for b in batches if not (b.device_id == was_offline and _utc_date(b) == day_of_absence)]
    again = faults.retried(random, on_time, RETRIED_SHARE)
    spoilt, quarantined = faults.spoilt(random, planter, on_time)
    everything = [*spoilt, *again, *faults.offline(late, OFFLINE_DAYS)]
    return everything, sum(len(batch.records) for batch in again), quarantined


def _utc_date(batch: Batch) -> date:
    return instant(batch.published_us).date()


def _write_jobs(out: Path, people: Sequence[Worker], days: Sequence[date]) -> int:
    """Writes the snapshot of a week before the period, and of its middle, when somebody changed the team.

    Returns the rows of both.
    """
    mover = people[-2]
    other = next(team for team in TEAMS if team != mover.team)
    lead = next((worker.user_id for worker in people if worker.team == other), mover.manager_id)
    moved = [
        replace(worker, team=other, role=other.role, manager_id=lead) if worker is mover else worker
        for worker in people
    ]
    since, changed = days[0] - timedelta(days=7), days[len(days) // 2]
    (out / "jobs.csv").write_bytes(jobs_csv(since, people))
    (out / f"jobs-{changed}.csv").write_bytes(jobs_csv(changed, moved, broken=BROKEN_JOBS_ROWS))
    return 2 * len(people) + len(BROKEN_JOBS_ROWS)


def _write(out: Path, batches: Iterable[Batch]) -> dict[Source, int]:
    """Writes the NDJSON files in order of publication; returns the lines of each."""
    lines: dict[Source, list[bytes]] = {source: [] for source in Source if source is not Source.JOBS}
    encode = msgspec.json.Encoder().encode
    for batch in sorted(batches, key=lambda batch: (batch.published_us, batch.device_id, batch.source)):
        envelope = {
            "_device_id": batch.device_id,
            "_sent_at": instant(batch.sent_us),
            "_published_at": instant(batch.published_us),
        }
        lines[batch.source] += [
            record if isinstance(record, bytes) else encode(record | envelope) for record in batch.lines
        ]
    for source, content in lines.items():
        (out / f"{source}.ndjson").write_bytes(b"\n".join(content) + b"\n")
    return {source: len(content) for source, content in lines.items()}


def _identifiers(people: Iterable[Worker]) -> set[str]:
    return {value for w in people for value in (w.user_id, *w.name.split(), w.email, w.device_id)}


__all__ = ["SampleFacts", "default_start", "write_organisation"]
