"""The closed vocabulary of control tokens in typed text, such as `<Backspace>` and `<Ctrl + c>` (domain,
section 2).

Anything else in angle brackets was typed: `<b>` is three characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

ANGLED = r"<[^<>\r\n]{1,48}>"
"""Pattern of what may be a control token."""

_SIDES = ("", "l", "r", *(f"{side}{gap}" for side in ("left", "right") for gap in ("", " ", "_")))
_MODIFIER_NAMES = {
    "ctrl": ("ctrl", "control", "ctl", "strg"),
    "cmd": ("cmd", "command", "meta", "win", "windows", "super", "⌘"),
    "alt": ("alt", "option", "opt", "altgr", "alt gr"),
    "shift": ("shift", "⇧"),
    "fn": ("fn",),
}
MODIFIERS = {
    side + name: modifier
    for modifier, names in _MODIFIER_NAMES.items()
    for name in names
    for side in (_SIDES if modifier != "fn" else ("",))
}
"""Names of modifier keys, in lower case, and which one each is: ctrl, cmd, alt, shift or fn."""
BACKSPACE = frozenset({"backspace", "bksp", "bs"})
DELETE = frozenset({"delete", "del", "forward delete"})
ENTER = frozenset({"enter", "return", "numpad enter", "kp_enter"})
SPACE = frozenset({"space", "spacebar"})
TAB = frozenset({"tab"})
_ARROWS = ("left", "right", "up", "down")
_GAPS = ("", " ", "_")
KEYS = frozenset(
    {
        *(BACKSPACE | DELETE | ENTER | SPACE | TAB),
        *(
            "esc",
            "escape",
            "insert",
            "ins",
            "home",
            "end",
            "menu",
            "apps",
            "contextmenu",
            "context menu",
            "help",
        ),
        *(f"page{gap}{way}" for gap in _GAPS for way in ("up", "down")),
        *("pgup", "pgdn", "prior", "next"),
        *(f"{prefix}{arrow}" for prefix in ("", "arrow", "arrow ", "arrow_") for arrow in _ARROWS),
        *(f"{arrow}{suffix}" for suffix in ("arrow", " arrow") for arrow in _ARROWS),
        *(f"{name}{gap}lock" for gap in _GAPS for name in ("caps", "num", "scroll")),
        *(f"print{gap}screen" for gap in _GAPS),
        *("prtsc", "prtscn", "pause", "break", "sleep", "power", "clear"),
        *(f"f{number}" for number in range(1, 25)),
        *(f"volume{gap}{way}" for gap in _GAPS for way in ("up", "down", "mute")),
        *(
            f"media{gap}{what}"
            for gap in _GAPS
            for what in ("play", "pause", "stop", "next", "previous", "prev")
        ),
        *(f"brightness{gap}{way}" for gap in _GAPS for way in ("up", "down")),
        *("mute", "play", "eject", "dead", "compose", "unknown"),
    }
)
"""Names of keys that type no character of their own or have a name, in lower case."""
_PLUS = re.compile(r"\s*\+\s*")


@dataclass(frozen=True, slots=True)
class KeyPress:
    """`key`: lower-case name of KEYS or MODIFIERS, or one character; `held`: modifiers held with it."""

    key: str
    held: frozenset[str] = frozenset()


@lru_cache(maxsize=4_096)
def key_press(angled: str) -> KeyPress | None:
    """The key press that a control token, brackets included, stands for; None when it was typed."""
    inner = angled[1:-1].strip().lower()
    if inner in MODIFIERS or inner in KEYS:
        return KeyPress(inner)
    *names, key = _PLUS.split(inner.removesuffix("+").rstrip() if inner.endswith("+") else inner)
    if inner.endswith("+") and inner.count("+") > 1:
        names, key = [name for name in (*names, key) if name], "+"
    held = frozenset(MODIFIERS.get(name, "") for name in names)
    if not held or "" in held or not (len(key) == 1 or key in KEYS or key in MODIFIERS):
        return None
    return KeyPress(key, held)
