"""What the terminal shows of a fact's lineage: its row, how it is computed, a recount, runs, events."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl
from rich.console import Console
from rich.text import Text

from coworkai.common.wording import counted

if TYPE_CHECKING:
    from coworkai.runner.lineage import Lineage

FACTS_SHOWN = 12
EVENTS_SHOWN = 10
VALUE_MAX_CHARS = 120
_NOT_SHOWN = frozenset({"tenant_id", "run_id"})


def show_trace(console: Console, traced: Lineage, next_step: str, *, everything: bool = False) -> None:
    """Print the lineage. Text that came with telemetry is cut, and nothing in it is read as markup.

    `next_step`: what follows a fact's id in the command that traces it, for facts that only others lead on
    from. Without `everything` long lists are counted and cut.
    """
    origin = traced.origin

    def line(label: str, content: str) -> None:
        console.print(Text.assemble((f"{label:<9}", "bold"), content), soft_wrap=True)

    line("fact", traced.fact_id)
    line("row", f"{origin.source}: {_values(origin.row)}")
    if origin.formula is not None:
        line("is", origin.formula)
    if origin.recount:
        line("recount", "; ".join(_recounted(origin.row, origin.recount)))
    for step in traced.steps:
        read = ", ".join(f"{table}@{version}" for table, version in sorted(step.input_versions.items()))
        line("run", f"{step.stage.value} {step.run_id} read {read}")
    if origin.facts:
        shown = origin.facts if everything else origin.facts[:FACTS_SHOWN]
        line("made of", f"{counted(len(origin.facts), 'fact')}: {_listed(shown, len(origin.facts))}")
    if traced.events.is_empty():
        if origin.facts:
            line("next", f"coworkai lineage {shlex.quote(origin.facts[0])} {next_step}")
        return
    rows = [
        f"{origin.pieces.height} pieces of the timeline, {origin.keystrokes.height} keystroke minutes",
        *(f"{frame.height} of {table_id}" for table_id, frame in origin.others.items()),
    ]
    line("silver", ", ".join(rows))
    for table, version, file, ids in _files(traced.events):
        shown_ids = ids if everything else ids[:EVENTS_SHOWN]
        line("events", f"{len(ids)} of {table}@{version} in {file}: {_listed(shown_ids, len(ids))}")
    if not everything and traced.events.height > EVENTS_SHOWN:
        line("", "--all lists every id, --json everything for machines")


def _recounted(row: Mapping[str, object], recount: Mapping[str, object]) -> Iterator[str]:
    """The recounted values by what is stored of them. A row that lacks a value says nothing of it."""
    told: dict[str, dict[str, object]] = {}
    for name, value in recount.items():
        stored = "as stored" if name in row and row[name] == value else "not what is stored"
        told.setdefault(stored if name in row else "counted now; not stored", {})[name] = value
    for verdict, values in told.items():
        yield f"{_values(values)}: {verdict}"


def _values(row: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in row.items() if name not in _NOT_SHOWN)


def _shown(value: object) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(value))
    return text if len(text) <= VALUE_MAX_CHARS else f"{text[: VALUE_MAX_CHARS - 1]}…"


def _listed(shown: Sequence[str], of: int) -> str:
    rest = of - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _files(events: pl.DataFrame) -> Iterator[tuple[str, int, str, list[str]]]:
    """Table, version, file and event ids, a file at a time, in the order in which they were found."""
    keys = ("table", "version", "event_date", "file")
    grouped = events.group_by(keys, maintain_order=True).agg("event_id")
    for table, version, on, file, ids in grouped.select(*keys, "event_id").iter_rows():
        yield table, version, f"event_date={on}/{file.rpartition('/')[2]}", ids
