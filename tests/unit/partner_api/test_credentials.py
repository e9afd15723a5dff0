"""API keys and OAuth clients in the store."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.common.control import Control, Database
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.errors import NotFound, Terminal
from coworkai.partner_api.credentials import (
    KEY_CHARS,
    Credentials,
    Grant,
    checksum,
    id_named,
    id_of_key,
)
from coworkai.partner_api.principal import PrincipalKind, Reach, Scope
from coworkai.partner_api.secrets import Purpose, Secrets

NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)
SECRETS = Secrets(bytes(range(32)))
GRANT = Grant(frozenset({Scope.BRIEFS, Scope.KPIS}), Reach.INDIVIDUAL, frozenset({"user_1"}))


class Store:
    """Credentials of the tenant acme over a real store, at a time that the test moves."""

    def __init__(self, url: str) -> None:
        self.now = NOW
        self.database = Database(url)
        self.database.migrate()
        Control(self.database).put_tenant("acme")
        self.credentials = Credentials(self.database, SECRETS, lambda: self.now)
        self.audit = AuditLog(self.database, SECRETS.key(Purpose.AUDIT_LOG), lambda: self.now)


class CredentialsContract:
    """What every store of credentials promises; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        store = Store(url)
        yield store
        store.database.close()

    def test_what_a_workers_token_stands_on_is_revoked_but_not_rotated(self, store: Store) -> None:
        until = NOW + timedelta(hours=1)
        made = store.credentials.create_worker("acme", "user_1", actor="admin", expires_at=until)
        assert (made.kind, made.worker_ids) == (PrincipalKind.WORKER, frozenset({"user_1"}))
        with pytest.raises(Terminal, match="not rotated"):
            store.credentials.rotate(made.credential_id, actor="admin")
        store.credentials.revoke(made.credential_id, actor="admin")
        assert store.credentials.listed("acme")[0].state(NOW) == "revoked"

    def test_a_key_is_found_by_its_text_and_says_what_was_granted(self, store: Store) -> None:
        made = store.credentials.create_key("acme", "bi", GRANT, actor="admin")
        assert len(made.secret) == KEY_CHARS
        credential_id = id_of_key(made.secret)
        assert credential_id == made.credential.credential_id
        found = store.credentials.matching(credential_id, made.secret)
        assert found == made.credential
        principal = found.principal()
        assert (principal.kind, principal.tenant_id, principal.name) == (PrincipalKind.API_KEY, "acme", "bi")
        assert (principal.reach, principal.scopes, principal.worker_ids) == (
            GRANT.reach,
            GRANT.scopes,
            GRANT.worker_ids,
        )

    def test_another_master_key_does_not_know_the_keys_of_this_one(self, store: Store) -> None:
        key = store.credentials.create_key("acme", "bi", GRANT, actor="admin").secret
        stranger = Credentials(store.database, Secrets(bytes(32)), lambda: NOW)
        assert stranger.matching(id_named(key), key) is None

    def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(self, store: Store) -> None:
        old = store.credentials.create_key("acme", "bi", GRANT, actor="admin")
        new = store.credentials.rotate(
            old.credential.credential_id, actor="admin", overlap=timedelta(hours=2)
        )
        assert replace(new.credential, credential_id="", replaces=None) == replace(
            old.credential, credential_id=""
        )
        assert new.credential.replaces == old.credential.credential_id
        kept = store.credentials.find([old.credential.credential_id])[old.credential.credential_id]
        assert kept.state(NOW + timedelta(hours=1, minutes=59)) == "live"
        assert kept.state(NOW + timedelta(hours=2)) == "expired"

    def test_a_key_that_expires_has_a_successor_that_expires_and_no_overlap_lengthens_it(
        self, store: Store
    ) -> None:
        soon = NOW + timedelta(minutes=5)
        old = store.credentials.create_key("acme", "bi", GRANT, actor="admin", expires_at=soon)
        store.now += timedelta(minutes=1)
        new = store.credentials.rotate(old.credential.credential_id, actor="admin").credential
        assert [each.expires_at for each in store.credentials.listed("acme")] == [soon, new.expires_at]
        assert new.expires_at == store.now + timedelta(minutes=5)

    def test_what_is_revoked_or_expired_is_not_rotated_and_revoking_twice_changes_nothing(
        self, store: Store
    ) -> None:
        made = store.credentials.create_key("acme", "bi", GRANT, actor="admin").credential
        first = store.credentials.revoke(made.credential_id, actor="admin")
        store.now += timedelta(hours=1)
        assert store.credentials.revoke(made.credential_id, actor="admin") == first
        with pytest.raises(Terminal, match="revoked"):
            store.credentials.rotate(made.credential_id, actor="admin")
        with pytest.raises(NotFound):
            store.credentials.revoke("key_none", actor="admin")

    def test_every_change_of_a_key_is_in_the_audit_log(self, store: Store) -> None:
        made = store.credentials.create_key("acme", "bi", GRANT, actor="ann")
        next_one = store.credentials.rotate(made.credential.credential_id, actor="ben")
        store.credentials.revoke(made.credential.credential_id, actor="cat")
        events = store.audit.page("acme")
        assert [(event.actor, event.action, event.target) for event in reversed(events)] == [
            ("ann", "credential.created", made.credential.credential_id),
            ("ben", "credential.rotated", next_one.credential.credential_id),
            ("cat", "credential.revoked", made.credential.credential_id),
        ]
        assert store.audit.verify("acme") == (3, None)
        assert made.secret not in str(events)

    @pytest.mark.parametrize(
        ("name", "grant", "expires_at"),
        [
            ("", GRANT, None),
            ("two\nlines", GRANT, None),
            ("bi", Grant(frozenset()), None),
            ("bi", Grant(GRANT.scopes, Reach.AGGREGATE, frozenset({"user_1"})), None),
            ("bi", Grant(GRANT.scopes, Reach.INDIVIDUAL, frozenset()), None),
            ("bi", GRANT, NOW),
        ],
    )
    def test_a_grant_that_makes_no_sense_is_refused(
        self, store: Store, name: str, grant: Grant, expires_at: datetime | None
    ) -> None:
        with pytest.raises(Terminal):
            store.credentials.create_key("acme", name, grant, actor="admin", expires_at=expires_at)
        assert store.credentials.listed() == []

    def test_a_tenant_that_does_not_exist_gets_no_key(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.credentials.create_key("nobody", "bi", GRANT, actor="admin")


class TestCredentials(CredentialsContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'control.db'}"

    def test_the_store_has_no_secret_in_it(self, store: Store, tmp_path: Path) -> None:
        key = store.credentials.create_key("acme", "bi", GRANT, actor="admin").secret
        client = store.credentials.create_client("acme", "etl", GRANT, actor="admin").secret
        store.credentials.rotate(id_named(key), actor="admin")
        store.database.close()
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        for secret in (key, client):
            assert secret.encode() not in kept
            assert secret[24:-6].encode() not in kept


def test_the_same_label_gives_the_same_key_and_different_ones_share_nothing() -> None:
    again = Secrets(bytes(range(32)))
    keys = {again.key(purpose) for purpose in Purpose}
    assert keys == {SECRETS.key(purpose) for purpose in Purpose}
    assert len(keys) == len(Purpose)
    assert again.signing_key.private_numbers() == SECRETS.signing_key.private_numbers()


def test_what_is_sealed_for_one_place_does_not_open_in_another() -> None:
    sealed = SECRETS.seal(Purpose.SEALING, b"secret", "endpoint 1")
    assert SECRETS.open(Purpose.SEALING, sealed, "endpoint 1") == b"secret"
    for purpose, data, place in (
        (Purpose.SEALING, sealed, "endpoint 2"),
        (Purpose.IDEMPOTENCY, sealed, "endpoint 1"),
        (Purpose.SEALING, sealed[:-1], "endpoint 1"),
        (Purpose.SEALING, b"", "endpoint 1"),
    ):
        with pytest.raises(Terminal):
            SECRETS.open(purpose, data, place)


KEY = "cwk_live_" + "A" * 12 + "b" * 32
KEY += checksum(KEY)


@given(st.integers(0, len(KEY) - 1), st.sampled_from(string.ascii_letters + string.digits + "_- é\0"))
def test_a_key_with_one_wrong_character_is_known_to_be_mistyped(at: int, char: str) -> None:
    mistyped = KEY[:at] + char + KEY[at + 1 :]
    assert (id_of_key(mistyped) is not None) == (mistyped == KEY)


@given(st.integers(0, len(KEY) - 1))
def test_a_key_that_was_cut_is_known_to_be_cut(length: int) -> None:
    assert id_of_key(KEY[:length]) is None


@given(st.text(max_size=80))
def test_any_text_is_either_a_whole_key_or_none(text: str) -> None:
    assert id_of_key(text) is None
