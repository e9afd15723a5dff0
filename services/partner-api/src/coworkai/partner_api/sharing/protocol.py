"""The words of the Delta Sharing protocol: capabilities, request bodies, and the lines of an answer.

An answer about a table is newline-delimited JSON in one of two formats:

    protocol      {"protocol": …}
    metadata      {"metaData": …}                        with its size and the version it is of
    a file        {"file": …}                            parquet: the address; delta: an action of a Delta log
    a change      {"add": …} {"remove": …} or {"file": …}   in parquet and delta format
    the end       {"endStreamAction": …}                 where the client asked for it, or for pages
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from coworkai.partner_api.sharing.predicates import Bounds
from coworkai.partner_api.signed_urls import Address

NDJSON = "application/x-ndjson; charset=utf-8"
VERSION_HEADER = "delta-table-version"
CAPABILITIES_HEADER = "delta-sharing-capabilities"
_MAX_LONG = 2**63 - 1
_CHANGE_FEED_WRITER = 4
"""First writer version of the Delta protocol that knows change feeds."""

Long = Annotated[int, msgspec.Meta(ge=0, le=_MAX_LONG)]
Line = Mapping[str, object]


class Format(StrEnum):
    """Of two that a client reads, it gets the first."""

    DELTA = "delta"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What client and server have agreed on. `asked`: the client sent the header, so it is answered."""

    response_format: Format = Format.PARQUET
    end_stream_action: bool = False
    asked: bool = False

    def header(self) -> dict[str, str]:
        """The header that tells the client, for one that asked."""
        if not self.asked:
            return {}
        told = f"responseformat={self.response_format.value}"
        if self.end_stream_action:
            told += ";includeendstreamaction=true"
        return {CAPABILITIES_HEADER: told}


def agree(header: str | None) -> Capabilities:
    """What to answer a client that sent this `delta-sharing-capabilities`.

    A client that reads both formats gets delta: in that one, clients fetch files side by side. Raises
    ValueError when it reads neither.
    """
    if header is None:
        return Capabilities()
    asked: dict[str, list[str]] = {}
    for part in header.lower().split(";"):
        name, _, values = part.partition("=")
        asked[name.strip()] = [value.strip() for value in values.split(",")]
    formats = asked.get("responseformat", [Format.PARQUET.value])
    chosen = next((known for known in Format if known.value in formats), None)
    if chosen is None:
        raise ValueError("the response formats are parquet and delta")
    return Capabilities(chosen, "true" in asked.get("includeendstreamaction", []), asked=True)


class Query(msgspec.Struct, frozen=True, rename="camel"):
    """Body of a query. What else a client sends is of extensions and left alone."""

    predicate_hints: tuple[str, ...] | None = None
    json_predicate_hints: str | None = None
    limit_hint: Long | None = None
    version: Long | None = None
    timestamp: str | None = None
    starting_version: Long | None = None
    ending_version: Long | None = None
    max_files: Annotated[int, msgspec.Meta(ge=1, le=_MAX_LONG)] | None = None
    page_token: str | None = None
    include_refresh_token: bool | None = None
    refresh_token: str | None = None

    def digest(self) -> str:
        """Equal for the requests of all pages of one answer."""
        same = msgspec.structs.replace(
            self, max_files=None, page_token=None, include_refresh_token=None, refresh_token=None
        )
        return hashlib.blake2b(msgspec.json.encode(same), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table is at a version. `configuration` is of its Delta metadata."""

    table_id: str
    name: str
    description: str
    schema_json: str
    partition_columns: tuple[str, ...]
    configuration: Mapping[str, str]
    created_ms: int | None
    size_bytes: int
    files: int
    min_reader_version: int = 1
    min_writer_version: int = 2


@dataclass(frozen=True, slots=True)
class Publication:
    """A version of a table that readers were given, from this moment on (Unix milliseconds)."""

    version: int
    published_ms: int


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A data file of a table. `path` is relative to the table; `partition` is as the Delta log has it.

    `rows` and `stats` are None where the log does not tell; `bounds` are by lower-case column.
    """

    path: str
    size_bytes: int
    modified_ms: int
    partition: Mapping[str, str | None]
    rows: int | None
    stats: str | None
    bounds: Mapping[str, Bounds]

    @property
    def id(self) -> str:
        """The same in every answer."""
        return hashlib.blake2b(self.path.encode(), digest_size=16).hexdigest()


class ChangeKind(StrEnum):
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Change:
    """A file whose rows came or went with a published version; `seen_at` is a published version with it."""

    kind: ChangeKind
    file: SharedFile
    version: int
    published_ms: int
    seen_at: int


def head(
    shape: Shape, response_format: Format, *, version: int | None = None, changes: bool = False
) -> list[Line]:
    """Protocol and metadata, `version` where the client asked for one. `changes`: of a change feed."""
    configuration, writer = dict(shape.configuration), shape.min_writer_version
    if changes:
        # What readers of a feed look for; the feed itself is made of whole files here.
        configuration |= {"enableChangeDataFeed": "true", "delta.enableChangeDataFeed": "true"}
        writer = max(writer, _CHANGE_FEED_WRITER)
    metadata: dict[str, object] = {
        "id": shape.table_id,
        "name": shape.name,
        "description": shape.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": shape.schema_json,
        "partitionColumns": shape.partition_columns,
        "configuration": configuration,
    }
    about: dict[str, object] = {"size": shape.size_bytes, "numFiles": shape.files}
    if version is not None:
        about["version"] = version
    if response_format is Format.PARQUET:
        return [{"protocol": {"minReaderVersion": 1}}, {"metaData": {**metadata, **about}}]
    if shape.created_ms is not None:
        metadata["createdTime"] = shape.created_ms
    protocol = {"minReaderVersion": shape.min_reader_version, "minWriterVersion": writer}
    return [{"protocol": {"deltaProtocol": protocol}}, {"metaData": {"deltaMetadata": metadata, **about}}]


def file_line(
    file: SharedFile, address: Address, response_format: Format, at: Publication | None = None
) -> Line:
    """A file of a table, `at` the publication that the client asked for, where it did."""
    about: dict[str, object] = {"id": file.id, "expirationTimestamp": address.expires_ms}
    if at is not None:
        about |= {"version": at.version, "timestamp": at.published_ms}
    if response_format is Format.PARQUET:
        return {"file": {**about, **_parquet(file, address)}}
    return {"file": {**about, "size": file.size_bytes, "deltaSingleAction": {"add": _add(file, address)}}}


def change_line(change: Change, address: Address, response_format: Format) -> Line:
    """A file that came or went."""
    about: dict[str, object] = {
        "id": change.file.id,
        "version": change.version,
        "timestamp": change.published_ms,
        "expirationTimestamp": address.expires_ms,
    }
    if response_format is Format.PARQUET:
        return {change.kind.value: {**about, **_parquet(change.file, address)}}
    if change.kind is ChangeKind.ADD:
        action: Line = {"add": _add(change.file, address)}
    else:
        action = {
            "remove": {
                "path": address.url,
                "deletionTimestamp": change.published_ms,
                "dataChange": True,
                "extendedFileMetadata": True,
                "partitionValues": change.file.partition,
                "size": change.file.size_bytes,
            }
        }
    return {"file": {**about, "size": change.file.size_bytes, "deltaSingleAction": action}}


def end_line(addresses: Sequence[Address], *, next_page_token: str | None, refresh_token: str | None) -> Line:
    """The last line: whether there is more, and when the first address stops working."""
    action: dict[str, object] = {}
    if addresses:
        action["minUrlExpirationTimestamp"] = min(address.expires_ms for address in addresses)
    if next_page_token is not None:
        action["nextPageToken"] = next_page_token
    if refresh_token is not None:
        action["refreshToken"] = refresh_token
    return {"endStreamAction": action}


def body(lines: Sequence[Line]) -> bytes:
    """The lines as they are sent."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _parquet(file: SharedFile, address: Address) -> dict[str, object]:
    told: dict[str, object] = {
        "url": address.url,
        "partitionValues": {name: value or "" for name, value in file.partition.items()},
        "size": file.size_bytes,
    }
    if file.stats is not None:
        told["stats"] = file.stats
    return told


def _add(file: SharedFile, address: Address) -> dict[str, object]:
    action: dict[str, object] = {
        "path": address.url,
        "partitionValues": file.partition,
        "size": file.size_bytes,
        "modificationTime": file.modified_ms,
        "dataChange": True,
    }
    if file.stats is not None:
        action["stats"] = file.stats
    return action
