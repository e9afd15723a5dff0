"""One worker's or team's brief: found in the lake, or written now, and shown with its evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import polars as pl
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from coworkai.common.control import Control, Stage
from coworkai.common.errors import NotFound
from coworkai.common.lake import Lake, reading, scan
from coworkai.common.published import published, read_published
from coworkai.common.settings import CommonSettings
from coworkai.common.tables import GOLD_ACCOUNTING, GOLD_BRIEFS, OPS_RUNS
from coworkai.insights.app import build_pipeline
from coworkai.insights.brief import Brief, Stated, StatementKind
from coworkai.insights.metering import Meter
from coworkai.insights.settings import InsightsSettings
from coworkai.insights.writing import ModelWriting
from coworkai.local.identities import known_tenant, stored_user_id
from coworkai.local.waiting import not_processed_yet


def worker_brief(settings: InsightsSettings, tenant_id: str, user: str, day: date) -> Brief:
    """The worker's newest brief of the day; `user` is the collector's id or the token that the lake has.

    It is written where there is none yet. Raises NotFound (no such tenant, nothing is known of the worker),
    Overloaded (the tenant's briefs are being written), StorageUnavailable.
    """
    names = [user, stored_user_id(settings, tenant_id, user)]
    found = stored_worker_brief(settings, tenant_id, names, day)
    return found if found is not None else _written_now(settings, tenant_id, names, day)


def team_brief(settings: CommonSettings, tenant_id: str, team: str, day: date) -> Brief:
    """The team's newest brief of the day. Raises NotFound (no such tenant, no brief), StorageUnavailable."""
    tenant = known_tenant(settings, tenant_id)
    found = _stored_brief(settings, tenant_id, "team", [team], day)
    if found is not None:
        return found
    control = Control(settings.control_url)
    try:
        raise _nothing(
            settings,
            control,
            tenant_id,
            day,
            NotFound(
                f"no brief of this team on {day}",
                remedy=f"check --team and --date; a team has one with {tenant.min_group} workers or more",
            ),
        )
    finally:
        control.close()


def stored_worker_brief(
    settings: CommonSettings, tenant_id: str, names: Sequence[str], day: date
) -> Brief | None:
    """The newest published brief of the day of whom the first of these names stands for."""
    return _stored_brief(settings, tenant_id, "worker", names, day)


def _stored_brief(
    settings: CommonSettings, tenant_id: str, kind: str, names: Sequence[str], day: date
) -> Brief | None:
    lake = Lake(settings.lake_uri, settings.storage_options)
    versions = published(lake.open(OPS_RUNS, tenant_id), Stage.STAGE2)
    delta = lake.open(GOLD_BRIEFS, tenant_id, version=versions.version(GOLD_BRIEFS))
    with reading(GOLD_BRIEFS):
        rows = (
            scan(delta, GOLD_BRIEFS, [day])
            .filter(pl.col("subject_kind") == kind, pl.col("subject_id").is_in(list(names)))
            .sort("version")
            .select("brief_json")
            .collect()
        )
    return None if rows.is_empty() else Brief.model_validate_json(rows["brief_json"][-1])


def _written_now(settings: InsightsSettings, tenant_id: str, names: Sequence[str], day: date) -> Brief:
    control = Control(settings.control_url)
    writing = ModelWriting(settings, Meter.from_settings(settings, control))
    try:
        control.migrate()
        pipeline = build_pipeline(settings, control, writing)
        for name in names:
            try:
                pipeline.write(tenant_id, name, day)
            except NotFound:
                continue
            found = stored_worker_brief(settings, tenant_id, [name], day)
            if found is not None:
                return found
        unknown = f"nothing is known of this worker up to {day}"
        raise _nothing(settings, control, tenant_id, day, NotFound(unknown, remedy="check --user and --date"))
    finally:
        writing.close()
        control.close()


def _nothing(
    settings: CommonSettings, control: Control, tenant_id: str, day: date, known: NotFound
) -> NotFound:
    """Why there is no brief: the day is not processed yet, or has no data; `known` where it has."""
    lake = Lake(settings.lake_uri, settings.storage_options)
    days: list[date] = []
    if lake.exists(OPS_RUNS, tenant_id):
        with reading(GOLD_ACCOUNTING):
            rows = read_published(lake, GOLD_ACCOUNTING, tenant_id, Stage.STAGE1)
            days = rows.filter(pl.col("raw_s") > 0).select("date").unique().collect()["date"].to_list()
    waits = not_processed_yet(settings, control, tenant_id, day, failed=day not in days)
    if waits is not None:
        return waits
    if day in days:
        return known
    if not days:
        return NotFound(f"{tenant_id} has no data yet", remedy="send some, and try again in a minute")
    return NotFound(f"there is no data of {day}", remedy=f"the last day with data is {max(days)}")


# ------------------------------------------------------------------------------------------------- show
_SECTIONS = {
    "momentum": "What moved",
    "blockers": "In the way",
    "next_steps": "Next",
    "data_quality": "About the data",
}


def show_brief(console: Console, brief: Brief) -> None:
    """Print the brief with numbered evidence, the ids at the end."""
    numbers = {one.fact_id: n for n, one in enumerate(brief.evidence, start=1)}
    console.print(Text(f"Brief of {brief.primary_date:%A %Y-%m-%d}, {brief.subject.id}", style="bold"))
    console.print()
    console.print(_said(brief.headline, numbers, style="bold"))
    for heading, statements in _sections(brief):
        console.print()
        console.print(Text(heading, style="bold cyan"))
        for one in statements:
            indent = 4 if one.kind is StatementKind.RECOMMENDATION else 2
            console.print(Padding(_said(one, numbers), (0, 0, 0, indent), expand=False))
    console.print()
    console.print(Text("Evidence", style="bold cyan"))
    for identifier, n in numbers.items():
        console.print(Text(f"  [{n}] {identifier}", style="dim"), soft_wrap=True)
    console.print(Text(_provenance(brief), style="dim"))


def _sections(brief: Brief) -> Iterator[tuple[str, Iterable[Stated]]]:
    pairs = [one for pair in brief.insights for one in (pair.insight, pair.recommendation)]
    for name in ("momentum", "blockers", "next_steps"):
        if statements := getattr(brief, name):
            yield _SECTIONS[name], statements
    if pairs:
        yield "Worth knowing", pairs
    if brief.data_quality:
        yield _SECTIONS["data_quality"], brief.data_quality


def _said(statement: Stated, numbers: dict[str, int], style: str = "") -> Text:
    cited = sorted({numbers[claim.fact_id] for claim in statement.claims})
    return Text.assemble((statement.text, style), (" " + "".join(f"[{n}]" for n in cited), "dim"))


def _provenance(brief: Brief) -> str:
    made, gate = brief.provenance, brief.grounding
    by = made.writer if made.model is None else f"{made.writer} ({made.model}, prompt {made.prompt_version})"
    checked = gate.accepted + gate.repaired + gate.replaced
    counts = (
        f"; {gate.accepted} accepted, {gate.repaired} repaired, {gate.replaced} replaced" if checked else ""
    )
    fallback = f"; {gate.fallback_reason}" if gate.fallback_reason else ""
    return f"by {by} from {made.context_start} to {made.context_end}, {brief.time_zone}{counts}{fallback}"
