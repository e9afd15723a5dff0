"""Artefacts of stage 1 (domain, section 6): parquet tables and markdown, the same bytes for the same rows.

What lies in a batch folder is named by the day's run id, so writing it again changes nothing and a run that
loses leaves nothing wrong behind. Chat histories and paired manifests have one place a day: they are written
by the run that has published, after it has.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import polars as pl
import pyarrow.parquet as pq

from coworkai.common.artifacts import ArtifactPaths, ArtifactStore
from coworkai.common.outputs import Frames
from coworkai.common.tables import (
    GOLD_SLICES,
    GOLD_WORKBLOCKS,
    SILVER_CHAT,
    SILVER_HEALTH,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
)
from coworkai.runner.run_stage1 import PinnedSilver
from coworkai.runner.stage1.artifact_frames import ArtifactInputs, artifact_frames, chat_histories
from coworkai.runner.stages import TenantRules

Artifact = tuple[str, bytes]
_ROW_GROUP_ROWS = 65_536
_CHAT_HISTORY = "chat_history"


def put_all(store: ArtifactStore, artifacts: Iterable[Artifact]) -> None:
    """Write the artefacts, several at a time. Raises StorageUnavailable."""
    with ThreadPoolExecutor(store.writers) as pool:
        for _ in pool.map(lambda artifact: store.put(*artifact), artifacts):
            pass


def batch_artifacts(
    silver: PinnedSilver, gold: Frames, run_ids: Mapping[date, str], rules: TenantRules
) -> Iterator[Artifact]:
    """What lies in the batch folders of the days of `run_ids`; `gold` are their frames by table id.

    A day without a row of Gold has its folder too: there may have been chat.
    """
    paths = ArtifactPaths(silver.tenant_id)
    theirs = {
        table.id: silver.read(table, run_ids) for table in (SILVER_MANIFEST_PAIRS, SILVER_CHAT, SILVER_HEALTH)
    }
    inputs = ArtifactInputs(
        workblocks=gold[GOLD_WORKBLOCKS.id],
        atomic_slices=gold[GOLD_SLICES.id],
        manifest_pairs=theirs[SILVER_MANIFEST_PAIRS.id],
        org_members=silver.org_members,
        chat_messages=theirs[SILVER_CHAT.id],
    )
    for day, frames in artifact_frames(inputs, list(run_ids)):
        # Not what later snapshots say of the same rows: the batch is the same however late it is computed.
        for name, frame in {**frames, "jobs": silver.org_of([day])}.items():
            batch = run_ids[day]
            yield (
                paths.chat_history_table(day, batch)
                if name == _CHAT_HISTORY
                else paths.stage1_table(day, batch, name),
                parquet(frame),
            )
    everything = {**gold, **theirs, SILVER_ORG_MEMBERS.id: silver.org_members}
    for report in rules.reports(everything, rules.tenant_zone):
        path = paths.workblock_report(report.date, run_ids[report.date], report.user_id)
        yield path, report.markdown.encode()


def day_artifacts(silver: PinnedSilver, days: Collection[date], rules: TenantRules) -> Iterator[Artifact]:
    """What has one place a day: paired manifests, and every worker's chat history."""
    paths = ArtifactPaths(silver.tenant_id)
    pairs = silver.read(SILVER_MANIFEST_PAIRS, days).sort("date", "user_id")
    for day in sorted(days):
        yield paths.manifests_paired(day), parquet(pairs.filter(pl.col("date") == day))
    chat = silver.read(SILVER_CHAT, days)
    for history in chat_histories(chat, silver.org_members, tenant_zone=rules.tenant_zone):
        yield paths.chat_history(history.date, history.user_id), history.markdown.encode()


def parquet(frame: pl.DataFrame) -> bytes:
    """The frame as a parquet file whose bytes depend on its rows alone."""
    sink = io.BytesIO()
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    pq.write_table(table, sink, row_group_size=_ROW_GROUP_ROWS, compression="zstd", store_schema=False)
    return sink.getvalue()
