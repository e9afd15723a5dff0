"""The OIDC tokens that pushes carry, signed by a key of the data folder, and the keys that verify them."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from jwt.algorithms import RSAAlgorithm

from coworkai.common.errors import SettingsError
from coworkai.local.bus.settings import LOCAL_ISSUER

LIFETIME = timedelta(hours=1)
RENEW_BEFORE = timedelta(minutes=5)


class TokenSigner:
    """Signs tokens shaped like Google's. A token is reused until shortly before it expires."""

    def __init__(self, key_file: Path) -> None:
        self._key = _kept_key(key_file)
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._key_id = hashlib.sha256(public).hexdigest()[:40]
        self._tokens: dict[tuple[str, str], tuple[str, datetime]] = {}

    def token(self, audience: str, service_account: str, now: datetime) -> str:
        """A token for the audience, in the service account's name, valid for at least five minutes."""
        token, expires_at = self._tokens.get((audience, service_account), ("", now))
        if now < expires_at - RENEW_BEFORE:
            return token
        expires_at = now + LIFETIME
        token = jwt.encode(
            {
                "iss": LOCAL_ISSUER,
                "aud": audience,
                "azp": service_account,
                "sub": service_account,
                "email": service_account,
                "email_verified": True,
                "iat": int(now.timestamp()),
                "exp": int(expires_at.timestamp()),
            },
            self._key,
            algorithm="RS256",
            headers={"kid": self._key_id},
        )
        self._tokens[audience, service_account] = (token, expires_at)
        return token

    def key_set(self) -> dict[str, object]:
        """The public key as a JSON Web Key Set."""
        public = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [public | {"kid": self._key_id, "alg": "RS256", "use": "sig"}]}


def _kept_key(path: Path) -> RSAPrivateKey:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        key = generate_private_key(public_exponent=65537, key_size=2048)
        path.touch(mode=0o600)
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key
    try:
        kept = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError:
        kept = None
    if not isinstance(kept, RSAPrivateKey):
        raise SettingsError(f"{path} is no RSA key", remedy="delete it; the bus makes another")
    return kept
