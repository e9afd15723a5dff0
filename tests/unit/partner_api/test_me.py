"""Who the caller is."""

from __future__ import annotations

from tests.unit.partner_api.conftest import TENANT, Api

from coworkai.partner_api.principal import Reach, Scope


def test_a_caller_is_told_who_it_is_and_what_it_may(api: Api) -> None:
    answer = api.get("/v1/me", key=api.key(Scope.BRIEFS, reach=Reach.INDIVIDUAL, name="reports"))
    assert answer.status_code == 200
    told = answer.json()
    assert told.pop("principal_id").startswith("key_")
    assert told == {
        "kind": "api_key",
        "name": "reports",
        "tenant_id": "acme",
        "reach": "individual",
        "scopes": ["briefs:read"],
        "worker_ids": None,
    }


def test_a_worker_is_itself_and_no_other(api: Api) -> None:
    told = api.get("/v1/me", key=api.worker_token("user_1")).json()
    assert (told["principal_id"], told["kind"]) == ("worker:user_1", "worker")
    assert told["worker_ids"] == ["user_1"]


def test_who_sends_no_key_or_a_collectors_is_told_what_to_send(api: Api) -> None:
    for nothing in ("", "Basic dXNlcjpwYXNz", "Bearer "):
        refused = api.get("/v1/me", headers={"authorization": nothing}).json()
        assert refused["remedy"] == "send the header Authorization: Bearer <API key or access token>"
    refused = api.get("/v1/me", key=api.services.control.create_ingest_key(TENANT)).json()
    assert (refused["code"], refused["detail"]) == (
        "invalid_credentials",
        "a collector's key is not for this API",
    )
    assert refused["remedy"] == "`coworkai keys create` makes one that is"
