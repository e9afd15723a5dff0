"""Tokens of direct identifiers, PII in free text, folding tricks, typed text, sealing."""

from __future__ import annotations

import re
import time

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coworkai.common import pii
from coworkai.common.errors import Terminal
from coworkai.common.pii import Kind

KEYS = pii.tenant_keys(b"m" * 32, "acme", b"salt")
OTHERS = pii.tenant_keys(b"m" * 32, "globex", b"salt")
TOKEN = re.compile(r"<(\w+):[0-9a-f]{24}>")


def shape(text: str, *, urls: bool = False) -> str:
    """Tokenised text with the hashes left out, the same from the gated column and from the single text."""
    alone = pii.tokenise_text(text, KEYS, urls=urls)
    column = pii.tokenise(pl.Series([None, text, "nothing here"]), [KEYS] * 3, urls=urls)
    assert column.to_list() == [None, alone, "nothing here"]
    return TOKEN.sub(r"<\1>", alone)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail john.doe+x@example.co.uk.", "mail <email>."),
        ("o'brien@example.com", "<email>"),
        ("jürgen@müller.de", "<email>"),
        ("from=a@b.io;", "from=<email>;"),
        ("call +44 20 7946 0123 now", "call <phone> now"),
        ("(415) 555-0132", "<phone>"),
        ("415.555.0132", "<phone>"),
        ("07700 900123", "<phone>"),
        ("0049 30 1234567", "<phone>"),
        ("card 4111 1111 1111 1111 exp 12/27", "card <card> exp 12/27"),
        ("5500-0000-0000-0004", "<card>"),
        ("378282246310005", "<card>"),
        ("DE89 3704 0044 0532 0130 00 and then", "<iban> and then"),
        ("gb82west12345698765432", "<iban>"),
        ("ssn 123-45-6789", "ssn <id>"),
        ("NINO AB 12 34 56 C", "NINO <id>"),
        ("RSSMRA85T10A562S", "<id>"),
        ("DNI 12345678Z", "DNI <id>"),
        ("529.982.247-25", "<id>"),
        ("ABCPE1234F", "<id>"),
        ("10.1.2.3, ::1, 2001:db8::8a2e:370:7334", "<ip>, <ip>, <ip>"),
        ("AKIAIOSFODNN7EXAMPLE", "<secret>"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "<secret>"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dozjgNryP4J3", "<secret>"),
        ("password=hunter2 ok", "password=<secret> ok"),
        ('{"api_key": "abc def"}', '{"api_key": "<secret>"}'),
        ("my passphrase is correct-horse", "my passphrase is <secret>"),
        ("Authorization: Bearer abcdef.ghijkl-123456", "Authorization: Bearer <secret>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----!", "<secret>!"),
        ("-----BEGIN PRIVATE KEY-----\nMII cut off", "<secret>"),
        (r"C:\Users\John Doe\AppData\x.exe", r"C:\Users\<user>\AppData\x.exe"),
        ("/home/alice/.config and ~bob/x", "/home/<user>/.config and ~<user>/x"),
        ("open /Users/carol", "open /Users/<user>"),
        ("see https://u:p@h.com/a?t=abc&v#f ok", "see https://<user>@h.com/a?t=<query>&<query>#f ok"),
        ("https://x.com/#access_token=zzz", "https://x.com/#access_token=<query>"),
        ("https://x.com/p;jsessionid=1F?q=a%20b", "https://x.com/p;jsessionid=<query>?q=<query>"),
        ("<email:0123456789abcdef01234567>", "<text>"),
        ("user_0123456789abcdef01234567", "<text>"),
        ("<CARD:0123456789ABCDEF01234567>", "<text>"),
    ],
)
def test_pii_becomes_its_token(text: str, expected: str) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Quarterly report v2.3.1 - 10:45:30, 2024-01-02",
        "ticket 12345-678, order 1234567890123",
        "550e8400-e29b-41d4-a716-446655440000",
        "ISBN 978-3-16-148410-0 costs 1,234.56",
        "std::vector and a ? b : c",
        "@john <b>bold</b> 4111 1111 1111 1112",
        "https://example.com/projects/12/board",
        "Überstunden – Grüße 14:00–15:00",
    ],
)
def test_what_only_resembles_pii_stays(text: str) -> None:
    assert shape(text) == text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("example.com/search?q=foo", "example.com/search?q=<query>"),
        ("https://u:p@h.com/", "https://<user>@h.com/"),
        ("http://192.168.1.1/x", "http://<ip>/x"),
        ("https://x.com/home/feed", "https://x.com/home/feed"),
        ("file:///home/john/a.pdf", "file:///home/<user>/a.pdf"),
        ("https://x.com/users/john/repos", "https://x.com/users/<user>/repos"),
        ("https://x.com/a/john%40example.com/", "https://x.com/a/<email>/"),
    ],
)
def test_an_address_keeps_its_place_and_loses_its_person(url: str, expected: str) -> None:
    assert shape(url, urls=True) == expected


@pytest.mark.parametrize(
    "tricky",
    [
        "j\u200bohn@ex\u00adample.com",
        "john\uff20example\uff0ecom",
        "\uff4a\uff4f\uff48\uff4e@example.com",
        "john@example\u3002com",
    ],
)
def test_unicode_tricks_fold_to_the_same_token(tricky: str) -> None:
    assert pii.tokenise_text(tricky, KEYS) == pii.tokenise_text("john@example.com", KEYS)
    assert shape(tricky) == "<email>"


@pytest.mark.parametrize(
    "card",
    [
        "４１１１ １１１１ １１１１ １１１１",
        "4111\u20111111\u20111111\u20111111",
        "4111\u00a01111\u00a01111\u00a01111",
        "٤١١١١١١١١١١١١١١١",
    ],
)
def test_digits_of_other_scripts_and_separators_are_digits(card: str) -> None:
    assert pii.tokenise_text(card, KEYS) == pii.tokenise_text("4111111111111111", KEYS)
    assert shape(card) == "<card>"


def test_equal_inputs_give_equal_tokens_inside_a_tenant_only() -> None:
    assert pii.token(KEYS, Kind.USER, "alice") == pii.token(KEYS, Kind.USER, "alice")
    assert pii.token(KEYS, Kind.USER, "alice") != pii.token(OTHERS, Kind.USER, "alice")
    assert pii.token(KEYS, Kind.USER, "alice") != pii.token(KEYS, Kind.NAME, "alice").replace("name", "user")
    assert re.fullmatch(r"user_[0-9a-f]{24}", pii.token(KEYS, Kind.USER, "alice"))
    rows = pii.tokenise(pl.Series(["a@b.io", "a@b.io"]), [KEYS, OTHERS])
    assert rows[0] != rows[1]


def test_a_plain_identifier_that_looks_like_a_token_is_hashed() -> None:
    assert pii.plain_identifier(KEYS, "alice") == "alice"
    forged = pii.token(KEYS, Kind.USER, "alice")
    assert pii.plain_identifier(KEYS, forged) not in {forged, "alice"}


CONTROLS = {"<Backspace>": "\b", "<Enter>": "\n", "<Shift>": "", "<Left>": ""}


def typed(text: str) -> str:
    spans = [(m.start(), m.end(), CONTROLS[m[0]]) for m in re.finditer("<[^<>]+>", text) if m[0] in CONTROLS]
    return TOKEN.sub(r"<\1>", pii.tokenise_typed(text, KEYS, spans))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hi john<Shift>@example.com<Enter>", "hi <email><Shift><Enter>"),
        ("jonh<Backspace><Backspace>hn@example.com ok", "<email><Backspace><Backspace> ok"),
        ("4111 1111 1111 1111<Backspace>", "<card><Backspace>"),
        ("4111 1119<Backspace>1 1111 1111", "<card><Backspace>"),
        ("a<Enter>b<b>", "a<Enter>b<b>"),
    ],
)
def test_pii_is_found_across_control_tokens_and_none_of_those_is_lost(text: str, expected: str) -> None:
    assert typed(text) == expected


def test_a_forged_token_that_was_typed_is_typed_text() -> None:
    assert typed("<email:0123456789abcdef01234567><Enter>") == "<text><Enter>"


@example("?\u00b4")
@example("?\u00b5")
@given(st.text(max_size=200))
def test_any_text_tokenises_the_same_alone_and_in_a_column(text: str) -> None:
    if not any("\ud800" <= char <= "\udfff" for char in text):
        shape(text)
        shape(text, urls=True)


@given(st.text(alphabet="ab@. 41-+:/?=&#<>_", max_size=120))
def test_tokenising_twice_trusts_no_token_of_the_first_time(text: str) -> None:
    once = pii.tokenise_text(text, KEYS)
    assert not TOKEN.findall(once) or pii.tokenise_text(once, KEYS) != once


@pytest.mark.parametrize(
    "unit", ["a", "1 ", "@a.", "/home/", "password=", "://", "1.1.1.1.", "a:", "eyJ", "+1", "\uff11", "AA11"]
)
def test_cost_is_linear_in_the_text(unit: str) -> None:
    def cost(size: int) -> float:
        """Processor seconds, the least of several runs: what the machine does beside only adds."""
        text, runs = unit * (size // len(unit)), []
        for _ in range(5):
            started = time.process_time()
            pii.tokenise_text(text, KEYS)
            runs.append(time.process_time() - started)
        return min(runs)

    # Ten times the text: 10 when linear, 100 when quadratic.
    assert cost(80_000) < 40 * max(cost(8_000), 1e-3)


def test_what_is_sealed_opens_under_its_key_and_purpose_only() -> None:
    sealed = pii.seal(KEYS.seal, b"content", b"row-1")
    assert b"content" not in sealed
    assert pii.open_sealed(KEYS.seal, sealed, b"row-1") == b"content"
    for key, box, aad in (
        (OTHERS.seal, sealed, b"row-1"),
        (KEYS.seal, sealed, b"row-2"),
        (KEYS.seal, sealed[:-1] + b"x", b"row-1"),
        (KEYS.seal, b"", b"row-1"),
    ):
        with pytest.raises(Terminal):
            pii.open_sealed(key, box, aad)


def test_a_tenants_keys_differ_by_purpose_tenant_and_salt() -> None:
    variants = [
        KEYS,
        OTHERS,
        pii.tenant_keys(b"m" * 32, "acme", b"other"),
        pii.tenant_keys(b"n" * 32, "acme", b"salt"),
        pii.platform_keys(b"m" * 32),
    ]
    keys = [key for one in variants for key in (one.token, one.digest, one.seal)]
    assert len(set(keys)) == 15
    assert [one.key_id for one in (KEYS, variants[-1])] == ["tenant:acme", "platform"]
