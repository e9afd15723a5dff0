"""Query parameters that single things share, and the headers of their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from coworkai.partner_api.pages import MAX_VERSION, chosen_fields
from coworkai.partner_api.schemas import TABULAR_FORMAT, TABULAR_FORMATS, fields_parameter

AsOf = Annotated[
    int | None,
    Query(
        alias="as_of_version",
        ge=0,
        le=MAX_VERSION,
        description="read what was published at this `X-Data-Version`",
    ),
]
DocumentFormat = Annotated[
    str | None,
    Query(alias="format", pattern="^(json|markdown)$", description="instead of `Accept`"),
]
TabularFormat = Annotated[
    str | None, Query(alias="format", description=TABULAR_FORMAT, json_schema_extra=dict(TABULAR_FORMATS))
]
Fields = Annotated[str | None, Query(alias="fields", include_in_schema=False)]
"""Goes with `with_fields`, which documents it."""


def with_fields(row: type[BaseModel]) -> dict[str, Any]:
    """What a route of such rows adds to the document for `Fields`."""
    return {"parameters": [fields_parameter(list(row.model_fields))]}


def shown(rows: Iterable[Mapping[str, object]], fields: str | None, row: type[BaseModel]) -> list[object]:
    """The rows, by what `fields=` says. Raises Refused (UNKNOWN_FIELD)."""
    if fields is None:
        return list(rows)
    names = chosen_fields(fields, row.model_fields)
    return [{name: one[name] for name in names} for one in rows]


def document(model: Any, example: str) -> dict[int | str, dict[str, Any]]:
    """The response of something that is JSON or markdown."""
    markdown = {"schema": {"type": "string"}, "example": example}
    return {200: {"model": model, "content": {"text/markdown": markdown}}}
