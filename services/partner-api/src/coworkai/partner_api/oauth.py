"""OAuth 2.0 client credentials: what a client gets for its id and secret (RFC 6749, section 4.4)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, unquote_plus

from coworkai.partner_api.credentials import Credential
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.problems import Code, Refused
from coworkai.partner_api.services import Services

FORM = "application/x-www-form-urlencoded"
GRANT = "client_credentials"
MAX_FIELDS = 20
CHALLENGE = {"www-authenticate": 'Basic realm="coworkai"'}


class OAuthError(Exception):
    """An error of the token endpoint, in the words of RFC 6749, section 5.2."""

    def __init__(
        self, error: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What a client asks for; `is_basic`: whether it showed its secret in the Authorization header."""

    client_id: str
    client_secret: str
    scopes: frozenset[Scope] | None
    is_basic: bool


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token for a client."""

    text: str
    expires_in_s: int
    scopes: frozenset[Scope]


def read_request(content_type: str, body: bytes, authorization: str | None) -> TokenRequest:
    """The request of a client, by `client_secret_basic` or `client_secret_post`. Raises OAuthError."""
    fields = _fields(content_type, body)
    is_basic = authorization is not None
    if is_basic and "client_secret" in fields:
        raise OAuthError("invalid_request", "the client shows its secret in two ways; use one")
    if authorization is not None:
        client_id, secret = _basic(authorization)
        if fields.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "client_id is not the one of the Authorization header")
    else:
        client_id, secret = fields.get("client_id", ""), fields.get("client_secret", "")
    if not client_id or not secret:
        raise OAuthError("invalid_client", "client id and secret are missing", 401, CHALLENGE)
    if "grant_type" not in fields:
        raise OAuthError("invalid_request", "grant_type is missing")
    if fields["grant_type"] != GRANT:
        raise OAuthError("unsupported_grant_type", f"the grant_type is {GRANT}")
    return TokenRequest(client_id, secret, _scopes(fields.get("scope")), is_basic)


async def issue(services: Services, asked: TokenRequest, source: str, request_id: str) -> AccessToken:
    """An access token for the client; written in the audit log.

    Raises OAuthError, Refused (429) and StorageUnavailable.
    """
    client = await _client(services, asked, source)
    scopes = client.scopes if asked.scopes is None else asked.scopes
    if not scopes <= client.scopes:
        raise OAuthError("invalid_scope", f"the client's scopes are {' '.join(sorted(client.scopes))}")
    services.rate_limit.take(services.rate_limit.window(client.tenant_id, client.credential_id, "tokens"))
    lifetime = timedelta(seconds=services.settings.access_token_s)
    if client.expires_at is not None:
        lifetime = min(lifetime, client.expires_at - services.clock())
    token = services.tokens.for_client(client.credential_id, client.tenant_id, scopes, lifetime)
    await services.in_store(
        lambda: services.credentials.audit(
            client.tenant_id,
            actor=client.credential_id,
            action="token.issued",
            target=token.token_id,
            detail={"scopes": sorted(scopes), "expires_in_s": token.expires_in_s},
            request_id=request_id,
        )
    )
    return AccessToken(token.text, token.expires_in_s, scopes)


async def _client(services: Services, asked: TokenRequest, source: str) -> Credential:
    try:
        return await services.authenticator.verify_client(asked.client_id, asked.client_secret, source)
    except Refused as refused:
        if refused.kind is Code.TOO_MANY_FAILURES:
            raise
        raise OAuthError("invalid_client", refused.message, 401, CHALLENGE) from None


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise OAuthError("invalid_request", f"the body is {FORM}")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise OAuthError("invalid_request", "the body is no form") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise OAuthError("invalid_request", "a parameter is given twice")
    return fields


def _basic(authorization: str) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "the Authorization header is no Basic", 401, CHALLENGE)
    return unquote_plus(client_id), unquote_plus(secret)


def _scopes(text: str | None) -> frozenset[Scope] | None:
    if not text or not text.strip():
        return None
    try:
        return frozenset(Scope(scope) for scope in text.split())
    except ValueError:
        raise OAuthError("invalid_scope", "a scope is not known; /v1/me tells the client's") from None
