"""The service's routes: pushes, OIDC, HTTPS telemetry, replay, health, back-pressure."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import shutil
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest
from tests import factories
from tests.doubles.ingest import PUBLISHED_AT, Heard

from coworkai.common.bus import PushAuth
from coworkai.common.control import Control
from coworkai.common.errors import Overloaded, Transient, Unauthenticated
from coworkai.common.events import Source
from coworkai.common.lake import Lake, scan
from coworkai.common.tables import BRONZE_BY_SOURCE, BRONZE_QUARANTINE, Table
from coworkai.ingest.app import create_app
from coworkai.ingest.push import BodyTooLarge, InFlight, Push, read_body
from coworkai.ingest.settings import IngestSettings

BATCH = factories.batch([factories.activity("09:00", "09:30"), factories.activity("10:00", "09:00")])
SUMMARY = {"received": 2, "accepted": 1, "duplicate": 0, "quarantined": 1}


def outcome(answer: httpx.Response) -> dict[str, int]:
    """What an acknowledgement says became of the records."""
    counts = (part.split("=") for part in answer.headers["x-coworkai-outcome"].split(", "))
    return {name: int(count) for name, count in counts}


def wrapped(data: bytes, attributes: Mapping[str, str] | None = None, attempt: int = 1) -> bytes:
    return json.dumps(
        {
            "message": {
                "data": base64.b64encode(data).decode(),
                "messageId": "m1",
                "message_id": "m1",
                "publishTime": PUBLISHED_AT.isoformat(),
                "attributes": dict(attributes or {}),
            },
            "subscription": "projects/p/subscriptions/s",
            "deliveryAttempt": attempt,
        }
    ).encode()


def served(
    folder: Path, scenario: Callable[[httpx.AsyncClient, Control], Awaitable[None]], **settings: object
) -> None:
    """Run `scenario` against the whole application in `folder`, without a socket."""

    async def run() -> None:
        chosen = IngestSettings(data_dir=folder, commit_linger_s=0)
        control = Control(chosen.control_url)
        control.migrate()
        control.put_tenant("acme")
        app = create_app(chosen, lambda: PUBLISHED_AT, Heard())
        transport = httpx.ASGITransport(app)
        async with (
            app.rest.router.lifespan_context(app.rest),
            httpx.AsyncClient(transport=transport, base_url="http://ingest") as client,
        ):
            await scenario(client, control)
        control.close()

    asyncio.run(run())


def rows(folder: Path, table: Table) -> pl.DataFrame:
    return scan(Lake(str(folder / "lake")).open(table), table).collect()


def test_a_wrapped_push_is_acknowledged_with_its_counts(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, _control: Control) -> None:
        answer = await client.post("/push/activities", content=wrapped(BATCH))
        assert (answer.status_code, answer.content) == (204, b"")
        assert outcome(answer) == SUMMARY

    served(tmp_path, scenario)
    (row,) = rows(tmp_path, BRONZE_BY_SOURCE[Source.ACTIVITIES]).to_dicts()
    assert (row["message_id"], row["published_at"]) == ("m1", PUBLISHED_AT)


@pytest.mark.parametrize("path", ["/push/activities", "/v1/telemetry/activities"])
def test_a_compressed_body_is_refused_with_a_remedy_and_stored_nowhere(tmp_path: Path, path: str) -> None:
    async def scenario(client: httpx.AsyncClient, control: Control) -> None:
        headers = {
            "content-encoding": "gzip",
            "authorization": f"Bearer {control.create_ingest_key('acme')}",
        }
        answer = await client.post(path, content=gzip.compress(wrapped(BATCH)), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "body_encoded")
        assert "Content-Encoding" in answer.json()["remedy"]
        body = wrapped(BATCH) if path.startswith("/push") else BATCH
        answer = await client.post(path, content=body, headers=headers | {"content-encoding": "identity"})
        assert answer.is_success

    served(tmp_path, scenario)
    assert rows(tmp_path, BRONZE_QUARANTINE)["reason"].to_list() == ["start_after_end"]


def test_an_unwrapped_push_of_jobs_takes_its_attributes_from_headers(tmp_path: Path) -> None:
    headers = {
        "x-goog-pubsub-message-id": "m2",
        "x-goog-pubsub-publish-time": PUBLISHED_AT.isoformat(),
        "tenant_id": "acme",
        "device_id": "hr",
        "collector": "hr/1",
        "sent_at": "2024-01-01T10:00:00Z",
    }

    async def scenario(client: httpx.AsyncClient, _control: Control) -> None:
        answer = await client.post(
            "/push/jobs", content=b"user_id,valid_from\nalice,2024-01-01\n", headers=headers
        )
        assert outcome(answer)["accepted"] == 1

    served(tmp_path, scenario)


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/push/activities", b"{", "bad_envelope"),
        ("/push/activities", wrapped(BATCH).replace(b'"data": "', b'"data": "!'), "bad_envelope"),
        ("/push/nonsense", wrapped(BATCH), "unknown_source"),
        ("/push/chat", wrapped(b"\xff\xfe"), "unreadable"),
    ],
)
def test_what_can_never_be_taken_is_acknowledged_and_quarantined(
    tmp_path: Path, path: str, body: bytes, reason: str
) -> None:
    async def scenario(client: httpx.AsyncClient, _control: Control) -> None:
        for _ in range(2):
            answer = await client.post(path, content=body)
            assert (answer.status_code, outcome(answer)["quarantined"]) == (204, 1)

    served(tmp_path, scenario)
    assert rows(tmp_path, BRONZE_QUARANTINE)["reason"].to_list() == [reason]


def test_a_store_that_is_down_is_503_and_asks_to_come_back(tmp_path: Path) -> None:
    lake = tmp_path / "lake"

    def take_away() -> None:
        shutil.rmtree(lake)
        lake.write_text("no folder")

    async def scenario(client: httpx.AsyncClient, _control: Control) -> None:
        take_away()
        answer = await client.post("/push/activities", content=wrapped(BATCH))
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["code"] == "storage_unavailable"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200

    served(tmp_path, scenario)


def test_other_methods_are_refused(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, _control: Control) -> None:
        assert (await client.get("/push/activities")).status_code == 405

    served(tmp_path, scenario)


class Signed(PushAuth):
    """Accepts one token."""

    def __init__(self) -> None:
        super().__init__("audience", "pusher@example.iam", "http://keys", "issuer")

    async def verify(self, authorization: str | None) -> None:
        if authorization != "Bearer good":
            raise Unauthenticated("not ours")


async def _push(auth: PushAuth, headers: list[tuple[bytes, bytes]]) -> int:
    sent: list[Mapping[str, object]] = []

    async def send(event: Mapping[str, object]) -> None:
        sent.append(event)

    async def receive() -> dict[str, object]:
        raise AssertionError("the body is not read before the token is verified")

    class NoPipeline:
        """Never reached."""

    push = Push(NoPipeline(), auth, InFlight(100), lambda: datetime.now(UTC), 1_000)  # type: ignore[arg-type]
    scope = {"type": "http", "method": "POST", "path": "/push/chat", "headers": headers}
    await push(scope, receive, send)
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status


def test_a_push_without_its_token_is_refused_unread() -> None:
    assert asyncio.run(_push(Signed(), [])) == 401
    assert asyncio.run(_push(Signed(), [(b"authorization", b"Bearer forged")])) == 401


def body_of(*chunks: bytes, then: str = "http.request") -> Callable[[], Awaitable[dict[str, object]]]:
    events = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    events.append({"type": then, "body": b"", "more_body": False})
    waiting = iter(events)

    async def receive() -> dict[str, object]:
        return next(waiting)

    return receive


def test_bytes_in_flight_are_bounded_and_given_back_on_failure() -> None:
    in_flight = InFlight(10)
    assert asyncio.run(read_body(body_of(b"1234", b"5678"), in_flight, 100)) == b"12345678"
    assert in_flight.held == 8
    with pytest.raises(Overloaded):
        asyncio.run(read_body(body_of(b"12", b"34"), in_flight, 100))
    with pytest.raises(BodyTooLarge) as too_large:
        asyncio.run(read_body(body_of(b"12"), in_flight, 1))
    assert too_large.value.remedy is not None
    with pytest.raises(Transient):
        asyncio.run(read_body(body_of(b"1", then="http.disconnect"), in_flight, 100))
    assert in_flight.held == 8
    in_flight.give_back(8)
    assert asyncio.run(read_body(body_of(b"x" * 50), in_flight, 100)) == b"x" * 50


# --------------------------------------------------------------------------------------------- HTTPS
def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_https_telemetry_answers_for_every_record(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, control: Control) -> None:
        key = control.create_ingest_key("acme")
        answer = await client.post("/v1/telemetry/activities", content=BATCH, headers=bearer(key))
        assert answer.status_code == 200
        assert answer.json() == SUMMARY | {
            "records": [
                {"outcome": "accepted", "index": 0},
                {"outcome": "quarantined", "index": 1, "reason": "start_after_end"},
            ]
        }
        again = await client.post("/v1/telemetry/activities", content=BATCH, headers=bearer(key))
        assert [record["outcome"] for record in again.json()["records"]] == ["duplicate", "quarantined"]
        whole = await client.post("/v1/telemetry/activities", content=b"{", headers=bearer(key))
        assert whole.json()["records"] == [{"outcome": "quarantined", "reason": "unreadable"}]

    served(tmp_path, scenario)
    assert rows(tmp_path, BRONZE_QUARANTINE)["tenant_id"].to_list() == ["acme", "acme"]


def test_https_telemetry_takes_jobs_with_headers(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, control: Control) -> None:
        key = control.create_ingest_key("acme")
        headers = bearer(key) | {
            "x-coworkai-device-id": "hr",
            "x-coworkai-collector": "hr/1",
            "x-coworkai-sent-at": "2024-01-01T10:00:00Z",
        }
        body = b"user_id,valid_from\nalice,2024-01-01\n"
        answer = await client.post("/v1/telemetry/jobs", content=body, headers=headers)
        assert answer.json()["accepted"] == 1

    served(tmp_path, scenario)


def test_https_telemetry_needs_a_live_key_of_the_batchs_tenant(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, control: Control) -> None:
        control.put_tenant("globex")
        foreign, revoked = control.create_ingest_key("globex"), control.create_ingest_key("acme")
        control.revoke_ingest_key(revoked)
        for headers, status in (
            ({}, 401),
            (bearer("cwi_wrong"), 401),
            (bearer(revoked), 401),
            (bearer(foreign), 403),
        ):
            answer = await client.post("/v1/telemetry/activities", content=BATCH, headers=headers)
            assert answer.status_code == status
            assert answer.json()["remedy"]
            assert "alice" not in answer.text
        answer = await client.post("/v1/telemetry/nonsense", content=BATCH, headers=bearer(foreign))
        assert answer.status_code == 404

    served(tmp_path, scenario)


def test_replay_over_http(tmp_path: Path) -> None:
    async def first(client: httpx.AsyncClient, _control: Control) -> None:
        await client.post("/push/activities", content=wrapped(BATCH.replace(b'"acme"', b'"later"')))

    async def second(client: httpx.AsyncClient, control: Control) -> None:
        control.put_tenant("later")
        answer = await client.post("/admin/quarantine/replay", json={"reason": "unknown_tenant"})
        assert answer.json() == SUMMARY | {"quarantined": {"start_after_end": 1}}
        assert (await client.post("/admin/quarantine/replay", content=b"[]")).status_code == 400

    served(tmp_path, first)
    served(tmp_path, second)


def test_health_and_metrics(tmp_path: Path) -> None:
    async def scenario(client: httpx.AsyncClient, _control: Control) -> None:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200

    served(tmp_path, scenario)
