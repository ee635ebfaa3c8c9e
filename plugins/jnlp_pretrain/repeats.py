"""Sequences whose end repeats an earlier sentence of theirs, so that a model learns to look far back for a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp_pretrain.tokenizer_train import FIRST_PIECE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]

LEAST = 256
"""Sequences under so many tokens are left as they are."""

_SPAN = (8, 40)  # tokens that are repeated
_PLACES = 32  # at most so many sentence ends are looked at


def repeat_sentences(
    sequences: Sequence[IntArray], share: float, ends: Sequence[int], vocabulary: int, rng: np.random.Generator
) -> list[IntArray]:
    """Return sequences, a share of the long ones with a repeated sentence at their end.

    One token of the sentence is replaced by a random piece in both places: only the text itself can tell it.

    Args:
        sequences: Token ids with `<s>` and `</s>`.
        share: The share of sequences of `LEAST` tokens or more.
        ends: Ids of the pieces that end a sentence.
        vocabulary: The number of pieces.
        rng: Draws sequences, sentences and pieces.
    """
    if not share:
        return list(sequences)
    return [
        _repeated(ids, ends, vocabulary, rng) if len(ids) >= LEAST and rng.random() < share else ids
        for ids in sequences
    ]


def _repeated(ids: IntArray, ends: Sequence[int], vocabulary: int, rng: np.random.Generator) -> IntArray:
    starts = np.flatnonzero(np.isin(ids[: len(ids) - 2 * _SPAN[1] - 2], ends)) + 1
    if not len(starts):
        return ids
    start = int(rng.choice(starts[rng.permutation(len(starts))[:_PLACES]]))
    later = np.flatnonzero(np.isin(ids[start + _SPAN[0] - 1 : start + _SPAN[1] - 1], ends))
    stop = start + (_SPAN[0] + int(later[0]) if len(later) else int(rng.integers(*_SPAN)))
    found = ids.copy()
    found[int(rng.integers(start, stop))] = rng.integers(FIRST_PIECE, vocabulary)
    found[len(ids) - 1 - (stop - start) : -1] = found[start:stop]
    return found
