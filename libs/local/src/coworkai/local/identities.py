"""Under which identifier the lake keeps a worker."""

from __future__ import annotations

import shlex
from pathlib import Path

from coworkai.common.control import Control, Identity, Tenant
from coworkai.common.errors import NotFound
from coworkai.common.pii import Kind, tenant_keys, token
from coworkai.common.settings import CommonSettings


def stored_user_id(settings: CommonSettings, tenant_id: str, user_id: str) -> str:
    """The identifier under which the lake keeps a worker. Raises NotFound for an unknown tenant."""
    tenant = known_tenant(settings, tenant_id)
    if tenant.identity is Identity.PLAIN:
        return user_id
    keys = tenant_keys(settings.master_key_bytes(), tenant_id, tenant.key_salt)
    return token(keys, Kind.USER, user_id)


def known_tenant(settings: CommonSettings, tenant_id: str) -> Tenant:
    """The tenant's policy. Raises NotFound for an unknown tenant."""
    control = Control(settings.control_url)
    try:
        control.migrate()
        tenant = control.tenant(tenant_id)
    finally:
        control.close()
    if tenant is None:
        raise no_tenant(tenant_id, settings.data_dir)
    return tenant


def no_tenant(tenant_id: str, data_dir: Path) -> NotFound:
    """The error of an unknown tenant, with the commands that list and make one."""
    data = shlex.quote(str(data_dir))
    return NotFound(
        f"no tenant {tenant_id}",
        remedy=f"coworkai tenant list --data {data} names them; "
        f"coworkai tenant set {tenant_id} --data {data} makes it",
    )
