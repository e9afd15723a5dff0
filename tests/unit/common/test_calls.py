"""Calls between our own services: signed for one path and body, for a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coworkai.common.calls import VALID_S, Calls
from coworkai.common.errors import Unauthenticated

NOW = datetime(2026, 11, 9, 12, tzinfo=UTC)


def calls(master_key: bytes = bytes(32), at: datetime = NOW) -> Calls:
    return Calls(master_key, lambda: at)


def test_a_call_is_verified_by_who_has_the_same_master_key() -> None:
    signed = calls().sign("/lineage", b"{}")
    calls().verify(signed, "/lineage", b"{}")
    with pytest.raises(Unauthenticated):
        calls(b"\x01" * 32).verify(signed, "/lineage", b"{}")


def test_a_signature_is_of_one_path_and_body() -> None:
    signed = calls().sign("/lineage", b"{}")
    for path, body in (("/tasks/maintain", b"{}"), ("/lineage", b"{ }")):
        with pytest.raises(Unauthenticated):
            calls().verify(signed, path, body)


def test_a_signature_is_good_for_a_minute() -> None:
    signed = calls().sign("/lineage", b"{}")
    calls(at=NOW + timedelta(seconds=VALID_S)).verify(signed, "/lineage", b"{}")
    for late in (VALID_S + 1, -VALID_S - 1):
        with pytest.raises(Unauthenticated):
            calls(at=NOW + timedelta(seconds=late)).verify(signed, "/lineage", b"{}")


@pytest.mark.parametrize(
    "header",
    [None, "", "CoworkAI", "CoworkAI :", "Bearer x", "CoworkAI 1:é", "CoworkAI -1:00", "CoworkAI ²:00"],
)
def test_what_is_no_signature_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        calls().verify(header, "/lineage", b"{}")
