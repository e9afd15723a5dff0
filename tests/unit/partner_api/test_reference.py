"""The reference page: all of the document, and nothing that is loaded or executed."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.partner_api.conftest import BASE, Api

from coworkai.partner_api.openapi.document import operations_of
from coworkai.partner_api.problems import Code
from coworkai.partner_api.reference.page import prose, render

LOADING = {"script", "img", "iframe", "object", "embed", "video", "audio", "source", "form", "base", "svg"}


class Seen(HTMLParser):
    """Elements of a page: ids, addresses that links lead to, and what loads or runs something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in LOADING or any(name.startswith("on") or name == "style" for name, _ in attributes):
            self.loads.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            elif name == "href":
                self.links.append(str(value))
            elif name in {"src", "srcset", "action", "poster"}:
                self.loads.append(f"{tag} {name}")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return msgspec.json.decode(Path("docs/openapi.json").read_bytes(), type=dict[str, Any])


def test_the_page_is_served_to_everybody_and_has_every_operation_and_code(
    api: Api, document: dict[str, Any]
) -> None:
    answer = api.get("/docs")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    seen = Seen(answer.text)
    assert len(seen.ids) == len(set(seen.ids))
    assert {one["operationId"] for one in operations_of(document)} <= set(seen.ids)
    assert {f"code-{code}" for code in Code} <= set(seen.ids)
    assert f"{BASE}/v1/workblocks" in answer.text


def test_the_page_loads_nothing_and_its_policy_allows_nothing_else(api: Api) -> None:
    answer = api.get("/docs")
    seen = Seen(answer.text)
    assert seen.loads == []
    targets = {link[1:] for link in seen.links if link.startswith("#")}
    assert targets <= set(seen.ids)
    assert {link for link in seen.links if not link.startswith("#")} == {"data:,", "/openapi.json"}
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.headers.get_list("content-security-policy") == [
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ]


def test_who_has_the_page_does_not_get_it_again(api: Api) -> None:
    tag = api.get("/docs").headers["etag"]
    again = api.get("/docs", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_whoever_comes_without_a_path_is_sent_to_the_page(api: Api, document: dict[str, Any]) -> None:
    answer = api.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")
    assert "/" not in document["paths"]


def test_nothing_of_the_document_becomes_markup(document: dict[str, Any]) -> None:
    texts = {"description", "summary", "title", "x-displayName"}
    attack = "<script>alert(1)</script>'\"&`<img src=x>`**<b onclick=x>**"

    def poisoned(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                name: attack if name in texts and isinstance(part, str) else poisoned(part)
                for name, part in node.items()
            }
        return [poisoned(part) for part in node] if isinstance(node, list) else node

    assert Seen(render(poisoned(document), f"http://{attack}").body.decode()).loads == []


def test_the_same_document_gives_the_same_page(document: dict[str, Any]) -> None:
    assert render(document, BASE) == render(document, BASE)


def test_prose_has_paragraphs_code_and_strong_words() -> None:
    assert prose("**One** `a<b`\ntwo\n\nthree") == (
        "<p><strong>One</strong> <code>a&lt;b</code> two</p>\n<p>three</p>"
    )
