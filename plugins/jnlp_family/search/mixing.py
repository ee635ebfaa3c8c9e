"""The fit of `jnlp_search.query.mixing`: for which queries the vectors alone rank better than the usual mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.training import retrieval
from jnlp_family.search.measure import BEST
from jnlp_search.fuse import convex
from jnlp_search.query.mixing import SIGNALS, chance, share_of_chance, signals
from jnlp_search.query.scores import dense_share

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PARAPHRASE = "no content word in common"
"""The name of the questions that count more."""

EMPHASES = (4.0, 2.0, 1.0)
"""How often one of these counts: the first with which `KEPT` is not worse."""

KEPT = "JaQuAD"
"""The set whose nDCG@10 may not fall."""

_RIDGE = 0.05


class Mixed:
    """A question with the candidates of both retrievers.

    Args:
        lexical: BM25 by passage.
        dense: The cosine of every candidate.
        covered: The share of its words in one of the first passages of full text.
        right: The passage that answers.
    """

    def __init__(self, lexical: Mapping[int, float], dense: Mapping[int, float], covered: float, right: int, /) -> None:
        self._lexical, self._dense, self._right = lexical, dense, right
        self.covered, self.signals = covered, signals(covered, lexical, dense)

    def ndcg(self, share: float, /) -> float:
        """Return nDCG@10 with a share of the vectors."""
        rank = retrieval.rank_in(convex(self._lexical, self._dense, share), self._right)
        return float(retrieval.ndcg_at(np.array([rank]), BEST)[0])


def choose_mixing(sets: Mapping[str, Sequence[Mixed]], usual: float, /) -> tuple[list[float], dict[str, Any]]:
    """Return the weights of the largest emphasis that `KEPT` allows, and what was measured; no weights if none does."""
    measured: dict[str, Any] = {}
    for emphasis in EMPHASES:
        weights, measured = fit_mixing(sets, usual, emphasis)
        if measured[KEPT]["mixed"] >= measured[KEPT]["by coverage"]:
            return weights, {"emphasis": emphasis, **measured}
    return [], measured


def fit_mixing(
    sets: Mapping[str, Sequence[Mixed]], usual: float, emphasis: float, /
) -> tuple[list[float], dict[str, Any]]:
    """Return the weights of `SIGNALS`, and nDCG@10 of each set; each half is measured with the weights of the other.

    Args:
        sets: Questions by name.
        usual: The model's share of the vectors.
        emphasis: How often a question of `PARAPHRASE` counts.
    """
    asked = [one for own in sets.values() for one in own]
    counts = np.array([emphasis if name == PARAPHRASE else 1.0 for name, own in sets.items() for _ in own])
    rows = np.array([one.signals for one in asked]).reshape(len(asked), len(SIGNALS))
    gain = np.array([one.ndcg(1.0) - one.ndcg(usual) for one in asked])
    half = np.arange(len(asked)) % 2 == 0
    weights, first, second = (_fit(rows[own], gain[own], counts[own]) for own in (half | True, half, ~half))
    others = [second if in_first else first for in_first in half]
    shares = [
        usual + (1 - usual) * share_of_chance(chance(w, one.signals)) for w, one in zip(others, asked, strict=True)
    ]
    mixed = dict(zip(map(id, asked), shares, strict=True))
    kinds: dict[str, Callable[[Mixed], float]] = {
        "vectors": lambda _: 1.0,
        "usual share": lambda _: usual,
        "by coverage": lambda one: dense_share(usual, one.covered),
        "mixed": lambda one: mixed[id(one)],
    }
    measured = {
        name: {"questions": len(own)}
        | {kind: round(float(np.mean([one.ndcg(share(one)) for one in own])), 4) for kind, share in kinds.items()}
        for name, own in sets.items()
        if own
    }
    return [round(float(weight), 4) for weight in weights], measured


def _fit(rows: Floats, gain: Floats, counts: Floats) -> list[float]:
    """Return the weights of a logistic function that tells where the gain is positive, weighted by it."""
    from scipy.optimize import minimize

    deviation = rows.std(axis=0)
    scale = np.where(deviation > 1e-9, deviation, 1.0)
    scaled, better, cost = rows / scale, gain > 0, np.abs(gain) * counts

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = scaled @ weights
        wrong = cost * (1 / (1 + np.exp(-logits)) - better)
        value = (cost * (np.logaddexp(0, logits) - better * logits)).sum() + _RIDGE * (weights[1:] ** 2).sum()
        return float(value), scaled.T @ wrong + 2 * _RIDGE * np.r_[0.0, weights[1:]]

    found: Floats = minimize(loss, np.zeros(rows.shape[1]), jac=True).x / scale
    return [float(weight) for weight in found]
