"""What administrators and credentials changed, one chain of hashes a tenant.

Every row's hash covers its content and the hash before it; the head is sealed with a key that the store does
not have, so neither a row changed nor the last ones removed go unseen.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.schema import audit_log, audit_log_heads

FIRST_HASH = bytes(32)


class AuditLog:
    """Appends to the log within a transaction of the caller's, so that a change and its row are one."""

    def __init__(self, database: Database, key: bytes, clock: Clock = utc_now) -> None:
        self._database = database
        self._key = key
        self._clock = clock

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
    ) -> int:
        """Add a row to the tenant's chain, in the caller's transaction; its number."""
        insert = self._database.insert
        # The first row of a chain is raced for; from then on its head is locked.
        start = {
            "tenant_id": tenant_id,
            "seq": 0,
            "hash": FIRST_HASH,
            "seal": self._seal(tenant_id, 0, FIRST_HASH),
        }
        connection.execute(insert(audit_log_heads).values(start).on_conflict_do_nothing())
        head = connection.execute(
            select(audit_log_heads).where(audit_log_heads.c.tenant_id == tenant_id).with_for_update()
        ).one()
        seq = head.seq + 1
        row = {
            "tenant_id": tenant_id,
            "seq": seq,
            "happened_at": self._clock(),
            "actor": actor,
            "action": action,
            "target": target,
            "detail": dict(detail),
            "request_id": request_id,
            "previous_hash": head.hash,
        }
        digest = hashlib.sha256(msgspec.json.encode(row, order="deterministic")).digest()
        connection.execute(insert(audit_log).values({**row, "hash": digest}))
        connection.execute(
            audit_log_heads.update()
            .where(audit_log_heads.c.tenant_id == tenant_id)
            .values(seq=seq, hash=digest, seal=self._seal(tenant_id, seq, digest))
        )
        return int(seq)

    def _seal(self, tenant_id: str, seq: int, digest: bytes) -> bytes:
        return hmac.digest(self._key, msgspec.json.encode([tenant_id, seq, digest]), "sha256")
