"""`GET /v1/<list>`: every list of a published table."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from coworkai.partner_api.guard import Caller
from coworkai.partner_api.reads import add_read
from coworkai.partner_api.resources import RESOURCES, Resource
from coworkai.partner_api.schemas import list_model, list_parameters, tabular

router = APIRouter(prefix="/v1")


async def _answer(resource: Resource, request: Request, caller: Caller) -> Response:
    found: Response = await request.app.state.services.reads.list(resource, request, caller)
    return found


for _resource in RESOURCES.values():
    add_read(
        router,
        f"/{_resource.path}",
        partial(_answer, _resource),
        _resource.access,
        operation_id=_resource.operation,
        summary=_resource.summary,
        description=_resource.meaning,
        parameters=list_parameters(_resource),
        responses={200: tabular(list_model(_resource))},
    )
