"""Delta Sharing in process: what is listed, which versions are served, to whom, and how an answer goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.partner_api.conftest import OTHER_TENANT, TENANT, Api
from tests.unit.partner_api.gold_lake import GoldLake, day, kpis, rows, workblock

from coworkai.common.control import Lane, Stage
from coworkai.common.lake import compact, vacuum
from coworkai.common.outputs import Outputs
from coworkai.common.tables import (
    GOLD_BRIEFS,
    GOLD_KPI_DAILY,
    GOLD_KPI_GROUPS,
    GOLD_KPI_LATTICE,
    GOLD_WORKBLOCKS,
    Layer,
    Table,
    of_layer,
)
from coworkai.partner_api.principal import Reach, Scope
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.sharing.page_tokens import PageTokens, Place

ROOT = "/delta-sharing/shares"
KPIS = f"{ROOT}/coworkai/schemas/gold/tables/kpi_daily"
DELTA = {"delta-sharing-capabilities": "responseformat=delta"}
END = {"delta-sharing-capabilities": "responseformat=parquet;includeEndStreamAction=true"}


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> GoldLake:
    """Three published days of two workers: versions 1 to 3 of `kpi_daily`. To be copied."""
    lake = GoldLake(tmp_path_factory.mktemp("three-days"))
    for number in range(3):
        lake.publish_kpis(day(number))
    return lake


@pytest.fixture
def gold(api: Api, three_days: GoldLake) -> GoldLake:
    """The three days as the application's lake."""
    root = Path(api.settings.lake_uri)
    shutil.copytree(three_days.root, root, dirs_exist_ok=True)
    return GoldLake(root, three_days.fence)


@pytest.fixture
def key(api: Api) -> str:
    return api.key(Scope.SHARING)


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    return [json.loads(line) for line in answer.text.splitlines()]


def query(api: Api, key: str, table: str = KPIS, **body: object) -> list[dict[str, Any]]:
    return lines(api.post(f"{table}/query", key=key, json=body))


def seen(api: Api, data_version: int, tenant: str = TENANT) -> None:
    """Wait until the application knows this data version."""

    async def look() -> None:
        while (await api.services.gold.snapshot(tenant)).data_version < data_version:
            api.services.gold.hint(tenant)
            await asyncio.sleep(0.01)

    api.run(look())


def version(answer: httpx.Response) -> int:
    return int(answer.headers["delta-table-version"])


def read(api: Api, found: list[dict[str, Any]]) -> pl.DataFrame:
    """The rows of an answer in parquet format, fetched by its addresses."""
    files = [line["file"] for line in found if "file" in line]
    return pl.concat(
        pl.read_parquet(BytesIO(api.get(file["url"]).content)).with_columns(
            date=pl.lit(file["partitionValues"]["date"]).str.to_date()
        )
        for file in files
    )


def error_of(answer: httpx.Response) -> tuple[int, str]:
    told = answer.json()
    assert told.keys() == {"errorCode", "message"}
    return answer.status_code, told["errorCode"]


# --------------------------------------------------------------------------------------------- lists
def test_the_share_has_one_schema_with_every_gold_table(api: Api, key: str) -> None:
    shares = api.get(ROOT, key=key).json()["items"]
    assert [share["name"] for share in shares] == ["coworkai"]
    assert api.get(f"{ROOT}/CoworkAI", key=key).json() == {"share": shares[0]}
    assert api.get(f"{ROOT}/coworkai/schemas", key=key).json() == {
        "items": [{"name": "gold", "share": "coworkai"}]
    }
    tables = api.get(f"{ROOT}/coworkai/schemas/Gold/tables", key=key).json()["items"]
    assert [table["name"] for table in tables] == sorted(table.name for table in of_layer(Layer.GOLD))
    assert {table["shareId"] for table in tables} == {shares[0]["id"]}
    assert len({table["id"] for table in tables}) == len(tables)
    assert api.get(f"{ROOT}/coworkai/all-tables", key=key).json()["items"] == tables


def test_lists_come_in_pages(api: Api, key: str) -> None:
    path, found, token = f"{ROOT}/coworkai/all-tables", [], None
    while True:
        page = api.get(path, key=key, params={"maxResults": 5} | ({"pageToken": token} if token else {}))
        found += page.json()["items"]
        token = page.json().get("nextPageToken")
        if token is None:
            break
        assert len(page.json()["items"]) == 5
    assert found == api.get(path, key=key).json()["items"]
    empty = api.get(path, key=key, params={"maxResults": 0}).json()
    assert empty["items"] == []
    assert empty["nextPageToken"]


@pytest.mark.parametrize(
    "path",
    [
        "/other",
        "/other/schemas",
        "/other/all-tables",
        "/coworkai/schemas/silver/tables",
        "/coworkai/schemas/gold/tables/secrets/metadata",
        "/coworkai/schemas/silver/tables/kpi_daily/version",
        "/coworkai/schemas/gold/tables/..%2F..%2Fsilver/version",
    ],
)
def test_what_is_not_shared_is_not_found(api: Api, key: str, path: str) -> None:
    assert error_of(api.get(ROOT + path, key=key)) == (404, "NOT_FOUND")


# --------------------------------------------------------------------------------------------- formats
def test_a_table_is_described_and_its_rows_are_behind_its_addresses(
    api: Api, key: str, gold: GoldLake
) -> None:
    answer = api.post(f"{KPIS}/query", key=key, json={})
    protocol, metadata, *files = lines(answer)
    assert version(answer) == 3
    assert "delta-sharing-capabilities" not in answer.headers
    assert protocol == {"protocol": {"minReaderVersion": 1}}
    about = metadata["metaData"]
    assert about["format"] == {"provider": "parquet", "options": {}}
    assert about["partitionColumns"] == ["date"]
    assert about["numFiles"] == len(files) == 3
    assert about["size"] == sum(line["file"]["size"] for line in files)
    fields = {field["name"]: field for field in json.loads(about["schemaString"])["fields"]}
    assert list(fields) == GOLD_KPI_DAILY.schema.names()
    assert fields["measure"]["metadata"]["comment"] == "name in the catalogue"
    stats = json.loads(files[0]["file"]["stats"])
    assert stats["numRecords"] == 6
    assert "user_id" not in stats["minValues"]
    with_data = pl.concat(kpis(["ana", "ben"], day(number)) for number in range(3))
    columns = ["date", "user_id", "measure", "value"]
    rows_read = read(api, query(api, key)).select(columns).sort(columns)
    assert rows_read.equals(with_data.select(columns).sort(columns))


def test_a_client_that_asks_for_delta_gets_actions_of_a_log(api: Api, key: str, gold: GoldLake) -> None:
    answer = api.post(f"{KPIS}/query", key=key, json={}, headers=DELTA)
    assert answer.headers["delta-sharing-capabilities"] == "responseformat=delta"
    protocol, metadata, *files = lines(answer)
    assert protocol == {"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}}}
    assert metadata["metaData"]["deltaMetadata"]["partitionColumns"] == ["date"]
    add = files[0]["file"]["deltaSingleAction"]["add"]
    assert add["dataChange"] is True
    assert add["partitionValues"] == {"date": day(0).isoformat()}
    assert "sp=r&" in add["path"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("responseformat=parquet", "responseformat=parquet"),
        ("responseFormat=Delta,Parquet;readerfeatures=deletionvectors", "responseformat=delta"),
        ("readerfeatures=deletionvectors", "responseformat=parquet"),
        ("responseformat=iceberg,parquet", "responseformat=parquet"),
        ("asyncquery=true;responseformat=delta", "responseformat=delta"),
        (
            "responseformat=delta;includeendstreamaction=true",
            "responseformat=delta;includeendstreamaction=true",
        ),
    ],
)
def test_capabilities_are_negotiated(api: Api, key: str, gold: GoldLake, asked: str, told: str) -> None:
    answer = api.get(f"{KPIS}/metadata", key=key, headers={"delta-sharing-capabilities": asked})
    assert answer.headers["delta-sharing-capabilities"] == told
    assert ("endStreamAction" in lines(answer)[-1]) is ("endstream" in asked)


def test_a_client_that_reads_neither_format_is_told(api: Api, key: str) -> None:
    answer = api.get(f"{KPIS}/metadata", key=key, headers={"delta-sharing-capabilities": "responseformat=x"})
    assert error_of(answer) == (400, "BAD_REQUEST")


def test_a_table_of_which_nothing_is_published_is_there_and_empty(api: Api, key: str) -> None:
    for headers in ({}, DELTA):
        answer = api.post(f"{KPIS}/query", key=key, json={}, headers=headers)
        assert version(answer) == 0
        protocol, metadata = lines(answer)
        assert "protocol" in protocol
        assert "kpi_daily" in json.dumps(metadata)
    assert changed(api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 0})) == []
    assert error_of(api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 1}))[0] == 400


# --------------------------------------------------------------------------------------------- versions
def test_only_published_versions_are_served(api: Api, key: str, gold: GoldLake) -> None:
    api.get(f"{KPIS}/version", key=key)
    unpublished = Outputs.open(gold.lake, TENANT, Stage.STAGE1, 99)
    unpublished.replace(GOLD_KPI_DAILY, kpis(["eve"], day(9)), [day(9)])
    assert unpublished.deltas[GOLD_KPI_DAILY.id].version() == 4
    assert version(api.get(f"{KPIS}/version", key=key)) == 3
    assert "eve" not in read(api, query(api, key))["user_id"]
    for asked in ({"version": 4}, {"version": 99}):
        assert error_of(api.post(f"{KPIS}/query", key=key, json=asked)) == (404, "VERSION_NOT_FOUND")
    assert query(api, key, version=0)[1]["metaData"]["numFiles"] == 0


def test_time_travel_is_by_version_or_by_time_of_publication(api: Api, key: str, gold: GoldLake) -> None:
    first = gold.published_at() - timedelta(minutes=2)
    for asked in (
        {"version": 1},
        {"timestamp": first.isoformat()},
        {"timestamp": (first + timedelta(seconds=59)).strftime("%Y-%m-%d %H:%M:%S")},
    ):
        answer = api.post(f"{KPIS}/query", key=key, json=asked)
        found = lines(answer)
        assert version(answer) == found[1]["metaData"]["version"] == found[2]["file"]["version"] == 1
        assert found[2]["file"]["timestamp"] == int(first.timestamp() * 1000)
        assert read(api, found)["date"].unique().to_list() == [day(0)]
    assert {"version", "timestamp"}.isdisjoint(query(api, key)[2]["file"])
    assert version(api.get(f"{KPIS}/metadata", key=key, params={"version": 2})) == 2
    before = (first - timedelta(seconds=1)).isoformat()
    assert version(api.post(f"{KPIS}/query", key=key, json={"timestamp": before})) == 0


def test_the_first_version_since_a_time_is_told(api: Api, key: str, gold: GoldLake) -> None:
    second = gold.published_at() - timedelta(minutes=1)

    def since(moment: str) -> httpx.Response:
        return api.get(f"{KPIS}/version", key=key, params={"startingTimestamp": moment})

    assert version(since(second.isoformat())) == 2
    assert version(since((second + timedelta(seconds=1)).isoformat())) == 3
    assert version(since("2001-01-01T00:00:00Z")) == 1
    assert error_of(since("2101-01-01T00:00:00Z")) == (400, "BAD_REQUEST")
    assert version(api.request("HEAD", KPIS, key=key)) == 3


def test_versions_whose_files_are_gone_have_expired(api: Api, key: str, gold: GoldLake) -> None:
    gold.publish_kpis(day(0), offset=10)
    assert version(api.post(f"{KPIS}/query", key=key, json={"version": 3})) == 3
    vacuum(gold.lake.open(GOLD_KPI_DAILY, TENANT), GOLD_KPI_DAILY, retention=timedelta(0), keep_versions=[4])
    assert error_of(api.post(f"{KPIS}/query", key=key, json={"version": 3})) == (410, "VERSION_EXPIRED")
    answer = api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 1})
    assert error_of(answer) == (410, "VERSION_EXPIRED")
    assert version(api.post(f"{KPIS}/query", key=key, json={})) == 4


def test_versions_whose_log_is_gone_have_expired(api: Api, key: str, gold: GoldLake) -> None:
    gold.forget_log(GOLD_KPI_DAILY, 2)
    assert error_of(api.post(f"{KPIS}/query", key=key, json={"version": 1})) == (410, "VERSION_EXPIRED")
    answer = api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 2})
    assert error_of(answer) == (410, "VERSION_EXPIRED")
    last = api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 3})
    assert [kind for line in lines(last)[2:] for kind in line] == ["add"]


# --------------------------------------------------------------------------------------------- changes
def changed(answer: httpx.Response) -> list[tuple[str, int, str]]:
    """Kind, version and date of every file of a feed."""
    return [
        (kind, action["version"], action["partitionValues"]["date"])
        for line in lines(answer)[2:]
        for kind, action in line.items()
    ]


def test_changes_are_whole_files_of_each_publication(api: Api, key: str, gold: GoldLake) -> None:
    gold.publish_kpis(day(0), offset=10)
    answer = api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 2})
    assert version(answer) == 2
    about = lines(answer)[1]["metaData"]
    assert about["version"] == 2
    assert about["configuration"]["enableChangeDataFeed"] == "true"
    replaced, added = day(0).isoformat(), [day(1).isoformat(), day(2).isoformat()]
    feed = [("add", 2, added[0]), ("add", 3, added[1]), ("remove", 4, replaced), ("add", 4, replaced)]
    assert changed(answer) == feed
    assert changed(api.post(f"{KPIS}/query", key=key, json={"startingVersion": 2})) == feed
    until = {"startingVersion": 2, "endingVersion": 3}
    assert changed(api.get(f"{KPIS}/changes", key=key, params=until)) == feed[:2]
    moment = gold.published_at().isoformat()
    assert changed(api.get(f"{KPIS}/changes", key=key, params={"startingTimestamp": moment})) == feed[2:]
    ending = {"startingVersion": 1, "endingTimestamp": moment, "includeHistoricalMetadata": "true"}
    assert changed(api.get(f"{KPIS}/changes", key=key, params=ending))[1:] == feed


def test_compaction_changes_nothing(api: Api, key: str, gold: GoldLake) -> None:
    more = Outputs.open(gold.lake, TENANT, Stage.STAGE1, 50)
    more.append(GOLD_KPI_DAILY, kpis(["cy"], day(2)).with_columns(tenant_id=pl.lit(TENANT)))
    more.publish_again(gold.published_at() + timedelta(minutes=1))
    before = read(api, query(api, key))
    outputs = Outputs.open(gold.lake, TENANT, Stage.STAGE1, 51)
    delta = outputs.deltas[GOLD_KPI_DAILY.id]
    assert compact(delta, GOLD_KPI_DAILY, fence=51, lane=Lane.RUNNER, from_files=2) == 1
    outputs.publish_again(gold.published_at() + timedelta(minutes=2))
    seen(api, outputs.runs.version())
    newest = query(api, key, version=5)
    assert newest[1]["metaData"]["numFiles"] == 3
    assert read(api, newest).sort(pl.all()).equals(before.sort(pl.all()))
    assert changed(api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 5})) == []


def test_what_a_run_left_behind_and_another_undid_was_never_seen(api: Api, key: str, gold: GoldLake) -> None:
    dead = Outputs.open(gold.lake, TENANT, Stage.STAGE1, 40)
    dead.replace(GOLD_KPI_DAILY, kpis(["ghost"], day(1)), [day(1)])
    gold.fence = 40
    gold.publish_kpis(day(2), offset=5)
    now = version(api.get(f"{KPIS}/version", key=key))
    assert now > 5
    answer = api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 4})
    date = day(2).isoformat()
    assert changed(answer) == [("remove", now, date), ("add", now, date)]


BAD_FEEDS: Sequence[Mapping[str, str | int]] = [
    {},
    {"startingVersion": 99},
    {"startingVersion": 1, "startingTimestamp": "2026-10-27"},
    {"startingVersion": 1, "endingVersion": 2, "endingTimestamp": "2026-10-27"},
    {"startingVersion": 3, "endingVersion": 2},
    {"startingVersion": -1},
    {"startingVersion": "one"},
    {"startingVersion": 2**70},
    {"startingTimestamp": "yesterday"},
    {"startingVersion": 1, "maxFiles": 0},
    {"startingVersion": 1, "pageToken": "x"},
]


def test_a_feed_that_makes_no_sense_is_refused(api: Api, key: str, gold: GoldLake) -> None:
    for params in BAD_FEEDS:
        answer = api.get(f"{KPIS}/changes", key=key, params=dict(params))
        assert error_of(answer)[0] == 400, params


BAD_QUERIES = [
    b"{",
    b"[]",
    b'{"version": -1}',
    b'{"version": "1"}',
    b'{"limitHint": -1}',
    b'{"version": 1, "timestamp": "2026-10-27"}',
    b'{"version": 1, "startingVersion": 1}',
    b'{"timestamp": "soon"}',
    b'{"maxFiles": 0}',
    b'{"pageToken": "AAAA"}',
    b'{"refreshToken": "AAAA"}',
    b'{"predicateHints": "date = 1"}',
    b"\xff\xfe",
]


def test_a_body_that_is_no_query_is_refused(api: Api, key: str, gold: GoldLake) -> None:
    for body in BAD_QUERIES:
        headers = {"content-type": "application/json"}
        assert error_of(api.post(f"{KPIS}/query", key=key, content=body, headers=headers))[0] == 400, body


# --------------------------------------------------------------------------------------------- hints, pages
def dates(found: list[dict[str, Any]]) -> list[str]:
    return [line["file"]["partitionValues"]["date"] for line in found if "file" in line]


def equal(column: str, kind: str, value: object) -> str:
    literal = {"op": "literal", "valueType": kind, "value": str(value)}
    column_op = {"op": "column", "name": column, "valueType": kind}
    return json.dumps({"op": "equal", "children": [column_op, literal]})


def test_hints_leave_out_files_without_matching_rows(api: Api, key: str, gold: GoldLake) -> None:
    second = day(1).isoformat()
    assert dates(query(api, key, jsonPredicateHints=equal("date", "date", second))) == [second]
    assert dates(query(api, key, predicateHints=[f"date = '{second}'"])) == [second]
    assert dates(query(api, key, jsonPredicateHints=equal("value", "double", -3))) == []
    assert len(dates(query(api, key, jsonPredicateHints=equal("user_id", "string", "nobody")))) == 3
    assert len(dates(query(api, key, jsonPredicateHints="{broken"))) == 3
    assert len(dates(query(api, key, predicateHints=["date LIKE '2026%'"]))) == 3


def test_a_limit_takes_as_many_files_as_it_needs_and_never_too_few(
    api: Api, key: str, gold: GoldLake
) -> None:
    assert len(dates(query(api, key, limitHint=0))) == 0
    assert len(dates(query(api, key, limitHint=6))) == 1
    assert len(dates(query(api, key, limitHint=7))) == 2
    hint = equal("measure", "string", "m0")
    assert len(dates(query(api, key, limitHint=4, jsonPredicateHints=hint))) == 3


def test_an_answer_comes_in_pages_that_stay_at_their_version(api: Api, key: str, gold: GoldLake) -> None:
    first = api.post(f"{KPIS}/query", key=key, json={"maxFiles": 2}, headers=END)
    found, end = lines(first)[:-1], lines(first)[-1]["endStreamAction"]
    assert len(dates(found)) == 2
    assert end["minUrlExpirationTimestamp"] == found[2]["file"]["expirationTimestamp"]
    seen(api, gold.publish_kpis(day(0), offset=10))
    token = end["nextPageToken"]
    assert token == httpx.QueryParams({"t": token})["t"] and not set(token) & set("+/=&%")
    second = api.post(f"{KPIS}/query", key=key, json={"maxFiles": 2, "pageToken": token}, headers=END)
    assert version(second) == version(first) == 3
    assert lines(second)[:2] == lines(first)[:2]
    assert "nextPageToken" not in lines(second)[-1]["endStreamAction"]
    assert dates(found + lines(second)) == [day(number).isoformat() for number in range(3)]
    other = api.post(f"{KPIS}/query", key=key, json={"limitHint": 5, "pageToken": token})
    assert error_of(other) == (400, "BAD_REQUEST")


def test_changes_come_in_pages_too(api: Api, key: str, gold: GoldLake) -> None:
    asked: dict[str, str | int] = {"startingVersion": 1, "maxFiles": 2}
    first = lines(api.get(f"{KPIS}/changes", key=key, params=asked))
    asked["pageToken"] = first[-1]["endStreamAction"]["nextPageToken"]
    seen(api, gold.publish_kpis(day(7)))
    second = lines(api.get(f"{KPIS}/changes", key=key, params=asked))
    assert "nextPageToken" not in second[-1]["endStreamAction"]
    assert [line["add"]["version"] for line in first[2:-1] + second[2:-1]] == [1, 2, 3]


def test_addresses_can_be_refreshed_for_the_same_version(api: Api, key: str, gold: GoldLake) -> None:
    first = lines(api.post(f"{KPIS}/query", key=key, json={"includeRefreshToken": True}))
    token = first[-1]["endStreamAction"]["refreshToken"]
    seen(api, gold.publish_kpis(day(0), offset=10))
    api.now += timedelta(hours=1)
    answer = api.post(f"{KPIS}/query", key=key, json={"refreshToken": token, "includeRefreshToken": True})
    assert version(answer) == 3
    again = lines(answer)
    assert [line["file"]["id"] for line in again[2:-1]] == [line["file"]["id"] for line in first[2:-1]]
    assert again[2]["file"]["expirationTimestamp"] - first[2]["file"]["expirationTimestamp"] == 3_600_000


@settings(max_examples=30)
@given(st.data())
def test_no_changed_token_is_taken(data: st.DataObject) -> None:
    tokens = PageTokens(Secrets(bytes(32)))
    token = tokens.of(Place("query", TENANT, "gold/kpi_daily?x", 3, 2))
    position = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABab01-_=+/\x00é"))
    changed_token = token[:position] + letter + token[position + 1 :]
    other = data.draw(st.sampled_from([changed_token, changed_token[:position], token + letter, ""]))
    if other != token:
        with pytest.raises(ValueError, match="token"):
            tokens.place(other, purpose="query", tenant_id=TENANT, asked="gold/kpi_daily?x")
    for purpose, tenant, asked in (
        ("list", TENANT, "gold/kpi_daily?x"),
        ("query", OTHER_TENANT, "gold/kpi_daily?x"),
        ("query", TENANT, "gold/briefs?x"),
    ):
        with pytest.raises(ValueError, match="another request"):
            tokens.place(token, purpose=purpose, tenant_id=tenant, asked=asked)


# --------------------------------------------------------------------------------------------- who may
def test_a_key_sees_its_own_tenant_only(api: Api, gold: GoldLake) -> None:
    other = api.key(Scope.SHARING, tenant=OTHER_TENANT)
    assert dates(query(api, other)) == []
    frames = {GOLD_KPI_DAILY.id: kpis(["zoe"], day(0))}
    seen(api, gold.publish({day(0): frames}, tenant_id=OTHER_TENANT), OTHER_TENANT)
    assert set(read(api, query(api, other, version=1))["user_id"]) == {"zoe"}
    token = lines(api.post(f"{KPIS}/query", key=api.key(Scope.SHARING), json={"maxFiles": 1}))[-1]
    stolen = {"maxFiles": 1, "pageToken": token["endStreamAction"]["nextPageToken"]}
    assert error_of(api.post(f"{KPIS}/query", key=other, json=stolen)) == (400, "BAD_REQUEST")


def test_row_limited_keys_worker_tokens_and_other_scopes_get_nothing(api: Api, gold: GoldLake) -> None:
    callers = {
        api.key(Scope.SHARING, workers={"ana"}): "NOT_FOR_LIMITED_KEYS",
        api.worker_token("ana"): "NOT_FOR_WORKER_TOKENS",
        api.key(Scope.KPIS, Scope.EXPORTS): "MISSING_SCOPE",
    }
    for caller, code in callers.items():
        for path in (ROOT, f"{ROOT}/coworkai/all-tables", f"{KPIS}/version", f"{KPIS}/metadata"):
            assert error_of(api.get(path, key=caller)) == (403, code)
        assert error_of(api.post(f"{KPIS}/query", key=caller, json={})) == (403, code)
    assert error_of(api.get(ROOT)) == (401, "MISSING_CREDENTIALS")
    assert error_of(api.get(ROOT, key="cwk_live_nonsense"))[0] == 401


LATTICE = f"{ROOT}/coworkai/schemas/gold/tables/kpi_lattice"


def test_aggregate_reach_sees_the_lattice_as_it_is_now_and_nothing_else(api: Api, gold: GoldLake) -> None:
    cell = {"date": day(0), "period": "day", "level": "team", "group_id": "red", "measure": "active_s"}
    for value in (1.0, 2.0):
        gold.publish(
            {day(0): {GOLD_KPI_LATTICE.id: rows(GOLD_KPI_LATTICE, {**cell, "value": value})}},
            stage=Stage.LATTICE,
            run=f"lattice{value}",
        )
    caller = api.key(Scope.SHARING, reach=Reach.AGGREGATE)
    tables = api.get(f"{ROOT}/coworkai/all-tables", key=caller).json()["items"]
    assert [table["name"] for table in tables] == ["kpi_lattice"]
    for table in of_layer(Layer.GOLD):
        if table is not GOLD_KPI_LATTICE:
            path = f"{ROOT}/coworkai/schemas/gold/tables/{table.name}/metadata"
            assert error_of(api.get(path, key=caller)) == (404, "NOT_FOUND")
    found = api.post(f"{LATTICE}/query", key=caller, json={"includeRefreshToken": True, "maxFiles": 1})
    assert version(found) == 2
    assert read(api, lines(found))["value"].to_list() == [2.0]
    refused = (403, "INDIVIDUAL_REACH_REQUIRED")
    for asked in ({"version": 1}, {"version": 2}, {"timestamp": "2026-10-28"}, {"startingVersion": 1}):
        assert error_of(api.post(f"{LATTICE}/query", key=caller, json=asked)) == refused
    for path, params in (
        ("changes", {"startingVersion": "1"}),
        ("version", {"startingTimestamp": "2026-10-28"}),
        ("metadata", {"version": "1"}),
    ):
        assert error_of(api.get(f"{LATTICE}/{path}", key=caller, params=params)) == refused


def test_aggregate_reach_goes_back_by_no_token(api: Api, gold: GoldLake) -> None:
    cell = {"date": day(0), "period": "day", "level": "team", "group_id": "red", "measure": "active_s"}
    frame = rows(GOLD_KPI_LATTICE, {**cell, "value": 1.0})
    gold.publish({day(0): {GOLD_KPI_LATTICE.id: frame}}, stage=Stage.LATTICE)
    caller = api.key(Scope.SHARING, reach=Reach.AGGREGATE)
    found = lines(api.post(f"{LATTICE}/query", key=caller, json={"includeRefreshToken": True}))
    token = found[-1]["endStreamAction"]["refreshToken"]
    assert dates(lines(api.post(f"{LATTICE}/query", key=caller, json={"refreshToken": token})))
    seen(api, gold.publish({day(0): {GOLD_KPI_LATTICE.id: frame}}, stage=Stage.LATTICE, run="again"))
    answer = api.post(f"{LATTICE}/query", key=caller, json={"refreshToken": token})
    assert error_of(answer) == (410, "CURSOR_EXPIRED")


# --------------------------------------------------------------------------------------------- access log
def test_a_query_is_in_the_access_log_of_those_whose_rows_are_offered(
    api: Api, key: str, gold: GoldLake
) -> None:
    gold.publish_kpis(day(3), ["cy"])
    query(api, key, predicateHints=[f"date < '{day(2)}'"])
    api.get(f"{KPIS}/metadata", key=key)
    api.get(f"{KPIS}/version", key=key)
    entries = api.services.access_log.page(TENANT, "ana")
    assert [(one.operation, one.start_date, one.end_date, one.row_count) for one in entries] == [
        ("delta_sharing.query", day(0), day(1), 12)
    ]
    assert api.services.access_log.page(TENANT, "cy") == []
    api.get(f"{KPIS}/changes", key=key, params={"startingVersion": 4})
    (read_of_cy,) = api.services.access_log.page(TENANT, "cy")
    assert (read_of_cy.operation, read_of_cy.start_date) == ("delta_sharing.changes", day(3))


@pytest.mark.parametrize(
    ("table", "personal", "of_group"),
    [
        (GOLD_KPI_GROUPS, {"level": "worker", "group_id": "ana"}, {"level": "team", "group_id": "red"}),
        (GOLD_BRIEFS, {"subject_kind": "worker", "subject_id": "ana"}, {"subject_kind": "team"}),
        (GOLD_WORKBLOCKS, workblock("ana", day(0), 9), {"user_id": None}),
    ],
    ids=lambda value: value.name if isinstance(value, Table) else "",
)
def test_only_rows_of_single_workers_count_as_reads_of_them(
    api: Api, key: str, table: Table, personal: Mapping[str, object], of_group: Mapping[str, object]
) -> None:
    gold = GoldLake(Path(api.settings.lake_uri))
    frame = rows(table, {**personal, "date": day(0)}, {**of_group, "date": day(0)})
    stage = Stage.STAGE2 if table is GOLD_BRIEFS else Stage.STAGE1
    gold.publish({day(0): {table.id: frame}}, stage=stage)
    query(api, key, f"{ROOT}/coworkai/schemas/gold/tables/{table.name}")
    assert len(api.services.access_log.page(TENANT, "ana")) == 1
    assert api.services.access_log.page(TENANT, "red") == []


def _rollup_of(users: Sequence[str], on: int = 0) -> Mapping[str, pl.DataFrame]:
    """A day's values of these workers, and the tenant's rollup of them."""
    rollup = {"date": day(on), "period": "day", "level": "tenant", "group_id": "acme", "measure": "m0"}
    return {
        GOLD_KPI_DAILY.id: kpis(users, day(on)),
        GOLD_KPI_GROUPS.id: rows(GOLD_KPI_GROUPS, {**rollup, "value": 1.0, "contributors": len(users)}),
    }


def test_a_rollup_of_few_is_in_the_access_log_of_those_behind_it_as_it_was_published(
    api: Api, key: str
) -> None:
    gold = GoldLake(Path(api.settings.lake_uri))

    def reads_of(user: str) -> int:
        return len(api.services.access_log.page(TENANT, user))

    many = [f"one-of-many-{number}" for number in range(5)]
    gold.publish({day(0): _rollup_of(["ana"]), day(1): _rollup_of(many, 1)})
    path = f"{ROOT}/coworkai/schemas/gold/tables/{GOLD_KPI_GROUPS.name}"
    query(api, key, path, predicateHints=[f"date = '{day(1)}'"])
    assert [reads_of(user) for user in ("ana", *many)] == [0] * 6
    query(api, key, path)
    query(api, key, path)
    assert [reads_of(user) for user in ("ana", *many)] == [2] + [0] * 5

    # What came was of Ana alone; then it went, and Ben's came.
    seen(api, gold.publish({day(0): _rollup_of(["ben"])}, run="again"))
    api.services.sharing._tables._workers._values.clear()
    query(api, key, path)
    assert (reads_of("ana"), reads_of("ben")) == (2, 1)
    api.get(f"{path}/changes", key=key, params={"startingVersion": 1, "endingVersion": 1})
    assert (reads_of("ana"), reads_of("ben")) == (3, 1)
    api.get(f"{path}/changes", key=key, params={"startingVersion": 2})
    assert (reads_of("ana"), reads_of("ben")) == (4, 2)
    query(api, key, path, version=1)
    assert (reads_of("ana"), reads_of("ben")) == (5, 2)
