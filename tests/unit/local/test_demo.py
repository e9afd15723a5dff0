"""What the demo proposes at its end."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from tests.factories import at

from coworkai.local.demo import activation, api_calls, first_block


def test_the_block_to_trace_is_the_first_of_the_day() -> None:
    blocks = pl.DataFrame(
        {"workblock_id": ["wb:b:U:01", "wb:a:U:00"], "started_at": [at("11:00"), at("09:00")]}
    )
    assert first_block(blocks) == "wb:a:U:00"
    assert first_block(blocks.clear()) is None


def test_the_calls_of_the_api_are_of_the_day_that_was_shown() -> None:
    up, key, curl = api_calls("'my demo'", "demo", "user_1", date(2026, 11, 5))
    assert "coworkai up --data 'my demo'" in up
    assert "coworkai keys create demo --reach individual --data 'my demo'" in key
    assert '"http://127.0.0.1:8084/v1/workers/user_1/brief?date=2026-11-05"' in curl


def test_who_does_not_have_the_commands_at_hand_is_told_how_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    assert activation("", commands) == f"First, in each terminal: . {commands}/activate"
    monkeypatch.chdir(tmp_path)
    assert activation("", commands) == "First, in each terminal: . .venv/bin/activate"
    (commands / "coworkai").touch(mode=0o755)
    assert activation(f"/nowhere:{commands}", commands) is None
