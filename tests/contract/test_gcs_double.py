"""The GCS double does what the real store is documented to do, where Delta depends on it."""

from __future__ import annotations

import httpx
from tests.doubles.gcs import AFTER_PREFIX, Faults, Reply, Request, Storage


def ask(storage: Storage, method: str, key: str, body: bytes = b"", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return storage.answer(Request(method, "lake", key, {}, named, body))


def listing(storage: Storage, **query: str) -> str:
    named = {name.replace("_", "-"): value for name, value in query.items()}
    return storage.answer(Request("GET", "lake", "", named, {}, b"")).body.decode()


def test_only_one_of_two_creators_succeeds() -> None:
    storage = Storage(Faults())
    assert ask(storage, "PUT", "0.json", b"mine", x_goog_if_generation_match="0").status == 200
    assert ask(storage, "PUT", "0.json", b"yours", x_goog_if_generation_match="0").status == 412
    assert ask(storage, "GET", "0.json").body == b"mine"


def test_a_503_before_the_write_leaves_nothing() -> None:
    storage = Storage(Faults(before=1.0))
    assert ask(storage, "PUT", "a", b"x").status == 503
    assert ask(storage, "GET", "a").status == 404


def test_a_503_after_the_write_leaves_the_object() -> None:
    storage = Storage(Faults(after=1.0))
    assert ask(storage, "PUT", "a", b"x").status == 503
    assert ask(storage, "GET", "a").body == b"x"


def test_a_second_write_of_one_object_too_soon_is_429() -> None:
    storage = Storage(Faults(rate_limit_s=3600))
    assert ask(storage, "PUT", "a", b"x").status == 200
    assert ask(storage, "PUT", "a", b"y").status == 429
    assert ask(storage, "PUT", "b", b"y").status == 200


def test_ranges_are_inclusive_and_may_count_from_the_end() -> None:
    storage = Storage(Faults())
    ask(storage, "PUT", "a", b"0123456789")
    assert ask(storage, "GET", "a", range="bytes=2-4").body == b"234"
    assert ask(storage, "GET", "a", range="bytes=-3").body == b"789"
    assert ask(storage, "GET", "a", range="bytes=8-").headers["content-range"] == "bytes 8-9/10"
    assert ask(storage, "GET", "a", range="bytes=10-").status == 416


def test_pages_of_a_listing_with_folders_miss_and_repeat_nothing() -> None:
    storage = Storage(Faults())
    for key in ("a/1", "a/2", "b", "c/1", "d"):
        ask(storage, "PUT", key, b"x")
    first = listing(storage, delimiter="/", max_keys="2")
    assert "<Prefix>a/</Prefix>" in first
    assert "<Key>b</Key>" in first
    assert "<NextContinuationToken>b<" in first
    rest = listing(storage, delimiter="/", continuation_token="b")
    assert "<Prefix>c/</Prefix>" in rest
    assert "<Key>d</Key>" in rest
    assert "a/" not in listing(storage, delimiter="/", continuation_token=f"a/{AFTER_PREFIX}")


def test_replies_about_an_object_name_its_version(gcs_url: str) -> None:
    with httpx.Client(base_url=gcs_url) as client:
        client.put("/lake/double/a%20b", content=b"x", headers={"content-type": "text/plain"})
        head = client.head("/lake/double/a%20b")
    assert head.headers["content-length"] == "1"
    assert head.headers["content-type"] == "text/plain"
    assert {"etag", "last-modified", "x-goog-generation"} <= set(head.headers)
