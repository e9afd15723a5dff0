"""Exports over HTTP: what is in them, who may fetch them, how long, and what a process that dies leaves."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import polars as pl
import pytest
from tests.unit.partner_api.conftest import Api
from tests.unit.partner_api.gold_lake import GoldLake, day, kpis, rows

from coworkai.common.errors import StorageUnavailable
from coworkai.common.lake import vacuum
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_KPI_GROUPS, GOLD_WORKBLOCKS
from coworkai.partner_api.exports import CLAIM, MAX_ATTEMPTS, MAX_UNDER_WAY, RETRY, Exporter
from coworkai.partner_api.principal import Scope


@pytest.fixture
def api(start: Callable[..., Api]) -> Api:
    """An application that makes exports when a test says so."""
    api = start()
    for task in api.services._background:
        task.cancel()
    return api


@pytest.fixture
def lake(api: Api) -> GoldLake:
    return GoldLake(api.settings.data_dir / "lake")


def exporter(api: Api, rows_a_part: int = 250_000) -> Exporter:
    """Another process's exporter over the same stores."""
    services = api.services
    return Exporter(
        services.exports,
        services.gold,
        services.rows,
        services.store,
        access_log=services.access_log,
        in_store=services.in_store,
        kept_for=timedelta(hours=24),
        rows_a_part=rows_a_part,
        clock=lambda: api.now,
    )


def create(api: Api, key: str, **body: Any) -> httpx.Response:
    return api.post("/v1/exports", key=key, json={"resource": "kpis/daily", **body})


def ready(api: Api, key: str, **body: Any) -> dict[str, Any]:
    """An export that has been made."""
    made = create(api, key, **body)
    assert made.status_code == 202, made.text
    assert made.json()["state"] == "queued"
    assert api.run(exporter(api).make_next())
    answer = api.get(made.headers["location"], key=key)
    assert answer.json()["state"] == "ready", answer.text
    found: dict[str, Any] = answer.json()
    return found


def content(api: Api, file: dict[str, Any]) -> bytes:
    answer = api.get(file["url"])
    assert answer.status_code == 200
    assert len(answer.content) == file["bytes"]
    return answer.content


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


READERS: dict[str, Callable[[bytes], pl.DataFrame]] = {
    "parquet": lambda data: pl.read_parquet(io.BytesIO(data)),
    "arrow": lambda data: pl.read_ipc_stream(io.BytesIO(data)),
    "csv": pl.read_csv,
    "ndjson": lambda data: pl.read_ndjson(io.BytesIO(data)),
}


def test_an_export_in_any_format_has_the_rows_of_its_list(api: Api, lake: GoldLake) -> None:
    version = lake.publish_kpis(day(0))
    lake.publish_kpis(day(1))
    key = api.key()
    listed = api.get("/v1/kpis/daily", key=key).json()["data"]
    for form, read in READERS.items():
        export = ready(api, key, format=form, fields=["worker_id", "measure", "value"])
        assert (export["rows"], export["data_version"]) == (12, version + 1)
        rows = read(content(api, export["files"][0])).to_dicts()
        assert rows == [{name: row[name] for name in ("worker_id", "measure", "value")} for row in listed]


def test_an_export_keeps_to_its_workers_dates_filters_and_version(api: Api, lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    lake.publish_kpis(day(0), offset=10)
    lake.publish_kpis(day(1))
    key = api.key(workers={"ana", "cleo"})
    export = ready(api, key, as_of_version=first, format="csv", worker_ids=["ana", "ben"])
    rows = pl.read_csv(content(api, export["files"][0]))
    assert rows["worker_id"].unique().to_list() == ["ana"]
    assert rows["value"].to_list() == [0, 1, 2]
    export = ready(api, key, start_date="2026-10-27", format="csv")
    assert pl.read_csv(content(api, export["files"][0]))["date"].unique().to_list() == ["2026-10-27"]


def test_an_export_of_nothing_is_a_file_without_rows(api: Api) -> None:
    export = ready(api, api.key(), resource="workblocks")
    assert (export["rows"], len(export["files"])) == (0, 1)
    assert READERS["parquet"](content(api, export["files"][0])).columns[:2] == ["date", "worker_id"]


INVALID: tuple[tuple[dict[str, Any], tuple[int, str]], ...] = (
    ({"resource": "tenants"}, (422, "invalid_body")),
    ({"resource": "../../etc/passwd"}, (422, "invalid_body")),
    ({"format": "xml"}, (422, "invalid_body")),
    ({"format": "json"}, (422, "invalid_body")),
    ({"colour": "blue"}, (422, "invalid_body")),
    ({"worker_ids": []}, (422, "invalid_body")),
    ({"worker_ids": [""]}, (422, "invalid_parameter")),
    ({"filters": {"tenant_id": ["globex"]}}, (422, "invalid_body")),
    ({"filters": {"format": ["csv"]}}, (422, "invalid_body")),
    ({"filters": {"measure": ["nothing"]}}, (422, "invalid_parameter")),
    ({"fields": ["colour"]}, (422, "unknown_field")),
    ({"start_date": "2026-02-30"}, (422, "invalid_body")),
    ({"start_date": "2020-01-01", "end_date": "2026-01-01"}, (422, "invalid_range")),
    ({"as_of_version": 99}, (404, "version_not_found")),
    ({"since_version": 99}, (404, "version_not_found")),
)


def test_an_export_that_is_not_valid_is_refused_before_it_begins(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    for body, expected in INVALID:
        answer = create(api, key, **body)
        assert problem(answer) == expected, body
        assert all(error["field"].startswith("body") for error in answer.json().get("errors", ()))
    assert not api.run(exporter(api).make_next())


def test_an_export_needs_the_scope_of_its_list_too(api: Api) -> None:
    assert problem(create(api, api.key(Scope.KPIS))) == (403, "missing_scope")
    assert problem(create(api, api.key(Scope.EXPORTS))) == (403, "missing_scope")
    assert create(api, api.key(Scope.EXPORTS, Scope.KPIS)).status_code == 202


def test_only_who_asked_for_an_export_sees_it(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    export = ready(api, key)
    for other in (api.key(), api.key(workers={"ana"}), api.key(tenant="globex")):
        assert problem(api.get(f"/v1/exports/{export['export_id']}", key=other)) == (404, "not_found")
        assert api.get("/v1/exports", key=other).json()["data"] == []


def test_exports_are_listed_newest_first_by_pages_without_addresses(api: Api) -> None:
    key = api.key()
    made = []
    for _ in range(3):
        made.append(create(api, key).json()["export_id"])
        api.now += timedelta(seconds=1)
    first = api.get("/v1/exports", key=key, params={"limit": 2}).json()
    rest = api.get("/v1/exports", key=key, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["export_id"] for one in first["data"] + rest["data"]] == made[::-1]
    assert rest["next_cursor"] is None
    assert problem(api.get("/v1/exports", key=api.key(), params={"cursor": first["next_cursor"]}))[0] == 422


def test_a_post_that_is_sent_twice_makes_one_export(api: Api) -> None:
    key = api.key()
    headers = {"idempotency-key": "nightly-1"}
    answers = [
        api.post("/v1/exports", key=key, json={"resource": "usage"}, headers=headers) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert len(api.get("/v1/exports", key=key).json()["data"]) == 1


def test_a_tenant_has_so_many_exports_under_way_and_no_more(api: Api) -> None:
    key, headers = api.key(), {"idempotency-key": "last"}
    for _ in range(MAX_UNDER_WAY - 1):
        assert create(api, key).status_code == 202
    body = {"resource": "usage"}
    last = api.post("/v1/exports", key=key, json=body, headers=headers).json()
    assert problem(create(api, api.key())) == (409, "conflict")
    assert api.post("/v1/exports", key=key, json=body, headers=headers).json() == last
    assert create(api, api.key(tenant="globex")).status_code == 202
    assert api.run(exporter(api).make_next())
    assert create(api, key).status_code == 202


def test_everybody_in_an_export_finds_it_in_their_access_log_and_nobody_else(
    api: Api, lake: GoldLake
) -> None:
    lake.publish_kpis(day(0), ["ana", "ben"])
    ready(api, api.key(name="warehouse"), worker_ids=["ana"])
    entry = lake.reads_of(api, "ana")[0]
    assert (entry.operation, entry.principal_name, entry.row_count) == ("create_export", "warehouse", 3)
    assert lake.reads_of(api, "ben") == []


def test_who_is_behind_an_exported_rollup_of_few_finds_it_in_their_access_log(
    api: Api, lake: GoldLake
) -> None:
    rollup = {"date": day(0), "period": "day", "level": "tenant", "group_id": "acme", "measure": "m0"}
    lake.publish(
        {
            day(0): {
                GOLD_KPI_DAILY.id: kpis(["ana", "ben"], day(0)),
                GOLD_KPI_GROUPS.id: rows(GOLD_KPI_GROUPS, {**rollup, "value": 1.0, "contributors": 2}),
            }
        }
    )
    ready(api, api.key(), resource="kpis/rollups")
    assert [lake.reads_of(api, user)[0].operation for user in ("ana", "ben")] == ["create_export"] * 2


def test_the_files_go_when_they_have_expired_and_the_addresses_before(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    export = ready(api, key)
    url = export["files"][0]["url"]
    api.now += timedelta(hours=3)
    assert problem(api.get(url)) == (403, "forbidden")
    again = api.get(f"/v1/exports/{export['export_id']}", key=key).json()
    assert api.get(again["files"][0]["url"]).status_code == 200
    api.now += timedelta(hours=22)
    api.run(exporter(api).remove_expired())
    after = api.get(f"/v1/exports/{export['export_id']}", key=key).json()
    assert (after["state"], after["files"]) == ("expired", [])
    assert lake.store.list("tenants/acme/exports") == []


def test_an_address_works_no_longer_than_the_files_are_kept(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    path = f"/v1/exports/{ready(api, key)['export_id']}"
    api.now += timedelta(hours=23)
    export = api.get(path, key=key).json()
    assert export["files"][0]["url_expires_at"] == export["expires_at"]
    assert api.get(export["files"][0]["url"]).status_code == 200
    api.now += timedelta(hours=1)
    # Nobody has come to remove them yet.
    assert lake.store.list("tenants/acme/exports") != []
    assert problem(api.get(export["files"][0]["url"])) == (403, "forbidden")
    after = api.get(path, key=key).json()
    assert (after["state"], after["files"]) == ("expired", [])
    assert api.get("/v1/exports", key=key).json()["data"][0]["state"] == "expired"


class Died(BaseException):
    """The process is gone: nothing after it runs."""


def test_what_a_process_that_died_has_made_is_kept_and_another_goes_on(api: Api, lake: GoldLake) -> None:
    for number in range(3):
        lake.publish_kpis(day(number))
    key = api.key()
    made = create(api, key, format="csv").json()
    first = exporter(api, rows_a_part=6)
    in_store = first._in_store
    done: list[Any] = []

    async def dies(work: Callable[[], Any]) -> Any:
        answer = await in_store(work)
        done.append(answer)
        if len(done) == 3:  # the claim, and two parts
            raise Died
        return answer

    first._in_store = dies
    with pytest.raises(Died):
        api.run(first.make_next())
    files = lake.store.list("tenants/acme/exports")
    assert [path.rpartition("/")[2] for path in files] == ["part-00000.csv", "part-00001.csv"]
    lake.store.put(files[0], b"kept as it was")

    second = exporter(api, rows_a_part=6)
    assert not api.run(second.make_next())
    state = api.get(f"/v1/exports/{made['export_id']}", key=key).json()
    assert (state["state"], state["files"]) == ("running", [])
    api.now += CLAIM
    assert api.run(second.make_next())
    export = api.get(f"/v1/exports/{made['export_id']}", key=key).json()
    assert [file["rows"] for file in export["files"]] == [6, 6, 6]
    assert api.get(export["files"][0]["url"]).content == b"kept as it was"
    assert "2026-10-28" in api.get(export["files"][2]["url"]).text
    assert [entry.row_count for entry in lake.reads_of(api, "ana")] == [6, 6, 6]


def _dying(api: Api, calls: int, error: BaseException, rows_a_part: int = 250_000) -> Exporter:
    """An exporter whose next call to the store after so many fails, and the others do not."""
    dying = exporter(api, rows_a_part)
    in_store = dying._in_store
    done: list[None] = []

    async def dies(work: Callable[[], Any]) -> Any:
        done.append(None)
        if len(done) == calls + 1:
            raise error
        return await in_store(work)

    dying._in_store = dies
    return dying


def test_an_export_that_kills_whoever_makes_it_fails_and_is_in_nobodys_way(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    deadly = create(api, key).headers["location"]
    api.now += timedelta(seconds=1)
    harmless = create(api, key, format="csv").headers["location"]
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Died):
            api.run(_dying(api, 1, Died()).make_next())
        assert api.get(deadly, key=key).json()["state"] == "running"
        api.now += CLAIM
    assert api.run(exporter(api).make_next())
    assert api.get(harmless, key=key).json()["state"] == "ready"
    failed = api.get(deadly, key=key).json()
    assert (failed["state"], failed["error_code"], failed["files"]) == ("failed", "too_many_attempts", [])
    assert api.get(f"/problems/{failed['error_code']}").status_code == 200
    assert not api.run(exporter(api).make_next())


def test_an_export_that_comes_further_each_time_is_made_whoever_dies(api: Api, lake: GoldLake) -> None:
    for number in range(MAX_ATTEMPTS + 2):
        lake.publish_kpis(day(number))
    key = api.key()
    path = create(api, key).headers["location"]
    for _ in range(MAX_ATTEMPTS + 1):
        with pytest.raises(Died):
            api.run(_dying(api, 2, Died(), rows_a_part=6).make_next())
        api.now += CLAIM
    assert api.run(exporter(api, rows_a_part=6).make_next())
    assert api.get(path, key=key).json()["state"] == "ready"


def test_an_export_that_waits_for_the_store_is_tried_as_often_as_it_takes(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    path = create(api, key).headers["location"]
    for _ in range(MAX_ATTEMPTS + 1):
        assert api.run(_dying(api, 1, StorageUnavailable("no answer")).make_next())
        api.now += RETRY
    assert api.run(exporter(api).make_next())
    assert api.get(path, key=key).json()["state"] == "ready"


def test_a_process_that_lost_its_claim_keeps_nothing_more(api: Api, lake: GoldLake) -> None:
    for number in range(2):
        lake.publish_kpis(day(number))
    key = api.key()
    made = create(api, key, format="csv").json()
    slow, quick = exporter(api, rows_a_part=6), exporter(api, rows_a_part=6)
    in_store = slow._in_store
    calls: list[None] = []

    async def overtaken(work: Callable[[], Any]) -> Any:
        calls.append(None)
        if len(calls) == 2:
            api.now += CLAIM
            assert await quick.make_next()
        return await in_store(work)

    slow._in_store = overtaken
    assert api.run(slow.make_next())
    export = api.get(f"/v1/exports/{made['export_id']}", key=key).json()
    assert (export["state"], len(export["files"])) == ("ready", 2)


def test_an_export_of_a_version_that_was_cleaned_up_fails_and_says_why(api: Api, lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    lake.publish_kpis(day(0), offset=10)
    key = api.key()
    made = create(api, key, as_of_version=first).json()
    for table in (GOLD_KPI_DAILY, GOLD_WORKBLOCKS):
        vacuum(lake.lake.open(table, "acme"), table, retention=timedelta(0))
    assert api.run(exporter(api).make_next())
    export = api.get(f"/v1/exports/{made['export_id']}", key=key).json()
    assert (export["state"], export["error_code"], export["files"]) == ("failed", "version_expired", [])


def test_nothing_stays_of_an_export_that_failed_half_way(api: Api, lake: GoldLake) -> None:
    for number in range(3):
        version = lake.publish_kpis(day(number))
    for number in range(3):
        lake.publish_kpis(day(number), offset=10)
    key = api.key()
    made = create(api, key, as_of_version=version, format="csv").json()
    first = exporter(api, rows_a_part=6)
    in_store = first._in_store
    parts: list[str] = []

    async def cleaned_up(work: Callable[[], Any]) -> Any:
        if lake.store.list("tenants/acme/exports") and not parts:
            vacuum(lake.lake.open(GOLD_KPI_DAILY, "acme"), GOLD_KPI_DAILY, retention=timedelta(0))
            parts.extend(lake.store.list("tenants/acme/exports"))
        return await in_store(work)

    first._in_store = cleaned_up
    assert api.run(first.make_next())
    assert len(parts) == 1
    api.run(first.remove_expired())
    assert lake.store.list("tenants/acme/exports") == []
    export = api.get(f"/v1/exports/{made['export_id']}", key=key).json()
    assert (export["state"], export["error_code"], export["files"]) == ("failed", "version_expired", [])
    assert api.services.exports.expired() == []


def test_exports_are_made_after_an_error_of_ours(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    path = create(api, key).headers["location"]
    failing = exporter(api)
    in_store = failing._in_store
    errors = [RuntimeError("broken")]

    async def broken_once(work: Callable[[], Any]) -> Any:
        if errors:
            raise errors.pop()
        return await in_store(work)

    failing._in_store = broken_once

    async def until_ready() -> None:
        watching = asyncio.create_task(failing.watch())
        while (await api.client.get(path, headers={"authorization": f"Bearer {key}"})).json()[
            "state"
        ] != "ready":
            failing.look()
        watching.cancel()

    api.run(until_ready())
    assert errors == []


def test_the_application_makes_exports_by_itself(start: Callable[..., Api]) -> None:
    api = start()
    GoldLake(api.settings.data_dir / "lake").publish_kpis(day(0))
    key = api.key()
    made = create(api, key).json()
    path = f"/v1/exports/{made['export_id']}"
    while (state := api.get(path, key=key).json())["state"] in {"queued", "running"}:
        continue
    assert state["state"] == "ready"
