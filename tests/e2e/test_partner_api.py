"""The partner API as integrators have it: the real platform, keys of the command line, the Python client.

And docs/quick-start-api.md, run as it stands.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from markdown_it import MarkdownIt
from matplotlib.image import imread
from pysail.spark import SparkConnectServer
from tests.e2e.platform import COMMAND, coworkai, process, up

from coworkai.common.tables import GOLD_SLICES
from coworkai.local.sample import SampleFacts, write_organisation
from coworkai_client import ApiError, Client, ClientCredentials, models

pytestmark = pytest.mark.timeout(300)
TENANT = "demo"
DOCUMENT = Path("docs/quick-start-api.md")
ADDRESS = "http://127.0.0.1:8084"
CHECKS = """
assert len(workers) == 5
assert mine.height == len(list(client.list_kpis_daily())) > 0
assert version == bulk.data_version
assert slices.count() == job.rows > 1000
assert received == [{**received[0], "type": "ping"}]
"""
"""Of what Python's blocks leave behind."""


@dataclass(frozen=True)
class Served:
    """A running platform with the sample organisation in it; `url` is its partner API's."""

    data: Path
    url: str
    facts: SampleFacts

    def key(self, *options: str | Path) -> str:
        """A new key of the command line, with its options."""
        return coworkai("keys", "create", TENANT, "--data", self.data, *options).split()[-1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    facts = write_organisation(folder / "records", workers=5, days=3)
    data = folder / "demo-data"
    process(folder / "records", data, tenant=TENANT)
    with up(data) as running:
        yield Served(data, running.urls["partner-api"], facts)
        running.process.send_signal(signal.SIGINT)
        running.rest()


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.url, served.key("--reach", "individual", "--all-scopes")) as opened:
        yield opened


@pytest.fixture(scope="module")
def worker_id(client: Client) -> str:
    return next(iter(client.list_workers())).worker_id


def test_the_workers_are_those_of_the_organisation(client: Client, served: Served) -> None:
    workers = list(client.list_workers(limit=2))
    assert len(workers) == served.facts.workers
    assert all(worker.worker_id.startswith("user_") for worker in workers)


def test_a_brief_is_the_same_as_json_and_markdown_and_its_evidence_is_traced(
    client: Client, worker_id: str
) -> None:
    brief = client.get_worker_brief(worker_id)
    text = client.get_worker_brief_markdown(worker_id)
    headline = brief.brief["headline"]["text"]
    assert headline in text
    assert brief.brief_id is not None
    first = next(iter(client.list_brief_statements(brief.brief_id)))
    assert first.text == headline
    assert first.evidence


def test_pages_bulk_and_export_have_the_same_rows_as_the_table(
    client: Client, served: Served, tmp_path: Path
) -> None:
    stored = pl.read_delta(str(served.data / "lake" / GOLD_SLICES.path(TENANT)))
    rows = list(client.list_atomic_slices(limit=1000))
    assert len(rows) == stored.height > 1000
    bulk = pl.read_parquet(client.list_atomic_slices().read("parquet").content)
    assert bulk["duration_s"].to_list() == [row.duration_s for row in rows]
    columns = ["date", "worker_id", "duration_s"]
    job = client.export(models.NewExport(resource="atomic-slices", fields=columns))
    exported = pl.concat(pl.read_parquet(file) for file in client.download(job, tmp_path))
    assert exported.equals(bulk.select(columns))


def test_measures_are_queried_by_team_and_what_few_make_up_is_suppressed(
    client: Client, served: Served
) -> None:
    asked = models.MetricsQuery(
        measures=["active_s"],
        group_by=[models.Dimension.DAY],
        start_date=served.facts.first_day,
        end_date=served.facts.last_day,
    )
    cells = client.query_metrics(asked).data
    kpis = client.list_kpis_daily(
        measure="active_s", start_date=served.facts.first_day, end_date=served.facts.last_day
    )
    assert sum(cell.value or 0.0 for cell in cells) == pytest.approx(sum(row.value or 0.0 for row in kpis))
    with Client(served.url, served.key("--reach", "aggregate")) as analyst:
        for cell in analyst.query_metrics(asked).data:
            assert (cell.value is None) == (cell.suppressed is not None)
        with pytest.raises(ApiError, match="individual_reach_required"):
            list(analyst.list_workers())


def test_an_oauth_client_reads_what_its_scope_allows(served: Served, worker_id: str) -> None:
    options = ("--client", "--reach", "individual", "--scope", "briefs:read")
    made = coworkai("keys", "create", TENANT, "--data", served.data, *options).split()
    credentials = ClientCredentials(served.url, made[1], made[3])
    with Client(served.url, credentials) as client:
        assert client.get_worker_brief(worker_id).subject_id == worker_id
        with pytest.raises(ApiError, match="missing_scope"):
            list(client.list_workblocks())


def test_who_read_a_worker_is_in_that_workers_access_log(
    served: Served, client: Client, worker_id: str
) -> None:
    key = served.key("--reach", "individual", "--name", "wellbeing dashboard")
    with Client(served.url, key) as dashboard:
        dashboard.get_worker_brief(worker_id)
    token = client.create_worker_token(models.NewWorkerToken(worker_id=worker_id))
    with Client(served.url, token.access_token) as worker:
        token_made, brief_read = list(worker.list_access_log(limit=2).first_page().data)
    assert token_made.operation == "create_worker_token"
    assert (brief_read.principal_name, brief_read.operation) == ("wellbeing dashboard", "get_worker_brief")


def blocks(language: str) -> str:
    """The document's code in a language, one block after the other."""
    found = MarkdownIt().parse(DOCUMENT.read_text(encoding="utf-8"))
    return "\n".join(each.content for each in found if each.type == "fence" and each.info == language)


@pytest.fixture
def folder(served: Served, tmp_path: Path) -> Path:
    (tmp_path / "demo-data").symlink_to(served.data)
    return tmp_path


def test_every_snippet_works(served: Served, folder: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        "COWORKAI_PUBLIC_URL": served.url,
    }
    script = blocks("bash").replace(ADDRESS, served.url) + '\necho "KEY=$KEY"\n'
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shell.returncode == 0, shell.stderr[-3000:]
    assert '"name":"quick-start"' in shell.stdout
    assert "## Evidence\n\n[1] " in shell.stdout
    *_, block, not_modified, key = shell.stdout.splitlines()
    assert block.startswith("wb:")
    assert not_modified == "304"

    spark = SparkConnectServer()
    spark.start(background=True)
    host, port = spark.listening_address
    environment |= {
        "API": served.url,
        "KEY": key.removeprefix("KEY="),
        "SPARK_REMOTE": f"sc://{host}:{port}",
        # Spark's client by itself looks for an installation and uses nothing of it.
        "SPARK_HOME": str(folder),
        # The official clients' own.
        "PYTHONWARNINGS": "ignore",
    }
    python = subprocess.run(
        [sys.executable, "-c", blocks("python") + CHECKS],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    spark.stop()
    assert python.returncode == 0, python.stderr[-3000:]
    assert "h of focus" in python.stdout
    assert "404 version_not_found req_" in python.stdout
    chart = imread(folder / "chart.png")
    assert chart.shape[1] == 1080
    assert chart[..., :3].std() > 0.05
