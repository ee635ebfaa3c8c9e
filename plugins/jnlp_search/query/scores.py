"""The calibrated score of a hit: the share of questions for which such a hit was right.

It is a logistic function of the hit's fused score relative to the other candidates, and of how well the best candidates
fit the query. Its weights were fitted on questions of JaQuAD, whole and as keywords. For two in five, the passage with
the answer was removed from the collection (`python -m jnlp_family.search.calibrate`, docs/quality.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jnlp.types import SearchScores
from jnlp_search.options import Retriever

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

FEATURES = ("one", "relative", "close to the best", "coverage", "cosine", "words", "relative and coverage")
"""The features that the weights belong to: 1; the hit's `fused` relative to the best one's, and its eighth power; the
`Evidence`; and the product of two."""

LEXICAL = (-13.9557, 4.3423, 2.7026, 2.6314, 0.0, 1.4532, 2.5551)
"""The weights for full text alone, without a model."""

OTHER = SearchScores(
    dense_weight=0.5,
    hybrid=(-13.9857, 4.3417, 3.5064, 2.6678, 0.0, 1.2198, 2.0941),
    dense=(-9.0308, 1.5276, 2.5941, 0.0, 0.0, 0.7739, 3.9556),
)
"""For an embedder that was not measured: the weights of multilingual-e5-small, fitted without the cosine, whose range
differs between models."""

PRIOR = (40, 2)
"""Passages added to a collection when words are weighted, and how many of them have any given word."""

LOOKED_AT = 3
"""Number of first passages whose best coverage is used."""


FEW, ENOUGH = 0.3, 0.5
"""Shares of a query's words in one passage: up to the first, the vectors alone decide; from the second, their usual
share. On 198 questions without a word in common with their passage, over 1,500 passages, nDCG@10 of `tiny-search` rises
from .0035 to .035, still under the .083 of the vectors alone; on 400 questions of JaQuAD it falls from .9509 to .9506
(docs/log.md)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the best candidates fit a query.

    Args:
        coverage: The weighted share of the query's words in one passage, the best of the first few.
        cosine: The largest cosine; 0 without a search by vectors.
        words: The number of different words of the query.
    """

    coverage: float
    cosine: float
    words: int


def word_weights(count: int, holding: Mapping[str, int], /) -> dict[str, float]:
    """Return the weight of each word: the rarer in `count` passages, the larger (the IDF of BM25, never negative).

    A small collection shows little about the rarity of a word, so `PRIOR` is added to it.

    Args:
        count: The number of passages.
        holding: The number of passages with the word.
    """
    more, having = PRIOR
    return {
        word: math.log(1 + (count + more - held - having + 0.5) / (held + having + 0.5))
        for word, held in holding.items()
    }


def coverage(weights: Mapping[str, float], passages: Sequence[Collection[str]], /) -> float:
    """Return the share of a query's words, by weight, that the best of some passages has.

    Args:
        weights: The query's words.
        passages: The words of each passage.
    """
    total = sum(weights.values())
    if not total:
        return 0.0
    return max((sum(weights[word] for word in weights if word in words) / total for words in passages), default=0.0)


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


def scores_of(measured: SearchScores | None, /) -> SearchScores:
    """Return the measured weights of a model, or the defaults for a model without any."""
    if measured is None:
        return OTHER
    size = len(FEATURES)
    hybrid, dense = (
        own if len(own) == size else other
        for own, other in ((measured.hybrid, OTHER.hybrid), (measured.dense, OTHER.dense))
    )
    return SearchScores(measured.dense_weight, hybrid, dense)


def features(relative: float, evidence: Evidence, /) -> tuple[float, ...]:
    """Return the values of `FEATURES`."""
    return (
        1.0,
        relative,
        relative**8,
        evidence.coverage,
        evidence.cosine,
        math.log1p(evidence.words),
        relative * evidence.coverage,
    )


def share_right(retriever: Retriever, scores: SearchScores, relative: float, evidence: Evidence, /) -> float:
    """Return the share of questions for which such a hit was right, from 0 to 1; it rises with `relative`."""
    weights = {Retriever.LEXICAL: LEXICAL, Retriever.DENSE: scores.dense, Retriever.HYBRID: scores.hybrid}[retriever]
    logit = sum(weight * value for weight, value in zip(weights, features(relative, evidence), strict=True))
    return 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))
