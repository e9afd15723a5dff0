"""The reference page in a real Chromium: it shows, and no request leaves for anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.e2e.partner import Partner, running
from tests.integration.browser import Tab, installed, tab
from tests.unit.partner_api.gold_lake import GoldLake

BROWSER = installed()
BLANK_PAGE_BYTES = 20_000
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partner]:
    folder = tmp_path_factory.mktemp("partner")
    with running(folder, GoldLake(folder / "lake")) as started:
        yield started


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Tab]:
    assert BROWSER is not None
    with tab(BROWSER, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_shows_by_one_request_to_its_own_host(
    partner: Partner, browser: Tab, width: int, tmp_path: Path
) -> None:
    browser.open(f"{partner.url}/docs#list_kpis_daily", width=width)
    asked = [one["request"]["url"] for one in browser.told("Network.requestWillBeSent")]
    assert {urlsplit(url)._replace(fragment="").geturl() for url in asked} - {"data:,"} == {
        f"{partner.url}/docs"
    }
    assert browser.told("Network.responseReceived")[0]["response"]["status"] == 200
    # What the policy refuses, or fails, is in the log.
    assert browser.told("Log.entryAdded") == []
    assert browser.told("Runtime.exceptionThrown") == []
    # Its style is applied, it is scrolled to the operation, and nothing sticks out.
    assert browser.evaluate("getComputedStyle(document.querySelector('nav li')).listStyleType") == "none"
    assert (
        0 <= browser.evaluate("document.querySelector('#list_kpis_daily').getBoundingClientRect().top") < 99
    )
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    # For people to look at, in the folder that a run keeps.
    browser.screenshot(tmp_path / "reference.png")
    assert (tmp_path / "reference.png").stat().st_size > BLANK_PAGE_BYTES
