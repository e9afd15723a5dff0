"""Tenants and their keys, remembered for a moment: a policy change takes effect within seconds."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from coworkai.common import pii
from coworkai.common.control import Identity, Tenant
from coworkai.common.pii import TenantKeys
from coworkai.ingest.breaker import Flow
from coworkai.ingest.tokenise import TenantContext

MAX_ENTRIES = 10_000


class TenantStore(Protocol):
    """The part of `control.Control` that ingest asks. Every call may raise StorageUnavailable."""

    def tenant(self, tenant_id: str) -> Tenant | None: ...
    def ingest_key_tenant(self, key: str) -> str | None: ...
    def is_collector_accepted(self, tenant_id: str, source: str, collector: str) -> bool: ...
    def ping(self) -> None: ...


class Tenants:
    """Looks tenants and ingest keys up, and remembers the answers for `ttl_s` seconds of `monotonic`."""

    def __init__(
        self,
        store: TenantStore,
        master_key: bytes,
        *,
        ttl_s: float,
        monotonic: Callable[[], float],
        plain_allowed: bool,
    ) -> None:
        self._store = store
        self._master_key = master_key
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._plain_allowed = plain_allowed
        self._contexts: OrderedDict[str, tuple[float, TenantContext | None]] = OrderedDict()
        self._key_tenants: OrderedDict[bytes, tuple[float, str | None]] = OrderedDict()
        self._keys: dict[tuple[str, bytes], TenantKeys] = {}
        self.platform = pii.platform_keys(master_key)

    async def find(self, tenant_id: str) -> TenantContext | None:
        """The active tenant with its keys; None when there is none. Raises StorageUnavailable."""
        known = self._contexts.get(tenant_id)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        tenant = await asyncio.to_thread(self._store.tenant, tenant_id)
        context = None if tenant is None or not tenant.active else self._context(tenant)
        _remember(self._contexts, tenant_id, (self._monotonic() + self._ttl_s, context))
        return context

    async def of_key(self, ingest_key: str) -> str | None:
        """The tenant that an ingest key speaks for; None for a wrong one. Raises StorageUnavailable."""
        digest = hashlib.sha256(ingest_key.encode()).digest()
        known = self._key_tenants.get(digest)
        if known is not None and self._monotonic() < known[0]:
            return known[1]
        tenant_id = await asyncio.to_thread(self._store.ingest_key_tenant, ingest_key)
        _remember(self._key_tenants, digest, (self._monotonic() + self._ttl_s, tenant_id))
        return tenant_id

    async def is_accepted(self, flow: Flow) -> bool:
        """Whether an operator lets the flow through the breaker. Raises StorageUnavailable."""
        return await asyncio.to_thread(
            self._store.is_collector_accepted, flow.tenant_id, flow.source.value, flow.collector
        )

    async def ping(self) -> None:
        """Raises StorageUnavailable when the store does not answer."""
        await asyncio.to_thread(self._store.ping)

    def _context(self, tenant: Tenant) -> TenantContext:
        # One keys object a tenant: tokens are remembered by it.
        at = (tenant.tenant_id, tenant.key_salt)
        if at not in self._keys:
            self._keys[at] = pii.tenant_keys(self._master_key, *at)
        if not self._plain_allowed:
            tenant = without_plain(tenant)
        return TenantContext(tenant, self._keys[at])


def without_plain(tenant: Tenant) -> Tenant:
    """The tenant with tokens for identities, whatever its row says: plain ones are refused in the cloud."""
    return replace(tenant, identity=Identity.TOKEN)


K = TypeVar("K")
V = TypeVar("V")


def _remember(entries: OrderedDict[K, V], key: K, value: V) -> None:
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > MAX_ENTRIES:
        entries.popitem(last=False)
