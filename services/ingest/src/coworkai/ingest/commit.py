"""A group of batches of one source, tokenised and appended; a verdict for every record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from coworkai.common import observability
from coworkai.common.errors import StorageUnavailable
from coworkai.common.events import Source
from coworkai.common.outcome import Outcome
from coworkai.common.tables import BRONZE_BY_SOURCE
from coworkai.ingest import metrics
from coworkai.ingest.bronze import Appended, AppendOnce
from coworkai.ingest.seen import Verdict, Verdicts
from coworkai.ingest.tokenise import Pending, encode

Committed = Callable[[str, Appended], None]
"""Told after a commit: table id, and what was appended."""

ALL_FRESH: Verdicts = np.zeros(0, dtype=np.int8)
"""Instead of verdicts that are all FRESH."""

log = observability.get_logger(__name__)


class SourceCommit:
    """The commit function of a source's group commit."""

    def __init__(self, source: Source, writer: AppendOnce, committed: Committed) -> None:
        self._source = source
        self._writer = writer
        self._table_id = BRONZE_BY_SOURCE[source].id
        self._committed = committed

    def __call__(self, items: Sequence[Pending]) -> list[Verdicts]:
        """Verdicts of each item's records, in order; ALL_FRESH itself where all of them are fresh.

        Records that make the whole group fail are found by bisection and get REFUSED, the others their place
        in Bronze. Raises StorageUnavailable.
        """
        context = observability.extract(items[0].attributes)
        started = time.perf_counter()
        with observability.tracer().start_as_current_span("bronze.commit", context=context):
            verdicts = self._append(items)
        metrics.commit_took(self._source, time.perf_counter() - started)
        return verdicts

    def _append(self, items: Sequence[Pending]) -> list[Verdicts]:
        carrier: dict[str, str] = {}
        observability.inject(carrier)
        try:
            appended = self._writer.append(encode(self._source, items), carrier.get("traceparent"))
        except StorageUnavailable:
            raise
        except Exception as error:
            log.warning("group refused", source=self._source.value, error_type=type(error).__name__)
            return self._bisect(items)
        if appended.version is not None:
            fresh = int((appended.verdicts == Verdict.FRESH).sum())
            metrics.count(self._source, Outcome.ACCEPTED, fresh)
            self._committed(self._table_id, appended)
        if not appended.verdicts.any():
            return [ALL_FRESH] * len(items)
        ends = np.cumsum([len(item.batch.records) for item in items])[:-1]
        return np.split(appended.verdicts, ends)

    def _bisect(self, items: Sequence[Pending]) -> list[Verdicts]:
        if len(items) > 1:
            middle = len(items) // 2
            return self._append(items[:middle]) + self._append(items[middle:])
        (item,) = items
        count = len(item.batch.records)
        if count == 1:
            return [np.array([Verdict.REFUSED], dtype=np.int8)]
        middle = count // 2
        return [np.concatenate([self._all(half) for half in (item.cut(0, middle), item.cut(middle, count))])]

    def _all(self, item: Pending) -> Verdicts:
        (verdicts,) = self._append([item])
        return np.zeros(len(item.batch.records), dtype=np.int8) if verdicts is ALL_FRESH else verdicts
