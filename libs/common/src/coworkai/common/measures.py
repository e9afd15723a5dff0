"""The KPI catalogue: every measure once, so tables, reports, the API and the marts cannot disagree.

A measure is computed per worker and local day (`kpis.measured_days`) and from those days for groups and weeks
(`kpis.group_rollups`) by its `aggregation`. `docs/kpis.md` is written from here:

python -m coworkai.common.measures docs/kpis.md          write it
python -m coworkai.common.measures --check docs/kpis.md  fail when it differs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType


class Unit(StrEnum):
    SECONDS = "s"
    COUNT = "count"
    SHARE = "share"
    """Of 1."""
    PER_HOUR = "per_hour"
    PER_MINUTE = "per_minute"
    BITS = "bits"
    INDEX = "index"
    """Without a dimension, from 0 to below 1."""
    ATTAINMENT = "attainment"
    """Actual over target; 1 is met, more is exceeded."""


class Aggregation(StrEnum):
    """How worker-days become groups and weeks. Days without a value take no part."""

    SUM = "sum"
    RATIO = "ratio of sums"
    """Sum of the numerator over sum of the denominator, of the days on which the ratio has a value."""
    ACTIVE_WEIGHTED = "mean weighted by active time"
    MEAN = "mean of worker-days"


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the catalogue.

    `null_when` says when a worker-day has no value; a zero always means that nothing of it happened.
    `numerator`, `denominator` and `scale` are set for ratios and name other measures of the catalogue:
    value = scale x numerator / denominator, null when the denominator is 0 or one of them is null.
    """

    name: str
    title: str
    unit: Unit
    formula: str
    null_when: str
    sources: tuple[str, ...]
    aggregation: Aggregation
    numerator: str | None = None
    denominator: str | None = None
    scale: float = 1.0


_BLOCKS = "gold/workblocks"
_SLICES = "gold/atomic_slices"
_KEYS = "silver/keystroke_minutes"
_PAIRS = "silver/manifest_pairs"
_POSTURE = "silver/device_posture"
_ORG = "silver/org_members"
_NO_ACTIVITY = "the day has no telemetry"
_NO_KEYS = "the day has no keystroke minute, or one captured under `off`"
_NO_ACTIVE = "active time is 0 or null"


def _ratio(
    name: str,
    title: str,
    unit: Unit,
    *,
    of: tuple[str, str],
    sources: tuple[str, ...],
    null_when: str,
    scale: float = 1.0,
) -> Measure:
    numerator, denominator = of
    formula = f"`{numerator}` / `{denominator}`" + (f" x {scale:g}" if scale != 1 else "")
    return Measure(
        name, title, unit, formula, null_when, sources, Aggregation.RATIO, numerator, denominator, scale
    )


_MEASURES = (
    Measure(
        "active_s",
        "Active time",
        Unit.SECONDS,
        "sum of the workblocks' active time: the union of their evidence, never more than the clock",
        _NO_ACTIVITY,
        (_BLOCKS,),
        Aggregation.SUM,
    ),
    Measure(
        "idle_s",
        "Idle time",
        Unit.SECONDS,
        "part of active time while the device was locked or had seen no input for 180 s",
        _NO_ACTIVITY,
        (_BLOCKS, _POSTURE),
        Aggregation.SUM,
    ),
    Measure(
        "active_net_s",
        "Active time net of idle",
        Unit.SECONDS,
        "`active_s` - `idle_s`",
        _NO_ACTIVITY,
        (_BLOCKS, _POSTURE),
        Aggregation.SUM,
    ),
    Measure("workblocks", "Workblocks", Unit.COUNT, "workblocks", _NO_ACTIVITY, (_BLOCKS,), Aggregation.SUM),
    Measure(
        "longest_block_s",
        "Longest workblock",
        Unit.SECONDS,
        "longest duration of a workblock, from its start to its end; groups and weeks show the mean, as a "
        "maximum would be one person's number",
        "the day has no workblock",
        (_BLOCKS,),
        Aggregation.MEAN,
    ),
    Measure(
        "focus_blocks",
        "Focus blocks",
        Unit.COUNT,
        "runs of at least 25 min of evidence in apps and domains of focus categories, with no interruption "
        "over 60 s; other apps, gaps and idle stretches interrupt, and their seconds never count",
        _NO_ACTIVITY,
        (_SLICES, _POSTURE),
        Aggregation.SUM,
    ),
    Measure(
        "focus_s",
        "Focus time",
        Unit.SECONDS,
        "evidence inside focus blocks",
        _NO_ACTIVITY,
        (_SLICES, _POSTURE),
        Aggregation.SUM,
    ),
    _ratio(
        "focus_ratio",
        "Focus ratio",
        Unit.SHARE,
        of=("focus_s", "active_s"),
        sources=(_SLICES, _BLOCKS, _POSTURE),
        null_when=_NO_ACTIVE,
    ),
    Measure(
        "context_switches",
        "Context switches",
        Unit.COUNT,
        "changes of context (app, and URL, or title where there is no URL) inside a workblock. A stay is the "
        "evidence in one context until the next; stays under 5 s are passed over and their neighbours "
        "joined when they are of one context; slices of several contexts at once are one stay",
        _NO_ACTIVITY,
        (_SLICES,),
        Aggregation.SUM,
    ),
    _ratio(
        "context_switches_per_hour",
        "Context switches per active hour",
        Unit.PER_HOUR,
        of=("context_switches", "active_s"),
        sources=(_SLICES, _BLOCKS),
        null_when=_NO_ACTIVE,
        scale=3600.0,
    ),
    Measure(
        "median_dwell_s",
        "Median dwell",
        Unit.SECONDS,
        "median length of the stays that `context_switches` counts between",
        "the day has no stay of 5 s or more",
        (_SLICES,),
        Aggregation.ACTIVE_WEIGHTED,
    ),
    Measure(
        "fragmentation",
        "Fragmentation",
        Unit.INDEX,
        "1 - sum of (stay / total)^2 over the stays that `context_switches` counts between; 0 is one stay",
        "the day has no stay of 5 s or more",
        (_SLICES,),
        Aggregation.ACTIVE_WEIGHTED,
    ),
    Measure(
        "tool_entropy",
        "Tool entropy",
        Unit.BITS,
        "-sum p log2 p, p = an app's share of the seconds of all apps; 0 is one app",
        "the day has no slice",
        (_SLICES,),
        Aggregation.ACTIVE_WEIGHTED,
    ),
    Measure(
        "after_hours_s",
        "After-hours time",
        Unit.SECONDS,
        "active time net of idle outside the worker's own schedule, in the worker's own time zone; the "
        "schedule has hours and no weekdays, and may cross midnight; start = end is no schedule",
        f"{_NO_ACTIVITY}, or no schedule is valid on the day",
        (_SLICES, _POSTURE, _ORG),
        Aggregation.SUM,
    ),
    Measure("keys", "Keys", Unit.COUNT, "keys of all classes", _NO_KEYS, (_KEYS,), Aggregation.SUM),
    _ratio(
        "typing_density",
        "Typing density",
        Unit.PER_MINUTE,
        of=("keys", "active_s"),
        sources=(_KEYS, _BLOCKS),
        null_when=f"{_NO_ACTIVE}, or {_NO_KEYS}",
        scale=60.0,
    ),
    Measure(
        "backspaces", "Backspaces", Unit.COUNT, "backspace and delete", _NO_KEYS, (_KEYS,), Aggregation.SUM
    ),
    _ratio(
        "backspace_rate",
        "Backspace rate",
        Unit.SHARE,
        of=("backspaces", "keys"),
        sources=(_KEYS,),
        null_when=f"`keys` is 0, or {_NO_KEYS}",
    ),
    Measure(
        "shortcuts",
        "Shortcuts",
        Unit.COUNT,
        "modifier chords: copy, cut, paste, undo, redo and all others",
        _NO_KEYS,
        (_KEYS,),
        Aggregation.SUM,
    ),
    _ratio(
        "shortcut_share",
        "Shortcut share",
        Unit.SHARE,
        of=("shortcuts", "keys"),
        sources=(_KEYS,),
        null_when=f"`keys` is 0, or {_NO_KEYS}",
    ),
    Measure(
        "copy_pastes",
        "Copies and pastes",
        Unit.COUNT,
        "copy, cut and paste chords; what the mouse copies is not in it",
        _NO_KEYS,
        (_KEYS,),
        Aggregation.SUM,
    ),
    _ratio(
        "copy_paste_per_hour",
        "Copies and pastes per active hour",
        Unit.PER_HOUR,
        of=("copy_pastes", "active_s"),
        sources=(_KEYS, _BLOCKS),
        null_when=f"{_NO_ACTIVE}, or {_NO_KEYS}",
        scale=3600.0,
    ),
    Measure(
        "goals_declared",
        "Goals declared",
        Unit.COUNT,
        "goals of the day's manifest pair",
        "the day has no manifest",
        (_PAIRS,),
        Aggregation.SUM,
    ),
    Measure(
        "goals_done",
        "Goals reported done",
        Unit.COUNT,
        "declared goals that the end-of-day manifest names",
        "the day has no end-of-day manifest",
        (_PAIRS,),
        Aggregation.SUM,
    ),
    Measure(
        "kpi_attainment",
        "KPI attainment",
        Unit.ATTAINMENT,
        "mean of actual / target over the pair's KPIs that have both; not capped",
        "no KPI of the day has an attainment",
        (_PAIRS,),
        Aggregation.MEAN,
    ),
)

CATALOGUE: Mapping[str, Measure] = MappingProxyType({measure.name: measure for measure in _MEASURES})


def markdown(measures: Iterable[Measure]) -> str:
    """The measure reference in `docs/kpis.md`."""
    lines = [
        "# KPIs",
        "",
        "Generated from `coworkai.common.measures`; the rules are in `docs/domain.md` section 4.",
        "",
        "`gold/kpi_daily` has one row per worker, local day and measure; `gold/kpi_group_rollups` has the "
        "same measures for teams, departments and the tenant by day and ISO week, and for workers by week. A "
        "null is a measure without a meaning that day, never a zero, and takes no part in a group or a week. "
        "A worker's days count for the team and department of each day. A day has telemetry when an activity "
        "or a keystroke minute arrived for it.",
        "",
        "| measure | name | unit | formula | null when | groups and weeks | from |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| `{m.name}` | {m.title} | {m.unit} | {m.formula} | {m.null_when} | {m.aggregation} | "
            f"{', '.join(f'`{s}`' for s in m.sources)} |"
            for m in measures
        ),
        "",
        "People are compared with their own past only: `coworkai.common.baselines` gives, when read, the "
        "median of the 28 days before and the distance from it in robust standard deviations "
        "(0.6745 x (value - median) / MAD). No value is ever set against another person's.",
        "",
        "Units: `s` seconds; `count`; `share` of 1; `per_hour` and `per_minute` of active time; `bits`; "
        "`index` from 0 to below 1; `attainment`, where 1 is met.",
        "",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure reference from the KPI catalogue")
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file differs")
    args = parser.parse_args(argv)
    path: Path = args.file
    content = markdown(CATALOGUE.values())
    if path.exists() and path.read_text(encoding="utf-8") == content:
        return 0
    if args.check:
        sys.stderr.write(f"out of date: {path}; run `make docs`\n")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
