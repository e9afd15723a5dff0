"""The life of one delivery, a hop a line, from bytes to an acknowledged outcome.

    read ─▶ know the tenant ─▶ pass the breaker ─▶ check times ─▶ tokenise, commit ─▶ account ─▶ outcome
      └─ cannot be read ──────────────────────────────────────────────────────────▶ quarantine ─┘

Invariant: an outcome is given when, and only when, everything it speaks of is durable: rows in Bronze, sealed
originals in quarantine, receipts of duplicates and refusals. Whatever raises gives no outcome, and the sender
delivers again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import numpy as np

from coworkai.common import observability, pii
from coworkai.common.errors import Forbidden, Overloaded
from coworkai.common.events import BatchHeader, Source
from coworkai.common.outcome import Outcome, Reason
from coworkai.ingest import metrics
from coworkai.ingest.breaker import Breaker, Flow
from coworkai.ingest.commit import ALL_FRESH
from coworkai.ingest.decode import Batch, Delivery, Reject, Rejected, decode_batch, tenant_of
from coworkai.ingest.group_commit import GroupCommit
from coworkai.ingest.quarantine import Original, Receipt, Refusal
from coworkai.ingest.seen import Verdict, Verdicts
from coworkai.ingest.tenants import Tenants
from coworkai.ingest.tokenise import Pending, TenantContext, snapshot_of, stored_device, stored_user
from coworkai.ingest.validate import TimeRules, check_times, own_day

log = observability.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may hold, and how old its records may be."""

    max_message_bytes: int
    retention: timedelta


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """What became of one record; `index` is its place in the batch, None for a message refused whole."""

    index: int | None
    outcome: Outcome
    reason: Reason | None = None


class Delivered(msgspec.Struct, frozen=True):
    """The outcomes of one delivery. `received` = `accepted` + `duplicate` + `quarantined`."""

    received: int
    accepted: int
    duplicate: int
    refused: Sequence[tuple[int | None, Reason]] = ()
    duplicates: Sequence[int] = ()

    @property
    def quarantined(self) -> int:
        return len(self.refused)

    def records(self) -> list[RecordOutcome]:
        """An outcome for every record, in the order of the batch."""
        if self.refused and self.refused[0][0] is None:
            return [RecordOutcome(None, Outcome.QUARANTINED, self.refused[0][1])]
        outcomes = [RecordOutcome(index, Outcome.ACCEPTED) for index in range(self.received)]
        for again in self.duplicates:
            outcomes[again] = RecordOutcome(again, Outcome.DUPLICATE)
        for index, reason in self.refused:
            assert index is not None
            outcomes[index] = RecordOutcome(index, Outcome.QUARANTINED, reason)
        return outcomes


@dataclass(frozen=True, slots=True)
class BronzeTables:
    """The group commits: one a source, one for sealed originals, one for receipts."""

    sources: Mapping[Source, GroupCommit[Pending, Verdicts]]
    quarantine: GroupCommit[Sequence[Refusal], None]
    receipts: GroupCommit[Receipt, None]

    async def aclose(self) -> None:
        """Commit what is open: records first, then what accounts for them."""
        await asyncio.gather(*(commit.aclose() for commit in self.sources.values()))
        await asyncio.gather(self.quarantine.aclose(), self.receipts.aclose())


class Pipeline:
    """Takes deliveries, any number at once."""

    def __init__(self, tenants: Tenants, tables: BronzeTables, breaker: Breaker, limits: Limits) -> None:
        self._tenants = tenants
        self._tables = tables
        self._breaker = breaker
        self._limits = limits

    async def deliver(self, delivery: Delivery) -> Delivered:
        """The outcome of every record of the delivery.

        Raises StorageUnavailable or Overloaded when it should be delivered again, and Forbidden when the
        sender is not the batch's tenant.
        """
        try:
            batch = self._read(delivery)
            context = await self._tenant_of(batch, delivery)
        except Rejected as rejected:
            return await self.refuse(delivery, rejected)
        await self._pass_breaker(batch, delivery)
        rules = TimeRules.of(delivery.published_at, self._limits.retention)
        timely = check_times(batch, rules)
        pending = Pending(
            timely,
            context,
            delivery.message_id,
            delivery.published_at,
            delivery.attributes,
            delivery.snapshot,
            delivery.row_number,
        )
        verdicts = await self._commit(pending)
        if timely.rejects or verdicts is not ALL_FRESH:
            return await self._account(delivery, pending, verdicts, rules)
        self._count(pending, delivery, batch.received, 0)
        return Delivered(batch.received, batch.received, 0)

    # ---------------------------------------------------------------------------------- hops
    def _read(self, delivery: Delivery) -> Batch:
        if len(delivery.data) > self._limits.max_message_bytes:
            raise Rejected(Reason.MESSAGE_TOO_LARGE, tenant_of(delivery))
        return decode_batch(delivery)

    async def _tenant_of(self, batch: Batch, delivery: Delivery) -> TenantContext:
        if delivery.sender is not None and delivery.sender != batch.header.tenant_id:
            raise Forbidden(
                "the ingest key is of another tenant than the batch",
                remedy="send the tenant_id that the key was made for, or use a key of the batch's tenant",
            )
        context = await self._tenants.find(batch.header.tenant_id)
        if context is None:
            raise Rejected(Reason.UNKNOWN_TENANT)
        return context

    async def _pass_breaker(self, batch: Batch, delivery: Delivery) -> None:
        flow = _flow(batch)
        try:
            self._breaker.admit(flow)
        except Overloaded:
            if not await self._tenants.is_accepted(flow):
                raise
            self._breaker.accept(flow)

    async def _commit(self, pending: Pending) -> Verdicts:
        if not pending.batch.records:
            return ALL_FRESH
        return await self._tables.sources[pending.batch.source].submit(pending)

    def _count(self, pending: Pending, delivery: Delivery, received: int, quarantined: int) -> None:
        flow = _flow(pending.batch)
        if delivery.is_first_attempt and self._breaker.record(flow, received, quarantined):
            collector = pii.cached_tokenise(flow.collector, pending.context.keys)
            log.error(
                "breaker opened", tenant_id=flow.tenant_id, source=flow.source.value, collector=collector
            )

    async def _account(
        self, delivery: Delivery, pending: Pending, verdicts: Verdicts, rules: TimeRules
    ) -> Delivered:
        """Keep what was refused, sealed, and a receipt of all that was not accepted."""
        batch = pending.batch
        rejects = sorted((*batch.rejects, *_late_rejects(batch, verdicts)), key=lambda reject: reject.index)
        again = np.flatnonzero(verdicts == Verdict.DUPLICATE).tolist()
        receipt = _receipt(delivery, pending, rejects, again, rules)
        refusals = [_refusal(delivery, pending, reject) for reject in rejects]
        kept = [self._tables.receipts.submit(receipt)]
        if refusals:
            kept.append(self._tables.quarantine.submit(refusals))
        await asyncio.gather(*kept)
        _count_receipt(receipt)
        self._count(pending, delivery, batch.received, len(rejects))
        return Delivered(
            received=batch.received,
            accepted=batch.received - len(rejects) - len(again),
            duplicate=len(again),
            refused=[(reject.index, reject.reason) for reject in rejects],
            duplicates=[batch.index[position] for position in again],
        )

    async def refuse(self, delivery: Delivery, rejected: Rejected) -> Delivered:
        """Put a whole message into quarantine; it counts as one record. Raises StorageUnavailable."""
        tenant_id = rejected.tenant_id or delivery.sender
        context = await self._tenants.find(tenant_id) if tenant_id is not None else None
        known = None if context is None else context.tenant.tenant_id
        refusal = Refusal(
            keys=self._tenants.platform if context is None else context.keys,
            tenant_id=known,
            original=_whole(delivery),
            reason=rejected.reason,
            message_id=delivery.message_id,
            published_at=delivery.published_at,
        )
        receipt = _empty_receipt(delivery, known)
        receipt.counts[None, None, None, Outcome.QUARANTINED, rejected.reason] = 1
        await asyncio.gather(self._tables.quarantine.submit([refusal]), self._tables.receipts.submit(receipt))
        _count_receipt(receipt)
        return Delivered(1, 0, 0, [(None, rejected.reason)])


# --------------------------------------------------------------------------------------------- outcomes
def _flow(batch: Batch) -> Flow:
    return Flow(batch.header.tenant_id, batch.source, batch.header.collector)


def _late_rejects(batch: Batch, verdicts: Verdicts) -> list[Reject]:
    """Records that the table itself would not take."""
    rejects = []
    for position in np.flatnonzero(verdicts > Verdict.DUPLICATE).tolist():
        record, place = batch.records[position], batch.index[position]
        is_conflict = verdicts[position] == Verdict.CONFLICT
        reason = Reason.ID_CONFLICT if is_conflict else Reason.STORAGE_REJECTED
        user_id: str = getattr(record, "user_id")  # noqa: B009 - the structs share no typed base
        rejects.append(Reject(place, reason, batch.raw(place), user_id, own_day(batch.source, record)))
    return rejects


def _empty_receipt(delivery: Delivery, tenant_id: str | None) -> Receipt:
    return Receipt(tenant_id, uuid.uuid4().hex, delivery.message_id, delivery.published_at, delivery.source)


def _count_receipt(receipt: Receipt) -> None:
    for (_, _, _, outcome, reason), records in receipt.counts.items():
        metrics.count(receipt.source, outcome, records, reason)


def _receipt(
    delivery: Delivery,
    pending: Pending,
    rejects: Sequence[Reject],
    again: Sequence[int],
    rules: TimeRules,
) -> Receipt:
    batch, context = pending.batch, pending.context
    device = stored_device(context, batch.header.device_id)
    receipt = _empty_receipt(delivery, context.tenant.tenant_id)
    first, last = rules.earliest.date(), rules.latest.date()
    for reject in rejects:
        user = None if reject.user_id is None else stored_user(context, reject.user_id)
        # A date outside what is kept would open a day that nobody worked on.
        day = reject.day if reject.day is not None and first <= reject.day <= last else None
        receipt.counts[user, device, day, Outcome.QUARANTINED, reject.reason] += 1
    for position in again:
        record = batch.records[position]
        user_id: str = getattr(record, "user_id")  # noqa: B009 - the structs share no typed base
        day = own_day(batch.source, record)
        receipt.counts[stored_user(context, user_id), device, day, Outcome.DUPLICATE, None] += 1
    return receipt


# --------------------------------------------------------------------------------------------- originals
def _whole(delivery: Delivery) -> Original:
    return Original(
        topic=delivery.topic,
        source=None if delivery.source is None else delivery.source.value,
        data=delivery.data,
        attributes=dict(delivery.attributes),
        snapshot=delivery.snapshot,
        row_number=delivery.row_number,
    )


def _header(header: BatchHeader) -> BatchHeader:
    """The header alone: a decoded batch is one too, with all of its records."""
    return BatchHeader(
        tenant_id=header.tenant_id,
        device_id=header.device_id,
        collector=header.collector,
        sent_at=header.sent_at,
    )


def _refusal(delivery: Delivery, pending: Pending, reject: Reject) -> Refusal:
    batch, context = pending.batch, pending.context
    is_jobs = batch.source is Source.JOBS
    original = Original(
        topic=delivery.topic,
        source=batch.source.value,
        data=reject.raw,
        attributes=dict(delivery.attributes),
        header=_header(batch.header),
        snapshot=snapshot_of(pending) if is_jobs else None,
        row_number=(delivery.row_number or reject.index + 1) if is_jobs else None,
    )
    return Refusal(
        keys=context.keys,
        tenant_id=context.tenant.tenant_id,
        original=original,
        reason=reject.reason,
        message_id=delivery.message_id,
        published_at=delivery.published_at,
        index=reject.index,
        user_id=None if reject.user_id is None else stored_user(context, reject.user_id),
        device_id=stored_device(context, batch.header.device_id),
    )
