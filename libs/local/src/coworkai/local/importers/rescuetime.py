"""RescueTime exports (CSV), from the account's data page or the Analytic Data API.

    rescuetime-activity-history.csv   Timestamp, Activity, Details, Category, Class, Duration (seconds);
                                      usually without a header; times with an offset
    analytic data, by interval        Date, Time Spent (seconds), Number of People, Activity[, Document],
                                      Category, Productivity; times of the account's zone, without an offset

RescueTime sums up by the hour, or by five minutes: it says how long, not when in that time. Rows of one such
bucket are laid end to end from its start, in the order of the file, and from the start again when it is full
(a second device); so sums and buckets are kept, the order within a bucket is not evidence.

    09:00 ├ chrome 25 min ┤├ code 30 min ┤ ┄ 10:00
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from coworkai.common.errors import Terminal
from coworkai.common.events import Activity
from coworkai.local.importers import Counts, RecordFiles, UnknownFormat, identity

REMEDY = (
    "use the activity report history of https://www.rescuetime.com/accounts/your-data, or the Analytic Data "
    "API with format=csv, perspective=interval, resolution_time=minute and restrict_kind=document"
)
DEFAULT_USER = "rescuetime-user"
DEVICE = "rescuetime"
NO_DETAILS = {"", "No Details"}
HOUR, FIVE_MINUTES = timedelta(hours=1), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Row:
    """Time spent in one activity within the bucket that starts at `at`."""

    at: datetime
    activity: str
    details: str | None
    spent_s: int


@dataclass(frozen=True, slots=True)
class _Columns:
    at: int
    activity: int
    details: int | None
    spent: int

    @property
    def width(self) -> int:
        return max(self.at, self.activity, self.details or 0, self.spent) + 1


_HISTORY = _Columns(at=0, activity=1, details=2, spent=5)


def convert(files: Sequence[Path], out: Path, user: str | None, *, time_zone: str = "UTC") -> Counts:
    """Writes the activities of `files` into `out`. `time_zone` is the account's, for files without offsets.

    Raises UnknownFormat when a file is no RescueTime export, or one that sums up by more than an hour, and
    Terminal when there is no such zone.
    """
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Terminal(f"no time zone {time_zone}", remedy="use an IANA name, Europe/Berlin") from None
    with RecordFiles(out) as records:
        for file in files:
            seen: Counter[Row] = Counter()
            rows = list(_rows(file, zone, records.skipped))
            for row, start in _laid_out(rows, _bucket_length(file, rows)):
                activity = Activity(
                    event_id=identity(
                        "rescuetime", user, row.at, row.activity, row.details, row.spent_s, seen[row]
                    ),
                    user_id=user or DEFAULT_USER,
                    start=start,
                    end=start + timedelta(seconds=row.spent_s),
                    exec="browser" if _is_site(row.activity) else row.activity,
                    title=row.details or row.activity,
                    url=f"https://{row.activity}/" if _is_site(row.activity) else None,
                )
                seen[row] += 1
                records.add(activity, DEVICE)
        return records.counts


def _rows(file: Path, zone: ZoneInfo, skipped: Counter[str]) -> Iterator[Row]:
    """The rows of `file`; what can't be read after a first good row is skipped and counted."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        table = (cells for cells in csv.reader(text) if cells)
        first = next(table, None)
        if first is None:
            raise UnknownFormat(f"{file.name} is empty", remedy=REMEDY)
        columns = _header(file, first)
        if columns is None:
            columns = _HISTORY
            row = _row(first, columns, zone)
            if row is None:
                raise UnknownFormat(f"{file.name} is no RescueTime export", remedy=REMEDY)
            yield row
        for cells in table:
            row = _row(cells, columns, zone)
            if row is None:
                skipped["unreadable row"] += 1
            else:
                yield row


def _header(file: Path, cells: Sequence[str]) -> _Columns | None:
    """The columns that a header names; None when the row is none."""
    names = {cell.strip().lower(): index for index, cell in enumerate(cells)}
    if "rank" in names:
        raise UnknownFormat(f"{file.name} is a ranking, it says nothing about when", remedy=REMEDY)
    at = _first(names, "timestamp", "date")
    activity = _first(names, "activity", "application", "application/activity")
    spent = _first(names, "duration", "time spent (seconds)", "duration (seconds)")
    if at is None or activity is None or spent is None:
        return None
    return _Columns(at, activity, _first(names, "details", "document"), spent)


def _first(names: dict[str, int], *candidates: str) -> int | None:
    return next((names[name] for name in candidates if name in names), None)


def _row(cells: Sequence[str], columns: _Columns, zone: ZoneInfo) -> Row | None:
    if len(cells) < columns.width:
        return None
    details = "" if columns.details is None else cells[columns.details].strip()
    try:
        at = _instant(cells[columns.at].strip(), zone)
        spent_s = int(cells[columns.spent])
    except ValueError:
        return None
    return Row(at, cells[columns.activity].strip(), None if details in NO_DETAILS else details, spent_s)


def _instant(text: str, zone: ZoneInfo) -> datetime:
    """`2021-04-11 08:00:00 -0700` or `2021-04-11T08:00:00` in UTC.

    Raises ValueError when it is neither.
    """
    at = datetime.fromisoformat(re.sub(r" (?=[+-]\d{2}:?\d{2}$)", "", text))
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)


def _bucket_length(file: Path, rows: Sequence[Row]) -> timedelta:
    """Five minutes when a row starts inside an hour, else an hour.

    Raises UnknownFormat when rows are of whole days, weeks or months.
    """
    if any(row.at.minute % 15 for row in rows):
        return FIVE_MINUTES
    spent: Counter[datetime] = Counter()
    for row in rows:
        spent[row.at] += row.spent_s
    if len({row.at.time() for row in rows}) == 1 and any(total > 3600 for total in spent.values()):
        raise UnknownFormat(f"{file.name} sums up by the day or more", remedy=REMEDY)
    return HOUR


def _laid_out(rows: Iterable[Row], bucket: timedelta) -> Iterator[tuple[Row, datetime]]:
    """Rows with the start each is given."""
    filled: dict[datetime, timedelta] = {}
    for row in rows:
        spent = timedelta(seconds=row.spent_s)
        offset = filled.get(row.at, timedelta(0))
        if offset + spent > bucket:
            offset = timedelta(0)
        filled[row.at] = offset + spent
        yield row, row.at + offset


def _is_site(activity: str) -> bool:
    """RescueTime names a site by its host: `github.com`, `docs.google.com`."""
    return re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", activity) is not None and not activity.endswith(".exe")
