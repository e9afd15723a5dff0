"""Who gets in, who does not, and how little an attacker learns."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from tests.unit.partner_api.conftest import NOW, OTHER_TENANT, TENANT, Api
from tests.unit.partner_api.gold_lake import employ

from coworkai.common.control.audit_log import AuditLog
from coworkai.common.errors import StorageUnavailable
from coworkai.common.settings import Mode
from coworkai.partner_api.app import create_app
from coworkai.partner_api.authentication import RECOGNISED_AT_ONCE, Authenticator
from coworkai.partner_api.credentials import Grant, checksum
from coworkai.partner_api.edge import source_of
from coworkai.partner_api.failures import MAX_WINDOWS, PER_CREDENTIAL, PER_SOURCE, Failures
from coworkai.partner_api.guard import Access, Caller, Retirement, check_routes, guarded, is_open
from coworkai.partner_api.principal import Principal, PrincipalKind, Reach, Scope
from coworkai.partner_api.problems import Refused
from coworkai.partner_api.secrets import Purpose
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.tokens import ALGORITHM, AUDIENCE, TOKEN_TYPE, WORKERS_ISSUER

T = TypeVar("T")


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def with_wrong_secret(key: str) -> str:
    body = key[:-7] + ("a" if key[-7] != "a" else "b")
    return body + checksum(body)


# ---------------------------------------------------------------------------------------- what is refused
def test_without_credentials_every_path_behind_the_gate_is_401_whether_it_exists_or_not(api: Api) -> None:
    for path in ("/v1/me", "/v1/nothing", "/v2", "/delta-sharing/shares", "/admin", "//v1/me"):
        answer = api.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == 'Bearer realm="coworkai"'


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "cwk_live_x",
        "Bearer cwk_live_",
        "Bearer " + "x" * 5_000,
        "Bearer a.b.c",
        "Bearer \xff\xfe",
        "Bearer null",
    ],
)
def test_what_is_no_credential_is_401(api: Api, authorization: str) -> None:
    answer = api.get("/v1/me", headers={"authorization": authorization.encode("latin-1")})
    assert code(answer) == (401, "invalid_credentials")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_key_that_is_cut_mistyped_or_of_a_wrong_secret_is_401_and_says_which_of_the_first_two(
    api: Api,
) -> None:
    key = api.key()
    for mistyped in (key[:-1], key + "x", key.swapcase(), key[:30] + "!" + key[31:], key[:-6] + "000000"):
        answer = api.get("/v1/me", key=mistyped)
        assert code(answer) == (401, "invalid_credentials")
    assert "checksum" in api.get("/v1/me", key=key[:-1]).json()["detail"]
    unknown = api.get("/v1/me", key=with_wrong_secret(key)).json()
    body = "cwk_live_" + "Z" * 44
    nobody = api.get("/v1/me", key=body + checksum(body)).json()
    assert {**unknown, "request_id": ""} == {**nobody, "request_id": ""}


def test_no_answer_repeats_what_was_presented(api: Api) -> None:
    for presented in (with_wrong_secret(api.key()), "cwk_live_hunter2", "Zm9v.YmFy.hunter2"):
        answer = api.get("/v1/me", key=presented)
        assert presented not in answer.text + str(answer.headers)


def test_an_expired_key_says_so_and_one_that_is_revoked_too(api: Api) -> None:
    credentials = api.services.credentials
    grant = Grant(frozenset({Scope.KPIS}))
    soon = credentials.create_key(TENANT, "soon", grant, actor="t", expires_at=NOW + timedelta(minutes=1))
    assert api.get("/v1/me", key=soon.secret).status_code == 200
    api.now += timedelta(minutes=1)
    assert code(api.get("/v1/me", key=soon.secret)) == (401, "expired_credentials")
    gone = credentials.create_key(TENANT, "gone", grant, actor="t")
    credentials.revoke(gone.credential.credential_id, actor="t")
    assert code(api.get("/v1/me", key=gone.secret)) == (401, "revoked_credentials")


def test_a_clients_secret_is_no_api_key(api: Api) -> None:
    grant = Grant(frozenset({Scope.KPIS}))
    client = api.services.credentials.create_client(TENANT, "etl", grant, actor="t")
    assert code(api.get("/v1/me", key=client.secret)) == (401, "invalid_credentials")


# -------------------------------------------------------------------------------------------- revocation
def test_a_key_revoked_by_another_process_is_refused_while_it_is_in_use(start: Callable[..., Api]) -> None:
    here, there = start(revalidate_s=0.05), start(revalidate_s=0.05)
    key = here.key()
    credential = here.services.credentials.listed(TENANT)[0]
    assert here.get("/v1/me", key=key).status_code == 200
    there.services.credentials.revoke(credential.credential_id, actor="t")

    async def until_refused() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        headers = {"authorization": f"Bearer {key}"}
        while (await here.client.get("/v1/me", headers=headers)).status_code == 200:
            assert loop.time() - began < 30
        return loop.time() - began

    here.run(until_refused())
    assert code(here.get("/v1/me", key=key)) == (401, "revoked_credentials")


class Watched:
    """An authenticator whose time the test moves, and whose looks at the store it counts."""

    def __init__(self, api: Api) -> None:
        self.time = 1_000.0
        self.looks = 0
        self.is_down = False
        services = api.services
        self.authenticator = Authenticator(
            services.credentials,
            services.tokens,
            services.secrets,
            self.in_store,
            revalidate_s=0.75,
            clock=lambda: api.now,
            monotonic=lambda: self.time,
        )

    async def in_store(self, work: Callable[[], T], /) -> T:
        self.looks += 1
        if self.is_down:
            raise StorageUnavailable("down")
        await asyncio.sleep(0)
        return work()

    async def principal(self, key: str) -> Principal:
        return await self.authenticator.authenticate(f"Bearer {key}".encode(), "10.0.0.1")


def test_a_key_in_use_is_recognised_without_a_look_at_the_store(api: Api) -> None:
    watched, key = Watched(api), api.key()

    async def scenario() -> None:
        await watched.principal(key)
        assert watched.looks == 1
        for _ in range(100):
            await watched.principal(key)
        assert watched.looks == 1
        # The watch looks at what is in use, so that requests need not.
        for _ in range(10):
            watched.time += 0.75
            await watched.authenticator._look_at_used()
            await watched.principal(key)
        assert watched.looks == 11

    api.run(scenario())


def test_a_key_that_was_idle_is_looked_at_once_however_many_come_with_it_at_once(api: Api) -> None:
    watched, key = Watched(api), api.key()

    async def scenario() -> None:
        await watched.principal(key)
        watched.time += 60
        await asyncio.gather(*(watched.principal(key) for _ in range(50)))
        assert watched.looks == 2

    api.run(scenario())


def test_nothing_is_valid_that_could_not_be_looked_at(api: Api) -> None:
    watched, key = Watched(api), api.key()

    async def scenario() -> None:
        await watched.principal(key)
        watched.is_down = True
        watched.time += 1.4
        await watched.principal(key)
        watched.time += 0.2
        with pytest.raises(StorageUnavailable):
            await watched.principal(key)
        watched.is_down = False
        await watched.principal(key)

    api.run(scenario())


def test_when_a_key_was_last_used_is_written_down_now_and_then(api: Api) -> None:
    key = api.key()
    api.get("/v1/me", key=key)
    assert api.services.credentials.listed(TENANT)[0].last_used_at is None
    api.run(api.services.authenticator._look_at_used())
    api.run(api.services.authenticator.write_last_used())
    assert api.services.credentials.listed(TENANT)[0].last_used_at == NOW


# ------------------------------------------------------------------------------------------- brute force
def test_guessing_at_a_key_is_slowed_and_written_in_its_tenants_audit_log(api: Api) -> None:
    key = api.key()
    guess = with_wrong_secret(key)
    for _ in range(PER_CREDENTIAL):
        assert api.get("/v1/me", key=guess).status_code == 401
    answer = api.get("/v1/me", key=guess)
    assert code(answer) == (429, "too_many_failures")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    audit = AuditLog(api.services.database, api.services.secrets.key(Purpose.AUDIT_LOG))
    assert [event.action for event in audit.page(TENANT)] == ["credential.attacked", "credential.created"]


def test_many_guesses_at_once_are_slowed_as_those_one_by_one(api: Api) -> None:
    guesses = [with_wrong_secret(api.key())] * 60

    async def scenario() -> list[httpx.Response]:
        requests = (
            api.client.get("/v1/me", headers={"authorization": f"Bearer {guess}"}) for guess in guesses
        )
        return await asyncio.gather(*requests)

    statuses = [answer.status_code for answer in api.run(scenario())]
    assert PER_CREDENTIAL <= statuses.count(401) < PER_CREDENTIAL + RECOGNISED_AT_ONCE
    assert statuses.count(401) + statuses.count(429) == len(guesses)


def test_guessing_does_not_lock_out_the_owner_who_uses_the_key(api: Api) -> None:
    key = api.key()
    assert api.get("/v1/me", key=key).status_code == 200
    for _ in range(PER_CREDENTIAL + 1):
        api.get("/v1/me", key=with_wrong_secret(key))
    assert api.get("/v1/me", key=key).status_code == 200


def test_guessing_from_elsewhere_keeps_nobody_with_the_right_secret_out(start: Callable[..., Api]) -> None:
    api = start(trusted_proxies=1)
    key, elsewhere, here = api.key(), {"x-forwarded-for": "192.0.2.7"}, {"x-forwarded-for": "192.0.2.8"}
    for _ in range(PER_CREDENTIAL):
        assert api.get("/v1/me", key=with_wrong_secret(key), headers=elsewhere).status_code == 401
    assert api.get("/v1/me", key=with_wrong_secret(key), headers=here).status_code == 429
    assert api.get("/v1/me", key=key, headers=here).status_code == 200


def test_a_source_that_fails_too_often_is_slowed_whatever_it_tries(api: Api) -> None:
    for number in range(PER_SOURCE):
        assert api.get("/v1/me", key=f"cwk_live_{number}").status_code == 401
    for presented in (api.key(), "a.b.c", "cwk_live_x"):
        assert code(api.get("/v1/me", key=presented)) == (429, "too_many_failures")


def test_failures_from_ever_new_sources_take_no_more_memory_than_a_bound() -> None:
    time = 0.0
    failures = Failures(lambda: time)
    for number in range(MAX_WINDOWS + 1_000):
        failures.count(f"10.0.0.{number}", f"key_{number:012}")
    assert len(failures._windows) == MAX_WINDOWS
    for _ in range(PER_SOURCE):
        failures.count("192.0.2.1", None)
    with pytest.raises(Refused):
        failures.check("192.0.2.1")
    time += 60
    failures.check("192.0.2.1")


def test_failures_are_of_the_source_that_the_trusted_proxy_saw(start: Callable[..., Api]) -> None:
    api = start(trusted_proxies=1)
    for number in range(PER_SOURCE + 5):
        # What the client itself writes in front is not believed.
        forged = {"x-forwarded-for": f"10.0.0.{number}, 192.0.2.7"}
        last = api.get("/v1/me", key="cwk_live_x", headers=forged)
    assert last.status_code == 429
    other = api.get("/v1/me", key="cwk_live_x", headers={"x-forwarded-for": "192.0.2.8"})
    assert other.status_code == 401


@pytest.mark.parametrize(
    ("seen", "as_well"),
    [
        (["192.0.2.7"], ["192.0.2.7:50123"]),
        (["192.0.2.7"], ["::ffff:192.0.2.7"]),
        (["2001:db8::1"], ["2001:db8::ffff%eth0"]),
        (["2001:db8::1"], ["[2001:db8::2]:50123"]),
        (["10.0.0.1, 192.0.2.7"], ["10.0.0.2", "192.0.2.7"]),
    ],
)
def test_a_source_is_the_same_however_a_proxy_writes_it(seen: list[str], as_well: list[str]) -> None:
    def source(values: list[str]) -> str:
        headers = [(b"x-forwarded-for", value.encode()) for value in values]
        return source_of({"client": ("127.0.0.1", 1), "headers": headers}, 1)

    assert source(seen) == source(as_well)
    assert source(["::ffff:192.0.2.7"]) != source(["::ffff:192.0.2.8"])


# ------------------------------------------------------------------------------------------------ tokens
def claims(api: Api, **changed: Any) -> dict[str, Any]:
    now = int(api.now.timestamp())
    good = {
        "iss": WORKERS_ISSUER,
        "aud": AUDIENCE,
        "sub": "user_1",
        "tenant_id": TENANT,
        "iat": now,
        "exp": now + 600,
        "jti": "tok_1",
        "scope": "kpis:read",
        "client_id": "key_000000000000",
    }
    return {name: value for name, value in {**good, **changed}.items() if value is not None}


def signed(api: Api, payload: dict[str, Any], **header: Any) -> str:
    services = api.services
    headers = {"kid": services.tokens.key_id, "typ": TOKEN_TYPE, **header}
    return jwt.encode(payload, services.secrets.signing_key, ALGORITHM, headers=headers)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_that_is_ours_is_taken(api: Api) -> None:
    api.key()
    (made_by,) = api.services.credentials.listed(TENANT)
    good = claims(api, client_id=made_by.credential_id)
    assert api.get("/v1/me", key=signed(api, good)).status_code == 200


def test_a_token_that_says_it_needs_no_signature_is_refused(api: Api) -> None:
    kid = api.services.tokens.key_id
    for algorithm in ("none", "None", "nOnE", ""):
        header = {"alg": algorithm, "typ": TOKEN_TYPE, "kid": kid}
        for signature in ("", "AAAA"):
            token = f"{part(header)}.{part(claims(api))}.{signature}"
            assert code(api.get("/v1/me", key=token)) == (401, "invalid_credentials")


def test_the_public_key_is_no_secret_to_sign_with(api: Api) -> None:
    public = api.services.secrets.signing_key.public_key()
    key_set = api.get("/.well-known/jwks.json").content
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        key_set,
    ):
        header = part({"alg": "HS256", "typ": TOKEN_TYPE, "kid": api.services.tokens.key_id})
        signing_input = f"{header}.{part(claims(api))}"
        hs256 = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signature = base64.urlsafe_b64encode(hs256.sign(signing_input.encode(), secret)).rstrip(b"=").decode()
        assert api.get("/v1/me", key=f"{signing_input}.{signature}").status_code == 401


def test_a_token_of_a_key_that_it_brings_itself_is_refused(api: Api) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    for header in ({"jwk": jwk}, {"jku": "https://evil.example/jwks"}, {}):
        headers = {"kid": api.services.tokens.key_id, "typ": TOKEN_TYPE, **header}
        token = jwt.encode(claims(api), stranger, ALGORITHM, headers=headers)
        assert api.get("/v1/me", key=token).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"tenant_id": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**30},
        {"iat": 4_000_000_000},
        {"scope": "everything"},
        {"client_id": "key_none"},
        {"client_id": ["a"]},
    ],
)
def test_a_token_whose_claims_are_not_ours_is_refused(api: Api, changed: dict[str, Any]) -> None:
    answer = api.get("/v1/me", key=signed(api, claims(api, **changed)))
    assert code(answer) == (401, "invalid_credentials")


def test_a_token_of_another_type_or_key_is_refused(api: Api) -> None:
    for header in ({"typ": "JWT"}, {"kid": "other"}, {"kid": "../../etc/passwd"}, {"crit": ["exp"]}):
        assert api.get("/v1/me", key=signed(api, claims(api), **header)).status_code == 401


def test_a_token_expires_while_it_is_remembered(api: Api) -> None:
    token = api.worker_token("user_1")
    assert api.get("/v1/me", key=token).status_code == 200
    api.now += timedelta(hours=1)
    assert code(api.get("/v1/me", key=token)) == (401, "expired_credentials")
    assert code(api.get("/v1/me", key=token)) == (401, "expired_credentials")


def test_a_key_of_one_tenant_cannot_be_put_behind_a_token_of_another(api: Api) -> None:
    api.key(tenant=OTHER_TENANT)
    theirs = api.services.credentials.listed(OTHER_TENANT)[0]
    token = signed(api, claims(api, client_id=theirs.credential_id))
    assert api.get("/v1/me", key=token).status_code == 401


def test_a_workers_token_ends_with_the_key_that_made_it(start: Callable[..., Api]) -> None:
    api = start(revalidate_s=0.01)
    employ(api, "user_1")
    key = api.key(Scope.WORKER_TOKENS)
    made = api.post("/v1/worker-tokens", key=key, json={"worker_id": "user_1"})
    assert made.status_code == 201
    token = made.json()["access_token"]
    me = api.get("/v1/me", key=token).json()
    assert (me["kind"], me["worker_ids"], me["tenant_id"]) == ("worker", ["user_1"], TENANT)
    credential = api.services.credentials.listed(TENANT)[0]
    api.services.credentials.revoke(credential.credential_id, actor="t")
    while (answer := api.get("/v1/me", key=token)).status_code == 200:
        pass
    assert code(answer) == (401, "revoked_credentials")


def test_a_workers_token_that_a_command_made_can_be_revoked_by_itself(start: Callable[..., Api]) -> None:
    api = start(revalidate_s=0.01)
    first = api.worker_token("user_1")
    (behind_first,) = api.services.credentials.listed(TENANT)
    second = api.worker_token("user_1")
    assert api.get("/v1/me", key=first).status_code == 200
    assert behind_first.shown == behind_first.credential_id
    api.services.credentials.revoke(behind_first.credential_id, actor="t")
    while (answer := api.get("/v1/me", key=first)).status_code == 200:
        pass
    assert code(answer) == (401, "revoked_credentials")
    assert api.get("/v1/me", key=second).status_code == 200


def test_a_workers_token_without_anything_to_revoke_it_by_is_none(api: Api) -> None:
    assert code(api.get("/v1/me", key=signed(api, claims(api, client_id=None)))) == (
        401,
        "invalid_credentials",
    )


def test_a_token_of_a_worker_whom_nobody_knows_is_not_made(api: Api) -> None:
    employ(api, "user_1")
    key = api.key(Scope.WORKER_TOKENS)
    for unknown in ("user_9", "\0", "../user_1", "user_1 "):
        answer = api.post("/v1/worker-tokens", key=key, json={"worker_id": unknown})
        assert code(answer) == (404, "not_found")
    theirs = api.key(Scope.WORKER_TOKENS, tenant=OTHER_TENANT)
    assert api.post("/v1/worker-tokens", key=theirs, json={"worker_id": "user_1"}).status_code == 404
    assert api.post("/v1/worker-tokens", key=key, json={"worker_id": "user_1"}).status_code == 201


def test_whoever_makes_a_workers_token_is_in_that_workers_access_log(api: Api) -> None:
    employ(api, "user_1")
    key = api.key(Scope.WORKER_TOKENS, name="a portal")
    token = api.post("/v1/worker-tokens", key=key, json={"worker_id": "user_1"}).json()["access_token"]
    (entry,) = api.get("/v1/access-log", key=token).json()["data"]
    assert (entry["operation"], entry["principal_name"]) == ("create_worker_token", "a portal")


def test_worker_tokens_are_made_by_those_who_may_see_the_worker(api: Api) -> None:
    body = {"worker_id": "user_1"}
    path = "/v1/worker-tokens"
    assert code(api.post(path, key=api.key(Scope.KPIS), json=body)) == (403, "missing_scope")
    aggregate = api.key(Scope.WORKER_TOKENS, reach=Reach.AGGREGATE)
    assert code(api.post(path, key=aggregate, json=body)) == (403, "individual_reach_required")
    assert code(api.post(path, key=api.worker_token("user_1"), json=body)) == (403, "not_for_worker_tokens")
    limited = api.key(Scope.WORKER_TOKENS, workers={"user_2"})
    assert code(api.post(path, key=limited, json=body)) == (404, "not_found")
    for bad in ({}, {"worker_id": ""}, {**body, "expires_in_s": 10**9}, {**body, "tenant_id": "globex"}):
        assert code(api.post(path, key=api.key(), json=bad)) == (422, "invalid_body")


# ---------------------------------------------------------------------------------------- rows of workers
def caller(api: Api, workers: set[str] | None) -> Caller:
    principal = Principal(
        PrincipalKind.API_KEY,
        "key_1",
        "a partner",
        TENANT,
        Reach.INDIVIDUAL,
        frozenset(Scope),
        None if workers is None else frozenset(workers),
    )
    return Caller(principal, "req_1", "op_1", api.services.access_log)


def test_a_caller_limited_to_workers_asks_for_no_others(api: Api) -> None:
    limited, whole = caller(api, {"user_1", "user_2"}), caller(api, None)
    assert limited.limited_to(None) == ["user_1", "user_2"]
    assert limited.limited_to(["user_3", "user_2"]) == ["user_2"]
    assert limited.limited_to(["user_3"]) == []
    assert whole.limited_to(None) is None
    assert whole.limited_to(["user_3", "user_1", "user_3"]) == ["user_1", "user_3"]
    limited.may_read("user_1")
    whole.may_read("user_3")
    whole.may_read(None)
    for worker in ("user_3", None):
        with pytest.raises(Refused) as refused:
            limited.may_read(worker)
        assert refused.value.status == 404


def test_a_read_is_in_the_access_log_of_every_worker_when_the_call_returns(api: Api) -> None:
    who = caller(api, None)
    api.run(who.record("list_workblocks", ["user_1", "user_2"], NOW.date(), NOW.date(), 7))
    for worker in ("user_1", "user_2"):
        (entry,) = api.services.access_log.page(TENANT, worker)
        assert (entry.operation, entry.row_count, entry.principal_id) == ("list_workblocks", 7, "key_1")
        assert entry.request_id == "req_1"


# --------------------------------------------------------------------------------- what a route declares
def test_what_is_open_is_this_and_nothing_else(api: Api) -> None:
    routes = {route.path or "" for route in iter_route_contexts(api.app.api.routes)}
    assert {path for path in routes if is_open(path)} == {
        "/",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/docs",
        "/files/{token}/{file_name}",
        "/healthz",
        "/metrics",
        "/oauth/token",
        "/openapi.json",
        "/problems",
        "/problems/{code}",
        "/push/brief-ready",
        "/push/gold-updated",
        "/readyz",
        "/tasks/deliver",
    }
    for path in routes:
        if not is_open(path):
            assert api.get(path).status_code == 401, path


def test_what_the_service_counts_is_not_for_its_callers_in_the_cloud(tmp_path: Path) -> None:
    settings = PartnerApiSettings(
        mode=Mode.CLOUD,
        lake_uri=str(tmp_path),
        control_url=f"sqlite:///{tmp_path / 'control.db'}",
        master_key=base64.b64encode(bytes(32)).decode(),  # type: ignore[arg-type]
        project="p",
        public_url="https://api.example",
        push_audience="a",
        push_service_account="s",
    )
    routes = {route.path for route in iter_route_contexts(create_app(settings).api.routes)}
    assert "/healthz" in routes
    assert "/metrics" not in routes


def app_with(router: APIRouter) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(router)
    return app


def test_a_route_that_declares_no_access_stops_the_service_at_its_start() -> None:
    router = APIRouter()

    @router.get("/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(TypeError, match="/v1/forgotten has no guard"):
        check_routes(app_with(router))


def test_a_retirement_is_shown_in_the_document_as_in_the_headers() -> None:
    going = Access(None, retirement=Retirement(NOW, NOW + timedelta(days=90), "https://docs.example/old"))
    for deprecated, access in ((False, going), (True, Access(None))):
        router = APIRouter()

        @router.get("/v1/old", deprecated=deprecated, dependencies=[guarded(access)])
        async def old() -> None: ...

        with pytest.raises(TypeError, match="/v1/old is deprecated"):
            check_routes(app_with(router))


def test_the_store_in_the_folder_holds_no_token(api: Api, tmp_path: Path) -> None:
    employ(api, "user_1")
    key = api.key(Scope.WORKER_TOKENS)
    headers = {"idempotency-key": "once"}
    made = api.post("/v1/worker-tokens", key=key, json={"worker_id": "user_1"}, headers=headers)
    token = made.json()["access_token"].encode()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            kept = path.read_bytes()
            assert token not in kept, path
            assert token.rpartition(b".")[2] not in kept, path


def test_a_read_that_does_not_pass_through_the_framework_passes_the_same_gate(api: Api) -> None:
    path = "/v1/workblocks"
    assert path in api.app._direct
    assert api.get(path).status_code == 401
    assert code(api.get(path, key=api.key(Scope.KPIS))) == (403, "missing_scope")
    assert code(api.get(path, key=api.key(reach=Reach.AGGREGATE))) == (403, "individual_reach_required")
    assert api.get(path, key=api.key(Scope.ACTIVITY)).status_code == 200
    assert api.request("DELETE", path, key=api.key()).status_code == 405
