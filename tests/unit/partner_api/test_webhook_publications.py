"""What is published becomes events: once, whichever message comes, or none."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.unit.partner_api.conftest import Api
from tests.unit.partner_api.gold_lake import GoldLake, day, kpis, rows
from tests.unit.partner_api.webhook_partner import Partner, partner_of

from coworkai.common.control import Stage
from coworkai.common.outputs import Outputs
from coworkai.common.tables import GOLD_BRIEFS, GOLD_KPI_DAILY, GOLD_KPI_LATTICE, SILVER_HEALTH
from coworkai.partner_api.webhooks.event_types import EventType, ExportReady
from coworkai.partner_api.webhooks.events import Occurrence

BEFORE = datetime(2026, 10, 27, tzinfo=UTC)
"""An hour before the lake of the tests begins to publish."""


@pytest.fixture
def gold(tmp_path: Path) -> GoldLake:
    return GoldLake(tmp_path / "lake")


@pytest.fixture
def partner(start: Callable[..., Api]) -> Partner:
    partner = partner_of(start)
    partner.api.now = BEFORE
    return partner


def push(partner: Partner, topic: str = "gold-updated", body: Mapping[str, object] | None = None) -> int:
    """Push a message as the bus does; the status of the answer."""
    data = json.dumps(body or {"tenant_id": "acme", "stage": "stage1", "run_ids": {}, "versions": {}})
    message = {
        "data": base64.b64encode(data.encode()).decode(),
        "messageId": "1",
        "publishTime": "2026-10-27T01:02:00Z",
    }
    return partner.api.post(f"/push/{topic}", json={"message": message, "subscription": "s"}).status_code


def told(partner: Partner, event_type: str | None = None) -> list[dict[str, object]]:
    """Data of the events of the type that have arrived by now."""
    partner.api.now = BEFORE + timedelta(hours=2)
    partner.send()
    return [body["data"] for body in partner.received(event_type)]


def test_a_day_that_is_published_is_told_of_once_however_often_it_is_pushed(
    partner: Partner, gold: GoldLake
) -> None:
    partner.register()
    version = gold.publish_kpis(day(0))
    assert [push(partner), push(partner), push(partner, "brief-ready")] == [204] * 3
    expected = {
        "date": "2026-10-26",
        "status": "succeeded",
        "run_id": "run0-2026-10-26",
        "data_version": version,
    }
    assert told(partner, "day.ready") == [expected]
    partner.api.services.webhooks.publications._seen.clear()
    push(partner)
    assert told(partner) == [expected]


def test_an_event_is_kept_before_the_push_is_answered(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["day.ready"])
    gold.publish_kpis(day(0))
    push(partner)
    (delivery,) = partner.deliveries()
    assert delivery["event_type"] == "day.ready"


def test_what_no_message_told_of_is_found_by_the_next_look(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["day.ready"])
    gold.publish_kpis(day(0))
    assert len(told(partner)) == 1


def test_late_data_make_a_day_ready_again(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["day.ready"])
    gold.publish_kpis(day(0))
    push(partner)
    gold.publish_kpis(day(0), offset=1)
    push(partner)
    assert [each["run_id"] for each in told(partner)] == ["run0-2026-10-26", "run1-2026-10-26"]


def test_what_was_published_before_anybody_asked_is_not_told(partner: Partner, gold: GoldLake) -> None:
    gold.publish_kpis(day(0))
    partner.api.now = gold.published_at() + timedelta(seconds=1)
    partner.register(event_types=["day.ready"])
    push(partner)
    gold.publish_kpis(day(1))
    push(partner)
    assert [each["date"] for each in told(partner)] == ["2026-10-27"]


def test_an_endpoint_that_comes_later_is_told_of_later_events_only(partner: Partner, gold: GoldLake) -> None:
    first = partner.register(event_types=["day.ready"])
    gold.publish_kpis(day(0))
    partner.api.now = gold.published_at() + timedelta(seconds=1)
    second = partner.register("https://other.example.com/", event_types=["day.ready"])
    gold.publish_kpis(day(1))
    push(partner)
    assert [len(partner.deliveries(endpoint_id=each)) for each in (first, second)] == [2, 1]


def test_tables_that_maintenance_publishes_again_are_no_news(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["day.ready"])
    gold.publish_kpis(day(0))
    assert len(told(partner)) == 1

    def publish_again(at: datetime) -> None:
        gold.fence += 1
        Outputs.open(gold.lake, "acme", Stage.STAGE1, gold.fence).publish_again(at)
        partner.api.now = at
        push(partner)
        assert partner.send() == {}

    publish_again(partner.api.now + timedelta(minutes=30))
    partner.wait(days=60)
    partner.api.services.control.purge()
    assert partner.deliveries() == [], "the event is not forgotten, and the test shows nothing"
    publish_again(partner.api.now)


def test_other_tenants_are_told_nothing(partner: Partner, gold: GoldLake) -> None:
    partner.register()
    gold.publish({day(0): {GOLD_KPI_DAILY.id: kpis(["ana"], day(0))}}, tenant_id="globex")
    push(partner, body={"tenant_id": "globex"})
    push(partner, body={"tenant_id": "nobody"})
    assert told(partner) == []


def test_each_brief_that_is_published_is_told_of_without_whose_it_is(
    partner: Partner, gold: GoldLake
) -> None:
    partner.register(event_types=["brief.ready"])
    briefs = rows(
        GOLD_BRIEFS,
        {"date": day(0), "subject_kind": "worker", "subject_id": "user_ana", "brief_id": "b1", "version": 1},
        {"date": day(0), "subject_kind": "team", "subject_id": "Platform", "brief_id": "b2", "version": 1},
    )
    version = gold.publish({day(0): {GOLD_BRIEFS.id: briefs}}, stage=Stage.STAGE2)
    push(partner, "brief-ready", {"tenant_id": "acme", "brief_ids": ["b1", "b2"]})
    same = {"version": 1, "date": "2026-10-26", "run_id": "run-2026-10-26", "data_version": version}
    assert sorted(told(partner), key=repr) == sorted(
        [
            {"brief_id": "b1", "subject_kind": "worker", **same},
            {"brief_id": "b2", "subject_kind": "team", **same},
        ],
        key=repr,
    )
    assert b"user_ana" not in b"".join(request.body for request in partner.receiver.requests)


def health(records: Mapping[int, int]) -> dict[object, dict[str, pl.DataFrame]]:
    """Days of one worker's audit with so many records each."""
    return {
        day(number): {
            SILVER_HEALTH.id: rows(
                SILVER_HEALTH,
                {
                    "date": day(number),
                    "user_id": "user_ana",
                    "device_id": "device_1",
                    "source": "activities",
                    "records": count,
                    "duplicates": 0,
                    "quarantined": 0,
                    "late_records": 0,
                },
            )
        }
        for number, count in records.items()
    }


def test_an_anomaly_is_told_of_when_it_appears_and_not_again(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["anomaly.detected"])
    gold.publish(health(dict.fromkeys(range(10), 100)), stage=Stage.SILVER)  # type: ignore[arg-type]
    push(partner)
    assert told(partner) == []
    partner.api.now = BEFORE
    version = gold.publish(health({10: 9_000}), stage=Stage.SILVER, run="more")  # type: ignore[arg-type]
    push(partner)
    gold.publish(health({10: 9_001}), stage=Stage.SILVER, run="late")  # type: ignore[arg-type]
    push(partner)
    assert told(partner) == [
        {"date": "2026-11-05", "anomalies": 1, "run_id": "more-2026-11-05", "data_version": version}
    ]


def test_published_metrics_are_told_of_without_a_data_version(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["metrics.published"])
    gold.publish({day(0): {GOLD_KPI_LATTICE.id: GOLD_KPI_LATTICE.empty()}}, stage=Stage.LATTICE)
    push(partner)
    assert told(partner) == [
        {"start_date": "2026-10-26", "end_date": "2026-10-26", "run_id": "run-2026-10-26"}
    ]


def test_an_occurrence_is_kept_once_and_only_for_those_who_want_it(partner: Partner) -> None:
    services = partner.api.services
    wants = partner.register(event_types=["export.ready"])
    partner.register(event_types=["day.ready"])
    ready = Occurrence(
        EventType.EXPORT_READY, "exp_1", partner.api.now, ExportReady(export_id="exp_1", data_version=3)
    )
    emitted = []
    for _ in range(2):
        with services.database.write() as connection:
            emitted.append(services.webhooks.events.emit(connection, "acme", [ready]))
    assert emitted == [1, 0]
    assert [each["endpoint_id"] for each in partner.deliveries()] == [wants]


def test_an_export_that_is_ready_is_told_of(partner: Partner, gold: GoldLake) -> None:
    partner.register(event_types=["export.ready"])
    version = gold.publish_kpis(day(0))
    asked = {"resource": "kpis/daily", "start_date": "2026-10-26", "end_date": "2026-10-26"}
    made = partner.api.post("/v1/exports", key=partner.key, json=asked)
    assert made.status_code == 202, made.text
    assert partner.api.run(partner.api.services.exporter.make_next())
    assert told(partner) == [{"export_id": made.json()["export_id"], "data_version": version}]


def test_a_message_that_is_none_is_refused(partner: Partner) -> None:
    assert push(partner, body={"tenant": "acme"}) == 400
    assert partner.api.post("/push/gold-updated", json={"hello": "there"}).status_code == 400


def test_pushes_and_tasks_need_the_token_of_the_bus_where_it_signs(start: Callable[..., Api]) -> None:
    partner = partner_of(start, push_auth=True, push_audience="us", push_service_account="bus@example.com")
    assert push(partner) == 401
    assert partner.api.post("/tasks/deliver").status_code == 401
    assert partner.api.post("/tasks/deliver", key=partner.key).status_code == 401


def test_the_scheduler_is_told_what_was_done(partner: Partner) -> None:
    answer = partner.api.post("/tasks/deliver")
    assert (answer.status_code, answer.json()) == (200, {"events": 0, "attempts": {}})
