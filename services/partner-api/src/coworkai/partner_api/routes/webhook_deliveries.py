"""`/v1/webhook-deliveries`: what was sent to endpoints, and how it went."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.pages import DEFAULT_LIMIT, MAX_LIMIT
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.services import services_of
from coworkai.partner_api.webhooks.deliveries import Delivery, DeliveryState, Wanted

router = APIRouter(prefix="/v1/webhook-deliveries", tags=["webhooks"])

ACCESS = Access(Scope.WEBHOOKS, Reach.AGGREGATE, limited=False)
DeliveryId = Annotated[str, Path(max_length=64, examples=["whd_5c1f0a9b2d34856a0b1c2d3e"])]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class WebhookDelivery(BaseModel):
    """An event on its way to an endpoint."""

    model_config = ConfigDict(from_attributes=True)

    delivery_id: str = Field(examples=["whd_5c1f0a9b2d34856a0b1c2d3e"])
    endpoint_id: str = Field(examples=["we_5c1f0a9b2d34856a0b1c2d3e"])
    event_id: str = Field(
        description="`webhook-id` that it is sent with, each time", examples=["evt_0b1c2d3e5c1f0a9b2d34856a"]
    )
    event_type: str = Field(examples=["brief.ready"])
    occurred_at: dt.datetime
    redelivery: int = Field(description="0, and one more each time that it was asked for again")
    state: DeliveryState
    attempts: int = Field(description="how often it was sent", examples=[1])
    next_attempt_at: dt.datetime | None = Field(description="when it is sent next, while it is pending")
    created_at: dt.datetime
    finished_at: dt.datetime | None


class WebhookAttempt(BaseModel):
    """One time that it was sent."""

    model_config = ConfigDict(from_attributes=True)

    attempt: int = Field(description="from 1; one whose sender died is missing", examples=[1])
    started_at: dt.datetime
    duration_ms: int = Field(examples=[84])
    status_code: int | None = Field(description="of the answer; null where there was none", examples=[200])
    error: str | None = Field(
        description="why there was none: timeout, refused_address, unresolved, connection_failed, "
        "tls_failed, broken_answer or internal"
    )


class WebhookDeliveryLog(WebhookDelivery):
    """A delivery with its attempts, in order."""

    log: list[WebhookAttempt]


class WebhookDeliveryList(BaseModel):
    """Deliveries, newest first."""

    data: list[WebhookDelivery]
    has_more: bool
    next_cursor: str | None


@router.get("", operation_id="list_webhook_deliveries", summary="List webhook deliveries")
async def list_webhook_deliveries(
    request: Request,
    caller: Annotated[Caller, guarded(ACCESS)],
    *,
    endpoint_id: Annotated[str | None, Query(max_length=64, description="to this endpoint")] = None,
    event_id: Annotated[str | None, Query(max_length=64, description="of this event")] = None,
    state: Annotated[DeliveryState | None, Query(description="in this state")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="deliveries of a page")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=1_024, description="`next_cursor` of the page before")
    ] = None,
) -> WebhookDeliveryList:
    """Deliveries to endpoints that the credentials may know of, newest first; kept for 30 days."""
    services = services_of(request)
    wanted = Wanted(endpoint_id, event_id, state)
    bound = [caller.tenant_id, "webhook-deliveries", repr(wanted)]
    before = None
    if cursor is not None:
        created_us, last = services.cursors.read_after(cursor, bound)
        before = _EPOCH + dt.timedelta(microseconds=created_us), last
    found = await services.in_store(
        lambda: services.webhooks.deliveries.page(caller, wanted, before=before, limit=limit + 1)
    )
    page = found[:limit]
    following = None
    if len(found) > limit:
        created_us = (page[-1].created_at - _EPOCH) // dt.timedelta(microseconds=1)
        following = services.cursors.make_after(created_us, page[-1].delivery_id, bound)
    data = [shown_delivery(one) for one in page]
    return WebhookDeliveryList(data=data, has_more=following is not None, next_cursor=following)


@router.get("/{delivery_id}", operation_id="get_webhook_delivery", summary="Get a webhook delivery")
async def get_webhook_delivery(
    delivery_id: DeliveryId, request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> WebhookDeliveryLog:
    """A delivery, and every attempt with its status and duration. Bodies of answers are not kept."""
    services = services_of(request)
    delivery, attempts = await services.in_store(
        lambda: services.webhooks.deliveries.get(caller, delivery_id)
    )
    log = [WebhookAttempt.model_validate(one) for one in attempts]
    return WebhookDeliveryLog(**shown_delivery(delivery).model_dump(), log=log)


@router.post(
    "/{delivery_id}/redeliver",
    operation_id="redeliver_webhook",
    summary="Send a webhook again",
    status_code=202,
)
async def redeliver_webhook(
    delivery_id: DeliveryId, request: Request, caller: Annotated[Caller, guarded(ACCESS)]
) -> WebhookDelivery:
    """Send the delivery's event to its endpoint again, under the same `webhook-id`."""
    services = services_of(request)
    again = await services.in_store(lambda: services.webhooks.deliveries.redeliver(caller, delivery_id))
    services.webhooks.dispatcher.look()
    return shown_delivery(again)


def shown_delivery(delivery: Delivery) -> WebhookDelivery:
    return WebhookDelivery.model_validate(delivery)
