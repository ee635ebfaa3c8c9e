"""The part of a passage that a reranker with little time reads: the window with most of the question's pieces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from jnlp.types import FloatArray, IntArray

COMMON = 5.0
"""A piece that is seen as often as every e**5th counts nothing."""


def piece_weights(tokenizer: Path, /) -> FloatArray:
    """Return the weight of each piece of a unigram tokenizer, the rarer the larger, float32 `[vocabulary]`.

    Args:
        tokenizer: `tokenizer.json`; its scores are the logarithms of frequencies.
    """
    pieces = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    return np.maximum(0.0, -np.array([score for _, score in pieces], np.float32) - COMMON)


class Excerpts:
    """Finds the windows of passages for one question.

    Args:
        weights: Of each piece.
        question: The ids of the question.
    """

    def __init__(self, weights: FloatArray, question: IntArray, /) -> None:
        self._wanted = np.zeros_like(weights)
        self._wanted[question] = weights[question]

    def start(self, passage: IntArray, room: int, /) -> int:
        """Return where the window of `room` tokens begins; a piece that is there several times counts once in all.

        Args:
            passage: The ids of the passage.
            room: Tokens of the window.
        """
        if len(passage) <= room:
            return 0
        worth = self._wanted[passage]
        held = np.flatnonzero(worth)
        if not len(held):
            return 0
        _, kinds, counts = np.unique(passage[held], return_inverse=True, return_counts=True)
        worth[held] /= counts[kinds]
        sums = np.concatenate([[0.0], np.cumsum(worth, dtype=np.float64)])
        windows = sums[room:] - sums[:-room]
        best = np.flatnonzero(windows >= windows.max() - 1e-6)
        return int(best[len(best) // 2])
