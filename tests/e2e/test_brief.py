"""A worker's brief, through real processes: an end-of-day manifest is sent, and a brief names its goals."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import polars as pl
import pytest
from tests.e2e.platform import Up, coworkai, up, wait_until

from coworkai.common.control import Stage
from coworkai.common.errors import CoworkError
from coworkai.common.lake import Lake
from coworkai.common.published import read_published
from coworkai.common.tables import GOLD_BRIEFS

pytestmark = pytest.mark.timeout(300)

GOAL = "Agree the rota with the night shift"


def send(running: Up, key: str, source: str, *records: dict[str, object]) -> None:
    body = {
        "tenant_id": "acme",
        "device_id": "laptop-1",
        "collector": "test/1",
        "sent_at": datetime.now(UTC).isoformat(),
        "records": [{"event_id": str(uuid4()), "user_id": "ana", **record} for record in records],
    }
    answer = httpx.post(
        f"{running.urls['ingest']}/v1/telemetry/{source}",
        json=body,
        headers={"authorization": f"Bearer {key}"},
        timeout=30,
    )
    assert answer.status_code in {200, 202, 204}, answer.text


def briefs(data: Path) -> pl.DataFrame:
    """Worker briefs as published, versions in order; none where nothing is there yet."""
    try:
        rows = read_published(Lake(str(data / "lake")), GOLD_BRIEFS, "acme", Stage.STAGE2).collect()
    except CoworkError:
        return GOLD_BRIEFS.empty()
    return rows.filter(subject_kind="worker").sort("version")


def test_an_end_of_day_manifest_leads_to_a_brief_that_names_its_goals_within_a_minute(tmp_path: Path) -> None:
    coworkai("tenant", "set", "acme", "--data", tmp_path)
    key = coworkai("key", "create", "acme", "--data", tmp_path).strip()
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    worked: dict[str, object] = {
        "exec": "code",
        "title": "main.py",
        "start": (day + timedelta(hours=9)).isoformat(),
        "end": (day + timedelta(hours=11)).isoformat(),
    }
    declared: dict[str, object] = {"at": (day + timedelta(hours=8)).isoformat(), "goals": [GOAL, "Clean up"]}
    with up(tmp_path) as running:
        send(running, key, "activities", worked)
        send(running, key, "manifests", {"kind": "SOD", **declared})
        wait_until(lambda: not briefs(tmp_path).is_empty(), 60)
        sent_at = time.monotonic()
        ended = (day + timedelta(hours=17)).isoformat()
        send(running, key, "manifests", {"kind": "EOD", "at": ended, "goals": [GOAL]})
        wait_until(lambda: done(tmp_path, day), 60)
        assert time.monotonic() - sent_at < 60
        asked = ("--tenant", "acme", "--user", "ana", "--date", f"{day:%Y-%m-%d}", "--data", tmp_path)
        assert GOAL in coworkai("brief", *asked)
    assert all("ERROR" not in path.read_text() for path in (tmp_path / "logs").iterdir())


def done(data: Path, day: datetime) -> bool:
    """Whether the newest brief of the day says that the goal is done."""
    rows = briefs(data).filter(date=day.date())
    if rows.is_empty():
        return False
    evidence = json.loads(rows["brief_json"][-1])["evidence"]
    return any(one["fields"].get("name") == GOAL and one["fields"]["status"] == "done" for one in evidence)
