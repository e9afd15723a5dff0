"""`coworkai brief`: one worker's or team's brief."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from coworkai.local.commands.options import (
    DATE,
    DEFAULT_DATA,
    Data,
    Json,
    Tenant,
    local_date,
    out,
    print_json,
    settings_of,
)


def brief(
    tenant: Tenant,
    *,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="The worker: as the collector names them, or their token.", show_default=False
        ),
    ] = None,
    team: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A team instead of a worker.", show_default=False),
    ] = None,
    day: Annotated[
        date,
        typer.Option("--date", metavar=DATE, parser=local_date, help="Local date.", show_default=False),
    ],
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """A worker's or a team's brief of a day with its evidence.

    A worker's is written now where there is none yet. A team's is written with those of its workers, where
    they are enough for the tenant's smallest group.

    Example: coworkai brief --tenant acme --user ana --date 2026-03-02 --data ./data

    Example: coworkai brief --tenant acme --team Sales --date 2026-03-02 --data ./data
    """
    from coworkai.common.settings import load
    from coworkai.insights.settings import InsightsSettings
    from coworkai.local.brief import show_brief, team_brief, worker_brief

    settings_of(data)
    settings = load(InsightsSettings, data_dir=data)
    if user is not None and team is None:
        found = worker_brief(settings, tenant, user, day)
    elif team is not None and user is None:
        found = team_brief(settings, tenant, team, day)
    else:
        raise typer.BadParameter("give one of them", param_hint="--user or --team")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_brief(out, found)
