"""What is measured: models by their true shapes, works by their lengths, and how many operations these cost."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_ID = 7  # ids below are special tokens
WINDOW = 64
"""A local token attends to |i - j| <= WINDOW."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A ModernBERT's shape; every third layer is global, from the first on."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    vocabulary: int = 102_400

    @property
    def globals(self) -> int:
        """The number of global layers."""
        return -(-self.layers // 3)


SHAPES = {
    "30m": Shape(256, 1024, 10, 4),
    "70m": Shape(384, 1536, 13, 6),
    "130m": Shape(512, 2048, 19, 8),
    "310m": Shape(768, 3072, 25, 12),
}


@dataclass(frozen=True, slots=True)
class Work:
    """Texts by their lengths in tokens."""

    name: str
    lengths: tuple[int, ...]

    @property
    def tokens(self) -> int:
        """The tokens of all texts."""
        return sum(self.lengths)

    def texts(self, vocabulary: int, /) -> list[NDArray[np.int64]]:
        """Return random ids, the same for all contenders: they depend on the name, the lengths and the vocabulary."""
        seed = zlib.crc32(f"{self.name} {self.lengths}".encode())
        ids = np.random.default_rng(seed).integers(FIRST_ID, vocabulary, self.tokens)
        return np.split(ids, np.cumsum(self.lengths)[:-1])

    def batch_sizes(self) -> tuple[int, ...]:
        """Return the batch sizes to try: 8, 16, 32 and 64, as far as they differ; 1 and 2 where texts are few."""
        count = len(self.lengths)
        sizes = {min(size, count) for size in (8, 16, 32, 64)} | ({1, min(2, count)} if count < 8 else set())
        return tuple(sorted(sizes))

    def part(self, share: int, /) -> Work:
        """Return every `share`-th text: for choosing a batch size."""
        return Work(f"{self.name} / {share}", self.lengths[::share])


def mixed(count: int, /, *, seed: int = 0, name: str = "mixed") -> Work:
    """Return texts of lengths lognormal around 60 (sigma 0.7), clipped to 8 … 512."""
    lengths = np.random.default_rng(seed).lognormal(np.log(60), 0.7, count).round().clip(8, 512)
    return Work(name, tuple(int(length) for length in lengths))


def equal(count: int, length: int, /) -> Work:
    """Return texts of one length."""
    return Work(f"{count} × {length:,}", (length,) * count)


def flops(shape: Shape, work: Work, /) -> int:
    """Return the operations of a forward pass over real tokens: two for each multiply-add.

    The linear layers' 4 d² + 3 d i a token and layer, and for scores and values 2 d for each key that a query
    reaches; embeddings, norms, rotation and softmax are left out.
    """
    d, linear = shape.hidden, 4 * shape.hidden**2 + 3 * shape.hidden * shape.intermediate
    reached = sum(
        shape.globals * length**2 + (shape.layers - shape.globals) * local_pairs(length) for length in work.lengths
    )
    return 2 * (shape.layers * work.tokens * linear + 2 * d * reached)


def local_pairs(length: int, /) -> int:
    """Return how many pairs (i, j) of a sequence have |i - j| <= WINDOW."""
    reach = min(WINDOW, length - 1)
    return length * (2 * reach + 1) - reach * (reach + 1)
