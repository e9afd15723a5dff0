"""Text that came with telemetry, made fit for a prompt, a brief and a page (domain, section 5).

    "Fix\\u200b the\\n\\x1b[31mbug\\u202e"  ─ clean ─▶ "Fix the bug"  ─ datamark ─▶ a block of marked lines

Invariants:
- what `clean` returns has nothing that a reader cannot see: no control, format, tag, private-use or filler
  character, no line break, no terminal sequence; joiners stay only where a script or an emoji needs them;
- cleaning twice is cleaning once;
- a datamarked text cannot close its block: the block's delimiter is a digest of the text inside it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

ELLIPSIS = "…"
_MARKS_MAX = 4
"""Combining marks in a row that any living script needs; more is drawn over the neighbouring lines."""
_WORD_CUT = 0.6
"""A cut goes back to the last space where that keeps at least this share of the room."""
_DELIMITER_BYTES = 8
_LINE_MARK_CHARS = 4
_KEPT, _KEPT_CHARS = 4_096, 256
"""How many cleaned texts are remembered, of what length: the same name or message is met again and again."""

_TERMINAL_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_SPACE = re.compile(r"[\s\u2800]+")
_ZWNJ, _ZWJ, _EMOJI_STYLE = "\u200c", "\u200d", "\ufe0f"
_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # controls that are no white space
    "\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0e\ufeff\uffa0\ufff0-\uffff"
    "\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d159\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    "]"
)
_EMOJI = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030" + (
    "\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_JOINING = (
    "\u0620-\u06ff\u0750-\u077f\u0860-\u08ff\u0900-\u0dff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1800-\u18af"
)
"""Arabic and the scripts of India and its neighbours, where a joiner changes how letters are read."""
_STRAY_JOINER = re.compile(
    f"(?<![{_EMOJI}{_EMOJI_STYLE}]){_ZWJ}(?=[{_EMOJI}])"
    f"|(?<![{_JOINING}]){_ZWJ}(?![{_EMOJI}])"
    f"|{_ZWJ}(?![{_EMOJI}{_JOINING}])"
    f"|(?<![{_JOINING}]){_ZWNJ}|{_ZWNJ}(?![{_JOINING}])"
)
_STRAY_STYLE = re.compile(f"(?<![{_EMOJI}0-9#*]){_EMOJI_STYLE}|(?<=[0-9#*]){_EMOJI_STYLE}(?!\u20e3)")

_LINK = re.compile(
    r"[a-z][a-z0-9+.-]{1,20}\s*:\s*/\s*/"
    r"|\b(?:javascript|data|mailto|tel|file|vbscript)\s*:"
    r"|\bwww\s*\."
    r"|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|\S@\S",
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"[<>`\[\]\\|*_~#$^=]|!\s*\(|&(?:#\w+|\w+);|\](?:\(|\[)|^\s*(?:[-+>]|\d+[.)])\s", re.MULTILINE
)


def clean(text: str, max_chars: int) -> str:
    """One line of what can be seen of `text`, in Unicode NFC, of at most `max_chars` characters.

    Emoji, right-to-left letters and the joiners of scripts that need them stay readable. What is cut ends
    with "…", at a space where one is near, and never inside a letter with its marks or an emoji. Returns ""
    where nothing of it can be seen. Raises ValueError where `max_chars` is less than 1.
    """
    if max_chars < 1:
        raise ValueError("max_chars must be at least 1")
    return _kept_clean(text, max_chars) if len(text) <= _KEPT_CHARS else _clean(text, max_chars)


def _clean(text: str, max_chars: int) -> str:
    if text.isascii() and text.isprintable():
        return _cut(" ".join(text.split()), max_chars)
    return _cut(_visible(text), max_chars)


_kept_clean = lru_cache(maxsize=_KEPT)(_clean)


def datamark(text: str) -> str:
    """`text` as data for a prompt: a block whose every line carries a mark, between delimiters.

        [data 5f0c61aa2d9be370]
        5f0c| a line of it
        [end 5f0c61aa2d9be370]

    The delimiter is a digest of the text, so the text cannot hold it, and the same text gives the same
    prompt. Lines are kept; what cannot be seen is not.
    """
    lines = [_visible(line) for line in text.splitlines()]
    delimiter = hashlib.blake2b("\n".join(lines).encode(), digest_size=_DELIMITER_BYTES).hexdigest()
    mark = delimiter[:_LINE_MARK_CHARS]
    return "\n".join([f"[data {delimiter}]", *(f"{mark}| {line}" for line in lines), f"[end {delimiter}]"])


def is_clean(text: str) -> bool:
    """Whether nothing in `text` is invisible, and it is one line in NFC."""
    return text == clean(text, max(1, len(text)))


def plain_output(text: str) -> bool:
    """Whether `text`, a writer's own words, is plain prose: clean, and without links, addresses, images,
    markdown, HTML or code."""
    return is_clean(text) and not _LINK.search(text) and not _MARKUP.search(text)


def _visible(text: str) -> str:
    text = _INVISIBLE.sub("", _TERMINAL_SEQUENCE.sub("", text))
    text = unicodedata.normalize("NFC", _SPACE.sub(" ", text)).strip()
    if text.isascii():
        return text
    before = None
    while before != text:
        before = text
        text = _STRAY_JOINER.sub("", _STRAY_STYLE.sub("", text))
        text = unicodedata.normalize("NFC", _few_marks(text)).strip()
    return text


def _few_marks(text: str) -> str:
    """At most `_MARKS_MAX` combining marks in a row, and none without a letter before it."""
    kept: list[str] = []
    marks = _MARKS_MAX
    for character in text:
        is_mark = unicodedata.category(character) in {"Mn", "Me"} and character != _EMOJI_STYLE
        marks = marks + 1 if is_mark else (_MARKS_MAX if character == " " else 0)
        if marks <= _MARKS_MAX or not is_mark:
            kept.append(character)
    return "".join(kept)


def _cut(text: str, max_chars: int) -> str:
    if len(text) <= max_chars:
        return text
    end = max_chars - len(ELLIPSIS)
    space = text.rfind(" ", 0, end + 1)
    if space >= _WORD_CUT * end:
        end = space
    while end > 0 and _inside_cluster(text, end):
        end -= 1
    return text[:end].rstrip(f" {_ZWJ}{_ZWNJ}") + ELLIPSIS


def _inside_cluster(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` would part a letter from its marks, or an emoji from its parts."""
    after, before = text[at], text[at - 1]
    if (
        after in {_ZWJ, _ZWNJ, _EMOJI_STYLE}
        or before == _ZWJ
        or unicodedata.category(after) in {"Mn", "Me", "Mc"}
    ):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if _is_flag_half(after):
        run = at
        while run > 0 and _is_flag_half(text[run - 1]):
            run -= 1
        return (at - run) % 2 == 1
    return False


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
