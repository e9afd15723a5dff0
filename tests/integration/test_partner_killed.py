"""A partner API killed in the middle: an export ends whole and once, a POST is not done twice."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from tests.e2e.platform import wait_until
from tests.e2e.test_webhooks import Receiver
from tests.integration.partner_dying import ROWS_A_PART
from tests.unit.partner_api.gold_lake import GoldLake, day

from coworkai.common.control import Control, Database
from coworkai.partner_api.credentials import Credentials, Grant
from coworkai.partner_api.exports import CLAIM
from coworkai.partner_api.idempotency import CLAIM as CLAIM_OF_KEY
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings

pytestmark = pytest.mark.integration

TENANT = "acme"
DAYS = 3
AFTER_CLAIMS_S = max(CLAIM, CLAIM_OF_KEY).total_seconds() + 1
KILLED_AT = [
    ("after-claim", 1),
    ("after-put", 2),
    ("after-keep", 2),
    ("before-finish", 1),
    ("after-finish", 1),
]


class Service:
    """A data folder, and the processes that serve it, one after the other, each later than the one before."""

    def __init__(self, folder: Path) -> None:
        self.gold = GoldLake(folder / "lake")
        self._folder = folder
        settings = PartnerApiSettings(data_dir=folder)
        database = Database(settings.control_url)
        database.migrate()
        Control(database).put_tenant(TENANT)
        grant = Grant(frozenset(Scope), Reach.INDIVIDUAL)
        credentials = Credentials(database, Secrets(settings.master_key_bytes()))
        self._key = credentials.create_key(TENANT, "partner", grant, actor="test").secret
        database.close()
        self._ahead_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def start(self, point: str = "", times: int = 1) -> None:
        """Start a process that dies at the point; every claim of the one before has run out."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            environment = {
                **os.environ,
                "COWORKAI_DATA_DIR": str(self._folder),
                "COWORKAI_PUBLIC_URL": self._url,
                "COWORKAI_LISTEN_FD": str(listener.fileno()),
                "COWORKAI_WEBHOOK_EVERY_S": "0.2",
            }
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.integration.partner_dying",
                    str(self._ahead_s),
                    point,
                    str(times),
                ],
                env=environment,
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
            )
        self._ahead_s += AFTER_CLAIMS_S

    def was_killed(self) -> bool:
        """Whether the process has come to its point."""
        assert self._process is not None
        return self._process.wait(timeout=60) == -signal.SIGKILL

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> Any:
        return self._request("GET", path).json()

    def content(self, url: str) -> bytes:
        return httpx.get(url).content

    def post(self, path: str, body: object, key: str) -> httpx.Response:
        """Answer to a POST under the Idempotency-Key."""
        return self._request("POST", path, json=body, headers={"idempotency-key": key})

    def post_dying(self, path: str, body: object, key: str) -> None:
        """A POST that the process does not live to answer."""
        with pytest.raises(httpx.TransportError):
            self.post(path, body, key)
        assert self.was_killed()

    def _request(self, method: str, path: str, headers: Any = None, **arguments: Any) -> httpx.Response:
        credentials = {"authorization": f"Bearer {self._key}", **(headers or {})}
        answer = httpx.request(method, self._url + path, headers=credentials, timeout=30, **arguments)
        assert answer.status_code < 400, answer.text
        return answer


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.mark.parametrize(("point", "times"), KILLED_AT, ids=str)
def test_an_export_whose_process_was_killed_ends_whole_and_is_told_of_once(
    service: Service, receiver: Receiver, point: str, times: int
) -> None:
    for number in range(DAYS):
        service.gold.publish_kpis(day(number))
    service.start(point, times)
    made = service.post(
        "/v1/webhook-endpoints", {"url": receiver.url, "event_types": ["export.ready"]}, "endpoint"
    ).json()
    receiver.secret = made["secret"]
    asked = {"resource": "kpis/daily", "format": "parquet"}
    with suppress(httpx.TransportError):  # it may be killed before it answers, or after
        service.post("/v1/exports", asked, "nightly")
    assert service.was_killed()

    service.start()
    export_id = service.post("/v1/exports", asked, "nightly").json()["export_id"]
    path = f"/v1/exports/{export_id}"
    wait_until(lambda: service.get(path)["state"] == "ready")
    export = service.get(path)
    assert [file["rows"] for file in export["files"]] == [ROWS_A_PART] * DAYS
    rows = pl.concat(pl.read_parquet(io.BytesIO(service.content(file["url"]))) for file in export["files"])
    assert rows.select("date", "worker_id", "measure").is_duplicated().sum() == 0
    assert rows["date"].unique().sort().to_list() == [day(number) for number in range(DAYS)]
    stored = service.gold.store.list(f"tenants/{TENANT}/exports")
    assert [name.rpartition("/")[2] for name in stored] == [file["name"] for file in export["files"]]
    (event,) = service.get("/v1/webhook-deliveries")["data"]
    assert event["event_type"] == "export.ready"
    wait_until(lambda: [told["data"]["export_id"] for _, told in receiver.received] == [export_id])
    assert [one["export_id"] for one in service.get("/v1/exports")["data"]] == [export_id]


def test_a_post_whose_process_was_killed_before_it_answered_does_nothing_twice(
    service: Service, receiver: Receiver
) -> None:
    """Each process but the first repeats what the one before died of, and dies of the next."""
    service.start("before-answer")
    asked = {"url": receiver.url, "event_types": ["day.ready"]}
    service.post_dying("/v1/webhook-endpoints", asked, "create")

    service.start("before-answer", 2)
    created = service.post("/v1/webhook-endpoints", asked, "create").json()
    (endpoint,) = service.get("/v1/webhook-endpoints")["data"]
    assert (endpoint["endpoint_id"], len(endpoint["secrets"])) == (created["endpoint_id"], 1)
    path = f"/v1/webhook-endpoints/{endpoint['endpoint_id']}"
    overlap = {"overlap_s": 3_600}
    service.post_dying(f"{path}/rotate-secret", overlap, "rotate")

    service.start("before-answer", 2)
    receiver.secret = service.post(f"{path}/rotate-secret", overlap, "rotate").json()["secret"]
    assert len(service.get(path)["secrets"]) == 2
    service.post_dying(f"{path}/ping", None, "ping")

    service.start("before-answer", 2)
    delivery_id = service.post(f"{path}/ping", None, "ping").json()["delivery_id"]
    wait_until(lambda: service.get(f"/v1/webhook-deliveries/{delivery_id}")["state"] == "delivered")
    assert len(service.get("/v1/webhook-deliveries")["data"]) == 1
    again = f"/v1/webhook-deliveries/{delivery_id}/redeliver"
    service.post_dying(again, None, "redeliver")

    service.start("before-answer", 2)
    redelivery_id = service.post(again, None, "redeliver").json()["delivery_id"]
    found = service.get("/v1/webhook-deliveries")["data"]
    assert [one["delivery_id"] for one in found] == [redelivery_id, delivery_id]
    export = {"resource": "usage"}
    service.post_dying("/v1/exports", export, "export")

    service.start("after-answer", 2)
    export_id = service.post("/v1/exports", export, "export").json()["export_id"]
    assert [one["export_id"] for one in service.get("/v1/exports")["data"]] == [export_id]
    # This time the answer was kept, and only not sent: it is given as it was.
    service.post_dying("/v1/exports", export, "another")

    service.start()
    answer = service.post("/v1/exports", export, "another")
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.json()["export_id"] != export_id
    assert len(service.get("/v1/exports")["data"]) == 2
