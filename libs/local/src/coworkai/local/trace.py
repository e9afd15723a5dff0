"""What the terminal shows of a fact's lineage: its row, how it is computed, a recount, runs, events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from coworkai.runner.lineage import Lineage

FACTS_SHOWN = 12
VALUE_MAX_CHARS = 120
_NOT_SHOWN = frozenset({"tenant_id", "run_id"})


def trace_json(traced: Lineage) -> dict[str, object]:
    """The lineage as an object for machines."""
    origin = traced.origin
    return {
        "fact_id": traced.fact_id,
        "source": origin.source,
        "row": origin.row,
        "formula": origin.formula,
        "recount": origin.recount,
        "facts": origin.facts,
        "runs": traced.steps,
        "pieces": origin.pieces.to_dicts(),
        "keystroke_minutes": origin.keystrokes.to_dicts(),
        "silver": {table_id: frame.to_dicts() for table_id, frame in origin.others.items()},
        "events": traced.events.to_dicts(),
    }


def show_trace(console: Console, traced: Lineage) -> None:
    """Print the lineage. Text that came with telemetry is cut, and nothing in it is read as markup."""
    origin = traced.origin

    def line(label: str, content: str) -> None:
        console.print(Text.assemble((f"{label:<9}", "bold"), content), soft_wrap=True)

    line("fact", traced.fact_id)
    line("row", f"{origin.source}: {_values(origin.row)}")
    if origin.formula is not None:
        line("is", origin.formula)
    if origin.recount:
        same = all(origin.row.get(name, value) == value for name, value in origin.recount.items())
        told = "as stored" if same else "not what is stored"
        line("recount", f"{_values(origin.recount)}: {told}")
    for step in traced.steps:
        read = ", ".join(f"{table}@{version}" for table, version in sorted(step.input_versions.items()))
        line("run", f"{step.stage.value} {step.run_id} read {read}")
    if origin.facts:
        more = len(origin.facts) - FACTS_SHOWN
        rest = f" and {more} more" if more > 0 else ""
        line("made of", f"{len(origin.facts)} facts: {', '.join(origin.facts[:FACTS_SHOWN])}{rest}")
    if traced.events.is_empty():
        return
    rows = [
        f"{origin.pieces.height} pieces of the timeline, {origin.keystrokes.height} keystroke minutes",
        *(f"{frame.height} of {table_id}" for table_id, frame in origin.others.items()),
    ]
    line("silver", ", ".join(rows))
    console.print(_events(traced))


def _values(row: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in row.items() if name not in _NOT_SHOWN)


def _shown(value: object) -> str:
    text = "".join(character if character.isprintable() else " " for character in str(value))
    return text if len(text) <= VALUE_MAX_CHARS else f"{text[: VALUE_MAX_CHARS - 1]}…"


def _events(traced: Lineage) -> Table:
    table = Table(
        Column("event", no_wrap=True), "table", "version", Column("file", overflow="fold"), box=None
    )
    for event in traced.events.iter_rows(named=True):
        table.add_row(
            event["event_id"],
            event["table"],
            str(event["version"]),
            f"event_date={event['event_date']}/{event['file'].rpartition('/')[2]}",
        )
    return table
