"""Keystroke logs: what is folded and what never is (docs/domain.md, section 4)."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from coworkai.runner.stage1.keystroke_log import MAX_SEQUENCE, fold, fold_all, keystroke_logs


@pytest.mark.parametrize(
    ("typed", "folded"),
    [
        ("<Backspace><Backspace><Backspace>", "<Backspace>{3}"),
        ("<Ctrl><Ctrl + a><Ctrl><Ctrl + a>", "(<Ctrl><Ctrl + a>){2}"),
        ("no<Backspace><Backspace>yes", "no<Backspace>{2}yes"),
        ("<Enter>", "<Enter>"),
        ("<Enter><Tab>", "<Enter><Tab>"),
        ("<Backspace>a<Backspace>", "<Backspace>a<Backspace>"),
        ("<Tab><Tab><Enter><Enter><Enter>", "<Tab>{2}<Enter>{3}"),
        ("", ""),
    ],
)
def test_runs_of_control_tokens_are_folded(typed: str, folded: str) -> None:
    assert fold(typed) == folded


@pytest.mark.parametrize(
    "typed",
    ["aaaa", "abab", "<b><b><b>", "<email:0123><email:0123>", "<<>><<>>", "a<b>a<b>", "<Ctrl + ><Ctrl + >"],
)
def test_letters_and_what_only_looks_like_a_token_are_never_folded(typed: str) -> None:
    assert fold(typed) == typed


def test_typed_brackets_do_not_hide_a_run_beside_them() -> None:
    assert fold("<b><Tab><Tab>") == "<b><Tab>{2}"
    assert fold("<b><b><Tab><Tab>") == "<b><b><Tab>{2}"


def test_a_long_minute_without_repetition_is_cheap() -> None:
    tokens = "".join(f"<Ctrl + {chr(97 + n % 26)}><F{n % 24 + 1}>" for n in range(20_000))
    assert len(fold(tokens)) <= len(tokens)


def test_a_sequence_longer_than_the_limit_is_left_as_it_is() -> None:
    sequence = "".join(f"<F{n}>" for n in range(1, MAX_SEQUENCE + 2))
    assert fold(sequence * 2) == sequence * 2


def test_texts_are_folded_each_on_its_own() -> None:
    texts = pl.Series(["<Tab>", "x<Tab><Tab>", "<Tab>"])
    assert fold_all(texts).to_list() == ["<Tab>", "x<Tab>{2}", "<Tab>"]


def test_slices_without_text_have_no_log() -> None:
    texts = pl.Series(["b", None, "a"], dtype=pl.String)
    logs = keystroke_logs(texts, np.array([2, 1, 2]), 4)
    assert logs.to_list() == [None, None, "b\na", None]
    assert keystroke_logs(texts.clear(), np.array([], np.int64), 1).to_list() == [None]
