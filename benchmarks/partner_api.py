"""The partner API over HTTP: what a read costs beside an empty FastAPI handler and roapi, how soon a new
version is seen, and what a row in memory takes.

50 tenants have 20,000 rows of `gold/kpi_daily` each, one more has 100,000. Server and load are two processes
on one machine; processor time is the server's alone, all its threads, read before and after. 32 connections
ask at once, without pipelining: a point read is 20 rows of one tenant, worker and date, and is in the
worker's access log before it is answered. New versions are committed beforehand and become visible by a
rename each, so that nothing but the server works for them. roapi has the same million rows, in memory.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import polars as pl
import psutil
import uvicorn
from fastapi import FastAPI

from benchmarks.result import Result
from coworkai.common.control import Control, Database, Stage
from coworkai.common.lake import Lake, scan
from coworkai.common.measures import CATALOGUE
from coworkai.common.outputs import TABLES, ComputedDay, Facts, Outputs, Run
from coworkai.common.tables import GOLD_KPI_DAILY, OPS_RUNS
from coworkai.partner_api.credentials import Credentials, Grant
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings

NAME = "partner api"
TENANTS = 50
WORKERS, LARGE_WORKERS, DAYS, MEASURES = 40, 200, 25, 20
FIRST = date(2026, 9, 1)
LAST = FIRST + timedelta(days=DAYS - 1)
LARGE = "large"
CONNECTIONS = 32
REQUESTS = 4_000
ROUNDS = 3
ARROW_REQUESTS = 20
ROAPI_REQUESTS = 600
VERSIONS = 6
BETWEEN_VERSIONS_S = 1.5


def run() -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="partner-api-") as folder:
        site = _site(Path(folder))
        with (
            _server([sys.executable, "-m", "benchmarks.partner_api"], "/empty") as idle,
            _server([sys.executable, "-m", "coworkai.partner_api"], "/healthz", site.environment) as server,
        ):
            found = _measured(server, idle, site)
        found += _against_roapi(site, found[0].value)
    return found[1:]


def _measured(server: Server, idle: Server, site: Site) -> list[Result]:
    """The first is requests a second, to be compared with."""
    reads = [_read(site, f"tenant-{n % TENANTS:02}", n % WORKERS, n % DAYS) for n in range(2_000)]
    _load(server, reads[:1], 20)
    before = server.rss_bytes
    everybody = [
        _worker(site, f"tenant-{tenant:02}", worker)
        for tenant in range(1, TENANTS)
        for worker in range(WORKERS)
    ]
    _load(server, everybody, len(everybody))
    bytes_a_row = (server.rss_bytes - before) / ((TENANTS - 1) * WORKERS * DAYS * MEASURES)
    points = _load(server, reads, REQUESTS)
    assert points.rows == MEASURES
    same = [_get(path, {**headers, "if-none-match": points.etags[path]}) for path, headers in reads[:200]]
    # In turn, so that what else the machine does falls on all of them.
    rounds = [
        (
            _load(idle, [_get("/empty")], REQUESTS),
            _load(server, reads, REQUESTS),
            _load(server, same, REQUESTS, status=304),
        )
        for _ in range(ROUNDS)
    ]
    empty, point, unchanged = (median(loads[n].cpu_s for loads in rounds) for n in range(3))
    arrow_path = f"/v1/kpis/daily?{urlencode({'format': 'arrow'})}"
    arrow = [_get(arrow_path, site.headers(LARGE))]
    _load(server, arrow, 2)
    large = _load(server, arrow, ARROW_REQUESTS, connections=1)
    seen_s, spike, usual = _new_versions(server, site)
    return [
        Result(NAME, "requests a second", median(loads[1].per_second for loads in rounds), "/s"),
        Result(
            NAME,
            "point read of 20 rows / empty FastAPI handler, CPU",
            point / empty,
            "x",
            at_most=3,
        ),
        Result(NAME, "304 / empty FastAPI handler, CPU", unchanged / empty, "x", at_most=1.5),
        Result(NAME, "point read, CPU", point * 1e6, "µs"),
        Result(NAME, "304, CPU", unchanged * 1e6, "µs"),
        Result(NAME, "empty FastAPI handler, CPU", empty * 1e6, "µs"),
        Result(NAME, "new version seen after its commit, slowest", seen_s, "s", at_most=1),
        Result(NAME, "slowest read in the second after a commit / median", spike, "x", at_most=5),
        Result(NAME, "slowest read in a second without one / median", usual, "x"),
        Result(NAME, "memory of a hot row", bytes_a_row, "B", at_most=150),
        Result(NAME, "100,000 rows as Arrow, CPU", large.cpu_s * 1e3, "ms", at_most=60),
    ]


def _against_roapi(site: Site, per_second: float) -> list[Result]:
    binary = shutil.which("roapi", path=str(Path(sys.executable).parent)) or shutil.which("roapi")
    if binary is None:
        raise SystemExit("roapi is not installed: make bench installs it")
    file = site.folder / "kpis.parquet"
    pl.concat(
        scan(site.lake.open(GOLD_KPI_DAILY, f"tenant-{n:02}", version=1), GOLD_KPI_DAILY)
        for n in range(TENANTS)
    ).sink_parquet(file)
    port = _free_port()
    others = ["--addr-postgres", "127.0.0.1:0", "--addr-flight-sql", "127.0.0.1:0"]
    command = [binary, "--addr-http", f"127.0.0.1:{port}", *others, "--table", f"kpis={file}"]
    with _server(command, "/api/schema", port=port) as server:
        reads = []
        for number in range(200):
            filters = {
                "filter[tenant_id]": f"'tenant-{number % TENANTS:02}'",
                "filter[user_id]": f"'{_user(number % WORKERS)}'",
                "filter[date]": f"'{FIRST + timedelta(days=number % DAYS)}'",
            }
            reads.append(_get(f"/api/tables/kpis?{urlencode(filters)}"))
        _load(server, reads, 50)
        roapi = _load(server, reads, ROAPI_REQUESTS)
    assert roapi.rows == MEASURES, "roapi has found other rows"
    return [
        Result(NAME, "requests a second / roapi 0.12.7", per_second / roapi.per_second, "x", at_least=10),
        Result(NAME, "requests a second, roapi", roapi.per_second, "/s"),
        Result(NAME, "requests a second", per_second, "/s"),
    ]


# ------------------------------------------------------------------------------------------ what is served
@dataclass(frozen=True)
class Site:
    """A lake with tenants, their keys, and publications that are held back: where each log entry is, and
    where it belongs."""

    folder: Path
    keys: dict[str, str] = field(default_factory=dict)
    held_back: list[tuple[Path, Path]] = field(default_factory=list)

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    @property
    def environment(self) -> dict[str, str]:
        return {"COWORKAI_DATA_DIR": str(self.folder), "COWORKAI_RATE_LIMIT_PER_MINUTE": "1000000000"}

    def headers(self, tenant_id: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[tenant_id]}"}


def _site(folder: Path) -> Site:
    settings = PartnerApiSettings(data_dir=folder)
    database = Database(settings.control_url)
    database.migrate()
    control = Control(database)
    credentials = Credentials(database, Secrets(settings.master_key_bytes()))
    site = Site(folder)
    grant = Grant(frozenset(Scope), Reach.INDIVIDUAL, None)
    days = [FIRST + timedelta(days=n) for n in range(DAYS)]
    for tenant_id in [*(f"tenant-{number:02}" for number in range(TENANTS)), LARGE]:
        control.put_tenant(tenant_id)
        site.keys[tenant_id] = credentials.create_key(tenant_id, "bench", grant, actor="bench").secret
        _publish(site.lake, tenant_id, days, LARGE_WORKERS if tenant_id == LARGE else WORKERS, fence=1)
    for number in range(VERSIONS):
        _publish(site.lake, "tenant-00", [LAST], WORKERS, fence=2 + number)
    database.close()
    log = folder / "lake" / OPS_RUNS.path("tenant-00") / "_delta_log"
    for version in range(2, 2 + VERSIONS):
        entry = log / f"{version:020}.json"
        site.held_back.append((entry.rename(folder / entry.name), entry))
    return site


def _publish(lake: Lake, tenant_id: str, days: Sequence[date], workers: int, fence: int) -> None:
    outputs = Outputs.open(lake, tenant_id, Stage.STAGE1, fence)
    computed = [
        ComputedDay(
            {
                table.id: _kpis(tenant_id, on, workers, fence) if table is GOLD_KPI_DAILY else table.empty()
                for table in TABLES[Stage.STAGE1]
            },
            Run(f"{tenant_id}-{fence}-{on}", (on,), {}),
        )
        for on in days
    ]
    outputs.replace_days([GOLD_KPI_DAILY], computed)
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=fence)
    outputs.publish([one.run for one in computed], Facts({}, "1", "1", at, at))


def _kpis(tenant_id: str, on: date, workers: int, fence: int) -> pl.DataFrame:
    measures = list(CATALOGUE.values())[:MEASURES]
    names = [(_user(worker), measure) for worker in range(workers) for measure in measures]
    return pl.DataFrame(
        {
            "tenant_id": tenant_id,
            "date": [on] * len(names),
            "user_id": [user for user, _ in names],
            "measure": [measure.name for _, measure in names],
            "value": [float(number * fence % 977) * 1.37 for number in range(len(names))],
            "unit": [measure.unit.value for _, measure in names],
            "run_id": None,
        },
        schema=GOLD_KPI_DAILY.schema,
    )


def _user(number: int) -> str:
    return f"user_{number:024x}"


# ------------------------------------------------------------------------------------------ what is asked
Request = tuple[str, dict[str, str]]
"""A path and headers."""


def _get(path: str, headers: dict[str, str] | None = None) -> Request:
    return path, headers or {}


def _read(site: Site, tenant_id: str, worker: int, day: int) -> Request:
    on = FIRST + timedelta(days=day)
    query = urlencode({"worker_id": _user(worker), "start_date": on, "end_date": on})
    return _get(f"/v1/kpis/daily?{query}", site.headers(tenant_id))


def _worker(site: Site, tenant_id: str, worker: int) -> Request:
    return _get(
        f"/v1/kpis/daily?{urlencode({'worker_id': _user(worker), 'limit': 1000})}", site.headers(tenant_id)
    )


@dataclass(frozen=True)
class Server:
    """A process that serves on a port of this machine."""

    process: psutil.Process
    port: int

    @property
    def cpu_s(self) -> float:
        """Processor time so far, of all threads."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    @property
    def rss_bytes(self) -> int:
        return int(self.process.memory_info().rss)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: when it came, how long it took (seconds), and what it said."""

    at: float
    took_s: float
    data_version: int
    body_start: bytes


@dataclass(frozen=True)
class Load:
    """What requests cost the server: processor seconds of one, and how many in a second."""

    cpu_s: float
    per_second: float
    rows: int
    etags: dict[str, str]


def _load(
    server: Server,
    requests: Sequence[Request],
    count: int,
    *,
    status: int = 200,
    connections: int = CONNECTIONS,
) -> Load:
    """Send requests in turn, `count` of them; every answer must have the status."""
    client = _Client(server.port, requests, status)
    before, began = server.cpu_s, time.perf_counter()
    asyncio.run(client.send(count, min(connections, count)))
    took = time.perf_counter() - began
    return Load((server.cpu_s - before) / count, count / took, client.rows, client.etags)


def _new_versions(server: Server, site: Site) -> tuple[float, float, float]:
    """Reads of a tenant that gets new versions: the longest until one is seen (seconds), and the slowest
    answer in the second after a commit and in one without, both in medians."""
    reads = [_read(site, "tenant-00", n, DAYS - 1) for n in range(WORKERS)]
    client = _Client(server.port, reads, 200)
    commits: list[tuple[float, int]] = []

    async def publish() -> None:
        await asyncio.sleep(2 * BETWEEN_VERSIONS_S)
        for held, entry in site.held_back:
            held.rename(entry)
            commits.append((time.perf_counter(), int(entry.stem)))
            await asyncio.sleep(BETWEEN_VERSIONS_S)

    async def both() -> None:
        publishing = asyncio.create_task(publish())
        while not publishing.done():
            await client.send(CONNECTIONS * 20, CONNECTIONS)
        await publishing

    asyncio.run(both())
    first = client.answers[0].at
    typical = median(one.took_s for one in client.answers)
    seen = [
        min(one.at for one in client.answers if one.data_version >= version) - at for at, version in commits
    ]

    def slowest(start: float) -> float:
        return max(one.took_s for one in client.answers if start <= one.at <= start + 1) / typical

    calm = first + BETWEEN_VERSIONS_S
    return max(seen), median(slowest(at) for at, _ in commits), slowest(calm)


class _Client:
    """Asks over connections that stay open."""

    def __init__(self, port: int, requests: Sequence[Request], status: int) -> None:
        self._port = port
        self._status = b" %d " % status
        self._requests = cycle([(path, _bytes(path, headers)) for path, headers in requests])
        self.answers: list[Answer] = []
        self.etags: dict[str, str] = {}
        self.rows = 0

    async def send(self, count: int, connections: int) -> None:
        share = [count // connections + (number < count % connections) for number in range(connections)]
        await asyncio.gather(*(self._ask(one) for one in share))

    async def _ask(self, count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**26)
        for path, request in islice(self._requests, count):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _header(head, b"content-length")
            body = await reader.readexactly(int(length)) if length else b""
            now = time.perf_counter()
            assert self._status in head[:15], head + body[:1000]
            version = int(_header(head, b"x-data-version") or 0)
            self.answers.append(Answer(now, now - began, version, body[:1]))
            self.rows = body.count(b'"measure"')
            if etag := _header(head, b"etag"):
                self.etags[path] = etag.decode()
        writer.close()
        await writer.wait_closed()


def _bytes(path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: bench", "accept: */*", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _header(head: bytes, name: bytes) -> bytes:
    lowered = head.lower()
    at = lowered.find(b"\r\n" + name + b":")
    return b"" if at < 0 else head[at + len(name) + 3 : head.index(b"\r\n", at + 2)].strip()


@contextmanager
def _server(
    command: list[str], ready: str, environment: dict[str, str] | None = None, port: int | None = None
) -> Iterator[Server]:
    """Start a server and wait until it answers `ready`."""
    port = port or _free_port()
    given = {**os.environ, **(environment or {}), "PORT": str(port), "RUST_LOG": "error"}
    with subprocess.Popen(command, env=given, stdout=subprocess.DEVNULL) as process:
        try:
            server = Server(psutil.Process(process.pid), port)
            client = _Client(port, [_get(ready)], 200)
            while process.poll() is None:
                try:
                    asyncio.run(client.send(1, 1))
                    break
                except OSError:
                    time.sleep(0.05)
            yield server
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _empty() -> None:
    """An application that does nothing, served as the services are."""
    app = FastAPI()

    @app.get("/empty")
    async def empty() -> dict[str, str]:
        return {}

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    _empty()
