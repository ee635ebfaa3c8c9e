"""A linear model on hashed character n-grams: what the lists do not have, in microseconds.

A text is read in pieces of about a sentence; a piece's score is w·x + b over its n-grams, with x the inverse document
frequencies, scaled to length 1. The text's score is that of its worst piece. Weights are a safetensors file in this
folder, made by `jnlp_family.toxicity.decision`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jnlp.errors import JnlpError
from jnlp.text import fold, sentences

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKETS = 1 << 16
SIZES = (1, 2, 3, 4)
SHIPPED, TRAINED = "grams.safetensors", "toxicity.safetensors"
"""The weights that ship, and what `jnlp train toxicity` writes into a model folder."""

PIECE = 80
"""Characters from which a piece ends with its sentence."""

_MOST = 400
"""Characters of a piece at most: what has no sentences is cut."""


@dataclass(frozen=True, slots=True)
class Grams:
    """The weights and inverse document frequencies of the buckets, and the constant.

    `direction` and `offset` are the weights of the text's vector by the model `tiny-search`, scaled to length 1.
    """

    weights: NDArray[np.float32]
    idf: NDArray[np.float32]
    bias: float
    direction: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    offset: float = 0.0

    def score(self, text: str, /) -> float:
        """Return the log-odds that one piece is toxic."""
        found = buckets(text)
        if not len(found):
            return self.bias
        values = self.idf[found]
        norm = float(np.sqrt(values @ values)) or 1.0
        return float(values @ self.weights[found]) / norm + self.bias

    def by_vector(self, vector: NDArray[np.float32], /) -> float | None:
        """Return the log-odds that a text is toxic by its vector, or None without weights for such vectors."""
        if vector.shape != self.direction.shape:
            return None
        return float(vector @ self.direction) / (float(np.linalg.norm(vector)) or 1.0) + self.offset

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
def load(folder: Path | None = None, /) -> Grams:
    """Return the weights of a model folder, or those that ship.

    Raises:
        JnlpError: The folder's are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as read

    path = Path(__file__).parent / SHIPPED if folder is None else folder / TRAINED
    try:
        stored = read(path.read_bytes())
        weights, idf, direction = (stored[name].astype(np.float32) for name in ("weights", "idf", "direction"))
        return Grams(weights, idf, float(stored["bias"][0]), direction, float(stored["bias"][1]))
    except (OSError, SafetensorError, KeyError, IndexError) as error:
        raise JnlpError(f"{path} is damaged ({error})", hint="train it again: jnlp train toxicity") from error


def dump(model: Grams, /) -> bytes:
    """Return the weights as a safetensors file, in half precision."""
    from safetensors.numpy import save

    half = {name: getattr(model, name).astype(np.float16) for name in ("weights", "idf", "direction")}
    return save({**half, "bias": np.array([model.bias, model.offset], np.float32)})
