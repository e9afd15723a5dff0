"""What the control store forgets, and when. Keys, clients, the access log and the audit log stay for ever."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import and_, delete, exists

from coworkai.common.control.database import Database
from coworkai.common.control.schema import (
    credentials,
    exports,
    idempotency_keys,
    webhook_deliveries,
    webhook_events,
)

ANSWERS_KEPT = timedelta(days=1)
"""After an answer under an Idempotency-Key, or a claim to give one, has expired."""
DELIVERIES_KEPT = timedelta(days=30)
"""After the last attempt; an event as long as one of its deliveries, or as long after it occurred."""
EXPORTS_KEPT = timedelta(days=30)
"""After the export was made, of one whose files are gone: it has expired, or failed."""
WORKER_TOKENS_KEPT = timedelta(days=1)
"""After a worker's token has expired, of what it stood on."""


def purge(database: Database, now: datetime) -> dict[str, int]:
    """Delete what is past its time; how many rows of each table. Raises StorageUnavailable."""
    old_events = and_(
        webhook_events.c.occurred_at < now - DELIVERIES_KEPT,
        ~exists().where(webhook_deliveries.c.event_id == webhook_events.c.event_id),
    )
    past = {
        idempotency_keys: idempotency_keys.c.expires_at < now - ANSWERS_KEPT,
        webhook_deliveries: webhook_deliveries.c.finished_at < now - DELIVERIES_KEPT,
        webhook_events: old_events,
        exports: and_(exports.c.state.in_(["expired", "failed"]), exports.c.created_at < now - EXPORTS_KEPT),
        credentials: and_(
            credentials.c.kind == "worker", credentials.c.expires_at < now - WORKER_TOKENS_KEPT
        ),
    }
    purged = {}
    for table, is_past in past.items():
        # Each by itself, so that nobody waits long for the store.
        with database.write() as connection:
            purged[table.name] = connection.execute(delete(table).where(is_past)).rowcount
    return purged
