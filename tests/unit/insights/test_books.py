"""The hand-made books are what computed ones are: ids that parse, all fields of their kind, in its units."""

from __future__ import annotations

import pytest
from tests.unit.insights.books import every_book

from coworkai.common.fact_ids import fact_name
from coworkai.insights.facts import FIELDS, FactBook


@pytest.mark.parametrize("book", every_book().values(), ids=every_book().keys())
def test_every_fact_has_an_id_that_parses_and_the_fields_of_its_kind(book: FactBook) -> None:
    for identifier, fact in book.facts.items():
        assert fact.fact_id == identifier
        assert fact_name(identifier).kind is fact.kind
        assert list(fact.fields) == list(FIELDS[fact.kind])
        assert fact["date"] == fact.date
