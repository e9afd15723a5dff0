"""The OpenAPI document: that it is valid, whole, the same everywhere, and true to its own examples."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from tests.unit.partner_api.conftest import Api

from coworkai.common.settings import Mode
from coworkai.partner_api import openapi
from coworkai.partner_api.app import create_app
from coworkai.partner_api.openapi.document import document, encoded, operations_of, subschemas
from coworkai.partner_api.problems import KINDS, OF_EXPORTS, Code
from coworkai.partner_api.settings import PartnerApiSettings

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return document(create_app(PartnerApiSettings()).api)


def schemas_in(part: Any) -> Iterator[dict[str, Any]]:
    """Every media type of a part of the document."""
    if isinstance(part, dict):
        yield from part.get("content", {}).values()
        for each in part.values():
            yield from schemas_in(each)
    elif isinstance(part, list):
        for each in part:
            yield from schemas_in(each)


def all_of(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and those below it."""
    yield schema
    for each in subschemas(schema):
        yield from all_of(each)


def test_the_document_is_valid_openapi(found: dict[str, Any]) -> None:
    validate(found)


def test_schemas_say_nothing_that_json_schema_does_not_know(found: dict[str, Any]) -> None:
    known = {"$ref", "type", "format", "enum", "const", "description", "examples", "default"}
    known |= {"properties", "required", "additionalProperties", "items", "anyOf", "allOf", "oneOf"}
    known |= {"minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern"}
    for name, schema in found["components"]["schemas"].items():
        for part in all_of(schema):
            assert part.keys() <= known, name


def test_what_is_served_is_what_is_committed_and_a_copy_of_it_is_not_sent_twice(api: Api) -> None:
    answer = api.get("/openapi.json")
    assert answer.content == COMMITTED.read_bytes(), "run `make docs`"
    assert answer.headers["cache-control"].startswith("public")
    again = api.get("/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_document_does_not_depend_on_settings_nor_on_who_asked_first(found: dict[str, Any]) -> None:
    cloud = PartnerApiSettings(
        mode=Mode.LOCAL, public_url="https://partner.acme.test", rate_limit_per_minute=1, host="127.0.0.9"
    )
    api = create_app(cloud).api
    assert encoded(document(api)) == encoded(document(api)) == encoded(found)


def test_every_example_is_an_instance_of_its_schema(found: dict[str, Any]) -> None:
    checked = 0
    for media in schemas_in(found):
        schema = {**media["schema"], "components": found["components"]}
        examples = [media["example"]] if "example" in media else []
        examples += [each["value"] for each in media.get("examples", {}).values()]
        for example in examples:
            try:
                Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
                    example
                )
            except jsonschema.ValidationError as error:
                pytest.fail(f"{media['schema']}: {error.json_path}: {error.message}")
            checked += 1
    assert checked > 100


def test_every_answer_in_json_has_an_example_that_the_sample_organisation_gave(found: dict[str, Any]) -> None:
    given = msgspec.json.decode(resources.files(openapi).joinpath("examples.json").read_bytes())
    without = {
        operation["operationId"]
        for item in found["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        if status.startswith("2") and "application/json" in response.get("content", {})
    } - given.keys()
    # A token for whoever has a client's secret.
    assert without == {"create_access_token"}


def test_every_operation_says_what_it_does_and_what_it_needs(found: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations_of(found)]
    assert len(ids) == len(set(ids))
    for operation in operations_of(found):
        assert operation["summary"], operation
        assert len(operation["description"]) > 20, operation["operationId"]
        assert len(operation["tags"]) == 1
        for parameter in operation.get("parameters", ()):
            assert "$ref" in parameter or parameter["description"], (operation["operationId"], parameter)
            assert parameter.get("schema", {}).get("type") != "null"


def test_every_code_is_among_the_problems_of_its_status_with_an_example(found: dict[str, Any]) -> None:
    told: dict[str, int] = {}
    for response in found["components"]["responses"].values():
        for media in response["content"].values():
            for example in media["examples"].values():
                if "code" in example["value"]:
                    told[example["value"]["code"]] = example["value"]["status"]
    never_of_an_operation = {Code.METHOD_NOT_ALLOWED, Code.RANGE_NOT_SATISFIABLE, *OF_EXPORTS}
    assert told == {code: KINDS[code].status for code in Code if code not in never_of_an_operation}


def test_every_operation_behind_the_gate_names_its_refusals_and_headers(found: dict[str, Any]) -> None:
    for item in found["paths"].values():
        for operation in item.values():
            access, responses = operation.get("x-coworkai-access"), operation["responses"]
            assert {"400", "500", "503"} <= responses.keys()
            told = next(one for status, one in responses.items() if status.startswith("2"))
            assert "X-Request-Id" in told["headers"]
            if access is None:
                assert operation["security"] == []
                continue
            assert {"401", "429"} <= responses.keys()
            assert ("403" in responses) == (access["scope"] is not None)
            assert {"RateLimit", "RateLimit-Policy"} <= told["headers"].keys()
            schemes = {name for each in operation["security"] for name in each}
            assert schemes == {"apiKey", "oauth2"} | ({"workerToken"} if access["workers"] else set())
            assert ("304" in responses) == ("ETag" in told["headers"])


def test_no_example_has_anything_of_a_person(found: dict[str, Any]) -> None:
    text = encoded(found).decode()
    assert "@" not in text
    shown = msgspec.json.encode([media.get("example") for media in schemas_in(found["paths"])]).decode()
    for secret in ("cwk_live_", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw_"):
        assert secret not in shown
