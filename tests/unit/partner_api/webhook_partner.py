"""A partner with webhook endpoints: registers them, receives, and verifies as receivers do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from standardwebhooks import Webhook
from tests.doubles.receiver import ReceiverNetwork, Request
from tests.unit.partner_api.conftest import TENANT, Api

from coworkai.common.control.audit_log import AuditEvent, AuditLog
from coworkai.partner_api.secrets import Purpose
from coworkai.partner_api.webhooks.deliveries import Outcome
from coworkai.partner_api.webhooks.event_types import EventType

HOST = "hooks.example.com"
URL = f"https://{HOST}/coworkai"
ADDRESS = "93.184.215.14"
ALL = [one.value for one in EventType]


def is_signed(request: Request, secret: str) -> bool:
    """Whether one of the request's signatures is by the secret, whatever the time is."""
    moment = datetime.utcfromtimestamp(int(request.headers["webhook-timestamp"]))  # noqa: DTZ004
    signature = Webhook(secret).sign(request.headers["webhook-id"], moment, request.body.decode())
    return signature in request.headers["webhook-signature"].split(" ")


@dataclass
class Partner:
    """An application whose webhooks go to a receiver, and a key of a tenant of it."""

    api: Api
    receiver: ReceiverNetwork
    key: str
    secrets: dict[str, str] = field(default_factory=dict)
    sent: Counter[Outcome] = field(default_factory=Counter)

    def register(self, url: str = URL, event_types: list[str] = ALL, **body: Any) -> str:
        """A new endpoint's id; its secret is kept in `secrets`."""
        body = {"url": url, "event_types": event_types, **body}
        answer = self.api.post("/v1/webhook-endpoints", key=self.key, json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        self.secrets[made["endpoint_id"]] = made["secret"]
        return str(made["endpoint_id"])

    def endpoint(self, endpoint_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/v1/webhook-endpoints/{endpoint_id}", key=self.key).json()
        return found

    def ping(self, endpoint_id: str) -> str:
        """Id of the delivery of a test event."""
        answer = self.api.post(f"/v1/webhook-endpoints/{endpoint_id}/ping", key=self.key)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["delivery_id"])

    def send(self) -> dict[str, int]:
        """Send what is due now; attempts by outcome, since the last time."""
        self.api.run(self.api.services.webhooks.task())
        outcomes = self.api.services.webhooks.dispatcher.outcomes
        ended, self.sent = outcomes - self.sent, outcomes.copy()
        return {outcome.value: count for outcome, count in ended.items()}

    def wait(self, **time: float) -> None:
        """Let time pass."""
        self.api.now += timedelta(**time)

    def delivery(self, delivery_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/v1/webhook-deliveries/{delivery_id}", key=self.key).json()
        return found

    def deliveries(self, **query: str) -> list[dict[str, Any]]:
        found = self.api.get("/v1/webhook-deliveries", key=self.key, params=query).json()
        return list(found["data"])

    def received(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """Bodies that arrived, of the type when it is given."""
        bodies = [json.loads(request.body) for request in self.receiver.requests]
        return [body for body in bodies if event_type in {None, body["type"]}]

    def audited(self, action: str) -> list[AuditEvent]:
        """Entries of the tenant's audit log, oldest first."""
        services = self.api.services
        log = AuditLog(services.database, services.secrets.key(Purpose.AUDIT_LOG))
        return [event for event in log.page(TENANT)[::-1] if event.action == action]


def partner_of(start: Callable[..., Api], *, watching: bool = False, **settings: object) -> Partner:
    """A partner of a new application, which sends when a test says so, or by itself when it is `watching`."""
    receiver = ReceiverNetwork({HOST: [ADDRESS], "other.example.com": ["93.184.215.15"]})
    api = start(network=receiver.network(), **settings)
    for task in () if watching else api.services._background:
        task.cancel()
    return Partner(api, receiver, api.key())
