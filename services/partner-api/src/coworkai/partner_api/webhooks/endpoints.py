"""Partners' endpoints as they are kept: where to send, which events, by which secrets.

Invariants: a secret is sealed at rest, and shown when it is made and never again; a change and its row in the
audit log are one transaction; no delivery waits for an endpoint that is disabled.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.control.schema import log_cursors, webhook_deliveries
from coworkai.common.control.schema import webhook_endpoints as table
from coworkai.partner_api.guard import Caller
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Purpose, Secrets
from coworkai.partner_api.webhooks.event_types import EventType, may_have
from coworkai.partner_api.webhooks.signing import new_secret

MAX_ENDPOINTS = 50
"""Of a tenant."""
MAX_SECRETS = 5
"""That hold at one time."""
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class EndpointState(StrEnum):
    ENABLED = "enabled"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why an endpoint is disabled: asked for, failing for days, or it answered 410 Gone."""

    REQUESTED = "requested"
    FAILING = "failing"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class SecretTimes:
    """A secret, without itself; the newest has no end."""

    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint without its secrets; times are aware UTC. `failing_since`: nothing was taken since."""

    endpoint_id: str
    tenant_id: str
    url: str
    event_types: list[str]
    description: str
    state: EndpointState
    disabled_reason: str | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    secrets: list[SecretTimes]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed of an endpoint; None leaves it."""

    url: str | None = None
    event_types: Collection[EventType] | None = None
    description: str | None = None
    state: EndpointState | None = None


class EndpointSecrets:
    """Seals and opens the secrets of endpoints."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def sealed(self, endpoint_id: str, secret: str, operation_id: str, now: datetime) -> dict[str, Any]:
        """The secret as it is kept; `operation_id` is of what made it."""
        sealed = self._secrets.seal(Purpose.SEALING, secret.encode(), _place(endpoint_id))
        return {
            "sealed": base64.b64encode(sealed).decode(),
            "created_at": now.isoformat(),
            "expires_at": None,
            "made_by": operation_id,
        }

    def opened(self, endpoint_id: str, kept: Mapping[str, Any]) -> str:
        """The secret. Raises Unsealable."""
        sealed = base64.b64decode(kept["sealed"])
        return self._secrets.open(Purpose.SEALING, sealed, _place(endpoint_id)).decode()

    def live(self, endpoint_id: str, kept: Sequence[Mapping[str, Any]], now: datetime) -> list[str]:
        """Those that hold, newest first. Raises Unsealable."""
        return [self.opened(endpoint_id, each) for each in reversed(live_secrets(kept, now))]


class Endpoints:
    """The endpoints of the store. Safe to share between threads; every method raises StorageUnavailable.

    An endpoint whose events the caller may not have is not found: who could change where it sends would get
    them all the same.
    """

    def __init__(self, database: Database, secrets: Secrets, audit: AuditLog, clock: Clock = utc_now) -> None:
        self._database = database
        self._secrets = EndpointSecrets(secrets)
        self._audit = audit
        self._clock = clock

    def create(
        self, caller: Caller, url: str, event_types: Collection[EventType], description: str
    ) -> tuple[Endpoint, str]:
        """Make an endpoint, enabled; with its secret. Raises Refused (409) beyond as many as there may be."""
        now = self._clock()
        endpoint_id = f"we_{caller.operation_id}"
        with self._database.write() as connection:
            row = self._row(connection, caller, endpoint_id)
            if row is not None:
                # An attempt of this very operation came so far, and died.
                return self._endpoint(row), self._secrets.opened(endpoint_id, row.sealed_secrets[0])
            mine = select(func.count()).where(table.c.tenant_id == caller.tenant_id)
            if connection.execute(mine).scalar_one() >= MAX_ENDPOINTS:
                raise Refused(
                    Code.CONFLICT, f"there are {MAX_ENDPOINTS} endpoints", remedy="delete one first"
                )
            self._begin_to_look(connection, caller.tenant_id, now)
            secret = new_secret()
            row = connection.execute(
                self._database.insert(table)
                .values(
                    endpoint_id=endpoint_id,
                    tenant_id=caller.tenant_id,
                    url=url,
                    event_types=sorted(event_types),
                    description=description,
                    sealed_secrets=[self._secrets.sealed(endpoint_id, secret, caller.operation_id, now)],
                    state=EndpointState.ENABLED.value,
                    created_at=now,
                    updated_at=now,
                )
                .returning(*table.columns)
            ).one()
            self._write_down(connection, caller, "created", endpoint_id, {"event_types": sorted(event_types)})
        return self._endpoint(row), secret

    def listed(self, caller: Caller) -> list[Endpoint]:
        """Those of the caller's tenant, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(table)
                .where(table.c.tenant_id == caller.tenant_id)
                .order_by(table.c.created_at, table.c.endpoint_id)
            )
            return [self._endpoint(row) for row in rows if may_have(caller.principal, row.event_types)]

    def get(self, caller: Caller, endpoint_id: str) -> Endpoint:
        """Raises Refused (404)."""
        with self._database.read() as connection:
            return self._endpoint(self._found(connection, caller, endpoint_id))

    def change(self, caller: Caller, endpoint_id: str, changes: Changes) -> Endpoint:
        """Change what is given. Raises Refused (404).

        Disabled, its pending deliveries are cancelled; enabled again, it gets what happens from then on.
        """
        now = self._clock()
        given: dict[str, Any] = {
            "url": changes.url,
            "event_types": None if changes.event_types is None else sorted(changes.event_types),
            "description": changes.description,
            "state": None if changes.state is None else changes.state.value,
        }
        with self._database.write() as connection:
            before = self._found(connection, caller, endpoint_id, lock=True)
            values = {
                name: value
                for name, value in given.items()
                if value is not None and value != getattr(before, name)
            }
            if not values:
                return self._endpoint(before)
            if changes.state is EndpointState.ENABLED and "state" in values:
                values |= {"disabled_reason": None, "failing_since": None}
                self._begin_to_look(connection, caller.tenant_id, now)
            elif "state" in values:
                values["disabled_reason"] = DisabledReason.REQUESTED.value
                cancel_pending(connection, endpoint_id, now)
            row = connection.execute(
                update(table)
                .where(table.c.endpoint_id == endpoint_id)
                .values(updated_at=now, **values)
                .returning(*table.columns)
            ).one()
            self._write_down(connection, caller, "changed", endpoint_id, {"changed": sorted(values)})
        return self._endpoint(row)

    def delete(self, caller: Caller, endpoint_id: str) -> None:
        """Delete it with its deliveries. Raises Refused (404)."""
        with self._database.write() as connection:
            self._found(connection, caller, endpoint_id, lock=True)
            connection.execute(delete(table).where(table.c.endpoint_id == endpoint_id))
            self._write_down(connection, caller, "deleted", endpoint_id, {})

    def rotate(self, caller: Caller, endpoint_id: str, overlap: timedelta) -> tuple[Endpoint, str]:
        """Make a new secret; those before hold for `overlap` longer at most, and sign as well until then.

        Raises Refused: 404, or 409 when too many hold still.
        """
        now = self._clock()
        with self._database.write() as connection:
            row = self._found(connection, caller, endpoint_id, lock=True)
            made = [each for each in row.sealed_secrets if each["made_by"] == caller.operation_id]
            if made:
                return self._endpoint(row), self._secrets.opened(endpoint_id, made[0])
            until = now + overlap
            kept = live_secrets(
                [
                    {**each, "expires_at": min(_moment(each["expires_at"]) or until, until).isoformat()}
                    for each in row.sealed_secrets
                ],
                now,
            )
            if len(kept) >= MAX_SECRETS:
                raise Refused(
                    Code.CONFLICT,
                    f"{MAX_SECRETS} secrets hold still",
                    remedy="rotate with a shorter overlap_s, or wait until one has expired",
                )
            secret = new_secret()
            row = connection.execute(
                update(table)
                .where(table.c.endpoint_id == endpoint_id)
                .values(
                    sealed_secrets=[
                        *kept,
                        self._secrets.sealed(endpoint_id, secret, caller.operation_id, now),
                    ],
                    updated_at=now,
                )
                .returning(*table.columns)
            ).one()
            detail = {"overlap_s": int(overlap.total_seconds())}
            self._write_down(connection, caller, "secret_rotated", endpoint_id, detail)
        return self._endpoint(row), secret

    def _begin_to_look(self, connection: Connection, tenant_id: str, now: datetime) -> None:
        """What was published while nobody was there to be told is not told later."""
        others = select(func.count()).where(
            table.c.tenant_id == tenant_id, table.c.state == EndpointState.ENABLED.value
        )
        if connection.scalar(others) == 0:
            move_cursor(self._database, connection, tenant_id, now)

    def _found(
        self, connection: Connection, caller: Caller, endpoint_id: str, *, lock: bool = False
    ) -> Row[Any]:
        row = self._row(connection, caller, endpoint_id, lock=lock)
        if row is None or not may_have(caller.principal, row.event_types):
            raise Refused(Code.NOT_FOUND, "not found")
        return row

    @staticmethod
    def _row(
        connection: Connection, caller: Caller, endpoint_id: str, *, lock: bool = False
    ) -> Row[Any] | None:
        statement = select(table).where(
            table.c.endpoint_id == endpoint_id, table.c.tenant_id == caller.tenant_id
        )
        return connection.execute(
            statement.with_for_update(key_share=True) if lock else statement
        ).one_or_none()

    def _write_down(
        self, connection: Connection, caller: Caller, what: str, endpoint_id: str, detail: Mapping[str, Any]
    ) -> None:
        self._audit.append(
            connection,
            caller.tenant_id,
            actor=caller.principal.principal_id,
            action=f"webhook_endpoint.{what}",
            target=endpoint_id,
            detail=detail,
            request_id=caller.request_id,
        )

    def _endpoint(self, row: Row[Any]) -> Endpoint:
        return Endpoint(
            endpoint_id=row.endpoint_id,
            tenant_id=row.tenant_id,
            url=row.url,
            event_types=row.event_types,
            description=row.description,
            state=EndpointState(row.state),
            disabled_reason=row.disabled_reason,
            failing_since=row.failing_since,
            created_at=row.created_at,
            updated_at=row.updated_at,
            secrets=[
                SecretTimes(datetime.fromisoformat(each["created_at"]), _moment(each["expires_at"]))
                for each in live_secrets(row.sealed_secrets, self._clock())
            ],
        )


def live_secrets(kept: Sequence[Mapping[str, Any]], now: datetime) -> list[Mapping[str, Any]]:
    """Those that hold, oldest first."""
    return [each for each in kept if (_moment(each["expires_at"]) or now + timedelta(1)) > now]


def cancel_pending(connection: Connection, endpoint_id: str, now: datetime) -> None:
    """Nobody sends them any more; an attempt that is under way ends without effect."""
    connection.execute(
        update(webhook_deliveries)
        .where(webhook_deliveries.c.endpoint_id == endpoint_id, webhook_deliveries.c.state == "pending")
        .values(
            state="cancelled", next_attempt_at=None, claimed_until=None, claim_token=None, finished_at=now
        )
    )


def cursor_of(tenant_id: str) -> str:
    """Where `log_cursors` has the time up to which the tenant's runs have been told of, in microseconds."""
    return f"webhooks/{tenant_id}"


def move_cursor(database: Database, connection: Connection, tenant_id: str, moment: datetime) -> None:
    """Move the tenant's cursor on to `moment`; it never goes back."""
    version = (moment - _EPOCH) // timedelta(microseconds=1)
    statement = database.insert(log_cursors).values(table_id=cursor_of(tenant_id), version=version)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["table_id"], set_={"version": version}, where=log_cursors.c.version < version
        )
    )


def cursor(connection: Connection, tenant_id: str) -> datetime | None:
    """Up to when the tenant's runs have been told of."""
    found = connection.scalar(
        select(log_cursors.c.version).where(log_cursors.c.table_id == cursor_of(tenant_id))
    )
    return None if found is None else _EPOCH + timedelta(microseconds=found)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _place(endpoint_id: str) -> str:
    return f"webhook-endpoint/{endpoint_id}"
