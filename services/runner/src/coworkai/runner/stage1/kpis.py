"""The measures of the KPI catalogue: per worker and day, and per group and week.

Everything is computed for many worker-days at once on integer microseconds; values become seconds at the end,
so sums do not depend on the order of rows. Rules: `docs/domain.md` section 4; formulas: `docs/kpis.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from coworkai.common.aggregation import aggregate, contributors, quotient, units
from coworkai.common.measures import CATALOGUE, Measure
from coworkai.common.tables import GOLD_FOCUS_BLOCKS, GOLD_KPI_DAILY, GOLD_KPI_GROUPS, TIMESTAMP
from coworkai.runner.silver.schedules import scheduled_windows
from coworkai.runner.stage1.focus import is_focus
from coworkai.runner.stage1.org_context import KEYS, with_org

_SECOND_US = 1_000_000
_WHOLE = 1_000_000_000_000
"""Density of a slice whose evidence fills its span; so fine that a whole slice loses no microsecond to it."""
_DIGITS = 9
"""Decimals kept of a value: more than any source has, fewer than the order of a float sum can change."""
_ALWAYS_COUNTED = (
    "active_s",
    "idle_s",
    "active_net_s",
    "workblocks",
    "focus_blocks",
    "focus_s",
    "context_switches",
)
"""Zero on a day with telemetry where nothing of it happened."""


@dataclass(frozen=True, slots=True)
class KpiRules:
    """Numbers of the measures. Every one is a named setting with its default."""

    focus_block_min_s: float = 1500.0
    """A run in focus categories with less evidence is no focus block."""
    focus_interruption_max_s: float = 60.0
    """A longer interruption ends a run."""
    stay_min_s: float = 5.0
    """A shorter stay in a context is passed over: the debounce of context switches."""


DEFAULT_RULES = KpiRules()


@dataclass(frozen=True, slots=True)
class KpiInputs:
    """Frames of the same worker-days, with the columns of their tables (`run_id` may be missing).

    `idle` has tenant_id, date, user_id, started_at, ended_at (UTC), disjoint within a worker-day;
    `org_members` is the tenant's whole history.
    """

    workblocks: pl.DataFrame
    atomic_slices: pl.DataFrame
    day_accounting: pl.DataFrame
    keystroke_minutes: pl.DataFrame
    manifest_pairs: pl.DataFrame
    idle: pl.DataFrame
    org_members: pl.DataFrame


@dataclass(frozen=True, slots=True)
class MeasuredDays:
    """`kpi_daily` and `focus_blocks` have the columns of their tables without run_id."""

    kpi_daily: pl.DataFrame
    focus_blocks: pl.DataFrame


# ------------------------------------------------------------------------------------------ worker and day
def measured_days(
    inputs: KpiInputs, focus: pl.DataFrame, *, tenant_zone: str = "UTC", rules: KpiRules = DEFAULT_RULES
) -> MeasuredDays:
    """Every measure of the catalogue for every worker-day that has telemetry or a manifest.

    `kpi_daily` is sorted by tenant_id, date, user_id, measure: one row a worker-day and measure, value null
    as the catalogue says. `focus_blocks`, by tenant_id, date, user_id, started_at, are what the measures
    focus_blocks and focus_s count and sum. `focus` is a table of `focus.parse_focus_table`; `tenant_zone`
    (IANA) stands in where the organisation names no zone.
    """
    days = _worker_days(inputs)
    slices = _slices(inputs.atomic_slices, days, focus)
    schedule = _schedule(days, inputs.org_members, tenant_zone)
    segments = _segments(slices, _of_days(inputs.idle, days), schedule)
    focus_runs = _focus_runs(segments, slices, rules)
    scheduled = schedule.select("day", has_schedule=pl.lit(value=True)).unique()
    wide = days.select("day", *KEYS, "has_telemetry")
    for part in (
        scheduled,
        _block_measures(_of_days(inputs.workblocks, days)),
        _focus_measures(focus_runs),
        _stay_measures(slices, rules),
        _tool_entropy(slices),
        _after_hours(segments),
        _key_measures(_of_days(inputs.keystroke_minutes, days)),
        _manifest_measures(_of_days(inputs.manifest_pairs, days)),
    ):
        wide = wide.join(part, on="day", how="left", maintain_order="left")
    # A joined slice cut in two rounds twice: no part may exceed the whole for it.
    zeroed = (
        wide.with_columns(
            pl.when("has_telemetry").then(pl.col(name).fill_null(0)) for name in _ALWAYS_COUNTED
        )
        .with_columns(
            pl.when(pl.col("has_telemetry") & pl.col("has_schedule")).then(
                pl.col("after_hours_s").fill_null(0)
            )
        )
        .with_columns(
            pl.when(pl.col(name).is_not_null()).then(pl.min_horizontal(name, "active_s")).alias(name)
            for name in ("focus_s", "after_hours_s")
        )
    )
    return MeasuredDays(
        _long(zeroed.with_columns(_ratio(measure) for measure in CATALOGUE.values() if measure.denominator)),
        _focus_blocks(focus_runs, days),
    )


def _worker_days(inputs: KpiInputs) -> pl.DataFrame:
    """day (number of the worker-day), tenant_id, date, user_id, has_telemetry."""
    telemetry = pl.concat(
        frame.select(KEYS) for frame in (inputs.day_accounting, inputs.workblocks, inputs.keystroke_minutes)
    )
    declared = inputs.manifest_pairs.select(KEYS)
    return (
        pl.concat(
            [
                telemetry.unique().with_columns(has_telemetry=pl.lit(value=True)),
                declared.with_columns(has_telemetry=pl.lit(value=False)),
            ]
        )
        .group_by(KEYS)
        .agg(pl.col("has_telemetry").any())
        .sort(KEYS)
        .with_row_index("day")
    )


def _of_days(frame: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    return frame.join(days.select(*KEYS, "day"), on=KEYS, how="inner").drop(KEYS)


def _us(seconds: str) -> pl.Expr:
    return (pl.col(seconds) * _SECOND_US).round().cast(pl.Int64)


def _slices(atomic_slices: pl.DataFrame, days: pl.DataFrame, focus: pl.DataFrame) -> pl.DataFrame:
    """Slices in the order of their day: since and until (µs), duration_us, evidence_us, density, in_focus.

    Slices of several contexts at once share the clock, so each brings only what those before it left
    uncovered: `evidence_us`. A slice joined over pauses has less evidence than span: `density`.
    """
    covered_until = pl.col("until").cum_max().shift(1).over("day")
    fresh_us = (pl.col("until") - pl.max_horizontal("since", covered_until)).clip(0)
    ordered = (
        _of_days(atomic_slices, days)
        .select(
            "day",
            "workblock_id",
            "sequence",
            "app",
            "url",
            "title",
            "multitasking",
            since=pl.col("started_at").to_physical(),
            until=pl.col("ended_at").to_physical(),
            duration_us=_us("duration_s"),
        )
        .sort("day", "since", "until", "workblock_id", "sequence")
    )
    span_us = pl.col("until") - pl.col("since")
    return ordered.with_columns(
        in_focus=is_focus(ordered, focus),
        evidence_us=pl.when("multitasking").then(fresh_us).otherwise("duration_us"),
        density=(pl.col("duration_us") / span_us * _WHOLE).round().cast(pl.Int64),
    )


def _schedule(days: pl.DataFrame, org_members: pl.DataFrame, tenant_zone: str) -> pl.DataFrame:
    """Scheduled hours of the day: day, since, until (µs, UTC), disjoint; none where no schedule is known."""
    windows = scheduled_windows(days.select("day", *KEYS), org_members, tenant_zone)
    return pl.concat(
        windows.select("day", since=pl.col(since).to_physical(), until=pl.col(until).to_physical())
        for since, until in (("first_from", "first_to"), ("second_from", "second_to"))
    ).filter(pl.col("since") < pl.col("until"))


def _segments(slices: pl.DataFrame, idle: pl.DataFrame, schedule: pl.DataFrame) -> pl.DataFrame:
    """The clock of each day cut wherever a slice, an idle stretch or the schedule begins or ends.

    Returns day, since, until (µs), evidence_us, focus_us, away, on_schedule for stretches that hold evidence,
    disjoint and in order. One sweep serves all days, as whatever opens in a day closes in it:

        slices     ├────────┤├───────┤
        idle            ├────────┤
        segments   ├────┼───┼┼───┼───┤
    """

    def edges(
        frame: pl.DataFrame, since: pl.Expr, until: pl.Expr, **opened: pl.Expr
    ) -> Iterator[pl.DataFrame]:
        counters = ("density", "focus_density", "away", "on_schedule")
        step = {name: opened.get(name, pl.lit(0)).cast(pl.Int64) for name in counters}
        yield frame.select("day", at=since, **step)
        yield frame.select("day", at=until, **{name: -expr for name, expr in step.items()})

    begins, ends, one = pl.col("since"), pl.col("until"), pl.lit(1)
    focus_density = pl.when("in_focus").then("density").otherwise(0)
    length_us = pl.col("until") - pl.col("since")

    def share_us(density: str) -> pl.Expr:
        return (pl.col(density).clip(0, _WHOLE) / _WHOLE * length_us).round().cast(pl.Int64)

    return (
        pl.concat(
            [
                *edges(slices, begins, ends, density=pl.col("density"), focus_density=focus_density),
                *edges(
                    idle,
                    pl.col("started_at").to_physical(),
                    pl.col("ended_at").to_physical(),
                    away=one,
                ),
                *edges(schedule, begins, ends, on_schedule=one),
            ]
        )
        .sort("day", "at")
        .select(
            "day",
            since="at",
            until=pl.col("at").shift(-1),
            density=pl.col("density").cum_sum(),
            focus_density=pl.col("focus_density").cum_sum(),
            away=pl.col("away").cum_sum() > 0,
            on_schedule=pl.col("on_schedule").cum_sum() > 0,
        )
        .filter((pl.col("density") > 0) & (length_us > 0))
        .select(
            "day",
            "since",
            "until",
            "away",
            "on_schedule",
            evidence_us=share_us("density"),
            focus_us=share_us("focus_density"),
        )
    )


def _block_measures(workblocks: pl.DataFrame) -> pl.DataFrame:
    active, idle = _us("active_s").sum(), _us("idle_s").sum()
    return workblocks.group_by("day").agg(
        active_s=active / _SECOND_US,
        idle_s=idle / _SECOND_US,
        active_net_s=(active - idle) / _SECOND_US,
        workblocks=pl.len(),
        longest_block_s=pl.col("duration_s").max(),
    )


def _focus_runs(segments: pl.DataFrame, slices: pl.DataFrame, rules: KpiRules) -> pl.DataFrame:
    """Focus blocks: day, since, until (µs), focus_us and the app with most of it (ties by name), in order."""
    interrupted = (pl.col("since") - pl.col("until").shift(1)) > rules.focus_interruption_max_s * _SECOND_US
    focused = segments.filter((pl.col("focus_us") > 0) & ~pl.col("away")).with_columns(
        run=(interrupted | _changed("day")).cum_sum()
    )
    runs = (
        focused.group_by("run")
        .agg(
            pl.col("day").first(),
            pl.col("since").first(),
            pl.col("until").last(),
            pl.col("focus_us").sum(),
        )
        .filter(pl.col("focus_us") >= rules.focus_block_min_s * _SECOND_US)
    )
    # Segments are cut where slices begin, so the focus slice that began last is in front.
    apps = (
        focused.join(runs.select("run"), on="run", how="semi")
        .sort("since")
        .join_asof(
            slices.filter("in_focus").select("day", "since", "app").sort("since", maintain_order=True),
            on="since",
            by="day",
            strategy="backward",
            check_sortedness=False,
        )
        .group_by("run", "app")
        .agg(pl.col("focus_us").sum())
        .sort("focus_us", "app", descending=[True, False])
        .unique("run", keep="first", maintain_order=True)
        .select("run", "app")
    )
    return runs.join(apps, on="run", how="left").sort("run").drop("run")


def _focus_measures(runs: pl.DataFrame) -> pl.DataFrame:
    return runs.group_by("day").agg(focus_blocks=pl.len(), focus_s=pl.col("focus_us").sum() / _SECOND_US)


def _focus_blocks(runs: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    return (
        runs.join(days.select("day", *KEYS), on="day", maintain_order="left")
        .with_columns(
            started_at=pl.col("since").cast(TIMESTAMP),
            ended_at=pl.col("until").cast(TIMESTAMP),
            duration_s=pl.col("focus_us") / _SECOND_US,
        )
        .sort(*KEYS, "started_at")
        .select(pl.col(c).cast(t) for c, t in GOLD_FOCUS_BLOCKS.schema.items() if c != "run_id")
    )


def _changed(*columns: str) -> pl.Expr:
    """True where a row differs from the one before in any of the columns, and on the first row."""
    return pl.any_horizontal(
        pl.int_range(pl.len()) == 0, *(pl.col(c).ne_missing(pl.col(c).shift(1)) for c in columns)
    )


def _stay_measures(slices: pl.DataFrame, rules: KpiRules) -> pl.DataFrame:
    """Stays in one context inside a workblock; slices of several contexts at once are one stay."""
    stay = ("day", "workblock_id", "app", "url", "title")

    def joined(frame: pl.DataFrame) -> pl.DataFrame:
        evidence = pl.col("evidence_us")
        begins = frame.with_columns(before=evidence.cum_sum() - evidence).filter(_changed(*stay))
        until_next = pl.col("before").shift(-1).fill_null(frame["evidence_us"].sum())
        return begins.select(*stay, evidence_us=until_next - pl.col("before"))

    single = pl.when(~pl.col("multitasking"))
    stays = joined(
        joined(
            slices.select(
                "day",
                "workblock_id",
                "evidence_us",
                single.then("app").alias("app"),
                single.then("url").alias("url"),
                pl.when(~pl.col("multitasking") & pl.col("url").is_null()).then("title").alias("title"),
            )
        ).filter(pl.col("evidence_us") >= rules.stay_min_s * _SECOND_US)
    )
    length = pl.col("evidence_us").cast(pl.Float64)
    return stays.group_by("day").agg(
        context_switches=pl.len() - pl.col("workblock_id").n_unique(),
        median_dwell_s=length.median() / _SECOND_US,
        fragmentation=(1 - (length / length.sum()).pow(2).sum()).clip(0),
    )


def _tool_entropy(slices: pl.DataFrame) -> pl.DataFrame:
    p = pl.col("duration_us") / pl.col("duration_us").sum()
    return (
        slices.group_by("day", "app")
        .agg(pl.col("duration_us").sum())
        .sort("day", "app")
        .group_by("day")
        .agg(tool_entropy=(-(p * p.log(2)).sum()).clip(0))
    )


def _after_hours(segments: pl.DataFrame) -> pl.DataFrame:
    return (
        segments.filter(~pl.col("away") & ~pl.col("on_schedule"))
        .group_by("day")
        .agg(after_hours_s=pl.col("evidence_us").sum() / _SECOND_US)
    )


def _key_measures(minutes: pl.DataFrame) -> pl.DataFrame:
    def total(*columns: str) -> pl.Expr:
        keys = pl.sum_horizontal(columns).cast(pl.Int64).sum()
        return pl.when(pl.col("key_count").is_not_null().all()).then(keys)

    return minutes.group_by("day").agg(
        keys=total("key_count"),
        backspaces=total("keys_backspace"),
        shortcuts=total("keys_shortcut", "keys_copy", "keys_paste", "keys_undo"),
        copy_pastes=total("keys_copy", "keys_paste"),
    )


def _manifest_measures(pairs: pl.DataFrame) -> pl.DataFrame:
    attainment = pl.element().struct.field("attainment")
    return pairs.select(
        "day",
        goals_declared=pl.col("goals").list.len().fill_null(0),
        goals_done=pl.when(~pl.col("is_eod_missing")).then(pl.col("goals_done").list.len().fill_null(0)),
        kpi_attainment=pl.col("kpis").list.eval(attainment.filter(attainment.is_finite())).list.mean(),
    )


def _ratio(measure: Measure) -> pl.Expr:
    return quotient(measure, pl.col(str(measure.numerator)), pl.col(str(measure.denominator)))


def _long(wide: pl.DataFrame) -> pl.DataFrame:
    return (
        wide.select(*KEYS, *(pl.col(name).cast(pl.Float64).round(_DIGITS) for name in CATALOGUE))
        .unpivot(index=KEYS, variable_name="measure", value_name="value")
        .with_columns(unit=units())
        .sort(*KEYS, "measure")
        .select(c for c in GOLD_KPI_DAILY.schema if c != "run_id")
    )


# ----------------------------------------------------------------------------------------- groups and weeks
def group_rollups(kpi_daily: pl.DataFrame, org_members: pl.DataFrame) -> pl.DataFrame:
    """The measures per team, department and tenant by day and ISO week, and per worker by week.

    `kpi_daily` holds whole weeks (Monday to Sunday) of all the tenant's workers, as far as there is data: a
    week's row is only right with all of its days. Returns the columns of `gold/kpi_group_rollups` without
    run_id, sorted by key; `date` is the day, or the week's Monday. A day counts for the worker's team and
    department of that day; workers without one count for the tenant alone. `contributors` are the workers
    with a value, and where there are none the value is null.
    """
    wide = (
        kpi_daily.select(*KEYS, "measure", "value")
        .pivot(on="measure", on_columns=list(CATALOGUE), index=KEYS, values="value")
        .sort(KEYS)
    )
    days = with_org(wide, org_members, "UTC").with_columns(
        worker=pl.col("user_id"), tenant=pl.col("tenant_id"), week=pl.col("date").dt.truncate("1w")
    )
    lattice = [
        ("day", "date", ("team", "department", "tenant")),
        ("week", "week", ("worker", "team", "department", "tenant")),
    ]
    return (
        pl.concat(
            _rolled_up(days, period, first_day, level)
            for period, first_day, levels in lattice
            for level in levels
        )
        .with_columns(unit=units())
        .sort("tenant_id", "date", "period", "level", "group_id", "measure")
        .select(c for c in GOLD_KPI_GROUPS.schema if c != "run_id")
    )


def _rolled_up(days: pl.DataFrame, period: str, first_day: str, level: str) -> pl.DataFrame:
    index = ["tenant_id", "date", "group_id"]
    cell = [pl.col("tenant_id"), pl.col(first_day).alias("date"), pl.col(level).alias("group_id")]
    members = days.filter(pl.col(level).is_not_null())

    def per_measure(value_name: str, values: Iterator[pl.Expr]) -> pl.DataFrame:
        cells = members.group_by(cell).agg(values).sort(index)
        return cells.unpivot(index=index, variable_name="measure", value_name=value_name)

    values = per_measure("value", (aggregate(m).round(_DIGITS).alias(m.name) for m in CATALOGUE.values()))
    people = per_measure(
        "contributors",
        (contributors(m).alias(m.name) for m in CATALOGUE.values()),
    )
    return values.with_columns(people["contributors"], period=pl.lit(period), level=pl.lit(level))
