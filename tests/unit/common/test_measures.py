"""The catalogue and the document made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coworkai.common.measures import CATALOGUE, Aggregation, Unit, main
from coworkai.common.tables import TABLES

DOCUMENT = Path(__file__).parents[3] / "docs" / "kpis.md"


def test_the_document_is_up_to_date() -> None:
    assert main(["--check", str(DOCUMENT)]) == 0


def test_a_stale_document_fails_the_check_and_is_written_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "docs" / "kpis.md"
    assert main(["--check", str(path)]) == 1
    assert not path.exists()
    assert "out of date" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert path.read_bytes() == DOCUMENT.read_bytes()


def test_every_measure_comes_from_declared_tables() -> None:
    assert {source for measure in CATALOGUE.values() for source in measure.sources} <= set(TABLES)


def test_every_ratio_names_measures_of_the_catalogue() -> None:
    for measure in CATALOGUE.values():
        parts = {measure.numerator, measure.denominator}
        assert parts == {None} if measure.aggregation is not Aggregation.RATIO else parts <= set(CATALOGUE)


def test_counts_and_times_are_the_only_sums() -> None:
    summed = {m.unit for m in CATALOGUE.values() if m.aggregation is Aggregation.SUM}
    assert summed == {Unit.SECONDS, Unit.COUNT}
