"""Counting tokens without a network: the o200k vocabulary, which comes with its package.

Models count differently, by a tenth or so; where a provider counts itself, that is recorded beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol


class Tokenizer(Protocol):
    """What counts the tokens of a text; the same text has the same count."""

    @property
    def name(self) -> str: ...

    def count(self, text: str) -> int: ...


class _Encoding(Protocol):
    def count(self, text: str) -> int: ...


@dataclass(frozen=True, slots=True)
class VocabularyTokenizer:
    """Counts by a byte-pair vocabulary. Safe to share between threads."""

    name: str
    encoding: _Encoding

    def count(self, text: str) -> int:
        return self.encoding.count(text)


@cache
def offline_tokenizer() -> Tokenizer:
    """The tokenizer of contexts; its vocabulary is read from the package at the first call, in about 1 s."""
    import quicktok

    name = "o200k_base"
    return VocabularyTokenizer(name, quicktok.get_encoding(name))
