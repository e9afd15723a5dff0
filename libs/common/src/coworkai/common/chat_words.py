"""What the worker's own messages are about, and which of them say that something is in the way.

Phrases and stop words are data (`chat_words.toml`). Nothing is concluded beyond the words themselves.
Insights makes facts of them, lineage leads those back to the messages.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import msgspec
import polars as pl

READ_CHARS = 4_000
"""A message is looked through as far as this."""
THEME_MIN_MESSAGES = 2
THEMES_MAX = 5
_KEYS = ("date", "user_id")
_TOKENS = r"<[^<>]{1,80}>"
_ADDRESSES = r"\b[a-z][a-z0-9+.-]*://\S+"
_WORD = r"\p{L}[\p{L}\p{M}\p{N}'_-]*"
_WORD_MIN_CHARS = 3
_WORD_MAX_CHARS = 40


class _Blockers(msgspec.Struct, forbid_unknown_fields=True):
    phrases: list[str]
    unless: list[str] = []


class _Themes(msgspec.Struct, forbid_unknown_fields=True):
    stop_words: list[str]
    everyday_words: list[str] = []


class _Tables(msgspec.Struct, forbid_unknown_fields=True):
    blockers: _Blockers
    themes: _Themes


@dataclass(frozen=True, slots=True)
class ChatWords:
    """Patterns of blocking phrases, and of what is taken out before they are looked for; words that are never
    part of a theme, and words that are none by themselves."""

    blocking: str
    harmless: str
    stop_words: pl.Series
    everyday_words: pl.Series


@cache
def chat_words() -> ChatWords:
    """The tables that ship with the package."""
    text = resources.files(__package__).joinpath("chat_words.toml").read_text(encoding="utf-8")
    tables = msgspec.convert(tomllib.loads(text), _Tables)
    return ChatWords(
        _any_of(tables.blockers.phrases),
        _any_of(tables.blockers.unless),
        pl.Series(sorted(tables.themes.stop_words), dtype=pl.String),
        pl.Series(
            sorted(_with_endings([*tables.themes.stop_words, *tables.themes.everyday_words])), dtype=pl.String
        ),
    )


def is_blocker(text: pl.Expr, words: ChatWords) -> pl.Expr:
    """Whether a message says that something is in the way; false where its text was not kept."""
    plain = _folded(text).str.replace_all(words.harmless, " ")
    return plain.str.contains(words.blocking).fill_null(value=False)


def themes(
    messages: pl.DataFrame,
    words: ChatWords,
    *,
    min_messages: int = THEME_MIN_MESSAGES,
    top: int = THEMES_MAX,
) -> pl.DataFrame:
    """Words and pairs of words that at least `min_messages` messages of a worker's day share.

    `messages`: date, user_id, event_id, text. Returns date, user_id, n (from 1), name, messages, event_ids
    (sorted): the `top` of each day by messages, pairs before words, then name. A word that never occurs but
    in a listed pair is left out, and so are a pair with a stop word in it and an everyday word by itself.
    What `n` stands for depends on neither number.
    """
    tokens = (
        messages.drop_nulls("text")
        .select(
            *_KEYS,
            "event_id",
            word=_folded(pl.col("text")).str.extract_all(_WORD),
        )
        .explode("word", empty_as_null=True, keep_nulls=False)
        .with_columns(word=pl.col("word").str.strip_chars("'_-"))
        .with_columns(
            counts=~pl.col("word").is_in(words.stop_words.to_list())
            & pl.col("word").str.len_chars().is_between(_WORD_MIN_CHARS, _WORD_MAX_CHARS),
        )
    )
    message = [*_KEYS, "event_id"]
    follows = pl.all_horizontal(
        pl.col("counts"),
        pl.col("counts").shift(1),
        *(pl.col(key) == pl.col(key).shift(1) for key in message),
    )
    before = pl.col("word").shift(1)
    pairs = tokens.with_columns(
        name=pl.when(follows & (before != pl.col("word"))).then(before + " " + pl.col("word"))
    )
    terms = pl.concat(
        [
            tokens.filter("counts", ~pl.col("word").is_in(words.everyday_words.to_list())).select(
                *message, name="word", is_pair=pl.lit(value=False)
            ),
            pairs.drop_nulls("name").select(*message, "name", is_pair=pl.lit(value=True)),
        ]
    )
    shared = (
        terms.group_by(*_KEYS, "name", "is_pair")
        .agg(event_ids=pl.col("event_id").unique().sort())
        .with_columns(messages=pl.col("event_ids").list.len().cast(pl.Int64))
        .filter(pl.col("messages") >= min_messages)
    )
    inside = (
        shared.filter("is_pair")
        .select(*_KEYS, "messages", name=pl.col("name").str.split(" "))
        .explode("name", empty_as_null=True, keep_nulls=False)
        .unique()
    )
    return (
        shared.join(inside, on=[*_KEYS, "name", "messages"], how="anti")
        .sort(*_KEYS, "messages", "is_pair", "name", descending=[False, False, True, True, False])
        .with_columns(n=pl.int_range(1, pl.len() + 1).over(_KEYS))
        .filter(pl.col("n") <= top)
        .select(*_KEYS, "n", "name", "messages", "event_ids")
    )


def _folded(text: pl.Expr) -> pl.Expr:
    """Lower case, without tokens of personal data and addresses; apostrophes straight."""
    return (
        text.str.slice(0, READ_CHARS)
        .str.to_lowercase()
        .str.replace_all("[’ʼ`]", "'")
        .str.replace_all(_TOKENS, " ")
        .str.replace_all(_ADDRESSES, " ")
    )


def _with_endings(words: list[str]) -> set[str]:
    """Also "lists", "listed", "listing" of "list", "copies" of "copy", "planned" of "plan"."""
    found = set(words)
    for word in words:
        stem, last = word[:-1], word[-1]
        forms = {"e": (f"{word}d", f"{stem}ing"), "y": (f"{stem}ies", f"{stem}ied", f"{word}ing")}
        doubled = word + last
        others = (f"{word}es", f"{word}ed", f"{word}ing", f"{doubled}ed", f"{doubled}ing")
        found.update((f"{word}s", f"{word}'s", *forms.get(last, others)))
    return found


def _any_of(phrases: list[str]) -> str:
    # Longest first: of phrases that begin alike the engine takes the one that is written first.
    ordered = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return rf"\b(?:{'|'.join(re.escape(phrase).replace(chr(92) + ' ', ' +') for phrase in ordered)})\b"
