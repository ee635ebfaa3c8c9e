"""Masked accuracy and pseudo-perplexity per character of a masked LM; every token is masked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from jnlp.types import FloatArray, IntArray, MaskedLM

_FLOATS = 1 << 24  # logits held at once: 64 MB
_TOKENS = 1 << 15  # tokens read at once
_ROWS = 64  # rows reduced at once, so that the exponentials stay in the cache


@dataclass(frozen=True, slots=True)
class MaskedScores:
    """The predictions for the tokens of a text, each masked once.

    Args:
        tokens: Tokens that were masked, all but the special ones.
        characters: Of the text.
        first: Tokens that were the model's first guess.
        five: Tokens among its first five.
        nats: Sum of -log p of the tokens.
    """

    tokens: int = 0
    characters: int = 0
    first: int = 0
    five: int = 0
    nats: float = 0.0

    @property
    def accuracy(self) -> float:
        """The share of tokens guessed first."""
        return self.first / max(1, self.tokens)

    @property
    def top5(self) -> float:
        """The share of tokens among the first five guesses."""
        return self.five / max(1, self.tokens)

    @property
    def perplexity(self) -> float:
        """Pseudo-perplexity per character: exp of -log p summed over tokens, divided by characters."""
        return float(np.exp(self.nats / max(1, self.characters)))


def masked_scores(model: MaskedLM, texts: Sequence[str], /, *, every: int) -> MaskedScores:
    """Mask every token of the texts once, every `every`-th of a text together, and return the sums.

    A text of n tokens is read `every` times, token i in pass i mod `every`. With `every` at least n each token is
    masked alone, which is the pseudo-log-likelihood of Salazar et al. 2020 ("Masked Language Model Scoring"). A
    smaller value masks 1/`every` of the text at a time, which is faster and gives slightly worse scores. 7 is about
    the 15 % of BERT.

    Args:
        model: The masked LM.
        texts: Each is read as a whole.
        every: The distance of tokens masked together, at least 1.

    Raises:
        ValueError: A text is longer than the model reads.
    """
    sequences = [encoded.ids for encoded in model.tokenizer.encode(texts)]
    tokens = first = five = 0
    nats = 0.0
    for ids, positions in _batches(model, sequences, every):
        hidden = [_mask_at(sequence, at, model.tokenizer.mask_id) for sequence, at in zip(ids, positions, strict=True)]
        targets = np.concatenate([sequence[at] for sequence, at in zip(ids, positions, strict=True)])
        ranks, lost = _rank_targets(model.at_masks(hidden, positions), targets)
        tokens += len(targets)
        first += int((ranks == 1).sum())
        five += int((ranks <= 5).sum())
        nats += float(lost.sum())
    return MaskedScores(tokens, sum(map(len, texts)), first, five, nats)


def _batches(
    model: MaskedLM, sequences: Sequence[IntArray], every: int
) -> Iterator[tuple[list[IntArray], list[IntArray]]]:
    """Yield sequences with the positions to mask; the special tokens at both ends are never masked."""
    most = max(1, _FLOATS // model.tokenizer.vocabulary)
    ids: list[IntArray] = []
    positions: list[IntArray] = []
    asked = read = 0
    for sequence in sequences:
        for turn in range(min(every, len(sequence) - 2)):
            at = np.arange(1 + turn, len(sequence) - 1, every, dtype=np.int64)
            if ids and (asked + len(at) > most or read + len(sequence) > _TOKENS):
                yield ids, positions
                ids, positions, asked, read = [], [], 0, 0
            ids.append(sequence)
            positions.append(at)
            asked, read = asked + len(at), read + len(sequence)
    if ids:
        yield ids, positions


def _mask_at(sequence: IntArray, at: IntArray, mask: int) -> IntArray:
    hidden = sequence.copy()
    hidden[at] = mask
    return hidden


def _rank_targets(logits: FloatArray, targets: IntArray) -> tuple[IntArray, NDArray[np.float64]]:
    """Return the rank of each target, from 1, and its -log p; equal logits are counted against it."""
    ranks, lost = np.empty(len(targets), np.int64), np.empty(len(targets))
    for start in range(0, len(targets), _ROWS):
        part = logits[start : start + _ROWS]
        own = part[np.arange(len(part)), targets[start : start + _ROWS]]
        highest = part.max(axis=1)
        total = np.exp(part - highest[:, None]).sum(axis=1, dtype=np.float64)
        ranks[start : start + _ROWS] = (part >= own[:, None]).sum(axis=1)
        lost[start : start + _ROWS] = highest + np.log(total) - own
    return ranks, lost
