"""Calls of one of our services by another, signed with a key that both derive from the master key.

    Authorization: CoworkAI <Unix seconds>:<HMAC-SHA256 of time, path and body>

Invariant: a signature is good for one path and body, for a minute, and tells nothing about the master key.
"""

from __future__ import annotations

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coworkai.common.clock import Clock, utc_now
from coworkai.common.errors import Unauthenticated

SCHEME = "CoworkAI"
VALID_S = 60


class Calls:
    """Signs the calls that a service makes, and verifies those that it gets."""

    def __init__(self, master_key: bytes, clock: Clock = utc_now) -> None:
        self._key = HKDF(SHA256(), 32, salt=None, info=b"coworkai/calls").derive(master_key)
        self._clock = clock

    def sign(self, path: str, body: bytes) -> str:
        """The `Authorization` header of a call."""
        return self._signed(int(self._clock().timestamp()), path, body)

    def verify(self, authorization: str | None, path: str, body: bytes) -> None:
        """Raises Unauthenticated unless the call was signed for this path and body a moment ago."""
        scheme, _, rest = (authorization or "").partition(" ")
        seconds = rest.partition(":")[0]
        if scheme != SCHEME or not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= 12):
            raise Unauthenticated("the call is not signed")
        expected = self._signed(int(seconds), path, body)
        if not hmac.compare_digest(expected.encode(), (authorization or "").encode()):
            raise Unauthenticated("the call's signature does not verify")
        if abs(self._clock().timestamp() - int(seconds)) > VALID_S:
            raise Unauthenticated("the call's signature is outside its validity")

    def _signed(self, seconds: int, path: str, body: bytes) -> str:
        content = b"\n".join((str(seconds).encode(), path.encode(), body))
        return f"{SCHEME} {seconds}:{hmac.digest(self._key, content, 'sha256').hex()}"
