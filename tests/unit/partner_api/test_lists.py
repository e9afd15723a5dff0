"""Lists of Gold over HTTP: pages, ranges, fields, versions, ETags, formats, and who is told."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import polars as pl
import pytest
from tests.unit.partner_api.conftest import OTHER_TENANT, TENANT, Api
from tests.unit.partner_api.gold_lake import GoldLake, day, kpis, rows, workblock

from coworkai.common.control import Stage
from coworkai.common.lake import compact
from coworkai.common.outputs import Outputs
from coworkai.common.tables import GOLD_KPI_DAILY, GOLD_KPI_GROUPS, GOLD_WORKBLOCKS, OPS_RUNS
from coworkai.partner_api.principal import Scope


@pytest.fixture
def lake(api: Api) -> GoldLake:
    return GoldLake(api.settings.data_dir / "lake")


def pages(api: Api, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
    """All rows of a list, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        answer = api.get(path, key=key, params=query)
        assert answer.status_code == 200, answer.text
        found += answer.json()["data"]
        if not answer.json()["has_more"]:
            assert answer.json()["next_cursor"] is None
            return found
        query["cursor"] = answer.json()["next_cursor"]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def shown(row: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_a_list_has_the_columns_of_its_table_with_the_worker_in_place_of_the_user(
    api: Api, lake: GoldLake
) -> None:
    version = lake.publish_kpis(day(0))
    answer = api.get("/v1/workblocks", key=api.key(Scope.ACTIVITY))
    assert answer.status_code == 200
    assert answer.headers["x-data-version"] == str(version)
    assert answer.headers["x-date-range"] == "2026-10-26/2026-10-26"
    body = answer.json()
    assert (body["has_more"], body["next_cursor"]) == (False, None)
    assert body["data"][0] == {
        "date": "2026-10-26",
        "worker_id": "ana",
        "workblock_id": "wb:ana:102609:00",
        "started_at": "2026-10-26T09:00:00Z",
        "ended_at": "2026-10-26T10:00:00Z",
        "duration_s": 3600.0,
        "active_s": 3000.0,
        "idle_s": 60.0,
        "slice_count": 2,
        "app_count": 1,
        "keystroke_minutes": 5,
        "is_continuation": False,
        "run_id": "run0-2026-10-26",
    }


def test_a_tenant_without_anything_has_an_empty_list(api: Api) -> None:
    answer = api.get("/v1/workblocks", key=api.key())
    assert answer.json() == {"data": [], "has_more": False, "next_cursor": None}
    assert answer.headers["x-data-version"] == "0"


def test_pages_of_any_size_give_every_row_once_in_order(api: Api, lake: GoldLake) -> None:
    for number in range(3):
        lake.publish_kpis(day(number), ["cleo", "ana", "ben"])
    key = api.key()
    for limit in (1, 2, 3, 5, 9, 26, 27, 100):
        found = pages(api, "/v1/kpis/daily", key, limit=limit)
        names = [shown(row, "date", "worker_id", "measure") for row in found]
        assert names == sorted(names)
        assert len(set(names)) == len(names) == 27


def test_pages_of_filtered_rows_are_whole_too(api: Api, lake: GoldLake) -> None:
    for number in range(4):
        lake.publish(
            {
                day(number): {
                    GOLD_KPI_DAILY.id: kpis(["ana", "ben"], day(number)).with_columns(
                        measure=pl.col("measure").replace({"m0": "focus_s", "m1": "keys", "m2": "active_s"})
                    )
                }
            }
        )
    query = {"worker_id": ["ben", "nobody"], "measure": ["focus_s", "keys"]}
    key = api.key()
    for limit in (1, 2, 4):
        found = pages(api, "/v1/kpis/daily", key, limit=limit, **query)
        assert [shown(row, "date", "worker_id", "measure") for row in found] == [
            (day(number).isoformat(), "ben", measure)
            for number in range(4)
            for measure in ("focus_s", "keys")
        ]


def test_pages_stay_at_the_version_that_they_began_with(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    first = api.get("/v1/kpis/daily", key=key, params={"limit": 4}).json()
    newer = lake.publish_kpis(day(0), ["aaron", "ana", "ben"], offset=10)
    assert api.get("/v1/kpis/daily", key=key, params={"as_of_version": newer}).status_code == 200
    second = api.get("/v1/kpis/daily", key=key, params={"limit": 4, "cursor": first["next_cursor"]})
    values = [row["value"] for row in first["data"] + second.json()["data"]]
    assert values == [0, 1, 2, 0, 1, 2]
    assert int(second.headers["x-data-version"]) < newer


def test_a_cursor_is_of_one_query_of_one_tenant_and_rows_and_cannot_be_made_up(
    api: Api, lake: GoldLake
) -> None:
    lake.publish_kpis(day(0))
    lake.publish({day(0): {GOLD_KPI_DAILY.id: kpis(["ana", "ben"], day(0))}}, tenant_id="globex")
    key = api.key()
    cursor = api.get("/v1/kpis/daily", key=key, params={"limit": 4}).json()["next_cursor"]

    def refused(key: str = key, cursor: str = cursor, path: str = "/v1/kpis/daily", **query: str) -> bool:
        answer = api.get(path, key=key, params={"cursor": cursor, **query})
        return problem(answer) == (422, "invalid_cursor")

    assert api.get("/v1/kpis/daily", key=key, params={"cursor": cursor}).status_code == 200
    assert refused(worker_id="ana")
    assert refused(start_date="2026-10-26")
    assert refused(path="/v1/workblocks")
    assert refused(api.key(tenant="globex"))
    assert refused(api.key(workers={"ana"}))
    assert refused(cursor=cursor[:-1])
    assert refused(cursor="A" + cursor[1:] if cursor[0] != "A" else "B" + cursor[1:])
    assert refused(cursor=cursor + "=")
    assert refused(cursor="")
    assert refused(cursor="é\x00")
    assert refused(cursor="A" * 4000)


def test_a_cursor_whose_version_was_cleaned_up_has_expired(api: Api, lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    key = api.key()
    cursor = api.get("/v1/kpis/daily", key=key, params={"limit": 4}).json()["next_cursor"]
    lake.publish_kpis(day(0), offset=10)
    lake.forget_log(OPS_RUNS, first)
    lake.forget_snapshots(api)
    answer = api.get("/v1/kpis/daily", key=key, params={"cursor": cursor})
    assert problem(answer) == (410, "cursor_expired")
    answer = api.get("/v1/kpis/daily", key=key, params={"as_of_version": first})
    assert problem(answer) == (410, "version_expired")


def test_an_earlier_version_is_read_as_it_was(api: Api, lake: GoldLake) -> None:
    first = lake.publish_kpis(day(0))
    lake.publish_kpis(day(0), offset=10)
    answer = api.get("/v1/kpis/daily", key=api.key(), params={"as_of_version": first})
    assert [row["value"] for row in answer.json()["data"]] == [0, 1, 2, 0, 1, 2]
    assert answer.headers["x-data-version"] == str(first)


def test_a_version_that_never_was_is_not_found(api: Api, lake: GoldLake) -> None:
    newest = lake.publish_kpis(day(0))
    for query in ({"as_of_version": newest + 1}, {"since_version": newest + 1}):
        assert problem(api.get("/v1/workblocks", key=api.key(), params=query)) == (404, "version_not_found")
    assert problem(api.get("/v1/workblocks", key=api.key(), params={"as_of_version": -1})) == (
        422,
        "invalid_parameter",
    )


def test_changes_since_a_version_are_whole_dates_and_name_those_that_lost_their_rows(
    api: Api, lake: GoldLake
) -> None:
    for number in range(4):
        lake.publish_kpis(day(number))
    key = api.key()
    had = int(api.get("/v1/kpis/daily", key=key).headers["x-data-version"])
    lake.publish_kpis(day(1), ["ana", "ben", "cleo"], offset=10)
    lake.publish({day(2): {}}, run="empty")
    lake.publish_kpis(day(5))
    lake.forget_snapshots(api)
    answer = api.get("/v1/kpis/daily", key=key, params={"since_version": had}).json()
    assert answer["changed_dates"] == ["2026-10-27", "2026-10-28", "2026-10-31"]
    assert {row["date"] for row in answer["data"]} == {"2026-10-27", "2026-10-31"}
    assert len(answer["data"]) == 9 + 6
    bulk = api.get("/v1/kpis/daily", key=key, params={"since_version": had, "format": "ndjson"})
    assert bulk.headers["x-changed-dates"] == "2026-10-27,2026-10-28,2026-10-31"


def compact_kpis(lake: GoldLake) -> None:
    """Put the files of every date into one, as maintenance does, and publish that."""
    lake.fence += 1
    outputs = Outputs.open(lake.lake, "acme", Stage.STAGE1, lake.fence)
    assert compact(outputs.deltas[GOLD_KPI_DAILY.id], GOLD_KPI_DAILY, fence=lake.fence, from_files=2)
    outputs.publish_again(lake.published_at())


def test_rows_that_were_only_put_into_other_files_are_no_change(api: Api, lake: GoldLake) -> None:
    for number in range(3):
        lake.publish_kpis(day(number))
    lake.fence += 1
    outputs = Outputs.open(lake.lake, "acme", Stage.STAGE1, lake.fence)
    outputs.append(GOLD_KPI_DAILY, kpis(["cleo"], day(0)))
    outputs.publish_again(lake.published_at())
    key = api.key()
    had = int(api.get("/v1/kpis/daily", key=key).headers["x-data-version"])

    def changed() -> list[str]:
        api.services.gold._tenants["acme"].looked_at = float("-inf")
        answer = api.get("/v1/kpis/daily", key=key, params={"since_version": had}).json()
        told: list[str] = answer["changed_dates"]
        assert {row["date"] for row in answer["data"]} <= set(told)
        return told

    compact_kpis(lake)
    assert changed() == []
    lake.publish_kpis(day(2), offset=10)
    assert changed() == [day(2).isoformat()]
    lake.publish_kpis(day(2), offset=20)
    lake.forget_log(GOLD_KPI_DAILY, 6)
    assert changed() == [day(0).isoformat(), day(2).isoformat()], "the log does not tell any more"


def test_changes_since_a_version_that_this_process_has_not_seen_yet_are_none(
    api: Api, lake: GoldLake
) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    api.get("/v1/kpis/daily", key=key)
    newer = lake.publish_kpis(day(1))
    answer = api.get("/v1/kpis/daily", key=key, params={"since_version": newer})
    assert (answer.headers["x-data-version"], answer.json()["changed_dates"]) == (str(newer), [])
    later = api.get("/v1/kpis/daily", key=key, params={"since_version": newer, "as_of_version": newer - 1})
    assert problem(later) == (404, "version_not_found")


def test_everything_is_a_change_since_version_0_and_nothing_since_the_newest(
    api: Api, lake: GoldLake
) -> None:
    newest = lake.publish_kpis(day(0))
    key = api.key()
    everything = api.get("/v1/kpis/daily", key=key, params={"since_version": 0}).json()
    assert (everything["changed_dates"], len(everything["data"])) == (["2026-10-26"], 6)
    nothing = api.get("/v1/kpis/daily", key=key, params={"since_version": newest}).json()
    assert (nothing["changed_dates"], nothing["data"]) == ([], [])


def test_fields_are_those_asked_for_in_that_order(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    answer = api.get("/v1/kpis/daily", key=api.key(), params={"fields": "value,measure", "limit": 1})
    assert answer.json()["data"] == [{"value": 0.0, "measure": "m0"}]
    assert answer.text.index("value") < answer.text.index("measure")


INVALID: tuple[tuple[dict[str, Any], str], ...] = (
    ({"fields": "value,colour"}, "unknown_field"),
    ({"fields": ""}, "unknown_field"),
    ({"fields": "tenant_id"}, "unknown_field"),
    ({"order": "desc"}, "unknown_parameter"),
    ({"worker": "ana"}, "unknown_parameter"),
    ({"limit": "0"}, "invalid_parameter"),
    ({"limit": "1001"}, "invalid_parameter"),
    ({"limit": "-1"}, "invalid_parameter"),
    ({"limit": "1e3"}, "invalid_parameter"),
    ({"limit": "٣"}, "invalid_parameter"),
    ({"limit": ["1", "2"]}, "invalid_parameter"),
    ({"worker_id": ""}, "invalid_parameter"),
    ({"measure": "' OR 1=1 --"}, "invalid_parameter"),
    ({"start_date": "yesterday"}, "invalid_parameter"),
    ({"start_date": "2026-02-30"}, "invalid_parameter"),
    ({"start_date": "20261026"}, "invalid_parameter"),
    ({"start_date": "2026-10-27", "end_date": "2026-10-26"}, "invalid_range"),
    ({"start_date": "2020-01-01", "end_date": "2026-01-01"}, "invalid_range"),
    ({"start_date": "0001-01-01", "end_date": "9999-12-31"}, "invalid_range"),
    ({"format": "xml"}, "invalid_parameter"),
    ({"format": "markdown"}, "invalid_parameter"),
    ({"format": "csv", "limit": "5"}, "invalid_parameter"),
    ({"as_of_version": "1.5"}, "invalid_parameter"),
    ({"as_of_version": "9" * 30}, "invalid_parameter"),
)


def test_a_query_that_is_not_valid_is_refused_and_says_where(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    for query, code in INVALID:
        answer = api.get("/v1/kpis/daily", key=key, params=query)
        assert problem(answer) == (422, code), query
        assert answer.json()["errors"]
        assert all(error["field"].startswith("query.") for error in answer.json()["errors"])


def test_a_range_at_the_ends_of_the_calendar_is_a_range(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    for name in ("start_date", "end_date"):
        for on in ("0001-01-01", "9999-12-31"):
            assert api.get("/v1/kpis/daily", key=key, params={name: on}).status_code == 200


def test_a_query_that_is_no_text_is_refused(api: Api) -> None:
    assert problem(api.get("/v1/kpis/daily?worker_id=%ff%fe", key=api.key())) == (400, "bad_request")
    many = "&".join(f"worker_id={n}" for n in range(1000))
    assert api.get(f"/v1/kpis/daily?{many}", key=api.key()).status_code in {400, 431}


def test_dates_are_inclusive_and_a_range_that_is_left_open_says_what_was_taken(
    api: Api, lake: GoldLake
) -> None:
    lake.publish(
        {day(number): {GOLD_KPI_DAILY.id: kpis(["ana"], day(number), 1)} for number in (0, 1, 2, 400)}
    )
    key = api.key()

    def dates(**query: str) -> tuple[str, list[str]]:
        answer = api.get("/v1/kpis/daily", key=key, params=query)
        return answer.headers["x-date-range"], [row["date"] for row in answer.json()["data"]]

    newest = day(400).isoformat()
    assert dates() == (f"{day(35)}/{newest}", [newest])
    assert dates(start_date="2026-10-27", end_date="2026-10-28")[1] == ["2026-10-27", "2026-10-28"]
    assert dates(end_date="2026-10-27")[1] == ["2026-10-26", "2026-10-27"]
    taken, found = dates(start_date="2026-10-26")
    assert (taken, len(found)) == (f"2026-10-26/{day(365)}", 3)


def test_only_the_rows_of_its_workers_for_a_limited_key(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0), ["ana", "ben", "cleo"])
    key = api.key(workers={"ana", "cleo"})
    everyone = api.get("/v1/workblocks", key=key).json()["data"]
    assert [row["worker_id"] for row in everyone] == ["ana", "cleo"]
    assert api.get("/v1/workblocks", key=key, params={"worker_id": "ben"}).json()["data"] == []
    assert [
        row["worker_id"]
        for row in api.get("/v1/workblocks", key=key, params={"worker_id": ["ben", "cleo"]}).json()["data"]
    ] == ["cleo"]
    nobody = api.get("/v1/workblocks", key=key, params={"worker_id": "ben", "format": "csv"})
    assert nobody.text.count("\r\n") == 1


def test_groups_are_not_rows_of_a_worker(api: Api, lake: GoldLake) -> None:
    def group(level: str, group_id: str) -> dict[str, object]:
        return {
            "date": day(0),
            "period": "week",
            "level": level,
            "group_id": group_id,
            "measure": "focus_s",
            "value": 1.0,
            "unit": "s",
            "contributors": 1,
        }

    frame = rows(GOLD_KPI_GROUPS, group("team", "ana"), group("worker", "ana"), group("worker", "ben"))
    lake.publish({day(0): {GOLD_KPI_GROUPS.id: frame}})

    def seen(key: str, **query: str) -> list[tuple[Any, ...]]:
        data = api.get("/v1/kpis/rollups", key=key, params=query).json()["data"]
        return [shown(row, "level", "group_id") for row in data]

    assert seen(api.key()) == [("team", "ana"), ("worker", "ana"), ("worker", "ben")]
    assert seen(api.key(), worker_id="ana") == [("worker", "ana")]
    assert seen(api.worker_token("ana")) == [("worker", "ana")]
    assert seen(api.worker_token("ana"), group_id="ben") == []


def test_an_answer_to_what_is_all_wrong_is_no_larger_than_one_to_what_is_a_little_wrong(api: Api) -> None:
    key, wrong = api.key(), [f"f{number}" for number in range(3_000)]
    export = {"resource": "usage", "filters": {"kind": wrong}, "fields": wrong}
    for answer in (
        api.get("/v1/usage", key=key, params={"fields": ",".join(wrong[:2_000])}),
        api.get("/v1/usage", key=key, params={"kind": wrong[:250]}),
        api.get("/v1/me", key=key, params=dict.fromkeys(wrong[:250], "1")),
        api.post("/v1/exports", key=key, json=export),
    ):
        assert answer.status_code == 422
        assert len(answer.json()["errors"]) == 20
        assert len(answer.content) < 10_000


def test_a_copy_that_is_current_is_not_sent_again_costs_no_quota_and_tells_nobody(
    api: Api, lake: GoldLake
) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    first = api.get("/v1/workblocks", key=key, params={"worker_id": "ana"})
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    again = api.get(
        "/v1/workblocks", key=key, params={"worker_id": "ana"}, headers={"if-none-match": f'"x", {tag}'}
    )
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["ratelimit"].split(";")[1] == first.headers["ratelimit"].split(";")[1]
    assert [entry.operation for entry in lake.reads_of(api, "ana")] == ["list_workblocks"]


def test_an_etag_is_of_the_tables_versions_the_query_and_the_rows_of_the_caller(
    api: Api, lake: GoldLake
) -> None:
    lake.publish_kpis(day(0))
    key = api.key()

    def tag(key: str = key, **query: str) -> str:
        return api.get("/v1/workblocks", key=key, params=query).headers["etag"]

    first = tag()
    assert tag() == first
    assert tag(api.key(Scope.ACTIVITY)) == first
    assert (
        len({first, tag(worker_id="ana"), tag(limit="5"), tag(format="csv"), tag(api.key(workers={"ana"}))})
        == 5
    )
    lake.publish({day(0): {}}, stage=Stage.STAGE2)
    lake.forget_snapshots(api)
    assert tag() == first
    lake.publish_kpis(day(1))
    lake.forget_snapshots(api)
    assert tag() != first


def test_whoever_names_no_copy_is_not_told_that_it_is_current(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key, any_copy = api.key(), {"if-none-match": "*"}
    for path, status in (("/v1/workblocks", 200), ("/v1/workers/ana", 200), ("/v1/workers/nobody", 404)):
        assert api.get(path, key=key, headers=any_copy).status_code == status


def test_a_copy_of_one_tenants_answer_is_not_current_for_another(api: Api, lake: GoldLake) -> None:
    keys = {}
    for tenant in (TENANT, OTHER_TENANT):
        lake.publish({day(0): {}}, tenant_id=tenant)
        keys[tenant] = api.key(tenant=tenant)
    for path in ("/v1/workblocks", "/v1/workers", "/v1/tables"):
        mine = api.get(path, key=keys[TENANT])
        theirs = api.get(path, key=keys[OTHER_TENANT], headers={"if-none-match": mine.headers["etag"]})
        assert (mine.status_code, theirs.status_code) == (200, 200)


def test_every_person_in_an_answer_finds_the_read_in_their_access_log(api: Api, lake: GoldLake) -> None:
    lake.publish(
        {
            day(0): {
                GOLD_WORKBLOCKS.id: rows(
                    GOLD_WORKBLOCKS,
                    workblock("ana", day(0), 8),
                    workblock("ana", day(0), 12, 1),
                    workblock("ben", day(0), 9),
                )
            }
        }
    )
    api.get("/v1/workblocks", key=api.key(name="dashboards"))
    api.get("/v1/workblocks", key=api.key(), params={"worker_id": "ben", "format": "parquet"})
    ana, ben = lake.reads_of(api, "ana"), lake.reads_of(api, "ben")
    assert [(one.principal_name, one.row_count, one.start_date) for one in ana] == [("dashboards", 3, day(0))]
    assert [one.row_count for one in ben] == [3, 1]


def test_what_a_worker_reads_of_themselves_is_in_no_log(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    answer = api.get("/v1/workblocks", key=api.worker_token("ana"))
    assert [row["worker_id"] for row in answer.json()["data"]] == ["ana"]
    assert lake.reads_of(api, "ana") == []


def read_bulk(answer: httpx.Response) -> pl.DataFrame:
    content = answer.content
    match answer.headers["content-type"].partition(";")[0]:
        case "text/csv":
            return pl.read_csv(content, try_parse_dates=True)
        case "application/x-ndjson":
            return pl.read_ndjson(content).with_columns(
                pl.col("date").str.to_date(),
                pl.col("started_at", "ended_at").str.to_datetime(time_zone="UTC"),
            )
        case "application/vnd.apache.arrow.stream":
            return pl.read_ipc_stream(io.BytesIO(content))
        case "application/vnd.apache.parquet":
            return pl.read_parquet(content)
        case other:
            raise AssertionError(other)


BULK = (
    "text/csv",
    "application/x-ndjson",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
)


def test_a_bulk_format_has_the_whole_range_and_the_same_rows_as_the_pages(api: Api, lake: GoldLake) -> None:
    half = datetime(2026, 10, 26, 9, 0, 0, 500_000, tzinfo=UTC)
    for number in range(3):
        blocks = [workblock(user, day(number), 9) for user in ("ben", "ana")]
        blocks.append(workblock("ana", day(number), 14, 1, started_at=half + timedelta(days=number)))
        lake.publish({day(number): {GOLD_WORKBLOCKS.id: rows(GOLD_WORKBLOCKS, *blocks)}})
    key = api.key()
    expected = pl.DataFrame(pages(api, "/v1/workblocks", key)).with_columns(
        pl.col("date").str.to_date(), pl.col("started_at", "ended_at").str.to_datetime(time_zone="UTC")
    )
    lake.forget_days(api)
    for media_type in (*BULK, *BULK):  # from the lake, then from memory
        accept = {"accept": f"{media_type}, application/json;q=0.5"}
        found = read_bulk(api.get("/v1/workblocks", key=key, headers=accept))
        assert found.to_dicts() == expected.to_dicts()
        if media_type == BULK[-1]:
            pages(api, "/v1/workblocks", key)


def test_a_bulk_answer_is_never_cut(start: Any) -> None:
    api = start(max_bulk_rows=5)
    lake = GoldLake(api.settings.data_dir / "lake")
    lake.publish_kpis(day(0))
    key = api.key()
    for _ in range(2):
        answer = api.get("/v1/kpis/daily", key=key, params={"format": "csv"})
        assert problem(answer) == (413, "too_many_rows")
        assert "/v1/exports" in answer.json()["remedy"]
        api.get("/v1/kpis/daily", key=key)
    one = api.get("/v1/kpis/daily", key=key, params={"format": "csv", "worker_id": "ana"})
    assert one.status_code == 200


ACCEPTED = (
    ("*/*", "application/json"),
    ("application/*", "application/json"),
    ("text/*", "text/csv"),
    ("text/html, text/csv;q=0.8, */*;q=0.1", "text/csv"),
    ("application/json;q=0, text/csv", "text/csv"),
    ("application/json;q=nonsense, text/csv", "text/csv"),
    ("", "application/json"),
)


def test_the_format_is_the_one_that_is_accepted_most(api: Api, lake: GoldLake) -> None:
    lake.publish_kpis(day(0))
    key = api.key()
    for accept, expected in ACCEPTED:
        answer = api.get("/v1/workblocks", key=key, headers={"accept": accept})
        assert answer.headers["content-type"].partition(";")[0] == expected, accept


def test_a_format_that_there_is_none_of_is_not_acceptable(api: Api) -> None:
    answer = api.get("/v1/workblocks", key=api.key(), headers={"accept": "text/html, image/*"})
    assert problem(answer) == (406, "not_acceptable")
    assert api.get("/v1/workblocks?format=json", key=api.key(), headers={"accept": "text/html"}).is_success


def test_old_days_are_paged_like_recent_ones(api: Api, lake: GoldLake) -> None:
    lake.publish(
        {day(number): {GOLD_KPI_DAILY.id: kpis(["ana", "ben"], day(number))} for number in range(45)}
    )
    key = api.key()
    everyone = pages(api, "/v1/kpis/daily", key, limit=17)
    assert len(everyone) == 45 * 6
    ben = pages(api, "/v1/kpis/daily", key, limit=17, worker_id="ben")
    assert ben == [row for row in everyone if row["worker_id"] == "ben"]
    whole = api.get("/v1/kpis/daily", key=key, params={"format": "ndjson", "worker_id": "ben"})
    assert whole.text.count("\n") == len(ben)


def test_days_of_more_rows_than_are_kept_are_not_read_whole_for_a_few_of_them(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = start(max_bulk_rows=5)
    lake = GoldLake(api.settings.data_dir / "lake")
    for number in range(2):
        lake.publish_kpis(day(number))
    key = api.key()

    def rows_of_ana() -> tuple[int, int]:
        paged = pages(api, "/v1/kpis/daily", key, worker_id="ana", fields="value", limit=4)
        whole = api.get("/v1/workblocks", key=key, params={"worker_id": "ana", "format": "csv"})
        return len(paged), whole.text.count("\r\n") - 1

    monkeypatch.setattr("coworkai.partner_api.selection.ROWS_A_HOT_DAY", 1)
    assert rows_of_ana() == (6, 2)
    assert api.services.hot.rows == 0
    monkeypatch.undo()
    assert rows_of_ana() == (6, 2)
    assert api.services.hot.rows == 16


def test_one_workers_days_in_memory_are_the_rows_of_the_pages(api: Api, lake: GoldLake) -> None:
    half = datetime(2026, 10, 26, 9, 0, 0, 500_000, tzinfo=UTC)
    for number in range(3):
        blocks = [workblock(user, day(number), 9) for user in ("ben", "ana")]
        blocks.append(workblock("ana", day(number), 14, 1, started_at=half + timedelta(days=number)))
        lake.publish({day(number): {GOLD_WORKBLOCKS.id: rows(GOLD_WORKBLOCKS, *blocks)}})
    key = api.key()
    query = {"worker_id": "ana", "end_date": day(5).isoformat()}
    paged = pages(api, "/v1/workblocks", key, limit=2, **query)
    for _ in range(2):  # made, then kept
        answer = api.get("/v1/workblocks", key=key, params=query)
        assert answer.json() == {"data": paged, "has_more": False, "next_cursor": None}
    assert len(paged) == 6
    assert lake.reads_of(api, "ana")[-1].row_count == 6
    exact = api.get("/v1/workblocks", key=key, params={**query, "limit": 6}).json()
    assert (exact["data"], exact["has_more"]) == (paged, False)
    nobody = api.get("/v1/workblocks", key=key, params={**query, "worker_id": "nobody"}).json()
    assert nobody == {"data": [], "has_more": False, "next_cursor": None}
