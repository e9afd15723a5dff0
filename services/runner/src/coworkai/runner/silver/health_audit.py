"""Telemetry health: what was received of every worker, device and source on a day (docs/domain.md section
3).

    received = records + duplicates + quarantined

A row's numbers come from rows of its own day alone, so a late day changes no stored row of another one;
what is normal for a worker is computed when the audit is read (`health_anomalies`). A jobs snapshot is a file
about everyone, from no worker's device, and is not audited here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from coworkai.common.events import Source
from coworkai.common.outcome import Outcome
from coworkai.common.tables import COUNTS, SILVER_HEALTH
from coworkai.runner.lanes import DAY_US, LANE_BITS, MINUTE_US, SECOND_US, Ints, dates, run_starts
from coworkai.runner.silver.drift import drift_fields
from coworkai.runner.silver.evidence import OWN_TIME, REACH_US, Located
from coworkai.runner.silver.rules import SilverRules
from coworkai.runner.silver.schedules import scheduled_windows
from coworkai.runner.silver.shape import sorted_by_key

KEY = ("tenant_id", "date", "user_id", "device_id", "source")
WORK = (Source.ACTIVITIES, Source.KEYSTROKES, Source.CLIPBOARD, Source.CHAT, Source.MANIFESTS)
"""Sources of which a record shows a worker at work; a reading of an idle device does not."""
_DAY = ("tenant_id", "date", "user_id")
_COUNTS = (
    "records",
    "late_records",
    "duplicates",
    "left_out",
    "quarantined",
    "evidence_minutes",
    "minutes_on_schedule",
)
_NO_KEYS = SILVER_HEALTH.empty().select(KEY)
_CODES = {source: code for code, source in enumerate(OWN_TIME)}
_LANE_BITS = (2 * REACH_US).bit_length()


@dataclass(frozen=True, slots=True)
class Received:
    """What the audit is made of.

    `located` records and their `senders`, and `left_out`, records of ids sent again under another date: of
    `evidence.locate`. `receipts`: of bronze/receipts. `audit`: of `timeline.build_timeline`.
    """

    located: Sequence[Located]
    senders: pl.DataFrame
    left_out: Sequence[Located]
    receipts: pl.DataFrame
    audit: pl.DataFrame


def telemetry_health(
    received: Received, members: pl.DataFrame, tenant_zone: str, wanted: Ints | None, rules: SilverRules
) -> pl.DataFrame:
    """The rows of `silver/telemetry_health` on the local dates `wanted` (days since the epoch; None for
    all), in order of its key.

    A record counts on the local date of its own time, its evidence on every date it reaches. A delivery
    that left no record counts on the UTC date of its record (of its publication where that is unreadable).
    A worker without a single delivery of a source on a day of work has a row for it with `is_missing` and
    no device.
    """
    parts = [
        _deliveries(received, wanted, rules),
        _measured(received, members, tenant_zone, wanted),
        _drift(received),
        _left_out(received.left_out),
        _receipts(received.receipts),
        _seconds(received.audit),
    ]
    if wanted is not None:
        days = dates(wanted).implode()
        parts = [part.filter(pl.col("date").is_in(days)) for part in parts]
    rows = pl.concat([part.select(KEY) for part in parts]).unique()
    for part in parts:
        rows = rows.join(part, on=KEY, how="left", nulls_equal=True)
    rows = pl.concat([rows.with_columns(is_missing=False), _missing(rows)], how="diagonal")
    schedule = scheduled_windows(rows.select(_DAY).unique(), members, tenant_zone)
    rows = rows.join(
        schedule.select(*_DAY, "scheduled_minutes"), on=_DAY, how="left", nulls_equal=True
    ).with_columns(
        pl.col(_COUNTS).fill_null(0),
        pl.col("quarantined_by_reason", "drift_fields").fill_null(pl.lit([], COUNTS)),
    )
    coverage = pl.col("minutes_on_schedule") / pl.col("scheduled_minutes")
    return sorted_by_key(
        rows.with_columns(
            duplicates=pl.col("duplicates") + pl.col("left_out"),
            coverage=pl.when(pl.col("scheduled_minutes") > 0).then(coverage),
        ),
        SILVER_HEALTH,
    )


def _deliveries(received: Received, wanted: Ints | None, rules: SilverRules) -> pl.DataFrame:
    """KEY, records, late_records, clock_skew_s, delay_s of accepted records."""
    published = pl.col("published_at").to_physical()
    records = [
        part.rows.select(
            "date",
            owner=pl.Series(part.owner),
            source=pl.lit(_CODES[part.source], pl.Int8),
            delay_us=published - part.own_us,
            skew_us=published - pl.col("sent_at").to_physical(),
        )
        for part in received.located
    ]
    if wanted is not None:
        days = dates(wanted).implode()
        records = [part.filter(pl.col("date").is_in(days)) for part in records]
    counts = (
        pl.concat(records)
        .group_by("owner", "date", "source")
        .agg(
            records=pl.len().cast(pl.Int64),
            late_records=(pl.col("delay_us") > rules.late_after_s * SECOND_US).sum().cast(pl.Int64),
            clock_skew_s=pl.col("skew_us").median() / SECOND_US,
            delay_s=pl.col("delay_us").median() / SECOND_US,
        )
    )
    return _named(counts, received.senders)


def _measured(
    received: Received, members: pl.DataFrame, tenant_zone: str, wanted: Ints | None
) -> pl.DataFrame:
    """KEY, evidence_minutes, minutes_on_schedule, longest_gap_s of the evidence on the wanted dates."""
    evidence = [(_CODES[part.source], part.evidence.on(wanted)) for part in received.located]
    owner = np.concatenate([part.owner for _, part in evidence])
    date = np.concatenate([part.date for _, part in evidence])
    start = np.concatenate([part.start for _, part in evidence])
    end = np.concatenate([part.end for _, part in evidence])
    source = np.repeat(
        np.array([code for code, _ in evidence], np.int64), [len(part.start) for _, part in evidence]
    )
    is_evidence = (end > start) | (source != _CODES[Source.ACTIVITIES])
    owner, date, start, end, source = (x[is_evidence] for x in (owner, date, start, end, source))

    first_date = int(date.min(initial=0))
    day_total = int(date.max(initial=0)) - first_date + 1
    code = (owner * day_total + (date - first_date)) * len(_CODES) + source
    codes, cell = np.unique(code, return_inverse=True)
    cells = _named(
        pl.DataFrame(
            {
                "owner": codes // len(_CODES) // day_total,
                "date": dates(codes // len(_CODES) % day_total + first_date),
                "source": pl.Series(codes % len(_CODES)).cast(pl.Int8),
            }
        ),
        received.senders,
    )
    windows = cells.select(_DAY).join(
        scheduled_windows(cells.select(_DAY).unique(), members, tenant_zone),
        on=_DAY,
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    stretches = _Stretches.of(
        cell.astype(np.int64), start, end, cells["date"].to_physical().to_numpy().astype(np.int64) * DAY_US
    )
    return cells.with_columns(
        evidence_minutes=stretches.minutes(),
        minutes_on_schedule=stretches.minutes_within(windows["first_from"], windows["first_to"])
        + stretches.minutes_within(windows["second_from"], windows["second_to"]),
        longest_gap_s=stretches.longest_gaps() / SECOND_US,
    )


@dataclass(frozen=True, slots=True)
class _Stretches:
    """Stretches of evidence in order of cell and start, every cell with one at least: microseconds from
    `origin`, the same instant for all stretches of a cell.

        ├────────┤     ├──┤          start … end
           ├──┤          ├─────┤
        ╰────────╯     ╰───────╯     minutes: union of the minutes they touch
                  ╰───╯              longest gap
    """

    cell: Ints
    first: Ints
    start: Ints
    end: Ints
    origin: Ints

    @classmethod
    def of(cls, cell: Ints, start: Ints, end: Ints, midnight: Ints) -> _Stretches:
        """`midnight`: 00:00 UTC of each cell's date. Raises ValueError when there are too many cells."""
        origin = midnight - REACH_US
        if len(midnight).bit_length() + _LANE_BITS > LANE_BITS:
            raise ValueError("too many workers over too long a time: give fewer workers at once")
        order = np.argsort((cell << _LANE_BITS) + (start - origin[cell]))
        cell = cell[order]
        base = origin[cell]
        return cls(cell, np.flatnonzero(run_starts(cell)), start[order] - base, end[order] - base, origin)

    def minutes(self) -> Ints:
        """Distinct wall-clock minutes of each cell."""
        begin, end = self._fresh_minutes()
        return self._sums(end - begin)

    def minutes_within(self, since: pl.Series, until: pl.Series) -> Ints:
        """The same inside one window (UTC timestamps) a cell; 0 without one."""
        begin, end = self._fresh_minutes()
        opens, closes = (
            (edge.dt.timestamp("us").fill_null(0).to_numpy() - self.origin) // MINUTE_US
            for edge in (since, until)
        )
        return self._sums(
            np.maximum(np.minimum(end, closes[self.cell]) - np.maximum(begin, opens[self.cell]), 0)
        )

    def longest_gaps(self) -> Ints:
        """Microseconds of the longest stretch without evidence between first and last, by cell."""
        gaps = np.maximum(self.start - self._latest_before(self.end), 0)
        gaps[self.first] = 0
        return np.maximum.reduceat(gaps, self.first) if len(self.first) else gaps

    def _fresh_minutes(self) -> tuple[Ints, Ints]:
        """Of each stretch the minutes that no earlier one has touched."""
        begin = self.start // MINUTE_US
        end = np.maximum(-(-self.end // MINUTE_US), begin + 1)
        fresh = np.maximum(begin, self._latest_before(end))
        return fresh, np.maximum(end, fresh)

    def _latest_before(self, end: Ints) -> Ints:
        """Latest `end` of the earlier stretches of the cell; 0 for the first."""
        lane = self.cell << _LANE_BITS
        latest = np.maximum.accumulate(lane + end)
        before: Ints = np.append(lane[:1], latest[:-1])[: len(lane)]
        return np.maximum(before - lane, 0)

    def _sums(self, values: Ints) -> Ints:
        sums: Ints = np.add.reduceat(values, self.first) if len(self.first) else values
        return sums


def _drift(received: Received) -> pl.DataFrame:
    """KEY, drift_fields."""
    unknown = [
        part.rows.select(
            "date", "extra", owner=pl.Series(part.owner), source=pl.lit(_CODES[part.source], pl.Int8)
        ).drop_nulls("extra")
        for part in received.located
    ]
    return _named(drift_fields(pl.concat(unknown), ["owner", "date", "source"]), received.senders)


def _left_out(again: Sequence[Located]) -> pl.DataFrame:
    """KEY, left_out."""
    rows = [part.rows.with_columns(source=pl.lit(part.source.value)).select(KEY) for part in again]
    return pl.concat([_NO_KEYS, *rows]).group_by(KEY).agg(left_out=pl.len().cast(pl.Int64))


def _receipts(receipts: pl.DataFrame) -> pl.DataFrame:
    """KEY, duplicates, quarantined, quarantined_by_reason; a receipt that a crash repeated counts once."""
    once = (
        receipts.unique(["delivery_id", "user_id", "device_id", "source", "record_date", "outcome", "reason"])
        .filter(pl.col("source").ne_missing(pl.lit(Source.JOBS.value)))
        .with_columns(date=pl.coalesce("record_date", "event_date"))
    )
    quarantined = once.filter(pl.col("outcome") == Outcome.QUARANTINED.value)
    reasons = (
        quarantined.group_by(*KEY, name=pl.col("reason"))
        .agg(count=pl.col("records").sum())
        .sort("name")
        .group_by(KEY)
        .agg(quarantined_by_reason=pl.struct("name", "count"), quarantined=pl.col("count").sum())
    )
    duplicates = once.filter(pl.col("outcome") == Outcome.DUPLICATE.value)
    return (
        once.select(KEY)
        .unique()
        .join(
            duplicates.group_by(KEY).agg(duplicates=pl.col("records").sum()),
            on=KEY,
            how="left",
            nulls_equal=True,
        )
        .join(reasons, on=KEY, how="left", nulls_equal=True)
    )


def _seconds(audit: pl.DataFrame) -> pl.DataFrame:
    """KEY, raw_s, kept_s, overlapped_s, zero_length of activities."""
    return audit.select(
        *(name for name in KEY if name != "source"),
        raw_s=pl.col("raw_us") / SECOND_US,
        kept_s=pl.col("kept_us") / SECOND_US,
        overlapped_s=pl.col("overlapped_us") / SECOND_US,
        zero_length="zero_length",
        source=pl.lit(Source.ACTIVITIES.value),
    )


def _missing(rows: pl.DataFrame) -> pl.DataFrame:
    """A row (KEY without a device, is_missing) for every source without any delivery on a worker's day of
    work.
    """
    at_work = rows.filter(
        pl.col("source").is_in([source.value for source in WORK])
        & (pl.col("records").fill_null(0) + pl.col("evidence_minutes").fill_null(0) > 0)
    )
    sources = pl.DataFrame({"source": [source.value for source in OWN_TIME]})
    return (
        at_work.select(_DAY)
        .unique()
        .join(sources, how="cross")
        .join(rows, on=[*_DAY, "source"], how="anti")
        .with_columns(device_id=pl.lit(None, pl.String), is_missing=True)
    )


def _named(cells: pl.DataFrame, senders: pl.DataFrame) -> pl.DataFrame:
    """`cells` (owner, date, source codes, ...) with KEY in place of the codes; rows in their order."""
    names = pl.Series([source.value for source in _CODES])
    return cells.select(
        senders["tenant_id"].gather(cells["owner"]),
        "date",
        senders["user_id"].gather(cells["owner"]),
        senders["device_id"].gather(cells["owner"]),
        names.gather(cells["source"]).alias("source"),
        *(name for name in cells.columns if name not in {"owner", "date", "source"}),
    )
