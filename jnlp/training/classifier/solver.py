"""Regularised linear models by L-BFGS: logistic over classes, logistic by label, ridge.

With s = XW + b, the loss is `strength · Σ loss(s, aims) + ½ |W|²`; the intercept b is not penalised. X may be a dense
array or a sparse one of SciPy's.

For few rows and many features the same W is found from the inner products of the rows alone: W = Xᵀ A, and with the
eigenvectors of G = XXᵀ = U Λ Uᵀ the problem over Z = U Λ^½, which has at most as many columns as rows, has the same
loss and the same norm of W. `factors` returns that Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.types import ProblemType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_LEAST = 1e-9
"""Eigenvalues below this share of the greatest are rounding errors."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Weights `[d, k]` and intercept `[k]`."""

    weights: Matrix
    bias: Matrix


def solve(
    features: Any,
    aims: Matrix,
    problem: ProblemType,
    /,
    *,
    strength: float,
    importance: Matrix | None = None,
    start: Solution | None = None,
) -> Solution:
    """Return the weights that minimise the loss.

    Args:
        features: X `[n, d]`: anything with `@` and `.T`.
        aims: `[n, k]`: one-hot classes, 0 and 1 by label, or numbers.
        problem: Decides the loss: cross-entropy, its binary form for each label, or half the squared error.
        strength: The weight of the loss against the penalty, scikit-learn's C.
        importance: `[n, 1]` or `[n, k]`: what the loss of each row, or of each row and label, is multiplied by.
        start: Where to begin, e.g. at the solution for another strength.
    """
    from scipy.optimize import minimize

    if problem is ProblemType.REGRESSION and isinstance(features, np.ndarray) and importance is None:
        return _ridge(features, aims, strength)
    size, k = features.shape[1], aims.shape[1]
    scale = np.ones((len(aims), 1)) if importance is None else importance

    def objective(flat: Matrix) -> tuple[float, Matrix]:
        weights, bias = flat[: size * k].reshape(size, k), flat[size * k :]
        loss, slope = _loss(features @ weights + bias, aims, problem, scale)
        slope *= strength
        gradient = features.T @ slope + weights
        value = strength * loss + 0.5 * float((weights * weights).sum())
        return value, np.concatenate([gradient.ravel(), slope.sum(axis=0)])

    begin = np.zeros(size * k + k) if start is None else np.concatenate([start.weights.ravel(), start.bias])
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-7})
    return Solution(found.x[: size * k].reshape(size, k), found.x[size * k :])


def _ridge(features: Matrix, aims: Matrix, strength: float) -> Solution:
    """Return the least squares with a penalty, in closed form."""
    centre, mean = features.mean(axis=0), aims.mean(axis=0)
    moved = features - centre
    normal = moved.T @ moved
    normal[np.diag_indices_from(normal)] += 1 / strength
    weights: Matrix = np.linalg.solve(normal, moved.T @ (aims - mean))
    return Solution(weights, mean - centre @ weights)


def factors(gram: Matrix, /) -> tuple[Matrix, Matrix]:
    """Return Z `[n, r]` with `Z Zᵀ` = gram, and the `[n, r]` matrix P by which other rows' products become theirs.

    For rows y with inner products H = Y Xᵀ, the features are `H P`, and `A = P W_z` makes `W = Xᵀ A`.
    """
    values, vectors = np.linalg.eigh(gram)
    kept = values > max(float(values[-1]), 1e-12) * _LEAST
    if not kept.any():
        return np.zeros((len(gram), 1)), np.zeros((len(gram), 1))
    roots = np.sqrt(values[kept])
    return vectors[:, kept] * roots, vectors[:, kept] / roots


def _loss(scores: Matrix, aims: Matrix, problem: ProblemType, scale: Matrix) -> tuple[float, Matrix]:
    """Return the loss summed over rows, and its gradient by the scores."""
    if problem is ProblemType.REGRESSION:
        error = scores - aims
        return 0.5 * float((scale * error * error).sum()), scale * error
    if problem is ProblemType.MULTI_LABEL:
        likely = 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
        return float((scale * (np.logaddexp(0.0, scores) - scores * aims)).sum()), scale * (likely - aims)
    shifted = scores - scores.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=1, keepdims=True)
    loss = np.log(total) - (shifted * aims).sum(axis=1, keepdims=True)
    return float((scale * loss).sum()), scale * (powers / total - aims)
