"""The records of a batch that is no JSON as a whole, told apart by brackets and quotes alone.

A lone surrogate, a control character or a broken literal in one record makes every JSON decoder give up on
the whole message, though its neighbours are fine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:"]', re.DOTALL)
_RECORDS = b'"records"'
MAX_DEPTH = 1_000


@dataclass(frozen=True, slots=True)
class Split:
    """A batch with its records taken out (`"records":[]`), and the bytes of each of them."""

    header: bytes
    records: list[bytes]


def split_batch(data: bytes) -> Split | None:
    """None where brackets or quotes do not match, or there is no list of records."""
    depth = 0
    before: list[bytes] = [b"", b""]
    tokens = _TOKEN.finditer(data)
    for match in tokens:
        token = match[0]
        if depth == 1 and token == b"[" and before == [_RECORDS, b":"]:
            return _records(data, match.end(), tokens)
        if token == b'"' or depth > MAX_DEPTH:
            return None
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        before = [before[1], token]
    return None


def _records(data: bytes, start: int, tokens: Iterator[re.Match[bytes]]) -> Split | None:
    depth, at = 0, start
    records: list[bytes] = []
    for match in tokens:
        token = match[0]
        if token == b'"' or depth > MAX_DEPTH:
            return None
        if depth == 0 and token in b",]":
            record = data[at : match.start()].strip()
            if record or records or token == b",":
                records.append(record)
            at = match.end()
            if token == b"]":
                return Split(data[:start] + data[match.start() :], records)
        elif token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
    return None
