"""`/v1/webhook-endpoints`: where events are sent to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from coworkai.partner_api.guard import Access, Caller, authorise, guarded
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.problems import Code, FieldError, Refused
from coworkai.partner_api.routes.webhook_deliveries import WebhookDelivery, shown_delivery
from coworkai.partner_api.schemas import NUMBER
from coworkai.partner_api.services import services_of
from coworkai.partner_api.webhooks.addresses import MAX_URL_CHARS, RefusedAddress
from coworkai.partner_api.webhooks.endpoints import Changes, Endpoint, EndpointState
from coworkai.partner_api.webhooks.event_types import NEEDS, EventType

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])

ACCESS = Access(Scope.WEBHOOKS, Reach.AGGREGATE, limited=False)
"""What an event needs besides, its endpoint's caller has too (`NEEDS`)."""
MAX_OVERLAP_S = 7 * 86_400

_Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_URL_CHARS,
        description="where to: https, a public address, port 443 or 8443, no credentials in it",
        examples=["https://hooks.example.com/coworkai"],
    ),
]
_EventTypes = Annotated[
    list[EventType], Field(min_length=1, max_length=len(EventType), description="what is sent to it")
]
_Description = Annotated[str, Field(max_length=1_024, examples=["the data warehouse"])]
EndpointId = Annotated[str, Path(max_length=64, examples=["we_5c1f0a9b2d34856a0b1c2d3e"])]


class NewWebhookEndpoint(BaseModel):
    """Where events are to be sent to, and which."""

    model_config = ConfigDict(extra="forbid")

    url: _Url
    event_types: _EventTypes
    description: _Description = ""


class WebhookEndpointChanges(BaseModel):
    """What is to be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: _Url | None = None
    event_types: _EventTypes | None = None
    description: _Description | None = None
    state: EndpointState | None = Field(
        default=None, description="disabled: nothing is sent, what waits is cancelled; enabled: from now on"
    )


class SecretRotation(BaseModel):
    """How the secrets before are to end."""

    model_config = ConfigDict(extra="forbid")

    overlap_s: Annotated[int, Field(ge=0, le=MAX_OVERLAP_S), NUMBER] = Field(
        default=86_400,
        description="seconds for which they sign as well, until you verify with the new one",
    )


class WebhookSecret(BaseModel):
    """A secret that signs, without itself."""

    model_config = ConfigDict(from_attributes=True)

    created_at: dt.datetime
    expires_at: dt.datetime | None = Field(description="null for the newest")


class WebhookEndpoint(BaseModel):
    """An endpoint."""

    endpoint_id: str = Field(examples=["we_5c1f0a9b2d34856a0b1c2d3e"])
    url: str
    event_types: list[EventType]
    description: str
    state: EndpointState
    disabled_reason: str | None = Field(
        description="requested, failing (nothing was taken for five days), or gone (it answered 410)"
    )
    failing_since: dt.datetime | None = Field(description="since when it has taken nothing")
    created_at: dt.datetime
    updated_at: dt.datetime
    secrets: list[WebhookSecret] = Field(description="those that sign now, oldest first")


class WebhookEndpointWithSecret(WebhookEndpoint):
    """An endpoint, and its new secret; it is shown this once."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="])


class WebhookEndpointList(BaseModel):
    """All endpoints that the caller may know of."""

    data: list[WebhookEndpoint]
    has_more: bool
    next_cursor: str | None


@router.post(
    "", operation_id="create_webhook_endpoint", summary="Register a webhook endpoint", status_code=201
)
async def create_webhook_endpoint(
    asked: NewWebhookEndpoint, request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> WebhookEndpointWithSecret:
    """Register an endpoint. It is told of what happens from now on; the secret verifies that it is us."""
    services = services_of(request)
    _authorise(caller, asked.event_types)
    url = await _checked(request, asked.url)
    made, secret = await services.in_store(
        lambda: services.webhooks.endpoints.create(caller, url, set(asked.event_types), asked.description)
    )
    return WebhookEndpointWithSecret(**_shown(made).model_dump(), secret=secret)


@router.get("", operation_id="list_webhook_endpoints", summary="List webhook endpoints")
async def list_webhook_endpoints(
    request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> WebhookEndpointList:
    """Endpoints whose events the credentials may have, oldest first; all in one answer."""
    services = services_of(request)
    found = await services.in_store(lambda: services.webhooks.endpoints.listed(caller))
    return WebhookEndpointList(data=[_shown(one) for one in found], has_more=False, next_cursor=None)


@router.get("/{endpoint_id}", operation_id="get_webhook_endpoint", summary="Get a webhook endpoint")
async def get_webhook_endpoint(
    endpoint_id: EndpointId, request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> WebhookEndpoint:
    """An endpoint, without its secrets."""
    services = services_of(request)
    return _shown(await services.in_store(lambda: services.webhooks.endpoints.get(caller, endpoint_id)))


@router.patch("/{endpoint_id}", operation_id="update_webhook_endpoint", summary="Change a webhook endpoint")
async def update_webhook_endpoint(
    endpoint_id: EndpointId,
    asked: WebhookEndpointChanges,
    request: Request,
    caller: Annotated[Caller, guarded(ACCESS)],
) -> WebhookEndpoint:
    """Change where it sends, what, or whether. Enabled again, it is told of what happens from then on."""
    services = services_of(request)
    _authorise(caller, asked.event_types or ())
    changes = Changes(
        None if asked.url is None else await _checked(request, asked.url),
        None if asked.event_types is None else sorted(set(asked.event_types)),
        asked.description,
        asked.state,
    )
    changed = await services.in_store(
        lambda: services.webhooks.endpoints.change(caller, endpoint_id, changes)
    )
    return _shown(changed)


@router.delete(
    "/{endpoint_id}",
    operation_id="delete_webhook_endpoint",
    summary="Delete a webhook endpoint",
    status_code=204,
    response_class=Response,
)
async def delete_webhook_endpoint(
    endpoint_id: EndpointId, request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> None:
    """Delete it, with the log of its deliveries. Nothing is sent there any more."""
    services = services_of(request)
    await services.in_store(lambda: services.webhooks.endpoints.delete(caller, endpoint_id))


@router.post(
    "/{endpoint_id}/rotate-secret",
    operation_id="rotate_webhook_secret",
    summary="Replace a webhook endpoint's secret",
    status_code=201,
)
async def rotate_webhook_secret(
    endpoint_id: EndpointId,
    asked: SecretRotation,
    request: Request,
    caller: Annotated[Caller, guarded(ACCESS)],
) -> WebhookEndpointWithSecret:
    """Make a new secret. Until the old ones end, every webhook has a signature by each of them."""
    services = services_of(request)
    overlap = timedelta(seconds=asked.overlap_s)
    changed, secret = await services.in_store(
        lambda: services.webhooks.endpoints.rotate(caller, endpoint_id, overlap)
    )
    return WebhookEndpointWithSecret(**_shown(changed).model_dump(), secret=secret)


@router.post(
    "/{endpoint_id}/ping",
    operation_id="ping_webhook_endpoint",
    summary="Test a webhook endpoint",
    status_code=202,
)
async def ping_webhook_endpoint(
    endpoint_id: EndpointId, request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> WebhookDelivery:
    """Send it an event of type `ping`; its delivery shows how it went."""
    services = services_of(request)
    delivery = await services.in_store(lambda: services.webhooks.deliveries.ping(caller, endpoint_id))
    services.webhooks.dispatcher.look()
    return shown_delivery(delivery)


def _authorise(caller: Caller, event_types: Sequence[EventType]) -> None:
    """Raises Refused (403) unless the caller may read what the events lead to."""
    for event_type in event_types:
        authorise(caller.principal, NEEDS[event_type])


async def _checked(request: Request, url: str) -> str:
    try:
        return await services_of(request).webhooks.outbound.check(url)
    except RefusedAddress as refused:
        wrong = FieldError("body.url", refused.message)
        raise Refused(Code.INVALID_BODY, "the URL is none to send to", errors=[wrong]) from None


def _shown(endpoint: Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint.model_validate(endpoint, from_attributes=True)
