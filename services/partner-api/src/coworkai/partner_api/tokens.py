"""Access tokens: JWTs (RFC 9068) of OAuth clients and of single workers, signed with ES256.

A token says who it is for, and which credential it stands on: its client, or what a worker's token was made
with. That is looked up when the token is used, so revoking it ends its tokens too.
"""

from __future__ import annotations

import base64
import hashlib
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import Terminal
from coworkai.partner_api.principal import (
    WORKER_SCOPES,
    Principal,
    PrincipalKind,
    Reach,
    Scope,
)
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Secrets

ALGORITHM = "ES256"
AUDIENCE = "coworkai-partner-api"
WORKERS_ISSUER = "coworkai"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - a media type, no secret
MAX_TOKEN_BYTES = 4_096
MAX_WORKER_TOKEN = timedelta(hours=24)
LEEWAY_S = 10
_REQUIRED = ("iss", "aud", "sub", "exp", "iat", "jti", "tenant_id", "client_id")


@dataclass(frozen=True, slots=True)
class Token:
    """A signed token and what it comes to."""

    text: str
    token_id: str
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    `credential_id` is the client it is of, or the credential that a worker's was made with.
    """

    tenant_id: str
    credential_id: str
    worker_id: str | None
    scopes: frozenset[Scope]
    expires_at: datetime

    def worker(self) -> Principal:
        """The worker as a principal; for a token that is a worker's."""
        assert self.worker_id is not None
        return Principal(
            PrincipalKind.WORKER,
            f"worker:{self.worker_id}",
            "the worker",
            self.tenant_id,
            Reach.INDIVIDUAL,
            WORKER_SCOPES,
            frozenset({self.worker_id}),
        )


class Tokens:
    """Signs and verifies the tokens of one installation.

    Clients' tokens are of `issuer`, the address that clients know the API by; workers' are of none of its
    addresses, so that a command makes them as the service does. One key signs both, for one audience.
    """

    def __init__(self, secrets: Secrets, issuer: str, clock: Clock = utc_now) -> None:
        self._issuer = issuer
        self._clock = clock
        self._private = secrets.signing_key
        self._public = self._private.public_key()
        point = self._public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._jwk = {"crv": "P-256", "kty": "EC", "x": _base64url(point[1:33]), "y": _base64url(point[33:])}
        # The key's thumbprint (RFC 7638): its members in this order, without spaces.
        self.key_id = _base64url(hashlib.sha256(msgspec.json.encode(self._jwk)).digest())

    def key_set(self) -> Mapping[str, Any]:
        """The public keys, as `/.well-known/jwks.json` has them."""
        return {"keys": [{**self._jwk, "use": "sig", "alg": ALGORITHM, "kid": self.key_id}]}

    def for_client(
        self, client_id: str, tenant_id: str, scopes: frozenset[Scope], lifetime: timedelta
    ) -> Token:
        """An access token of an OAuth client."""
        claims = {"sub": client_id, "client_id": client_id, "scope": " ".join(sorted(scopes))}
        return self._signed(self._issuer, tenant_id, claims, lifetime)

    def for_worker(self, worker_id: str, tenant_id: str, lifetime: timedelta, *, made_by: str) -> Token:
        """A worker's own token, which ends with the credential `made_by`.

        Raises Terminal for a lifetime that is none or over a day.
        """
        if not timedelta(0) < lifetime <= MAX_WORKER_TOKEN:
            raise Terminal("a worker's token is good for at most 24 hours")
        claims = {"sub": worker_id, "client_id": made_by, "scope": " ".join(sorted(WORKER_SCOPES))}
        return self._signed(WORKERS_ISSUER, tenant_id, claims, lifetime)

    def verify(self, token: str) -> Claims:
        """What the token says. Raises Refused (401) for one that is forged, foreign, or not valid now."""
        invalid = Refused(Code.INVALID_CREDENTIALS, "the access token is not valid")
        if len(token) > MAX_TOKEN_BYTES:
            raise invalid
        try:
            header = jwt.get_unverified_header(token)
            if header.get("kid") != self.key_id or header.get("typ") != TOKEN_TYPE:
                raise invalid
            # The algorithm is ours, whatever the header says. Times are checked below, against our clock.
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=[self._issuer, WORKERS_ISSUER],
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
            issued_at = datetime.fromtimestamp(int(claims["iat"]), UTC)
            is_worker = claims["iss"] == WORKERS_ISSUER
            scopes = frozenset(Scope(scope) for scope in str(claims.get("scope", "")).split())
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise invalid from None
        now = self._clock()
        if issued_at > now + timedelta(seconds=LEEWAY_S):
            raise invalid
        if now >= expires_at:
            raise Refused(
                Code.EXPIRED_CREDENTIALS, "the access token has expired", remedy="ask for a new one"
            )
        return Claims(
            str(claims["tenant_id"]),
            str(claims["client_id"]),
            str(claims["sub"]) if is_worker else None,
            scopes,
            expires_at,
        )

    def _signed(self, issuer: str, tenant_id: str, claims: Mapping[str, Any], lifetime: timedelta) -> Token:
        now = self._clock()
        token_id = f"tok_{random.token_hex(12)}"
        payload = {
            **claims,
            "iss": issuer,
            "aud": AUDIENCE,
            "tenant_id": tenant_id,
            "iat": int(now.timestamp()),
            "exp": int((now + lifetime).timestamp()),
            "jti": token_id,
        }
        headers = {"kid": self.key_id, "typ": TOKEN_TYPE}
        text = jwt.encode(payload, self._private, ALGORITHM, headers=headers)
        return Token(text, token_id, int(lifetime.total_seconds()))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
