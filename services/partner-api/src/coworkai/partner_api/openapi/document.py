"""The OpenAPI 3.1 document: what the routes declare, with what the gate and the edge add to every one.

    routes ─▶ framework's document ─▶ security by Access · problems by status · headers · examples ─▶ in order

Invariant: the same routes give the same bytes, whatever the settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts

from coworkai.partner_api.guard import Access, access_of
from coworkai.partner_api.openapi import answers
from coworkai.partner_api.openapi.answers import Json, header_refs
from coworkai.partner_api.openapi.examples import example_of
from coworkai.partner_api.principal import Reach, Scope

TITLE = "CoworkAI partner API"
VERSION = "1.0.0"
"""Of the document. A second number for what is added; a first one for what breaks, and then another path."""
METHODS = ("get", "head", "post", "put", "patch", "delete")

TAGS = {
    "access": ("Access", "Who you are, tokens, and who has read a worker's rows."),
    "workers": ("Workers", "Whom there is data of. Workers are tokens: no name is in the platform."),
    "activity": ("Activity", "Workblocks, atomic slices, usage and focus: what a day was made of."),
    "kpis": ("KPIs", "Measures of workers' days, and their rollups by group and week."),
    "metrics": (
        "Metrics",
        "The catalogue of measures, and queries over it. Credentials of aggregate reach read the published "
        "lattice here: teams, departments and the tenant, with cells of few people suppressed.",
    ),
    "insights": ("Insights", "Insights, and the consolidated contexts that they were drawn from."),
    "briefs": ("Briefs", "Daily briefs as JSON and markdown, and each statement with its evidence."),
    "reports": ("Reports", "Workers' days as markdown, from raw seconds to kept ones."),
    "health": ("Telemetry health", "How complete and sound the telemetry of each day is."),
    "lineage": ("Lineage", "From an id back to the records that it came from."),
    "operations": ("Operations", "Runs, and tables with their versions and freshness."),
    "exports": ("Exports", "Whole ranges as files behind signed addresses."),
    "webhooks": ("Webhooks", "Endpoints that are told when something is ready, and their deliveries."),
    "delta-sharing": (
        "Delta Sharing",
        "All Gold tables by the open protocol: pandas, Spark, Power BI and others read them as they are. "
        "Errors are the protocol's `{errorCode, message}`.",
    ),
    "errors": ("Errors", "What the codes of problems mean."),
}
_BY_SCOPE = {
    Scope.ACTIVITY: "activity",
    Scope.KPIS: "kpis",
    Scope.INSIGHTS: "insights",
    Scope.BRIEFS: "briefs",
    Scope.REPORTS: "reports",
    Scope.HEALTH: "health",
    Scope.LINEAGE: "lineage",
    Scope.OPS: "operations",
    Scope.WEBHOOKS: "webhooks",
    Scope.SHARING: "delta-sharing",
}
"""Tags of operations that name none themselves."""

_PARAMETERS = {
    "worker_id": "worker, as `/v1/workers` lists them",
    "workblock_id": "id of a workblock",
    "insight_id": "id of an insight; it may hold slashes",
    "context_id": "id of a consolidated context",
    "brief_id": "id of a brief's version",
    "date": "local date",
    "run_id": "id of a run",
    "layer": "layer of the table",
    "name": "name of the table in its layer",
    "export_id": "id of an export of yours",
    "endpoint_id": "id of a webhook endpoint",
    "delivery_id": "id of a delivery",
    "id": "id of anything in an answer",
    "code": "code of a problem",
    "share": "name of the share, in any case",
    "schema": "name of the schema, in any case",
    "table": "name of the table, in any case",
    "version": "published version of the table; the newest by default",
    "timestamp": "RFC 3339 time: the version that was published then",
    "startingVersion": "first table version of the range",
    "startingTimestamp": "RFC 3339 time: the first version published since",
    "endingVersion": "last table version of the range, inclusive; the newest by default",
    "endingTimestamp": "RFC 3339 time: the last version published until",
}
"""What parameters are that say nothing of it themselves."""

IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes it safe to send the request again: for 24 hours the same key gets the first "
    "answer, with `Idempotent-Replayed: true`, and nothing is done twice. Queries change nothing, and are "
    "answered anew. A UUID serves well.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "example": "2d1f0b8e-6c1a-4f7e-9a53-0c9f5f2b7a11",
}
IF_NONE_MATCH: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "`ETag` of the copy that you have: 304, which costs no quota, while it is current.",
    "schema": {"type": "string"},
    "example": 'W/"5f2b1c0d9e8a7b6c5d4e3f2a1b0c9d"',
}
SECURITY_SCHEMES: Json = {
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "cwk_live_…",
        "description": "An API key. `coworkai keys create` makes one and shows it once.",
    },
    "oauth2": {
        "type": "oauth2",
        "description": "An access token for a client's id and secret (`coworkai keys create --client`); a "
        "JWT whose public keys are at `/.well-known/jwks.json`.",
        "flows": {
            "clientCredentials": {
                "tokenUrl": "/oauth/token",
                "scopes": {scope.value: scope.meaning for scope in Scope},
            }
        },
    },
    "workerToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A worker's own short-lived token, from `POST /v1/worker-tokens`: it reads that "
        "worker's rows, reports, briefs and access log, and nothing else.",
    },
}


def document(api: FastAPI) -> Json:
    """The OpenAPI document of the application."""
    # A copy: what routes declare is theirs.
    found: Json = deepcopy(
        get_openapi(title=TITLE, version=VERSION, routes=api.routes, webhooks=api.webhooks.routes)
    )
    access = {
        route.operation_id: access_of(route)
        for route in iter_route_contexts(api.routes)
        if getattr(route, "operation_id", None)
    }
    schemas: Json = found["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas |= {
        "Problem": answers.PROBLEM,
        "FieldError": answers.FIELD_ERROR,
        "OAuthError": answers.OAUTH_ERROR,
    }
    shown = _shown()
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            _complete(operation, path, method, access[operation["operationId"]], schemas)
    for event in found.get("webhooks", {}).values():
        for operation in event.values():
            operation["responses"].pop("422", None)
            operation.setdefault("tags", ["webhooks"])
            operation["security"] = []
    _tidy(found)
    for operation in operations_of(found):
        _add_examples(operation, shown, schemas)
    tags = {tag for operation in operations_of(found) for tag in operation["tags"]}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": VERSION,
            "summary": "Workblocks, measures, insights and briefs, over REST, Delta Sharing and webhooks.",
            "description": _text("introduction.md"),
            # Who runs an installation is not known here; it is who made the reader's key.
            "contact": {"name": "Whoever gave you your credentials"},
            "license": {"name": "Proprietary", "identifier": "LicenseRef-Proprietary"},
        },
        "servers": [{"url": "/", "description": "where this document came from"}],
        "tags": [
            {"name": name, "x-displayName": title, "description": meaning}
            for name, (title, meaning) in TAGS.items()
            if name in tags
        ],
        "paths": dict(sorted(found["paths"].items(), key=lambda one: _place(*one))),
        "webhooks": dict(sorted(found.get("webhooks", {}).items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": answers.problem_responses(),
            "parameters": {"IdempotencyKey": IDEMPOTENCY_KEY, "IfNoneMatch": IF_NONE_MATCH},
            "headers": answers.HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def encoded(found: Mapping[str, Any]) -> bytes:
    """The document as it is committed and served."""
    return (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode()


def operations_of(found: Mapping[str, Any]) -> Iterator[Json]:
    """Every operation of the document, webhooks too."""
    for items in (found["paths"], found.get("webhooks", {})):
        for item in items.values():
            yield from (item[method] for method in METHODS if method in item)


def _place(path: str, item: Json) -> tuple[int, str]:
    tags = list(TAGS)
    return tags.index(next(iter(item.values()))["tags"][0]), path


# ----------------------------------------------------------------------------------------- operations
def _complete(operation: Json, path: str, method: str, access: Access | None, schemas: Json) -> None:
    """Add to an operation what it does not declare itself."""
    is_sharing = access is not None and access.extensible
    parameters = operation.setdefault("parameters", [])
    names = {one.get("name") for one in parameters}
    answered = next(one for status, one in operation["responses"].items() if status.startswith("2"))
    if answered["description"] == "Successful Response":
        answered["description"] = "As asked"
    headers: Json = answered.setdefault("headers", {})
    if "as_of_version" in names:
        headers |= header_refs("ETag", "X-Data-Version")
    if "since_version" in names:
        headers |= header_refs("X-Date-Range", "X-Changed-Dates")
    asked = names | set(_body_properties(operation, schemas))
    statuses = {400, 431, 500, 503, *_refusals(operation, path, method, access, asked)}
    if names & {"as_of_version", "format"}:
        statuses.add(406)
    if "format" in names:
        statuses.add(413)
    headers |= header_refs(*(answers.EVERYWHERE if access is None else answers.OF_CALLERS))
    if method == "post" and access is not None and not is_sharing:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
        headers |= header_refs("Idempotent-Replayed")
        statuses.add(409)
    responses = operation["responses"]
    if "ETag" in headers:
        parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
        responses["304"] = {
            "description": "Your copy is current",
            "headers": header_refs("ETag", *answers.OF_CALLERS)
            | {name: headers[name] for name in ("X-Data-Version",) if name in headers},
        }
    if not parameters:
        del operation["parameters"]
    for generated in ("422", "default"):
        responses.pop(generated, None)
    for status in statuses:
        if is_sharing and status in answers.NOT_OF_SHARING:
            continue
        named = answers.name_of(status, sharing=is_sharing)
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{named}"})
    operation["responses"] = dict(sorted(responses.items()))
    operation["security"] = [] if access is None else _security(access)
    if access is not None:
        _declare(operation, access)


def _declare(operation: Json, access: Access) -> None:
    """Say what an operation needs of its caller."""
    if "tags" not in operation and access.scope is not None:
        operation["tags"] = [_BY_SCOPE[access.scope]]
    operation["x-coworkai-access"] = access.described()
    operation["description"] = f"{operation['description'].rstrip()}\n\n{_needs(access)}"


def _refusals(operation: Json, path: str, method: str, access: Access | None, asked: set[Any]) -> set[int]:
    """Statuses of the problems that an operation can answer with, by what may be asked of it."""
    found = set()
    if access is not None:
        found |= {401, 422, 429}
        if access.scope is not None:
            found.add(403)
    if "{" in path:
        found |= {404, 422}
    if asked & {"as_of_version", "worker_id", "worker_ids"}:
        found.add(404)
    if asked & {"as_of_version", "cursor"}:
        found.add(410)
    if "requestBody" in operation:
        found |= {408, 413, 415}
    if method in {"patch", "delete"}:
        found.add(409)
    return found


def _body_properties(operation: Json, schemas: Json) -> Iterator[str]:
    for media in operation.get("requestBody", {}).get("content", {}).values():
        schema = media["schema"]
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        yield from schema.get("properties", {})


def _security(access: Access) -> list[Json]:
    scopes = [] if access.scope is None else [access.scope.value]
    found: list[Json] = [{"apiKey": []}, {"oauth2": scopes}]
    return [*found, {"workerToken": []}] if access.workers else found


def _needs(access: Access) -> str:
    """What an operation needs of its caller, in words."""
    scope = "No scope is needed" if access.scope is None else f"Needs the scope `{access.scope.value}`"
    reach = "individual reach" if access.reach is Reach.INDIVIDUAL else "either reach"
    workers = "a worker's token will do" if access.workers else "not for workers' tokens"
    limited = "" if access.limited else "; not for credentials limited to some workers"
    return f"{scope}; {reach}; {workers}{limited}."


# ------------------------------------------------------------------------------------------- examples
@cache
def _shown() -> Mapping[str, Any]:
    """Answers of the sample organisation, by operation id."""
    found: Mapping[str, Any] = msgspec.json.decode(_text("examples.json"))
    return found


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _add_examples(operation: Json, shown: Mapping[str, Any], schemas: Json) -> None:
    """Give an example of JSON that is answered: the sample organisation's, or one made from the schema.

    And of what is asked with a body, where none is given.
    """
    for media in operation.get("requestBody", {}).get("content", {}).values():
        media.setdefault("example", example_of(media["schema"], schemas))
    for status, response in operation["responses"].items():
        media = response.get("content", {}).get("application/json")
        if not status.startswith("2") or media is None or "example" in media or "examples" in media:
            continue
        given = shown.get(operation["operationId"])
        media["example"] = example_of(media["schema"], schemas) if given is None else given


# --------------------------------------------------------------------------------------------- schemas
def _tidy(found: Json) -> None:
    """Take out what the framework adds and nobody needs."""
    for schema in found["components"]["schemas"].values():
        _tidy_schema(schema)
    for operation in operations_of(found):
        for parameter in operation.get("parameters", ()):
            if "schema" in parameter:
                parameter["schema"] = _of_parameter(parameter["schema"])
                _tidy_schema(parameter["schema"])
                _tidy_parameter(parameter)
        for media in operation.get("requestBody", {}).get("content", {}).values():
            _tidy_schema(media["schema"])
        for response in operation["responses"].values():
            for media in response.get("content", {}).values():
                _tidy_schema(media["schema"])


def _of_parameter(schema: Json) -> Json:
    """A parameter is there or not there, and never null."""
    kinds = schema.get("anyOf", [])
    others = [kind for kind in kinds if kind != {"type": "null"}]
    if len(others) == len(kinds) or len(others) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **others[0]}


def _tidy_parameter(parameter: Json) -> None:
    schema = parameter["schema"]
    described = schema.pop("description", _PARAMETERS.get(parameter["name"]))
    if described is not None:
        parameter.setdefault("description", described)
    examples = schema.pop("examples", None)
    if examples:
        parameter.setdefault("example", examples[0])
    if parameter.get("required") is False:
        del parameter["required"]


def _tidy_schema(schema: Json) -> None:
    """Drop titles, which are the names again, and write whole numbers whole."""
    if isinstance(schema.get("title"), str):
        del schema["title"]
    for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        bound = schema.get(name)
        if isinstance(bound, float) and bound.is_integer():
            schema[name] = int(bound)
    for each in subschemas(schema):
        _tidy_schema(each)


def subschemas(schema: Json) -> Iterator[Json]:
    """The schemas right below one."""
    yield from schema.get("properties", {}).values()
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(name, ())
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield schema[name]
