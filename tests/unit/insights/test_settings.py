"""Settings of insights: what of the limits of model calls one process may grant by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from coworkai.common.control import Control
from coworkai.common.errors import SettingsError
from coworkai.common.insight_policy import InsightPolicy
from coworkai.common.settings import load
from coworkai.insights.limiter import Limits
from coworkai.insights.metering import Meter
from coworkai.insights.settings import InsightsSettings

CLOUD = {
    "mode": "cloud",
    "project": "acme-prod",
    "lake_uri": "gs://lake",
    "control_url": "postgresql://db/control",
    "master_key": "none",
    "push_audience": "https://insights.example",
    "push_service_account": "push@acme-prod.iam.gserviceaccount.com",
}
UPSTASH = {"upstash_url": "https://limits.example", "upstash_token": "t"}
POLICY = InsightPolicy(requests_per_minute=60, tokens_per_minute=200_000)


def cloud(**given: object) -> InsightsSettings:
    return load(InsightsSettings, None, **{**CLOUD, **given})


def limits(settings: InsightsSettings, folder: Path) -> tuple[Limits, Limits]:
    """What a process of these settings may grant of the total, and of a tenant's limits."""
    control = Control(f"sqlite:///{folder / 'control.db'}")
    meter = Meter.from_settings(settings, control)
    control.close()
    total = Limits(settings.model_requests_per_minute, settings.model_tokens_per_minute)
    tenant = Limits(POLICY.requests_per_minute, POLICY.tokens_per_minute)
    fits = meter.admission.fits
    granted = (total.share(meter.share), tenant.share(meter.share))
    assert fits(total, granted[0].tokens)
    assert not fits(total, granted[0].tokens + 1)
    return granted


def test_one_machine_has_its_limits_to_itself(tmp_path: Path) -> None:
    assert limits(load(InsightsSettings), tmp_path) == (Limits(600, 2_000_000), Limits(60, 200_000))


def test_a_cloud_instance_that_shares_nothing_grants_its_share_alone(tmp_path: Path) -> None:
    alone = cloud()
    assert limits(alone, tmp_path) == (Limits(60, 200_000), Limits(6, 20_000))
    the_only_one = cloud(upstash_outage_share=1)
    assert limits(the_only_one, tmp_path) == (Limits(600, 2_000_000), Limits(60, 200_000))


def test_a_cloud_instance_that_shares_its_limits_has_all_of_them(tmp_path: Path) -> None:
    shared = cloud(**UPSTASH)
    assert limits(shared, tmp_path) == (Limits(600, 2_000_000), Limits(60, 200_000))


def test_a_models_key_in_the_cloud_without_shared_limits_stops_the_start_and_says_what_to_set() -> None:
    with pytest.raises(SettingsError, match="COWORKAI_UPSTASH_URL") as stopped:
        cloud(model_api_key="secret")
    assert "secret" not in str(stopped.value)
    cloud(**UPSTASH, model_api_key="secret")
    cloud(model_api_key="secret", upstash_outage_share=0.25)


def test_half_of_upstash_is_refused() -> None:
    with pytest.raises(SettingsError, match="go together"):
        load(InsightsSettings, upstash_url="https://limits.example")
