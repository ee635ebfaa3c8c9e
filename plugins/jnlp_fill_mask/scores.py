"""Gets predictions of a masked LM at many positions, in batches of bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jnlp.types import FloatArray, IntArray, MaskedLM

_FLOATS = 1 << 24
"""Maximum logits per batch: 64 MB, 1,000 positions with a vocabulary of 16,000."""

_ROWS = 64
"""Maximum positions reduced at once: sorting takes three times the memory of the logits."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A sequence of token ids, and the positions in it to predict, ascending."""

    ids: IntArray
    positions: IntArray

    @classmethod
    def one(cls, ids: IntArray, position: int) -> Ask:
        """Return the question about a single position."""
        return cls(ids, np.array([position], dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Best:
    """The most probable pieces at one position: ids and log-probabilities, best first."""

    ids: list[int]
    log_probabilities: list[float]


def best(model: MaskedLM, asks: Iterable[Ask], count: int, /) -> list[Best]:
    """Return the `count` most probable pieces at each requested position, in order."""
    found: list[Best] = []
    for logits in _logits(model, asks):
        count = min(count, logits.shape[1])
        normaliser = log_sum_exp(logits)
        top = np.argpartition(logits, logits.shape[1] - count, axis=1)[:, -count:]
        values = np.take_along_axis(logits, top, axis=1) - normaliser[:, None]
        order = np.lexsort((top, -values), axis=1)
        top, values = np.take_along_axis(top, order, axis=1), np.take_along_axis(values, order, axis=1)
        found += [Best(ids, row) for ids, row in zip(top.tolist(), values.tolist(), strict=True)]
    return found


def log_probabilities(model: MaskedLM, asks: Iterable[Ask], targets: Sequence[int], /) -> list[float]:
    """Return the log-probability of one target piece at each requested position, in order."""
    found: list[float] = []
    for logits in _logits(model, asks):
        rows = np.arange(len(logits))
        wanted = np.asarray(targets[len(found) : len(found) + len(logits)], dtype=np.int64)
        found += (logits[rows, wanted] - log_sum_exp(logits)).tolist()
    return found


def log_sum_exp(logits: FloatArray, /) -> FloatArray:
    """Return log Σ exp over each row."""
    highest = logits.max(axis=1)
    total = np.exp(logits - highest[:, None]).sum(axis=1)
    result: FloatArray = highest + np.log(total)
    return result


def _logits(model: MaskedLM, asks: Iterable[Ask]) -> Iterator[FloatArray]:
    """Yield logits `[positions, vocabulary]`, in order, a bounded number of positions at a time."""
    limit = max(1, _FLOATS // model.tokenizer.vocabulary)
    batch: list[Ask] = []
    held = 0
    for ask in asks:
        for start in range(0, len(ask.positions), limit):
            part = Ask(ask.ids, ask.positions[start : start + limit])
            if held + len(part.positions) > limit:
                yield from _request(model, batch)
                batch, held = [], 0
            batch.append(part)
            held += len(part.positions)
    if batch:
        yield from _request(model, batch)


def _request(model: MaskedLM, batch: list[Ask]) -> Iterator[FloatArray]:
    logits = model.at_masks([ask.ids for ask in batch], [ask.positions for ask in batch])
    for start in range(0, len(logits), _ROWS):
        yield logits[start : start + _ROWS]
