"""How far a platform has come with what it was sent: the one place that knows when all of it is processed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import httpx
import msgspec

from coworkai.common.control import Control, Stage
from coworkai.common.errors import Transient
from coworkai.common.lake import Lake
from coworkai.common.tables import Table
from coworkai.local.platform import Platform
from coworkai.local.topology import PUSHES
from coworkai.runner.bronze import INPUTS

STALLED_AFTER_S = 180.0
POLL_S = 0.2


class Stalled(Transient):
    """Nothing has moved for a long time."""

    code = "stalled"


class BusSilent(Transient):
    """The bus did not answer, or not as it should."""

    code = "bus_silent"


@dataclass(frozen=True, slots=True)
class Progress:
    """What is left: messages not acknowledged, Bronze tables with changes not looked at, days to compute.

    `failed_days` stay dirty after a failure and are tried again later; `dead` messages were given up.
    """

    messages: int
    dead: int
    unseen_tables: int = 0
    silver_days: int = 0
    stage1_days: int = 0
    lattice_days: int = 0
    stage2_days: int = 0
    failed_days: int = 0

    @property
    def is_done(self) -> bool:
        return not (self.messages or self.unseen_tables or self.days)

    @property
    def days(self) -> int:
        """Days to compute, of all stages."""
        return self.silver_days + self.stage1_days + self.lattice_days + self.stage2_days


class _Counts(msgspec.Struct):
    queued: int
    in_flight: int

    @property
    def open(self) -> int:
        return self.queued + self.in_flight


class _BusStatus(_Counts):
    dead: int
    subscriptions: dict[str, _Counts]


def wait_until_taken(
    platform: Platform, on_progress: Callable[[Progress], None] = lambda _progress: None
) -> Progress:
    """Wait until ingest has acknowledged every message. Raises ServiceDied, Stalled after three minutes."""
    names = [push.name for push in PUSHES if push.service == "ingest"]

    def now(bus: httpx.Client) -> Progress:
        status = _bus_status(bus)
        return Progress(sum(status.subscriptions[name].open for name in names), status.dead)

    return _wait(platform, now, on_progress)


def wait_until_processed(
    platform: Platform,
    control: Control,
    lake: Lake,
    tenant_id: str,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Progress:
    """Wait until every message is acknowledged and every day it touched is computed; what is left then.

    Raises ServiceDied when a service ends, and Stalled when nothing has changed for three minutes.
    """
    return _wait(platform, lambda bus: look(bus, control, lake, tenant_id), on_progress)


class _Watched(Protocol):
    """A platform as far as waiting for it needs one."""

    @property
    def bus_url(self) -> str: ...

    @property
    def data_dir(self) -> Path: ...

    def check(self) -> None: ...


def _wait(
    platform: _Watched,
    look_at: Callable[[httpx.Client], Progress],
    on_progress: Callable[[Progress], None],
) -> Progress:
    last: Progress | None = None
    moved_at = time.monotonic()
    with httpx.Client(base_url=platform.bus_url, timeout=10) as bus:
        while True:
            platform.check()
            is_overdue = time.monotonic() - moved_at > STALLED_AFTER_S
            try:
                now = look_at(bus)
            except Transient:
                # A busy machine answers late; that nothing moves any more, it has minutes to deny.
                if is_overdue:
                    raise
                time.sleep(POLL_S)
                continue
            if now != last:
                last, moved_at = now, time.monotonic()
                on_progress(now)
            elif is_overdue:
                raise Stalled(
                    f"nothing has moved for {STALLED_AFTER_S:.0f} s: {now}",
                    remedy=f"see the logs in {platform.data_dir / 'logs'}",
                )
            if now.is_done:
                return now
            time.sleep(POLL_S)


def look(bus: httpx.Client, control: Control, lake: Lake, tenant_id: str) -> Progress:
    """Looked at in the direction that data flows, so nothing is missed on its way from one to the next."""
    status = _bus_status(bus)
    now = _with_days(Progress(status.open, status.dead), control, tenant_id)
    if not now.is_done:
        return now
    # Only now: while anything is on its way, the tables keep changing, and looking at them costs.
    unseen = sum(_is_unseen(control, lake, table) for table in INPUTS)
    return _with_days(replace(now, unseen_tables=unseen), control, tenant_id)


def _with_days(progress: Progress, control: Control, tenant_id: str) -> Progress:
    dirty = control.dirty(tenant_id=tenant_id)
    open_days = [day for day in dirty if day.attempts == 0]
    return replace(
        progress,
        silver_days=sum(day.stage is Stage.SILVER for day in open_days),
        stage1_days=sum(day.stage is Stage.STAGE1 for day in open_days),
        lattice_days=sum(day.stage is Stage.LATTICE for day in open_days),
        stage2_days=sum(day.stage is Stage.STAGE2 for day in open_days),
        failed_days=len(dirty) - len(open_days),
    )


def _is_unseen(control: Control, lake: Lake, table: Table) -> bool:
    """Whether the table has commits that the runner has not marked days for yet."""
    return lake.exists(table) and control.cursor(table.id) != lake.open(table).version()


def _bus_status(bus: httpx.Client) -> _BusStatus:
    try:
        response = bus.get("/status")
        return msgspec.json.decode(response.content, type=_BusStatus)
    except (httpx.HTTPError, msgspec.DecodeError) as error:
        raise BusSilent(
            f"the bus does not tell its status ({type(error).__name__})", remedy="see the bus's log"
        ) from None
