"""`coworkai import`: exports of other trackers to record files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coworkai.local.commands.options import Json, make_folder, out, print_json

if TYPE_CHECKING:
    from coworkai.local.importers import Counts

app = typer.Typer(no_args_is_help=True, help="Convert exports of other trackers to record files.")

Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the record files.", show_default=False)
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="ID",
        help="user_id of the records; the device's name by default.",
        show_default=False,
    ),
]
Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", exists=True, dir_okay=False, show_default=False, help="Exported files."
    ),
]


@app.command()
def activitywatch(files: Files, out_dir: Out, user: User = None, json: Json = False) -> None:
    """Buckets that ActivityWatch exported as JSON: windows, browser tabs, AFK evidence.

    Example: coworkai import activitywatch buckets.json --out ./records --user ana
    """
    from coworkai.local.importers import activitywatch as importer

    make_folder(out_dir, "--out")
    _report(importer.convert(files, out_dir, user), out_dir, json=json)


@app.command()
def rescuetime(
    files: Files,
    out_dir: Out,
    user: User = None,
    time_zone: Annotated[
        str, typer.Option(metavar="ZONE", help="IANA zone of the export's local times.")
    ] = "UTC",
    json: Json = False,
) -> None:
    """CSV reports that RescueTime exported.

    Example: coworkai import rescuetime report-*.csv --out ./records --user ana --time-zone Europe/Berlin
    """
    from coworkai.local.importers import rescuetime as importer

    make_folder(out_dir, "--out")
    _report(importer.convert(files, out_dir, user, time_zone=time_zone), out_dir, json=json)


def _report(counts: Counts, out_dir: Path, *, json: bool) -> None:
    if json:
        replaced = [str(path) for path in counts.replaced]
        print_json({"records": counts.records, "skipped": counts.skipped, "replaced": replaced})
        return
    for source, records in counts.records.items():
        out.print(f"{records:>8,}  {out_dir / f'{source.value}.ndjson'}")
    for reason, events in counts.skipped.items():
        out.print(f"{events:>8,}  left out: {reason}")
    for path in counts.replaced:
        out.print(f"Replaced what was in {path}", soft_wrap=True)
    out.print(f"Next: coworkai process {shlex.quote(str(out_dir))}", soft_wrap=True)
