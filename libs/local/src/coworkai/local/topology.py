"""Topics and push subscriptions: who is told what. Declared once, created through Pub/Sub's REST API.

The same calls work against the embedded bus and Google's emulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from coworkai.common.errors import Transient
from coworkai.common.events import Source

STAGE_TOPICS = ("bronze-committed", "silver-updated", "gold-updated", "brief-ready")
TOPICS = (*(source.topic for source in Source), *STAGE_TOPICS)


@dataclass(frozen=True, slots=True)
class Push:
    """A push subscription of `topic` to `path` of a service."""

    topic: str
    service: str
    path: str

    @property
    def name(self) -> str:
        return f"{self.service}-{self.topic}"


PUSHES = (
    *(Push(source.topic, "ingest", f"/push/{source.value}") for source in Source),
    Push("bronze-committed", "runner", "/push/bronze-committed"),
    Push("silver-updated", "runner", "/push/silver-updated"),
    Push("gold-updated", "insights", "/push/gold-updated"),
    Push("gold-updated", "partner-api", "/push/gold-updated"),
    Push("brief-ready", "partner-api", "/push/brief-ready"),
)


@dataclass(frozen=True, slots=True)
class PushIdentity:
    """What the tokens of the pushes say: for whom they are, and who sends them."""

    audience: str
    service_account: str


def create_topic(client: httpx.Client, project: str, topic: str) -> None:
    """Create the topic unless it exists. Raises Transient when the bus does not answer as it should."""
    _call(client, "PUT", f"/v1/projects/{project}/topics/{topic}", {}, exists_is_fine=True)


def put_subscription(
    client: httpx.Client,
    project: str,
    name: str,
    *,
    topic: str,
    endpoint: str,
    identity: PushIdentity | None = None,
) -> None:
    """Create the push subscription, or point the existing one to `endpoint`. Raises Transient."""
    push_config: dict[str, object] = {"pushEndpoint": endpoint}
    if identity is not None:
        push_config["oidcToken"] = {
            "audience": identity.audience,
            "serviceAccountEmail": identity.service_account,
        }
    path = f"/v1/projects/{project}/subscriptions/{name}"
    body = {"topic": f"projects/{project}/topics/{topic}", "pushConfig": push_config}
    if not _call(client, "PUT", path, body, exists_is_fine=True):
        _call(client, "POST", f"{path}:modifyPushConfig", {"pushConfig": push_config})


def apply(client: httpx.Client, project: str, services: Mapping[str, str], identity: PushIdentity) -> None:
    """Create every topic, and the subscriptions of `services` (name to base URL). Raises Transient."""
    for topic in TOPICS:
        create_topic(client, project, topic)
    for push in PUSHES:
        if push.service not in services:
            continue
        put_subscription(
            client,
            project,
            push.name,
            topic=push.topic,
            endpoint=f"{services[push.service]}{push.path}",
            identity=identity,
        )


def _call(
    client: httpx.Client, method: str, path: str, body: Mapping[str, object], *, exists_is_fine: bool = False
) -> bool:
    """False when the resource existed already."""
    try:
        response = client.request(method, path, json=body)
    except httpx.HTTPError as error:
        raise Transient(f"the bus does not answer ({type(error).__name__})") from None
    if response.status_code == 409 and exists_is_fine:
        return False
    if response.status_code != 200:
        raise Transient(f"the bus answered {response.status_code} to {method} {path}")
    return True
