"""DuckDB and Apache Spark read a share by the addresses of its files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from tests.e2e.partner import Partner, running
from tests.integration.spark_options import SUBMIT_ARGUMENTS
from tests.unit.partner_api.gold_lake import GoldLake, day

pytestmark = pytest.mark.integration

DAYS = 3
SUM = DAYS * 2 * (0 + 1 + 2)


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    folder = tmp_path_factory.mktemp("partner")
    gold = GoldLake(folder / "lake")
    for number in range(DAYS):
        gold.publish_kpis(day(number))
    with running(folder, gold) as started:
        yield started


@dataclass(frozen=True)
class Shared:
    """A table as a query in parquet format tells it."""

    schema: dict[str, Any]
    files: list[dict[str, Any]]


@pytest.fixture
def shared(partner: Partner) -> Shared:
    told = json.loads(partner.profile().read_text())
    answer = httpx.post(
        f"{told['endpoint']}/shares/coworkai/schemas/gold/tables/kpi_daily/query",
        headers={"authorization": f"Bearer {told['bearerToken']}"},
        json={},
    )
    _, metadata, *files = (json.loads(line) for line in answer.text.splitlines())
    return Shared(json.loads(metadata["metaData"]["schemaString"]), [line["file"] for line in files])


def test_duckdb_reads_the_addresses(shared: Shared) -> None:
    (httpfs,) = Path(str(resources.files("duckdb_extension_httpfs"))).rglob("httpfs.duckdb_extension")
    with duckdb.connect() as connection:
        connection.load_extension(str(httpfs))
        query = "SELECT count(*), sum(value) FROM read_parquet($urls) WHERE user_id = 'ana'"
        found = connection.execute(query, {"urls": [file["url"] for file in shared.files]}).fetchone()
    assert found == (DAYS * 3, SUM / 2)


@pytest.mark.skipif(shutil.which("java") is None, reason="Apache Spark needs Java")
def test_apache_spark_reads_the_addresses_from_its_executors(shared: Shared, tmp_path: Path) -> None:
    asked = tmp_path / "shared.json"
    asked.write_text(json.dumps({"schema": shared.schema, "files": shared.files}))
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.spark_reads_share", str(asked)],
        env={
            **os.environ,
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": SUBMIT_ARGUMENTS,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    by_date = json.loads(done.stdout.splitlines()[-1])
    assert by_date == {day(number).isoformat(): SUM / DAYS for number in range(DAYS)}
