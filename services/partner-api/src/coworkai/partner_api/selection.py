"""The rows of a query: from memory where they are there, from the lake where they are not.

days of the range ─▶ in memory?  ─ yes ─▶ the workers' slices ─┐
                          └─ no ──▶ read: kept in memory when recent, or when a whole day is paged through
                                                               ├▶ filters ─▶ rows in order, up to the limit
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple, TypeVar

import polars as pl

from coworkai.partner_api.gold import Gold, Partition, Snapshot
from coworkai.partner_api.hot import ROWS_A_READ, HotDays, chunks
from coworkai.partner_api.metrics import few_behind
from coworkai.partner_api.pages import Position, Query, Span, span_of
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.resources import KPI_ROLLUPS, WORKER, Resource

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
RECENT_DAYS = 35
"""So many of a table's newest days are kept in memory once any rows of them are asked for."""
ROWS_A_HOT_DAY = 500_000
"""Days with more are not, unless all of their rows are asked for."""
ROWS_A_SCAN = 2_000_000
"""Days that are not kept are read together up to so many rows, before filters."""
DAYS_INLINE = 62
"""A query of more days is answered in a thread."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a caller's query is of: a snapshot, the dates, and the workers that it is filtered by.

    `changed`: dates that were published anew since the version of `since_version`; None without one.
    """

    snapshot: Snapshot
    resource: Resource
    query: Query
    worker_ids: Sequence[str] | None
    span: Span | None
    days: Sequence[date]
    changed: Sequence[date] | None

    def on(self, days: Sequence[date]) -> Selection:
        """The same of these days only."""
        return replace(self, days=days)


class Page(NamedTuple):
    """Rows, and where the next page begins; None after the last one."""

    rows: pl.DataFrame
    following: Position | None


def select(
    snapshot: Snapshot,
    earlier: Snapshot | None,
    resource: Resource,
    query: Query,
    worker_ids: Sequence[str] | None,
) -> Selection:
    """What the query is of. `earlier`: the snapshot of `since_version`; with one, in a thread.

    Raises VersionExpired, StorageUnavailable.
    """
    partitions = resource.partitions(snapshot)
    if earlier is None:
        if not partitions:
            return Selection(snapshot, resource, query, worker_ids, None, (), None)
        span = span_of(query, next(iter(partitions)), next(reversed(partitions)))
        return Selection(snapshot, resource, query, worker_ids, span, _within(partitions, span), None)
    before = resource.partitions(earlier)
    known = sorted(partitions.keys() | before.keys())
    if not known:
        return Selection(snapshot, resource, query, worker_ids, None, (), ())
    span = span_of(query, known[0], known[-1])
    changed = sorted(
        day for day in resource.changed_since(snapshot, earlier) if span.start <= day <= span.end
    )
    days = [day for day in changed if day in partitions]
    return Selection(snapshot, resource, query, worker_ids, span, days, changed)


def _within(partitions: Mapping[date, Partition], span: Span) -> list[date]:
    """The dates of the span that have rows, in order."""
    length = (span.end - span.start).days + 1
    if length >= len(partitions):
        return [day for day in partitions if span.start <= day <= span.end]
    first = span.start.toordinal()
    return [day for day in map(date.fromordinal, range(first, first + length)) if day in partitions]


class Text(NamedTuple):
    """Rows as the inside of a JSON array, and how many."""

    text: bytes
    rows: int


class Rows:
    """Reads selections."""

    def __init__(self, hot: HotDays) -> None:
        self._hot = hot

    def text(self, selection: Selection) -> Text | None:
        """The whole selection, where it is one worker's rows of days in memory, all columns of them, and fits
        in a page; None otherwise: `page` has it."""
        query, resource = selection.query, selection.resource
        workers = selection.worker_ids
        if workers is None or len(workers) != 1 or len(selection.days) > DAYS_INLINE:
            return None
        if query.filters or query.fields is not None or resource.superseded_by is not None:
            return None
        partitions = resource.partitions(selection.snapshot)
        texts: list[bytes] = []
        rows = 0
        for day in selection.days:
            held = self._hot.get(selection.snapshot, resource, day, partitions[day])
            if held is None:
                return None
            text, count = held.text(workers[0])
            rows += count
            if rows > query.limit:
                return None
            if count:
                texts.append(text)
        return Text(b",".join(texts), rows)

    def page(self, selection: Selection, begin: Position | None, *, may_read: bool) -> Page | None:
        """The page that begins there; None where something is not in memory and `may_read` is off.

        Raises VersionExpired, StorageUnavailable.
        """
        limit = selection.query.limit
        days = selection.days if begin is None else [day for day in selection.days if day >= begin.day]
        if not may_read and len(days) > DAYS_INLINE:
            return None
        frames: list[pl.DataFrame] = []
        height = 0
        for day, frame in self._frames(selection, days, may_read=may_read):
            if frame is None:
                return None
            rest = frame.slice(begin.offset) if begin is not None and day == begin.day else frame
            if rest.height:
                frames.append(rest)
                height += rest.height
            if height > limit:
                break
        if not frames:
            return Page(_none(selection), None)
        rows = frames[0] if len(frames) == 1 else pl.concat(frames)
        if height <= limit:
            return Page(rows, None)
        # The row after the page is on the last of these days.
        before = height - frames[-1].height
        offset = limit - before
        if begin is not None and day == begin.day:
            offset += begin.offset
        return Page(rows.head(limit), Position(day, offset))

    def whole(self, selection: Selection, max_rows: int) -> pl.DataFrame:
        """All rows of the selection. In a thread.

        Raises Refused (TOO_MANY_ROWS) for more than `max_rows`, VersionExpired, StorageUnavailable.
        """
        snapshot, resource, days = selection.snapshot, selection.resource, selection.days
        partitions = resource.partitions(snapshot)
        if not days:
            return _none(selection)
        height = sum(partitions[day].rows for day in days)
        if selection.worker_ids is None and not selection.query.filters and resource.derived is None:
            check_height(height, max_rows)
        if resource.derived is not None or (height <= max_rows and _recent(partitions).issuperset(days)):
            loaded = self._hot.load(snapshot, resource, days).values()
            frames = [_filtered(one.of(selection.worker_ids), selection) for one in loaded]
            check_height(sum(frame.height for frame in frames), max_rows)
            return pl.concat(frames)
        found = snapshot.collect(resource.table, _scan(selection, days).head(max_rows + 1))
        check_height(found.height, max_rows)
        return found.sort(resource.order).drop(WORKER)

    def _frames(
        self, selection: Selection, days: Sequence[date], *, may_read: bool
    ) -> Iterator[tuple[date, pl.DataFrame | None]]:
        """Rows of the days, in order; None for a day that is not in memory, where none may be read."""
        snapshot, resource = selection.snapshot, selection.resource
        partitions = resource.partitions(snapshot)
        recent: Collection[date] | None = None
        at = 0
        while at < len(days):
            day = days[at]
            held = self._hot.get(snapshot, resource, day, partitions[day])
            if held is not None:
                yield day, _filtered(held.of(selection.worker_ids), selection)
                at += 1
                continue
            if not may_read:
                yield day, None
                return
            if recent is None:
                recent = _recent(partitions)
            alike = [one for one in days[at:] if (one in recent) == (day in recent)]
            if day in recent or selection.worker_ids is None or resource.derived is not None:
                chunk = next(
                    chunks(alike, partitions, ROWS_A_READ if day in recent else selection.query.limit)
                )
                for one, loaded in self._hot.load(snapshot, resource, chunk).items():
                    yield one, _filtered(loaded.of(selection.worker_ids), selection)
            else:
                chunk = next(chunks(alike, partitions, ROWS_A_SCAN))
                found = snapshot.collect(resource.table, _scan(selection, chunk).sort(resource.order))
                by_date = found.drop(WORKER).partition_by("date", as_dict=True, maintain_order=True)
                yield from ((one, by_date.get((one,), _none(selection))) for one in chunk)
            at += len(chunk)


def _recent(partitions: Mapping[date, Partition]) -> set[date]:
    """The days that are kept in memory whoever's rows of them are asked for."""
    return {day for day in list(partitions)[-RECENT_DAYS:] if partitions[day].rows <= ROWS_A_HOT_DAY}


def _scan(selection: Selection, days: Sequence[date]) -> pl.LazyFrame:
    """The selection's rows of the days, as they are in the lake, with their `WORKER`."""
    resource = selection.resource
    rows = resource.shown(selection.snapshot.scan(resource.table, days))
    if selection.worker_ids is not None:
        rows = rows.filter(pl.col(WORKER).is_in(selection.worker_ids))
    return _filtered(rows, selection)


def _filtered(rows: Frame, selection: Selection) -> Frame:
    resource, query = selection.resource, selection.query
    if resource.superseded_by is not None and not query.all_versions:
        newest, alike = resource.superseded_by
        rows = rows.filter(pl.col(newest) == pl.col(newest).max().over("date", *alike))
    if query.filters:
        rows = rows.filter([pl.col(name).is_in(values) for name, values in query.filters])
    return rows


def _none(selection: Selection) -> pl.DataFrame:
    columns = selection.resource.columns
    return pl.DataFrame(schema={name: column.dtype for name, column in columns.items()})


def check_height(height: int, max_rows: int) -> None:
    """Raises Refused (TOO_MANY_ROWS) for more rows than one answer may have."""
    if height > max_rows:
        raise Refused(
            Code.TOO_MANY_ROWS,
            f"more than {max_rows} rows",
            remedy="ask for fewer days or workers, page through JSON, or make an export: POST /v1/exports",
        )


async def workers_shown(gold: Gold, selection: Selection, rows: pl.DataFrame) -> set[str]:
    """Everybody whose rows these are, or of whom a group's row tells because few are behind it.

    Raises VersionExpired, StorageUnavailable.
    """
    workers = selection.resource.workers_of(rows)
    if selection.resource is KPI_ROLLUPS:
        workers |= await gold.in_thread(lambda: few_behind(selection.snapshot, rows))
    return workers
