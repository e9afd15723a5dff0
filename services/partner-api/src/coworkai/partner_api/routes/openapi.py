"""`GET /openapi.json`: the document of this API, as `docs/openapi.json` has it. `GET /docs`: for people.

`GET /` leads there.
"""

from __future__ import annotations

import asyncio
import hashlib

import msgspec
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import RedirectResponse, Response

from coworkai.partner_api.etags import etag, is_current, not_modified
from coworkai.partner_api.openapi.document import document, encoded
from coworkai.partner_api.reference.page import Page, render
from coworkai.partner_api.services import services_of

router = APIRouter()


@router.get("/", include_in_schema=False)
async def root() -> Response:
    """To the page."""
    return RedirectResponse("/docs", headers={"cache-control": "public, max-age=300"})


@router.get("/openapi.json", include_in_schema=False)
async def openapi_json(request: Request) -> Response:
    """The OpenAPI document; made when it is asked for first."""
    return _answer(request, await _document(request.app), "application/json", {})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The document as a page, which loads nothing; made when it is asked for first."""
    api: FastAPI = request.app
    if not hasattr(api.state, "reference"):
        found = msgspec.json.decode(await _document(api))
        base_url = services_of(request).settings.public_url
        api.state.reference = await asyncio.to_thread(render, found, base_url)
    page: Page = api.state.reference
    return _answer(request, page.body, "text/html", {"content-security-policy": page.policy})


async def _document(api: FastAPI) -> bytes:
    if not hasattr(api.state, "openapi"):
        api.state.openapi = await asyncio.to_thread(lambda: encoded(document(api)))
    found: bytes = api.state.openapi
    return found


def _answer(request: Request, body: bytes, media_type: str, more: dict[str, str]) -> Response:
    """The body, or 304 for who has it."""
    tag = etag(None, (), hashlib.sha256(body).digest(), None)
    headers = {"etag": tag, "cache-control": "public, max-age=300", **more}
    if is_current(request.headers.get("if-none-match"), tag):
        return not_modified(headers)
    return Response(body, headers=headers, media_type=media_type)
