"""The hybrid ranking of a query: how much the vectors count, by how many of its words full text found.

A question in other words than its passage has candidates that contain some of its words by chance. Full text puts them
first, and so do fused scores. Where full text found few of the words, the vectors get a larger share, and every second
place from the third.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jnlp_search.fuse import convex, sort_by_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jnlp_search.fuse import K

FEW, ENOUGH = 0.3, 0.5
"""Shares of a query's words, by weight, in one passage: up to the first, the vectors alone decide; from the second,
their usual share."""

MOST = 0.8
"""The share from which the nearest passages get no places of their own. On headings without a word in common with their
section, the places raise nDCG@10 of `tiny-search` from .024 to .047; on JaQuAD it stays (.9438 and .9441; docs/log.md).
"""


def mix(
    lexical: Mapping[K, float], dense: Mapping[K, float], share: float, covered: float, /
) -> tuple[dict[K, float], float]:
    """Return the score of every candidate in a hybrid ranking, and the weight of the vectors in it.

    Args:
        lexical: BM25 by candidate.
        dense: The cosine of every candidate.
        share: The model's usual share of the vectors.
        covered: The share of the query's words, by weight, in one of the first passages of full text.
    """
    weight = dense_share(share, covered)
    fused = convex(lexical, dense, weight)
    return (raise_nearest(fused, dense) if covered < MOST else fused), weight


def dense_share(share: float, covered: float, /) -> float:
    """Return the weight of the vectors for a query: more than a model's usual one where full text found few words.

    Args:
        share: The model's.
        covered: The share of the query's words, by weight, in one of the first passages of full text.

    Example:
        >>> dense_share(0.25, 0.9), dense_share(0.25, 0.4), dense_share(0.25, 0.1)
        (0.25, 0.625, 1.0)
    """
    lacking = min(max((ENOUGH - covered) / (ENOUGH - FEW), 0.0), 1.0)
    return share + (1 - share) * lacking


def raise_nearest(fused: Mapping[K, float], dense: Mapping[K, float], /) -> dict[K, float]:
    """Return scores by which the nearest passage has at most rank 3, the second nearest at most rank 5, and so on.

    A raised candidate gets the mean of the scores before and after it; the others keep theirs, and their order.

    Args:
        fused: The score of every candidate.
        dense: The cosine of every candidate.

    Example:
        >>> raise_nearest({1: 0.8, 2: 0.7, 3: 0.5, 4: 0.1}, {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.9})
        {1: 0.8, 2: 0.7, 4: 0.6, 3: 0.5}
    """
    nearest = iter([key for key, _ in sort_by_score(dense)])
    raised: dict[K, float] = {}
    before = 0.0
    for key, score in sort_by_score(fused):
        if key in raised:
            continue
        place = len(raised) + 1
        if place > 2 and place % 2 and (near := next(nearest, key)) != key and near not in raised:
            raised[near] = (before + score) / 2
        raised[key] = before = score
    return raised
