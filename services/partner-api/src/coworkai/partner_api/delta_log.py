"""Commits of a Delta table, from its log: which files they added and removed.

A commit that only puts rows into other files (compaction) says so of every file: `data_change` is false.
"""

from __future__ import annotations

import msgspec

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.tables import Table


class Added(msgspec.Struct, frozen=True, rename="camel"):
    """A file that a commit added. `path` is escaped, as logs have it; times are Unix milliseconds."""

    path: str
    size: int
    modification_time: int
    data_change: bool
    partition_values: dict[str, str | None]
    stats: str | None = None


class Removed(msgspec.Struct, frozen=True, rename="camel"):
    """A file that a commit removed, likewise."""

    path: str
    data_change: bool
    partition_values: dict[str, str | None]
    size: int
    deletion_timestamp: int = 0


class Action(msgspec.Struct, frozen=True):
    """A line of a commit; neither for what is about no file."""

    add: Added | None = None
    remove: Removed | None = None


def commit(store: ArtifactStore, table: Table, tenant_id: str, version: int) -> tuple[Action, ...]:
    """What the commit that made the version did to files, in order.

    Raises NotFound when the log has been cleaned up, StorageUnavailable.
    """
    lines = store.get(f"{table.path(tenant_id)}/_delta_log/{version:020d}.json").splitlines()
    return tuple(msgspec.json.decode(line, type=Action) for line in lines if line)
