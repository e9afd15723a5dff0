"""`GET /v1/me`: who the caller is to this API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from coworkai.partner_api.guard import Access, Caller, guarded
from coworkai.partner_api.principal import PrincipalKind, Reach, Scope

router = APIRouter(prefix="/v1", tags=["access"])


class Me(BaseModel):
    """The credentials of this request, and what they may."""

    principal_id: str = Field(description="id of the key or client, `worker:<id>` for a worker's token")
    kind: PrincipalKind
    name: str
    tenant_id: str
    reach: Reach
    scopes: list[Scope]
    worker_ids: list[str] | None = Field(description="workers that it is limited to; null: all of the tenant")


@router.get("/me", operation_id="get_me", summary="Who am I")
async def get_me(
    caller: Annotated[Caller, guarded(Access(None, Reach.AGGREGATE, workers=True))],
) -> Me:
    """Tell who the credentials of this request belong to and what they may do."""
    who = caller.principal
    return Me(
        principal_id=who.principal_id,
        kind=who.kind,
        name=who.name,
        tenant_id=who.tenant_id,
        reach=who.reach,
        scopes=sorted(who.scopes),
        worker_ids=None if who.worker_ids is None else sorted(who.worker_ids),
    )
