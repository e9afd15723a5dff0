"""What every answer of the document has in common: headers, and problems by status.

Each status has one response among the components, with an example of every code that it can have.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from coworkai.common.errors import CoworkError
from coworkai.partner_api.problems import (
    KINDS,
    OF_EXPORTS,
    PROBLEM_JSON,
    SHARING_PREFIX,
    Code,
    Refused,
    answer,
)

Json = dict[str, Any]

REQUEST_ID = "req_4692c1154ac676eb490d5ee7"


def _header(description: str, schema: Json, example: object) -> Json:
    return {"description": description, "schema": schema, "example": example}


_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}

HEADERS: dict[str, Json] = {
    "X-Request-Id": _header("names this exchange; tell it when you ask for help", _TEXT, REQUEST_ID),
    "RateLimit-Policy": _header(
        "the quota: requests in a window of seconds", _TEXT, '"requests";q=6000;w=60'
    ),
    "RateLimit": _header(
        "what is left of the quota, and in how many seconds it is full again", _TEXT, '"requests";r=5988;t=42'
    ),
    "Retry-After": _header("seconds to wait before the next attempt", _COUNT, 1),
    "WWW-Authenticate": _header(
        "how to authenticate, and what is wrong", _TEXT, 'Bearer realm="coworkai", error="invalid_token"'
    ),
    "ETag": _header(
        "names this answer; with `If-None-Match` you get 304 while it would be the same",
        _TEXT,
        'W/"5f2b1c0d9e8a7b6c5d4e3f2a1b0c9d"',
    ),
    "X-Data-Version": _header(
        "data version that the answer is of; good for `as_of_version` and `since_version`", _COUNT, 42
    ),
    "X-Date-Range": _header("dates that the answer is about, both inclusive", _TEXT, "2026-10-01/2026-10-31"),
    "X-Changed-Dates": _header(
        "bulk formats with `since_version`: dates that were published anew", _TEXT, "2026-10-27"
    ),
    "Location": _header("where what was made can be read", _TEXT, "/v1/exports/exp_5c1f0a9b2d34856a0b1c2d3e"),
    "Idempotent-Replayed": _header(
        "`true`: the kept answer to the first request with this Idempotency-Key",
        {"type": "string", "enum": ["true"]},
        "true",
    ),
}
EVERYWHERE = ("X-Request-Id",)
OF_CALLERS = ("X-Request-Id", "RateLimit-Policy", "RateLimit")
_OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
NOT_OF_SHARING = frozenset({406, 409, 410, 415, 422})
"""Delta Sharing has 400 for all that cannot be understood, and answers in one form."""
_MEANINGS = {
    400: "The request cannot be read.",
    401: "Credentials are missing, wrong, expired or revoked.",
    403: "The credentials are good, and may not do this.",
    404: "There is no such thing, or none that the caller may see; or no such data version.",
    406: "The answer does not exist in a format that is accepted.",
    408: "The request did not arrive in time.",
    409: "The state of things does not allow this now.",
    410: "What was there is cleaned up: a data version, or the one that a cursor was made at.",
    413: "Too much for one request, or for one answer. Nothing is cut silently.",
    415: "The body is compressed, or no JSON.",
    422: "Something in the request is not valid; `errors` says what.",
    429: "Too many requests, or too many failed attempts.",
    431: "The head of the request is too large.",
    500: "Our fault. `X-Request-Id` leads to what happened.",
    503: "Something that this needs does not answer, or there is too much to do. Try again.",
}

PROBLEM: Json = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). `code` is stable and for programs, `detail` and "
    "`remedy` are for people. Codes may be added: treat one that you do not know by its status.",
    "required": ["type", "title", "status", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "where the code is explained"},
        "title": {"type": "string", "description": "the code in words"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"$ref": "#/components/schemas/Code"},
        "request_id": {"type": "string", "description": "as `X-Request-Id`"},
        "detail": {"type": "string", "description": "what it is in this case"},
        "remedy": {"type": "string", "description": "what to do about it"},
        "errors": {
            "type": "array",
            "description": "each thing that is wrong",
            "items": {"$ref": "#/components/schemas/FieldError"},
        },
    },
}
FIELD_ERROR: Json = {
    "type": "object",
    "description": "One thing that is wrong.",
    "required": ["field", "message"],
    "properties": {
        "field": {"type": "string", "description": "where in the request", "examples": ["query.limit"]},
        "message": {"type": "string", "examples": ["a number from 1 to 1000"]},
    },
}
OAUTH_ERROR: Json = {
    "type": "object",
    "description": "Why there is no token, in the words of RFC 6749, section 5.2.",
    "required": ["error", "error_description"],
    "properties": {
        "error": {
            "type": "string",
            "enum": [
                "invalid_request",
                "invalid_client",
                "unsupported_grant_type",
                "invalid_scope",
            ],
        },
        "error_description": {"type": "string"},
    },
    "examples": [{"error": "invalid_client", "error_description": "the key or secret is not known"}],
}


def header_refs(*names: str) -> Json:
    """These headers, by reference."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def name_of(status: int, *, sharing: bool = False) -> str:
    """The name of the response of a status among the components."""
    words = HTTPStatus(status).phrase.replace("-", " ").split()
    return ("Sharing" if sharing else "") + "".join(word.capitalize() for word in words)


def problem_responses() -> dict[str, Json]:
    """A response for each status that a problem can have, under its name."""
    by_status: dict[int, list[Code]] = {}
    for code in (each for each in Code if each not in OF_EXPORTS):
        by_status.setdefault(KINDS[code].status, []).append(code)
    found: dict[str, Json] = {}
    for status, codes in sorted(by_status.items()):
        if status not in _MEANINGS:
            continue
        headers = header_refs(*EVERYWHERE, *_OF_STATUS.get(status, ()))
        found[name_of(status)] = {
            "description": _MEANINGS[status],
            "headers": headers,
            "content": {
                PROBLEM_JSON: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {code.value: _example(code, "/v1") for code in codes},
                }
            },
        }
        if status not in NOT_OF_SHARING:
            first = codes[0]
            found[name_of(status, sharing=True)] = {
                "description": _MEANINGS[status],
                "headers": headers,
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/SharingProblem"},
                        "examples": {first.value: _example(first, SHARING_PREFIX)},
                    }
                },
            }
    return found


def _example(code: Code, path: str) -> Json:
    kind = KINDS[code]
    error: CoworkError = Refused(code, kind.meaning)
    return {"summary": kind.title, "value": msgspec.json.decode(answer(error, REQUEST_ID, path).body)}
