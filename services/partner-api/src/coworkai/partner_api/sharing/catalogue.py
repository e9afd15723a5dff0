"""What is shared with whom: one share, one schema, and the Gold tables that the caller's reach allows.

coworkai.gold.<table>      individual reach: every Gold table;  aggregate reach: the published lattice alone
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from coworkai.common.tables import Layer, Table, of_layer
from coworkai.partner_api.principal import Reach

SHARE = "coworkai"
SCHEMA = Layer.GOLD.value
LATTICE = "gold/kpi_lattice"
"""Id of the one table that aggregate reach sees."""
_IDS = uuid.UUID("6f0e2a52-5d0b-4c37-9d0b-0f6a3a1f7f0e")


def tables(reach: Reach) -> Mapping[str, Table]:
    """The tables that the reach allows, by name, in order."""
    return {
        table.name: table
        for table in sorted(of_layer(Layer.GOLD), key=lambda table: table.name)
        if reach is Reach.INDIVIDUAL or table.id == LATTICE
    }


def share_id(tenant_id: str) -> str:
    """Id of the tenant's share, always the same."""
    return str(uuid.uuid5(_IDS, tenant_id))


def table_id(tenant_id: str, table: Table) -> str:
    """Id of the table in the tenant's share, always the same."""
    return str(uuid.uuid5(_IDS, f"{tenant_id}/{table.id}"))


def share_item(tenant_id: str) -> dict[str, str]:
    return {"name": SHARE, "id": share_id(tenant_id)}


def schema_item() -> dict[str, str]:
    return {"name": SCHEMA, "share": SHARE}


def table_item(tenant_id: str, table: Table) -> dict[str, str]:
    return {
        "name": table.name,
        "schema": SCHEMA,
        "share": SHARE,
        "shareId": share_id(tenant_id),
        "id": table_id(tenant_id, table),
    }
