"""The same tenant-days through the local engine, Sail and Apache Spark: equal rows and files."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from pysail.spark import SparkConnectServer
from tests.factories import TENANT, at
from tests.integration.spark_options import SUBMIT_ARGUMENTS
from tests.unit.runner.pipeline.lakes import RUNNERS_TABLES, Place

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.runner.repeats import Repeats

DAYS = [date(2024, 1, 8), date(2024, 1, 9)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "local")
    fill(place)
    assert Repeats(place.lake, place.control, "runner").find() == 2
    place.process()
    yield place
    place.close()


def fill(place: Place, workers: int = 5) -> None:
    """Two days of a few workers in several zones, with every source."""
    choose = random.Random(11)
    people = [f"worker-{n}" for n in range(workers)]
    zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
    place.commit(
        Source.JOBS,
        *(
            {
                "user_id": user,
                "valid_from": DAYS[0] - timedelta(days=30),
                "snapshot_digest": "s1",
                "row_number": n,
                "team": f"team-{n % 2}",
                "department": "work",
                "time_zone": zones[n % 3],
                "schedule_start": "09:00",
                "schedule_end": "17:00",
            }
            for n, user in enumerate(people)
        ),
    )
    activities, keystrokes, posture, chat, clipboard, manifests = [], [], [], [], [], []
    for user in people:
        for day in DAYS:
            start = at("06:00", day) + timedelta(seconds=choose.randrange(7200))
            for _ in range(60):
                length = timedelta(seconds=choose.randrange(1, 900))
                app = choose.choice(["chrome.exe", "code", "slack", "excel.exe"])
                url = f"https://www.example.co.uk/{choose.randrange(5)}" if app == "chrome.exe" else None
                activities.append(
                    {
                        "user_id": user,
                        "started_at": start,
                        "ended_at": start + length,
                        "exec": app,
                        "url": url,
                        "title": f"{app} {choose.randrange(4)}",
                    }
                )
                if choose.random() < 0.5:
                    keystrokes.append(
                        {
                            "user_id": user,
                            "minute": (start + length / 2).replace(second=0, microsecond=0),
                            "exec": choose.choice([app, "notepad.exe"]),
                            "capture": "text",
                            "text": "ab<Backspace><Backspace>",
                            "key_count": 4,
                            "keys_printable": 2,
                            "keys_backspace": 2,
                        }
                    )
                start += length * choose.choice([0.5, 1, 1, 4])
            noon = at("12:00", day)
            posture.append({"user_id": user, "occurred_at": noon, "idle_s": 400.0, "locked": False})
            chat.append({"user_id": user, "occurred_at": noon, "role": "user", "text": "hello"})
            clipboard.append({"user_id": user, "occurred_at": noon, "action": "COPY", "exec": "code"})
            manifests += [
                {"user_id": user, "kind": "SOD", "occurred_at": at("08:00", day), "goals": ["Ship", "rest"]},
                {"user_id": user, "kind": "EOD", "occurred_at": at("16:00", day), "goals": ["ship"]},
            ]
    # Ids that came before: one a month ago under a policy that kept no more of it, one to another worker.
    keystrokes[0] |= {"event_id": "withheld-before"}
    keystrokes.append(
        {
            "event_id": "withheld-before",
            "event_date": DAYS[0] - timedelta(days=30),
            "user_id": None,
            "capture": "off",
            "published_at": at("00:00", DAYS[0] - timedelta(days=30)),
        }
    )
    activities[0] |= {"event_id": "another's", "published_at": at("23:30", DAYS[1])}
    activities[-1] |= {"event_id": "another's"}
    place.commit(Source.ACTIVITIES, *activities)
    place.commit(Source.KEYSTROKES, *keystrokes)
    place.commit(Source.DEVICE_POSTURE, *posture)
    place.commit(Source.CHAT, *chat)
    place.commit(Source.CLIPBOARD, *clipboard)
    place.commit(Source.MANIFESTS, *manifests)


def assert_computes_the_same(local: Place, elsewhere: Place, **environment: str) -> None:
    days = sorted(local.published(Stage.SILVER).run_ids)
    for stage in (Stage.SILVER, Stage.STAGE1):
        command = [sys.executable, "-m", "coworkai.runner.spark_job", stage.value, "--tenant", TENANT]
        command += ["--from", days[0].isoformat(), "--to", days[-1].isoformat(), "--buckets", "2"]
        settings = {
            "COWORKAI_DATA_DIR": str(elsewhere.folder),
            "COWORKAI_LAKE_URI": elsewhere.lake.root,
            "PYSPARK_PYTHON": sys.executable,
        }
        job = subprocess.run(
            command,
            env={**os.environ, **settings, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert job.returncode == 0, job.stderr[-4000:]
    computed = elsewhere.tables()
    for table_id, expected in local.tables().items():
        assert not expected.is_empty(), table_id
        assert_frame_equal(computed[table_id], expected, check_exact=True)
    assert elsewhere.artifacts() == local.artifacts()
    for table in RUNNERS_TABLES:
        protocol = elsewhere.lake.open(table, TENANT).protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)


@pytest.fixture
def elsewhere(place: Place, tmp_path: Path) -> Iterator[Place]:
    elsewhere = place.elsewhere(tmp_path / "elsewhere")
    assert Repeats(elsewhere.lake, elsewhere.control, "runner").find() == 2
    yield elsewhere
    elsewhere.close()


def test_sail_publishes_what_the_local_engine_publishes(place: Place, elsewhere: Place) -> None:
    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start()
    try:
        assert_computes_the_same(
            place, elsewhere, SPARK_REMOTE=f"sc://127.0.0.1:{server.listening_address[1]}"
        )
    finally:
        server.stop()


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("java") is None, reason="Apache Spark needs Java")
def test_apache_spark_publishes_what_the_local_engine_publishes(place: Place, elsewhere: Place) -> None:
    assert_computes_the_same(place, elsewhere, PYSPARK_SUBMIT_ARGS=SUBMIT_ARGUMENTS)
