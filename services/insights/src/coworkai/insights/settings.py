"""Settings of the insights service. How a tenant's briefs are written is its policy, in the control store."""

from __future__ import annotations

from pydantic import Field, SecretStr

from coworkai.common.settings import CommonSettings, Mode


class InsightsSettings(CommonSettings):
    """The shared settings, and those of insights."""

    lease_ttl_s: float = Field(
        default=60, gt=0, description="seconds a tenant's lease lasts without a heartbeat"
    )
    batch_workers: int = Field(default=200, ge=1, description="workers whose briefs are made at once")
    parallel_tenants: int = Field(default=2, ge=1, description="tenants that are written for at once")
    model_batch: int = Field(
        default=16, ge=1, description="workers whose briefs are made at once where a model writes them"
    )
    model_calls: int = Field(default=8, ge=1, description="calls of models that are open at once")
    model_timeout_s: float = Field(
        default=60, gt=0, le=120, description="seconds that one attempt of a model call may take"
    )
    model_retry_s: float = Field(
        default=120,
        gt=0,
        description="seconds until a brief is tried again whose model call was not let through",
    )
    model_api_key: SecretStr | None = Field(
        default=None, description="key of the model server; Google's credentials come from its environment"
    )
    settle_s: float = Field(
        default=0.5, ge=0, description="pause in which a burst of publications becomes one run"
    )
    sweep_every_s: float = Field(
        default_factory=lambda data: 0 if data["mode"] is Mode.CLOUD else 60,
        ge=0,
        description="seconds between looks for work that no message told of; 0 where a scheduler asks",
    )
