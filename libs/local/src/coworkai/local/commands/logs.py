"""Commands about the two logs of the control store: who read whose rows, and who changed what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from coworkai.common.control import Database
from coworkai.common.control.access_log import AccessLog
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.control.chains import Broken
from coworkai.common.settings import CommonSettings
from coworkai.common.wording import counted
from coworkai.local.commands.options import (
    DEFAULT_DATA,
    Data,
    Json,
    Tenant,
    out,
    print_json,
    say,
    settings_of,
)
from coworkai.local.identities import known_tenant, stored_user_id
from coworkai.partner_api.secrets import Purpose, Secrets

access_log = typer.Typer(
    no_args_is_help=True, help="The log of who read whose rows; GET /v1/access-log reads it."
)
audit_log = typer.Typer(no_args_is_help=True, help="Who changed keys, clients and webhooks.")


@access_log.command("verify")
def verify_access_log(
    tenant: Tenant,
    user: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only this worker's, as the collector sends it.", show_default=False),
    ] = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Look whether anything of the access log was changed, removed, moved, added or cut off.

    The exit code is 1 if so.

    Example: coworkai access-log verify --tenant acme --data ./data
    """
    with _store(data, tenant) as (settings, database, secrets):
        log = AccessLog(database, secrets.key(Purpose.ACCESS_LOG))
        if user is None:
            found = log.verify_tenant(tenant)
        else:
            found = log.verify(tenant, stored_user_id(settings, tenant, user))
    what = f"{counted(found.entries, 'read')} of {counted(found.chains, 'worker')}"
    _tell(tenant, found.entries, what, found.broken, json=json)


@audit_log.command("verify")
def verify_audit_log(tenant: Tenant, data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """Look whether anything of the audit log was changed, removed, moved, added or cut off.

    The exit code is 1 if so.

    Example: coworkai audit-log verify --tenant acme --data ./data
    """
    with _store(data, tenant) as (_, database, secrets):
        entries, broken = AuditLog(database, secrets.key(Purpose.AUDIT_LOG)).verify(tenant)
    _tell(tenant, entries, counted(entries, "event"), [] if broken is None else [broken], json=json)


@audit_log.command("list")
def list_audit_log(
    tenant: Tenant,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    before: Annotated[
        int | None,
        typer.Option(metavar="SEQ", help="Only events before this one.", show_default=False),
    ] = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """List what was changed, newest first.

    Example: coworkai audit-log list --tenant acme --data ./data
    """
    with _store(data, tenant) as (_, database, secrets):
        events = AuditLog(database, secrets.key(Purpose.AUDIT_LOG)).page(tenant, before=before, limit=limit)
    if json:
        print_json(
            [
                {
                    "seq": each.seq,
                    "happened_at": each.happened_at,
                    "actor": each.actor,
                    "action": each.action,
                    "target": each.target,
                    "detail": each.detail,
                    "request_id": each.request_id,
                    "hash": each.hash.hex(),
                }
                for each in events
            ]
        )
        return
    table = Table("seq", "when", "who", "did", "to", box=None)
    for each in events:
        when = f"{each.happened_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(each.seq), when, each.actor, each.action, each.target)
    out.print(table)


@contextmanager
def _store(data: Path, tenant: str) -> Iterator[tuple[CommonSettings, Database, Secrets]]:
    settings = settings_of(data)
    known_tenant(settings, tenant)
    database = Database(settings.control_url)
    try:
        yield settings, database, Secrets(settings.master_key_bytes())
    finally:
        database.close()


def _tell(tenant: str, entries: int, what: str, broken: Sequence[Broken], *, json: bool) -> None:
    """Say what was found; exit code 1 for a log that does not verify."""
    if json:
        faults = [{"worker_id": _worker(each), "seq": each.seq, "fault": each.fault} for each in broken]
        print_json({"intact": not broken, "entries": entries, "broken": faults})
    elif broken:
        table = Table("worker", "entry", "fault", box=None)
        for each in broken:
            table.add_row(_worker(each) or "all", str(each.seq), each.fault.value)
        out.print(table)
    else:
        out.print(f"intact: {what}")
    if broken:
        say(
            f"{counted(len(broken), 'fault')} in the log of {tenant}",
            "somebody wrote to the control store beside CoworkAI: find out who, and compare it with a backup",
        )
        raise typer.Exit(1)


def _worker(broken: Broken) -> str | None:
    """Whose chain it is; None for what is the tenant's: its events, and the count of its workers' chains."""
    return "".join(broken.key[1:]) or None
