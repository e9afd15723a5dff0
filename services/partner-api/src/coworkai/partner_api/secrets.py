"""Every key of the partner API, derived from the master key with a label of its own (HKDF-SHA256).

Nothing more is to be configured or kept, and no key serves two purposes. The API's own secrets are stored as
HMAC (credentials) or sealed (webhook secrets, replayed answers), never in clear.
"""

from __future__ import annotations

import hmac
import os
from enum import StrEnum
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coworkai.common.errors import Terminal

_NONCE_BYTES = 12
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Purpose(StrEnum):
    """What a key is for; its label, which never changes."""

    CREDENTIALS = "credentials"
    CURSORS = "cursors"
    URLS = "signed-urls"
    SEALING = "sealing"
    TOKENS = "token-signing"
    IDEMPOTENCY = "idempotency"
    ACCESS_LOG = "access-log"
    AUDIT_LOG = "audit-log"


class Unsealable(Terminal):
    """Sealed bytes that this master key did not seal, or not in this place."""

    code = "unsealable"
    status = 500


class Secrets:
    """The keys of one master key. Safe to share between threads."""

    def __init__(self, master_key: bytes) -> None:
        self._master_key = master_key
        self._keys = {purpose: self._derive(purpose.value, 32) for purpose in Purpose}

    def key(self, purpose: Purpose) -> bytes:
        """The 32 bytes for this purpose."""
        return self._keys[purpose]

    def mac(self, purpose: Purpose, *parts: bytes) -> bytes:
        """HMAC-SHA256 of the parts, which cannot run into each other, under the purpose's key."""
        framed = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._keys[purpose], framed, "sha256")

    def seal(self, purpose: Purpose, plain: bytes, place: str) -> bytes:
        """The plain bytes, encrypted and bound to `place` (AES-256-GCM, random nonce)."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._keys[purpose]).encrypt(nonce, plain, place.encode())

    def open(self, purpose: Purpose, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place`. Raises Unsealable."""
        try:
            return AESGCM(self._keys[purpose]).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode()
            )
        except (InvalidTag, ValueError):
            raise Unsealable("what is sealed cannot be opened with this master key") from None

    @cached_property
    def signing_key(self) -> ec.EllipticCurvePrivateKey:
        """The P-256 key that signs access tokens, the same for every instance."""
        # 64 bytes, so that reducing them to the order of the curve favours no key.
        number = int.from_bytes(self._derive(f"{Purpose.TOKENS.value}/p-256", 64))
        return ec.derive_private_key(number % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def _derive(self, label: str, length: int) -> bytes:
        info = f"coworkai/partner-api/{label}".encode()
        return HKDF(SHA256(), length, salt=None, info=info).derive(self._master_key)
