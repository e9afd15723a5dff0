"""Webhook endpoints, and what is sent to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.doubles.receiver import Reply
from tests.unit.partner_api.conftest import OTHER_TENANT, TENANT, Api
from tests.unit.partner_api.webhook_partner import ADDRESS, HOST, URL, Partner, is_signed, partner_of

from coworkai.common.control.schema import webhook_endpoints
from coworkai.partner_api.guard import Caller
from coworkai.partner_api.principal import Principal, PrincipalKind, Reach, Scope
from coworkai.partner_api.problems import Refused
from coworkai.partner_api.webhooks.dispatcher import Dispatcher
from coworkai.partner_api.webhooks.endpoints import MAX_ENDPOINTS, MAX_SECRETS
from coworkai.partner_api.webhooks.event_types import PAYLOADS, EventType
from coworkai.partner_api.webhooks.schedule import JITTER, MAX_ATTEMPTS, PAUSES


@pytest.fixture
def partner(start: Callable[..., Api]) -> Partner:
    return partner_of(start)


# -------------------------------------------------------------------------------------------- endpoints
def test_an_endpoint_is_registered_and_its_secret_is_shown_this_once(partner: Partner) -> None:
    endpoint_id = partner.register(description="the warehouse")
    found = partner.endpoint(endpoint_id)
    assert {**found, "secrets": len(found["secrets"])} == {
        "endpoint_id": endpoint_id,
        "url": URL,
        "event_types": sorted(EventType),
        "description": "the warehouse",
        "state": "enabled",
        "disabled_reason": None,
        "failing_since": None,
        "created_at": "2026-11-09T12:00:00Z",
        "updated_at": "2026-11-09T12:00:00Z",
        "secrets": 1,
    }
    assert "secret" not in found
    assert partner.secrets[endpoint_id].startswith("whsec_")
    assert partner.api.get("/v1/webhook-endpoints", key=partner.key).json()["data"] == [found]


def test_no_secret_is_in_the_store_in_clear(partner: Partner, tmp_path: Path) -> None:
    secret = partner.secrets[partner.register()]
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("control.db*"))
    assert URL.encode() in kept
    assert secret.removeprefix("whsec_").encode() not in kept


def test_creating_and_changing_are_in_the_audit_log(partner: Partner) -> None:
    endpoint_id = partner.register()
    partner.api.request(
        "PATCH", f"/v1/webhook-endpoints/{endpoint_id}", key=partner.key, json={"description": "new"}
    )
    partner.api.post(f"/v1/webhook-endpoints/{endpoint_id}/rotate-secret", key=partner.key, json={})
    partner.api.request("DELETE", f"/v1/webhook-endpoints/{endpoint_id}", key=partner.key)
    for action in ("created", "changed", "secret_rotated", "deleted"):
        (event,) = partner.audited(f"webhook_endpoint.{action}")
        assert (event.target, event.request_id is None) == (endpoint_id, False)


@pytest.mark.parametrize(
    "body",
    [
        {"url": "https://10.0.0.1/hook"},
        {"url": "https://nowhere.example.com/hook"},
        {"url": "http://hooks.example.com/hook"},
        {"url": "https://user:password@hooks.example.com/"},
        {"url": ""},
        {"event_types": []},
        {"event_types": ["brief.deleted"]},
        {"event_types": ["ping"]},
        {"secret": "mine"},
    ],
)
def test_an_endpoint_that_cannot_be_is_refused_with_where_and_why(partner: Partner, body: object) -> None:
    asked = {"url": URL, "event_types": ["brief.ready"], **body}  # type: ignore[dict-item]
    answer = partner.api.post("/v1/webhook-endpoints", key=partner.key, json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert answer.json()["errors"][0]["field"].startswith("body.")
    assert partner.api.get("/v1/webhook-endpoints", key=partner.key).json()["data"] == []


def test_what_an_event_leads_to_must_be_readable_by_whoever_subscribes(partner: Partner) -> None:
    api = partner.api
    only = api.key(Scope.WEBHOOKS, Scope.BRIEFS)
    body = {"url": URL, "event_types": ["brief.ready"]}
    assert api.post("/v1/webhook-endpoints", key=only, json=body).status_code == 201
    refused = api.post("/v1/webhook-endpoints", key=only, json={**body, "event_types": ["day.ready"]})
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_scope")


def test_aggregate_reach_is_told_of_published_metrics_only(partner: Partner) -> None:
    key = partner.api.key(reach=Reach.AGGREGATE)
    for event_type in EventType:
        answer = partner.api.post(
            "/v1/webhook-endpoints", key=key, json={"url": URL, "event_types": [event_type]}
        )
        expected = 201 if event_type is EventType.METRICS_PUBLISHED else 403
        assert (event_type, answer.status_code) == (event_type, expected)


def test_an_endpoint_whose_events_one_may_not_have_is_not_found(partner: Partner) -> None:
    endpoint_id = partner.register()
    delivery_id = partner.ping(endpoint_id)
    api = partner.api
    strangers = {
        "aggregate reach": api.key(reach=Reach.AGGREGATE),
        "fewer scopes": api.key(Scope.WEBHOOKS, Scope.BRIEFS),
        "another tenant": api.key(tenant=OTHER_TENANT),
    }
    of_endpoint, of_delivery = f"/v1/webhook-endpoints/{endpoint_id}", f"/v1/webhook-deliveries/{delivery_id}"
    for who, key in strangers.items():
        answers = [
            api.get(of_endpoint, key=key),
            api.request("PATCH", of_endpoint, key=key, json={"url": "https://other.example.com/"}),
            api.request("DELETE", of_endpoint, key=key),
            api.post(f"{of_endpoint}/rotate-secret", key=key, json={}),
            api.post(f"{of_endpoint}/ping", key=key),
            api.get(of_delivery, key=key),
            api.post(f"{of_delivery}/redeliver", key=key),
        ]
        assert (who, [answer.status_code for answer in answers]) == (who, [404] * len(answers))
        assert api.get("/v1/webhook-endpoints", key=key).json()["data"] == []
        assert api.get("/v1/webhook-deliveries", key=key).json()["data"] == []
    assert partner.endpoint(endpoint_id)["url"] == URL


def test_keys_limited_to_some_workers_and_worker_tokens_have_no_webhooks(partner: Partner) -> None:
    limited = partner.api.key(workers={"user_1"})
    for key in (limited, partner.api.worker_token("user_1")):
        assert partner.api.get("/v1/webhook-endpoints", key=key).status_code == 403


def caller_of(partner: Partner, operation_id: str) -> Caller:
    principal = Principal(
        PrincipalKind.API_KEY, "key_1", "a partner", TENANT, Reach.INDIVIDUAL, frozenset(Scope)
    )
    return Caller(principal, "req_1", operation_id, partner.api.services.access_log)


def test_an_operation_that_died_half_way_makes_nothing_twice(partner: Partner) -> None:
    webhooks = partner.api.services.webhooks
    caller = caller_of(partner, "operation")
    first = webhooks.endpoints.create(caller, URL, [EventType.DAY_READY], "")
    assert webhooks.endpoints.create(caller, URL, [EventType.DAY_READY], "") == first
    endpoint_id = first[0].endpoint_id
    rotated = webhooks.endpoints.rotate(caller_of(partner, "another"), endpoint_id, timedelta(hours=1))
    assert (
        webhooks.endpoints.rotate(caller_of(partner, "another"), endpoint_id, timedelta(hours=1)) == rotated
    )
    assert webhooks.deliveries.ping(caller, endpoint_id) == webhooks.deliveries.ping(caller, endpoint_id)
    partner.send()
    (sent,) = partner.deliveries()
    again = webhooks.deliveries.redeliver(caller_of(partner, "third"), sent["delivery_id"])
    assert webhooks.deliveries.redeliver(caller_of(partner, "third"), sent["delivery_id"]) == again
    assert len(partner.deliveries()) == 2


def test_a_tenant_has_so_many_endpoints_and_no_more(partner: Partner) -> None:
    create = partner.api.services.webhooks.endpoints.create
    for number in range(MAX_ENDPOINTS):
        create(caller_of(partner, f"operation{number}"), URL, [EventType.DAY_READY], "")
    with pytest.raises(Refused) as refused:
        create(caller_of(partner, "one more"), URL, [EventType.DAY_READY], "")
    assert refused.value.status == 409


# ---------------------------------------------------------------------------------------------- sending
def test_an_event_arrives_signed_and_its_delivery_says_so(partner: Partner) -> None:
    endpoint_id = partner.register()
    delivery_id = partner.ping(endpoint_id)
    assert partner.send() == {"delivered": 1}
    (request,) = partner.receiver.requests
    assert (request.host, request.path) == (HOST, "/coworkai")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "type": "ping",
        "timestamp": "2026-11-09T12:00:00Z",
        "data": {"endpoint_id": endpoint_id},
    }
    assert is_signed(request, partner.secrets[endpoint_id])
    assert not is_signed(request, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = partner.delivery(delivery_id)
    assert (found["event_id"], found["state"], found["attempts"]) == (
        request.headers["webhook-id"],
        "delivered",
        1,
    )
    (attempt,) = found["log"]
    assert (attempt["attempt"], attempt["status_code"], attempt["error"]) == (1, 204, None)
    assert partner.send() == {}


def test_what_is_due_is_sent_without_being_asked_for(start: Callable[..., Api]) -> None:
    partner = partner_of(start, watching=True, webhook_every_s=0)
    partner.ping(partner.register())
    partner.api.run(partner.receiver.until(lambda: len(partner.receiver.requests) == 1))


def test_what_is_tried_again_is_found_by_looking(start: Callable[..., Api]) -> None:
    partner = partner_of(start, watching=True, webhook_every_s=0.01)
    receiver = partner.receiver
    receiver.answer = lambda _request: Reply(500)
    delivery_id = partner.ping(partner.register())
    while not partner.delivery(delivery_id)["log"]:
        continue
    partner.wait(seconds=10)
    partner.api.run(receiver.until(lambda: len(receiver.requests) == 2))


def test_what_is_sent_is_connected_to_the_checked_address_with_tls_for_the_host(partner: Partner) -> None:
    partner.ping(partner.register())
    partner.send()
    assert partner.receiver.connected == [(ADDRESS, 443)]
    assert partner.receiver.tls_hosts == [HOST]


def test_while_a_secret_is_replaced_both_sign_and_later_the_new_one_alone(partner: Partner) -> None:
    endpoint_id = partner.register()
    old = partner.secrets[endpoint_id]
    answer = partner.api.post(
        f"/v1/webhook-endpoints/{endpoint_id}/rotate-secret", key=partner.key, json={"overlap_s": 3600}
    )
    new = answer.json()["secret"]
    assert [each["expires_at"] for each in answer.json()["secrets"]] == ["2026-11-09T13:00:00Z", None]
    partner.ping(endpoint_id)
    partner.send()
    partner.wait(hours=1)
    partner.ping(endpoint_id)
    partner.send()
    signed = [[is_signed(request, one) for one in (old, new)] for request in partner.receiver.requests]
    assert signed == [[True, True], [False, True]]


def test_as_many_secrets_as_there_may_be_are_not_exceeded_and_none_holds_longer_than_it_was_to(
    partner: Partner,
) -> None:
    endpoint_id = partner.register()
    rotate = f"/v1/webhook-endpoints/{endpoint_id}/rotate-secret"
    for _ in range(MAX_SECRETS - 1):
        partner.api.post(rotate, key=partner.key, json={"overlap_s": 600})
    partner.wait(minutes=5)
    assert partner.api.post(rotate, key=partner.key, json={"overlap_s": 86_400}).status_code == 409
    now = partner.api.post(rotate, key=partner.key, json={"overlap_s": 0})
    assert (now.status_code, len(now.json()["secrets"])) == (201, 1)


def test_what_fails_is_tried_again_later_each_time_and_at_last_given_up(partner: Partner) -> None:
    partner.receiver.answer = lambda _request: Reply(500)
    delivery_id = partner.ping(partner.register())
    for number, pause in enumerate(PAUSES, 1):
        assert partner.send() == {"retry": 1}
        next_at = timedelta_to_next(partner, delivery_id)
        assert pause <= next_at <= pause * (1 + JITTER)
        partner.wait(seconds=pause.total_seconds() - 1)
        assert partner.send() == {}
        partner.wait(seconds=pause.total_seconds() * JITTER + 1)
        assert partner.delivery(delivery_id)["attempts"] == number
    assert partner.send() == {"failed": 1}
    found = partner.delivery(delivery_id)
    assert (found["state"], found["attempts"], found["next_attempt_at"]) == ("failed", MAX_ATTEMPTS, None)
    assert [one["status_code"] for one in found["log"]] == [500] * MAX_ATTEMPTS
    assert len({request.headers["webhook-id"] for request in partner.receiver.requests}) == 1
    partner.wait(days=30)
    assert partner.send() == {}


def timedelta_to_next(partner: Partner, delivery_id: str) -> timedelta:
    return datetime.fromisoformat(partner.delivery(delivery_id)["next_attempt_at"]) - partner.api.now


@pytest.mark.parametrize("asked", ["7200", "Mon, 09 Nov 2026 14:00:00 GMT"])
def test_who_asks_to_be_left_alone_is(partner: Partner, asked: str) -> None:
    partner.receiver.answer = lambda _request: Reply(503, {"retry-after": asked})
    delivery_id = partner.ping(partner.register())
    partner.send()
    assert timedelta_to_next(partner, delivery_id) == timedelta(hours=2)


def test_nobody_is_left_alone_for_ever(partner: Partner) -> None:
    partner.receiver.answer = lambda _request: Reply(429, {"retry-after": "99999999999"})
    delivery_id = partner.ping(partner.register())
    partner.send()
    assert timedelta_to_next(partner, delivery_id) == timedelta(days=1)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(partner: Partner, status: int) -> None:
    partner.receiver.answer = lambda _request: Reply(status, {"location": "https://other.example.com/"})
    delivery_id = partner.ping(partner.register())
    assert partner.send() == {"retry": 1}
    assert [request.host for request in partner.receiver.requests] == [HOST]
    assert partner.delivery(delivery_id)["log"][0]["status_code"] == status


def test_an_endpoint_that_is_gone_is_disabled_at_once(partner: Partner) -> None:
    endpoint_id = partner.register()
    partner.receiver.answer = lambda _request: Reply(410)
    first, second = partner.ping(endpoint_id), partner.ping(endpoint_id)
    partner.send()
    found = partner.endpoint(endpoint_id)
    assert (found["state"], found["disabled_reason"]) == ("disabled", "gone")
    assert {partner.delivery(one)["state"] for one in (first, second)} <= {"failed", "cancelled"}
    (event,) = partner.audited("webhook_endpoint.disabled")
    assert (event.target, event.detail["reason"]) == (endpoint_id, "gone")
    assert partner.api.post(f"/v1/webhook-endpoints/{endpoint_id}/ping", key=partner.key).status_code == 409


def test_an_endpoint_that_takes_nothing_for_five_days_is_disabled(
    partner: Partner, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint_id = partner.register()
    partner.receiver.answer = lambda _request: Reply(500)
    partner.ping(endpoint_id)
    partner.send()
    assert partner.endpoint(endpoint_id)["failing_since"] == "2026-11-09T12:00:00Z"
    partner.wait(days=6)
    waiting = partner.ping(endpoint_id)
    # Both may still arrive: what was quiet for days is not given up for one failure.
    assert partner.send() == {"retry": 2}
    for _ in range(MAX_ATTEMPTS - 2):
        assert partner.endpoint(endpoint_id)["state"] == "enabled"
        partner.wait(days=2)
        partner.send()
    found = partner.endpoint(endpoint_id)
    assert (found["state"], found["disabled_reason"]) == ("disabled", "failing")
    assert partner.delivery(waiting)["state"] == "cancelled"
    assert len(partner.audited("webhook_endpoint.disabled")) == 1
    (told,) = (record for record in caplog.records if record.getMessage() == "webhook endpoint disabled")
    assert told.__dict__["fields"] == {"endpoint": endpoint_id, "tenant": TENANT, "reason": "failing"}
    changed = partner.api.request(
        "PATCH", f"/v1/webhook-endpoints/{endpoint_id}", key=partner.key, json={"state": "enabled"}
    ).json()
    assert (changed["state"], changed["disabled_reason"], changed["failing_since"]) == ("enabled", None, None)
    partner.receiver.answer = lambda _request: Reply()
    partner.ping(endpoint_id)
    assert partner.send() == {"delivered": 1}


def test_one_success_ends_a_row_of_failures(partner: Partner) -> None:
    endpoint_id = partner.register()
    partner.receiver.answer = lambda _request: Reply(500)
    partner.ping(endpoint_id)
    partner.send()
    partner.receiver.answer = lambda _request: Reply()
    partner.wait(minutes=1)
    assert partner.send() == {"delivered": 1}
    assert partner.endpoint(endpoint_id)["failing_since"] is None


def test_a_disabled_endpoint_gets_nothing_and_what_waited_is_cancelled(partner: Partner) -> None:
    endpoint_id = partner.register()
    partner.receiver.answer = lambda _request: Reply(500)
    delivery_id = partner.ping(endpoint_id)
    partner.send()
    partner.api.request(
        "PATCH", f"/v1/webhook-endpoints/{endpoint_id}", key=partner.key, json={"state": "disabled"}
    )
    partner.wait(days=1)
    assert partner.send() == {}
    assert partner.delivery(delivery_id)["state"] == "cancelled"
    assert partner.endpoint(endpoint_id)["disabled_reason"] == "requested"


def test_a_deleted_endpoint_is_sent_nothing_more_and_its_log_is_gone(partner: Partner) -> None:
    endpoint_id = partner.register()
    delivery_id = partner.ping(endpoint_id)
    answer = partner.api.request("DELETE", f"/v1/webhook-endpoints/{endpoint_id}", key=partner.key)
    assert (answer.status_code, answer.content) == (204, b"")
    assert partner.api.get(f"/v1/webhook-deliveries/{delivery_id}", key=partner.key).status_code == 404


def test_an_event_is_sent_again_on_request_under_the_same_id(partner: Partner) -> None:
    delivery_id = partner.ping(partner.register())
    partner.send()
    answer = partner.api.post(f"/v1/webhook-deliveries/{delivery_id}/redeliver", key=partner.key)
    assert (answer.status_code, answer.json()["redelivery"], answer.json()["state"]) == (202, 1, "pending")
    assert (
        partner.api.post(f"/v1/webhook-deliveries/{delivery_id}/redeliver", key=partner.key).status_code
        == 409
    )
    assert partner.send() == {"delivered": 1}
    first, second = partner.receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_the_log_is_paged_newest_first_and_filtered(partner: Partner) -> None:
    one, two = partner.register(), partner.register("https://other.example.com/")
    made = []
    for endpoint_id in (one, two, one, one, two):
        made.append(partner.ping(endpoint_id))
        partner.wait(seconds=1)
    listed, query = [], {"limit": "2"}
    for number in range(3):
        page = partner.api.get("/v1/webhook-deliveries", key=partner.key, params=query).json()
        listed += [each["delivery_id"] for each in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None) == (number < 2)
        query["cursor"] = page["next_cursor"]
    assert listed == made[::-1]
    partner.send()
    assert [each["delivery_id"] for each in partner.deliveries(endpoint_id=two)] == [made[4], made[1]]
    assert partner.deliveries(state="pending") == []
    event_id = partner.delivery(made[0])["event_id"]
    assert [each["delivery_id"] for each in partner.deliveries(event_id=event_id)] == [made[0]]
    forged = partner.api.get("/v1/webhook-deliveries?cursor=AAAA", key=partner.key)
    assert (forged.status_code, forged.json()["code"]) == (422, "invalid_cursor")


def test_an_endpoint_that_does_not_answer_holds_nobody_else(partner: Partner) -> None:
    slow, quick = partner.register(), partner.register("https://other.example.com/")
    receiver = partner.receiver
    receiver.hold(HOST)
    for _ in range(10):
        partner.ping(slow)
        partner.ping(quick)

    async def quick_ones_arrive() -> None:
        sending = asyncio.create_task(partner.api.services.webhooks.task())
        await receiver.until(lambda: sum(each.host != HOST for each in receiver.requests) == 10)
        assert sum(each.host == HOST for each in receiver.requests) == 4
        await receiver.let_go()
        await sending

    partner.api.run(quick_ones_arrive())
    assert len(receiver.requests) == 20
    assert {each["state"] for each in partner.deliveries()} == {"delivered"}


def test_several_tasks_together_keep_to_the_slots(start: Callable[..., Api]) -> None:
    partner = partner_of(start, webhook_slots=3)
    partner.receiver.hold(HOST)
    endpoint_id = partner.register()
    for _ in range(6):
        partner.ping(endpoint_id)
    receiver = partner.receiver

    async def three_at_a_time() -> None:
        tasks = [asyncio.create_task(partner.api.services.webhooks.task()) for _ in range(3)]
        await receiver.until(lambda: len(receiver.requests) == 3)
        await receiver.let_go()
        await asyncio.gather(*tasks)

    partner.api.run(three_at_a_time())
    assert len(receiver.requests) == 6
    assert receiver.most_waiting == 3


def test_an_answer_that_takes_too_long_is_a_failure(start: Callable[..., Api]) -> None:
    partner = partner_of(start, webhook_timeout_s=0.05)
    partner.receiver.hold(HOST)
    delivery_id = partner.ping(partner.register())
    assert partner.send() == {"retry": 1}
    (attempt,) = partner.delivery(delivery_id)["log"]
    assert (attempt["status_code"], attempt["error"], attempt["duration_ms"] >= 50) == (None, "timeout", True)


def test_an_answer_that_never_ends_is_not_read_to_its_end(partner: Partner) -> None:
    partner.receiver.answer = lambda _request: Reply(200, body=b"x" * 1_000_000)
    partner.ping(partner.register())
    assert partner.send() == {"delivered": 1}
    assert partner.receiver.sent_bytes < 200_000


def test_an_endpoint_whose_secret_cannot_be_opened_holds_nobody_else(partner: Partner) -> None:
    broken, sound = partner.register(), partner.register("https://other.example.com/")
    services = partner.api.services
    with services.database.write() as connection:
        of_another = select(webhook_endpoints.c.sealed_secrets).where(
            webhook_endpoints.c.endpoint_id == sound
        )
        connection.execute(
            update(webhook_endpoints)
            .where(webhook_endpoints.c.endpoint_id == broken)
            .values(sealed_secrets=connection.scalars(of_another).one())
        )
    delivery_id = partner.ping(broken)
    partner.ping(sound)
    assert partner.send() == {"retry": 1, "delivered": 1}
    assert [request.host for request in partner.receiver.requests] == ["other.example.com"]
    (attempt,) = partner.delivery(delivery_id)["log"]
    assert (attempt["status_code"], attempt["error"]) == (None, "internal")


def dispatcher_of(partner: Partner, in_store: Callable[[Callable[[], Any]], Awaitable[Any]]) -> Dispatcher:
    """Another process's."""
    webhooks = partner.api.services.webhooks
    return Dispatcher(
        webhooks.deliveries,
        webhooks.outbound,
        in_store=in_store,
        slots=1,
        look_every_s=None,
        grace_s=0.01,
        clock=lambda: partner.api.now,
    )


def test_what_is_due_is_sent_after_an_error_of_ours(partner: Partner) -> None:
    partner.ping(partner.register())
    broken = asyncio.Event()

    async def broken_once(work: Callable[[], Any]) -> Any:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("broken")
        return await partner.api.services.in_store(work)

    async def until_received() -> None:
        failing = dispatcher_of(partner, broken_once)
        watching = asyncio.create_task(failing.watch())
        await broken.wait()
        failing.look()
        await partner.receiver.until(lambda: len(partner.receiver.requests) == 1)
        watching.cancel()
        await failing.aclose()

    partner.api.run(until_received())


def test_what_is_under_way_when_a_process_stops_is_sent_by_another(start: Callable[..., Api]) -> None:
    partner = partner_of(start)
    receiver, services = partner.receiver, partner.api.services
    receiver.hold(HOST)
    endpoint_id = partner.register()
    services.webhooks.deliveries.ping(caller_of(partner, "operation"), endpoint_id)

    async def another_stops_while_sending() -> None:
        another = dispatcher_of(partner, services.in_store)
        sending = asyncio.create_task(another.watch())
        await receiver.until(lambda: len(receiver.requests) == 1)
        sending.cancel()
        await another.aclose()
        await receiver.let_go()

    partner.api.run(another_stops_while_sending())
    (found,) = partner.deliveries()
    assert (found["state"], found["attempts"]) == ("pending", 1)
    assert partner.send() == {"delivered": 1}


def test_every_event_is_in_the_api_document(api: Api) -> None:
    document = api.app.api.openapi()
    assert set(document["webhooks"]) == set(PAYLOADS)
    for event_type, path in document["webhooks"].items():
        name = path["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/")[-1]
        schema = document["components"]["schemas"][name]
        assert schema["properties"]["type"]["const"] == event_type
        assert {each["name"] for each in path["post"]["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
