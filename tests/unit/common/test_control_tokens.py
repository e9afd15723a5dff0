"""The vocabulary of control tokens (docs/domain.md, section 2)."""

from __future__ import annotations

import pytest

from coworkai.common.control_tokens import KeyPress, key_press


@pytest.mark.parametrize(
    ("token", "press"),
    [
        ("<Backspace>", KeyPress("backspace")),
        ("<Ctrl>", KeyPress("ctrl")),
        ("<Ctrl + c>", KeyPress("c", frozenset({"ctrl"}))),
        ("<Ctrl+D>", KeyPress("d", frozenset({"ctrl"}))),
        ("<Left Ctrl + Shift + Tab>", KeyPress("tab", frozenset({"ctrl", "shift"}))),
        ("<Ctrl + +>", KeyPress("+", frozenset({"ctrl"}))),
        ("<⌘ + z>", KeyPress("z", frozenset({"cmd"}))),
        ("<F12>", KeyPress("f12")),
        ("<Page Down>", KeyPress("page down")),
    ],
)
def test_tokens_are_key_presses(token: str, press: KeyPress) -> None:
    assert key_press(token) == press


@pytest.mark.parametrize(
    "typed", ["<b>", "<div>", "<email:0123>", "<a + b>", "<Ctrl + >", "< >", "<F99>", "<c>"]
)
def test_anything_else_in_angle_brackets_was_typed(typed: str) -> None:
    assert key_press(typed) is None
