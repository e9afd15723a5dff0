"""Either bus delivers to the real ingest and runner: the same telemetry becomes the same workblocks."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import httpx
import msgspec
import pytest
from tests.doubles.buses import EMULATOR_JAR, embedded_bus, emulator

from coworkai.common.bus import Publisher
from coworkai.common.lake import Lake
from coworkai.local import topology
from coworkai.local.platform import Service, private_environment
from coworkai.local.process import TenantPolicy, open_control, put_tenant
from coworkai.local.sender import record_files, send
from coworkai.local.summary import summarise
from coworkai.local.topology import PushIdentity

pytestmark = pytest.mark.timeout(300)
PROJECT = "local"
SENT, ACCEPTED = 8, 6
DAY = (datetime.now(UTC) - timedelta(days=2)).replace(hour=9, minute=0, second=0, microsecond=0)


@pytest.fixture(
    params=[
        "embedded",
        pytest.param(
            "emulator",
            marks=[
                pytest.mark.integration,
                pytest.mark.skipif(not EMULATOR_JAR.exists(), reason="no Pub/Sub emulator on this machine"),
            ],
        ),
    ]
)
def bus_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if request.param == "embedded":
            yield stack.enter_context(embedded_bus(tmp_path))[0]
        else:
            yield stack.enter_context(emulator())


@contextmanager
def services(bus_url: str, data: Path) -> Iterator[dict[str, str]]:
    """Ingest and runner over the bus; their base URLs. The emulator signs nothing, so nothing is verified."""
    environment = private_environment() | {
        "COWORKAI_DATA_DIR": str(data),
        "COWORKAI_BUS_URL": bus_url,
        "COWORKAI_PROJECT": PROJECT,
    }
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as lifeline, os.fdopen(write_end, "wb"):
        started = [
            Service(name, data / "logs" / f"{name}.log", socket.create_server(("127.0.0.1", 0)), name)
            for name in ("ingest", "runner")
        ]
        try:
            for service in started:
                service.start(environment, lifeline)
            yield {service.name: service.url for service in started}
        finally:
            for service in started:
                service.ask_to_stop()
            for service in started:
                service.wait_or_kill()


def write_records(folder: Path) -> None:
    folder.mkdir()
    hours = [(DAY + timedelta(minutes=20 * n), DAY + timedelta(minutes=20 * n + 25)) for n in range(6)]
    lines = [
        {
            "event_id": str(UUID(int=n + 1)),
            "user_id": "ana",
            "start": start,
            "end": end,
            "exec": "/usr/bin/code",
            "title": f"file {n}",
        }
        for n, (start, end) in enumerate(hours)
    ]
    content = b"\n".join(msgspec.json.encode(line) for line in [*lines, lines[0], {"event_id": "none"}])
    (folder / "activities.ndjson").write_bytes(content)


async def publish(bus_url: str, folder: Path) -> None:
    publisher = Publisher(bus_url, PROJECT)
    try:
        await send(publisher, record_files(folder), "acme")
    finally:
        await publisher.aclose()


def test_telemetry_becomes_workblocks_over_either_bus(bus_url: str, tmp_path: Path) -> None:
    records = tmp_path / "records"
    write_records(records)
    control = open_control(tmp_path)
    put_tenant(control, TenantPolicy("acme"))
    lake = Lake(str(tmp_path / "lake"))
    with services(bus_url, tmp_path) as urls:
        with httpx.Client(base_url=bus_url, timeout=30) as client:
            topology.apply(client, PROJECT, urls, PushIdentity("test", "push@test.iam.gserviceaccount.com"))
        asyncio.run(publish(bus_url, records))
        give_up_at = time.monotonic() + 120
        while not is_complete(summary := summarise(lake, "acme")):
            assert time.monotonic() < give_up_at, summary
            time.sleep(0.2)
    control.close()


def is_complete(summary: Mapping[str, object]) -> bool:
    """Whether everything is there that must become of the records; what runs publish comes bit by bit."""
    records = cast("Mapping[str, int]", summary["records"])
    return (
        summary["workblocks"] == 1
        and summary["seconds"] == {"raw": 9_000.0, "kept": 7_500.0, "overlapped": 1_500.0}
        and records["accepted"] == ACCEPTED
        and accounted(records)
    )


def accounted(records: Mapping[str, int]) -> bool:
    """Whether every delivery is: a slow answer has the same message delivered again, and counted again."""
    parts = records["accepted"] + records["duplicate"] + records["quarantined"]
    deliveries, rest = divmod(records["received"], SENT)
    return records["received"] == parts and rest == 0 and records["quarantined"] == deliveries > 0
