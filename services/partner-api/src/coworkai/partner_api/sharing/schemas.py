"""How the API document describes what Delta Sharing is asked and answers."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, Field

from coworkai.partner_api.sharing.protocol import NDJSON, VERSION_HEADER, Query


class ShareItem(BaseModel):
    """A share: all that a tenant shares."""

    name: str = Field(examples=["coworkai"])
    id: str = Field(examples=["5a2fdc0c-6f2c-5c4e-8f0e-2f3a5d1c9b7e"])


class SharedSchema(BaseModel):
    """A schema of a share."""

    name: str = Field(examples=["gold"])
    share: str = Field(examples=["coworkai"])


class SharedTable(BaseModel):
    """A table of a schema."""

    name: str = Field(examples=["kpi_daily"])
    schema_: str = Field(alias="schema", examples=["gold"])
    share: str = Field(examples=["coworkai"])
    shareId: str = Field(examples=["5a2fdc0c-6f2c-5c4e-8f0e-2f3a5d1c9b7e"])
    id: str = Field(examples=["0b5e8b63-0b0e-5f44-9d77-9a4a0c2f1d11"])


class Share(BaseModel):
    """One share."""

    share: ShareItem


class SharePage(BaseModel):
    """A page of shares."""

    items: list[ShareItem]
    nextPageToken: str | None = None


class SchemaPage(BaseModel):
    """A page of schemas."""

    items: list[SharedSchema]
    nextPageToken: str | None = None


class TablePage(BaseModel):
    """A page of tables."""

    items: list[SharedTable]
    nextPageToken: str | None = None


class SharingProblem(BaseModel):
    """Why a request was refused, as the protocol tells it."""

    errorCode: str = Field(examples=["NOT_FOUND"])
    message: str = Field(examples=["not found (req_4692c1154ac676eb490d5ee7)"])


Responses = dict[int | str, dict[str, Any]]

_VERSION: dict[str, Any] = {
    VERSION_HEADER: {
        "description": "version of the table that the answer is of",
        "schema": {"type": "integer", "minimum": 0},
    }
}
REFUSED: Responses = {"default": {"model": SharingProblem, "description": "why it was refused"}}
VERSION: Responses = {200: {"description": "the version, in a header", "headers": _VERSION}}
LINES: Responses = {
    200: {
        "description": "protocol, metadata and files, a JSON object a line",
        "headers": _VERSION,
        "content": {NDJSON: {"schema": {"type": "string"}}},
    }
}


def _query_body() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([Query])
    media = {"schema": components["Query"], "example": {"limitHint": 1000}}
    return {"required": False, "content": {"application/json": media}}


QUERY: dict[str, Any] = {"requestBody": _query_body()}
