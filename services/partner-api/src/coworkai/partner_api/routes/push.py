"""Pushes of the bus, and the scheduler's task. Both carry the bus's own tokens, none of the API's.

    /push/gold-updated, /push/brief-ready ─▶ look at what the tenant published ─▶ events are kept ─▶ 204
    /tasks/deliver                        ─▶ look at all tenants ─▶ send what is due

A push is answered when its events are kept: the bus brings it again if this process dies.
"""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from coworkai.common.bus import decode_push
from coworkai.common.errors import Terminal
from coworkai.common.observability import extract, tracer
from coworkai.partner_api.services import Services, services_of

router = APIRouter(include_in_schema=False)


class _Updated(msgspec.Struct, frozen=True):
    tenant_id: str


@router.post("/push/gold-updated", status_code=204)
async def gold_updated(request: Request) -> Response:
    """Something of Gold was published."""
    return await _published(request, "gold-updated")


@router.post("/push/brief-ready", status_code=204)
async def brief_ready(request: Request) -> Response:
    """Briefs were published."""
    return await _published(request, "brief-ready")


@router.post("/tasks/deliver")
async def deliver(request: Request) -> Response:
    """Send the webhooks that are due, also of what no push told of."""
    services = await _authenticated(request)
    with tracer().start_as_current_span("partner-api deliver"):
        sent = await services.webhooks.task()
    return Response(msgspec.json.encode(sent), media_type="application/json")


async def _published(request: Request, topic: str) -> Response:
    services = await _authenticated(request)
    message = decode_push(await request.body(), request.headers)
    try:
        tenant_id = msgspec.json.decode(message.data, type=_Updated).tenant_id
    except msgspec.MsgspecError:
        raise Terminal("the message names no tenant") from None
    with tracer().start_as_current_span(f"partner-api {topic}", extract(message.attributes)):
        services.gold.hint(tenant_id)
        await services.webhooks.publications.look(tenant_id)
    return Response(status_code=204)


async def _authenticated(request: Request) -> Services:
    """Raises Unauthenticated, Transient."""
    services = services_of(request)
    if services.push_auth is not None:
        await services.push_auth.verify(request.headers.get("authorization"))
    return services
