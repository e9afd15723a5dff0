"""Deliveries: what is due is claimed, sent, and written down with how it went; and the log of it all.

    pending ─claim─▶ sending ─ 2xx ─────────────▶ delivered
       ▲                ├───── anything else ──▶ pending again, later ─ last attempt ─▶ failed
       │                ├───── 410 ────────────▶ failed, and the endpoint is disabled
       ╰── lease ran out: whoever sent it died ╯

Invariants: a claim belongs to one process and runs out by itself, so that what a dead one held is sent by
another; how an attempt went counts only while its claim holds. So a delivery arrives at least once, and its
`webhook-id` is the same each time.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, literal, or_, select, update

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.control.schema import Instant
from coworkai.common.control.schema import webhook_attempts as attempts
from coworkai.common.control.schema import webhook_deliveries as table
from coworkai.common.control.schema import webhook_endpoints as endpoints
from coworkai.common.control.schema import webhook_events as events
from coworkai.common.observability import get_logger
from coworkai.partner_api.guard import Caller
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Secrets, Unsealable
from coworkai.partner_api.webhooks import schedule
from coworkai.partner_api.webhooks.endpoints import (
    DisabledReason,
    EndpointSecrets,
    EndpointState,
    cancel_pending,
)
from coworkai.partner_api.webhooks.event_types import may_have
from coworkai.partner_api.webhooks.events import Events
from coworkai.partner_api.webhooks.outbound import Received

log = get_logger(__name__)

GONE = 410


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """What became of an attempt. `lost`: its claim had run out, or nobody wants it any more."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    GONE = "gone"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process is to send, signed with the secrets that hold; `attempt` from 1.

    Without secrets, as they cannot be opened, it is not to be sent.
    """

    delivery_id: str
    endpoint_id: str
    tenant_id: str
    event_id: str
    event_type: str
    occurred_at: datetime
    url: str
    body: bytes
    secrets: Sequence[str]
    attempt: int
    token: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt as it is kept; `status_code` and `error` exclude each other."""

    attempt: int
    started_at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is kept; `redelivery` is 0 for the first of its event to its endpoint."""

    delivery_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    occurred_at: datetime
    redelivery: int
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries are asked for; None is any."""

    endpoint_id: str | None = None
    event_id: str | None = None
    state: DeliveryState | None = None


class Deliveries:
    """The deliveries of the store. Safe to share between threads; every method raises StorageUnavailable.

    `claim` is longer than an attempt takes; after it, whoever claimed is taken for dead. `chance` in [0, 1)
    spreads what is tried again.
    """

    def __init__(
        self,
        database: Database,
        events: Events,
        secrets: Secrets,
        audit: AuditLog,
        clock: Clock = utc_now,
        *,
        claim: timedelta = timedelta(minutes=1),
        chance: Callable[[], float] = lambda: random.randbelow(1_000) / 1_000,
    ) -> None:
        self._database = database
        self._events = events
        self._secrets = EndpointSecrets(secrets)
        self._audit = audit
        self._clock = clock
        self._claim = claim
        self._chance = chance

    # ------------------------------------------------------------------------------------------ sending
    def claim(self, slots: int, per_endpoint: int, under_way: Mapping[str, int]) -> list[Claimed]:
        """Claim up to `slots` deliveries that are due, so that with those `under_way` (by endpoint) no
        endpoint has more than `per_endpoint`."""
        now = self._clock()
        full = [endpoint_id for endpoint_id, count in under_way.items() if count >= per_endpoint]
        with self._database.read() as connection:
            # Any of them, so that none waits for ever behind others.
            due = connection.execute(_with_due(now, full).order_by(func.random()).limit(slots)).all()
        if not due:
            return []
        claimed: list[Claimed] = []
        with self._database.write() as connection:
            for endpoint in due:
                room = min(slots - len(claimed), per_endpoint - under_way.get(endpoint.endpoint_id, 0))
                if room > 0:
                    claimed += self._claim_of(connection, endpoint, room, now)
        return claimed

    def _claim_of(
        self, connection: Connection, endpoint: Row[Any], room: int, now: datetime
    ) -> list[Claimed]:
        rows = connection.execute(
            select(table.c.delivery_id, table.c.attempts, events)
            .join(events, events.c.event_id == table.c.event_id)
            .where(table.c.endpoint_id == endpoint.endpoint_id, _is_due(now))
            .order_by(table.c.next_attempt_at)
            .limit(room)
            .with_for_update(of=table, skip_locked=True)
        ).all()
        if not rows:
            return []
        token, until = random.token_hex(16), now + self._claim
        connection.execute(
            update(table)
            .where(table.c.delivery_id.in_([row.delivery_id for row in rows]))
            # Due again when the claim has run out.
            .values(
                attempts=table.c.attempts + 1, claim_token=token, claimed_until=until, next_attempt_at=until
            )
        )
        try:
            secrets = self._secrets.live(endpoint.endpoint_id, endpoint.sealed_secrets, now)
        except Unsealable as error:
            log.error("secret of a webhook endpoint", error=error, endpoint=endpoint.endpoint_id)  # noqa: TRY400
            secrets = []
        return [
            Claimed(
                delivery_id=row.delivery_id,
                endpoint_id=endpoint.endpoint_id,
                tenant_id=endpoint.tenant_id,
                event_id=row.event_id,
                event_type=row.type,
                occurred_at=row.occurred_at,
                url=endpoint.url,
                body=row.payload.encode(),
                secrets=secrets,
                attempt=row.attempts + 1,
                token=token,
            )
            for row in rows
        ]

    def finish(self, one: Claimed, received: Received, started_at: datetime, duration_s: float) -> Outcome:
        """Write down how an attempt went, and what follows from it."""
        now = self._clock()
        retry_after = schedule.retry_after_of(received.retry_after, now)
        again = schedule.next_attempt(one.attempt, now, retry_after, self._chance())
        if received.is_success:
            outcome = Outcome.DELIVERED
        elif received.status == GONE:
            outcome = Outcome.GONE
        else:
            outcome = Outcome.FAILED if again is None else Outcome.RETRY
        with self._database.write() as connection:
            # Endpoint first, then deliveries: everybody locks them in this order.
            _lock(connection, one.endpoint_id)
            if not _settle(connection, one, outcome, again, now):
                return Outcome.LOST
            connection.execute(
                attempts.insert().values(
                    delivery_id=one.delivery_id,
                    attempt=one.attempt,
                    started_at=started_at,
                    duration_ms=round(duration_s * 1000),
                    status_code=received.status,
                    error=None if received.fault is None else received.fault.value,
                )
            )
            if outcome is Outcome.DELIVERED:
                connection.execute(
                    update(endpoints)
                    .where(endpoints.c.endpoint_id == one.endpoint_id, endpoints.c.failing_since.is_not(None))
                    .values(failing_since=None)
                )
            else:
                self._count_failure(connection, one, outcome, started_at, now)
        return outcome

    def release(self, one: Claimed) -> None:
        """Give the delivery back, to be sent by whoever comes first: whether it arrived is not known."""
        with self._database.write() as connection:
            connection.execute(
                update(table)
                .where(table.c.delivery_id == one.delivery_id, table.c.claim_token == one.token)
                .values(next_attempt_at=self._clock(), claimed_until=None, claim_token=None)
            )

    def _count_failure(
        self, connection: Connection, one: Claimed, outcome: Outcome, started_at: datetime, now: datetime
    ) -> None:
        """Disable the endpoint when it is gone, or has taken nothing for days and an event is given up."""
        endpoint = connection.execute(
            update(endpoints)
            .where(
                endpoints.c.endpoint_id == one.endpoint_id, endpoints.c.state == EndpointState.ENABLED.value
            )
            .values(failing_since=func.coalesce(endpoints.c.failing_since, literal(started_at, Instant())))
            .returning(endpoints.c.failing_since)
        ).one_or_none()
        if endpoint is None:
            return
        if outcome is Outcome.GONE:
            reason = DisabledReason.GONE
        elif outcome is Outcome.FAILED and now - endpoint.failing_since >= schedule.DISABLED_AFTER:
            reason = DisabledReason.FAILING
        else:
            return
        connection.execute(
            update(endpoints)
            .where(endpoints.c.endpoint_id == one.endpoint_id)
            .values(state=EndpointState.DISABLED.value, disabled_reason=reason.value, updated_at=now)
        )
        cancel_pending(connection, one.endpoint_id, now)
        log.warning(
            "webhook endpoint disabled",
            endpoint=one.endpoint_id,
            tenant=one.tenant_id,
            reason=reason.value,
        )
        self._audit.append(
            connection,
            one.tenant_id,
            actor="webhooks",
            action="webhook_endpoint.disabled",
            target=one.endpoint_id,
            detail={"reason": reason.value, "failing_since": endpoint.failing_since.isoformat()},
        )

    # ---------------------------------------------------------------------------------------------- log
    def page(
        self, caller: Caller, wanted: Wanted, *, before: tuple[datetime, str] | None, limit: int
    ) -> list[Delivery]:
        """Newest first, those after the one with this creation time and id."""
        statement = _listed(caller).order_by(table.c.created_at.desc(), table.c.delivery_id.desc())
        if wanted.event_id is not None:
            statement = statement.where(table.c.event_id == wanted.event_id)
        if wanted.state is not None:
            statement = statement.where(table.c.state == wanted.state.value)
        if before is not None:
            at, last = before
            statement = statement.where(
                or_(table.c.created_at < at, and_(table.c.created_at == at, table.c.delivery_id < last))
            )
        with self._database.read() as connection:
            # Of each endpoint by itself they are in order already; of all together, all would be sorted.
            found = [
                _delivery(row)
                for endpoint_id in _endpoints_of(connection, caller)
                if wanted.endpoint_id in {None, endpoint_id}
                for row in connection.execute(
                    statement.where(table.c.endpoint_id == endpoint_id).limit(limit)
                )
            ]
        return sorted(found, key=lambda one: (one.created_at, one.delivery_id), reverse=True)[:limit]

    def get(self, caller: Caller, delivery_id: str) -> tuple[Delivery, list[Attempt]]:
        """A delivery and its attempts, in order. Raises Refused (404)."""
        with self._database.read() as connection:
            found = _found(connection, caller, delivery_id)
            rows = connection.execute(
                select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.attempt)
            )
            return found, [Attempt(*(getattr(row, name) for name in Attempt.__slots__)) for row in rows]

    def ping(self, caller: Caller, endpoint_id: str) -> Delivery:
        """Send the endpoint a test event. Raises Refused: 404, or 409 for one that is disabled."""
        with self._database.write() as connection:
            if endpoint_id not in _endpoints_of(connection, caller):
                raise Refused(Code.NOT_FOUND, "not found")
            _check_enabled(connection, endpoint_id)
            delivery_id = self._events.ping(connection, caller.tenant_id, endpoint_id, caller.operation_id)
            return _found(connection, caller, delivery_id)

    def redeliver(self, caller: Caller, delivery_id: str) -> Delivery:
        """Send its event to its endpoint again, as a delivery of its own.

        Raises Refused: 404, or 409 for a disabled endpoint, and while one of the event is still to be sent.
        """
        again = f"whd_{caller.operation_id}"
        with self._database.write() as connection:
            first = _found(connection, caller, delivery_id)
            if connection.scalar(select(table.c.delivery_id).where(table.c.delivery_id == again)) is not None:
                # An attempt of this very operation came so far, and died.
                return _found(connection, caller, again)
            same = and_(table.c.endpoint_id == first.endpoint_id, table.c.event_id == first.event_id)
            _check_enabled(connection, first.endpoint_id)
            newest = connection.execute(
                select(table.c.redelivery, table.c.state)
                .where(same)
                .order_by(table.c.redelivery.desc())
                .limit(1)
                .with_for_update()
            ).one()
            if newest.state == DeliveryState.PENDING:
                raise Refused(Code.CONFLICT, "the event is still to be sent to this endpoint")
            self._events.deliver(
                connection,
                again,
                event_id=first.event_id,
                endpoint_id=first.endpoint_id,
                redelivery=newest.redelivery + 1,
            )
            return _found(connection, caller, again)


def _is_due(now: datetime) -> Any:
    return and_(table.c.state == DeliveryState.PENDING.value, table.c.next_attempt_at <= now)


def _with_due(now: datetime, full: Collection[str]) -> Select[Any]:
    """Endpoints that something is due to."""
    return select(endpoints).where(
        endpoints.c.state == EndpointState.ENABLED.value,
        endpoints.c.endpoint_id.not_in(full),
        exists().where(table.c.endpoint_id == endpoints.c.endpoint_id, _is_due(now)),
    )


def _settle(
    connection: Connection, one: Claimed, outcome: Outcome, again: datetime | None, now: datetime
) -> bool:
    """End the claim; False when it was lost."""
    values: dict[str, Any] = {"claimed_until": None, "claim_token": None}
    if outcome is Outcome.RETRY:
        values["next_attempt_at"] = again
    else:
        state = DeliveryState.DELIVERED if outcome is Outcome.DELIVERED else DeliveryState.FAILED
        values |= {"state": state.value, "next_attempt_at": None, "finished_at": now}
    settled = connection.execute(
        update(table)
        .where(table.c.delivery_id == one.delivery_id, table.c.claim_token == one.token)
        .values(values)
    )
    return settled.rowcount == 1


def _listed(caller: Caller) -> Select[Any]:
    return (
        select(table, events.c.type, events.c.occurred_at)
        .join(events, events.c.event_id == table.c.event_id)
        .where(events.c.tenant_id == caller.tenant_id)
    )


def _endpoints_of(connection: Connection, caller: Caller) -> list[str]:
    """Endpoints that the caller may know of."""
    rows = connection.execute(
        select(endpoints.c.endpoint_id, endpoints.c.event_types).where(
            endpoints.c.tenant_id == caller.tenant_id
        )
    )
    return [row.endpoint_id for row in rows if may_have(caller.principal, row.event_types)]


def _found(connection: Connection, caller: Caller, delivery_id: str) -> Delivery:
    row = connection.execute(_listed(caller).where(table.c.delivery_id == delivery_id)).one_or_none()
    if row is None or row.endpoint_id not in _endpoints_of(connection, caller):
        raise Refused(Code.NOT_FOUND, "not found")
    return _delivery(row)


def _lock(connection: Connection, endpoint_id: str) -> str | None:
    """Keep others from changing the endpoint; its state, None when it is no more."""
    return connection.scalar(
        select(endpoints.c.state)
        .where(endpoints.c.endpoint_id == endpoint_id)
        .with_for_update(key_share=True)
    )


def _check_enabled(connection: Connection, endpoint_id: str) -> None:
    if _lock(connection, endpoint_id) != EndpointState.ENABLED.value:
        raise Refused(Code.CONFLICT, "the endpoint is disabled", remedy="enable it first")


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        delivery_id=row.delivery_id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event_type=row.type,
        occurred_at=row.occurred_at,
        redelivery=row.redelivery,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
