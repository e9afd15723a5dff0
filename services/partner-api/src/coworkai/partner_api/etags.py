"""Weak ETags of what an answer is made of, so that "not modified" is known before anything is read.

An answer is fixed by the tenant, the versions of the tables that it is read from, the query, and the rows
that the caller may see. A new version of another table leaves it what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from starlette.responses import Response

_DIGEST_BYTES = 15


def etag(
    tenant_id: str | None,
    versions: Collection[int | None],
    query: bytes,
    worker_ids: Collection[str] | None,
) -> str:
    """`W/"…"` of tenant, table versions, the digest of a query, and the workers the caller is limited to.

    `tenant_id` is None for what is the same for all; a copy of one tenant's is never current for another.
    """
    digest = hashlib.blake2b(query, digest_size=_DIGEST_BYTES)
    digest.update(repr((tenant_id, tuple(versions), worker_ids)).encode())
    return f'W/"{digest.hexdigest()}"'


def is_current(if_none_match: str | None, tag: str) -> bool:
    """Whether a client's copy is what it would get; tags are compared weakly (RFC 9110, 8.8.3.2).

    `*` names no copy. Whether there is anything at all is not known before it is read.
    """
    if if_none_match is None:
        return False
    if if_none_match == tag:
        return True
    opaque = tag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") == opaque for one in if_none_match.split(","))


def not_modified(headers: dict[str, str]) -> Response:
    """304: the client's copy is current."""
    return Response(status_code=304, headers=headers)
