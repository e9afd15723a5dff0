"""Where artefacts are; every segment from data stays one segment."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from coworkai.common.artifacts import ArtifactPaths

DAY = date(2026, 3, 2)
PATHS = ArtifactPaths("acme")


def test_paths_are_those_of_the_domain() -> None:
    root = "tenants/acme/artifacts"
    assert PATHS.stage1_table(DAY, "b1", "workblocks") == (
        f"{root}/workblock_processing/date=2026-03-02/batch_b1/workblocks.parquet"
    )
    assert PATHS.workblock_report(DAY, "b1", "user_1") == (
        f"{root}/workblock_processing/date=2026-03-02/batch_b1/user_user_1/workblock_report_2026-03-02.md"
    )
    assert PATHS.chat_history_table(DAY, "b1") == (
        f"{root}/chat_history/date=2026-03-02/batch_b1/chat_history.parquet"
    )
    assert PATHS.chat_history(DAY, "u") == (
        f"{root}/chat_history/date=2026-03-02/user_u/chat_history_2026-03-02.md"
    )
    assert PATHS.manifests_paired(DAY) == (
        f"{root}/manifests/paired/date=2026-03-02/manifests_paired_2026-03-02.parquet"
    )
    assert PATHS.insights(DAY, "u", "chat") == (
        f"{root}/insights/date=2026-03-02/user_u/chat_insights_2026-03-02.md"
    )
    start = date(2026, 2, 27)
    context = f"{root}/context_consolidated/user_u/primary_date=2026-03-02"
    assert PATHS.context("u", DAY, start, DAY, "md") == f"{context}/context_2026-02-27_to_2026-03-02.md"
    assert PATHS.context_component_log("u", DAY, start, DAY) == (
        f"{context}/context_component_log_2026-02-27_to_2026-03-02.json"
    )
    assert PATHS.brief("u", DAY, start, DAY, "json") == (
        f"{root}/brief_consolidated/user_u/primary_date=2026-03-02/brief_2026-02-27_to_2026-03-02.json"
    )


@given(user_id=st.text(min_size=1, max_size=30).filter(str.isprintable))
def test_no_identifier_leaves_its_segment_or_meets_another(user_id: str) -> None:
    path = PATHS.workblock_report(DAY, "b1", user_id)
    assert path.count("/") == PATHS.workblock_report(DAY, "b1", "u").count("/")
    assert not any(part in {"", ".", ".."} for part in path.split("/"))
    assert (path == PATHS.workblock_report(DAY, "b1", "u")) == (user_id == "u")
