"""The control store's contract on a real PostgreSQL server."""

from __future__ import annotations

import pytest
from tests.unit.common.test_access_log import LogContract
from tests.unit.common.test_control import ControlContract
from tests.unit.common.test_migrations import MigrationContract
from tests.unit.common.test_purge import PurgeContract

pytestmark = pytest.mark.integration


class TestPostgres(ControlContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestMigrationsOnPostgres(MigrationContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestLogsOnPostgres(LogContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url


class TestPurgeOnPostgres(PurgeContract):
    @pytest.fixture
    def url(self, postgres_url: str) -> str:
        return postgres_url
