"""The focus table: ours is sound, a tenant's is checked."""

from __future__ import annotations

import polars as pl
import pytest

from coworkai.common.errors import SettingsError
from coworkai.runner.stage1.focus import default_focus_table, is_focus, parse_focus_table


def verdicts(*contexts: tuple[str, str | None], table: str | None = None) -> list[bool]:
    focus = default_focus_table() if table is None else parse_focus_table(table)
    frame = pl.DataFrame(list(contexts), schema={"app": pl.String, "url": pl.String}, orient="row")
    return is_focus(frame, focus).to_list()


def test_the_table_of_the_package_has_focus_and_other_categories() -> None:
    table = default_focus_table()
    assert set(table["kind"]) == {"app", "domain"}
    assert set(table["focus"]) == {True, False}
    assert table.null_count().sum_horizontal().item() == 0


def test_a_tenant_can_replace_the_table() -> None:
    own = '[support]\nfocus = true\napps = ["Zendesk"]\ndomains = ["zendesk.com"]'
    contexts = (("zendesk", None), ("chrome", "https://acme.zendesk.com/agent"), ("code", None))
    assert verdicts(*contexts, table=own) == [True, True, False]


def test_an_empty_table_makes_nothing_focus() -> None:
    assert verdicts(("code", "https://github.com"), ("code", None), table="") == [False, False]


def test_hosts_are_read_out_of_every_form_of_address() -> None:
    addresses = (
        "https://github.com",
        "HTTPS://GitHub.com:443/x",
        "github.com/x",
        "https://user@api.github.com?x=1",
        "https://github.com.evil.example/",
        "https://notgithub.com",
        "https://example.com/github.com",
        "file:///home/github.com",
        "",
        "https://",
    )
    assert verdicts(*(("chrome", url) for url in addresses)) == [True] * 4 + [False] * 6


@pytest.mark.parametrize(
    "broken",
    [
        "[coding\nfocus = true",
        '[coding]\napps = ["code"]',
        '[coding]\nfocus = "yes"',
        '[coding]\nfocus = true\nprograms = ["code"]',
        '[a]\nfocus = true\napps = ["code"]\n[b]\nfocus = false\napps = ["Code"]',
    ],
)
def test_a_broken_table_is_refused(broken: str) -> None:
    with pytest.raises(SettingsError, match="focus categories"):
        parse_focus_table(broken)
