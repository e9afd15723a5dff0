"""`coworkai brief`: one worker's brief."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from coworkai.local.commands.options import DEFAULT_DATA, Data, Json, Tenant, out, print_json, settings_of


def brief(
    tenant: Tenant,
    user: Annotated[
        str,
        typer.Option(
            metavar="ID", help="The worker: as the collector names them, or their token.", show_default=False
        ),
    ],
    day: Annotated[
        datetime,
        typer.Option("--date", metavar="DATE", formats=["%Y-%m-%d"], help="Local date.", show_default=False),
    ],
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """A worker's brief of a day with its evidence; written now where there is none yet.

    Example: coworkai brief --tenant acme --user ana --date 2026-03-02 --data ./data
    """
    from coworkai.common.settings import load
    from coworkai.insights.settings import InsightsSettings
    from coworkai.local.brief import show_brief, worker_brief

    settings_of(data)
    found = worker_brief(load(InsightsSettings, data_dir=data), tenant, user, day.date())
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_brief(out, found)
