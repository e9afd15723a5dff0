"""Where a fact comes from: asked of the runner, which has the rules that it was computed by.

What is told is which rows, runs, versions and events; what people typed, said or saw stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from coworkai.common.calls import Calls
from coworkai.common.errors import Transient
from coworkai.partner_api.problems import Code, Refused, not_found

PATH = "/lineage"
TIMEOUT_S = 30.0
CONTENT = frozenset({"keystroke_log", "name", "reflection", "text", "text_template", "title", "url"})
"""Columns with what people typed, said or saw."""


class FactLineage:
    """The runner at `url` (None: there is none to ask), as the partner API sees it."""

    def __init__(self, url: str | None, calls: Calls, client: httpx.AsyncClient | None = None) -> None:
        self._url = url
        self._calls = calls
        self._client = client or httpx.AsyncClient(timeout=TIMEOUT_S)

    async def of(self, tenant_id: str, fact_id: str) -> dict[str, Any]:
        """The fact's lineage: fact_id, source, row, formula, recount, facts, runs, pieces,
        keystroke_minutes, silver, events.

        Raises Refused (NOT_FOUND), and Transient when the runner does not answer, or cannot read what the
        fact was computed from.
        """
        if self._url is None:
            raise Refused(Code.NOT_FOUND, "facts are not traced by this installation")
        body = msgspec.json.encode({"tenant_id": tenant_id, "fact_id": fact_id})
        headers = {"authorization": self._calls.sign(PATH, body), "content-type": "application/json"}
        try:
            answer = await self._client.post(f"{self._url}{PATH}", content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Transient(f"the runner does not answer ({type(error).__name__})") from None
        if answer.status_code == 404:
            raise not_found()
        if answer.status_code != 200:
            raise Transient(f"the runner answered {answer.status_code}")
        traced: dict[str, Any] = msgspec.json.decode(answer.content)
        return {
            **traced,
            "row": without_content(traced["row"]),
            "recount": without_content(traced["recount"]),
            "events": [{**event, "file": _below_lake(event)} for event in traced["events"]],
        }

    async def aclose(self) -> None:
        await self._client.aclose()


def _below_lake(event: Mapping[str, Any]) -> str:
    """The event's file, from its table's folder on: where the lake is, is nobody's matter."""
    table, file = event["table"], event["file"]
    return str(file[file.rindex(f"/{table}/") + 1 :])


def without_content(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row without what people typed, said or saw."""
    return {name: value for name, value in row.items() if name not in CONTENT | {"tenant_id"}}
