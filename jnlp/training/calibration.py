"""Temperature scaling, which calibrates a classifier's probabilities by one number.

Guo et al. 2017, "On Calibration of Modern Neural Networks": divide the logits by T > 0, fitted on validation data to
minimise the log loss. Rankings and decisions do not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnlp.types import ProblemType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

_RANGE = (0.05, 20.0)


def fit_temperature(logits: Floats, targets: NDArray[np.generic], problem: ProblemType, /) -> float:
    """Return the temperature in [0.05, 20] that minimises the log loss on validation data.

    Args:
        logits: `[n, k]`.
        targets: int `[n]` classes, or 0/1 `[n, k]` for multi-label.
        problem: How the logits are read; a regression has temperature 1.
    """
    from scipy.optimize import minimize_scalar

    if problem is ProblemType.REGRESSION or len(logits) == 0:
        return 1.0
    aims = _smooth(targets, logits.shape, problem)
    # The loss is convex in 1/T, so it has one minimum over log T.
    found = minimize_scalar(
        lambda logarithm: float(_losses(logits, aims, problem, logarithm).mean()),
        bounds=np.log(_RANGE),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x))


def row_losses(
    logits: Floats, targets: NDArray[np.generic], problem: ProblemType, temperature: float = 1.0, /
) -> NDArray[np.float64]:
    """Return the losses `[n]` whose mean `fit_temperature` minimises, at a temperature."""
    return _losses(logits, _smooth(targets, logits.shape, problem), problem, float(np.log(temperature)))


def _smooth(targets: NDArray[np.generic], shape: tuple[int, ...], problem: ProblemType) -> NDArray[np.float64]:
    """Return target probabilities smoothed by Laplace's rule, so that few correct rows do not make a model certain.

    The true class gets (n + 1) / (n + k), every other 1 / (n + k); for multi-label k = 2 for each label.
    """
    rows, classes = shape
    if problem is ProblemType.MULTI_LABEL:
        return (targets.astype(np.float64) * rows + 1) / (rows + 2)
    return (np.eye(classes)[targets.astype(np.int64)] * rows + 1) / (rows + classes)


def _losses(
    logits: Floats, aims: NDArray[np.float64], problem: ProblemType, log_temperature: float
) -> NDArray[np.float64]:
    scaled = logits.astype(np.float64) / np.exp(log_temperature)
    if problem is ProblemType.MULTI_LABEL:
        found: NDArray[np.float64] = (np.logaddexp(0.0, scaled) - scaled * aims).mean(axis=1)
        return found
    top = scaled.max(axis=1, keepdims=True)
    logs = scaled - top - np.log(np.exp(scaled - top).sum(axis=1, keepdims=True))
    found = -(aims * logs).sum(axis=1)
    return found
