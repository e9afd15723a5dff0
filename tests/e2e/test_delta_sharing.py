"""The official Delta Sharing client, and Polars, against a running partner API over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import delta_sharing
import httpx
import pandas as pd
import polars as pl
import pytest
from requests.exceptions import HTTPError
from tests.e2e.partner import Partner, running
from tests.unit.partner_api.gold_lake import GoldLake, day, kpis

from coworkai.common.control import Lane, Stage
from coworkai.common.lake import compact, vacuum
from coworkai.common.outputs import Outputs
from coworkai.common.tables import GOLD_BRIEFS, GOLD_KPI_DAILY

pytestmark = [
    pytest.mark.timeout(120),
    # The client's own: sessions that it leaves open, and pandas calls that are going away.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
FORMATS = pytest.mark.parametrize("delta", [False, True], ids=["parquet", "delta"])
COLUMNS = ["date", "user_id", "measure", "value"]


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    """Over three published days: versions 1 to 3 of `kpi_daily`."""
    folder = tmp_path_factory.mktemp("partner")
    gold = GoldLake(folder / "lake")
    for number in range(3):
        gold.publish_kpis(day(number))
    with running(folder, gold) as started:
        yield started


def wait_for(table: str, version: int) -> None:
    """Wait until the published version is this one."""
    while delta_sharing.get_table_version(table) < version:
        pass


def expected(*frames: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(frames).select(COLUMNS).sort(COLUMNS)


def rows(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.from_pandas(frame[COLUMNS]).with_columns(pl.col("date").cast(pl.Date)).sort(COLUMNS)


THREE_DAYS = [kpis(["ana", "ben"], day(number)) for number in range(3)]
SECOND_DAY: Mapping[str, Any] = {
    "op": "equal",
    "children": [
        {"op": "column", "name": "date", "valueType": "date"},
        {"op": "literal", "value": day(1).isoformat(), "valueType": "date"},
    ],
}


def test_the_client_lists_what_is_shared(partner: Partner) -> None:
    client = delta_sharing.SharingClient(str(partner.profile()))
    (share,) = client.list_shares()
    (schema,) = client.list_schemas(share)
    tables = client.list_tables(schema)
    assert {table.name for table in tables} >= {"kpi_daily", "workblocks", "briefs"}
    assert client.list_all_tables() == tables


@FORMATS
def test_the_client_reads_a_table(partner: Partner, delta: bool) -> None:
    frame = delta_sharing.load_as_pandas(partner.table(), version=3, use_delta_format=delta)
    assert rows(frame).equals(expected(*THREE_DAYS))
    assert list(frame.columns) == GOLD_KPI_DAILY.schema.names()
    blocks = delta_sharing.load_as_pandas(partner.table("workblocks"), version=3, use_delta_format=delta)
    assert len(blocks) == 6
    assert blocks["started_at"].dt.tz_convert("UTC").dt.hour.unique().tolist() == [9]


def test_a_client_that_leaves_the_format_open_reads_the_same(partner: Partner) -> None:
    assert rows(delta_sharing.load_as_pandas(partner.table(), version=3)).equals(expected(*THREE_DAYS))


@FORMATS
def test_the_client_travels_in_time(partner: Partner, delta: bool) -> None:
    table, at_first = partner.table(), partner.gold.published_at() - timedelta(minutes=partner.gold.fence - 1)
    by_version = delta_sharing.load_as_pandas(table, version=1, use_delta_format=delta)
    by_time = delta_sharing.load_as_pandas(table, timestamp=at_first.isoformat(), use_delta_format=delta)
    assert rows(by_version).equals(rows(by_time))
    assert rows(by_version).equals(expected(THREE_DAYS[0]))
    since = (at_first + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert delta_sharing.get_table_version(table, since) == 2
    with pytest.raises(HTTPError, match="was never published"):
        delta_sharing.load_as_pandas(table, version=999, use_delta_format=delta)


@FORMATS
def test_the_client_limits_and_hints(partner: Partner, delta: bool) -> None:
    table = partner.table()
    assert len(delta_sharing.load_as_pandas(table, limit=7, use_delta_format=delta)) == 7
    assert len(delta_sharing.load_as_pandas(table, limit=0, use_delta_format=delta)) == 0
    hinted = delta_sharing.load_as_pandas(
        table, version=3, jsonPredicateHints=json.dumps(SECOND_DAY), use_delta_format=delta
    )
    assert rows(hinted).equals(expected(THREE_DAYS[1]))


@FORMATS
def test_a_table_of_which_nothing_is_published_is_an_empty_frame(partner: Partner, delta: bool) -> None:
    table = partner.table("briefs")
    frame = delta_sharing.load_as_pandas(table, use_delta_format=delta)
    assert (len(frame), list(frame.columns)) == (0, GOLD_BRIEFS.schema.names())
    changes = delta_sharing.load_table_changes_as_pandas(table, starting_version=0, use_delta_format=delta)
    assert len(changes) == 0


@FORMATS
def test_the_client_follows_changes(partner: Partner, delta: bool) -> None:
    changes = delta_sharing.load_table_changes_as_pandas(
        partner.table(), starting_version=1, ending_version=3, use_delta_format=delta
    )
    assert set(changes["_change_type"]) == {"insert"}
    assert sorted(changes["_commit_version"].unique()) == [1, 2, 3]
    assert rows(changes).equals(expected(*THREE_DAYS))


@FORMATS
def test_the_client_gets_its_token_by_oauth(partner: Partner, delta: bool) -> None:
    table = partner.table(oauth=True)
    frame = delta_sharing.load_as_pandas(table, version=3, use_delta_format=delta)
    assert rows(frame).equals(expected(*THREE_DAYS))


def test_the_client_is_told_what_is_wrong(partner: Partner) -> None:
    file = partner.profile()
    told = json.loads(file.read_text())
    file.write_text(json.dumps(told | {"bearerToken": told["bearerToken"][:-1] + "x"}))
    with pytest.raises(HTTPError, match=r"401[\s\S]*errorCode"):
        delta_sharing.load_as_pandas(f"{file}#coworkai.gold.kpi_daily")
    with pytest.raises(HTTPError, match=r"404[\s\S]*NOT_FOUND"):
        delta_sharing.load_as_pandas(partner.table("payroll"))


def test_polars_reads_the_addresses_of_a_query(partner: Partner) -> None:
    told = json.loads(partner.profile().read_text())
    answer = httpx.post(
        f"{told['endpoint']}/shares/coworkai/schemas/gold/tables/kpi_daily/query",
        headers={"authorization": f"Bearer {told['bearerToken']}"},
        json={"version": 3},
    )
    files = [json.loads(line)["file"] for line in answer.text.splitlines()[2:]]
    assert pl.scan_parquet([file["url"] for file in files]).select(pl.len()).collect().item() == 18


@FORMATS
def test_a_reader_goes_on_while_the_table_is_compacted_and_vacuumed(
    partner: Partner, delta: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, gold = partner.table(), partner.gold
    for user in ("cy", "di"):
        gold.fence += 1
        more = Outputs.open(gold.lake, "acme", Stage.STAGE1, gold.fence)
        more.append(GOLD_KPI_DAILY, kpis([user], day(2)))
        more.publish_again(gold.published_at())
    wait_for(table, more.deltas[GOLD_KPI_DAILY.id].version())
    before = delta_sharing.load_as_pandas(table, use_delta_format=delta)
    list_files = delta_sharing.rest_client.DataSharingRestClient.list_files_in_table

    def maintained_meanwhile(*arguments: Any, **options: Any) -> Any:
        listed = list_files(*arguments, **options)
        gold.fence += 1
        outputs = Outputs.open(gold.lake, "acme", Stage.STAGE1, gold.fence)
        stored = outputs.deltas[GOLD_KPI_DAILY.id]
        assert compact(stored, GOLD_KPI_DAILY, fence=gold.fence, lane=Lane.RUNNER, from_files=2) > 0
        outputs.publish_again(gold.published_at())
        vacuum(stored, GOLD_KPI_DAILY, retention=timedelta(hours=1), keep_versions=[stored.version()])
        wait_for(table, stored.version())
        return listed

    with monkeypatch.context() as patched:
        patched.setattr(
            delta_sharing.rest_client.DataSharingRestClient, "list_files_in_table", maintained_meanwhile
        )
        during = delta_sharing.load_as_pandas(table, use_delta_format=delta)
    after = delta_sharing.load_as_pandas(table, use_delta_format=delta)
    assert rows(during).equals(rows(before))
    assert rows(after).equals(rows(before))
