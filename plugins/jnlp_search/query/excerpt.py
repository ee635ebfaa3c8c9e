"""The part of a passage that a fast reranker reads: the window with most of the question's pieces, the rare ones first.

Reranking takes as long as what is read. A cross-encoder that was trained on such windows reads thirty passages of 300
tokens in half the time (docs/log.md).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jnlp.models.folder import TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jnlp.encoder.tokenizer import Tokenizer
    from jnlp.types import FloatArray, IntArray

COMMON = 5.0
"""A piece that is seen as often as every e**5th counts nothing."""


@lru_cache(maxsize=4)
def piece_weights(folder: Path, _digest: str = "", /) -> FloatArray | None:
    """Return the weight of each piece of a unigram tokenizer, the rarer the larger, float32 `[vocabulary]`.

    The tokenizer's own scores are logarithms of frequencies. Another kind of tokenizer has none: None.

    Args:
        folder: Of `tokenizer.json`.
        _digest: Of that file: another one is read again.
    """
    from jnlp.encoder.files import read_json

    model = read_json(folder / TOKENIZER).get("model") or {}
    if model.get("type") != "Unigram":
        return None
    scores = np.array([score for _, score in model["vocab"]], np.float32)
    weights: FloatArray = np.maximum(np.float32(0), -scores - np.float32(COMMON))
    return weights


def cut(
    pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, weights: FloatArray | None, room: int, /
) -> list[tuple[str, str]]:
    """Return pairs of a query and a passage with each passage cut to its best window.

    Args:
        pairs: Queries and passages.
        tokenizer: The reranker's.
        weights: Of its pieces; None weighs all alike.
        room: Tokens of a window.
    """
    queries = list(dict.fromkeys(query for query, _ in pairs))
    bodies = iter(tokenizer.bodies([*queries, *(passage for _, passage in pairs)]))
    asked = {query: np.asarray(next(bodies).ids, np.int64) for query in queries}
    if weights is None:
        weights = np.ones(tokenizer.vocabulary, np.float32)
    weights = np.pad(weights, (0, max(0, tokenizer.vocabulary - len(weights))))  # pieces that were added
    finders = {query: Excerpts(weights, ids) for query, ids in asked.items()}
    made: list[tuple[str, str]] = []
    for (query, passage), body in zip(pairs, bodies, strict=True):
        if len(body.ids) > room:
            start = finders[query].start(np.asarray(body.ids, np.int64), room)
            passage = passage[int(body.offsets[start, 0]) : int(body.offsets[start + room - 1, 1])]
        made.append((query, passage))
    return made


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
