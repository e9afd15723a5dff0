"""What the artefact store promises on every kind of store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.contract.conftest import Target

from coworkai.common.errors import NotFound

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
