"""What `coworkai demo` shows at its end: results, one worker's day and brief, and where everything is."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
from rich.console import Console

from coworkai.common.artifacts import ArtifactPaths, ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.errors import NotFound
from coworkai.common.lake import Lake, reading
from coworkai.common.published import read_published
from coworkai.common.settings import CommonSettings
from coworkai.common.tables import GOLD_SLICES, GOLD_WORKBLOCKS, SILVER_ORG_MEMBERS, Table
from coworkai.local.brief import show_brief, stored_worker_brief
from coworkai.local.identities import stored_user_id
from coworkai.local.platform import usual_url
from coworkai.local.sample import SampleFacts
from coworkai.local.show import day_timeline, summary_table


def show_demo(
    console: Console,
    settings: CommonSettings,
    tenant_id: str,
    facts: SampleFacts,
    summary: Mapping[str, object],
) -> None:
    """Print the results, the featured worker's day and its brief. Raises NotFound, StorageUnavailable."""
    lake = Lake(settings.lake_uri, settings.storage_options)
    sent_as, day = facts.featured
    user_id = stored_user_id(settings, tenant_id, sent_as)
    zone = worker_zone(lake, tenant_id, user_id, day)

    console.print()
    summary_table(console, summary)
    console.print()
    blocks = _of_day(lake, GOLD_WORKBLOCKS, tenant_id, user_id, day)
    day_timeline(
        console,
        blocks,
        _of_day(lake, GOLD_SLICES, tenant_id, user_id, day),
        f"{user_id}, {day:%A %Y-%m-%d}, {zone}",
        time_zone=zone,
    )
    brief = stored_worker_brief(settings, tenant_id, [user_id], day)
    if brief is not None:
        console.print()
        show_brief(console, brief)
    console.print()
    console.print(f"report   {report_address(settings, tenant_id, user_id, day)}", soft_wrap=True)
    console.print(f"lake     {settings.lake_uri}", soft_wrap=True)
    data = shlex.quote(str(settings.data_dir))
    if (activated := activation(os.environ.get("PATH", ""), Path(sys.executable).parent)) is not None:
        console.print(activated, soft_wrap=True)
    console.print(f"Look around: coworkai tables --data {data}", soft_wrap=True)
    if (first := first_block(blocks)) is not None:
        console.print(
            f"Trace a block: coworkai lineage {shlex.quote(first)} --tenant {tenant_id} --data {data}",
            soft_wrap=True,
        )
    if brief is not None:
        fact = shlex.quote(brief.evidence[0].fact_id)
        console.print(
            f"Trace a number: coworkai lineage {fact} --tenant {tenant_id} --data {data}", soft_wrap=True
        )
    for line in api_calls(data, tenant_id, user_id, day):
        console.print(line, soft_wrap=True)


def activation(search_path: str, commands: Path) -> str | None:
    """How a shell comes by the commands, which are in the folder `commands`; None where it finds them."""
    if shutil.which("coworkai", path=search_path) is not None:
        return None
    if commands.is_relative_to(Path.cwd()):
        commands = commands.relative_to(Path.cwd())
    return f"First, in each terminal: . {shlex.quote(str(commands / 'activate'))}"


def api_calls(data: str, tenant_id: str, user_id: str, day: date) -> list[str]:
    """How to start the platform on the folder, make a key and fetch the worker's brief with it."""
    url = usual_url("partner-api")
    return [
        f"Ask the API: coworkai up --data {data}, and in another terminal",
        f"  KEY=$(coworkai keys create {tenant_id} --reach individual --data {data})",
        f'  curl -H "Authorization: Bearer $KEY" "{url}/v1/workers/{user_id}/brief?date={day}"',
    ]


def first_block(blocks: pl.DataFrame) -> str | None:
    """workblock_id of the earliest of the blocks, None where there is none."""
    ids: list[str] = blocks.sort("started_at", "workblock_id")["workblock_id"].head(1).to_list()
    return ids[0] if ids else None


def worker_zone(lake: Lake, tenant_id: str, user_id: str, day: date) -> str:
    """The worker's time zone on the day, UTC where the organisation does not tell."""
    with reading(SILVER_ORG_MEMBERS):
        zones = (
            read_published(lake, SILVER_ORG_MEMBERS, tenant_id, Stage.SILVER)
            .filter(
                (pl.col("user_id") == user_id)
                & (pl.col("valid_from") <= day)
                & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
            )
            .select("time_zone")
            .drop_nulls()
            .collect()["time_zone"]
        )
    return "UTC" if zones.is_empty() else str(zones[0])


def report_address(settings: CommonSettings, tenant_id: str, user_id: str, day: date) -> str:
    """Where the worker's report of the day is. Raises NotFound when there is none."""
    store = ArtifactStore.from_settings(settings)
    folder = ArtifactPaths(tenant_id).day(day)
    name = f"workblock_report_{day.isoformat()}.md"
    found = [path for path in store.list(folder) if path.endswith(f"user_{user_id}/{name}")]
    if not found:
        raise NotFound(f"no report of {day}")
    return f"{settings.lake_uri}/{found[-1]}"


def _of_day(lake: Lake, table: Table, tenant_id: str, user_id: str, day: date) -> pl.DataFrame:
    with reading(table):
        return (
            read_published(lake, table, tenant_id, Stage.STAGE1)
            .filter((pl.col("date") == day) & (pl.col("user_id") == user_id))
            .collect()
        )
