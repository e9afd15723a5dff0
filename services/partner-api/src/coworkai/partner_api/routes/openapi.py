"""`GET /openapi.json`: the document of this API, as `docs/openapi.json` has it."""

from __future__ import annotations

import asyncio
import hashlib

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from coworkai.partner_api.etags import etag, is_current, not_modified
from coworkai.partner_api.openapi.document import document, encoded

router = APIRouter()


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """The OpenAPI document; made when it is asked for first."""
    api: FastAPI = request.app
    if not hasattr(api.state, "openapi"):
        api.state.openapi = await asyncio.to_thread(lambda: encoded(document(api)))
    body: bytes = api.state.openapi
    tag = etag((), hashlib.sha256(body).digest(), None)
    headers = {"etag": tag, "cache-control": "public, max-age=300"}
    if is_current(request.headers.get("if-none-match"), tag):
        return not_modified(headers)
    return Response(body, headers=headers, media_type="application/json")
