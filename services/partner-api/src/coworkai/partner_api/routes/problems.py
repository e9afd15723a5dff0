"""`/problems`: what the codes of errors mean; the `type` of every problem leads here."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from coworkai.partner_api.problems import KINDS, Code

router = APIRouter(prefix="/problems", tags=["errors"])


class ProblemKind(BaseModel):
    """A kind of problem: its stable code, its status and what it means."""

    code: Code
    status: int
    title: str
    meaning: str


@router.get("", operation_id="list_problems", summary="All kinds of problems")
async def list_problems() -> list[ProblemKind]:
    """Every code that an error of this API can have."""
    return [_described(code) for code in Code]


@router.get("/{code}", operation_id="get_problem", summary="A kind of problem")
async def get_problem(code: Code) -> ProblemKind:
    """What a code means, and what to do about it. The `type` of a problem leads here."""
    return _described(code)


def _described(code: Code) -> ProblemKind:
    kind = KINDS[code]
    return ProblemKind(code=code, status=kind.status, title=kind.title, meaning=kind.meaning)
