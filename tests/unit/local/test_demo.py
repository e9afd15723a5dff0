"""What the demo proposes at its end."""

from __future__ import annotations

import polars as pl
from tests.factories import at

from coworkai.local.demo import first_block


def test_the_block_to_trace_is_the_first_of_the_day() -> None:
    blocks = pl.DataFrame(
        {"workblock_id": ["wb:b:U:01", "wb:a:U:00"], "started_at": [at("11:00"), at("09:00")]}
    )
    assert first_block(blocks) == "wb:a:U:00"
    assert first_block(blocks.clear()) is None
