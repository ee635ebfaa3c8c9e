"""A classifier's scores on held-out data, with intervals and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from jnlp.encoder.windows import probabilities
from jnlp.training import metrics
from jnlp.types import ProblemType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jnlp.training.classifier.targets import Goal

    Floats = NDArray[np.float32]
    Rows = NDArray[np.float64]

MAIN = {
    ProblemType.SINGLE_LABEL: "macro_f1",
    ProblemType.MULTI_LABEL: "macro_f1",
    ProblemType.REGRESSION: "r2",
}
"""The score that selects the best epoch."""

BOOTSTRAP_ROWS = 20
"""Minimum rows for a bootstrapped interval; with fewer, samples are too similar to show the uncertainty."""

FEW_ROWS = 30
"""Rows below which scores are unreliable: with 15 of 30 right, the accuracy is between 0.33 and 0.67."""


def measure(
    logits: Floats,
    targets: NDArray[np.generic],
    goal: Goal,
    /,
    temperature: float = 1.0,
    draws: int = 1000,
    texts: NDArray[np.int64] | None = None,
) -> dict[str, object]:
    """Return all scores of logits `[n, k]`: `metrics` and their `intervals`, by class, and the confusion matrix.

    Args:
        logits: One row per text.
        targets: As `Goal.targets` makes them.
        goal: The labels and the problem.
        temperature: What the logits are divided by.
        draws: Of the bootstrap; 0 leaves the intervals out. That of accuracy is Wilson's.
        texts: int64 `[n]`, the number of the text of each row: rows with the same text are drawn together, so that they
            do not make an interval narrower. None: all differ.
    """
    scores = {
        ProblemType.SINGLE_LABEL: _single,
        ProblemType.MULTI_LABEL: _multi,
        ProblemType.REGRESSION: _regression,
    }[goal.problem]
    probable = probabilities(logits / np.float32(temperature), goal.problem)
    report: dict[str, object] = {"rows": len(targets), "metrics": scores(probable, targets)}
    texts = np.arange(len(targets)) if texts is None else texts
    report["distinct_rows"] = len(np.unique(texts))
    if draws:
        report["intervals"] = _intervals(probable, targets, goal, scores, draws, texts)
    if goal.problem is ProblemType.SINGLE_LABEL:
        matrix = metrics.confusion(targets.astype(np.int64), probable.argmax(axis=1), len(goal.labels))
        report["majority_baseline"] = metrics.majority(matrix)
        report["confusion"] = matrix.tolist()
        report["per_class"] = _by_label(goal, metrics.per_class(matrix))
    elif goal.problem is ProblemType.MULTI_LABEL:
        report["per_class"] = _by_label(goal, tuple(metrics.per_class(m)[1] for m in _matrices(probable, targets)))
    return report


def caution(rows: int, measured_on: str, /) -> str | None:
    """Return a warning about too few rows, with advice, or None if there are enough."""
    if rows >= FEW_ROWS:
        return None
    more = "--test-share" if measured_on == "test" else "--valid or --valid-share"
    return f"{rows} {measured_on} rows are too few to tell much: give more rows, or hold out more of them ({more})"


def shortfall(scores: Mapping[str, Any], /) -> str | None:
    """Return a warning about scores no better than a guess, or None if they are better.

    Args:
        scores: As `measure` returns them.
    """
    found = scores["metrics"]
    advice = "the model has learned nothing that helps; give more rows, more --epochs or another --model"
    if (guess := scores.get("majority_baseline")) is not None and found["accuracy"] <= guess:
        why = f"the accuracy of {found['accuracy']:.3f} is not above that of always guessing the commonest label"
        return f"{why} ({guess:.3f}): {advice}"
    if "r2" in found and found["r2"] <= 0:
        return f"r2 is {found['r2']:.3f}, no better than always predicting the mean: {advice}"
    if "spearman" in found and not found["spearman"] > 0:
        return f"the values do not rank the texts (spearman {found['spearman']:.3f}): {advice}"
    if "micro_f1" in found and found["micro_f1"] == 0:
        return f"no label is ever found (micro_f1 0): {advice}"
    return None


def cautions(scores: Mapping[str, Any], measured_on: str, /) -> list[str]:
    """Return the reasons why scores are unreliable: too few rows, or no gain over a guess."""
    return [said for said in (shortfall(scores), caution(scores["distinct_rows"], measured_on)) if said is not None]


def behind(report: Mapping[str, Any], /) -> str | None:
    """Return a sentence where the model that is kept scores below the linear one; None if not, or for few rows."""
    found = {row["method"]: row.get(report["measured_on"]) for row in report.get("methods", ())}
    kept, linear, name = found.get(report.get("method")), found.get("linear"), MAIN[ProblemType(report["problem_type"])]
    if not kept or not linear or kept[name] >= linear[name] or report["scores"]["distinct_rows"] < FEW_ROWS:
        return None
    return (
        f"the {name} of {kept[name]:.3f} is below that of a linear model that is fitted in seconds"
        f" ({linear[name]:.3f}): --method linear, or more rows"
    )


def all_cautions(report: Mapping[str, Any], /) -> list[str]:
    """Return `cautions` of what `metrics.json` holds, and what `behind` says of it."""
    said = cautions(report["scores"], report["measured_on"])
    said = [*report.get("row_cautions", ()), *said]
    return [said_too, *said] if (said_too := behind(report)) else said


def main_score(logits: Floats, targets: NDArray[np.generic], goal: Goal, /) -> float:
    """Return the score that selects the best epoch; higher is better."""
    figures = measure(logits, targets, goal, draws=0)["metrics"]
    assert isinstance(figures, Mapping)
    return float(figures[MAIN[goal.problem]])


def balanced_score(logits: Floats, targets: NDArray[np.generic], goal: Goal, /) -> float:
    """Return the score that selects a model: the mean of accuracy and macro F1 (multi-label: micro and macro).

    Macro F1 alone would prefer a model that finds few of a rare label and loses many of the others for it.
    """
    if goal.problem is ProblemType.REGRESSION:
        return main_score(logits, targets, goal)
    return sum(both_scores(logits, targets, goal)) / 2


def both_scores(logits: Floats, targets: NDArray[np.generic], goal: Goal, /) -> tuple[float, float]:
    """Return the accuracy (multi-label: micro F1) and macro F1 of labels."""
    figures = measure(logits, targets, goal, draws=0)["metrics"]
    assert isinstance(figures, Mapping)
    first = "accuracy" if goal.problem is ProblemType.SINGLE_LABEL else "micro_f1"
    return float(figures[first]), float(figures["macro_f1"])


def right_labels(logits: NDArray[np.floating], targets: NDArray[np.generic], goal: Goal, /) -> Rows:
    """Return for each row 1 if its label is right and else 0; of several labels the share that is right."""
    if goal.problem is ProblemType.MULTI_LABEL:
        shares: Rows = ((logits > 0) == targets.astype(bool)).mean(axis=1, dtype=np.float64)
        return shares
    return np.asarray(logits.argmax(axis=1) == targets, dtype=np.float64)


def is_surely_better(more_right: Rows, less_loss: Rows, /) -> bool:
    """Return whether a model of labels is better than another by more than one standard error.

    It is if it is more accurate, or if it is no less accurate and has less loss.

    Args:
        more_right: What `right_labels` says of it less what it says of the other, by row.
        less_loss: The other's loss less its own, by row.
    """
    lead = float(more_right.mean())
    if lead < 0:
        return False
    return lead > standard_error(more_right) or float(less_loss.mean()) > standard_error(less_loss)


def standard_error(values: Rows, /) -> float:
    """Return the standard error of the mean."""
    return float(values.std() / np.sqrt(len(values)))


def _single(probable: Floats, targets: NDArray[np.generic]) -> dict[str, float]:
    truth = targets.astype(np.int64)
    matrix = metrics.confusion(truth, probable.argmax(axis=1), probable.shape[1])
    figures = {
        "accuracy": metrics.accuracy(matrix),
        "macro_f1": metrics.macro_f1(matrix),
        "log_loss": metrics.log_loss(probable, truth),
        "calibration_error": metrics.calibration_error(probable, truth),
    }
    if probable.shape[1] == 2:
        figures["auc"] = metrics.roc_auc(probable[:, 1], truth == 1)
    return figures


def _multi(probable: Floats, targets: NDArray[np.generic]) -> dict[str, float]:
    truth, guess = targets.astype(bool), probable >= 0.5
    chosen = np.clip(np.where(truth, probable, 1 - probable), 1e-12, 1)
    return {
        "exact_match": float((truth == guess).all(axis=1).mean()),
        "micro_f1": metrics.binary_f1(guess.ravel(), truth.ravel()),
        "macro_f1": float(np.mean([metrics.per_class(matrix)[1].f1 for matrix in _matrices(probable, targets)])),
        "log_loss": float(-np.log(chosen).mean()),
    }


def _matrices(probable: Floats, targets: NDArray[np.generic]) -> list[NDArray[np.int64]]:
    guess = (probable >= 0.5).astype(np.int64)
    return [metrics.confusion(targets[:, k].astype(np.int64), guess[:, k], 2) for k in range(probable.shape[1])]


def _regression(values: Floats, targets: NDArray[np.generic]) -> dict[str, float]:
    guess, truth = values[:, 0].astype(float), targets[:, 0].astype(float)
    error = float(((guess - truth) ** 2).mean())
    spread = float(truth.var())
    return {
        "r2": 1 - error / spread if spread else 0.0,
        "mean_squared_error": error,
        "mean_absolute_error": float(np.abs(guess - truth).mean()),
        "pearson": metrics.pearson(guess, truth),
        "spearman": metrics.spearman(guess, truth),
    }


def _intervals(
    probable: Floats,
    targets: NDArray[np.generic],
    goal: Goal,
    scores: Callable[[Floats, NDArray[np.generic]], dict[str, float]],
    draws: int,
    texts: NDArray[np.int64],
) -> dict[str, tuple[float, float]]:
    def value(name: str) -> Callable[[NDArray[np.int64]], float]:
        return lambda rows: scores(probable[rows], targets[rows])[name]

    name = MAIN[goal.problem]
    found: dict[str, tuple[float, float]] = {}
    clusters = metrics.clusters(texts)
    if len(clusters) >= BOOTSTRAP_ROWS:
        low, high = metrics.bootstrap(
            lambda drawn: value(name)(np.concatenate([clusters[number] for number in drawn])),
            len(clusters),
            draws=draws,
        )
        if low < high:  # all rows right: every sample is, and the bootstrap knows no doubt
            found[name] = low, high
    if goal.problem is ProblemType.SINGLE_LABEL:
        right = float((probable.argmax(axis=1) == targets).mean())
        sizes = np.asarray([len(rows) for rows in clusters], dtype=np.float64)
        worth = float(
            sizes.sum() ** 2 / (sizes**2).sum()
        )  # rows that the clusters are worth: Kish 1965, "Survey Sampling"
        found["accuracy"] = metrics.wilson(right * worth, worth)
    return found


def _by_label(goal: Goal, scores: tuple[metrics.ClassScore, ...]) -> dict[str, dict[str, float]]:
    return {label: asdict(score) for label, score in zip(goal.labels, scores, strict=True)}
