"""Fits the decision and its linear models to rows, from nothing or from what ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp_toxicity import decision, grams

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BUDGETS = {"strict": 0.03, "normal": 0.01, "lenient": 0.002}
"""The share of plain text of each corpus that a level may call toxic."""

GRAM_STRENGTH = 10.0
"""Inverse of the penalty on the n-grams' weights; 3 was worse on the board's validation rows."""

VECTOR_STRENGTH = 50.0
"""Inverse of the penalty on the weights of vectors of length 1."""

DECISION_STRENGTH = 100.0
FOLDS = 5

_MORE, _LESS = (0.0, None), (None, 0.0)
_BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "list": _MORE,
    "severe": _MORE,
    "words": _MORE,
    "several": _MORE,
    "disguised": _MORE,
    "passed": _LESS,
    "grams doubt words": _LESS,
}
"""Evidence that may only accuse or only acquit, whatever the rows say: a word that is meant, one that is not."""


def fit_logistic(
    table: Any,
    truth: Floats,
    weight: Floats,
    strength: float,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
    prior: Floats | None = None,
    /,
) -> Floats:
    """Return the weights of a logistic regression whose last column is the constant, which is not penalised.

    Args:
        table: float `[n, k]`, dense or sparse.
        truth: 0 or 1 of each row.
        weight: The weight of each row.
        strength: The inverse of the penalty on the squared distance from `prior`.
        bounds: The least and the largest value of each weight.
        prior: The weights to stay near; None is 0.
    """
    from scipy.optimize import minimize

    signs = 2 * truth - 1
    free = np.ones(table.shape[1])
    free[-1] = 0
    begin = np.zeros(table.shape[1]) if prior is None else prior

    def loss(values: Floats) -> tuple[float, Floats]:
        margins = np.clip(signs * (table @ values), -500, 500)
        slope = -signs * weight / (1 + np.exp(margins))
        away = free * (values - begin)
        value = float((weight * np.logaddexp(0, -margins)).sum()) + float(away @ away) / (2 * strength)
        return value, table.T @ slope + away / strength

    found: Floats = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300}).x
    return found


def fit_grams(found: Sequence[NDArray[np.int64]], truth: Floats, base: grams.Grams | None = None, /) -> grams.Grams:
    """Return the n-gram model of texts given by their buckets; with `base` one near it, by its frequencies."""
    if base is None:
        seen = np.zeros(grams.BUCKETS)
        for buckets in found:
            seen[buckets] += 1
        idf = (np.log((1 + len(found)) / (1 + seen)) + 1).astype(np.float32)
        prior = None
    else:
        idf, prior = base.idf, np.append(base.weights.astype(np.float64), base.bias)
    weights = fit_logistic(_sparse(found, idf), truth, np.ones(len(found)), GRAM_STRENGTH, None, prior)
    return grams.Grams(weights[:-1].astype(np.float32), idf, float(weights[-1]))


def fit_vectors(
    vectors: NDArray[np.float32], truth: Floats, base: grams.Grams | None = None, weight: Floats | None = None, /
) -> tuple[NDArray[np.float32], float]:
    """Return the weights of vectors scaled to length 1, and the constant; `weight` is that of each row, 1 without."""
    weight = np.ones(len(truth)) if weight is None else weight
    prior = None if base is None else np.append(base.direction.astype(np.float64), base.offset)
    found = fit_logistic(_with_ones(scaled(vectors)), truth, weight, VECTOR_STRENGTH, None, prior)
    return found[:-1].astype(np.float32), float(found[-1])


def scaled(vectors: NDArray[np.float32], /) -> Floats:
    """Return vectors scaled to length 1."""
    long = vectors.astype(np.float64)
    scaled_vectors: Floats = long / np.maximum(np.linalg.norm(long, axis=1, keepdims=True), 1e-9)
    return scaled_vectors


def _with_ones(table: Floats) -> Floats:
    return np.hstack([table, np.ones((len(table), 1))])


def _sparse(found: Sequence[NDArray[np.int64]], idf: NDArray[np.float32]) -> Any:
    """Return the rows' n-grams scaled to length 1, with a last column of ones."""
    from scipy.sparse import csr_matrix, hstack

    sizes = np.array([len(buckets) for buckets in found])
    columns = np.concatenate(found)
    values = idf[columns].astype(np.float64)
    owner = np.repeat(np.arange(len(found)), sizes)
    norms = np.sqrt(np.bincount(owner, values**2, len(found)))
    parts = values / np.maximum(norms[owner], 1e-9)
    table = csr_matrix((parts, (owner, columns)), shape=(len(found), grams.BUCKETS))
    return hstack([table, np.ones((len(found), 1))]).tocsr()


def feature_table(features: Sequence[Mapping[str, float]], names: Sequence[str], /) -> Floats:
    """Return float64 `[n, k + 1]`: the named features of each row, and a last column of ones."""
    return np.array([[*(row.get(name, 0.0) for name in names), 1.0] for row in features])


def fit_decision(
    features: Sequence[Mapping[str, float]],
    truth: Floats,
    weight: Floats,
    starts: tuple[str, ...] = (),
    base: decision.Decision | None = None,
    /,
) -> tuple[tuple[str, ...], Floats]:
    """Return the names of features and their weights, the constant last.

    Args:
        features: The features of each row.
        truth: 0 or 1 of each row.
        weight: The weight of each row.
        starts: Only features whose names begin with one of these; empty: all.
        base: A decision to stay near.
    """
    known = {name for row in features for name in row if not starts or name.startswith(starts)}
    names = tuple(sorted(known | set(base.features if base else ())))
    prior = None if base is None else np.array([*(base.features.get(name, 0.0) for name in names), base.bias])
    bounds = [_BOUNDS.get(name, _BOUNDS.get(name.split()[0], (None, None))) for name in names]
    strength = DECISION_STRENGTH if base is None else 1.0
    table = feature_table(features, names)
    return names, fit_logistic(table, truth, weight, strength, [*bounds, (None, None)], prior)


def levels_of(plain: Iterable[Floats], /) -> dict[str, float]:
    """Return for each level the log-odds that no more than its budget of any corpus' plain texts reach."""
    corpora = list(plain)
    return {
        level: max(float(np.quantile(logits, 1 - budget, method="higher")) for logits in corpora)
        for level, budget in BUDGETS.items()
    }


def stored(
    names: Sequence[str], weights: Floats, levels: Mapping[str, float], test: Mapping[str, Any], /
) -> dict[str, Any]:
    """Return a decision as its file has it, with the constant that puts the level `normal` at log-odds 0."""
    middle = levels["normal"]
    return {
        "features": {name: round(float(w), 4) for name, w in zip(names, weights, strict=False)},
        "bias": round(float(weights[-1]) - middle, 4),
        "levels": {level: round(decision.probability(limit - middle), 4) for level, limit in levels.items()},
        "test": test,
    }
