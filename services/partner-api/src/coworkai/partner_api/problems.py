"""Every refusal over HTTP: problem+json (RFC 9457) with a stable code and the request's id.

The codes are one closed list; each has one status and is explained at `/problems/{code}`, its `type`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from coworkai.common.errors import CoworkError, Transient

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_S = 1
SHARING_PREFIX = "/delta-sharing"
MAX_FIELD_ERRORS = 20
"""Things that one problem tells of; an answer is no larger for a request that is all wrong."""


class Code(StrEnum):
    """Why a request was refused. A code never changes its meaning."""

    BAD_REQUEST = "bad_request"
    MISSING_CREDENTIALS = "missing_credentials"
    INVALID_CREDENTIALS = "invalid_credentials"
    EXPIRED_CREDENTIALS = "expired_credentials"
    REVOKED_CREDENTIALS = "revoked_credentials"
    MISSING_SCOPE = "missing_scope"
    INDIVIDUAL_REACH_REQUIRED = "individual_reach_required"
    NOT_FOR_WORKER_TOKENS = "not_for_worker_tokens"
    NOT_FOR_LIMITED_KEYS = "not_for_limited_keys"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    REQUEST_TIMEOUT = "request_timeout"
    CONFLICT = "conflict"
    IDEMPOTENCY_IN_FLIGHT = "idempotency_in_flight"
    VERSION_EXPIRED = "version_expired"
    CURSOR_EXPIRED = "cursor_expired"
    GONE = "gone"
    BODY_TOO_LARGE = "body_too_large"
    TOO_MANY_ROWS = "too_many_rows"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    INVALID_PARAMETER = "invalid_parameter"
    UNKNOWN_PARAMETER = "unknown_parameter"
    UNKNOWN_FIELD = "unknown_field"
    INVALID_CURSOR = "invalid_cursor"
    INVALID_RANGE = "invalid_range"
    INVALID_BODY = "invalid_body"
    INVALID_IDEMPOTENCY_KEY = "invalid_idempotency_key"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    VERSION_NOT_FOUND = "version_not_found"
    NOT_PUBLISHED = "not_published"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_FAILURES = "too_many_failures"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    HEADERS_TOO_LARGE = "headers_too_large"
    INTERNAL = "internal"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Kind:
    """Status and explanation that all problems of a code share."""

    status: int
    title: str
    meaning: str


KINDS: Mapping[Code, Kind] = {
    Code.BAD_REQUEST: Kind(400, "Bad request", "The request cannot be taken as it is; `detail` says why."),
    Code.MISSING_CREDENTIALS: Kind(
        401, "Credentials are missing", "Send `Authorization: Bearer` with an API key or an access token."
    ),
    Code.INVALID_CREDENTIALS: Kind(
        401,
        "Credentials are not valid",
        "The key or token is unknown, mistyped, cut, or not meant for this API.",
    ),
    Code.EXPIRED_CREDENTIALS: Kind(
        401, "Credentials have expired", "Use the key's successor, or ask for a new token."
    ),
    Code.REVOKED_CREDENTIALS: Kind(401, "Credentials were revoked", "Ask whoever revoked them for new ones."),
    Code.MISSING_SCOPE: Kind(403, "A scope is missing", "The credentials lack the scope that this needs."),
    Code.INDIVIDUAL_REACH_REQUIRED: Kind(
        403, "Individual reach is required", "Credentials of aggregate reach see the published lattice only."
    ),
    Code.NOT_FOR_WORKER_TOKENS: Kind(
        403, "Not for worker tokens", "A worker's own token reads that worker's rows, and nothing else."
    ),
    Code.NOT_FOR_LIMITED_KEYS: Kind(
        403, "Not for limited credentials", "Credentials limited to some workers cannot be used for this."
    ),
    Code.FORBIDDEN: Kind(403, "Forbidden", "The tenant's policy or the caller's rights do not allow this."),
    Code.NOT_FOUND: Kind(
        404,
        "Not found",
        "There is no such thing, or it is not one that the caller may see: the answer is the same.",
    ),
    Code.METHOD_NOT_ALLOWED: Kind(405, "Method not allowed", "The header `Allow` names what is."),
    Code.NOT_ACCEPTABLE: Kind(406, "No such format", "The answer does not exist in the format asked for."),
    Code.REQUEST_TIMEOUT: Kind(408, "The request took too long to arrive", "Send it again, whole."),
    Code.CONFLICT: Kind(409, "Conflict", "The state of the resource does not allow this now."),
    Code.IDEMPOTENCY_IN_FLIGHT: Kind(
        409, "The first attempt is still under way", "A request with this Idempotency-Key has no answer yet."
    ),
    Code.VERSION_EXPIRED: Kind(
        410, "The version is gone", "Data of that version were cleaned up; read a newer one."
    ),
    Code.CURSOR_EXPIRED: Kind(410, "The cursor has expired", "Start again from the first page."),
    Code.GONE: Kind(410, "Gone", "It was there, and is not any more."),
    Code.BODY_TOO_LARGE: Kind(413, "The body is too large", "Send less at a time."),
    Code.TOO_MANY_ROWS: Kind(
        413, "Too many rows for one answer", "Ask for fewer days or workers, or make an export."
    ),
    Code.UNSUPPORTED_MEDIA_TYPE: Kind(
        415, "Unsupported body", "Send JSON, uncompressed, with its Content-Type."
    ),
    Code.RANGE_NOT_SATISFIABLE: Kind(
        416, "No such part of the file", "`Content-Range` says how many bytes the file has."
    ),
    Code.INVALID_PARAMETER: Kind(422, "A parameter is not valid", "`errors` says which, and why."),
    Code.UNKNOWN_PARAMETER: Kind(
        422,
        "An unknown parameter",
        "Parameters that are not known are refused, so that none is ignored silently.",
    ),
    Code.UNKNOWN_FIELD: Kind(422, "An unknown field", "`fields=` names a column that the resource lacks."),
    Code.INVALID_CURSOR: Kind(
        422, "The cursor is not valid", "A cursor belongs to one query of one caller, unchanged."
    ),
    Code.INVALID_RANGE: Kind(
        422, "The range is not valid", "Dates are inclusive and in order, at most 366 days."
    ),
    Code.INVALID_BODY: Kind(422, "The body is not valid", "`errors` says where, and why."),
    Code.INVALID_IDEMPOTENCY_KEY: Kind(
        422,
        "The Idempotency-Key is not valid",
        "It is 1 to 255 visible ASCII characters; a UUID serves well.",
    ),
    Code.IDEMPOTENCY_MISMATCH: Kind(
        422, "Another request had this Idempotency-Key", "Use a new key for a request that is not the same."
    ),
    Code.VERSION_NOT_FOUND: Kind(404, "No such version", "The tenant's data never had that version."),
    Code.NOT_PUBLISHED: Kind(
        422, "Not in the published lattice", "Groups, periods and measures that are published are fixed."
    ),
    Code.RATE_LIMITED: Kind(429, "Too many requests", "`Retry-After` says when the quota is full again."),
    Code.TOO_MANY_FAILURES: Kind(
        429, "Too many failed attempts", "Credentials from this source, or for this key, failed too often."
    ),
    Code.TOO_MANY_ATTEMPTS: Kind(
        500,
        "Tried too often",
        "Every process that made the export has died; ask for fewer days or workers, or for other columns.",
    ),
    Code.HEADERS_TOO_LARGE: Kind(431, "The headers are too large", "Send fewer or shorter headers."),
    Code.INTERNAL: Kind(500, "Internal error", "Our fault; the request id leads to what happened."),
    Code.STORAGE_UNAVAILABLE: Kind(503, "Storage does not answer", "Try again after `Retry-After`."),
    Code.OVERLOADED: Kind(503, "Overloaded", "Try again after `Retry-After`."),
    Code.UNAVAILABLE: Kind(503, "Unavailable", "Try again after `Retry-After`."),
}

OF_EXPORTS = frozenset({Code.TOO_MANY_ATTEMPTS})
"""Why an export has failed; no request is answered with these."""

_BY_STATUS = {
    400: Code.BAD_REQUEST,
    401: Code.INVALID_CREDENTIALS,
    403: Code.FORBIDDEN,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    409: Code.CONFLICT,
    410: Code.GONE,
    413: Code.BODY_TOO_LARGE,
    415: Code.UNSUPPORTED_MEDIA_TYPE,
    422: Code.INVALID_PARAMETER,
    503: Code.UNAVAILABLE,
}


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong: where in the request (`query.limit`, `body.url`), and what."""

    field: str
    message: str


class Refused(CoworkError):
    """A request that is refused with a code of the list. The detail never repeats telemetry or a secret."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        remedy: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, remedy=remedy)
        self.kind = code
        self.code = code.value
        self.status = KINDS[code].status
        self.errors = tuple(errors[:MAX_FIELD_ERRORS])
        self.headers = dict(headers or {})


def not_found(detail: str = "not found") -> Refused:
    """Nothing of a worker, or nothing of one whom the caller may read: the answer to both is the same."""
    return Refused(
        Code.NOT_FOUND, detail, remedy="GET /v1/workers lists workers with their first and last date"
    )


class Problem(msgspec.Struct, omit_defaults=True):
    """Body of every error. `code` is stable, `detail` and `remedy` are for people."""

    type: str
    title: str
    status: int
    code: str
    request_id: str
    detail: str | None = None
    remedy: str | None = None
    errors: tuple[FieldError, ...] = ()


class SharingError(msgspec.Struct):
    """Body of an error under the Delta Sharing prefix, as its protocol has it."""

    errorCode: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response, ready to be sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def answer(error: CoworkError, request_id: str, path: str) -> Answer:
    """The answer to a request for `path` that failed with `error`."""
    code = error.kind if isinstance(error, Refused) else _code(error)
    kind = KINDS[code]
    headers = dict(error.headers) if isinstance(error, Refused) else {}
    if isinstance(error, Transient):
        headers.setdefault("retry-after", str(RETRY_AFTER_S))
    # What failed inside us, and where, is for the log.
    is_ours = kind.status >= 500
    detail = None if is_ours else error.message
    if path.startswith(SHARING_PREFIX):
        headers["content-type"] = "application/json; charset=utf-8"
        message = kind.title if detail is None else detail
        body = msgspec.json.encode(SharingError(code.value.upper(), f"{message} ({request_id})"))
        # The protocol has one status for all that cannot be understood.
        return Answer(400 if kind.status == 422 else kind.status, headers, body)
    headers["content-type"] = PROBLEM_JSON
    problem = Problem(
        type=f"/problems/{code.value}",
        title=kind.title,
        status=kind.status,
        code=code.value,
        request_id=request_id,
        detail=detail,
        remedy=None if is_ours else error.remedy,
        errors=error.errors if isinstance(error, Refused) else (),
    )
    return Answer(kind.status, headers, msgspec.json.encode(problem))


def code_of_status(status: int) -> Code:
    """The code of an error that the framework raises by its status."""
    return _BY_STATUS.get(status, Code.INTERNAL if status >= 500 else Code.BAD_REQUEST)


def _code(error: CoworkError) -> Code:
    try:
        return Code(error.code)
    except ValueError:
        return code_of_status(error.status)
