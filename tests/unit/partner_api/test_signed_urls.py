"""Signed addresses of files in a folder: they open what was signed, for a while, and nothing else."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.responses import FileResponse
from tests.unit.partner_api.conftest import BASE, NOW, Api

from coworkai.common.artifacts import ArtifactStore
from coworkai.partner_api.problems import Refused
from coworkai.partner_api.secrets import Secrets
from coworkai.partner_api.settings import PartnerApiSettings
from coworkai.partner_api.signed_urls import SignedUrls
from coworkai.runner.settings import RunnerSettings

PATH = "tenants/acme/gold/kpi_daily/date=2026-11-05/part-0.parquet"
CONTENT = bytes(range(256)) * 4


@pytest.fixture
def url(api: Api) -> str:
    """Address of a file that is there."""
    api.services.store.put(PATH, CONTENT)
    (address,) = api.run(api.services.signed_urls.of([PATH]))
    assert address.expires_ms == (NOW + timedelta(hours=2)).timestamp() * 1000
    return address.url


def test_an_address_opens_its_file_without_credentials(api: Api, url: str) -> None:
    answer = api.get(url)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == 'attachment; filename="part-0.parquet"'
    assert "x-request-id" in answer.headers


def test_heads_and_ranges_are_answered(api: Api, url: str) -> None:
    head = api.request("HEAD", url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CONTENT))
    for asked, expected in (("0-3", CONTENT[:4]), ("1000-", CONTENT[1000:]), ("-8", CONTENT[-8:])):
        part = api.get(url, headers={"range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, expected)
    beyond = api.get(url, headers={"range": "bytes=5000-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == "bytes */1024"
    for unreadable in ("lines=1-2", "bytes", "bytes=3-2", "bytes=x-y"):
        assert api.get(url, headers={"range": unreadable}).content == CONTENT
    unchanged = {"range": "bytes=0-3", "if-range": head.headers["etag"]}
    assert api.get(url, headers=unchanged).status_code == 206
    assert api.get(url, headers={**unchanged, "if-range": '"other"'}).content == CONTENT


def test_an_address_works_for_its_time_and_no_longer(api: Api, url: str) -> None:
    api.now += timedelta(hours=2, seconds=-1)
    assert api.get(url).status_code == 200
    api.now += timedelta(seconds=1)
    answer = api.get(url)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_no_address_outlives_the_file_of_a_version_that_was_replaced() -> None:
    """Whatever is set: the runner keeps files for longer than the partner API may have them read."""
    for hours in range(1, 200):
        with suppress(ValidationError):
            RunnerSettings(vacuum_hours=hours)
            break
    with pytest.raises(ValidationError):
        PartnerApiSettings(signed_url_s=hours * 3_600)
    with pytest.raises(ValidationError):
        # The official client asks for addresses once.
        PartnerApiSettings(signed_url_s=3_599)


def test_a_file_that_was_removed_is_not_found(api: Api, url: str) -> None:
    api.services.store.delete([PATH])
    assert api.get(url).status_code == 404


def test_nothing_can_be_changed_in_an_address(api: Api, url: str) -> None:
    start, query = url.split("?")
    token, file_name = start.removeprefix(f"{BASE}/files/").split("/")
    other = base64.urlsafe_b64encode(b"master.key").decode().rstrip("=")
    later = query.replace("se=", "se=9")
    for changed in (
        f"/files/{other}/master.key?{query}",
        f"/files/{token}/other.parquet?{query}",
        f"/files/{token}/{file_name}?{later}",
        f"/files/{token}=/{file_name}?{query}",
        f"/files/{token}/{file_name}",
        f"/files/{token}/{file_name}?sp=r&se=&sig=",
        f"/files/{token}/{file_name}?{query[:-1]}",
        f"/files/{token}/{file_name}?{query}%C3%A9",
        f"/files/%00/{file_name}?{query}",
    ):
        assert api.get(changed).status_code == 403, changed


def signer(folder: Path) -> SignedUrls:
    return SignedUrls(
        ArtifactStore(str(folder)), Secrets(bytes(32)), public_url=BASE, ttl_s=3600, clock=lambda: NOW
    )


@pytest.mark.parametrize(
    "path", ["../secret", "a/../../secret", "/etc/passwd", "link/secret", "folder", ".", "sec\x00ret"]
)
def test_even_a_signed_path_opens_nothing_outside_the_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "lake"
    (folder / "folder").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(Refused):
        opened(signer(folder), path)


def opened(urls: SignedUrls, path: str) -> FileResponse:
    """What the address of the path opens."""
    (address,) = asyncio.run(urls.of([path]))
    query = httpx.URL(address.url).params
    token, _, file_name = address.url.split("?")[0].removeprefix(f"{BASE}/files/").partition("/")
    return urls.open(token, unquote(file_name), query["se"], query["sig"])


@settings(max_examples=40)
@given(st.text(max_size=60), st.text(max_size=30), st.text(max_size=16), st.text(max_size=70))
def test_made_up_addresses_open_nothing(token: str, file_name: str, expires: str, signature: str) -> None:
    with pytest.raises(Refused):
        signer(Path(__file__).parent).open(token, file_name, expires, signature)


@settings(max_examples=40)
@given(st.data())
def test_an_address_with_one_letter_changed_opens_nothing(data: st.DataObject) -> None:
    urls = signer(Path(__file__).parent)
    (address,) = asyncio.run(urls.of([Path(__file__).name]))
    params = httpx.URL(address.url).params
    token, file_name = address.url.split("?")[0].removeprefix(f"{BASE}/files/").split("/")
    parts = [token, file_name, params["se"], params["sig"]]
    assert urls.open(*parts).path
    which = data.draw(st.integers(0, 3))
    place = data.draw(st.integers(0, len(parts[which]) - 1))
    letter = data.draw(st.sampled_from("abAB019-_=é\x00"))
    changed = parts[which][:place] + letter + parts[which][place + 1 :]
    if changed != parts[which]:
        parts[which] = changed
        with pytest.raises(Refused):
            urls.open(*parts)
