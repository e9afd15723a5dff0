"""Checked statements become the published brief: written out, with evidence, grounding and provenance.

The same book and statements give the same brief, byte for byte. Evidence is exactly the cited facts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import msgspec

from coworkai.insights.brief import (
    SCHEMA_VERSION,
    Brief,
    Draft,
    Evidence,
    Grounding,
    Origin,
    Provenance,
    Stated,
    StatedInsight,
    Statement,
    Subject,
)
from coworkai.insights.clean import clean
from coworkai.insights.facts import Fact, FactBook, Scalar
from coworkai.insights.render import TEXT_MAX_CHARS, render

_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Sections:
    """The statements of a brief, each checked and written out."""

    headline: Stated
    momentum: tuple[Stated, ...] = ()
    blockers: tuple[Stated, ...] = ()
    next_steps: tuple[Stated, ...] = ()
    insights: tuple[StatedInsight, ...] = ()
    data_quality: tuple[Stated, ...] = ()


def stated(statement: Statement, book: FactBook, origin: Origin) -> Stated:
    """The statement written out. Raises as `render`."""
    return Stated(
        text_template=statement.text_template,
        claims=statement.claims,
        kind=statement.kind,
        text=render(statement, book),
        origin=origin,
    )


def sections_of(draft: Draft, book: FactBook, origin: Origin = Origin.DETERMINISTIC) -> Sections:
    """All statements of a draft that are of one origin. Raises as `render`."""

    def each(statements: tuple[Statement, ...]) -> tuple[Stated, ...]:
        return tuple(stated(one, book, origin) for one in statements)

    return Sections(
        headline=stated(draft.headline, book, origin),
        momentum=each(draft.momentum),
        blockers=each(draft.blockers),
        next_steps=each(draft.next_steps),
        insights=tuple(
            StatedInsight(
                insight=stated(pair.insight, book, origin),
                recommendation=stated(pair.recommendation, book, origin),
            )
            for pair in draft.insights
        ),
        data_quality=each(draft.data_quality),
    )


def brief_id(
    book: FactBook,
    offered: Collection[str],
    *,
    writer: str,
    model: str | None,
    prompt_version: str | None,
    rules_version: str,
) -> str:
    """32 hex digits: a digest of subject, window, the facts offered with their values, and what writes.

    Known before anything is written, so a brief that would be the newest one again costs no model call. Table
    versions are no part of it: a rebuilt day with the same values is the same brief.
    """
    head = [book.tenant_id, book.subject, book.zone, book.start, book.primary]
    made = [SCHEMA_VERSION, rules_version, writer, model, prompt_version]
    facts = [[fact_id, book[fact_id].values] for fact_id in sorted(offered) if fact_id in book]
    content = msgspec.json.encode([head, made, facts])
    return hashlib.blake2b(content, digest_size=_ID_BYTES).hexdigest()


def assemble(
    book: FactBook,
    sections: Sections,
    *,
    identifier: str,
    subject_kind: Literal["worker", "team"],
    grounding: Grounding,
    provenance: Provenance,
) -> Brief:
    """The brief. Raises KeyError for a statement that cites a fact which is not in the book."""
    pairs = [one for pair in sections.insights for one in (pair.insight, pair.recommendation)]
    statements = [
        sections.headline,
        *sections.momentum,
        *sections.blockers,
        *sections.next_steps,
        *pairs,
        *sections.data_quality,
    ]
    cited = dict.fromkeys(claim.fact_id for statement in statements for claim in statement.claims)
    return Brief(
        brief_id=identifier,
        tenant_id=book.tenant_id,
        subject=Subject(kind=subject_kind, id=book.subject),
        primary_date=book.primary,
        start_date=book.start,
        end_date=book.primary,
        time_zone=book.zone,
        headline=sections.headline,
        momentum=sections.momentum,
        blockers=sections.blockers,
        next_steps=sections.next_steps,
        insights=sections.insights,
        data_quality=sections.data_quality,
        evidence=tuple(_evidence(book[fact_id]) for fact_id in cited),
        grounding=grounding,
        provenance=provenance,
    )


def _evidence(fact: Fact) -> Evidence:
    return Evidence(
        fact_id=fact.fact_id,
        subject=fact.subject,
        date=fact.date,
        measure=fact.measure,
        fields=dict(zip(fact.form.units, map(_as_shown, fact.values), strict=True)),
        units=dict(fact.form.unit_names),
        table=fact.table,
        version=fact.version,
        key=dict(fact.key),
    )


def _as_shown(value: Scalar) -> float | int | str | bool | date | datetime | None:
    """Text as a brief may hold it: nothing invisible, and no more of it than a brief can show."""
    return clean(value, TEXT_MAX_CHARS) if isinstance(value, str) else value
