"""Commands that run the platform: up, process, demo, send."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from coworkai.common.control import Capture, Control, Identity
from coworkai.common.errors import Terminal
from coworkai.common.wording import counted
from coworkai.local.commands.options import (
    DATE,
    DEFAULT_DATA,
    Data,
    Json,
    Tenant,
    err,
    local_date,
    make_folder,
    out,
    print_json,
    settings_of,
)

DEMO_DATA = Path("demo-data")
DEMO_TENANT = "demo"
DEMO_MARK = ".coworkai-demo"
CHECK_S = 0.5

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        exists=True,
        file_okay=False,
        show_default=False,
        help="Folder with any of activities.ndjson, keystrokes.ndjson, clipboard.ndjson, chat.ndjson, "
        "manifests.ndjson, device-posture.ndjson, jobs.csv (and jobs-*.csv: later snapshots).",
    ),
]


def up(
    data: Data = DEFAULT_DATA,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65_000,
            help="Port of ingest; the other services follow it. 0 takes free ones.",
        ),
    ] = 8081,
) -> None:
    """Run the four services and the bus on this machine, until Ctrl-C.

    Data survives a restart; a service that dies is started again. Settings come from COWORKAI_* environment
    variables.

    Example: coworkai up --data ./data
    """
    from coworkai.local.platform import Platform, check_settings, own_environment, stop_on_signals

    check_settings()
    _warn_of_unused_settings()
    make_folder(data, "--data")
    settings = settings_of(data)
    control = Control(settings.control_url)
    with stop_on_signals():
        try:
            with Platform(
                data,
                environment=own_environment(),
                first_port=port or None,
                prepare=control.migrate,
                announce=_announce,
                release_holder=control.release_holder,
            ) as platform:
                out.print(f"CoworkAI is up on {data}. Ctrl-C stops it.", soft_wrap=True)
                out.print(f"The API's reference is at {platform.url('partner-api')}/docs", soft_wrap=True)
                if not control.tenants():
                    command = shlex.join(["coworkai", "tenant", "set", "acme", "--data", str(data)])
                    out.print(f"No tenant yet: {command}", soft_wrap=True)
                while True:
                    platform.tend(_say)
                    time.sleep(CHECK_S)
        except KeyboardInterrupt:
            out.print("Stopped; every message taken is kept.")
        finally:
            control.close()


def _say(line: str) -> None:
    out.print(Text(line), soft_wrap=True)


def _announce(name: str, url: str) -> None:
    out.print(f"{name:<12} ready at {url}")


def process(
    folder: Folder,
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Keep lake, reports and logs here.", show_default=False),
    ] = None,
    tenant: Tenant = "local",
    capture: Annotated[
        Capture | None, typer.Option(help="What of keystrokes and clipboard is stored.", show_default=False)
    ] = None,
    identity: Annotated[
        Identity | None, typer.Option(help="Store user_id as a keyed token, or as sent.", show_default=False)
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="IANA zone of workers whose zone jobs.csv does not tell.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Process a folder of record files from telemetry to workblocks, KPIs, reports and briefs, then stop.

    Starts a private platform on free ports, sends every record through real HTTP pushes, waits until all is
    processed, and prints what became of every record and second.

    A tenant that --data knows already keeps its policy but for what is given here; a new one starts with
    counts, token and UTC.

    Settings come from COWORKAI_* environment variables, but for those that would put data elsewhere.

    Example: coworkai process ./records --data ./result
    """
    from coworkai.local.platform import check_settings, stop_on_signals
    from coworkai.local.process import NOT_USED, TenantPolicy, working_folder
    from coworkai.local.show import summary_table

    check_settings()
    _warn_of_unused_settings(*NOT_USED)
    _warn_of_unknown_files(folder)
    if data is not None:
        make_folder(data, "--data")
    policy = TenantPolicy(tenant, identity, capture, time_zone)
    with stop_on_signals(), working_folder(data) as data_dir:
        summary = _process(folder, data_dir, policy)
    if json:
        print_json(summary)
        return
    summary_table(out, summary)
    if data is not None:
        out.print(f"\nlake     {data / 'lake'}")
        out.print(f"reports  {_artifacts(data, tenant)}")


def demo(
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="Where lake, reports and logs go.")
    ] = DEMO_DATA,
    seed: Annotated[int, typer.Option(help="Another seed makes another organisation.")] = 7,
    start: Annotated[
        date | None,
        typer.Option(
            metavar=DATE,
            parser=local_date,
            help="First working day; around the last change of clocks by default.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Two weeks of a sample organisation, from telemetry to workblocks, reports and briefs.

    25 workers in 4 teams and 3 time zones, with overlaps, duplicates, late and broken records, personal data
    in titles and chat. The same seed makes the same organisation. An earlier demo in the folder is replaced.

    Example: coworkai demo --data ./demo-data
    """
    from coworkai.local.demo import show_demo
    from coworkai.local.platform import check_settings, private_settings, stop_on_signals
    from coworkai.local.process import NOT_USED, TenantPolicy
    from coworkai.local.sample import write_organisation

    check_settings()
    _warn_of_unused_settings(*NOT_USED)
    _fresh_demo_folder(data)
    # The records hold personal data in clear, so they are not kept beside the lake, which must not.
    with TemporaryDirectory(prefix="coworkai-records-") as records, stop_on_signals():
        facts = write_organisation(Path(records), seed=seed, start=start)
        err.print(
            f"{counted(facts.workers, 'worker')} in {counted(facts.teams, 'team')}, "
            f"{facts.first_day} to {facts.last_day}: {counted(facts.received, 'record')}",
            soft_wrap=True,
        )
        summary = _process(Path(records), data, TenantPolicy(DEMO_TENANT))
    show_demo(out, private_settings(data), DEMO_TENANT, facts, summary)


def _warn_of_unused_settings(*besides: str) -> None:
    from coworkai.local.platform import not_used, own_environment

    if names := not_used(own_environment(), *besides):
        err.print(Text(f"warning: set, and not used by this command: {', '.join(names)}"), soft_wrap=True)


def _warn_of_unknown_files(folder: Path) -> None:
    from coworkai.local.sender import RECORD_FILE_NAMES, unknown_files

    if unknown := unknown_files(folder):
        names = ", ".join(path.name for path in unknown)
        err.print(
            Text(
                f"warning: not read: {names}; the names of record files are {RECORD_FILE_NAMES}, jobs-*.csv"
            ),
            soft_wrap=True,
        )


def _fresh_demo_folder(data: Path) -> None:
    """Raises Terminal when the folder holds something else than an earlier demo, or a platform runs on it."""
    from coworkai.local.platform import LOCK_FILE, lock_folder

    make_folder(data, "--data")
    mark = data / DEMO_MARK
    if mark.exists():
        with lock_folder(data):
            err.print(Text(f"replacing the demo in {data}"), soft_wrap=True)
            for path in data.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name not in {LOCK_FILE, DEMO_MARK}:
                    path.unlink()
    elif any(data.iterdir()):
        raise Terminal(f"{data} holds something else than a demo", remedy="give an empty folder with --data")
    mark.touch()


def send(
    folder: Folder,
    tenant: Tenant,
    bus: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Base of the bus; where `coworkai up` puts it by default.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Publish a folder of record files to a running platform, as collectors do.

    Example: coworkai send ./records --tenant acme
    """
    from coworkai.common.bus import Publisher
    from coworkai.common.settings import CommonSettings, load
    from coworkai.local.sender import Outgoing, Sent, check_sizes, record_files
    from coworkai.local.sender import send as send_files

    settings = load(CommonSettings)
    _warn_of_unknown_files(folder)
    files = record_files(folder)
    check_sizes(files)

    async def run() -> Sent:
        publisher = Publisher(bus or settings.bus_url, settings.project)
        try:
            with _progress() as progress:
                task = progress.add_task("publish", total=sum(file.path.stat().st_size for file in files))

                def published(outgoing: Outgoing) -> None:
                    progress.advance(task, outgoing.file_bytes)

                return await send_files(publisher, files, tenant, published)
        finally:
            await publisher.aclose()

    sent = asyncio.run(run())
    if json:
        print_json({"messages": sent.messages, "records": sent.records})
        return
    out.print(f"{counted(sum(sent.records.values()), 'record')} in {counted(sent.messages, 'message')}")


def _process(folder: Path, data_dir: Path, policy: object) -> dict[str, object]:
    from coworkai.local import process as work
    from coworkai.local.progress import Progress as Left
    from coworkai.local.sender import Outgoing, record_files

    assert isinstance(policy, work.TenantPolicy)
    total = sum(file.path.stat().st_size for file in record_files(folder))
    with _progress() as progress:
        starting = progress.add_task("start", total=5)
        publishing = progress.add_task("publish", total=total, visible=False)
        taking = progress.add_task("ingest", total=0, visible=False)
        computing = progress.add_task("compute", total=0, visible=False)
        published = 0
        most_days = 0

        def on_service(_name: str, _url: str) -> None:
            progress.advance(starting)

        def on_published(outgoing: Outgoing) -> None:
            nonlocal published
            published += 1
            progress.update(publishing, advance=outgoing.file_bytes, visible=True)

        def on_progress(left: Left) -> None:
            nonlocal most_days
            progress.update(taking, total=published, completed=published - left.messages, visible=True)
            days = left.days
            most_days = max(most_days, days)
            progress.update(computing, total=most_days, completed=most_days - days, visible=most_days > 0)

        watcher = work.Watcher(on_service, on_published, on_progress)
        return work.process(folder, data_dir, policy, watcher)


@contextmanager
def _progress() -> Iterator[Progress]:
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<8}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    ) as progress:
        yield progress


def _artifacts(data: Path, tenant: str) -> Path:
    return data / "lake" / "tenants" / tenant / "artifacts"
