"""The workblock report: one worker's day as markdown, the same bytes for the same rows.

Rows of tables become text in Polars for all worker-days at once; the template lays out one document from
them. Rules: `docs/domain.md` section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import NamedTuple

import polars as pl
from jinja2 import Environment, StrictUndefined, Template, select_autoescape

from coworkai.common.measures import CATALOGUE, Unit
from coworkai.runner.stage1.markdown import (
    NO_VALUE,
    counted,
    decimal,
    escaped,
    last_second,
    local_clock,
    minutes,
    table_row,
)
from coworkai.runner.stage1.org_context import KEYS, with_org

_USAGE_KINDS = {"app": "App", "domain": "Domain", "url": "Address"}
_PHASES = {
    "direct": "Direct: its app was in front in that minute",
    "nearest": "Nearest: close to an activity",
    "gap": "Gap: between two activities, became an activity of its own",
    "orphan": "Orphan: before, after or without activities, became an activity of its own",
}
_CLOCK_OFF_S = 60.0
_DAY_US = 86_400_000_000


class Report(NamedTuple):
    user_id: str
    date: date
    markdown: str


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """Frames of the same worker-days, with the columns of their tables (`run_id` may be missing).

    `org_members` is the tenant's whole history.
    """

    workblocks: pl.DataFrame
    atomic_slices: pl.DataFrame
    usage_statistics: pl.DataFrame
    day_accounting: pl.DataFrame
    kpi_daily: pl.DataFrame
    manifest_pairs: pl.DataFrame
    telemetry_health: pl.DataFrame
    org_members: pl.DataFrame


def reports(inputs: ReportInputs, *, tenant_zone: str = "UTC") -> Iterator[Report]:
    """A report for every worker-day that has an accounting row or a manifest, by date and worker.

    Times are in the zone of the organisation row valid on the day, else `tenant_zone` (IANA). Text from
    outside is escaped and long text cut; minutes are whole tenths, the tables keep the exact seconds.
    """
    days = _days(inputs, tenant_zone)
    if days.is_empty():
        return
    blocks = _of_days(inputs.workblocks, days)
    slices = _of_days(inputs.atomic_slices, days)
    accounting = _of_days(inputs.day_accounting, days)
    pairs = _of_days(inputs.manifest_pairs, days)
    health = _of_days(inputs.telemetry_health, days)
    sheet = days.select("day", *KEYS, "zone")
    for part in (
        _head(days),
        _overview(_of_days(inputs.kpi_daily, days)),
        _job(days),
        _declared(pairs),
        _goals(pairs),
        _kpis(pairs),
        _blocks(blocks, slices),
        _usage(_of_days(inputs.usage_statistics, days)),
        _accounting(accounting),
        _sources(health),
        _notes(
            [
                *_context_notes(days, pairs),
                *_evidence_notes(blocks, slices, accounting),
                *_health_notes(health),
            ]
        ),
    ):
        sheet = sheet.join(part, on="day", how="left", maintain_order="left")
    template = _template()
    for row in sheet.iter_rows(named=True):
        usage = [(title, row[f"usage_{kind}"]) for kind, title in _USAGE_KINDS.items()]
        yield Report(row["user_id"], row["date"], template.render(row, usage=usage))


@cache
def _template() -> Template:
    source = resources.files(__package__).joinpath("workblock_report.md.j2").read_text(encoding="utf-8")
    # Markdown, not HTML: text from outside is escaped for it before it comes here.
    environment = Environment(
        autoescape=select_autoescape(enabled_extensions=(), default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(source)


def _days(inputs: ReportInputs, tenant_zone: str) -> pl.DataFrame:
    keys = pl.concat(frame.select(KEYS) for frame in (inputs.day_accounting, inputs.manifest_pairs))
    return with_org(keys.unique().sort(KEYS), inputs.org_members, tenant_zone).with_row_index("day")


def _of_days(frame: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Rows of the worker-days, with `day` and `zone`."""
    return frame.join(days.select(*KEYS, "day", "zone"), on=KEYS, how="inner", maintain_order="left")


def _lines(rows: pl.Expr) -> pl.Expr:
    return rows.str.join("\n")


def _number(value: pl.Expr) -> pl.Expr:
    """A declared number as it was declared."""
    return value.cast(pl.String).str.replace(r"\.0$", "")


def _percent(share: pl.Expr) -> pl.Expr:
    return pl.concat_str(decimal(share * 100, 1), pl.lit(" %"))


def _head(days: pl.DataFrame) -> pl.DataFrame:
    return days.select(
        "day",
        user=escaped(pl.col("user_id"), 80),
        weekday=pl.col("date").dt.strftime("%A, %-d %B %Y"),
    )


def _overview(kpis: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("value")
    shown = {
        Unit.SECONDS: pl.concat_str(minutes(value), pl.lit(" min")),
        Unit.COUNT: decimal(value, 0),
        Unit.SHARE: _percent(value),
        Unit.PER_HOUR: pl.concat_str(decimal(value, 1), pl.lit(" per hour")),
        Unit.PER_MINUTE: pl.concat_str(decimal(value, 1), pl.lit(" per minute")),
        Unit.BITS: pl.concat_str(decimal(value, 2), pl.lit(" bits")),
        Unit.INDEX: decimal(value, 2),
        Unit.ATTAINMENT: _percent(value),
    }
    order = pl.DataFrame(
        {
            "measure": list(CATALOGUE),
            "title": [measure.title for measure in CATALOGUE.values()],
            "place": range(len(CATALOGUE)),
        }
    )
    by_unit = pl.coalesce(pl.when(pl.col("unit") == unit).then(text) for unit, text in shown.items())
    return (
        kpis.join(order, on="measure")
        .sort("day", "place")
        .select("day", row=table_row(pl.col("title"), by_unit.fill_null(NO_VALUE)))
        .group_by("day")
        .agg(overview=_lines(pl.col("row")))
    )


def _job(days: pl.DataFrame) -> pl.DataFrame:
    schedule = pl.concat_str("schedule_start", pl.lit("–"), "schedule_end")
    cells = [escaped(pl.col(name)) for name in ("role", "team", "department", "region")]
    return days.filter(pl.col("valid_from").is_not_null()).select(
        "day", job=table_row(*cells, escaped(schedule), escaped(pl.col("manager_id")))
    )


# ----------------------------------------------------------------------------------------------- manifests
def _declared(pairs: pl.DataFrame) -> pl.DataFrame:
    def said(kind: str, clock: str) -> pl.Expr:
        return pl.concat_str(pl.lit(f"{kind} declared at "), clock, pl.lit(".")).fill_null(
            f"No {kind.lower()} declared."
        )

    areas = pl.col("focus_areas").list.eval(escaped(pl.element())).list.join(", ")
    reflection = pl.concat_str(pl.lit("Reflection: "), escaped(pl.col("reflection"), 2000))
    clocked = local_clock(pairs, "zone", {"sod": pl.col("sod_at"), "eod": pl.col("eod_at")})
    return clocked.select(
        "day",
        declared=pl.concat_str(
            pl.concat_str(said("Start of day", "sod"), pl.lit(" "), said("End of day", "eod")),
            pl.when(pl.col("focus_areas").list.len() > 0).then(pl.concat_str(pl.lit("Focus areas: "), areas)),
            pl.when(pl.col("reflection").str.len_chars() > 0).then(reflection),
            separator="\n\n",
            ignore_nulls=True,
        ),
    )


def _goals(pairs: pl.DataFrame) -> pl.DataFrame:
    done = (
        pl.when("is_eod_missing")
        .then(pl.lit("not known"))
        .when(pl.col("goals").is_in(pl.col("goals_done")))
        .then(pl.lit("yes"))
        .otherwise(pl.lit("no"))
    )
    return (
        pairs.filter(pl.col("goals").list.len() > 0)
        .select("day", "goals", pl.col("goals_done").fill_null([]), "is_eod_missing")
        .explode("goals")
        .select("day", row=table_row(escaped(pl.col("goals"), 200), done))
        .group_by("day", maintain_order=True)
        .agg(goals=_lines(pl.col("row")))
    )


def _kpis(pairs: pl.DataFrame) -> pl.DataFrame:
    return (
        pairs.filter(pl.col("kpis").list.len() > 0)
        .select("day", "kpis")
        .explode("kpis")
        .unnest("kpis")
        .select(
            "day",
            row=table_row(
                escaped(pl.col("name")),
                _number(pl.col("target")).fill_null(NO_VALUE),
                _number(pl.col("actual")).fill_null(NO_VALUE),
                escaped(pl.col("unit")),
                _percent(pl.col("attainment")).fill_null(NO_VALUE),
            ),
        )
        .group_by("day", maintain_order=True)
        .agg(kpis=_lines(pl.col("row")))
    )


# ---------------------------------------------------------------------------------------- blocks and slices
def _blocks(blocks: pl.DataFrame, slices: pl.DataFrame) -> pl.DataFrame:
    """day, span, and blocks: a list in time order of heading, facts and the rows of the slices."""
    ends = {"from": pl.col("started_at"), "to": last_second(pl.col("ended_at"))}
    span = pl.concat_str("from", pl.lit("–"), "to")
    idle = pl.concat_str(pl.lit(", "), minutes(pl.col("idle_s")), pl.lit(" min of it idle"))
    facts = pl.concat_str(
        pl.lit("Active "),
        minutes(pl.col("active_s")),
        pl.lit(" min"),
        pl.when(pl.col("idle_s") > 0).then(idle).otherwise(pl.lit("")),
        pl.lit("; "),
        counted(pl.col("slice_count"), "slice"),
        pl.lit(", "),
        counted(pl.col("app_count"), "app"),
        pl.lit(", "),
        counted(pl.col("keystroke_minutes"), "keystroke minute"),
        pl.lit("."),
        pl.when("is_continuation").then(pl.lit(" Continues across midnight.")).otherwise(pl.lit("")),
        pl.lit(" `"),
        "workblock_id",
        pl.lit("`"),
    )
    return (
        local_clock(blocks, "zone", ends)
        .sort("day", "started_at", "workblock_id")
        .with_columns(
            heading=pl.concat_str(span, pl.lit(", "), minutes(pl.col("duration_s")), pl.lit(" minutes")),
            facts=facts,
        )
        .join(_slices(slices), on=["day", "workblock_id"], how="left", maintain_order="left")
        .group_by("day", maintain_order=True)
        .agg(
            span=pl.concat_str(pl.col("from").first(), pl.lit("–"), pl.col("to").last()),
            typed=pl.col("typed").any(),
            blocks=pl.struct("heading", "facts", "rows"),
        )
    )


def _slices(slices: pl.DataFrame) -> pl.DataFrame:
    """day, workblock_id, typed (the day has typed text), rows."""
    typed = pl.col("keystroke_log").is_not_null().any().over("day")
    keys = pl.concat_str(
        pl.col("key_count").cast(pl.String).fill_null("not kept"),
        pl.when("ambiguous").then(pl.lit(" *")).otherwise(pl.lit("")),
    )
    flags = {
        "is_gap": "inferred, gap",
        "is_orphan": "inferred, orphan",
        "multitasking": "several at once",
        "cross_app": "keys of another app",
    }
    idle = pl.concat_str(pl.lit("idle "), minutes(pl.col("idle_s")), pl.lit(" min"))
    notes = pl.concat_str(
        *(pl.when(flag).then(pl.lit(text)) for flag, text in flags.items()),
        pl.when(pl.col("idle_s") > 0).then(idle),
        separator="; ",
        ignore_nulls=True,
    )
    texts = slices.select("url", "title").unique()
    context = texts.with_columns(context=escaped(pl.coalesce("url", "title")))
    apps = slices.select("app").unique().with_columns(app_text=escaped(pl.col("app")))
    rows = (
        local_clock(slices, "zone", {"from": pl.col("started_at"), "to": last_second(pl.col("ended_at"))})
        .join(context, on=["url", "title"], how="left", nulls_equal=True)
        .join(apps, on="app", how="left", nulls_equal=True)
        .sort("day", "workblock_id", "sequence")
    )
    cells = table_row(
        pl.col("sequence").cast(pl.String),
        pl.col("from"),
        pl.col("to"),
        minutes(pl.col("duration_s")),
        pl.col("app_text"),
        pl.col("context"),
        pl.when(pl.col("keystroke_minutes") > 0).then(keys),
        notes,
    )
    log = pl.concat_str(pl.lit(" "), escaped(pl.col("keystroke_log"), 500).fill_null(""), pl.lit(" |"))
    return (
        rows.with_columns(typed=typed)
        .select(
            "day",
            "workblock_id",
            "typed",
            row=pl.concat_str(cells, pl.when("typed").then(log).otherwise(pl.lit(""))),
        )
        .group_by("day", "workblock_id", maintain_order=True)
        .agg(pl.col("typed").first(), rows=_lines(pl.col("row")))
    )


def _usage(usage: pl.DataFrame) -> pl.DataFrame:
    cells = table_row(
        pl.col("rank").cast(pl.String),
        escaped(pl.col("name")),
        minutes(pl.col("duration_s")),
        _percent(pl.col("day_share")),
    )
    return (
        usage.sort("day", "kind", "rank")
        .select("day", "kind", row=cells)
        .group_by("day")
        .agg(
            _lines(pl.col("row").filter(pl.col("kind") == kind)).alias(f"usage_{kind}")
            for kind in _USAGE_KINDS
        )
    )


# -------------------------------------------------------------------------------- matching and data quality
def _accounting(accounting: pl.DataFrame) -> pl.DataFrame:
    def count(name: str, title: str) -> pl.Expr:
        return pl.concat_str(pl.lit(f"| {title} | "), pl.col(name).cast(pl.String), pl.lit(" |"))

    def seconds(name: str) -> pl.Expr:
        return _number(pl.col(name))

    matching = pl.concat_str(
        *(count(name, title) for name, title in _PHASES.items()),
        count("keystroke_minutes", "**All, each matched once**"),
        count("cross_app", "Of nearest, matched to another app"),
        count("noise_keystroke_minutes", "In blocks dropped as noise"),
        separator="\n",
    )
    return accounting.select(
        "day",
        matching=pl.when(pl.col("keystroke_minutes") > 0).then(matching),
        identity=pl.concat_str(
            pl.lit("Seconds of activities: "),
            seconds("raw_s"),
            pl.lit(" received = "),
            seconds("kept_s"),
            pl.lit(" in front + "),
            seconds("overlapped_s"),
            pl.lit(" hidden behind another window."),
        ),
    )


def _sources(health: pl.DataFrame) -> pl.DataFrame:
    def count(name: str) -> pl.Expr:
        return pl.col(name).cast(pl.String)

    return (
        health.sort("day", "source", "device_id", nulls_last=True)
        .select(
            "day",
            row=table_row(
                escaped(pl.col("source")),
                escaped(pl.col("device_id"), 20),
                *(count(name) for name in ("records", "duplicates", "quarantined", "late_records")),
                pl.concat_str(decimal(pl.col("clock_skew_s"), 1), pl.lit(" s")).fill_null(NO_VALUE),
                _percent(pl.col("coverage")).fill_null(NO_VALUE),
                pl.concat_str(minutes(pl.col("longest_gap_s")), pl.lit(" min")).fill_null(NO_VALUE),
            ),
        )
        .group_by("day", maintain_order=True)
        .agg(sources=_lines(pl.col("row")))
    )


def _notes(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """day, notes: what a reader has to know to trust the numbers, in the order they are given."""
    return (
        pl.concat(frame.select("day", "note", place=pl.lit(place)) for place, frame in enumerate(found))
        .sort("day", "place", "note")
        .group_by("day", maintain_order=True)
        .agg(notes="note")
    )


def _context_notes(days: pl.DataFrame, pairs: pl.DataFrame) -> Iterator[pl.DataFrame]:
    def note(frame: pl.DataFrame, when: pl.Expr, text: str) -> pl.DataFrame:
        return frame.filter(when).select("day", note=pl.lit(text))

    yield note(
        days,
        pl.col("valid_from").is_null(),
        "No organisation row is valid on this day: times are in the tenant's zone, no schedule is known.",
    )
    yield note(
        days,
        pl.col("time_zone").is_not_null() & (pl.col("time_zone") != pl.col("zone")),
        "The organisation data names a time zone that does not exist: times are in the tenant's zone.",
    )
    yield note(
        _with_day_length(days),
        pl.col("day_us") != _DAY_US,
        "The clock was changed on this day: local times jump or repeat; durations are exact.",
    )
    yield days.join(pairs, on="day", how="anti").select("day", note=pl.lit("No manifest was declared."))
    yield note(pairs, pl.col("is_sod_missing"), "The start-of-day manifest is missing.")
    yield note(pairs, pl.col("is_eod_missing"), "The end-of-day manifest is missing.")


def _with_day_length(days: pl.DataFrame) -> pl.DataFrame:
    def midnight(day: pl.Expr, zone: str) -> pl.Expr:
        wall = day.cast(pl.Datetime("us"))
        return wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").to_physical()

    today, tomorrow = pl.col("date"), pl.col("date") + pl.duration(days=1)
    return pl.concat(
        part.with_columns(day_us=midnight(tomorrow, str(zone)) - midnight(today, str(zone)))
        for (zone,), part in days.partition_by("zone", as_dict=True, maintain_order=True).items()
    )


def _evidence_notes(
    blocks: pl.DataFrame, slices: pl.DataFrame, accounting: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    noise = accounting.filter(pl.col("noise_blocks") > 0)
    yield noise.select(
        "day",
        note=pl.concat_str(
            counted(pl.col("noise_blocks"), "block"),
            pl.lit(" too short to count, dropped as noise: "),
            minutes(pl.col("noise_s")),
            pl.lit(" minutes, "),
            counted(pl.col("noise_keystroke_minutes"), "keystroke minute"),
            pl.lit("."),
        ),
    )
    yield accounting.filter(pl.col("synthetic_s") > 0).select(
        "day",
        note=pl.concat_str(
            minutes(pl.col("synthetic_s")),
            pl.lit(" minutes are inferred from keys that no activity explains."),
        ),
    )
    ambiguous = slices.group_by("day").agg(n=pl.col("ambiguous").sum()).filter(pl.col("n") > 0)
    yield ambiguous.select(
        "day",
        note=pl.concat_str(
            counted(pl.col("n"), "slice"), pl.lit(" with keys of a minute that saw more than one context.")
        ),
    )
    continued = blocks.group_by("day").agg(n=pl.col("is_continuation").sum()).filter(pl.col("n") > 0)
    yield continued.select(
        "day",
        note=pl.concat_str(counted(pl.col("n"), "block"), pl.lit(" cut by local midnight.")),
    )


def _health_notes(health: pl.DataFrame) -> Iterator[pl.DataFrame]:
    source, device = escaped(pl.col("source")), escaped(pl.col("device_id"), 40).fill_null("unknown")
    yield health.filter("is_missing").select(
        "day", note=pl.concat_str(source, pl.lit(": nothing arrived, though the worker was active."))
    )
    yield (
        health.filter(pl.col("clock_skew_s").abs() > _CLOCK_OFF_S)
        .select(
            "day",
            note=pl.concat_str(
                pl.lit("The clock of device "), device, pl.lit(" was off by more than a minute.")
            ),
        )
        .unique()
    )
    for column, text in (
        ("quarantined_by_reason", "quarantined as "),
        ("drift_fields", "with unknown field "),
    ):
        yield (
            health.filter(pl.col(column).list.len() > 0)
            .select("day", "source", column)
            .explode(column)
            .unnest(column)
            .group_by("day", "source", "name")
            .agg(pl.col("count").sum())
            .select(
                "day",
                note=pl.concat_str(
                    source,
                    pl.lit(": "),
                    counted(pl.col("count"), "record"),
                    pl.lit(f" {text}"),
                    escaped(pl.col("name"), 60),
                    pl.lit("."),
                ),
            )
        )
