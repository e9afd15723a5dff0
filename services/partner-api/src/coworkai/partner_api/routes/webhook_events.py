"""What receivers get: the `webhooks` section of the API document."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header
from pydantic import BaseModel, Field, create_model

from coworkai.partner_api.webhooks.event_types import PAYLOADS

_WebhookId = Annotated[
    str,
    Header(description="id of the event, the same whenever it is sent", examples=["evt_0b1c2d3e5c1f0a9b"]),
]
_WebhookTimestamp = Annotated[
    int,
    Header(description="Unix seconds of this attempt; refuse what is minutes old", examples=[1_793_000_000]),
]
_WebhookSignature = Annotated[
    str,
    Header(
        description="`v1,` and base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`, one for each secret "
        "that holds, with a space between",
        examples=["v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
    ),
]


def add_webhooks(api: FastAPI) -> None:
    """Document every event that is sent."""
    for event_type, data in PAYLOADS.items():
        api.webhooks.add_api_route(
            event_type,
            _receiver(event_type, data),
            methods=["POST"],
            status_code=204,
            operation_id=f"receive_{event_type.replace('.', '_')}",
            summary=event_type,
            description=data.__doc__,
            tags=["webhooks"],
        )


def _receiver(event_type: str, data: type[BaseModel]) -> Any:
    kind: Any = Literal[event_type]
    event: Any = create_model(
        f"{data.__name__}Event",
        __doc__=data.__doc__,
        type=(kind, Field()),
        timestamp=(dt.datetime, Field(description="when it happened")),
        data=(data, Field()),
    )

    def receive(
        event: event,
        webhook_id: _WebhookId,
        webhook_timestamp: _WebhookTimestamp,
        webhook_signature: _WebhookSignature,
    ) -> None:
        """Documents what is sent; nobody calls it."""

    receive.__annotations__["event"] = event
    return receive
