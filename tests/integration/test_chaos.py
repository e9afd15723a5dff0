"""Three ingest processes on one lake, killed at random, compacted underneath: every record once, none lost.

Senders behave as Pub/Sub: a message is delivered again, to any instance, until one acknowledges it; some are
delivered again although they were.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError, DeltaError

from coworkai.common.control import Control, Identity
from coworkai.common.lake import Lake, scan
from coworkai.common.tables import BRONZE_ACTIVITIES, BRONZE_QUARANTINE, BRONZE_RECEIPTS
from coworkai.ingest.settings import IngestSettings

INSTANCES = 3
PER_MESSAGE = 20
BAD_EVERY = 50


@dataclass
class Instance:
    """One ingest process behind a listening socket that outlives it, as a load balancer's address does."""

    listening: socket.socket
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def start(self) -> None:
        descriptor = self.listening.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coworkai.ingest"],
            env={**self.environment, "COWORKAI_LISTEN_FD": str(descriptor)},
            pass_fds=[descriptor],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


@dataclass
class Senders:
    """Messages on their way, and the outcomes acknowledged; a milestone is set when there are so many."""

    instances: list[Instance]
    random: random.Random
    waiting: list[bytes]
    milestones: dict[int, asyncio.Event] = field(default_factory=dict)
    acknowledged: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    async def run(self, client: httpx.AsyncClient) -> None:
        while self.waiting:
            await self._deliver(client, self.waiting.pop())

    async def _deliver(self, client: httpx.AsyncClient, body: bytes) -> None:
        instance = self.random.choice(self.instances)
        try:
            answer = await client.post(f"{instance.url}/push/activities", content=body)
        except httpx.HTTPError:
            answer = None
        if answer is None or answer.status_code != 204:
            self.waiting.insert(self.random.randrange(len(self.waiting) + 1), body)
            return
        self.acknowledged += 1
        for count in answer.headers["x-coworkai-outcome"].split(", "):
            name, _, value = count.partition("=")
            self.outcomes[name] += int(value)
        if self.acknowledged in self.milestones:
            self.milestones[self.acknowledged].set()


def messages(records: int, seed: int) -> tuple[list[bytes], set[str], int]:
    """Pushes of overlapping batches over three days, the ids of the good records, and how many are bad."""
    chance = random.Random(seed)
    now = datetime.now(UTC).replace(microsecond=0)
    good: set[str] = set()
    bad = 0
    all_records: list[dict[str, object]] = []
    for number in range(records):
        start = now - timedelta(minutes=chance.randrange(3 * 24 * 60))
        event_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        record: dict[str, object] = {
            "event_id": event_id,
            "user_id": f"user-{number % 40}",
            "start": start.isoformat(),
            "end": (start + timedelta(seconds=30)).isoformat(),
            "exec": "code",
            "title": f"file {number}",
        }
        if number % BAD_EVERY == 0:
            record["exec"] = None
            bad += 1
        else:
            good.add(event_id)
        all_records.append(record)
    batches = [all_records[at : at + PER_MESSAGE] for at in range(0, records, PER_MESSAGE)]
    # A collector that timed out sends old records again with new ones.
    batches += [
        all_records[at : at + PER_MESSAGE] for at in range(PER_MESSAGE // 2, records, 4 * PER_MESSAGE)
    ]
    pushes = [_push(number, batch, now) for number, batch in enumerate(batches)]
    pushes += chance.sample(pushes, len(pushes) // 10)
    chance.shuffle(pushes)
    return pushes, good, bad


def _push(number: int, batch: list[dict[str, object]], now: datetime) -> bytes:
    data = json.dumps(
        {
            "tenant_id": "acme",
            "device_id": "laptop",
            "collector": "chaos/1",
            "sent_at": now.isoformat(),
            "records": batch,
        }
    ).encode()
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": f"m{number}",
        "publishTime": now.isoformat(),
    }
    return json.dumps({"message": message}).encode()


async def chaos(instances: list[Instance], senders: Senders, lake: Lake, kills: int) -> None:
    """Send everything while instances are killed and the table is compacted and vacuumed."""
    total = len(senders.waiting)
    milestones = [total * (kill + 1) // (kills + 1) for kill in range(kills)]
    senders.milestones = {milestone: asyncio.Event() for milestone in milestones}
    async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=40)) as client:
        sending = asyncio.gather(*(senders.run(client) for _ in range(30)))
        for milestone in milestones:
            await senders.milestones[milestone].wait()
            victim = senders.random.choice(instances)
            await asyncio.to_thread(victim.kill)
            await asyncio.to_thread(_maintain, lake)
            victim.start()
        await sending
        # The last ones in flight when a sender found nothing waiting.
        await senders.run(client)


def _maintain(lake: Lake) -> None:
    """What the runner's maintenance does, at the worst moment."""
    try:
        table = lake.open(BRONZE_ACTIVITIES)
        table.optimize.compact()
        table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    except (CommitFailedError, DeltaError, OSError):
        return


def survives(folder: Path, records: int, kills: int, seed: int) -> None:
    settings = IngestSettings(data_dir=folder)
    control = Control(settings.control_url)
    control.migrate()
    control.put_tenant("acme", identity=Identity.PLAIN)
    control.close()
    settings.master_key_bytes()
    environment = os.environ | {
        "COWORKAI_DATA_DIR": str(folder),
        "COWORKAI_LOG_LEVEL": "ERROR",
        "COWORKAI_BUS_URL": "http://127.0.0.1:9",
    }
    lake = Lake(settings.lake_uri)
    pushes, good, bad = messages(records, seed)
    with ExitStack() as stack:
        instances = []
        for _ in range(INSTANCES):
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            instances.append(Instance(listening, environment))
            stack.callback(instances[-1].stop)
            instances[-1].start()
        senders = Senders(instances, random.Random(seed), list(pushes))
        asyncio.run(chaos(instances, senders, lake, kills))
    assert sum(instance.kills for instance in instances) == kills

    rows = scan(lake.open(BRONZE_ACTIVITIES), BRONZE_ACTIVITIES).select("event_id").collect()
    stored = rows["event_id"]
    assert stored.n_unique() == stored.len(), "a record is stored twice"
    assert set(stored) == good, "a record is lost, or one came from nowhere"

    outcomes = senders.outcomes
    assert senders.acknowledged == len(pushes)
    assert outcomes["received"] == outcomes["accepted"] + outcomes["duplicate"] + outcomes["quarantined"]
    # Rows committed by an instance that died before it answered are nobody's accepted, and a duplicate later.
    assert outcomes["accepted"] <= len(good)
    receipts = scan(lake.open(BRONZE_RECEIPTS), BRONZE_RECEIPTS).collect()
    kept = receipts.group_by("outcome").agg(pl.col("records").sum())
    receipted = dict(kept.iter_rows())
    for outcome in ("duplicate", "quarantined"):
        assert receipted[outcome] >= outcomes[outcome], "a receipt is lost"
    quarantine = scan(lake.open(BRONZE_QUARANTINE), BRONZE_QUARANTINE).collect()
    assert quarantine["quarantine_id"].n_unique() == quarantine.height == bad


def test_kills_and_compaction_lose_and_double_nothing(tmp_path: Path) -> None:
    survives(tmp_path, records=3_000, kills=3, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("seed", [2, 3])
def test_many_kills_lose_and_double_nothing_of_sixty_thousand(tmp_path: Path, seed: int) -> None:
    survives(tmp_path, records=60_000, kills=12, seed=seed)
