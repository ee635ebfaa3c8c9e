"""A linear model on hashed character n-grams: what the lists do not have, in microseconds.

A text is read in pieces of about a sentence; a piece's score is w·x + b over its n-grams, with x the inverse document
frequencies, scaled to length 1. The text's score is that of its worst piece. Weights are a safetensors file in this
folder, made by `jnlp_family.toxicity.decision`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from jnlp.text import fold, sentences

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKETS = 1 << 16
SIZES = (1, 2, 3, 4)
PIECE = 80
"""Characters from which a piece ends with its sentence."""

_MOST = 400
"""Characters of a piece at most: what has no sentences is cut."""


@dataclass(frozen=True, slots=True)
class Grams:
    """The weights and inverse document frequencies of the buckets, and the constant."""

    weights: NDArray[np.float32]
    idf: NDArray[np.float32]
    bias: float

    def score(self, text: str, /) -> float:
        """Return the log-odds that one piece is toxic."""
        found = buckets(text)
        if not len(found):
            return self.bias
        values = self.idf[found]
        norm = float(np.sqrt(values @ values)) or 1.0
        return float(values @ self.weights[found]) / norm + self.bias

    def worst(self, text: str, /) -> tuple[float, int, int]:
        """Return the highest log-odds of a text's pieces, and the piece `[start, end)` that has it."""
        scored = [(self.score(text[start:end]), start, end) for start, end in pieces(text)]
        return max(scored, default=(self.bias, 0, len(text)))


def buckets(text: str, /) -> NDArray[np.int64]:
    """Return the distinct buckets of a text's n-grams, sorted; width, case and kana are folded."""
    key = f" {fold(text, kana=True).text} "
    found = {
        zlib.crc32(key[place : place + size].encode("utf-8", "surrogatepass")) % BUCKETS
        for size in SIZES
        for place in range(len(key) - size + 1)
    }
    return np.array(sorted(found), np.int64)


def pieces(text: str, /) -> list[tuple[int, int]]:
    """Return the pieces that a text is read in: sentences joined up to about 80 characters."""
    found: list[tuple[int, int]] = []
    for start, end in sentences(text):
        for first in range(start, end, _MOST):
            last = min(end, first + _MOST)
            if found and found[-1][1] - found[-1][0] + last - first <= PIECE:
                found[-1] = (found[-1][0], last)
            else:
                found.append((first, last))
    return found


@cache
def load() -> Grams:
    """Return the weights that ship."""
    from safetensors.numpy import load as read

    stored = read(files("jnlp_toxicity").joinpath("grams.safetensors").read_bytes())
    return Grams(stored["weights"].astype(np.float32), stored["idf"].astype(np.float32), float(stored["bias"][0]))
