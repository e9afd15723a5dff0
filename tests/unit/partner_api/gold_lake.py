"""A lake with published Gold of small, readable rows, written by the code that publishes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from tests.unit.partner_api.conftest import Api

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.control import Stage
from coworkai.common.control.access_log import AccessEntry
from coworkai.common.lake import Lake, tidy_log
from coworkai.common.outputs import TABLES, ComputedDay, Facts, Outputs, Run
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_WORKBLOCKS, Table

DAY = date(2026, 10, 26)
_STARTED = datetime(2026, 10, 27, 1, tzinfo=UTC)


def day(number: int) -> date:
    """The n-th day of the tests, from 0."""
    return DAY + timedelta(days=number)


def rows(table: Table, *values: Mapping[str, object]) -> pl.DataFrame:
    """Rows of the table; what is left out is null."""
    return pl.DataFrame([{"tenant_id": "acme", **one} for one in values], schema=table.schema, orient="row")


def kpi(user_id: str, on: date, measure: str, value: float | None, unit: str = "s") -> dict[str, object]:
    return {"user_id": user_id, "date": on, "measure": measure, "value": value, "unit": unit}


def kpis(user_ids: Sequence[str], on: date, measures: int = 3, offset: float = 0.0) -> pl.DataFrame:
    """`measures` measures of every worker on the date: m0, m1, …"""
    return rows(
        GOLD_KPI_DAILY,
        *(kpi(user, on, f"m{n}", offset + n) for user in user_ids for n in range(measures)),
    )


def workblock(user_id: str, on: date, hour: int, number: int = 0, **fields: object) -> dict[str, object]:
    """An hour's workblock from `hour` UTC."""
    start = datetime(on.year, on.month, on.day, hour, tzinfo=UTC)
    return {
        "user_id": user_id,
        "date": on,
        "workblock_id": f"wb:{user_id}:{on:%m%d}{hour:02}:{number:02}",
        "started_at": start,
        "ended_at": start + timedelta(hours=1),
        "duration_s": 3600.0,
        "active_s": 3000.0,
        "idle_s": 60.0,
        "slice_count": 2,
        "app_count": 1,
        "keystroke_minutes": 5,
        "is_continuation": False,
        **fields,
    }


def employ(api: Api, *worker_ids: str) -> None:
    """Publish something of the workers, so that there are such."""
    GoldLake(api.settings.data_dir / "lake").publish_kpis(DAY, worker_ids)


@dataclass
class GoldLake:
    """A lake below a folder, and what publishes to it."""

    root: Path
    fence: int = 0
    lake: Lake = field(init=False)
    store: ArtifactStore = field(init=False)

    def __post_init__(self) -> None:
        self.lake = Lake(str(self.root))
        self.store = ArtifactStore(str(self.root))

    def publish(
        self,
        days: Mapping[date, Mapping[str, pl.DataFrame]],
        *,
        tenant_id: str = "acme",
        stage: Stage = Stage.STAGE1,
        run: str = "run",
    ) -> int:
        """Publish frames by table id of each day (a table left out has none); the new data version."""
        self.fence += 1
        outputs = Outputs.open(self.lake, tenant_id, stage, self.fence)
        computed = [
            ComputedDay(
                {table.id: self._of(tenant_id, table, frames) for table in TABLES[stage]},
                Run(f"{run}-{on.isoformat()}", (on,), {}),
            )
            for on, frames in days.items()
        ]
        outputs.replace_days(TABLES[stage], computed)
        at = self.published_at()
        outputs.publish([one.run for one in computed], Facts({}, "1", "1", at - timedelta(seconds=30), at))
        return outputs.runs.version()

    def published_at(self) -> datetime:
        """A minute after the publication before."""
        return _STARTED + timedelta(minutes=self.fence)

    def publish_kpis(self, on: date, users: Sequence[str] = ("ana", "ben"), offset: float = 0.0) -> int:
        """Publish a day of `kpi_daily` and one workblock of each worker."""
        return self.publish(
            {
                on: {
                    GOLD_KPI_DAILY.id: kpis(users, on, offset=offset),
                    GOLD_WORKBLOCKS.id: rows(GOLD_WORKBLOCKS, *(workblock(one, on, 9) for one in users)),
                }
            },
            run=f"run{offset:g}",
        )

    def forget_log(self, table: Table, version: int, tenant_id: str = "acme") -> None:
        """Clean the table's log up to the version, as maintenance does after its retention."""
        tidy_log(self.lake.open(table, tenant_id), table)
        for gone in range(version + 1):
            (self.root / table.path(tenant_id) / "_delta_log" / f"{gone:020}.json").unlink()

    @staticmethod
    def forget_snapshots(api: Api) -> None:
        """Let the application look at what is published now, as it does by itself within a second."""
        for snapshot in list(api.services.gold._tenants.values()):
            snapshot.looked_at = float("-inf")
        api.services.gold._past.clear()

    @staticmethod
    def forget_days(api: Api) -> None:
        """Let the application have nothing in memory."""
        api.services.hot._days.clear()

    @staticmethod
    def reads_of(api: Api, worker_id: str, tenant_id: str = "acme") -> list[AccessEntry]:
        """The worker's access log, oldest first."""
        return api.services.access_log.page(tenant_id, worker_id)[::-1]

    @staticmethod
    def _of(tenant_id: str, table: Table, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        frame = frames.get(table.id, table.empty())
        return frame.with_columns(tenant_id=pl.lit(tenant_id))
