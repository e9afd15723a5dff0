"""What is in a lake, from the tables' logs alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from coworkai.common.control import Control, Stage
from coworkai.common.lake import Lake, stats
from coworkai.common.published import published
from coworkai.common.tables import OPS_RUNS, TABLES, Layer, Table


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A table as it is now; `tenant_id` is None for Bronze, which all tenants share."""

    layer: str
    table: str
    tenant_id: str | None
    rows: int
    files: int
    size_bytes: int
    version: int


def inventory(lake: Lake, control_url: str, tenant_id: str | None = None) -> list[TableEntry]:
    """Every table that exists, by layer, for one tenant or all. Raises StorageUnavailable."""
    control = Control(control_url)
    try:
        control.migrate()
        tenants = [tenant_id] if tenant_id is not None else [each.tenant_id for each in control.tenants()]
    finally:
        control.close()
    return [
        _entry(lake, table, owner)
        for table in TABLES.values()
        for owner in ([None] if table.layer is Layer.BRONZE else tenants)
        if lake.exists(table, owner)
    ]


def has_days(lake: Lake, tenant_id: str, first: date, last: date) -> bool:
    """Whether a day from `first` to `last` has ever been computed: without input none is.

    Raises StorageUnavailable.
    """
    if not lake.exists(OPS_RUNS, tenant_id):
        return False
    days = published(lake.open(OPS_RUNS, tenant_id), Stage.SILVER).run_ids
    return any(first <= day <= last for day in days)


def _entry(lake: Lake, table: Table, tenant_id: str | None) -> TableEntry:
    size = stats(lake.open(table, tenant_id), table)
    return TableEntry(
        table.layer.value, table.id, tenant_id, size.rows, size.files, size.size_bytes, size.version
    )
