"""A team's brief from the command line, and the way back from its numbers, through real processes."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from tests.e2e.platform import coworkai

pytestmark = pytest.mark.timeout(300)

DAY = (datetime.now(UTC) - timedelta(days=3)).replace(hour=0, minute=0, second=0, microsecond=0)
TEAM = ("ana", "bo", "cy", "di", "ed")
JOBS = (
    "user_id,name,email,role,team,department,manager_id,region,time_zone,schedule_start,schedule_end,"
    "valid_from"
)


def five_at_work(folder: Path) -> None:
    """A team of five on DAY, each with twelve activities of five minutes."""
    folder.mkdir()
    rows = [f"{user},,,,Sales,Trade,,,UTC,09:00,17:00,{DAY:%Y-%m-01}" for user in TEAM]
    (folder / "jobs.csv").write_text("\n".join([JOBS, *rows, ""]), encoding="utf-8")
    with (folder / "activities.ndjson").open("w", encoding="utf-8") as file:
        for number in range(12 * len(TEAM)):
            start = DAY + timedelta(hours=9, minutes=5 * (number % 12))
            record = {
                "event_id": str(UUID(int=number + 1)),
                "user_id": TEAM[number // 12],
                "start": start.isoformat(),
                "end": (start + timedelta(minutes=5)).isoformat(),
                "exec": "code",
                "title": "main.py",
            }
            file.write(json.dumps(record) + "\n")


def test_a_team_has_a_brief_whose_numbers_lead_to_its_workers_and_their_events(tmp_path: Path) -> None:
    records, data = tmp_path / "records", tmp_path / "my data"
    five_at_work(records)
    on = f"{DAY:%Y-%m-%d}"
    where = ("--tenant", "acme", "--data", data)
    coworkai("process", records, "--data", data, "--tenant", "acme", "--identity", "plain")

    brief = json.loads(coworkai("brief", "--team", "Sales", "--date", on, *where, "--json"))
    assert (brief["subject"]["kind"], brief["subject"]["id"]) == ("team", "Sales")
    shown = coworkai("brief", "--team", "Sales", "--date", on, *where)
    assert shown.startswith(f"Brief of {DAY:%A} {on}, Sales\n")
    fact = f"group:team:Sales:day:{on}:active_s"
    assert fact in {one["fact_id"] for one in brief["evidence"]}

    group = coworkai("lineage", fact, *where).splitlines()
    assert f"made of  5 facts: {', '.join(f'kpi:{user}:{on}:active_s' for user in TEAM)}" in group
    step = f"coworkai lineage kpi:ana:{on}:active_s --tenant acme --data '{data}'"
    assert group[-1] == f"next     {step}"

    first = coworkai(*shlex.split(step)[1:])
    assert "12 of bronze/activities@" in first
    assert "and 2 more" in first
    assert "--all lists every id" in first
    everything = coworkai("lineage", f"kpi:ana:{on}:active_s", "--all", *where)
    assert all(str(UUID(int=number)) in everything for number in range(1, 13))
    assert "and 2 more" not in everything
    assert "--all" not in everything
