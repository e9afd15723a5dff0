"""Every operation of the API document, called by everybody: who gets in is what the document says.

The operations, and what each needs, are read from `docs/openapi.json`, which is made from the routes. So a
new route is in here by itself; one with a path parameter that `whole_lake` has no id for fails until there is
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest
from tests.doubles.receiver import ReceiverNetwork
from tests.unit.partner_api.conftest import NOW, OTHER_TENANT, TENANT, Api
from tests.unit.partner_api.whole_lake import HOOKS, SAME_FOR_ALL, Whole, new_endpoint, publish_whole

from coworkai.partner_api.credentials import Grant
from coworkai.partner_api.openapi.document import METHODS
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.problems import SHARING_PREFIX

DOCUMENT = msgspec.json.decode((Path(__file__).parents[3] / "docs" / "openapi.json").read_bytes())
SOURCES = count()
OF_AGGREGATES = {"url": "https://hooks.example.com/coworkai", "event_types": ["metrics.published"]}
BODIES = {"create_webhook_endpoint": OF_AGGREGATES, "update_webhook_endpoint": OF_AGGREGATES}
"""Where a body may ask for more than the operation needs: one that does not."""


@dataclass(frozen=True)
class Operation:
    """An operation of the document; `access` is None for one that is open."""

    method: str
    path: str
    declared: dict[str, Any]

    def __str__(self) -> str:
        return str(self.declared["operationId"])

    @property
    def access(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.declared.get("x-coworkai-access")
        return found

    @property
    def parameters(self) -> list[dict[str, Any]]:
        return [one for one in self.declared.get("parameters", ()) if "$ref" not in one]

    @property
    def in_path(self) -> list[str]:
        return [one["name"] for one in self.parameters if one["in"] == "path"]

    @property
    def names_something_of_a_tenant(self) -> bool:
        return bool(set(self.in_path) - SAME_FOR_ALL.keys())

    def refusal(self, access_code: str) -> str:
        """The code as this operation tells it."""
        return access_code.upper() if self.path.startswith(SHARING_PREFIX) else access_code


OPERATIONS = [
    Operation(method.upper(), path, item[method])
    for path, item in DOCUMENT["paths"].items()
    for method in METHODS
    if method in item
]
GUARDED = [one for one in OPERATIONS if one.access is not None]


@dataclass
class World:
    """Two tenants with one of everything, and credentials of all kinds of the first."""

    api: Api
    mine: Whole
    theirs: Whole
    credentials: dict[str, str]

    def call(self, operation: Operation, key: str | None, whole: Whole | None = None) -> httpx.Response:
        """The operation, with ids of the tenant (the caller's own by default), from a source of its own."""
        whole = whole or self.mine
        ids = SAME_FOR_ALL | whole.ids
        path = operation.path
        for name in operation.in_path:
            path = path.replace(f"{{{name}}}", quote(ids[name], safe=""))
        in_query = {one["name"] for one in operation.parameters if one["in"] == "query"}
        query = {name: value for name, value in ({"startingVersion": "0"} | ids).items() if name in in_query}
        arguments: dict[str, Any] = {"params": query} if query else {}
        body = operation.declared.get("requestBody")
        if body is not None:
            kind, media = next(iter(body["content"].items()))
            example = BODIES.get(str(operation), media["example"])
            if "worker_id" in example:
                example = {**example, "worker_id": whole.worker}
            arguments["json" if kind == "application/json" else "data"] = example
        headers = {"x-forwarded-for": f"10.0.{next(SOURCES) % 65536 // 256}.{next(SOURCES) % 256}"}
        return self.api.request(operation.method, path, key=key, headers=headers, **arguments)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    api = Api(folder, network=ReceiverNetwork(HOOKS).network(), trusted_proxies=1)
    mine, theirs = publish_whole(api, TENANT), publish_whole(api, OTHER_TENANT)
    everything = Grant(frozenset(Scope), Reach.INDIVIDUAL)
    credentials = api.services.credentials
    expired = credentials.create_key(
        TENANT, "expired", everything, actor="test", expires_at=NOW + timedelta(minutes=1)
    )
    revoked = credentials.create_key(TENANT, "revoked", everything, actor="test")
    credentials.revoke(revoked.credential.credential_id, actor="test")
    world = World(
        api,
        mine,
        theirs,
        {
            "all": mine.key,
            "wrong": "cwk_live_wrong",
            "expired": expired.secret,
            "revoked": revoked.secret,
            "aggregate": api.key(reach=Reach.AGGREGATE),
            "limited": api.key(workers={mine.worker}),
            "limited to another": api.key(workers={"somebody"}),
            "worker": api.worker_token(mine.worker),
            "another worker": api.worker_token("somebody"),
        }
        | {f"without {scope}": api.key(*set(Scope) - {scope}) for scope in Scope},
    )
    api.now = NOW + timedelta(minutes=2)
    yield world
    api.close()


def code(answer: httpx.Response) -> str:
    if not answer.content:
        # HEAD
        return str(answer.headers["content-type"])
    found = answer.json()
    return str(found.get("code") or found["errorCode"])


def assert_refused(operation: Operation, answer: httpx.Response, status: int, expected: str) -> None:
    assert answer.status_code == status, (str(operation), answer.text)
    if operation.method != "HEAD":
        assert code(answer) == operation.refusal(expected)
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer ")


def assert_let_in(operation: Operation, answer: httpx.Response) -> None:
    assert answer.status_code not in {401, 403}, (str(operation), answer.text)
    assert answer.status_code < 500, answer.text


def test_every_path_parameter_that_names_something_of_a_tenant_has_an_id_in_the_lake(world: World) -> None:
    for operation in OPERATIONS:
        missing = set(operation.in_path) - SAME_FOR_ALL.keys() - world.mine.ids.keys()
        assert not missing, f"{operation}: publish_whole makes no {missing}"


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_nobody_gets_in_without_credentials_that_hold(world: World, operation: Operation) -> None:
    for credentials, expected in (
        (None, "missing_credentials"),
        ("wrong", "invalid_credentials"),
        ("expired", "expired_credentials"),
        ("revoked", "revoked_credentials"),
    ):
        key = None if credentials is None else world.credentials[credentials]
        assert_refused(operation, world.call(operation, key), 401, expected)


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_a_scope_that_is_missing_is_missing_whatever_others_there_are(
    world: World, operation: Operation
) -> None:
    assert operation.access is not None
    scope = operation.access["scope"]
    if scope is None:
        assert_let_in(operation, world.call(operation, world.credentials["without kpis:read"]))
        return
    answer = world.call(operation, world.credentials[f"without {scope}"])
    assert_refused(operation, answer, 403, "missing_scope")
    assert f'scope="{scope}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("operation", GUARDED, ids=str)
def test_reach_rows_and_worker_tokens_open_what_the_document_says(world: World, operation: Operation) -> None:
    access = operation.access
    assert access is not None
    for credentials, may, expected in (
        ("aggregate", access["reach"] == "aggregate", "individual_reach_required"),
        ("worker", access["workers"], "not_for_worker_tokens"),
        ("limited", access["limited"], "not_for_limited_keys"),
    ):
        answer = world.call(operation, world.credentials[credentials])
        if may:
            assert_let_in(operation, answer)
        else:
            assert_refused(operation, answer, 403, expected)


@pytest.mark.parametrize("operation", [one for one in GUARDED if one.names_something_of_a_tenant], ids=str)
def test_what_is_of_another_tenant_is_not_found(world: World, operation: Operation) -> None:
    answer = world.call(operation, world.credentials["all"], world.theirs)
    assert_refused(operation, answer, 404, "not_found")
    nothing = replace(world.mine, ids=dict.fromkeys(world.mine.ids, "nothing"))
    absent = world.call(operation, world.credentials["all"], nothing)
    told = {**answer.json(), "request_id": ""}
    assert told == {**absent.json(), "request_id": ""}


@pytest.mark.parametrize(
    "operation", [one for one in GUARDED if one.names_something_of_a_tenant and one.access], ids=str
)
def test_what_is_of_another_worker_is_not_found(world: World, operation: Operation) -> None:
    access = operation.access
    assert access is not None
    others = [("limited to another", access["limited"]), ("another worker", access["workers"])]
    for credentials in (name for name, may in others if may):
        assert_refused(operation, world.call(operation, world.credentials[credentials]), 404, "not_found")


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_whoever_has_all_rights_gets_what_there_is(world: World, operation: Operation) -> None:
    whole = world.mine
    if operation.method == "DELETE":
        ids = {**whole.ids, "endpoint_id": new_endpoint(world.api, world.credentials["all"])}
        whole = replace(whole, ids=ids)
    key = None if operation.access is None else world.credentials["all"]
    answer = world.call(operation, key, whole)
    if str(operation) == "create_access_token":
        # The example's client is nobody.
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        return
    assert answer.is_success, (str(operation), answer.text)
    assert str(answer.status_code) in operation.declared["responses"]
    declared = operation.declared["responses"][str(answer.status_code)]["headers"]
    undeclared = {"etag", "x-data-version", "location", "retry-after", "x-date-range", "ratelimit"} - {
        name.lower() for name in declared
    }
    assert not undeclared & answer.headers.keys(), str(operation)
    for name in ("ETag", "X-Data-Version", "X-Request-Id", "RateLimit", "RateLimit-Policy"):
        assert (name in declared) == (name in answer.headers), (str(operation), name)
