"""Exactly one outcome for every record of every delivery attempt (domain, section 2).

    received = accepted + duplicate + quarantined

Reasons are a closed list: a new way to fail needs a new member here, not a new string somewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"


class Reason(StrEnum):
    """Why a record or a whole message was quarantined."""

    # the message
    BAD_ENVELOPE = "bad_envelope"
    """The push envelope is not one: no JSON object with a message, or its data is no base64."""
    UNKNOWN_SOURCE = "unknown_source"
    """The topic is none of the seven sources."""
    UNKNOWN_TENANT = "unknown_tenant"
    """No such tenant, or it is not active."""
    MESSAGE_TOO_LARGE = "message_too_large"
    """Larger than the message limit."""
    TOO_MANY_RECORDS = "too_many_records"
    """More records in a batch than the contract allows."""
    UNREADABLE = "unreadable"
    """The body or a record is no JSON, no CSV, or no UTF-8."""
    BAD_BATCH = "bad_batch"
    """The batch lacks tenant_id, device_id, collector, sent_at or records, or they are of the wrong type."""
    # the record
    MISSING_EVENT_ID = "missing_event_id"
    BAD_EVENT_ID = "bad_event_id"
    """event_id is no UUID."""
    CONTRACT_VIOLATION = "contract_violation"
    """A field is missing, of the wrong type or out of its range."""
    START_MISSING = "start_missing"
    """The record's own time is null."""
    START_AFTER_END = "start_after_end"
    TOO_LONG = "too_long"
    """An activity longer than 24 h."""
    IN_THE_FUTURE = "in_the_future"
    """More than 24 h after publication."""
    TOO_OLD = "too_old"
    """Older than Bronze's retention."""
    ID_CONFLICT = "id_conflict"
    """The identity is in Bronze already with other content."""
    STORAGE_REJECTED = "storage_rejected"
    """The table refused the record again and again, and bisection ended at it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of outcomes, in records; adds up by construction."""

    accepted: int = 0
    duplicate: int = 0
    quarantined: Counter[Reason] = field(default_factory=Counter)

    @property
    def received(self) -> int:
        return self.accepted + self.duplicate + self.quarantined.total()

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.accepted + other.accepted,
            self.duplicate + other.duplicate,
            self.quarantined + other.quarantined,
        )

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Tally:
        return sum(tallies, start=cls())
