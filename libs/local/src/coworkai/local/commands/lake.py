"""Commands that read or tend a lake."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from coworkai.common.control import Control
from coworkai.common.wording import counted
from coworkai.local.commands.options import (
    DATE,
    DEFAULT_DATA,
    Data,
    Json,
    Tenant,
    local_date,
    out,
    print_json,
    settings_of,
)

if TYPE_CHECKING:
    from coworkai.runner.pipeline import Pipeline
    from coworkai.runner.settings import RunnerSettings


def tables(
    data: Data = DEFAULT_DATA,
    tenant: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only this tenant's; all by default.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Rows, files, bytes and version of every table, per layer.

    Example: coworkai tables --data ./demo-data
    """
    from coworkai.common.lake import Lake
    from coworkai.local.identities import known_tenant
    from coworkai.local.inventory import inventory

    settings = settings_of(data)
    if tenant is not None:
        known_tenant(settings, tenant)
    found = inventory(Lake(settings.lake_uri, settings.storage_options), settings.control_url, tenant)
    if json:
        print_json(found)
        return
    table = Table("table", "tenant", box=None)
    for heading in ("rows", "files", "KiB", "version"):
        table.add_column(heading, justify="right")
    layer = None
    for entry in found:
        if layer not in {None, entry.layer}:
            table.add_section()
        layer = entry.layer
        table.add_row(
            entry.table,
            entry.tenant_id or "all",
            f"{entry.rows:,}",
            f"{entry.files:,}",
            f"{entry.size_bytes / 1024:,.0f}",
            str(entry.version),
        )
    out.print(table)


def maintain(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """Compact, checkpoint, expire and vacuum every table once; safe beside a running platform.

    Example: coworkai maintain --data ./data
    """
    from coworkai.runner.app import build_maintenance

    with _pipeline(data) as (settings, control, pipeline):
        reports = build_maintenance(settings, control, pipeline).run()
    if json:
        print_json(reports)
        return
    table = Table("table", "tenant", box=None)
    for heading in ("rows expired", "files merged", "files removed"):
        table.add_column(heading, justify="right")
    for report in reports:
        table.add_row(
            report.table,
            report.tenant_id or "all",
            f"{report.rows_expired:,}",
            f"{report.files_merged:,}",
            f"{report.files_removed + report.batches_removed:,}",
        )
    out.print(table)


def rebuild(
    tenant: Tenant,
    first: Annotated[
        date,
        typer.Option("--from", metavar=DATE, parser=local_date, help="First local date.", show_default=False),
    ],
    last: Annotated[
        date,
        typer.Option("--to", metavar=DATE, parser=local_date, help="Last local date.", show_default=False),
    ],
    *,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="VERSION|TIME",
            help="Read Bronze as a version of ops/runs had read it, or as it was at a time (RFC 3339).",
            show_default=False,
        ),
    ] = None,
    publish: Annotated[
        bool,
        typer.Option("--publish", help="With --as-of: replace what is published instead of writing beside."),
    ] = False,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Compute days of a tenant again, from Bronze as it is now or as it was.

    As of now it publishes in place. As of an earlier version it writes a lake of its own beside, unless told
    to publish.

    Example: coworkai rebuild --tenant acme --from 2026-03-02 --to 2026-03-06 --data ./data
    """
    from coworkai.common.lake import Lake
    from coworkai.local.identities import known_tenant
    from coworkai.local.inventory import has_days
    from coworkai.runner.rebuild import rebuild as rebuild_days

    at = None if as_of is None else _version_or_time(as_of)
    with _pipeline(data) as (settings, _control, pipeline):
        known_tenant(settings, tenant)
        beside = None
        if at is not None and not publish:
            label = as_of.replace(":", "") if as_of is not None else ""
            beside = f"{settings.lake_uri.rstrip('/')}-as-of-{label}"
        rebuilt = rebuild_days(pipeline, tenant, first, last, as_of=at, beside=beside)
    publications = [
        {
            "stage": publication.stage.value,
            "days": [day.isoformat() for day in sorted(publication.run_ids)],
            "versions": dict(sorted(publication.versions.items())),
        }
        for publication in rebuilt.publications
    ]
    failed = sorted(day.isoformat() for day in rebuilt.failed_days)
    if json:
        print_json({"lake": rebuilt.root, "publications": publications, "failed_days": failed})
        return
    if not publications and not failed:
        written = Lake(rebuilt.root, settings.storage_options)
        if has_days(written, tenant, first, last):
            out.print("Nothing changed: the same input had given what is published.")
        else:
            out.print(f"No data: {tenant} has no telemetry from {first} to {last}.")
    for publication in publications:
        days = publication["days"]
        out.print(f"{publication['stage']:<8} {counted(len(days), 'day')} published: {', '.join(days)}")
    if failed:
        out.print(f"failed   {', '.join(failed)}")
    out.print(f"lake     {rebuilt.root}", soft_wrap=True)


def _version_or_time(value: str) -> int | datetime:
    if value.isdigit():
        return int(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise typer.BadParameter("neither a version nor a time", param_hint="--as-of") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@contextmanager
def _pipeline(data: Path) -> Iterator[tuple[RunnerSettings, Control, Pipeline]]:
    """The runner's pipeline over a data folder, in this process; nobody is told of what it publishes."""
    from coworkai.common.settings import load
    from coworkai.runner.app import build_pipeline
    from coworkai.runner.settings import RunnerSettings

    settings_of(data)
    settings = load(RunnerSettings, data_dir=data)
    control = Control(settings.control_url)
    try:
        control.migrate()
        yield settings, control, build_pipeline(settings, control, lambda _publication: None)
    finally:
        control.close()


def lineage(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A fact as a brief cites it (kpi:…, goal:…, chat:…), a workblock, wb:…, or a slice, wb:…/3.",
            show_default=False,
        ),
    ],
    tenant: Tenant,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="List every event and fact instead of the first of them.")
    ] = False,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Trace a fact, workblock or slice back to its Bronze events, their files and versions.

    Example: coworkai lineage wb:31my5iJtNx:U06GFvM:00/3 --tenant acme --data ./data
    """
    from coworkai.common.lake import Lake
    from coworkai.local.identities import known_tenant
    from coworkai.local.trace import show_trace
    from coworkai.runner.lineage import as_json
    from coworkai.runner.lineage import lineage as trace
    from coworkai.runner.stages import TenantRules

    settings = settings_of(data)
    known = known_tenant(settings, tenant)
    lake = Lake(settings.lake_uri, settings.storage_options)
    traced = trace(lake, tenant, identifier, TenantRules.of_zone(known.time_zone))
    if json:
        print_json(as_json(traced))
        return
    show_trace(out, traced, f"--tenant {tenant} --data {shlex.quote(str(data))}", everything=everything)
