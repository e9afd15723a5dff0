"""`GET /v1/workblocks/{workblock_id}`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import polars as pl
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from coworkai.partner_api.guard import Caller, guarded
from coworkai.partner_api.resources import WORKBLOCKS
from coworkai.partner_api.routes.parameters import AsOf
from coworkai.partner_api.schemas import row_of
from coworkai.partner_api.services import services_of

router = APIRouter(prefix="/v1", tags=["activity"])

_ID = re.compile(r"wb:[0-9A-Za-z]{1,10}:([0-9A-Za-z]{1,10}):[0-9]{2,}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@router.get(
    "/workblocks/{workblock_id}",
    operation_id="get_workblock",
    summary="Get a workblock",
    response_model=row_of(WORKBLOCKS),
)
async def get_workblock(
    workblock_id: Annotated[str, Path(examples=["wb:4Ms60eGxco:VZFpXIe:00"])],
    request: Request,
    caller: Annotated[Caller, guarded(WORKBLOCKS.access)],
    as_of: AsOf = None,
) -> Response:
    """A workblock by its id; its slices are `/v1/atomic-slices?workblock_id=`."""
    reads = services_of(request).reads
    opened = await reads.open(request, caller, [WORKBLOCKS.table], as_of=as_of)
    if opened.is_current:
        return opened.not_modified()
    found = await reads.find(
        opened, WORKBLOCKS, pl.col("workblock_id") == workblock_id, dates_of(workblock_id)
    )
    await opened.record("get_workblock", found)
    return opened.answer(found.row)


def dates_of(workblock_id: str) -> list[date]:
    """Local dates that the workblock can be of, by the start that is in its id; none for what is no id."""
    parts = _ID.fullmatch(workblock_id)
    if parts is None:
        return []
    milliseconds = 0
    for digit in parts[1]:
        milliseconds = milliseconds * 62 + _DIGITS.index(digit)
    try:
        on = (_EPOCH + timedelta(milliseconds=milliseconds)).date()
        return [on + timedelta(days=days) for days in (-1, 0, 1)]
    except OverflowError:
        return []
