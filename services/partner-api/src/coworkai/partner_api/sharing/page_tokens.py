"""Tokens that carry where an answer goes on. They are signed: what a client changes in one is refused."""

from __future__ import annotations

import base64
import binascii
import hmac

import msgspec

from coworkai.partner_api.secrets import Purpose, Secrets

_TAG_BYTES = 16
MAX_CHARS = 1024


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where an answer goes on: in which one (`purpose`, tenant and what was asked), at which table version
    (of changes, the last one), after how many items."""

    purpose: str
    tenant_id: str
    asked: str
    version: int
    offset: int


class PageTokens:
    """Signs places and reads them back."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def of(self, place: Place) -> str:
        """The token, safe in a URL as it is."""
        payload = msgspec.json.encode(place)
        return _encoded(self._tag(payload) + payload)

    def place(self, token: str, *, purpose: str, tenant_id: str, asked: str) -> Place:
        """The place of a token made for this purpose, tenant and request. Raises ValueError otherwise."""
        if len(token) > MAX_CHARS:
            raise ValueError("no token of ours")
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise ValueError("no token of ours") from None
        tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(payload)) or token != _encoded(raw):
            raise ValueError("no token of ours")
        place = msgspec.json.decode(payload, type=Place)
        if (place.purpose, place.tenant_id, place.asked) != (purpose, tenant_id, asked):
            raise ValueError("the token belongs to another request")
        return place

    def _tag(self, payload: bytes) -> bytes:
        return self._secrets.mac(Purpose.CURSORS, b"delta-sharing", payload)[:_TAG_BYTES]


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
