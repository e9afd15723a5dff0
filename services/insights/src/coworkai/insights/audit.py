"""The record of model calls, `ops/llm_calls`: every call, how it ended and what it took, never its text.

    call is about to be made ─▶ row "lost" in the control store, with what it may cost
    call is over             ─▶ the row as it is, with what it cost, in one transaction
    batch is published       ─▶ rows appended to ops/llm_calls ─▶ forgotten

Invariant: no call is missing. A process that dies leaves the row of the call that it was making, which is
published when nothing was heard of it for a quarter of an hour; one that dies between appending and
forgetting leaves rows twice, and readers take one of each `call_id`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from enum import StrEnum

import msgspec
import polars as pl

from coworkai.common.control import Control, Lane
from coworkai.common.lake import Lake, append
from coworkai.common.tables import OPS_LLM_CALLS


class Outcome(StrEnum):
    """How a call ended; from `limited` to `malformed` as `llm.Failure`."""

    ANSWERED = "answered"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    REFUSED = "refused"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    NOT_ADMITTED = "not_admitted"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    LOST = "lost"
    FAILED = "failed"


class LlmCall(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `ops/llm_calls`."""

    tenant_id: str
    date: date
    call_id: str
    called_at: datetime
    purpose: str
    provider: str
    model: str
    prompt_version: str | None
    brief_id: str | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    attempts: int = 0
    waited_s: float = 0
    latency_s: float = 0
    outcome: Outcome
    error_type: str | None = None
    cost_usd: float | None = None
    trace_id: str | None = None

    def json(self) -> str:
        return msgspec.json.encode(self).decode()


def publish_calls(lake: Lake, control: Control, tenant_id: str, fence: int) -> int:
    """Append the tenant's calls that are over to `ops/llm_calls`; how many.

    For the holder of the tenant's lease of the insights lane. Raises LeaseLost, StorageUnavailable.
    """
    rows = control.unpublished_calls(tenant_id)
    if rows:
        calls = (msgspec.json.decode(row, type=LlmCall) for row in rows.values())
        delta = lake.open(OPS_LLM_CALLS, tenant_id)
        append(delta, OPS_LLM_CALLS, frame_of(calls), fence=fence, lane=Lane.INSIGHTS, shared=True)
        control.forget_calls(rows)
    return len(rows)


def frame_of(calls: Iterable[LlmCall]) -> pl.DataFrame:
    """Rows of `ops/llm_calls`."""
    rows = [msgspec.structs.asdict(call) | {"outcome": call.outcome.value} for call in calls]
    return pl.DataFrame(rows, schema=OPS_LLM_CALLS.schema)
