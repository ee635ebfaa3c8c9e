"""Sequences that say things twice, so that a model learns to look far back for a word.

In ordinary text almost every word can be guessed from its own sentence, so a small model never learns to copy. Here
only the other place tells the word: it is replaced in both by a random piece and masked in one of them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jnlp_pretrain.tokenizer_train import BOS, FIRST_PIECE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    IntArray = NDArray[np.int64]
    Marks = NDArray[np.int8]

LEAST = 64
"""Sequences under so many tokens are left as they are."""

FREE, KEPT, ASKED = 0, 1, 2
"""Marks of tokens: masked by chance, never masked, always masked."""

_SPAN = (5, 24)  # tokens that are repeated
_EVERY = 64  # tokens of a sequence for each repeated span
_NAMES_EVERY = 128  # tokens of a sequence for each renamed piece
_TRIES = 3  # places that are tried for a span before it is given up
_COMMON = 1_000  # first pieces of the vocabulary that are not renamed: particles and signs


@dataclass(frozen=True, slots=True)
class Repeated:
    """Sequences one after another, with marks.

    Args:
        ids: int64 `[T]`.
        marks: int8 `[T]`: `FREE`, `KEPT` or `ASKED`.
    """

    ids: IntArray
    marks: Marks


def repeat(
    sequences: Sequence[IntArray], share: float, ends: Sequence[int], vocabulary: int, rng: np.random.Generator
) -> Repeated:
    """Return sequences joined, a share of which say things twice.

    About every 64 tokens of such a sequence a sentence (5 to 24 tokens) is said again later in place of other text,
    with one token replaced by a random piece in both; about every 128 tokens a piece that occurs more than once is
    replaced by a random one wherever it occurs. One of the places of the random piece is asked for, the others are
    kept.

    Args:
        sequences: Token ids with `<s>` and `</s>`; others, such as padding, are left as they are.
        share: The share of sequences of `LEAST` tokens or more.
        ends: Ids of the pieces that end a sentence.
        vocabulary: The number of pieces.
        rng: Draws everything.
    """
    ids = np.concatenate([*sequences])
    marks = np.zeros(len(ids), np.int8)
    if share:
        draw = random.Random(int(rng.integers(1 << 62)))
        is_end = np.zeros(vocabulary, np.bool_)
        is_end[[*ends]] = True
        starts = np.flatnonzero(is_end[ids[:-1]]) + 1
        at = 0
        for sequence in sequences:
            stop = at + len(sequence)
            if len(sequence) >= LEAST and sequence[0] == BOS and draw.random() < share:
                here = starts[np.searchsorted(starts, at + 1) : np.searchsorted(starts, stop - 1)] - at
                _repeat_sentences(ids[at:stop], marks[at:stop], here.tolist(), vocabulary, draw)
                _rename(ids[at:stop], marks[at:stop], vocabulary, draw)
            at = stop
    return Repeated(ids, marks)


def _repeat_sentences(ids: IntArray, marks: Marks, starts: Sequence[int], vocabulary: int, draw: random.Random) -> None:
    for _ in range(max(1, len(ids) // _EVERY)):
        for _ in range(_TRIES):
            size = draw.randint(*_SPAN)
            first, again = sorted((_place(len(ids), starts, size, draw), _place(len(ids), starts, size, draw)))
            if again - first < size or marks[first : first + size].any() or marks[again : again + size].any():
                continue
            ids[again : again + size] = ids[first : first + size]
            marks[first : first + size] = marks[again : again + size] = KEPT
            new = draw.randrange(size)
            ids[first + new] = ids[again + new] = draw.randrange(FIRST_PIECE, vocabulary)
            marks[(again if draw.random() < 0.75 else first) + new] = ASKED
            break


def _place(length: int, starts: Sequence[int], size: int, draw: random.Random) -> int:
    """Return where a span may begin: at the beginning of a sentence if there is one with room behind it."""
    chosen = draw.choice(starts) if starts else length
    return chosen if chosen + size < length else draw.randint(1, length - 1 - size)


def _rename(ids: IntArray, marks: Marks, vocabulary: int, draw: random.Random) -> None:
    pieces, counts = np.unique(ids[marks == FREE], return_counts=True)
    names = pieces[(counts > 1) & (pieces >= FIRST_PIECE + _COMMON)].tolist()
    for name in draw.sample(names, min(len(names), max(1, len(ids) // _NAMES_EVERY))):
        places = np.flatnonzero((ids == name) & (marks == FREE))
        ids[places] = draw.randrange(FIRST_PIECE, vocabulary)
        marks[places] = KEPT
        marks[places[draw.randrange(len(places))]] = ASKED
