"""Commands about who may use the partner API: API keys, OAuth clients, workers' own tokens."""

from __future__ import annotations

import getpass
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from json import dumps
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from coworkai.common.clock import utc_now
from coworkai.common.control import Database
from coworkai.common.errors import NotFound, Terminal
from coworkai.common.settings import load
from coworkai.common.wording import counted
from coworkai.local.commands.options import (
    DEFAULT_DATA,
    AnyTenant,
    Data,
    Json,
    TenantArgument,
    err,
    out,
    print_json,
    settings_of,
    tenant_id,
)
from coworkai.local.identities import known_tenant, stored_user_id
from coworkai.partner_api.credentials import Credential, Credentials, Grant, Issued, id_named
from coworkai.partner_api.principal import PrincipalKind, Reach, Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.sharing import profile as sharing_profile

app = typer.Typer(no_args_is_help=True, help="Keys, OAuth clients and worker tokens for the partner API.")

READ_SCOPES = frozenset(scope for scope in Scope if scope.value.endswith(":read"))
_STORED = re.compile(r"user_[0-9a-f]{24}")
"""A worker's id as it is stored of tenants whose identities are tokens."""
_SCOPES = ", ".join(scope.value for scope in Scope)

CredentialArgument = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Id of a key or client, or a key, or its beginning as listed.", show_default=False
    ),
]
ExpiresInDays = Annotated[
    int | None,
    typer.Option(min=1, help="Days until it expires.", show_default=False),
]


@app.command("create")
def create(
    tenant: TenantArgument,
    *,
    name: Annotated[str, typer.Option(help="What it is for, as access logs show it.")] = "partner",
    reach: Annotated[
        Reach,
        typer.Option(help="aggregate: the published lattice only; individual: the rows of people, too."),
    ] = Reach.AGGREGATE,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            metavar="SCOPE",
            help=f"What it may do; may be given several times. All that read by default. One of: {_SCOPES}.",
            show_default=False,
        ),
    ] = None,
    all_scopes: Annotated[bool, typer.Option("--all-scopes", help="Everything, writing too.")] = False,
    worker: Annotated[
        list[str] | None,
        typer.Option(
            metavar="USER",
            help="Limit it to this worker's rows; may be given several times.",
            show_default=False,
        ),
    ] = None,
    client: Annotated[
        bool, typer.Option("--client", help="Make an OAuth client (id and secret) instead of an API key.")
    ] = False,
    expires_in_days: ExpiresInDays = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a Delta Sharing profile, too; only its owner may read it.",
            show_default=False,
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Make an API key (or, with --client, an OAuth client) of a tenant. Its secret is shown this once.

    Without --reach individual it sees no person's rows, only what is published of groups.

    Example: coworkai keys create acme --name dashboard --reach individual --scope briefs:read
    """
    if all_scopes and scope:
        raise typer.BadParameter("give one of them", param_hint="--all-scopes or --scope")
    with _desk(data) as desk:
        known_tenant(desk.settings, tenant)
        workers = frozenset(desk.worker_id(tenant, each) for each in worker) if worker else None
        scopes = frozenset(Scope) if all_scopes else frozenset(scope or READ_SCOPES)
        if profile is not None:
            _check_profile(profile, scopes, limited=workers is not None)
        make = desk.credentials.create_client if client else desk.credentials.create_key
        issued = make(
            tenant, name, Grant(scopes, reach, workers), actor=_actor(), expires_at=_in_days(expires_in_days)
        )
        if profile is not None:
            _write_profile(profile, issued, desk.settings)
    _print_issued(issued.credential, issued.secret, json=json)


@app.command("list")
def list_keys(
    tenant: AnyTenant = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """List keys and clients: what they may, when they were last used, whether they still hold.

    Example: coworkai keys list acme
    """
    with _desk(data) as desk:
        if tenant is not None:
            known_tenant(desk.settings, tenant_id(tenant))
        found = desk.credentials.listed(tenant)
    now = utc_now()
    if json:
        print_json([_described(each, now) for each in found])
        return
    table = Table("key or client", "tenant", "name", "reach", box=None)
    for heading in ("scopes", "state", "expires", "last used"):
        table.add_column(heading)
    for each in found:
        table.add_row(
            each.shown,
            each.tenant_id,
            Text(each.name),
            _reach(each),
            _scopes(each),
            each.state(now),
            _time(each.expires_at),
            _time(each.last_used_at),
        )
    out.print(table)


@app.command("rotate")
def rotate(
    credential: CredentialArgument,
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="Hours that the old one is good for beside the new one.")
    ] = 24,
    expires_in_days: ExpiresInDays = None,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Make a successor with the same rights. Both work for a while, so that nothing stops meanwhile.

    A key that expires has a successor that lives as long from now, unless --expires-in-days says otherwise.

    Example: coworkai keys rotate key_7GkQ2m0ZpT4x --overlap-hours 48
    """
    with _desk(data) as desk:
        issued = desk.credentials.rotate(
            desk.named(credential),
            actor=_actor(),
            overlap=timedelta(hours=overlap_hours),
            expires_at=_in_days(expires_in_days),
        )
    _print_issued(issued.credential, issued.secret, json=json)


@app.command("revoke")
def revoke(credential: CredentialArgument, data: Data = DEFAULT_DATA, json: Json = False) -> None:
    """End a key, a client or a worker's token. A running API refuses it, and tokens made with it, within 2 s.

    Example: coworkai keys revoke key_7GkQ2m0ZpT4x
    """
    with _desk(data) as desk:
        revoked = desk.credentials.revoke(desk.named(credential), actor=_actor())
    if json:
        print_json(_described(revoked, utc_now()))
        return
    out.print(f"revoked {revoked.shown}")


@app.command("worker-token")
def worker_token(
    tenant: TenantArgument,
    user: Annotated[
        str,
        typer.Argument(metavar="USER", help="The worker, as sent or as stored.", show_default=False),
    ],
    *,
    hours: Annotated[float, typer.Option(min=0.02, max=24, help="Hours that it is good for.")] = 1,
    data: Data = DEFAULT_DATA,
    json: Json = False,
) -> None:
    """Make a token by which a worker reads their own rows, reports and briefs, and who else read them.

    It is listed with the keys, and revoked as they are.

    Example: coworkai keys worker-token acme ana
    """
    from coworkai.partner_api.tokens import Tokens

    with _desk(data) as desk:
        worker_id = desk.worker_id(tenant, user)
        lifetime = timedelta(hours=hours)
        behind = desk.credentials.create_worker(
            tenant, worker_id, actor=_actor(), expires_at=utc_now() + lifetime
        )
        token = Tokens(desk.secrets, desk.settings.public_url).for_worker(
            worker_id, tenant, lifetime, made_by=behind.credential_id
        )
        desk.credentials.audit(
            tenant,
            actor=_actor(),
            action="worker_token.issued",
            target=token.token_id,
            detail={"worker_id": worker_id, "expires_in_s": token.expires_in_s},
        )
    if json:
        print_json(
            {
                "id": behind.credential_id,
                "worker_id": worker_id,
                "access_token": token.text,
                "expires_in": token.expires_in_s,
            }
        )
        return
    out.print(token.text, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What these commands work with."""

    settings: PartnerApiSettings
    secrets: Secrets
    credentials: Credentials

    def worker_id(self, tenant: str, user: str) -> str:
        """The worker's id in the API, given so or as it was sent. Raises NotFound for no such tenant."""
        stored = stored_user_id(self.settings, tenant, user)
        return user if _STORED.fullmatch(user) else stored

    def named(self, text: str) -> str:
        """The credential id that the text names. Raises NotFound."""
        credential_id = id_named(text)
        if not self.credentials.find([credential_id]):
            data = shlex.quote(str(self.settings.data_dir))
            raise NotFound(
                f"no key or client {credential_id}", remedy=f"coworkai keys list --data {data} shows them"
            )
        return credential_id


@contextmanager
def _desk(data: Path) -> Iterator[_Desk]:
    settings_of(data)
    settings = load(PartnerApiSettings, data_dir=data)
    secrets = Secrets(settings.master_key_bytes())
    database = Database(settings.control_url)
    try:
        database.migrate()
        yield _Desk(settings, secrets, Credentials(database, secrets))
    finally:
        database.close()


def _check_profile(file: Path, scopes: frozenset[Scope], *, limited: bool) -> None:
    """Raises Terminal when nothing could be read with the profile, or the file is there."""
    if Scope.SHARING not in scopes or limited:
        raise Terminal(
            "such credentials may not use Delta Sharing",
            remedy=f"give them --scope {Scope.SHARING.value} and no --worker",
        )
    if file.exists():
        raise Terminal(f"{file} is there already", remedy="remove it, or name another with --profile")


def _write_profile(file: Path, issued: Issued, settings: PartnerApiSettings) -> None:
    from coworkai.local.platform import usual_url

    made = issued.credential
    url = settings.public_url if "public_url" in settings.model_fields_set else usual_url("partner-api")
    if made.kind is PrincipalKind.OAUTH_CLIENT:
        told = sharing_profile.of_client(url, made.credential_id, issued.secret)
    else:
        told = sharing_profile.of_key(url, issued.secret, made.expires_at)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(dumps(told, indent=2) + "\n")


def _actor() -> str:
    return f"command:{getpass.getuser()}"


def _in_days(days: int | None) -> datetime | None:
    return None if days is None else utc_now() + timedelta(days=days)


def _print_issued(made: Credential, secret: str, *, json: bool) -> None:
    if json:
        name = "key" if made.kind is PrincipalKind.API_KEY else "client_secret"
        print_json({**_described(made, utc_now()), name: secret})
        return
    until = "" if made.expires_at is None else f"; until {_time(made.expires_at)} UTC"
    err.print(
        Text(f"{made.name}: reach {_reach(made)}; {_scopes(made)}{until}; it is shown this once"),
        soft_wrap=True,
    )
    if made.kind is PrincipalKind.OAUTH_CLIENT:
        out.print(f"client_id      {made.credential_id}", soft_wrap=True)
        out.print(f"client_secret  {secret}", soft_wrap=True)
    else:
        out.print(secret, soft_wrap=True)


def _described(row: Credential, now: datetime) -> dict[str, object]:
    return {
        "id": row.credential_id,
        "kind": row.kind.value,
        "prefix": row.shown,
        "tenant_id": row.tenant_id,
        "name": row.name,
        "reach": row.reach.value,
        "scopes": sorted(row.scopes),
        "worker_ids": None if row.worker_ids is None else sorted(row.worker_ids),
        "state": row.state(now),
        "created_at": row.created_at,
        "created_by": row.created_by,
        "expires_at": row.expires_at,
        "revoked_at": row.revoked_at,
        "replaces": row.replaces,
        "last_used_at": row.last_used_at,
    }


def _reach(row: Credential) -> str:
    if row.worker_ids is None:
        return row.reach.value
    return f"{row.reach.value}, {counted(len(row.worker_ids), 'worker')}"


def _scopes(row: Credential) -> str:
    if row.scopes == frozenset(Scope):
        return "all scopes"
    return "all that read" if row.scopes == READ_SCOPES else " ".join(sorted(row.scopes))


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
