"""What changed in Bronze, from the Bronze logs alone.

Invariant: a table's cursor moves in the transaction that marks what it stands for, so a commit is marked
dirty once at least, whoever tails, however often, and whatever message about it is lost.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from coworkai.common.control import Control
from coworkai.common.errors import StorageUnavailable
from coworkai.common.lake import Lake, changes
from coworkai.common.observability import get_logger
from coworkai.common.tables import Table
from coworkai.runner.bronze import INPUTS

log = get_logger(__name__)


@dataclass(frozen=True)
class Dispatcher:
    """Tails the Bronze logs. Safe to share between threads; one tails at a time."""

    lake: Lake
    control: Control
    _held: dict[str, DeltaTable] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def mark(self) -> frozenset[str]:
        """Mark dirty what commits since the last look have touched; the tenants that got rows.

        Raises StorageUnavailable.
        """
        with self._lock:
            return frozenset().union(*(self._tail(table) for table in INPUTS))

    def _tail(self, table: Table) -> frozenset[str]:
        delta = self._refreshed(table)
        seen = self.control.cursor(table.id)
        if seen == delta.version():
            return frozenset()
        found = changes(delta, table, seen)
        if not self.control.advance(table.id, seen=seen, version=found.version, touched=found.touched):
            log.debug("another dispatcher was faster", table=table.id)
        return frozenset(found.touched)

    def _refreshed(self, table: Table) -> DeltaTable:
        held = self._held.get(table.id)
        if held is None:
            held = self._held[table.id] = self.lake.open(table)
            return held
        try:
            held.update_incremental()
        except (DeltaError, OSError) as error:
            # Logs may be cleaned up between two looks: the next one opens the table anew.
            del self._held[table.id]
            raise StorageUnavailable(f"{table.id} could not be refreshed ({type(error).__name__})") from None
        return held
