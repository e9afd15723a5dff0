"""A lake with published Gold, and the pipeline that writes its briefs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import polars as pl
from tests.factories import TENANT, at
from tests.unit.runner.pipeline.lakes import DAY, Place, worked

from coworkai.common.control import Stage
from coworkai.common.events import Source
from coworkai.common.insight_policy import InsightPolicy
from coworkai.common.lake import scan
from coworkai.common.published import Published, read_published
from coworkai.common.tables import GOLD_BRIEFS, STAGE2_TABLES, Table
from coworkai.insights.brief import Brief
from coworkai.insights.making import Work
from coworkai.insights.pipeline import Pipeline, PipelineConfig, Publication
from coworkai.insights.writing import Result


class NoModel:
    """Nothing is written by it: a tenant without a model asks for nothing."""

    def write(self, tenant_id: str, policy: InsightPolicy, works: Sequence[Work]) -> list[Result]:
        raise AssertionError("a model was asked")


@dataclass
class Desk:
    """Everything that insights needs, over a runner's place."""

    place: Place
    config: PipelineConfig = field(default_factory=PipelineConfig)

    def pipeline(self, holder: str = "insights", **other: object) -> Pipeline:
        made = Pipeline(
            self.place.lake,
            self.place.control,
            self.place.store,
            holder,
            NoModel(),
            self.config,
            self.place.now,
        )
        return replace(made, **other)  # type: ignore[arg-type]

    def write(self) -> list[Publication]:
        """Gold of what has come, then its briefs."""
        self.place.process()
        return self.pipeline().run(TENANT)

    def write_one(self, user_id: str, day: date = DAY) -> list[Publication]:
        return self.pipeline().write(TENANT, user_id, day)

    # ------------------------------------------------------------------------------------------ reading
    def read(self, table: Table) -> pl.DataFrame:
        rows = read_published(self.place.lake, table, TENANT, Stage.STAGE2).collect()
        return rows.sort("tenant_id", "date", *table.key)

    def tables(self) -> dict[str, pl.DataFrame]:
        """Every published table of Stage 2."""
        return {table.id: self.read(table) for table in STAGE2_TABLES}

    def stored(self, table: Table) -> int:
        """Rows at the table's head, published or not."""
        return scan(self.place.lake.open(table, TENANT), table).select(pl.len()).collect().item()  # type: ignore[no-any-return]

    def versions(self) -> dict[tuple[date, str], list[int]]:
        """Versions of every brief by primary date and subject."""
        rows = self.read(GOLD_BRIEFS).sort("version").group_by("date", "subject_id").agg("version")
        return {(day, subject): versions for day, subject, versions in rows.iter_rows()}

    def brief(self, subject: str, day: date = DAY) -> Brief:
        """The newest brief of a subject."""
        rows = self.read(GOLD_BRIEFS).filter(pl.col("subject_id") == subject, pl.col("date") == day)
        return Brief.model_validate_json(rows.sort("version")["brief_json"][-1])

    def artifacts(self) -> dict[str, bytes]:
        """Artefacts of Stage 2 by path."""
        root = f"tenants/{TENANT}/artifacts"
        folders = ("insights", "context_consolidated", "brief_consolidated")
        return {
            path: self.place.store.get(path)
            for folder in folders
            for path in self.place.store.list(f"{root}/{folder}")
        }

    def published(self) -> Published:
        return self.place.published(Stage.STAGE2)

    def dirty(self, *, ready_only: bool = False) -> list[date]:
        return [day.date for day in self.place.control.dirty(Stage.STAGE2, ready_only=ready_only)]


def declared(user: str, kind: str, clock: str, day: date = DAY, *goals: str) -> dict[str, object]:
    return {"user_id": user, "kind": kind, "occurred_at": at(clock, day), "goals": list(goals)}


def a_week(place: Place, workers: Sequence[str] = ("ana", "bo")) -> None:
    """Some days of work of every worker, with goals and a question to an assistant on the last, DAY."""
    for n in range(3):
        day = DAY - timedelta(days=n)
        place.commit(
            Source.ACTIVITIES,
            *(worked(user, "09:00", "10:30", day, app="code.exe") for user in workers),
            *(worked(user, "10:30", "11:00", day) for user in workers),
        )
    place.commit(
        Source.MANIFESTS,
        *(declared(user, "SOD", "08:55", DAY, "ship the report", "call the bank") for user in workers),
        *(declared(user, "EOD", "17:00", DAY, "ship the report") for user in workers),
    )
    place.commit(
        Source.CHAT,
        *(
            {
                "user_id": user,
                "occurred_at": at("09:15", DAY),
                "conversation_id": "c",
                "assistant": "ChatGPT",
                "role": "user",
                "text": "I am blocked by the failing build of the report",
                "text_length": 47,
            }
            for user in workers
        ),
    )
