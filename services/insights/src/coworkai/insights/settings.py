"""Settings of the insights service. How a tenant's briefs are written is its policy, in the control store."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from coworkai.common.settings import CommonSettings, Mode


class InsightsSettings(CommonSettings):
    """The shared settings, and those of insights."""

    lease_ttl_s: float = Field(
        default=60, gt=0, description="seconds a tenant's lease lasts without a heartbeat"
    )
    batch_workers: int = Field(default=400, ge=1, description="workers whose briefs are made at once")
    parallel_tenants: int = Field(default=2, ge=1, description="tenants that are written for at once")
    model_batch: int = Field(
        default=16, ge=1, description="workers whose briefs are made at once where a model writes them"
    )
    model_calls: int = Field(
        default=8, ge=1, description="calls of models that are open at once, of a tenant"
    )
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
    model_requests_per_minute: int = Field(
        default=600, ge=1, description="requests to models in any minute, of all tenants together"
    )
    model_tokens_per_minute: int = Field(
        default=2_000_000, ge=1, description="tokens of models in any minute, of all tenants together"
    )
    model_wait_s: float = Field(
        default=20, gt=0, description="seconds that a model call may wait for the limits"
    )
    model_prices: Path | None = Field(
        default=None,
        description="TOML file of model prices, beside the list prices that come with the service",
    )
    upstash_url: str | None = Field(
        default=None, description="REST address of the Upstash Redis that shares the limits; none: in process"
    )
    upstash_token: SecretStr | None = Field(default=None, description="token of the Upstash Redis")
    upstash_outage_share: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description="share of each limit that one process grants by itself: while Upstash does not answer, "
        "and in cloud mode where there is none",
    )
    settle_s: float = Field(
        default=0.5, ge=0, description="pause in which a burst of publications becomes one run"
    )
    sweep_every_s: float = Field(
        default_factory=lambda data: 0 if data["mode"] is Mode.CLOUD else 60,
        ge=0,
        description="seconds between looks for work that no message told of; 0 where a scheduler asks",
    )

    @model_validator(mode="after")
    def _upstash_is_whole(self) -> Self:
        if (self.upstash_url is None) != (self.upstash_token is None):
            raise ValueError("upstash_url and upstash_token go together")
        has_model = self.model_api_key is not None
        if has_model and self.own_share < 1 and "upstash_outage_share" not in self.model_fields_set:
            raise ValueError(
                "a model's key is set, but not COWORKAI_UPSTASH_URL and COWORKAI_UPSTASH_TOKEN, by which "
                "instances share its limits; without them set COWORKAI_UPSTASH_OUTAGE_SHARE, to one divided "
                "by the most instances there may be"
            )
        return self

    @property
    def own_share(self) -> float:
        """Share of each limit that this process may grant without asking anybody.

        All of it in local mode, where it is one of one. In cloud mode there may be any number of instances:
        none has the whole limit to itself.
        """
        return self.upstash_outage_share if self.mode is Mode.CLOUD and self.upstash_url is None else 1.0
