"""Settings of the ingest service."""

from __future__ import annotations

from pydantic import Field

from coworkai.common.settings import CommonSettings, Mode


class IngestSettings(CommonSettings):
    """The shared settings, and ingest's own."""

    commit_linger_s: float = Field(
        default_factory=lambda data: 2.0 if data["mode"] is Mode.CLOUD else 0.1,
        ge=0,
        description="seconds in which records are collected for one commit",
    )
    commit_max_rows: int = Field(default=20_000, ge=1, description="records that close a commit early")
    max_message_bytes: int = Field(
        default=10_000_000, ge=1, description="larger messages are quarantined whole (Pub/Sub's own limit)"
    )
    max_bytes_in_flight: int = Field(
        default=128_000_000, ge=1, description="bytes of requests being worked on; above it the answer is 503"
    )
    seen_max_ids: int = Field(
        default=8_000_000, ge=1, description="identities kept in memory a table, 24 bytes each"
    )
    tenant_ttl_s: float = Field(
        default=5, ge=0, description="seconds until a tenant's changed policy takes effect at the latest"
    )
    breaker_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="share of quarantined records above which a collector is held back",
    )
    breaker_min_records: int = Field(
        default=500, ge=1, description="records that a collector must have sent before it can be held back"
    )
    breaker_probe_s: float = Field(
        default=30, gt=0, description="seconds between the messages that a held-back collector may try"
    )
