"""One worker's failure does not stop a batch (domain, section 6).

a b c d e f g h   fails
a b c d ✓         e f g h   fails
                  e f ✓     g h   fails
                            g ✓   h ✗   ── one failure, of h
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

import polars as pl

from coworkai.common.errors import AccountingError, Transient
from coworkai.common.observability import Logger
from coworkai.common.outputs import WorkerFailure

T = TypeVar("T")
_PACKAGE = "coworkai"


def isolate(
    compute: Callable[[Sequence[str]], T], workers: Sequence[str]
) -> tuple[list[T], list[WorkerFailure]]:
    """Results of `compute` over all workers, in as few calls as their failures allow, in order.

    A call that raises is split in halves down to the single worker that fails. AccountingError is raised on,
    as a run whose identity does not hold fails as a whole, and so are transient errors, which are nobody's.
    """
    try:
        return [compute(workers)], []
    except (AccountingError, Transient):
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        if len(workers) <= 1:
            return [], [failure(user, error) for user in workers]
    half = len(workers) // 2
    first, first_failures = isolate(compute, workers[:half])
    second, second_failures = isolate(compute, workers[half:])
    return first + second, first_failures + second_failures


def failure(user_id: str, error: BaseException) -> WorkerFailure:
    """What is recorded of a worker's failure: no values, which may be telemetry."""
    return WorkerFailure(user_id, type(error).__name__, location(error))


def log_failures(log: Logger, day: date, failures: Sequence[WorkerFailure]) -> None:
    """Say how many workers of the day failed, and of the first how and where."""
    first = failures[0]
    log.error(
        "workers failed",
        date=day.isoformat(),
        workers=len(failures),
        error_type=first.error_type,
        location=first.location,
    )


def location(error: BaseException) -> str:
    """Module and line of ours that raised; where none of ours did, the last one."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parts]
    frame = (ours or frames)[-1]
    parts = Path(frame.filename).with_suffix("").parts
    start = len(parts) - 1 - parts[::-1].index(_PACKAGE) if _PACKAGE in parts else len(parts) - 1
    return f"{'.'.join(parts[start:])}:{frame.lineno}"
