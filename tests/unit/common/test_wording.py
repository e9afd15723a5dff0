"""Numbers in sentences."""

from __future__ import annotations

import pytest

from coworkai.common.wording import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (12_000, "12,000 days")]
)
def test_one_is_singular_and_thousands_are_set_apart(number: int, words: str) -> None:
    assert counted(number, "day") == words
