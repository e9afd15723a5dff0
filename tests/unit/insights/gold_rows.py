"""Small frames of published Gold: what a test names, and plain values for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_FOCUS_BLOCKS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_SLICES,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    SILVER_CHAT,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    Table,
)
from coworkai.insights.fact_rows import GoldFrames

TENANT = "acme"
DAY = date(2024, 1, 10)
"""A Wednesday."""
START = DAY - timedelta(days=6)
USER = "ana"
Row = Mapping[str, Any]


def at(clock: str, day: date = DAY) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), UTC)


def rows(table: Table, *given: Row) -> pl.DataFrame:
    """Rows of the table; null where a row names no value. Raises ValueError for a column it does not have."""
    base = dict.fromkeys(table.schema) | {"tenant_id": TENANT, "date": DAY, "user_id": USER, "run_id": "r"}
    if unknown := {name for row in given for name in row} - set(table.schema):
        raise ValueError(f"{table.id} has no {', '.join(sorted(unknown))}")
    filled = [
        {name: value for name, value in (base | dict(row)).items() if name in table.schema} for row in given
    ]
    return pl.DataFrame(filled, schema=table.schema, orient="row")


def kpi(measure: str, value: float | None, day: date = DAY, user: str = USER) -> dict[str, Any]:
    return {
        "measure": measure,
        "value": value,
        "unit": CATALOGUE[measure].unit.value,
        "date": day,
        "user_id": user,
    }


def kpis(*given: Row) -> pl.DataFrame:
    return rows(GOLD_KPI_DAILY, *given)


def block(n: int, start: str, end: str, day: date = DAY, **values: Any) -> dict[str, Any]:
    duration_s = (at(end, day) - at(start, day)).total_seconds()
    return {
        "workblock_id": f"wb:ana:{day.toordinal()}:{n:02}",
        "date": day,
        "started_at": at(start, day),
        "ended_at": at(end, day),
        "duration_s": duration_s,
        "active_s": duration_s,
        "idle_s": 0.0,
        "slice_count": 3,
        "app_count": 2,
        "keystroke_minutes": 4,
        "is_continuation": False,
        **values,
    }


def blocks(*given: Row) -> pl.DataFrame:
    return rows(GOLD_WORKBLOCKS, *given)


def slices(*given: Row) -> pl.DataFrame:
    return rows(
        GOLD_SLICES, *({"workblock_id": "wb:ana:1:00", "keystroke_minutes": 0, **row} for row in given)
    )


def focus(*given: Row) -> pl.DataFrame:
    return rows(GOLD_FOCUS_BLOCKS, *given)


def usage(*given: Row) -> pl.DataFrame:
    return rows(GOLD_USAGE, *given)


def accounting(*given: Row) -> pl.DataFrame:
    numbers = {
        name: 0.0 if dtype == pl.Float64 else 0
        for name, dtype in GOLD_ACCOUNTING.schema.items()
        if dtype.is_numeric()
    }
    return rows(GOLD_ACCOUNTING, *({**numbers, **row} for row in given))


def pairs(*given: Row) -> pl.DataFrame:
    base = {
        "is_sod_missing": False,
        "is_eod_missing": False,
        "goals": [],
        "goals_done": [],
        "focus_areas": [],
    }
    return rows(SILVER_MANIFEST_PAIRS, *({**base, "kpis": [], **row} for row in given))


def declared(
    name: str, target: float | None, actual: float | None, attainment: float | None, unit: str | None = None
) -> dict[str, Any]:
    return {"name": name, "target": target, "actual": actual, "unit": unit, "attainment": attainment}


def message(number: int, clock: str, text: str | None, day: date = DAY, **values: Any) -> dict[str, Any]:
    return {
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "date": day,
        "occurred_at": at(clock, day),
        "conversation_id": "c",
        "assistant": "ChatGPT",
        "text": text,
        **values,
    }


def chat(*given: Row) -> pl.DataFrame:
    return rows(SILVER_CHAT, *given)


def jobs(*given: Row) -> pl.DataFrame:
    return rows(SILVER_ORG_MEMBERS, *given)


def rollups(*given: Row) -> pl.DataFrame:
    return rows(GOLD_KPI_GROUPS, *given)


def gold(**given: Any) -> GoldFrames:
    """Frames of the window that ends with DAY; every day of it is published, with its artefacts."""
    empty = GoldFrames(
        tenant_id=TENANT,
        tenant_zone="UTC",
        versions={"gold/kpi_daily": 7},
        run_ids={START + timedelta(days=n): f"run{n}" for n in range(7)},
        workblocks=blocks(),
        atomic_slices=slices(),
        usage_statistics=usage(),
        kpi_daily=kpis(),
        focus_blocks=focus(),
        day_accounting=accounting(),
        kpi_group_rollups=rollups(),
        manifests=pairs(),
        chat=chat(),
        jobs=jobs(),
        missing={},
        incomplete=pl.DataFrame(schema={"date": pl.Date, "user_id": pl.String}),
    )
    return replace(empty, **given)


def shuffled(frames: GoldFrames, seed: int) -> GoldFrames:
    """The same rows in another order."""
    found: dict[str, Any] = {field.name: getattr(frames, field.name) for field in fields(frames)}
    mixed: dict[str, Any] = {
        name: value.sample(fraction=1, shuffle=True, seed=seed)
        for name, value in found.items()
        if isinstance(value, pl.DataFrame)
    }
    return replace(frames, **mixed)
