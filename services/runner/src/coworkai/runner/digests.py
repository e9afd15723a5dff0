"""Digests of rows, the same whatever their order, chunks, batches, process or library version.

A run's id is the digest of what it was computed from, so the same input has the same id wherever and whenever
it is computed, and a day whose id has not changed need not be written again. So the arithmetic is spelled out
here, on 64-bit words that wrap around, and pinned by a test:

    mix(x)          the finaliser of splitmix64
    number          its 64 bits as a signed whole number, or as a float (-0.0 as 0.0, one NaN); null is NULL
    text, bytes     over their 8-byte little-endian words, the last one filled up with zeros:
                    h = mix(length), then h = mix(h ^ word); longer than LONG words: BLAKE2b of the bytes
    list            the same over the digests of its elements; struct: of its fields
    row             the same over the digests of its columns, in their order
    rows of a day   the sum of mix(row ^ seed) for two seeds, in halves of 32 bits, and their number
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from coworkai.runner.lanes import run_lengths

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp] | slice
Sums = tuple[int, ...]

LONG = 128
"""Texts and lists of more words are digested one by one."""
OFTEN = 4
"""A text that comes so many times on average is digested once: that is quicker, and gives the same."""
SAMPLE = 4_096
NULL = np.uint64(0x6E75_6C6C_6E75_6C6C)
_SEEDS = (np.uint64(0x636F), np.uint64(0x776F))
_LOW = 0xFFFF_FFFF
_WRAP = 1 << 64
_WORD = 8


class DayDigests:
    """Adds up rows by date. Every row counts, twice if it is there twice; their order does not."""

    def __init__(self) -> None:
        self._sums: dict[date, dict[str, Sums]] = defaultdict(dict)

    def add(self, name: str, frame: pl.DataFrame, by: str = "date") -> None:
        """Add the rows of a table to the digests of their dates."""
        if frame.is_empty():
            return
        rows = row_digests(frame.drop(by))
        # Halves of 32 bits add up without wrapping around.
        halves: dict[str, Words] = {}
        for n, seed in enumerate(_SEEDS):
            mixed = _mix(rows ^ seed)
            halves |= {f"low{n}": mixed & np.uint64(_LOW), f"high{n}": mixed >> np.uint64(32)}
        totals = pl.DataFrame({"day": frame[by], **halves}).group_by("day").agg(pl.all().sum(), pl.len())
        for day, *sums in totals.iter_rows():
            self.merge(day, {name: tuple(sums)})

    def merge(self, day: date, rows: Mapping[str, Sums]) -> None:
        """Add what `of` told of other rows of the day."""
        for name, sums in rows.items():
            before = self._sums[day].get(name, (0,) * len(sums))
            self._sums[day][name] = tuple((a + b) % _WRAP for a, b in zip(before, sums, strict=True))

    def of(self, day: date) -> Mapping[str, Sums]:
        """Sums of the day by table; empty for a day without rows."""
        return self._sums.get(day, {})


def run_id(
    stage: str, tenant_id: str, days: Iterable[date], rows: Mapping[str, Sums], rules_version: str
) -> str:
    """16 hex digits that name a run by its stage, tenant, days, input rows and rules."""
    parts = [stage, tenant_id, *(day.isoformat() for day in days), rules_version]
    parts += [f"{name}:{','.join(map(str, sums))}" for name, sums in sorted(rows.items())]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()


# ------------------------------------------------------------------------------------------ rows
def row_digests(frame: pl.DataFrame) -> Words:
    """A 64-bit digest of every row: of its values in the order of the columns, not of their names.

    Raises TypeError for a type that no table has.
    """
    return _of_fields([_of_column(column) for column in frame.iter_columns()], frame.height)


def _of_column(column: pl.Series) -> Words:
    """A digest of every value; of a text that comes often, once."""
    if column.null_count() == len(column):
        return np.full(len(column), NULL)
    if column.dtype != pl.String:
        return _of(_arrow(column))
    changes = column.ne_missing(column.shift(1)).to_numpy(writable=True)
    changes[0] = True
    first = np.flatnonzero(changes)
    if len(first) * OFTEN <= len(column):
        return np.repeat(_of(_arrow(column.gather(first))), run_lengths(first, len(column)))
    some = column.gather_every(1 + len(column) // SAMPLE)
    return _of_few(column) if some.n_unique() * OFTEN <= len(some) else _of(_arrow(column))


def _of_few(column: pl.Series) -> Words:
    """The same, by way of the distinct texts."""
    categories = pl.Categories.random()
    # The categories live as long as a column of them.
    coded = column.cast(pl.Categorical(categories))
    codes = coded.to_physical()
    last = codes.max()
    assert isinstance(last, int)
    every = pl.Series(np.arange(last + 1, dtype=np.uint32))
    texts = every.cat.to(pl.Categorical(categories)).cast(pl.String)
    known: Words = np.append(_of(_arrow(texts)), NULL)
    found: Words = known[codes.fill_null(last + 1).to_numpy()]
    return found


def _arrow(column: pl.Series) -> pa.Array:
    return column.to_arrow(compat_level=pl.CompatLevel.oldest())


def _of(array: pa.Array) -> Words:
    """A digest of every value."""
    digests = _of_values(array)
    if array.null_count:
        digests[array.is_null().to_numpy(zero_copy_only=False)] = NULL
    return digests


def _of_values(array: pa.Array) -> Words:
    """The same, anything where there is null."""
    kind = array.type
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _of_bytes(array)
    if pa.types.is_large_list(kind):
        elements = _of(array.values)
        return _of_lists(elements, *_bounds(array))
    if pa.types.is_struct(kind):
        return _of_fields([_of(array.field(n)) for n in range(kind.num_fields)], len(array))
    if pa.types.is_floating(kind):
        values = pc.fill_null(array, 0.0).cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0
        return np.where(np.isnan(values), np.nan, values).view(np.uint64)
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _of_whole(array)
    if pa.types.is_date32(kind):
        return _of_whole(array.view(pa.int32()))
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        return _of_whole(array.view(pa.int64()))
    raise TypeError(f"no digest of {kind}")


def _of_whole(array: pa.Array) -> Words:
    filled = pc.fill_null(array, pa.scalar(0).cast(array.type))
    whole: Words = filled.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64)
    return whole


def _of_fields(fields: Sequence[Words], rows: int) -> Words:
    digests = _mix(np.full(rows, len(fields), np.uint64))
    for field in fields:
        digests = _mix(digests ^ field)
    return digests


def _bounds(array: pa.Array) -> tuple[Ints, Ints]:
    """Where the values of a text, bytes or list array begin, and how long they are; null is empty."""
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    length = offsets[1:] - offsets[:-1]
    if array.null_count:
        length = np.where(array.is_null().to_numpy(zero_copy_only=False), 0, length)
    return offsets[:-1], length


def _of_bytes(array: pa.Array) -> Words:
    if len(array) == 0:
        return np.empty(0, np.uint64)
    start, length = _bounds(array)
    stored = array.buffers()[2]
    data = np.zeros((0 if stored is None else stored.size) + _WORD, np.uint8)
    if stored is not None:
        data[:-_WORD] = np.frombuffer(stored, np.uint8)
    return _folded(
        length,
        -(-length // _WORD),
        _words_of_equal(data, start, length) or _words_at(data, start, length),
        lambda row: data[start[row] : start[row] + length[row]].tobytes(),
    )


def _words_of_equal(data: Bytes, start: Ints, length: Ints) -> Callable[[Rows, int], Words] | None:
    """As `_words_at` and quicker, for texts of one length without gaps, such as ids; None for others."""
    size, total = int(length[0]), len(length)
    if size == 0 or size > LONG * _WORD or not (length == size).all():
        return None
    texts = data[start[0] : start[0] + total * size]
    if int(start[-1] - start[0]) != (total - 1) * size:
        return None
    filled = np.zeros((total, -(-size // _WORD) * _WORD), np.uint8)
    filled[:, :size] = texts.reshape(total, size)
    words = filled.view("<u8")
    return lambda rows, turn: words[rows, turn]


def _words_at(data: Bytes, start: Ints, length: Ints) -> Callable[[Rows, int], Words]:
    """The n-th word of rows of texts that begin anywhere; `data` has a word to spare at its end."""
    words = np.ndarray((len(data) - _WORD + 1,), "<u8", data, strides=(1,))

    def word(rows: Rows, turn: int) -> Words:
        read: Words = words[start[rows] + turn * _WORD]
        present = length[rows] - turn * _WORD
        partial = np.flatnonzero(present < _WORD)
        read[partial] &= np.uint64(_WRAP - 1) >> (np.uint64(8) * (_WORD - present[partial]).astype(np.uint64))
        return read

    return word


def _of_lists(elements: Words, start: Ints, length: Ints) -> Words:
    return _folded(
        length,
        length,
        lambda rows, turn: elements[start[rows] + turn],
        lambda row: elements[start[row] : start[row] + length[row]].astype("<u8").tobytes(),
    )


def _folded(
    length: Ints,
    words: Ints,
    word: Callable[[Rows, int], Words],
    whole: Callable[[int], bytes],
) -> Words:
    """Digests of sequences of `words` words: `word(rows, n)` is the n-th of the rows, `whole` all bytes."""
    digests = _mix(length.astype(np.uint64))
    for row in np.flatnonzero(words > LONG).tolist():
        digests[row] = int.from_bytes(hashlib.blake2b(whole(row), digest_size=_WORD).digest(), "little")
    words = np.where(words > LONG, 0, words)
    rows = np.arange(len(words))
    for turn in range(int(words.max(initial=0))):
        left = words[rows] > turn
        rows = rows if left.all() else rows[left]
        # All rows as a slice cost no copies.
        at: Rows = slice(None) if len(rows) == len(words) else rows
        digests[at] = _mix(digests[at] ^ word(at, turn))
    return digests


def _mix(words: Words) -> Words:
    """The finaliser of splitmix64."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
