"""Keystroke logs for display: repetitions of control tokens are folded, letters never (docs/domain.md section
4).

    no<Backspace><Backspace><Backspace>    →  no<Backspace>{3}
    <Ctrl><Ctrl + a><Ctrl><Ctrl + a>ok     →  (<Ctrl><Ctrl + a>){2}ok
"""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from coworkai.common.control_tokens import ANGLED, key_press
from coworkai.runner.lanes import NONE, Ints, gather

MAX_SEQUENCE = 16
"""Tokens of the longest sequence whose repetitions are folded; bounds the cost of a log without any."""
_TOKEN = re.compile(ANGLED)
_REPEATED = re.compile(rf"((?:{ANGLED}){{1,{MAX_SEQUENCE}}}?)\1+")
_NEIGHBOURS = ANGLED + "<"


def keystroke_logs(texts: pl.Series, slices: Ints, total: int) -> pl.Series:
    """Logs of `total` slices: the texts of its keystroke minutes, one a line, each folded; null where none
    is.

    `slices`: by text, which slice it belongs to; texts are in order of time, null where none was captured.
    """
    if texts.null_count() == len(texts):
        return pl.repeat(None, total, dtype=pl.String, eager=True)
    known = texts.is_not_null().to_numpy()
    logs = (
        pl.DataFrame({"slice": slices[known], "text": fold_all(texts.filter(pl.Series(known)))})
        .group_by("slice", maintain_order=True)
        .agg(pl.col("text").str.join("\n"))
    )
    row = np.full(total, NONE)
    row[logs["slice"].to_numpy()] = np.arange(logs.height)
    return gather(logs["text"], row)


def fold_all(texts: pl.Series) -> pl.Series:
    """Fold every text. Only those with control tokens side by side are looked at one by one."""
    repeated = np.flatnonzero(texts.str.contains(_NEIGHBOURS).fill_null(value=False).to_numpy())
    if not len(repeated):
        return texts
    folded = pl.Series([fold(text) for text in texts.gather(repeated)], dtype=pl.String)
    return texts.scatter(repeated, folded)


def fold(text: str) -> str:
    """Fold runs of the same control token, and of the same sequence of control tokens, in typed text."""
    return _REPEATED.sub(_folded, text)


def _folded(match: re.Match[str]) -> str:
    whole, sequence = match[0], match[1]
    tokens = _TOKEN.findall(sequence)
    if not all(key_press(token) for token in tokens):
        return whole
    repeated = sequence if len(tokens) == 1 else f"({sequence})"
    return f"{repeated}{{{len(whole) // len(sequence)}}}"
