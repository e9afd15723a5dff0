"""Silver of a tenant: Bronze rows in, every Silver table out (docs/domain.md section 3).

    ids once ─▶ local days ─┬─▶ app names ─▶ timeline, keystrokes, clipboard
    jobs ─▶ org ─▶ zones ───┘─▶ chat, manifests, posture
                            └─▶ health audit (with receipts and the timeline's audit)

A row depends on rows of its own worker and day, and on the organisation's snapshots. So workers can be
computed in any number of calls, each with all jobs rows, and days with the event dates [date - 2, date +
1].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl

from coworkai.common.events import Source
from coworkai.common.tables import (
    BRONZE_BY_SOURCE,
    BRONZE_RECEIPTS,
    BRONZE_REPEATS,
    SILVER_CHAT,
    SILVER_CLIPBOARD,
    SILVER_DEVICE_POSTURE,
    SILVER_HEALTH,
    SILVER_KEYSTROKES,
    SILVER_MANIFEST_PAIRS,
    SILVER_ORG_MEMBERS,
    SILVER_TIMELINE,
    Table,
)
from coworkai.runner.lanes import Ints
from coworkai.runner.lanes import dates as epoch_dates
from coworkai.runner.silver.app_names import with_app
from coworkai.runner.silver.chat import chat_messages
from coworkai.runner.silver.clipboard import clipboard_events
from coworkai.runner.silver.evidence import OWN_TIME, Located, bounds_of, epoch_days, locate
from coworkai.runner.silver.health_audit import Received, telemetry_health
from coworkai.runner.silver.identity import first_of_each
from coworkai.runner.silver.keystrokes import keystroke_minutes
from coworkai.runner.silver.manifests import manifest_pairs
from coworkai.runner.silver.org_history import org_members, worker_zones
from coworkai.runner.silver.posture import device_posture
from coworkai.runner.silver.rules import SilverRules
from coworkai.runner.silver.shape import shaped
from coworkai.runner.silver.timeline import build_timeline

_Frames = dict[Source, pl.DataFrame]

_WITHHELD = "off"
_REACH_BEFORE, _REACH_AFTER = 2, 1
"""Event dates around a local date that can hold rows of it: activities last 24 h, and see below."""
_EARLIEST_MIDNIGHT, _LATEST_MIDNIGHT = timedelta(hours=14), timedelta(hours=12)
"""How long before and after 00:00 UTC a local date begins, east and west of the date line."""


def build_silver(
    bronze: Mapping[str, pl.DataFrame],
    dates: Collection[date] | None,
    tenant_zone: str,
    rules: SilverRules | None = None,
    app_names: pl.DataFrame | None = None,
) -> dict[str, pl.DataFrame]:
    """Every Silver table by id, with the declared columns but `run_id`, in a fixed order of rows.

    `bronze`: frames of the Bronze tables, receipts and repeated ids of one tenant by table id or name,
    columns as declared; what is not there is empty. Rows of event dates [date - 2, date + 1] make a local
    date complete; jobs are all there are, or `silver/org_members` stands for them where it is known already
    (of many calls, only one need compute it). `dates`: local dates to return, all when None;
    `silver/org_members` is always whole. `tenant_zone`: IANA zone of workers whom no snapshot gives one.
    `app_names`: of `app_names.parse_app_names`, ours when None.

    The result does not depend on the order of rows. Raises ValueError for rows of several tenants or an
    unknown `tenant_zone`, AccountingError when the accounting identity does not hold.
    """
    frames = _frames(bronze)
    members = _members(bronze, frames[Source.JOBS])
    identified = {source: first_of_each(frames[source], _listed(bronze, source)) for source in OWN_TIME}
    kept = _timed({source: _near(source, rows.kept, dates) for source, rows in identified.items()})
    left_out = _timed(
        {
            source: _near(source, rows.left_out, dates)
            for source, rows in identified.items()
            if not rows.left_out.is_empty()
        }
    )
    wanted = None if dates is None else epoch_days(dates)

    bounds = bounds_of([*kept[0].items(), *left_out[0].items()], worker_zones(members), tenant_zone)
    located, senders = locate(*kept, bounds)
    again, _ = locate(*left_out, bounds)
    rows = {part.source: _rows_on(part, wanted) for part in located if not part.is_withheld}
    named = {
        source: with_app(rows[source], app_names)
        for source in (Source.ACTIVITIES, Source.KEYSTROKES, Source.CLIPBOARD)
    }
    timeline = build_timeline(named[Source.ACTIVITIES], bounds)
    received = Received(located, senders, again, _receipts(bronze), timeline.audit)
    return {
        SILVER_TIMELINE.id: shaped(_on(timeline.pieces, wanted), SILVER_TIMELINE),
        SILVER_KEYSTROKES.id: keystroke_minutes(named[Source.KEYSTROKES]),
        SILVER_CLIPBOARD.id: clipboard_events(named[Source.CLIPBOARD]),
        SILVER_CHAT.id: chat_messages(rows[Source.CHAT]),
        SILVER_MANIFEST_PAIRS.id: manifest_pairs(rows[Source.MANIFESTS]),
        SILVER_ORG_MEMBERS.id: members,
        SILVER_DEVICE_POSTURE.id: device_posture(rows[Source.DEVICE_POSTURE]),
        SILVER_HEALTH.id: telemetry_health(
            received, members, tenant_zone, wanted, rules if rules is not None else SilverRules()
        ),
    }


def _frames(bronze: Mapping[str, pl.DataFrame]) -> dict[Source, pl.DataFrame]:
    frames = {source: _frame(bronze, table) for source, table in BRONZE_BY_SOURCE.items()}
    tenants = {tenant for frame in frames.values() for tenant in frame["tenant_id"].unique()}
    if len(tenants) > 1:
        raise ValueError(f"rows of {len(tenants)} tenants: give one at a time")
    return frames


def _frame(bronze: Mapping[str, pl.DataFrame], table: Table) -> pl.DataFrame:
    for name in (table.id, table.name):
        if name in bronze:
            return bronze[name].select(table.schema.names())
    return table.empty()


def _members(bronze: Mapping[str, pl.DataFrame], jobs: pl.DataFrame) -> pl.DataFrame:
    if SILVER_ORG_MEMBERS.id in bronze:
        return shaped(bronze[SILVER_ORG_MEMBERS.id], SILVER_ORG_MEMBERS)
    return org_members(first_of_each(jobs).kept)


def _receipts(bronze: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    return _frame(bronze, BRONZE_RECEIPTS)


def _listed(bronze: Mapping[str, pl.DataFrame], source: Source) -> pl.DataFrame:
    return _frame(bronze, BRONZE_REPEATS).filter(pl.col("source") == source.value)


def _timed(rows: Mapping[Source, pl.DataFrame]) -> tuple[_Frames, _Frames]:
    """Rows with a time, and those of which the capture policy kept identity and date only."""
    timed, withheld = dict(rows), dict[Source, pl.DataFrame]()
    for source, frame in rows.items():
        has_time = pl.col(OWN_TIME[source]).is_not_null()
        if "capture" in frame.columns:
            has_time &= pl.col("capture").ne_missing(pl.lit(_WITHHELD))
        mask = frame.select(has_time).to_series()
        if not mask.all():
            timed[source], withheld[source] = frame.filter(mask), frame.filter(~mask)
    return timed, withheld


def _near(source: Source, rows: pl.DataFrame, dates: Collection[date] | None) -> pl.DataFrame:
    """Rows that can reach the local `dates`, whatever the zone; a superset at little cost."""
    if not dates:
        return rows if dates is None else rows.clear()
    reach = {day + timedelta(days=n) for day in dates for n in range(-_REACH_BEFORE, _REACH_AFTER + 1)}
    first = datetime.combine(min(dates), time(), UTC) - _EARLIEST_MIDNIGHT
    last = datetime.combine(max(dates), time(), UTC) + timedelta(days=1) + _LATEST_MIDNIGHT
    began = pl.col(OWN_TIME[source])
    ended = pl.col("ended_at") if source is Source.ACTIVITIES else began
    is_near = (began < last) & (ended >= first)
    mask = rows.select(pl.col("event_date").is_in(sorted(reach)) & is_near.fill_null(value=True)).to_series()
    return rows if mask.all() else rows.filter(mask)


def _rows_on(located: Located, wanted: Ints | None) -> pl.DataFrame:
    """Records with evidence on the wanted dates."""
    if wanted is None:
        return located.rows
    mask = np.zeros(located.rows.height, np.bool_)
    mask[located.evidence.on(wanted).row] = True
    return located.rows if mask.all() else located.rows.filter(pl.Series(mask))


def _on(frame: pl.DataFrame, wanted: Ints | None) -> pl.DataFrame:
    if wanted is None:
        return frame
    mask = frame["date"].is_in(epoch_dates(wanted).implode())
    return frame if mask.all() else frame.filter(mask)
