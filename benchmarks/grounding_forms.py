"""The sentence forms that a prompt tells its writer, read out of its text (`prompts/brief_v2.md`, saying).

    - goal done: `{name} is/was done`    ─▶  Form("goal done", "{name} is done"), Form(…, "{name} was done")

`a/b` and `(a b|c)` are choices, `[a]` may be left out. `M` in a form stands for what a measure is called.
Pairs of words of up and down stay together, as `<more;less>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

_BULLET = re.compile(r"^- ([^`:{]+?)(?:: |(?= `))(.*)$")
_QUOTED = re.compile(r"`([^`]+)`")
_NAMED = re.compile(r"([a-z_]+): ([^;`]+)")
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)|(?<![\w{}])([\w'-]+(?:/[\w'-]+)+)(?![\w{}])")
_OPTION = re.compile(r"\[([^\[\]]*)\]")
UP_DOWN = frozenset({"more/less", "above/below", "up/down", "higher/lower", "rose/fell"})


@dataclass(frozen=True, slots=True)
class Form:
    """One reading of a form; `of` is what its line says that it is for."""

    of: str
    text: str


@dataclass(frozen=True, slots=True)
class Saying:
    """The forms by line, and what measures are called by measure."""

    forms: Mapping[str, Sequence[Form]]
    called: Mapping[str, Sequence[str]]
    groups: Mapping[str, Sequence[str]]


def read(section: str) -> Saying:
    forms: dict[str, list[Form]] = {}
    called: dict[str, Sequence[str]] = {}
    groups: dict[str, Sequence[str]] = {}
    for line in section.splitlines():
        bullet = _BULLET.match(line)
        if bullet is None:
            continue
        label, body = bullet.groups()
        forms[label] = [Form(label, text) for form in _QUOTED.findall(body) for text in readings(form)]
        named = {name: nouns.strip().split("/") for name, nouns in _NAMED.findall(_QUOTED.sub("", body))}
        called |= named
        groups[label] = tuple(named)
    return Saying(forms, called, groups)


def readings(form: str) -> Iterator[str]:
    """Every choice of a form, with and without what may be left out."""
    form = re.sub("|".join(UP_DOWN), lambda pair: f"<{pair[0].replace('/', ';')}>", form)
    yield from dict.fromkeys(" ".join(text.split()) for text in _chosen(form))


def _chosen(form: str) -> Iterator[str]:
    option = _OPTION.search(form)
    if option is not None:
        for text in ("", option[1]):
            yield from _chosen(form[: option.start()] + text + form[option.end() :])
        return
    parts: list[Sequence[str]] = []
    end = 0
    for choice in _CHOICE.finditer(form):
        parts.append((form[end : choice.start()],))
        parts.append(choice[1].split("|") if choice[1] is not None else choice[2].split("/"))
        end = choice.end()
    parts.append((form[end:],))
    yield from ("".join(one) for one in product(*parts))
