"""The rules of Silver and stage 1 as whole stages: Bronze frames in, Silver frames out; Silver in, Gold out.

Pure functions of workers, whole: any number of workers in any number of calls gives the same rows. The local
pipeline and Spark call these, and nothing else, to compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from coworkai.common.outputs import Frames
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_FOCUS_BLOCKS,
    GOLD_KPI_DAILY,
    GOLD_SLICES,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    SILVER_DEVICE_POSTURE,
    SILVER_HEALTH,
    SILVER_KEYSTROKES,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    SILVER_TIMELINE,
)
from coworkai.runner.silver.build import build_silver
from coworkai.runner.stage1.build import build_stage1
from coworkai.runner.stage1.focus import default_focus_table
from coworkai.runner.stage1.idle import idle_intervals
from coworkai.runner.stage1.kpis import KpiInputs, group_rollups, measured_days
from coworkai.runner.stage1.report import Report, ReportInputs, reports

RULES_VERSION = "2"
"""Raised whenever a rule changes what it makes of the same input."""


def silver_stage(bronze: Frames, days: Sequence[date], tenant_zone: str) -> Frames:
    """Silver frames by table id, without run ids, of whole workers on the local dates.

    `bronze`: frames by table id of the workers' rows of event dates [day - 2, day + 1], and the whole
    organisation history.
    Raises AccountingError when the timeline's identity does not hold.
    """
    return build_silver(bronze, days, tenant_zone)


def stage1_stage(silver: Frames, tenant_zone: str, focus: pl.DataFrame) -> Frames:
    """Gold frames by table id but the group rollups, without run ids, of whole workers' days.

    `silver`: frames by table id of those days, and the whole organisation history. `focus`: a table of
    `focus.parse_focus_table`. Raises AccountingError when a keystroke minute is not matched once.
    """
    idle = idle_intervals(silver[SILVER_DEVICE_POSTURE.id])
    stage1 = build_stage1(
        silver[SILVER_TIMELINE.id], silver[SILVER_KEYSTROKES.id], idle, silver[SILVER_HEALTH.id]
    )
    measured = measured_days(
        KpiInputs(
            workblocks=stage1.workblocks,
            atomic_slices=stage1.atomic_slices,
            day_accounting=stage1.day_accounting,
            keystroke_minutes=silver[SILVER_KEYSTROKES.id],
            manifest_pairs=silver[SILVER_MANIFEST_PAIRS.id],
            idle=idle,
            org_members=silver[SILVER_ORG_MEMBERS.id],
        ),
        focus,
        tenant_zone=tenant_zone,
    )
    return {
        GOLD_WORKBLOCKS.id: stage1.workblocks,
        GOLD_SLICES.id: stage1.atomic_slices,
        GOLD_USAGE.id: stage1.usage_statistics,
        GOLD_ACCOUNTING.id: stage1.day_accounting,
        GOLD_KPI_DAILY.id: measured.kpi_daily,
        GOLD_FOCUS_BLOCKS.id: measured.focus_blocks,
    }


def reports_stage(frames: Frames, tenant_zone: str) -> Iterable[Report]:
    """A report for every worker-day of the Gold and Silver frames by table id, by date and worker."""
    return reports(
        ReportInputs(
            workblocks=frames[GOLD_WORKBLOCKS.id],
            atomic_slices=frames[GOLD_SLICES.id],
            usage_statistics=frames[GOLD_USAGE.id],
            day_accounting=frames[GOLD_ACCOUNTING.id],
            kpi_daily=frames[GOLD_KPI_DAILY.id],
            manifest_pairs=frames[SILVER_MANIFEST_PAIRS.id],
            telemetry_health=frames[SILVER_HEALTH.id],
            org_members=frames[SILVER_ORG_MEMBERS.id],
        ),
        tenant_zone=tenant_zone,
    )


@dataclass(frozen=True, slots=True)
class TenantRules:
    """What a tenant is computed with; the stages are the ones above."""

    tenant_zone: str
    focus: pl.DataFrame
    version: str = RULES_VERSION
    silver: Callable[[Frames, Sequence[date], str], Frames] = silver_stage
    stage1: Callable[[Frames, str, pl.DataFrame], Frames] = stage1_stage
    rollups: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame] = group_rollups
    reports: Callable[[Frames, str], Iterable[Report]] = reports_stage

    @classmethod
    def of_zone(cls, tenant_zone: str) -> TenantRules:
        """The rules as they come, for a tenant of this time zone."""
        return cls(tenant_zone, default_focus_table())
