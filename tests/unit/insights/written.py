"""What every brief must be, whoever wrote it."""

from __future__ import annotations

from collections.abc import Sequence

from coworkai.insights.brief import Draft, Origin, Stated, Statement
from coworkai.insights.facts import FactBook
from coworkai.insights.grounding import violations
from coworkai.insights.render import render
from coworkai.insights.write import Written


def stated_in(written: Written) -> list[Stated]:
    """Every statement, in reading order."""
    sections = written.sections
    pairs = [one for pair in sections.insights for one in (pair.insight, pair.recommendation)]
    return [
        sections.headline,
        *sections.momentum,
        *sections.blockers,
        *sections.next_steps,
        *pairs,
        *sections.data_quality,
    ]


def assert_right(written: Written, book: FactBook, deterministic: Draft, offered: Sequence[str]) -> None:
    """Complete, grounded, written out from facts, without repeats, and counted."""
    statements = stated_in(written)
    for one in statements:
        plain = Statement(text_template=one.text_template, claims=one.claims, kind=one.kind)
        assert one.text == render(plain, book)
        assert violations(plain, book, offered) == []
    texts = [one.text.casefold() for one in statements]
    assert len(set(texts)) == len(texts)
    origins = [one.origin for one in statements]
    counts = written.grounding
    assert origins.count(Origin.ACCEPTED) == counts.accepted
    assert origins.count(Origin.REPAIRED) == counts.repaired
    assert origins.count(Origin.REPLACED) <= counts.replaced
    if counts.fallback_reason is not None:
        assert written.writer == "deterministic"
        assert set(origins) == {Origin.DETERMINISTIC}
    for section in ("momentum", "blockers", "next_steps", "insights", "data_quality"):
        assert getattr(written.sections, section) or not getattr(deterministic, section)
