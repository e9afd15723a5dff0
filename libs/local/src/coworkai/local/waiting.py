"""Whether a day's telemetry is accepted and waits to be processed, and for what."""

from __future__ import annotations

import shlex
from datetime import date

from coworkai.common.control import Control, Stage
from coworkai.common.errors import NotFound
from coworkai.common.lake import Lake, changes
from coworkai.common.settings import CommonSettings
from coworkai.common.wording import counted
from coworkai.runner.bronze import INPUTS, event_dates


def not_processed_yet(
    settings: CommonSettings, control: Control, tenant_id: str, day: date, *, failed: bool
) -> NotFound | None:
    """What a local day of the tenant waits for; None where nothing of it does.

    `failed`: whether to tell of days that wait after a failure too. Raises StorageUnavailable.
    """
    # In the direction that data flows, so that nothing is missed on its way from one to the next.
    unseen = _unseen(settings, control, tenant_id, day)
    dates = {Stage.SILVER: event_dates([day])}
    waiting = [one for one in control.dirty(tenant_id=tenant_id) if one.date in dates.get(one.stage, [day])]
    ready = [one.stage.value for one in waiting if not one.attempts]
    attempts = max((one.attempts for one in waiting), default=0)
    if unseen:
        return _waits(settings, day, f"{', '.join(unseen)} came since the runner last looked")
    if ready:
        return _waits(settings, day, f"{', '.join(dict.fromkeys(ready))} to be computed")
    if attempts and failed:
        return NotFound(
            f"{day} is accepted, not processed yet: computing it failed {counted(attempts, 'time')}",
            remedy=f"ops/failures and {settings.data_dir / 'logs'} say what failed; it is tried again",
        )
    return None


def _waits(settings: CommonSettings, day: date, for_what: str) -> NotFound:
    up = shlex.join(["coworkai", "up", "--data", str(settings.data_dir)])
    return NotFound(
        f"{day} is accepted, not processed yet: {for_what}",
        remedy=f"try again in a minute; where no platform runs, start it: {up}",
    )


def _unseen(settings: CommonSettings, control: Control, tenant_id: str, day: date) -> list[str]:
    """Bronze tables with commits that touch the day and that no days are marked for yet."""
    lake = Lake(settings.lake_uri, settings.storage_options)
    dates = set(event_dates([day]))
    return [
        table.name
        for table in INPUTS
        if lake.exists(table)
        and dates & changes(lake.open(table), table, control.cursor(table.id)).touched.get(tenant_id, set())
    ]
