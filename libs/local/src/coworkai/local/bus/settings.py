"""Settings of the embedded bus."""

from __future__ import annotations

from pydantic import Field

from coworkai.common.settings import CommonSettings

LOCAL_ISSUER = "https://bus.coworkai.local"
"""Issuer of the embedded bus's tokens, in place of Google's."""


class BusSettings(CommonSettings):
    """A delivery counts as failed when it is not answered 2xx within `bus_push_timeout_s`.

    Retries wait an exponential back-off with jitter between `bus_retry_min_s` and `bus_retry_max_s`; with the
    defaults a message meets its 100th failure, and becomes a dead letter, after about 35 minutes.
    """

    bus_max_in_flight: int = Field(default=16, ge=1, description="pushes in flight per subscription")
    bus_max_attempts: int = Field(default=100, ge=1, description="failed deliveries that make a dead letter")
    bus_await_endpoints: bool = Field(
        default=False,
        description="push for a subscription of an earlier life only once it is told its endpoint again",
    )
    bus_retry_min_s: float = Field(default=0.1, gt=0, description="first back-off")
    bus_retry_max_s: float = Field(default=30, gt=0, description="longest back-off")
    bus_push_timeout_s: float = Field(default=600, gt=0, description="seconds a push may take")
