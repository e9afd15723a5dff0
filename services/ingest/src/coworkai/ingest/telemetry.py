"""`POST /v1/telemetry/{source}`: batches over plain HTTPS, for collectors that cannot reach Pub/Sub.

The same pipeline as a push, with an outcome for every record in the answer.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request, Response

from coworkai.common.clock import Clock
from coworkai.common.errors import NotFound, Unauthenticated
from coworkai.common.events import Source
from coworkai.ingest.decode import Delivery
from coworkai.ingest.pipeline import Delivered, Pipeline
from coworkai.ingest.push import SOURCES, InFlight, check_encoding, read_body
from coworkai.ingest.tenants import Tenants

ATTRIBUTE_HEADERS = {
    "device_id": "x-coworkai-device-id",
    "collector": "x-coworkai-collector",
    "sent_at": "x-coworkai-sent-at",
}
"""What a jobs file says in message attributes, it says in these headers here."""


class RecordAnswer(msgspec.Struct, omit_defaults=True):
    """Outcome of one record, by its place in the batch; no index where the whole message was refused."""

    outcome: str
    index: int | None = None
    reason: str | None = None


class BatchAnswer(msgspec.Struct):
    """`received` = `accepted` + `duplicate` + `quarantined`."""

    received: int
    accepted: int
    duplicate: int
    quarantined: int
    records: list[RecordAnswer]


@dataclass(frozen=True, slots=True)
class TelemetryRoute:
    """The route's dependencies; `router` is what FastAPI includes."""

    pipeline: Pipeline
    tenants: Tenants
    in_flight: InFlight
    clock: Clock
    max_message_bytes: int

    def router(self) -> APIRouter:
        router = APIRouter()

        @router.post("/v1/telemetry/{source}")
        async def telemetry(source: str, request: Request) -> Response:
            """Take a batch: JSON, or CSV for jobs. `Authorization: Bearer <ingest key>`."""
            answer = await self._take(source, request)
            return Response(msgspec.json.encode(answer), media_type="application/json")

        return router

    async def _take(self, name: str, request: Request) -> BatchAnswer:
        source = SOURCES.get(name)
        if source is None:
            raise NotFound("no such telemetry source", remedy=f"one of {', '.join(SOURCES)}")
        tenant_id = await self._authenticate(request.headers.get("authorization"))
        check_encoding(dict(request.headers.raw))
        body = await read_body(request.receive, self.in_flight, self.max_message_bytes)
        try:
            return _answer(await self.pipeline.deliver(self._delivery(source, tenant_id, body, request)))
        finally:
            self.in_flight.give_back(len(body))

    async def _authenticate(self, authorization: str | None) -> str:
        scheme, _, key = (authorization or "").partition(" ")
        tenant_id = await self.tenants.of_key(key) if scheme.lower() == "bearer" and key else None
        if tenant_id is None:
            raise Unauthenticated("no valid ingest key", remedy="send Authorization: Bearer <ingest key>")
        return tenant_id

    def _delivery(self, source: Source, tenant_id: str, body: bytes, request: Request) -> Delivery:
        attributes = {
            name: request.headers[header]
            for name, header in ATTRIBUTE_HEADERS.items()
            if header in request.headers
        }
        if "traceparent" in request.headers:
            attributes["traceparent"] = request.headers["traceparent"]
        if source is Source.JOBS:
            attributes["tenant_id"] = tenant_id
        return Delivery(
            topic=source.topic,
            source=source,
            data=body,
            attributes=attributes,
            message_id=f"https-{uuid.uuid4().hex}",
            published_at=self.clock(),
            sender=tenant_id,
        )


def _answer(delivered: Delivered) -> BatchAnswer:
    return BatchAnswer(
        delivered.received,
        delivered.accepted,
        delivered.duplicate,
        delivered.quarantined,
        [
            RecordAnswer(
                record.outcome.value, record.index, None if record.reason is None else record.reason.value
            )
            for record in delivered.records()
        ],
    )
