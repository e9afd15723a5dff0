"""What the artefact store promises on every kind of store."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.contract.conftest import BUCKET, Target
from tests.doubles import gcs, seaweed

from coworkai.common.artifacts import ArtifactStore
from coworkai.common.errors import NotFound, SettingsError, StorageUnavailable

PATH = "tenants/acme/artifacts/date=2024-01-01/report.md"


def test_what_is_put_is_what_is_read(target: Target) -> None:
    store = target.artifacts
    store.put(PATH, "# Ein Tag\n\xe4\xf6\xfc".encode())
    assert store.get(PATH).decode() == "# Ein Tag\n\xe4\xf6\xfc"
    assert store.exists(PATH)


def test_putting_again_replaces_the_whole_object(target: Target) -> None:
    store = target.artifacts
    store.put(PATH, b"a long first version")
    store.put(PATH, b"short")
    assert store.get(PATH) == b"short"


def test_an_object_of_many_megabytes_arrives_whole(target: Target) -> None:
    content = bytes(range(256)) * 4096 * 12
    target.artifacts.put(PATH, content)
    assert target.artifacts.get(PATH) == content


def test_what_was_never_put_is_not_found(target: Target) -> None:
    with pytest.raises(NotFound):
        target.artifacts.get(PATH)
    assert not target.artifacts.exists(PATH)


def test_listing_is_of_the_folder_sorted_and_deep(target: Target) -> None:
    store = target.artifacts
    for name in ("day/b.md", "day/a/deep.md", "day-2/c.md", "other.md"):
        store.put(name, b"x")
    assert store.list("day") == ["day/a/deep.md", "day/b.md"]
    assert store.list("nothing") == []


def test_odd_characters_in_a_name_survive(target: Target) -> None:
    store = target.artifacts
    name = "tenants/acme/user_a%2Fb=c d/re+port&1.md"
    store.put(name, b"x")
    assert store.get(name) == b"x"
    assert store.list("tenants") == [name]


@pytest.mark.parametrize("path", ["../outside.md", "day/../../outside.md", "day//a.md", "day/./a.md"])
def test_a_path_that_would_lead_elsewhere_is_refused(target: Target, path: str) -> None:
    with pytest.raises(StorageUnavailable):
        target.artifacts.put(path, b"x")
    assert target.artifacts.list("") == []


def test_deleting_is_of_named_objects_and_may_be_repeated(target: Target) -> None:
    store = target.artifacts
    store.put("a.md", b"a")
    store.put("b.md", b"b")
    store.delete(["a.md"])
    store.delete(["a.md"])
    assert store.list("") == ["b.md"]


def test_a_reader_sees_one_version_or_the_other_never_a_mix(target: Target) -> None:
    store = target.artifacts
    versions = [letter * 300_000 for letter in (b"a", b"b")]
    store.put(PATH, versions[0])
    with ThreadPoolExecutor(2) as pool:
        writes = pool.map(lambda number: store.put(PATH, versions[number % 2]), range(12))
        reads = list(pool.map(lambda _: store.get(PATH), range(12)))
        list(writes)
    assert set(reads) <= set(versions)


PARTITION = "tenants/acme/gold/kpi_daily/date=2026-11-05/part-0 a%20b.parquet"


def test_a_folder_signs_no_addresses(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        asyncio.run(ArtifactStore(str(tmp_path)).sign_all([PARTITION], 3600))


def test_addresses_on_gs_are_signed_for_the_escaped_path(gcs_url: str) -> None:
    private_key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    account = {
        "client_email": "api@example.iam.gserviceaccount.com",
        "private_key": private_key.decode(),
        "private_key_id": "1",
    }
    signing = ArtifactStore(f"gs://{BUCKET}/signed", {"google_service_account_key": json.dumps(account)})
    first, second = asyncio.run(signing.sign_all([PARTITION, "other.parquet"], 3600))
    assert urlsplit(second).path == f"/{BUCKET}/signed/other.parquet"
    address = urlsplit(first)
    assert address.path == (
        f"/{BUCKET}/signed/tenants/acme/gold/kpi_daily/date%3D2026-11-05/part-0%20a%2520b.parquet"
    )
    assert parse_qs(address.query)["X-Goog-Expires"] == ["3600"]
    assert "X-Goog-Credential" in parse_qs(address.query)
    ArtifactStore(f"gs://{BUCKET}/signed", gcs.storage_options(gcs_url)).put(PARTITION, b"rows")
    assert httpx.get(f"{gcs_url}{address.path}?{address.query}").content == b"rows"


@pytest.mark.integration
def test_addresses_on_s3_open_their_objects_for_a_while(s3_url: str) -> None:
    store = ArtifactStore(f"s3://{BUCKET}/signed", seaweed.storage_options(s3_url))
    store.put(PARTITION, b"rows")
    (address,) = asyncio.run(store.sign_all([PARTITION], 3600))
    assert httpx.get(address).content == b"rows"
    assert httpx.get(address, headers={"range": "bytes=1-2"}).content == b"ow"
    assert httpx.get(address.replace("date%3D2026-11-05", "date%3D2026-11-06")).status_code in {403, 404}
