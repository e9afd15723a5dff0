"""The token endpoint, the public keys and the server's metadata."""

from __future__ import annotations

from typing import Literal

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from coworkai.partner_api import oauth
from coworkai.partner_api.guard import exchange_of
from coworkai.partner_api.principal import Scope
from coworkai.partner_api.services import services_of

router = APIRouter(tags=["access"])

NEVER_KEPT = {"cache-control": "no-store", "pragma": "no-cache"}
KEPT_FOR_MINUTES = {"cache-control": "public, max-age=300"}
_FORM = {
    "type": "object",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"type": "string", "enum": [oauth.GRANT]},
        "client_id": {"type": "string", "examples": ["client_x7Kq2mPz9LwT"]},
        "client_secret": {"type": "string", "examples": ["cwc_live_…"]},
        "scope": {
            "type": "string",
            "description": "scopes, separated by spaces; all of the client's by default",
            "examples": ["briefs:read kpis:read"],
        },
    },
}


class AccessToken(BaseModel):
    """An access token for a client."""

    access_token: str = Field(description="a JWT", examples=["eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.…"])
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="seconds that it is good for", examples=[3600])
    scope: str = Field(description="what it may, separated by spaces", examples=["briefs:read kpis:read"])


class Key(BaseModel):
    """A public key (RFC 7517)."""

    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str = Field(examples=["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"])
    y: str = Field(examples=["x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"])
    kid: str = Field(description="as in the header of tokens", examples=["b1f6c2d07a9e4c55"])
    use: Literal["sig"]
    alg: Literal["ES256"]


class KeySet(BaseModel):
    """The public keys that tokens are verified with."""

    keys: list[Key]


class AuthorizationServer(BaseModel):
    """Metadata of the token endpoint (RFC 8414)."""

    issuer: str = Field(description="`iss` of access tokens", examples=["https://partner.example"])
    token_endpoint: str = Field(examples=["https://partner.example/oauth/token"])
    jwks_uri: str = Field(examples=["https://partner.example/.well-known/jwks.json"])
    grant_types_supported: list[str] = Field(examples=[[oauth.GRANT]])
    token_endpoint_auth_methods_supported: list[str] = Field(
        examples=[["client_secret_basic", "client_secret_post"]]
    )
    scopes_supported: list[Scope]
    response_types_supported: list[str] = Field(examples=[[]])


@router.post(
    "/oauth/token",
    operation_id="create_access_token",
    summary="Get an access token",
    response_model=AccessToken,
    responses={
        status: {
            "description": "Why there is none",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OAuthError"}}},
        }
        for status in (400, 401)
    },
    openapi_extra={"requestBody": {"required": True, "content": {oauth.FORM: {"schema": _FORM}}}},
)
async def token(request: Request) -> Response:
    """Give a client an access token for its id and secret (OAuth 2.0 client credentials)."""
    exchange = exchange_of(request.scope)
    headers = request.headers
    try:
        asked = oauth.read_request(
            headers.get("content-type", ""), await request.body(), headers.get("authorization")
        )
        issued = await oauth.issue(services_of(request), asked, exchange.source, exchange.request_id)
    except oauth.OAuthError as error:
        body = {"error": error.error, "error_description": error.description}
        return _json(body, error.status, {**NEVER_KEPT, **error.headers})
    return _json(
        {
            "access_token": issued.text,
            "token_type": "Bearer",
            "expires_in": issued.expires_in_s,
            "scope": " ".join(sorted(issued.scopes)),
        },
        200,
        NEVER_KEPT,
    )


@router.get(
    "/.well-known/jwks.json",
    operation_id="get_key_set",
    summary="Keys that tokens are signed with",
    response_model=KeySet,
)
async def key_set(request: Request) -> Response:
    """The public keys of the access tokens, as a JSON Web Key Set."""
    return _json(services_of(request).tokens.key_set(), 200, KEPT_FOR_MINUTES)


@router.get(
    "/.well-known/oauth-authorization-server",
    operation_id="get_authorization_server",
    summary="Metadata of the token endpoint",
    response_model=AuthorizationServer,
)
async def metadata(request: Request) -> Response:
    """What an OAuth client needs to know of this server (RFC 8414)."""
    issuer = services_of(request).settings.public_url
    return _json(
        {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/oauth/token",
            "jwks_uri": f"{issuer}/.well-known/jwks.json",
            "grant_types_supported": [oauth.GRANT],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": [scope.value for scope in Scope],
            "response_types_supported": [],
        },
        200,
        KEPT_FOR_MINUTES,
    )


def _json(body: object, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(body), status, headers, "application/json")
