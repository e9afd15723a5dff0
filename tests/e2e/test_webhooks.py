"""Webhooks of a running partner API, received over real HTTP and verified as partners do."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook
from tests.e2e.platform import coworkai, up
from tests.factories import TENANT, activity, batch
from tests.unit.partner_api.gold_lake import GoldLake, day

from coworkai.common.control import Control, Database
from coworkai.partner_api.credentials import Credentials, Grant
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.webhooks.outbound import Fault, Network, Outbound, Received

pytestmark = pytest.mark.timeout(120)
PATIENCE_S = 60


class NowLake(GoldLake):
    """A lake that publishes now."""

    def published_at(self) -> datetime:
        return datetime.now(UTC)


class Receiver:
    """A partner's server on this machine. It verifies what comes, once it knows the secret.

    While it is `closed`, requests wait for their answer.
    """

    def __init__(self) -> None:
        self.secret = ""
        self.received: list[tuple[str, Any]] = []
        self.opened = threading.Event()
        self.opened.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                event = Webhook(receiver.secret).verify(body, dict(self.headers))
                receiver.received.append((self.headers["webhook-id"], event))
                receiver.opened.wait(PATIENCE_S)
                self.send_response(204)
                self.end_headers()

            def log_request(self, code: object = "-", size: object = "-") -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who asked is gone
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.opened.set()
    receiver.server.shutdown()
    receiver.server.server_close()


class Service:
    """A data folder, its lake, and the processes that serve it, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.gold = NowLake(folder / "lake")
        self._settings = PartnerApiSettings(data_dir=folder)
        self._folder = folder
        database = Database(self._settings.control_url)
        database.migrate()
        Control(database).put_tenant(TENANT)
        credentials = Credentials(database, Secrets(self._settings.master_key_bytes()))
        grant = Grant(frozenset(Scope), Reach.INDIVIDUAL)
        self._key = credentials.create_key(TENANT, "partner", grant, actor="test").secret
        database.close()
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.process = subprocess.Popen(
                [sys.executable, "-m", "coworkai.partner_api"],
                env={
                    **os.environ,
                    "COWORKAI_DATA_DIR": str(self._folder),
                    "COWORKAI_LISTEN_FD": str(listener.fileno()),
                    "COWORKAI_WEBHOOK_TIMEOUT_S": "2",
                    "COWORKAI_WEBHOOK_EVERY_S": "0.2",
                },
                stdout=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
            )
        eventually(lambda: self.get("/readyz").get("status") == "ready")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ask it to stop; it does, and cleanly."""
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        return self._call("POST", path, body)

    def push(self, topic: str) -> None:
        """Push as the bus does; returns when it is acknowledged."""
        data = base64.b64encode(json.dumps({"tenant_id": TENANT}).encode()).decode()
        message = {"data": data, "messageId": "1", "publishTime": datetime.now(UTC).isoformat()}
        assert self.post(f"/push/{topic}", {"message": message}) is None

    def _call(self, method: str, path: str, body: object) -> Any:
        headers = {"authorization": f"Bearer {self._key}"}
        try:
            answer = httpx.request(method, self.url + path, headers=headers, json=body, timeout=30)
        except httpx.TransportError:
            return {}
        assert answer.status_code < 400, answer.text
        return answer.json() if answer.content else None


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it never was so"
        time.sleep(0.02)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    service.start()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.kill()


def test_a_published_day_reaches_the_partner_and_verifies_whoever_is_killed(
    service: Service, receiver: Receiver
) -> None:
    made = service.post(
        "/v1/webhook-endpoints", {"url": receiver.url, "event_types": ["day.ready", "brief.ready"]}
    )
    receiver.secret = made["secret"]
    version = service.gold.publish_kpis(day(0))
    service.push("gold-updated")
    eventually(lambda: len(receiver.received) == 1)
    _, event = receiver.received[0]
    assert (event["type"], event["data"]) == (
        "day.ready",
        {"date": "2026-10-26", "status": "succeeded", "run_id": "run0-2026-10-26", "data_version": version},
    )

    receiver.opened.clear()
    service.gold.publish_kpis(day(1))
    service.push("gold-updated")
    eventually(lambda: len(receiver.received) == 2)
    # It has claimed the delivery and sent it, and does not live to hear the answer.
    service.kill()
    receiver.opened.set()
    service.start()
    eventually(lambda: len(receiver.received) == 3)
    assert receiver.received[2] == receiver.received[1]
    assert receiver.received[2][1]["data"]["date"] == "2026-10-27"
    event_id = receiver.received[2][0]

    def delivered() -> bool:
        (found,) = service.get(f"/v1/webhook-deliveries?event_id={event_id}")["data"]
        return (found["state"], found["attempts"]) == ("delivered", 2)

    eventually(delivered)
    service.push("gold-updated")
    service.stop()
    assert len(receiver.received) == 3


def test_events_whose_push_was_acknowledged_outlive_a_kill(service: Service, receiver: Receiver) -> None:
    made = service.post("/v1/webhook-endpoints", {"url": receiver.url, "event_types": ["day.ready"]})
    receiver.secret = made["secret"]
    service.gold.publish_kpis(day(0))
    service.push("gold-updated")
    service.kill()
    service.start()
    eventually(lambda: len(receiver.received) >= 1)
    assert {event["data"]["date"] for _, event in receiver.received} == {"2026-10-26"}


def test_an_activity_becomes_a_day_and_a_brief_that_the_partner_is_told_of(
    receiver: Receiver, tmp_path: Path
) -> None:
    coworkai("tenant", "set", TENANT, "--data", tmp_path)
    ingest_key = coworkai("key", "create", TENANT, "--data", tmp_path).split()[-1]
    given = ("--reach", "individual", "--all-scopes", "--data", tmp_path)
    key = coworkai("keys", "create", TENANT, *given).split()[-1]
    with up(tmp_path) as running:
        partner, ingest = (
            httpx.Client(
                base_url=running.urls[service], headers={"authorization": f"Bearer {of}"}, timeout=30
            )
            for service, of in (("partner-api", key), ("ingest", ingest_key))
        )
        with partner, ingest:
            asked = {"url": receiver.url, "event_types": ["day.ready", "brief.ready"]}
            receiver.secret = partner.post("/v1/webhook-endpoints", json=asked).json()["secret"]
            now = datetime.now(UTC)
            body = batch([activity(now - timedelta(hours=2), now - timedelta(hours=1))], sent_at=now)
            assert ingest.post("/v1/telemetry/activities", content=body).status_code < 300
            eventually(
                lambda: {event["type"] for _, event in receiver.received} == {"day.ready", "brief.ready"}
            )
            ready = next(event["data"] for _, event in receiver.received if event["type"] == "brief.ready")
            found = partner.get(
                f"/v1/briefs/{ready['brief_id']}", params={"as_of_version": ready["data_version"]}
            ).json()
            assert (found["brief_id"], found["date"]) == (ready["brief_id"], ready["date"])
        running.process.send_signal(signal.SIGINT)
        running.rest()


# -------------------------------------------------------------------------------------------------- TLS
def certificate(folder: Path, name: str) -> Path:
    """A certificate for the name, which signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + signed.public_bytes(Encoding.PEM)
    )
    return file


def secure(receiver: Receiver, file: Path) -> None:
    """From now on the receiver has TLS, by this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    plain = receiver.server.socket
    receiver.server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)


@pytest.mark.parametrize("name", ["hooks.example.com", "other.example.com"])
def test_the_host_of_the_url_must_prove_itself_though_an_address_is_connected_to(
    receiver: Receiver, tmp_path: Path, name: str
) -> None:
    file = certificate(tmp_path, name)
    trusting = ssl.create_default_context(cafile=str(file))
    receiver.secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    resolved: list[str] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        resolved.append(host)
        return ["127.0.0.1"]

    async def post() -> Received:
        outbound = Outbound(
            Network(resolve=resolve, tls=trusting), is_local=True, timeout_s=10, max_connections=1
        )
        url = receiver.url.replace("http://127.0.0.1", "https://hooks.example.com")
        moment = datetime.now(UTC)
        signature = Webhook(receiver.secret).sign("evt_1", moment, "{}")
        headers = {
            "webhook-id": "evt_1",
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": signature,
        }
        try:
            return await outbound(url, headers, b"{}")
        finally:
            await outbound.aclose()

    secure(receiver, file)
    received = asyncio.run(post())
    assert resolved == ["hooks.example.com"]
    status, fault = (204, None) if name == "hooks.example.com" else (None, Fault.TLS_FAILED)
    assert received == Received(status, fault)
    assert len(receiver.received) == (1 if fault is None else 0)
