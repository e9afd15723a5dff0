"""What finished briefs become: rows of Stage 2's tables, and artefacts (domain, section 6).

Rows become visible by the run's row in `ops/runs`. Artefacts have one place a subject and window, which holds
the newest brief: they are written after it is published, and then a file a day names the run whose artefacts
are all there, so that a process that died in between is found out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import msgspec
import polars as pl

from coworkai.common.artifacts import ArtifactPaths, ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.errors import NotFound
from coworkai.common.lake import reading, scan
from coworkai.common.outputs import Outputs, WorkerFailure
from coworkai.common.tables import GOLD_BRIEFS, GOLD_INSIGHTS, GOLD_TOKEN_CONTEXTS
from coworkai.insights.brief import Brief
from coworkai.insights.context import Context, Told
from coworkai.insights.insights import DayInsights, InsightKind, insight_frame
from coworkai.insights.making import RULES_VERSION, Made, Newest

Artifact = tuple[str, bytes]
BriefKey = tuple[date, str, str]
"""Primary date, kind and id of the subject."""
_RUN_ID_BYTES = 8


# --------------------------------------------------------------------------------------------- what is there
def newest_briefs(outputs: Outputs, dates: Collection[date]) -> dict[BriefKey, Newest]:
    """The newest brief of every subject on the primary dates. Raises StorageUnavailable."""
    with reading(GOLD_BRIEFS):
        rows = (
            scan(outputs.deltas[GOLD_BRIEFS.id], GOLD_BRIEFS, dates)
            .select("date", "subject_kind", "subject_id", "version", "brief_id")
            .collect()
            .sort("version")
        )
    return {
        (day, kind, subject): Newest(identifier, version)
        for day, kind, subject, version, identifier in rows.iter_rows()
    }


def published_insights(
    outputs: Outputs, dates: Collection[date], workers: Collection[str]
) -> dict[str, dict[date, list[Told]]]:
    """Insights of the workers on the dates, highest score first, as this run sees them. Raises
    StorageUnavailable."""
    with reading(GOLD_INSIGHTS):
        rows = (
            scan(outputs.deltas[GOLD_INSIGHTS.id], GOLD_INSIGHTS, dates)
            .filter(pl.col("user_id").is_in(sorted(workers)))
            .select("user_id", "date", "kind", "text", "rank")
            .collect()
            .sort("user_id", "date", "kind", "rank")
        )
    found: dict[str, dict[date, list[Told]]] = {}
    for user_id, day, kind, text, _ in rows.iter_rows():
        found.setdefault(user_id, {}).setdefault(day, []).append(Told(InsightKind(kind), text))
    return found


def insights_by_worker(outputs: Outputs, dates: Collection[date]) -> pl.DataFrame:
    """date, user_id, and the number of `insights`, as this run sees them. Raises StorageUnavailable."""
    with reading(GOLD_INSIGHTS):
        rows = scan(outputs.deltas[GOLD_INSIGHTS.id], GOLD_INSIGHTS, dates).select("date", "user_id")
        return rows.group_by("date", "user_id").len("insights").collect()


@dataclass(frozen=True, slots=True)
class StoredBrief:
    """A published brief as its row has it."""

    brief_id: str
    version: int
    content: str
    markdown: str


def stored_brief(outputs: Outputs, key: BriefKey, version: int) -> StoredBrief:
    """A version of a subject's brief. Raises NotFound, StorageUnavailable."""
    day, kind, subject = key
    with reading(GOLD_BRIEFS):
        rows = (
            scan(outputs.deltas[GOLD_BRIEFS.id], GOLD_BRIEFS, [day])
            .filter(
                pl.col("subject_kind") == kind, pl.col("subject_id") == subject, pl.col("version") == version
            )
            .select("brief_id", "version", "brief_json", "markdown")
            .collect()
        )
    if rows.is_empty():
        raise NotFound(f"no brief of {day}")
    return StoredBrief(*rows.row(0))


# --------------------------------------------------------------------------------------------- rows
def run_id(tenant_id: str, day: date, made: Iterable[Made], failures: Iterable[WorkerFailure] = ()) -> str:
    """16 hex digits that name a batch of a day by the briefs that it adds and the workers that failed."""
    briefs = sorted(f"{one.key[1]}:{one.key[2]}:{one.brief.brief_id}:{one.version}" for one in made)
    failed = sorted(f"failed:{one.user_id}:{one.error_type}" for one in failures)
    parts = [Stage.STAGE2.value, tenant_id, day.isoformat(), RULES_VERSION, *briefs, *failed]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=_RUN_ID_BYTES).hexdigest()


def brief_rows(made: Sequence[Made], run_ids: Mapping[date, str]) -> pl.DataFrame:
    """Rows of `gold/briefs`."""
    return pl.DataFrame([_brief_row(one, run_ids) for one in made], schema=GOLD_BRIEFS.schema)


def _brief_row(made: Made, run_ids: Mapping[date, str]) -> dict[str, object]:
    brief, grounding, provenance = made.brief, made.brief.grounding, made.brief.provenance
    return {
        "tenant_id": brief.tenant_id,
        "date": brief.primary_date,
        "subject_kind": brief.subject.kind,
        "subject_id": brief.subject.id,
        "brief_id": brief.brief_id,
        "version": made.version,
        "start_date": brief.start_date,
        "end_date": brief.end_date,
        "writer": provenance.writer,
        "model": provenance.model,
        "prompt_version": provenance.prompt_version,
        "schema_version": brief.schema_version,
        "input_tokens": provenance.input_tokens,
        "output_tokens": provenance.output_tokens,
        "context_id": provenance.context_id,
        "accepted": grounding.accepted,
        "repaired": grounding.repaired,
        "replaced": grounding.replaced,
        "fallback_reason": grounding.fallback_reason,
        "brief_json": made.content,
        "markdown": made.markdown,
        "fact_ids": [each.fact_id for each in brief.evidence],
        "gold_versions": [
            {"table": table, "version": version} for table, version in provenance.gold_versions.items()
        ],
        "run_id": run_ids[brief.primary_date],
    }


def context_rows(made: Sequence[Made], run_ids: Mapping[date, str]) -> pl.DataFrame:
    """Rows of `gold/token_contexts`."""
    rows = [
        {
            "tenant_id": one.brief.tenant_id,
            "date": one.brief.primary_date,
            "user_id": one.brief.subject.id,
            "context_id": one.context.context_id,
            "start_date": one.brief.start_date,
            "end_date": one.brief.end_date,
            "token_budget": one.context.budget,
            "tokens": one.context.tokens,
            "tokenizer": one.context.tokenizer,
            "provider_tokens": one.provider_tokens,
            "components": msgspec.to_builtins(one.context.components, builtin_types=(date,)),
            "run_id": run_ids[one.brief.primary_date],
        }
        for one in made
        if one.context is not None
    ]
    return pl.DataFrame(rows, schema=GOLD_TOKEN_CONTEXTS.schema)


def insight_rows(made: Sequence[Made], run_ids: Mapping[date, str]) -> pl.DataFrame:
    """Rows of `gold/insights`."""
    return insight_frame(
        DayInsights(brief.tenant_id, brief.subject.id, brief.primary_date, one.insights, run_ids[on])
        for one in made
        for brief, on in [(one.brief, one.brief.primary_date)]
    )


# --------------------------------------------------------------------------------------------- artefacts
def artifacts_of(made: Made, stored: StoredBrief | None = None) -> Iterator[Artifact]:
    """Artefacts of a subject; of its brief as it is stored, where it is."""
    brief = made.brief
    paths = ArtifactPaths(brief.tenant_id)
    subject, primary = brief.subject.id, brief.primary_date
    window = (primary, brief.start_date, brief.end_date)
    place = paths.brief if brief.subject.kind == "worker" else paths.team_brief
    yield place(subject, *window, "json"), (stored.content if stored else made.content).encode()
    yield place(subject, *window, "md"), (stored.markdown if stored else made.markdown).encode()
    if made.context is None:
        return
    for kind, document in made.insight_documents.items():
        yield paths.insights(primary, subject, kind), document.encode()
    yield paths.context(subject, *window, "md"), made.context.markdown.encode()
    yield paths.context(subject, *window, "json"), _json(_metadata(brief, made.context, made.provider_tokens))
    yield paths.context_component_log(subject, *window), _json(made.context.components)


def _metadata(brief: Brief, context: Context, provider_tokens: int | None) -> dict[str, object]:
    return {
        "context_id": context.context_id,
        "tenant_id": brief.tenant_id,
        "user_id": brief.subject.id,
        "primary_date": brief.primary_date.isoformat(),
        "start_date": brief.start_date.isoformat(),
        "end_date": brief.end_date.isoformat(),
        "token_budget": context.budget,
        "tokens": context.tokens,
        "tokenizer": context.tokenizer,
        "provider_tokens": provider_tokens,
        "gold_versions": brief.provenance.gold_versions,
        "rules_version": brief.provenance.rules_version,
    }


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def put_all(store: ArtifactStore, made: Iterable[tuple[Made, StoredBrief | None]]) -> None:
    """Write the artefacts of briefs, of several at a time. Raises StorageUnavailable."""

    def put(one: tuple[Made, StoredBrief | None]) -> None:
        for artifact in artifacts_of(*one):
            store.put(*artifact)

    if store.writers == 1:
        for one in made:
            put(one)
        return
    with ThreadPoolExecutor(store.writers) as pool:
        for _ in pool.map(put, made):
            pass


def complete_run(store: ArtifactStore, tenant_id: str, day: date) -> str | None:
    """The run whose artefacts of the day are all there. Raises StorageUnavailable."""
    try:
        content = msgspec.json.decode(store.get(ArtifactPaths(tenant_id).briefs_complete(day)))
    except NotFound:
        return None
    named: str = content["run_id"]
    return named


def put_complete(store: ArtifactStore, tenant_id: str, day: date, run: str) -> None:
    """Record that all artefacts of the day are there. Raises StorageUnavailable."""
    store.put(ArtifactPaths(tenant_id).briefs_complete(day), _json({"run_id": run}))


def forget_complete(store: ArtifactStore, tenant_id: str, days: Collection[date]) -> None:
    """Have the artefacts of the days written again by the next run. Raises StorageUnavailable."""
    store.delete([ArtifactPaths(tenant_id).briefs_complete(day) for day in sorted(days)])
