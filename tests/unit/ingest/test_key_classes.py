"""Counts of keys by class."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coworkai.ingest.key_classes import KeyClass, control_token, key_counts


def counted(text: str) -> dict[str, int]:
    return {KeyClass(place).name.lower(): n for place, n in enumerate(key_counts(text)) if n}


def test_the_example_of_the_contract() -> None:
    assert counted("Hello<Backspace>p <Ctrl + c><Enter>") == {
        "printable": 7,
        "copy": 1,
        "backspace": 1,
        "enter": 1,
    }


@pytest.mark.parametrize(
    ("token", "key_class"),
    [
        ("<Ctrl + c>", KeyClass.COPY),
        ("<Ctrl+X>", KeyClass.COPY),
        ("<Cmd + C>", KeyClass.COPY),
        ("<Ctrl + Insert>", KeyClass.COPY),
        ("<Ctrl + v>", KeyClass.PASTE),
        ("<Ctrl + Shift + V>", KeyClass.PASTE),
        ("<Shift + Insert>", KeyClass.PASTE),
        ("<Ctrl + z>", KeyClass.UNDO),
        ("<Cmd + Shift + Z>", KeyClass.UNDO),
        ("<Ctrl + y>", KeyClass.UNDO),
        ("<Ctrl+D>", KeyClass.SHORTCUT),
        ("<Alt + Tab>", KeyClass.SHORTCUT),
        ("<Ctrl + Alt + c>", KeyClass.SHORTCUT),
        ("<Ctrl + +>", KeyClass.SHORTCUT),
        ("<Backspace>", KeyClass.BACKSPACE),
        ("<Delete>", KeyClass.BACKSPACE),
        ("<Return>", KeyClass.ENTER),
        ("<Shift + Enter>", KeyClass.ENTER),
        ("<Shift + Tab>", KeyClass.TAB),
        ("<Space>", KeyClass.PRINTABLE),
        ("<Shift + a>", KeyClass.PRINTABLE),
        ("<Left Ctrl>", KeyClass.CONTROL),
        ("<Arrow Left>", KeyClass.CONTROL),
        ("<F12>", KeyClass.CONTROL),
    ],
)
def test_a_control_token_is_one_key_of_its_class(token: str, key_class: KeyClass) -> None:
    counts = key_counts(token)
    assert counts[key_class] == 1
    assert sum(counts) == 1


@pytest.mark.parametrize(
    "text",
    ["<b>", "<div class=x>", "<Ctrl + secret>", "<+>", "<>", "a < b > c", "<email:0123456789abcdef01234567>"],
)
def test_anything_else_in_angle_brackets_was_typed(text: str) -> None:
    assert counted(text) == {"printable": len(text)}


def test_brackets_typed_around_a_control_token_do_not_hide_it() -> None:
    assert counted("a<<Enter>b") == {"printable": 3, "enter": 1}


@given(st.text(alphabet="ab<>+ CtrlEnter", max_size=60))
def test_every_key_is_counted_once(text: str) -> None:
    tokens = [m for m in _angled(text) if control_token(m) is not None]
    assert sum(key_counts(text)) == len(text) - sum(map(len, tokens)) + len(tokens)


def _angled(text: str) -> list[str]:
    import re

    return re.findall(r"<[^<>\r\n]{1,48}>", text)
