"""The Delta Sharing protocol over HTTP, below `/delta-sharing`, and what signed addresses open.

Names of shares, schemas and tables are of any case. Errors are the protocol's: `{errorCode, message}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as Parameter

from coworkai.common.tables import Table
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.problems import SHARING_PREFIX, Code, Refused
from coworkai.partner_api.services import services_of
from coworkai.partner_api.sharing import catalogue
from coworkai.partner_api.sharing.answers import Feed, Paging, Sharing, TableAnswer, instant
from coworkai.partner_api.sharing.protocol import (
    CAPABILITIES_HEADER,
    NDJSON,
    VERSION_HEADER,
    Capabilities,
    Query,
    agree,
    body,
)
from coworkai.partner_api.sharing.schemas import (
    LINES,
    QUERY,
    REFUSED,
    VERSION,
    SchemaPage,
    Share,
    SharePage,
    TablePage,
)
from coworkai.partner_api.signed_urls import PREFIX as FILES_PREFIX

router = APIRouter(tags=["delta-sharing"], responses=REFUSED)
ACCESS = Access(Scope.SHARING, Reach.AGGREGATE, limited=False, extensible=True, is_query=True)
_TABLE = SHARING_PREFIX + "/shares/{share}/schemas/{schema}/tables/{table}"
_INT = 2**31 - 1
_LONG = 2**63 - 1

Recipient = Annotated[Caller, guarded(ACCESS)]


@dataclass(frozen=True, slots=True)
class Listing:
    """A request for a page of a list."""

    request: Request
    caller: Caller
    size: int | None
    token: str | None

    def of(self, name: str, items: Sequence[object]) -> Response:
        page, following = _sharing(self.request).listed(self.caller, name, items, self.size, self.token)
        answer: dict[str, object] = {"items": page}
        if following is not None:
            answer["nextPageToken"] = following
        return _json(answer)


def _listing(
    request: Request,
    caller: Recipient,
    max_results: Annotated[
        int | None, Parameter(alias="maxResults", ge=0, le=_INT, description="most items of a page")
    ] = None,
    page_token: Annotated[
        str | None, Parameter(alias="pageToken", description="`nextPageToken` of the page before")
    ] = None,
) -> Listing:
    return Listing(request, caller, max_results, page_token)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about a table that the caller's reach allows."""

    sharing: Sharing
    caller: Caller
    table: Table
    agreed: Capabilities

    def lines(self, answer: TableAnswer) -> Response:
        headers = {VERSION_HEADER: str(answer.version), **self.agreed.header()}
        return Response(body(answer.lines), media_type=NDJSON, headers=headers)


def _asked(request: Request, caller: Recipient, share: str, schema: str, table: str) -> Asked:
    try:
        agreed = agree(request.headers.get(CAPABILITIES_HEADER))
    except ValueError as error:
        raise Refused(Code.BAD_REQUEST, str(error)) from None
    _check_schema(share, schema)
    found = catalogue.tables(caller.principal.reach).get(table.lower())
    if found is None:
        raise Refused(Code.NOT_FOUND, "not found")
    return Asked(_sharing(request), caller, found, agreed)


def _feed(
    starting_version: Annotated[int | None, Parameter(alias="startingVersion", ge=0, le=_LONG)] = None,
    starting_timestamp: Annotated[str | None, Parameter(alias="startingTimestamp")] = None,
    ending_version: Annotated[int | None, Parameter(alias="endingVersion", ge=0, le=_LONG)] = None,
    ending_timestamp: Annotated[str | None, Parameter(alias="endingTimestamp")] = None,
) -> Feed:
    return Feed(
        starting_version,
        _instant("startingTimestamp", starting_timestamp),
        ending_version,
        _instant("endingTimestamp", ending_timestamp),
    )


OfList = Annotated[Listing, Depends(_listing)]
OfTable = Annotated[Asked, Depends(_asked)]


def _sharing(request: Request) -> Sharing:
    return services_of(request).sharing


def _check_share(share: str) -> None:
    if share.lower() != catalogue.SHARE:
        raise Refused(Code.NOT_FOUND, "not found")


def _check_schema(share: str, schema: str) -> None:
    _check_share(share)
    if schema.lower() != catalogue.SCHEMA:
        raise Refused(Code.NOT_FOUND, "not found")


def _instant(name: str, text: str | None) -> datetime | None:
    return None if text is None else instant(name, text)


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json; charset=utf-8")


def _table_items(caller: Caller) -> list[dict[str, str]]:
    tables = catalogue.tables(caller.principal.reach).values()
    return [catalogue.table_item(caller.tenant_id, table) for table in tables]


# --------------------------------------------------------------------------------------------- lists
@router.get(
    SHARING_PREFIX + "/shares",
    operation_id="delta_sharing_list_shares",
    summary="List shares",
    responses={200: {"model": SharePage}},
)
async def list_shares(listing: OfList) -> Response:
    """List the shares: the tenant has one."""
    return listing.of("shares", [catalogue.share_item(listing.caller.tenant_id)])


@router.get(
    SHARING_PREFIX + "/shares/{share}",
    operation_id="delta_sharing_get_share",
    summary="Get a share",
    responses={200: {"model": Share}},
)
async def get_share(caller: Recipient, share: str) -> Response:
    """Get a share."""
    _check_share(share)
    return _json({"share": catalogue.share_item(caller.tenant_id)})


@router.get(
    SHARING_PREFIX + "/shares/{share}/schemas",
    operation_id="delta_sharing_list_schemas",
    summary="List schemas",
    responses={200: {"model": SchemaPage}},
)
async def list_schemas(listing: OfList, share: str) -> Response:
    """List the schemas of a share."""
    _check_share(share)
    return listing.of("schemas", [catalogue.schema_item()])


@router.get(
    SHARING_PREFIX + "/shares/{share}/schemas/{schema}/tables",
    operation_id="delta_sharing_list_tables",
    summary="List tables of a schema",
    responses={200: {"model": TablePage}},
)
async def list_tables(listing: OfList, share: str, schema: str) -> Response:
    """List the tables of a schema that the caller's reach allows."""
    _check_schema(share, schema)
    return listing.of("tables", _table_items(listing.caller))


@router.get(
    SHARING_PREFIX + "/shares/{share}/all-tables",
    operation_id="delta_sharing_list_all_tables",
    summary="List tables of a share",
    responses={200: {"model": TablePage}},
)
async def list_all_tables(listing: OfList, share: str) -> Response:
    """List the tables of all schemas that the caller's reach allows."""
    _check_share(share)
    return listing.of("tables", _table_items(listing.caller))


# --------------------------------------------------------------------------------------------- tables
@router.get(
    _TABLE + "/version",
    operation_id="delta_sharing_table_version",
    summary="Tell a table's version",
    response_class=Response,
    responses=VERSION,
)
async def table_version(
    asked: OfTable, starting_timestamp: Annotated[str | None, Parameter(alias="startingTimestamp")] = None
) -> Response:
    """Tell the published version in the header `Delta-Table-Version`, or the first one since a time."""
    since = _instant("startingTimestamp", starting_timestamp)
    version = await asked.sharing.version(asked.caller, asked.table, since)
    return Response(headers={VERSION_HEADER: str(version)})


@router.head(
    _TABLE,
    operation_id="delta_sharing_table_version_by_head",
    summary="Tell a table's version (older clients)",
    response_class=Response,
    responses=VERSION,
)
async def table_version_by_head(asked: OfTable) -> Response:
    """Tell the published version as older clients ask for it."""
    version = await asked.sharing.version(asked.caller, asked.table, None)
    return Response(headers={VERSION_HEADER: str(version)})


@router.get(
    _TABLE + "/metadata",
    operation_id="delta_sharing_table_metadata",
    summary="Describe a table",
    response_class=Response,
    responses=LINES,
)
async def table_metadata(
    asked: OfTable,
    version: Annotated[int | None, Parameter(ge=0, le=_LONG)] = None,
    timestamp: str | None = None,
) -> Response:
    """Tell protocol and metadata of a table, as published now or at a version or time."""
    moment = _instant("timestamp", timestamp)
    answer = await asked.sharing.metadata(
        asked.caller, asked.table, asked.agreed, version=version, moment=moment
    )
    return asked.lines(answer)


@router.post(
    _TABLE + "/query",
    operation_id="delta_sharing_query_table",
    summary="Read a table",
    response_class=Response,
    responses=LINES,
    openapi_extra=QUERY,
)
async def query_table(request: Request, asked: OfTable) -> Response:
    """Give addresses of a table's files: published now, at a version or time, or changed since a version."""
    try:
        query = msgspec.json.decode(await request.body() or b"{}", type=Query)
    except msgspec.MsgspecError as error:
        raise Refused(Code.BAD_REQUEST, f"the body is no query: {error}") from None
    return asked.lines(await asked.sharing.query(asked.caller, asked.table, asked.agreed, query))


@router.get(
    _TABLE + "/changes",
    operation_id="delta_sharing_table_changes",
    summary="Read changes of a table",
    response_class=Response,
    responses=LINES,
)
async def table_changes(
    asked: OfTable,
    feed: Annotated[Feed, Depends(_feed)],
    max_files: Annotated[
        int | None, Parameter(alias="maxFiles", ge=1, le=_INT, description="most files of a page")
    ] = None,
    page_token: Annotated[
        str | None, Parameter(alias="pageToken", description="`nextPageToken` of the page before")
    ] = None,
) -> Response:
    """Give addresses of the files whose rows came or went with the published versions of a range."""
    paging = Paging(f"{asked.table.id}?{feed}", max_files, page_token)
    return asked.lines(await asked.sharing.changes(asked.caller, asked.table, asked.agreed, feed, paging))


# --------------------------------------------------------------------------------------------- files
@router.api_route(FILES_PREFIX + "/{token}/{file_name}", methods=["GET", "HEAD"], include_in_schema=False)
async def signed_file(
    request: Request,
    token: str,
    file_name: str,
    expires: Annotated[str, Parameter(alias="se")] = "",
    signature: Annotated[str, Parameter(alias="sig")] = "",
) -> Response:
    """What a signed address of ours opens; ranges and HEAD as usual."""
    signed_urls = services_of(request).signed_urls
    return await asyncio.to_thread(signed_urls.open, token, file_name, expires, signature)
