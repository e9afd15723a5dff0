"""Addresses that open one file for a while without credentials: a bucket's own, and ours on a folder.

    /files/<path, base64url>/<file name>?sp=r&se=<Unix seconds>&sig=<HMAC>

Invariants: nothing is opened but a path that was signed here, and nothing outside the store's folder even so;
a signature is compared in constant time. The parameters are named as in Azure's shared access signatures, by
which Delta Sharing clients tell a signed address from a path of their own machine.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from starlette.responses import FileResponse, MalformedRangeHeader, RangeNotSatisfiable

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.clock import Clock, utc_now
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Purpose, Secrets

PREFIX = "/files"
_MAX_EXPIRY_DIGITS = 12


class Address(NamedTuple):
    """Where a file can be read without credentials, and until when (Unix milliseconds)."""

    url: str
    expires_ms: int


class SignedFile(FileResponse):
    """A file or parts of it. A range that cannot be read is ignored (RFC 9110, 14.2)."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []
        except RangeNotSatisfiable:
            raise Refused(
                Code.RANGE_NOT_SATISFIABLE,
                f"the file has {file_size} bytes",
                headers={"content-range": f"bytes */{file_size}"},
            ) from None


class SignedUrls:
    """Signs addresses of files in the store, each good for `ttl_s` seconds, and opens our own."""

    def __init__(
        self, store: ArtifactStore, secrets: Secrets, *, public_url: str, ttl_s: int, clock: Clock = utc_now
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._public_url = public_url
        self._ttl_s = ttl_s
        self._clock = clock

    async def of(self, paths: Sequence[str], *, until: datetime | None = None) -> list[Address]:
        """Addresses of the files, in order; `paths` are below the store's root.

        They work no longer than `until`, which lies ahead. Raises StorageUnavailable.
        """
        now = int(self._clock().timestamp())
        ttl_s = self._ttl_s if until is None else min(self._ttl_s, max(int(until.timestamp()) - now, 1))
        expires = now + ttl_s
        if self._store.folder is None:
            urls: Sequence[str] = await self._store.sign_all(paths, ttl_s)
        else:
            urls = [self._own(path, str(expires)) for path in paths]
        return [Address(url, expires * 1000) for url in urls]

    def open(self, token: str, file_name: str, expires: str, signature: str) -> SignedFile:
        """The file of one of our own addresses, by the parts of it. Blocks for a moment.

        Raises Refused: FORBIDDEN for an address that is not ours or has expired, NOT_FOUND for a file that
        is gone.
        """
        path = self._verified(token, expires, signature)
        folder = self._store.folder
        if folder is None or path.rpartition("/")[2] != file_name:
            raise _forbidden()
        try:
            file = Path(os.path.realpath(folder / path))
            found = file.stat()
        except (OSError, ValueError):
            raise Refused(Code.NOT_FOUND, "the file is gone") from None
        if not file.is_relative_to(os.path.realpath(folder)):
            raise _forbidden()
        if not stat.S_ISREG(found.st_mode):
            raise Refused(Code.NOT_FOUND, "the file is gone")
        return SignedFile(file, media_type="application/octet-stream", filename=file_name, stat_result=found)

    def _own(self, path: str, expires: str) -> str:
        token = base64.urlsafe_b64encode(path.encode()).decode().rstrip("=")
        signature = self._signature(token, expires)
        file_name = quote(path.rpartition("/")[2])
        return f"{self._public_url}{PREFIX}/{token}/{file_name}?sp=r&se={expires}&sig={signature}"

    def _signature(self, token: str, expires: str) -> str:
        return self._secrets.mac(Purpose.URLS, token.encode(), expires.encode()).hex()

    def _verified(self, token: str, expires: str, signature: str) -> str:
        """The path that the token names. Raises Refused."""
        try:
            expected = self._signature(token, expires).encode()
            if not hmac.compare_digest(expected, signature.encode()):
                raise _forbidden()
            path = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
        except (UnicodeError, binascii.Error):
            raise _forbidden() from None
        if len(expires) > _MAX_EXPIRY_DIGITS or int(expires) <= self._clock().timestamp():
            raise _forbidden()
        return path


def _forbidden() -> Refused:
    return Refused(
        Code.FORBIDDEN,
        "the address is not valid, or has expired",
        remedy="ask again for what it is an address of",
    )
