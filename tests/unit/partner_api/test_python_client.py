"""The Python client against the application in process, and against answers that it seldom gives."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec
import polars as pl
import pytest
from clients.python import generate
from tests.unit.partner_api.conftest import BASE, TENANT, Api
from tests.unit.partner_api.gold_lake import DAY, GoldLake, day

from coworkai.partner_api.credentials import Grant
from coworkai.partner_api.principal import Reach, Scope
from coworkai_client import ApiError, Client, ClientCredentials, ExportFailed, Retries, models

DOCUMENT = Path("docs/openapi.json")
NOT_WAITING = Retries(sleep=lambda _seconds: None)


class InProcess(httpx.BaseTransport):
    """Gives requests to the application, and keeps them and its answers."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.seen: list[tuple[httpx.Request, httpx.Response]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        answer = self.api.run(
            self.api.client.request(
                request.method, str(request.url), headers=dict(request.headers), content=request.content
            )
        )
        self.seen.append((request, answer))
        headers = [one for one in answer.headers.multi_items() if one[0] != "content-encoding"]
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    @property
    def statuses(self) -> list[int]:
        return [answer.status_code for _, answer in self.seen]


class Scripted(httpx.BaseTransport):
    """Gives these answers, one after the other; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_an_operation_that_is_going_away_warns_whoever_calls_it() -> None:
    headers = {
        "deprecation": "@1793000000",
        "sunset": "Sun, 07 Feb 2027 12:00:00 GMT",
        "link": '<https://docs.example/old>; rel="deprecation"',
    }
    page = {"data": [], "has_more": False, "next_cursor": None}
    wire = Scripted(httpx.Response(200, headers=headers, json=page), httpx.Response(200, json=page))
    client = Client(BASE, "cwk", transport=wire, retries=NOT_WAITING)
    with pytest.warns(DeprecationWarning, match=r"GET /v1/runs is deprecated .* 07 Feb 2027 .*docs\.example"):
        list(client.list_runs())
    list(client.list_runs())


@pytest.fixture
def gold(tmp_path: Path) -> GoldLake:
    gold = GoldLake(tmp_path / "lake")
    for number in range(3):
        gold.publish_kpis(day(number))
    return gold


@pytest.fixture
def wire(gold: GoldLake, api: Api) -> InProcess:
    return InProcess(api)


@pytest.fixture
def client(wire: InProcess) -> Client:
    return Client(BASE, wire.api.key(), transport=wire, retries=NOT_WAITING)


def scripted(*answers: httpx.Response | Exception, retries: Retries = NOT_WAITING) -> tuple[Client, Scripted]:
    wire = Scripted(*answers)
    return Client(BASE, "cwk_test", transport=wire, retries=retries), wire


def later(seconds: int, status: int = 429) -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": str(seconds)})


ME = httpx.Response(
    200,
    json={
        "principal_id": "k",
        "kind": "robot",
        "name": "n",
        "tenant_id": "t",
        "reach": "individual",
        "scopes": ["kpis:read", "weather:read"],
        "worker_ids": None,
        "favourite_colour": "blue",
    },
)


def test_rows_of_all_pages_come_with_their_types(client: Client, wire: InProcess) -> None:
    rows = list(client.list_kpis_daily(limit=5))
    assert len(rows) == 18
    assert rows[0] == models.DailyKpi(
        date=DAY, worker_id="ana", measure="m0", value=0.0, unit="s", run_id=rows[0].run_id
    )
    assert len(wire.seen) == 4


def test_filters_and_dates_are_sent_as_the_api_has_them(client: Client) -> None:
    rows = list(client.list_kpis_daily(worker_id=["ben"], start_date=day(1), end_date=day(1)))
    assert {(row.worker_id, row.date) for row in rows} == {("ben", day(1))}
    assert next(iter(client.list_workblocks(worker_id="ana"))).started_at == dt.datetime(
        2026, 10, 26, 9, tzinfo=dt.UTC
    )
    assert list(client.list_briefs(all_versions=True)) == []


def test_a_sync_replaces_the_dates_that_changed(client: Client, wire: InProcess, gold: GoldLake) -> None:
    first = client.list_kpis_daily().first_page()
    assert first.changed_dates is None
    gold.publish_kpis(day(1), offset=100.0)
    gold.forget_snapshots(wire.api)
    news = client.list_kpis_daily(since_version=first.data_version).first_page()
    assert news.changed_dates == [day(1)]
    assert {row.date for row in news.data} == {day(1)}
    assert news.data[0].value == 100.0


def test_a_whole_range_comes_in_one_answer(client: Client) -> None:
    bulk = client.list_kpis_daily(limit=1, worker_id="ana").read("parquet", fields=["date", "value"])
    assert pl.read_parquet(io.BytesIO(bulk.content)).shape == (9, 2)
    assert bulk.data_version == client.list_kpis_daily().first_page().data_version
    assert bulk.changed_dates is None
    since = client.list_kpis_daily(since_version=bulk.data_version).read("csv")
    assert since.changed_dates == []


def test_what_is_current_is_not_fetched_again(client: Client, wire: InProcess, gold: GoldLake) -> None:
    assert list(client.list_workblocks()) == list(client.list_workblocks())
    assert wire.statuses == [200, 304]
    gold.publish_kpis(day(3))
    gold.forget_snapshots(wire.api)
    assert len(list(client.list_workblocks())) == 8
    assert wire.statuses == [200, 304, 200]


def test_only_the_newest_answers_are_kept(wire: InProcess) -> None:
    client = Client(BASE, wire.api.key(), transport=wire, kept_answers=1)
    for limit in (7, 8, 7):
        client.list_workblocks(limit=limit).first_page()
    assert wire.statuses == [200, 200, 200]


def test_a_refusal_says_why_and_names_the_request(client: Client) -> None:
    with pytest.raises(ApiError, match="404 not_found") as refused:
        client.get_workblock("wb:nobody:1026:00")
    assert refused.value.code == "not_found"
    assert refused.value.request_id.startswith("req_")
    with pytest.raises(ApiError, match=r"query\.measure: one of active_s"):
        list(client.list_kpis_daily(measure="m99"))  # type: ignore[arg-type]


def test_ids_are_one_segment_of_a_path() -> None:
    client, wire = scripted(ME)
    with pytest.raises(msgspec.ValidationError):
        client.get_worker("../me?x=/1")
    assert wire.seen[0].url.raw_path == b"/v1/workers/..%2Fme%3Fx%3D%2F1"


def test_a_post_that_is_sent_again_makes_nothing_twice(wire: InProcess) -> None:
    client = Client(BASE, wire.api.key(), transport=wire)
    asked = models.NewWorkerToken(worker_id="ana")
    first = client.create_worker_token(asked, idempotency_key="mine")
    assert client.create_worker_token(asked, idempotency_key="mine") == first
    assert client.create_worker_token(asked) != first


def test_every_attempt_of_a_post_has_the_same_idempotency_key() -> None:
    refused = (later(1, 409), httpx.ConnectError("refused"), later(1, 503))
    client, wire = scripted(*refused, httpx.Response(400))
    with pytest.raises(ApiError, match="400"):
        client.create_worker_token(models.NewWorkerToken(worker_id="ana"))
    assert len({request.headers["idempotency-key"] for request in wire.seen}) == 1
    assert len(wire.seen) == 4


def test_it_waits_as_long_as_it_is_told_and_longer_each_time() -> None:
    waited: list[float] = []
    client, _ = scripted(
        later(7), later(0), httpx.ConnectError("refused"), ME, retries=Retries(sleep=waited.append)
    )
    client.get_me()
    assert waited[0] == 7
    assert 0.25 <= waited[1] <= 0.5 <= waited[2] <= 1.0


@pytest.mark.parametrize(
    "answers",
    [[later(3600)], [httpx.Response(500)], [later(1)] * 3, [httpx.Response(429)]],
    ids=["later than it waits", "not for later", "every time", "without saying when"],
)
def test_it_gives_up(answers: Sequence[httpx.Response]) -> None:
    client, wire = scripted(*answers, retries=Retries(attempts=3, sleep=lambda _: None))
    with pytest.raises(ApiError):
        client.get_me()
    assert wire.answers == []


def test_what_cannot_be_repeated_is_sent_once() -> None:
    client, wire = scripted(httpx.ReadError("broken"))
    with pytest.raises(httpx.ReadError):
        client.transport.send("DELETE", "/v1/webhook-endpoints/we_1")
    assert len(wire.seen) == 1


def test_what_the_api_adds_later_is_no_error() -> None:
    client, _ = scripted(ME)
    me = client.get_me()
    assert me.kind == "robot"
    assert me.scopes == [models.Scope.KPIS_READ, "weather:read"]


def test_a_page_of_something_in_between_is_a_refusal_too() -> None:
    client, _ = scripted(httpx.Response(502, html="<h1>Bad gateway</h1>"))
    with pytest.raises(ApiError, match="502 : Bad Gateway"):
        client.get_me()


def test_an_oauth_client_gets_one_token_and_another_before_it_expires(wire: InProcess) -> None:
    now = 0.0
    grant = Grant(frozenset({Scope.KPIS}), Reach.INDIVIDUAL, None)
    made = wire.api.services.credentials.create_client(TENANT, "client", grant, actor="test")
    credentials = ClientCredentials(BASE, made.credential.credential_id, made.secret, clock=lambda: now)
    client = Client(BASE, credentials, transport=wire)
    assert client.get_me().kind is models.PrincipalKind.OAUTH_CLIENT
    client.get_me()
    now = 3600.0
    client.get_me()
    assert [request.url.path for request, _ in wire.seen] == [
        "/oauth/token",
        "/v1/me",
        "/v1/me",
        "/oauth/token",
        "/v1/me",
    ]


def test_an_oauth_token_that_is_not_taken_any_more_is_renewed_once(wire: InProcess) -> None:
    token = {"access_token": "t", "expires_in": 3600}
    told = [httpx.Response(200, json=token), httpx.Response(401), httpx.Response(200, json=token)]
    scripted_wire = Scripted(*told, httpx.Response(401))
    client = Client(BASE, ClientCredentials(BASE, "id", "secret"), transport=scripted_wire)
    with pytest.raises(ApiError, match="401"):
        client.get_me()
    assert scripted_wire.answers == []


def test_an_oauth_client_that_is_refused_is_told_why(wire: InProcess) -> None:
    client = Client(BASE, ClientCredentials(BASE, "nobody", "secret"), transport=wire)
    with pytest.raises(ApiError, match="401 invalid_client: "):
        client.get_me()


def job(state: str) -> httpx.Response:
    return httpx.Response(
        200,
        json={
            "export_id": "exp_1",
            "state": state,
            "resource": "workblocks",
            "format": "csv",
            "data_version": 1,
            "rows": None,
            "bytes": None,
            "files": [],
            "created_at": "2026-11-09T12:00:00Z",
            "started_at": None,
            "finished_at": None,
            "expires_at": None,
            "error_code": "storage_unavailable" if state == "failed" else None,
        },
    )


def test_an_export_is_waited_for() -> None:
    client, wire = scripted(job("queued"), job("running"), job("ready"))
    assert client.export(models.NewExport(resource="workblocks")).state is models.ExportState.READY
    assert msgspec.json.decode(wire.seen[0].content) == {"resource": "workblocks"}
    assert wire.seen[-1].url.path == "/v1/exports/exp_1"


@pytest.mark.parametrize(("states", "says"), [(["failed"], "storage_unavailable"), (["queued"], "not ready")])
def test_an_export_that_fails_or_takes_too_long_is_told(states: list[str], says: str) -> None:
    client, _ = scripted(*map(job, states))
    with pytest.raises(ExportFailed, match=says):
        client.export(models.NewExport(resource="workblocks"), timeout_s=0.0)


def test_every_operation_has_a_method_but_those_that_have_clients_of_their_own() -> None:
    document = msgspec.json.decode(DOCUMENT.read_bytes())
    ours = {
        operation["operationId"]
        for path, item in document["paths"].items()
        for operation in item.values()
        if path.startswith("/v1/")
    }
    assert ours
    assert ours - set(dir(Client)) == set()


def test_the_check_of_the_client_fails_when_the_document_has_another_operation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check", str(DOCUMENT)]) == 0
    changed = msgspec.json.decode(DOCUMENT.read_bytes())
    changed["paths"]["/v1/you"] = {"get": {**changed["paths"]["/v1/me"]["get"], "operationId": "get_you"}}
    file = tmp_path / "openapi.json"
    file.write_bytes(msgspec.json.encode(changed))
    assert generate.main(["--check", str(file)]) == 1
    assert "operations.py: out of date" in capsys.readouterr().err
