"""Query parameters that single things share, and the headers of their answers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from coworkai.partner_api.pages import MAX_VERSION

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


def document(model: Any, example: str) -> dict[int | str, dict[str, Any]]:
    """The response of something that is JSON or markdown."""
    markdown = {"schema": {"type": "string"}, "example": example}
    return {200: {"model": model, "content": {"text/markdown": markdown}}}
