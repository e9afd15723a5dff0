"""What the worker's own messages are about, and which of them say that something is in the way."""

from __future__ import annotations

import polars as pl
import pytest
from tests.unit.insights.gold_rows import chat, message

from coworkai.common.chat_words import READ_CHARS, chat_words, is_blocker, themes


def blocks(text: str | None) -> bool:
    found: bool = pl.select(is_blocker(pl.lit(text, pl.String), chat_words())).item()
    return found


def shared(*texts: str | None, top: int = 5) -> list[tuple[str, int]]:
    said = chat(*(message(n, "09:00", text) for n, text in enumerate(texts)))
    return themes(said, chat_words(), min_messages=2, top=top).select("name", "messages").rows()


@pytest.mark.parametrize(
    "text",
    [
        "the import fails",
        "I'm STUCK on this",
        "it doesn’t work",
        "it  doesn't   work",
        "we are blocked by legal",
        "Why do I get a 403 error?",
        "no error handling here, and it crashes",
    ],
)
def test_a_blocking_phrase_makes_a_blocker(text: str) -> None:
    assert blocks(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "plan my day",
        "how do I do error handling",
        "I can't wait",
        "we are unblocked",
        "terror in the title, failsafe, stuckness",
        "mail <email:error> about https://example.com/error",
    ],
)
def test_anything_else_makes_none(text: str | None) -> None:
    assert not blocks(text)


def test_a_message_is_looked_through_only_so_far() -> None:
    assert not blocks("x" * READ_CHARS + " it fails")


def test_words_and_pairs_that_two_messages_share_are_themes() -> None:
    assert shared(
        "plan the billing export migration",
        "the billing export fails",
        "billing is late, the migration waits",
    ) == [("billing", 3), ("billing export", 2), ("migration", 2)]


def test_a_word_twice_in_one_message_is_no_theme() -> None:
    assert shared("billing, billing and billing") == []


def test_stop_words_tokens_and_addresses_are_none() -> None:
    text = "please write <email:tok12> to https://billing.example/x with the user_dir <path:abc>"
    assert shared(text, text, top=1) == [("user_dir", 2)]


@pytest.mark.parametrize("word", ["group", "rooms", "listed", "planning", "copies"])
def test_an_everyday_word_is_no_theme_but_may_be_part_of_one(word: str) -> None:
    assert shared(f"the {word} of it", f"a {word} again") == []
    assert shared(f"the invoice {word}", f"an invoice {word}, again") == [(f"invoice {word}", 2)]


def test_other_scripts_are_words_too() -> None:
    assert shared("مشكلة الاستيراد", "الاستيراد مرة أخرى") == [("الاستيراد", 2)]


def test_as_many_as_asked_for_ties_by_name_pairs_first() -> None:
    assert shared("alpha beta, gamma", "alpha beta; delta gamma", top=2) == [("alpha beta", 2), ("gamma", 2)]


def test_messages_of_two_workers_share_nothing() -> None:
    said = chat(message(1, "09:00", "billing"), message(2, "09:00", "billing", user_id="bo"))
    assert themes(said, chat_words(), min_messages=2, top=5).is_empty()
