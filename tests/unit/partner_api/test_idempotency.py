"""A POST under one Idempotency-Key happens once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.unit.partner_api.conftest import NOW, TENANT, Api
from tests.unit.partner_api.gold_lake import DAY, GoldLake, employ, kpi, rows, workblock

from coworkai.common.control import Database
from coworkai.common.control.audit_log import AuditLog
from coworkai.common.control.schema import idempotency_keys
from coworkai.common.errors import StorageUnavailable
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_WORKBLOCKS
from coworkai.partner_api.credentials import Grant
from coworkai.partner_api.guard import Exchange
from coworkai.partner_api.idempotency import (
    CLAIM,
    Claim,
    Idempotency,
    IdempotencyKeys,
    Kept,
    Request,
)
from coworkai.partner_api.principal import Principal, PrincipalKind, Reach, Scope
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.secrets import Purpose, Secrets

PATH = "/v1/worker-tokens"
BODY = {"worker_id": "user_1"}
ONCE = {"idempotency-key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


@pytest.fixture
def api(api: Api) -> Api:
    """The application, with workers to make tokens for."""
    employ(api, "user_1", "user_2")
    return api


def issued(api: Api) -> int:
    """Worker tokens that were made."""
    audit = AuditLog(api.services.database, api.services.secrets.key(Purpose.AUDIT_LOG))
    return sum(event.action == "worker_token.issued" for event in audit.page(TENANT))


def without_ids(answer: httpx.Response) -> dict[str, str]:
    return {
        name: value
        for name, value in answer.headers.items()
        if name not in {"x-request-id", "ratelimit", "idempotent-replayed"}
    }


def test_the_same_request_again_gets_the_same_answer_and_makes_nothing_new(api: Api) -> None:
    key = api.key()
    first = api.post(PATH, key=key, json=BODY, headers=ONCE)
    again = api.post(PATH, key=key, json=BODY, headers=ONCE)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert without_ids(first) == without_ids(again)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["x-request-id"] != again.headers["x-request-id"]
    assert issued(api) == 1


def test_another_key_another_caller_and_no_key_at_all_are_other_requests(api: Api) -> None:
    key, other = api.key(), api.key()
    api.post(PATH, key=key, json=BODY, headers=ONCE)
    api.post(PATH, key=key, json=BODY, headers={"idempotency-key": "other"})
    api.post(PATH, key=other, json=BODY, headers=ONCE)
    api.post(PATH, key=key, json=BODY)
    api.post(PATH, key=key, json=BODY)
    assert issued(api) == 5


def test_other_parameters_under_the_same_key_are_refused(api: Api) -> None:
    key = api.key()
    api.post(PATH, key=key, json=BODY, headers=ONCE)
    for arguments in ({"json": {"worker_id": "user_2"}}, {"json": BODY, "params": {"a": "1"}}):
        answer = api.post(PATH, key=key, headers=ONCE, **arguments)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert issued(api) == 1


def test_a_token_of_fewer_scopes_gets_no_answer_that_one_of_more_scopes_got(api: Api) -> None:
    grant = Grant(frozenset({Scope.WORKER_TOKENS, Scope.KPIS}), Reach.INDIVIDUAL)
    client = api.services.credentials.create_client(TENANT, "etl", grant, actor="t")

    def token(scope: Scope) -> str:
        shown = {"client_id": client.credential.credential_id, "client_secret": client.secret}
        form = {**shown, "grant_type": "client_credentials", "scope": scope.value}
        return str(api.post("/oauth/token", data=form).json()["access_token"])

    assert api.post(PATH, key=token(Scope.WORKER_TOKENS), json=BODY, headers=ONCE).status_code == 201
    assert api.post(PATH, key=token(Scope.KPIS), json=BODY, headers=ONCE).status_code == 422
    again = api.post(PATH, key=token(Scope.WORKER_TOKENS), json=BODY, headers=ONCE)
    assert again.headers["idempotent-replayed"] == "true"


def test_the_answer_to_a_query_is_not_kept_so_that_every_read_is_in_the_access_log(api: Api) -> None:
    key, day = api.key(), DAY.isoformat()
    query = {"measures": ["active_s"], "group_by": ["worker"], "start_date": day, "end_date": day}
    measured = rows(GOLD_KPI_DAILY, kpi("user_1", DAY, "active_s", 1.0))
    worked = rows(GOLD_WORKBLOCKS, workblock("user_1", DAY, 9))
    GoldLake(api.settings.data_dir / "lake", fence=1).publish(
        {DAY: {GOLD_KPI_DAILY.id: measured, GOLD_WORKBLOCKS.id: worked}}
    )
    for number in (1, 2):
        answer = api.post("/v1/metrics/query", key=key, json=query, headers=ONCE)
        assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (200, None)
        assert len(api.services.access_log.page(TENANT, "user_1")) == number
    shares = "/delta-sharing/shares/coworkai/schemas/gold/tables/workblocks/query"
    for number in (3, 4):
        assert api.post(shares, key=key, json={}, headers=ONCE).status_code == 200
        assert len(api.services.access_log.page(TENANT, "user_1")) == number
    with api.services.database.read() as connection:
        assert connection.execute(select(idempotency_keys)).all() == []


def test_a_request_that_was_refused_did_nothing_and_leaves_its_key_free(api: Api) -> None:
    key = api.key()
    assert api.post(PATH, key=key, json={}, headers=ONCE).status_code == 422
    assert api.post(PATH, key=key, json=BODY, headers=ONCE).status_code == 201


def test_an_answer_is_kept_for_a_day(api: Api) -> None:
    key = api.key()
    first = api.post(PATH, key=key, json=BODY, headers=ONCE)
    api.now += timedelta(hours=23, minutes=59)
    assert api.post(PATH, key=key, json=BODY, headers=ONCE).content == first.content
    api.now += timedelta(minutes=1)
    assert api.post(PATH, key=key, json=BODY, headers=ONCE).content != first.content
    assert issued(api) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\there", "\xe9"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    headers = {"idempotency-key": key.encode("latin-1")}
    answer = api.post(PATH, key=api.key(), json=BODY, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key")


def test_the_key_may_be_quoted_as_the_draft_has_it(api: Api) -> None:
    key = api.key()
    first = api.post(PATH, key=key, json=BODY, headers={"idempotency-key": '"once"'})
    assert api.post(PATH, key=key, json=BODY, headers={"idempotency-key": "once"}).content == first.content


# ------------------------------------------------------------------------------------- attempts that die
PRINCIPAL = Principal(
    PrincipalKind.API_KEY, "key_1", "a partner", TENANT, Reach.INDIVIDUAL, frozenset({Scope.EXPORTS})
)
SCOPE = {"method": "POST", "path": "/v1/exports", "query_string": b""}


class Desk:
    """The kept answers of an application, and requests that are handled with them."""

    def __init__(self, api: Api) -> None:
        self.api = api
        services = api.services
        self.keys = IdempotencyKeys(services.database, services.secrets, timedelta(hours=24), lambda: api.now)
        self.idempotency = Idempotency(self.keys, services.in_store)
        self.operations: list[str | None] = []

    def request(self, body: bytes = b"{}") -> Request:
        return self.keys.request(PRINCIPAL, "once", SCOPE, body)

    def claimed(self) -> Claim:
        claim = self.keys.begin(self.request())
        assert isinstance(claim, Claim)
        return claim

    async def handle(self, app: Callable[..., Awaitable[None]]) -> list[Any]:
        """What the client is sent."""
        exchange = Exchange("req_1", "", [], PRINCIPAL)
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            self.operations.append(exchange.operation_id)
            await app(scope, receive, send)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"{}"}

        await self.idempotency.handle(noted, SCOPE, receive, send, exchange=exchange, key="once", body=b"{}")
        return sent


async def created(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": [(b"location", b"/v1/exports/1")]})
    await send({"type": "http.response.body", "body": b"first ", "more_body": True})
    await send({"type": "http.response.body", "body": b"second"})


def test_while_the_first_attempt_is_under_way_a_second_is_told_to_wait(api: Api) -> None:
    desk = Desk(api)
    desk.claimed()
    with pytest.raises(Refused) as refused:
        desk.keys.begin(desk.request())
    assert refused.value.kind is Code.IDEMPOTENCY_IN_FLIGHT
    assert refused.value.headers == {"retry-after": "1"}
    with pytest.raises(Refused) as other:
        desk.keys.begin(desk.request(b"another body"))
    assert other.value.kind is Code.IDEMPOTENCY_MISMATCH


def test_an_attempt_whose_process_died_is_taken_up_as_the_same_operation(api: Api) -> None:
    desk = Desk(api)
    dead = desk.claimed()
    api.now += CLAIM
    sent = api.run(desk.handle(created))
    assert desk.operations == [dead.operation_id]
    assert sent[0]["status"] == 201
    # It was not dead after all: what it comes to is not kept over the answer that was sent.
    desk.keys.keep(dead, Kept(500, [], b"late"))
    desk.keys.release(dead)
    desk.keys.forget(dead)
    assert desk.keys.begin(desk.request()) == Kept(201, [(b"location", b"/v1/exports/1")], b"first second")


def test_of_many_at_once_one_is_handled(api: Api) -> None:
    desk = Desk(api)
    holding = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await holding.wait()
        await created(scope, receive, send)

    async def scenario() -> list[Any]:
        tasks = [asyncio.ensure_future(desk.handle(slow)) for _ in range(8)]
        pending: set[asyncio.Future[list[Any]]] = set(tasks)
        while len(pending) > 1:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        holding.set()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    results = api.run(scenario())
    assert len(desk.operations) == 1
    assert sum(isinstance(each, Refused) for each in results) == 7


def test_an_attempt_that_fails_on_our_side_is_handled_again_as_the_same_operation(api: Api) -> None:
    desk = Desk(api)

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise StorageUnavailable("down")

    async def unavailable(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503})
        await send({"type": "http.response.body"})

    with pytest.raises(StorageUnavailable):
        api.run(desk.handle(broken))
    assert api.run(desk.handle(unavailable))[0]["status"] == 503
    assert api.run(desk.handle(created))[0]["status"] == 201
    assert len(desk.operations) == 3
    assert len(set(desk.operations)) == 1


def test_a_key_that_is_used_again_after_a_day_is_another_operation(api: Api) -> None:
    desk = Desk(api)
    first = desk.claimed()
    api.now += timedelta(hours=24)
    assert desk.claimed().operation_id != first.operation_id


# --------------------------------------------------------------------------------------------- the store
class IdempotencyContract:
    """What every store of kept answers promises; a subclass says where it is."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def keys(self, url: str) -> Iterator[IdempotencyKeys]:
        database = Database(url)
        database.migrate()
        yield IdempotencyKeys(database, Secrets(bytes(32)), timedelta(hours=24), lambda: NOW)
        database.close()

    def test_of_many_processes_that_begin_at_once_one_has_the_claim(self, keys: IdempotencyKeys) -> None:
        request = keys.request(PRINCIPAL, "once", SCOPE, b"{}")

        def begin(_number: int) -> Claim | Kept | Refused:
            try:
                return keys.begin(request)
            except Refused as refused:
                return refused

        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(begin, range(32)))
        claims = [each for each in results if isinstance(each, Claim)]
        assert len(claims) == 1
        assert all(each.kind is Code.IDEMPOTENCY_IN_FLIGHT for each in results if isinstance(each, Refused))
        answer = Kept(201, [(b"location", b"/v1/exports/1")], b"\x00\xff")
        keys.keep(claims[0], answer)
        assert begin(0) == answer

    def test_a_key_is_free_again_when_its_request_was_refused(self, keys: IdempotencyKeys) -> None:
        request = keys.request(PRINCIPAL, "once", SCOPE, b"{}")
        claim = keys.begin(request)
        assert isinstance(claim, Claim)
        keys.forget(claim)
        assert isinstance(keys.begin(keys.request(PRINCIPAL, "once", SCOPE, b"another")), Claim)

    def test_a_request_that_failed_is_the_same_operation_the_next_time(self, keys: IdempotencyKeys) -> None:
        request = keys.request(PRINCIPAL, "once", SCOPE, b"{}")
        claim = keys.begin(request)
        assert isinstance(claim, Claim)
        keys.release(claim)
        again = keys.begin(request)
        assert isinstance(again, Claim)
        assert again.operation_id == claim.operation_id


class TestIdempotency(IdempotencyContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'control.db'}"
