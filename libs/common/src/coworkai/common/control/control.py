"""The control plane: tenants and their policies, ingest keys, dirty and planned days, log cursors and leases.

One small relational store, SQLite on one machine and PostgreSQL in the cloud, chosen by URL.

Invariants:
- a log cursor moves in the same transaction as the dirty marks it stands for, and only forward;
- a mark only ever rises, and a stage clears up to the mark that it pinned: what came meanwhile stays dirty;
- a planned day becomes a dirty mark in the transaction that forgets the plan;
- a tenant's days are marked in the transaction that changes what they are computed with;
- a tenant's model calls of a UTC day are within its budget, estimates of those under way included, and what a
  call came to is kept in the transaction that corrects its estimate;
- a lease's fence rises with every new holder of its lane, and nobody but the holder of the newest fence
  clears marks of the lane's stages.

All times are aware UTC. A store that does not answer raises StorageUnavailable.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy import Connection, Row, and_, delete, select, update

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import schema
from coworkai.common.control.database import Database
from coworkai.common.control.purge import purge
from coworkai.common.control.schema import EPOCH, KEY_ID_CHARS
from coworkai.common.errors import Forbidden, LeaseLost, Terminal
from coworkai.common.insight_policy import InsightPolicy, Writer

FIRST_RETRY = timedelta(minutes=1)
LAST_RETRY = timedelta(hours=6)
LLM_CALL_LOST = timedelta(minutes=15)
"""Longer than any call of a model takes, with its waits and attempts."""
INGEST_KEY_PREFIX = "cwi_"
_SALT_BYTES = 16


class Identity(StrEnum):
    """How a tenant's `user_id` is stored: as a keyed token, or as sent (never in cloud mode)."""

    TOKEN = "token"  # noqa: S105 - a policy's name, no secret
    PLAIN = "plain"


class Capture(StrEnum):
    """What of keystrokes or clipboard is kept: tokenised text, counts by class, or identity and date only."""

    TEXT = "text"
    COUNTS = "counts"
    OFF = "off"


class Lane(StrEnum):
    """Who computes a tenant: each lane has a lease of its own, so none waits for another's."""

    RUNNER = "runner"
    INSIGHTS = "insights"


class Stage(StrEnum):
    """A stage of a tenant; its dirty dates are UTC event dates for Silver and local dates for the others."""

    SILVER = "silver"
    STAGE1 = "stage1"
    LATTICE = "lattice"
    STAGE2 = "stage2"

    @property
    def lane(self) -> Lane:
        """The lane that computes the stage."""
        return Lane.INSIGHTS if self is Stage.STAGE2 else Lane.RUNNER


RUNNER_STAGES = tuple(stage for stage in Stage if stage.lane is Lane.RUNNER)


@dataclass(frozen=True, slots=True)
class Tenant:
    """`key_salt` is made once; `min_group` is the smallest group that aggregates are published of."""

    tenant_id: str
    active: bool
    identity: Identity
    capture_keystrokes: Capture
    capture_clipboard: Capture
    time_zone: str
    min_group: int
    key_salt: bytes


@dataclass(frozen=True, slots=True)
class IngestKey:
    """A collector's key without its secret; `key` is what it begins with."""

    key: str
    tenant_id: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class DirtyDay:
    """A date to compute again. `mark` is what a run pins; `attempts` failed runs so far."""

    tenant_id: str
    stage: Stage
    date: date
    mark: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to compute a tenant's stages of a lane until `expires_at`.

    `fence` orders all holders that the lane ever had.
    """

    tenant_id: str
    lane: Lane
    holder: str
    fence: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Spend:
    """What model calls of a tenant come to on a UTC day; cost in millionths of a US dollar."""

    tokens: int
    cost_microusd: int


class Control:
    """The control plane, in the store at a URL (`sqlite:///path` or `postgresql://…`) or in an open one.

    Safe to share between threads. `plain_allowed`: whether a tenant may be given identity `plain`; not in
    cloud mode.
    """

    def __init__(self, store: Database | str, clock: Clock = utc_now, *, plain_allowed: bool = True) -> None:
        self._database = Database(store) if isinstance(store, str) else store
        self._clock = clock
        self._plain_allowed = plain_allowed

    def migrate(self) -> None:
        """Bring the store to this release's revision; any number of services may do so at once."""
        self._database.migrate()

    def close(self) -> None:
        self._database.close()

    def ping(self) -> None:
        """Raises StorageUnavailable when the store does not answer."""
        self._database.ping()

    def purge(self) -> dict[str, int]:
        """Delete what is past its time; how many rows of each table."""
        return purge(self._database, self._clock())

    # ---------------------------------------------------------------------------------------- tenants
    def tenant(self, tenant_id: str) -> Tenant | None:
        with self._database.read() as connection:
            row = connection.execute(
                select(schema.tenants).where(schema.tenants.c.tenant_id == tenant_id)
            ).one_or_none()
        return None if row is None else _tenant(row)

    def tenants(self) -> list[Tenant]:
        """Every tenant, by id."""
        with self._database.read() as connection:
            return [_tenant(row) for row in connection.execute(select(schema.tenants).order_by("tenant_id"))]

    def put_tenant(
        self,
        tenant_id: str,
        *,
        identity: Identity = Identity.TOKEN,
        capture_keystrokes: Capture = Capture.COUNTS,
        capture_clipboard: Capture = Capture.COUNTS,
        time_zone: str = "UTC",
        min_group: int = 5,
        active: bool = True,
    ) -> Tenant:
        """Create the tenant, or change its policy; the key salt is made once and kept.

        Another time zone marks all days that the tenant has had telemetry of, to be computed again; another
        smallest group those that aggregates are published of. Raises Terminal for a time zone nobody knows or
        a group below 5, Forbidden for plain identities in the cloud.
        """
        if identity is Identity.PLAIN and not self._plain_allowed:
            raise Forbidden(
                "identity plain is refused in cloud mode",
                remedy="use token: coworkai tenant set … --identity token",
            )
        if time_zone not in available_timezones():
            raise Terminal("time_zone is no IANA time zone", remedy="use a name such as Europe/Berlin")
        if min_group < 5:
            raise Terminal(
                "min_group is below 5", remedy="a tenant may raise the smallest group, not lower it"
            )
        policy = {
            "active": active,
            "identity": identity.value,
            "capture_keystrokes": capture_keystrokes.value,
            "capture_clipboard": capture_clipboard.value,
            "time_zone": time_zone,
            "min_group": min_group,
        }
        born = {
            "tenant_id": tenant_id,
            "key_salt": secrets.token_bytes(_SALT_BYTES),
            "created_at": self._clock(),
        }
        statement = self._database.insert(schema.tenants).values(**born, **policy)
        with self._database.write() as connection:
            before = connection.execute(
                select(schema.tenants.c.time_zone, schema.tenants.c.min_group)
                .where(schema.tenants.c.tenant_id == tenant_id)
                .with_for_update()
            ).one_or_none()
            if before is not None and before.time_zone != time_zone:
                self._mark_all(connection, tenant_id, RUNNER_STAGES)
            elif before is not None and before.min_group != min_group:
                self._mark_all(connection, tenant_id, [Stage.LATTICE])
            row = connection.execute(
                statement.on_conflict_do_update(index_elements=["tenant_id"], set_=policy).returning(
                    *schema.tenants.columns
                )
            ).one()
        return _tenant(row)

    def insight_policy(self, tenant_id: str) -> InsightPolicy:
        """How the tenant's briefs are written; the defaults where nothing was set."""
        with self._database.read() as connection:
            return self._insight_policy(connection, tenant_id)

    @staticmethod
    def _insight_policy(connection: Connection, tenant_id: str) -> InsightPolicy:
        row = connection.execute(
            select(schema.insight_policies).where(schema.insight_policies.c.tenant_id == tenant_id)
        ).one_or_none()
        if row is None:
            return InsightPolicy()
        kept = {name: value for name, value in row._mapping.items() if name != "tenant_id"}
        return InsightPolicy(**{**kept, "writer": Writer(row.writer)})

    def put_insight_policy(self, tenant_id: str, policy: InsightPolicy) -> None:
        """Keep the policy. Another one marks the newest days for Stage 2, as many as a brief looks back over.

        Raises Terminal when there is no such tenant.
        """
        if self.tenant(tenant_id) is None:
            raise Terminal("no such tenant", remedy="create the tenant first")
        values = {**asdict(policy), "writer": policy.writer.value}
        statement = self._database.insert(schema.insight_policies).values(tenant_id=tenant_id, **values)
        with self._database.write() as connection:
            before = self._insight_policy(connection, tenant_id)
            connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=values))
            if policy != before:
                newest = (
                    select(schema.dirty_days.c.date)
                    .where(
                        schema.dirty_days.c.tenant_id == tenant_id,
                        schema.dirty_days.c.stage == Stage.STAGE2.value,
                    )
                    .order_by(schema.dirty_days.c.date.desc())
                    .limit(policy.brief_days)
                )
                days = connection.execute(newest).scalars().all()
                self._mark(connection, tenant_id, Stage.STAGE2, days)

    # --------------------------------------------------------------------------------- model calls
    def reserve_spend(
        self, tenant_id: str, day: date, spend: Spend, budget: Spend, *, call_id: str, lost: str
    ) -> bool:
        """Take an estimate from the tenant's budget of the day; False, and nothing is done, where it is too
        much.

        `lost` is the call's row of `ops/llm_calls` should nothing more be heard of it.
        """
        if spend.tokens > budget.tokens or spend.cost_microusd > budget.cost_microusd:
            return False
        tokens = schema.llm_spend.c.tokens + spend.tokens
        cost_microusd = schema.llm_spend.c.cost_microusd + spend.cost_microusd
        reserved = (
            self._database.insert(schema.llm_spend)
            .values(tenant_id=tenant_id, date=day, tokens=spend.tokens, cost_microusd=spend.cost_microusd)
            .on_conflict_do_update(
                index_elements=["tenant_id", "date"],
                set_={"tokens": tokens, "cost_microusd": cost_microusd},
                where=and_(tokens <= budget.tokens, cost_microusd <= budget.cost_microusd),
            )
            .returning(schema.llm_spend.c.tokens)
        )
        with self._database.write() as connection:
            if connection.scalar(reserved) is None:
                return False
            self._put_call(connection, tenant_id, call_id, lost, self._clock() + LLM_CALL_LOST)
        return True

    def settle_spend(self, tenant_id: str, day: date, change: Spend, *, call_id: str, row: str) -> None:
        """Correct what was reserved by `change`, and keep the call's row until it is published, at once."""
        corrected = (
            update(schema.llm_spend)
            .where(schema.llm_spend.c.tenant_id == tenant_id, schema.llm_spend.c.date == day)
            .values(
                tokens=schema.llm_spend.c.tokens + change.tokens,
                cost_microusd=schema.llm_spend.c.cost_microusd + change.cost_microusd,
            )
        )
        with self._database.write() as connection:
            connection.execute(corrected)
            self._put_call(connection, tenant_id, call_id, row, EPOCH)

    def spend(self, tenant_id: str, day: date) -> Spend:
        """What the tenant's model calls of the UTC day come to, those under way by their estimates."""
        statement = select(schema.llm_spend.c.tokens, schema.llm_spend.c.cost_microusd).where(
            schema.llm_spend.c.tenant_id == tenant_id, schema.llm_spend.c.date == day
        )
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        return Spend(0, 0) if row is None else Spend(row.tokens, row.cost_microusd)

    def unpublished_calls(self, tenant_id: str) -> dict[str, str]:
        """Rows of model calls that are over, by call id; a call not heard of for `LLM_CALL_LOST` is over."""
        statement = select(schema.unpublished_llm_calls.c.call_id, schema.unpublished_llm_calls.c.row).where(
            schema.unpublished_llm_calls.c.tenant_id == tenant_id,
            schema.unpublished_llm_calls.c.open_until <= self._clock(),
        )
        with self._database.read() as connection:
            return {row.call_id: row.row for row in connection.execute(statement.order_by("call_id"))}

    def forget_calls(self, call_ids: Collection[str]) -> None:
        """Rows that are published."""
        with self._database.write() as connection:
            connection.execute(
                delete(schema.unpublished_llm_calls).where(
                    schema.unpublished_llm_calls.c.call_id.in_(sorted(call_ids))
                )
            )

    def _put_call(
        self, connection: Connection, tenant_id: str, call_id: str, row: str, open_until: datetime
    ) -> None:
        values = {"row": row, "open_until": open_until}
        connection.execute(
            self._database.insert(schema.unpublished_llm_calls)
            .values(call_id=call_id, tenant_id=tenant_id, **values)
            .on_conflict_do_update(index_elements=["call_id"], set_=values)
        )

    # ------------------------------------------------------------------------------------ ingest keys
    def create_ingest_key(self, tenant_id: str) -> str:
        """A new key of the tenant, shown this once; only its digest is kept.

        Raises Terminal when there is no such tenant.
        """
        if self.tenant(tenant_id) is None:
            raise Terminal("no such tenant", remedy="create the tenant first")
        key_id, secret = secrets.token_hex(KEY_ID_CHARS // 2), secrets.token_urlsafe(32)
        with self._database.write() as connection:
            connection.execute(
                schema.ingest_keys.insert().values(
                    key_id=key_id,
                    tenant_id=tenant_id,
                    secret_digest=_digest(secret),
                    created_at=self._clock(),
                )
            )
        return f"{INGEST_KEY_PREFIX}{key_id}{secret}"

    def ingest_keys(self, tenant_id: str | None = None) -> list[IngestKey]:
        """Keys of the tenant, or of all, live and revoked, oldest first."""
        keys = schema.ingest_keys.c
        statement = select(keys.key_id, keys.tenant_id, keys.created_at, keys.revoked_at)
        if tenant_id is not None:
            statement = statement.where(keys.tenant_id == tenant_id)
        with self._database.read() as connection:
            rows = connection.execute(statement.order_by(keys.created_at, keys.key_id)).all()
        return [
            IngestKey(f"{INGEST_KEY_PREFIX}{row.key_id}", row.tenant_id, row.created_at, row.revoked_at)
            for row in rows
        ]

    def ingest_key_tenant(self, key: str) -> str | None:
        """The active tenant that the key speaks for; None for a wrong or revoked key."""
        key_id, secret = _split_key(key)
        statement = (
            select(schema.ingest_keys.c.tenant_id, schema.ingest_keys.c.secret_digest)
            .join(schema.tenants, schema.tenants.c.tenant_id == schema.ingest_keys.c.tenant_id)
            .where(
                schema.ingest_keys.c.key_id == key_id,
                schema.ingest_keys.c.revoked_at.is_(None),
                schema.tenants.c.active,
            )
        )
        with self._database.read() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None or not hmac.compare_digest(row.secret_digest, _digest(secret)):
            return None
        tenant_id: str = row.tenant_id
        return tenant_id

    def revoke_ingest_key(self, key: str) -> bool:
        """Revoke a key, given whole or by its first 20 characters; whether there was such a live key."""
        key_id, _ = _split_key(key)
        statement = (
            update(schema.ingest_keys)
            .where(schema.ingest_keys.c.key_id == key_id, schema.ingest_keys.c.revoked_at.is_(None))
            .values(revoked_at=self._clock())
        )
        with self._database.write() as connection:
            return connection.execute(statement).rowcount == 1

    # ------------------------------------------------------------------------------ ingest's breaker
    def accept_collector(self, tenant_id: str, source: str, collector: str, until: datetime) -> None:
        """Let a collector's telemetry through ingest's breaker until then, however much is quarantined."""
        statement = self._database.insert(schema.accepted_collectors).values(
            tenant_id=tenant_id, source=source, collector=collector, until=until
        )
        with self._database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["tenant_id", "source", "collector"], set_={"until": until}
                )
            )

    def is_collector_accepted(self, tenant_id: str, source: str, collector: str) -> bool:
        accepted = schema.accepted_collectors.c
        statement = select(accepted.until).where(
            accepted.tenant_id == tenant_id, accepted.source == source, accepted.collector == collector
        )
        with self._database.read() as connection:
            until = connection.scalar(statement)
        return until is not None and self._clock() < until

    # ----------------------------------------------------------------------------- cursors, dirty days
    def cursor(self, table_id: str) -> int | None:
        """The last version of the table's log whose changes are marked; None before the first."""
        with self._database.read() as connection:
            return connection.scalar(
                select(schema.log_cursors.c.version).where(schema.log_cursors.c.table_id == table_id)
            )

    def advance(
        self,
        table_id: str,
        *,
        seen: int | None,
        version: int,
        touched: Mapping[str, Collection[date]],
    ) -> bool:
        """Move the table's cursor from `seen` to `version` and mark (tenant, date) dirty for Silver, at once.

        False, and nothing is done, when another dispatcher has moved the cursor meanwhile.
        """
        with self._database.write() as connection:
            if not self._move(connection, table_id, seen, version):
                return False
            for tenant_id in sorted(touched):
                self._mark(connection, tenant_id, Stage.SILVER, touched[tenant_id])
        return True

    def mark_dirty(self, tenant_id: str, stage: Stage, dates: Collection[date]) -> None:
        """Ask for dates to be computed again."""
        with self._database.write() as connection:
            self._mark(connection, tenant_id, stage, dates)

    def plan(self, tenant_id: str, stage: Stage, dates: Collection[date], due_at: datetime) -> None:
        """Have dates computed again at a time; one date may be planned for several times."""
        rows = [
            {"tenant_id": tenant_id, "stage": stage.value, "date": day, "due_at": due_at}
            for day in sorted(set(dates))
        ]
        if rows:
            with self._database.write() as connection:
                connection.execute(self._database.insert(schema.planned_days).on_conflict_do_nothing(), rows)

    def planned(self, stage: Stage, tenant_id: str) -> list[tuple[date, datetime]]:
        """Dates of the tenant that are to be computed again, and when; by time."""
        statement = (
            select(schema.planned_days.c.date, schema.planned_days.c.due_at)
            .where(schema.planned_days.c.stage == stage.value, schema.planned_days.c.tenant_id == tenant_id)
            .order_by("due_at", "date")
        )
        with self._database.read() as connection:
            return [(row.date, row.due_at) for row in connection.execute(statement)]

    def mark_due(self, stage: Stage) -> int:
        """Mark the dates of the stage dirty whose time has come, and forget their plans; how many."""
        due = and_(schema.planned_days.c.stage == stage.value, schema.planned_days.c.due_at <= self._clock())
        with self._database.read() as connection:
            if connection.execute(select(schema.planned_days.c.date).where(due).limit(1)).first() is None:
                return 0
        with self._database.write() as connection:
            rows = connection.execute(
                delete(schema.planned_days)
                .where(due)
                .returning(schema.planned_days.c.tenant_id, schema.planned_days.c.date)
            )
            dates: dict[str, set[date]] = {}
            for tenant_id, day in rows:
                dates.setdefault(tenant_id, set()).add(day)
            for tenant_id in sorted(dates):
                self._mark(connection, tenant_id, stage, dates[tenant_id])
        return sum(len(days) for days in dates.values())

    def dirty(
        self,
        stage: Stage | Collection[Stage] | None = None,
        tenant_id: str | None = None,
        *,
        ready_only: bool = False,
    ) -> list[DirtyDay]:
        """Dirty dates by tenant, stage and date; with `ready_only` none that waits after a failure."""
        wanted = [schema.dirty_days.c.mark > schema.dirty_days.c.done]
        if stage is not None:
            stages = [stage] if isinstance(stage, Stage) else stage
            wanted.append(schema.dirty_days.c.stage.in_(one.value for one in stages))
        if tenant_id is not None:
            wanted.append(schema.dirty_days.c.tenant_id == tenant_id)
        if ready_only:
            wanted.append(schema.dirty_days.c.not_before <= self._clock())
        statement = select(schema.dirty_days).where(and_(*wanted)).order_by("tenant_id", "stage", "date")
        with self._database.read() as connection:
            return [
                DirtyDay(row.tenant_id, Stage(row.stage), row.date, row.mark, row.attempts)
                for row in connection.execute(statement)
            ]

    def finish_stage(
        self,
        lease: Lease,
        done: Collection[DirtyDay],
        *,
        failed: Collection[DirtyDay] = (),
        next_stage: Stage | None = None,
        next_dates: Collection[date] = (),
    ) -> None:
        """Clear the pinned marks that have not risen and mark the next stage's dates, in one transaction.

        A `failed` day stays dirty and waits: one minute at first, twice as long each time, at most six hours.
        Raises LeaseLost, and nothing is done, when another holder has a newer fence.
        """
        with self._database.write() as connection:
            self._hold(connection, lease)
            for day in sorted(done, key=lambda day: day.date):
                connection.execute(
                    update(schema.dirty_days)
                    .where(*_is(day))
                    .values(done=day.mark, attempts=0, not_before=EPOCH)
                )
            for day in sorted(failed, key=lambda day: day.date):
                wait = min(FIRST_RETRY * 2 ** min(day.attempts, 16), LAST_RETRY)
                connection.execute(
                    update(schema.dirty_days)
                    .where(*_is(day))
                    .values(attempts=day.attempts + 1, not_before=self._clock() + wait)
                )
            if next_stage is not None:
                self._mark(connection, lease.tenant_id, next_stage, next_dates)

    # ----------------------------------------------------------------------------------------- leases
    def lease(self, tenant_id: str, holder: str, ttl_s: float, lane: Lane = Lane.RUNNER) -> Lease | None:
        """The tenant's lease of the lane with a new, higher fence; None while anybody holds it."""
        now = self._clock()
        expires_at = now + timedelta(seconds=ttl_s)
        fresh = {"holder": holder, "expires_at": expires_at}
        statement = (
            self._database.insert(schema.lane_leases)
            .values(tenant_id=tenant_id, lane=lane.value, fence=1, **fresh)
            .on_conflict_do_update(
                index_elements=["tenant_id", "lane"],
                set_={**fresh, "fence": schema.lane_leases.c.fence + 1},
                where=schema.lane_leases.c.expires_at <= now,
            )
            .returning(schema.lane_leases.c.fence)
        )
        with self._database.write() as connection:
            fence = connection.scalar(statement)
        return None if fence is None else Lease(tenant_id, lane, holder, fence, expires_at)

    def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """The same lease for longer; an expired one too, as long as nobody has taken it.

        Raises LeaseLost when somebody has.
        """
        expires_at = self._clock() + timedelta(seconds=ttl_s)
        with self._database.write() as connection:
            self._hold(connection, lease)
            connection.execute(update(schema.lane_leases).where(*_of(lease)).values(expires_at=expires_at))
        return replace(lease, expires_at=expires_at)

    def release(self, lease: Lease) -> None:
        """Give the lease back; a lost one is left to its new holder."""
        with self._database.write() as connection:
            connection.execute(
                update(schema.lane_leases)
                .where(*_of(lease), schema.lane_leases.c.fence == lease.fence)
                .values(expires_at=EPOCH)
            )

    def release_holder(self, holder: str) -> int:
        """Give back every lease of a holder whose process is gone; how many.

        Should it live after all, it finds its leases taken, as one whose leases ran out does.
        """
        now = self._clock()
        with self._database.write() as connection:
            released = connection.execute(
                update(schema.lane_leases)
                .where(schema.lane_leases.c.holder == holder, schema.lane_leases.c.expires_at > now)
                .values(expires_at=EPOCH)
            )
        return released.rowcount

    # --------------------------------------------------------------------------------------- plumbing
    def _move(self, connection: Connection, table_id: str, seen: int | None, version: int) -> bool:
        if seen is None:
            first = self._database.insert(schema.log_cursors).values(table_id=table_id, version=version)
            return (
                connection.scalar(first.on_conflict_do_nothing().returning(schema.log_cursors.c.version))
                is not None
            )
        moved = connection.execute(
            update(schema.log_cursors)
            .where(schema.log_cursors.c.table_id == table_id, schema.log_cursors.c.version == seen)
            .values(version=version)
        )
        return moved.rowcount == 1

    def _mark(self, connection: Connection, tenant_id: str, stage: Stage, dates: Collection[date]) -> None:
        rows = [
            {
                "tenant_id": tenant_id,
                "stage": stage.value,
                "date": day,
                "mark": 1,
                "done": 0,
                "attempts": 0,
                "not_before": EPOCH,
            }
            for day in sorted(set(dates))
        ]
        if rows:
            connection.execute(
                self._database.insert(schema.dirty_days).on_conflict_do_update(
                    index_elements=["tenant_id", "stage", "date"], set_={"mark": schema.dirty_days.c.mark + 1}
                ),
                rows,
            )

    @staticmethod
    def _mark_all(connection: Connection, tenant_id: str, stages: Collection[Stage]) -> None:
        """Mark every day that was ever marked for the stages. Those whose Bronze is gone are left alone."""
        names = [stage.value for stage in stages]
        connection.execute(
            update(schema.dirty_days)
            .where(schema.dirty_days.c.tenant_id == tenant_id, schema.dirty_days.c.stage.in_(names))
            .values(mark=schema.dirty_days.c.mark + 1)
        )

    @staticmethod
    def _hold(connection: Connection, lease: Lease) -> None:
        """Lock the lease's row; raise LeaseLost unless its fence is still ours."""
        fence = connection.scalar(select(schema.lane_leases.c.fence).where(*_of(lease)).with_for_update())
        if fence != lease.fence:
            raise LeaseLost("another runner holds the tenant's lease")


def _of(lease: Lease) -> tuple[Any, ...]:
    return schema.lane_leases.c.tenant_id == lease.tenant_id, schema.lane_leases.c.lane == lease.lane.value


def _is(day: DirtyDay) -> tuple[Any, ...]:
    return (
        schema.dirty_days.c.tenant_id == day.tenant_id,
        schema.dirty_days.c.stage == day.stage.value,
        schema.dirty_days.c.date == day.date,
    )


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(
        tenant_id=row.tenant_id,
        active=row.active,
        identity=Identity(row.identity),
        capture_keystrokes=Capture(row.capture_keystrokes),
        capture_clipboard=Capture(row.capture_clipboard),
        time_zone=row.time_zone,
        min_group=row.min_group,
        key_salt=row.key_salt,
    )


def _split_key(key: str) -> tuple[str, str]:
    body = key.removeprefix(INGEST_KEY_PREFIX)
    return body[:KEY_ID_CHARS], body[KEY_ID_CHARS:]


def _digest(secret: str) -> bytes:
    # The secret is 256 random bits, so a plain digest cannot be guessed back.
    return hashlib.sha256(secret.encode()).digest()
