"""Small frames for the tests of measures and reports: what a test names, and plain values for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from coworkai.common.tables import (
    GOLD_ACCOUNTING,
    GOLD_SLICES,
    GOLD_USAGE,
    GOLD_WORKBLOCKS,
    KEY_CLASSES,
    SILVER_CHAT,
    SILVER_HEALTH,
    SILVER_KEYSTROKES,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    Table,
)
from coworkai.runner.stage1.kpis import KpiInputs

DAY = date(2024, 1, 1)
TENANT = "acme"
USER = "alice"
IDLE_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "tenant_id": pl.String,
    "date": pl.Date,
    "user_id": pl.String,
    "started_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
}
Row = Mapping[str, Any]


def at(clock: str, day: date = DAY) -> datetime:
    """`09:00` or `09:00:30` of the day, UTC; `24:00` is the next midnight."""
    hours, *rest = (int(part) for part in clock.split(":"))
    minutes, seconds = (*rest, 0, 0)[:2]
    midnight = datetime.combine(day, time(), UTC)
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def rows(table: Table, *given: Row, **defaults: Any) -> pl.DataFrame:
    """A frame of the table without run_id; null where neither the row nor the defaults name a value."""
    schema = {name: dtype for name, dtype in table.schema.items() if name != "run_id"}
    base = dict.fromkeys(schema) | {"tenant_id": TENANT, "date": DAY, "user_id": USER} | defaults
    filled = [{k: v for k, v in (base | dict(row)).items() if k in schema} for row in given]
    return pl.DataFrame(filled, schema=schema, orient="row")


def slice_(app: str, start: str, end: str, **values: Any) -> dict[str, Any]:
    day = values.get("date", DAY)
    started, ended = at(start, day), at(end, day)
    return {
        "app": app,
        "started_at": started,
        "ended_at": ended,
        "duration_s": (ended - started).total_seconds(),
        **values,
    }


def slices(*given: Row, **defaults: Any) -> pl.DataFrame:
    flags = dict.fromkeys(
        ("ambiguous", "multitasking", "is_synthetic", "is_gap", "is_orphan", "cross_app"), False
    )
    base = flags | {"workblock_id": "wb:a:0:00", "keystroke_minutes": 0, "idle_s": 0.0}
    numbered = [{"sequence": n, **row} for n, row in enumerate(given, start=1)]
    return rows(GOLD_SLICES, *numbered, **(base | defaults))


def block(start: str, end: str, **values: Any) -> dict[str, Any]:
    day = values.get("date", DAY)
    started, ended = at(start, day), at(end, day)
    duration_s = (ended - started).total_seconds()
    return {
        "started_at": started,
        "ended_at": ended,
        "duration_s": duration_s,
        "active_s": duration_s,
        **values,
    }


def blocks(*given: Row, **defaults: Any) -> pl.DataFrame:
    base = {
        "idle_s": 0.0,
        "slice_count": 1,
        "app_count": 1,
        "keystroke_minutes": 0,
        "is_continuation": False,
    }
    named = [{"workblock_id": f"wb:a:0:{n:02}", **row} for n, row in enumerate(given)]
    return rows(GOLD_WORKBLOCKS, *named, **(base | defaults))


def keys(minute: str, key_count: int | None, **values: Any) -> dict[str, Any]:
    """A keystroke minute whose keys are printable but for the classes named."""
    classes = dict.fromkeys(KEY_CLASSES, 0 if key_count is not None else None)
    if key_count is not None:
        classes["keys_printable"] = key_count - sum(values.get(name, 0) for name in classes)
    return {"minute": at(minute), "key_count": key_count, "app": "code", **classes, **values}


def keystrokes(*given: Row, **defaults: Any) -> pl.DataFrame:
    numbered = [{"event_id": f"k{n}", **row} for n, row in enumerate(given)]
    return rows(SILVER_KEYSTROKES, *numbered, **({"capture": "counts"} | defaults))


def pair(*given: Row, **defaults: Any) -> pl.DataFrame:
    base: dict[str, Any] = {"is_sod_missing": False, "is_eod_missing": False}
    base |= {name: [] for name in ("goals", "goals_done", "focus_areas", "kpis", "revisions")}
    return rows(SILVER_MANIFEST_PAIRS, *given, **(base | defaults))


def org(*given: Row, **defaults: Any) -> pl.DataFrame:
    base = {"valid_from": date(2023, 1, 1), "date": date(2023, 1, 1), "is_current": True}
    return rows(SILVER_ORG_MEMBERS, *given, **(base | defaults))


def accounting(*given: Row, **defaults: Any) -> pl.DataFrame:
    numbers = {
        name: 0 for name in GOLD_ACCOUNTING.schema if name not in {"tenant_id", "date", "user_id", "run_id"}
    }
    return rows(GOLD_ACCOUNTING, *given, **(numbers | defaults))


def usage(*given: Row, **defaults: Any) -> pl.DataFrame:
    return rows(GOLD_USAGE, *given, **defaults)


def health(*given: Row, **defaults: Any) -> pl.DataFrame:
    numbers = dict.fromkeys(("records", "duplicates", "quarantined", "late_records", "evidence_minutes"), 0)
    base = numbers | {"quarantined_by_reason": [], "drift_fields": [], "is_missing": False}
    return rows(SILVER_HEALTH, *given, **(base | defaults))


def chat(*given: Row, **defaults: Any) -> pl.DataFrame:
    numbered = [{"event_id": f"c{n}", **row} for n, row in enumerate(given)]
    return rows(SILVER_CHAT, *numbered, **defaults)


def idle(*stretches: tuple[str, str], user_id: str = USER) -> pl.DataFrame:
    return pl.DataFrame(
        [(TENANT, DAY, user_id, at(since), at(until)) for since, until in stretches],
        schema=IDLE_COLUMNS,
        orient="row",
    )


def kpi_inputs(**frames: pl.DataFrame) -> KpiInputs:
    empty = {
        "workblocks": blocks(),
        "atomic_slices": slices(),
        "day_accounting": accounting(),
        "keystroke_minutes": keystrokes(),
        "manifest_pairs": pair(),
        "idle": idle(),
        "org_members": org(),
    }
    return KpiInputs(**(empty | frames))
