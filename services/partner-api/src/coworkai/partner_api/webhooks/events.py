"""What happened, written down with a delivery for every endpoint that is to be told, in one transaction.

Invariant: an occurrence is told once, whoever notices it and however often: its `dedupe_key` is unique in the
tenant, and an event and its deliveries are there together or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel
from sqlalchemy import Connection, Row, select

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.schema import webhook_deliveries, webhook_endpoints, webhook_events
from coworkai.partner_api.webhooks.event_types import PAYLOADS, PING, EventType, Ping

ROWS_AT_ONCE = 1_000
_ID_CHARS = 24


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened at a time; `key` names it among those of its type."""

    type: EventType
    key: str
    occurred_at: datetime
    data: BaseModel


class _Payload(msgspec.Struct):
    """The body that is sent."""

    type: str
    timestamp: datetime
    data: dict[str, Any]


class Events:
    """Writes events. Safe to share between threads; every method raises StorageUnavailable."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    def emit(self, connection: Connection, tenant_id: str, occurrences: Sequence[Occurrence]) -> int:
        """Write down those that nobody has yet, in the caller's transaction; how many.

        Endpoints that are enabled, subscribe to the type and were there when it happened get a delivery; what
        nobody is to be told is not kept.
        """
        if not occurrences:
            return 0
        endpoints = connection.execute(
            select(
                webhook_endpoints.c.endpoint_id,
                webhook_endpoints.c.event_types,
                webhook_endpoints.c.created_at,
            ).where(webhook_endpoints.c.tenant_id == tenant_id, webhook_endpoints.c.state == "enabled")
        ).all()
        told: dict[str, list[str]] = {}
        events = []
        for one in occurrences:
            assert isinstance(one.data, PAYLOADS[one.type])
            event = _event(tenant_id, f"{one.type}:{one.key}", one.type, one.occurred_at, one.data)
            told[event["event_id"]] = [each.endpoint_id for each in endpoints if _is_told(each, one)]
            if told[event["event_id"]]:
                events.append(event)
        new = self._write(connection, events)
        self._deliver(
            connection,
            [
                (f"whd_{_digest(event_id, endpoint_id)}", event_id, endpoint_id, 0)
                for event_id in new
                for endpoint_id in told[event_id]
            ],
        )
        return len(new)

    def ping(self, connection: Connection, tenant_id: str, endpoint_id: str, operation_id: str) -> str:
        """An event for one endpoint alone; id of its delivery. The same operation makes nothing twice."""
        event = _event(
            tenant_id, f"{PING}:{operation_id}", PING, self._clock(), Ping(endpoint_id=endpoint_id)
        )
        self._write(connection, [event])
        self.deliver(connection, f"whd_{operation_id}", event_id=event["event_id"], endpoint_id=endpoint_id)
        return f"whd_{operation_id}"

    def deliver(
        self,
        connection: Connection,
        delivery_id: str,
        *,
        event_id: str,
        endpoint_id: str,
        redelivery: int = 0,
    ) -> None:
        """A delivery that is due now. One that is there already stays as it is."""
        self._deliver(connection, [(delivery_id, event_id, endpoint_id, redelivery)])

    def _write(self, connection: Connection, events: Sequence[dict[str, Any]]) -> list[str]:
        """Ids of those that were not there yet."""
        written: list[str] = []
        for begin in range(0, len(events), ROWS_AT_ONCE):
            statement = (
                self._database.insert(webhook_events)
                .values(events[begin : begin + ROWS_AT_ONCE])
                .on_conflict_do_nothing()
                .returning(webhook_events.c.event_id)
            )
            written += connection.scalars(statement)
        return written

    def _deliver(self, connection: Connection, deliveries: Sequence[tuple[str, str, str, int]]) -> None:
        now = self._clock()
        rows = [
            {
                "delivery_id": delivery_id,
                "event_id": event_id,
                "endpoint_id": endpoint_id,
                "redelivery": redelivery,
                "state": "pending",
                "attempts": 0,
                "next_attempt_at": now,
                "created_at": now,
            }
            for delivery_id, event_id, endpoint_id, redelivery in deliveries
        ]
        if rows:
            connection.execute(self._database.insert(webhook_deliveries).on_conflict_do_nothing(), rows)


def _event(tenant_id: str, key: str, event_type: str, at: datetime, data: BaseModel) -> dict[str, Any]:
    """The event as it is kept."""
    payload = _Payload(event_type, at, data.model_dump(mode="json"))
    return {
        "event_id": event_id_of(tenant_id, key),
        "tenant_id": tenant_id,
        "type": event_type,
        "occurred_at": at,
        "payload": msgspec.json.encode(payload).decode(),
        "dedupe_key": key,
    }


def event_id_of(tenant_id: str, key: str) -> str:
    """The id of what has this dedupe key: the same whenever it is made, `webhook-id` to receivers."""
    return f"evt_{_digest(tenant_id, key)}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_ID_CHARS]


def _is_told(endpoint: Row[str, list[str], datetime], one: Occurrence) -> bool:
    return one.type in endpoint.event_types and endpoint.created_at <= one.occurred_at
