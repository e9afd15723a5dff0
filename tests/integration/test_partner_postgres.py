"""What the partner API keeps in the control store, on a real PostgreSQL server."""

from __future__ import annotations

import pytest
from tests.unit.partner_api.test_credentials import CredentialsContract
from tests.unit.partner_api.test_idempotency import IdempotencyContract
from tests.unit.partner_api.test_webhook_deliveries import DeliveriesContract

pytestmark = pytest.mark.integration


class TestCredentialsOnPostgres(CredentialsContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestIdempotencyOnPostgres(IdempotencyContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestDeliveriesOnPostgres(DeliveriesContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
