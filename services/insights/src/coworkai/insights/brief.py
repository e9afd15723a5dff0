"""The brief: what a writer drafts, and what is published once every statement has been checked.

A statement is a template with numbered places and a claim for each of them, so no number ever comes from a
model: `"{0} of focus, {1} more than usual"` with claims on a `kpi` and a `baseline` fact. `docs/schemas/
brief.json` and `draft.json` are generated from here; `SCHEMA_VERSION` rises with every change that a reader
could notice.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1"
TEMPLATE_MAX_CHARS = 400
CLAIMS_MAX = 12


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatementKind(StrEnum):
    HEADLINE = "headline"
    MOMENTUM = "momentum"
    BLOCKER = "blocker"
    NEXT_STEP = "next_step"
    INSIGHT = "insight"
    RECOMMENDATION = "recommendation"
    DATA_QUALITY = "data_quality"


class Claim(_Strict):
    """A value of a fact, standing at the place of its position in `claims`."""

    fact_id: str = Field(min_length=1, max_length=2_000)
    field: str = Field(min_length=1, max_length=64)


class Statement(_Strict):
    """One or two sentences. `{0}`, `{1}`, … in the template are the values of the claims, in order."""

    text_template: str = Field(min_length=1, max_length=TEMPLATE_MAX_CHARS)
    claims: Annotated[tuple[Claim, ...], Field(min_length=1, max_length=CLAIMS_MAX)]
    kind: StatementKind


class DraftInsight(_Strict):
    """Something worth knowing, and what to do about it."""

    insight: Statement
    recommendation: Statement


class Draft(_Strict):
    """What a writer returns; a model is held to this schema."""

    headline: Statement
    momentum: Annotated[tuple[Statement, ...], Field(max_length=4)] = ()
    blockers: Annotated[tuple[Statement, ...], Field(max_length=4)] = ()
    next_steps: Annotated[tuple[Statement, ...], Field(max_length=4)] = ()
    insights: Annotated[tuple[DraftInsight, ...], Field(max_length=4)] = ()
    data_quality: Annotated[tuple[Statement, ...], Field(max_length=6)] = ()


class Origin(StrEnum):
    """How a statement came to be in the brief."""

    DETERMINISTIC = "deterministic"
    ACCEPTED = "accepted"
    """A model's, as first written."""
    REPAIRED = "repaired"
    """A model's second attempt."""
    REPLACED = "replaced"
    """The deterministic sentence in place of a model's."""


class Stated(Statement):
    """A statement that passed the grounding gate, written out."""

    text: str
    origin: Origin


class StatedInsight(_Strict):
    insight: Stated
    recommendation: Stated


class Evidence(_Strict):
    """A fact that a statement cites, as it was when the brief was made."""

    fact_id: str
    subject: str
    date: dt.date
    measure: str
    fields: dict[str, float | int | str | bool | dt.date | dt.datetime | None]
    units: dict[str, str]
    table: str
    version: int | None
    key: dict[str, str | int]


class Grounding(_Strict):
    """What the gate did. accepted + repaired + replaced = the statements that a model drafted."""

    accepted: int = 0
    repaired: int = 0
    replaced: int = 0
    fallback_reason: str | None = None
    """Why the whole brief is deterministic though a model was asked; null where it is not, or none was."""


class Provenance(_Strict):
    """What made the brief."""

    writer: Literal["deterministic", "gemini", "endpoint", "openai"]
    model: str | None = None
    prompt_version: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    rules_version: str
    context_id: str | None = None
    context_start: dt.date
    context_end: dt.date
    gold_versions: dict[str, int]


class Subject(_Strict):
    kind: Literal["worker", "team"]
    id: str


class Brief(_Strict):
    """A published brief. `brief_id` is a digest of the facts it could use and of what wrote it."""

    schema_version: str = SCHEMA_VERSION
    brief_id: str
    tenant_id: str
    subject: Subject
    primary_date: dt.date
    start_date: dt.date
    end_date: dt.date
    time_zone: str
    headline: Stated
    momentum: tuple[Stated, ...] = ()
    blockers: tuple[Stated, ...] = ()
    next_steps: tuple[Stated, ...] = ()
    insights: tuple[StatedInsight, ...] = ()
    data_quality: tuple[Stated, ...] = ()
    evidence: tuple[Evidence, ...]
    grounding: Grounding
    provenance: Provenance

    def statements(self) -> list[Stated]:
        """Every statement, in reading order."""
        pairs = [one for pair in self.insights for one in (pair.insight, pair.recommendation)]
        return [self.headline, *self.momentum, *self.blockers, *self.next_steps, *pairs, *self.data_quality]
