"""The lake: where a declared table lives and how it is opened, on a local folder, `gs://` or `s3://`.

Invariant: every table is created with protocol reader 1 / writer 2 and the properties below, whoever is first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from coworkai.common.errors import StorageUnavailable
from coworkai.common.tables import Table

CHECKPOINT_INTERVAL = 10


def table_properties(table: Table) -> dict[str, str | None]:
    """Delta table properties: struct statistics for BigQuery and Spark, none of free text or persons."""
    return {
        "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
        "delta.checkpoint.writeStatsAsStruct": "true",
        "delta.dataSkippingStatsColumns": ",".join(table.stats_columns),
    }


@dataclass(frozen=True)
class Lake:
    """Root of a lake: a folder path, `file://`, `gs://bucket/prefix` or `s3://bucket/prefix`.

    `storage_options` go to the object store as they are (credentials, endpoint, timeouts).
    """

    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def uri(self, table: Table, tenant_id: str | None = None) -> str:
        """Address of the table; `tenant_id` for every layer but Bronze."""
        return f"{self.root.rstrip('/')}/{table.path(tenant_id)}"

    @property
    def is_local(self) -> bool:
        return urlparse(self.root).scheme in {"", "file"}

    def open(self, table: Table, tenant_id: str | None = None, *, version: int | None = None) -> DeltaTable:
        """The table as it is now, or at `version`, created empty when it does not exist yet.

        Raises StorageUnavailable when the store does not answer.
        """
        uri = self.uri(table, tenant_id)
        try:
            return DeltaTable(uri, version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError:
            return self._create(table, uri)
        except (DeltaError, OSError) as error:
            raise StorageUnavailable(f"{table.id} could not be opened ({type(error).__name__})") from error

    def exists(self, table: Table, tenant_id: str | None = None) -> bool:
        try:
            return DeltaTable.is_deltatable(self.uri(table, tenant_id), dict(self.storage_options))
        except (DeltaError, OSError) as error:
            raise StorageUnavailable(f"{table.id} could not be looked up ({type(error).__name__})") from error

    def _create(self, table: Table, uri: str) -> DeltaTable:
        if self.is_local:
            Path(urlparse(uri).path).mkdir(parents=True, exist_ok=True)
        try:
            # Two creators at once: the loser of version 0 is handed the winner's table.
            DeltaTable.create(
                uri,
                schema=table.arrow_schema,
                mode="ignore",
                partition_by=list(table.partition_by),
                name=table.id.replace("/", "_"),
                description=table.description,
                configuration=table_properties(table),
                storage_options=dict(self.storage_options),
            )
            return DeltaTable(uri, storage_options=dict(self.storage_options))
        except (DeltaError, OSError) as error:
            raise StorageUnavailable(f"{table.id} could not be created ({type(error).__name__})") from error
