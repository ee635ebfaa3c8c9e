"""Masked-LM corruption: of the chosen tokens, mask 80 %, replace 10 % by random ones, keep 10 % (BERT's 80-10-10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp_pretrain.repeats import ASKED, FREE
from jnlp_pretrain.tokenizer_train import MASK, SPECIAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    Marks = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Masked:
    """Corrupted ids `[t]`, and the positions `[m]` and true ids `[m]` of the chosen tokens."""

    ids: IntArray
    at: IntArray
    targets: IntArray


def mask(ids: IntArray, rate: float, vocabulary: int, rng: np.random.Generator, marks: Marks | None = None) -> Masked:
    """Corrupt a share `rate` of the non-special tokens, at least one if there is any.

    Args:
        ids: Token ids.
        rate: The share to predict.
        vocabulary: The number of pieces.
        rng: Draws tokens and noise.
        marks: int8 `[t]` of `jnlp_pretrain.repeats`: tokens that are never chosen, or always, and then masked.
    """
    free = np.flatnonzero(ids >= len(SPECIAL))
    chosen = rng.random(len(free)) < rate
    if marks is not None:
        chosen = (chosen & (marks[free] == FREE)) | (marks[free] == ASKED)
    at = free[chosen]
    if not len(at) and len(free):
        at = free[rng.integers(len(free), size=1)]
    targets, draw = ids[at], rng.random(len(at))
    if marks is not None:
        draw[marks[at] == ASKED] = 0.0
    noise = rng.integers(len(SPECIAL), vocabulary, size=len(at))
    corrupted = ids.copy()
    corrupted[at] = np.where(draw < 0.8, MASK, np.where(draw < 0.9, noise, targets))
    return Masked(corrupted, at, targets)
