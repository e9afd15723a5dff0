"""Record files through a private platform: start, send over real HTTP, wait, sum up, stop."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coworkai.common.bus import Publisher
from coworkai.common.clock import utc_now
from coworkai.common.control import Capture, Control, Identity
from coworkai.common.errors import Terminal
from coworkai.common.lake import Lake
from coworkai.common.wording import counted
from coworkai.local.bus.publisher import EmbeddedPublisher
from coworkai.local.platform import (
    PLACES,
    PROJECT,
    Platform,
    first_failure,
    private_environment,
    private_settings,
)
from coworkai.local.progress import Progress, wait_until_processed, wait_until_taken
from coworkai.local.sender import (
    MAX_EMBEDDED_BYTES,
    Outgoing,
    RecordFile,
    check_sizes,
    record_files,
    send,
)
from coworkai.local.summary import summarise

BULK_DEFAULTS = {
    # Few and large commits, fed by many pushes.
    "COWORKAI_COMMIT_LINGER_S": "0.4",
    "COWORKAI_BUS_MAX_IN_FLIGHT": "64",
}
BULK_SETTINGS = {
    # All of the folder is judged now, however much of it is broken.
    "COWORKAI_BREAKER_SHARE": "1",
}
NOT_USED = (*PLACES, *BULK_SETTINGS)
"""Settings of the environment that a run over a folder does without: its data is in one place, its own."""


class Incomplete(Terminal):
    """Not everything that was sent could be processed."""

    code = "incomplete"


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """What is asked of a tenant's policy. None leaves it as it is; a new tenant gets token, counts, UTC."""

    tenant_id: str
    identity: Identity | None = None
    capture: Capture | None = None
    time_zone: str | None = None


@dataclass(frozen=True)
class Watcher:
    """Who is told how far it is: a service is ready, a message is published, what is left."""

    service: Callable[[str, str], None] = lambda _name, _url: None
    published: Callable[[Outgoing], None] = lambda _outgoing: None
    progress: Callable[[Progress], None] = lambda _progress: None


@contextmanager
def working_folder(kept: Path | None) -> Iterator[Path]:
    """The folder to keep, or a temporary one, removed at the end; after a failure all but its logs."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    folder = Path(tempfile.mkdtemp(prefix="coworkai-"))
    try:
        yield folder
    except BaseException:
        for path in folder.iterdir():
            if path.is_dir() and path.name != "logs":
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()
        raise
    shutil.rmtree(folder)


def process(folder: Path, data_dir: Path, policy: TenantPolicy, watcher: Watcher) -> dict[str, object]:
    """Process the record files of `folder` into the lake under `data_dir`; the summary of the tenant's lake.

    Raises NotFound (no record files), Terminal (the folder is in use, a line is too large), ServiceDied,
    Stalled, and Incomplete when a message was given up or a day failed.
    """
    started, started_at = time.monotonic(), utc_now()
    files = record_files(folder)
    check_sizes(files, MAX_EMBEDDED_BYTES)
    settings = private_settings(data_dir)
    control = Control(settings.control_url, utc_now)

    def prepare() -> None:
        control.migrate()
        put_tenant(control, policy)

    try:
        lake = Lake(settings.lake_uri)
        with Platform(
            data_dir,
            environment=BULK_DEFAULTS | private_environment() | BULK_SETTINGS,
            hold_back=["runner"],
            prepare=prepare,
            announce=watcher.service,
            release_holder=control.release_holder,
        ) as platform:
            asyncio.run(_publish(platform.bus_url, files, policy.tenant_id, watcher.published))
            wait_until_taken(platform, watcher.progress)
            # The runner would compute a day again for every batch of it; so it hears of them all at once.
            platform.connect("runner")
            asyncio.run(_tell_runner(platform.bus_url))
            left = wait_until_processed(platform, control, lake, policy.tenant_id, watcher.progress)
    finally:
        control.close()
    if left.dead:
        raise Incomplete(
            f"{counted(left.dead, 'message')} given up",
            remedy=f"see {data_dir / 'logs'} for what refused them",
        )
    if left.failed_days:
        raise not_computed(left.failed_days, data_dir, started_at)
    return summarise(lake, policy.tenant_id) | {"elapsed_s": round(time.monotonic() - started, 3)}


def not_computed(days: int, data_dir: Path, since: datetime) -> Incomplete:
    """What is wrong with days that failed: where the first error since then came from, and what shows all."""
    logs = [data_dir / "logs" / f"{service}.log" for service in ("runner", "insights")]
    first = first_failure(logs, since)
    show_all = shlex.join(["grep", '"ERROR"', *map(str, logs)])
    return Incomplete(
        f"{counted(days, 'day')} could not be computed" + (f", first {first}" if first else ""),
        remedy=f"all errors: {show_all}; with --data, ops/failures names the workers",
    )


def open_control(data_dir: Path) -> Control:
    """The control store of a data folder, created where it is missing."""
    control = Control(private_settings(data_dir).control_url, utc_now)
    control.migrate()
    return control


def put_tenant(control: Control, policy: TenantPolicy) -> None:
    """Create the tenant, or change of its policy what is asked.

    Raises Terminal for a time zone nobody knows.
    """
    now = control.tenant(policy.tenant_id)
    if now is None:
        control.put_tenant(
            policy.tenant_id,
            identity=policy.identity or Identity.TOKEN,
            capture_keystrokes=policy.capture or Capture.COUNTS,
            capture_clipboard=policy.capture or Capture.COUNTS,
            time_zone=policy.time_zone or "UTC",
        )
        return
    control.put_tenant(
        policy.tenant_id,
        identity=policy.identity or now.identity,
        capture_keystrokes=policy.capture or now.capture_keystrokes,
        capture_clipboard=policy.capture or now.capture_clipboard,
        time_zone=policy.time_zone or now.time_zone,
        min_group=now.min_group,
        active=now.active,
    )


async def _tell_runner(bus_url: str) -> None:
    publisher = Publisher(bus_url, PROJECT)
    try:
        await publisher.publish("bronze-committed", b"{}")
    finally:
        await publisher.aclose()


async def _publish(
    bus_url: str, files: Sequence[RecordFile], tenant_id: str, on_progress: Callable[[Outgoing], None]
) -> None:
    publisher = EmbeddedPublisher(bus_url, PROJECT)
    try:
        await send(publisher, files, tenant_id, on_progress, max_bytes=MAX_EMBEDDED_BYTES)
    finally:
        await publisher.aclose()
