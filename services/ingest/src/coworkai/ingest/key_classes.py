"""Counts of keys by class (domain, section 2), from typed text with control tokens.

`Hello<Backspace>p <Ctrl + c><Enter>` holds three control tokens. Anything else in angle brackets was typed:
`<b>` is three typed characters. Counts come before tokenising, so PII changes none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from coworkai.common.control_tokens import ANGLED, BACKSPACE, DELETE, ENTER, MODIFIERS, SPACE, TAB, key_press
from coworkai.common.tables import KEY_CLASSES


class KeyClass(IntEnum):
    """Place of a class in a row of counts; the order of `tables.KEY_CLASSES`."""

    PRINTABLE = 0
    CONTROL = 1
    SHORTCUT = 2
    COPY = 3
    PASTE = 4
    UNDO = 5
    BACKSPACE = 6
    ENTER = 7
    TAB = 8


assert tuple(f"keys_{kind.name.lower()}" for kind in KeyClass) == tuple(KEY_CLASSES)

_INSERT = frozenset({"insert", "ins"})
_ANGLED = re.compile(ANGLED)


@dataclass(frozen=True, slots=True)
class ControlToken:
    """A control token's class, and what it types: a character, or nothing, or a backspace."""

    key_class: KeyClass
    typed: str = ""


@lru_cache(maxsize=4_096)
def control_token(angled: str) -> ControlToken | None:
    """The control token that `angled`, brackets included, stands for; None when it was typed.

    `<Ctrl + c>` copies, `<Shift + Tab>` is a tab, a chord of no class of its own is a shortcut.
    """
    press = key_press(angled)
    if press is None:
        return None
    if press.key in MODIFIERS:
        return ControlToken(KeyClass.CONTROL)
    if not press.held:
        return _plain(press.key)
    if press.held == {"shift"}:
        return _shifted(press.key)
    return ControlToken(_chord(press.held, press.key))


def _plain(key: str) -> ControlToken:
    if key in BACKSPACE:
        return ControlToken(KeyClass.BACKSPACE, "\b")
    if key in DELETE:
        return ControlToken(KeyClass.BACKSPACE)
    if key in ENTER:
        return ControlToken(KeyClass.ENTER, "\n")
    if key in TAB:
        return ControlToken(KeyClass.TAB, "\t")
    return ControlToken(KeyClass.PRINTABLE, " ") if key in SPACE else ControlToken(KeyClass.CONTROL)


def _shifted(key: str) -> ControlToken:
    if len(key) == 1:
        return ControlToken(KeyClass.PRINTABLE, key)
    if key in _INSERT:
        return ControlToken(KeyClass.PASTE)
    return ControlToken(KeyClass.COPY) if key in DELETE else _plain(key)


def _chord(held: frozenset[str], key: str) -> KeyClass:
    if held & {"ctrl", "cmd"} and "alt" not in held:
        if key in {"c", "x"} or key in _INSERT:
            return KeyClass.COPY
        if key == "v":
            return KeyClass.PASTE
        if key in {"z", "y"}:
            return KeyClass.UNDO
    return KeyClass.SHORTCUT


def control_tokens(text: str) -> Iterator[tuple[int, int, ControlToken]]:
    """Start, end and meaning of each control token of typed text, in order."""
    for match in _ANGLED.finditer(text):
        meaning = control_token(match[0])
        if meaning is not None:
            yield match.start(), match.end(), meaning


def key_counts(text: str) -> list[int]:
    """Keys by class, in the order of `KeyClass`; their sum is the number of keys."""
    counts = [0] * len(KeyClass)
    typed = len(text)
    for angled in _ANGLED.findall(text):
        meaning = control_token(angled)
        if meaning is not None:
            typed -= len(angled)
            counts[meaning.key_class] += 1
    counts[KeyClass.PRINTABLE] += typed
    return counts
