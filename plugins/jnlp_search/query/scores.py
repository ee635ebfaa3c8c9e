"""The calibrated score of a hit: the share of questions for which such a hit was right.

It is a logistic function of the hit's fused score relative to the other candidates, and of how well the best candidates
fit the query. A cosine of .4 says much among three passages and little among a thousand, so there are two sets of
weights, for one passage and for a thousand; between, they are interpolated by the logarithm of the size. They were
fitted on questions to collections of six sizes. For two questions in five, the passage with the answer was not in the
collection (`python -m jnlp_family.search.calibrate`, docs/search.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from jnlp.types import SearchScores
from jnlp_search.options import Retriever

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

FEATURES = ("one", "relative", "close to the best", "coverage", "cosine", "words", "relative and coverage")
"""The features that the weights belong to: 1; the hit's `fused` relative to the best one's, and its eighth power; the
`Evidence`; and the product of two."""

WEIGHTS = 2 * len(FEATURES)
"""The number of weights of a retriever: those for one passage, then those for `MANY`."""

MANY = 1_000
"""Passages from which on the weights no longer change."""

LEXICAL = (
    -6.4324,
    0.0,
    3.831,
    0.0,
    0.0,
    0.5779,
    5.6061,
    -10.0929,
    2.0254,
    2.5701,
    0.0,
    0.0,
    1.1761,
    3.9752,
)
"""The weights for full text alone, without a model."""

OTHER = SearchScores(
    dense_weight=0.5,
    hybrid=(
        -5.9133,
        0.0,
        4.0236,
        0.0,
        0.0,
        0.131,
        5.6779,
        -9.3859,
        1.1139,
        3.2945,
        0.0,
        0.0,
        1.0211,
        3.7304,
    ),
    dense=(
        -5.8183,
        0.0,
        4.2255,
        0.0,
        0.0,
        0.0585,
        4.5754,
        -7.9088,
        0.6078,
        3.4148,
        0.0,
        0.0,
        0.6058,
        3.0091,
    ),
)
"""For an embedder that was not measured: the weights of `tiny-search`, fitted without the cosine, whose range differs
between models."""

PRIOR = (40, 2)
"""Passages added to a collection when words are weighted, and how many of them have any given word."""

LOOKED_AT = 3
"""Number of first passages whose best coverage is used."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well the best candidates fit a query.

    Args:
        coverage: The weighted share of the query's words in one passage, the best of the first few.
        cosine: The largest cosine; 0 without a search by vectors.
        words: The number of different words of the query.
        passages: The number of passages that were searched.
    """

    coverage: float
    cosine: float
    words: int
    passages: int


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


def scores_of(measured: SearchScores | None, /) -> SearchScores:
    """Return the measured weights of a model, or the defaults for a model without any.

    As many weights as `FEATURES` are those for every size: `search.json` had no others before.
    """
    if measured is None:
        return OTHER
    hybrid, dense = (
        own if len(own) == WEIGHTS else 2 * own if len(own) == len(FEATURES) else other
        for own, other in ((measured.hybrid, OTHER.hybrid), (measured.dense, OTHER.dense))
    )
    return SearchScores(measured.dense_weight, hybrid, dense)


def values(relative: float, evidence: Evidence, /) -> tuple[float, ...]:
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


def largeness(passages: int, /) -> float:
    """Return where a number of passages is between 1 and `MANY`, from 0 to 1.

    Example:
        >>> largeness(1), largeness(1_000), largeness(1_000_000)
        (0.0, 1.0, 1.0)
    """
    return math.log(min(max(passages, 1), MANY)) / math.log(MANY)


def share_right(retriever: Retriever, scores: SearchScores, relative: float, evidence: Evidence, /) -> float:
    """Return the share of questions for which such a hit was right, from 0 to 1; it rises with `relative`."""
    weights = {Retriever.LEXICAL: LEXICAL, Retriever.DENSE: scores.dense, Retriever.HYBRID: scores.hybrid}[retriever]
    own = _weights_for(tuple(weights), min(evidence.passages, MANY))
    logit = sum(weight * value for weight, value in zip(own, values(relative, evidence), strict=True))
    return 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))


@lru_cache(maxsize=256)
def _weights_for(weights: tuple[float, ...], passages: int) -> tuple[float, ...]:
    """Return the weights of `FEATURES` for a number of passages."""
    large, size = largeness(passages), len(FEATURES)
    return tuple((1 - large) * one + large * many for one, many in zip(weights[:size], weights[size:], strict=True))
