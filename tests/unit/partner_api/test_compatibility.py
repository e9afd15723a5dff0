"""What breaks clients of the released API, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coworkai.partner_api.openapi.__main__ import main
from coworkai.partner_api.openapi.compatibility import breaking_changes

Json = dict[str, Any]
OLD: Json = {
    "paths": {
        "/v1/things": {
            "get": {
                "operationId": "list_things",
                "security": [{"apiKey": []}, {"workerToken": []}],
                "x-coworkai-access": {
                    "scope": "kpis:read",
                    "reach": "aggregate",
                    "workers": True,
                    "limited": True,
                },
                "parameters": [
                    {
                        "name": "kind",
                        "in": "query",
                        "schema": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
                    },
                    {
                        "name": "limit",
                        "in": "query",
                        "schema": {"type": "integer", "minimum": 1, "maximum": 100},
                    },
                    {"$ref": "#/components/parameters/Since"},
                ],
                "responses": {
                    "200": {
                        "description": "",
                        "headers": {"ETag": {}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/ThingList"}},
                            "text/csv": {"schema": {"type": "string"}},
                        },
                    },
                    "404": {"description": ""},
                },
            },
            "post": {
                "operationId": "create_thing",
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewThing"}}}
                },
                "responses": {"201": {"description": ""}},
            },
        }
    },
    "webhooks": {
        "thing.ready": {
            "post": {
                "operationId": "thing_ready",
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
                },
                "responses": {"200": {"description": ""}},
            }
        }
    },
    "components": {
        "parameters": {"Since": {"name": "since", "in": "query", "schema": {"type": "string"}}},
        "schemas": {
            "ThingList": {
                "type": "object",
                "required": ["data"],
                "properties": {
                    "data": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                },
            },
            "Thing": {
                "type": "object",
                "required": ["id", "value"],
                "properties": {
                    "id": {"type": "string"},
                    "value": {"anyOf": [{"type": "number"}, {"type": "null"}]},
                    "state": {"type": "string", "enum": ["open", "done"]},
                    "at": {"type": "string", "format": "date-time"},
                    "parent": {"anyOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "null"}]},
                },
            },
            "NewThing": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 64},
                    "size": {"type": "number", "minimum": 0},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}


def of(document: Json, *path: str | int) -> Any:
    found: Any = document
    for part in path:
        found = found[part]
    return found


LIST = ("paths", "/v1/things", "get")
THING = ("components", "schemas", "Thing")
NEW_THING = ("components", "schemas", "NewThing")
ACCESS = (*LIST, "x-coworkai-access")


def put(*path: str | int) -> Callable[..., Callable[[Json], None]]:
    def to(value: object) -> Callable[[Json], None]:
        return lambda document: of(document, *path[:-1]).__setitem__(path[-1], value)

    return to


def drop(*path: str | int) -> Callable[[Json], None]:
    return lambda document: of(document, *path[:-1]).__delitem__(path[-1])


def add(*path: str | int) -> Callable[..., Callable[[Json], None]]:
    def value(item: object) -> Callable[[Json], None]:
        return lambda document: of(document, *path).append(item)

    return value


BREAKING: dict[str, Callable[[Json], None]] = {
    "GET /v1/things: removed": drop(*LIST),
    "POST /v1/things: removed": drop("paths", "/v1/things", "post"),
    "webhook thing.ready: removed": drop("webhooks", "thing.ready"),
    "GET /v1/things: operationId list_things became things": put(*LIST, "operationId")("things"),
    "GET /v1/things: workerToken is not taken any more": put(*LIST, "security")([{"apiKey": []}]),
    "GET /v1/things: needs the scope ops:read now": put(*ACCESS, "scope")("ops:read"),
    "GET /v1/things: needs individual reach now": put(*ACCESS, "reach")("individual"),
    "GET /v1/things: limited credentials are not taken any more": put(*ACCESS, "limited")(False),
    "GET /v1/things: parameter limit in query removed": drop(*LIST, "parameters", 1),
    "GET /v1/things: parameter limit in query is required now": put(*LIST, "parameters", 1, "required")(True),
    "GET /v1/things: parameter limit in query: maximum 100 became 50": put(
        *LIST, "parameters", 1, "schema", "maximum"
    )(50),
    "GET /v1/things: parameter limit in query: minimum 1 became 2": put(
        *LIST, "parameters", 1, "schema", "minimum"
    )(2),
    "GET /v1/things: parameter kind in query[]: b is refused now": put(
        *LIST, "parameters", 0, "schema", "items", "enum"
    )(["a"]),
    "GET /v1/things: parameter kind in query: explode changed": put(*LIST, "parameters", 0, "explode")(False),
    "GET /v1/things: parameter since in query: string is refused now": put(
        "components", "parameters", "Since", "schema", "type"
    )("integer"),
    "GET /v1/things: parameter since in query: pattern None became ^a": put(
        "components", "parameters", "Since", "schema", "pattern"
    )("^a"),
    "GET /v1/things: new required parameter of in query": add(*LIST, "parameters")(
        {"name": "of", "in": "query", "required": True, "schema": {"type": "string"}}
    ),
    "GET /v1/things: status 200 removed": drop(*LIST, "responses", "200"),
    "GET /v1/things 200: header ETag removed": drop(*LIST, "responses", "200", "headers", "ETag"),
    "GET /v1/things 200: text/csv removed": drop(*LIST, "responses", "200", "content", "text/csv"),
    "GET /v1/things 200 application/json.data[].id removed": drop(*THING, "properties", "id"),
    "GET /v1/things 200 application/json.data[].id may be missing now": put(*THING, "required")(["value"]),
    "GET /v1/things 200 application/json.data[].id: can be integer now": put(*THING, "properties", "id")(
        {"type": ["string", "integer"]}
    ),
    "GET /v1/things 200 application/json.data[].state: can be null now": put(*THING, "properties", "state")(
        {"anyOf": [{"type": "string"}, {"type": "null"}]}
    ),
    "GET /v1/things 200 application/json.data[].at: format date-time became date": put(
        *THING, "properties", "at", "format"
    )("date"),
    "POST /v1/things: the body is required now": lambda document: of(document, "paths", "/v1/things", "post")[
        "requestBody"
    ].update(required=True),
    "POST /v1/things: body.size is required now": put(*NEW_THING, "required")(["name", "size"]),
    "POST /v1/things: body.owner is required now": lambda document: (
        put(*NEW_THING, "required")(["name", "owner"])(document),
        put(*NEW_THING, "properties", "owner")({"type": "string"})(document),
    )[0],
    "POST /v1/things: body.tags removed": drop(*NEW_THING, "properties", "tags"),
    "POST /v1/things: body.name: maxLength 64 became 32": put(*NEW_THING, "properties", "name", "maxLength")(
        32
    ),
    "POST /v1/things: body.size: number is refused now": put(*NEW_THING, "properties", "size", "type")(
        "integer"
    ),
}
COMPATIBLE: dict[str, Callable[[Json], None]] = {
    "an operation more": put("paths", "/v1/others")({"get": {"operationId": "list_others", "responses": {}}}),
    "an optional parameter more": add(*LIST, "parameters")(
        {"name": "of", "in": "query", "schema": {"type": "string"}}
    ),
    "a field of an answer more": put(*THING, "properties", "size")({"type": "integer"}),
    "a value of an answer's enumeration more": put(*THING, "properties", "state", "enum")(
        ["open", "done", "gone"]
    ),
    "a field that is never null any more": put(*THING, "properties", "value")({"type": "number"}),
    "a whole number where there was any": put(*THING, "properties", "value")({"type": "integer"}),
    "a field that is always there now": put(*THING, "required")(["id", "value", "state"]),
    "a parameter that takes more": put(*LIST, "parameters", 1, "schema", "maximum")(1000),
    "a value that may be asked for more": put(*LIST, "parameters", 0, "schema", "items", "enum")(
        ["a", "b", "c"]
    ),
    "a body's field that need not be given any more": put(*NEW_THING, "required")([]),
    "an optional field of a body more": put(*NEW_THING, "properties", "owner")({"type": "string"}),
    "a scope that is not needed any more": put(*ACCESS, "scope")(None),
    "another refusal": put(*LIST, "responses", "410")({"description": ""}),
    "other words": put(*THING, "description")("A thing."),
}


@pytest.mark.parametrize("expected", BREAKING)
def test_what_takes_something_away_or_narrows_it_breaks(expected: str) -> None:
    new = deepcopy(OLD)
    BREAKING[expected](new)
    assert expected in breaking_changes(OLD, new)


@pytest.mark.parametrize("change", COMPATIBLE)
def test_what_only_adds_breaks_nothing(change: str) -> None:
    new = deepcopy(OLD)
    COMPATIBLE[change](new)
    assert breaking_changes(OLD, new) == []


def test_a_schema_that_refers_to_itself_is_compared_and_once_only() -> None:
    new = deepcopy(OLD)
    del new["components"]["schemas"]["Thing"]["properties"]["state"]
    assert breaking_changes(OLD, OLD) == []
    assert len(breaking_changes(OLD, new)) == 2, "in the answer and in the webhook"


def test_the_check_fails_for_what_breaks_the_released_document_and_says_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "openapi.json"
    assert main(["--release", str(file)]) == 0
    released = tmp_path / "openapi.released.json"
    promised = msgspec.json.decode(released.read_bytes())
    promised["paths"]["/v1/gone"] = {"get": {"operationId": "get_gone", "responses": {}}}
    released.write_bytes(msgspec.json.encode(promised))
    assert main(["--check", str(file)]) == 1
    assert "GET /v1/gone: removed" in capsys.readouterr().err


def test_the_check_fails_for_a_document_that_is_out_of_date_and_writing_it_anew_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "openapi.json"
    assert main(["--release", str(file)]) == 0
    file.write_text("{}\n", encoding="utf-8")
    assert main(["--check", str(file)]) == 1
    assert "make docs" in capsys.readouterr().err
    assert main([str(file)]) == 0
    assert file.read_bytes() == file.with_suffix(".released.json").read_bytes()
