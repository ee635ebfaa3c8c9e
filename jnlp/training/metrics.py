"""Scores of classifiers and regressors; higher is better except where the name says loss or error.

They use numpy instead of scikit-learn, because the bootstrap calls each a thousand times, and scikit-learn's input
checks take 30 (AUC) to 600 (confusion matrix) times as long as the score. A test compares both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The scores of one class: precision, recall, F1 and the number of true examples."""

    precision: float
    recall: float
    f1: float
    support: int


def confusion(truth: Ints, guess: Ints, classes: int, /) -> Ints:
    """Return int64 `[classes, classes]`: row = the true class, column = the guessed one."""
    return np.bincount(truth * classes + guess, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(matrix: Ints, /) -> tuple[ClassScore, ...]:
    """Return each class's scores from a confusion matrix; a ratio without a denominator is 0."""
    hits = np.diag(matrix).astype(float)
    guessed, actual = matrix.sum(axis=0), matrix.sum(axis=1)
    precision = hits / np.maximum(guessed, 1)
    recall = hits / np.maximum(actual, 1)
    f1 = 2 * hits / np.maximum(guessed + actual, 1)
    columns = zip(precision.tolist(), recall.tolist(), f1.tolist(), actual.tolist(), strict=True)
    return tuple(ClassScore(p, r, f, int(n)) for p, r, f, n in columns)


def accuracy(matrix: Ints, /) -> float:
    """Return the share of right guesses."""
    return float(np.trace(matrix) / max(1, matrix.sum()))


def macro_f1(matrix: Ints, /) -> float:
    """Return the mean F1 over the classes that occur as a truth or a guess."""
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    scores = np.array([score.f1 for score in per_class(matrix)])
    return float(scores[occurs].mean()) if occurs.any() else 0.0


def majority(matrix: Ints, /) -> float:
    """Return the accuracy of always guessing the most frequent class."""
    return float(matrix.sum(axis=1).max() / max(1, matrix.sum()))


def log_loss(probabilities: Floats, truth: Ints, /) -> float:
    """Return the mean negative log-probability of the true class (`[n, k]`, `[n]`), in nats."""
    chosen = probabilities[np.arange(len(truth)), truth].astype(float)
    return float(np.abs(np.log(np.clip(chosen, 1e-12, 1.0))).mean())


def calibration_error(probabilities: Floats, truth: Ints, /, bins: int = 15) -> float:
    """Return the expected calibration error: |accuracy - confidence| over equal-width bins, weighted by rows.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    confidence = probabilities.max(axis=1).astype(float)
    right = (probabilities.argmax(axis=1) == truth).astype(float)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / max(1, len(truth)))


def roc_auc(scores: Floats, positive: Bools, /) -> float:
    """Return the probability that a positive scores above a negative, ties counted half; 0.5 without both kinds."""
    wins = int(positive.sum())
    losses = len(positive) - wins
    if not wins or not losses:
        return 0.5
    return float((ranks(scores)[positive].sum() - wins * (wins + 1) / 2) / (wins * losses))


def binary_f1(guess: Bools, positive: Bools, /) -> float:
    """Return F1 of the positive class; 0 if it neither occurs nor is guessed."""
    total = int(guess.sum() + positive.sum())
    return 2 * float((guess & positive).sum()) / total if total else 0.0


def ranks(values: Floats, /) -> Floats:
    """Return ranks from 1, the mean rank for ties."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Floats = (last - (counts - 1) / 2)[inverse]
    return mean


def pearson(a: Floats, b: Floats, /) -> float:
    """Return the linear correlation; 0 if one side is constant."""
    x, y = a.astype(float) - a.mean(), b.astype(float) - b.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale else 0.0


def spearman(a: Floats, b: Floats, /) -> float:
    """Return the rank correlation; 0 if one side is constant."""
    return pearson(ranks(a), ranks(b))


def wilson(hits: float, rows: float, /, *, z: float = 1.959964) -> tuple[float, float]:
    """Return the Wilson score interval of a share `p = hits / rows`; it has a width where all or none hit, too.

    `(p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n)`: Wilson 1927, "Probable Inference, the Law of Succession, and
    Statistical Inference"; Brown, Cai and DasGupta 2001, "Interval Estimation for a Binomial Proportion", equation 4.

    Args:
        hits: How many of the rows are right.
        rows: `n`; of 0 rows nothing is known, and the interval is (0, 1).
        z: The quantile of the normal distribution; the default is that of 95 %.
    """
    if not rows:
        return 0.0, 1.0
    share, square = hits / rows, z * z / rows
    middle = (share + square / 2) / (1 + square)
    half = z * float(np.sqrt(share * (1 - share) / rows + square / (4 * rows))) / (1 + square)
    return (middle - half if hits else 0.0), (middle + half if hits < rows else 1.0)


def clusters(numbers: Ints, /) -> list[Ints]:
    """Return the positions of each number, by the order of the numbers.

    Example:
        >>> [rows.tolist() for rows in clusters(np.array([4, 7, 4]))]
        [[0, 2], [1]]
    """
    order = np.argsort(numbers, kind="stable")
    _, starts = np.unique(numbers[order], return_index=True)
    return np.split(order, starts[1:])


def bootstrap(
    score: Callable[[Ints], float], rows: int, /, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a score.

    Args:
        score: Called with int64 positions drawn with replacement; returns the score of those rows.
        rows: The number of rows to draw from.
        draws: How many samples to draw.
        level: The share of samples inside the interval.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    scores = [score(rng.integers(0, rows, rows)) for _ in range(draws)]
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
