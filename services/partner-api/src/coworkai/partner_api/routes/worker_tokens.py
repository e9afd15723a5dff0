"""`POST /v1/worker-tokens`: short-lived tokens by which a worker sees their own rows, and who read them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

import polars as pl
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_KPI_DAILY
from coworkai.partner_api.gold import Snapshot
from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.principal import WORKER_SCOPES, Scope
from coworkai.partner_api.problems import not_found
from coworkai.partner_api.schemas import NUMBER
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["access"])

_TABLES = (GOLD_ACCOUNTING, GOLD_KPI_DAILY)
"""Whoever `/v1/workers` lists is in one of them."""


class NewWorkerToken(BaseModel):
    """For whom, and for how long."""

    model_config = ConfigDict(extra="forbid")

    worker_id: str = Field(min_length=1, max_length=256, description="worker, as `/v1/workers` lists them")
    expires_in_s: Annotated[int, Field(ge=60, le=86_400), NUMBER] = Field(
        default=3_600, description="seconds that it is good for"
    )


class WorkerToken(BaseModel):
    """A worker's own token; it is shown this once."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="seconds that it is good for")
    worker_id: str
    scopes: list[Scope]


@router.post(
    "/worker-tokens", operation_id="create_worker_token", summary="Make a worker's token", status_code=201
)
async def create_worker_token(
    asked: NewWorkerToken,
    request: Request,
    caller: Annotated[Caller, guarded(Access(Scope.WORKER_TOKENS))],
) -> WorkerToken:
    """Make a token that reads one worker's own rows, reports, briefs and access log, and nothing else.

    It ends with the credentials that made it, when they are revoked.
    """
    caller.may_read(asked.worker_id)
    services = services_of(request)
    snapshot = await services.gold.snapshot(caller.tenant_id)
    if not await services.gold.in_thread(lambda: _is_known(snapshot, asked.worker_id)):
        raise not_found()
    # What is read with the token is not in the access log, so that it was made has to be.
    await caller.record("create_worker_token", [asked.worker_id], None, None, 0)
    token = services.tokens.for_worker(
        asked.worker_id,
        caller.tenant_id,
        timedelta(seconds=asked.expires_in_s),
        made_by=caller.principal.principal_id,
    )
    await services.in_store(
        lambda: services.credentials.audit(
            caller.tenant_id,
            actor=caller.principal.principal_id,
            action="worker_token.issued",
            target=token.token_id,
            detail={"worker_id": asked.worker_id, "expires_in_s": token.expires_in_s},
            request_id=caller.request_id,
        )
    )
    return WorkerToken(
        access_token=token.text,
        token_type="Bearer",  # noqa: S106 - a scheme, no secret
        expires_in=token.expires_in_s,
        worker_id=asked.worker_id,
        scopes=sorted(WORKER_SCOPES),
    )


def _is_known(snapshot: Snapshot, worker_id: str) -> bool:
    """Whether anything of the worker is published. Raises VersionExpired, StorageUnavailable."""
    theirs = pl.col("user_id") == worker_id
    return any(
        not snapshot.collect(table, snapshot.scan(table).select("user_id").filter(theirs).head(1)).is_empty()
        for table in _TABLES
    )
