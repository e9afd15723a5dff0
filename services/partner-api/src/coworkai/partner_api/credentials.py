"""API keys, OAuth clients and what workers' tokens stand on: made, rotated, revoked, listed, found.

    cwk_live_7GkQ2m0ZpT4x 8sJ…(32) 1a2B3c        an API key: its id, its secret, a CRC-32 of what comes before
             └─ shown in lists ─┘  └ checksum: what is mistyped or cut is refused without a look at the store

Invariants: a secret is shown once and never stored, only its HMAC under a key that the store does not have;
a change and its row in the audit log are one transaction; scopes, reach and workers never change.
"""

from __future__ import annotations

import hmac
import re
import secrets as random
import string
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select, update

from coworkai.common.clock import Clock, utc_now
from coworkai.common.control import Database
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.control.schema import credentials as table
from coworkai.common.control.schema import tenants
from coworkai.common.errors import NotFound, Terminal
from coworkai.partner_api.principal import WORKER_SCOPES, Principal, PrincipalKind, Reach, Scope
from coworkai.partner_api.secrets import Purpose, Secrets

KEY_PREFIX = "cwk_live_"
CLIENT_SECRET_PREFIX = "cwc_live_"  # noqa: S105 - how one begins, no secret
KEY_ID_PREFIX = "key_"
CLIENT_ID_PREFIX = "client_"
WORKER_ID_PREFIX = "worker_"
ID_CHARS = 12
SECRET_CHARS = 32
"""190 random bits: an HMAC is enough, nothing slower guards better."""
CHECKSUM_CHARS = 6
KEY_CHARS = len(KEY_PREFIX) + ID_CHARS + SECRET_CHARS + CHECKSUM_CHARS
DEFAULT_OVERLAP = timedelta(hours=24)
MAX_NAME_CHARS = 200
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID = re.compile(rf"({KEY_ID_PREFIX}|{CLIENT_ID_PREFIX})[0-9A-Za-z]{{{ID_CHARS}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credential:
    """An API key or OAuth client as it is kept, or what a worker's token stands on; times are aware UTC.

    `replaces` is the key that it was made for by rotation.
    """

    credential_id: str
    kind: PrincipalKind
    tenant_id: str
    name: str
    reach: Reach
    scopes: frozenset[Scope]
    worker_ids: frozenset[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    replaces: str | None
    last_used_at: datetime | None

    @property
    def shown(self) -> str:
        """The beginning of a key, by which its owner knows it; otherwise the id."""
        if self.kind is not PrincipalKind.API_KEY:
            return self.credential_id
        return KEY_PREFIX + self.credential_id.removeprefix(KEY_ID_PREFIX)

    def state(self, now: datetime) -> str:
        """live, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "live"

    def principal(self, scopes: frozenset[Scope] | None = None) -> Principal:
        """Who calls with it; with some of its scopes only where they are given."""
        return Principal(
            self.kind,
            self.credential_id,
            self.name,
            self.tenant_id,
            self.reach,
            self.scopes if scopes is None else self.scopes & scopes,
            self.worker_ids,
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """What a new credential may: `worker_ids` limits it to the rows of these workers."""

    scopes: frozenset[Scope]
    reach: Reach = Reach.AGGREGATE
    worker_ids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential, and its secret: an API key, or a client's secret. It is shown this once."""

    credential: Credential
    secret: str


def checksum(text: str) -> str:
    """Six base62 digits of the CRC-32 of the text."""
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def id_of_key(key: str) -> str | None:
    """The credential id that a key names; None where it is no whole key, or its checksum is not right."""
    body, check = key[:-CHECKSUM_CHARS], key[-CHECKSUM_CHARS:]
    if (
        len(key) != KEY_CHARS
        or not key.startswith(KEY_PREFIX)
        or not key.isascii()
        or check != checksum(body)
    ):
        return None
    return KEY_ID_PREFIX + body[len(KEY_PREFIX) : len(KEY_PREFIX) + ID_CHARS]


def is_id(text: str) -> bool:
    """Whether the text can be the id of a key or client."""
    return _ID.fullmatch(text) is not None


def id_named(text: str) -> str:
    """The credential id that is named by itself, by the key, or by the beginning of the key."""
    if not text.startswith(KEY_PREFIX):
        return text
    return KEY_ID_PREFIX + text[len(KEY_PREFIX) : len(KEY_PREFIX) + ID_CHARS]


class Credentials:
    """The credentials of the store. Safe to share between threads; every method raises StorageUnavailable."""

    def __init__(self, database: Database, secrets: Secrets, clock: Clock = utc_now) -> None:
        self._database = database
        self._secrets = secrets
        self._clock = clock
        self._audit = AuditLog(database, secrets.key(Purpose.AUDIT_LOG), clock)

    def create_key(
        self, tenant_id: str, name: str, grant: Grant, *, actor: str, expires_at: datetime | None = None
    ) -> Issued:
        """Make an API key. Raises NotFound for no such tenant, Terminal for a grant of nothing."""
        with self._database.write() as connection:
            return self._create(
                connection,
                PrincipalKind.API_KEY,
                tenant_id,
                name,
                grant,
                actor=actor,
                expires_at=expires_at,
            )

    def create_client(
        self, tenant_id: str, name: str, grant: Grant, *, actor: str, expires_at: datetime | None = None
    ) -> Issued:
        """Make an OAuth client. Raises as `create_key`."""
        with self._database.write() as connection:
            return self._create(
                connection,
                PrincipalKind.OAUTH_CLIENT,
                tenant_id,
                name,
                grant,
                actor=actor,
                expires_at=expires_at,
            )

    def create_worker(
        self, tenant_id: str, worker_id: str, *, actor: str, expires_at: datetime
    ) -> Credential:
        """Make what a worker's token stands on that no key makes; it ends with it. Nothing presents it.

        Raises NotFound for no such tenant.
        """
        grant = Grant(WORKER_SCOPES, Reach.INDIVIDUAL, frozenset({worker_id}))
        with self._database.write() as connection:
            return self._create(
                connection,
                PrincipalKind.WORKER,
                tenant_id,
                "a worker's token",
                grant,
                actor=actor,
                expires_at=expires_at,
            ).credential

    def rotate(
        self,
        credential_id: str,
        *,
        actor: str,
        overlap: timedelta = DEFAULT_OVERLAP,
        expires_at: datetime | None = None,
        request_id: str | None = None,
    ) -> Issued:
        """Make a successor with the same rights; the old one is good for `overlap` longer, at most.

        Without `expires_at` it lives as long as the old one was to, from now.

        Raises NotFound for one that there is not, Terminal for one that is revoked, expired or a worker's.
        """
        now = self._clock()
        with self._database.write() as connection:
            old = self._locked(connection, credential_id)
            if old.kind is PrincipalKind.WORKER:
                raise Terminal("a worker's token is not rotated", remedy="make another one")
            if old.state(now) != "live":
                raise Terminal(
                    f"{old.shown} is {old.state(now)}", remedy="make a new one: coworkai keys create …"
                )
            grant = Grant(old.scopes, old.reach, old.worker_ids)
            if expires_at is None and old.expires_at is not None:
                expires_at = now + (old.expires_at - old.created_at)
            issued = self._create(
                connection,
                old.kind,
                old.tenant_id,
                old.name,
                grant,
                actor=actor,
                expires_at=expires_at,
                replaces=old,
                request_id=request_id,
            )
            until = now + overlap
            if old.expires_at is None or old.expires_at > until:
                connection.execute(
                    update(table).where(table.c.credential_id == credential_id).values(expires_at=until)
                )
        return issued

    def revoke(self, credential_id: str, *, actor: str, request_id: str | None = None) -> Credential:
        """End it now; every instance refuses it within two seconds. Revoking it again changes nothing.

        Raises NotFound.
        """
        with self._database.write(forced=True) as connection:
            found = self._locked(connection, credential_id)
            if found.revoked_at is not None:
                return found
            row = connection.execute(
                update(table)
                .where(table.c.credential_id == credential_id)
                .values(revoked_at=self._clock())
                .returning(*table.columns)
            ).one()
            self._audit.append(
                connection,
                found.tenant_id,
                actor=actor,
                action="credential.revoked",
                target=credential_id,
                detail={"name": found.name},
                request_id=request_id,
            )
        return _credential(row)

    def listed(self, tenant_id: str | None = None) -> list[Credential]:
        """Credentials of a tenant, or of all, newest last."""
        statement = select(table).order_by("created_at", "credential_id")
        if tenant_id is not None:
            statement = statement.where(table.c.tenant_id == tenant_id)
        with self._database.read() as connection:
            return [_credential(row) for row in connection.execute(statement)]

    def find(self, credential_ids: Collection[str]) -> Mapping[str, Credential]:
        """Those that there are, by id."""
        with self._database.read() as connection:
            rows = connection.execute(select(table).where(table.c.credential_id.in_(credential_ids)))
            return {row.credential_id: _credential(row) for row in rows}

    def matching(self, credential_id: str, secret: str) -> Credential | None:
        """The credential, if this is its secret; revoked and expired ones too."""
        given = self._hmac(secret)
        with self._database.read() as connection:
            row = connection.execute(
                select(table).where(table.c.credential_id == credential_id)
            ).one_or_none()
        # One that does not exist takes the same steps.
        kept = bytes(len(given)) if row is None else row.secret_hmac
        is_right = hmac.compare_digest(kept, given)
        return _credential(row) if is_right and row is not None else None

    def touch(self, used_at: Mapping[str, datetime]) -> None:
        """Write down when credentials were last used."""
        with self._database.write() as connection:
            for credential_id in sorted(used_at):
                connection.execute(
                    update(table)
                    .where(table.c.credential_id == credential_id)
                    .values(last_used_at=used_at[credential_id])
                )

    def audit(
        self,
        tenant_id: str,
        *,
        actor: str,
        action: str,
        target: str,
        detail: Mapping[str, Any],
        request_id: str | None = None,
    ) -> None:
        """Write down something else that happened to a credential, or was made with it."""
        with self._database.write() as connection:
            self._audit.append(
                connection,
                tenant_id,
                actor=actor,
                action=action,
                target=target,
                detail=detail,
                request_id=request_id,
            )

    def _create(
        self,
        connection: Connection,
        kind: PrincipalKind,
        tenant_id: str,
        name: str,
        grant: Grant,
        *,
        actor: str,
        expires_at: datetime | None,
        replaces: Credential | None = None,
        request_id: str | None = None,
    ) -> Issued:
        now = self._clock()
        _check(name, grant, expires_at, now)
        if connection.scalar(select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id)) is None:
            raise NotFound(f"no tenant {tenant_id}", remedy=f"coworkai tenant set {tenant_id}")
        credential_id, secret = _NEW[kind]()
        values = {
            "credential_id": credential_id,
            "tenant_id": tenant_id,
            "kind": kind.value,
            "name": name,
            "secret_hmac": self._hmac(secret),
            "reach": grant.reach.value,
            "scopes": sorted(grant.scopes),
            "worker_ids": None if grant.worker_ids is None else sorted(grant.worker_ids),
            "created_at": now,
            "created_by": actor,
            "expires_at": expires_at,
            "replaces": None if replaces is None else replaces.credential_id,
        }
        row = connection.execute(self._database.insert(table).values(values).returning(*table.columns)).one()
        self._audit.append(
            connection,
            tenant_id,
            actor=actor,
            action="credential.created" if replaces is None else "credential.rotated",
            target=credential_id,
            detail={
                "kind": kind.value,
                "name": name,
                "reach": grant.reach.value,
                "scopes": sorted(grant.scopes),
                "workers": None if grant.worker_ids is None else len(grant.worker_ids),
                "expires_at": None if expires_at is None else expires_at.isoformat(),
                "replaces": None if replaces is None else replaces.credential_id,
            },
            request_id=request_id,
        )
        return Issued(_credential(row), secret)

    def _locked(self, connection: Connection, credential_id: str) -> Credential:
        row = connection.execute(
            select(table).where(table.c.credential_id == credential_id).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound(f"no credential {credential_id}", remedy="coworkai keys list shows them")
        return _credential(row)

    def _hmac(self, secret: str) -> bytes:
        return self._secrets.mac(Purpose.CREDENTIALS, secret.encode())


def _check(name: str, grant: Grant, expires_at: datetime | None, now: datetime) -> None:
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise Terminal(f"a name is 1 to {MAX_NAME_CHARS} printable characters")
    if not grant.scopes:
        raise Terminal("credentials need a scope", remedy="--scope, one or more times; or --all-scopes")
    if grant.worker_ids is not None and not grant.worker_ids:
        raise Terminal("credentials limited to no worker could read nothing")
    if grant.worker_ids is not None and grant.reach is not Reach.INDIVIDUAL:
        raise Terminal("aggregate reach sees no worker's rows", remedy="--reach individual with --worker")
    if expires_at is not None and expires_at <= now:
        raise Terminal("it would be expired already", remedy="give a later time")


def _new_key() -> tuple[str, str]:
    key_id = _random(ID_CHARS)
    body = f"{KEY_PREFIX}{key_id}{_random(SECRET_CHARS)}"
    return f"{KEY_ID_PREFIX}{key_id}", body + checksum(body)


def _new_client() -> tuple[str, str]:
    body = f"{CLIENT_SECRET_PREFIX}{_random(SECRET_CHARS)}"
    return f"{CLIENT_ID_PREFIX}{_random(ID_CHARS)}", body + checksum(body)


def _new_worker() -> tuple[str, str]:
    return f"{WORKER_ID_PREFIX}{_random(ID_CHARS)}", _random(SECRET_CHARS)


_NEW = {
    PrincipalKind.API_KEY: _new_key,
    PrincipalKind.OAUTH_CLIENT: _new_client,
    PrincipalKind.WORKER: _new_worker,
}


def _random(length: int) -> str:
    return "".join(random.choice(_ALPHABET) for _ in range(length))


def _credential(row: Row[Any]) -> Credential:
    return Credential(
        credential_id=row.credential_id,
        kind=PrincipalKind(row.kind),
        tenant_id=row.tenant_id,
        name=row.name,
        reach=Reach(row.reach),
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        worker_ids=None if row.worker_ids is None else frozenset(row.worker_ids),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        replaces=row.replaces,
        last_used_at=row.last_used_at,
    )
