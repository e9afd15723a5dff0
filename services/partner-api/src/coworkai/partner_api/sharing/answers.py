"""What Delta Sharing answers about a table: its version, its metadata, its files, what changed.

    reach ─▶ table ─▶ published version ─▶ files ─▶ hints ─▶ page ─▶ access log ─▶ addresses ─▶ lines

Invariants: a version is served only if it was published; aggregate reach reads the newest one alone; the
reads of people's rows are in their access log before an address leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from coworkai.common.tables import Table
from coworkai.partner_api.gold import Gold, Snapshot
from coworkai.partner_api.guard import Caller
from coworkai.partner_api.principal import Reach
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.sharing import predicates
from coworkai.partner_api.sharing.files import SharedTables, TableAt, days, milliseconds, value_types
from coworkai.partner_api.sharing.page_tokens import PageTokens, Place
from coworkai.partner_api.sharing.predicates import NoPredicate, Predicate
from coworkai.partner_api.sharing.protocol import (
    Capabilities,
    Line,
    Publication,
    Query,
    SharedFile,
    change_line,
    end_line,
    file_line,
    head,
)
from coworkai.partner_api.signed_urls import Address

T = TypeVar("T")


class Signer(Protocol):
    """Who makes addresses of files, by their paths below the store's root."""

    async def of(self, paths: Sequence[str]) -> Sequence[Address]: ...


@dataclass(frozen=True, slots=True)
class Feed:
    """Which changes are asked for: from a version or an instant, to one, both included; or to the newest."""

    starting_version: int | None
    starting: datetime | None
    ending_version: int | None
    ending: datetime | None


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of an answer is asked for. `asked` is equal for the requests of all its pages."""

    asked: str
    max_files: int | None = None
    token: str | None = None

    @property
    def wanted(self) -> bool:
        return self.max_files is not None or self.token is not None

    def of(self, items: Sequence[T], offset: int) -> tuple[Sequence[T], int | None]:
        """The items of the page that begins at `offset`, and where the next one does, if there is one."""
        end = len(items) if self.max_files is None else offset + self.max_files
        return items[offset:end], end if end < len(items) else None


@dataclass(frozen=True, slots=True)
class TableAnswer:
    """Lines about a table, and the version that the answer is of."""

    version: int
    lines: Sequence[Line]


class Sharing:
    """Answers callers that the gate has let in."""

    def __init__(self, gold: Gold, tables: SharedTables, signer: Signer, tokens: PageTokens) -> None:
        self._gold = gold
        self._tables = tables
        self._signer = signer
        self._tokens = tokens

    def listed(
        self, caller: Caller, name: str, items: Sequence[T], max_results: int | None, token: str | None
    ) -> tuple[Sequence[T], str | None]:
        """A page of the list `name`, and the token of the next one. Raises Refused."""
        paging = Paging(name, max_results, token)
        offset = self._place(caller, "list", paging.asked, token).offset if token else 0
        page, following = paging.of(items, offset)
        return page, self._token(caller, "list", paging.asked, 0, following)

    async def version(self, caller: Caller, table: Table, since: datetime | None) -> int:
        """The published version, or the first one published at or after `since`. Raises Refused."""
        snapshot = await self._gold.snapshot(caller.tenant_id)
        if since is None:
            return _newest(snapshot, table)
        _needs_history(caller)
        return _first_since(await self._publications(snapshot, table), since)

    async def metadata(
        self,
        caller: Caller,
        table: Table,
        agreed: Capabilities,
        *,
        version: int | None,
        moment: datetime | None,
    ) -> TableAnswer:
        """Protocol and metadata of the table. Raises Refused, VersionExpired, StorageUnavailable."""
        snapshot = await self._gold.snapshot(caller.tenant_id)
        chosen = await self._version(caller, snapshot, table, version, moment)
        at = await self._at(snapshot, table, chosen)
        told = None if version is None and moment is None else chosen
        lines = head(at.shape, agreed.response_format, version=told)
        if agreed.end_stream_action:
            lines.append(end_line((), next_page_token=None, refresh_token=None))
        return TableAnswer(chosen, lines)

    async def query(self, caller: Caller, table: Table, agreed: Capabilities, query: Query) -> TableAnswer:
        """The files that the hints leave, or what has changed since a version.

        Raises Refused, VersionExpired, StorageUnavailable.
        """
        given = (query.version, query.timestamp, query.starting_version)
        if sum(one is not None for one in given) > 1:
            raise Refused(Code.BAD_REQUEST, "version, timestamp and startingVersion exclude each other")
        paging = Paging(f"{table.id}?{query.digest()}", query.max_files, query.page_token)
        if query.starting_version is not None:
            feed = Feed(query.starting_version, None, query.ending_version, None)
            return await self.changes(caller, table, agreed, feed, paging)
        snapshot = await self._gold.snapshot(caller.tenant_id)
        chosen, offset = await self._begin(caller, snapshot, table, query, paging)
        at = await self._at(snapshot, table, chosen)
        page, following = paging.of(_hinted(at.files, query, table), offset)
        at_version = [(file, chosen) for file in page]
        addresses = await self._addresses(caller, snapshot, table, "delta_sharing.query", at_version)
        is_told = query.version is not None or query.timestamp is not None
        lines = head(at.shape, agreed.response_format, version=chosen if is_told else None)
        told = await self._publication(snapshot, table, chosen) if is_told else None
        for file, address in zip(page, addresses, strict=True):
            lines.append(file_line(file, address, agreed.response_format, told))
        if agreed.end_stream_action or paging.wanted or query.include_refresh_token or query.refresh_token:
            refresh = chosen if query.include_refresh_token else None
            lines.append(
                end_line(
                    addresses,
                    next_page_token=self._token(caller, "query", paging.asked, chosen, following),
                    refresh_token=None
                    if refresh is None
                    else self._token(caller, "refresh", table.id, refresh, 0),
                )
            )
        return TableAnswer(chosen, lines)

    async def changes(
        self, caller: Caller, table: Table, agreed: Capabilities, feed: Feed, paging: Paging
    ) -> TableAnswer:
        """Files that came and went with the versions of the feed.

        Raises Refused, VersionExpired, StorageUnavailable.
        """
        _needs_history(caller)
        snapshot = await self._gold.snapshot(caller.tenant_id)
        newest = _newest(snapshot, table)
        first, last = _range(feed, await self._publications(snapshot, table), newest)
        offset = 0
        if paging.token:
            place = self._place(caller, "changes", paging.asked, paging.token)
            last, offset = min(place.version, newest), place.offset
        # Tables only gain columns, so the newest schema reads every file.
        at = await self._at(snapshot, table, newest)
        changes = await self._gold.in_thread(lambda: self._tables.changes(snapshot, table, first, last))
        page, following = paging.of(changes, offset)
        files = [(change.file, change.seen_at) for change in page]
        addresses = await self._addresses(caller, snapshot, table, "delta_sharing.changes", files)
        lines = head(at.shape, agreed.response_format, version=first, changes=True)
        for change, address in zip(page, addresses, strict=True):
            lines.append(change_line(change, address, agreed.response_format))
        if agreed.end_stream_action or paging.wanted:
            token = self._token(caller, "changes", paging.asked, last, following)
            lines.append(end_line(addresses, next_page_token=token, refresh_token=None))
        return TableAnswer(first, lines)

    async def _begin(
        self, caller: Caller, snapshot: Snapshot, table: Table, query: Query, paging: Paging
    ) -> tuple[int, int]:
        """The version that a query reads, and the file that its page begins with. Raises Refused."""
        if paging.token:
            place = self._place(caller, "query", paging.asked, paging.token)
        elif query.refresh_token:
            place = self._place(caller, "refresh", table.id, query.refresh_token)
        else:
            moment = None if query.timestamp is None else instant("timestamp", query.timestamp)
            return await self._version(caller, snapshot, table, query.version, moment), 0
        if place.version != _newest(snapshot, table) and caller.principal.reach is Reach.AGGREGATE:
            raise Refused(Code.CURSOR_EXPIRED, "the table has been published again", remedy="start again")
        return place.version, place.offset

    async def _version(
        self,
        caller: Caller,
        snapshot: Snapshot,
        table: Table,
        version: int | None,
        moment: datetime | None,
    ) -> int:
        """The published version that is asked for: the newest one, one by number or by time."""
        if version is not None and moment is not None:
            raise Refused(Code.BAD_REQUEST, "version and timestamp exclude each other")
        if version is None and moment is None:
            return _newest(snapshot, table)
        _needs_history(caller)
        publications = await self._publications(snapshot, table)
        if moment is not None:
            return _last_until(publications, moment)
        if version == 0 or version in {one.version for one in publications}:
            assert version is not None
            return version
        raise Refused(
            Code.VERSION_NOT_FOUND,
            f"version {version} of the table was never published",
            remedy=f"the newest is {_newest(snapshot, table)}; changes tell of those before",
        )

    async def _publications(self, snapshot: Snapshot, table: Table) -> Sequence[Publication]:
        return await self._gold.in_thread(lambda: self._tables.publications(snapshot, table))

    async def _publication(self, snapshot: Snapshot, table: Table, version: int) -> Publication | None:
        """That of the version; None for the empty version 0."""
        publications = await self._publications(snapshot, table)
        return next((one for one in publications if one.version == version), None)

    async def _at(self, snapshot: Snapshot, table: Table, version: int) -> TableAt:
        return await self._gold.in_thread(lambda: self._tables.at(snapshot, table, version))

    async def _addresses(
        self,
        caller: Caller,
        snapshot: Snapshot,
        table: Table,
        operation: str,
        at_version: Sequence[tuple[SharedFile, int]],
    ) -> Sequence[Address]:
        """Addresses of the files, each with a version that has it, once the read is in the access log of
        everybody whom they tell of."""
        files = [file for file, _version in at_version]
        seen = {file.path: (file, version) for file, version in at_version}
        workers = await self._gold.in_thread(lambda: self._tables.workers(snapshot, table, seen))
        start, end = days(files) or (None, None)
        await caller.record(operation, workers, start, end, sum(file.rows or 0 for file in files))
        folder = table.path(caller.tenant_id)
        return await self._signer.of([f"{folder}/{file.path}" for file in files])

    def _token(
        self, caller: Caller, purpose: str, asked: str, version: int, offset: int | None
    ) -> str | None:
        if offset is None:
            return None
        return self._tokens.of(Place(purpose, caller.tenant_id, asked, version, offset))

    def _place(self, caller: Caller, purpose: str, asked: str, token: str) -> Place:
        try:
            return self._tokens.place(token, purpose=purpose, tenant_id=caller.tenant_id, asked=asked)
        except ValueError as error:
            raise Refused(Code.BAD_REQUEST, str(error), remedy="start again without it") from None


def instant(name: str, text: str) -> datetime:
    """The instant of a parameter. Raises Refused."""
    try:
        return predicates.timestamp(text)
    except (ValueError, OverflowError):
        raise Refused(
            Code.BAD_REQUEST, f"{name} is no timestamp", remedy="write it as 2026-11-05T09:00:00Z"
        ) from None


def _newest(snapshot: Snapshot, table: Table) -> int:
    return snapshot.versions.get(table.id, 0)


def _needs_history(caller: Caller) -> None:
    """Raises Refused for a caller that may only read what is published now."""
    if caller.principal.reach is Reach.AGGREGATE:
        raise Refused(
            Code.INDIVIDUAL_REACH_REQUIRED,
            "these credentials read what is published now, and nothing earlier",
        )


# --------------------------------------------------------------------------------------------- versions
def _last_until(publications: Sequence[Publication], moment: datetime) -> int:
    """The version that was published last at that moment; 0 before the first."""
    until = milliseconds(moment)
    return max((one.version for one in publications if one.published_ms <= until), default=0)


def _first_since(publications: Sequence[Publication], moment: datetime) -> int:
    """The first version published at or after that moment. Raises Refused when there is none yet."""
    since = milliseconds(moment)
    for one in publications:
        if one.published_ms >= since:
            return one.version
    raise Refused(Code.BAD_REQUEST, "nothing of the table has been published since then")


def _range(feed: Feed, publications: Sequence[Publication], newest: int) -> tuple[int, int]:
    """First and last version of a feed. Raises Refused."""
    if (feed.starting_version is None) == (feed.starting is None):
        raise Refused(Code.BAD_REQUEST, "give either startingVersion or startingTimestamp")
    if feed.ending_version is not None and feed.ending is not None:
        raise Refused(Code.BAD_REQUEST, "endingVersion and endingTimestamp exclude each other")
    first = feed.starting_version
    if feed.starting is not None:
        first = _first_since(publications, feed.starting)
    assert first is not None
    if first > newest:
        raise Refused(
            Code.BAD_REQUEST, f"the newest version is {newest}", remedy="ask again when there is a later one"
        )
    last = newest
    if feed.ending is not None:
        last = _last_until(publications, feed.ending)
    elif feed.ending_version is not None:
        last = min(feed.ending_version, newest)
    if last < first:
        raise Refused(Code.BAD_REQUEST, "the end lies before the start")
    return first, last


# --------------------------------------------------------------------------------------------- hints
def _hinted(files: Sequence[SharedFile], query: Query, table: Table) -> Sequence[SharedFile]:
    """The files that may hold rows that match, and of those enough for the limit."""
    predicate = _predicate(query, table)
    left = query.limit_hint
    kept = []
    for file in files:
        if left is not None and left <= 0:
            break
        outcome = predicate(file.bounds)
        if not outcome.true:
            continue
        kept.append(file)
        if left is not None and outcome.certain:
            left -= file.rows or 0
    return kept


def _predicate(query: Query, table: Table) -> Predicate:
    """All hints together; one that cannot be evaluated is left out, as the protocol has it."""
    hints: list[Predicate] = []
    if query.json_predicate_hints:
        with suppress(NoPredicate):
            hints.append(predicates.of_json(query.json_predicate_hints))
    types = value_types(table)
    for text in query.predicate_hints or ():
        with suppress(NoPredicate):
            hints.append(predicates.of_sql(text, types))
    return predicates.all_of(hints)
