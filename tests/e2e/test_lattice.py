"""The attack on the privacy gate, on the sample organisation: all that a key of aggregate reach can get, over
groups, levels and periods, before and after late data, through the real platform and the API.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

import httpx
import polars as pl
import pytest
from tests.e2e.platform import process
from tests.unit.runner.lattice.attack import (
    answers_of,
    isolated_by_elimination,
    isolated_by_pairs_and_triples,
)

from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_LATTICE, OPS_LATTICE_CONTRIBUTIONS
from coworkai.local.sample import write_organisation
from coworkai.partner_api.app import create_app
from coworkai.partner_api.credentials import Grant
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.settings import PartnerApiSettings

pytestmark = pytest.mark.timeout(300)
TENANT = "sample"
BASE = "http://partner"


def answered(data: Path, first: date, last: date) -> pl.DataFrame:
    """Every cell that a new key of aggregate reach gets, as rows of the lattice."""

    async def ask() -> list[dict[str, Any]]:
        app = create_app(PartnerApiSettings(data_dir=data, public_url=BASE))
        async with app.api.router.lifespan_context(app.api):
            services = app.api.state.services
            grant = Grant(frozenset(Scope), Reach.AGGREGATE, None)
            key = services.credentials.create_key(TENANT, "attacker", grant, actor="test").secret
            client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE)
            found: list[dict[str, Any]] = []
            for period in ("day", "week"):
                for level in ("team", "department", None):
                    query = {
                        "measures": list(CATALOGUE),
                        "group_by": [period, *([level] if level else [])],
                        "start_date": first.isoformat(),
                        "end_date": last.isoformat(),
                    }
                    headers = {"authorization": f"Bearer {key}"}
                    answer = await client.post("/v1/metrics/query", json=query, headers=headers)
                    assert answer.status_code == 200, answer.text
                    found += answer.json()["data"]
            await client.aclose()
            return found

    rows = asyncio.run(ask())
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("date").str.to_date())


def contributed(data: Path) -> pl.DataFrame:
    return pl.read_delta(str(data / "lake" / OPS_LATTICE_CONTRIBUTIONS.path(TENANT)))


def late(folder: Path, zones: Mapping[str, str], day: date) -> Path:
    """Three quarters of an hour more of each worker's evening, sent now."""
    folder.mkdir()
    with (folder / "activities.ndjson").open("w", encoding="utf-8") as file:
        for n, (user, zone) in enumerate(zones.items()):
            start = datetime(day.year, day.month, day.day, 21, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            record = {
                "event_id": str(uuid5(NAMESPACE_URL, f"{folder.name}/{user}")),
                "user_id": user,
                "start": start.isoformat(),
                "end": (start + timedelta(minutes=45 + n)).isoformat(),
                "exec": "code",
                "title": "late.py",
            }
            file.write(json.dumps(record) + "\n")
    return folder


def test_nothing_that_aggregate_reach_can_get_isolates_fewer_than_five_workers(tmp_path: Path) -> None:
    records, data = tmp_path / "records", tmp_path / "data"
    facts = write_organisation(records, workers=25, days=1)
    first, last = facts.first_day - timedelta(days=7), facts.last_day + timedelta(days=7)
    people = pl.read_csv(records / "jobs.csv")
    support, accounts = (people.filter(team=name) for name in ("Customer Support", "Key Accounts"))
    zones = dict(pl.concat([support, accounts[:1]]).select("user_id", "time_zone").iter_rows())
    seen = []
    for folder in (records, late(tmp_path / "late", zones, facts.last_day)):
        process(folder, data)
        seen.append((answered(data, first, last), contributed(data)))

    before, after = (lattice for lattice, _ in seen)
    key = ["date", *GOLD_KPI_LATTICE.key]
    changed = after.join(before, on=[*key, "value"], how="anti", nulls_equal=True)
    assert {"Customer Support", "Operations", TENANT} <= set(changed["group_id"])
    assert "Key Accounts" not in set(changed["group_id"])
    told = before.filter(pl.col("suppressed").is_null())
    assert set(told["level"]) == {"team", "department", "tenant"}
    assert set(told["period"]) == {"day", "week"}
    answers = answers_of(seen, TENANT)
    assert isolated_by_pairs_and_triples(answers, 5) == []
    assert isolated_by_elimination(answers, 5) is None
