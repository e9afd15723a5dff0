"""A lake in a folder, with hand-made Bronze, and a pipeline over it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, write_deltalake
from tests.factories import TENANT, at, bronze

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Control, DirtyDay, Stage, Tenant
from coworkai.common.events import Source
from coworkai.common.lake import TOUCHED, Lake, scan
from coworkai.common.outputs import TABLES, Frames, stage_of
from coworkai.common.published import Published, published, read_published
from coworkai.common.tables import (
    BRONZE_ACTIVITIES,
    BRONZE_BY_SOURCE,
    OPS_FAILURES,
    OPS_RUNS,
    SILVER_TIMELINE,
    Table,
)
from coworkai.runner.dispatch import Dispatcher
from coworkai.runner.pipeline import STAGES, Pipeline, PipelineConfig, Publication
from coworkai.runner.stages import TenantRules

DAY = date(2024, 1, 8)
NEXT = DAY + timedelta(days=1)
RUNNERS_TABLES = (*TABLES[Stage.SILVER], *TABLES[Stage.STAGE1])
"""What the runner writes."""
NOW = datetime(2024, 1, 20, 12, tzinfo=UTC)


class FakeClock:
    """Stands still until told; a step later at every look, so that two runs never finish at one instant."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class Place:
    """Everything a runner needs, in one folder."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[Publication] = field(default_factory=list)
    rules: TenantRules = field(default_factory=lambda: TenantRules.of_zone("UTC"))
    config: PipelineConfig = field(default_factory=PipelineConfig)
    in_real_time: bool = False

    def __post_init__(self) -> None:
        self.now: Clock = utc_now if self.in_real_time else self.clock
        self.lake = Lake(str(self.folder / "lake"))
        self.store = ArtifactStore(self.lake.root)
        self.control = Control(f"sqlite:///{self.folder}/control.db", self.now)
        self.control.migrate()
        self.control.put_tenant(TENANT)
        self.dispatcher = Dispatcher(self.lake, self.control)

    def close(self) -> None:
        self.control.close()

    def pipeline(self, holder: str = "runner", rules: TenantRules | None = None) -> Pipeline:
        used = rules or self.rules
        return Pipeline(
            self.lake,
            self.control,
            self.store,
            holder,
            lambda _: used,
            self.told.append,
            self.config,
            self.now,
        )

    def tenant(self) -> Tenant:
        tenant = self.control.tenant(TENANT)
        assert tenant is not None
        return tenant

    # ------------------------------------------------------------------------------------------ writing
    def commit(self, source: Source, *rows: Mapping[str, object]) -> pl.DataFrame:
        """Append rows to Bronze as ingest does: one commit that says what it touched."""
        table = BRONZE_BY_SOURCE[source]
        frame = bronze(source, *rows)
        touched = {
            tenant: sorted({day.isoformat() for day in days})
            for tenant, days in frame.group_by("tenant_id").agg("event_date").iter_rows()
        }
        write_deltalake(
            self.lake.open(table),
            frame.to_arrow().cast(table.arrow_schema),
            mode="append",
            commit_properties=CommitProperties(custom_metadata={TOUCHED: json.dumps(touched)}),
        )
        return frame

    def process(self) -> list[Publication]:
        self.dispatcher.mark()
        return self.pipeline().run(TENANT)

    # ------------------------------------------------------------------------------------------ reading
    def read(self, table: Table) -> pl.DataFrame:
        """Published rows, sorted by key."""
        stage = stage_of(table)
        assert stage is not None
        frame = read_published(self.lake, table, TENANT, stage).collect()
        return frame.sort("tenant_id", "date", *table.key)

    def runs(self) -> pl.DataFrame:
        return scan(self.lake.open(OPS_RUNS, TENANT), OPS_RUNS).collect().sort("fence", "finished_at")

    def failures(self) -> pl.DataFrame:
        return scan(self.lake.open(OPS_FAILURES, TENANT), OPS_FAILURES).collect()

    def dirty(self, *, ready_only: bool = False) -> list[DirtyDay]:
        """Days that the runner has yet to compute."""
        return self.control.dirty(STAGES, ready_only=ready_only)

    def published(self, stage: Stage) -> Published:
        return published(self.lake.open(OPS_RUNS, TENANT), stage)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every published Silver and Gold table, run ids included."""
        return {table.id: self.read(table) for table in RUNNERS_TABLES}

    def artifacts(self) -> dict[str, bytes]:
        """Artefacts of what is published: stale batch folders left out."""
        current = set(self.published(Stage.STAGE1).run_ids.values())
        found: dict[str, bytes] = {}
        for path in self.store.list(f"tenants/{TENANT}/artifacts"):
            batches = [part.removeprefix("batch_") for part in path.split("/") if part.startswith("batch_")]
            if all(batch in current for batch in batches):
                found[path] = self.store.get(path)
        return found

    def copy(self, folder: Path) -> Place:
        """A place of its own with all that is in this one, which is closed."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder, clock=FakeClock(self.clock.now), told=[])

    def elsewhere(self, folder: Path) -> Place:
        """A fresh place over a copy of this Bronze, to compute from scratch."""
        other = Place(folder, FakeClock(), rules=self.rules, config=self.config)
        for table in BRONZE_BY_SOURCE.values():
            frame = scan(self.lake.open(table), table).collect()
            if not frame.is_empty():
                write_deltalake(
                    other.lake.open(table), frame.to_arrow().cast(table.arrow_schema), mode="append"
                )
        return other


def days_of(publications: list[Publication], stage: Stage) -> list[date]:
    return sorted({day for one in publications if one.stage is stage for day in one.run_ids})


def worked(user: str, start: str, end: str, day: date = DAY, app: str = "chrome.exe") -> dict[str, object]:
    return {
        "user_id": user,
        "started_at": at(start, day),
        "ended_at": at(end, day),
        "exec": app,
        "title": "t",
    }


def typed(user: str, minute: str, day: date = DAY, app: str = "chrome.exe") -> dict[str, object]:
    return {"user_id": user, "minute": at(minute, day), "exec": app, "capture": "counts", "key_count": 9}


def listed(
    user: str, team: str, valid_from: date, snapshot: str, time_zone: str | None = None
) -> dict[str, object]:
    return {
        "user_id": user,
        "team": team,
        "valid_from": valid_from,
        "snapshot_digest": snapshot,
        "row_number": 1,
        "time_zone": time_zone,
    }


def two_days(place: Place) -> None:
    """Two workers on DAY, one of them on the next day too, with a bit of everything."""
    place.commit(
        Source.ACTIVITIES,
        worked("ana", "09:00", "09:30"),
        worked("ana", "09:20", "10:00", app="code.exe"),
        worked("bo", "09:00", "09:30"),
        worked("ana", "23:50", "23:59"),
        worked("ana", "09:00", "09:30", NEXT),
    )
    place.commit(Source.KEYSTROKES, typed("ana", "09:10"), typed("ana", "12:00"), typed("bo", "09:05"))
    place.commit(
        Source.CHAT,
        {
            "user_id": "ana",
            "occurred_at": at("09:15", DAY),
            "conversation_id": "c",
            "assistant": "ChatGPT",
            "role": "user",
            "text": "plan my day",
            "text_length": 11,
        },
    )
    place.commit(
        Source.MANIFESTS,
        {"user_id": "ana", "kind": "SOD", "occurred_at": at("08:55", DAY), "goals": ["ship it"]},
    )


class Poisoned(Exception):
    """What a rule raises on a row it was never written for."""


def failing_for(user: str, rules: TenantRules, stage: str) -> TenantRules:
    """The rules, but for a stage that fails on DAY wherever the worker is among the rows."""

    def silver(bronze: Frames, days: Sequence[date], zone: str) -> Frames:
        if DAY in days and user in bronze[BRONZE_ACTIVITIES.id]["user_id"]:
            raise Poisoned
        return rules.silver(bronze, days, zone)

    def stage1(frames: Frames, zone: str, focus: pl.DataFrame) -> Frames:
        timeline = frames[SILVER_TIMELINE.id]
        if DAY in timeline["date"] and user in timeline["user_id"]:
            raise Poisoned
        return rules.stage1(frames, zone, focus)

    return replace(rules, silver=silver) if stage == "silver" else replace(rules, stage1=stage1)


def same(one: Mapping[str, pl.DataFrame], other: Mapping[str, pl.DataFrame]) -> bool:
    """Equal rows in every table, run ids included."""
    return one.keys() == other.keys() and all(frame.equals(other[name]) for name, frame in one.items())


def with_stages(rules: TenantRules, **stages: object) -> TenantRules:
    return replace(rules, **stages)  # type: ignore[arg-type]
