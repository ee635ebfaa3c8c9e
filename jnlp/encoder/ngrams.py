"""Character n-grams of texts, weighted by TF-IDF: the sparse features of a linear classifier.

An n-gram of one to three characters is its own code: 21 bits a character, so that three of them fit an int64 and two
different n-grams never share a code. A vocabulary is a sorted array of codes, which is all that a model saves.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp.patterns import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jnlp.types import FloatArray, IntArray, Text

ORDERS = (1, 2, 3)
"""The lengths of the n-grams."""

OVERLAPS = 3 * len(ORDERS) + 1
"""The number of columns of `overlaps`."""

_BITS = 21
_SPACE = deferred(r"\s+")

Counts = tuple["IntArray", "IntArray"]
"""The codes of a text's n-grams, ascending, and how often each occurs."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows in compressed form: row i has `values[starts[i]:starts[i + 1]]` in the columns `columns[…]`."""

    starts: IntArray
    columns: IntArray
    values: FloatArray

    def times(self, weights: FloatArray, /) -> FloatArray:
        """Return the product with a matrix `[columns, k]`, float32 `[rows, k]`."""
        out = np.zeros((len(self.starts) - 1, weights.shape[1]), dtype=np.float32)
        for row, (start, end) in enumerate(zip(self.starts[:-1], self.starts[1:], strict=True)):
            out[row] = self.values[start:end] @ weights[self.columns[start:end]]
        return out


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The n-grams that a model knows.

    Args:
        codes: int64 `[m]`, ascending.
        idf: float32 `[m]`: `1 + ln((1 + n) / (1 + df))` for an n-gram in df of n training texts.
    """

    codes: IntArray
    idf: FloatArray

    def rows(self, counts: Sequence[Counts], /) -> Rows:
        """Return `(1 + ln tf) · idf` of each text's known n-grams, scaled to length 1."""
        columns, values = [], []
        for codes, times in counts:
            place = np.searchsorted(self.codes, codes)
            known = place < len(self.codes)
            known[known] = self.codes[place[known]] == codes[known]
            found = place[known]
            weights = (1 + np.log(times[known])) * self.idf[found]
            columns.append(found)
            values.append((weights / max(float(np.linalg.norm(weights)), 1e-12)).astype(np.float32))
        starts = np.cumsum([0, *map(len, columns)], dtype=np.int64)
        if not columns:
            return Rows(starts, np.zeros(0, np.int64), np.zeros(0, np.float32))
        return Rows(starts, np.concatenate(columns), np.concatenate(values))


def learn(counts: Sequence[Counts], /, *, least: int = 1, most: int = 1 << 18) -> Vocabulary:
    """Return the vocabulary of training texts.

    Args:
        counts: Of each text, as `count` returns them.
        least: Texts an n-gram must occur in.
        most: N-grams to keep, those in most texts.
    """
    every = np.concatenate([codes for codes, _ in counts]) if counts else np.zeros(0, np.int64)
    codes, texts = np.unique(every, return_counts=True)
    kept = np.flatnonzero(texts >= least)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-texts[kept], kind="stable")[:most]])
    idf = 1 + np.log((1 + len(counts)) / (1 + texts[kept]))
    return Vocabulary(codes[kept], idf.astype(np.float32))


def count(text: Text, /) -> Counts:
    """Return the n-grams of a text; of a pair those in one of its texts alone, the second's with a negative code."""
    if isinstance(text, str):
        return _count(codes(text))
    (first, often), (second, other) = (_count(codes(part)) for part in text)
    here, there = ~np.isin(first, second), ~np.isin(second, first)
    # ~code is -code - 1: negative, and other than any code of a first text
    joined, times = np.concatenate([first[here], ~second[there]]), np.concatenate([often[here], other[there]])
    order = np.argsort(joined)
    return joined[order], times[order]


def overlaps(pair: tuple[str, str], /) -> list[float]:
    """Return how much two texts share: for each order the n-grams of both over those of either, the first, the second.

    The last is the difference of their lengths, `|ln(a / b)|` in characters.
    """
    sets = [_by_order(text) for text in pair]
    found: list[float] = []
    for first, second in zip(*sets, strict=True):
        both = len(np.intersect1d(first, second, assume_unique=True))
        either = len(first) + len(second) - both
        found += [both / max(1, size) for size in (either, len(first), len(second))]
    lengths = [max(1, len(text)) for text in pair]
    return [*found, abs(float(np.log(lengths[0] / lengths[1])))]


def codes(text: str, /) -> IntArray:
    """Return the code of each n-gram of a text, int64, in no order; NFKC, case folded, white space as one space."""
    return np.concatenate(list(_orders(text)))


def _orders(text: str) -> Iterator[IntArray]:
    """Yield the codes of each order, from single characters on."""
    plain = _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    characters = np.frombuffer(plain.encode("utf-32-le", "replace"), dtype="<u4").astype(np.int64) + 1
    for order in ORDERS:
        size = max(0, len(characters) - order + 1)
        code = np.zeros(size, dtype=np.int64)
        for place in range(order):
            code = (code << _BITS) | characters[place : place + size]
        yield code


def _by_order(text: str) -> list[IntArray]:
    return [np.unique(code) for code in _orders(text)]


def _count(found: IntArray) -> Counts:
    distinct, times = np.unique(found, return_counts=True)
    return distinct, times.astype(np.int64)
