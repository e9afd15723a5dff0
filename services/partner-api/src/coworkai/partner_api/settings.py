"""Settings of the partner API."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from coworkai.common.settings import ENV_PREFIX, LONGEST_ADDRESS_S, CommonSettings, Mode


class PartnerApiSettings(CommonSettings):
    """The shared settings, and the partner API's own."""

    public_url: str = Field(
        default_factory=lambda data: f"http://{data['host']}:{data['port']}",
        pattern=r"^https?://[^/?#]+(/[^?#]*[^/?#])?$",
        description="base that clients reach the partner API by; issuer of its tokens and of its signed URLs",
    )
    rate_limit_per_minute: int = Field(
        default=6_000, ge=1, description="requests a minute that each key, client or worker token has"
    )
    max_body_bytes: int = Field(default=1_048_576, ge=1, description="largest body of a request")
    max_header_bytes: int = Field(
        default=16_384, ge=1_024, description="largest head of a request: its line and headers"
    )
    head_timeout_s: float = Field(default=10, gt=0, description="seconds in which a request's head arrives")
    body_timeout_s: float = Field(default=15, gt=0, description="seconds in which a request's body arrives")
    send_timeout_s: float = Field(
        default=60,
        gt=0,
        description="seconds after which a client that reads nothing of its answer is given up",
    )
    trusted_proxies: int = Field(
        default_factory=lambda data: 1 if data["mode"] is Mode.CLOUD else 0,
        ge=0,
        description="proxies in front that add to X-Forwarded-For, for the source of failed attempts",
    )
    access_token_s: int = Field(
        default=3_600, ge=60, le=86_400, description="seconds that an OAuth access token is good for"
    )
    revalidate_s: float = Field(
        default=0.75, gt=0, le=2, description="seconds between looks at whether credentials in use still hold"
    )
    idempotency_hours: int = Field(
        default=24, ge=1, description="hours that the answer to an Idempotency-Key is kept"
    )

    signed_url_s: int = Field(
        default=7_200,
        ge=3_600,
        le=LONGEST_ADDRESS_S,
        description="seconds that the address of a shared or exported file works; clients ask for it once",
    )

    runner_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#]+$",
        description="base of the runner, which traces facts to their origin; none: no lineage of facts",
    )
    hot_bytes: int = Field(
        default=268_435_456, ge=1, description="memory for days of Gold that are ready to be answered from"
    )
    max_bulk_rows: int = Field(
        default=250_000,
        ge=1,
        description="most rows of one answer that is no JSON page; exports have no such limit",
    )

    export_hours: int = Field(default=24, ge=1, description="hours that the files of an export are kept")

    webhook_timeout_s: float = Field(
        default=15, gt=0, le=30, description="seconds in which a partner's endpoint answers a webhook"
    )
    webhook_slots: int = Field(
        default=64, ge=1, le=1_000, description="webhooks that one process sends at a time, to all endpoints"
    )
    webhook_every_s: float = Field(
        default_factory=lambda data: 0 if data["mode"] is Mode.CLOUD else 1,
        ge=0,
        description="seconds between looks for webhooks to send again; 0 where a scheduler asks",
    )

    @model_validator(mode="after")
    def _cloud_has_a_public_url(self) -> Self:
        if self.mode is Mode.CLOUD and "public_url" not in self.model_fields_set:
            raise ValueError(f"missing {ENV_PREFIX}PUBLIC_URL")
        return self
