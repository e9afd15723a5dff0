"""PII tokens, content digests and sealing, under keys of the tenant (domain, section 2).

Invariants:
- a direct identifier is stored as `<kind>_<24 hex>`, PII inside free text as `<kind:24 hex>`; equal inputs of
  one tenant give equal tokens, equal inputs of two tenants give different ones;
- text that looks like a token is never trusted as one: it becomes `<text:…>` itself;
- every pattern is bounded or possessive, so the cost is linear in the text, whatever it holds.

Detection looks at a folded copy of the text (compatibility forms such as full-width digits, and invisible
characters, folded away), and replaces the stretch of the original that the hit came from.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from coworkai.common.errors import Terminal

TOKEN_BYTES = 12
_NONCE_BYTES = 12
PLATFORM = "platform"
"""Whose keys seal what belongs to no known tenant."""


class Kind(StrEnum):
    """What a token stands for; the kind is part of the hash."""

    USER = "user"
    NAME = "name"
    EMAIL = "email"
    DEVICE = "device"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    ID = "id"
    IP = "ip"
    SECRET = "secret"  # noqa: S105 - the name of a kind
    QUERY = "query"
    TEXT = "text"


_OPENING = {kind: f"<{kind.value}:" for kind in Kind}
_PERSON = {kind: kind.value.encode() for kind in Kind}


# --------------------------------------------------------------------------------------------- keys
@dataclass(frozen=True, slots=True, eq=False)
class TenantKeys:
    """Keys of one tenant (or of the platform): one for tokens, one for content digests, one for sealing."""

    key_id: str
    token: bytes
    digest: bytes
    seal: bytes


def tenant_keys(master_key: bytes, tenant_id: str, salt: bytes) -> TenantKeys:
    """Derive a tenant's keys by HKDF-SHA256. `key_id` is `tenant:<id>`."""
    return _derive(master_key, f"tenant:{tenant_id}", salt)


def platform_keys(master_key: bytes) -> TenantKeys:
    """Keys for what belongs to no known tenant. `key_id` is `platform`."""
    return _derive(master_key, PLATFORM, b"")


def _derive(master_key: bytes, key_id: str, salt: bytes) -> TenantKeys:
    def key(purpose: str) -> bytes:
        info = f"coworkai/1/{purpose}/{key_id}".encode()
        return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(master_key)

    return TenantKeys(key_id, key("token"), key("digest"), key("seal"))


# --------------------------------------------------------------------------------------------- digests, seals
def content_digest(keys: TenantKeys, content: bytes) -> int:
    """Keyed 64-bit digest of content, signed, as Delta stores it."""
    return int.from_bytes(digest_bytes(keys, content), "little", signed=True)


def digest_bytes(keys: TenantKeys, content: bytes, size: int = 8) -> bytes:
    return hashlib.blake2b(content, key=keys.digest, digest_size=size).digest()


def seal(key: bytes, data: bytes, aad: bytes) -> bytes:
    """Nonce and AES-256-GCM ciphertext of `data`, bound to `aad`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, aad)


def open_sealed(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """What `seal` was given. Raises Terminal when key, bytes or `aad` are not those."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):
        raise Terminal("a sealed row does not open under this key") from None


# --------------------------------------------------------------------------------------------- tokens
def token(keys: TenantKeys, kind: Kind, value: str) -> str:
    """Token of a direct identifier, `user_<24 hex>`."""
    return f"{kind.value}_{_hash(keys, kind, value)}"


@lru_cache(maxsize=65_536)
def cached_token(keys: TenantKeys, kind: Kind, value: str) -> str:
    """`token`, remembered: a batch repeats its few identifiers."""
    return token(keys, kind, value)


def plain_identifier(keys: TenantKeys, value: str) -> str:
    """An identifier as sent (identity `plain`), unless it looks like a token."""
    return token(keys, Kind.USER, value) if _LOOKALIKE.search(value) else value


def _hash(keys: TenantKeys, kind: Kind, value: str) -> str:
    return _cached_hash(keys, kind, value) if len(value) <= _SHORT else _plain_hash(keys, kind, value)


def _plain_hash(keys: TenantKeys, kind: Kind, value: str) -> str:
    return hashlib.blake2b(
        value.encode("utf-8", "surrogatepass"),
        key=keys.token,
        digest_size=TOKEN_BYTES,
        person=_PERSON[kind],
    ).hexdigest()


_SHORT = 64
_cached_hash = lru_cache(maxsize=65_536)(_plain_hash)


# --------------------------------------------------------------------------------------------- free text
def tokenise(texts: pl.Series, keys: Sequence[TenantKeys], *, urls: bool = False) -> pl.Series:
    """Free text with every piece of PII replaced by its token; nulls stay null.

    `keys` has the keys of each row's tenant. With `urls` a text is an address as a whole, scheme or not.
    A gate in Rust finds the few texts that may hold PII; only those are looked at closely, and those that
    may fold into something else by every detector.
    """
    rows = texts.str.contains(_GATE_URL if urls else _GATE).arg_true()
    if rows.is_empty():
        return texts
    hits = texts.gather(rows)
    replaced = [
        tokenise_text(text, keys[row], urls=urls)
        if not text.isascii()
        else _replace(text, _spans(text, _open(mask), urls=urls), keys[row])
        for row, text, mask in zip(rows, hits, _open_gates(hits, urls=urls), strict=True)
    ]
    return texts.clone().scatter(rows, replaced)


def _open_gates(texts: pl.Series, *, urls: bool) -> list[int]:
    """For each text the detectors whose gates are open, as a bit each."""
    first = _GATE_URL_PARTS if urls else _GATES[0]
    opened = _contain(texts, (first, _GATE_BUT_URL_PARTS))
    masks = opened[:, 0].astype(np.int32)
    # Most hits are query values and nothing else, so the other gates are tried one by one on the rest only.
    rest = np.flatnonzero(opened[:, 1])
    if len(rest):
        masks[rest] |= _contain(texts.gather(rest), _GATES[1:]) @ _BITS[1:]
    found: list[int] = masks.tolist()
    return found


def _contain(texts: pl.Series, gates: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which text (row) has which gate (column)."""
    # One query for all of them: a query by itself costs more than looking at a few hundred texts.
    return pl.select(
        pl.lit(texts).str.contains(gate).alias(str(place)) for place, gate in enumerate(gates)
    ).to_numpy()


def tokenise_text(text: str, keys: TenantKeys, *, urls: bool = False) -> str:
    """One text with its PII replaced by tokens; `urls` as in `tokenise`."""
    folded, origin = _fold(text)
    return _replace(text, _origins(_spans(folded, _DETECTORS, urls=urls), origin), keys)


@lru_cache(maxsize=16_384)
def cached_tokenise(text: str, keys: TenantKeys) -> str:
    """`tokenise_text`, remembered: for columns of few distinct values."""
    return tokenise_text(text, keys)


def tokenise_typed(text: str, keys: TenantKeys, controls: Sequence[tuple[int, int, str]]) -> str:
    """Typed text with its PII replaced; `controls` are its control tokens as (start, end, typed character).

    The character is the one that the key types (newline, tab, space), "" for one that types none, and a
    backspace for one that takes the last character away. PII is found across control tokens, both as the keys
    were hit and as the text came to stand after corrections. Control tokens inside PII follow its token, so
    no key is lost.
    """
    spans: list[Span] = []
    for corrected in (False, True):
        folded, origin = _fold_typed(text, controls, corrected=corrected)
        spans += _origins(_spans(folded, _DETECTORS, urls=False), origin)
    inside = [(start, end) for start, end, _ in controls]
    return _replace(text, _merge(spans), keys, keep=inside)


Span = tuple[int, int, Kind, str]
"""Start, end (exclusive), kind, and the normalised value that is hashed."""


def _replace(text: str, spans: Sequence[Span], keys: TenantKeys, keep: Sequence[tuple[int, int]] = ()) -> str:
    if not spans:
        return text
    out: list[str] = []
    at = 0
    for start, end, kind, value in spans:
        out += (text[at:start], _OPENING[kind], _hash(keys, kind, value), ">")
        if keep:
            out += (text[s:e] for s, e in keep if start <= s and e <= end)
        at = end
    out.append(text[at:])
    return "".join(out)


def _merge(spans: Sequence[Span]) -> list[Span]:
    """Overlapping spans as one, with the kind and value of the longest."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span[0] < merged[-1][1]:
            last = merged[-1]
            longest = max(last, span, key=lambda s: s[1] - s[0])
            merged[-1] = (last[0], max(last[1], span[1]), longest[2], longest[3])
        else:
            merged.append(span)
    return merged


# --------------------------------------------------------------------------------------------- folding
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e007f"
)
_INVISIBLE_CHAR = re.compile(f"[{_INVISIBLE}]")
_DASHES_AND_DOTS = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-") | dict.fromkeys(
    map(ord, "\u3002\uff61"), "."
)


def _fold(text: str) -> tuple[str, list[int] | None]:
    """Text with compatibility forms and invisible characters folded away, and each character's origin.

    The origin is None where nothing changed.
    """
    if text.isascii():
        return text, None
    chars: list[str] = []
    origin: list[int] = []
    changed = False
    for index, char in enumerate(text):
        folded = _fold_char(char)
        changed = changed or folded != char
        for piece in folded:
            chars.append(piece)
            origin.append(index)
    return ("".join(chars), origin) if changed else (text, None)


@lru_cache(maxsize=8_192)
def _fold_char(char: str) -> str:
    if char.isascii():
        return char
    if _INVISIBLE_CHAR.match(char):
        return ""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    folded = unicodedata.normalize("NFKC", char)
    # An accent by itself would become a space and the accent, and a space ends an address.
    return char if " " in folded and not char.isspace() else folded.translate(_DASHES_AND_DOTS)


def _fold_typed(
    text: str, controls: Sequence[tuple[int, int, str]], *, corrected: bool
) -> tuple[str, list[int]]:
    chars: list[str] = []
    origin: list[int] = []
    at = 0
    for start, end, typed in (*controls, (len(text), len(text), "")):
        for index in range(at, start):
            for piece in _fold_char(text[index]):
                chars.append(piece)
                origin.append(index)
        if typed == "\b":
            if corrected and chars:
                chars.pop()
                origin.pop()
        elif typed:
            chars.append(typed)
            origin.append(start)
        at = end
    return "".join(chars), origin


def _origins(spans: Sequence[Span], origin: list[int] | None) -> list[Span]:
    if origin is None:
        return list(spans)
    return [(origin[start], origin[end - 1] + 1, kind, value) for start, end, kind, value in spans]


# --------------------------------------------------------------------------------------------- detectors
_ASSIGNABLE = (
    r"(?:passwor[dt]|passwd|passphrase|passcode|pwd|secret|token|credential|kennwort|contrase(?:n|ñ)a"
    r"|(?:api|access|private|auth)[_\- ]?key)"
)
_LOOKALIKE = re.compile(
    rf"<(?:{'|'.join(kind.value for kind in Kind)}):[0-9a-f]{{24}}>"
    r"|(?<![A-Za-z0-9])(?:user|name|email|device)_[0-9a-f]{24}(?![0-9a-f])",
    re.IGNORECASE,
)
_KEYS = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)"
    r"|(?<![A-Za-z0-9])(?:"
    r"(?:AKIA|ASIA|ABIA|ACCA|AIDA|AROA)[A-Z0-9]{16}(?![A-Za-z0-9])"
    r"|gh[pousr]_[A-Za-z0-9]{16,}+|github_pat_\w{16,}+|glpat-[\w-]{16,}+"
    r"|xox[abeoprs]-[\w-]{10,}+|xapp-[\w-]{10,}+"
    r"|(?:sk|pk|rk)[-_](?:live|test|proj|ant|svcacct|or)[-_][\w-]{12,}+|sk-[A-Za-z0-9]{20,}+"
    r"|AIza[\w-]{30,}+|ya29\.[\w-]{16,}+|npm_[A-Za-z0-9]{30,}+|pypi-[\w-]{16,}+|hf_[A-Za-z0-9]{20,}+"
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|dop_v1_[0-9a-f]{32,}+|cwi_[\w-]{16,}+"
    r"|eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?"
    r")",
    re.DOTALL,
)
_ASSIGNED = re.compile(
    rf"{_ASSIGNABLE}s?[\"']?(?:\s{{0,3}}(?:=>|:=|[=:])\s{{0,3}}|\s{{1,3}}is\s{{1,3}})"
    r"(?:\"(?P<double>[^\"\x00]{1,4096})\"|'(?P<single>[^'\x00]{1,4096})'|(?P<bare>[^\s\"'\x00&;,]++))"
    r"|(?:bearer|basic)\s{1,3}(?P<header>[A-Za-z0-9._~+/=\-]{12,}+)",
    re.IGNORECASE,
)
_LOCAL = r"[\w.!$%*+^~\-]"
_DOMAIN = r"[\w\-]++(?:\.[\w\-]++)++"
_EMAIL = re.compile(
    rf"(?<!{_LOCAL}){_LOCAL}++(?:'{_LOCAL}++)*+@{_DOMAIN}|(?<![\w.+\-])[\w.+\-]++%40{_DOMAIN}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]){11,30}")
_CARD = re.compile(r"(?<!\d)\d(?:[ .\-]{0,2}\d){12,18}(?!\d)")
_NATIONAL = re.compile(
    r"(?<![A-Za-z0-9\-])(?:"
    r"(?P<ssn>(?!000|666|9)\d{3}([ \-])(?!00)\d{2}\2(?!0000)\d{4})"
    r"|(?P<nino>(?![DFIQUV])[A-Z](?![DFIOQUV])[A-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D])"
    r"|(?P<fiscale>[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z])"
    r"|(?P<pan>[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z])"
    r"|(?P<dni>(?:\d{8}|[XYZ]\d{7})-?[A-Z])"
    r"|(?P<cpf>\d{3}\.\d{3}\.\d{3}-\d{2})"
    r"|(?P<insee>[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2})"
    r"|(?P<china>\d{6}(?:19|20)\d{9}[\dX])"
    r"|(?P<aadhaar>[2-9]\d{3} \d{4} \d{4})"
    r"|(?P<nordic>(?:19|20)?\d{6}[\-+A]\d{3}[\dA-Z])"
    r")(?![A-Za-z0-9]|-\d)",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\.?\d)")
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:)[0-9A-Fa-f:]{3,39}+(?:\d{0,3}\.[\d.]{5,11})?"
)
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"(?:\+|00)[ ]?[1-9]\d{0,2}(?:[ .\-/]{0,2}\(?\d{1,5}\)?){2,6}"
    r"|\(\d{2,5}\)[ .\-]{0,2}\d{2,5}(?:[ .\-]?\d{2,5}){1,3}"
    r"|(?:1[ .\-])?[2-9]\d{2}[ .\-]\d{3}[ .\-]\d{4}"
    r"|[2-9]\d{9}"
    r"|0\d{1,4}[ .\-/]{1,2}\d{2,8}(?:[ .\-]\d{2,5}){0,3}|0\d{9,10}"
    r")(?![A-Za-z0-9_])"
)
_USER_DIR = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=/)|(?<=\\))(?:users|home|documents and settings|dokumente und einstellungen)"
    r"(?:[\\/]{1,4}|%5c|%2f)(?P<user>[^\\/:*?\"<>|\r\n\t\x00%]{1,64}(?=[\\/%])|[^\s\\/:*?\"<>|\x00%]{1,256}+)"
    r"|(?<![\w~])~(?P<tilde>[A-Za-z_][\w.\-]{0,63}+)(?=[\\/])",
    re.IGNORECASE,
)
_URL = re.compile(r"://[^\s<>\"\x00]++")
_TAIL = re.compile("[?;#]")
# The value of `key=value`, or a key alone; a fragment alone is passed over.
_PAIR = re.compile(r"[?&;#][^=&;#\s]*+=([^&;#\s]++)|[?&;]([^=&;#\s]++)(?!=)|#[^=&;#\s]*+")
_COLONS = re.compile(r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:")


def _spans(text: str, detectors: Sequence[_Detector], *, urls: bool) -> list[Span]:
    """Disjoint stretches of PII in folded text, in order. What one detector found, the next cannot see."""
    if len(detectors) == 1:
        return list(detectors[0].find(text, urls))
    spans: list[Span] = []
    for place, detector in enumerate(detectors, 1):
        found = list(detector.find(text, urls))
        if found:
            spans += found
            if place < len(detectors):
                text = _mask(text, found)
    spans.sort()
    return spans


def _mask(text: str, spans: Sequence[Span]) -> str:
    """The text with NUL in place of each character of the spans, which are in order."""
    out: list[str] = []
    at = 0
    for start, end, _, _ in spans:
        out += (text[at:start], "\0" * (end - start))
        at = end
    return "".join((*out, text[at:])) if out else text


def _find_url_parts(text: str, urls: bool) -> Iterable[Span]:
    if urls:
        scheme = text.find("://")
        return _url_parts(text, scheme + 3 if 0 <= scheme <= 20 else 0, len(text))
    return chain.from_iterable(
        _url_parts(text, match.start() + 3, match.end()) for match in _URL.finditer(text)
    )


def _url_parts(text: str, start: int, end: int) -> list[Span]:
    """Userinfo, query values, path parameters, and a fragment that is made like a query."""
    delimiter = _TAIL.search(text, start, end)
    tail = end if delimiter is None else delimiter.start()
    host_end = text.find("/", start, tail)
    at = text.rfind("@", start, tail if host_end < 0 else host_end)
    spans: list[Span] = []
    if at > start and text[max(0, start - 3) : start] == "://":
        spans.append((start, at, Kind.USER, text[start:at]))
    query = text.find("?", tail, end)
    query = end if query < 0 else query
    pairs = _PAIR.finditer(text, query, end)
    if tail < query:
        pairs = chain(_PAIR.finditer(text, tail, query), pairs)
    # Looking a member of an enum up takes as long as matching a short value.
    kind = Kind.QUERY
    spans += [(*match.span(group), kind, match[group]) for match in pairs if (group := match.lastindex)]
    return spans


def _find_lookalikes(text: str, _urls: bool) -> Iterator[Span]:
    if "_" in text or "<" in text:
        for match in _LOOKALIKE.finditer(text):
            yield *match.span(), Kind.TEXT, match[0]


def _find_secrets(text: str, _urls: bool) -> Iterator[Span]:
    keys = [(*match.span(), Kind.SECRET, match[0]) for match in _KEYS.finditer(text)]
    assigned = [
        (*match.span(group), Kind.SECRET, match[group])
        for match in _ASSIGNED.finditer(_mask(text, keys))
        if (group := match.lastgroup) is not None
    ]
    yield from sorted(keys + assigned)


def _find_emails(text: str, _urls: bool) -> Iterator[Span]:
    if "@" in text or "%40" in text:
        for match in _EMAIL.finditer(text):
            yield *match.span(), Kind.EMAIL, match[0].replace("%40", "@").lower()


def _find_ibans(text: str, _urls: bool) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(text[match.start() : match.start() + 2].upper())
        value, end = _take(text, match.start(), match.end(), length or 0)
        if length and len(value) == length and not text[end : end + 1].isalnum() and iban_is_valid(value):
            yield match.start(), end, Kind.IBAN, value.upper()


def _take(text: str, start: int, end: int, count: int) -> tuple[str, int]:
    """The first `count` letters and digits from `start`, and where they end."""
    taken: list[str] = []
    for index in range(start, end):
        if len(taken) == count:
            return "".join(taken), index
        if text[index].isalnum():
            taken.append(text[index])
    return "".join(taken), end


def _find_cards(text: str, _urls: bool) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        yield from _card_in(match[0], match.start())


def _card_in(run: str, offset: int) -> Iterator[Span]:
    """The first stretch of whole digit groups that makes a card number."""
    groups = [match.span() for match in _GROUP.finditer(run)]
    # Digits typed one by one are one number or none; all windows of them would cost too much.
    for first in range(len(groups) if len(groups) <= 8 else 1):
        for last in range(len(groups) - 1, first - 1, -1):
            start, end = groups[first][0], groups[last][1]
            digits = "".join(filter(str.isdigit, run[start:end]))
            if 13 <= len(digits) <= 19 and digits[0] != "0" and luhn_is_valid(digits):
                yield offset + start, offset + end, Kind.CARD, digits
                return


_GROUP = re.compile(r"\d+")


def _find_national_ids(text: str, _urls: bool) -> Iterator[Span]:
    for match in _NATIONAL.finditer(text):
        valid = _CHECKS.get(match.lastgroup or "")
        value = re.sub(r"[ .\-]", "", match[0]).upper()
        if valid is None or valid(value):
            yield *match.span(), Kind.ID, value


def _find_addresses(text: str, _urls: bool) -> Iterator[Span]:
    spans: list[Span] = [(*match.span(), Kind.IP, match[0]) for match in _IPV4.finditer(text)]
    if _COLONS.search(text):
        text = _mask(text, spans)
        for match in _IPV6.finditer(text):
            value = match[0].rstrip(":") if not match[0].endswith("::") else match[0]
            if len(value) > 2 and _is_ipv6(value):
                spans.append((match.start(), match.start() + len(value), Kind.IP, value.lower()))
    yield from sorted(spans)


def _is_ipv6(value: str) -> bool:
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return True


def _find_phones(text: str, _urls: bool) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        digits = "".join(filter(str.isdigit, match[0]))
        if 7 <= len(digits) <= 16:
            yield *match.span(), Kind.PHONE, ("+" if match[0][0] == "+" else "") + digits


def _find_user_dirs(text: str, urls: bool) -> Iterator[Span]:
    web = urls and text[:4].lower() == "http"
    for match in _USER_DIR.finditer(text):
        group = match.lastgroup
        # `/home/` of a web address is a page, not a person's folder.
        if group is not None and not (web and match[0][:4].lower() == "home"):
            yield *match.span(group), Kind.USER, match[group]


# --------------------------------------------------------------------------------------------- gates
@dataclass(frozen=True, slots=True)
class _Detector:
    """`find` yields disjoint spans in order; `gate`, in Rust's syntax, holds in every text that has one."""

    gate: str
    find: Callable[[str, bool], Iterable[Span]]


_DETECTORS = (
    _Detector(r"://[^ \t\r\n]*[?;#@]", _find_url_parts),
    _Detector(r"[0-9a-fA-F]{24}", _find_lookalikes),
    _Detector(
        r"(?i:passwor|passwd|passphrase|passcode|pwd|secret|token|credential|kennwort|contrase"
        r"|(?:api|access|private|auth)[_\- ]?key|(?:bearer|basic)[ \t\r\n])"
        r"|A[KSBC][IC]A[A-Z0-9]{4}|A[IR][DO]A[A-Z0-9]{4}|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|xapp-"
        r"|[spr]k[-_]"
        r"|AIza|ya29\.|npm_|pypi-|hf_|SG\.|dop_v1_|cwi_|eyJ",
        _find_secrets,
    ),
    _Detector(r"@|%40", _find_emails),
    _Detector(r"[A-Za-z]{2}[0-9]{2}(?:[ \-]?[A-Za-z0-9]){11}", _find_ibans),
    _Detector(r"[0-9](?:[ .\-]{0,2}[0-9]){12}", _find_cards),
    _Detector(
        r"[0-9]{3}[ \-][0-9]{2}[ \-][0-9]{4}|[A-Za-z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-Da-d]"
        r"|[A-Za-z]{6}[0-9]{2}[A-Za-z][0-9]{2}|[A-Za-z]{5}[0-9]{4}[A-Za-z]|[0-9]{7}-?[A-Za-z]|[0-9]{3}\.[0-9]{3}\."
        r"|[0-9](?: ?[0-9]){11}|[0-9]{6}[\-+Aa][0-9]{3}",
        _find_national_ids,
    ),
    _Detector(
        r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:", _find_addresses
    ),
    _Detector(
        r"[+0(][0-9 ()](?:[ .\-/()]{0,4}[0-9]){4}|[0-9]{3}[ .\-][0-9]{3}[ .\-][0-9]{4}|[0-9]{10}",
        _find_phones,
    ),
    _Detector(r"(?i:users|home|settings|einstellungen)(?:[\\/]|%)|~[A-Za-z_]", _find_user_dirs),
)
_GATE_ODD = (
    r"[\u{AD}\u{B2}\u{B3}\u{B9}\u{34F}\u{61C}\u{115F}\u{1160}\u{17B4}\u{17B5}\u{180E}\u{200B}-\u{200F}"
    r"\u{2024}\u{202A}-\u{202E}\u{2060}-\u{209F}\u{2100}-\u{217F}\u{2460}-\u{24FF}\u{3002}\u{FE00}-\u{FE0F}\u{FE50}-\u{FE6F}\u{FEFF}"
    r"\u{FF01}-\u{FF61}\u{1D400}-\u{1D7FF}\u{E0000}-\u{E007F}]|[\p{Nd}--[0-9]]"
    r"|[0-9)][\u{A0}\u{2000}-\u{200A}\u{2010}-\u{2015}\u{202F}\u{2212}\u{3000}]{1,2}[0-9(]"
)
"""Characters that may fold into what a detector looks for."""
_GATES = (*(detector.gate for detector in _DETECTORS), _GATE_ODD)
_BITS = 1 << np.arange(len(_GATES), dtype=np.int32)
_GATE_BUT_URL_PARTS = "|".join(_GATES[1:])
_GATE_URL_PARTS = rf"{_GATES[0]}|[?;#]|://[^/]*@"
_GATE = f"{_GATES[0]}|{_GATE_BUT_URL_PARTS}"
_GATE_URL = f"{_GATE_URL_PARTS}|{_GATE_BUT_URL_PARTS}"


@cache
def _open(mask: int) -> tuple[_Detector, ...]:
    """Detectors whose gates are open."""
    return tuple(detector for place, detector in enumerate(_DETECTORS) if mask >> place & 1)


# --------------------------------------------------------------------------------------------- check digits
def luhn_is_valid(digits: str) -> bool:
    """Luhn's check of a string of digits."""
    total = 0
    for index, char in enumerate(reversed(digits)):
        digit = ord(char) - 48
        if index % 2:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return total % 10 == 0


def iban_is_valid(value: str) -> bool:
    """ISO 13616's mod-97 check of an IBAN without spaces."""
    return int("".join(str(int(char, 36)) for char in value[4:] + value[:4])) % 97 == 1


def _dni_is_valid(value: str) -> bool:
    number = str("XYZ".index(value[0])) + value[1:-1] if value[0] in "XYZ" else value[:-1]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def _cpf_is_valid(value: str) -> bool:
    def check(length: int) -> int:
        total = sum(int(value[i]) * (length + 1 - i) for i in range(length))
        return total * 10 % 11 % 10

    return len(set(value)) > 1 and check(9) == int(value[9]) and check(10) == int(value[10])


def _china_is_valid(value: str) -> bool:
    total = sum(int(char) * weight for char, weight in zip(value[:17], _CHINA_WEIGHTS, strict=True))
    return "10X98765432"[total % 11] == value[17]


def _insee_is_valid(value: str) -> bool:
    return 97 - int(value[:13]) % 97 == int(value[13:])


def _verhoeff_is_valid(value: str) -> bool:
    check = 0
    for index, char in enumerate(reversed(value)):
        check = _VERHOEFF_D[check][_VERHOEFF_P[index % 8][int(char)]]
    return check == 0


def _nordic_is_valid(value: str) -> bool:
    """Swedish by Luhn, Finnish by its check character."""
    digits = re.sub(r"[^0-9A-Z]", "", value.replace("+", ""))[-10:]
    if digits.isdigit() and luhn_is_valid(digits):
        return True
    body = re.fullmatch(r"(\d{6})[A+]?(\d{3})([0-9A-Z])", value)
    return body is not None and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(body[1] + body[2]) % 31] == body[3]


_CHINA_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_VERHOEFF_D = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_P = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 5, 7, 6, 2, 8, 3, 0, 9, 4),
    (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7),
    (9, 4, 5, 3, 1, 2, 6, 8, 7, 0),
    (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5),
    (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)
_CHECKS: dict[str, Callable[[str], bool]] = {
    "dni": _dni_is_valid,
    "cpf": _cpf_is_valid,
    "insee": _insee_is_valid,
    "china": _china_is_valid,
    "aadhaar": _verhoeff_is_valid,
    "nordic": _nordic_is_valid,
}
_IBAN_COUNTRIES = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS = {country: length for length, names in _IBAN_COUNTRIES.items() for country in names.split()}
