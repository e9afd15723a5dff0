"""What every answer has, whatever it answers: ids, problems, quotas, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Query, Response
from starlette.responses import StreamingResponse
from tests.unit.partner_api.conftest import NOW, OTHER_TENANT, TENANT, Api

from coworkai.common.errors import StorageUnavailable
from coworkai.partner_api.guard import Access, Caller, Retirement, guarded
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.problems import KINDS, Code, Refused
from coworkai.partner_api.rate_limit import WINDOW_S, RateLimit

SECRET = "alice@example.com"
READ = Access(None, Reach.AGGREGATE)
GOING = Access(None, retirement=Retirement(NOW, NOW + timedelta(days=90), "https://docs.example/old"))


def add_examples(app: FastAPI) -> None:
    """Routes that do what routes may do."""

    @app.get("/v1/broken")
    async def broken(_caller: Annotated[Caller, guarded(READ)]) -> None:
        raise ValueError(SECRET)

    @app.get("/v1/down")
    async def down(_caller: Annotated[Caller, guarded(READ)]) -> None:
        raise StorageUnavailable("the lake does not answer")

    @app.get("/v1/typed")
    async def typed(
        _caller: Annotated[Caller, guarded(Access(Scope.KPIS))],
        number: Annotated[int, Query(ge=1)] = 1,
    ) -> int:
        return number

    @app.get("/v1/same")
    async def same(_caller: Annotated[Caller, guarded(READ)]) -> Response:
        return Response(status_code=304)

    @app.get("/v1/old", deprecated=True)
    async def old(_caller: Annotated[Caller, guarded(GOING)]) -> None:
        raise Refused(Code.NOT_FOUND, "not found")

    @app.get("/v1/breaks-off")
    async def breaks_off(_caller: Annotated[Caller, guarded(READ)]) -> Response:
        async def rows() -> Any:
            yield b"half"
            raise ValueError(SECRET)

        return StreamingResponse(rows())


@pytest.fixture
def example(start: Callable[..., Api]) -> Iterator[Api]:
    api = start()
    add_examples(api.app.api)
    yield api


def test_every_answer_has_an_id_of_its_own_and_the_headers_that_keep_browsers_safe(api: Api) -> None:
    ids = set()
    for path in ("/v1/me", "/v1/none", "/healthz", "/.well-known/jwks.json", "/problems", "/nowhere"):
        for key in (None, api.key()):
            answer = api.get(path, key=key)
            ids.add(answer.headers["x-request-id"])
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert "max-age" in answer.headers["strict-transport-security"]
            assert answer.headers["cache-control"]
    assert len(ids) == 12
    assert all(each.startswith("req_") for each in ids)


def test_an_error_is_a_problem_with_a_code_and_the_id_of_its_request(api: Api) -> None:
    answer = api.get("/v1/none", key=api.key())
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/not_found",
        "title": "Not found",
        "status": 404,
        "code": "not_found",
        "detail": "not found",
        "request_id": answer.headers["x-request-id"],
    }
    wrong = api.request("DELETE", "/v1/me", key=api.key())
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"
    # Of all routes of the path, whichever was declared first.
    assert api.request("PUT", "/v1/exports", key=api.key()).headers["allow"] == "GET, POST"


def test_the_type_of_every_problem_leads_to_what_it_means(api: Api) -> None:
    kinds = api.get("/problems").json()
    assert {kind["code"] for kind in kinds} == {code.value for code in Code} == {code.value for code in KINDS}
    for kind in kinds:
        assert api.get(f"/problems/{kind['code']}").json() == kind
    assert api.get("/problems/none").status_code == 422


def test_an_unexpected_error_tells_nothing_but_its_request_id(
    example: Api, caplog: pytest.LogCaptureFixture
) -> None:
    answer = example.get("/v1/broken", key=example.key())
    told = answer.json()
    assert (answer.status_code, told["code"], "detail" in told) == (500, "internal", False)
    assert SECRET not in answer.text
    logged = [
        record.__dict__["fields"] for record in caplog.records if "request failed" in record.getMessage()
    ]
    assert [fields["request_id"] for fields in logged] == [told["request_id"]]


def test_what_may_work_later_says_when(example: Api) -> None:
    answer = example.get("/v1/down", key=example.key())
    assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "lake" not in answer.text


def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(example: Api) -> None:
    key = example.key()
    sent: list[Any] = []

    async def scenario() -> None:
        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/v1/breaks-off",
            "raw_path": b"/v1/breaks-off",
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key}".encode())],
            "client": ("192.0.2.1", 1),
        }
        # The server closes the connection of what raises.
        with pytest.raises(Exception):  # noqa: B017
            await example.app(scope, receive, send)

    example.run(scenario())
    assert sent[0]["status"] == 200
    assert all(message.get("more_body", True) for message in sent[1:])


# ------------------------------------------------------------------------------------------- parameters
def test_a_parameter_that_is_not_known_is_refused_by_name(example: Api) -> None:
    answer = example.get("/v1/typed?number=2&nubmer=3", key=example.key())
    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, "unknown_parameter")
    assert told["errors"] == [{"field": "query.nubmer", "message": "unknown parameter"}]
    assert told["remedy"] == "known here: number"


@pytest.mark.parametrize("query", ["limit=1&limit=2", "as_of_version=1&limit=1&as_of_version=1"])
def test_a_parameter_that_is_given_twice_is_refused(api: Api, query: str) -> None:
    answer = api.get(f"/v1/workers?{query}", key=api.key())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")
    assert [each["message"] for each in answer.json()["errors"]] == ["given more than once"]


def test_an_invalid_parameter_is_named_and_its_value_is_not_repeated(example: Api) -> None:
    for value in ("0", SECRET, "%00", "1e9"):
        answer = example.get(f"/v1/typed?number={value}", key=example.key())
        told = answer.json()
        assert (answer.status_code, told["code"]) == (422, "invalid_parameter")
        assert told["errors"][0]["field"] == "query.number"
        assert SECRET not in answer.text


def test_who_may_not_ask_at_all_is_told_that_before_what_is_wrong_with_the_question(example: Api) -> None:
    for query in ("?number=x", "?unknown=1"):
        answer = example.get(f"/v1/typed{query}", key=example.key(Scope.BRIEFS))
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
        assert 'scope="kpis:read"' in answer.headers["www-authenticate"]


def test_a_body_that_is_no_json_is_a_problem(api: Api) -> None:
    key = api.key()
    for body in (b"{", b"\xff", b"[" * 100_000, b"null", b"[]", b'{"worker_id": 1e999}'):
        headers = {"content-type": "application/json"}
        answer = api.post("/v1/worker-tokens", key=key, content=body, headers=headers)
        assert answer.status_code in {400, 422}, body[:10]
        assert answer.json()["code"] in {"bad_request", "invalid_body"}
    told = api.post("/v1/worker-tokens", key=key, content=b"{", headers=headers).json()
    assert told["errors"] == [{"field": "body", "message": "JSON decode error"}]


def test_an_operation_that_is_going_away_says_so_in_every_answer(example: Api) -> None:
    answer = example.get("/v1/old", key=example.key())
    assert answer.status_code == 404
    assert answer.headers["deprecation"] == f"@{int(NOW.timestamp())}"
    assert answer.headers["sunset"] == "Sun, 07 Feb 2027 12:00:00 GMT"
    assert answer.headers["link"] == '<https://docs.example/old>; rel="deprecation"; type="text/html"'
    assert "deprecation" not in example.get("/v1/me", key=example.key()).headers


def test_a_process_whose_work_beside_the_requests_has_ended_is_not_ready(api: Api) -> None:
    async def ends() -> None:
        raise ValueError(SECRET)

    async def begin() -> None:
        api.services._run(ends())
        await asyncio.sleep(0)

    assert api.get("/readyz").status_code == 200
    api.run(begin())
    answer = api.get("/readyz")
    assert (answer.status_code, SECRET in answer.text) == (503, False)
    assert api.get("/v1/me", key=api.key()).status_code == 200


# ------------------------------------------------------------------------------------------------ quotas
def test_a_caller_is_told_its_quota_and_what_is_left_of_it(start: Callable[..., Api]) -> None:
    api = start(rate_limit_per_minute=3)
    key, other = api.key(), api.key()
    for left in (2, 1, 0):
        answer = api.get("/v1/me", key=key)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"requests";q=3;w=60'
        assert answer.headers["ratelimit"].startswith(f'"requests";r={left};t=')
    refused = api.get("/v1/me", key=key)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
    assert api.get("/v1/me", key=other).status_code == 200


def test_workers_of_two_tenants_share_no_quota_when_they_are_called_alike(start: Callable[..., Api]) -> None:
    api = start(rate_limit_per_minute=1)
    for tenant in (TENANT, OTHER_TENANT):
        assert api.get("/v1/me", key=api.worker_token("ana", tenant=tenant)).status_code == 200
    assert api.get("/v1/me", key=api.worker_token("ana")).status_code == 429


def test_an_answer_that_nothing_changed_costs_nothing(example: Api) -> None:
    key = example.key()
    left = [example.get("/v1/same", key=key).headers["ratelimit"].split(";")[1] for _ in range(3)]
    assert left == ["r=6000"] * 3


def test_a_quota_is_full_again_after_its_window() -> None:
    time = 100.0
    limit = RateLimit(2, lambda: time)
    limit.take(limit.window("acme", "a"))
    time += WINDOW_S / 2
    limit.take(limit.window("acme", "a"))
    with pytest.raises(Refused) as refused:
        limit.take(limit.window("acme", "a"))
    assert refused.value.headers == {"retry-after": "30"}
    time += WINDOW_S / 2
    limit.take(limit.window("acme", "a"))


# ------------------------------------------------------------------------------------------------ limits
def test_a_body_over_the_limit_is_refused_whether_it_says_its_size_or_not(start: Callable[..., Api]) -> None:
    api = start(max_body_bytes=1_000)
    key = api.key()

    async def unsized() -> Any:
        for _ in range(20):
            yield b"x" * 100

    for content in (b"x" * 1_001, unsized()):
        answer = api.post("/v1/worker-tokens", key=key, content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"


def test_nobody_unknown_has_a_body_read(api: Api) -> None:
    async def endless() -> Any:
        while True:
            yield b"x" * 1_000

    answer = api.post("/v1/worker-tokens", content=endless())
    assert (answer.status_code, answer.headers["connection"]) == (401, "close")


def test_a_compressed_body_is_refused(api: Api) -> None:
    headers = {"content-encoding": "gzip"}
    answer = api.post("/v1/worker-tokens", key=api.key(), content=b"\x1f\x8b", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_head_over_the_limit_is_refused_before_anything_else(api: Api) -> None:
    large: list[dict[str, Any]] = [{"headers": {"x": "x" * 20_000}}, {"params": {"q": "x" * 20_000}}]
    for arguments in large:
        answer = api.get("/v1/me", **arguments)
        assert (answer.status_code, answer.json()["code"]) == (431, "headers_too_large")
    many = {f"x-{number}": "" for number in range(2_000)}
    assert api.get("/v1/me", headers=many).status_code == 431


def test_a_body_that_does_not_arrive_in_time_is_given_up(start: Callable[..., Api]) -> None:
    api = start(body_timeout_s=0.01)

    async def slow() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    answer = api.post("/v1/worker-tokens", key=api.key(), content=slow())
    assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"


def test_an_injection_in_a_header_reaches_no_answer(api: Api) -> None:
    for value in (b"a\r\nset-cookie: x=1", b"\x00", b"%0d%0aset-cookie: x=1"):
        answer = api.get("/v1/me", headers={"authorization": b"Bearer " + value, "x-request-id": value})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert value.decode("latin-1") not in answer.headers["x-request-id"]


@pytest.mark.parametrize("value", [True, "600"])
def test_a_number_of_a_body_is_a_number(api: Api, value: object) -> None:
    body = {"worker_id": "ana", "expires_in_s": value}
    answer = api.post("/v1/worker-tokens", key=api.key(), json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert answer.json()["errors"][0]["field"] == "body.expires_in_s"


def test_a_body_that_is_not_said_to_be_json_is_told_how_to_say_so(api: Api) -> None:
    body = b'{"worker_id": "user_1"}'
    form = {"content-type": "application/x-www-form-urlencoded"}
    key = api.key()
    refused = api.post("/v1/worker-tokens", key=key, content=body, headers=form).json()
    assert (refused["code"], refused["remedy"]) == ("invalid_body", "send Content-Type: application/json")
    said = {"content-type": "application/json; charset=utf-8"}
    refused = api.post("/v1/worker-tokens", key=key, content=b"{}", headers=said).json()
    assert refused["code"] == "invalid_body"
    assert "remedy" not in refused
