"""Delta Sharing of a lake in a bucket: files come from the store itself, by addresses signed for it."""

from __future__ import annotations

import json
from pathlib import Path

import delta_sharing
import httpx
import pytest
from tests.doubles import seaweed
from tests.e2e.partner import running
from tests.unit.partner_api.gold_lake import GoldLake, day

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.lake import Lake

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
BUCKET = "lake"


def test_the_official_client_reads_from_the_bucket_in_both_formats(tmp_path: Path) -> None:
    with seaweed.running(tmp_path, BUCKET) as store:
        gold, root = GoldLake(tmp_path / "unused"), f"s3://{BUCKET}/here"
        gold.lake = Lake(root, seaweed.storage_options(store))
        gold.store = ArtifactStore(root, seaweed.storage_options(store))
        for number in range(2):
            gold.publish_kpis(day(number))
        gold.publish_kpis(day(0), offset=10)
        with running(tmp_path / "partner", gold) as partner:
            table = partner.table()
            for delta in (False, True):
                frame = delta_sharing.load_as_pandas(table, use_delta_format=delta)
                assert len(frame) == 12
                earlier = delta_sharing.load_as_pandas(table, version=2, use_delta_format=delta)
                assert earlier["value"].max() == 2.0
                changes = delta_sharing.load_table_changes_as_pandas(
                    table, starting_version=3, use_delta_format=delta
                )
                assert sorted(changes["_change_type"].value_counts().items()) == [
                    ("delete", 6),
                    ("insert", 6),
                ]
            told = json.loads(partner.profile().read_text())
            answer = httpx.post(
                f"{told['endpoint']}/shares/coworkai/schemas/gold/tables/kpi_daily/query",
                headers={"authorization": f"Bearer {told['bearerToken']}"},
                json={},
            )
            assert "X-Amz-Signature" in answer.text
            assert partner.url not in answer.text
