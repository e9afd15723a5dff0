"""The profile file by which a Delta Sharing client knows where to read and with which credentials."""

from __future__ import annotations

from datetime import datetime

from coworkai.partner_api.principal import Scope
from coworkai.partner_api.problems import SHARING_PREFIX


def of_key(public_url: str, key: str, expires_at: datetime | None) -> dict[str, object]:
    """The profile of an API key."""
    profile: dict[str, object] = {
        "shareCredentialsVersion": 1,
        "endpoint": f"{public_url}{SHARING_PREFIX}",
        "bearerToken": key,
    }
    if expires_at is not None:
        profile["expirationTime"] = expires_at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return profile


def of_client(public_url: str, client_id: str, client_secret: str) -> dict[str, object]:
    """The profile of an OAuth client; its tokens have the one scope that sharing needs."""
    return {
        "shareCredentialsVersion": 2,
        "type": "oauth_client_credentials",
        "endpoint": f"{public_url}{SHARING_PREFIX}",
        "tokenEndpoint": f"{public_url}/oauth/token",
        "clientId": client_id,
        "clientSecret": client_secret,
        "scope": Scope.SHARING.value,
    }
