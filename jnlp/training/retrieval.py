"""Retrieval measures: the rank of the relevant document, recall and nDCG, for vectors or any ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]
    Scores = NDArray[np.float64]

NOT_FOUND = 1 << 40
"""The rank of a document that is not in a ranking."""

_BLOCK = 1024


def ranks(queries: Floats, documents: Floats, relevant: Ints, /) -> Ints:
    """Return int64 `[q]`: the rank, from 1, of each query's one relevant document by inner product.

    Args:
        queries: float32 `[q, d]`, of length 1 for cosines.
        documents: float32 `[n, d]`.
        relevant: int64 `[q]`, rows of `documents`; equal scores are counted against it, so no tie flatters.
    """
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ documents.T
        at = relevant[start : start + _BLOCK]
        own = scores[np.arange(len(at)), at]
        found[start : start + _BLOCK] = (scores >= own[:, None]).sum(axis=1)
    return found


def rank_in(ranking: Sequence[int] | Mapping[int, float], relevant: int, /) -> int:
    """Return the rank, from 1, of a document in a list (best first) or in a map of scores; `NOT_FOUND` if absent."""
    if isinstance(ranking, Mapping):
        own = ranking.get(relevant)
        return NOT_FOUND if own is None else sum(score >= own for score in ranking.values())
    return next((place for place, document in enumerate(ranking, 1) if document == relevant), NOT_FOUND)


def recall_at(ranks: Ints, k: int, /) -> Scores:
    """Return float64 `[q]`: 1 where the one relevant document is among the first k, else 0; the mean is recall@k."""
    return (ranks <= k).astype(np.float64)


def ndcg_at(ranks: Ints, k: int, /) -> Scores:
    """Return float64 `[q]`: 1 / log2(1 + rank) within the first k, else 0: nDCG@k where one document is relevant."""
    return np.where(ranks <= k, 1.0 / np.log2(1.0 + np.minimum(ranks, k)), 0.0)


def reciprocal_at(ranks: Ints, k: int, /) -> Scores:
    """Return float64 `[q]`: 1 / rank within the first k, else 0; the mean is MRR@k."""
    return np.where(ranks <= k, 1.0 / np.minimum(ranks, k), 0.0)


def summary(ranks: Ints, /, k: int = 10) -> dict[str, float]:
    """Return recall@1, recall@k, nDCG@k and MRR@k, means over queries."""
    return {
        "recall@1": float(recall_at(ranks, 1).mean()),
        f"recall@{k}": float(recall_at(ranks, k).mean()),
        f"ndcg@{k}": float(ndcg_at(ranks, k).mean()),
        f"mrr@{k}": float(reciprocal_at(ranks, k).mean()),
    }


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of two systems' means over the same queries.

    Args:
        difference: Mean of the first minus mean of the second.
        low, high: The percentile bootstrap interval of the difference.
        p: Two-sided: how often chance alone makes a difference as large.
    """

    difference: float
    low: float
    high: float
    p: float


def paired_bootstrap(
    first: Scores, second: Scores, /, *, draws: int = 10_000, level: float = 0.95, seed: int = 0
) -> Comparison:
    """Compare two systems by resampling queries with replacement, the same for both.

    The p value is the share of samples whose mean difference, shifted to the null hypothesis, is at least as far from 0
    as the observed one (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 16), with one sample added
    so that it is never 0.

    Args:
        first: `[q]`, one score a query.
        second: The same queries in the same order.
        draws: How many samples to draw.
        level: The share of samples inside the interval.
        seed: Of the draws.
    """
    gains = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    rng = np.random.default_rng(seed)
    block = max(1, (1 << 22) // len(gains))
    means = np.concatenate(
        [
            gains[rng.integers(0, len(gains), (min(block, draws - start), len(gains)))].mean(axis=1)
            for start in range(0, draws, block)
        ]
    )
    seen = float(gains.mean())
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    far = int((np.abs(means - seen) >= abs(seen) - 1e-12).sum())
    return Comparison(seen, float(low), float(high), (far + 1) / (draws + 1))
