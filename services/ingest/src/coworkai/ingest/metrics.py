"""What ingest counts and times; served by `/metrics`, and sent by OTLP where that is set up."""

from __future__ import annotations

from coworkai.common.events import Source
from coworkai.common.observability import meter
from coworkai.common.outcome import Outcome, Reason

_RECORDS = meter().create_counter(
    "coworkai.ingest.records", unit="1", description="records by source, outcome and reason"
)
_COMMITS = meter().create_histogram(
    "coworkai.ingest.commit.duration", unit="s", description="group commits, tokenising included, by source"
)


def count(source: Source | None, outcome: Outcome, records: int, reason: Reason | None = None) -> None:
    """Count records that came to an outcome; accepted ones when they are committed."""
    attributes = {"source": "unknown" if source is None else source.value, "outcome": outcome.value}
    if reason is not None:
        attributes["reason"] = reason.value
    _RECORDS.add(records, attributes)


def commit_took(source: Source, seconds: float) -> None:
    _COMMITS.record(seconds, {"source": source.value})
