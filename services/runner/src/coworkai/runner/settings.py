"""Settings of the runner."""

from __future__ import annotations

from pydantic import Field

from coworkai.common.settings import LONGEST_ADDRESS_S, CommonSettings, Mode


class RunnerSettings(CommonSettings):
    """The shared settings, and the runner's own."""

    lease_ttl_s: float = Field(
        default=60, gt=0, description="seconds a tenant's lease lasts without a heartbeat"
    )
    batch_rows: int = Field(
        default=250_000, ge=1, description="rows of whole workers that are computed at once"
    )
    parallel_tenants: int = Field(default=2, ge=1, description="tenants that are computed at once")
    settle_s: float = Field(
        default=0.5, ge=0, description="pause in which a burst of commits becomes one run"
    )
    lattice_settle_s: float = Field(
        default=86_400,
        ge=0,
        description="seconds after the end of a day, or week, that aggregates of it are published",
    )
    sweep_every_s: float = Field(
        default_factory=lambda data: 0 if data["mode"] is Mode.CLOUD else 60,
        ge=0,
        description="seconds between looks for work that no message told of; 0 where a scheduler asks",
    )
    vacuum_hours: int = Field(
        default=168,
        ge=2 * LONGEST_ADDRESS_S // 3_600,
        description="hours that files of older versions stay readable; no address of a file works as long",
    )
    maintain_every_s: float = Field(
        default_factory=lambda data: 0 if data["mode"] is Mode.CLOUD else 900,
        ge=0,
        description="seconds between maintenance runs; 0 where a scheduler asks",
    )
