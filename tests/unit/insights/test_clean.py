"""Cleaning: nothing invisible is left, what can be read stays, and marked data cannot end its block."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.insights.clean import clean, datamark, is_clean, plain_output

WIDE = 1_000
ODD = (
    "\u200b\u200c\u200d\u202e\ufe0f\ufe01\U000e0041\u0301👩💻🏽🇩🇪1\u20e3\u0643\u06cc\u0915\u094d \n\t\x1b[31m"
)
TEXT = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(ODD),
    ),
    max_size=60,
)


def test_no_control_format_tag_or_private_character_is_left() -> None:
    for code in range(0x110000):
        character = chr(code)
        if unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs"}:
            assert character not in clean(f"a{character}b", WIDE), hex(code)


@given(TEXT, st.integers(1, 70))
def test_cleaning_twice_is_cleaning_once_within_the_length(text: str, max_chars: int) -> None:
    once = clean(text, max_chars)
    assert len(once) <= max_chars
    assert clean(once, max_chars) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip()
    assert "\n" not in once


@pytest.mark.parametrize(
    "text",
    [
        "👨\u200d👩\u200d👧 family",
        "👍🏽 ok ❤️",
        "1️⃣ first",
        "🇩🇪🇫🇷",
        "می\u200cخواهم",
        "שלום עולם",
        "क्\u200dष",
        "naïve café",
        "Việt",
    ],
)
def test_emoji_and_letters_of_every_direction_stay_as_they_are(text: str) -> None:
    assert clean(text, WIDE) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Fix\u200b the\n\x1b[31mbug\u202e", "Fix the bug"),
        ("a\u200db", "ab"),
        ("12\ufe0f", "12"),
        ("\x1b]8;;https://evil.example\x07click\x1b]8;;\x07", "click"),
        ("tags\U000e0068\U000e0069", "tags"),
        ("Z" + "\u0301" * 40, "Ź\u0301\u0301\u0301\u0301"),
        ("  a \u3164\u2003 b ", "a b"),
        ("e\u0301", "é"),
        ("\u2066\u2069", ""),
    ],
)
def test_what_cannot_be_seen_goes(text: str, cleaned: str) -> None:
    assert clean(text, WIDE) == cleaned


@pytest.mark.parametrize(
    ("text", "max_chars", "cut"),
    [
        ("close the open tickets", 15, "close the open…"),
        ("unbreakablelongword", 8, "unbreak…"),
        ("👨\u200d👩\u200d👧👨\u200d👩\u200d👧", 8, "👨\u200d👩\u200d👧…"),
        ("🇩🇪🇫🇷🇮🇹", 5, "🇩🇪🇫🇷…"),
        ("👍🏽👍🏽", 3, "👍🏽…"),
    ],
)
def test_a_cut_is_at_a_word_or_between_letters(text: str, max_chars: int, cut: str) -> None:
    assert clean(text, max_chars) == cut


def test_a_length_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_chars"):
        clean("a", 0)


@given(st.text(max_size=200))
def test_marked_data_cannot_end_its_block(text: str) -> None:
    opening, *lines, closing = datamark(text).split("\n")
    delimiter = re.fullmatch(r"\[data ([0-9a-f]{16})\]", opening)
    assert delimiter is not None
    assert closing == f"[end {delimiter[1]}]"
    assert all(line.startswith(f"{delimiter[1][:4]}| ") for line in lines)
    assert delimiter[1] not in "\n".join(lines)


def test_the_same_text_gives_the_same_marks() -> None:
    assert datamark("a\nb") == datamark("a\nb") != datamark("a\nc")


@pytest.mark.parametrize("text", ["You had x of focus, x more than usual.", "End-of-day manifest: x (x)."])
def test_prose_is_plain(text: str) -> None:
    assert plain_output(text)


@pytest.mark.parametrize(
    "text",
    [
        "see https://a.example", "see www.a.example", "mail a@b.example", "example.org", "![x](y)", "[x](y)",
        "`x`",
        "<b>x</b>", "**x**", "# x", "javascript:x", "10.0.0.1", "a\u200bb", "&lt;b", "x | y", "two\nlines",
    ],
)  # fmt: skip
def test_links_markup_and_what_cannot_be_seen_are_not_plain(text: str) -> None:
    assert not plain_output(text)


def test_one_clean_line_is_clean() -> None:
    assert is_clean("a b")
    assert not is_clean("a  b")
    assert not is_clean("a\u202eb")
