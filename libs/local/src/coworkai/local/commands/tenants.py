"""Commands about the control plane: tenants, ingest keys, dead letters."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from coworkai.common.control import INGEST_KEY_PREFIX, Capture, Control, Identity
from coworkai.common.control import Tenant as TenantRow
from coworkai.common.errors import NotFound, Terminal
from coworkai.common.insight_policy import NEEDED, InsightPolicy, Writer, WriterLacks
from coworkai.common.settings import Mode
from coworkai.local.commands.options import (
    DEFAULT_DATA,
    AnyTenant,
    Data,
    Json,
    TenantArgument,
    out,
    print_json,
    settings_of,
)
from coworkai.local.identities import no_tenant

tenant = typer.Typer(no_args_is_help=True, help="Tenants and their policies.")
key = typer.Typer(no_args_is_help=True, help="Keys for collectors that send over HTTPS instead of Pub/Sub.")
dead_letters = typer.Typer(
    no_args_is_help=True, help="Messages that the embedded bus gave up delivering, sealed until replayed."
)


@tenant.command("list")
def list_tenants(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """List tenants and their policies.

    Example: coworkai tenant list --data ./data
    """
    with _control(data) as control:
        tenants = control.tenants()
    if json:
        print_json([_described(each) for each in tenants])
        return
    table = Table(
        "tenant", "active", "identity", "keystrokes", "clipboard", "time zone", "min group", box=None
    )
    for each in tenants:
        shown = _described(each) | {"active": "yes" if each.active else "no"}
        table.add_row(*(str(value) for value in shown.values()))
    out.print(table)


@tenant.command("set")
def set_tenant(
    tenant_id: TenantArgument,
    *,
    capture: Annotated[
        Capture | None, typer.Option(help="What of keystrokes and clipboard is stored.", show_default=False)
    ] = None,
    capture_keystrokes: Annotated[
        Capture | None, typer.Option(help="The same for keystrokes only.", show_default=False)
    ] = None,
    capture_clipboard: Annotated[
        Capture | None, typer.Option(help="The same for the clipboard only.", show_default=False)
    ] = None,
    identity: Annotated[
        Identity | None, typer.Option(help="Store user_id as a keyed token, or as sent.", show_default=False)
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="IANA zone of workers whose zone jobs.csv does not tell.", show_default=False
        ),
    ] = None,
    min_group: Annotated[
        int | None, typer.Option(help="Smallest group that aggregates are shown of.", show_default=False)
    ] = None,
    active: Annotated[
        bool | None,
        typer.Option("--active/--inactive", help="Whether its telemetry is taken.", show_default=False),
    ] = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Create a tenant, or change what is given of its policy. New: counts, token, UTC, groups of 5, active.

    A new policy holds for what arrives from then on; another time zone for what is there, too.

    Example: coworkai tenant set acme --time-zone Europe/Berlin --capture counts
    """
    with _control(data, must_exist=False) as control:
        now = control.tenant(tenant_id)
        changed = control.put_tenant(
            tenant_id,
            identity=identity or (now.identity if now else Identity.TOKEN),
            capture_keystrokes=capture_keystrokes
            or capture
            or (now.capture_keystrokes if now else Capture.COUNTS),
            capture_clipboard=capture_clipboard
            or capture
            or (now.capture_clipboard if now else Capture.COUNTS),
            time_zone=time_zone or (now.time_zone if now else "UTC"),
            min_group=min_group if min_group is not None else (now.min_group if now else 5),
            active=active if active is not None else (now.active if now else True),
        )
    if json:
        print_json(_described(changed))
        return
    out.print(", ".join(f"{name} {value}" for name, value in _described(changed).items()))


_MODEL_NAMES = dict.fromkeys(("model", "base_url", "endpoint", "project", "location"))
"""What names a model, which means something else to each writer."""


@tenant.command("writer")
def set_writer(
    tenant_id: TenantArgument,
    *,
    writer: Annotated[Writer | None, typer.Option(help="Who writes the briefs.", show_default=False)] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Model, as its server names it.", show_default=False)
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Base of an OpenAI-compatible server, with /v1.", show_default=False
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="ID", help="Vertex AI Endpoint.", show_default=False)
    ] = None,
    project: Annotated[
        str | None, typer.Option(metavar="ID", help="Google Cloud project of the model.", show_default=False)
    ] = None,
    location: Annotated[
        str | None, typer.Option(metavar="REGION", help="Its location.", show_default=False)
    ] = None,
    brief_days: Annotated[
        int | None, typer.Option(help="Local days that a brief looks back over.", show_default=False)
    ] = None,
    context_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of a consolidated context.", show_default=False)
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Most model calls a minute.", show_default=False)
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(help="Most tokens a minute.", show_default=False)
    ] = None,
    daily_budget_tokens: Annotated[
        int | None, typer.Option(help="Most tokens of a UTC day's calls.", show_default=False)
    ] = None,
    daily_budget_usd: Annotated[
        float | None, typer.Option(help="Most that a UTC day's calls may cost.", show_default=False)
    ] = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Show how a tenant's briefs are written, or change what is given of it. New: deterministic, 7 days.

    A change has the newest days, as many as a brief looks back over, looked at again: what the new writer
    or window makes another brief of becomes its next version. Earlier days follow when something of them
    changes. Limits, budgets and --context-tokens hold for what is written from then on.

    Another --writer keeps nothing of what named the model before: give all that it needs.

    Keys of model servers are never kept: the insights service finds them in its environment.

    Example: coworkai tenant writer acme --writer openai --model qwen3 --base-url http://127.0.0.1:8000/v1
    """
    given = {
        "writer": writer,
        "model": model,
        "base_url": base_url,
        "endpoint": endpoint,
        "project": project,
        "location": location,
        "brief_days": brief_days,
        "context_tokens": context_tokens,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "daily_budget_tokens": daily_budget_tokens,
        "daily_budget_usd": daily_budget_usd,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    with _control(data) as control:
        if control.tenant(tenant_id) is None:
            raise no_tenant(tenant_id, data)
        now = control.insight_policy(tenant_id)
        forgotten = _MODEL_NAMES if writer not in {None, now.writer} else {}
        wanted = asdict(now) | forgotten | changes
        try:
            policy = InsightPolicy(**wanted)
        except WriterLacks as error:
            raise Terminal(error.message, remedy=_writer_command(tenant_id, data, wanted)) from None
        if changes:
            control.put_insight_policy(tenant_id, policy)
    described = {name: value for name, value in asdict(policy).items() if value is not None}
    if json:
        print_json(described)
        return
    out.print(", ".join(f"{name} {value}" for name, value in described.items()), soft_wrap=True)


def _writer_command(tenant_id: str, data: Path, wanted: Mapping[str, object]) -> str:
    """The command that names the model of a writer whole; what is not known of it in capitals."""
    writer = Writer(str(wanted["writer"]))
    words = ["coworkai", "tenant", "writer", tenant_id, "--data", str(data), "--writer", writer.value]
    for name in NEEDED[writer]:
        words += [f"--{name.replace('_', '-')}", str(wanted[name] or name.upper())]
    return shlex.join(words)


@key.command("create")
def create_key(tenant_id: TenantArgument, data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """Make an ingest key for `POST /v1/telemetry/{source}`; it is shown this once.

    Example: coworkai key create acme
    """
    with _control(data) as control:
        if control.tenant(tenant_id) is None:
            raise no_tenant(tenant_id, data)
        made = control.create_ingest_key(tenant_id)
    if json:
        print_json({"tenant_id": tenant_id, "key": made})
        return
    out.print(made, soft_wrap=True)


@key.command("list")
def list_keys(
    tenant_id: AnyTenant = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """List collectors' keys by what revokes them, their first 20 characters.

    Example: coworkai key list acme
    """
    with _control(data) as control:
        if tenant_id is not None and control.tenant(tenant_id) is None:
            raise no_tenant(tenant_id, data)
        found = control.ingest_keys(tenant_id)
    if json:
        print_json(found)
        return
    table = Table("key", "tenant", "created", "revoked", box=None)
    for each in found:
        revoked = "" if each.revoked_at is None else f"{each.revoked_at:%Y-%m-%d %H:%M}"
        table.add_row(each.key, each.tenant_id, f"{each.created_at:%Y-%m-%d %H:%M}", revoked)
    out.print(table)


@key.command("revoke")
def revoke_key(
    ingest_key: Annotated[
        str, typer.Argument(metavar="KEY", help="The key, or its first 20 characters.", show_default=False)
    ],
    data: Data = DEFAULT_DATA,
) -> None:
    """Revoke an ingest key: what is sent with it is refused from then on.

    Example: coworkai key revoke cwi_0123456789abcdef
    """
    with _control(data) as control:
        if not control.revoke_ingest_key(ingest_key):
            folder = shlex.quote(str(data))
            if ingest_key.startswith(INGEST_KEY_PREFIX):
                remedy = f"coworkai key list --data {folder} shows them"
            else:
                remedy = f"it is one of the partner API: coworkai keys revoke --data {folder}"
            raise NotFound("no such live key", remedy=remedy)
    out.print("revoked")


@dead_letters.command("list")
def list_dead_letters(data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """List messages that were given up, without their content.

    Example: coworkai dead-letters list --data ./data
    """
    from coworkai.local import dead_letters as letters

    found = letters.list_dead_letters(settings_of(data).data_dir)
    if json:
        print_json(found)
        return
    table = Table("id", "subscription", "message", "published", "attempts", "last status", box=None)
    for letter in found:
        table.add_row(
            str(letter.id),
            letter.subscription.rpartition("/")[2],
            letter.message_id,
            f"{letter.published_at:%Y-%m-%d %H:%M:%S}",
            str(letter.attempts),
            "no answer" if letter.last_status is None else str(letter.last_status),
        )
    out.print(table)


@dead_letters.command("replay")
def replay_dead_letters(
    letter_id: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", help="Dead letter to replay; all by default.", show_default=False),
    ] = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Deliver dead letters again, from the first attempt. A running platform starts within a second.

    Example: coworkai dead-letters replay 17 --data ./data
    """
    from coworkai.local import dead_letters as letters

    replayed = letters.replay_dead_letters(settings_of(data).data_dir, letter_id)
    if json:
        print_json({"replayed": replayed})
        return
    out.print(f"{replayed} to be delivered again")


def _described(row: TenantRow) -> dict[str, object]:
    return {
        "tenant_id": row.tenant_id,
        "active": row.active,
        "identity": row.identity.value,
        "capture_keystrokes": row.capture_keystrokes.value,
        "capture_clipboard": row.capture_clipboard.value,
        "time_zone": row.time_zone,
        "min_group": row.min_group,
    }


@contextmanager
def _control(data: Path, *, must_exist: bool = True) -> Iterator[Control]:
    settings = settings_of(data, must_exist=must_exist)
    control = Control(settings.control_url, plain_allowed=settings.mode is Mode.LOCAL)
    try:
        control.migrate()
        yield control
    finally:
        control.close()
