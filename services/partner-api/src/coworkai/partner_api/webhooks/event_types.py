"""The events there are, what each needs of whoever subscribes to it, and what it tells.

An event is thin: ids, dates and versions. It tells that there is something to fetch; never content, and
nothing of a person. What it leads to is read through the API, with that read's rights, and is written down
there in the access log.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, Field

from coworkai.partner_api.guard import Access, authorise
from coworkai.partner_api.principal import Principal, Reach, Scope
from coworkai.partner_api.problems import Refused


class EventType(StrEnum):
    """What an endpoint can subscribe to, as it is written in `type`."""

    BRIEF_READY = "brief.ready"
    DAY_READY = "day.ready"
    ANOMALY_DETECTED = "anomaly.detected"
    EXPORT_READY = "export.ready"
    METRICS_PUBLISHED = "metrics.published"


PING = "ping"
"""Type of the event that an endpoint is tested with; every endpoint gets those meant for it."""

NEEDS: Mapping[EventType, Access] = MappingProxyType(
    {
        EventType.BRIEF_READY: Access(Scope.BRIEFS),
        EventType.DAY_READY: Access(Scope.ACTIVITY),
        EventType.ANOMALY_DETECTED: Access(Scope.HEALTH),
        EventType.EXPORT_READY: Access(Scope.EXPORTS),
        EventType.METRICS_PUBLISHED: Access(Scope.METRICS, Reach.AGGREGATE),
    }
)
"""What whoever subscribes needs: the rights to read what the event leads to.

Aggregate reach gets `metrics.published` only. When a day is computed again tells that somebody's data came
late, which the published lattice is made not to tell.
"""


def may_have(principal: Principal, event_types: list[str]) -> bool:
    """Whether the principal has the rights that these events need."""
    try:
        for event_type in event_types:
            authorise(principal, NEEDS[EventType(event_type)])
    except Refused:
        return False
    return True


_RUN = Field(description="run that published it", examples=["6f0e2f7c9ad84c0f"])
_DATA_VERSION = Field(
    description="`X-Data-Version` from which on it is read; good for `as_of_version`", examples=[42]
)
_DATE = Field(description="local date", examples=["2026-10-27"])


class BriefReady(BaseModel):
    """A version of a brief is published: `GET /v1/briefs/{brief_id}`."""

    brief_id: str = Field(examples=["b1f6c2d07a9e4c55"])
    version: int = Field(description="of this subject and date, from 1", examples=[1])
    subject_kind: Literal["worker", "team"]
    date: dt.date = _DATE
    run_id: str = _RUN
    data_version: int = _DATA_VERSION


class DayReady(BaseModel):
    """A day is published, or published anew after late data: `GET /v1/workblocks?start_date=…` and others."""

    date: dt.date = _DATE
    status: Literal["succeeded", "partial"] = Field(
        description="partial: some workers failed, and will follow"
    )
    run_id: str = _RUN
    data_version: int = _DATA_VERSION


class AnomalyDetected(BaseModel):
    """A day's telemetry has anomalies that it had not before: `GET /v1/telemetry-health/anomalies`."""

    date: dt.date = _DATE
    anomalies: int = Field(description="how many the day has now", examples=[2])
    run_id: str = _RUN
    data_version: int = _DATA_VERSION


class ExportReady(BaseModel):
    """An export's files can be fetched: `GET /v1/exports/{export_id}`."""

    export_id: str = Field(examples=["exp_5c1f0a9b2d34856a0b1c2d3e"])
    data_version: int = _DATA_VERSION


class MetricsPublished(BaseModel):
    """Aggregates of days of a week are published: `POST /v1/metrics/query`."""

    start_date: dt.date = Field(description="first of the days", examples=["2026-10-26"])
    end_date: dt.date = Field(description="last of them", examples=["2026-11-01"])
    run_id: str = _RUN


class Ping(BaseModel):
    """Somebody tests the endpoint."""

    endpoint_id: str = Field(examples=["we_5c1f0a9b2d34856a0b1c2d3e"])


PAYLOADS: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        EventType.BRIEF_READY: BriefReady,
        EventType.DAY_READY: DayReady,
        EventType.ANOMALY_DETECTED: AnomalyDetected,
        EventType.EXPORT_READY: ExportReady,
        EventType.METRICS_PUBLISHED: MetricsPublished,
        PING: Ping,
    }
)
"""`data` of each event's payload."""
