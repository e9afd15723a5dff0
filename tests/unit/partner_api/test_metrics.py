"""The catalogue and queries of measures: what each reach gets, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import polars as pl
import pytest
from tests.unit.partner_api.conftest import Api
from tests.unit.partner_api.gold_lake import GoldLake, day, kpi, rows

from coworkai.common.control import Stage
from coworkai.common.measures import CATALOGUE
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_KPI_GROUPS, GOLD_KPI_LATTICE, SILVER_ORG_MEMBERS
from coworkai.partner_api.formats import TABULAR
from coworkai.partner_api.openapi.document import document
from coworkai.partner_api.principal import Reach, Scope

RED, BLUE = ("ana", "ben", "cleo", "dan", "eve"), ("fay", "gus")
PUBLISHED = datetime(2026, 11, 3, tzinfo=UTC)
QUERY = {"measures": ["active_s"], "start_date": "2026-10-26", "end_date": "2026-10-31"}


def cell(group: str, value: float | None, period: str = "day") -> dict[str, object]:
    """Active time of a group on the Monday or in its week."""
    told = value is not None
    return {
        "date": day(0),
        "period": period,
        "level": "tenant" if group == "acme" else "team",
        "group_id": group,
        "measure": "active_s",
        "value": value,
        "unit": "s",
        "contributors": 5 if told else None,
        "suppressed": None if told else "primary",
        "days_covered": int(told),
        "published_at": PUBLISHED if told else None,
    }


@pytest.fixture
def lake(api: Api) -> GoldLake:
    """Five and two workers on a Monday and a Tuesday, with 100, 101, … seconds; and the lattice of it."""
    lake = GoldLake(api.settings.data_dir / "lake")
    members = [
        {"user_id": user, "date": day(0), "team": team, "valid_from": day(0), "is_current": True}
        for team, users in (("red", RED), ("blue", BLUE))
        for user in users
    ]
    # Ben was of the other team on Tuesday.
    members[1] |= {"valid_to": day(1)}
    members.append({**members[1], "date": day(1), "team": "blue", "valid_from": day(1), "valid_to": None})
    lake.publish(
        {
            day(0): {SILVER_ORG_MEMBERS.id: rows(SILVER_ORG_MEMBERS, *members[:-1])},
            day(1): {SILVER_ORG_MEMBERS.id: rows(SILVER_ORG_MEMBERS, members[-1])},
        },
        stage=Stage.SILVER,
    )
    values = {
        day(n): {
            GOLD_KPI_DAILY.id: rows(
                GOLD_KPI_DAILY,
                *(kpi(user, day(n), "active_s", 100.0 + k) for k, user in enumerate(RED + BLUE)),
                *(kpi(user, day(n), "focus_s", 50.0) for user in RED),
                *(kpi(user, day(n), "focus_ratio", 50.0 / (100 + k)) for k, user in enumerate(RED)),
            )
        }
        for n in range(2)
    }
    lake.publish(values)
    lattice = [
        cell("red", 510.0),
        cell("blue", None),
        cell("acme", 721.0),
        cell("red", 1020.0, period="week"),
    ]
    lake.publish({day(0): {GOLD_KPI_LATTICE.id: rows(GOLD_KPI_LATTICE, *lattice)}}, stage=Stage.LATTICE)
    return lake


def ask(api: Api, key: str, **changes: object) -> httpx.Response:
    return api.post("/v1/metrics/query", key=key, json={**QUERY, **changes})


def cells(answer: httpx.Response, *names: str) -> list[tuple[Any, ...]]:
    assert answer.status_code == 200, answer.text
    assert (answer.json()["has_more"], answer.json()["next_cursor"]) == (False, None)
    return [tuple(row[name] for name in names) for row in answer.json()["data"]]


def aggregate(api: Api) -> str:
    return api.key(Scope.METRICS, reach=Reach.AGGREGATE)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


# ------------------------------------------------------------------------------------------- catalogue
def test_the_catalogue_is_listed_whole_and_not_sent_twice(api: Api) -> None:
    for key in (api.key(Scope.METRICS), aggregate(api)):
        answer = api.get("/v1/metrics", key=key)
        assert [one["name"] for one in answer.json()["data"]] == list(CATALOGUE)
        ratio = answer.json()["data"][7]
        assert (ratio["name"], ratio["numerator"], ratio["unit"]) == ("focus_ratio", "focus_s", "share")
        again = api.get("/v1/metrics", key=key, headers={"if-none-match": answer.headers["etag"]})
        assert again.status_code == 304


def test_a_query_has_the_formats_of_a_list_and_no_other(api: Api, lake: GoldLake) -> None:
    answer = api.post("/v1/metrics/query?format=markdown", key=api.key(Scope.METRICS), json=QUERY)
    assert refusal(answer) == (422, "invalid_parameter")
    operation = document(api.app.api)["paths"]["/v1/metrics/query"]["post"]
    (form,) = [one for one in operation["parameters"] if one.get("name") == "format"]
    assert form["schema"]["enum"] == [one.value for one in TABULAR]


# ------------------------------------------------------------------------------------------- aggregate
def test_aggregate_reach_gets_cells_of_the_lattice_as_they_were_published(api: Api, lake: GoldLake) -> None:
    key = aggregate(api)
    answer = ask(api, key, group_by=["team", "day"])
    assert answer.json()["data"] == [
        {
            **cell("blue", None),
            "date": "2026-10-26",
        },
        {
            **cell("red", 510.0),
            "date": "2026-10-26",
            "published_at": "2026-11-03T00:00:00Z",
        },
    ]
    assert answer.headers["x-data-version"] == str(lake.lake.open(GOLD_KPI_LATTICE, "acme").version())
    shown = ("period", "level", "group_id", "value")
    assert cells(ask(api, key, group_by=["day"]), *shown) == [("day", "tenant", "acme", 721.0)]
    assert cells(ask(api, key, group_by=["week", "team"]), *shown) == [("week", "team", "red", 1020.0)]
    some = ask(api, key, group_by=["team", "day"], filters={"team": ["red", "green"]})
    assert cells(some, "group_id") == [("red",)]
    assert cells(ask(api, key, group_by=["department", "day"]), "group_id") == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"group_by": ["worker", "day"]}, 403, "individual_reach_required"),
        ({"group_by": ["day"], "filters": {"worker_id": ["ana"]}}, 403, "individual_reach_required"),
        ({"group_by": ["team"]}, 422, "not_published"),
        ({"group_by": []}, 422, "not_published"),
        ({"group_by": ["day"], "filters": {"team": ["red"]}}, 422, "not_published"),
        ({"group_by": ["team", "day"], "filters": {"department": ["ops"]}}, 422, "not_published"),
        ({"group_by": ["team", "day"], "as_of_version": 1}, 422, "not_published"),
        ({"group_by": ["team", "department", "day"]}, 422, "invalid_body"),
    ],
)
def test_aggregate_reach_is_refused_what_is_not_in_the_lattice(
    api: Api, lake: GoldLake, changes: Mapping[str, object], status: int, code: str
) -> None:
    assert refusal(ask(api, aggregate(api), **changes)) == (status, code)


def test_nothing_published_is_an_empty_answer(api: Api) -> None:
    answer = ask(api, aggregate(api), group_by=["day"])
    assert cells(answer, "value") == []
    assert answer.headers["x-data-version"] == "0"


def test_a_read_of_the_lattice_is_nobodys_rows(api: Api, lake: GoldLake) -> None:
    ask(api, aggregate(api), group_by=["team", "day"])
    assert all(lake.reads_of(api, user) == [] for user in RED + BLUE)


# ------------------------------------------------------------------------------------------- individual
def test_individual_reach_gets_every_grouping_by_the_catalogues_aggregation(api: Api, lake: GoldLake) -> None:
    key = api.key(Scope.METRICS)
    shown = ("date", "level", "group_id", "measure", "value", "contributors", "days_covered")
    both = ask(api, key, measures=["active_s", "focus_ratio"], group_by=["team"])
    assert cells(both, *shown) == [
        ("2026-10-26", "team", "blue", "active_s", 105.0 + 106 + 105 + 106 + 101, 3, 2),
        ("2026-10-26", "team", "blue", "focus_ratio", pytest.approx(50 / 101), 1, 1),
        ("2026-10-26", "team", "red", "active_s", 510.0 + 510 - 101, 5, 2),
        ("2026-10-26", "team", "red", "focus_ratio", pytest.approx(450 / 919), 5, 2),
    ]
    brief = ("date", "period", "group_id", "value")
    by_day = cells(ask(api, key, group_by=["day"]), *brief)
    assert by_day == [("2026-10-26", "day", "acme", 721.0), ("2026-10-27", "day", "acme", 721.0)]
    assert cells(ask(api, key, group_by=["week"]), *brief) == [("2026-10-26", "week", "acme", 1442.0)]
    assert cells(ask(api, key), *brief) == [("2026-10-26", "range", "acme", 1442.0)]
    weekly = cells(ask(api, key, group_by=["worker", "week"], filters={"team": ["blue"]}), *brief)
    assert weekly == [
        ("2026-10-26", "week", "ben", 101.0),
        ("2026-10-26", "week", "fay", 210.0),
        ("2026-10-26", "week", "gus", 212.0),
    ]


def test_a_week_that_begins_before_the_range_is_not_in_it(api: Api, lake: GoldLake) -> None:
    for key in (api.key(Scope.METRICS), aggregate(api)):
        assert cells(ask(api, key, group_by=["week"], start_date="2026-10-27"), "value") == []


def test_whose_rows_are_shown_is_told_to_them(api: Api, lake: GoldLake) -> None:
    key = api.key(Scope.METRICS)
    ask(api, key, group_by=["day"])
    assert lake.reads_of(api, "ana") == []
    ask(api, key, group_by=["team", "day"])
    assert lake.reads_of(api, "ana") != []
    assert {one.operation for one in lake.reads_of(api, "fay")} == {"query_metrics"}
    before = len(lake.reads_of(api, "cleo"))
    ask(api, key, filters={"worker_id": ["cleo"]})
    assert len(lake.reads_of(api, "cleo")) == before + 1


def test_a_value_that_few_of_a_large_group_have_is_told_to_those_few(api: Api, lake: GoldLake) -> None:
    everybody = [kpi(user, day(2), "active_s", 100.0) for user in RED + BLUE]
    lake.publish(
        {day(2): {GOLD_KPI_DAILY.id: rows(GOLD_KPI_DAILY, *everybody, kpi("ana", day(2), "focus_s", 7.0))}}
    )
    only = {"start_date": day(2).isoformat(), "end_date": day(2).isoformat()}
    found = ask(api, api.key(Scope.METRICS), measures=["active_s", "focus_s"], **only)
    assert cells(found, "measure", "value", "contributors") == [("active_s", 700.0, 7), ("focus_s", 7.0, 1)]
    assert [user for user in RED + BLUE if lake.reads_of(api, user)] == ["ana"]


def test_a_rollup_of_few_is_in_their_access_log_and_one_of_many_in_nobodys(api: Api, lake: GoldLake) -> None:
    def rollup(level: str, group: str, contributors: int, on: int, period: str = "day") -> dict[str, object]:
        named = {"level": level, "group_id": group, "measure": "active_s", "period": period}
        return {**named, "date": day(on), "value": 1.0, "contributors": contributors}

    published = {
        0: [rollup("team", "red", 5, 0), rollup("team", "blue", 2, 0)],
        1: [rollup("tenant", "acme", 7, 1)],
    }
    for on, found in published.items():
        kpis = [kpi(user, day(on), "active_s", 1.0) for user in RED + BLUE]
        tables = {
            GOLD_KPI_GROUPS.id: rows(GOLD_KPI_GROUPS, *found),
            GOLD_KPI_DAILY.id: rows(GOLD_KPI_DAILY, *kpis),
        }
        lake.publish({day(on): tables})
    key, path = api.key(Scope.KPIS), "/v1/kpis/rollups"
    for query in ({"level": "tenant"}, {"group_id": "red"}, {"group_id": "red", "format": "csv"}):
        assert api.get(path, key=key, params=query).status_code == 200
        assert [user for user in RED + BLUE if lake.reads_of(api, user)] == []
    for number, query in enumerate(({}, {"fields": "value", "format": "ndjson"}), 1):
        assert api.get(path, key=key, params=query).status_code == 200
        assert [user for user in RED + BLUE if len(lake.reads_of(api, user)) == number] == list(BLUE)


def test_a_limited_key_has_its_own_workers_only(api: Api, lake: GoldLake) -> None:
    key = api.key(Scope.METRICS, workers={"ana", "fay"})
    assert cells(ask(api, key, group_by=["worker"]), "group_id") == [("ana",), ("fay",)]
    assert cells(ask(api, key), "value", "contributors") == [(410.0, 2)]
    assert cells(ask(api, key, filters={"worker_id": ["ben"]}), "value") == []


def test_another_tenant_sees_nothing_of_it(api: Api, lake: GoldLake) -> None:
    for reach in Reach:
        key = api.key(Scope.METRICS, tenant="globex", reach=reach)
        assert cells(ask(api, key, group_by=["team", "day"]), "value") == []


def test_an_earlier_version_is_read_as_it_was(api: Api, lake: GoldLake) -> None:
    key = api.key(Scope.METRICS)
    version = int(ask(api, key).headers["x-data-version"])
    lake.publish({day(1): {GOLD_KPI_DAILY.id: rows(GOLD_KPI_DAILY, kpi("ana", day(1), "active_s", 1.0))}})
    lake.forget_snapshots(api)
    assert cells(ask(api, key), "value") == [(722.0,)]
    assert cells(ask(api, key, as_of_version=version), "value") == [(1442.0,)]
    assert refusal(ask(api, key, as_of_version=10**6)) == (404, "version_not_found")


def test_an_answer_comes_in_the_format_that_is_accepted(api: Api, lake: GoldLake) -> None:
    key = api.key(Scope.METRICS)
    body = {**QUERY, "group_by": ["day"]}
    parquet = api.post("/v1/metrics/query?format=parquet", key=key, json=body)
    assert pl.read_parquet(io.BytesIO(parquet.content))["value"].to_list() == [721.0, 721.0]
    csv = api.post("/v1/metrics/query", key=key, json=body, headers={"accept": "text/csv"})
    assert csv.text.splitlines()[0].startswith("date,period,level,group_id,measure,value")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"measures": ["happiness"]}, "invalid_body"),
        ({"measures": []}, "invalid_body"),
        ({"group_by": ["day", "week"]}, "invalid_body"),
        ({"filters": {"name": ["x"]}}, "invalid_body"),
        ({"end_date": "2026-10-25"}, "invalid_range"),
        ({"end_date": "2028-10-25"}, "invalid_range"),
        ({"group_by": ["week"], "start_date": "9999-12-27", "end_date": "9999-12-31"}, None),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    api: Api, lake: GoldLake, changes: Mapping[str, object], code: str | None
) -> None:
    answer = ask(api, api.key(Scope.METRICS), **changes)
    if code is None:
        assert cells(answer, "value") == []
    else:
        assert refusal(answer) == (422, code)


def test_more_rows_than_one_answer_has_are_refused_and_not_cut(start: Any) -> None:
    api: Api = start(max_bulk_rows=1)
    lake = GoldLake(api.settings.data_dir / "lake")
    for n in range(2):
        lake.publish_kpis(day(n))
    lake.publish(
        {day(0): {GOLD_KPI_DAILY.id: rows(GOLD_KPI_DAILY, *(kpi(u, day(0), "keys", 1.0) for u in RED))}}
    )
    assert refusal(ask(api, api.key(), measures=["keys"], group_by=["worker"])) == (413, "too_many_rows")


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/metrics"), ("POST", "/v1/metrics/query")])
def test_the_scope_is_needed_and_a_workers_token_is_not_enough(api: Api, method: str, path: str) -> None:
    other, worker = api.key(Scope.KPIS), api.worker_token("ana")
    assert refusal(api.request(method, path, key=other, json=QUERY)) == (403, "missing_scope")
    assert refusal(api.request(method, path, key=worker, json=QUERY)) == (403, "not_for_worker_tokens")
