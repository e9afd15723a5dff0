"""What administrators, commands and credentials changed: one chain of events a tenant, only ever added to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import schema
from coworkai.common.control.chains import Broken, Chains
from coworkai.common.control.database import Database

_FIELDS = ("happened_at", "actor", "action", "target", "detail", "request_id")


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`actor` did `action` to `target`; `detail` holds no secret and no telemetry."""

    seq: int
    happened_at: datetime
    actor: str
    action: str
    target: str
    detail: Mapping[str, Any]
    request_id: str | None
    previous_hash: bytes
    hash: bytes


class AuditLog:
    """The tenants' events. Safe to share between threads and processes."""

    def __init__(self, database: Database, seal_key: bytes, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._chains = Chains(database, seal_key, schema.audit_log, schema.audit_log_heads, _FIELDS)

    def append(
        self,
        connection: Connection,
        tenant_id: str,
        *,
        actor: str,
        action: str,
        target: str,
        detail: Mapping[str, Any],
        request_id: str | None = None,
    ) -> None:
        """Write an event down in the transaction that makes the change. `detail` is a JSON object."""
        event = {
            "happened_at": self._clock(),
            "actor": actor,
            "action": action,
            "target": target,
            "detail": dict(detail),
            "request_id": request_id,
        }
        self._chains.append(connection, {(tenant_id,): [event]})

    def page(self, tenant_id: str, *, before: int | None = None, limit: int = 100) -> list[AuditEvent]:
        """Events of the tenant, newest first; those before the event with seq `before`."""
        log = schema.audit_log
        statement = select(log).where(log.c.tenant_id == tenant_id).order_by(log.c.seq.desc()).limit(limit)
        if before is not None:
            statement = statement.where(log.c.seq < before)
        with self._database.read() as connection:
            return [
                AuditEvent(*(getattr(row, name) for name in AuditEvent.__slots__))
                for row in connection.execute(statement)
            ]

    def verify(self, tenant_id: str) -> tuple[int, Broken | None]:
        """How many events the tenant has, and the first fault of its chain."""
        with self._database.read() as connection:
            return self._chains.verify(connection, (tenant_id,))
