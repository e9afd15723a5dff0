"""What the control store forgets, on SQLite here and on PostgreSQL under the mark `integration`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from coworkai.common.control import Control, Database, schema

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)


class PurgeContract:
    """What every control store promises; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def database(self, url: str) -> Iterator[Database]:
        database = Database(url)
        database.migrate()
        yield database
        database.close()

    @pytest.fixture
    def control(self, database: Database) -> Control:
        return Control(database, lambda: NOW)

    def test_an_answer_is_forgotten_a_day_after_it_expired(
        self, database: Database, control: Control
    ) -> None:
        with database.write() as connection:
            for key, age in (("old", timedelta(hours=25)), ("kept", timedelta(hours=23))):
                connection.execute(
                    schema.idempotency_keys.insert().values(
                        tenant_id="acme",
                        principal_id="key_1",
                        key=key,
                        method="POST",
                        path="/v1/exports",
                        request_digest=b"d",
                        created_at=NOW - timedelta(days=3),
                        expires_at=NOW - age,
                    )
                )
        assert control.purge()["idempotency_keys"] == 1
        with database.read() as connection:
            assert connection.scalars(select(schema.idempotency_keys.c.key)).all() == ["kept"]

    def test_of_credentials_only_what_workers_tokens_stood_on_is_forgotten(
        self, database: Database, control: Control
    ) -> None:
        control.put_tenant("acme")
        with database.write() as connection:
            for kind, hours in (("worker", 25), ("worker", 23), ("api_key", 25), ("oauth_client", 25)):
                connection.execute(
                    schema.credentials.insert().values(
                        credential_id=f"{kind}_{hours}",
                        tenant_id="acme",
                        kind=kind,
                        name="n",
                        secret_hmac=b"h",
                        reach="individual",
                        scopes=[],
                        created_at=NOW - timedelta(days=3),
                        created_by="t",
                        expires_at=NOW - timedelta(hours=hours),
                    )
                )
        assert control.purge()["credentials"] == 1
        with database.read() as connection:
            kept = set(connection.scalars(select(schema.credentials.c.credential_id)))
        assert kept == {"worker_23", "api_key_25", "oauth_client_25"}

    def test_an_event_goes_with_the_last_of_its_deliveries_and_their_attempts(
        self, database: Database, control: Control
    ) -> None:
        long_ago, lately = NOW - timedelta(days=31), NOW - timedelta(days=29)
        control.put_tenant("acme")
        with database.write() as connection:
            connection.execute(
                schema.webhook_endpoints.insert().values(
                    endpoint_id="we_1",
                    tenant_id="acme",
                    url="https://example.com/",
                    event_types=["day.ready"],
                    description="",
                    sealed_secrets=[],
                    state="enabled",
                    created_at=long_ago,
                    updated_at=long_ago,
                )
            )
            for event, finished in (("done", long_ago), ("recent", lately), ("pending", None)):
                connection.execute(
                    schema.webhook_events.insert().values(
                        event_id=event,
                        tenant_id="acme",
                        type="day.ready",
                        occurred_at=long_ago,
                        payload="{}",
                        dedupe_key=event,
                    )
                )
                connection.execute(
                    schema.webhook_deliveries.insert().values(
                        delivery_id=event,
                        endpoint_id="we_1",
                        event_id=event,
                        redelivery=0,
                        state="pending" if finished is None else "delivered",
                        attempts=1,
                        created_at=long_ago,
                        finished_at=finished,
                    )
                )
                connection.execute(
                    schema.webhook_attempts.insert().values(
                        delivery_id=event, attempt=1, started_at=long_ago, duration_ms=5, status_code=200
                    )
                )
        purged = control.purge()
        assert (purged["webhook_deliveries"], purged["webhook_events"]) == (1, 1)
        with database.read() as connection:
            for column in (schema.webhook_events.c.event_id, schema.webhook_attempts.c.delivery_id):
                assert connection.scalars(select(column).order_by(column)).all() == ["pending", "recent"]

    def test_an_export_is_forgotten_only_when_its_files_are_gone(
        self, database: Database, control: Control
    ) -> None:
        states = ("queued", "running", "ready", "failed", "expired")
        with database.write() as connection:
            for state in states:
                for days in (29, 31):
                    connection.execute(
                        schema.exports.insert().values(
                            export_id=f"{state}-{days}",
                            tenant_id="acme",
                            principal_id="key_1",
                            request={},
                            format="parquet",
                            state=state,
                            files=[],
                            data_version=1,
                            created_at=NOW - timedelta(days=days),
                        )
                    )
        assert control.purge()["exports"] == 2
        with database.read() as connection:
            kept = set(connection.scalars(select(schema.exports.c.export_id)))
        assert kept == {f"{state}-{days}" for state in states for days in (29, 31)} - {
            "failed-31",
            "expired-31",
        }


class TestSqlite(PurgeContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/control.db"
