"""Commands as a person gives them, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coworkai.common.errors import CoworkError
from coworkai.local.cli import app

RUNNER = CliRunner()


def run(*arguments: str | Path) -> str:
    """What a command that succeeds prints as its result."""
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*arguments: str | Path) -> CoworkError:
    """The error that ends a command."""
    with pytest.raises(CoworkError) as raised:
        RUNNER.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return raised.value
