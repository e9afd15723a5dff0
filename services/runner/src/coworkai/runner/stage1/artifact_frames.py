"""What the artefact files of Stage 1 hold, ready to be written (docs/domain.md section 6).

    workblock_processing/date=D/batch_B/{workblocks,atomic_slices,manifests,jobs}.parquet
    chat_history/date=D/batch_B/chat_history.parquet      chat_history/date=D/user_U/chat_history_D.md
    manifests/paired/date=D/manifests_paired_D.parquet    (the frame `manifests`)

Rows and columns are in a fixed order, so that the same input gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import polars as pl

from coworkai.common.tables import (
    GOLD_SLICES,
    GOLD_WORKBLOCKS,
    SILVER_CHAT,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    Table,
)
from coworkai.runner.stage1.markdown import code_lines, escaped, local_clock
from coworkai.runner.stage1.org_context import KEYS, with_org

_LATER = ("valid_to", "is_current", "run_id")


@dataclass(frozen=True, slots=True)
class ArtifactInputs:
    """Frames of one tenant with the columns of their tables; a column that is missing is null (`run_id`).

    `org_members` is the tenant's whole history.
    """

    workblocks: pl.DataFrame
    atomic_slices: pl.DataFrame
    manifest_pairs: pl.DataFrame
    org_members: pl.DataFrame
    chat_messages: pl.DataFrame


class ChatHistory(NamedTuple):
    user_id: str
    date: date
    markdown: str


def artifact_frames(
    inputs: ArtifactInputs, dates: Sequence[date]
) -> Iterator[tuple[date, Mapping[str, pl.DataFrame]]]:
    """For each date: `workblocks`, `atomic_slices`, `manifests`, `jobs` and `chat_history`, by file name.

    Each frame has the columns of its table, sorted; empty where the day has no rows, which marks the gap.
    `manifests` are the day's pairs and `chat_history` the workers' own messages. `jobs` are the organisation
    rows valid on the day, with it as their `date` and without what only later snapshots say: valid_to,
    is_current and the run that wrote the row.
    """
    given = {
        "workblocks": (inputs.workblocks, GOLD_WORKBLOCKS, ["started_at", "workblock_id"]),
        "atomic_slices": (inputs.atomic_slices, GOLD_SLICES, ["workblock_id", "sequence"]),
        "manifests": (inputs.manifest_pairs, SILVER_MANIFEST_PAIRS, []),
        "chat_history": (inputs.chat_messages, SILVER_CHAT, ["occurred_at", "event_id"]),
    }
    of_day = {
        name: _shaped(frame, table)
        .sort("tenant_id", "date", "user_id", *order)
        .partition_by("date", as_dict=True, maintain_order=True)
        for name, (frame, table, order) in given.items()
    }
    members = _shaped(inputs.org_members, SILVER_ORG_MEMBERS).sort("tenant_id", "user_id", "valid_from")
    for day in sorted(set(dates)):
        valid = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
        jobs = members.filter(valid).with_columns(date=pl.lit(day)).drop(_LATER)
        frames = {name: parts.get((day,), given[name][1].empty()) for name, parts in of_day.items()}
        yield day, frames | {"jobs": jobs}


def _shaped(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    return frame.match_to_schema(table.schema, missing_columns="insert", extra_columns="ignore")


def chat_histories(
    chat_messages: pl.DataFrame, org_members: pl.DataFrame, *, tenant_zone: str = "UTC"
) -> Iterator[ChatHistory]:
    """A worker's own chat messages of a day as markdown, by date and worker; none for days without any.

    Conversations are in the order of their first message, and messages in order of time within them. Times
    are in the zone of the organisation row valid on the day, else `tenant_zone`. Messages are indented code
    blocks, so nothing that was written is read as markup; a message whose text was not kept says so.
    """
    if chat_messages.is_empty():
        return
    conversation = [*KEYS, "assistant", "conversation_id"]
    zoned = with_org(chat_messages.select(KEYS).unique(), org_members, tenant_zone).select(*KEYS, "zone")
    messages = (
        local_clock(chat_messages.join(zoned, on=KEYS), "zone", {"clock": pl.col("occurred_at")})
        .with_columns(first_at=pl.col("occurred_at").min().over(conversation))
        .sort(*KEYS, "first_at", "assistant", "conversation_id", "occurred_at", "event_id")
    )
    text = pl.col("text")
    said = pl.when(text.str.contains(r"\S")).then(code_lines(text)).otherwise(pl.lit("(text not kept)"))
    begins = pl.struct(conversation).rle_id().over(KEYS)
    heading = pl.concat_str(
        pl.lit("## Conversation "),
        (begins + 1).cast(pl.String),
        pl.lit(", "),
        escaped(pl.col("assistant")).fill_null("unknown assistant"),
        pl.lit("\n\n"),
    )
    starts = pl.struct(conversation).ne_missing(pl.struct(conversation).shift(1))
    documents = (
        messages.with_columns(
            entry=pl.concat_str(
                pl.when(starts).then(heading).otherwise(pl.lit("")),
                pl.lit("**"),
                "clock",
                pl.lit("**\n\n"),
                said,
            )
        )
        .group_by(*KEYS, "zone", maintain_order=True)
        .agg(count=pl.len(), entries=pl.col("entry").str.join("\n\n"))
        .with_columns(user=escaped(pl.col("user_id"), 80))
        .sort(KEYS)
    )
    for row in documents.iter_rows(named=True):
        head = (
            f"# Chat history {row['date'].isoformat()}: {row['user']}\n\n"
            f"The worker's own messages: {row['count']}. Times are {row['zone']}.\n\n"
        )
        yield ChatHistory(row["user_id"], row["date"], f"{head}{row['entries']}\n")
