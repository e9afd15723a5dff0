"""A worker's day with something of everything, as a report: `tests/golden/workblock_report.md`.

python -m tests.unit.runner.kpis.example_day   writes the golden file again
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
from tests.unit.runner.kpis.frames import (
    accounting,
    at,
    block,
    blocks,
    health,
    idle,
    keys,
    keystrokes,
    kpi_inputs,
    org,
    pair,
    slice_,
    slices,
    usage,
)

from coworkai.runner.stage1.focus import default_focus_table
from coworkai.runner.stage1.kpis import measured_days
from coworkai.runner.stage1.report import Report, ReportInputs, reports

GOLDEN = Path(__file__).parents[3] / "golden" / "workblock_report.md"
WORKER = "user_5f1d09a7c2be48de90314c77"
DAY = date(2024, 3, 31)
"""Central Europe moves its clocks forward on this day."""


def example_inputs() -> ReportInputs:
    article, tracker = "https://medium.com/article", "https://acme.atlassian.net/browse/COW-7?view=<query:9c>"
    morning, evening = {"workblock_id": "wb:31my5iJtNx:U0x1:00"}, {"workblock_id": "wb:31my5iJtNx:U0x2:01"}
    inferred = {"is_synthetic": True, "is_gap": True, "multitasking": True}
    hostile = "__init__.py — <b>site</b> | `rm -rf` [docs](javascript:alert(1))\n# no heading \u202egnp.exe"
    of_day = {"user_id": WORKER, "date": DAY}
    cut = slices(
        slice_("terminal", "00:30", "00:50", date=DAY, title="deploy@build-3: ~/site", **morning),
        slice_("chrome", "00:50", "00:51", date=DAY, url=article, **morning),
        slice_(
            "chrome", "00:51", "00:52", date=DAY, url=article, keystroke_minutes=1, key_count=1, **morning
        ),
        slice_("chrome", "00:52", "01:10", date=DAY, url=article, idle_s=240.0, **morning),
        slice_(
            "code",
            "01:10",
            "01:11",
            date=DAY,
            title=hostile,
            keystroke_minutes=2,
            key_count=184,
            ambiguous=True,
            cross_app=True,
            **morning,
        ),
        slice_("code", "01:11", "02:04:30", date=DAY, title="pricing_table.py — site", **morning),
        slice_("excel", "09:00", "09:12", date=DAY, title="Q1 forecast.xlsx", sequence=1, **evening),
        slice_(
            "slack",
            "09:14",
            "09:15",
            date=DAY,
            sequence=2,
            keystroke_minutes=1,
            key_count=31,
            **inferred,
            **evening,
        ),
        slice_(
            "word",
            "09:14",
            "09:15",
            date=DAY,
            sequence=3,
            keystroke_minutes=1,
            key_count=12,
            **inferred,
            **evening,
        ),
        slice_("chrome", "09:20", "09:20:02", date=DAY, url=tracker, sequence=4, **evening),
        **of_day,
    )
    found = blocks(
        block(
            "00:30",
            "02:04:30",
            date=DAY,
            idle_s=240.0,
            slice_count=6,
            app_count=3,
            keystroke_minutes=3,
            **morning,
        ),
        block(
            "09:00",
            "09:20:02",
            date=DAY,
            active_s=782.0,
            slice_count=4,
            app_count=4,
            keystroke_minutes=2,
            is_continuation=True,
            **evening,
        ),
        **of_day,
    )
    counted = accounting(
        {
            "raw_s": 6902.000125,
            "kept_s": 6512.000125,
            "overlapped_s": 390.0,
            "keystroke_minutes": 6,
            "direct": 2,
            "nearest": 1,
            "gap": 2,
            "orphan": 1,
            "cross_app": 1,
            "synthetic_s": 120.0,
            "noise_s": 60.0,
            "noise_blocks": 1,
            "noise_keystroke_minutes": 1,
        },
        **of_day,
    )
    declared = pair(
        {
            "sod_at": at("00:25", DAY),
            "goals": ["Ship the pricing page", "Call <email:0f3a> back | *today*"],
            "goals_done": ["Ship the pricing page"],
            "eod_at": at("09:30", DAY),
            "focus_areas": ["pricing", "support"],
            "reflection": "Late start.\n\n> Not a quote, & not &lt;html&gt; either.",
            "kpis": [
                {"name": "tickets", "target": 8.0, "actual": 6.0, "unit": "tickets", "attainment": 0.75},
                {"name": "revenue", "target": None, "actual": 1250.5, "unit": "EUR", "attainment": None},
            ],
        },
        **of_day,
    )
    members = org(
        {
            "role": "Engineer",
            "team": "Web",
            "department": "Product",
            "region": "EMEA",
            "manager_id": "user_aa01",
            "time_zone": "Europe/Rome",
            "schedule_start": "09:00",
            "schedule_end": "17:30",
        },
        user_id=WORKER,
    )
    audited = health(
        {
            "source": "activities",
            "device_id": "device_77aa0b1c2d3e4f5061728394",
            "records": 412,
            "duplicates": 3,
            "quarantined": 1,
            "quarantined_by_reason": [{"name": "too_long", "count": 1}],
            "clock_skew_s": -75.25,
            "coverage": 0.153,
            "longest_gap_s": 24930.0,
            "drift_fields": [{"name": "window|id", "count": 412}],
        },
        {
            "source": "keystrokes",
            "device_id": "device_77aa0b1c2d3e4f5061728394",
            "records": 6,
            "late_records": 2,
            "clock_skew_s": 0.4,
            "longest_gap_s": 3600.0,
        },
        {"source": "clipboard", "is_missing": True},
        **of_day,
    )
    typed = keystrokes(
        keys("00:51", 1, keys_copy=1),
        keys("01:10", 184, keys_backspace=12, keys_shortcut=3, keys_enter=5),
        **of_day,
    )
    measures = measured_days(
        kpi_inputs(
            workblocks=found,
            atomic_slices=cut,
            day_accounting=counted,
            keystroke_minutes=typed,
            manifest_pairs=declared,
            org_members=members,
            idle=idle(),
        ),
        default_focus_table(),
    ).kpi_daily
    used = usage(
        {"kind": "app", "rank": 1, "name": "code", "duration_s": 3270.0, "day_share": 0.5071},
        {"kind": "app", "rank": 2, "name": "chrome", "duration_s": 1202.0, "day_share": 0.1864},
        {"kind": "domain", "rank": 1, "name": "medium.com", "duration_s": 1200.0, "day_share": 0.1861},
        {"kind": "url", "rank": 1, "name": article, "duration_s": 1200.0, "day_share": 0.1861},
        {"kind": "url", "rank": 2, "name": tracker, "duration_s": 2.0, "day_share": 0.0003},
        **of_day,
    )
    return ReportInputs(found, cut, used, counted, measures, declared, audited, members)


def shuffled(inputs: ReportInputs, seed: int) -> ReportInputs:
    def frame(name: str) -> pl.DataFrame:
        given: pl.DataFrame = getattr(inputs, name)
        return given.sample(fraction=1, shuffle=True, seed=seed)

    return ReportInputs(**{name: frame(name) for name in ReportInputs.__dataclass_fields__})


def example_report() -> Report:
    (report,) = reports(example_inputs())
    return report


if __name__ == "__main__":
    GOLDEN.write_text(example_report().markdown, encoding="utf-8")
