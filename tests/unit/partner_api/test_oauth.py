"""OAuth 2.0 client credentials."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import httpx
import jwt
import pytest
from tests.unit.partner_api.conftest import BASE, NOW, TENANT, Api

from coworkai.common.control.audit_log import AuditLog
from coworkai.partner_api.credentials import Grant, Issued
from coworkai.partner_api.failures import PER_CREDENTIAL
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.secrets import Purpose
from coworkai.partner_api.tokens import AUDIENCE

FORM = {"grant_type": "client_credentials"}


@pytest.fixture
def client(api: Api) -> Issued:
    """An OAuth client of two scopes."""
    grant = Grant(frozenset({Scope.BRIEFS, Scope.KPIS}), Reach.INDIVIDUAL)
    return api.services.credentials.create_client(TENANT, "etl", grant, actor="t")


def basic(client: Issued, secret: str | None = None) -> dict[str, str]:
    pair = f"{client.credential.credential_id}:{secret or client.secret}"
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def post(client: Issued) -> dict[str, str]:
    return {"client_id": client.credential.credential_id, "client_secret": client.secret}


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


def test_a_client_gets_a_token_by_either_way_of_showing_its_secret(api: Api, client: Issued) -> None:
    for answer in (
        api.post("/oauth/token", data=FORM, headers=basic(client)),
        api.post("/oauth/token", data={**FORM, **post(client)}),
    ):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        told = answer.json()
        assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
        assert told["scope"] == "briefs:read kpis:read"
        me = api.get("/v1/me", key=told["access_token"]).json()
        assert (me["principal_id"], me["kind"]) == (client.credential.credential_id, "oauth_client")
        assert (me["reach"], me["scopes"]) == ("individual", ["briefs:read", "kpis:read"])


def test_a_token_verifies_with_the_published_keys_alone(api: Api, client: Issued) -> None:
    token = api.post("/oauth/token", data=FORM, headers=basic(client)).json()["access_token"]
    metadata = api.get("/.well-known/oauth-authorization-server").json()
    key_set = jwt.PyJWKSet.from_dict(api.get(metadata["jwks_uri"].removeprefix(BASE)).json())
    (key,) = key_set.keys
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "at+jwt", "kid": key.key_id}
    told = jwt.decode(
        token,
        key,
        ["ES256"],
        {"verify_exp": False, "verify_iat": False},
        audience=AUDIENCE,
        issuer=metadata["issuer"],
    )
    assert (told["client_id"], told["tenant_id"]) == (client.credential.credential_id, TENANT)
    assert told["exp"] - told["iat"] == 3600
    assert metadata["token_endpoint"] == f"{BASE}/oauth/token"


def test_a_token_has_the_scopes_that_were_asked_for_and_never_others(api: Api, client: Issued) -> None:
    answer = api.post("/oauth/token", data={**FORM, "scope": "kpis:read"}, headers=basic(client))
    assert api.get("/v1/me", key=answer.json()["access_token"]).json()["scopes"] == ["kpis:read"]
    for scope in ("exports:write", "kpis:read exports:write", "everything"):
        answer = api.post("/oauth/token", data={**FORM, "scope": scope}, headers=basic(client))
        assert error(answer) == (400, "invalid_scope")


def test_what_is_wrong_is_said_in_the_words_of_the_standard(api: Api, client: Issued) -> None:
    asked = {**FORM, **post(client)}
    for data, status_and_error in (
        ({**asked, "grant_type": "password"}, (400, "unsupported_grant_type")),
        (post(client), (400, "invalid_request")),
        ({**FORM, "client_id": "x"}, (401, "invalid_client")),
        ({**asked, "client_secret": "wrong"}, (401, "invalid_client")),
        ({**asked, "client_id": "client_none"}, (401, "invalid_client")),
        (FORM, (401, "invalid_client")),
    ):
        answer = api.post("/oauth/token", data=data)
        assert error(answer) == status_and_error, data
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"].startswith("Basic")
    twice = api.post("/oauth/token", data=asked, headers=basic(client))
    assert error(twice) == (400, "invalid_request")
    other = api.post("/oauth/token", data={**FORM, "client_id": "client_other"}, headers=basic(client))
    assert error(other) == (400, "invalid_request")
    as_json = api.post("/oauth/token", json=asked)
    assert error(as_json) == (400, "invalid_request")
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body in (
        b"grant_type=client_credentials&grant_type=password",
        b"\xff=1",
        b"a" * 10,
        b"&".join([b"a=1"] * 50),
    ):
        assert error(api.post("/oauth/token", content=body, headers=form)) == (400, "invalid_request")
    for authorization in ("Basic !!!", "Basic bm9jb2xvbg==", "Bearer x", "Basic /w=="):
        answer = api.post("/oauth/token", data=FORM, headers={"authorization": authorization})
        assert error(answer) == (401, "invalid_client")


def test_an_api_key_is_no_client(api: Api) -> None:
    key = api.key()
    key_id = api.services.credentials.listed(TENANT)[0].credential_id
    answer = api.post("/oauth/token", data={**FORM, "client_id": key_id, "client_secret": key})
    assert error(answer) == (401, "invalid_client")


def test_a_revoked_client_gets_no_token_and_its_tokens_end(start: Callable[..., Api]) -> None:
    api = start(revalidate_s=0.01)
    grant = Grant(frozenset({Scope.KPIS}))
    client = api.services.credentials.create_client(TENANT, "etl", grant, actor="t")
    token = api.post("/oauth/token", data=FORM, headers=basic(client)).json()["access_token"]
    assert api.get("/v1/me", key=token).status_code == 200
    api.services.credentials.revoke(client.credential.credential_id, actor="t")
    assert error(api.post("/oauth/token", data=FORM, headers=basic(client))) == (401, "invalid_client")
    while (answer := api.get("/v1/me", key=token)).status_code == 200:
        pass
    assert answer.json()["code"] == "revoked_credentials"


def test_no_token_outlives_its_client(api: Api) -> None:
    until = NOW + timedelta(minutes=10)
    grant = Grant(frozenset({Scope.KPIS}))
    client = api.services.credentials.create_client(TENANT, "etl", grant, actor="t", expires_at=until)
    told = api.post("/oauth/token", data=FORM, headers=basic(client)).json()
    assert told["expires_in"] == 600


def test_guessing_at_a_secret_is_slowed(api: Api, client: Issued) -> None:
    for _ in range(PER_CREDENTIAL):
        answer = api.post("/oauth/token", data=FORM, headers=basic(client, "guess"))
        assert answer.status_code == 401
    answer = api.post("/oauth/token", data=FORM, headers=basic(client, "guess"))
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_failures")
    assert int(answer.headers["retry-after"]) >= 1
    assert api.post("/oauth/token", data=FORM, headers=basic(client)).status_code == 200


def test_a_client_that_there_cannot_be_takes_no_memory_by_its_name(api: Api) -> None:
    for name in ("x" * 500_000, "client_" + "x" * 500_000, "client_\0bcdefghijk", "client_äbcdefghijk"):
        asked = {**FORM, "client_id": name, "client_secret": "guess"}
        assert error(api.post("/oauth/token", data=asked)) == (401, "invalid_client")
    assert {kind for kind, _ in api.services.authenticator.failures._windows} == {"source"}


def test_tokens_are_in_the_audit_log_and_not_without_number(start: Callable[..., Api]) -> None:
    api = start(rate_limit_per_minute=3)
    grant = Grant(frozenset({Scope.KPIS}))
    client = api.services.credentials.create_client(TENANT, "etl", grant, actor="t")
    for _ in range(3):
        assert api.post("/oauth/token", data=FORM, headers=basic(client)).status_code == 200
    assert api.post("/oauth/token", data=FORM, headers=basic(client)).status_code == 429
    audit = AuditLog(api.services.database, api.services.secrets.key(Purpose.AUDIT_LOG))
    issued = [event for event in audit.page(TENANT) if event.action == "token.issued"]
    assert len(issued) == 3
    assert all(event.actor == client.credential.credential_id for event in issued)
