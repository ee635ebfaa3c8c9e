"""Masked-LM corruption: of the chosen tokens, mask 80 %, replace 10 % by random ones, keep 10 % (BERT's 80-10-10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp_pretrain.tokenizer_train import MASK, SPECIAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Masked:
    """Corrupted ids `[t]`, and the positions `[m]` and true ids `[m]` of the chosen tokens."""

    ids: IntArray
    at: IntArray
    targets: IntArray


def mask(ids: IntArray, rate: float, vocabulary: int, rng: np.random.Generator) -> Masked:
    """Corrupt a share `rate` of the non-special tokens, at least one if there is any."""
    free = np.flatnonzero(ids >= len(SPECIAL))
    at = free[rng.random(len(free)) < rate]
    if not len(at) and len(free):
        at = free[rng.integers(len(free), size=1)]
    targets, draw = ids[at], rng.random(len(at))
    noise = rng.integers(len(SPECIAL), vocabulary, size=len(at))
    corrupted = ids.copy()
    corrupted[at] = np.where(draw < 0.8, MASK, np.where(draw < 0.9, noise, targets))
    return Masked(corrupted, at, targets)
