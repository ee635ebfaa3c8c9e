"""The share of the vectors in a hybrid ranking, from what both retrievers found for a query.

A logistic function of `SIGNALS` estimates whether the vectors alone rank better than the usual mixture. Its weights are
fitted for each model (`python -m jnlp_family.search.calibrate`). A model without them gets `dense_share`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jnlp_search.fuse import shares
from jnlp_search.query.scores import dense_share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jnlp_search.fuse import K

SIGNALS = ("one", "coverage", "cosine", "height", "lead", "words of the nearest", "cosine of the best words")
"""1; the weighted share of the query's words in one of full text's first passages; the largest cosine; by how many
standard deviations it is above the mean of the largest; how far full text's best passage is ahead of its second; the
BM25 of the passage nearest by its vector, and the cosine of full text's best, both scaled as in the fusion."""

NEAREST = 50
"""The largest cosines that the largest one is compared with."""

LOW, HIGH = 0.4, 0.6
"""Chances that the vectors alone are better: up to the first, they have their usual share; from the second, all."""


def signals(covered: float, lexical: Mapping[K, float], dense: Mapping[K, float], /) -> tuple[float, ...]:
    """Return the values of `SIGNALS`.

    Args:
        covered: The share of the query's words, by weight, in one of the first passages of full text.
        lexical: BM25 by candidate; at least one.
        dense: The cosine of every candidate.
    """
    words, near = shares(lexical, dense)
    ranked = sorted(lexical.values(), reverse=True)[:2]
    lead = (ranked[0] - ranked[1]) / ranked[0] if len(ranked) > 1 and ranked[0] > 0 else 1.0
    top = sorted(dense.values(), reverse=True)[:NEAREST]
    mean = sum(top) / len(top)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in top) / len(top))
    height = (top[0] - mean) / deviation if deviation > 1e-9 else 0.0
    nearest, best = (min(found, key=lambda one: (-found[one], one)) for found in (dense, lexical))
    return 1.0, covered, top[0], height, lead, words[nearest], near[best]


def chance(weights: Sequence[float], values: Sequence[float], /) -> float:
    """Return the chance that the vectors alone rank better."""
    logit = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))


def mixed_share(
    share: float, weights: Sequence[float], covered: float, lexical: Mapping[K, float], dense: Mapping[K, float], /
) -> float:
    """Return the share of the vectors for a query: a model's usual one, or more where they alone rank better.

    Args:
        share: The model's.
        weights: Those of `SIGNALS`; none if the model was not measured.
        covered: See `signals`.
        lexical: BM25 by candidate; at least one.
        dense: The cosine of every candidate.
    """
    if len(weights) != len(SIGNALS):
        return dense_share(share, covered)
    return share + (1 - share) * share_of_chance(chance(weights, signals(covered, lexical, dense)))


def share_of_chance(chance: float, /) -> float:
    """Return 0 up to `LOW`, 1 from `HIGH`, and a straight line between.

    Example:
        >>> share_of_chance(0.3), round(share_of_chance(0.5), 3), share_of_chance(0.9)
        (0.0, 0.5, 1.0)
    """
    return min(max((chance - LOW) / (HIGH - LOW), 0.0), 1.0)
