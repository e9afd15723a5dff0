"""What clients hold for us and send back, changed in every way: cursors, tags, addresses, keys, ranges.

Whatever comes, the answer is the right status with its problem, and tells nothing of the inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.doubles.receiver import ReceiverNetwork
from tests.unit.partner_api.conftest import BASE, OTHER_TENANT, TENANT, Api
from tests.unit.partner_api.gold_lake import GoldLake, day
from tests.unit.partner_api.whole_lake import HOOKS, Whole, publish_whole

from coworkai.partner_api.problems import KINDS, PROBLEM_JSON, SHARING_PREFIX, Code

FUZZED = settings(max_examples=60, deadline=None)
SHARED = f"{SHARING_PREFIX}/shares/coworkai"
PAGED = {
    "/v1/kpis/daily?limit=1": "cursor",
    "/v1/workers?limit=1": "cursor",
    "/v1/exports?limit=1": "cursor",
    "/v1/access-log?limit=1&worker_id=acme-ana": "cursor",
    f"{SHARED}/all-tables?maxResults=1": "pageToken",
}
CONTENT = bytes(range(256)) * 8
PATH = "tenants/acme/exports/part-0.parquet"
SECRETS = ("Traceback", 'File "', "site-packages", "coworkai.", "sqlite", "polars", "/tmp/")


@dataclass
class World:
    api: Api
    mine: Whole
    url: str
    cursors: dict[str, str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    api = Api(
        tmp_path_factory.mktemp("fuzz"), ReceiverNetwork(HOOKS).network(), rate_limit_per_minute=1_000_000
    )
    mine = publish_whole(api, TENANT)
    publish_whole(api, OTHER_TENANT)
    GoldLake(api.settings.data_dir / "lake").publish_kpis(day(2))
    GoldLake.forget_snapshots(api)
    api.post("/v1/exports", key=mine.key, json={"resource": "usage"})
    for _ in range(2):
        api.get("/v1/kpis/daily", key=mine.key)
    api.services.store.put(PATH, CONTENT)
    (address,) = api.run(api.services.signed_urls.of([PATH]))
    cursors = {}
    for path in PAGED:
        page = api.get(path, key=mine.key).json()
        cursors[path] = page.get("next_cursor") or page["nextPageToken"]
    yield World(api, mine, address.url.removeprefix(BASE), cursors)
    api.close()


def changed(text: str) -> st.SearchStrategy[str]:
    """The text with some of it replaced, put in or taken out; sometimes as it was."""

    def apply(edit: tuple[int, int, str]) -> str:
        at, gone, put_in = edit
        at %= len(text) + 1
        return text[:at] + put_in + text[at + gone :]

    edits = st.tuples(st.integers(0, 500), st.integers(0, 4), st.text(max_size=4))
    return edits.map(apply)


def assert_sound(answer: httpx.Response, *statuses: int) -> None:
    """The answer is of these statuses; a refusal is a problem of ours that tells nothing of the inside."""
    assert answer.status_code in statuses, answer.text
    assert answer.headers["x-request-id"].startswith("req_")
    if answer.status_code < 400:
        return
    assert not any(secret in answer.text for secret in SECRETS)
    found = answer.json()
    if "errorCode" in found:
        assert found.keys() == {"errorCode", "message"}
        assert found["errorCode"].lower() in set(Code)
    else:
        assert answer.headers["content-type"] == PROBLEM_JSON
        assert KINDS[Code(found["code"])].status == answer.status_code == found["status"]


# ------------------------------------------------------------------------------------------------ cursors
@pytest.mark.parametrize("path", PAGED)
def test_a_cursor_is_taken_as_it_came_and_in_no_other_form(world: World, path: str) -> None:
    real = world.cursors[path]
    refused = 400 if path.startswith(SHARING_PREFIX) else 422

    @FUZZED
    @given(st.one_of(changed(real), st.text(max_size=80), st.binary(max_size=60).map(lambda raw: raw.hex())))
    @example(real)
    @example("")
    @example(real + "=")
    @example(real + "\n")
    @example(real.swapcase())
    def check(cursor: str) -> None:
        answer = world.api.get(f"{path}&{PAGED[path]}={quote(cursor, safe='')}", key=world.mine.key)
        is_first_page = cursor == "" and path.startswith(SHARING_PREFIX)
        assert_sound(answer, 200 if cursor == real or is_first_page else refused)

    check()


@pytest.mark.parametrize("path", PAGED)
def test_a_cursor_of_anything_else_is_refused(world: World, path: str) -> None:
    refused = 400 if path.startswith(SHARING_PREFIX) else 422
    for other, cursor in world.cursors.items():
        if other != path:
            answer = world.api.get(f"{path}&{PAGED[path]}={quote(cursor)}", key=world.mine.key)
            assert_sound(answer, refused)
    stranger = world.api.key(tenant=OTHER_TENANT)
    answer = world.api.get(f"{path}&{PAGED[path]}={quote(world.cursors[path])}", key=stranger)
    assert_sound(answer, refused)


# --------------------------------------------------------------------------------------------------- tags
HEADER = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60
)


@FUZZED
@given(st.data())
def test_only_the_tag_of_the_answer_makes_it_not_modified(world: World, data: st.DataObject) -> None:
    path = "/v1/kpis/daily"
    tag = world.api.get(path, key=world.mine.key).headers["etag"]
    given_tags = data.draw(st.one_of(HEADER, changed(tag).filter(str.isprintable), st.just(f'"x", {tag}')))
    header = given_tags.encode("latin-1", "replace")
    answer = world.api.get(path, key=world.mine.key, headers={"if-none-match": header})
    opaque = tag.removeprefix("W/")
    tags = [one.strip().removeprefix("W/") for one in header.decode("latin-1").split(",")]
    assert_sound(answer, 304 if opaque in tags else 200)
    assert (answer.content == b"") == (answer.status_code == 304)


# ---------------------------------------------------------------------------------------------- addresses
@FUZZED
@given(st.data())
def test_a_signed_address_opens_its_file_as_it_came_and_nothing_in_any_other_form(
    world: World, data: st.DataObject
) -> None:
    url = data.draw(changed(world.url[1:]).map(lambda rest: "/" + rest))
    raw = quote(url, safe="/?=&%-_.~")
    answer = world.api.get(raw)
    if answer.status_code == 200:
        # Nothing that is signed was changed.
        assert answer.content == CONTENT
        for signed in ("se", "sig"):
            assert httpx.URL(BASE + raw).params[signed] == httpx.URL(BASE + world.url).params[signed]
        assert httpx.URL(BASE + raw).path == httpx.URL(BASE + world.url).path
    else:
        assert_sound(answer, 400, 401, 403, 404, 405, 422)


RANGES = st.one_of(
    HEADER,
    st.lists(
        st.tuples(st.integers(0, 3000) | st.just(""), st.integers(0, 3000) | st.just("")),
        min_size=1,
        max_size=8,
    ).map(lambda pairs: "bytes=" + ",".join(f"{start}-{end}" for start, end in pairs)),
)


@FUZZED
@given(RANGES)
@example("bytes=" + ",".join(["0-"] * 2000))
@example("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 2000, 2)))
@example("bytes=-0")
@example("bytes=99999999999999999999999-")
@example("bytes=\xb2-")
def test_a_range_gives_a_part_of_the_file_or_is_refused(world: World, asked: str) -> None:
    answer = world.api.get(world.url, headers={"range": asked.encode("latin-1")})
    assert_sound(answer, 200, 206, 416, 431)
    kind = answer.headers["content-type"]
    if answer.status_code == 200:
        assert answer.content == CONTENT
    elif answer.status_code == 206 and not kind.startswith("multipart/"):
        start, _, end = (
            answer.headers["content-range"].removeprefix("bytes ").partition("/")[0].partition("-")
        )
        assert answer.content == CONTENT[int(start) : int(end) + 1]
    elif answer.status_code == 206:
        # As the parts overlap or not, no more than the file and what is around its parts.
        assert len(answer.content) < len(CONTENT) + 200 * (1 + answer.content.count(b"Content-Range"))


# --------------------------------------------------------------------------------------- idempotency keys
@FUZZED
@given(HEADER)
@example("")
@example('""')
@example("x" * 256)
@example("é")
def test_an_idempotency_key_is_taken_or_refused_and_a_second_request_gets_the_first_answer(
    world: World, key: str
) -> None:
    def ask(body: dict[str, Any]) -> httpx.Response:
        headers = {"idempotency-key": key.encode("latin-1")}
        return world.api.post("/v1/worker-tokens", key=world.mine.key, json=body, headers=headers)

    first = ask({"worker_id": world.mine.worker, "expires_in_s": 60})
    assert_sound(first, 201, 422)
    again = ask({"worker_id": world.mine.worker, "expires_in_s": 60})
    assert (again.status_code, again.content) == (
        first.status_code,
        first.content,
    ) or first.status_code == 422
    other = ask({"worker_id": world.mine.worker, "expires_in_s": 61})
    assert_sound(other, 422)
    if first.status_code == 201:
        assert again.headers["idempotent-replayed"] == "true"
        assert other.json()["code"] == "idempotency_mismatch"
    else:
        assert first.json()["code"] == "invalid_idempotency_key"
