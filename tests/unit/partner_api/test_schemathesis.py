"""Schemathesis over the whole API document, in process: what is served is what the document says.

All of its checks: no server error, documented statuses, media types, headers and schemas, whatever is valid
is taken and whatever is not is refused, credentials are not ignored, other methods are refused.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.hooks import HookContext
from schemathesis.python.asgi import shutdown_lifespans
from tests.doubles.receiver import ReceiverNetwork
from tests.unit.partner_api.conftest import TENANT, Api
from tests.unit.partner_api.whole_lake import HOOKS, Whole, publish_whole

from coworkai.partner_api.app import create_app
from coworkai.partner_api.pages import MAX_RANGE_DAYS
from coworkai.partner_api.settings import PartnerApiSettings

SEED = 20_261_109
WITH_RULES_OF_THEIR_OWN = [
    "create_export",
    "query_metrics",
    "create_webhook_endpoint",
    "update_webhook_endpoint",
    "delta_sharing_query_table",
    "delta_sharing_table_changes",
    "delta_sharing_table_metadata",
    "delta_sharing_table_version",
]
"""Parts of their requests depend on each other or on what there is, which a schema cannot say."""
TAKEN_OR_SAID_WHY = ["2xx", "400", "404", "409", "413", "422"]
App = Callable[[Any, Any, Any], Awaitable[None]]


class Sources:
    """The application, with every request from a source of its own: none is slowed for failures of others."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._random = random.Random(SEED)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["client"] = (f"10.{'.'.join(str(self._random.randrange(256)) for _ in range(3))}", 1)
        await self._app(scope, receive, send)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[App, Whole]]:
    """The application with a tenant's lake, and the tenant."""
    settings: dict[str, Any] = {"rate_limit_per_minute": 1_000_000_000}
    api = Api(tmp_path, ReceiverNetwork(HOOKS).network(), **settings)
    whole = publish_whole(api, TENANT)
    api.close()
    again = PartnerApiSettings(data_dir=tmp_path, public_url="http://partner", **settings)
    yield Sources(create_app(again, network=ReceiverNetwork(HOOKS).network())), whole
    shutdown_lifespans()


def failures(served: tuple[App, Whole], *, examples: int, phases: set[str]) -> list[str]:
    """What Schemathesis finds, a line each; at most so many examples an operation, of each mode."""
    app, whole = served
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            # Three texts in a path cannot be made invalid in many ways.
            "suppress-health-check": ["filter_too_much"],
            "headers": {"Authorization": f"Bearer {whole.key}"},
            "generation": {
                "max-examples": examples,
                "deterministic": True,
                "database": "none",
                "mode": "all",
            },
            "phases": {
                phase: {"enabled": phase in phases}
                for phase in ("examples", "coverage", "fuzzing", "stateful")
            },
            "continue-on-failure": True,
            "operations": [
                {
                    "include-operation-id": WITH_RULES_OF_THEIR_OWN,
                    "checks": {"positive_data_acceptance": {"expected-statuses": TAKEN_OR_SAID_WHY}},
                }
            ],
        }
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    related = Related(whole)

    def before_call(_context: HookContext, case: Any, _arguments: dict[str, Any]) -> None:
        related.fit(case)

    schemathesis.hook(before_call)
    try:
        return list(found_by(schema))
    finally:
        schemathesis.hooks.unregister(before_call)


def found_by(schema: Any) -> Iterator[str]:
    cases = 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            yield f"{event.label}: {event.value}"
        elif isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.cases)
            yield from failed_checks(event.recorder)
    assert cases > 500


def failed_checks(recorder: Any) -> Iterator[str]:
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                sent, answered = (
                    recorder.interactions[case_id].request,
                    recorder.interactions[case_id].response,
                )
                yield (
                    f"{check.name}: {sent.method} {sent.uri[:500]} {(sent.body or b'')[:300]!r} "
                    f"=> {answered.status_code} {answered.content[:300]!r}: {failure.message[:300]}"
                )


class Related:
    """Makes parts of a valid request fit each other where that is no matter of a schema."""

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self._random = random.Random(SEED)

    def fit(self, case: Any) -> None:
        """Change the case, unless it is to be refused."""
        if case.meta is None or not case.meta.generation.mode.is_positive:
            return
        if "Idempotency-Key" in (case.headers or {}):
            case.headers["Idempotency-Key"] = str(UUID(int=self._random.getrandbits(128)))
        query = case.query
        if not isinstance(query, dict):
            return
        # Nothing but the API makes these.
        query.pop("cursor", None)
        query.pop("pageToken", None)
        for parameter in case.operation.definition.raw.get("parameters", ()):
            if parameter.get("name") == "fields" and "fields" in query:
                # Without some columns a row lacks what its schema says is in it.
                query["fields"] = ",".join(parameter["schema"]["items"]["enum"])
        if query.get("format", "json") != "json":
            query.pop("limit", None)
        if case.operation.path == "/v1/access-log":
            query.setdefault("worker_id", self._whole.worker)
        if {"start_date", "end_date"} <= query.keys():
            start, end = date.fromisoformat(query["start_date"]), date.fromisoformat(query["end_date"])
            longest = timedelta(days=MAX_RANGE_DAYS - 1)
            query["end_date"] = max(start, min(end, start + min(longest, date.max - start))).isoformat()


def test_the_api_is_as_its_document_says(served: tuple[App, Whole]) -> None:
    found = failures(served, examples=2, phases={"examples", "coverage"})
    assert not found, "\n".join(found)


@pytest.mark.integration
@pytest.mark.timeout(1800)
def test_the_api_is_as_its_document_says_at_length(served: tuple[App, Whole]) -> None:
    found = failures(served, examples=100, phases={"examples", "coverage", "fuzzing", "stateful"})
    assert not found, "\n".join(found)
